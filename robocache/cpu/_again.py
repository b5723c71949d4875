"""Calls that run again with other arrays: packed once; machine code reads where the arrays lie and puts that in."""

import struct
from typing import Any

import numpy as np
from numba import boolean, int64

from .._core.jobs import REFUSE
from ._address import view
from ._jit import kernel
from ._locate import AGE, LENGTHS, OFFSETS, OUT, OUTSIDE, SAMPLES, TARGETS, TIMES, VALID, VALUES, WORDS
from ._team import ARGS_AT, REPORTS_AT, crew, drive, spare, take

HEAD = object.__basicsize__  # what precedes the first field of an array, its address
# What follows the words of the arguments: bytes of values, stamps, targets and result; how many lengths and offsets.
VALUES_BYTES, TIMES_BYTES, TARGETS_BYTES, OUT_BYTES, COUNTS, EDGES, PACKED = range(WORDS, WORDS + 7)


@kernel(inline=True)
def _address(array):
    """Where the memory of an array object begins."""
    return view(array + HEAD, 1, np.int64)[0]


@kernel(inline=True)
def _apart(words, packed, at, size):
    """Whether the result shares no memory with an input."""
    return words[at] + packed[size] <= words[OUT] or words[OUT] + packed[OUT_BYTES] <= words[at]


@kernel()
def _inside(words, packed):
    """Whether lengths and offsets stay in the arrays."""
    good, total = True, words[SAMPLES]
    if words[LENGTHS]:
        lengths = view(words[LENGTHS], packed[COUNTS], np.int64)
        for i in range(lengths.size):
            good &= 0 <= lengths[i] <= total
    if words[OFFSETS]:
        offsets = view(words[OFFSETS], packed[EDGES], np.int64)
        good &= offsets[0] >= 0 and offsets[offsets.size - 1] <= total
        for i in range(1, offsets.size):
            good &= offsets[i - 1] <= offsets[i]
    return good


@kernel(signature=boolean(*[int64] * 16))  # not at the second call, which nobody expects to be slow
def _again(
    job, pack, function, items, helpers, parts, workers, size, values, times, goals, lengths, offsets, out, valid, age
):
    """Do a packed job with other arrays; False if something is wrong, and then perhaps nothing is written."""
    words, packed = view(job + ARGS_AT, WORDS, np.int64), view(pack, PACKED, np.int64)
    for i in range(WORDS):
        words[i] = packed[i]
    words[VALUES], words[OUT] = _address(values), _address(out)
    good = _apart(words, packed, VALUES, VALUES_BYTES)
    if words[VALID]:
        words[VALID] = _address(valid)
    if words[TIMES]:
        words[TIMES], words[TARGETS] = _address(times), _address(goals)
        good &= _apart(words, packed, TIMES, TIMES_BYTES) and _apart(words, packed, TARGETS, TARGETS_BYTES)
        if words[LENGTHS]:
            words[LENGTHS] = _address(lengths)
        if words[OFFSETS]:
            words[OFFSETS] = _address(offsets)
        if words[AGE]:
            words[AGE] = _address(age)
        good &= _inside(words, packed)
    if not good:
        return False
    drive(job, function, items, helpers, parts, workers, size)
    if words[TIMES]:  # else nothing is searched, and nothing reported
        for part in range(parts):
            found = view(job + REPORTS_AT + 32 * part, 4, np.int64)  # see locator
            good &= found[1] < 0 and found[3] == 0 and (found[0] == 0 or words[OUTSIDE] != REFUSE)
    return good


class Again:
    """A call whose shapes, types and options stay; all arrays are contiguous.

    It takes the caller's arrays, anything for those not there, and says whether all is well. If not, the whole call has
    to be made, which says what is wrong.
    """

    def __init__(self, function: int, items: int, nbytes: int, words: bytes, arrays: tuple[Any, ...]) -> None:
        self._what, self._nbytes = (function, items), nbytes
        values, times, goals, out, lengths, offsets = arrays
        sizes = [0 if array is None else array.nbytes for array in (values, times, goals, out)]
        counts = [0 if array is None else np.size(array) for array in (lengths, offsets)]
        self._packed = np.frombuffer(words + struct.pack("=6q", *sizes, *counts), np.int64)
        self._start = self._packed.ctypes.data

    def __call__(
        self, values: Any, times: Any, goals: Any, lengths: Any, offsets: Any, out: Any, valid: Any, age: Any
    ) -> bool:
        job, hands = take(), crew(self._what[1], self._nbytes)
        good: bool = _again(
            job.start, self._start, *self._what, *hands,
            id(values), id(times), id(goals), id(lengths), id(offsets), id(out), id(valid), id(age),
        )  # fmt: skip
        spare.append(job)
        return good
