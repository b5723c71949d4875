"""Exact statistics on the CPU: see ``_core.tally`` for what is gathered."""

from typing import Any, NamedTuple

import numpy as np

from .._core import tally
from ._jit import kernel, split, threads

MOST_PARTS = 8  # threads of a call, each with words and a histogram of its own
PARTS_BYTES = 1 << 28  # what the histograms of several threads may take together
CHUNK_BYTES = 1 << 22  # values converted or copied at a time

COUNT, STRANGE, LOW, HIGH, SUM = (np.int64(i) for i in range(5))
DIGIT, SIDE = np.int64(0xFFFFFFFF), np.int64(32)
NARROW_SQUARE, WIDE_SQUARE = np.int64(tally.NARROW.square), np.int64(tally.WIDE.square)
NARROW_LOWEST = np.int64(tally.NARROW.least - tally.NARROW.origin)  # bit of the least subnormal in the sum
WIDE_LOWEST = np.int64(tally.WIDE.least - tally.WIDE.origin)


class Gathered(NamedTuple):
    """What updates add to: words [part, feature, word] and counts [part, feature, bucket], None without sketch."""

    words: Any
    counts: Any
    bits: int
    form: tally.Form


@kernel(inline=True)
def _bucket(binade, fraction, digits, bits, half, negative):
    """Bucket of a number that is not zero, from its binade and fraction."""
    number = ((binade << bits) | (fraction >> (digits - bits))) + 1
    return half - number if negative else half + number


