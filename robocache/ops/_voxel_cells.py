"""The cells of a call: what bounds, voxel_size, shape and origin come to in the type of the points."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataError

SLACK = 1e-3  # cells by which bounds may miss a whole number of voxels

Triple = tuple[float, float, float]


class Grid(NamedTuple):
    """Origin and size of cells, rounded to the type of the arithmetic, and cells an axis if there are bounds."""

    origin: Triple
    size: Triple
    shape: tuple[int, int, int] | None
    clamp: bool


def grid(dtype: np.dtype, bounds: Any, voxel_size: Any, shape: Any, origin: Any, clamp: bool) -> Grid:
    """Cells of a call; ``dtype`` is that of the points."""
    try:
        return _grid(dtype == dtypes.float64, bounds, voxel_size, shape, origin, clamp)
    except TypeError:  # lists and arrays are not hashable, so nothing is remembered of them
        plain = (None if value is None else _plain(value) for value in (bounds, voxel_size, shape, origin))
        return _grid(dtype == dtypes.float64, *plain, clamp)


def _plain(value: Any) -> Any:
    return tuple(np.ravel(np.asarray(value)).tolist()) if np.ndim(value) else value


@lru_cache(maxsize=256)
def _grid(double: bool, bounds: Any, voxel_size: Any, shape: Any, origin: Any, clamp: bool) -> Grid:
    dtype = dtypes.float64 if double else dtypes.float32
    if bounds is None:
        if clamp:
            raise ArgumentError("outside='clamp' needs bounds to clamp to")
        return Grid(_rounded("origin", checks.triple("origin", origin), dtype), _sizes(voxel_size, dtype), None, False)
    low, high = corners(bounds)
    if origin is not None and any(checks.triple("origin", origin)):
        raise ArgumentError(f"origin={origin!r} has no say beside bounds; the lower bound is the origin")
    if shape is not None:
        cells = _shape(shape)
        size = tuple((b - a) / n for a, b, n in zip(low, high, cells, strict=True))
    else:
        size = _positive_triple("voxel_size", voxel_size)
        cells = _cells(low, high, size)
    if max(cells) > 0x7FFFFFFF:
        raise ArgumentError(
            f"the grid has {cells} cells; coordinates are int32, so no axis may hold more than 2**31 - 1"
        )
    return Grid(_rounded("bounds", low, dtype), _sizes(size, dtype), cells, clamp)


def corners(bounds: Any) -> tuple[Triple, Triple]:
    """The lower and the upper corner, checked."""
    flat = np.ravel(np.asarray(bounds, dtype=object)).tolist()
    if len(flat) != 6:
        raise ArgumentError(f"bounds={bounds!r} needs six numbers: x0, y0, z0, x1, y1, z1")
    values = [checks.finite("bounds", value) for value in flat]
    low, high = (values[0], values[1], values[2]), (values[3], values[4], values[5])
    if not all(a < b for a, b in zip(low, high, strict=True)):
        raise ArgumentError(f"bounds={bounds!r} must have its first three numbers below the last three")
    return low, high


def _cells(low: Triple, high: Triple, size: Any) -> tuple[int, int, int]:
    exact = [(b - a) / s for a, b, s in zip(low, high, size, strict=True)]
    whole = [round(value) for value in exact]
    if min(whole) < 1 or any(abs(value - n) > SLACK for value, n in zip(exact, whole, strict=True)):
        raise ArgumentError(
            f"bounds hold {', '.join(f'{value:.6g}' for value in exact)} voxels of {size}; "
            "each must be a whole number. Move a bound, or change voxel_size"
        )
    return (whole[0], whole[1], whole[2])


def _shape(shape: Any) -> tuple[int, int, int]:
    items = (shape,) * 3 if np.ndim(shape) == 0 else tuple(shape)
    if len(items) != 3 or any(int(n) != n or n < 1 for n in items):
        raise ArgumentError(f"shape={shape!r} needs one or three whole numbers above zero")
    return (int(items[0]), int(items[1]), int(items[2]))


def _positive_triple(name: str, value: Any) -> Triple:
    triple = checks.triple(name, value)
    if min(triple) <= 0:
        raise ArgumentError(f"{name}={value!r} must be above zero")
    return triple


def _sizes(voxel_size: Any, dtype: np.dtype) -> Triple:
    sizes = _rounded("voxel_size", _positive_triple("voxel_size", voxel_size), dtype)
    if min(sizes) <= 0:
        raise ArgumentError(f"voxel_size={voxel_size!r} is zero in {dtype}, the type the points are computed in")
    return sizes


def _rounded(name: str, values: Triple, dtype: np.dtype) -> Triple:
    with np.errstate(over="ignore"):
        x, y, z = (float(dtype.type(value)) for value in values)
    if not np.isfinite((x, y, z)).all():
        raise ArgumentError(f"{name}={values!r} overflows {dtype}, the type the points are computed in")
    return (x, y, z)


def numbering(cells: tuple[int, int, int], clouds: int) -> None:
    """Refuse grids whose cells 63 bits cannot number."""
    if cells[0] * cells[1] * cells[2] * max(clouds, 1) >= 1 << 63:
        raise DataError(f"{clouds} grids of {cells} cells exceed 2**63 cells. Raise voxel_size or shrink bounds")


def bounded(grid: Grid, why: str) -> tuple[int, int, int]:
    """Cells an axis, where ``why`` cannot do without bounds."""
    if grid.shape is None:
        raise ArgumentError(f"{why} needs bounds, whose cells can be numbered; give them")
    return grid.shape
