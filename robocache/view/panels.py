"""One stream as it is shown: samples, gaps, the curve on the even clock, pictures, texts."""

from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil, floor, prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, RoboCacheError
from ..datasets import Stream, Timing
from ..datasets._fuse import numbers, options_of
from ..datasets.measure import Pace, pace
from ..ops.trajectory import resample_trajectories
from .thumbnails import partly, thumbnail
from .wording import counted

READ = 1 << 28  # bytes of a stream that are read for it
SIZES = 64  # samples whose size is asked where each has its own
GRID = 1_000_000  # instants of a curve
WHOLE = 64  # features up to which all are resampled, shown or not: a rotation needs its neighbours
FRAME = 240  # rows of a picture that is shown
PICTURES = ("image", "depth")
Shows = Literal["lines", "frames", "text", "sizes"]


@dataclass(frozen=True)
class Curve:
    """What a stream is on the even clock: ``times`` (n,) seconds, ``values`` (n, shown), ``valid`` (n,) bool."""

    times: NDArray[np.float64]
    values: NDArray[np.float64]
    valid: NDArray[np.bool_]
    method: str


@dataclass
class Panel:
    """One stream.

    Attributes
    ----------
    stream : robocache.datasets.Stream
    shows : {"lines", "frames", "text", "sizes"}
        Numbers; pictures; what was said; how large each sample is, where they differ.
    within : array of int64
        Which samples lie in the span, with one more on either side where stamps rise.
    at : array of int64 (n,)
        Which of them are read.
    times : array of float64 (n,)
        Their seconds since ``Scene.zeros`` of the stream's clock.
    pace : Pace
        Of all its stamps, or of those made from its rate.
    gaps : list of (float, float)
        Seconds from one sample to the next, wherever that is longer than two and a half periods.
    shown : array of int64 (shown,)
        Features of a sample, counted through all axes.
    labels : tuple of str
        Their names.
    features : int
        Numbers in a sample, shown or not.
    values : array of float64 (n, shown)
        Of lines and sizes.
    curve : Curve or None
    items : list of (float, object)
        Seconds and pictures, uint8 (row, column, 3), or seconds and texts wherever the text changes.
    notes : list of str
        What is not shown, and why.
    """

    stream: Stream
    shows: Shows
    within: NDArray[np.int64]
    at: NDArray[np.int64]
    times: NDArray[np.float64]
    pace: Pace
    gaps: list[tuple[float, float]]
    shown: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    labels: tuple[str, ...] = ()
    features: int = 0
    values: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 0)))
    curve: Curve | None = None
    items: list[tuple[float, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Wish:
    """How panels are made: as `scene` takes it; ``zeros`` as in `Scene`."""

    zeros: dict[str, int]
    span: tuple[float, float]
    rate: float | None
    features: int
    frames: int


def panel_of(stream: Stream, times: NDArray[np.int64], since: NDArray[np.float64], how: Any, wish: Wish) -> Panel:
    """Read what is shown of a stream; ``times`` are its stamps, ``since`` the same in seconds."""
    measured = pace([times])
    at, spans = _within(times, since, measured, wish.span)
    spec = stream.spec
    whole = None not in spec.shape and spec.dtype != object
    shows: Shows = "lines" if whole and numbers(spec) else "sizes"
    shows = "frames" if spec.kind in PICTURES else "text" if spec.kind == "text" else shows
    if spec.kind == "cloud":
        shows = "sizes"
    if how is not None and shows != "lines":
        raise ArgumentError(
            f"streams: {stream.name} is not resampled, so it takes no method; it has no numbers of one shape"
        )
    panel = Panel(stream, shows, at, at, since[at], measured, spans)
    if not len(at):
        panel.notes.append("no sample in this span")
    elif shows == "lines":
        _lines(panel, times, how, wish)
    elif shows == "frames":
        _frames(panel, wish)
    elif shows == "text":
        _texts(panel)
    else:
        _sizes(panel)
    return panel


def _within(
    times: NDArray[np.int64], since: NDArray[np.float64], measured: Pace, span: tuple[float, float]
) -> tuple[NDArray[np.int64], list[tuple[float, float]]]:
    """Positions in the span, with one neighbour on either side where stamps rise; and the gaps that reach into it."""
    low, high = span
    if measured.unsorted:
        at = np.flatnonzero((since >= low) & (since <= high))
    else:
        first, last = np.searchsorted(since, low, "left"), np.searchsorted(since, high, "right")
        at = np.arange(max(int(first) - 1, 0), min(int(last) + 1, len(since)))
    gaps: list[tuple[float, float]] = []
    if measured.period is not None:
        wide = np.flatnonzero(np.diff(times) > 5 * measured.period // 2)  # integers, which nothing rounds
        gaps = [(float(since[k]), float(since[k + 1])) for k in wide if since[k] < high and since[k + 1] > low]
    return at.astype(np.int64), gaps


def _lines(panel: Panel, times: NDArray[np.int64], how: Any, wish: Wish) -> None:
    stream, spec = panel.stream, panel.stream.spec
    panel.features = prod(n or 0 for n in spec.shape)
    stride = max(1, ceil(len(panel.at) * panel.features * spec.dtype.itemsize / READ))
    if stride > 1:
        panel.notes.append(f"1 in {stride} of {len(panel.at):,} samples, not resampled")
        panel.at, panel.times = panel.at[::stride], panel.times[::stride]
    read = np.asarray(stream.read(panel.at)).reshape(len(panel.at), panel.features)
    panel.shown = widest(read, wish.features)
    if len(panel.shown) < panel.features:
        panel.notes.append(f"the {len(panel.shown)} of {panel.features:,} features that move most")
    panel.labels = labels_of(spec.names, panel.shown, panel.features)
    panel.values = read[:, panel.shown].astype(np.float64)
    lost = int((~np.isfinite(panel.values)).sum())
    if not panel.features:
        panel.notes.append("no numbers in a sample")
    elif lost:
        panel.notes.append(
            "not one finite number" if lost == panel.values.size else f"{counted(lost, 'number')} not finite"
        )
    if wish.rate is None or stride > 1 or not panel.features:
        return
    if panel.pace.unsorted:
        panel.notes.append(f"{counted(panel.pace.unsorted, 'stamp')} back in time, not resampled")
        return
    zero, options = wish.zeros[stream.clock], options_of(spec, how)
    options.setdefault("max_gap", None if panel.pace.period is None else 5 * panel.pace.period // 2)
    stamps = times[panel.at]
    low, high = (zero + round(end * 10**9) for end in wish.span)
    targets = _ticks(wish.rate, zero, max(low, int(stamps[0])), min(high, int(stamps[-1])))
    every = panel.features <= WHOLE
    used = read if every else np.ascontiguousarray(read[:, panel.shown])
    try:
        values, valid = resample_trajectories(used, stamps, targets, return_valid=True, **options)
    except RoboCacheError as error:
        raise type(error)(f"{stream.name}: {error}") from error
    curve = np.asarray(values)[:, panel.shown if every else slice(None)].astype(np.float64)
    panel.curve = Curve((targets - zero) / 1e9, curve, np.asarray(valid), options["method"])


def _ticks(rate: float, zero: int, first: int, last: int) -> NDArray[np.int64]:
    """Ticks ``zero + k / rate`` from ``first`` to ``last``, both included, in nanoseconds."""
    hertz = Fraction(rate).limit_denominator(10**6)
    begin, end = ceil((first - zero) * hertz / 10**9), floor((last - zero) * hertz / 10**9)
    count = max(0, end - begin + 1)
    if count > GRID:
        raise ArgumentError(
            f"rate: {rate:g} Hz over this span is {count:,} instants, more than {GRID:,}; narrow start and stop, "
            "or give a lower rate"
        )
    return Timing(count, rate=hertz, start=zero + round(begin * 10**9 / hertz)).times


def widest(read: Any, most: int) -> NDArray[np.int64]:
    """Up to so many columns, those with the widest range of finite numbers, in their order."""
    if read.shape[1] <= most:
        return np.arange(read.shape[1])
    read = read.astype(np.float64) if read.dtype.kind not in "fiu" else read  # bools, and bfloat16
    known = np.isfinite(read)
    low = read.min(axis=0, where=known, initial=np.inf if read.dtype.kind == "f" else np.iinfo(read.dtype).max)
    high = read.max(axis=0, where=known, initial=-np.inf if read.dtype.kind == "f" else np.iinfo(read.dtype).min)
    return np.sort(np.argsort(low.astype(np.float64) - high.astype(np.float64), kind="stable")[:most])


def labels_of(names: tuple[str, ...] | None, shown: NDArray[np.int64], features: int) -> tuple[str, ...]:
    """Names of the features shown; their numbers where there are none, nothing of a lone number."""
    if names is not None and len(names) == features:
        return tuple(str(names[k]) for k in shown)
    return ("",) if features == 1 else tuple(f"[{k}]" for k in shown)


def _frames(panel: Panel, wish: Wish) -> None:
    """Every so many, from the middle of each part, so that none is shown twice."""
    inside = (panel.times >= wish.span[0]) & (panel.times <= wish.span[1])
    panel.at, panel.times = panel.at[inside], panel.times[inside]
    count = min(wish.frames, len(panel.at))
    if not count:
        panel.notes.append("no picture in this span")
        return
    panel.notes.append(f"{count} of {counted(len(panel.at), 'picture')}")
    rising = np.argsort(panel.times, kind="stable")
    picks = rising[((np.arange(count) + 0.5) * len(rising) / count).astype(np.int64)]
    kind, name, read = panel.stream.kind, panel.stream.name, panel.stream.read(panel.at[picks])
    found = [thumbnail(one, kind, FRAME, key=name) for one in read]
    panel.notes += partly(read[0])
    panel.items = list(zip(panel.times[picks].tolist(), found, strict=True))


def _texts(panel: Panel) -> None:
    said: Any = None
    for when, item in zip(panel.times, panel.stream.read(panel.at), strict=True):
        text = item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)
        if text != said:
            panel.items.append((float(when), text))
            said = text


def _sizes(panel: Panel) -> None:
    """Points of a cloud, numbers of any other sample, of some samples evenly apart."""
    count = len(panel.at)
    if count > SIZES:
        picks = np.unique(np.linspace(0, count - 1, SIZES).round().astype(np.int64))
        panel.at, panel.times = panel.at[picks], panel.times[picks]
        panel.notes.append(f"{len(picks)} of {count:,} samples")
    cloud = panel.stream.kind == "cloud"
    sizes = [(np.shape(one)[:1] or (1,))[0] if cloud else np.size(one) for one in map(panel.stream.read, panel.at)]
    panel.values, panel.features = np.array(sizes, np.float64)[:, None], 1
    panel.labels = ("points",) if cloud else ("numbers",)


__all__ = ["PICTURES", "Curve", "Panel", "Wish", "labels_of", "panel_of", "widest"]
