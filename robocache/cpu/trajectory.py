"""Alignment of streams to target times on the CPU: find index and weight once per target, then stream the features."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .._core import dtypes
from .._core.errors import DataError
from .._core.jobs import REFUSE, Job
from ._blend import blend
from ._locate import check_rows, locate


def align(jobs: Sequence[Job], targets: Any, valid: Any, age: Any, check: str) -> bool:
    """See robocache.ops.trajectory.resample_trajectories."""
    coarse = False
    for k, job in enumerate(jobs):
        rows, steps, features = job.out.shape
        begins, counts, first = _extents(k, job, rows)
        if check != "none":
            coarse |= _refuse_unsorted(k, job, begins, counts)
        index = np.empty((rows, steps), np.int64)
        weight = np.empty((rows, steps), np.float64)
        real = np.empty((rows, steps), np.bool_)
        nearness = np.empty((rows, steps), targets.dtype)
        outside = locate(job, targets, begins, counts, first, index, weight, real, nearness)
        if job.outside == REFUSE and outside:
            raise DataError(
                f"{outside} target times of stream {k} lie outside its samples; "
                "choose outside='hold' or 'nan', or narrow target_times"
            )
        if features:
            blend(job, index, weight, real if valid is not None else None)
        if valid is not None:
            valid[:, :, k] = real
        if age is not None:
            age[:, :, k] = nearness
    return coarse


def _extents(k: int, job: Job, rows: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """First stamp, number of samples and first value of every row, refused when they leave the arrays."""
    zero = np.zeros(rows, np.int64)
    if job.offsets is not None:
        total = job.times.shape[0]
        edges = np.ascontiguousarray(job.offsets)
        if edges[0] < 0 or edges[-1] > total or (np.diff(edges) < 0).any():
            raise DataError(f"offsets of stream {k} must rise from 0 to the {total} samples given; got {edges!r}")
        return edges[:-1].copy(), np.diff(edges), edges[:-1].copy()
    samples = job.times.shape[1]
    begins = np.arange(rows, dtype=np.int64) * samples if job.times.shape[0] > 1 else zero
    if job.lengths is None:
        return begins, np.full(rows, samples, np.int64), zero
    counts = np.ascontiguousarray(job.lengths)
    if ((counts < 0) | (counts > samples)).any():
        raise DataError(f"lengths of stream {k} must lie in 0 … {samples}; got {counts!r}")
    return begins, counts, zero


def _refuse_unsorted(k: int, job: Job, begins: np.ndarray, counts: np.ndarray) -> bool:
    """Raise at the first unsorted or non-finite stamp; True when float32 stamps are too coarse for their spacing."""
    shared = job.offsets is None and job.times.shape[0] == 1
    if shared and len(counts):  # one row serves all: check its longest use
        begins, counts = begins[:1], counts.max(keepdims=True)
    row, at, coarse = check_rows(job.times.reshape(-1), begins, counts, job.times.dtype == dtypes.float32)
    if row >= 0:
        raise DataError(
            f"source_times of stream {k}, row {row} are unsorted, NaN or infinite at sample {at}; "
            "sort the row (and its values), or drop the bad stamps"
        )
    return bool(coarse)
