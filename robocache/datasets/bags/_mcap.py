"""MCAP files: summary, message indexes, chunks with their checksums."""

import zlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._faults import fault
from .._kept import Kept
from ..facts import Finding
from ._bytes import CACHE_BYTES, Cursor, Raw, damage, inflate
from ._storage import Channel, Index, Storage, disagree, nanoseconds, plain_type

MAGIC = b"\x89MCAP0\r\n"
FOOTER = 1 + 8 + 8 + 8 + 4  # op, length, two offsets, checksum
SCHEMA, CHANNEL, MESSAGE, CHUNK, INDEX, CHUNK_INDEX, STATISTICS, DATA_END = 3, 4, 5, 6, 7, 8, 11, 15
ENCODINGS = {"ros2msg": "ros2msg", "ros1msg": "ros1msg", "ros2idl": "ros2idl", "omgidl": "ros2idl"}


class Chunk(NamedTuple):
    """Where a chunk record lies, and where the message indexes of its channels do."""

    offset: int
    indexes: dict[int, int]


def records(data: Any, at: int, stop: int) -> Iterator[tuple[int, int, int]]:
    """(op, first byte, end) of each record's content."""
    while at < stop:
        cursor = Cursor(data, at, stop)
        op, length = cursor.numbers("BQ")
        cursor.take(length)
        yield op, at + 9, cursor.at
        at = cursor.at


