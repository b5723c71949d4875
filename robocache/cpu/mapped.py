"""Rows of arrays that lie in parts, each at an address of its own, as those of a file that is mapped."""

import functools
import struct
from typing import Any

import numpy as np
from numba import int64, void

from .._core.errors import PositionError
from ._address import fetch, move, view
from ._jit import native
from ._team import spread
from .gather import AHEAD, LINE, ROW_BYTES, RUN_BYTES

WORK = struct.Struct("=7q")
STARTS, BASES, PARTS, ROW, INDEX, OUT, COUNT, WORDS = range(8)


@functools.cache
def _gatherer() -> int:
    """Address of the C function that writes rows [start, stop); it reports the first index out of range, or -1."""

    @native(void(int64, int64, int64, int64))
    def gather(start, stop, args, report):
        words, found = view(args, WORDS, np.int64), view(report, 4, np.int64)
        found[0], found[1], found[2], found[3] = -1, 0, 0, 0
        parts, row, out = words[PARTS], words[ROW], words[OUT]
        starts, bases = view(words[STARTS], parts + 1, np.int64), view(words[BASES], parts, np.int64)
        index = view(words[INDEX], words[COUNT], np.int64)
        low, high, base = np.int64(0), np.int64(0), np.int64(0)  # rows of the part that the last one was in
        i = start
        while i < stop:
            at = index[i]
            if at < low or at >= high:
                if at < 0 or at >= starts[parts]:
                    found[0] = i
                    return
                first, last = np.int64(0), parts - 1
                while first < last:
                    middle = (first + last + 1) >> 1
                    if starts[middle] <= at:
                        first = middle
                    else:
                        last = middle - 1
                low, high, base = starts[first], starts[first + 1], bases[first]
            run = np.int64(1)
            most = min(stop - i, high - at, RUN_BYTES // max(row, 1))
            while run < most and index[i + run] == at + run:
                run += 1
            ahead = i + run + AHEAD
            if ahead < stop and low <= index[ahead] < high:
                later = base + (index[ahead] - low) * row
                for line in range(0, min(run * row, RUN_BYTES), LINE):
                    fetch(later + line)
            move(out + i * row, base + (at - low) * row, run * row)
            i += run

    return gather.address


def gather(starts: Any, bases: Any, row: int, index: Any, out: Any) -> None:
    """Copy rows of ``row`` bytes, ``index`` of them, to ``out``; part p holds rows starts[p] to starts[p + 1]."""
    count = index.size
    if not count:
        return
    words = (starts.ctypes.data, bases.ctypes.data, bases.size, row, index.ctypes.data, out.ctypes.data, count)
    found = spread(_gatherer(), count, 2 * count * row + ROW_BYTES * count, WORK, *words)
    bad = [part[0] for part in found if part[0] >= 0]
    if bad:
        raise PositionError(f"rows: {int(index.reshape(-1)[min(bad)])} is none of the {int(starts[-1])} steps")
