"""The plots of ``docs/performance.md``: roofline position, speed-up over each peer, time against size."""

from dataclasses import dataclass
from typing import Any

from ._svg import Axis, Series, chart, log_axis

Result = dict[str, Any]


@dataclass(frozen=True)
class Plot:
    """A file beside the page."""

    name: str
    title: str
    text: str


def plots(results: dict[str, Result]) -> list[Plot]:
    """Every plot that there are figures for."""
    timed = [row for r in results.values() if r["suite"] in ("trajectory", "voxel") for row in r["rows"]]
    found = [plot for backend in ("cuda", "cpu") if (plot := roofline(timed, backend))]
    found += [plot for backend in ("cuda", "cpu") if (plot := speedups(timed, backend))]
    return found + [plot for r in results.values() if r["suite"] == "scaling" for plot in sweeps(r)]


def _name(row: Result) -> str:
    kind = row.get("method") or row.get("reduce")
    return f"{row['op']} {kind}" if kind else row["op"]


def _grouped(points: list[tuple[str, float, float]], joined: bool = False) -> list[Series]:
    series: dict[str, Series] = {}
    for name, x, y in points:
        series.setdefault(name, Series(name, joined=joined)).points.append((x, y))
    return list(series.values())


def roofline(rows: list[Result], backend: str) -> Plot | None:
    """Share of copy bandwidth against bytes."""
    points = [(_name(r), r["bytes"], r["share"]) for r in rows if r["backend"] == backend and r.get("share")]
    if not points:
        return None
    top = max(1.2, *(y for *_, y in points))
    title = f"Share of a copy of the least bytes, {backend}"
    x = log_axis("least bytes", [x for _, x, _ in points])
    text = chart(title, x, Axis("share", 0.0, top, log=False), _grouped(points), (1.0, "a copy"))
    return Plot(f"roofline_{backend}.svg", title, text)


def speedups(rows: list[Result], backend: str) -> Plot | None:
    """Time of each peer over ours, against bytes."""
    points = []
    for row in (row for row in rows if row["backend"] == backend):
        for name, peer in row.get("peers", {}).items():
            for key in ("device_us", "wall_us"):
                if peer.get(key) and row.get(key):
                    points.append((name, row["bytes"], peer[key]["median"] / row[key]["median"]))
                    break
    if not points:
        return None
    title = f"Time of each peer over RoboCache's, {backend}"
    x, y = log_axis("least bytes", [x for _, x, _ in points]), log_axis("times", [1.0, *(y for *_, y in points)])
    return Plot(f"speedup_{backend}.svg", title, chart(title, x, y, _grouped(points), (1.0, "as fast as RoboCache")))


def sweeps(result: Result) -> list[Plot]:
    """Time against each size that was swept; one plot an operation."""
    found = []
    for op in dict.fromkeys(row["op"] for row in result["rows"]):
        rows = [row for row in result["rows"] if row["op"] == op]
        points = [(row["sweep"], row["x"], (row.get("device_us") or row["wall_us"])["median"]) for row in rows]
        where = rows[0]["backend"]
        title = f"{op}: time against each size, {where}"
        x = log_axis("size of what is swept", [x for _, x, _ in points])
        y = log_axis("microseconds", [y for *_, y in points])
        found.append(Plot(f"scaling_{op}_{where}.svg", title, chart(title, x, y, _grouped(points, joined=True))))
    return found
