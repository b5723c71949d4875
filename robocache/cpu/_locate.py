"""Order of the stamps, and bracketing sample, weight, validity and age of every target time."""

from typing import Any

import numpy as np

from .._core import dtypes, jobs
from .._core.jobs import Job
from ._jit import kernel

NEAREST, PREVIOUS, NEXT, LINEAR = jobs.NEAREST, jobs.PREVIOUS, jobs.NEXT, jobs.LINEAR
FILL, EXTRAPOLATE = jobs.FILL, jobs.EXTRAPOLATE
NAT = np.iinfo(np.int64).min
CHUNK = 1024  # targets of an item of work, which also checks as large a part of the row's stamps
NEAR = 8  # stamps looked at one by one before galloping: a loop that ends where it is expected costs little
EMPTY = np.empty(0, np.int64)
NO_MASK = np.empty((0, 0, 0), np.bool_)


@kernel(inline=True)
def _proper(t):
    """Neither NaN, infinite nor NaT."""
    if isinstance(t, np.int64):
        return t != NAT
    return np.isfinite(t)


@kernel(inline=True)
def _gap(later, earlier):
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
def _upper(times, start, n, q, latency, hint):
    """First of the n samples whose stamp is above q; ``hint`` is where the last target ended, since most rise."""
    low, high = np.int64(0), np.int64(n)
    if 0 < hint <= n and _captured(times[start + hint - 1], latency) <= q:
        low = hint
        near = min(np.int64(n), low + NEAR)
        while low < near and _captured(times[start + low], latency) <= q:
            low += 1
        if low == near and near < n:  # not within the next few: gallop
            step = np.int64(1)
            while low + step < n and _captured(times[start + low + step - 1], latency) <= q:
                low += step
                step *= 2
            high = min(np.int64(n), low + step)
        else:
            high = low
    while low < high:
        middle = (low + high) >> 1
        if _captured(times[start + middle], latency) <= q:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(inline=True)
def _lower(times, start, n, q, latency):
    """First of the n samples not taken before q."""
    low, high = np.int64(0), np.int64(n)
    while low < high:
        middle = (low + high) >> 1
        if _captured(times[start + middle], latency) < q:
            low = middle + 1
        else:
            high = middle
    return low


@kernel()
def _first_fault(times, start, low, high, coarse_check):
    """First sample in [low, high) out of order or not finite, or -1; and whether float32 stamps are too coarse."""
    coarse = False
    for i in range(low, high):
        t = times[start + i]
        if not _proper(t) or (i > 0 and not (times[start + i - 1] <= t)):
            return i, coarse
        if coarse_check and i > 0:
            step = np.float64(t) - np.float64(times[start + i - 1])
            reach = max(abs(np.float64(t)), abs(np.float64(times[start + i - 1])))
            coarse |= step > 0 and reach * 2.0**-24 > step / 100
    return np.int64(-1), coarse


@kernel(inline=True)
def _bracket(times, o, n, q, latency, hint, method, outside, reach, tolerance, max_gap):
    """(sample or -1, weight towards the next, real, age, is outside, where the search ended) of one target."""
    upper = _upper(times, o, n, q, latency, hint)
    single = n == 1
    before = upper == 0
    after = upper == n and q > _captured(times[o + n - 1], latency)
    if single or before or after:
        i = np.int64(0) if (before or single) else np.int64(n - 1)
        t = _captured(times[o + i], latency)
        age = _age(q, t)
        apart = _gap(t, q) if before else _gap(q, t)
        inside = (not before and not after) or (single and reach and apart <= tolerance)
        if outside == FILL and not inside:
            return np.int64(-1), 0.0, False, _no_age(q), True, upper
        if inside or outside != EXTRAPOLATE or method != LINEAR or single:
            return i, 0.0, inside, age, not inside, upper
        j = _upper(times, o, n, t, latency, 0) - 1 if before else _lower(times, o, n, t, latency) - 1
        if not 0 <= j < n - 1:  # all stamps are equal: there is no line to follow
            return i, 0.0, False, age, True, upper
        left = _captured(times[o + j], latency)
        span = np.float64(_gap(_captured(times[o + j + 1], latency), left))
        distance = -np.float64(_gap(left, q)) if before else np.float64(_gap(q, left))
        return j, distance / span, False, age, True, upper
    i = upper - 1
    t = _captured(times[o + i], latency)
    past = _gap(q, t)
    if past == 0:  # exact hit: the last sample of a run of equal stamps, the first for "next"
        used = _lower(times, o, n, q, latency) if method == NEXT else i
        return used, 0.0, True, _age(q, t), False, upper
    later = _captured(times[o + upper], latency)
    ahead = _gap(later, q)
    bracket = _gap(later, t)
    used, apart, weight = i, past, 0.0
    if method == NEXT:
        used, apart = upper, ahead
    elif method == NEAREST and ahead < past:  # the last sample of a run of equal stamps
        used, apart = _upper(times, o, n, later, latency, upper) - 1, ahead
    elif method == LINEAR:
        weight = np.float64(past) / np.float64(bracket)
        apart = min(past, ahead)
    real = bracket <= max_gap and apart <= tolerance
    return used, weight, real, _age(q, later if used > i else t), False, upper


