"""Downsampling and voxels of detectors beside small_gicp and spconv, checked in the same run.

``python3 -m benchmarks.bench_clouds_voxels [--backend cpu|cuda] [--quick] --out result.json``
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import robocache as rc

from . import _results, _timing, baselines, primitives, scenes

MILLION = 1_000_000
HALF = 184  # cells a side of which ten million points fill as many as make half of their number
PILLARS, CUBES = (0.25, 0.25, 16.0), (0.125, 0.125, 0.125)


@dataclass(frozen=True)
class Case:
    """An operation on a cloud, with its voxels and goals."""

    op: str
    cloud: str
    count: int
    size: Any
    method: str = ""
    places: int = 0
    rows: int = 0
    goal: tuple[tuple[str, float], ...] = ()

    def row(self, backend: str, seed: int, nbytes: int) -> dict[str, Any]:
        """What a result says of the case."""
        shapes = {"N": self.count} | ({"P": self.places, "M": self.rows} if self.places else {})
        return {
            "op": self.op, "method": self.method, "backend": backend, "shapes": shapes, "voxel_size": self.size,
            "dtypes": {"points": "float32"}, "distribution": self.cloud, "seed": seed, "bytes": nbytes,
            "goal": dict(self.goal),
        }  # fmt: skip


def cases(backend: str, quick: bool) -> list[Case]:
    """Clouds of 10 % and of 50 % voxels, a sweep and a depth camera; pillars and voxels of detectors."""
    cpu = backend == "cpu"
    mean: Any = (("over_small_gicp", 2.5),) if cpu else (("over_cupy", 5.0),)
    hard: Any = (("over_spconv", 1.2),) if cpu else (("over_torch", 5.0),)
    fast_mean, fast_hard, fast_large = ((), (), ()) if cpu else ((("device_us", us),) for us in (60.0, 70.0, 500.0))
    few = [
        Case("voxel_downsample", "lidar", 100_000, 0.25, "mean", goal=mean),
        Case("hard_voxelize", "lidar", 120_000, PILLARS, "first", 32, 40_000, hard),
        Case("hard_voxelize", "lidar", 120_000, CUBES, "first", 5, 60_000, hard),
        Case("hard_voxelize", "lidar", 120_000, CUBES, "random", 5, 60_000),
        Case("point_to_voxel", "lidar", 120_000, CUBES),
    ]
    if quick:
        return few
    edges = {"uniform": (1 / 46, 1 / 85), "lidar": (0.25,), "depth": (0.05,)}
    many = [
        Case("voxel_downsample", cloud, MILLION, edge, "mean", goal=mean + fast_mean)
        for cloud, all_ in edges.items()
        for edge in all_
    ]
    many += [Case("voxel_downsample", "lidar", MILLION, 0.25, how) for how in ("first", "random", "nearest", "center")]
    many += [
        Case("hard_voxelize", "lidar", 250_000, CUBES, "first", 5, 120_000, hard + fast_hard),
        Case("hard_voxelize", "lidar", MILLION, CUBES, "first", 5, 150_000, hard),
        Case("voxel_downsample", "uniform", 10 * MILLION, 1 / HALF, "mean", goal=mean + fast_large),
    ]
    return few + many


class Problem:
    """The input of a case, in several sets, and the judge."""

    def __init__(self, case: Case, seed: int, xp: Any) -> None:
        self.case, self.bounds = case, scenes.BOUNDS[case.cloud]
        sets = 1 if xp is np else _timing.rotation(12 * case.count)
        self.sets = [scenes.cloud(xp, case.cloud, case.count, seed + k) for k in range(sets)]

    def call(self, points: Any, static: bool) -> Any:
        """One call; on the GPU with a fixed number of rows, where there is such a form."""
        case = self.case
        if case.op == "point_to_voxel":
            return rc.point_to_voxel(points, case.size, self.bounds)
        if case.op == "voxel_downsample":
            limit = case.count * 3 // 5 if static else None
            return rc.voxel_downsample(points, case.size, reduce=case.method, max_voxels=limit)
        return rc.hard_voxelize(
            points, case.size, self.bounds, case.places, case.rows, select=case.method, static=static
        )

    def arrays(self, result: Any) -> list[Any]:
        """What a call must write."""
        if self.case.op == "point_to_voxel":
            return [result]
        names = ("points", "offsets", "dropped", "num_voxels")
        if self.case.op == "hard_voxelize":
            names = ("voxels", "coords", "num_points", "offsets", "dropped", "cut_points", "cut_voxels", "num_voxels")
        return [getattr(result, name) for name in names]

    def judge(self, number: int, result: Any, static: bool) -> str:
        """Raise unless these are the cells, means and first points that NumPy finds, on the GPU what the CPU gives."""
        points = self.sets[number % len(self.sets)]
        host = points.get() if hasattr(points, "get") else points
        if host is not points:
            want = self.arrays(self.call(host, static))
            same = all(np.array_equal(a.get(), b) for a, b in zip(self.arrays(result), want, strict=True))
            self.require(same, "the CPU's bits")
            return "the CPU, bit for bit"
        low = np.zeros(3) if self.case.op == "voxel_downsample" else np.array(self.bounds[:3])
        cells = np.floor((host - low.astype(np.float32)) / np.float32(self.case.size)).astype(np.int64)
        if self.case.op == "point_to_voxel":
            self.require(np.array_equal(result, cells), "cells")
            return "numpy"
        keys = ((cells - cells.min(0)) @ np.array([1 << 40, 1 << 20, 1])).astype(np.int64)
        _, first, inverse, counts = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
        if self.case.op == "voxel_downsample":
            self.require(len(result.points) == len(counts), "number of voxels")
            if self.case.method == "mean":
                sums = np.stack([np.bincount(inverse, host[:, axis]) for axis in range(3)], 1)
                self.require(np.allclose(result.points, sums / counts[:, None], rtol=0, atol=1e-4), "means")
            return "numpy"
        order = np.argsort(first)[: self.case.rows]
        self.require(np.array_equal(result.coords, cells[first[order]][:, ::-1]), "coords")
        self.require(np.array_equal(result.num_points, np.minimum(counts[order], self.case.places)), "num_points")
        if self.case.method == "first":
            self.require(np.array_equal(result.voxels[:, 0], host[first[order]]), "first points")
        return "numpy"

    def require(self, true: bool, what: str) -> None:
        if not true:
            raise _results.WrongResult(f"{self.case}: {what}")


def run_cuda(case: Case, seed: int) -> dict[str, Any]:
    """One row on the GPU: as a graph with a fixed number of rows, and to its end with as many as there are."""
    import cupy

    problem = Problem(case, seed, cupy)
    row = case.row("cuda", seed, 12 * case.count)
    calls = [partial(problem.call, points, True) for points in problem.sets]
    row["device_us"], results = _timing.device_time(calls, problem.arrays, least=4)
    row["judge"] = problem.judge(0, results[0], True)
    del results
    wait = cupy.cuda.Device().synchronize
    row["wall_us"] = _timing.wall_time(partial(problem.call, problem.sets[0], False), wait)
    row["copy_us"] = _timing.copy_time(row["bytes"])
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    row["peers"] = {}
    if case.op == "voxel_downsample" and case.method == "mean":
        low, side = cupy.asarray(np.float32(problem.bounds[:3])), 1 << 20
        step = cupy.float32(case.size)
        by_cupy = [lambda p=p: baselines.cupy_sparse(p, step, low, side) for p in problem.sets]
        row["peers"]["cupy"] = {"device_us": _timing.event_time(by_cupy, runs=5), "by": "events"}
    if case.op == "hard_voxelize" and case.method == "first":
        row["peers"]["torch"] = by_torch(problem)
    return row


def by_torch(problem: Problem) -> dict[str, Any]:
    """Voxels of detectors from torch's primitives."""
    case, bounds = problem.case, np.float32(problem.bounds)
    size = np.float32(case.size)
    given = primitives.tensors(problem.sets[0], size, bounds[:3], np.rint((bounds[3:] - bounds[:3]) / size).astype(int))
    want = problem.call(problem.sets[0], True)

    def judge(found: Any) -> bool:
        voxels, coords, counts = (a.cpu().numpy() for a in found)
        kept = len(counts)
        same = np.array_equal(voxels, want.voxels.get()) and np.array_equal(counts, want.num_points.get()[:kept])
        return bool(same and np.array_equal(coords[:kept], want.coords.get()[:kept]))

    return primitives.beside(lambda: primitives.torch_hard(*given, case.places, case.rows), judge)


