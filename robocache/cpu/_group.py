"""Points of equal cells to voxel numbers, and the points of each voxel."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.errors import DataError
from ._arrange import Runs, arrange
from ._jit import kernel, split
from ._points import Source, quotient
from ._prefetch import AHEAD, prefetch


@kernel()
def _order_by_firsts(index, starts, ranks, begins, ends):
    """Runs in order of their first points; ``ranks``: none for each point, -1."""
    found = starts.shape[0] - 1
    for run in range(found):
        ranks[index[starts[run]]] = run
    voxel = 0
    for point in range(ranks.shape[0]):
        if ranks[point] >= 0:
            begins[voxel], ends[voxel] = starts[ranks[point]], starts[ranks[point] + 1]
            voxel += 1


@kernel()
def _label(start, stop, index, begins, ends, kept, inverse):
    for voxel in range(start, stop):
        number = voxel if voxel < kept else -1
        for j in range(begins[voxel], ends[voxel]):
            prefetch(inverse, np.int64(index[min(j + AHEAD, index.shape[0] - 1)]))
            inverse[index[j]] = number


@kernel()
def _fill_rows(start, stop, keys, index, begins, ends, base, extent, coords, counts):
    for row in range(start, stop):
        prefetch(keys, np.int64(index[begins[min(row + AHEAD, begins.shape[0] - 1)]]))
        key = keys[index[begins[row]]]
        for axis in range(2, -1, -1):
            above = quotient(key, extent[axis])
            coords[row, axis] = key - above * extent[axis] + base[axis]
            key = above
        counts[row] = ends[row] - begins[row]


@kernel()
def _cloud_edges(keys, index, starts, cells, offsets):
    """Voxels before each cloud; keys of the runs are sorted, and by cloud first."""
    for cloud in range(offsets.shape[0]):
        low, high = np.int64(0), starts.shape[0] - 1
        while low < high:
            middle = (low + high) >> 1
            if keys[index[starts[middle]]] < cloud * cells:
                low = middle + 1
            else:
                high = middle
        offsets[cloud] = low


def group(
    points: Any, rows: Any, grid: Any, order: str, limit: int | None, empty: Callable[..., Any]
) -> tuple[dict[str, Any], tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """See robocache.ops.voxel.voxelize; and the points in order of voxels, with where those of each begin and end."""
    source = Source(points, rows, grid)
    inverse, dropped = empty((rows.total,), np.int64), empty((rows.clouds,), np.int64)
    base, extent = np.zeros(3, np.int64), np.array(grid.shape or (1, 1, 1), np.int64)
    if not source.bounded and rows.total:
        base, extent = source.box()
    cells = int(extent[0]) * int(extent[1]) * int(extent[2])
    last = rows.clouds * cells  # above every key
    if last >= 1 << 63:
        raise DataError("the points span more than 2**63 cells; no voxel was made. Raise voxel_size or give bounds")
    keys = source.ids(base, extent, last)
    runs = arrange(keys, last)
    if rows.clouds == 1:
        dropped[0] = source.lasts[0] - source.firsts[0] - runs.starts[-1]
    else:
        source.count_dropped(keys, last, dropped)
    begins, ends = _in_order(runs, order, rows.total)
    found = begins.size
    wanted = found if limit is None else limit
    kept = min(found, wanted)
    split(_label, found, inverse.nbytes, runs.points, begins, ends, kept, inverse)
    inverse[runs.points[runs.starts[-1] :]] = -1
    coords, counts = empty((wanted, 3), np.int32), empty((wanted,), np.int32)
    coords[kept:], counts[kept:] = -1, 0
    split(_fill_rows, kept, 20 * kept, keys, runs.points, begins, ends, base, extent, coords, counts)
    offsets = np.empty(rows.clouds + 1, np.int64)
    _cloud_edges(keys, runs.points, runs.starts, cells, offsets)
    result = {"coords": coords, "counts": counts, "inverse": inverse, "dropped": dropped}
    for name, value in (("offsets", np.minimum(offsets, kept)), ("kept", kept), ("found", found)):
        result[name] = empty(np.shape(value), np.int64)
        result[name][...] = value
    return result, (runs.points, begins[:kept], ends[:kept])


def _in_order(runs: Runs, order: str, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the points of each voxel begin and end in ``runs.points``."""
    begins, ends = runs.starts[:-1], runs.starts[1:]
    if order == "first":
        begins, ends = np.empty_like(begins), np.empty_like(ends)
        _order_by_firsts(runs.points, runs.starts, np.full(total, -1, np.int32), begins, ends)
    return begins, ends
