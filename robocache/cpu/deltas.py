"""Samples at times around others on the CPU."""

import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import int64, void

from .._core import dtypes
from .._core.errors import DataError
from .._core.jobs import Search
from ._address import view
from ._episodes import check_found, episode_of
from ._jit import kernel, native, split
from ._locate import NAT, first_fault, gap, too_coarse
from ._team import spread

# Words of the arguments; the last is of the type of the stamps' differences.
TIMES, OFFSETS, ANCHORS, SHIFTS, FIRSTS, WIDTHS, INDEX, VALID, EPISODES, COUNT, FIRST, STEP, DELTAS = range(13)
LIMITED, TOLERANCE, WORDS = range(13, 16)
INTEGERS, FLOATS = struct.Struct("=14qQ"), struct.Struct("=14qd")
FOUND_BYTES = 64  # what finding one sample takes, in bytes moved in the same time


@kernel()
def _check(start, stop, times, offsets, narrow):
    """Episode and sample of the first bad stamp of episodes [start, stop), or -1; whether some are too coarse."""
    coarse = False
    for e in range(start, stop):
        row = times[offsets[e] : offsets[e + 1]]
        fault = first_fault(row, 0, row.size)
        if fault >= 0:
            return e, fault, coarse
        if narrow:
            coarse |= too_coarse(row, 0, row.size)
    return np.int64(-1), np.int64(-1), coarse


@kernel()  # not inlined by Numba, which would then not know the type of the sum when it chooses how to subtract
def _shifted(t, delta):
    """``t + delta``, and whether no integer holds it."""
    if isinstance(t, np.int64):
        total = np.int64(np.uint64(t) + np.uint64(delta))  # signed sums are taken never to overflow
        lost = total < t if delta >= 0 else total > t
        return (np.int64(0x7FFFFFFFFFFFFFFF) if delta >= 0 else np.int64(NAT)) if lost else total, lost
    return np.float64(t) + delta, False


@kernel(inline=True)
def _after(row, q, own):
    """First of the samples whose stamp is above q. Galloping from ``own``, since most deltas are short."""
    n, step = row.size, 1
    if row[own] <= q:
        low = own + 1
        while low + step < n and row[low + step - 1] <= q:
            low += step
            step *= 2
        high = min(n, low + step)
    else:
        high = own
        while high - step > 0 and row[high - step] > q:
            high -= step
            step *= 2
        low = max(0, high - step)
    while low < high:
        middle = (low + high) >> 1
        if row[middle] <= q:
            low = middle + 1
        else:
            high = middle
    return low


@kernel(inline=True)
def _nearest(row, own, delta, limited, tolerance):
    """Sample nearest to the anchor's time plus delta; whether it is real, and whether it was missed in range."""
    q, lost = _shifted(row[own], delta)
    n, up = row.size, _after(row, q, own)
    i = max(up - 1, 0)
    apart = gap(row[0], q) if up == 0 else gap(q, row[i])
    if up == 0 or (up == n and apart != 0):
        real, missed = limited and apart <= tolerance and not lost, False
    else:
        later = row[min(up, n - 1)]
        if apart != 0 and gap(later, q) < apart:
            apart, i = gap(later, q), _after(row, later, own) - 1
        real = (apart <= tolerance or not limited) and not lost
        missed = not real and not lost
    return own if row[i] == row[own] else i, real, missed


