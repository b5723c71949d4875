"""The SQLite files of ROS 2 bags, opened read-only and asked nothing that a hostile schema could answer at length."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from .._faults import fault
from .._pool import Pool
from ..facts import Finding
from ._bytes import damage, inflate
from ._storage import Channel, Index, Storage, disagree, plain_type

STEPS = 1000  # instructions of SQLite's machine between two looks at their number


class Database(Storage):
    """A ``.db3`` file."""

    def __init__(self, path: Path, verify: bool, limit: int, each: str = "") -> None:
        self.path, self._limit, self._each = path, limit, each
        with damage("cannot be read", file=path):
            self._size = path.stat().st_size
        self._pool = Pool(4, lambda connection: connection.close())
        self._indexes: dict[int, Index] = {}
        with self._asked("is no bag that can be read") as connection:
            self._open(connection)

    def _connect(self) -> sqlite3.Connection:
        name = f"file:{quote(str(self.path.absolute()))}?mode=ro&immutable=1"
        connection = sqlite3.connect(name, uri=True, check_same_thread=False, isolation_level=None)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, max(1 << 20, min(self._size, (1 << 31) - 1)))
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.execute("PRAGMA trusted_schema=OFF")
        connection.execute("PRAGMA cell_size_check=ON")
        return connection

    @contextmanager
    def _asked(self, doing: str = "cannot be read", key: str | None = None) -> Iterator[sqlite3.Connection]:
        """A connection that gives up after as many instructions as an honest file of this size could need."""
        left = [10_000 + self._size // 4 // STEPS * 64]

        def count() -> int:
            left[0] -= 1
            return int(left[0] < 0)

        try:
            with self._pool.lease("file", self._connect) as connection:
                connection.set_progress_handler(count, STEPS)
                with damage(doing, file=self.path, key=key):
                    yield connection
        except sqlite3.Error as error:
            raise fault(f"{doing}: {error}", file=self.path, key=key) from error

    def _open(self, connection: sqlite3.Connection) -> None:
        with open(self.path, "rb") as file:
            if file.read(16) != b"SQLite format 3\0":
                raise ValueError("it does not begin as a SQLite file")
            head = file.read(84)
        pages = int.from_bytes(head[12:16], "big")
        page = int.from_bytes(head[0:2], "big")
        if pages * (65536 if page == 1 else page) > self._size:
            raise ValueError(f"it is cut off: {pages} pages are announced, and it has {self._size} bytes")
        made = dict(connection.execute("SELECT name, sql FROM sqlite_master WHERE type='table'"))
        for table in ("topics", "messages"):
            if not str(made.get(table, "")).upper().startswith("CREATE TABLE"):
                raise ValueError(f"it has no table {table!r}")
            kinds = [row[6] for row in connection.execute(f"PRAGMA table_xinfo({table})")]
            if any(kinds):
                raise ValueError(f"columns of its table {table!r} are computed")
        texts: dict[str, tuple[str, str]] = {}
        if "message_definitions" in made:
            asked = "SELECT topic_type, encoding, encoded_message_definition FROM message_definitions"
            texts = {plain_type(str(t)): (str(e), str(d)) for t, e, d in connection.execute(asked)}
        counts = dict(connection.execute("SELECT topic_id, count(*) FROM messages GROUP BY topic_id"))
        self.channels = []
        for id, name, kind, encoding in connection.execute("SELECT id, name, type, serialization_format FROM topics"):
            schema, text = texts.get(plain_type(str(kind)), ("", ""))
            count = counts.pop(id, 0)
            self.channels.append(Channel(int(id), str(name), plain_type(str(kind)), str(encoding), schema, text, count))
        if counts:
            raise ValueError(f"it holds messages of topics that are not there: {list(counts)[:5]}")

    def index(self, channel: Channel) -> Index:
        """See `Storage.index`."""
        if channel.id not in self._indexes:
            with self._asked(key=channel.topic) as connection:
                asked = "SELECT timestamp, id FROM messages WHERE topic_id=? LIMIT ?"
                found = connection.execute(asked, (channel.id, self._size)).fetchall()
                if not all(type(time) is int and type(id) is int for time, id in found):
                    raise ValueError("a stamp is no integer")
                table = np.array(found, np.int64).reshape(-1, 2)
                table = table[np.argsort(table[:, 1], kind="stable")]
                places = np.stack([np.full(len(table), -1), table[:, 1]], 1)
                self._indexes[channel.id] = Index(table[:, 0].copy(), places)
        return self._indexes[channel.id]

    def payload(self, channel: Channel, place: NDArray[np.int64], time: int) -> Any:
        """See `Storage.payload`."""
        with self._asked("a message cannot be read", channel.topic) as connection:
            asked = "SELECT topic_id, timestamp, data FROM messages WHERE id=?"
            found = connection.execute(asked, (int(place[1]),)).fetchone()
            if found is None or found[:2] != (channel.id, time) or not isinstance(found[2], bytes):
                raise disagree(self.path, channel, f"message {int(place[1])} is another one")
            return inflate(found[2], self._each, None, self._limit) if self._each else found[2]

    def check(self) -> Iterator[Finding]:
        """See `Storage.check`."""
        try:
            with self._asked() as connection:
                said = [row[0] for row in connection.execute("PRAGMA integrity_check(20)")]
        except ValueError as error:
            said = [str(error)]
        yield from (Finding("error", str(text), str(self.path)) for text in said if text != "ok")

    def close(self) -> None:
        """See `Storage.close`."""
        self._pool.close()


__all__ = ["Database"]
