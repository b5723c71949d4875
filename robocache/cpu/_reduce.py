"""Rows of features to one row a group, to the same bits whatever the order of the points. See reduce.cu for how."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import dtypes
from ._jit import kernel, split

KINDS = ("mean", "sum", "max", "min")
PARTS = 8  # shares of the groups among threads: each share reads all ids, so more would only read more
INFINITE = 2047  # exponent field of Inf and NaN; then the sum holds flags: 1 NaN, 2 +Inf, 4 -Inf
SMALLEST = 62  # clamp of the exponent field, so that every factor is a normal number
LEAST, MOST = np.iinfo(np.int64).min, np.iinfo(np.int64).max
POWERS = np.ldexp(1.0, np.arange(-1022, 1024))  # POWERS[k + 1022] = 2**k


@kernel()
def _collect_exponents(start, stop, parts, ids, bits, exponents):
    low, high = exponents.shape[0] * start // parts, exponents.shape[0] * stop // parts
    for i in range(ids.shape[0]):
        if ids[i] >= low and ids[i] < high:
            for c in range(bits.shape[1]):
                exponent = np.int16((bits[i, c] >> 52) & 0x7FF)
                exponents[ids[i], c] = max(exponents[ids[i], c], exponent)


@kernel()
def _fraction_bits(count):
    """61 less the bits of the count."""
    left = np.int64(61)
    while count > 0:
        left -= 1
        count >>= 1
    return left


@kernel()
def _set_scales(start, stop, counts, exponents, powers, scales):
    """Units a one, for each group and channel; 0 marks Inf or NaN."""
    for g in range(start, stop):
        bits = _fraction_bits(counts[g])
        for c in range(exponents.shape[1]):
            exponent = np.int64(exponents[g, c])
            if exponent == INFINITE:
                scales[g, c] = 0.0
            else:
                scales[g, c] = powers[bits - (max(exponent, SMALLEST) - 1022) + 1022]


@kernel()
def _add_floats(start, stop, parts, ids, values, scales, sums):
    low, high = sums.shape[0] * start // parts, sums.shape[0] * stop // parts
    for i in range(ids.shape[0]):
        g = ids[i]
        if g >= low and g < high:
            for c in range(values.shape[1]):
                x, scale = values[i, c], scales[g, c]
                if scale != 0.0:
                    sums[g, c] += np.int64(np.rint(x * scale))
                elif not np.isfinite(x):
                    sums[g, c] |= 1 if x != x else (2 if x > 0 else 4)


@kernel()
def _add_integers(start, stop, parts, ids, values, sums):
    low, high = sums.shape[0] * start // parts, sums.shape[0] * stop // parts
    for i in range(ids.shape[0]):
        if ids[i] >= low and ids[i] < high:
            for c in range(values.shape[1]):
                sums[ids[i], c] += values[i, c]


@kernel()
def _raise_to(start, stop, parts, ids, codes, best):
    low, high = best.shape[0] * start // parts, best.shape[0] * stop // parts
    for i in range(ids.shape[0]):
        g = ids[i]
        if g >= low and g < high:
            for c in range(codes.shape[1]):
                best[g, c] = max(best[g, c], codes[i, c])


@kernel()
def _finish_floats(start, stop, counts, exponents, sums, powers, fill, mean, total, want_mean, want_sum):
    for g in range(start, stop):
        for c in range(sums.shape[1]):
            value = fill
            average = fill
            if counts[g] > 0 and exponents[g, c] == INFINITE:
                flags = sums[g, c]
                value = np.nan if (flags & 1) or (flags & 6) == 6 else (np.inf if flags & 2 else -np.inf)
                average = value
            elif counts[g] > 0:
                unit = powers[max(np.int64(exponents[g, c]), SMALLEST) - 1022 - _fraction_bits(counts[g]) + 1022]
                units = np.float64(sums[g, c])
                value = units * unit
                average = units / np.float64(counts[g]) * unit
            if want_mean:
                mean[g, c] = average
            if want_sum:
                total[g, c] = value


def widened(features: Any) -> Any:
    """Features [points, channels] as float64 or int64, which is exact; uint64 keeps its bits."""
    values = np.ascontiguousarray(features).reshape(features.shape[0] * features.shape[1], features.shape[2])
    return values.astype(np.float64 if features.dtype in dtypes.FLOATING else np.int64, copy=False)


def reduce(
    features: Any,
    ids: Any,
    counts: Any,
    kinds: tuple[str, ...],
    outs: tuple[Any, ...],
    cells: int,
    fill: tuple[float, int],
) -> None:
    """See robocache.ops.voxel.voxelize."""
    floating = features.dtype in dtypes.FLOATING
    wide = widened(features)
    wanted = dict(zip(kinds, outs, strict=True))
    if "mean" in wanted or "sum" in wanted:
        results = _sums(wide, ids, counts, wanted, fill) if floating else _integer_sums(wide, ids, counts, wanted, fill)
        for kind, result in results.items():
            store(wanted[kind], result, cells)
    for kind in ("max", "min"):
        if kind in wanted:

            def raise_to(codes: Any, best: Any) -> None:
                split(_raise_to, PARTS, codes.nbytes, PARTS, ids, codes, best)

            best = extreme(wide, counts.size, raise_to, kind == "min", features.dtype)
            best[counts == 0] = np.float64(fill[0]) if floating else np.int64(fill[1])
            store(wanted[kind], best, cells)


def _sums(values: Any, ids: Any, counts: Any, wanted: dict[str, Any], fill: tuple[float, int]) -> dict[str, Any]:
    groups, channels = counts.size, values.shape[1]
    exponents, sums = np.zeros((groups, channels), np.int16), np.zeros((groups, channels), np.int64)
    split(_collect_exponents, PARTS, values.nbytes, PARTS, ids, values.view(np.int64), exponents)
    scales = np.empty((groups, channels))
    split(_set_scales, groups, scales.nbytes, counts, exponents, POWERS, scales)
    split(_add_floats, PARTS, values.nbytes, PARTS, ids, values, scales, sums)
    mean, total = scales, sums.view(np.float64)  # each value is read before its place is written
    want_mean, want_sum = "mean" in wanted, "sum" in wanted
    split(
        _finish_floats, groups, sums.nbytes, counts, exponents, sums, POWERS, fill[0], mean, total, want_mean, want_sum
    )  # fmt: skip
    return {kind: array for kind, array in (("mean", mean), ("sum", total)) if kind in wanted}


def _integer_sums(
    values: Any, ids: Any, counts: Any, wanted: dict[str, Any], fill: tuple[float, int]
) -> dict[str, Any]:
    sums = np.zeros((counts.size, values.shape[1]), np.int64)
    split(_add_integers, PARTS, values.nbytes, PARTS, ids, values, sums)
    results: dict[str, Any] = {}
    empty = counts == 0
    if "mean" in wanted:
        results["mean"] = sums / np.maximum(counts, 1)[:, None]
        results["mean"][empty] = fill[0]
    if "sum" in wanted:
        results["sum"] = sums
        sums[empty] = fill[1]
    return results


def extreme(values: Any, groups: int, raise_to: Callable[[Any, Any], None], least: bool, dtype: np.dtype) -> Any:
    """Largest or least value of each group, as float64 or int64; codes are integers that grow with the value."""
    floating = values.dtype == np.float64
    codes = values.view(np.int64)
    if floating:
        codes = codes ^ ((codes >> 63) & MOST)
    elif dtype == np.uint64:
        codes = codes ^ LEAST
    if least:
        codes = ~codes
    if floating:
        codes[np.isnan(values)] = MOST
    best = np.full((groups, values.shape[1]), LEAST)
    raise_to(codes, best)
    nan = best == MOST
    if least:
        best = ~best
    if floating:
        best = (best ^ ((best >> 63) & MOST)).view(np.float64)
        best[nan] = np.nan
    elif dtype == np.uint64:
        best ^= LEAST
    return best


def store(out: Any, result: Any, cells: int) -> None:
    """Round to the type of ``out`` and move the channels to where they belong."""
    channels = result.shape[1]
    if cells:
        out = out.reshape(-1, channels, cells)
        result = result.reshape(-1, cells, channels).transpose(0, 2, 1)
    else:
        out = out.reshape(result.shape)
    with np.errstate(over="ignore"):
        if out.dtype in dtypes.HALF:  # by way of float32, as on the GPU
            result = result.astype(np.float32)
        out[...] = result.astype(out.dtype, copy=False)
