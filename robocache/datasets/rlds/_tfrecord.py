"""Shards of tfrecord: heads that are hopped over, payloads that stay in the mapped file."""

import mmap
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._faults import fault, missing
from .._files import Mapped
from .._kept import Kept

MAPS = 32  # shards that are mapped at once
_HEAD = struct.Struct("<QI")
_MASK = 0xA282EAD8


class Place(NamedTuple):
    """Where a record lies in its file."""

    offset: int
    length: int


def crc32c() -> Callable[[Any], int]:
    """CRC-32C of bytes or of an array of bytes."""
    try:
        import google_crc32c
    except ImportError as error:
        missing("google_crc32c", "checking the checksums of tfrecord (verify=False reads without)", error)
    value: Callable[[Any], int] = google_crc32c.value
    return value


def masked(crc: int) -> int:
    """How tfrecord stores a CRC."""
    return (((crc >> 15) | (crc << 17)) + _MASK) & 0xFFFFFFFF


class _Table(NamedTuple):
    offsets: Any
    lengths: Any
    trouble: str | None


class TfRecords:
    """``*.tfrecord``: length, its checksum, payload, its checksum; found by hopping from head to head.

    Of records only ``resident`` bytes stay in memory.
    """

    def __init__(self, verify: bool, resident: int) -> None:
        self._crc = crc32c() if verify else None
        self._tables: dict[Path, _Table] = {}
        self._maps = Kept(MAPS)  # each counts as one
        self._pages = Kept(resident, lone=True, drop=self._release)

    def _map(self, path: Path) -> Mapped:
        found: Mapped | None = self._maps.find(path)
        if found is None:
            found = Mapped(path)
            self._maps.put(path, found, 1)
        return found

    def _release(self, place: tuple[Path, int, int]) -> None:
        """Give the pages of a record back; they come again from the file if anyone looks."""
        path, offset, length = place
        found = self._maps.find(path)
        start, stop = -(-offset // mmap.PAGESIZE) * mmap.PAGESIZE, (offset + length) // mmap.PAGESIZE * mmap.PAGESIZE
        if found is not None and stop > start and hasattr(mmap, "MADV_DONTNEED"):
            with suppress(ValueError, OSError):  # closed by another thread
                found.bytes.obj.madvise(mmap.MADV_DONTNEED, start, stop - start)

    def _table(self, path: Path) -> _Table:
        if path not in self._tables:
            self._tables[path] = self._scan(self._map(path))
        return self._tables[path]

    def _scan(self, mapped: Mapped) -> _Table:
        data, size, at, crc = mapped.bytes, mapped.size, 0, self._crc
        offsets, lengths, trouble = [], [], None
        while at < size:
            if size - at < 16:
                trouble = f"is cut off: {size - at} bytes at {at} are no record"
                break
            length, told = _HEAD.unpack_from(data, at)
            if crc is not None and masked(crc(bytes(data[at : at + 8]))) != told:
                trouble = f"the length of the record at {at} does not match its checksum"
                break
            if length > size - at - 16:
                trouble = f"is cut off: the record at {at} has {length} bytes, and {size - at - 16} are left"
                break
            offsets.append(at + 12)
            lengths.append(length)
            at += 16 + length
        return _Table(np.array(offsets, np.int64), np.array(lengths, np.int64), trouble)

    def count(self, path: Path) -> int:
        """See Container."""
        return len(self._table(path).offsets)

    def trouble(self, path: Path) -> str | None:
        """See Container."""
        return self._table(path).trouble

    def place(self, path: Path, at: int) -> Place:
        """See Container."""
        table = self._table(path)
        if at >= len(table.offsets):
            raise fault(table.trouble or f"has {len(table.offsets)} records, and number {at} is wanted", file=path)
        return Place(int(table.offsets[at]), int(table.lengths[at]))

    def record(self, path: Path, at: int, check: bool) -> memoryview:
        """See Container."""
        offset, length = self.place(path, at)
        data = self._map(path).view(offset, length + 4)
        if check and self._crc is not None:
            told = int.from_bytes(data[length:], "little")
            if masked(self._crc(np.frombuffer(data[:length], np.uint8))) != told:
                raise fault(f"the record at {offset - 12} does not match its checksum", file=path)
        self._pages.put((path, at), (path, offset, length), length)
        return data[:length]

    def close(self) -> None:
        """See Container."""
        self._pages.clear()
        self._maps.clear()


__all__ = ["Place", "TfRecords", "crc32c", "masked"]
