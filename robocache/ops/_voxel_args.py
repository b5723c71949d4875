"""Checks of what ``voxelize`` and ``voxel_grid`` are given and where they write to."""

import math
import os
from typing import Any, NamedTuple

import numpy as np

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataError, DTypeError, MemoryLimitError, ShapeError
from ._outputs import apart, fits

REDUCTIONS = ("mean", "sum", "max", "min")
OWN = ("first", "mode")  # of sets only
COARSER = "Use a coarser grid, fewer clouds at a time, or voxelize, which stores occupied voxels only"
DENSE = ("occupancy", "count", "density")
OUTSIDE = ("drop", "clamp", "raise")
CHECKS = ("auto", "strict", "none")


class Rows(NamedTuple):
    """How points fall into clouds. Mode 0: one cloud a row; 1: the same, cut by ``extent`` = lengths; 2: by offsets."""

    mode: int
    clouds: int
    total: int
    extent: Any


def points_rows(points: Any, lengths: Any, offsets: Any) -> tuple[Any, Rows]:
    """Points as [rows, points, channels] and their clouds."""
    checks.ndim("points", points, (2, 3), "[N, C] or [B, N, C] with C >= 3")
    checks.dtype("points", points, dtypes.FLOATING, "Cast them to float32")
    if points.shape[-1] < 3:
        raise ShapeError(f"points has shape {tuple(points.shape)}; the last axis must hold x, y, z and may hold more")
    total = points.shape[0] * (points.shape[1] if points.ndim == 3 else 1)
    if total >= 1 << 31:
        raise ShapeError(f"points holds {total} points; one call takes fewer than 2**31. Pass fewer clouds at a time")
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


def result_dtype(kind: str, dtype: np.dtype) -> np.dtype:
    """Type of a result, given that of the features."""
    dense = {"occupancy": dtypes.boolean, "count": dtypes.int32, "density": dtypes.float32}
    if kind in dense:
        return dense[kind]
    if kind in ("max", "min", *OWN) or dtype in dtypes.FLOATING:
        return dtype
    return dtypes.int64 if kind == "sum" else dtypes.float64


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
    if "mode" in kinds and features.dtype in dtypes.FLOATING:
        raise DTypeError(f"features has dtype {features.dtype}, but reduce='mode' is for labels. Cast them to integers")
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


def max_voxels_of(max_voxels: Any) -> int | None:
    """Rows of a result, or None for as many as there are voxels."""
    if max_voxels is not None and (not isinstance(max_voxels, (int, np.integer)) or max_voxels < 0):
        raise ArgumentError(f"max_voxels={max_voxels!r} must be a whole number, zero or more, or None")
    return None if max_voxels is None else int(max_voxels)


def fill_value(fill: Any, kinds: tuple[str, ...], dtype: np.dtype) -> tuple[float, int]:
    """``fill`` as a float and as 64 bits of an integer; refused if an integer result cannot hold it."""
    try:
        number = int(fill) if isinstance(fill, (int, np.integer)) else float(fill)
    except (TypeError, ValueError):
        raise ArgumentError(f"fill={fill!r} is not a number") from None
    integers = [np.dtype(np.int64)] if "sum" in kinds and dtype not in dtypes.FLOATING else []
    if dtype not in dtypes.FLOATING and ("max" in kinds or "min" in kinds):
        integers.append(dtype)
    for kind in integers:
        low, high = (0, 1) if kind == dtypes.boolean else (np.iinfo(kind).min, np.iinfo(kind).max)
        if number != number or not low <= number <= high or int(number) != number:
            raise ArgumentError(f"fill={fill!r} does not fit the result's dtype {kind}")
    whole = int(number) if integers else 0
    return float(number), whole - (1 << 64) if whole >= 1 << 63 else whole