@kernel()
def _add_narrow(start, stop, parts, values, valid, words, counts, bits):
    n, features = values.shape
    half = np.int64(counts.shape[2] // 2)
    for part in range(start, stop):
        for i in range(n * part // parts, n * (part + 1) // parts):
            for f in range(features):
                if valid.shape[0] > 0 and not valid[i, f if valid.shape[1] > 1 else 0]:
                    continue
                raw = np.int64(values[i, f])
                magnitude, negative = raw & 0x7FFFFFFF, raw > 0x7FFFFFFF
                w = words[part, f]
                if magnitude >= 0x7F800000:
                    w[STRANGE] += 1
                    continue
                w[COUNT] += 1
                code = -magnitude if negative else magnitude
                w[LOW], w[HIGH] = min(w[LOW], code), max(w[HIGH], code)
                if magnitude == 0:
                    if half > 0:
                        counts[part, f, half] += 1
                    continue
                field, m = magnitude >> 23, magnitude & 0x7FFFFF
                if half > 0:
                    binade, fraction = field + 22, m
                    if field == 0:  # normalise, so that buckets of subnormals are as narrow as others
                        top = np.int64(0)
                        while m >> (top + 1):
                            top += 1
                        binade, fraction = top, (m << (23 - top)) & 0x7FFFFF
                    counts[part, f, _bucket(binade, fraction, 23, bits, half, negative)] += 1
                if field > 0:
                    m |= 0x800000
                    field -= 1
                place = field + NARROW_LOWEST
                at, moved = SUM + (place >> 5), m << (place & 31)
                low, high = moved & DIGIT, moved >> SIDE
                w[at] += -low if negative else low
                w[at + 1] += -high if negative else high
                m, place = m * m, 2 * place
                at, turn = NARROW_SQUARE + (place >> 5), place & 31
                low, high = (m & DIGIT) << turn, (m >> SIDE) << turn
                w[at] += low & DIGIT
                w[at + 1] += (low >> SIDE) + (high & DIGIT)
                w[at + 2] += high >> SIDE


@kernel(inline=True)
def _put(w, at, digit, turn, negative):
    """A digit of 32 bits, moved up by up to 31."""
    moved = digit << turn
    low, high = moved & DIGIT, moved >> SIDE
    w[at] += -low if negative else low
    w[at + 1] += -high if negative else high


@kernel()
def _add_wide(start, stop, parts, values, valid, words, counts, bits):
    n, features = values.shape
    half, least = np.int64(counts.shape[2] // 2), np.int64(0x10000000000000)
    for part in range(start, stop):
        for i in range(n * part // parts, n * (part + 1) // parts):
            for f in range(features):
                if valid.shape[0] > 0 and not valid[i, f if valid.shape[1] > 1 else 0]:
                    continue
                raw = values[i, f]
                magnitude, negative = raw & 0x7FFFFFFFFFFFFFFF, raw < 0
                w = words[part, f]
                if magnitude >= 0x7FF0000000000000:
                    w[STRANGE] += 1
                    continue
                w[COUNT] += 1
                code = -magnitude if negative else magnitude
                w[LOW], w[HIGH] = min(w[LOW], code), max(w[HIGH], code)
                if magnitude == 0:
                    if half > 0:
                        counts[part, f, half] += 1
                    continue
                field, m = magnitude >> 52, magnitude & (least - 1)
                if half > 0:
                    binade, fraction = field + 51, m
                    if field == 0:
                        top = np.int64(0)
                        while m >> (top + 1):
                            top += 1
                        binade, fraction = top, (m << (52 - top)) & (least - 1)
                    counts[part, f, _bucket(binade, fraction, 52, bits, half, negative)] += 1
                if field > 0:
                    m |= least
                    field -= 1
                place = field + WIDE_LOWEST
                at, turn = SUM + (place >> 5), place & 31
                low, high = m & DIGIT, m >> SIDE
                _put(w, at, low, turn, negative)
                _put(w, at + 1, high, turn, negative)
                place *= 2
                at, turn = WIDE_SQUARE + (place >> 5), place & 31
                # (low + high 2**32)**2 in digits; the square of low fills 64 bits, so it is taken unsigned.
                first = np.uint64(low) * np.uint64(low)
                cross, last = 2 * low * high, high * high
                _put(w, at, np.int64(first & np.uint64(0xFFFFFFFF)), turn, False)
                carried = np.int64(first >> np.uint64(32)) + (cross & DIGIT)
                _put(w, at + 1, carried & DIGIT, turn, False)
                carried = (carried >> SIDE) + (cross >> SIDE) + (last & DIGIT)
                _put(w, at + 2, carried & DIGIT, turn, False)
                _put(w, at + 3, (carried >> SIDE) + (last >> SIDE), turn, False)


def make(features: int, bits: int, form: tally.Form) -> Gathered:
    """See robocache.ops.stats.RunningStats."""
    size = features * form.buckets(bits) * 8
    parts = max(1, min(MOST_PARTS, threads(), PARTS_BYTES // max(size, 1)))
    words = np.zeros((parts, features, form.words), np.int64)
    words[..., tally.LOW], words[..., tally.HIGH] = tally.NONE_LOW, tally.NONE_HIGH
    return Gathered(
        words, np.zeros((parts, features, form.buckets(bits)), np.int64), bits, form
    )  # untouched: no memory


def add(rows: Any, valid: Any, gathered: Gathered) -> None:
    """See robocache.ops.stats.RunningStats."""
    wide = gathered.form is tally.WIDE
    function, unsigned = (_add_wide, np.int64) if wide else (_add_narrow, np.uint32)
    parts, everything = gathered.words.shape[0], np.zeros((0, 0), np.uint8)
    for block, marks in _blocks(rows, valid, gathered.form.dtype):
        split(
            function, parts, block.nbytes, parts, block.view(unsigned), everything if marks is None else marks,
            gathered.words, gathered.counts, gathered.bits,
        )  # fmt: skip


def _blocks(rows: Any, valid: Any, dtype: np.dtype) -> Any:
    """Rows as contiguous [n, D] of a type, and marks as contiguous [n, D] or [n, 1] bytes; a part at a time."""
    outer, inner, features = rows.shape
    if rows.dtype == dtype and rows.flags.c_contiguous and (valid is None or valid.flags.c_contiguous):
        marks = None if valid is None else valid.reshape(-1, valid.shape[2])
        yield rows.reshape(-1, features), marks
        return
    step = max(1, CHUNK_BYTES // max(1, inner * features * dtype.itemsize))
    length = max(1, CHUNK_BYTES // max(1, features * dtype.itemsize))
    for a in range(0, outer, step):
        for b in range(0, inner, length):  # one turn unless step is 1
            cut = slice(a, a + step), slice(b, b + length)
            with np.errstate(invalid="ignore"):  # of signalling NaN
                block = np.ascontiguousarray(rows[cut], dtype).reshape(-1, features)
            marks = None if valid is None else np.ascontiguousarray(valid[cut]).reshape(len(block), valid.shape[2])
            yield block, marks


def drain(gathered: Gathered) -> tuple[Any, Any, Any]:
    """See robocache.ops.stats.RunningStats."""
    words = gathered.words.sum(axis=0)
    words[:, tally.LOW] = gathered.words[..., tally.LOW].min(axis=0)
    words[:, tally.HIGH] = gathered.words[..., tally.HIGH].max(axis=0)
    gathered.words[...] = 0
    gathered.words[..., tally.LOW], gathered.words[..., tally.HIGH] = tally.NONE_LOW, tally.NONE_HIGH
    places, numbers = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for part in gathered.counts.reshape(len(gathered.counts), -1):
        found = np.flatnonzero(part)
        places.append(found)
        numbers.append(part[found])
        part[found] = 0
    return words, np.concatenate(places), np.concatenate(numbers)


def carry(gathered: Gathered) -> None:
    """See robocache.ops.stats.RunningStats."""
    form = gathered.form
    for first, count in ((tally.SUM, form.sum_digits), (form.square, form.square_digits)):
        digits = gathered.words[..., first : first + count]
        for k in range(count - 1):
            digits[..., k + 1] += digits[..., k] >> 32
            digits[..., k] &= 0xFFFFFFFF
