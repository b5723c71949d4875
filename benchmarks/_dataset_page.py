"""The part of ``docs/performance.md`` on readers of datasets."""

from collections.abc import Callable
from typing import Any

Row = dict[str, Any]
STARTS = ("import", "open", "first")
WORK = {
    "start": ("from import to the first step", "ms"),
    "import": ("import", "ms"),
    "open": ("open", "ms"),
    "first": ("numbers of the first step", "ms"),
    "first_windows": ("window of an episode not touched before", "steps/s"),
    "windows": ("random windows, one a call", "steps/s"),
    "batches": ("random windows, a batch a call", "steps/s"),
    "pictures": ("random pictures", "pictures/s"),
    "encoded": ("random pictures, not decoded", "pictures/s"),
    "pass": ("everything in order", "MB/s"),
}
INTRO = """Medians of processes that took turns; `3x` says that a peer takes three times as long, **bold** that it is
faster. Windows are of 16 steps (fewer in shorter episodes) of state and action, as NumPy arrays. All contenders were
given the same steps, whose values were compared in the same run. `tensorflow_datasets` is its `as_data_source` over
array_record (of TFRecord a copy, byte for byte), `tf.data` its `as_dataset` over TFRecord, with TensorFlow's threads;
`lerobot` reads numbers from its Hugging Face table, which was made before and is not timed, and pictures by its
items; `lerobot items` are windows by `delta_timestamps`. None of the others was told to use more than one thread. Every
library keeps in memory what it will: the numbers of these sets fit into what RoboCache keeps, so its random windows,
other than those of episodes not touched before, are of sets whose numbers do. Of LeRobot sets it reads small row groups
with their neighbours: most episodes not touched before came along with another, and that read is in the time too, but
for the one of the first step."""


def figure(row: Row, wall: Row, per_second: float, number: Callable[[float], str]) -> str:
    """A time in milliseconds, or how many a second."""
    unit = WORK[row["op"]][1]
    return f"{number(wall['median'] / 1e3)} ms" if unit == "ms" else f"{number(per_second)} {unit}"


def section(result: Row, number: Callable[[float], str], table: Any, beside: Any, goal: Any) -> list[str]:
    """Tables of one file: a dataset each, then memory, then what has to be installed."""
    lines = [INTRO, ""]
    load = result.get("load_average")
    lines += [f"Load average of the machine meanwhile: {', '.join(map(str, load))}.", ""] if load else []
    timed = [row for row in result["rows"] if row["op"] in WORK]
    for data in dict.fromkeys(row["distribution"] for row in timed):
        rows = [row for row in timed if row["distribution"] == data]
        rows = [*together([row for row in rows if row["op"] in STARTS]), *rows]
        peers = list(dict.fromkeys(n for row in rows for n, one in row["peers"].items() if "wall_us" in one))
        head = [
            "work",
            "robocache",
            *(cell for name in peers for cell in (name, f"{name}, its time over ours")),
            "goal",
        ]
        cells = []
        for row in rows:
            call = f" of {row['items']:,.0f} steps" if row["op"] == "batches" else ""
            told = [WORK[row["op"]][0] + call, figure(row, row["wall_us"], row["per_second"], number)]
            for name in peers:
                one = row["peers"].get(name, {})
                found = figure(row, one["wall_us"], one["per_second"], number) if "wall_us" in one else ""
                told += [found, beside(row, name)]
            cells.append([*told, goal(row)])
        lines += [f"### {data}", "", *table(head, cells), "", *compared(rows[0]), ""]
    return lines + memory(result, number, table) + sizes(result, number, table)


def together(rows: list[Row]) -> list[Row]:
    """A row with the sums of the medians of others."""
    if len(rows) < len(STARTS):
        return []
    whole = sum(row["wall_us"]["median"] for row in rows)
    row: Row = {"op": "start", "wall_us": {"median": whole}, "per_second": 0.0, "peers": {}}
    for name, one in rows[0]["peers"].items():
        if "wall_us" in one:
            spent = sum(row["peers"][name]["wall_us"]["median"] for row in rows)
            row["peers"][name] = {"wall_us": {"median": spent}, "per_second": 0.0, "compared": one["compared"]}
    return [row]


def compared(row: Row) -> list[str]:
    """What was compared, and how far pictures are apart."""
    lines = []
    for name, one in row["peers"].items():
        if "compared" not in one:
            continue
        told = one["compared"]
        text = f"- {name}: {told['values']:,} numbers equal to the bit"
        if told["pictures"]:
            text += f"; {told['pictures']} pictures, {told['levels_apart']:.2f} of 256 levels apart at most on average"
            text += f" (decoded by {told['decoder']})"
        lines.append(text + (", cast: " + "; ".join(told["cast"]) if told["cast"] else "") + ".")
    return lines


def memory(result: Row, number: Callable[[float], str], table: Any) -> list[str]:
    """The most that was resident."""
    cells, tasks = [], ("import", "windows", "batches", "pictures", "pass")
    for row in (row for row in result["rows"] if row["op"] == "memory"):
        for name, one in {"robocache": row, **row["peers"]}.items():
            most = one["resident_bytes"]
            cells.append([row["distribution"], name, *(number(most[k] / 1e6) if k in most else "" for k in tasks)])
    head = ["dataset", "library", "after import, MB", *(f"peak of {WORK[k][0]}, MB" for k in tasks[1:])]
    return ["### Memory", "", *table(head, cells), ""]


def sizes(result: Row, number: Callable[[float], str], table: Any) -> list[str]:
    """What has to be installed."""
    rows = [row for row in result["rows"] if row["op"] == "installed"]
    cells = [[r["method"], number(r["bytes"] / 1e6), str(len(r["packages"]))] for r in rows if "bytes" in r]
    return ["### Installed", "", *table(["what", "MB with all it needs", "packages"], cells), ""]
