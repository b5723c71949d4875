"""What becomes of an episode on its way into a store: which streams, on which clock, pictures in which form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, DataError
from ..datasets import Episode, Source, Span, Stream, StreamSpec, Timing, Values
from ..datasets._faults import fault
from ..datasets.streams import INDEX, Picked, listed
from ._layout import spec_fields, spec_of
from ._pictures import decode, encode, resize

HOLDING = ("previous", "nearest", "next")
READ_BYTES = 4 << 20  # decoded at a time


@dataclass(frozen=True)
class Way:
    """What is done with a stream.

    Attributes
    ----------
    spec : StreamSpec
        Of what is stored.
    method : mapping
        Options of `robocache.Stream` where there is a rate.
    blended : bool
        Whether `fuse_multimodal` takes its numbers; else a sample is chosen whole.
    encoding : {"", "jpeg", "png"}
        What its pictures are made; "" leaves them as they are.
    quality : int
    size : (int, int) or None
        Height and width that pictures are brought to.
    dct : str
        How JPEG is decoded.
    """

    spec: StreamSpec
    method: Mapping[str, Any]
    blended: bool
    encoding: str = ""
    quality: int = 0
    size: tuple[int, int] | None = None
    dct: str = "fast"

    def fields(self) -> dict[str, Any]:
        """As JSON holds them."""
        told = {"spec": spec_fields(self.spec), "method": dict(self.method), "blended": self.blended}
        return told | {"encoding": self.encoding, "quality": self.quality, "size": self.size, "dct": self.dct}

    @classmethod
    def of(cls, name: str, told: Mapping[str, Any]) -> "Way":
        """From those fields."""
        size = told["size"]
        return cls(
            spec_of(name, told["spec"]), told["method"], told["blended"], told["encoding"], told["quality"],
            None if size is None else tuple(size), told["dct"],
        )  # fmt: skip


class Column(Source):
    """A stream whose samples are chosen whole: the source's sample of each step, and how it is stored."""

    def __init__(self, stream: Stream, shown: NDArray[np.int64], way: Way, place: Mapping[str, Any]) -> None:
        self.stream, self.shown, self.way, self.place = stream, shown, way, dict(place)

    def take(self, at: Picked) -> Any:
        """Samples as they will be read from the store."""
        wanted, places = np.unique(self.shown[at], return_inverse=True)
        if self.way.encoding:
            return decode(self.way.spec, self.way.dct, self.stored(wanted), **self.place)[places]
        found = fitting(self._decoded(wanted), len(wanted), self.way.spec, self.place)
        return found if np.array_equal(places, np.arange(len(found))) else found[places]

    def encoded(self, at: Picked) -> list[bytes]:
        """The bytes that are stored."""
        return self.stored(self.shown[listed(at)])

    def stored(self, frames: NDArray[np.int64]) -> list[bytes]:
        """Of some samples of the source."""
        if self.way.encoding:
            return [encode(image, self.way.encoding, self.way.quality) for image in self._decoded(frames)]
        if self.way.spec.codec == "utf-8":
            return [text.encode("utf-8") for text in self.stream.read(frames).tolist()]
        return [bytes(data) for data in self.stream.read(frames, decode=False)]

    def _decoded(self, frames: NDArray[np.int64]) -> Any:
        found = self.stream.read(frames)
        if self.way.size is not None:
            found = resize(found, self.way.size)
        return found


@dataclass(frozen=True)
class Aligned:
    """An episode whose streams share their steps.

    Attributes
    ----------
    episode : Episode
    times : array of int64, or None
    valid : mapping of str to array of bool, or None without a rate
    """

    episode: Episode
    times: NDArray[np.int64] | None
    valid: Mapping[str, NDArray[np.bool_]] | None


def align_episode(episode: Episode, ways: Mapping[str, Way], rate: float | None, file: Any = None) -> Aligned:
    """Bring streams of an episode onto one clock: that of its steps, or an even one of ``rate`` hertz.

    Raises
    ------
    ArgumentError
        No rate, and streams of several clocks, stamps or lengths; a stream that is not there.
    DataError
        What cannot be read, or not be fused.
    """
    if absent := [name for name in ways if name not in episode]:
        raise ArgumentError(f"streams: {absent} are not in episode {episode.id}; there are {list(episode)}")
    place = {"file": file, "episode": episode.id}
    if rate is None:
        return _native(episode, ways, place)
    stand_in = {
        name: episode[name] if way.blended else _ordinals(episode[name], name, place) for name, way in ways.items()
    }
    methods = {name: dict(way.method) for name, way in ways.items()}
    fused = Episode(episode.id, stand_in, length=episode.length).fuse(rate, methods, layout="dict")
    times = np.asarray(fused.times)
    timing = _even(times, rate)
    streams, valid = {}, {}
    for k, (name, way) in enumerate(ways.items()):
        found = np.asarray(fused[name])
        if way.blended:
            fitting(found, len(times), way.spec, place | {"key": name})
        source = Values(found) if way.blended else Column(episode[name], found, way, place | {"key": name})
        streams[name] = Stream(way.spec, timing, source)
        valid[name] = np.ascontiguousarray(fused.valid[:, k])
    spans = _moved(episode, times, place)
    return Aligned(
        Episode(episode.id, streams, length=len(times), language=spans, meta=lambda: episode.meta), times, valid
    )


