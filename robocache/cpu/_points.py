"""Points to cells on the CPU."""

from typing import Any

import numpy as np

from .._core import dtypes
from .._core.errors import DataError
from ._jit import kernel, split

BLOCK = 1 << 16  # points a thread takes at a time


@kernel(inline=True)
def quotient(key, extent):
    """``key // extent`` of what is not negative: dividing doubles costs a third, and may give one too many."""
    if key >= 1 << 53:
        return key // extent
    above = np.int64(np.float64(key) / np.float64(extent))
    return above - (above * extent > key)


@kernel()
def _locate(start, stop, points, firsts, lasts, origin, size, low, high, base, extent, none, ids):
    """Number of the cell of each point; ``none`` for points that are nobody's or outside."""
    done = start
    for cloud in range(firsts.shape[0]):
        begin, end = max(done, firsts[cloud]), min(stop, lasts[cloud])
        for i in range(done, min(begin, stop)):
            ids[i] = none
        for i in range(begin, end):  # without a branch, so that several points are taken at once
            x = np.floor((points[i, 0] - origin[0]) / size[0])
            y = np.floor((points[i, 1] - origin[1]) / size[1])
            z = np.floor((points[i, 2] - origin[2]) / size[2])
            inside = (
                (x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1]) & (z >= low[2]) & (z < high[2])
            )  # fmt: skip
            row = np.int64(x if inside else base[0]) - base[0] + cloud * extent[0]
            row = row * extent[1] + np.int64(y if inside else base[1]) - base[1]
            row = row * extent[2] + np.int64(z if inside else base[2]) - base[2]
            ids[i] = row if inside else none
        done = max(begin, end)
    for i in range(done, stop):
        ids[i] = none


@kernel()
def _locate_clamped(start, stop, points, firsts, lasts, origin, size, high, none, ids):
    """The same for points that are moved into the bounds."""
    for i in range(start, stop):
        ids[i] = none
    for cloud in range(firsts.shape[0]):
        for i in range(max(start, firsts[cloud]), min(stop, lasts[cloud])):
            number = np.int64(cloud)
            for axis in range(3):
                if not np.isfinite(points[i, axis]):
                    number = np.int64(-1)
                    break
                f = np.floor((points[i, axis] - origin[axis]) / size[axis])
                cell = np.int64(0) if f < 0 else np.int64(f) if f < high[axis] else np.int64(high[axis]) - 1
                number = number * np.int64(high[axis]) + cell
            if number >= 0:
                ids[i] = number


@kernel()
def _bound(start, stop, points, firsts, lasts, origin, size, low, high, length, boxes):
    """Least and largest cell of every block of ``length`` points; a block without cells keeps its start values.

    A cell grows with its coordinate, so those of the least and the largest coordinate do, where all are near enough.
    """
    edges = np.empty(6, points.dtype)
    for block in range(start, stop):
        for cloud in range(firsts.shape[0]):
            begin, end = max(block * length, firsts[cloud]), min((block + 1) * length, lasts[cloud])
            if begin >= end:
                continue
            near = True
            for axis in range(3):
                least = most = points[begin, axis]
                for i in range(begin, end):
                    p = points[i, axis]
                    near &= abs(p - origin[axis]) < size[axis] * 1073741824.0
                    least = p if p < least else least
                    most = p if p > most else most
                edges[axis], edges[axis + 3] = least, most
            for axis in range(3 if near else 0):
                cell = np.int64(np.floor((edges[axis] - origin[axis]) / size[axis]))
                boxes[block, axis] = min(boxes[block, axis], cell)
                cell = np.int64(np.floor((edges[axis + 3] - origin[axis]) / size[axis]))
                boxes[block, axis + 3] = max(boxes[block, axis + 3], cell)
            if not near:
                _bound_one_by_one(begin, end, points, origin, size, low, high, boxes[block])


