"""``docs/performance.md`` and its plots, from the JSON in ``benchmarks/results/`` and nothing else.

``python3 -m benchmarks.report`` writes them; with ``--check`` it only says whether the page is up to date.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import _dataset_page, _feeding_page, _plots, _results
from ._results import ROOT, SCHEMA

RESULTS, DOCS = ROOT / "benchmarks" / "results", ROOT / "docs"
HEAD = """# Speed

<!-- Generated from benchmarks/results/*.json by `python3 -m benchmarks.report`. Do not edit. -->

Device time: calls captured in one CUDA graph, inputs rotated through more than the L2 cache. Call time: the Python call
on the host. Wall time: one call to its end. All are medians in microseconds (with quartiles). Share: the time of a
copy of the least bytes (every needed input once, every output once), taken in the same run, over the time of the
operation; 1 is the roofline. Every row was checked in the run that timed it, over outputs filled with NaN before. `3x`
says that a peer takes three times as long; **bold** says that it is faster. [How to rerun](../benchmarks/README.md).
"""
# What CI compiles every kernel for; a card gets figures when somebody commits what `robocache bench` wrote on it.
CARDS = [
    ("Tesla T4", "7.5"),
    ("NVIDIA A100", "8.0"),
    ("NVIDIA GeForce RTX 3090", "8.6"),
    ("NVIDIA L4", "8.9"),
    ("NVIDIA GeForce RTX 4090", "8.9"),
    ("NVIDIA H100", "9.0"),
    ("NVIDIA H200", "9.0"),
    ("NVIDIA B200", "10.0"),
    ("NVIDIA GeForce RTX 5090", "12.0"),
]
SHORT = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "int64": "i64"}
Result = dict[str, Any]


def load(folder: Path) -> dict[str, Result]:
    """Every result file of today's schema, by name; any file without machine or commit is an error."""
    found = {path.stem: _results.read(path) for path in sorted(folder.glob("*.json"))}
    return {name: result for name, result in found.items() if result.get("schema") == SCHEMA}


def number(value: float) -> str:
    """Three figures, no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def table(head: list[str], rows: list[list[str]]) -> list[str]:
    """Markdown, without columns that are empty."""
    full = [k for k in range(len(head)) if any(row[k] for row in rows)]
    lines = [[head[k] for k in full], ["---"] * len(full), *([row[k] or "-" for k in full] for row in rows)]
    return ["| " + " | ".join(line) + " |" for line in lines]


def took(row: Result) -> float:
    """The time of a row that its share is about."""
    return float((row.get("device_us") or row["wall_us"])["median"])


def over(row: Result, name: str, keys: tuple[str, ...] = ("device_us", "wall_us")) -> float | None:
    """How many times longer a peer takes: device against device, else wall against wall."""
    if name == "predecessor":
        return row["predecessor_us"] / took(row) if row.get("predecessor_us") else None
    peer = row.get("peers", {}).get(name, {})
    for key in keys:
        if peer.get(key) and row.get(key):
            return float(peer[key]["median"] / row[key]["median"])
    return None


def spent(row: Result, key: str) -> str:
    """A time and its quartiles."""
    found = row.get(key)
    if not found:
        return ""
    return f"{number(found['median'])} ({number(found['q1'])} to {number(found['q3'])})"


def beside(row: Result, name: str, keys: tuple[str, ...] = ("device_us", "wall_us")) -> str:
    """How a peer compares."""
    times = over(row, name, keys)
    if times is None:
        return ""
    text = f"{number(times)}x"
    return text if times >= 1 else f"**{text}**"


def goals(row: Result) -> Iterator[tuple[str, float, float | None, bool | None]]:
    """Name, wanted, reached and whether that is enough, of each goal of a row."""
    for name, wanted in row.get("goal", {}).items():
        if name.startswith("over_"):
            have = over(row, name.removeprefix("over_"))
            yield name, wanted, have, None if have is None else have >= wanted
        elif name == "share":
            yield name, wanted, row.get("share"), None if row.get("share") is None else row["share"] >= wanted
        else:
            have = row[name]["median"] if row.get(name) else None
            yield name, wanted, have, None if have is None else have <= wanted


def goal(row: Result) -> str:
    """Goals of a row in one cell."""
    parts = []
    for name, wanted, have, good in goals(row):
        sign = "≤" if name.endswith("_us") else "≥"
        said = "not measured" if good is None else "met" if good else f"**missed: {number(have or 0)}**"
        label = name.replace("_us", " µs").replace("over_", "over ").replace("_", " ")
        parts.append(f"{label} {sign} {wanted:g}: {said}")
    return "; ".join(parts)


def shape(row: Result) -> str:
    """Sizes and types."""
    sizes = " ".join(f"{key} {value:,}" for key, value in row["shapes"].items())
    kinds = " ".join(SHORT.get(kind, kind) for kind in row["dtypes"].values())
    return ", ".join(part for part in (sizes, kinds) if part)


def section(result: Result) -> list[str]:
    """The table of one file."""
    lines: list[str] = []
    for op in dict.fromkeys(row["op"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["op"] == op]
        peers = list(dict.fromkeys(name for row in rows for name in row.get("peers", {})))
        head = ["work", "sizes", "input", "device µs", "wall µs", "call µs", "share", "share, all samples"]
        head += ["plan, device µs", "plan, wall µs", "plan, call µs"]
        cells = [
            [
                row.get("method") or row.get("reduce") or op,
                shape(row),
                row.get("distribution", ""),
                spent(row, "device_us"),
                spent(row, "wall_us"),
                spent(row, "call_us"),
                f"{row['share']:.2f}" if row.get("share") else "",
                f"{row['share_whole']:.2f}" if row.get("share_whole") else "",
                spent(row.get("plan", {}), "device_us"),
                spent(row.get("plan", {}), "wall_us"),
                spent(row, "plan_call_us"),
                *(beside(row, name) for name in peers),
                beside(row, "torch", ("wall_us",)) if op == "voxelize" and row.get("device_us") else "",
                f"{beside(row, 'predecessor')} of {row['predecessor_us']:g}" if row.get("predecessor_us") else "",
                goal(row),
            ]
            for row in rows
        ]
        names = [*peers, "torch, wall to wall", "predecessor (µs, measured earlier on the same kind of GPU)", "goal"]
        lines += [f"### {op}", "", *table([*head, *names], cells), ""]
    return lines + absences(result)


def absences(result: Result) -> list[str]:
    """Peers without figures, and why."""
    why: dict[tuple[str, str], int] = {}
    for row in result["rows"]:
        for name, peer in row.get("peers", {}).items():
            if "absent" in peer:
                said = peer["absent"].split(": Refused")[0]  # what a process said on the way out is in the file
                why[name, said] = why.get((name, said), 0) + 1
    if not why:
        return []
    listed = [f"- {name}: {text} ({count} rows)" for (name, text), count in sorted(why.items())]
    return ["Without figures:", "", *listed, ""]


def losing(results: dict[str, Result]) -> list[str]:
    """Every row that a peer beats, and every goal that is missed."""
    rows = [(name, row) for name, result in results.items() for row in result["rows"]]
    lost = []
    for name, row in rows:
        pairs = [(peer, key) for peer in row.get("peers", {}) for key in ("device_us", "wall_us")]
        pairs = [(peer, key) for peer, key in pairs if (over(row, peer, (key,)) or 1) < 1]
        faster = [f"{peer} {beside(row, peer, (key,))} ({key.removesuffix('_us')})" for peer, key in pairs]
        if faster:
            kind = row.get("method") or row.get("reduce") or ""
            lost.append([name, f"{row['op']} {kind}", shape(row), row.get("distribution", ""), ", ".join(faster)])
    verdicts = [good for _, row in rows for *_, good in goals(row) if good is not None]
    said = f"{sum(verdicts)} of {len(verdicts)} goals that were measured are met. "
    said += f"{len(lost)} of {len(rows)} rows are slower than some peer" + (":" if lost else ".")
    return [
        "## What loses",
        "",
        said,
        "",
        *(table(["file", "work", "sizes", "input", "faster"], lost) if lost else []),
        "",
    ]


def scaling(result: Result) -> list[str]:
    """Growth a doubling, at the large end, of each sweep."""
    cells = []
    for sweep in dict.fromkeys(row["sweep"] for row in result["rows"]):
        rows = sorted((row for row in result["rows"] if row["sweep"] == sweep), key=lambda row: row["x"])
        first, last = rows[0], rows[-1]
        steps = [took(b) / took(a) / (b["x"] / a["x"]) for a, b in zip(rows, rows[1:], strict=False)]
        cells.append([sweep, f"{first['x']:,} to {last['x']:,}", number(took(first)), number(took(last)),
                      f"{max(steps):.2f}"])  # fmt: skip
    head = ["sweep", "from, to", "µs at the least", "µs at the most", "steepest step: time over size (1 is linear)"]
    return [*table(head, cells), ""]


def counters(result: Result) -> list[str]:
    """What ncu read."""
    head = ["work", "kernel", "DRAM %", "L2 %", "occupancy %", "registers", "µs"]
    cells = [
        [row["work"], row["kernel"],
         *(number(row[key]) if row.get(key) is not None else "" for key in
           ("dram_percent", "l2_percent", "occupancy_percent")),
         f"{row['registers']:.0f}" if row.get("registers") is not None else "",
         number(row["us"]) if row.get("us") is not None else ""]
        for row in result["rows"]
    ]  # fmt: skip
    return [*table(head, cells), ""]


def hardware(results: dict[str, Result]) -> list[str]:
    """Cards with figures where somebody measured them."""
    files = {name: r for name, r in results.items() if r["suite"] == "bench" and not r.get("quick")}
    rows, columns = [], ("copy", "resample", "call", "count")
    cards = {name: r["machine"] for name, r in files.items() if r["machine"].get("capability")}
    for name, about in sorted(cards.items(), key=lambda item: (float(item[1]["capability"]), item[0])):
        rows.append([about["gpu"], about["capability"], *(_figure(files[name], key) for key in columns), name])
    for card, capability in CARDS:
        if not any(about["gpu"].startswith(card) for about in cards.values()):
            rows.append([card, capability, "compiles, not run", "", "", "", ""])
    cpus = [(r["machine"]["cpu"], name, r) for name, r in files.items()]
    for cpu, name, result in cpus:
        cells = [_figure(result, f"cpu {key}") for key in columns]
        if any(cells):
            rows.append([f"{cpu}, {result['machine'].get('cpus_usable', '?')} threads", "CPU", *cells, name])
    head = ["card", "capability", "copy GB/s", "linear, share of copy", "small call µs", "count 1M points µs", "file"]
    return ["## Hardware", "", "`robocache bench --out FILE` fills a row.", "", *table(head, rows), ""]


def _figure(result: Result, name: str) -> str:
    row = next((row for row in result["rows"] if row["name"] == name), None)
    return "" if row is None else number(row["figure"])


SIGNALS = ("curves", "rotations", "windows", "stats")
POINTS = ("clouds", "clouds_voxels", "sampling", "tsdf")
BESIDE = ("trajectory", "voxel", "datasets", "store", *SIGNALS, *POINTS)  # suites whose peers are other people's


def page(results: dict[str, Result]) -> str:
    """The whole page."""
    lines = [HEAD]
    if not any(r["machine"].get("capability") for r in results.values() if r["suite"] in ("trajectory", "voxel")):
        lines += ["No GPU results of this version are committed yet: what follows was measured on CPUs.", ""]
    about = [
        [name, r["suite"], r["machine"]["gpu"], f"{r['machine']['cpu']} ({r['machine']['cpu_count']})",
         r["machine"]["date"], f"`{r['machine']['commit'][:12]}{'-dirty' * r['machine']['commit'].endswith('-dirty')}`",
         r["machine"].get("note", "")]
        for name, r in results.items()
    ]  # fmt: skip
    lines += ["## Measured", "", *table(["file", "suite", "GPU", "CPU", "date", "commit", "note"], about), ""]
    lines += losing({n: r for n, r in results.items() if r["suite"] in BESIDE})
    for file in _plots.plots(results):
        lines += [f"![{file.title}](performance/{file.name})", ""]
    makers = {
        "trajectory": section,
        "voxel": section,
        "scaling": scaling,
        "ncu": counters,
        "start": section,
        "store": section,
    }
    makers |= dict.fromkeys((*SIGNALS, *POINTS), section)
    makers["datasets"] = lambda result: _dataset_page.section(result, number, table, beside, goal) + absences(result)
    makers["decode"] = lambda result: [*section(result), *_feeding_page.apart(result)]
    makers["training"] = lambda result: _feeding_page.training(result, number, table)
    makers["distributed"] = lambda result: _feeding_page.distributed(result, number, table)
    makers["loading"] = lambda result: _feeding_page.loading(result, number, table)
    for name, result in results.items():
        if result["suite"] in makers:
            lines += [f"## {name}", "", *makers[result["suite"]](result)]
    return "\n".join([*lines, *hardware(results)]).rstrip() + "\n"


def main() -> int:
    """Write the page, or say whether it is what would be written."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--docs", type=Path, default=DOCS)
    options = parser.parse_args()
    results = load(options.results)
    text, path = page(results), options.docs / "performance.md"
    if options.check:
        return int(not path.exists() or path.read_text("utf-8") != text)
    folder = options.docs / "performance"
    folder.mkdir(parents=True, exist_ok=True)
    files = _plots.plots(results)
    for stale in set(folder.glob("*.svg")) - {folder / file.name for file in files}:
        stale.unlink()
    for file in files:
        (folder / file.name).write_text(file.text, "utf-8")
    path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
