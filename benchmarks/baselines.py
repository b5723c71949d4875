"""What RoboCache is measured against: the best short program a user would write with each peer.

A peer that is not installed, fails, or is not tried on a row says so in that row.
"""

import importlib
import importlib.util
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _results, _timing

Peer = dict[str, Any]
COMPILE_SECONDS = 50.0  # torch.compile may take this long in a run; rows after it say so
_compiling = {"seconds": 0.0}


def absent(why: str) -> Peer:
    """A peer without figures."""
    return {"absent": why}


def attempt(package: str, measure: Callable[[], Peer]) -> Peer:
    """Figures of a peer, or why there are none."""
    if importlib.util.find_spec(package) is None:
        return absent("not installed")
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - whatever a peer throws is its answer
        _timing.free()
        return absent(f"failed: {_results.reason(error)}")


# ---- trajectories: values [B, S, D], times [B, S], targets [B, T] -------------------------------------------------


def torch_resample(values: Any, times: Any, targets: Any, method: str = "linear") -> Any:
    """Batched searchsorted, gather and lerp in torch, on whatever device the tensors are."""
    import torch

    last = times.shape[1] - 1
    shape = (-1, -1, values.shape[2])

    def take(index: Any) -> Any:
        return values.gather(1, index[..., None].expand(shape))

    right = torch.searchsorted(times, targets, right=True).clamp_(1, max(last, 1))
    left = right - 1
    if method == "previous":
        return take(torch.where(targets >= times.gather(1, right), right, left))
    start, stop = times.gather(1, left), times.gather(1, right)
    if method == "nearest":
        return take(torch.where(targets - start <= stop - targets, left, right))
    weight = ((targets - start) / (stop - start)).clamp_(0, 1).to(values.dtype)[..., None]
    return torch.lerp(take(left), take(right), weight)


def torch_fuse(streams: Any, clock: Any) -> Any:
    """Each stream on its own, then one concatenation."""
    import torch

    goals = clock.expand(streams[0][1].shape[0], -1).contiguous()
    return torch.cat([torch_resample(values, times, goals) for values, times in streams], dim=2)


def torch_compiled(sets: list[Any], run: Callable[..., Any] = torch_resample) -> Peer:
    """``torch.compile`` with static shapes, timed as a graph; stops trying once its budget is spent."""
    import torch

    if _compiling["seconds"] > COMPILE_SECONDS:
        return absent(f"not tried: torch.compile had taken {COMPILE_SECONDS:.0f} s in this run")
    start = time.perf_counter()
    try:
        torch._dynamo.reset()
        compiled = torch.compile(run, dynamic=False)
        compiled(*sets[0])
        torch.cuda.synchronize()
    finally:
        _compiling["seconds"] += time.perf_counter() - start
    took, _ = _timing.torch_graph_time([lambda s=s: compiled(*s) for s in sets])
    return {"device_us": took, "by": "graph", "compile_s": round(time.perf_counter() - start, 1)}


def jax_linear() -> Any:
    """Jitted vmap of searchsorted, take and lerp."""
    import jax

    jax.config.update("jax_enable_x64", True)
    jnp = jax.numpy

    def one(values: Any, times: Any, targets: Any) -> Any:
        right = jnp.clip(jnp.searchsorted(times, targets, side="right", method="scan_unrolled"), 1, len(times) - 1)
        start, stop = times[right - 1], times[right]
        weight = ((targets - start) / (stop - start)).astype(values.dtype)[:, None]
        a, b = values[right - 1], values[right]
        return a + weight * (b - a)

    return jax.jit(jax.vmap(one))


def to_jax(array: Any) -> Any:
    """JAX array on the same memory; bfloat16 by its bits."""
    import jax

    jax.config.update("jax_enable_x64", True)
    if isinstance(array, np.ndarray):
        return jax.numpy.asarray(array)
    if array.dtype.name == "bfloat16":
        return jax.lax.bitcast_convert_type(jax.dlpack.from_dlpack(array.view(np.uint16)), jax.numpy.bfloat16)
    return jax.dlpack.from_dlpack(array)


def jax_time(sets: list[Any], function: Callable[..., Any], least_us: float) -> Peer:
    """Host clock over many calls in a row that end together: device time once calls are longer than their dispatch."""
    import jax

    given = [tuple(to_jax(array) for array in s) for s in sets]
    jax.block_until_ready(function(*given[0]))
    calls = max(8, min(200, int(2000 / max(least_us, 1))))
    samples = []
    for _ in range(5):
        start = time.perf_counter()
        jax.block_until_ready([function(*given[k % len(given)]) for k in range(calls)][-1])
        samples.append((time.perf_counter() - start) / calls * 1e6)
    return {"device_us": _timing.spread(samples), "by": "host clock over calls in a row"}


def cupy_linear(values: Any, times: Any, targets: Any) -> Any:
    """One flat search over all rows, each moved behind the one before; then take and lerp. Also for NumPy."""
    import cupy

    xp = cupy.get_array_module(values)
    batch, count = times.shape
    span = xp.arange(batch, dtype=times.dtype)[:, None] * (1 << 42)  # over an hour of nanoseconds
    right = xp.searchsorted((times + span).ravel(), (targets + span).ravel(), side="right").reshape(targets.shape)
    right = xp.clip(right - xp.arange(batch)[:, None] * count, 1, count - 1)
    rows = xp.arange(batch)[:, None]
    start, stop = times[rows, right - 1], times[rows, right]
    weight = ((targets - start) / (stop - start)).astype(values.dtype)[..., None]
    a, b = values[rows, right - 1], values[rows, right]
    return a + weight * (b - a)


