"""Plans on the CPU: index and weight of every target are kept, and the features streamed from them."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.jobs import Found, Job
from . import trajectory
from ._blend import blender
from ._jit import split
from ._locate import CHUNK, locate, located

BLOCK = 1 << 14  # targets of a plan of one row that are repeated side by side, for batches of short rows


def find(job: Job, targets: Any, rows: int, check: str) -> Found:
    """See robocache.ops.plan.Plan."""
    steps = targets.shape[1]
    valid, age = np.empty((rows, steps, 1), np.bool_), np.empty((rows, steps, 1), targets.dtype)
    nothing = np.empty((1, job.times.shape[-1], 0), np.uint8)  # no features: an alignment that only checks and marks
    nothing = nothing if job.offsets is None else nothing[0]
    job = job._replace(values=nothing, out=np.empty((rows, steps, 0), np.uint8))
    coarse = trajectory.align([job], targets, valid, age, check).coarse
    items = rows * max(1, -(-steps // CHUNK))
    index, weight = np.empty((items, min(steps, CHUNK)), np.int64), np.empty((items, min(steps, CHUNK)), np.float64)
    before, after = located(job, targets, None, None, 0, False)
    split(
        lambda start, stop: locate(start, stop, *before, index[start:stop], weight[start:stop], *after),
        items,
        trajectory.TARGET_BYTES * rows * steps,
    )
    return Found(index, weight, valid[..., 0], age[..., 0], coarse)


def apply(job: Job, found: Found, valid: Any) -> Callable[..., None] | None:
    """See robocache.ops.plan.Plan."""
    rows, steps, _ = job.out.shape
    if valid is not None:
        valid[..., 0] = found.valid
    if not job.out.size:
        return None
    blend = blender(job, valid, 0)
    index, weight, shares = found.index, found.weight, max(1, -(-steps // CHUNK))
    if found.valid.shape[0] == rows:
        split(lambda a, b: blend(a, b, index[a:b], weight[a:b]), rows * shares, 3 * job.out.nbytes)
        return None
    block = shares * max(1, BLOCK // max(steps, 1))  # whole rows
    many = min(rows * shares, block + shares) // shares
    index, weight = np.tile(index, (many, 1)), np.tile(weight, (many, 1))

    def share(start: int, stop: int) -> None:
        for first in range(start, stop, block):
            last, at = min(stop, first + block), first % shares
            blend(first, last, index[at : at + last - first], weight[at : at + last - first])

    split(share, rows * shares, 3 * job.out.nbytes)
    return None