@kernel()
def _bound_one_by_one(begin, end, points, origin, size, low, high, box):
    for i in range(begin, end):
        x = np.floor((points[i, 0] - origin[0]) / size[0])
        y = np.floor((points[i, 1] - origin[1]) / size[1])
        z = np.floor((points[i, 2] - origin[2]) / size[2])
        if x >= low[0] and x < high[0] and y >= low[1] and y < high[1] and z >= low[2] and z < high[2]:
            box[0], box[3] = min(box[0], np.int64(x)), max(box[3], np.int64(x))
            box[1], box[4] = min(box[1], np.int64(y)), max(box[4], np.int64(y))
            box[2], box[5] = min(box[2], np.int64(z)), max(box[5], np.int64(z))


@kernel()
def _count_none(start, stop, ids, none, firsts, lasts, dropped):
    for cloud in range(start, stop):
        lost = np.int64(0)
        for i in range(firsts[cloud], lasts[cloud]):
            lost += ids[i] == none
        dropped[cloud] = lost


def clouds(points: Any, rows: Any) -> tuple[np.ndarray, np.ndarray]:
    """First point of each cloud and the one after its last, counted over all rows."""
    per_cloud = points.shape[1]
    if rows.mode == 2:
        offsets = rows.extent.astype(np.int64)
        if offsets.min(initial=0) < 0 or (np.diff(offsets) < 0).any() or offsets[-1] > rows.total:
            raise DataError(
                f"offsets must not fall and must lie within the {rows.total} points; they run from {offsets[0]} "
                f"to {offsets[-1]}. Check them against the shape"
            )
        return np.ascontiguousarray(offsets[:-1]), np.ascontiguousarray(offsets[1:])
    firsts = np.arange(rows.clouds, dtype=np.int64) * per_cloud
    if rows.mode == 0:
        return firsts, firsts + per_cloud
    lengths = rows.extent.astype(np.int64)
    bad = np.flatnonzero((lengths < 0) | (lengths > per_cloud))
    if bad.size:
        raise DataError(f"lengths[{bad[0]}] = {lengths[bad[0]]} does not lie within the {per_cloud} points of a cloud")
    return firsts, firsts + lengths


class Source:
    """Points of one call as the kernels want them."""

    def __init__(self, points: Any, rows: Any, grid: Any) -> None:
        dtype = dtypes.accumulator(points.dtype)
        self.points = np.ascontiguousarray(points, dtype).reshape(rows.total, points.shape[2])
        self.firsts, self.lasts = clouds(points, rows)
        self.bounded = grid.shape is not None
        low, high = ((0,) * 3, grid.shape) if self.bounded else ((-(2.0**31),) * 3, (2.0**31,) * 3)
        self.origin, self.size = np.array(grid.origin, dtype), np.array(grid.size, dtype)
        self.low, self.high = np.array(low, np.float64), np.array(high, np.float64)
        self.clamp = bool(grid.clamp)

    def box(self) -> tuple[np.ndarray, np.ndarray]:
        """Least cell and cells an axis, over all clouds."""
        total = self.points.shape[0]
        blocks = -(-total // BLOCK)
        boxes = np.empty((blocks, 6), np.int64)
        boxes[:, :3], boxes[:, 3:] = 1 << 31, -(1 << 31) - 1
        split(
            _bound, blocks, self.points.nbytes, self.points, self.firsts, self.lasts, self.origin, self.size, self.low,
            self.high, BLOCK, boxes,
        )  # fmt: skip
        least, most = boxes[:, :3].min(0), boxes[:, 3:].max(0)
        if (most < least).any():
            return np.zeros(3, np.int64), np.ones(3, np.int64)
        return least, most - least + 1

    def ids(self, base: np.ndarray, extent: np.ndarray, none: int) -> np.ndarray:
        """Cell numbers of all points."""
        ids = np.empty(self.points.shape[0], np.int64)
        shared = (self.points, self.firsts, self.lasts, self.origin, self.size)
        if self.clamp:
            split(_locate_clamped, ids.size, self.points.nbytes, *shared, self.high, none, ids)
        else:
            split(_locate, ids.size, self.points.nbytes, *shared, self.low, self.high, base, extent, none, ids)
        return ids

    def count_dropped(self, ids: np.ndarray, none: int, dropped: np.ndarray) -> None:
        """Points of each cloud that have no cell."""
        split(_count_none, self.firsts.size, ids.nbytes, ids, none, self.firsts, self.lasts, dropped)
