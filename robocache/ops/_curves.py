"""Methods that need more than two samples, or more than a sum: what they are told, and how they run."""

import math
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


class Part(NamedTuple):
    """Some features of a stream that have one method: ``curve`` is None for one of two samples."""

    column: int  # of the stream among all
    curve: Curve | None
    job: Job


def methods_of(label: str, method: Any, feature: tuple[int, ...]) -> list[tuple[slice, str]]:
    """Slices of the features, and the method of each."""
    if isinstance(method, str):
        return [(slice(None), method)]
    wrong = ArgumentError(
        f"{label}method={method!r} must be a name, or pairs (slice, name) that share out the last axis"
    )
    if not isinstance(method, (list, tuple)) or len(feature) != 1:
        raise wrong
    found, taken = [], np.zeros(feature[0], np.int64)
    for pair in method:
        if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[0], slice):
            raise wrong
        start, stop, step = pair[0].indices(feature[0])
        if step != 1 or stop <= start:
            raise wrong
        taken[start:stop] += 1
        found.append((slice(start, stop), checks.choice(f"{label}method", pair[1], METHODS)))
    if (taken != 1).any():
        missed = "twice" if (taken > 1).any() else "not at all"
        raise ArgumentError(
            f"{label}method={method!r} takes feature {int((taken != 1).argmax())} {missed}; take each once"
        )
    return found


def run_parts(call: Any, parts: list[Part], goals: Any, valid: Any, age: Any, check: str) -> bool:
    """Streams of which some are curves; whether float32 stamps are too coarse. Those of two samples share a launch."""
    xp, lead, coarse = call.xp, valid.shape[:2], False
    plain = [part.job for part in parts if part.curve is None]
    marks, ages = xp.empty((*lead, len(plain)), np.bool_), xp.empty((*lead, len(plain)), age.dtype)
    if plain:
        coarse, _ = twin(call.backend, "trajectory").align(plain, goals, marks, ages, check)
    done, seen = 0, set()
    for column, curve, job in parts:
        if curve is None:
            real, spent = marks[..., done], ages[..., done]
            done += 1
        else:
            real, spent = xp.empty((*lead, 1), np.bool_), xp.empty((*lead, 1), age.dtype)
            coarse |= _run_into(call, curve, job, goals, real, spent, check)
            real, spent = real[..., 0], spent[..., 0]
        if column in seen:  # a stream is real where all its parts are
            valid[..., column] &= real
        else:
            valid[..., column], age[..., column] = real, spent
        seen.add(column)
    return coarse


def _run_into(call: Any, curve: Curve, job: Job, goals: Any, valid: Any, age: Any, check: str) -> bool:
    """A curve whose result may be of another type: computed in its own, then converted."""
    if job.values.dtype == job.out.dtype:
        return run(call.backend, curve, job, goals, valid, age, check)
    result = call.xp.empty(job.out.shape, job.values.dtype)
    own = job._replace(out=result, fill=np.asarray(job.fill).astype(result.dtype).item())
    coarse = run(call.backend, curve, own, goals, valid, age, check)
    _convert(call, result, job.out)
    return coarse


def _convert(call: Any, source: Any, out: Any) -> None:
    """Write an array into one of another type, as fusion converts types: bfloat16 has no cast in CuPy."""
    rows, steps, _ = out.shape
    ticks = call.xp.arange(steps, dtype=np.int64)[None]
    job = Job(source, ticks, None, None, out, jobs.PREVIOUS, jobs.HOLD, 0, 0, jobs.NO_LIMIT, jobs.NO_LIMIT)
    marks, ages = call.xp.empty((rows, steps, 1), np.bool_), call.xp.empty((rows, steps, 1), np.int64)
    twin(call.backend, "trajectory").align([job], ticks, marks, ages, "none")
