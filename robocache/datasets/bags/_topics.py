"""The messages of a topic in the order of their log times, over all publishers and files of a bag."""

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core.errors import RoboCacheError
from .._faults import fault
from ..streams import Timing
from ._bytes import damage
from ._layout import BLOCK, Decoder, Layout, column, groups
from ._storage import Channel, Storage

STAMP = ("header.stamp.sec", "header.stamp.nanosec")
BLOCK_BYTES = 8 << 20  # of the messages that are held at once


class Topic:
    """A topic.

    Parameters
    ----------
    parts : sequence of (Storage, Channel)
        Whose messages it has; all of one type.
    decoder : Decoder or None
        None for messages that are not ROS's.
    """

    def __init__(
        self, name: str, episode: Any, parts: Sequence[tuple[Storage, Channel]], decoder: Decoder | None, verify: bool
    ) -> None:
        self.name, self.episode, self.parts, self.verify = name, episode, parts, verify
        self._decoder, self._lock = decoder, threading.Lock()
        self.held: Mapping[int, Any] = {}
        self.count = sum(channel.total for _, channel in parts)
        self.type = parts[0][1].type

    @property
    def place(self) -> dict[str, Any]:
        """Where it is, for errors."""
        return {"file": self.parts[0][0].path, "episode": self.episode, "key": self.name}

    @property
    def decoder(self) -> Decoder:
        """Of its messages."""
        if self._decoder is None:
            raise fault("its messages are not ROS's", **self.place)
        return self._decoder

    @cached_property
    def index(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Log times, and (message, 3): part and place, in the order of the log times."""
        times, places = [np.zeros(0, np.int64)], [np.zeros((0, 3), np.int64)]
        for number, (storage, channel) in enumerate(self.parts):
            found = storage.index(channel)
            times.append(found.times)
            places.append(np.concatenate([np.full((len(found.times), 1), number), found.places], 1))
        logged, where = np.concatenate(times), np.concatenate(places)
        if len(logged) != self.count:
            raise fault(f"{self.count} messages are announced, {len(logged)} are indexed", **self.place)
        order = np.argsort(logged, kind="stable")
        return logged[order], where[order]

    def payload(self, position: int) -> Any:
        """The bytes of a message: of those in ``held``, by position, if it is among them, where it may be an error."""
        held = self.held  # as it is now: a window may end meanwhile
        if position in held:
            found = held[position]
            if isinstance(found, RoboCacheError):
                raise found.with_traceback(None)
            return found
        times, places = self.index
        storage, channel = self.parts[places[position, 0]]
        return storage.payload(channel, places[position, 1:], int(times[position]))

    def blocks(self, at: NDArray[np.int64], size: int = BLOCK) -> Iterator[tuple[NDArray[np.int64], list[Any]]]:
        """Messages a block at a time, in the order of the file; with them their positions in ``at``."""
        order = np.lexsort(self.index[1][at].T[::-1])
        start = 0
        while start < len(order):
            held, payloads = 0, []
            for k in order[start : start + size]:
                payloads.append(bytes(self.payload(int(at[k]))))  # a view would keep its whole chunk
                held += len(payloads[-1])
                if held > BLOCK_BYTES:
                    break
            yield order[start : start + len(payloads)], payloads
            start += len(payloads)

    @cached_property
    def first(self) -> tuple[Layout, Any]:
        """Layout and bytes of the first message."""
        with damage("its first message cannot be read", **self.place):
            data = self.payload(0)
            return self.decoder.layout(data), data

    def columns(
        self, at: NDArray[np.int64], wanted: Sequence[str], same: str | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Layout, Any]]:
        """Rows of ``at``, their layout and the bytes in which the leaves ``wanted`` lie."""
        for rows, payloads in self.blocks(at):
            with damage("a message cannot be read", **self.place):
                for found, layout, block in groups(self.decoder, payloads, wanted, same):
                    yield rows[found], layout, block

    @cached_property
    def stamps(self) -> NDArray[np.int64]:
        """Nanoseconds of the headers."""
        return self.stamps_of(np.arange(self.count, dtype=np.int64))

    def stamps_of(self, at: NDArray[np.int64]) -> NDArray[np.int64]:
        """Nanoseconds of some headers."""
        out = np.empty(len(at), np.int64)
        for rows, layout, block in self.columns(at, STAMP):
            seconds, rest = (column(block, layout.leaves[path], layout.little).astype(np.int64) for path in STAMP)
            out[rows] = seconds * 10**9 + rest
        return out

    @cached_property
    def received(self) -> NDArray[np.int64]:
        """Nanoseconds at which they were logged; each compared with its record if the dataset verifies."""
        if self.verify:
            for _ in self.blocks(np.arange(self.count, dtype=np.int64)):
                pass
        return self.index[0]

    def timing(self, clock: str | None) -> Timing:
        """Stamps of the header if they are asked for, or if nothing is and they are not all zero."""
        header = clock != "receive" and self._decoder is not None and STAMP[1] in self.first[0].leaves
        if header and clock is None:
            header = self._stamped(0) or self._stamped(self.count - 1) or bool(self.stamps.any())
        if header:
            return Timing(self.count, "header", lambda: self._once("stamps"))
        return Timing(self.count, "receive", lambda: self._once("received"))

    def _stamped(self, position: int) -> bool:
        """Whether a message has a stamp other than zero."""
        data = self.payload(position)
        layout, row = self.decoder.layout(data), np.frombuffer(data, np.uint8)[None]
        return any(column(row, layout.leaves[path], layout.little)[0] for path in STAMP)

    def _once(self, name: str) -> NDArray[np.int64]:
        with self._lock:
            found: NDArray[np.int64] = getattr(self, name)
        return found


__all__ = ["Topic"]
