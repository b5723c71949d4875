"""Dense grids and sets of voxels beside their peers, checked in the same run.

``python3 -m benchmarks.bench_voxel [--backend cpu|cuda] --out result.json``
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import robocache as rc

from . import _results, _timing, baselines, scenes
from .bench_sparse import MILLION, POINTS_PER_VOXEL, SPARSE, host_peers, sparse_cuda, voxel_size
from .grids import Cloud, about

# The predecessor's shipped kernels, device time by graph, measured earlier on the same kind of GPU; points uniform.
PREDECESSOR = {
    ("occupancy", 500_000, 128): (12.6, 1.5),
    ("count", 500_000, 128): (10.4, 1.5),
    ("occupancy", 10_000_000, 256): (383.0, 3.0),
    ("mean", 500_000, 128): (113.0, 2.0),
    ("max", 500_000, 128): (75.9, 2.0),
}
ITEM = {"occupancy": 1, "count": 4, "mean": 4, "max": 4}
SHARE = {"occupancy": 0.6, "count": 0.4}  # goal for clouds in scan order up to 256 cells a side
DENSE = (500_000, 10 * MILLION, 50 * MILLION)
SIDES = (128, 256, 512)
FEATURES = 8
WIDE = 256 << 20  # bytes from which one graph of three calls is long enough


def dense_goal(kind: str, count: int, side: int, distribution: str) -> tuple[dict[str, float], float | None]:
    """Goal and predecessor of a dense row."""
    goal: dict[str, float] = {}
    known = PREDECESSOR.get((kind, count, side)) if distribution == "uniform" else None
    if known:
        goal["over_predecessor"] = known[1]
    if distribution != "uniform" and side <= 256 and count >= 10 * MILLION and kind in SHARE:
        goal["share"] = SHARE[kind]
    return goal, known[0] if known else None


def dense_cuda(
    cloud: Cloud, sets: list[Any], side: int, kind: str, features: list[Any] | None = None
) -> dict[str, Any]:
    """One dense reduction on the GPU."""
    import cupy

    width = FEATURES if features else 0
    row = about(cloud, "voxel_grid", kind, "cuda", G=side, **({"F": width} if width else {}))
    shape = (side, side, side, width) if width else (side, side, side)
    dtype = {"occupancy": bool, "count": np.int32}.get(kind, np.float32)
    row["bytes"] = cloud.count * (12 + 4 * width) + ITEM[kind] * _timing.product(shape)
    goal, predecessor = dense_goal(kind, cloud.count, side, cloud.label)
    row["goal"] = goal
    if predecessor:
        row["predecessor_us"] = predecessor
    how = {"bounds": cloud.bounds, "shape": side, "reduce": kind}
    given = [(p, f) for p, f in zip(sets, features, strict=True)] if features else [(p,) for p in sets]
    outs = [cupy.empty(shape, dtype) for _ in given]
    calls = [lambda g=g, o=o: rc.voxel_grid(*g, out=o, **how) for g, o in zip(given, outs, strict=True)]
    row["device_us"], _ = _timing.device_time(calls, least=3 if row["bytes"] > WIDE else 8)
    row["judge"] = cloud.judge_dense(kind, side, outs[0], given[0])
    if len(outs) > 1:
        cloud.judge_dense(kind, side, outs[-1], given[-1])
    if cloud.count <= 500_000 and side == 128:
        wait = cupy.cuda.Device().synchronize
        row["call_us"] = _timing.call_time(lambda: rc.voxel_grid(*given[0], **how), wait)
        row["call_out_us"] = _timing.call_time(calls[0], wait)
    row["copy_us"] = _timing.copy_time(row["bytes"])
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    row["peers"] = dense_peers(cloud, given, side, kind)
    return row


def dense_peers(cloud: Cloud, given: list[Any], side: int, kind: str) -> dict[str, Any]:
    """Torch as a graph, CuPy by events."""
    import cupy

    low, size = cloud.frame(side)
    least = 1 if cloud.count > MILLION or side == 512 else 8

    def torch_graph() -> dict[str, Any]:
        import torch

        corner, edge = (torch.from_dlpack(cupy.asarray(a)) for a in (low, size))
        tensors = [tuple(torch.from_dlpack(a) for a in g) for g in given]
        calls = [lambda t=t: baselines.torch_dense(kind, t[0], corner, edge, side, *t[1:]) for t in tensors]
        took, _ = _timing.torch_graph_time(calls, least)
        return {"device_us": took, "by": "graph"}

    def by_cupy() -> dict[str, Any]:
        corner, edge = cupy.asarray(low), cupy.asarray(size)
        calls = [lambda g=g: baselines.cupy_dense(kind, g[0], corner, edge, side) for g in given]
        return {"device_us": _timing.event_time(calls, runs=5), "by": "events"}

    peers = {"torch": baselines.attempt("torch", torch_graph)}
    _timing.free()
    plain = kind in ("occupancy", "count")
    peers["cupy"] = baselines.attempt("cupy", by_cupy) if plain else baselines.absent("has no such scatter")
    _timing.free()
    return peers


def both_cuda(cloud: Cloud, sets: list[Any], side: int) -> dict[str, Any]:
    """Occupancy and count in one call, to be set against the two calls."""
    import cupy

    row = about(cloud, "voxel_grid", "occupancy+count", "cuda", G=side)
    row["bytes"] = cloud.count * 12 + 5 * side**3
    how = {"bounds": cloud.bounds, "shape": side, "reduce": ("occupancy", "count")}
    outs = [(cupy.empty((side,) * 3, bool), cupy.empty((side,) * 3, np.int32)) for _ in sets]
    calls = [lambda p=p, o=o: rc.voxel_grid(p, out=o, **how) for p, o in zip(sets, outs, strict=True)]
    row["device_us"], _ = _timing.device_time(calls, list, least=3 if row["bytes"] > WIDE else 8)
    for kind, out in zip(("occupancy", "count"), outs[-1], strict=True):
        row["judge"] = cloud.judge_dense(kind, side, out, (sets[-1],))
    row["copy_us"] = _timing.copy_time(row["bytes"])
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    return row


def cpu_row(cloud: Cloud, points: np.ndarray, op: str, kind: str, side: int, size: float) -> dict[str, Any]:
    """One row on the CPU, memcpy in turn with it, then the peers."""
    row = about(cloud, op, kind, "cpu", **({"G": side} if op == "voxel_grid" else {}))
    if op == "voxel_grid":
        out = np.empty((side,) * 3, bool if kind == "occupancy" else np.int32)
        how = {"bounds": cloud.bounds, "shape": side, "reduce": kind}
        call = lambda: rc.voxel_grid(points, out=out, **how)  # noqa: E731
        _timing.poison(out)
        call()
        row["judge"] = cloud.judge_dense(kind, side, out, (points,))
        low, edge = cloud.frame(side)
        peer = lambda t: baselines.torch_dense(kind, t[0], t[1], t[2], side)  # noqa: E731
        row["bytes"] = points.nbytes + out.nbytes
    else:
        call = lambda: rc.voxelize(points, voxel_size=size)  # noqa: E731
        found = call()
        row["judge"], row["voxels"], row["voxel_size"] = (
            cloud.judge_sparse(size, found, points),
            len(found.counts),
            size,
        )
        low, edge, wide = cloud.sparse_frame(size)
        peer = lambda t: baselines.torch_sparse(t[0], t[2], t[1], wide)  # noqa: E731
        row["bytes"] = points.nbytes + 8 * len(points) + 28 * len(found.counts)
    copy = _timing.HostCopy(row["bytes"])
    functions = {"mine": call, "alone": copy.alone, "together": copy.together}
    took = _timing.wall_times(functions, runs=5)
    row["wall_us"], row["copy_us"] = took["mine"], min(took["alone"], took["together"], key=lambda t: t["median"])
    row["share"] = _timing.ratio(row["copy_us"], row["wall_us"])

    def by_torch() -> dict[str, Any]:
        import torch

        given = [torch.from_numpy(np.ascontiguousarray(a)) for a in (points, low, edge)]
        return {"wall_us": _timing.wall_time(lambda: peer(given), runs=5)}

    row["peers"] = {"torch": baselines.attempt("torch", by_torch)}
    if op == "voxelize":
        row["peers"] |= host_peers(points, size)
    return row


def cuda_rows(quick: bool, seed: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """Everything on the GPU, one cloud at a time."""
    import cupy

    for distribution in ("uniform", "lidar", "depth"):
        for count in DENSE[: 1 if quick else None]:
            cloud = Cloud(distribution, count, seed + count)
            sets = cloud.sets(cupy, _timing.rotation(cloud.nbytes, most=24))
            for side in SIDES[: 1 if quick else None]:
                some = sets[: max(3, (4 << 30) // (4 * side**3))]
                for kind in ("occupancy", "count"):
                    yield partial(dense_cuda, cloud, some, side, kind)
            if count == 10 * MILLION:
                yield partial(both_cuda, cloud, sets, 128)
            if count == 500_000 and distribution == "uniform":
                features = [scenes.noise(cupy, (count, FEATURES), seed + 7 + i) for i in range(min(6, len(sets)))]
                for kind in ("mean", "max"):
                    yield partial(dense_cuda, cloud, sets[: len(features)], 128, kind, features)
            del sets
            _timing.free()
    for label in (*POINTS_PER_VOXEL, "lidar"):
        for count in SPARSE[: 1 if quick else None]:
            cloud = Cloud(label.split()[0], count, seed + 3 * count, label)
            sets = cloud.sets(cupy, _timing.rotation(cloud.nbytes, most=16))
            yield partial(sparse_cuda, cloud, sets, voxel_size(label, count))
            del sets
            _timing.free()


def cpu_rows(quick: bool, seed: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """What fits a CPU run of a minute."""
    for label in ("uniform 50 %", "lidar"):
        for count in (5_000, 100_000, MILLION)[: 1 if quick else None]:
            cloud = Cloud(label.split()[0], count, seed + count, label)
            points, size = cloud.points(np, 0), voxel_size(label, count)
            for op, kind in (("voxel_grid", "occupancy"), ("voxel_grid", "count"), ("voxelize", "mean")):
                yield partial(cpu_row, cloud, points, op, kind, 128, size)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="a few small rows")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    todo = (cuda_rows if options.backend == "cuda" else cpu_rows)(options.quick, options.seed)
    _results.finish(options.out, "voxel", todo, seed=options.seed)


if __name__ == "__main__":
    main()