def run_cpu(case: Case, seed: int) -> dict[str, Any]:
    """One row on the CPU, in turn with its peers, of which each has one thread."""
    problem = Problem(case, seed, np)
    points = problem.sets[0]
    row = case.row("cpu", seed, 12 * case.count)
    row["judge"] = problem.judge(0, problem.call(points, False), False)
    functions: dict[str, Callable[[], Any]] = {"": partial(problem.call, points, False)}
    if case.op == "voxel_downsample" and case.method == "mean":
        functions["small_gicp"] = baselines.small_gicp_alone(points, case.size)
    if case.op == "hard_voxelize" and case.method == "first":
        functions["spconv"] = baselines.spconv_cpu(points, case.size, problem.bounds, case.places, case.rows)
    took = _timing.wall_times(functions, runs=15)
    row["wall_us"], row["threads"] = took.pop(""), _timing.host_threads()
    row["peers"] = {name: {"wall_us": time, "threads": 1} for name, time in took.items()}
    for name, time in took.items():
        row[f"over_{name}"] = _timing.ratio(time, row["wall_us"])
    return row


def tidy(run: Any, case: Case, seed: int) -> dict[str, Any]:
    """One row, and memory given back."""
    try:
        return run(case, seed)
    finally:
        _timing.free()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="small clouds only")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    run = run_cuda if options.backend == "cuda" else run_cpu
    todo = [partial(tidy, run, case, options.seed) for case in cases(options.backend, options.quick)]
    _results.finish(options.out, "clouds_voxels", todo, seed=options.seed)


if __name__ == "__main__":
    main()
