"""Bracketing samples, weight, validity and age of every target time."""

from typing import Any

import numpy as np

from .._core import jobs
from .._core.jobs import Job
from ._jit import kernel, split

NEAREST, PREVIOUS, NEXT, LINEAR = jobs.NEAREST, jobs.PREVIOUS, jobs.NEXT, jobs.LINEAR
FILL, EXTRAPOLATE = jobs.FILL, jobs.EXTRAPOLATE
NAT = np.iinfo(np.int64).min


@kernel()
def check_rows(times, begins, counts, coarse_check):
    """(row, sample) of the first fault or (-1, -1), and whether float32 stamps are too coarse."""
    coarse = False
    for b in range(begins.size):
        start, n = begins[b], counts[b]
        for i in range(n):
            t = times[start + i]
            if not _proper(t) or (i > 0 and not (times[start + i - 1] <= t)):
                return b, i, coarse
            if coarse_check and i > 0:
                step = np.float64(t) - np.float64(times[start + i - 1])
                reach = max(abs(np.float64(t)), abs(np.float64(times[start + i - 1])))
                coarse |= step > 0 and reach * 2.0**-24 > step / 100
    return -1, -1, coarse


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
def _within(gap, limit):
    """``gap <= limit``, where a negative limit means none."""
    if isinstance(gap, np.uint64):
        return limit < 0 or gap <= np.uint64(limit)
    return limit < 0 or gap <= limit


@kernel(inline=True)
def _signed(q, t, like):
    """``q - t`` as an age, saturating for integers."""
    if isinstance(q, np.int64):
        if q >= t:
            return np.int64(min(np.uint64(q) - np.uint64(t), np.uint64(0x7FFFFFFFFFFFFFFF)))
        return -np.int64(min(np.uint64(t) - np.uint64(q), np.uint64(0x7FFFFFFFFFFFFFFF)))
    return q - t


@kernel(inline=True)
def _no_age(q):
    if isinstance(q, np.int64):
        return np.int64(NAT)
    return np.nan


@kernel(inline=True)
def _upper(times, start, n, q):
    """First of the n samples whose stamp is above q."""
    low, high = np.int64(0), np.int64(n)
    while low < high:
        middle = (low + high) >> 1
        if times[start + middle] <= q:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(inline=True)
def _lower(times, start, n, q):
    """First of the n samples whose stamp is not below q."""
    low, high = np.int64(0), np.int64(n)
    while low < high:
        middle = (low + high) >> 1
        if times[start + middle] < q:
            low = middle + 1
        else:
            high = middle
    return low


@kernel()
def _locate(
    start, stop, times, begins, counts, first, targets, shift, method, outside, latency, tolerance, max_gap,
    index, weight, real, age, misses,
):  # fmt: skip
    steps = targets.shape[1]
    for b in range(start, stop):
        o, n = begins[b], counts[b]
        row = b if shift else 0
        for k in range(steps):
            raw = targets[row, k]
            index[b, k] = -1
            weight[b, k] = 0.0
            real[b, k] = False
            age[b, k] = _no_age(raw)
            if not _proper(raw) or n <= 0:
                continue
            q = raw + latency
            upper = _upper(times, o, n, q)
            single = n == 1
            before = upper == 0
            after = upper == n and q > times[o + n - 1]
            if single or before or after:
                i = 0 if (before or single) else n - 1
                t = times[o + i]
                age[b, k] = _signed(q, t, raw)
                apart = _gap(t, q) if before else _gap(q, t)
                inside = (not before and not after) or (single and tolerance >= 0 and _within(apart, tolerance))
                real[b, k] = inside
                if not inside:
                    misses[b] += 1
                    if outside == FILL:
                        continue
                index[b, k] = first[b] + i
                if outside == EXTRAPOLATE and method == LINEAR and not inside and not single:
                    j = _upper(times, o, n, t) - 1 if before else _lower(times, o, n, t) - 1
                    if 0 <= j < n - 1:
                        span = np.float64(_gap(times[o + j + 1], times[o + j]))
                        index[b, k] = first[b] + j
                        reach = np.float64(_gap(times[o + j], q)) if before else np.float64(_gap(q, times[o + j]))
                        weight[b, k] = -reach / span if before else reach / span
                continue
            i = upper - 1
            t = times[o + i]
            past = _gap(q, t)
            if past == 0:  # exact hit: the last sample of a run of equal stamps, the first for "next"
                used = _lower(times, o, n, q) if method == NEXT else i
                index[b, k] = first[b] + used
                real[b, k] = True
                age[b, k] = _signed(q, t, raw)
                continue
            later = times[o + upper]
            ahead = _gap(later, q)
            bracket = _gap(later, t)
            used, apart = i, past
            if method == NEXT or (method == NEAREST and ahead < past):
                used, apart = upper, ahead
            elif method == LINEAR:
                weight[b, k] = np.float64(past) / np.float64(bracket)
                apart = min(past, ahead)
            index[b, k] = first[b] + used
            real[b, k] = _within(bracket, max_gap) and _within(apart, tolerance)
            age[b, k] = _signed(q, times[o + used], raw)


def locate(
    job: Job, targets: Any, begins: Any, counts: Any, first: Any, index: Any, weight: Any, real: Any, age: Any
) -> int:
    """Fill index (-1 = nothing), weight towards the next sample, validity and age; the number of targets outside."""
    rows, steps = index.shape
    misses = np.zeros(rows, np.int64)
    split(
        _locate, rows, index.nbytes * 4, job.times.reshape(-1), begins, counts, first, targets, targets.shape[0] > 1,
        job.method, job.outside, job.latency, job.tolerance, job.max_gap, index, weight, real, age, misses,
    )  # fmt: skip
    return int(misses.sum())
