"""What every file of a bag offers: channels, when their messages were logged, and the bytes of some of them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._faults import fault
from ..facts import Finding


class Channel(NamedTuple):
    """One publisher's messages to one topic."""

    id: int
    topic: str
    type: str  # "package/Name", or what a bag without ROS calls it
    encoding: str  # of messages: "cdr", "ros1", "json", …
    schema: str  # of the definition: "ros2msg", "ros1msg", "ros2idl", "jsonschema", … or "" for none
    definition: str
    total: int


class Index(NamedTuple):
    """Of a channel, in the order of the file: log times in nanoseconds, and where each message lies."""

    times: NDArray[np.int64]
    places: NDArray[np.int64]  # (message, 2): chunk, or -1, and offset; what they mean is up to the storage


class Storage:
    """A file; derived classes know its format. Threads may share one."""

    path: Path
    channels: list[Channel]

    def index(self, channel: Channel) -> Index:
        """Where the messages of a channel are; remembered."""
        raise NotImplementedError

    def payload(self, channel: Channel, place: NDArray[np.int64], time: int) -> Any:
        """The bytes of one message, whose record must agree with channel and time."""
        raise NotImplementedError

    def located(self, place: NDArray[np.int64]) -> int | None:
        """Offset in the file of the record at a place, where it is not compressed."""
        return None

    def check(self) -> Iterator[Finding]:
        """What is wrong with the file as such."""
        yield from ()

    def miscounted(self, channel: Channel, found: int) -> Iterator[Finding]:
        """That a channel has not as many messages as the file announces."""
        if found != channel.total:
            message = f"{found} messages are indexed, {channel.total} are announced"
            yield Finding("error", message, str(self.path), None, channel.topic)

    def close(self) -> None:
        """Close it."""


def plain_type(name: str) -> str:
    """``package/Name`` of ``package/msg/Name``."""
    parts = name.split("/")
    return f"{parts[0]}/{parts[2]}" if len(parts) == 3 and parts[1] == "msg" else name


def disagree(path: Path, channel: Channel, what: str) -> Exception:
    """The error of a record that is not what the index says."""
    return fault(f"index and messages disagree: {what}", file=path, key=channel.topic)


def nanoseconds(times: NDArray[np.uint64], path: Path) -> NDArray[np.int64]:
    """Unsigned stamps as signed ones; none may be too large."""
    if times.size and int(times.max()) >= 1 << 63:
        raise fault("a log time lies past the year 2262", file=path)
    return times.astype(np.int64)


__all__ = ["Channel", "Index", "Storage", "disagree", "nanoseconds", "plain_type"]