def fitting(found: Any, count: int, spec: StreamSpec, place: Mapping[str, Any]) -> Any:
    """Samples that are as the first episode's were, or DataError; those that are encoded may differ in size."""
    found = np.asarray(found)
    if spec.codec is None and (found.shape != (count, *spec.shape) or found.dtype.name != spec.dtype.name):
        wanted = (count, *spec.shape)
        raise fault(f"samples are {found.shape} of {found.dtype}, expected {wanted} of {spec.dtype}", **place)
    return found


def _ordinals(stream: Stream, name: str, place: Mapping[str, Any]) -> Stream:
    """The numbers of samples in their place."""
    if not len(stream):
        raise fault("has no sample", **place, key=name)
    return Stream(
        StreamSpec(name, "event", (), np.dtype(np.int64)), stream.timing, Values(np.arange(len(stream), dtype=np.int64))
    )


def _even(times: NDArray[np.int64], rate: float) -> Timing:
    """Steps of a rate where that gives the very times, else stamps."""
    timing = Timing(len(times), INDEX, rate=rate, start=int(times[0]) if len(times) else 0)
    return timing if np.array_equal(timing.times, times) else Timing(len(times), "fused", times)


def _native(episode: Episode, ways: Mapping[str, Way], place: Mapping[str, Any]) -> Aligned:
    timing = episode[next(iter(ways))].timing
    for name in ways:
        other = episode[name].timing
        if other.count != timing.count or other.clock != timing.clock:
            told = ", ".join(f"{n}: {len(episode[n])} of {episode[n].clock!r}" for n in ways)
            raise ArgumentError(
                f"rate: the streams of episode {episode.id} do not share their steps ({told}); say a rate to bring "
                "them onto one clock, or name streams= that share theirs"
            )
        same = other is timing or (other.rate == timing.rate and other.start == timing.start)
        if not same or (timing.stamped and not np.array_equal(episode[name].times, timing.times)):
            raise ArgumentError(
                f"rate: {name} of episode {episode.id} has other stamps than the first stream; say a rate to bring "
                "them onto one clock, or name streams= that share theirs"
            )
    every = np.arange(timing.count, dtype=np.int64)
    streams = {
        name: Stream(way.spec, timing, Column(episode[name], every, way, {**place, "key": name}))
        for name, way in ways.items()
    }
    known = timing.stamped or timing.rate is not None
    times = episode[next(iter(ways))].times if known else None
    whole = Episode(
        episode.id, streams, length=timing.count, language=lambda: episode.language, meta=lambda: episode.meta
    )
    return Aligned(whole, times, None)


def _moved(episode: Episode, times: NDArray[np.int64], place: Mapping[str, Any]) -> Sequence[Span]:
    """Instructions for the steps that begin within those they were for."""
    spans = episode.language
    if not spans:
        return ()
    count = len(times)
    old = next((s.times for s in episode.values() if len(s) == episode.length and s.timing.rate is not None), None)
    if old is None:
        old = next((s.times for s in episode.values() if len(s) == episode.length and s.timing.stamped), None)
    moved = []
    for span in spans:
        length = episode.length
        if span.start <= 0 and (length is None or span.stop >= length):
            moved.append(span._replace(start=0, stop=count))
        elif old is None or length is None:
            raise fault(f"has an instruction for steps {span.start} to {span.stop}, whose times are not known", **place)
        else:
            edges = [
                count if at >= length else int(np.searchsorted(times, old[max(0, at)]))
                for at in (span.start, span.stop)
            ]
            moved.append(span._replace(start=edges[0], stop=max(edges)))
    return tuple(moved)


def at_once(spec: StreamSpec) -> int:
    """Samples to be read at a time."""
    each = spec.dtype.itemsize * int(np.prod([n or 1 for n in spec.shape], dtype=object))
    return max(1, min(1 << 16, READ_BYTES // max(1, each)))


def gaps(aligned: Aligned) -> list[str]:
    """Streams that are not valid at every step."""
    return [name for name, mask in (aligned.valid or {}).items() if not mask.all()]


def refuse_gaps(aligned: Aligned, where: str) -> None:
    """Raise DataError for an episode that has gaps and is meant for a format that cannot say so."""
    if holes := gaps(aligned):
        raise DataError(
            f"episode {aligned.episode.id}: {holes} have gaps, and {where} has no place for them; use a store"
        )


__all__ = ["HOLDING", "Aligned", "Column", "Way", "align_episode", "at_once", "gaps", "refuse_gaps"]
