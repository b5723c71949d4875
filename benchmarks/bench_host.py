"""Host time of small GPU calls of every operation, CuPy input, each call repeated as a loop would.

``python3 -m benchmarks.bench_host --out result.json``
"""

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import robocache as rc

from . import _timing

UNIT = (0, 0, 0, 1, 1, 1)


def alignment() -> dict[str, Callable[[], Any]]:
    """Resampling, a plan, and three streams: the same Stream objects again, and new ones every call."""
    import cupy

    rng = np.random.default_rng(0)
    values, out = cupy.asarray(rng.random((2, 30, 16), dtype=np.float32)), cupy.empty((2, 10, 16), np.float32)
    times, targets = (cupy.asarray(np.sort(rng.random((2, n)), 1)) for n in (30, 10))
    plan = rc.Plan(times, targets)
    raw = {}
    for k, name in enumerate(("a", "b", "c")):
        stamps = np.sort(rng.integers(0, 10**9, (2, 30 + k)), 1)
        raw[name] = cupy.asarray(rng.random((2, 30 + k, 8 + k), dtype=np.float32)), cupy.asarray(stamps)
    streams = {name: rc.Stream(*arrays) for name, arrays in raw.items()}
    grid = cupy.asarray(np.sort(rng.integers(0, 10**9, (2, 50)), 1))
    return {
        "resample_trajectories": lambda: rc.resample_trajectories(values, times, targets),
        "resample_trajectories, out=": lambda: rc.resample_trajectories(values, times, targets, out=out),
        "Plan": lambda: plan(values),
        "Plan, out=": lambda: plan(values, out=out),
        "fuse_multimodal, 3 streams kept": lambda: rc.fuse_multimodal(streams, grid),
        "fuse_multimodal, 3 streams made anew": lambda: rc.fuse_multimodal(
            {name: rc.Stream(*arrays) for name, arrays in raw.items()}, grid
        ),
    }


def voxels() -> dict[str, Callable[[], Any]]:
    """5000 points into a grid of 64 cells a side, or into a set."""
    import cupy

    rng = np.random.default_rng(1)
    points = cupy.asarray(rng.random((5000, 3), dtype=np.float32))
    features = cupy.asarray(rng.random((5000, 8), dtype=np.float32))
    grid = {"bounds": UNIT, "shape": 64}
    return {
        "voxel_grid occupancy": lambda: rc.voxel_grid(points, **grid),
        "voxel_grid count": lambda: rc.voxel_grid(points, **grid, reduce="count"),
        "voxel_grid mean": lambda: rc.voxel_grid(points, **grid, reduce="mean"),
        "voxel_grid mean, 8 features": lambda: rc.voxel_grid(points, features, **grid, reduce="mean"),
        "voxel_grid max, 8 features": lambda: rc.voxel_grid(points, features, **grid, reduce="max"),
        "voxelize, max_voxels=": lambda: rc.voxelize(points, max_voxels=5000),
        "voxelize, bounds=, max_voxels=": lambda: rc.voxelize(points, bounds=UNIT, max_voxels=5000),
        "voxelize, 8 features, max_voxels=": lambda: rc.voxelize(points, features, max_voxels=5000),
    }


def main() -> None:
    """Command line."""
    import cupy

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    options, wait = parser.parse_args(), cupy.cuda.Device().synchronize
    rows = [{"call": name, "call_us": _timing.call_time(call, wait)} for name, call in (alignment() | voxels()).items()]
    for row in rows:
        print(row["call"], round(row["call_us"]["median"], 1))
    Path(options.out).write_text(json.dumps({"machine": _timing.machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
