"""Curves on the CPU: the methods that look at more than two samples, or at more than their weighted sum."""

from typing import Any

import numpy as np

from .._core import dtypes, jobs
from .._core.jobs import Curve, Found, Job
from . import _curve_cubic
from ._curve_local import local
from ._curve_mean import mean
from ._curve_pose import screw
from ._curve_rows import raw, rows_of
from ._curve_turn import angle, slerp
from ._jit import split
from ._locate import CHUNK

SINES = 24  # what a quaternion's sines and roots take, in times its bytes moved


def apply(job: Job, curve: Curve, found: Found, edges: Found | None, valid: Any) -> None:
    """See robocache.ops.trajectory.resample_trajectories."""
    batch, steps, _ = job.out.shape
    if valid is not None:
        valid[..., 0] = found.valid[:, :steps]
    if not job.out.size:
        return
    rows = rows_of(job, curve, found, edges, valid)
    kind, brain = raw(job.out.dtype)
    if curve.kind == jobs.CUBIC:
        _curve_cubic.run(job, rows)
        return
    if curve.kind in (jobs.SLERP, jobs.SPLIT):
        function, effort = slerp(kind, brain, curve.kind == jobs.SPLIT), SINES
    elif curve.kind == jobs.SE3:
        function, effort = screw(kind, brain, bool(curve.scalar_first)), 2 * SINES
    elif curve.kind == jobs.ANGLE:
        function, effort = angle(kind, brain), 3
    elif curve.kind == jobs.MEAN:
        function, effort = mean(kind, brain), 4
    else:
        function, effort = local(kind, brain, curve.kind), 6
    split(function, batch * -(-steps // CHUNK), effort * job.out.nbytes, rows)


def cells(targets: Any) -> Any:
    """See robocache.ops._curves.search."""
    whole, steps = targets.dtype == dtypes.int64, targets.shape[1]
    nothing = np.iinfo(np.int64).min if whole else np.nan
    real = targets != nothing if whole else np.isfinite(targets)
    both = real[:, 1:] & real[:, :-1]
    early, late = targets[:, :-1], targets[:, 1:]
    with np.errstate(over="ignore", invalid="ignore"):
        half = _halfway(early, late, whole)
        low, high = targets.copy(), targets.copy()
        low[:, 1:][both], high[:, :-1][both] = half[both], half[both]
        before, after = np.zeros_like(real), np.zeros_like(real)
        before[:, 1:], after[:, :-1] = real[:, :-1], real[:, 1:]
        low = np.where(~before & after, _mirrored(high, targets, whole), low)
        high = np.where(~after & before, _mirrored(low, targets, whole), high)
        falls = both & (late < early)
    sound = real.copy()
    sound[:, 1:] &= ~falls
    sound[:, :-1] &= ~falls
    edges = np.empty((targets.shape[0], 2 * steps), targets.dtype)
    edges[:, :steps], edges[:, steps:] = np.where(sound, low, nothing), np.where(sound, high, nothing)
    return edges


def _halfway(early: Any, late: Any, whole: bool) -> Any:
    if whole:
        return early + ((late.view(np.uint64) - early.view(np.uint64)) // np.uint64(2)).view(np.int64)
    wide = early.astype(np.float64)
    return (wide + (late.astype(np.float64) - wide) / 2).astype(early.dtype)


def _mirrored(edge: Any, at: Any, whole: bool) -> Any:
    """As far beyond ``at`` as the edge is before it, or the other way round; as far as integers go."""
    if not whole:
        wide = at.astype(np.float64)
        return (wide + (wide - edge.astype(np.float64))).astype(at.dtype)
    most = np.iinfo(np.int64).max
    r = 2 * at - edge
    above = np.where(r >= at, r, most)
    below = np.where((r <= at) & (r >= -most), r, -most)
    return np.where(edge <= at, above, below)
