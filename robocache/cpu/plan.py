"""Plans on the CPU: index and weight of every target are kept, and the features streamed from them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.jobs import Found, Job
from ._align import bracket, check_extents, stream
from ._locate import CHUNK


def find(job: Job, targets: Any, rows: int, check: str) -> Found:
    """See robocache.ops.plan.Plan."""
    steps = targets.shape[1]
    valid, age = np.empty((rows, steps, 1), np.bool_), np.empty((rows, steps, 1), targets.dtype)
    nothing = np.empty((1, job.times.shape[-1], 0), np.uint8)  # no features: an alignment that only finds and marks
    nothing = nothing if job.offsets is None else nothing[0]
    job = job._replace(values=nothing, out=np.empty((rows, steps, 0), np.uint8))
    check_extents(job)
    kept = (rows * max(1, -(-steps // CHUNK)), min(steps, CHUNK))
    index, weight = np.empty(kept, np.int64), np.empty(kept, np.float64)
    coarse = bracket(job, targets, valid, age, check != "none", index, weight)
    return Found(index, weight, valid[..., 0], age[..., 0], coarse)


def apply(job: Job, found: Found, valid: Any) -> Callable[..., Any] | None:
    """See robocache.ops.plan.Plan."""
    if valid is not None:
        valid[..., 0] = found.valid
    again = stream(job, valid, found.index, found.weight)
    if again is None:
        return None

    def replay(values: Any, out: Any, valid: Any) -> bool:
        if valid is not None:
            valid[...] = found.valid
        return again(values, None, None, None, None, out, valid, None)

    return replay
