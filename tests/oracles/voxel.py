"""What voxelize and voxel_grid must give, point by point in Python numbers."""

import math
from fractions import Fraction

import ml_dtypes
import numpy as np

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
HALF = (np.dtype(np.float16), BFLOAT16)
INT32 = (-(2**31), 2**31 - 1)


def is_floating(dtype):
    return np.dtype(dtype) in (*HALF, np.dtype(np.float32), np.dtype(np.float64))


def cell(point, origin, size, shape=None, clamp=False):
    """Cell (x, y, z) of one point, or None."""
    real = np.float64 if point.dtype == np.float64 else np.float32
    found = []
    for axis in range(3):
        p = real(point[axis])
        with np.errstate(all="ignore"):
            quotient = float((p - real(origin[axis])) / real(size[axis]))
        if math.isnan(float(p)) or math.isinf(float(p)):
            return None
        low, high = INT32 if shape is None else (0, shape[axis] - 1)
        if not low <= quotient < high + 1:
            if not clamp:
                return None
            quotient = min(max(quotient, low), high)
        found.append(math.floor(quotient))
    return tuple(found)


def clouds(shape, lengths=None, offsets=None):
    """Point numbers of each cloud, counted over all points; ``shape`` is that of the points."""
    if offsets is not None:
        return [list(range(a, b)) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    if len(shape) == 2:
        return [list(range(shape[0]))]
    per = shape[1]
    lengths = [per] * shape[0] if lengths is None else lengths
    return [list(range(b * per, b * per + int(n))) for b, n in enumerate(lengths)]


def group(points, members, order="sorted", **grid):
    """Voxels (cloud, x, y, z) in order, the points of each, and dropped points of each cloud."""
    rows = points.reshape(-1, points.shape[-1])
    voxels, dropped = {}, []
    for cloud, inside in enumerate(members):
        lost = 0
        for p in inside:
            where = cell(rows[p], **grid)
            if where is None:
                lost += 1
            else:
                voxels.setdefault((cloud, *where), []).append(p)
        dropped.append(lost)
    names = sorted(voxels) if order == "sorted" else list(voxels)
    return names, [voxels[name] for name in names], dropped


def exact(values):
    """Sum of finite values as a fraction."""
    return sum((Fraction(float(v)) for v in values), Fraction(0))


def sum_bound(values):
    """How far the sum of floats may be from the exact one before it is rounded to float64."""
    n, top = len(values), max(abs(float(v)) for v in values)
    return Fraction(n) * max(Fraction(top), Fraction(1, 2**961)) / Fraction(2) ** (61 - n.bit_length())


def fixed_point(values, mean):
    """Sum or mean of floats as documented, in Python integers, as float64."""
    values = [float(v) for v in values]
    if not all(math.isfinite(v) for v in values):
        special = {v for v in values if math.isinf(v)}
        return math.nan if len(special) != 1 or any(math.isnan(v) for v in values) else special.pop()
    n = len(values)
    exponent = max(-960, *(math.frexp(v)[1] if v else -960 for v in values))
    fraction = 61 - n.bit_length()
    unit = Fraction(2) ** (exponent - fraction)
    units = float(sum(round(Fraction(v) / unit) for v in values))  # round() goes to even on ties
    if mean:
        units /= n
    return _nearest(Fraction(units) * unit)


def _nearest(number):
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def reduce(kind, values, dtype):
    """One channel of one voxel, in the type of the result."""
    dtype = np.dtype(dtype)
    if kind in ("max", "min"):
        if is_floating(dtype):
            if any(math.isnan(float(v)) for v in values):
                return dtype.type(np.nan)
            ordered = sorted(values, key=lambda v: (float(v), math.copysign(1, float(v))))
        else:
            ordered = sorted(values, key=int)
        return ordered[-1] if kind == "max" else ordered[0]
    if is_floating(dtype):
        with np.errstate(over="ignore"):
            number = np.float64(fixed_point(values, kind == "mean"))
            return np.float32(number).astype(dtype) if dtype in HALF else number.astype(dtype)
    total = sum(int(v) for v in values)
    return np.float64(total) / np.float64(len(values)) if kind == "mean" else np.int64(total)


def result_dtype(kind, dtype):
    dtype = np.dtype(dtype)
    if kind in ("max", "min") or is_floating(dtype):
        return dtype
    return np.dtype(np.int64 if kind == "sum" else np.float64)


def _rows(features, points):
    """Features [all points, F]."""
    channels = features.shape[-1] if features.ndim == points.ndim else 1
    return features.reshape(math.prod(points.shape[:-1]), channels)


def voxelize(points, features=None, *, reduce_by="mean", order="sorted", lengths=None, offsets=None, **grid):
    """Coords, features [M, F], counts, flat inverse, offsets and dropped."""
    features = points if features is None else features
    members = clouds(points.shape, lengths, offsets)
    names, inside, dropped = group(points, members, order, **grid)
    rows = _rows(features, points)
    reduced = np.zeros((len(names), rows.shape[1]), result_dtype(reduce_by, features.dtype))
    inverse = np.full(rows.shape[0], -1)
    for v, numbers in enumerate(inside):
        inverse[numbers] = v
        for c in range(rows.shape[1]):
            reduced[v, c] = reduce(reduce_by, list(rows[numbers, c]), features.dtype)
    return {
        "coords": np.array([name[1:] for name in names], np.int32).reshape(-1, 3),
        "features": reduced,
        "counts": np.array([len(numbers) for numbers in inside], np.int32),
        "inverse": inverse,
        "offsets": np.array([sum(name[0] < b for name in names) for b in range(len(members) + 1)]),
        "dropped": np.array(dropped, np.int64),
    }


def voxel_grid(points, features=None, *, kind, shape, fill=0, lengths=None, offsets=None, **grid):
    """Dense result [B, X, Y, Z] or [B, X, Y, Z, F], and dropped points of each cloud."""
    features = points if features is None else features
    members = clouds(points.shape, lengths, offsets)
    names, inside, dropped = group(points, members, shape=shape, **grid)
    rows = _rows(features, points)
    dense = {"occupancy": np.bool_, "count": np.int32, "density": np.float32}
    if kind in dense:
        out = np.zeros((len(members), *shape), dense[kind])
        for name, numbers in zip(names, inside, strict=True):
            out[name] = {
                "occupancy": True,
                "count": len(numbers),
                "density": np.float32(np.float64(len(numbers)) / max(len(members[name[0]]), 1)),
            }[kind]
        return out, np.array(dropped, np.int64)
    out = np.full((len(members), *shape, rows.shape[1]), fill, result_dtype(kind, features.dtype))
    for name, numbers in zip(names, inside, strict=True):
        for c in range(rows.shape[1]):
            out[(*name, c)] = reduce(kind, list(rows[numbers, c]), features.dtype)
    return out, np.array(dropped, np.int64)