@cache
def _taker(stamp: Any) -> int:
    """Address of the C function that looks for anchors [start, stop).

    It reports the first anchor out of range or -1, how many samples were missed, and the first anchor of those.
    """
    span, limit = (np.int64, np.uint64) if stamp is np.int64 else (np.float64, np.float64)

    @native(void(int64, int64, int64, int64))
    def take(start, stop, args, report):
        words, found = view(args, WORDS, np.int64), view(report, 4, np.int64)
        found[0], found[1], found[2], found[3] = -1, 0, -1, 0
        episodes, count, deltas = words[EPISODES], words[COUNT], words[DELTAS]
        limited, tolerance = words[LIMITED] != 0, view(args + 8 * TOLERANCE, 1, limit)[0]
        offsets, shifts = view(words[OFFSETS], episodes + 1, np.int64), view(words[SHIFTS], deltas, span)
        firsts, widths = view(words[FIRSTS], deltas, np.int64), view(words[WIDTHS], deltas, np.int64)
        times = view(words[TIMES], offsets[episodes], stamp)
        index, valid = view(words[INDEX], count * deltas, np.int64), view(words[VALID], count * deltas, np.uint8)
        anchors = view(words[ANCHORS], count if words[ANCHORS] else 0, np.int64)
        e = np.int64(0)
        for m in range(start, stop):
            a = anchors[m] if words[ANCHORS] else words[FIRST] + m * words[STEP]
            if a < 0 or a >= offsets[episodes]:
                found[0] = m
                return
            e = episode_of(offsets, episodes, a, e)
            begin = offsets[e]
            row = times[begin : offsets[e + 1]]
            for column in range(deltas):
                i, real, missed = _nearest(row, a - begin, shifts[column], limited, tolerance)
                to = count * firsts[column] + m * widths[column] + column - firsts[column]
                index[to], valid[to] = begin + i, real
                if missed:
                    found[1] += 1
                    found[2] = found[2] if found[2] >= 0 else m

    return take.address


def table(columns: Sequence[tuple[Any, int, int]], time: np.dtype) -> Any:
    """See robocache.ops.deltas.DeltaTimestamps."""
    shifts, firsts, widths = zip(*columns, strict=True) if columns else ((), (), ())
    kind = np.int64 if time == dtypes.int64 else np.float64
    return np.array(shifts, kind), np.array(firsts, np.int64), np.array(widths, np.int64)


def check(times: Any, offsets: Any, strict: bool) -> tuple[Any, bool]:
    """See robocache.ops.deltas.DeltaTimestamps."""
    found = split(_check, offsets.size - 1, times.nbytes, times, offsets, times.dtype == dtypes.float32)
    bad = [(e, sample) for e, sample, _ in found if e >= 0]
    if bad:
        raise DataError(
            f"times of episode {min(bad)[0]} are unsorted, NaN or infinite at its sample {min(bad)[1]}; "
            "sort the episode (and its values), or drop the bad stamps"
        )
    return None, any(coarse for _, _, coarse in found)


def take(search: Search, anchors: Any, first: int, step: int, index: Any, valid: Any, count: int, strict: bool) -> None:
    """See robocache.ops.deltas.DeltaTimestamps.take."""
    if not count:
        return
    times, offsets, limited = search.times, search.offsets, search.tolerance >= 0
    words = (
        times.ctypes.data, offsets.ctypes.data, 0 if anchors is None else anchors.ctypes.data,
        *(column.ctypes.data for column in search.table), index.ctypes.data, valid.ctypes.data, offsets.size - 1, count,
        first, step, search.deltas, limited, search.tolerance if limited else 0,
    )  # fmt: skip
    layout, stamp = (INTEGERS, np.int64) if times.dtype == dtypes.int64 else (FLOATS, times.dtype.type)
    nbytes = (index.size + count) * FOUND_BYTES
    found = spread(_taker(stamp), count, nbytes, layout, *words)
    check_found(found, anchors, int(offsets[-1]), "positions")
    missed = sum(part[1] for part in found)
    if missed and search.refuse:
        where = min(part[2] for part in found if part[2] >= 0)
        anchor = first + step * where if anchors is None else int(anchors[where])
        raise DataError(
            f"{missed} samples are further than tolerance from their anchor's time plus delta, first of anchor "
            f"{anchor}; widen tolerance, correct the deltas, or pass on_miss='invalid'"
        )
