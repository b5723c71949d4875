"""Rows of features to one row a voxel, where the points of each voxel are known: to the same bits as ``_reduce``."""

from typing import Any

import numpy as np

from .._core import dtypes
from . import _reduce
from ._jit import kernel, split
from ._prefetch import AHEAD, prefetch
from ._reduce import INFINITE, SMALLEST

KINDS = (*_reduce.KINDS, "first", "mode")
Members = tuple[np.ndarray, np.ndarray, np.ndarray]  # points in order of voxels, where those of each begin and end


@kernel(inline=True)
def _exponent(x):
    return (np.float64(x).view(np.int64) >> 52) & INFINITE


@kernel(inline=True)
def _power(k):
    return np.int64((k + 1023) << 52).view(np.float64)


@kernel()
def _special(values, index, begin, end, c):
    """Sum of values that are not all finite."""
    flags = 0
    for j in range(begin, end):
        x = values[index[j], c]
        if not np.isfinite(x):
            flags |= 1 if x != x else (2 if x > 0 else 4)
    return np.nan if (flags & 1) or (flags & 6) == 6 else (np.inf if flags & 2 else -np.inf)


@kernel(inline=True)
def _alone(v, values, i, mean, total, want_mean, want_sum):
    """The sum of one point is itself, unless it is not finite or is among the smallest doubles; -0 becomes 0."""
    for c in range(values.shape[1]):
        x = values[i, c]
        if not (x == 0 or (_exponent(x) >= SMALLEST and _exponent(x) < INFINITE)):
            return False
        if want_mean:
            mean[v, c] = x + 0
        if want_sum:
            total[v, c] = x + 0
    return True


@kernel()
def _sum_floats(start, stop, values, index, begins, ends, mean, total, want_mean, want_sum):
    """Three channels at a time; where fewer are left, the last one again."""
    last = values.shape[1] - 1
    exponent, place, units = np.empty(3, np.int64), np.empty(3, np.int64), np.empty(3, np.int64)
    for v in range(start, stop):
        begin, end = begins[v], ends[v]
        for j in range(begin, end):
            prefetch(values, np.int64(index[min(j + AHEAD, index.shape[0] - 1)]))
        if end - begin == 1 and _alone(v, values, index[begin], mean, total, want_mean, want_sum):
            continue
        count = np.float64(end - begin)
        bits = 61 - (_exponent(count) - 1022)
        for first in range(0, last + 1, 3):
            second, third = min(first + 1, last), min(first + 2, last)
            a = b = c = np.int64(0)
            for j in range(begin, end):
                i = index[j]
                a = max(a, _exponent(values[i, first]))
                b = max(b, _exponent(values[i, second]))
                c = max(c, _exponent(values[i, third]))
            exponent[0], exponent[1], exponent[2] = a, b, c
            for k in range(3):
                place[k] = min(max(exponent[k], SMALLEST), INFINITE - 1) - 1022 - bits
            x_scale, y_scale, z_scale = _power(-place[0]), _power(-place[1]), _power(-place[2])
            a = b = c = np.int64(0)
            for j in range(begin, end):
                i = index[j]
                a += np.int64(np.rint(np.float64(values[i, first]) * x_scale))
                b += np.int64(np.rint(np.float64(values[i, second]) * y_scale))
                c += np.int64(np.rint(np.float64(values[i, third]) * z_scale))
            units[0], units[1], units[2] = a, b, c
            for k in range(3):
                channel = min(first + k, last)
                value = np.float64(units[k]) * _power(place[k])
                average = np.float64(units[k]) / count * _power(place[k])
                if exponent[k] == INFINITE:
                    value = average = _special(values, index, begin, end, channel)
                if want_mean:
                    mean[v, channel] = average
                if want_sum:
                    total[v, channel] = value


@kernel()
def _sum_integers(start, stop, values, index, begins, ends, mean, total, want_mean, want_sum):
    for v in range(start, stop):
        for c in range(values.shape[1]):
            units = np.int64(0)
            for j in range(begins[v], ends[v]):
                units += np.int64(values[index[j], c])
            if want_mean:
                mean[v, c] = np.float64(units) / np.float64(ends[v] - begins[v])
            if want_sum:
                total[v, c] = units


