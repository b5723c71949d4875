"""Depth images on the CPU: the three twins.

A row of the image is worked out as a whole into a small buffer, in loops without branches, and only then picked from.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import gather
from ._compact import Kept
from ._jit import kernel, split
from ._normals import usable, write_normals


@kernel()
def _row(depth, across, down, pose, limits, x, y, z, keep):
    """Points of one row of pixels, given their x and y at a depth of one; how many are kept.

    ``limits`` are the unit of the depth, near and far, and the box.
    """
    for i in range(z.shape[0]):
        z[i] = depth[i]
    found = np.int64(0)
    for i in range(z.shape[0]):
        d = z[i] * limits[0]
        keep[i] = (d > 0) & (d >= limits[1]) & (d < limits[2])
        x[i], y[i], z[i] = across[i] * d, down * d, d
    if pose.shape[0]:
        for i in range(z.shape[0]):
            a, b, c = x[i], y[i], z[i]
            x[i] = pose[0] * a + pose[1] * b + pose[2] * c + pose[3]
            y[i] = pose[4] * a + pose[5] * b + pose[6] * c + pose[7]
            z[i] = pose[8] * a + pose[9] * b + pose[10] * c + pose[11]
    for i in range(z.shape[0]):
        keep[i] &= (
            (x[i] >= limits[3]) & (y[i] >= limits[4]) & (z[i] >= limits[5])
            & (x[i] < limits[6]) & (y[i] < limits[7]) & (z[i] < limits[8])
        )  # fmt: skip
        found += keep[i]
    return found


@kernel()
def _count(start, stop, depth, across, down, poses, limits, counts):
    """Kept pixels of every row of all images."""
    width = depth.shape[3]
    x, y, z = np.empty(width, limits.dtype), np.empty(width, limits.dtype), np.empty(width, limits.dtype)
    keep = np.empty(width, np.uint8)
    for row in range(start, stop):
        view, r = row // depth.shape[2], row % depth.shape[2]
        image = depth[view // depth.shape[1], view % depth.shape[1]]
        counts[row] = _row(
            image[r], across[view % across.shape[0]], down[view % down.shape[0], r], poses[view % poses.shape[0]],
            limits, x, y, z, keep,
        )  # fmt: skip


@kernel()
def _write(start, stop, depth, across, down, poses, limits, before, stride, whole, points, index):
    """Kept points and the pixels they come from; rows of the image that begin past the last place are left out."""
    width, most = depth.shape[3], points.shape[0]
    x, y, z = np.empty(width, limits.dtype), np.empty(width, limits.dtype), np.empty(width, limits.dtype)
    keep, columns = np.empty(width, np.uint8), np.empty(width, np.int64)
    for row in range(start, stop):
        at = before[row]
        if at >= most or before[row + 1] == at:
            continue
        view, r = row // depth.shape[2], row % depth.shape[2]
        image = depth[view // depth.shape[1], view % depth.shape[1]]
        _row(
            image[r], across[view % across.shape[0]], down[view % down.shape[0], r], poses[view % poses.shape[0]],
            limits, x, y, z, keep,
        )  # fmt: skip
        first, count = (view * whole[0] + r * stride) * whole[1], min(before[row + 1], most) - at
        if before[row + 1] - at < width:
            to = 0
            for i in range(width):  # no branch: holes are hard to foretell
                x[to], y[to], z[to], columns[to] = x[i], y[i], z[i], i
                to += keep[i]
        else:
            for i in range(width):
                columns[i] = i
        for i in range(count):
            points[at + i, 0], points[at + i, 1], points[at + i, 2] = x[i], y[i], z[i]
        if index.shape[0]:
            for i in range(count):
                index[at + i] = first + columns[i] * stride


@kernel()
def _place(start, stop, depth, across, down, poses, limits, nan, points, valid):
    """Every point of every row, NaN where it is not kept."""
    width = depth.shape[3]
    x, y, z = np.empty(width, limits.dtype), np.empty(width, limits.dtype), np.empty(width, limits.dtype)
    keep = np.empty(width, np.uint8)
    for row in range(start, stop):
        view, r = row // depth.shape[2], row % depth.shape[2]
        image = depth[view // depth.shape[1], view % depth.shape[1]]
        _row(
            image[r], across[view % across.shape[0]], down[view % down.shape[0], r], poses[view % poses.shape[0]],
            limits, x, y, z, keep,
        )  # fmt: skip
        for i in range(width):
            valid[row, i] = keep[i] != 0
            x[i], y[i], z[i] = (x[i], y[i], z[i]) if keep[i] else (nan[0], nan[0], nan[0])
        for i in range(width):
            points[row, i, 0], points[row, i, 1], points[row, i, 2] = x[i], y[i], z[i]


def _widen(start: int, stop: int, given: np.ndarray, depth: np.ndarray) -> None:
    """Some rows of all images in the type of the arithmetic."""
    views, height = depth.shape[1:3]
    for view in range(start // height, -(-stop // height)):
        rows = slice(max(start - view * height, 0), min(stop - view * height, height))
        with np.errstate(over="ignore"):
            depth[view // views, view % views, rows] = given[view // views, view % views, rows]


class _Source:
    """Images of one call as the kernels want them."""

    def __init__(self, depth: Any, lens: Any, pose: Any, pixels: Any) -> None:
        dtype = pixels.dtype
        height, width = depth.shape[2:]
        self.rows = depth.shape[0] * depth.shape[1] * height
        if depth.dtype != dtype or not depth.flags.c_contiguous:  # so that kernels are compiled for two types only
            depth, given = np.empty(depth.shape, dtype), depth
            if depth.size:
                split(_widen, self.rows, 2 * depth.nbytes, given, depth)
        with np.errstate(all="ignore"):
            lenses = np.asarray(lens.values, dtype)
            fx, fy, cx, cy = (lenses[:, k, None] for k in ((0, 4, 2, 5) if lenses.shape[1] == 9 else (0, 1, 2, 3)))
            across = ((np.arange(width) * pixels.stride).astype(dtype) - cx) * (1 / fx)
            down = ((np.arange(height) * pixels.stride).astype(dtype) - cy) * (1 / fy)
            poses = np.zeros((1, 0), dtype) if pose is None else np.ascontiguousarray(pose.values[:, :12], dtype)
        limits = np.array((pixels.unit, pixels.near, pixels.far, *pixels.box.low, *pixels.box.high), dtype)
        self.args = (depth, across, down, poses, limits)
        self.work = 16 * depth.size  # bytes moved in the time


def unproject(
    depth: Any, lens: Any, pose: Any, pixels: Any, color: Any, clouds: int, index: bool, limit: int | None,
    empty: Callable[..., Any], strict: bool,
) -> dict[str, Any]:  # fmt: skip
    """See robocache.ops.depth.depth_to_points."""
    source = _Source(depth, lens, pose, pixels)
    counts = np.zeros(source.rows, np.int64)
    split(_count, source.rows, source.work, *source.args, counts)
    kept = Kept(counts, limit, strict)
    points = kept.array(empty, (3,), pixels.dtype, 0)
    numbers = kept.array(empty, (), np.int64, -1) if index or color is not None else np.empty(0, np.int64)
    whole = np.array((pixels.height, pixels.width), np.int64)
    split(
        _write, source.rows, source.work, *source.args, kept.before, pixels.stride, whole, points[: kept.count],
        numbers[: kept.count],
    )  # fmt: skip
    found = {"points": points, "features": None, "index": numbers if index else None}
    if color is not None:
        found["features"] = kept.array(empty, color.shape[1:], color.dtype, 0)
        gather.gather(color, numbers[: kept.count], None, 0, found["features"][: kept.count], "auto")
    offsets = np.minimum(kept.before[:: max(source.rows // max(clouds, 1), 1)], kept.count)
    return {**found, **kept.sizes(empty, offsets if source.rows else np.zeros(clouds + 1, np.int64))}


def organize(depth: Any, lens: Any, pose: Any, pixels: Any, points: Any, valid: Any) -> None:
    """See robocache.ops.depth.depth_to_points."""
    source = _Source(depth, lens, pose, pixels)
    shape = (source.rows, depth.shape[3])
    nan = np.array((np.nan,), pixels.dtype)
    split(_place, source.rows, source.work, *source.args, nan, points.reshape(*shape, 3), valid.reshape(shape))


def normals(points: Any, valid: Any, eyes: Any, jump: float, out: Any, known: Any) -> None:
    """See robocache.ops.depth.estimate_normals."""
    scenes, views, height, width = known.shape
    dtype, rows = points.dtype, scenes * views * height
    used = np.ones(known.shape, np.bool_) if valid is None else valid.copy()
    flat, flags = points.reshape(known.size, 3), used.reshape(known.size)
    split(usable, known.size, points.nbytes, flat, flags)
    with np.errstate(over="ignore"):
        eye, square = np.ascontiguousarray(eyes.values, dtype), np.array((jump * jump,), dtype)
    split(
        write_normals, rows, 8 * points.nbytes, flat, flags, height, width, eye, square, np.array((np.nan,), dtype),
        out.reshape(known.size, 3), known.reshape(known.size),
    )  # fmt: skip
