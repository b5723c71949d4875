"""Voxels on the GPU: device and call time beside torch's unique and scatter, checked in the same run.

``python3 -m benchmarks.bench_voxel --out result.json``
"""

import argparse
from typing import Any

import numpy as np

import robocache as rc

from . import _timing

SIZES = (5_000, 500_000, 1_000_000, 10_000_000)
SIDE = 128


def cloud(count: int, seed: int) -> np.ndarray:
    """Uniform points in the unit cube."""
    return np.random.default_rng(seed).random((count, 3), np.float32)


def torch_mean(points: Any, size: float) -> Any:
    """Sparse mean by unique and index_add."""
    import torch

    cells = torch.floor(points / size).long()
    keys = (cells[:, 0] * 1024 + cells[:, 1]) * 1024 + cells[:, 2]
    unique, inverse, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    sums = torch.zeros((len(unique), 3), device=points.device).index_add_(0, inverse, points)
    return unique, sums / counts[:, None]


def check(points: np.ndarray, voxels: Any) -> float:
    """Coordinates and counts exact, means against float64; the largest error."""
    cells = np.floor(points / np.float32(1 / SIDE)).astype(np.int64)
    unique, inverse, counts = np.unique(cells, axis=0, return_inverse=True, return_counts=True)
    inverse = inverse.reshape(-1)
    means = np.stack([np.bincount(inverse, points[:, a].astype(np.float64)) for a in range(3)], 1) / counts[:, None]
    if not (np.array_equal(voxels.coords.get(), unique) and np.array_equal(voxels.counts.get(), counts)):
        raise SystemExit("wrong voxels")
    error = float(np.abs(voxels.features.get() - means).max())
    if not error <= 1e-7:
        raise SystemExit(f"wrong means: {error}")
    return error


def run_grid(kind: str, host: np.ndarray, sets: list[Any]) -> dict[str, Any]:
    """One dense reduction."""
    import cupy

    count, wait = len(host), cupy.cuda.Device().synchronize
    options = {"bounds": (0, 0, 0, 1, 1, 1), "shape": SIDE, "reduce": kind}
    outs = [rc.voxel_grid(points, **options) for points in sets]
    calls = [lambda p=p, o=o: rc.voxel_grid(p, out=o, **options) for p, o in zip(sets, outs, strict=True)]
    row: dict[str, Any] = {"op": "voxel_grid", "reduce": kind, "points": count, "shape": [SIDE] * 3}
    row["device_us"] = _timing.cupy_graph_time(calls)
    cells = np.ravel_multi_index(np.floor(host / np.float32(1 / SIDE)).astype(np.int64).T, (SIDE,) * 3)
    expected = np.bincount(cells, minlength=SIDE**3)
    got = outs[0].get()
    if kind == "mean":
        sums = np.stack([np.bincount(cells, host[:, a].astype(np.float64), SIDE**3) for a in range(3)], 1)
        row["error"] = float(np.abs(got.reshape(-1, 3) - sums / np.maximum(expected, 1)[:, None]).max())
        good = row["error"] <= 1e-7
    else:
        good = np.array_equal(got.ravel(), expected > 0 if kind == "occupancy" else expected)
    if not good:
        raise SystemExit(f"wrong {kind}")
    if count <= 500_000:
        row["call_us"] = _timing.call_time(lambda: rc.voxel_grid(sets[0], **options), wait)
        row["call_out_us"] = _timing.call_time(calls[0], wait)
    return row


def run_set(host: np.ndarray, points: Any) -> dict[str, Any]:
    """The set of voxels with their means, to its end: the number of voxels must reach the host."""
    import cupy
    import torch

    wait, size, bounds = cupy.cuda.Device().synchronize, 1 / SIDE, (0, 0, 0, 1, 1, 1)
    row: dict[str, Any] = {"op": "voxelize", "reduce": "mean", "points": len(host)}
    voxels = rc.voxelize(points, voxel_size=size)
    row["error"], row["voxels"] = check(host, voxels), len(voxels.counts)
    row["wall_us"] = _timing.wall_time(lambda: (rc.voxelize(points, voxel_size=size), wait()))
    row["bounded_wall_us"] = _timing.wall_time(lambda: (rc.voxelize(points, voxel_size=size, bounds=bounds), wait()))
    tensor = torch.from_dlpack(points)
    row["torch_wall_us"] = _timing.wall_time(lambda: (torch_mean(tensor, size), torch.cuda.synchronize()))
    row["over_torch"] = row["torch_wall_us"]["median"] / row["wall_us"]["median"]
    limit = len(voxels.counts)
    calls = [lambda: rc.voxelize(points, voxel_size=size, bounds=bounds, max_voxels=limit)] * 4
    row["static_device_us"] = _timing.cupy_graph_time(calls)
    if len(host) <= 500_000:
        row["static_call_us"] = _timing.call_time(calls[0], wait)
    return row


def run(count: int) -> list[dict[str, Any]]:
    """All timings at one size."""
    import cupy

    host = cloud(count, count)
    sets = [cupy.asarray(host) for _ in range(_timing.rotation(host.nbytes) if count <= 1_000_000 else 3)]
    rows = [run_grid(kind, host, sets) for kind in ("occupancy", "count", "mean")]
    return [*rows, run_set(host, sets[0])]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", required=True)
    rows = []
    options = parser.parse_args()
    for count in SIZES:
        for row in run(count):
            rows.append(row)
            print({k: round(v["median"], 2) if isinstance(v, dict) else v for k, v in row.items()}, flush=True)
    _timing.write(options.out, rows)


if __name__ == "__main__":
    main()
