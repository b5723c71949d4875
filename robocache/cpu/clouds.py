"""Point clouds on the CPU: the two twins."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import dtypes
from . import gather
from ._compact import BLOCK, Kept
from ._jit import kernel, split
from ._points import clouds


@kernel()
def _move(start, stop, points, firsts, lasts, poses):
    for cloud in range(firsts.shape[0]):
        t = poses[cloud % poses.shape[0]]
        for i in range(max(start, firsts[cloud]), min(stop, lasts[cloud])):
            x, y, z = points[i, 0], points[i, 1], points[i, 2]
            points[i, 0] = t[0] * x + t[1] * y + t[2] * z + t[3]
            points[i, 1] = t[4] * x + t[5] * y + t[6] * z + t[7]
            points[i, 2] = t[8] * x + t[9] * y + t[10] * z + t[11]


@kernel()
def _inside(start, stop, points, firsts, lasts, low, high, length, inside, counts):
    """Whether each point is in the box, and how many are in every block of ``length``."""
    for block in range(start, stop):
        begin, end = block * length, min((block + 1) * length, points.shape[0])
        inside[begin:end] = False
        found = np.int64(0)
        for cloud in range(firsts.shape[0]):
            for i in range(max(begin, firsts[cloud]), min(end, lasts[cloud])):
                x, y, z = points[i, 0], points[i, 1], points[i, 2]
                keep = (
                    (x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1]) & (z >= low[2]) & (z < high[2])
                )  # fmt: skip
                inside[i] = keep
                found += keep
        counts[block] = found


@kernel()
def _list(start, stop, inside, length, before, index):
    for block in range(start, stop):
        at = before[block]
        for i in range(block * length, min((block + 1) * length, inside.shape[0])):
            if at >= index.shape[0]:
                break
            if inside[i]:
                index[at] = i
                at += 1


def transform(points: Any, rows: Any, pose: Any, out: Any, strict: bool) -> None:
    """See robocache.ops.clouds.transform_points."""
    out[...] = points
    _transform(out.reshape(rows.total, points.shape[2]), clouds(points, rows), pose)


def _transform(out: np.ndarray, extents: tuple[np.ndarray, np.ndarray], pose: Any) -> None:
    """Move points in place."""
    dtype = dtypes.accumulator(out.dtype)
    wide = out if out.dtype == dtype else out[:, :3].astype(dtype)
    with np.errstate(over="ignore"):
        poses = np.ascontiguousarray(pose.values[:, :12], dtype)
    split(_move, len(out), 24 * len(out), wide, *extents, poses)
    if wide is not out:
        with np.errstate(over="ignore"):
            out[:, :3] = wide


def crop(
    points: Any, features: Any, rows: Any, pose: Any, box: Any, index: bool, limit: int | None,
    empty: Callable[..., Any], strict: bool,
) -> dict[str, Any]:  # fmt: skip
    """See robocache.ops.clouds.crop_box."""
    extents = clouds(points, rows)
    flat = points.reshape(rows.total, points.shape[2])
    if pose is not None:
        flat = np.array(flat, order="C")
        _transform(flat, extents, pose)
    dtype = dtypes.accumulator(points.dtype)
    wide = flat if flat.dtype == dtype else flat[:, :3].astype(dtype)
    blocks = -(-rows.total // BLOCK)
    inside, counts = np.empty(rows.total, np.bool_), np.zeros(blocks, np.int64)
    low, high = np.array(box.low, dtype), np.array(box.high, dtype)
    split(_inside, blocks, wide.nbytes, wide, *extents, low, high, BLOCK, inside, counts)

    kept = Kept(counts, limit, strict)
    numbers = kept.array(empty, (), np.int64, -1)
    split(_list, blocks, rows.total, inside, BLOCK, kept.before, numbers[: kept.count])
    found = {"points": kept.array(empty, flat.shape[1:], flat.dtype, 0), "features": None}
    _take(flat, numbers[: kept.count], found["points"])
    if features is not None:
        found["features"] = kept.array(empty, features.shape[1:], features.dtype, 0)
        _take(features, numbers[: kept.count], found["features"])
    if rows.mode == 2:
        edges = rows.extent
    else:
        edges = np.arange(rows.clouds + 1) * (rows.total // max(rows.clouds, 1))
    offsets = np.searchsorted(numbers[: kept.count], edges)
    return {**found, "index": numbers if index else None, **kept.sizes(empty, offsets)}


def _take(rows: np.ndarray, index: np.ndarray, out: np.ndarray) -> None:
    """The first rows of ``out``: those of ``rows`` by number."""
    if not rows.flags.c_contiguous and rows.strides[1] != rows.itemsize:
        rows = np.ascontiguousarray(rows)
    gather.gather(rows, index, None, 0, out[: len(index)], "auto")
