"""Points to cells on the CPU."""

from typing import Any

import numpy as np

from .._core import dtypes
from .._core.errors import DataError
from ._jit import kernel, split

BLOCK = 1 << 16  # points a thread takes at a time


@kernel()
def _locate(start, stop, points, firsts, lasts, origin, size, low, high, clamp, base, extent, none, ids):
    """Number of the cell of each point; ``none`` for points that are nobody's or outside."""
    for i in range(start, stop):
        ids[i] = none
    for cloud in range(firsts.shape[0]):
        for i in range(max(start, firsts[cloud]), min(stop, lasts[cloud])):
            number = np.int64(cloud)
            for axis in range(3):
                f = np.floor((points[i, axis] - origin[axis]) / size[axis])
                if f >= low[axis] and f < high[axis]:
                    cell = np.int64(f)
                elif clamp and np.isfinite(points[i, axis]):
                    cell = np.int64(low[axis]) if f < low[axis] else np.int64(high[axis]) - 1
                else:
                    number = np.int64(-1)
                    break
                number = number * extent[axis] + (cell - base[axis])
            if number >= 0:
                ids[i] = number


@kernel()
def _bound(start, stop, points, firsts, lasts, origin, size, low, high, length, boxes):
    """Least and largest cell of every block of ``length`` points; a block without cells keeps its start values."""
    for block in range(start, stop):
        for cloud in range(firsts.shape[0]):
            begin = max(block * length, firsts[cloud])
            for i in range(begin, min((block + 1) * length, lasts[cloud])):
                x = np.floor((points[i, 0] - origin[0]) / size[0])
                y = np.floor((points[i, 1] - origin[1]) / size[1])
                z = np.floor((points[i, 2] - origin[2]) / size[2])
                if (
                    x >= low[0] and x < high[0] and y >= low[1] and y < high[1] and z >= low[2] and z < high[2]
                ):  # fmt: skip
                    boxes[block, 0] = min(boxes[block, 0], np.int64(x))
                    boxes[block, 1] = min(boxes[block, 1], np.int64(y))
                    boxes[block, 2] = min(boxes[block, 2], np.int64(z))
                    boxes[block, 3] = max(boxes[block, 3], np.int64(x))
                    boxes[block, 4] = max(boxes[block, 4], np.int64(y))
                    boxes[block, 5] = max(boxes[block, 5], np.int64(z))


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
        split(
            _locate, ids.size, self.points.nbytes, self.points, self.firsts, self.lasts, self.origin, self.size,
            self.low, self.high, self.clamp, base, extent, none, ids,
        )  # fmt: skip
        return ids

    def count_dropped(self, ids: np.ndarray, none: int, dropped: np.ndarray) -> None:
        """Points of each cloud that have no cell."""
        split(_count_none, self.firsts.size, ids.nbytes, ids, none, self.firsts, self.lasts, dropped)
