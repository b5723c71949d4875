"""Time against each size alone, over four decades: is there a cliff?

``python3 -m benchmarks.bench_scaling [--backend cpu|cuda] --out result.json``
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

import robocache as rc

from . import _results, _timing
from .alignment import Case, Problem, row_of
from .bench_fusion import Fusion
from .bench_sparse import written
from .grids import Cloud, about

DECADES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)
LONG = (10, 30, 100, 300, 1000, 2000, 2048, 2100, 2500, 3000, 4096, 8192, 8200, 10_000, 30_000, 100_000)
STEPS = (10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
BASE = Case(16, 1000, 1000, 16, distribution="clock", peers=())
RESAMPLE = {  # what is swept: the rest, and its values
    "S": (BASE, "samples", LONG),
    "T": (BASE, "targets", STEPS),
    "D": (replace(BASE, batch=4), "features", DECADES),
    "B": (replace(BASE, samples=200, targets=200), "batch", DECADES),
}
STREAMS = (1, 2, 4, 8, 16, 17, 32, 64, 128, 256, 512, 1000)
POINTS = (1000, 3000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000)
SIDES = (4, 8, 16, 32, 64, 128, 256, 512)
CPU_MOST = {"S": 10_000, "T": 10_000, "D": 1000, "B": 1000, "K": 64, "N": 1_000_000, "G": 256}


def timed(row: dict[str, Any], calls: list[Any], outputs: Any) -> list[Any]:
    """Put the time of the calls into the row; what the calls returned."""
    if row["backend"] == "cuda":
        row["device_us"], results = _timing.device_time(calls, outputs, least=4)
        row["copy_us"] = _timing.copy_time(row["bytes"])
        row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
        return results
    result = calls[0]()
    for array in outputs(result):
        _timing.poison(array)
    row["wall_us"] = _timing.wall_time(calls[0], runs=5)
    return [calls[0]()]


def module(backend: str) -> Any:
    """NumPy or CuPy."""
    if backend == "cpu":
        return np
    import cupy

    return cupy


def count(backend: str, nbytes: int) -> int:
    """Input sets: several on the GPU, one on the CPU."""
    return _timing.rotation(nbytes, most=24) if backend == "cuda" else 1


def resample(backend: str, sweep: str, x: int, case: Case) -> dict[str, Any]:
    """One point of a sweep of resampling."""
    xp, problem = module(backend), Problem(case)
    row = {**row_of(case, problem, backend), "sweep": f"resample {sweep}", "x": x}
    sets = [(problem.values(xp, i), *problem.times_as(xp, i)) for i in range(count(backend, case.whole))]
    outs = [xp.empty((case.batch, case.targets, case.features), problem.kind) for _ in sets]
    timed(
        row,
        [lambda s=s, o=o: rc.resample_trajectories(*s, out=o) for s, o in zip(sets, outs, strict=True)],
        lambda result: [result],
    )
    row["error"] = problem.judge(xp, sets[0][0], outs[0])
    return row


def fuse(backend: str, streams: int) -> dict[str, Any]:
    """One point of the sweep over the number of streams."""
    xp, fusion = module(backend), Fusion(8, 100, ((100, 8),) * streams, "float32", 77)
    row: dict[str, Any] = {
        "op": "fuse",
        "backend": backend,
        "shapes": {"B": 8, "K": streams, "S": 100, "T": 100, "D": 8},
        "dtypes": {"values": "float32", "times": "int64"},
        "distribution": "clock",
        "seed": 77,
        "bytes": fusion.needed,
        "sweep": "fuse K",
        "x": streams,
    }
    sets = [fusion.inputs(xp, i) for i in range(2 if backend == "cuda" else 1)]
    results = timed(
        row,
        [lambda s=s: rc.fuse_multimodal(*s) for s in sets],
        lambda fused: [fused.values, fused.valid, fused.age],
    )
    row["error"] = fusion.judge(xp, sets[0][0], results[0])
    return row


def grid(backend: str, sweep: str, x: int, points: int, side: int) -> dict[str, Any]:
    """One point of a sweep of dense counting."""
    xp, cloud = module(backend), Cloud("lidar", points, 5)
    row = about(cloud, "voxel_grid", "count", backend, G=side)
    row |= {"bytes": 12 * points + 4 * side**3, "sweep": f"voxel_grid {sweep}", "x": x}
    sets = cloud.sets(xp, min(count(backend, cloud.nbytes), max(2, (2 << 30) // (4 * side**3))))
    outs = [xp.empty((side,) * 3, np.int32) for _ in sets]
    how = {"bounds": cloud.bounds, "shape": side, "reduce": "count"}
    calls = [lambda p=p, o=o: rc.voxel_grid(p, out=o, **how) for p, o in zip(sets, outs, strict=True)]
    timed(row, calls, lambda result: [result])
    row["judge"] = cloud.judge_dense("count", side, outs[0], (sets[0],))
    return row


def voxels(backend: str, points: int) -> dict[str, Any]:
    """One point of the sweep of sparse means."""
    xp, cloud = module(backend), Cloud("lidar", points, 6)
    row = about(cloud, "voxelize", "mean", backend)
    sets = cloud.sets(xp, min(4, count(backend, cloud.nbytes)))
    kept = max(len(rc.voxelize(p, voxel_size=0.25).counts) for p in sets)
    row |= {"bytes": 20 * points + 28 * kept, "sweep": "voxelize N", "x": points, "voxels": kept}
    calls = [lambda p=p: rc.voxelize(p, voxel_size=0.25, max_voxels=kept) for p in sets]
    results = timed(row, calls, written)
    row["judge"] = cloud.judge_sparse(0.25, results[0], sets[0])
    return row


def todo(backend: str, quick: bool) -> Iterator[Callable[[], dict[str, Any]]]:
    """Every point of every sweep."""

    def fits(sweep: str, values: tuple[int, ...]) -> list[int]:
        values = values[:3] if quick else values
        return [v for v in values if backend == "cuda" or v <= CPU_MOST[sweep]]

    for sweep, (base, field, values) in RESAMPLE.items():
        for x in fits(sweep, values):
            yield partial(resample, backend, sweep, x, replace(base, **{field: x}, seed=x))
    for x in fits("K", STREAMS):
        yield partial(fuse, backend, x)
    for x in fits("N", POINTS):
        yield partial(grid, backend, "N", x, x, 128)
    for x in fits("G", SIDES):
        yield partial(grid, backend, "G", x, 1_000_000, x)
    for x in fits("N", POINTS):
        yield partial(voxels, backend, x)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="three points a sweep")
    options = parser.parse_args()
    _results.require_commit()
    _results.finish(options.out, "scaling", todo(options.backend, options.quick))


if __name__ == "__main__":
    main()
