"""What is wrong with a bag: its messages are read once, in the order of its files, for all streams together."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core.errors import RoboCacheError
from ..facts import Finding
from ..model import Episode
from ..streams import Stream
from ._layout import BLOCK
from ._recording import Recording
from ._topics import BLOCK_BYTES, Topic

MESSAGES = 4096  # that are held at once
SAID = 20  # findings of one stream


def findings(recording: Recording, episode: Episode) -> Iterator[Finding]:
    """Read all of it and say what is wrong."""
    path, id = str(recording.path), recording.id
    for storage in recording.storages:
        for finding in storage.check():
            yield finding._replace(episode=id)
    yield from _counts(recording)
    for name, told in episode.meta["topics"].items():
        if "undecodable" in told:
            yield Finding("warning" if told["count"] == 0 else "error", told["undecodable"], path, id, name)
        elif told["omitted"]:
            yield Finding("warning", f"no stream holds {', '.join(told['omitted'])}", path, id, name)
    by_topic: dict[str, list[Stream]] = {}
    for stream in episode.values():
        by_topic.setdefault(_topic(stream).name, []).append(stream)
    looks = [_Look(recording, streams) for streams in by_topic.values()]
    try:
        for window in _windows(looks, recording):
            for look, positions in window:
                yield from look.unreadable(positions)
                look.topic.held = {}
    finally:  # whoever asked may have seen enough
        for look in looks:
            look.topic.held = {}
    for look in looks:
        yield from look.unsorted()


def _topic(stream: Stream) -> Topic:
    source: Any = stream.source
    found: Topic = source.topic
    return found


def _counts(recording: Recording) -> Iterator[Finding]:
    listed, path = recording.told.get("topics_with_message_count"), recording.path
    for entry in listed if isinstance(listed, list) else ():
        try:
            name, count = str(entry["topic_metadata"]["name"]), entry["message_count"]
        except (TypeError, KeyError, IndexError):
            yield Finding("error", "its list of topics is damaged", str(path / "metadata.yaml"), recording.id)
            return
        found = sum(channel.total for _, channel in recording.topics.get(name, ()))
        if found != count:
            message = f"{found} messages are there, metadata.yaml says {count}"
            yield Finding("error", message, str(path), recording.id, name)


class _Look:
    """What was seen of a topic and of its streams."""

    def __init__(self, recording: Recording, streams: Sequence[Stream]) -> None:
        self.topic, self.streams, self.verify = _topic(streams[0]), streams, recording.options.verify
        self.place = str(recording.path), recording.id
        self.said = dict.fromkeys((stream.name for stream in streams), 0)
        self.header = streams[0].clock == "header"
        self.times: NDArray[np.int64] | RoboCacheError = self.topic.index[0]
        if self.header:
            self.times = np.empty(self.topic.count, np.int64)

    def unreadable(self, at: NDArray[np.int64]) -> Iterator[Finding]:
        """Read the messages that the topic holds now: their stamps, and the samples of every stream."""
        if not isinstance(self.times, RoboCacheError):
            try:
                if self.header:
                    self.times[at] = self.topic.stamps_of(at)
                elif self.verify:
                    for position in at.tolist():
                        self.topic.payload(position)
            except RoboCacheError as error:
                self.times = error
        for stream in self.streams:
            size = BLOCK if stream.kind in ("vector", "text") else 1
            for start in range(0, len(at), size):
                if self.said[stream.name] > SAID:
                    break
                try:
                    stream.read(at[start : start + size])
                except RoboCacheError as error:
                    yield self._told(stream, "error", str(error))
                    self.said[stream.name] += 1
                    if self.said[stream.name] == SAID:
                        self.said[stream.name] += 1
                        yield self._told(stream, "error", "and more of the kind")

    def unsorted(self) -> Iterator[Finding]:
        """Stamps that could not be read, go back or stand still."""
        for stream in self.streams:
            if isinstance(self.times, RoboCacheError):
                yield self._told(stream, "error", str(self.times))
                continue
            steps = np.diff(self.times)
            for wrong, what in ((steps < 0, "go back"), (steps == 0, "stand still")):
                if wrong.any():
                    first = int(np.flatnonzero(wrong)[0]) + 1
                    message = f"its {stream.clock} stamps {what} {int(wrong.sum())} times, first at sample {first}"
                    yield self._told(stream, "warning", message)

    def _told(self, stream: Stream, level: str, message: str) -> Finding:
        return Finding(level, message, *self.place, stream.name)


def _windows(looks: Sequence[_Look], recording: Recording) -> Iterator[list[tuple[_Look, NDArray[np.int64]]]]:
    """The messages of all topics a window at a time: each topic holds its own, at the positions given with it."""
    number = {id(storage): k for k, storage in enumerate(recording.storages)}
    rows = [np.zeros((0, 5), np.int64)]
    for k, look in enumerate(looks):
        places = look.topic.index[1]
        files = np.array([number[id(storage)] for storage, _ in look.topic.parts])[places[:, 0]]
        count = len(places)
        rows.append(np.column_stack([files, places[:, 1:], np.full(count, k), np.arange(count)]))
    table = np.concatenate(rows)
    table = table[np.lexsort(table[:, 2::-1].T)][:, 3:]
    start = 0
    while start < len(table):
        held: dict[int, dict[int, Any]] = {}
        size, stop = 0, start
        while stop < len(table) and stop - start < MESSAGES and size < BLOCK_BYTES:
            k, position = table[stop].tolist()
            found: Any
            try:
                found = bytes(looks[k].topic.payload(position))  # a view would keep its whole chunk
                size += len(found)
            except RoboCacheError as error:
                found = error
            held.setdefault(k, {})[position] = found
            stop += 1
        start = stop
        for k, messages in held.items():
            looks[k].topic.held = messages
        yield [(looks[k], np.array(sorted(messages), np.int64)) for k, messages in held.items()]


__all__ = ["findings"]
