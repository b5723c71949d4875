"""Episodes and datasets: what every format is read as."""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, PositionError
from ._fuse import fuse
from ._gather import gather
from ._kept import Kept
from .facts import ActionSpec, Finding, Span
from .streams import INDEX, Kind, Stream, StreamSpec, Timing, Values

KEPT = 64  # episodes that a dataset remembers


class Episode(Mapping[str, Stream]):
    """One recording: a mapping from names to streams, none of which is read before it is asked for.

    Parameters
    ----------
    id : int or str
        Its name within the dataset, as the format has it.
    streams : mapping of str to Stream
    length : int, optional
        Steps, where all streams of the index clock share them.
    language : sequence of Span, or function that returns one
    meta : mapping, or function that returns one
        Everything else that the format says of the episode.
    """

    def __init__(
        self, id: int | str, streams: Mapping[str, Stream], *, length: int | None = None,
        language: Sequence[Span] | Callable[[], Sequence[Span]] = (),
        meta: Mapping[str, Any] | Callable[[], Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        self.id, self.length = id, length
        self.streams = MappingProxyType(dict(streams))
        self._language, self._meta = language, meta

    @classmethod
    def from_arrays(
        cls, id: int | str, values: Mapping[str, Any], *, rate: Any = None, times: Any = None,
        clock: str = "log", language: Sequence[Span] = (), meta: Mapping[str, Any] = MappingProxyType({}),
    ) -> "Episode":  # fmt: skip
        r"""An episode of arrays in memory.

        Parameters
        ----------
        values : mapping of str to array (sample, \*shape)
            uint8 arrays of shape (sample, height, width, 1, 3 or 4) are images, strings are text.
        rate : float, optional
            Hertz of all of them, if nothing was stamped.
        times : array of int64, or mapping of str to array, optional
            Nanoseconds, of all streams or of each.
        """
        streams = {}
        for name, given in values.items():
            array = np.asarray(given)
            stamps = times.get(name) if isinstance(times, Mapping) else times
            timing = Timing(len(array), INDEX if stamps is None else clock, stamps, rate if stamps is None else None)
            image = array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] in (1, 3, 4)
            kind: Kind = "text" if array.dtype.kind in "OU" else "image" if image else "vector"
            dtype = np.dtype(object) if kind == "text" else array.dtype
            source = Values(array.astype(object) if kind == "text" else array)
            streams[name] = Stream(StreamSpec(name, kind, array.shape[1:], dtype), timing, source)
        counts = {len(stream) for stream in streams.values()}
        return cls(id, streams, length=counts.pop() if len(counts) == 1 else None, language=language, meta=meta)

    @cached_property
    def language(self) -> Sequence[Span]:
        """Instructions, with the steps they hold for."""
        return tuple(self._language() if callable(self._language) else self._language)

    @cached_property
    def meta(self) -> Mapping[str, Any]:
        """What the format says of the episode and no stream holds."""
        return self._meta() if callable(self._meta) else self._meta

    def __getitem__(self, name: str) -> Stream:
        return self.streams[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.streams)

    def __len__(self) -> int:
        return len(self.streams)

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other

    def __repr__(self) -> str:
        return f"Episode({self.id!r}, length={self.length}, streams={list(self.streams)})"

    def fuse(
        self, rate: float | None = None, streams: Sequence[str] | Mapping[str, Any] | None = None, *,
        target_times: Any = None, stamps: Mapping[str, Any] | None = None, device: int | None = None, **options: Any,
    ) -> Any:  # fmt: skip
        """Bring streams of this episode onto one clock.

        Parameters
        ----------
        rate : float, optional
            Hertz of the clock to make.
        streams : sequence of str, or mapping of str to method or dict, optional
            Which, and how: a method of `resample_trajectories`, or the options of `robocache.Stream` (``method``,
            ``latency``, ``max_gap``, …). By default every stream of numbers: floats ``"linear"``, integers and bools
            ``"previous"``.
        target_times : array, Clock or str, optional
            Instead of ``rate``, as in `fuse_multimodal`.
        stamps : mapping of str to array of int64, optional
            Other stamps for some streams, such as those that `fit_clock` has brought onto the clock of the others.
        device : int, optional
            GPU that the samples are copied to and fused on. By default they stay on the CPU.
        **options
            As of `fuse_multimodal`: ``start``, ``stop``, ``join``, ``outside``, ``layout``, ``dtype``.

        Returns
        -------
        Fused

        Raises
        ------
        ArgumentError
            Streams of different clocks, which no one has brought together; a name that is not there.
        DataError
            Stamps that cannot be known, or what `fuse_multimodal` says of the samples.
        """
        return fuse(self, rate, streams, target_times, stamps, device, options)


class Episodes(Sequence[Episode]):
    """The episodes of a dataset, made when asked for; the last ones are remembered."""

    def __init__(self, count: int, make: Callable[[int], Episode]) -> None:
        self._count, self._make = count, make
        self._kept = Kept(KEPT)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self._count))]
        at = int(index) + (self._count if index < 0 else 0)
        if not 0 <= at < self._count:
            raise PositionError(f"episode {index}: there are {self._count}")
        return self._kept.get(at, lambda: self._make(at), lambda episode: 1)


