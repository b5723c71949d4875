"""What the samples of a dataset are like, from some of its episodes: statistics, histograms, a course, pictures."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import DataError
from ..datasets import Dataset, Episode, Stream
from ..datasets._fuse import numbers
from ..datasets.measure import looked_at
from .panels import PICTURES, labels_of, widest
from .thumbnails import Picture, partly, thumbnail

NUMBERS = 1 << 22  # that are read of a stream
SAMPLES = 20_000  # of a stream in an episode
TABLE, DRAWN = 64, 6  # features in the table, and in the plots
BINS, POINTS = 40, 400
FRAMES, HEIGHT = 6, 120  # pictures of a stream, and their height
TEXTS = 10
MEASURES = ("finite", "mean", "std", "min", "q01", "median", "q99", "max")


@dataclass
class Histogram:
    """Counts (series, bin) between edges (bin + 1,)."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]


@dataclass
class Summary:
    """A stream over the episodes looked at.

    Attributes
    ----------
    name : str
    read, samples : int
        How many samples the statistics are of, evenly apart in each episode, and how many there are.
    features : int
    labels : tuple of str
        Of the features in the table: the first 64.
    table : array of float64 (feature, 8)
        Columns are ``MEASURES``; of finite numbers only, NaN where there are none.
    drawn, drawn_labels : array of int64, and tuple of str
        The features in the plots: those with the widest range.
    histogram : Histogram or None
    intervals : Histogram or None
        Of the steps between stamps that rise, in milliseconds.
    course : (array of float64 (n,), array of float64 (n, drawn), int) or None
        Of the first episode looked at: seconds since its first sample, or sample numbers where no rate is known; the
        values; how many samples there are, of which these are some, evenly apart.
    timed : bool
        Whether the course is in seconds.
    frames : list of (str, Picture)
        Where each is from, and it.
    texts : list of (str, int)
        The most frequent, and how often each was read.
    notes : list of str
    """

    name: str
    samples: int = 0
    read: int = 0
    features: int = 0
    labels: tuple[str, ...] = ()
    table: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, len(MEASURES))))
    drawn: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    drawn_labels: tuple[str, ...] = ()
    histogram: Histogram | None = None
    intervals: Histogram | None = None
    course: tuple[NDArray[np.float64], NDArray[np.float64], int] | None = None
    timed: bool = False
    frames: list[tuple[str, Picture]] = field(default_factory=list)
    texts: list[tuple[str, int]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def survey(dataset: Dataset, episodes: int = 10) -> tuple[list[Summary], list[str]]:
    """Read samples of some episodes.

    Parameters
    ----------
    dataset : Dataset
    episodes : int
        How many at most; the same ones each time, spread evenly, the first and the last with them.

    Returns
    -------
    summaries : list of Summary
        Of every stream that the dataset announces or an episode has.
    problems : list of str
        What could not be read; the rest is there.

    Raises
    ------
    ArgumentError
        Fewer than one episode.
    BackendError
        A decoder is not installed; it names the extra.
    """
    opened: list[Episode] = []
    for position in looked_at(len(dataset), episodes):
        try:
            opened.append(dataset[position])
        except DataError:
            continue  # `measure` has said so
    names = dict.fromkeys((*dataset.specs, *(name for episode in opened for name in episode)))
    summaries, problems = [], []
    for name in names:
        having = [(episode, episode[name]) for episode in opened if name in episode and len(episode[name])]
        summary = Summary(name, sum(len(stream) for _, stream in having))
        try:
            if having:
                _look(summary, having)
        except DataError as error:
            problems.append(str(error))
            summary.notes.append("not all of it can be read")
        summaries.append(summary)
    return summaries, problems


def _look(summary: Summary, having: Sequence[tuple[Episode, Stream]]) -> None:
    streams = [stream for _, stream in having]
    spec = streams[0].spec
    stamped = [stream.times for stream in streams if stream.timing.stamped]
    steps = [np.diff(times)[np.diff(times) > 0] / 1e6 for times in stamped]
    if any(map(len, steps)):
        summary.intervals = histogram(np.concatenate(steps)[:, None])
    if spec.kind in PICTURES:
        _frames(summary, having)
    elif spec.kind == "text":
        _texts(summary, streams)
    elif all(numbers(stream.spec) and None not in stream.shape for stream in streams):
        if len({stream.shape for stream in streams}) > 1:
            summary.notes.append("shapes differ between episodes: no statistics")
        else:
            _numbers(summary, streams)
    else:
        _sizes(summary, streams)


def _evenly(count: int, most: int) -> NDArray[np.int64]:
    """Up to so many positions, the first and the last with them."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _numbers(summary: Summary, streams: Sequence[Stream]) -> None:
    spec = streams[0].spec
    summary.features = prod(n or 0 for n in spec.shape)
    if not summary.features:
        summary.notes.append("no numbers in a sample")
        return
    most = max(1, min(SAMPLES, NUMBERS // (summary.features * len(streams))))
    picks = [_evenly(len(stream), most) for stream in streams]
    parts = [np.asarray(s.read(at)).reshape(len(at), -1) for s, at in zip(streams, picks, strict=True)]
    _tabulate(summary, np.concatenate(parts), spec.names)
    at = picks[0][_evenly(len(picks[0]), POINTS)]
    shown = parts[0][_evenly(len(parts[0]), POINTS)][:, summary.drawn].astype(np.float64)
    _course(summary, streams[0], at, shown)


def _sizes(summary: Summary, streams: Sequence[Stream]) -> None:
    """Of samples that differ in shape, how large they are."""
    cloud = streams[0].kind == "cloud"
    most = max(1, POINTS // len(streams))
    picks = [_evenly(len(stream), most) for stream in streams]
    parts = []
    for stream, at in zip(streams, picks, strict=True):
        sizes = [(np.shape(one)[:1] or (1,))[0] if cloud else np.size(one) for one in map(stream.read, at.tolist())]
        parts.append(np.array(sizes, np.float64)[:, None])
    summary.features = 1
    _tabulate(summary, np.concatenate(parts), ("points" if cloud else "numbers",))
    summary.notes.append("samples differ in shape: the statistics are of their sizes")
    _course(summary, streams[0], picks[0], parts[0])


def _tabulate(summary: Summary, read: Any, names: tuple[str, ...] | None) -> None:
    summary.read = len(read)
    first = np.arange(min(summary.features, TABLE))
    summary.labels = labels_of(names, first, summary.features)
    summary.table = np.array([measures(read[:, k].astype(np.float64)) for k in first]).reshape(len(first), -1)
    summary.drawn = widest(read, DRAWN)
    summary.drawn_labels = labels_of(names, summary.drawn, summary.features)
    summary.histogram = histogram(read[:, summary.drawn].astype(np.float64))


def measures(column: NDArray[np.float64]) -> list[float]:
    """Of the finite numbers of a feature, in the order of ``MEASURES``; NaN where there are none."""
    known = column[np.isfinite(column)]
    if not known.size:
        return [0.0, *[np.nan] * (len(MEASURES) - 1)]
    low, middle, high = np.quantile(known, (0.01, 0.5, 0.99))
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = known.mean(), known.std()
    return [float(v) for v in (known.size, mean, std, known.min(), low, middle, high, known.max())]


def histogram(values: NDArray[np.float64]) -> Histogram | None:
    """Of the finite numbers of each column, over bins they share; None without a range that floats can hold."""
    known = np.isfinite(values)
    if not known.any():
        return None
    low, high = float(values[known].min()), float(values[known].max())
    if not np.isfinite(high - low):
        return None
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    if not (np.diff(edges) > 0).all():  # so narrow that floats have no forty steps in it
        return None
    counts = [np.histogram(values[known[:, k], k], edges)[0] for k in range(values.shape[1])]
    return Histogram(edges, np.array(counts, np.int64))


def _course(summary: Summary, stream: Stream, at: NDArray[np.int64], values: NDArray[np.float64]) -> None:
    summary.timed = stream.timing.stamped or stream.timing.rate is not None
    times = stream.times if summary.timed else None
    when = at.astype(np.float64) if times is None else (times[at] - times.min()) / 1e9
    summary.course = (when, values, len(stream))


def _frames(summary: Summary, having: Sequence[tuple[Episode, Stream]]) -> None:
    """From up to six episodes, evenly apart."""
    picked = [having[k] for k in _evenly(len(having), FRAMES)]
    each = -(-FRAMES // len(picked))
    for episode, stream in picked:
        at = np.unique(((np.arange(each) + 0.5) * len(stream) / each).astype(np.int64))
        place, read = {"episode": episode.id, "key": stream.name}, stream.read(at)
        for position, sample in zip(at.tolist(), read, strict=True):
            where = f"episode {episode.id}, picture {position} of {len(stream)}"
            summary.frames.append((where, thumbnail(sample, stream.kind, HEIGHT, **place)))
        summary.read += len(at)
    summary.notes += partly(read[0])


def _texts(summary: Summary, streams: Sequence[Stream]) -> None:
    said: Counter[str] = Counter()
    for stream in streams:
        for item in np.asarray(stream.read(_evenly(len(stream), SAMPLES)), object).ravel():
            said[item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)] += 1
            summary.read += 1
    summary.texts = said.most_common(TEXTS)
    if len(said) > TEXTS:
        summary.notes.append(f"{TEXTS} of {len(said):,} texts, the most frequent")


__all__ = ["MEASURES", "Histogram", "Summary", "histogram", "measures", "survey"]
