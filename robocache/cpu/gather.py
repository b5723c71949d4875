"""Rows by index on the CPU: runs of neighbours are one copy."""

import functools
import struct
from typing import Any

import numpy as np
from numba import int64, void

from .._core.errors import DataError
from ._address import fetch, move, view
from ._jit import native
from ._team import spread

WORK = struct.Struct("=8q8s")
VALUES, SAMPLES, STEP, ROW, INDEX, VALID, OUT, COUNT, FILLER, WORDS = range(10)
ROW_BYTES = 32  # what finding one row takes, in bytes moved in the same time
AHEAD, LINE = 16, 64  # how many rows ahead the processor is asked for, and bytes of a cache line
RUN_BYTES = 512  # of neighbours copied at once: C libraries copy much more in a way that starts slowly


@functools.cache
def _gatherer(kind: Any) -> int:
    """Address of the C function that writes rows [start, stop); it reports the first index out of range, or -1."""

    @native(void(int64, int64, int64, int64))
    def gather(start, stop, args, report):
        words, found = view(args, WORDS, np.int64), view(report, 4, np.int64)
        found[0], found[1], found[2], found[3] = -1, 0, 0, 0
        index, row, step = view(words[INDEX], words[COUNT], kind), words[ROW], words[STEP]
        valid = view(words[VALID], words[COUNT] if words[VALID] else 0, np.uint8)
        filler = args + 8 * FILLER
        i = start
        while i < stop:
            to = words[OUT] + i * row
            if words[VALID] and not valid[i]:
                for at in range(to, to + row - 7, 8):
                    move(at, filler, 8)
                rest = row & 7
                move(to + row - rest, filler, rest)
                i += 1
                continue
            at = np.int64(index[i])
            if at < 0 or at >= words[SAMPLES]:
                found[0] = i
                return
            run = np.int64(1)
            if step == row:  # as in most windows
                most = min(stop - i, words[SAMPLES] - at, RUN_BYTES // max(row, 1))
                while run < most and index[i + run] == at + run and not (words[VALID] and not valid[i + run]):
                    run += 1
            ahead = i + run + AHEAD
            if ahead < stop:  # what lies there is no address if the index is wrong; asking does no harm
                later = words[VALUES] + np.int64(index[ahead]) * step
                for line in range(0, min(run * row, RUN_BYTES), LINE):
                    fetch(later + line)
            move(to, words[VALUES] + at * step, run * row)
            i += run

    return gather.address


def gather(values: Any, index: Any, valid: Any, fill: Any, out: Any, check: str) -> None:
    """See robocache.ops.gather.gather_windows."""
    count, size = index.size, out.dtype.itemsize
    row = out.shape[1] * size
    if not count * row:
        return
    words = (
        values.ctypes.data, values.shape[0], values.strides[0], row, index.ctypes.data,
        0 if valid is None else valid.ctypes.data, out.ctypes.data, count,
        np.asarray(fill, out.dtype).tobytes() * (8 // size),
    )  # fmt: skip
    found = spread(_gatherer(index.dtype.type), count, 2 * out.nbytes + ROW_BYTES * count, WORK, *words)
    bad = [part[0] for part in found if part[0] >= 0]
    if bad:
        raise DataError(
            f"index[{min(bad)}] = {int(index[min(bad)])} (flattened) lies outside the {values.shape[0]} samples of "
            "values; mark such entries by valid=False and choose another pad than 'edge'"
        )
