"""A dataset whose episodes have steps, as a source of batches."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError
from ..datasets._faults import fault
from ..datasets._fuse import numbers
from ..datasets.facts import Span
from ..datasets.model import Dataset
from ..datasets.streams import Stream, StreamSpec
from ._fingerprint import fingerprint
from ._rows import by_episode, checked, picked, result

PICTURES = ("jpeg", "png")  # handed out as they are, for the loader to decode
LANGUAGE = "language"
SAID = StreamSpec(LANGUAGE, "text", (), np.dtype(object))
REMEDY = "give rate= to bring them onto one clock (ResampledSource), or convert the dataset first"
CLOCKS = "or bring them onto one with fit_clock and convert the dataset with a rate= first"


class DatasetSource:
    """Episodes of a dataset, step by step, to make batches of.

    Parameters
    ----------
    dataset : Dataset
    streams : sequence of str, optional
        By default all but text and events.

    Attributes
    ----------
    streams : mapping of str to StreamSpec
        With a codec (``"jpeg"`` or ``"png"``) where `encoded` gives pictures as they lie on disk. What is encoded
        otherwise, such as video, is decoded here. Beside them ``"language"``, of text, unless a stream is called so.
    offsets : NumPy array of int64
    rate : float or None
        The control rate of the dataset.
    fingerprint : str
        Of format, lengths, streams, and names, sizes and times of change of the files, the first 10,000 of them.

    Raises
    ------
    ArgumentError
        A stream that is not there, is not made of numbers, or differs in shape from sample to sample; a dataset without
        steps; and later, an episode whose streams are of differing lengths or of several clocks.

    Notes
    -----
    An episode is opened when one of its steps is asked for, read once for all rows of a call, and kept as long as the
    dataset keeps it.
    """

    def __init__(self, dataset: Dataset, streams: Sequence[str] | None = None) -> None:
        self.name, self.rate, self._dataset = dataset.name, dataset.control_hz, dataset
        self._wanted = streams
        self._specs = specs_of(dataset, streams)
        announced = {name: _announced(spec) for name, spec in self._specs.items()}
        self.streams = MappingProxyType(announced if LANGUAGE in dataset.specs else announced | {LANGUAGE: SAID})
        try:
            self.offsets = dataset.index.offsets
        except ArgumentError as error:
            raise ArgumentError(f"{error}; {REMEDY}") from error

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest; made when first asked for."""
        return fingerprint(self._dataset, {name: _announced(spec) for name, spec in self._specs.items()}, self.offsets)

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        """Decoded samples at global steps, `out` or a new array of shape (*rows.shape, *shape)."""
        spec = self._spec(name)
        rows = checked(rows, self.offsets)
        out = result(out, rows, spec.shape, spec.dtype)
        flat = out.reshape(rows.size, *spec.shape)
        for share in by_episode(rows, self.offsets):
            column = self._dataset.columns(name, share.episode)
            if column is not None and column.shape[1:] == spec.shape and column.dtype == spec.dtype:
                flat[share.place] = share.spread(column[picked(share.steps)])
                continue
            stream = self._stream(share.episode, name)
            flat[share.place] = share.spread(read(stream, picked(share.steps), spec, self.episode(share.episode)))
        return out

    def encoded(self, name: str, rows: Any) -> list[bytes]:
        """Encoded pictures at global steps, of a stream with a codec."""
        if self.streams[self._spec(name).name].codec is None:
            raise ArgumentError(f"{name}: its samples are plain numbers, or decoded by the dataset; use gather")
        rows = checked(rows, self.offsets, flat=True)
        found: list[bytes] = [b""] * rows.size
        for share in by_episode(rows, self.offsets):
            samples = self._stream(share.episode, name).read(picked(share.steps), decode=False)
            for place, which in zip(share.place.tolist(), share.which.tolist(), strict=True):
                found[place] = samples[which]
        return found

    def texts(self, name: str, rows: Any) -> list[str]:
        """What was said at global steps: of "language" the last span of `Episode.language` that holds there, or ""."""
        if self.streams.get(name) is not SAID:
            raise ArgumentError(f"{name}: its samples are numbers; use gather")
        rows = checked(rows, self.offsets, flat=True)
        found = [""] * rows.size
        for share in by_episode(rows, self.offsets):
            said = said_at(self._dataset[share.episode].language, share.steps)
            for place, which in zip(share.place.tolist(), share.which.tolist(), strict=True):
                found[place] = said[which]
        return found

    def spoken(self) -> NDArray[np.bool_]:
        """Steps of which something was said; looks at the language of every episode."""
        found = np.zeros(int(self.offsets[-1]), np.bool_)
        for number, (first, stop) in enumerate(zip(self.offsets[:-1], self.offsets[1:], strict=True)):
            for span in self._dataset[number].language:
                found[first + max(span.start, 0) : min(first + max(span.stop, 0), stop)] |= bool(span.text)
        return found

    def valid(self, name: str, rows: Any) -> Any:
        """None: a dataset of steps has every sample."""
        self._spec(name)

    def episode(self, number: int) -> int | str:
        """Its id, as the dataset has it."""
        return self._dataset[number].id

    def close(self) -> None:
        """Close the dataset."""
        self._dataset.close()

    def __reduce__(self) -> Any:
        return opened_again, (type(self), (self._dataset, self._wanted), self.fingerprint)

    def _spec(self, name: str) -> StreamSpec:
        return known(self._specs, name, self.name)

    def _stream(self, number: int, name: str) -> Stream:
        """A stream of an episode in which all that are read have a sample a step."""
        streams = streams_of(self._dataset, number, self._specs)
        steps = int(self.offsets[number + 1] - self.offsets[number])
        for key, stream in streams.items():
            if len(stream) != steps:
                raise ArgumentError(
                    f"episode {self.episode(number)}: {key} has {len(stream)} samples for {steps} steps; {REMEDY}"
                )
        if len({stream.clock for stream in streams.values()}) > 1:
            told = ", ".join(f"{key}: {stream.clock!r}" for key, stream in streams.items())
            raise ArgumentError(
                f"episode {self.episode(number)}: the streams have several clocks ({told}); leave some out, {CLOCKS}"
            )
        return streams[name]


