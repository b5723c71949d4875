"""Target times for fusion: an evenly spaced grid over the time the streams share, or the stamps of one stream."""

import math
from fractions import Fraction
from typing import Any

import numpy as np

from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataError, DTypeError
from . import _streams
from ._streams import Arranged

NAT = np.iinfo(np.int64).min
NANOSECONDS = 1_000_000_000
JOINS = ("intersection", "union")


def clock(
    arranged: dict[str, Arranged],
    spans: dict[str, Any],
    goals: Any,
    wish: Any,
    even_clock: tuple[Any, Any, Any, str],
    xp: Any,
) -> tuple[Any, int | None]:
    """Target times ``[R, T]`` and the batch size (None without one); the even clock is (rate, start, stop, join)."""
    rate, start, stop, join = even_clock
    checks.choice("join", join, JOINS)
    if (wish is None) == (rate is None):
        raise ArgumentError("give either target_times (an array or a stream's name) or rate")
    if rate is None and (start is not None or stop is not None):
        raise ArgumentError("start and stop belong to rate; target_times says where it begins and ends itself")
    rows = _streams.join_rows("streams", *(stream.rows for stream in arranged.values()))
    if isinstance(wish, str):
        name = checks.choice("target_times", wish, arranged)
        goals = follow(arranged[name], name, spans[name][0], xp)
    elif goals is None:
        streams, latencies = list(arranged.values()), [span[0] for span in spans.values()]
        start, stop = (_instant(n, t, streams[0].times.dtype) for n, t in (("start", start), ("stop", stop)))
        goals = even(streams, latencies, (rate, start, stop, join), 1 if rows is None else rows, xp)
    else:
        first, stream = next(iter(arranged.items()))
        _streams.targets_like("target_times", goals, f"{first}.times", stream.times.dtype)
        if goals.ndim == 2:
            rows = _streams.join_rows("streams and target_times", rows, goals.shape[0])
    return _streams.one_row(goals) if goals.ndim == 2 else goals[None], rows


def _instant(name: str, value: Any, time: np.dtype) -> Any:
    """A point in time in the unit of the stamps."""
    if isinstance(value, np.datetime64):
        value = np.timedelta64(int(value.astype("M8[ns]").astype(np.int64)), "ns")
    return None if value is None else _streams.span_of(name, value, time, signed=True)


def follow(stream: Arranged, name: str, latency: Any, xp: Any) -> Any:
    """True capture times of one stream; padding becomes NaT or NaN, so that it is invalid everywhere."""
    if stream.offsets is not None:
        raise ArgumentError(f"target_times={name!r} is packed and has no common length; give an array or rate=")
    times = _captured(stream.times, latency)
    if stream.lengths is None:
        return times
    real = xp.arange(times.shape[1]) < stream.lengths[:, None]
    return xp.where(real, times, _nothing(times.dtype))


def _captured(times: Any, latency: Any) -> Any:
    """Stamps minus latency, rounded to the stamps' type as the backends do."""
    if not latency or times.dtype == dtypes.int64:
        return times - latency if latency else times
    return (times.astype(np.float64) - latency).astype(times.dtype)


def ticks(rate: Any, start: Any, stop: Any, time: np.dtype, xp: Any) -> Any:
    """One even clock of which both ends are known."""
    if time.kind == "M":
        return ticks(rate, start, stop, dtypes.int64, xp).view("M8[ns]")
    if time not in dtypes.TIMES:
        raise DTypeError(f"like has dtype {time}. {_streams.TIME_REMEDY}")
    ends = [_instant(name, value, time) for name, value in (("start", start), ("stop", stop))]
    convert = int if time == dtypes.int64 else float
    span = convert(ends[0]), convert(ends[1])
    frequency = _fraction(checks.positive("rate", rate))
    count = _steps(span, frequency) if span[1] >= span[0] else 0
    return xp.asarray((span[0] + _ticks(np.arange(count, dtype=np.int64), frequency, time)).astype(time))


def even(
    streams: list[Arranged], latencies: list[Any], even_clock: tuple[Any, Any, Any, str], rows: int, xp: Any
) -> Any:
    """``start + k / rate`` up to ``stop``, both included, without drift: every stamp is rounded once.

    What is not given comes from the streams: the latest first and the earliest last stamp of each row, read back from
    the device. # synchronizes
    """
    (rate, start, stop, join), time = even_clock, streams[0].times.dtype
    frequency = _fraction(checks.positive("rate", rate))
    first, last = np.full(rows, start, time if start is not None else object), np.full(rows, stop, object)
    if start is None or stop is None:
        shared = _shared(streams, latencies, rows, join == "union", xp)
        first = shared[0] if start is None else first
        last = shared[1] if stop is None else last
    convert = int if time == dtypes.int64 else float
    spans = [
        None if _missing(a) or _missing(b) or b < a else (convert(a), convert(b))
        for a, b in zip(first, last, strict=True)
    ]
    if rows and not any(spans):
        raise DataError(
            "the streams share no time: the latest first stamp lies after the earliest last one; give start and stop"
        )
    counts = [0 if span is None else _steps(span, frequency) for span in spans]
    grid = np.full((rows, max(counts, default=0)), _nothing(time), time)
    for b, (span, n) in enumerate(zip(spans, counts, strict=True)):
        if span is not None:
            grid[b, :n] = span[0] + _ticks(np.arange(n, dtype=np.int64), frequency, time)
    return xp.asarray(grid)


