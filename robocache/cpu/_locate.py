"""Order of the stamps, and bracketing sample, weight, validity and age of every target time."""

import functools
from typing import Any

import numpy as np
from numba import int64, void

from .._core import jobs
from ._address import call, passed, stack, view
from ._jit import kernel, native

NEAREST, PREVIOUS, NEXT, LINEAR = jobs.NEAREST, jobs.PREVIOUS, jobs.NEXT, jobs.LINEAR
FILL, EXTRAPOLATE = jobs.FILL, jobs.EXTRAPOLATE
NAT = np.iinfo(np.int64).min
CHUNK = 1024  # targets of an item of work: their index and weight stay in the first cache
SCRATCH = 2 * CHUNK
NEAR = 8  # stamps compared at once (by ``passed``) before galloping: there is nothing to mispredict in that
BLOCK = 64  # stamps whose order is checked at once

# Words of the arguments. LATENCY, TOLERANCE and MAX_GAP are of the type of the stamps' differences; TIMES and the like
# are addresses, 0 for what is not there; rows and steps of arrays are apart by so many bytes. INDEX and WEIGHT are kept
# for a number of items, KEPT, after which they repeat, with as many targets an item as the longest has.
# Numba stores ``_blend`` and ``_again`` compiled with these numbers and looks at those files only: whoever changes them
# must touch those.
SAMPLES, METHOD, OUTSIDE, REACH, CHECK, LATENCY, TOLERANCE, MAX_GAP, TIMES, TIME_ROW, LENGTHS, OFFSETS = range(12)
TARGETS, TARGET_ROW, AGE, STEPS, VALID, COLUMNS, BLEND, VALUES, VALUE_ROW, VALUE_STEP, FEATURES = range(12, 23)
OUT, OUT_ROW, OUT_STEP, INDEX, WEIGHT, KEPT, FILLER, WORDS = range(23, 31)


@kernel(inline=True)
def _proper(t):
    """Neither NaN, infinite nor NaT."""
    if isinstance(t, np.int64):
        return t != NAT
    return np.isfinite(t)


@kernel(inline=True)
def gap(later, earlier):
    """``later - earlier`` for ``later >= earlier``: exact in unsigned 64 bits for integers, float64 otherwise."""
    if isinstance(later, np.int64):
        return np.uint64(later) - np.uint64(earlier)
    return np.float64(later) - np.float64(earlier)


@kernel(inline=True)
def _captured(t, latency):
    """When a sample was taken, rounded to the stamps' type: the time that a clock following this stream asks for."""
    if isinstance(t, np.int64):
        return t - latency
    return type(t)(np.float64(t) - latency)


@kernel(inline=True)
def _age(q, t):
    """``q - t``, saturating for integers."""
    if isinstance(q, np.int64):
        if q >= t:
            return np.int64(min(np.uint64(q) - np.uint64(t), np.uint64(0x7FFFFFFFFFFFFFFF)))
        return -np.int64(min(np.uint64(t) - np.uint64(q), np.uint64(0x7FFFFFFFFFFFFFFF)))
    return np.float64(q) - np.float64(t)


@kernel(inline=True)
def _no_age(q):
    if isinstance(q, np.int64):
        return np.int64(NAT)
    return np.nan


@kernel(inline=True)
def _upper(row, n, q, latency, hint):
    """First of the n samples whose stamp is above q; ``hint`` is where the last target ended, since most rise."""
    low, high = np.int64(0), np.int64(n)
    if 0 < hint <= n and _captured(row[hint - 1], latency) <= q:
        low = hint
        if hint + NEAR > n:
            for i in range(hint, n):
                low += _captured(row[i], latency) <= q
            return low
        near = passed(row[hint:], latency, q)
        low += near
        if near < NEAR:
            return low
        step = np.int64(1)
        while low + step < n and _captured(row[low + step - 1], latency) <= q:
            low += step
            step *= 2
        high = min(np.int64(n), low + step)
    while low < high:
        middle = (low + high) >> 1
        if _captured(row[middle], latency) <= q:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(inline=True)
def _lower(row, n, q, latency):
    """First of the n samples not taken before q."""
    low, high = np.int64(0), np.int64(n)
    while low < high:
        middle = (low + high) >> 1
        if _captured(row[middle], latency) < q:
            low = middle + 1
        else:
            high = middle
    return low


@kernel()
def first_fault(row, low, high):
    """First sample in [low, high) out of order or not finite, or -1."""
    if low == 0 and high > 0 and not _proper(row[0]):
        return np.int64(0)
    for first in range(max(low, 1), high, BLOCK):
        here, before = row[first : min(high, first + BLOCK)], row[first - 1 : high - 1]
        bad = False
        for i in range(here.size):  # without a way out, so that the compiler vectorises it
            bad |= (not _proper(here[i])) | (not (before[i] <= here[i]))
        if bad:
            for i in range(here.size):
                if not _proper(here[i]) or not (before[i] <= here[i]):
                    return first + i
    return np.int64(-1)


@kernel()
def too_coarse(row, low, high):
    """Whether stamps of float32 are further from zero than their spacing allows."""
    coarse = False
    for i in range(max(low, 1), high):
        t, last = np.float64(row[i]), np.float64(row[i - 1])
        step = t - last
        coarse |= step > 0 and max(abs(t), abs(last)) * 2.0**-24 > step / 100
    return coarse