def scipy_linear(values: np.ndarray, times: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """``interp1d`` a row: it takes one set of stamps at a time."""
    from scipy.interpolate import interp1d

    rows = zip(values, times, targets, strict=True)
    return np.stack([interp1d(t, v, axis=0, assume_sorted=True)(q) for v, t, q in rows])


def numpy_linear(values: np.ndarray, times: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """``np.interp`` a row and feature."""
    out = np.empty((*targets.shape, values.shape[2]), values.dtype)
    for row, (v, t, q) in enumerate(zip(values, times, targets, strict=True)):
        for feature in range(values.shape[2]):
            out[row, :, feature] = np.interp(q, t, v[:, feature])
    return out


# ---- points [N, 3]; cells counted from ``low``, edges ``size`` -----------------------------------------------------


def torch_flat(points: Any, low: Any, size: Any, side: int) -> Any:
    """Number of each point's cell in a grid of side**3."""
    cells = ((points - low) / size).floor().long()
    return (cells[:, 0] * side + cells[:, 1]) * side + cells[:, 2]


def torch_dense(kind: str, points: Any, low: Any, size: Any, side: int, features: Any = None) -> Any:
    """One dense reduction by scatter."""
    import torch

    flat = torch_flat(points, low, size, side)
    if kind == "occupancy":
        return torch.zeros(side**3, dtype=torch.bool, device=points.device).index_fill_(0, flat, True)
    if kind == "count":
        ones = torch.ones(1, dtype=torch.int32, device=points.device).expand(len(flat))
        return torch.zeros(side**3, dtype=torch.int32, device=points.device).scatter_add_(0, flat, ones)
    empty = torch.zeros((side**3, features.shape[1]), device=points.device)
    if kind == "max":
        return empty.scatter_reduce_(0, flat[:, None].expand_as(features), features, "amax", include_self=False)
    counts = torch_dense("count", points, low, size, side)
    return empty.index_add_(0, flat, features) / counts.clamp(min=1)[:, None]


def torch_sparse(points: Any, size: Any, low: Any, side: int) -> Any:
    """Coordinates, counts and means by unique and index_add; ``side`` cells from ``low`` hold all points."""
    import torch

    keys = torch_flat(points, low, size, side)
    unique, inverse, counts = torch.unique(keys, return_inverse=True, return_counts=True)
    sums = torch.zeros((len(unique), 3), device=points.device).index_add_(0, inverse, points)
    coords = torch.stack([unique // (side * side), unique // side % side, unique % side], 1)
    return coords, counts, sums / counts[:, None]


def cupy_dense(kind: str, points: Any, low: Any, size: Any, side: int) -> Any:
    """Occupancy by assignment, count by bincount."""
    import cupy

    cells = cupy.floor((points - low) / size).astype(np.int64)
    flat = (cells[:, 0] * side + cells[:, 1]) * side + cells[:, 2]
    if kind == "count":
        return cupy.bincount(flat, minlength=side**3)
    grid = cupy.zeros(side**3, bool)
    grid[flat] = True
    return grid


def cupy_sparse(points: Any, size: Any, low: Any, side: int) -> Any:
    """Unique and bincount with weights; NumPy arrays go through NumPy."""
    xp = np if isinstance(points, np.ndarray) else importlib.import_module("cupy")
    cells = xp.floor((points - low) / size).astype(np.int64)
    keys = (cells[:, 0] * side + cells[:, 1]) * side + cells[:, 2]
    unique, inverse, counts = xp.unique(keys, return_inverse=True, return_counts=True)
    sums = xp.stack([xp.bincount(inverse, points[:, axis]) for axis in range(3)], 1)
    return unique, counts, sums / counts[:, None]


def small_gicp_sparse(points: np.ndarray, size: float) -> Callable[[], Any]:
    """CPU, all threads; the conversion to its float64 cloud is left outside the clock."""
    import small_gicp

    cloud = small_gicp.PointCloud(points.astype(np.float64))
    threads = _timing.host_threads()
    return lambda: small_gicp.voxelgrid_sampling(cloud, size, num_threads=threads)


def small_gicp_alone(points: np.ndarray, size: float) -> Callable[[], Any]:
    """The same from NumPy to NumPy on one thread, of which alone its means are exact."""
    import small_gicp

    return lambda: np.asarray(small_gicp.voxelgrid_sampling(points.astype(np.float64), size, num_threads=1).points())


def spconv_cpu(points: np.ndarray, size: Any, bounds: Any, places: int, rows: int) -> Callable[[], Any]:
    """Its hard voxelizer of the CPU, one thread; it makes its table and its outputs before the clock starts."""
    from cumm import tensorview
    from spconv.utils import Point2VoxelCPU3d

    make = Point2VoxelCPU3d([float(s) for s in size], list(bounds), 3, rows, places)
    cloud = tensorview.from_numpy(points)
    return lambda: make.point_to_voxel(cloud)


def open3d_sparse(points: np.ndarray, size: float) -> Callable[[], Any]:
    """CPU, on its own float64 cloud."""
    import open3d

    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points.astype(np.float64)))
    return lambda: cloud.voxel_down_sample(size)


def spconv_sparse(tensor: Any, size: Any, bounds: Any) -> Callable[[], Any]:
    """Its hard voxelizer, which keeps some points of a voxel and averages nothing."""
    import torch
    from spconv.pytorch.utils import PointToVoxel

    make = PointToVoxel([float(s) for s in size], list(bounds), 3, len(tensor), 5, device=torch.device("cuda:0"))
    return lambda: make(tensor)
