"""Alignment of streams to target times on the CPU: find index and weight once per target, then stream the features."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core.errors import DataError
from .._core.jobs import REFUSE, Aligned, Job
from ._blend import blend
from ._locate import locate


def align(jobs: Sequence[Job], targets: Any, valid: Any, age: Any, check: str) -> Aligned:
    """See robocache.ops.trajectory.resample_trajectories."""
    coarse = False
    for k, job in enumerate(jobs):
        _check_extents(job)
        shape = job.out.shape[:2]
        alone = len(jobs) == 1
        index, weight = np.empty(shape, np.int64), np.empty(shape, np.float64)
        real = valid[:, :, 0] if alone and valid is not None else np.empty(shape, np.bool_)
        old = age[:, :, 0] if alone and age is not None else np.empty(shape, targets.dtype)
        report = locate(job, targets, check != "none", index, weight, real, old)
        if report.row >= 0:
            raise DataError(
                f"{job.label or 'source_'}times, row {report.row} are unsorted, NaN or infinite at sample "
                f"{report.sample}; sort the row (and its values), or drop the bad stamps"
            )
        if job.outside == REFUSE and report.outside:
            raise DataError(
                f"{report.outside} target_times lie outside the samples of {job.label}values; "
                "choose outside='hold' or 'nan', or narrow target_times"
            )
        coarse |= report.coarse
        if job.out.size:
            blend(job, index, weight, real if valid is not None else None)
        if valid is not None and not alone:
            valid[:, :, k] = real
        if age is not None and not alone:
            age[:, :, k] = old
    return Aligned(coarse, None)


def _check_extents(job: Job) -> None:
    """Refuse lengths or offsets that leave the arrays."""
    total = job.times.shape[-1]
    if job.offsets is not None and (job.offsets[0] < 0 or job.offsets[-1] > total or (np.diff(job.offsets) < 0).any()):
        raise DataError(f"{job.label}offsets must rise from 0 to the {total} samples given; got {job.offsets!r}")
    if job.lengths is not None and ((job.lengths < 0) | (job.lengths > total)).any():
        raise DataError(f"{job.label}lengths must lie in 0 … {total}; got {job.lengths!r}")
