"""Operations on clouds put together from torch's own, on the GPU: what a user without RoboCache would write."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _results, _timing, baselines


def torch_hard(points: Any, size: Any, low: Any, shape: Any, places: int, rows: int) -> Any:
    """Voxels of a fixed number of points: by unique, and a stable sort for the place of each point."""
    import torch

    cells = torch.floor((points - low) / size).long()
    (kept,) = ((cells >= 0) & (cells < shape)).all(1).nonzero(as_tuple=True)
    cells = cells[kept]
    keys = (cells[:, 2] * shape[1] + cells[:, 1]) * shape[0] + cells[:, 0]
    unique, inverse = torch.unique(keys, return_inverse=True)
    first = kept.new_full((len(unique),), len(points)).scatter_reduce_(0, inverse, kept, "amin")
    number = torch.empty_like(first)
    number[first.argsort()] = torch.arange(len(first), device=points.device)
    voxel = number[inverse]
    order = torch.argsort(voxel, stable=True)
    grouped, counts = voxel[order], torch.bincount(voxel, minlength=len(unique))
    rank = torch.arange(len(order), device=points.device) - (counts.cumsum(0) - counts)[grouped]
    good = (rank < places) & (grouped < rows)
    voxels = points.new_zeros((rows, places, 3))
    voxels[grouped[good], rank[good]] = points[kept[order[good]]]
    coords = torch.full((rows, 3), -1, dtype=torch.int32, device=points.device)
    there = number < rows
    coords[number[there]] = torch.floor((points[first[there]] - low) / size).int().flip(1)
    return voxels, coords, counts[:rows].clamp(max=places)


def torch_farthest(points: Any, k: int) -> Any:
    """Picks of [B, N, 3]: every point against every pick."""
    import torch

    batch = torch.arange(len(points), device=points.device)
    nearest = torch.full(points.shape[:2], torch.inf, device=points.device)
    picks = torch.zeros((len(points), k), dtype=torch.int64, device=points.device)
    for j in range(1, k):
        apart = points - points[batch, picks[:, j - 1]][:, None]
        square = apart * apart
        nearest = torch.minimum(nearest, (square[..., 0] + square[..., 1]) + square[..., 2])
        picks[:, j] = nearest.argmax(1)
    return picks


def torch_peract(points: Any, rgb: Any, low: Any, size: Any, ticks: Any, out: Any) -> Any:
    """Means of points and colours, index and occupancy of dense grids [B, G, G, G, 10], by index_add."""
    import torch

    side = out.shape[1]
    cells = torch.floor((points - low) / size).long()
    cloud, kept = ((cells >= 0) & (cells < side)).all(2).nonzero(as_tuple=True)
    x, y, z = cells[cloud, kept].unbind(1)
    flat = ((cloud * side + x) * side + y) * side + z
    both = torch.cat([points[cloud, kept], rgb[cloud, kept], points.new_ones((len(flat), 1))], 1)
    sums = points.new_zeros((len(points) * side**3, 7)).index_add_(0, flat, both)
    rows = out.view(-1, 10)
    rows[:, :6] = sums[:, :6] / sums[:, 6:].clamp(min=1)
    out.view(len(points), side**3, 10)[..., 6:9] = ticks
    rows[:, 9] = sums[:, 6] > 0
    return out


def beside(work: Callable[[], Any], judge: Callable[[Any], bool], runs: int = 5) -> dict[str, Any]:
    """Device time of a composition that gives what ours does, or why there is none."""

    def measure() -> dict[str, Any]:
        if not judge(work()):
            raise _results.WrongResult("the composition in torch gives something else")
        return {"device_us": _timing.event_time([work], torch_stream=True, runs=runs), "by": "events"}

    return baselines.attempt("torch", measure)


def tensors(*arrays: Any) -> list[Any]:
    """CuPy or NumPy arrays as tensors on the GPU."""
    import cupy
    import torch

    return [torch.from_dlpack(cupy.asarray(np.float32(a) if np.isscalar(a) else a)) for a in arrays]
