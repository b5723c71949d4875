"""Alignment of streams to target times on the CPU: the twin."""

from collections.abc import Sequence
from typing import Any

from .._core.jobs import Aligned, Job
from ._align import check_extents, repeat, run
from ._blend import narrow_into, widened


def align(jobs: Sequence[Job], targets: Any, valid: Any, age: Any, check: str) -> Aligned:
    """See robocache.ops.trajectory.resample_trajectories."""
    coarse, mixed = False, False
    for column, job in enumerate(jobs):
        check_extents(job)
        mixed = job.values.dtype != job.out.dtype
        work = widened(job) if mixed else job
        coarse |= run(work, targets, valid, age, column, check != "none")
        if mixed:
            narrow_into(job.out, work.out)
    again = None if mixed or len(jobs) > 1 else repeat(jobs[0], targets, valid, age, check != "none")
    return Aligned(coarse, again)