def require_memory(call: Any, needed: int, what: str, remedy: str = COARSER) -> None:
    """Refuse a result that cannot fit, before it is allocated. Small ones are not looked at."""
    free = _free_gpu if call.backend == "cuda" else _free_cpu
    if needed <= (1 << 28 if call.backend == "cuda" else 1 << 30):
        return
    available = free()
    if available is not None and needed > available:
        raise MemoryLimitError(
            f"{what} needs {needed / 2**30:.1f} GiB with its scratch memory, but {available / 2**30:.1f} GiB are free. "
            f"{remedy}"
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


def options(outside: str, check: str) -> None:
    """Refuse unknown words."""
    checks.choice("outside", outside, OUTSIDE)
    checks.choice("check", check, CHECKS)


def dense_options(
    reduce: Any, outside: str, check: str, channels: str, bounds: Any, voxel_size: Any, shape: Any
) -> tuple[str, ...]:
    """Reductions wanted of a dense grid, the other options checked."""
    kinds = reductions(reduce, DENSE + REDUCTIONS)
    options(outside, check)
    checks.choice("channels", channels, ("last", "first"))
    if (voxel_size is None) == (shape is None):
        raise ArgumentError("give exactly one of voxel_size and shape")
    if bounds is None:
        raise ArgumentError("bounds=None; a dense grid needs bounds")
    return kinds


def refuse_dropped(dropped: Any) -> None:
    """Raise if any point was dropped. # synchronizes"""
    total = int(dropped.sum())  # synchronizes
    if total:
        raise DataError(f"{total} points lie outside the grid or are not finite, and outside='raise'")


def dense_results(
    kinds: tuple[str, ...], points: Any, values: Any, leading: tuple[int, ...], channels: str, fill: Any,
    weighted: bool = False,
) -> tuple[Any, list[tuple[int, ...]], list[np.dtype], tuple[float, int]]:  # fmt: skip
    """Features to reduce (None if nothing is), and of each result its shape and type; ``fill`` as kernels take it."""
    count = dtypes.float32 if weighted else dtypes.int32
    if not any(kind in REDUCTIONS for kind in kinds):
        plain = {"count": count}
        return None, [leading] * len(kinds), [plain.get(k, result_dtype(k, dtypes.float32)) for k in kinds], (0.0, 0)
    features = feature_rows(points if values is None else values, points, kinds)
    shapes, depth = [], features.shape[2]
    flat = values is not None and values.ndim == points.ndim - 1
    for kind in kinds:
        if flat or kind not in REDUCTIONS:
            shapes.append(leading)
        else:
            shapes.append((*leading, depth) if channels == "last" else (*leading[:-3], depth, *leading[-3:]))
    real = features.dtype if features.dtype in dtypes.FLOATING or not weighted else dtypes.float64
    types = [count if kind == "count" else result_dtype(kind, real) for kind in kinds]
    return features, shapes, types, fill_value(fill, kinds, real)


def targets(out: Any, kinds: tuple[str, ...], several: bool) -> dict[str, Any]:
    """Outputs of the caller by the names they have in messages."""
    if out is None:
        return {}
    outs = tuple(out) if several and isinstance(out, (tuple, list)) else (out,)
    if len(outs) != len(kinds):
        raise ArgumentError(f"out holds {len(outs)} arrays but reduce names {len(kinds)}; give one for each")
    names = [f"out[{i}]" for i in range(len(outs))] if several else ["out"]
    for name, target in zip(names, outs, strict=True):
        interop.writable(name, target)
    return dict(zip(names, outs, strict=True))


def check_targets(
    targets: dict[str, Any], natives: list[Any], shapes: list[Any], types: list[Any], reads: Any, xp: Any
) -> None:
    """Refuse outputs that the results do not fit, or that overlap what is read or one another."""
    for name, native, shape, dtype in zip(targets, natives, shapes, types, strict=True):
        fits(name, native, shape, dtype)
        others = {other: array for other, array in zip(targets, natives, strict=True) if other != name}
        apart(name, native, reads | others, xp)


def require_room(
    call: Any, rows: Any, kinds: tuple[str, ...], shapes: list[Any], types: list[Any], feature: Any, given: bool
) -> None:
    """Refuse a dense result that would not fit into memory."""
    sizes = [math.prod(s) for s in shapes]
    needed = 0 if given else sum(n * t.itemsize for n, t in zip(sizes, types, strict=True))
    slots = max((n for n, kind in zip(sizes, kinds, strict=True) if kind in REDUCTIONS), default=0)
    if feature is not None:  # an accumulator a reduction, an exponent a sum, a count a cell, a cell a point
        accumulators = len({"sum" if kind in ("sum", "mean") else kind for kind in kinds if kind in REDUCTIONS})
        needed += slots * (8 * accumulators + 4) + 4 * slots // max(feature.shape[2], 1) + 8 * rows.total
    require_memory(call, needed, f"voxel_grid of shape {tuple(shapes[0])}")