def said_at(spans: Sequence[Span], steps: Any) -> list[str]:
    """The last instruction that holds at each step of an episode, or ""."""
    return [next((one.text for one in reversed(spans) if one.start <= step < one.stop), "") for step in steps]


def opened_again(kind: Any, given: tuple[Any, ...], known_as: str) -> Any:
    """The same source, of a dataset that another process has opened."""
    source = kind(*given)
    if source.fingerprint != known_as:
        source.close()
        raise fault("has changed since it was opened, or opens differently in another process", file=given[0].path)
    return source


def specs_of(dataset: Dataset, streams: Any, vectors: bool = False) -> dict[str, StreamSpec]:
    """Of the streams that are wanted; by default all but text and events, or vectors of numbers."""
    specs = dict(dataset.specs)
    if streams is None:
        streams = [name for name, spec in specs.items() if _usual(spec, vectors)]
    if isinstance(streams, str) or not streams:
        raise ArgumentError(f"streams: expected names of streams, got {streams!r}; there are {list(specs)}")
    if absent := [name for name in streams if name not in specs]:
        raise ArgumentError(f"streams: {absent} are not in {dataset.name}; there are {list(specs)}")
    for name in streams:
        spec = specs[name]
        if None in spec.shape:
            raise ArgumentError(
                f"streams: {name} has samples of shape {spec.shape}, which differ; leave it out, or convert the "
                "dataset to samples of one shape first"
            )
        if not numbers(spec):
            raise ArgumentError(f"streams: {name} holds {spec.kind} ({spec.dtype}) and not numbers; leave it out")
    return {name: specs[name] for name in streams}


def _usual(spec: StreamSpec, vectors: bool) -> bool:
    return spec.kind == "vector" and numbers(spec) if vectors else spec.kind not in ("text", "event")


def streams_of(dataset: Dataset, number: int, wanted: Any) -> dict[str, Stream]:
    """Streams of an episode, all of which have to be there."""
    recorded = dataset[number]
    if absent := [name for name in wanted if name not in recorded]:
        raise fault("this episode lacks the stream; leave it out by streams=", episode=recorded.id, key=absent[0])
    return {name: recorded[name] for name in wanted}


def read(stream: Stream, at: Any, spec: StreamSpec, episode: Any) -> Any:
    """Decoded samples, which must be what was announced."""
    found = np.asarray(stream.read(at))
    if found.dtype != spec.dtype or found.shape[1:] != spec.shape:
        raise fault(
            f"has samples of {found.dtype} {found.shape[1:]}; the dataset announces {spec.dtype} {spec.shape}",
            episode=episode, key=spec.name,
        )  # fmt: skip
    return found


def known(specs: Any, name: str, source: str) -> StreamSpec:
    """What is known of a stream of the source."""
    if name not in specs:
        raise ArgumentError(f"{name!r} is not a stream of {source}; there are {list(specs)}")
    spec: StreamSpec = specs[name]
    return spec


def _announced(spec: StreamSpec) -> StreamSpec:
    """Only pictures of 8 bits decode the same everywhere."""
    plain = spec.kind != "image" or spec.dtype != np.uint8 or spec.codec not in PICTURES
    return replace(spec, codec=None) if plain else spec


__all__ = [
    "CLOCKS",
    "LANGUAGE",
    "SAID",
    "DatasetSource",
    "known",
    "opened_again",
    "read",
    "said_at",
    "specs_of",
    "streams_of",
]
