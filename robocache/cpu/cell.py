"""The cell of every point on the CPU."""

from typing import Any

import numpy as np

from ._jit import kernel, split
from ._points import Source

NOWHERE = np.iinfo(np.int32).min  # where -1 is a cell


@kernel()
def _cells(start, stop, points, firsts, lasts, origin, size, low, high, backwards, nowhere, cells):
    done = start
    for cloud in range(firsts.shape[0]):
        begin, end = max(done, firsts[cloud]), min(stop, lasts[cloud])
        for i in range(done, min(begin, stop)):
            cells[i, 0] = cells[i, 1] = cells[i, 2] = nowhere
        for i in range(begin, end):
            x = np.floor((points[i, 0] - origin[0]) / size[0])
            y = np.floor((points[i, 1] - origin[1]) / size[1])
            z = np.floor((points[i, 2] - origin[2]) / size[2])
            inside = (
                (x >= low[0]) & (x < high[0]) & (y >= low[1]) & (y < high[1]) & (z >= low[2]) & (z < high[2])
            )  # fmt: skip
            cells[i, 2 if backwards else 0] = np.int32(x if inside else nowhere)
            cells[i, 1] = np.int32(y if inside else nowhere)
            cells[i, 0 if backwards else 2] = np.int32(z if inside else nowhere)
        done = max(begin, end)
    for i in range(done, stop):
        cells[i, 0] = cells[i, 1] = cells[i, 2] = nowhere


@kernel()
def _numbers(start, stop, cells, shape, numbers):
    for i in range(start, stop):
        number = (np.int64(cells[i, 0]) * shape[1] + cells[i, 1]) * shape[2] + cells[i, 2]
        numbers[i] = number if cells[i, 0] >= 0 else -1


def point_to_voxel(points: Any, rows: Any, grid: Any, backwards: bool, out: Any, strict: bool) -> None:
    """See robocache.ops.point_voxels.point_to_voxel."""
    source = Source(points, rows, grid)
    cells = out if out.ndim == 2 else np.empty((rows.total, 3), np.int32)
    split(
        _cells, rows.total, 2 * source.points.nbytes, source.points, source.firsts, source.lasts, source.origin,
        source.size, source.low, source.high, backwards, -1 if source.bounded else NOWHERE, cells,
    )  # fmt: skip
    if out.ndim == 1:
        shape = np.array(grid.shape[::-1] if backwards else grid.shape, np.int64)
        split(_numbers, rows.total, 20 * rows.total, cells, shape, out)
