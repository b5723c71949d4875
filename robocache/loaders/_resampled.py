"""Episodes of several clocks as a source of batches: resampled where, and when, it is asked for."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
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
from ._dataset import CLOCKS, known, opened_again, read, specs_of, streams_of
from ._fingerprint import fingerprint
from ._rows import by_episode, checked, picked, result
from ._slices import Resampling, Slices, around, crowd, edges, resample, spans

LOCAL = ("linear", "nearest", "previous", "next", "slerp", "angle")  # methods that look at two samples
HOLDS = ("nearest", "previous", "next")
OPTIONS = ("method", "latency", "tolerance", "max_gap", "period", "quat_order")
NAT = np.iinfo(np.int64).min


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
    is made, to know how many steps there are. A `DataLoader` with a ``device`` resamples streams of numbers there, to
    the bits of ``episode.fuse(…, device=device)``, and pictures on the host.
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
        self._most = dict.fromkeys(specs, 1)
        shared = [self._span(number) for number in range(len(dataset))]
        self._first = np.array([first for first, _ in shared], np.int64)
        counts = [_grid.count(rate, first, last) for first, last in shared]
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
            lines, values = rows.reshape(-1, 1), out.reshape(rows.size, 1, *spec.shape)
            if spec.kind in ("image", "depth") and self._how[name].get("method", "linear") in HOLDS:
                marks = self._pictures(name, lines, values)
            else:
                marks = resample({name: self.slices(name, lines)}, self._how, {name: values})
            real = marks.reshape(rows.shape)
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

    def resampling(self, name: str) -> Resampling:
        """How a stream is resampled, by whoever was given its `slices`."""
        return Resampling(self._how[name], self._most[name])

    def slices(self, name: str, lines: NDArray[np.int64]) -> Slices:
        """What some steps of a stream are made of, read. A line is of one episode, and its steps do not fall."""
        return self._packed(name, lines, partial(self._samples, name))

    def _packed(self, name: str, lines: NDArray[np.int64], take: Callable[..., Any]) -> Slices:
        """What ``take`` makes of an episode, a stream and the numbers of the samples around some steps."""
        goals, found = self._goals(lines.reshape(-1)), np.empty((2, lines.size), np.int64)
        values, times, total = [], [], 0
        for share in by_episode(lines, self.offsets):
            stream = streams_of(self._dataset, share.episode, [name])[name]
            stamps = stream.times
            low, high = around(stamps - self._latency[name], goals[share.place])
            fresh = low.copy()
            np.maximum(low[1:], high[:-1], out=fresh[1:])  # what the step before does not have already
            needed = spans(fresh, high - fresh)
            end = np.cumsum(high - fresh) + total  # among the samples of all episodes that are read
            found[:, share.place] = end - (high - low), end
            values.append(take(share.episode, stream, needed))
            times.append(stamps[needed])
            total += needed.size
        begin, end = found.reshape(2, *lines.shape)
        begin[:, 1:] = np.maximum(begin[:, 1:], end[:, :-1])
        count = end - begin
        at = spans(begin.reshape(-1), count.reshape(-1))
        offsets = edges(count.sum(axis=1))
        return Slices(np.concatenate(values)[at], np.concatenate(times)[at], offsets, goals.reshape(lines.shape))

    def _goals(self, steps: NDArray[np.int64]) -> NDArray[np.int64]:
        """When steps are, nanoseconds."""
        episodes = np.searchsorted(self.offsets, steps, side="right") - 1
        numbers, back = np.unique(steps - self.offsets[episodes], return_inverse=True)
        times: NDArray[np.int64] = self._first[episodes] + _grid.numbered(self.rate, numbers)[back]
        return times

    def _samples(self, name: str, episode: int, stream: Any, needed: NDArray[np.int64]) -> Any:
        return read(stream, picked(needed), self.streams[name], self.episode(episode))

    def _pictures(self, name: str, lines: NDArray[np.int64], out: Any) -> Any:
        """Samples that nothing is blended of, of which only those are decoded that are taken: first their numbers."""
        taken = np.empty(lines.shape, np.int64)
        slices = self._packed(name, lines, lambda episode, stream, needed: needed)
        real = resample({name: slices}, self._how, {name: taken})
        for share in by_episode(lines, self.offsets):
            stream = streams_of(self._dataset, share.episode, [name])[name]
            distinct, back = np.unique(taken[share.place], return_inverse=True)
            out[share.place, 0] = self._samples(name, share.episode, stream, distinct)[back.reshape(-1)]
        if out.dtype.kind not in "iub":
            real &= ~np.isnan(out).any(axis=tuple(range(2, out.ndim)))[..., None]
        return real

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
            self._most[name] = max(self._most[name], crowd(times))
            firsts.append(int(times[0]) - self._latency[name])
            lasts.append(int(times[-1]) - self._latency[name])
        if max(firsts) > min(lasts):
            raise fault(f"its streams share no time: {list(streams)}", episode=self.episode(number))
        return max(firsts), min(lasts)


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


__all__ = ["ResampledSource"]
