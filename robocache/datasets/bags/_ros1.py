"""ROS 1 bags, format 2.0: connections, chunk infos, index records, chunks."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._kept import Kept
from ..facts import Finding
from ._bytes import CACHE_BYTES, Cursor, Raw, damage, inflate
from ._storage import Channel, Index, Storage, disagree, plain_type

MAGIC = b"#ROSBAG V2.0\n"
MESSAGE, BAG, INDEX, CHUNK, CHUNK_INFO, CONNECTION = 2, 3, 4, 5, 6, 7
ENTRY = np.dtype([("seconds", "<u4"), ("nanoseconds", "<u4"), ("offset", "<u4")])


def header(cursor: Cursor) -> dict[str, bytes]:
    """The named fields of a record."""
    inner = Cursor(cursor.take(cursor.number("I")))
    fields = {}
    while inner.at < inner.stop:
        name, equals, value = bytes(inner.take(inner.number("I"))).partition(b"=")
        if not equals:
            raise ValueError("a field of a record's header has no name")
        fields[name.decode()] = value
    return fields


def number(fields: dict[str, bytes], name: str, length: int = 4) -> int:
    """An unsigned field of a header."""
    if len(fields.get(name, b"")) != length:
        raise ValueError(f"the header of a record lacks {name!r}")
    return int.from_bytes(fields[name], "little")


def stamp(fields: dict[str, bytes], name: str) -> int:
    """A time of a header in nanoseconds."""
    both = number(fields, name, 8)
    return (both & 0xFFFFFFFF) * 10**9 + (both >> 32)


def opened(cursor: Cursor, op: int) -> dict[str, bytes]:
    """The header of a record that must be of one kind."""
    fields = header(cursor)
    if (found := number(fields, "op", 1)) != op:
        raise ValueError(f"a record of kind {found} is where one of kind {op} should be")
    return fields


def message_header(cursor: Cursor) -> dict[str, bytes]:
    """The header of the message that an index points to; connections may come before it."""
    fields = header(cursor)
    while number(fields, "op", 1) == CONNECTION:
        cursor.take(cursor.number("I"))
        fields = header(cursor)
    return fields


class Bag(Storage):
    """A ROS 1 bag."""

    def __init__(self, path: Path, verify: bool, limit: int) -> None:
        self.path, self._limit = path, limit
        self._file, self._chunks, self._lock = Raw(path), Kept(CACHE_BYTES, lone=True), threading.Lock()
        self._indexes: dict[int, Index] | None = None
        with damage("is no bag that can be read", file=path):
            self._open()

    def _open(self) -> None:
        cursor = Cursor(self._file.bytes)
        if self._file.size < len(MAGIC) or cursor.take(len(MAGIC)) != MAGIC:
            raise ValueError("it does not begin as a ROS bag of version 2.0")
        fields = opened(cursor, BAG)
        if fields.get("encryptor"):
            raise ValueError("it is encrypted")
        at, connections, chunks = number(fields, "index_pos", 8), number(fields, "conn_count"), 0
        chunks = number(fields, "chunk_count")
        if at == 0:
            raise ValueError("it was not finished, for it has no index; try `rosbag reindex`")
        if at > self._file.size:
            raise ValueError(f"it is cut off: its index is at {at}, and it has {self._file.size} bytes")
        cursor = Cursor(self._file.bytes, at)
        found = [self._connection(cursor) for _ in range(connections)]
        self._parts = sorted(self._chunk_info(cursor) for _ in range(chunks))
        counts: dict[int, int] = {}
        for _, held in self._parts:
            for connection, count in held:
                counts[connection] = counts.get(connection, 0) + count
        if strays := set(counts) - {channel.id for channel in found}:
            raise ValueError(f"its chunks hold messages of connections that are not there: {sorted(strays)[:5]}")
        self.channels = [channel._replace(total=counts.get(channel.id, 0)) for channel in found]
        if len({channel.id for channel in found}) != len(found):
            raise ValueError("two connections have one number")

    def _connection(self, cursor: Cursor) -> Channel:
        outer = opened(cursor, CONNECTION)
        inner = header(cursor)
        if "topic" not in outer or "type" not in inner:
            raise ValueError("a connection has no topic or no type")
        text = inner.get("message_definition", b"").decode("utf-8", "replace")
        topic = "/".join(["", *filter(None, outer["topic"].decode().split("/"))])
        topic = topic if outer["topic"].startswith(b"/") else topic[1:]
        return Channel(number(outer, "conn"), topic, plain_type(inner["type"].decode()), "ros1", "ros1msg", text, 0)

    def _chunk_info(self, cursor: Cursor) -> tuple[int, tuple[tuple[int, int], ...]]:
        fields = opened(cursor, CHUNK_INFO)
        data = cursor.take(cursor.number("I"))
        if number(fields, "ver") != 1 or len(data) != 8 * number(fields, "count"):
            raise ValueError("the list of its chunks is damaged")
        pairs = np.frombuffer(data, "<u4").reshape(-1, 2).tolist()
        return number(fields, "chunk_pos", 8), tuple((int(c), int(n)) for c, n in pairs)

    def _body(self, offset: int) -> tuple[memoryview, str, int, Cursor]:
        cursor = Cursor(self._file.bytes, offset)
        fields = opened(cursor, CHUNK)
        data = cursor.take(cursor.number("I"))
        return data, fields.get("compression", b"none").decode(), number(fields, "size"), cursor

    def _chunk(self, offset: int) -> Any:
        return self._chunks.get(offset, lambda: self._inflated(offset), len)

    def _inflated(self, offset: int) -> Any:
        with damage(f"the chunk at {offset} cannot be read", file=self.path):
            data, how, size, behind = self._body(offset)
            return inflate(self._file.read(behind.at - len(data), len(data)), how, size, self._limit)

    def _gather(self) -> dict[int, Index]:
        """The index records behind all chunks."""
        rows: dict[int, list[Any]] = {channel.id: [] for channel in self.channels}
        for offset, held in self._parts:
            cursor = self._body(offset)[3]
            for _ in held:
                fields = opened(cursor, INDEX)
                table = np.frombuffer(cursor.take(cursor.number("I")), ENTRY)
                connection = number(fields, "conn")
                if number(fields, "ver") != 1 or number(fields, "count") != len(table):
                    raise ValueError("an index record is damaged")
                if connection not in rows:
                    raise ValueError(f"an index record is of the connection {connection}, which is not there")
                times = table["seconds"].astype(np.int64) * 10**9 + table["nanoseconds"]
                places = np.stack([np.full(len(table), offset, np.int64), table["offset"].astype(np.int64)], 1)
                rows[connection].append((times, places))
        empty = (np.zeros(0, np.int64), np.zeros((0, 2), np.int64))
        columns = {id: list(zip(*[empty, *found], strict=True)) for id, found in rows.items()}
        return {id: Index(np.concatenate(times), np.concatenate(places)) for id, (times, places) in columns.items()}

    def index(self, channel: Channel) -> Index:
        """See `Storage.index`."""
        with self._lock, damage("the index cannot be read", file=self.path, key=channel.topic):
            if self._indexes is None:
                self._indexes = self._gather()
        return self._indexes[channel.id]

    def payload(self, channel: Channel, place: NDArray[np.int64], time: int) -> Any:
        """See `Storage.payload`."""
        chunk, offset = int(place[0]), int(place[1])
        with damage("a message cannot be read", file=self.path, key=channel.topic):
            cursor = Cursor(self._chunk(chunk), offset)
            fields = message_header(cursor)
            found = number(fields, "op", 1), number(fields, "conn"), stamp(fields, "time")
            if found != (MESSAGE, channel.id, time):
                raise disagree(self.path, channel, f"at {offset} of the chunk at {chunk} is another record")
            return cursor.take(cursor.number("I"))

    def located(self, place: NDArray[np.int64]) -> int | None:
        """See `Storage.located`."""
        with damage("a chunk cannot be read", file=self.path):
            data, how, _, behind = self._body(int(place[0]))
            cursor = Cursor(data, int(place[1]))
            if how != "none":
                return None
            message_header(cursor)
            return behind.at - len(data) + cursor.at + 4

    def check(self) -> Iterator[Finding]:
        """See `Storage.check`."""
        for channel in self.channels:
            try:
                found = len(self.index(channel).times)
            except ValueError as error:
                yield Finding("error", str(error), str(self.path), None, channel.topic)
                return
            yield from self.miscounted(channel, found)

    def close(self) -> None:
        """See `Storage.close`."""
        self._chunks.clear()
        self._file.close()


__all__ = ["Bag"]
