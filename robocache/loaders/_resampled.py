"""Episodes of several clocks as a source of batches: resampled where, and when, it is asked for."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .._core import checks, dtypes
from .._core.errors import ArgumentError
from ..datasets._faults import fault
from ..datasets._fuse import options_of
from ..datasets.model import Dataset
from ..ops import _grid, _streams
from ..ops.fusion import fuse_multimodal
from ..ops.records import Stream
from ._dataset import CLOCKS, known, opened_again, read, specs_of, streams_of
from ._fingerprint import fingerprint
from ._rows import Share, by_episode, checked, picked, result

LOCAL = ("linear", "nearest", "previous", "next", "slerp", "angle")  # methods that look at two samples
HOLDS = ("nearest", "previous", "next")
OPTIONS = ("method", "latency", "tolerance", "max_gap", "period", "quat_order")
NAT = np.iinfo(np.int64).min


@dataclass(frozen=True, eq=False)
class Slices:
    r"""The samples of a stream that some steps are made of, packed, a row for each episode.

    Parameters
    ----------
    values : array, shape (samples, \*shape)
    times : array of int64, shape (samples,)
        Stamps, nanoseconds.
    offsets : array of int64, shape (rows + 1,)
        Where each row begins.
    targets : array of int64, shape (rows, steps)
        Where to sample, rising; NaT where a row has fewer than the longest.
    place : array of int64, shape of what was asked for
        Where each wanted step is among the flattened targets.
    """

    values: Any
    times: Any
    offsets: Any
    targets: Any
    place: Any


class ResampledSource:
    """Episodes on an even clock over the time that their streams share, to make batches of.

    Parameters
    ----------
    dataset : Dataset
    rate : float
        Hertz of the clock.
    streams : sequence of str, or mapping of str to method or dict, optional
        Which, and how, as in `Episode.fuse`; by default every stream of numbers. Methods that look at two samples:
        linear, nearest, previous, next, slerp and angle.

    Attributes
    ----------
    streams : mapping of str to StreamSpec
        Without codecs: pictures are decoded here.
    offsets : NumPy array of int64
    rate : float
    fingerprint : str
        As that of `DatasetSource`, with the rate and the methods.

    Raises
    ------
    ArgumentError
        A stream that is not there, is not made of numbers, differs in shape, or has a clock that is not that of the
        others; a method that looks at a whole episode.
    DataError
        An episode without a stream, with stamps that fall, or whose streams share no time.

    Notes
    -----
    The values, and where they are valid, are bit for bit those of ``episode.fuse(rate, streams, layout="dict")``, but
    only the samples next to the steps that are asked for are read. The stamps of every episode are read when the source
    is made, to know how many steps there are.
    """

    def __init__(self, dataset: Dataset, rate: float, streams: Sequence[str] | Mapping[str, Any] | None = None) -> None:
        self.name, self.rate, self._dataset = dataset.name, checks.positive("rate", rate), dataset
        self._wanted = streams
        specs = specs_of(dataset, streams, vectors=True)
        self.streams = MappingProxyType({name: replace(spec, codec=None) for name, spec in specs.items()})
        given = streams if isinstance(streams, Mapping) else dict.fromkeys(specs)
        self._how = {name: _local(name, options_of(spec, given[name])) for name, spec in specs.items()}
        self._latency = {
            name: int(_streams.span_of(f"{name}.latency", how.get("latency") or 0, dtypes.int64, signed=True))
            for name, how in self._how.items()
        }
        spans = [self._span(number) for number in range(len(dataset))]
        self._first = np.array([first for first, _ in spans], np.int64)
        counts = [_grid.count(rate, first, last) for first, last in spans]
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(counts, np.int64))])
        self._last = threading.local()  # what this thread gathered, whose validity it will ask for

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest; made when first asked for."""
        return fingerprint(self._dataset, self.streams, self.offsets, self.rate, self._how)

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        """Samples at global steps, `out` or a new array of shape (*rows.shape, *shape)."""
        spec = known(self.streams, name, self.name)
        rows = checked(rows, self.offsets)
        out = result(out, rows, spec.shape, spec.dtype)
        real = np.ones(rows.shape, bool)
        if rows.size:
            slices = self.slices(name, rows)
            values, marks = resample(slices, self._how[name])
            out[...] = values.reshape(slices.targets.size, *spec.shape)[slices.place]
            real = marks.reshape(-1)[slices.place]
        self._last.__dict__[name] = rows.copy(), real
        return out

    def valid(self, name: str, rows: Any) -> NDArray[np.bool_]:
        """Whether each sample is real, as `fuse_multimodal` says; at once for what this thread has just gathered."""
        known(self.streams, name, self.name)
        rows = checked(rows, self.offsets)
        last = self._last.__dict__.get(name)
        if last is None or not np.array_equal(last[0], rows):
            self.gather(name, rows)
            last = self._last.__dict__[name]
        real: NDArray[np.bool_] = last[1].copy()
        return real

    def encoded(self, name: str, rows: Any) -> NoReturn:
        """Nothing here is encoded. Raises ArgumentError."""
        raise ArgumentError(f"{known(self.streams, name, self.name).name}: its samples are resampled; use gather")

    def episode(self, number: int) -> int | str:
        """Its id, as the dataset has it."""
        return self._dataset[number].id

    def close(self) -> None:
        """Close the dataset."""
        self._dataset.close()

    def __reduce__(self) -> Any:
        return opened_again, (type(self), (self._dataset, self.rate, self._wanted), self.fingerprint)

    def slices(self, name: str, rows: NDArray[np.int64]) -> Slices:
        """What the steps ``rows`` of a stream are made of, read."""
        shares = list(by_episode(rows, self.offsets))
        width = max(share.steps.size for share in shares)
        targets = np.full((len(shares), width), NAT, np.int64)
        place = np.empty(rows.size, np.int64)
        values, times = [], []
        for row, share in enumerate(shares):
            goals = self._first[share.episode] + _grid.numbered(self.rate, share.steps)
            targets[row, : goals.size] = goals
            place[share.place] = row * width + share.which
            samples, stamps = self._samples(name, share, goals)
            values.append(samples)
            times.append(stamps)
        offsets = np.cumsum([0, *(len(stamps) for stamps in times)], dtype=np.int64)
        return Slices(np.concatenate(values), np.concatenate(times), offsets, targets, place.reshape(rows.shape))

    def _samples(self, name: str, share: Share, goals: NDArray[np.int64]) -> tuple[Any, NDArray[np.int64]]:
        """The samples of an episode that rising targets are made of, and their stamps."""
        stream = streams_of(self._dataset, share.episode, self._how)[name]
        spec, episode, captured = self.streams[name], self.episode(share.episode), stream.times - self._latency[name]
        needed = neighbours(captured, goals)
        method = self._how[name].get("method", "linear")
        if spec.kind not in ("image", "depth") or method not in HOLDS:
            return read(stream, picked(needed), spec, episode), stream.times[needed]
        used = np.unique(taken(captured, goals, method))
        shape: Any = (needed.size, *spec.shape)
        samples = np.zeros(shape, spec.dtype)  # what is not used need not be decoded
        samples[np.searchsorted(needed, used)] = read(stream, picked(used), spec, episode)
        return samples, stream.times[needed]

    def _span(self, number: int) -> tuple[int, int]:
        """First and last time that the streams of an episode share."""
        streams = streams_of(self._dataset, number, self._how)
        if len({stream.clock for stream in streams.values()}) > 1:
            told = ", ".join(f"{name}: {stream.clock!r}" for name, stream in streams.items())
            raise ArgumentError(
                f"episode {self.episode(number)}: the streams have several clocks ({told}); leave some out, {CLOCKS}"
            )
        firsts, lasts = [], []
        for name, stream in streams.items():
            times = stream.times
            if not times.size:
                raise fault("has no samples; leave it out by streams=", episode=self.episode(number), key=name)
            falls = np.flatnonzero(times[1:] < times[:-1])
            if falls.size or times[0] == NAT:
                raise fault(
                    f"its stamps are unsorted or missing at sample {int(falls[0]) + 1 if falls.size else 0}; "
                    "sanitize_times and convert the dataset first", episode=self.episode(number), key=name,
                )  # fmt: skip
            firsts.append(int(times[0]) - self._latency[name])
            lasts.append(int(times[-1]) - self._latency[name])
        if max(firsts) > min(lasts):
            raise fault(f"its streams share no time: {list(streams)}", episode=self.episode(number))
        return max(firsts), min(lasts)