@kernel(inline=True)
def _bracket(row, n, q, latency, hint, method, outside, reach, tolerance, max_gap):
    """(sample or -1, weight towards the next, real, age, is outside, where the search ended) of one target."""
    upper = _upper(row, n, q, latency, hint)
    single = n == 1
    before = upper == 0
    after = upper == n and q > _captured(row[n - 1], latency)
    if single or before or after:
        i = np.int64(0) if (before or single) else np.int64(n - 1)
        t = _captured(row[i], latency)
        age = _age(q, t)
        apart = gap(t, q) if before else gap(q, t)
        inside = (not before and not after) or (single and reach and apart <= tolerance)
        if outside == FILL and not inside:
            return np.int64(-1), 0.0, False, _no_age(q), True, upper
        if inside or outside != EXTRAPOLATE or method != LINEAR or single:
            return i, 0.0, inside, age, not inside, upper
        j = _upper(row, n, t, latency, 0) - 1 if before else _lower(row, n, t, latency) - 1
        if not 0 <= j < n - 1:  # all stamps are equal: there is no line to follow
            return i, 0.0, False, age, True, upper
        left = _captured(row[j], latency)
        span = np.float64(gap(_captured(row[j + 1], latency), left))
        distance = -np.float64(gap(left, q)) if before else np.float64(gap(q, left))
        return j, distance / span, False, age, True, upper
    i = upper - 1
    t = _captured(row[i], latency)
    past = gap(q, t)
    if past == 0:  # exact hit: the last sample of a run of equal stamps, the first for "next"
        used = _lower(row, n, q, latency) if method == NEXT else i
        return used, 0.0, True, _age(q, t), False, upper
    later = _captured(row[upper], latency)
    ahead = gap(later, q)
    bracket = gap(later, t)
    used, apart, weight = i, past, 0.0
    if method == NEXT:
        used, apart = upper, ahead
    elif method == NEAREST and ahead < past:  # the last sample of a run of equal stamps
        used, apart = _upper(row, n, later, latency, upper) - 1, ahead
    elif method == LINEAR:
        weight = np.float64(past) / np.float64(bracket)
        apart = min(past, ahead)
    real = bracket <= max_gap and apart <= tolerance
    return used, weight, real, _age(q, later if used > i else t), False, upper


@kernel(inline=True)
def _extent(words, b):
    """First sample and number of samples of row b, packed, padded or full."""
    if words[OFFSETS]:
        offsets = view(words[OFFSETS] + 8 * b, 2, np.int64)
        return offsets[0], offsets[1] - offsets[0]
    if words[LENGTHS]:
        return np.int64(0), view(words[LENGTHS] + 8 * b, 1, np.int64)[0]
    return np.int64(0), words[SAMPLES]


@kernel(inline=True)
def _kept(words, item):
    """Where index and weight of an item are kept."""
    at = 8 * min(words[STEPS], CHUNK) * (item % words[KEPT])
    return words[INDEX] + at, words[WEIGHT] + at


@native(void(int64, int64, int64, int64))
def blend_kept(start, stop, args, report):
    """Blend items whose index and weight are kept."""
    words = view(args, WORDS, np.int64)
    for item in range(start, stop):
        index, weight = _kept(words, item)
        call(words[BLEND], item, index, weight, args)


@functools.cache
def locator(stamp: Any) -> Any:
    """The C function that aligns items [start, stop): index and weight of an item's targets, then their features.

    It reports how many targets lie outside, row and sample of the first fault or -1, and whether stamps are too coarse.
    """
    size = np.dtype(stamp).itemsize
    integer = stamp is np.int64
    distance, limit = (np.int64, np.uint64) if integer else (np.float64, np.float64)

    @native(void(int64, int64, int64, int64))
    def locate(start, stop, args, report):
        words, spans, limits = view(args, WORDS, np.int64), view(args, WORDS, distance), view(args, WORDS, limit)
        steps, method, outside, reach = words[STEPS], words[METHOD], words[OUTSIDE], words[REACH] != 0
        latency, tolerance, max_gap = spans[LATENCY], limits[TOLERANCE], limits[MAX_GAP]
        scratch = stack(SCRATCH)
        found = view(report, 4, np.int64)
        found[0], found[1], found[2], found[3] = 0, -1, -1, 0
        shares = max(1, (steps + CHUNK - 1) // CHUNK)
        for item in range(start, stop):
            b, share = item // shares, item % shares
            begin, n = _extent(words, b)
            row = view(words[TIMES] + b * words[TIME_ROW] + begin * size, n, stamp)
            if words[CHECK]:  # each item checks its share of the row
                low, high = n * share // shares, n * (share + 1) // shares
                fault = first_fault(row, low, high)
                if fault >= 0:
                    found[1], found[2] = b, fault
                    return
                if stamp is np.float32 and too_coarse(row, low, high):
                    found[3] = 1
            first = share * CHUNK
            count = min(steps - first, CHUNK)
            goals = view(words[TARGETS] + b * words[TARGET_ROW] + first * size, count, stamp)
            flags = view(words[VALID] + (b * steps + first) * words[COLUMNS], count * words[COLUMNS], np.uint8)
            ages = view(words[AGE] + (b * steps + first) * words[COLUMNS] * size, count * words[COLUMNS], stamp)
            to, weigh = (_kept(words, item)) if words[INDEX] else (scratch, scratch + 8 * CHUNK)
            index, weight = view(to, count, np.int64), view(weigh, count, np.float64)
            hint = np.int64(0)
            for k in range(count):
                q = goals[k]
                at, w, good, old, missed = np.int64(-1), 0.0, False, _no_age(q), False
                if n > 0 and _proper(q):
                    at, w, good, old, missed, hint = _bracket(
                        row, n, q, latency, hint, method, outside, reach, tolerance, max_gap
                    )
                    found[0] += missed
                index[k] = at + begin if at >= 0 else at
                weight[k] = w
                if words[VALID]:
                    flags[k * words[COLUMNS]] = good
                if words[AGE]:
                    ages[k * words[COLUMNS]] = old
            if words[BLEND]:
                call(words[BLEND], item, to, weigh, args)

    return locate
