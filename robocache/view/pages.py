"""A dataset as one page of HTML that needs nothing else: no server, no network, no library."""

import base64
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from .plots import number, plot, text
from .summaries import MEASURES, Summary
from .thumbnails import png
from .wording import clock, counted, duration, shape

BARS = 60  # episodes up to which each has its length drawn
OPEN = 12  # rows up to which a table is unfolded
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"


def page(fields: dict[str, Any], facts: Sequence[tuple[str, str]], lengths: Any, summaries: Sequence[Summary]) -> str:
    """The page.

    Parameters
    ----------
    fields : dict
        As `robocache info --json` gives them.
    facts : sequence of (str, str)
        Names and texts of what holds for the whole dataset.
    lengths : array of int (episode,), or None
        Steps of every episode, where they were counted.
    summaries : sequence of Summary
        As `survey` gives them.

    Returns
    -------
    str
        HTML, with its style, its script and its pictures in it. Names and texts of the dataset are escaped.
    """
    of = f"{fields['looked_at']} of {counted(fields['episodes'], 'episode')}"
    how = "" if fields["looked_at"] == fields["episodes"] else ", evenly apart, the first and the last with them"
    by_name = {summary.name: summary for summary in summaries}
    streams = [(f"stream-{k}", one, by_name[one["name"]]) for k, one in enumerate(fields["streams"])]
    rows = "".join(f"<dt>{text(key)}</dt><dd>{text(value)}</dd>" for key, value in facts)
    said = "".join(f"<li>{text(problem)}</li>" for problem in fields["problems"])
    problems = f'<section class="problems"><h2>Problems</h2><ul>{said}</ul></section>' if said else ""
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(fields['name'])}: a dataset</title><style>{_asset('page.css')}</style></head><body>"
        '<a class="skip" href="#streams">To the streams</a>'
        f'<header><h1>{text(fields["name"])}</h1><p class="what">A dataset of the format {text(fields["format"])}. '
        f"What is said of streams was read from {text(of + how)}.</p></header><main>{problems}"
        f"<section><h2>What it is</h2><dl>{rows}</dl></section>{_episodes(lengths)}"
        f'<section><h2 id="streams">Streams</h2>{_overview(streams)}</section>'
        f"{''.join(_stream(*one) for one in streams)}</main>"
        "<footer><p>Made by <code>robocache report</code>. gaps: longer than 2.5 median intervals; jitter: range of "
        "the middle half of the intervals; stamps made: not measured, but a sample number over a rate.</p></footer>"
        f"<script>{_asset('page.js')}</script></body></html>\n"
    )


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")


def _episodes(lengths: Any) -> str:
    if lengths is None or not len(lengths):
        return ""
    steps = np.asarray(lengths, np.float64)
    told = f"{counted(len(steps), 'episode')}: {number(steps.min())} to {number(steps.max())} steps, median "
    told += f"{number(float(np.median(steps)))}"
    if len(steps) <= BARS:
        edges = np.arange(len(steps) + 1) - 0.5
        drawn = plot(
            "Steps of each episode", "", np.arange(len(steps)), steps[:, None], [""], "episode", bins=edges, whole=True
        )
    else:
        counts, edges = np.histogram(steps, 40)
        middles = (edges[:-1] + edges[1:]) / 2
        drawn = plot("Lengths", "episodes by steps", middles, counts[:, None], [""], "steps", bins=edges)
    return f'<section><h2>Episodes</h2><p class="what">{text(told)}</p><div class="plots">{drawn}</div></section>'


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]], style: str = "") -> str:
    """Cells are HTML; it scrolls on its own where it is wide."""
    head = "".join(f'<th scope="col">{cell}</th>' for cell in header)
    body = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>" for row in rows)
    inner = f'<table class="{style}"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="wide" role="region" aria-label="{text(caption)}" tabindex="0">{inner}</div>'