def neighbours(captured: NDArray[np.int64], goals: NDArray[np.int64]) -> NDArray[np.int64]:
    """Numbers of the samples on both sides of each target, those of equal stamps with them, rising."""
    later = np.searchsorted(captured, goals, side="right")
    low = np.searchsorted(captured, captured[np.maximum(later - 1, 0)], side="left")
    high = np.searchsorted(captured, captured[np.minimum(later, captured.size - 1)], side="right")
    begin = low.copy()
    begin[1:] = np.maximum(low[1:], high[:-1])  # what the target before does not have already
    count = high - begin
    return np.repeat(begin - (np.cumsum(count) - count), count) + np.arange(int(count.sum()))


def taken(captured: NDArray[np.int64], goals: NDArray[np.int64], method: str) -> NDArray[np.int64]:
    """Number of the one sample that a method which blends nothing takes for each target."""
    later = np.searchsorted(captured, goals, side="right")
    earlier = later - 1
    if method == "previous":
        return earlier
    following = np.minimum(later, captured.size - 1)
    if method == "next":
        return np.where(captured[earlier] == goals, np.searchsorted(captured, goals, side="left"), following)
    nearer = captured[following] - goals < goals - captured[earlier]
    return np.where(nearer, np.searchsorted(captured, captured[following], side="right") - 1, earlier)


def resample(slices: Slices, how: Mapping[str, Any]) -> tuple[Any, Any]:
    """Values ``[row, step]`` and whether they are real, on the device that the slices lie on."""
    stream = Stream(slices.values, slices.times, offsets=slices.offsets, **how)
    fused = fuse_multimodal({"": stream}, slices.targets, layout="dict")
    return fused.values[""], fused.valid[..., 0]


def _local(name: str, how: dict[str, Any]) -> dict[str, Any]:
    """Options whose methods look at two samples."""
    if strange := [option for option in how if option not in OPTIONS]:
        raise ArgumentError(f"streams[{name!r}]: {strange} are no options here; there are {list(OPTIONS)}")
    given = how.get("method", "linear")
    for method in [given] if isinstance(given, str) else [pair[-1] for pair in given]:
        if method not in LOCAL:
            raise ArgumentError(
                f"streams[{name!r}]: method {method!r} is not one of {', '.join(LOCAL)}, which look at two samples; "
                "methods that look at more need whole episodes: convert first"
            )
    return how


__all__ = ["ResampledSource", "Slices", "neighbours", "resample"]
