"""Alignment of streams to target times on the CPU: find index and weight once per target, then stream the features."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.errors import DataError
from .._core.jobs import REFUSE, Aligned, Job
from ._blend import blender, narrow_into, widened
from ._jit import split
from ._locate import CHUNK, locate, located

BLOCK = 1 << 14  # targets a thread finds before it streams their features: index and weight stay in its cache
TARGET_BYTES = 384  # what one target takes beside its features, in bytes moved in the same time

_mine = threading.local()


def align(jobs: Sequence[Job], targets: Any, valid: Any, age: Any, check: str) -> Aligned:
    """See robocache.ops.trajectory.resample_trajectories."""
    coarse = False
    for column, job in enumerate(jobs):
        _check_extents(job)
        mixed = job.values.dtype != job.out.dtype
        work = widened(job) if mixed else job
        coarse |= _run(work, targets, valid, age, column, check != "none")
        if mixed:
            narrow_into(job.out, work.out)
    return Aligned(coarse, None)


def _run(job: Job, targets: Any, valid: Any, age: Any, column: int, check: bool) -> bool:
    """One stream; whether its float32 stamps are too coarse."""
    rows, steps, _ = job.out.shape
    before, after = located(job, targets, valid, age, column, check)
    blend = blender(job, valid, column) if job.out.size else None
    width = min(steps, CHUNK)
    block = max(1, BLOCK // max(width, 1))

    def share(start: int, stop: int) -> tuple[int, int, int, bool]:
        index, weight = _room(block, width)
        outside, coarse = 0, False
        for first in range(start, stop, block):
            last = min(stop, first + block)
            missed, row, sample, worn = locate(first, last, *before, index, weight, *after)
            outside, coarse = outside + missed, coarse or worn
            if row >= 0:
                return outside, row, sample, coarse
            if blend is not None:
                blend(first, last, index, weight)
        return outside, -1, -1, coarse

    moved = 3 * job.out.nbytes + job.times.nbytes + TARGET_BYTES * rows * steps
    found = split(share, rows * max(1, -(-steps // CHUNK)), moved)
    faults = [(row, sample) for _, row, sample, _ in found if row >= 0]
    if faults:
        raise DataError(
            f"{job.label or 'source_'}times, row {min(faults)[0]} are unsorted, NaN or infinite at sample "
            f"{min(faults)[1]}; sort the row (and its values), or drop the bad stamps"
        )
    outside = sum(f[0] for f in found)
    if job.outside == REFUSE and outside:
        raise DataError(
            f"{outside} target_times lie outside the samples of {job.label}values; "
            "choose outside='hold' or 'nan', or narrow target_times"
        )
    return any(f[3] for f in found)


def _room(block: int, width: int) -> tuple[Any, Any]:
    """Index and weight of one block of this thread, kept from call to call: fresh pages cost more than the search."""
    if block * width > 2 * BLOCK:
        return np.empty((block, width), np.int64), np.empty((block, width), np.float64)
    memory = getattr(_mine, "memory", None)
    if memory is None:
        memory = _mine.memory = (np.empty(2 * BLOCK, np.int64), np.empty(2 * BLOCK, np.float64))
    size = block * width
    return memory[0][:size].reshape(block, width), memory[1][:size].reshape(block, width)


def _check_extents(job: Job) -> None:
    """Refuse lengths or offsets that leave the arrays."""
    total = job.times.shape[-1]
    if job.offsets is not None and (job.offsets[0] < 0 or job.offsets[-1] > total or (np.diff(job.offsets) < 0).any()):
        raise DataError(f"{job.label}offsets must rise from 0 to the {total} samples given; got {job.offsets!r}")
    if job.lengths is not None and ((job.lengths < 0) | (job.lengths > total)).any():
        raise DataError(f"{job.label}lengths must lie in 0 … {total}; got {job.lengths!r}")