@kernel()
def locate(
    start, stop, steps, times, samples, time_row, lengths, offsets, check, targets, target_row, method, outside,
    latency, reach, tolerance, max_gap, index, weight, want_valid, valid, want_age, age, column,
):  # fmt: skip
    """Bracket the targets of some items; index and weight hold one item a row, beginning with ``start``."""
    shares = max(1, (steps + CHUNK - 1) // CHUNK)
    misses, coarse = 0, False
    for item in range(start, stop):
        b, share = item // shares, item % shares
        o, n, first = b * time_row, samples, np.int64(0)
        if lengths.size:
            n = lengths[b]
        if offsets.size:
            o, n, first = offsets[b], offsets[b + 1] - offsets[b], offsets[b]
        if check > 0:
            fault, worn = _first_fault(times, o, n * share // shares, n * (share + 1) // shares, check == 2)
            coarse |= worn
            if fault >= 0:
                return misses, b, fault, coarse
        hint = np.int64(0)
        for k in range(share * CHUNK, min(steps, (share + 1) * CHUNK)):
            q = targets[b * target_row + k]
            at, w, good, old, missed = np.int64(-1), 0.0, False, _no_age(q), False
            if n > 0 and _proper(q):
                at, w, good, old, missed, hint = _bracket(
                    times, o, n, q, latency, hint, method, outside, reach, tolerance, max_gap
                )  # fmt: skip
                misses += missed
            index[item - start, k - share * CHUNK] = at + first if at >= 0 else at
            weight[item - start, k - share * CHUNK] = w
            if want_valid:
                valid[b, k, column] = good
            if want_age:
                age[b, k, column] = old
    return misses, -1, -1, coarse


def _limit(span: int | float) -> Any:
    """A limit in the type of gaps, as large as can be for none: mixed signs would be compared as floats."""
    if isinstance(span, float):
        return np.float64(np.inf if span < 0 else span)
    return np.uint64(np.iinfo(np.uint64).max if span < 0 else span)


def located(job: Job, targets: Any, valid: Any, age: Any, column: int, check: bool) -> tuple[tuple[Any, ...], ...]:
    """Arguments of ``locate`` for a job: those before ``index`` and those after ``weight``."""
    times, goals = job.times.reshape(-1), targets.reshape(-1)
    times.flags.writeable = goals.flags.writeable = False
    samples = job.times.shape[-1]
    mode = (2 if job.times.dtype == dtypes.float32 else 1) if check else 0
    return (
        (
            job.out.shape[1], times, samples, samples if job.times.ndim == 2 and job.times.shape[0] > 1 else 0,
            EMPTY if job.lengths is None else job.lengths, EMPTY if job.offsets is None else job.offsets, mode, goals,
            job.out.shape[1] if targets.shape[0] > 1 else 0, job.method, job.outside, job.latency, job.tolerance >= 0,
            _limit(job.tolerance), _limit(job.max_gap),
        ),
        (
            valid is not None, NO_MASK if valid is None else valid,
            age is not None, np.empty((0, 0, 0), targets.dtype) if age is None else age, column,
        ),
    )  # fmt: skip