class Mcap(Storage):
    """An MCAP file."""

    def __init__(self, path: Path, verify: bool, limit: int) -> None:
        self.path, self._verify, self._limit = path, verify, limit
        self._file, self._chunks = Raw(path), Kept(CACHE_BYTES, lone=True)
        self._indexes: dict[int, Index] = {}
        self._schemas: dict[int, tuple[str, str, str]] = {}
        self._found: dict[int, tuple[int, str, str]] = {}
        self._parts: list[Chunk] = []
        self.counts: dict[int, int] | None = None
        with damage("is no MCAP file that can be read", file=path):
            self._open()

    def _open(self) -> None:
        data, size = self._file.bytes, self._file.size
        if size < len(MAGIC) or data[: len(MAGIC)] != MAGIC:
            raise ValueError("it does not begin as one")
        if size < 2 * len(MAGIC) + FOOTER or data[size - len(MAGIC) :] != MAGIC:
            raise ValueError("it is cut off: its end is missing (was the recording finished?); try `mcap recover`")
        self._end = size - len(MAGIC) - FOOTER
        cursor = Cursor(data, self._end)
        if cursor.numbers("BQ") != (2, FOOTER - 9):
            raise ValueError("its footer is damaged")
        start, _, crc = cursor.numbers("QQI")
        if self._verify and start and crc and zlib.crc32(data[start : size - len(MAGIC) - 4]) != crc:
            raise ValueError("the checksum of its summary is wrong")
        if start and not len(MAGIC) <= start <= self._end:
            raise ValueError(f"its summary lies at {start}, outside of it")
        self._stop = start or self._end
        self._summary(start or self._end)
        wanted = {channel for part in self._parts for channel in part.indexes} | set(self.counts or {})
        unindexed = not self._parts or any(not part.indexes for part in self._parts)
        self._scanned = wanted - set(self._found) != set() or (unindexed and self.counts != {})
        if self._scanned:
            self._scan()
        self.channels = [self._channel(id) for id in sorted(self._found)]

    def _channel(self, id: int) -> Channel:
        schema, topic, encoding = self._found[id]
        name, kind, text = self._schemas.get(schema, ("", "", ""))
        count = (self.counts or {}).get(id, 0)
        if self.counts is None:
            count = sum(self._span(part, id)[2] for part in self._parts if id in part.indexes)
        return Channel(id, topic, plain_type(name), encoding, ENCODINGS.get(kind, kind), text, count)

    def _summary(self, start: int) -> None:
        data = self._file.bytes
        for op, at, stop in records(data, start, self._end):
            cursor = Cursor(data, at, stop)
            self._declared(op, cursor)
            if op == CHUNK_INDEX:
                _, _, offset, _, length = cursor.numbers("QQQQI")
                pairs = np.frombuffer(cursor.take(length), [("channel", "<u2"), ("offset", "<u8")])
                self._parts.append(Chunk(offset, {int(c): int(o) for c, o in pairs.tolist()}))
            elif op == STATISTICS:
                cursor.take(42)
                pairs = np.frombuffer(cursor.take(cursor.number("I")), [("channel", "<u2"), ("count", "<u8")])
                self.counts = {int(c): int(n) for c, n in pairs.tolist()}
                if sum(self.counts.values()) > self._file.size and not self._parts:
                    raise ValueError("it claims more messages than it has bytes")
        self._parts.sort()

    def _declared(self, op: int, cursor: Cursor) -> None:
        """Take note of a schema or channel."""
        if op == SCHEMA:
            id = cursor.number("H")
            name, kind = cursor.string(), cursor.string()
            text = cursor.take(cursor.number("I"))
            self._schemas[id] = name, kind, str(text, "utf-8") if kind in (*ENCODINGS, "jsonschema") else ""
        elif op == CHANNEL:
            id, schema = cursor.numbers("HH")
            self._found[id] = schema, cursor.string(), cursor.string()

    def _scan(self) -> None:
        """Read all of it, for want of an index."""
        rows: dict[int, list[tuple[int, int, int]]] = {}

        def walk(data: Any, chunk: int, at: int, stop: int) -> None:
            for op, start, end in records(data, at, stop):
                cursor = Cursor(data, start, end)
                self._declared(op, cursor)
                if op == MESSAGE:
                    channel, _, time = cursor.numbers("HIQ")
                    rows.setdefault(channel, []).append((time, chunk, start - 9))
                elif op == CHUNK and chunk < 0:
                    inner = self._chunk(start - 9)
                    walk(inner, start - 9, 0, len(inner))

        walk(self._file.bytes, -1, len(MAGIC), self._stop)
        for channel, found in rows.items():
            table = np.array(found, np.uint64 if all(c >= 0 for _, c, _ in found) else object)
            times = nanoseconds(table[:, 0].astype(np.uint64), self.path)
            self._indexes[channel] = Index(times, table[:, 1:].astype(np.int64))
        if self.counts is None:
            self.counts = {channel: len(found) for channel, found in rows.items()}
        if set(rows) - set(self._found):
            raise ValueError(f"messages of channels that are not declared: {sorted(set(rows) - set(self._found))[:5]}")

    def _chunk(self, offset: int) -> Any:
        """The records of a chunk, inflated and checked."""
        return self._chunks.get(offset, lambda: self._inflated(offset), len)

    def _body(self, offset: int) -> tuple[Cursor, int, int, str]:
        cursor = Cursor(self._file.bytes, offset, self._end)
        op, length = cursor.numbers("BQ")
        if op != CHUNK:
            raise ValueError(f"no chunk is at {offset}, where the index says there is one")
        inner = Cursor(self._file.bytes, cursor.at, cursor.at + len(cursor.take(length)))
        _, _, size, crc = inner.numbers("QQQI")
        return inner, size, crc, inner.string()

    def _inflated(self, offset: int) -> Any:
        with damage(f"the chunk at {offset} cannot be read", file=self.path):
            inner, size, crc, how = self._body(offset)
            length = inner.number("Q")
            inner.take(length)
            found = inflate(self._file.read(inner.at - length, length), how, size, self._limit)
            if self._verify and crc and zlib.crc32(found) != crc:
                raise ValueError("its checksum is wrong")
            return found

    def _span(self, part: Chunk, channel: int) -> tuple[int, int, int]:
        """Where the entries of a message index begin and end, and how many there are."""
        cursor = Cursor(self._file.bytes, part.indexes[channel], self._end)
        op, length = cursor.numbers("BQ")
        found, size = cursor.numbers("HI")
        if op != INDEX or found != channel or size % 16 or size + 6 > length:
            raise ValueError(f"no message index of channel {channel} is at {part.indexes[channel]}")
        return cursor.at, cursor.at + len(cursor.take(size)), size // 16

    def index(self, channel: Channel) -> Index:
        """See `Storage.index`."""
        if channel.id not in self._indexes:
            with damage("the message index cannot be read", file=self.path, key=channel.topic):
                self._indexes[channel.id] = self._gather(channel)
        return self._indexes[channel.id]

    def _gather(self, channel: Channel) -> Index:
        times, places = [np.zeros(0, np.uint64)], [np.zeros((0, 2), np.int64)]
        for part in self._parts if not self._scanned else ():
            if channel.id not in part.indexes:
                continue
            start, stop, count = self._span(part, channel.id)
            table = np.frombuffer(self._file.bytes[start:stop], "<u8").reshape(count, 2)
            table = table[np.argsort(table[:, 1], kind="stable")]
            if count and int(table[:, 1].max()) >= 1 << 62:
                raise ValueError("an offset lies outside of its chunk")
            times.append(table[:, 0])
            places.append(np.stack([np.full(count, part.offset), table[:, 1].astype(np.int64)], 1))
        return Index(nanoseconds(np.concatenate(times), self.path), np.concatenate(places))

    def payload(self, channel: Channel, place: NDArray[np.int64], time: int) -> Any:
        """See `Storage.payload`."""
        chunk, offset = int(place[0]), int(place[1])
        with damage("a message cannot be read", file=self.path, key=channel.topic):
            data = self._chunk(chunk) if chunk >= 0 else self._file.bytes
            cursor = Cursor(data, offset)
            op, length = cursor.numbers("BQ")
            end = cursor.at + len(cursor.take(length))
            body = Cursor(data, cursor.at - length, end)
            found, _, logged, _ = body.numbers("HIQQ")
            if (op, found, logged) != (MESSAGE, channel.id, time):
                raise disagree(self.path, channel, f"at {offset} of the chunk at {chunk} is another record")
            return body.take(end - body.at)

    def located(self, place: NDArray[np.int64]) -> int | None:
        """See `Storage.located`."""
        chunk, offset = int(place[0]), int(place[1])
        if chunk < 0:
            return offset + 9 + 22
        with damage("a chunk cannot be read", file=self.path):
            inner, _, _, how = self._body(chunk)
            return inner.at + 8 + offset + 9 + 22 if how == "" else None

    @cached_property
    def _data_end(self) -> tuple[int, int] | None:
        """Where the record that ends the data is, and the checksum it holds."""
        for op, at, stop in records(self._file.bytes, len(MAGIC), self._stop):
            if op == DATA_END:
                return at - 9, Cursor(self._file.bytes, at, stop).number("I")
        return None

    def check(self) -> Iterator[Finding]:
        """See `Storage.check`."""
        said = None
        try:
            with damage("its records cannot be walked", file=self.path):
                end = self._data_end
                if end is None:
                    said = "has no end-of-data record"
                elif end[1] and self._file.checksum(end[0]) != end[1]:
                    said = "the checksum of its data is wrong"
        except ValueError as error:
            said = str(error)
        if said:
            yield Finding("error", said, str(self.path))
        for channel in self.channels:
            try:
                found = len(self.index(channel).times)
            except ValueError:
                continue  # whoever reads the topic finds that too
            yield from self.miscounted(channel, found)

    def close(self) -> None:
        """See `Storage.close`."""
        self._chunks.clear()
        self._file.close()


def opens(path: Path) -> bool:
    """Whether a file begins as MCAP."""
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise fault(f"cannot be read: {error}", file=path) from error


__all__ = ["Mcap", "opens"]