def _fraction(rate: float) -> Fraction:
    """The simple fraction that the float stands for (30000/1001, 1000/3), or the float itself."""
    simple = Fraction(rate).limit_denominator(1_000_000)
    return simple if float(simple) == rate else Fraction(rate)


def count(rate: Any, first: int, last: int) -> int:
    """Ticks that `even` makes of nanoseconds from first to last, both included."""
    return _steps((first, last), _fraction(checks.positive("rate", rate))) if last >= first else 0


def numbered(rate: Any, k: np.ndarray) -> np.ndarray:
    """Ticks number k of `even`, rising, in nanoseconds from its first."""
    return _ticks(k, _fraction(checks.positive("rate", rate)), dtypes.int64)


def _ticks(k: np.ndarray, frequency: Fraction, time: np.dtype) -> np.ndarray:
    """``k / rate`` for rising k, in integer nanoseconds rounded to nearest (ties up) or in float64 seconds."""
    if time != dtypes.int64:
        return k * float(frequency.denominator) / float(frequency.numerator)
    period = NANOSECONDS / frequency
    top, bottom = 2 * period.numerator, 2 * period.denominator
    if not k.size or (int(k[-1]) + 1) * top + bottom <= np.iinfo(np.int64).max:
        return (k * top + bottom // 2) // bottom
    each = [(int(number) * top + bottom // 2) // bottom for number in k]  # slow: an odd rate, a long grid
    return np.array(each, np.int64)


def _steps(span: tuple[Any, Any], frequency: Fraction) -> int:
    """Ticks from start to stop, both included, as they are after rounding."""
    start, stop = span
    if isinstance(start, int):  # k / rate is below stop - start + 1/2
        return math.ceil((2 * (stop - start) + 1) * frequency / (2 * NANOSECONDS))
    count = math.floor((stop - start) * float(frequency)) + 2
    step = float(frequency.denominator), float(frequency.numerator)
    while start + (count - 1) * step[0] / step[1] > stop:  # twice or thrice
        count -= 1
    return count


def _shared(
    streams: list[Arranged], latencies: list[Any], rows: int, union: bool, xp: Any
) -> tuple[np.ndarray, np.ndarray]:
    """Latest first and earliest last true capture time of every row, on the host; or the widest such span."""
    firsts, lasts = [], []
    for stream, latency in zip(streams, latencies, strict=True):
        ends = [np.broadcast_to(_host(e).astype(stream.times.dtype), rows) for e in _ends(stream, xp)]
        missing = _missing(ends[0]) | _missing(ends[1])
        firsts.append(np.where(missing, _nothing(stream.times.dtype), _captured(ends[0], latency)))
        lasts.append(np.where(missing, _nothing(stream.times.dtype), _captured(ends[1], latency)))
    missing, nothing = np.array([_missing(f) for f in firsts]), _nothing(firsts[0].dtype)
    if union:
        most = np.iinfo(np.int64).max if firsts[0].dtype == dtypes.int64 else np.inf
        gone = missing.all(axis=0)
        first = np.min(np.where(missing, most, firsts), axis=0).astype(firsts[0].dtype)
        last = np.max(np.where(missing, -most, lasts), axis=0).astype(firsts[0].dtype)
        return np.where(gone, nothing, first), np.where(gone, nothing, last)
    gone = missing.any(axis=0)
    return np.where(gone, nothing, np.max(firsts, axis=0)), np.where(gone, nothing, np.min(lasts, axis=0))


def _ends(stream: Arranged, xp: Any) -> tuple[Any, Any]:
    """First and last stamp of every row, on the device; NaT or NaN for rows without samples."""
    times, total = stream.times, stream.times.shape[-1]
    nothing = _nothing(times.dtype)
    if not total:
        empty = xp.full(times.shape[0] if stream.offsets is None else stream.offsets.shape[0] - 1, nothing, times.dtype)
        return empty, empty
    if stream.offsets is not None:
        begin, end = stream.offsets[:-1], stream.offsets[1:]
        first, last = times[xp.clip(begin, 0, total - 1)], times[xp.clip(end - 1, 0, total - 1)]
        return xp.where(end > begin, first, nothing), xp.where(end > begin, last, nothing)
    if stream.lengths is None:
        return times[:, 0], times[:, -1]
    row = xp.arange(stream.lengths.shape[0]) if times.shape[0] > 1 else 0
    last = times[row, xp.clip(stream.lengths - 1, 0, total - 1)]
    return xp.where(stream.lengths > 0, times[:, 0], nothing), xp.where(stream.lengths > 0, last, nothing)


def _host(array: Any) -> np.ndarray:
    return array if isinstance(array, np.ndarray) else array.get()


def _nothing(time: np.dtype) -> Any:
    return NAT if time == dtypes.int64 else np.nan


def _missing(t: Any) -> Any:
    return (t != t) | (t == NAT)
