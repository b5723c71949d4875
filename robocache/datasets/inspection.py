"""What every episode of any format must keep to; `Dataset.validate` asks what its own format demands."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from .._core.errors import ArgumentError, DataError
from .facts import Finding, finding_of
from .model import Dataset, Episode
from .streams import INDEX, Stream, StreamSpec

CHUNK = 64  # samples that are read at once


def inspect_dataset(dataset: Dataset, *, deep: bool = False) -> Iterator[Finding]:
    """Open every episode and look at what it says of itself.

    Parameters
    ----------
    dataset : Dataset
    deep : bool
        Read and decode every sample; by default the first and the last of each stream.

    Yields
    ------
    Finding
        Stamps that go back are an error, repeated ones a warning; as are streams of the index clock that differ in
        length, and instructions for steps that are not there. A sample whose shape or type is not the announced one,
        and whatever cannot be read, is an error. It goes on after each.
    """
    lengths = None
    try:
        lengths = np.asarray(dataset.lengths())
    except ArgumentError:  # a log, which has no steps
        lengths = None
    except DataError as error:
        yield finding_of(error)
    if lengths is not None and len(lengths) != len(dataset):
        yield Finding("error", f"lengths of {len(lengths)} episodes are given, and there are {len(dataset)}")
        lengths = None
    for name, positions in dataset.splits.items():
        outside = [int(at) for at in positions if not 0 <= at < len(dataset)]
        if outside:
            yield Finding("error", f"split {name!r} names episodes {outside[:5]}, and there are {len(dataset)}")
    for position in range(len(dataset)):
        try:
            episode = dataset[position]
        except DataError as error:
            yield finding_of(error, position)
            continue
        if lengths is not None and episode.length is not None and episode.length != lengths[position]:
            said = f"has {episode.length} steps, and the dataset says {lengths[position]}"
            yield Finding("error", said, episode=episode.id)
        yield from inspect_episode(episode, deep=deep)


def inspect_episode(episode: Episode, *, deep: bool = False) -> Iterator[Finding]:
    """See `inspect_dataset`."""
    counts: dict[int, list[str]] = {}
    for name, stream in episode.items():
        if stream.clock == INDEX:
            counts.setdefault(len(stream), []).append(name)
    if len(counts) > 1:
        told = "; ".join(f"{count}: {', '.join(names[:4])}" for count, names in sorted(counts.items()))
        yield Finding("warning", f"streams of the index clock differ in length ({told})", episode=episode.id)
    yield from _instructions(episode)
    for name, stream in episode.items():
        for finding in (*_stamps(stream), *_samples(stream, deep)):
            yield finding._replace(
                episode=episode.id if finding.episode is None else finding.episode, key=finding.key or name
            )


def _instructions(episode: Episode) -> Iterator[Finding]:
    """Language and metadata that can be read, spans within the episode."""
    spans: Any = ()
    try:
        spans = episode.language
        _ = episode.meta
    except DataError as error:
        yield finding_of(error, episode.id)
    for span in spans:
        if not 0 <= span.start <= span.stop or (episode.length is not None and span.stop > episode.length):
            said = f"an instruction is for steps {span.start} to {span.stop} of {episode.length}"
            yield Finding("warning", said, episode=episode.id)


def _stamps(stream: Stream) -> Iterator[Finding]:
    if not stream.timing.stamped:
        return
    try:
        times = stream.times
    except DataError as error:
        yield finding_of(error)
        return
    back = np.flatnonzero(times[1:] < times[:-1])
    if len(back):
        at = int(back[0])
        said = f"{len(back)} stamps are earlier than the one before, first {times[at + 1]} after {times[at]}"
        yield Finding("error", f"{said} at sample {at + 1}")
    again = np.flatnonzero(times[1:] == times[:-1])
    if len(again):
        at = int(again[0])
        yield Finding("warning", f"{len(again)} stamps repeat the one before, first {times[at]} at sample {at + 1}")


def _samples(stream: Stream, deep: bool) -> Iterator[Finding]:
    """Read some, and compare them with what was announced; a fault is said once for each run of samples."""
    count = len(stream)
    parts: list[Any] = [slice(at, min(at + CHUNK, count)) for at in range(0, count, CHUNK)]
    if not deep:
        parts = [np.unique([0, count - 1])] if count else []
    seen = set()
    for part in parts:
        try:
            wrong = _differs(stream.read(part), stream.spec, part.stop - part.start if deep else len(part))
        except DataError as error:
            yield finding_of(error)
            continue
        if wrong and wrong not in seen:
            seen.add(wrong)
            yield Finding("error", wrong)


def _differs(found: Any, spec: StreamSpec, count: int) -> str:
    """What of the samples read is not as announced; nothing if all is."""
    if len(found) != count:
        return f"{len(found)} samples were read where {count} were asked for"
    if found.dtype != spec.dtype:
        return f"samples are {found.dtype}, announced as {spec.dtype}"
    if spec.dtype != object:
        return _shape(found.shape[1:], spec)
    if spec.kind == "text":
        strange = sorted({type(item).__name__ for item in found.ravel()} - {"str", "bytes"})
        return f"samples are {', '.join(strange)}, announced as text" if strange else ""
    return next(filter(None, (_shape(np.shape(item), spec) for item in found)), "")


def _shape(shape: tuple[int, ...], spec: StreamSpec) -> str:
    same = len(shape) == len(spec.shape) and all(b is None or a == b for a, b in zip(shape, spec.shape, strict=True))
    return "" if same else f"a sample has the shape {shape}, announced as {spec.shape}"


__all__ = ["inspect_dataset", "inspect_episode"]
