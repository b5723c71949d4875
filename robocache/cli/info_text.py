"""The text of ``robocache info``, within a hundred columns."""

import textwrap
from typing import Any

from ..view.wording import clock, counted, cut, duration, moment, octets, printable, shape
from .report import table

WIDTH, NAME = 100, 38
LEGEND = (
    "jitter: range of the middle half of the intervals; furthest: from the median; gaps: longer than 2.5 medians; "
    "again, back: stamped as the sample before, or earlier"
)


def layout(fields: dict[str, Any]) -> str:
    """Facts, then what the streams are, then the measured stamps."""
    lines = [printable(f"{fields['name']} ({fields['format']})")]
    for key, text in facts(fields):
        lines += textwrap.wrap(printable(text), WIDTH, initial_indent=f"  {key:<10} ", subsequent_indent=" " * 13)
    seen = f"{fields['looked_at']} of {fields['episodes']} episodes"
    lines += ["", f"Streams, in {seen}:"]
    what = [
        (cut(one["name"], NAME), one["kind"], shape(one["shape"]), one["dtype"], one["unit"] or "-",
         one["codec"] or "-", clock(one)) for one in fields["streams"]
    ]  # fmt: skip
    lines += fitted(("stream", "kind", "shape", "dtype", "unit", "codec", "clock"), what)
    stamped = [one for one in fields["streams"] if one["measured"]]
    if stamped:
        first = min((one["measured"]["start_ns"] for one in stamped if one["measured"]["samples"]), default=None)
        lines += ["", f"Stamps, measured in {seen}, from {moment(first)} on:"]
        header = ("stream", "Hz", "jitter", "furthest", "gaps", "longest", "again", "back", "from", "for")
        lines += fitted(header, [(cut(one["name"], 22), *stamps(one["measured"], first)) for one in stamped])
        lines += textwrap.wrap(LEGEND, WIDTH)
    lines += ["", *(printable(f"PROBLEM {text}") for text in fields["problems"])] if fields["problems"] else []
    return "\n".join(lines)


def facts(fields: dict[str, Any]) -> list[tuple[str, str]]:
    """Names and texts of what holds for the whole dataset."""
    splits = ", ".join(f"{name} {count}" for name, count in fields["splits"].items())
    steps = fields["steps_note"] or f"{fields['steps']:,}"
    rate = "not known; give --control-hz"
    if fields["control_hz"] is not None:
        rate = f"{fields['control_hz']:g} Hz ({fields['control_hz_origin']})"
    elif not any(one["clock"] == "index" for one in fields["streams"]):
        rate = "none: every stream is stamped"
    found = [("path", fields["path"]), ("on disk", f"{fields['files']:,} files, {octets(fields['bytes'])}")]
    found += [("episodes", f"{fields['episodes']:,}" + (f" ({splits})" if splits else "")), ("steps", steps)]
    found.append(("control", rate))
    if fields["action"]:
        found.append(("action", meaning(fields["action"])))
    said = fields["language"]
    if said["distinct"]:
        examples = "; ".join(repr(textwrap.shorten(text, 60)) for text in said["examples"])
        found.append(("language", f"{counted(said['distinct'], 'instruction')}, such as {examples}"))
    plain = {k: v for k, v in fields["meta"].items() if isinstance(v, bool | int | float | str) and v != ""}
    if plain:
        told = [f"{key}: {textwrap.shorten(str(value), 60)}" for key, value in plain.items()]
        found.append(("meta", "; ".join(told)))
    return found


def meaning(action: dict[str, Any]) -> str:
    """What an action means, in words."""
    kind = {None: "", True: "relative", False: "absolute"}[action["relative"]]
    parts = [action["representation"], kind, action["rotation"], action["frame"] and f"in the {action['frame']} frame"]
    if action["gripper"]:
        parts.append("gripper {:g} closed, {:g} open".format(*action["gripper"]))
    parts.append("" if action["last_valid"] else "none at the last step")
    return ", ".join(filter(None, parts)) + (f"; {action['note']}" if action["note"] else "")


def fitted(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> list[str]:
    """Lines of a table, cut where they would be too long."""
    cells = [[printable(str(cell)) for cell in row] for row in rows]
    return [line if len(line) <= WIDTH else line[: WIDTH - 1] + "…" for line in table(header, cells).splitlines()]


def stamps(found: dict[str, Any], first: int | None) -> tuple[str, ...]:
    """Cells of what was measured; the start is told from the first of all stamps."""
    rate = "-" if found["hz"] is None else f"{found['hz']:.6g}"
    spans = [duration(found[key]) for key in ("jitter_ns", "deviation_ns", "longest_ns")]
    start = found["start_ns"]
    begins, lasts = (None, None) if start is None or first is None else (start - first, found["end_ns"] - start)
    counts = [str(found[key]) for key in ("gaps", "duplicates", "unsorted")]
    return rate, spans[0], spans[1], counts[0], spans[2], counts[1], counts[2], duration(begins), duration(lasts)
