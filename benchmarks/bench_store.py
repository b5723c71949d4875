"""Stores: random windows and pictures, all in order, opening and checking, beside Zarr and a NumPy memory map.

``python3 -m benchmarks.bench_store --out store.json``

All hold the same values, which are compared before anything is timed, and take turns. The files are in the page cache:
what is timed is finding and copying, not the disk.
"""

import argparse
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from robocache import store
from robocache.datasets import Dataset, Episode, Reader, register
from robocache.datasets.model import Episodes

from . import _results, _timing

WINDOW, BATCH, PICTURES, FEATURES, SIDE = 16, 256, 64, 14, 128
Row = dict[str, Any]


def make(folder: Path, steps: int, pictures: int, seed: int) -> dict[str, Any]:
    """The same episodes in every form, by name; each gathers, as a source of a loader does."""
    rng = np.random.default_rng(seed)
    each = 250
    state = rng.standard_normal((steps, FEATURES), np.float32)
    # Smooth, as pictures are: noise would say nothing of compressed forms.
    ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE))[..., None] * np.array([1, 2, 3]) // 4
    shift = rng.integers(0, 256, (pictures, 1, 1, 3))
    images = ((ramp + shift) % 256).astype(np.uint8)
    found = {}
    for name, values in (("state", state), ("image", images)):
        path = folder / name
        path.mkdir()
        convert(path, {name: values}, each)
        mine = store.open_store(path / "store")
        np.save(path / "map.npy", values)
        sources = {"robocache": mine, "numpy memmap": Mapped(path / "map.npy", name)}
        for kind, options in (("zarr3", {}), ("zarr3 zstd", {"compress": True}), ("zarr2", {"zarr_format": 2})):
            mine.export_zarr(path / kind, **options)
            sources[kind] = store.ZarrSource(path / kind)
        found[name] = sources
        found[f"{name} values"] = values
    return found


def convert(path: Path, values: dict[str, Any], each: int) -> None:
    """A store of arrays in memory, in episodes of ``each`` steps."""
    count = len(next(iter(values.values()))) // each
    part = partial(_part, values=values, each=each)
    announced = {name: stream.spec for name, stream in part(0).items()}

    def open_arrays(path: Path, *, control_hz: float | None, verify: bool) -> Dataset:
        return Dataset(
            format="arrays", name="arrays", path=path, episodes=Episodes(count, part), splits={}, specs=announced,
            lengths=lambda: np.full(count, each), findings=lambda: iter(()),
        )  # fmt: skip

    (path / "source").mkdir()
    (path / "source" / "arrays").touch()
    register(Reader("arrays", lambda found: float((found / "arrays").exists()), open_arrays))
    store.convert(path / "source", path / "store")


def _part(at: int, values: dict[str, Any], each: int) -> Episode:
    return Episode.from_arrays(at, {n: v[at * each : (at + 1) * each] for n, v in values.items()}, rate=20)


class Mapped:
    """What NumPy alone does."""

    def __init__(self, path: Path, name: str) -> None:
        self.array, self.name = np.load(path, mmap_mode="r"), name

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        return np.take(self.array, rows, 0, out, mode="clip") if out is not None else self.array[rows]


def check(sources: dict[str, Any], name: str, values: Any, rows: Any) -> None:
    """Raise unless all give the same."""
    for who, source in sources.items():
        if not np.array_equal(source.gather(name, rows), values[rows]):
            raise _results.WrongResult(f"{who} gives other values of {name}")


def timed(op: str, sources: dict[str, Any], name: str, rows: list[Any], runs: int, shapes: Row) -> Row:
    """Batches of rows, drawn anew for each, from every source in turn."""
    values = sources["values"]
    others = {who: source for who, source in sources.items() if who != "values"}
    check(others, name, values, rows[0])
    out = np.empty((*rows[0].shape, *values.shape[1:]), values.dtype)
    calls = {who: Turns(source, name, rows, out) for who, source in others.items()}
    took = _timing.wall_times(calls, runs=runs)
    row: Row = {
        "op": op,
        "method": "store",
        "backend": "cpu",
        "shapes": shapes,
        "dtypes": {"values": str(values.dtype)},
    }
    row |= {"distribution": "random" if op != "sequential" else "in order", "bytes": 2 * out.nbytes}
    row |= {"wall_us": took["robocache"], "per_second": rate(took["robocache"], op, rows[0], out)}
    row["peers"] = {
        who: {"wall_us": one, "per_second": rate(one, op, rows[0], out)}
        for who, one in took.items()
        if who != "robocache"
    }
    return row


def rate(took: Any, op: str, rows: Any, out: Any) -> float:
    """Windows or pictures a second; in order, megabytes."""
    return (out.nbytes / 1e6 if op == "sequential" else len(rows)) * 1e6 / took["median"]


class Turns:
    """Another batch at each call, the same ones for every source."""

    def __init__(self, source: Any, name: str, rows: list[Any], out: Any) -> None:
        self.source, self.name, self.rows, self.out, self.turn = source, name, rows, out, 0

    def __call__(self) -> Any:
        self.turn = (self.turn + 1) % len(self.rows)
        return self.source.gather(self.name, self.rows[self.turn], self.out)


def opening(folder: Path, runs: int) -> list[Row]:
    """Opening, and checking every byte."""
    path = folder / "image"
    calls = {"robocache": partial(store.open_store, path / "store"), "zarr3": partial(store.ZarrSource, path / "zarr3")}
    took = _timing.wall_times(calls, runs=runs)
    full = _timing.wall_time(partial(store.open_store, path / "store", "full"), runs=runs)
    size = sum(file.stat().st_size for file in (path / "store").iterdir())
    base: Row = {"method": "store", "backend": "cpu", "shapes": {}, "dtypes": {}}
    return [
        {"op": "open", **base, "wall_us": took["robocache"], "peers": {"zarr3": {"wall_us": took["zarr3"]}}},
        {"op": "verify", **base, "wall_us": full, "per_second": size / full["median"], "bytes": size, "peers": {}},
    ]


def measure(folder: Path, options: argparse.Namespace) -> list[Row]:
    """All rows."""
    made = make(folder, options.steps, options.pictures, options.seed)
    rng = np.random.default_rng(options.seed + 1)
    states = made["state"] | {"values": made["state values"]}
    images = made["image"] | {"values": made["image values"]}
    windows = [rng.integers(0, options.steps - WINDOW, (BATCH, 1)) + np.arange(WINDOW) for _ in range(20)]
    pictures = [rng.integers(0, options.pictures, PICTURES) for _ in range(20)]
    ordered = [np.arange(first, first + PICTURES) for first in range(0, options.pictures - PICTURES, PICTURES)]
    size = {"B": BATCH, "T": WINDOW, "D": FEATURES, "N": options.steps}
    picture = {"B": PICTURES, "H": SIDE, "W": SIDE, "C": 3, "N": options.pictures}
    return [
        timed("windows", states, "state", windows, options.runs, size),
        timed("pictures", images, "image", pictures, options.runs, picture),
        timed("sequential", images, "image", ordered, options.runs, picture),
        *opening(folder, options.runs),
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", required=True)
    parser.add_argument("--steps", type=int, default=200_000, help="of the numbers")
    parser.add_argument("--pictures", type=int, default=4000)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder), options)
    for row in rows:
        _results.say(_results.brief(row) + (f" {row['per_second']:,.0f}/s" if "per_second" in row else ""))
    _results.write(options.out, "store", rows, failed=[], seed=options.seed)


if __name__ == "__main__":
    main()