class StepIndex:
    """Every step of every episode, counted through."""

    def __init__(self, lengths: Any) -> None:
        self.lengths = np.asarray(lengths, np.int64)
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths)])

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def locate(self, step: int) -> tuple[int, int]:
        """Episode, and step within it."""
        if not 0 <= step < len(self):
            raise PositionError(f"step {step}: there are {len(self)}")
        episode = bisect_right(self.offsets, step) - 1
        return episode, step - int(self.offsets[episode])

    def locate_all(self, steps: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """`locate` of many steps."""
        steps = np.asarray(steps, np.int64)
        if steps.size and not (int(steps.min()) >= 0 and int(steps.max()) < len(self)):
            raise PositionError(f"steps: there are {len(self)}")
        episodes = np.searchsorted(self.offsets, steps, side="right") - 1
        return episodes, steps - self.offsets[episodes]


@dataclass(eq=False, kw_only=True)
class Dataset:
    """A dataset that was opened: episodes, and what is known of all of them. Made by `open_dataset`.

    Attributes
    ----------
    format, name : str
    path : Path
    episodes : sequence of Episode
    splits : mapping of str to sequence of int
        Positions in ``episodes``.
    specs : mapping of str to StreamSpec
        Of the streams that the format announces; an episode may lack some.
    control_hz : float or None
    control_hz_origin : {"file", "registry", "user"} or None
    action : ActionSpec or None
        Where the format or the registry knows.
    lengths : function
        Returns the number of steps of every episode; may have to look at every one of them.
    findings : function
        Yields what is wrong; may read everything.
    meta : mapping
    columns : function
        Of a name and a position: all samples of a stream of numbers as an array, if the format has it at hand; or None.
    again : tuple of (function, mapping) or None
        What opens it again, and the options of that; ``pickle`` does so in another process.
    """

    format: str
    name: str
    path: Path
    episodes: Sequence[Episode]
    splits: Mapping[str, Sequence[int]]
    specs: Mapping[str, StreamSpec]
    lengths: Callable[[], Any]
    findings: Callable[[], Iterator[Finding]]
    control_hz: float | None = None
    control_hz_origin: str | None = None
    action: ActionSpec | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    closing: Callable[[], None] = lambda: None
    columns: Callable[[str, int], Any] = lambda name, episode: None
    again: tuple[Callable[..., "Dataset"], Mapping[str, Any]] | None = None

    def __len__(self) -> int:
        return len(self.episodes)

    def __getitem__(self, index: Any) -> Any:
        return self.episodes[index]

    def __iter__(self) -> Iterator[Episode]:
        return iter(self.episodes)

    @cached_property
    def index(self) -> StepIndex:
        """Every step of every episode; made when first asked for."""
        return StepIndex(self.lengths())

    def take(self, name: str, steps: Any) -> Any:
        r"""Samples of one stream at steps of any episodes, such as the rows or windows of a batch.

        Parameters
        ----------
        name : str
            Of a stream that has a sample for every step.
        steps : array of int, any shape
            Counted through all episodes, as `index` does; in any order, again and again too. Shape (n,) for rows,
            (n, w) for windows: ``starts[:, None] + np.arange(w)``, which the caller keeps within their episodes.

        Returns
        -------
        array (\*steps.shape, \*shape), of object for text

        Raises
        ------
        PositionError
            A step past either end; negative ones do not count from the end.
        DTypeError
            Steps that are no integers.
        ArgumentError
            A stream that is not there, or whose samples are no steps.
        DataError
            The bytes on disk are damaged or missing, or samples differ in shape or dtype between episodes.
        """
        return gather(self, name, steps)

    def split(self, name: str) -> "Dataset":
        """Only the episodes of one split."""
        if name not in self.splits:
            raise ArgumentError(f"split: {name!r} is not there; there are {sorted(self.splits)}")
        picked = list(self.splits[name])
        return replace(
            self,
            episodes=Episodes(len(picked), lambda i: self.episodes[picked[i]]),
            splits={name: range(len(picked))},
            lengths=lambda: np.asarray(self.lengths())[picked],
            columns=lambda name, episode: self.columns(name, picked[episode]),
            again=None if self.again is None else (self.again[0], {**self.again[1], "split": name}),
        )

    def validate(self) -> Iterator[Finding]:
        """Read everything there is and yield what is wrong: checksums, cut-off files, counts, stamps."""
        return self.findings()

    def close(self) -> None:
        """Close files. Arrays that were read stay."""
        self.closing()

    def __reduce__(self) -> Any:
        if self.again is None:
            raise ArgumentError(f"{self.name}: only what open_dataset has opened can be pickled; write it first")
        how, options = self.again
        return _opened, (how, dict(options))

    def __enter__(self) -> "Dataset":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Dataset({self.name!r}, {self.format}, {len(self)} episodes, control_hz={self.control_hz})"


def _opened(how: Callable[..., Dataset], options: Mapping[str, Any]) -> Dataset:
    return how(**options)


__all__ = ["ActionSpec", "Dataset", "Episode", "Episodes", "Finding", "Span", "StepIndex"]
