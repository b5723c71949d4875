"""One stream to target times on the CPU: find index and weight once per target, then stream the features."""

import ctypes
import functools
import struct
from typing import Any

import numpy as np

from .._core.errors import DataError
from .._core.jobs import REFUSE, Job
from ._again import HEAD, Again
from ._blend import streamer
from ._locate import CHUNK, blend_kept, locator
from ._team import spread

TARGET_BYTES = 384  # what one target takes beside its features, in bytes moved in the same time
INTEGERS = struct.Struct("=6q2Q21q8s")  # the words of ``locate`` for stamps of int64
FLOATS = struct.Struct("=5q3d21q8s")  # and for float64 and float32
NO_CLOCK = (0,) * 15
_sample = np.empty(1)
DIRECT = ctypes.c_size_t.from_address(id(_sample) + HEAD).value == _sample.ctypes.data


def bracket(job: Job, targets: Any, valid: Any, age: Any, check: bool, index: Any, weight: Any) -> bool:
    """Index and weight of every target, an item of work a row; whether float32 stamps are too coarse."""
    return run(job, targets, valid, age, 0, check, index, weight)


def stream(job: Job, valid: Any, index: Any, weight: Any) -> Again | None:
    """Features from index and weight, which repeat where they are of one row and the result of more; how to again."""
    if not job.out.size:
        return None
    layout, given = _arguments(job, None, valid, None, 0, False, index, weight)
    spread(blend_kept.address, _items(job), 3 * job.out.nbytes, layout, *given)
    return _repeat(job, None, blend_kept.address, 3 * job.out.nbytes, layout.pack(*given))


def run(
    job: Job, targets: Any, valid: Any, age: Any, column: int, check: bool, index: Any = None, weight: Any = None
) -> bool:
    """One stream; whether its float32 stamps are too coarse."""
    layout, given = _arguments(job, targets, valid, age, column, check, index, weight)
    found = spread(_locator(job), _items(job), _moved(job), layout, *given)
    faults = [(row, sample) for _, row, sample, _ in found if row >= 0]
    if faults:
        raise DataError(
            f"{job.label or 'source_'}times, row {min(faults)[0]} are unsorted, NaN or infinite at sample "
            f"{min(faults)[1]}; sort the row (and its values), or drop the bad stamps"
        )
    missed = sum(f[0] for f in found)
    if job.outside == REFUSE and missed:
        raise DataError(
            f"{missed} target_times lie outside the samples of {job.label}values; "
            "choose outside='hold' or 'nan', or narrow target_times"
        )
    return any(f[3] for f in found)


def repeat(job: Job, targets: Any, valid: Any, age: Any, check: bool) -> Again | None:
    """How to run a lone stream again with other arrays."""
    layout, given = _arguments(job, targets, valid, age, 0, check, None, None)
    return _repeat(job, targets, _locator(job), _moved(job), layout.pack(*given))


def _repeat(job: Job, targets: Any, function: int, moved: int, words: bytes) -> Again | None:
    if not DIRECT:
        return None
    times = None if targets is None else job.times
    arrays = (job.values, times, targets, job.out, job.lengths, job.offsets)
    return Again(function, _items(job), moved, words, arrays)


def _moved(job: Job) -> int:
    rows, steps, _ = job.out.shape
    return 3 * job.out.nbytes + job.times.nbytes + TARGET_BYTES * rows * steps


def _items(job: Job) -> int:
    rows, steps, _ = job.out.shape
    return rows * max(1, -(-steps // CHUNK))


def _locator(job: Job) -> int:
    return locator(np.int64 if job.times.dtype.kind == "i" else job.times.dtype.type).address


def _arguments(
    job: Job, targets: Any, valid: Any, age: Any, column: int, check: bool, index: Any, weight: Any
) -> tuple[struct.Struct, tuple[Any, ...]]:
    """What ``locate`` and the functions it calls read: the words that it names, in their order."""
    values, times, lengths, offsets, out, method, outside, fill, latency, tolerance, max_gap, _ = job
    layout = INTEGERS
    clock: tuple[Any, ...] = NO_CLOCK
    if targets is not None:
        layout = INTEGERS if times.dtype.kind == "i" else FLOATS
        clock = (
            times.shape[-1], method, outside, tolerance >= 0, check, latency, _limit(tolerance), _limit(max_gap),
            _start(times), times.strides[0] if times.ndim == 2 and times.shape[0] > 1 else 0,
            0 if lengths is None else _start(lengths), 0 if offsets is None else _start(offsets),
            _start(targets), targets.strides[0] if targets.shape[0] > 1 else 0,
            0 if age is None else _start(age) + column * age.itemsize,
        )  # fmt: skip
    # Packed rows are found by their absolute index; a lone one serves the batch.
    shared = offsets is not None or values.ndim == 2 or values.shape[0] == 1
    columns = next((a.shape[2] for a in (valid, age) if a is not None), 1)
    return layout, (
        *clock, out.shape[1], 0 if valid is None else _start(valid) + column, columns,
        streamer(values.dtype) if out.size else 0, _start(values), 0 if shared else values.strides[0],
        values.strides[-2], out.shape[2], _start(out), *out.strides[:2],
        *((0, 0, 1) if index is None else (_start(index), _start(weight), len(index))),
        _bytes(fill, repr(fill), values.dtype),
    )  # fmt: skip


def _start(array: Any) -> int:
    """Address of the first element. NumPy takes 1 µs to say it, so it is read where every C extension reads it."""
    return ctypes.c_size_t.from_address(id(array) + HEAD).value if DIRECT else array.ctypes.data


def _limit(span: int | float) -> int | float:
    """A limit as large as can be for none."""
    if span >= 0:
        return span
    return float("inf") if isinstance(span, float) else 2**64 - 1


@functools.lru_cache
def _bytes(fill: Any, text: str, dtype: np.dtype) -> bytes:
    """The bytes of a number. ``text`` tells apart what is equal but not the same, such as -0.0 and 0."""
    return np.asarray(fill, dtype).tobytes()


def check_extents(job: Job) -> None:
    """Refuse lengths or offsets that leave the arrays."""
    total = job.times.shape[-1]
    if job.offsets is not None and (job.offsets[0] < 0 or job.offsets[-1] > total or (np.diff(job.offsets) < 0).any()):
        raise DataError(f"{job.label}offsets must rise from 0 to the {total} samples given; got {job.offsets!r}")
    if job.lengths is not None and ((job.lengths < 0) | (job.lengths > total)).any():
        raise DataError(f"{job.label}lengths must lie in 0 … {total}; got {job.lengths!r}")
