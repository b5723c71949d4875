"""Resampling and fusion by the letter of their docstrings: one row, one target, one feature at a time.

Nanoseconds are Python integers and never rounded. Float stamps, and differences of them, are float64, because the
specification says so. A linear value is an exact fraction of the widened samples, rounded once to float64.
"""

import math
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np

NAT = int(np.iinfo(np.int64).min)
NANOSECONDS = 1_000_000_000


class Row(NamedTuple):
    """What should come out: values [T, D] (float64 for linear), valid [T], and age [T] in the stamps' type.

    ``larger`` [T, D] is the size of the larger of the samples used, and of the result outside the range: what an
    error of a linear value is measured by.
    """

    values: np.ndarray
    valid: np.ndarray
    age: np.ndarray
    larger: np.ndarray


class Use(NamedTuple):
    """What one target uses: a copy of sample ``first``, or the line from it to ``second``; its age is to ``near``."""

    first: int | None
    second: int | None = None
    near: int | None = None
    inside: bool = True


def stamps_of(times: Any) -> list[Any]:
    """Python integers for nanoseconds, float64 for seconds."""
    times = np.asarray(times)
    if times.dtype.kind == "M":
        times = times.astype("M8[ns]").view(np.int64)
    return [int(t) for t in times] if times.dtype.kind == "i" else [float(t) for t in times]


def captures_of(times: Any, latency: Any) -> list[Any]:
    """Stamps minus latency, rounded to the type of the stamps."""
    kind = np.asarray(times).dtype
    moved = [t - latency for t in stamps_of(times)]
    return moved if kind.kind in "iM" else [float(kind.type(t)) for t in moved]


def no_time(time: Any) -> bool:
    """NaT or NaN."""
    return time == NAT if isinstance(time, int) else math.isnan(time)


def used(stamps: list[Any], target: Any, method: str, outside: Any, tolerance: Any) -> Use:
    """Which samples a target uses, by the rules for range, duplicates, ties and single samples."""
    if not stamps or no_time(target):
        return Use(None, inside=False)
    before = [i for i, t in enumerate(stamps) if t <= target]
    after = [i for i, t in enumerate(stamps) if t >= target]
    if before and after:
        return _within(stamps, target, method, before[-1], after[0])
    if len(stamps) == 1 and tolerance is not None and abs(target - stamps[0]) <= tolerance:
        return Use(0, near=0)  # a row of one sample is constant within the tolerance
    end = 0 if not before else len(stamps) - 1
    if outside == "extrapolate" and method == "linear" and stamps[0] != stamps[-1]:
        run = [i for i, t in enumerate(stamps) if t == stamps[end]]
        if not before:  # from the last of the first stamps to the first of the next ones
            return Use(run[-1], run[-1] + 1, end, inside=False)
        return Use(run[0] - 1, run[0], end, inside=False)
    if outside in ("hold", "extrapolate", "raise"):
        return Use(end, near=end, inside=False)
    return Use(None, inside=False)


def _within(stamps: list[Any], target: Any, method: str, last_before: int, first_after: int) -> Use:
    if method == "next":
        return Use(first_after, near=first_after)
    if method == "previous" or stamps[last_before] == target:
        return Use(last_before, near=last_before)
    if method == "linear":
        return Use(last_before, first_after, last_before)
    if target - stamps[last_before] <= stamps[first_after] - target:
        return Use(last_before, near=last_before)
    last = max(i for i, t in enumerate(stamps) if t == stamps[first_after])
    return Use(last, near=last)


def line(first: Any, second: Any, weight: Fraction, arithmetic: Any) -> float:
    """The exact point of a line, rounded to float64; from the nearer end as IEEE says where a sample is not finite."""
    a, b = float(first), float(second)
    if math.isfinite(a) and math.isfinite(b):
        return float(Fraction(a) + weight * (Fraction(b) - Fraction(a)))
    w = float(arithmetic(float(weight)))
    with np.errstate(invalid="ignore"):
        gap = np.float64(b) - np.float64(a)
        return float(a + w * gap if w < 0.5 else b + (w - 1) * gap)


