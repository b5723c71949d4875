"""One stream and its targets, checked and laid out for the backends."""

from typing import Any

from .._core import jobs
from .._core.jobs import Job
from . import _outputs, _streams


def stream(
    call: Any, arrays: tuple[Any, ...], out: Any, given: Any, limits: tuple[Any, Any, Any]
) -> tuple[Job, Any, Any, tuple[int, ...], tuple[int, ...]]:
    """The job but for its method, the targets, the result, and its axes in front and those of the features.

    ``arrays`` are native: values, source_times, lengths, offsets and target_times; ``given`` is ``out`` as a native
    array; ``limits`` are outside, max_gap and tolerance.
    """
    samples, stamps, counts, edges, goals = arrays
    outside, max_gap, tolerance = limits
    xp = call.xp
    stamps = _streams.times_of("source_times", stamps, xp)
    goals = _streams.times_of("target_times", goals, xp)
    _streams.targets_like("target_times", goals, "source_times", stamps.dtype)
    found = _streams.arrange("", samples, stamps, counts, edges, goals.ndim == 2, xp)
    rows = _streams.join_rows("values and target_times", found.rows, goals.shape[0] if goals.ndim == 2 else None)
    lead = (goals.shape[-1],) if rows is None else (rows, goals.shape[-1])
    policy = _streams.outside_of(outside, samples.dtype)
    spans = _streams.limits("", stamps.dtype, 0, tolerance, max_gap)
    result = _outputs.one(call, out, given, (*lead, *found.feature), arrays)
    found = _streams.spread("", found, rows, xp)
    flat = (1 if rows is None else rows, lead[-1])
    goals = _streams.one_row(goals) if goals.ndim == 2 else goals[None]
    job = Job(*found[:4], result.reshape(*flat, found.values.shape[-1]), jobs.LINEAR, *policy, *spans)
    return job, goals, result, lead, found.feature