@kernel()
def _raise_members(start, stop, codes, index, begins, ends, best):
    for v in range(start, stop):
        for c in range(codes.shape[1]):
            most = codes[index[begins[v]], c]
            for j in range(begins[v] + 1, ends[v]):
                most = max(most, codes[index[j], c])
            best[v, c] = most


@kernel()
def _take_first(start, stop, values, index, begins, out):
    for v in range(start, stop):
        for c in range(values.shape[1]):
            out[v, c] = values[index[begins[v]], c]


@kernel()
def _take_mode(start, stop, values, index, begins, ends, out):
    most = np.int64(1)
    for v in range(start, stop):
        most = max(most, ends[v] - begins[v])
    room = np.empty(most, values.dtype)
    for v in range(start, stop):
        count = ends[v] - begins[v]
        for c in range(values.shape[1]):
            for j in range(count):
                room[j] = values[index[begins[v] + j], c]
            if count > 2:  # of two, the smaller
                room[:count].sort()
            elif count == 2 and room[1] < room[0]:
                room[0], room[1] = room[1], room[0]
            best, longest, run = room[0], np.int64(0), np.int64(0)
            for j in range(count):
                run = run + 1 if j and room[j] == room[j - 1] else np.int64(1)
                if run > longest:
                    best, longest = room[j], run
            out[v, c] = best


def bits_of(features: Any) -> np.ndarray:
    """Features [points, channels] as integers of their size, for what only moves them."""
    values = np.ascontiguousarray(features).reshape(features.shape[0] * features.shape[1], features.shape[2])
    return values.view(f"u{values.itemsize}")


def reduce_members(features: Any, members: Members, chosen: Any, kinds: tuple[str, ...], outs: tuple[Any, ...]) -> None:
    """See robocache.ops.voxel.voxelize: rows of voxels there are; those after them become zero.

    ``chosen`` is the point of each voxel that "first" takes, as an index and where in it.
    """
    index, begins, ends = members
    kept = begins.size
    wanted = dict(zip(kinds, outs, strict=True))
    for out in outs:
        out[kept:] = 0
    work = features.nbytes + 4 * index.nbytes
    if "mean" in wanted or "sum" in wanted:
        _sums(features, members, {kind: out[:kept] for kind, out in wanted.items()}, work)
    for kind in ("max", "min"):
        if kind in wanted:

            def raise_to(codes: Any, best: Any) -> None:
                split(_raise_members, kept, work, codes, index, begins, ends, best)

            best = _reduce.extreme(_reduce.widened(features), kept, raise_to, kind == "min", features.dtype)
            _reduce.store(wanted[kind][:kept], best, 0)
    if "first" in wanted:
        rows = bits_of(features)
        split(_take_first, kept, work, rows, *chosen, wanted["first"].view(rows.dtype))
    if "mode" in wanted:
        codes, best = _reduce.widened(features), np.empty((kept, features.shape[2]), np.int64)
        flip = _reduce.LEAST if features.dtype == np.uint64 else 0  # so that codes grow with the value
        split(_take_mode, kept, work, codes ^ flip, index, begins, ends, best)
        wanted["mode"][:kept] = (best ^ flip).astype(features.dtype)


def _sums(features: Any, members: Members, wanted: dict[str, Any], work: int) -> None:
    kept, channels = members[1].size, features.shape[2]
    floating, half = features.dtype in dtypes.FLOATING, features.dtype in dtypes.HALF
    if floating:  # the kernel widens what it reads
        values = np.ascontiguousarray(features).reshape(features.shape[0] * features.shape[1], channels)
        values = values.astype(dtypes.accumulator(features.dtype), copy=False)
    else:
        values = _reduce.widened(features)
    target, nothing = np.dtype(np.float32) if half else features.dtype, np.empty((0, 0))
    found = {
        kind: np.empty((kept, channels), target) if half else wanted[kind] for kind in ("mean", "sum") if kind in wanted
    }
    mean = found.get("mean", nothing.astype(target if floating else np.float64))
    total = found.get("sum", nothing.astype(target if floating else np.int64))
    flags = mean.size > 0, total.size > 0
    if floating:
        split(_sum_floats, kept, work, values, *members, mean, total, *flags)
    else:
        split(_sum_integers, kept, work, values, *members, mean, total, *flags)
    if half:
        for kind, result in found.items():
            with np.errstate(over="ignore"):
                wanted[kind][...] = result.astype(features.dtype)
