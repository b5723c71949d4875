"""Methods that need more than two samples, or more than a sum: what they are told, and how they run."""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .._core import checks, dtypes, jobs
from .._core.errors import ArgumentError, DTypeError, ShapeError
from .._core.jobs import CURVES, Curve, Found, Job
from ._dispatch import twin

METHODS = (*jobs.METHODS, *CURVES)
QUAT_ORDERS = ("xyzw", "wxyz")


class Searched(NamedTuple):
    """Where the targets of a curve lie, and the edges of their cells for a mean."""

    found: Found
    edges: Found | None


def curve_of(label: str, method: str, period: Any, quat_order: str) -> Curve | None:
    """What the method is told, None for those of two samples; options of another method are refused."""
    checks.choice(f"{label}method", method, METHODS)
    checks.choice(f"{label}quat_order", quat_order, QUAT_ORDERS)
    if period is not None and method != "angle":
        raise ArgumentError(f"{label}period={period!r} is for method='angle', not {method!r}; leave it out")
    if method not in CURVES:
        return None
    low, length = _range(f"{label}period", 2 * math.pi if period is None else period)
    return Curve(CURVES.index(method), low, length) if method == "angle" else Curve(CURVES.index(method))


def _range(name: str, period: Any) -> tuple[float, float]:
    """Where a period of so much begins, and its length."""
    if isinstance(period, (tuple, list)):
        if len(period) != 2:
            raise ArgumentError(f"{name}={period!r} must be a number or a pair (low, high)")
        low, high = (checks.finite(name, edge) for edge in period)
    else:
        high = checks.finite(name, period) / 2
        low = -high
    if not 0 < high - low < math.inf:
        raise ArgumentError(f"{name}={period!r} must be positive: a number, or a pair (low, high) with low < high")
    return low, high - low


def fits(label: str, method: str, dtype: np.dtype, feature: tuple[int, ...]) -> None:
    """Refuse values that the method cannot average."""
    if method not in CURVES:
        return
    if dtype not in dtypes.FLOATING:
        raise DTypeError(
            f"{label}values has dtype {dtype}, which has nothing between two samples; "
            "use method='nearest', 'previous' or 'next', or cast the values to a float"
        )
    if method == "slerp" and (not feature or feature[-1] != 4):
        raise ShapeError(
            f"{label}values has features of shape {feature}; method='slerp' takes quaternions, whose last axis is 4"
        )


def search(backend: str, curve: Curve, job: Job, goals: Any, rows: int, check: str) -> Searched:
    """Find every target between its two samples; of ``job`` only the stamps and the rules are looked at."""
    outside = jobs.HOLD if curve.kind == jobs.MEAN and job.outside == jobs.EXTRAPOLATE else job.outside
    job = job._replace(values=None, out=None, method=jobs.LINEAR, outside=outside, fill=0)
    finder = twin(backend, "plan").find
    found = finder(job, goals, rows, check)
    if curve.kind != jobs.MEAN:
        return Searched(found, None)
    none = float(jobs.NO_LIMIT) if isinstance(job.latency, float) else jobs.NO_LIMIT
    held = job._replace(outside=jobs.HOLD, tolerance=none, max_gap=none)
    return Searched(found, finder(held, twin(backend, "curve").cells(goals), rows, "none"))


def run(backend: str, curve: Curve, job: Job, goals: Any, valid: Any, age: Any, check: str) -> bool:
    """One stream; whether its float32 stamps are too coarse."""
    searched = search(backend, curve, job, goals, job.out.shape[0], check)
    twin(backend, "curve").apply(job, curve, *searched, valid)
    if age is not None:
        age[..., 0] = searched.found.age
    return searched.found.coarse


def run_all(
    call: Any, curves: list[Curve | None], work: list[Job], goals: Any, valid: Any, age: Any, check: str
) -> bool:
    """Streams of which some are curves; whether float32 stamps are too coarse. Those of two samples share a launch."""
    plain = [k for k, curve in enumerate(curves) if curve is None]
    coarse, xp, lead = False, call.xp, valid.shape[:2]
    if plain:
        marks, ages = xp.empty((*lead, len(plain)), np.bool_), xp.empty((*lead, len(plain)), age.dtype)
        coarse, _ = twin(call.backend, "trajectory").align([work[k] for k in plain], goals, marks, ages, check)
        for column, k in enumerate(plain):
            valid[..., k], age[..., k] = marks[..., column], ages[..., column]
    for k, curve in enumerate(curves):
        if curve is None:
            continue
        job, real, spent = work[k], xp.empty((*lead, 1), np.bool_), xp.empty((*lead, 1), age.dtype)
        finish: Callable[[], None] | None = None
        if job.values.dtype != job.out.dtype:  # computed in its own type, then converted
            result = xp.empty(job.out.shape, job.values.dtype)
            finish = _converting(call, result, job.out)
            job = job._replace(out=result, fill=np.asarray(job.fill).astype(result.dtype).item())
        coarse |= run(call.backend, curve, job, goals, real, spent, check)
        if finish is not None:
            finish()
        valid[..., k], age[..., k] = real[..., 0], spent[..., 0]
    return coarse


def _converting(call: Any, source: Any, out: Any) -> Callable[[], None]:
    """Writes an array into one of another type, as fusion converts types: bfloat16 has no cast in CuPy."""
    rows, steps, _ = out.shape
    ticks = call.xp.arange(steps, dtype=np.int64)[None]
    job = Job(source, ticks, None, None, out, jobs.PREVIOUS, jobs.HOLD, 0, 0, jobs.NO_LIMIT, jobs.NO_LIMIT)
    marks = call.xp.empty((rows, steps, 1), np.bool_)
    ages = call.xp.empty((rows, steps, 1), np.int64)

    def finish() -> None:
        twin(call.backend, "trajectory").align([job], ticks, marks, ages, "none")

    return finish