def _overview(streams: Sequence[tuple[str, dict[str, Any], Summary]]) -> str:
    header = ("stream", "kind", "shape", "dtype", "unit", "stamps", "Hz", "jitter", "gaps", "longest", "again", "back")
    rows = []
    for anchor, one, _ in streams:
        found = one["measured"]
        pace = ["-"] * 6
        if found:
            pace = [number(found["hz"]) if found["hz"] else "-", duration(found["jitter_ns"]), str(found["gaps"])]
            pace += [duration(found["longest_ns"]), str(found["duplicates"]), str(found["unsorted"])]
        name = f'<a href="#{anchor}">{text(one["name"])}</a>'
        what = (one["kind"], shape(one["shape"]), one["dtype"], one["unit"] or "-", _stamps(one), *pace)
        rows.append([name, *map(text, what)])
    return _table("Streams", header, rows, "first")


def _stamps(one: dict[str, Any]) -> str:
    """Whether they were measured or made."""
    if one["measured"]:
        return f"true ({one['clock']} clock)"
    return "none" if one["declared_hz"] is None else f"made, {clock(one).removeprefix('index, ')}"


def _stream(anchor: str, one: dict[str, Any], summary: Summary) -> str:
    what = [one["kind"], shape(one["shape"]), one["dtype"], *filter(None, (one["unit"], one["codec"]))]
    what += [f"stamps {_stamps(one)}", f"{counted(summary.samples, 'sample')} in {counted(one['episodes'], 'episode')}"]
    if summary.read and summary.read < summary.samples:
        what.append(f"{summary.read:,} of them read, evenly apart")
    parts = [f'<section class="stream" id="{anchor}"><h3>{text(one["name"])}</h3>']
    parts.append(f'<p class="what">{text(" · ".join([*what, *summary.notes]))}</p>')
    drawn = _plots(summary, one["unit"])
    parts += [f'<div class="plots">{drawn}</div>'] if drawn else []
    if summary.frames:
        shown = "".join(_frame(one["name"], where, picture) for where, picture in summary.frames)
        parts.append(f'<ul class="frames">{shown}</ul>')
    if summary.texts:
        rows = [(text(said), f"{times:,}") for said, times in summary.texts]
        parts.append(_table(f"Texts of {one['name']}", ("text", "samples"), rows))
    if len(summary.table):
        cells = [[text(label or "value"), f"{row[0]:,.0f}", *(number(value) for value in row[1:])]
                 for label, row in zip(summary.labels, summary.table, strict=True)]  # fmt: skip
        hidden = summary.features - len(cells)
        more = f", the first {len(cells)} of {summary.features:,}" if hidden else ""
        unfold = " open" if len(cells) <= OPEN else ""
        told = f"Statistics of {counted(len(cells), 'feature')}{more}"
        table = _table(f"Statistics of {one['name']}", ("feature", *MEASURES), cells)
        parts.append(f"<details{unfold}><summary>{text(told)}</summary>{table}</details>")
    return "".join(parts) + "</section>"


def _plots(summary: Summary, unit: str | None) -> str:
    drawn = []
    most = f"the {len(summary.drawn)} of {summary.features:,} features that move most"
    note = most if len(summary.drawn) < summary.features else ""
    if summary.course is not None and len(summary.course[0]):
        when, values, samples = summary.course
        over = "seconds" if summary.timed else "sample"
        title = "Course in the first episode read" + (f", {unit}" if unit else "")
        some = f"{len(when)} of {counted(samples, 'sample')}" if len(when) < samples else ""
        drawn.append(plot(title, "; ".join(filter(None, (note, some))), when, values, summary.drawn_labels, over))
    for told, counts, labels, over in (
        ("Histogram", summary.histogram, summary.drawn_labels, unit or "value"),
        ("Intervals between stamps", summary.intervals, [""], "milliseconds"),
    ):
        if counts is not None:
            middles = (counts.edges[:-1] + counts.edges[1:]) / 2
            why = note if counts is summary.histogram else ""
            drawn.append(plot(told, why, middles, counts.counts.T, labels, over, bins=counts.edges))
    return "".join(drawn)


def _frame(name: str, where: str, picture: Any) -> str:
    data = base64.b64encode(png(picture)).decode()
    height, width = picture.shape[:2]
    source = f'src="data:image/png;base64,{data}" width="{width}" height="{height}"'
    return f'<li><img alt="{text(name)}, {text(where)}" {source}>{text(where)}</li>'


__all__ = ["page"]
