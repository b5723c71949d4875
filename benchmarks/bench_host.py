"""Host time of small GPU calls of every operation, CuPy input, each call repeated as a loop would.

``python3 -m benchmarks.bench_host [--passes 5] --out result.json``. Host times differ from process to process, so each
pass is a new one: ``call_us`` is over the medians of the passes, which ``passes`` lists.
"""

import argparse
import json
import subprocess
import sys
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


def one_pass() -> dict[str, float]:
    """Median host time of every call, in this process."""
    import cupy

    wait = cupy.cuda.Device().synchronize
    calls = alignment() | voxels()
    return {name: _timing.call_time(call, wait)["median"] for name, call in calls.items()}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out")
    parser.add_argument("--passes", type=int, default=5)
    options = parser.parse_args()
    if options.out is None:
        print(json.dumps(one_pass()))
        return
    passes = []
    for _ in range(options.passes):
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.bench_host"], capture_output=True, text=True, check=True
        )
        passes.append(json.loads(done.stdout.splitlines()[-1]))
    rows = [
        {"call": name, "passes": (each := [p[name] for p in passes]), "call_us": _timing.spread(each)}
        for name in passes[0]
    ]
    for row in rows:
        print(row["call"], *(round(us, 1) for us in row["passes"]))
    Path(options.out).write_text(json.dumps({"machine": _timing.machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
