"""Checks of what ``voxelize`` and ``voxel_grid`` are given, and the two records their twins take."""

import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataError, DTypeError, MemoryLimitError, ShapeError

REDUCTIONS = ("mean", "sum", "max", "min")
DENSE = ("occupancy", "count", "density")
OUTSIDE = ("drop", "clamp", "raise")
CHECKS = ("auto", "strict", "none")
SLACK = 1e-3  # cells by which bounds may miss a whole number of voxels

Triple = tuple[float, float, float]


class Rows(NamedTuple):
    """How points fall into clouds. Mode 0: one cloud a row; 1: the same, cut by ``extent`` = lengths; 2: by offsets."""

    mode: int
    clouds: int
    total: int
    extent: Any


class Grid(NamedTuple):
    """Origin and size of cells, rounded to the type of the arithmetic, and cells an axis if there are bounds."""

    origin: Triple
    size: Triple
    shape: tuple[int, int, int] | None
    clamp: bool


def points_rows(points: Any, lengths: Any, offsets: Any) -> tuple[Any, Rows]:
    """Points as [rows, points, channels] and their clouds."""
    checks.ndim("points", points, (2, 3), "[N, C] or [B, N, C] with C >= 3")
    checks.dtype("points", points, dtypes.FLOATING, "Cast them to float32")
    if points.shape[-1] < 3:
        raise ShapeError(f"points has shape {tuple(points.shape)}; the last axis must hold x, y, z and may hold more")
    total = points.shape[0] * (points.shape[1] if points.ndim == 3 else 1)
    if lengths is not None and offsets is not None:
        raise ArgumentError("lengths and offsets exclude each other; lengths are for [B, N, C], offsets for [N, C]")
    if offsets is not None:
        _extent("offsets", offsets)
        if points.ndim != 2:
            raise ShapeError(f"offsets need packed points [N, C]; points has shape {tuple(points.shape)}")
        if offsets.shape[0] == 0:
            raise ShapeError("offsets has shape (0,); expected one entry more than there are clouds")
        return points[None], Rows(2, offsets.shape[0] - 1, total, offsets)
    if lengths is not None:
        _extent("lengths", lengths)
        if points.ndim != 3 or lengths.shape[0] != points.shape[0]:
            raise ShapeError(
                f"lengths has shape {tuple(lengths.shape)} and points {tuple(points.shape)}; "
                "expected [B] beside [B, N, C]"
            )
        return points, Rows(1, points.shape[0], total, lengths)
    stacked = points if points.ndim == 3 else points[None]
    return stacked, Rows(0, stacked.shape[0], total, None)


def _extent(name: str, array: Any) -> None:
    checks.ndim(name, array, (1,), "one axis")
    checks.dtype(name, array, frozenset({dtypes.int32, dtypes.int64}), "Cast it to int64")


def feature_rows(features: Any, points: Any, kinds: tuple[str, ...]) -> Any:
    """Features as [rows, points, channels]; ``points`` are as the caller gave them."""
    leading = tuple(points.shape[:-1])
    if features.ndim not in (points.ndim - 1, points.ndim) or tuple(features.shape[: len(leading)]) != leading:
        raise ShapeError(
            f"features has shape {tuple(features.shape)} but points {tuple(points.shape)}; "
            f"expected {leading} or {leading} and one axis of channels"
        )
    checks.dtype("features", features, dtypes.VALUES, "Cast them to float32")
    sums = [kind for kind in kinds if kind in ("sum", "mean")]
    if sums and features.dtype.kind in "iu" and features.dtype.itemsize == 8:
        raise DTypeError(
            f"features has dtype {features.dtype}, of which a {sums[0]} could overflow; "
            "cast them to int32 or float64, or reduce by max or min"
        )
    if features.ndim == points.ndim - 1:
        features = features[..., None]
    return features if features.ndim == 3 else features[None]


def reductions(reduce: Any, allowed: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the reductions wanted, each once."""
    kinds = tuple(reduce) if isinstance(reduce, (tuple, list)) else (reduce,)
    for kind in kinds:
        checks.choice("reduce", kind, allowed)
    if not kinds or len(set(kinds)) != len(kinds):
        raise ArgumentError(f"reduce={reduce!r} must name at least one reduction, and each once")
    return kinds


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
    low, high = _corners(bounds)
    if origin is not None and any(checks.triple("origin", origin)):
        raise ArgumentError(f"origin={origin!r} has no say beside bounds; the lower bound is the origin")
    if shape is not None:
        cells = _shape(shape)
        size = tuple((b - a) / n for a, b, n in zip(low, high, cells, strict=True))
    else:
        size = _positive_triple("voxel_size", voxel_size)
        cells = _cells(low, high, size)
    if max(cells) > 0x7FFFFFFF:
        raise ArgumentError(f"the grid has {cells} cells; coordinates are int32, so no axis may hold more than 2**31 - 1")
    return Grid(_rounded("bounds", low, dtype), _sizes(size, dtype), cells, clamp)  # type: ignore[arg-type]


def _corners(bounds: Any) -> tuple[Triple, Triple]:
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


def fill_value(fill: Any, kinds: tuple[str, ...], dtype: np.dtype) -> tuple[float, int]:
    """``fill`` as a float and as 64 bits of an integer; refused if an integer result cannot hold it."""
    number = fill if isinstance(fill, (int, np.integer)) else float(fill)
    integers = [np.dtype(np.int64)] if "sum" in kinds and dtype not in dtypes.FLOATING else []
    if dtype not in dtypes.FLOATING and ("max" in kinds or "min" in kinds):
        integers.append(dtype)
    for kind in integers:
        low, high = (0, 1) if kind == dtypes.boolean else (np.iinfo(kind).min, np.iinfo(kind).max)
        if number != number or not low <= number <= high or int(number) != number:
            raise ArgumentError(f"fill={fill!r} does not fit the result's dtype {kind}")
    whole = int(number) if integers else 0
    return float(number), whole - (1 << 64) if whole >= 1 << 63 else whole


def require_memory(call: Any, needed: int, what: str) -> None:
    """Refuse a result that cannot fit, before it is allocated. Small ones are not looked at."""
    free = _free_gpu if call.backend == "cuda" else _free_cpu
    if needed <= (1 << 28 if call.backend == "cuda" else 1 << 30):
        return
    available = free()
    if available is not None and needed > available:
        raise MemoryLimitError(
            f"{what} needs {needed / 2**30:.1f} GiB with its scratch memory, but {available / 2**30:.1f} GiB are free. "
            "Use a coarser grid, fewer clouds at a time, or voxelize, which stores occupied voxels only"
        )


def _free_gpu() -> int:
    import cupy

    free, _ = cupy.cuda.runtime.memGetInfo()
    return int(free) + int(cupy.get_default_memory_pool().free_bytes())


def _free_cpu() -> int | None:
    try:
        with open("/proc/meminfo", encoding="ascii") as lines:
            for line in lines:
                if line.startswith("MemAvailable:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return None


Empty = Callable[[tuple[int, ...], np.dtype], Any]
