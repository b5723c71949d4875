"""Sets of voxels beside their peers; its rows go into the results of ``bench_voxel``."""

from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from typing import Any

import numpy as np

import robocache as rc

from . import _timing, baselines
from .grids import Cloud, about

MILLION = 1_000_000
SPARSE = (5_000, 100_000, MILLION, 10 * MILLION)
POINTS_PER_VOXEL = {"uniform 10 %": 10.0, "uniform 50 %": 1.6}  # so that about so many points have a voxel each


def voxel_size(label: str, count: int) -> float:
    """Edge of a voxel: a cell that leaves the wanted share of points unique, or a quarter of a metre."""
    if label not in POINTS_PER_VOXEL:
        return 0.25
    return 1.0 / max(1, round((count / POINTS_PER_VOXEL[label]) ** (1 / 3)))


def sparse_cuda(cloud: Cloud, sets: list[Any], size: float) -> dict[str, Any]:
    """The set of voxels with their means: to its end, and with a fixed number of rows as a graph."""
    import cupy

    wait = cupy.cuda.Device().synchronize
    points, how = sets[0], {"voxel_size": size, "bounds": cloud.bounds}
    row = about(cloud, "voxelize", "mean", "cuda")
    found = rc.voxelize(points, voxel_size=size)
    row["judge"], kept = cloud.judge_sparse(size, found, points), len(found.counts)
    row["voxels"], row["voxel_size"], row["unique"] = kept, size, round(kept / cloud.count, 4)
    row["bytes"] = cloud.count * (12 + 8) + kept * (12 + 12 + 4)
    row["goal"] = {MILLION: {"over_torch": 8.0}, 10 * MILLION: {"over_torch": 5.0}}.get(cloud.count, {})
    runs = 9 if cloud.count <= MILLION else 5
    row["wall_us"] = _timing.wall_time(lambda: rc.voxelize(points, voxel_size=size), wait, runs)
    row["wall_bounded_us"] = _timing.wall_time(lambda: rc.voxelize(points, **how), wait, runs)
    limit = kept + kept // 10 + 16  # a user does not know the number, only a bound
    for key, options in (("device_us", {"voxel_size": size}), ("device_bounded_us", how)):
        calls = [lambda p=p, o=options: rc.voxelize(p, max_voxels=limit, **o) for p in sets]
        row[key], results = _timing.device_time(calls, written, least=4 if cloud.count <= MILLION else 2)
        cloud.judge_sparse(size, results[-1], sets[(len(results) - 1) % len(sets)], options is how)
        if cloud.count <= 100_000:
            row[key.replace("device", "call")] = _timing.call_time(calls[0], wait)
        del results
    row["copy_us"] = _timing.copy_time(row["bytes"])
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    row["peers"] = sparse_peers(cloud, sets, size)
    return row


def written(voxels: Any) -> list[Any]:
    """Arrays that a call of voxelize must fill."""
    names = ("coords", "features", "counts", "inverse", "offsets", "dropped", "num_voxels", "found")
    return [array for array in (getattr(voxels, name, None) for name in names) if hasattr(array, "nbytes")]


def sparse_peers(cloud: Cloud, sets: list[Any], size: float) -> dict[str, Any]:
    """Torch and CuPy on the GPU, small_gicp and Open3D on the CPU, spconv's voxelizer."""
    import cupy

    low, edge, side = cloud.sparse_frame(size)
    runs = 9 if cloud.count <= MILLION else 5

    def torch_unique() -> dict[str, Any]:
        import torch

        corner, step = (torch.from_dlpack(cupy.asarray(a)) for a in (low, edge))
        tensors = [torch.from_dlpack(p) for p in sets]
        calls = [lambda t=t: baselines.torch_sparse(t, step, corner, side) for t in tensors]
        wall = _timing.wall_time(calls[0], torch.cuda.synchronize, runs)
        return {"wall_us": wall, "device_us": _timing.event_time(calls, torch_stream=True, runs=runs), "by": "events"}

    def by_cupy() -> dict[str, Any]:
        corner, step = cupy.asarray(low), cupy.asarray(edge)
        calls = [lambda p=p: baselines.cupy_sparse(p, step, corner, side) for p in sets]
        wall = _timing.wall_time(calls[0], cupy.cuda.Device().synchronize, runs)
        return {"wall_us": wall, "device_us": _timing.event_time(calls, runs=5), "by": "events"}

    def by_spconv() -> dict[str, Any]:
        import torch

        call = baselines.spconv_sparse(torch.from_dlpack(sets[0]), edge, cloud.bounds)
        return {"wall_us": _timing.wall_time(call, torch.cuda.synchronize, runs)}

    peers = {"torch": baselines.attempt("torch", torch_unique), "cupy": baselines.attempt("cupy", by_cupy)}
    peers["spconv"] = baselines.attempt("spconv", by_spconv)
    host = cupy.asnumpy(sets[0])
    _timing.free()
    return peers | host_peers(host, size)


def host_peers(host: np.ndarray, size: float) -> dict[str, Any]:
    """What only knows the CPU, each in a process of its own: threads that spin on would cost whoever comes next."""

    def apart(name: str) -> dict[str, Any]:
        with ProcessPoolExecutor(1, get_context("spawn")) as pool:
            return pool.submit(host_peer, name, host, size).result()

    return {name: baselines.attempt(name, partial(apart, name)) for name in ("small_gicp", "open3d")}


def host_peer(name: str, host: np.ndarray, size: float) -> dict[str, Any]:
    """Wall time of one of them on all threads."""
    make = {"small_gicp": baselines.small_gicp_sparse, "open3d": baselines.open3d_sparse}[name]
    runs = 9 if len(host) <= 100_000 else 3
    return {"wall_us": _timing.wall_time(make(host, size), runs=runs), "threads": _timing.host_threads()}
