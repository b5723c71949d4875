"""Points where a field of signed distances changes its sign, on the CPU."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import dtypes
from .._core.errors import DataError, DataWarning
from ._jit import kernel, split

ONE, HALF, NONE = np.float32(1), np.float32(0.5), np.float32(0)


@kernel(inline=True)
def _crosses(grid, weight, i, j, k, u, v, w, least):
    """Whether the sign changes between two voxels that are both seen and not cut off; the first one is known to be."""
    other = grid[u, v, w]
    return abs(other) < ONE and (grid[i, j, k] > NONE) != (other > NONE) and weight[u, v, w] >= least


@kernel(inline=True)
def _changes(mine, weight, other, other_weight, least):
    """How often the sign changes between two columns, without a branch, so that it is vector code."""
    count = np.int32(0)
    for k in range(mine.shape[0]):
        a, b = mine[k], other[k]
        real = (abs(a) < ONE) & (abs(b) < ONE) & (weight[k] >= least) & (other_weight[k] >= least)
        count += np.int32(real & ((a > NONE) != (b > NONE)))
    return count


@kernel()
def _count(start, stop, grid, weight, least, counts):
    """Crossings of each column, from its voxels on."""
    size_x, size_y, size_z = grid.shape
    for column in range(start, stop):
        i, j = column // size_y, column % size_y
        a, w = grid[i, j], weight[i, j]
        total = _changes(a[: size_z - 1], w[: size_z - 1], a[1:], w[1:], least)
        if i + 1 < size_x:
            total += _changes(a, w, grid[i + 1, j], weight[i + 1, j], least)
        if j + 1 < size_y:
            total += _changes(a, w, grid[i, j + 1], weight[i, j + 1], least)
        counts[column] = total


@kernel(inline=True)
def _seen(grid, weight, i, j, k, least):
    return (
        0 <= i < grid.shape[0] and 0 <= j < grid.shape[1] and 0 <= k < grid.shape[2]
        and abs(grid[i, j, k]) <= ONE and weight[i, j, k] >= least
    )  # fmt: skip


@kernel(inline=True)
def _slope(grid, weight, i, j, k, axis, size, least):
    """Slope along an axis: over both neighbours that are seen, or over one."""
    a, b, c = np.int64(axis == 0), np.int64(axis == 1), np.int64(axis == 2)
    low = high = grid[i, j, k]
    before = _seen(grid, weight, i - a, j - b, k - c, least)
    after = _seen(grid, weight, i + a, j + b, k + c, least)
    if before:
        low = grid[i - a, j - b, k - c]
    if after:
        high = grid[i + a, j + b, k + c]
    rise = high - low
    return (rise * HALF if before and after else rise) / size[axis]


@kernel()
def _put(grid, weight, tint, origin, size, edges, least, i, j, k, axis, to, points, normals, colors):
    u, v, w = i + np.int64(axis == 0), j + np.int64(axis == 1), k + np.int64(axis == 2)
    mine = grid[i, j, k]
    share = mine / (mine - grid[u, v, w])
    for b in range(3):
        steps = (np.float64((i, j, k)[b]) + 0.5) + (np.float64(share) if b == axis else 0.0)
        points[to, b] = steps * size[b] + origin[b]
    if colors.shape[0]:
        for b in range(3):
            first = tint[i, j, k, b]
            colors[to, b] = first + share * (tint[u, v, w, b] - first)
    if normals.shape[0]:
        squares = NONE
        for b in range(3):
            first = _slope(grid, weight, i, j, k, b, edges, least)
            slope = first + share * (_slope(grid, weight, u, v, w, b, edges, least) - first)
            normals[to, b] = slope
            squares += slope * slope
        length = np.float32(math.sqrt(squares))
        for b in range(3):
            normals[to, b] = NONE if length == NONE else normals[to, b] / length


@kernel()
def _write(start, stop, grid, weight, tint, origin, size, edges, least, places, points, normals, colors):
    size_x, size_y, size_z = grid.shape
    for column in range(start, stop):
        i, j, k = column // size_y, column % size_y, 0
        to, end = places[column], min(places[column + 1], points.shape[0])
        while to < end:  # and not to the end of the column
            if abs(grid[i, j, k]) < ONE and weight[i, j, k] >= least:
                for axis in range(3):
                    u, v, w = i + np.int64(axis == 0), j + np.int64(axis == 1), k + np.int64(axis == 2)
                    if u == size_x or v == size_y or w == size_z or to == end:
                        continue
                    if _crosses(grid, weight, i, j, k, u, v, w, least):
                        _put(
                            grid, weight, tint, origin, size, edges, least, i, j, k, axis, to, points, normals, colors
                        )  # fmt: skip
                        to += 1
            k += 1


def crossings(
    grid: Any,
    weight: Any,
    tint: Any,
    space: Any,
    least: float,
    real: Any,
    normals: bool,
    limit: int | None,
    empty: Callable[..., Any],
    strict: bool,
) -> dict[str, Any]:
    """See robocache.ops.surface.tsdf_to_points."""
    columns = grid.shape[0] * grid.shape[1] if grid.size else 0
    counts, threshold = np.empty(columns, np.int64), np.float32(least)
    split(_count, columns, 2 * grid.nbytes, grid, weight, threshold, counts)
    places = np.concatenate([[0], np.cumsum(counts)])
    total = int(places[-1])
    if limit is not None and total > limit:
        text = f"there are {total} points but max_points={limit}; the extra ones were left out. Raise max_points"
        if strict:
            raise DataError(text)
        warnings.warn(text, DataWarning, stacklevel=4)
    size, kept = (total, total) if limit is None else (limit, min(total, limit))
    none = np.empty((0, 3), np.float32)
    found: dict[str, Any] = {
        "kept": empty((), np.int64),
        "found": empty((), np.int64),
        "points": empty((size, 3), real),
    }
    found["kept"][...], found["found"][...] = kept, total
    found["normals"] = empty((size, 3), dtypes.float32) if normals else None
    found["colors"] = empty((size, 3), dtypes.float32) if tint is not None else None
    outs = [found["points"], *(none if found[name] is None else found[name] for name in ("normals", "colors"))]
    for out, filler in zip(outs, (np.nan, 0, 0), strict=True):
        out[kept:] = filler
    if kept:
        shades = np.empty((0, 0, 0, 3), np.float32) if tint is None else tint
        split(
            _write, columns, 2 * grid.nbytes, grid, weight, shades,
            np.array(space.origin), np.array(space.size), np.array(space.size, np.float32), threshold, places,
            *(out[:kept] for out in outs),
        )  # fmt: skip
    return found