def resample_row(
    values: Any,
    times: Any,
    targets: Any,
    method: str = "linear",
    outside: Any = "hold",
    fill: Any = None,
    tolerance: Any = None,
    max_gap: Any = None,
    latency: Any = 0,
) -> Row:
    """One row. ``fill`` stands where no sample is used: by default NaN for floats, 0 for the rest, or the number."""
    values = np.asarray(values)
    values = values.reshape(len(times), math.prod(values.shape[1:]))
    stamps, goals = captures_of(times, latency), stamps_of(targets)
    floating = values.dtype.kind not in "iub"
    arithmetic = np.float64 if values.dtype == np.float64 else np.float32
    if fill is None:
        fill = outside if not isinstance(outside, str) else (math.nan if floating else 0)
    kind = np.dtype(np.int64) if np.asarray(times).dtype.kind in "iM" else np.asarray(times).dtype
    out = np.full((len(goals), values.shape[1]), fill, np.float64 if method == "linear" else values.dtype)
    larger = np.zeros(out.shape)
    valid = np.zeros(len(goals), bool)
    age = np.full(len(goals), NAT if kind == np.int64 else math.nan, kind)
    for j, goal in enumerate(goals):
        use = used(stamps, goal, method, outside, tolerance)
        if use.first is None:
            continue
        age[j] = goal - stamps[use.near]
        a, distance, gap = values[use.first], abs(goal - stamps[use.near]), 0
        out[j] = a
        if use.second is not None:
            b = values[use.second]
            weight = Fraction(goal - stamps[use.first]) / Fraction(stamps[use.second] - stamps[use.first])
            out[j] = [line(x, y, weight, arithmetic) for x, y in zip(a, b, strict=True)]
            larger[j] = [max(abs(float(x)), abs(float(y))) for x, y in zip(a, b, strict=True)]
            larger[j] = larger[j] if use.inside else np.fmax(larger[j], np.abs(out[j]))
            distance = min(distance, abs(stamps[use.second] - goal))
        if use.inside and len(stamps) > 1:
            gap = min(t for t in stamps if t >= goal) - max(t for t in stamps if t <= goal)
        hole = floating and any(math.isnan(float(x)) for x in out[j])
        close = (tolerance is None or distance <= tolerance) and (max_gap is None or gap <= max_gap)
        valid[j] = use.inside and not hole and close
    return Row(out, valid, age, larger)


def places(times: Any, targets: Any, method: str, outside: Any, tolerance: Any) -> tuple[np.ndarray, np.ndarray]:
    """Sample (-1 for none) and share of the next one of every target of one row, as a plan holds them."""
    stamps = stamps_of(times)
    index, weight = [], []
    for goal in stamps_of(targets):
        use = used(stamps, goal, method, outside, tolerance)
        index.append(-1 if use.first is None else use.first)
        line = (goal - stamps[use.first], stamps[use.second] - stamps[use.first]) if use.second is not None else (0, 1)
        weight.append(float(line[0]) / float(line[1]))
    return np.array(index, np.int64), np.array(weight, np.float64)


def resample(values: Any, times: Any, targets: Any, *, lengths: Any = None, offsets: Any = None, **how: Any) -> Row:
    """A call with a batch axis: values [B, S, ...] or packed [N, ...], times [S], [B, S] or [N], targets [(B,) T]."""
    if offsets is not None:
        cuts = [slice(int(a), int(b)) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
        pairs, feature = [(values[cut], times[cut]) for cut in cuts], values.shape[1:]
    else:
        batch, feature = values.shape[0], values.shape[2:]
        counts = [values.shape[1]] * batch if lengths is None else [int(n) for n in lengths]
        pairs = [(values[b][:n], (times[b] if times.ndim == 2 else times)[:n]) for b, n in enumerate(counts)]
    goals = [targets[b] if targets.ndim == 2 else targets for b in range(len(pairs))]
    rows = [resample_row(v, t, q, **how) for (v, t), q in zip(pairs, goals, strict=True)]
    lead = (len(rows), targets.shape[-1])
    kind = np.float64 if how.get("method", "linear") == "linear" else values.dtype
    clock = np.int64 if times.dtype.kind in "iM" else times.dtype
    return Row(
        np.array([r.values for r in rows], kind).reshape(*lead, *feature),
        np.array([r.valid for r in rows], bool).reshape(lead),
        np.array([r.age for r in rows], clock).reshape(lead),
        np.array([r.larger for r in rows], np.float64).reshape(*lead, *feature),
    )


def fuse(streams: list[dict[str, Any]], targets: Any, outside: Any = "hold", fill: Any = None) -> list[Row]:
    """One row of ``fuse_multimodal``: every stream, a dict of arguments of ``resample_row``, on its own."""
    return [resample_row(targets=targets, outside=outside, fill=fill, **stream) for stream in streams]


def tick(start: Any, k: int, rate: Any) -> Any:
    """``start + k / rate`` rounded once: nanoseconds to the nearest (ties up), seconds to float64."""
    if isinstance(start, int):
        return start + math.floor(Fraction(k * NANOSECONDS) / Fraction(rate) + Fraction(1, 2))
    return float(Fraction(start) + k / Fraction(rate))


def even_clock(start: Any, stop: Any, rate: Any) -> list[Any]:
    """All ticks from start to stop, both included."""
    ticks: list[Any] = []
    while (now := tick(start, len(ticks), rate)) <= stop:
        ticks.append(now)
    return ticks


def shared_time(rows: list[tuple[Any, Any]]) -> tuple[Any, Any]:
    """First and last true capture time that all streams of one row share; each is (stamps, latency)."""
    captures = [captures_of(times, latency) for times, latency in rows]
    return max(c[0] for c in captures), min(c[-1] for c in captures)
