"""Bytes from a bag that nobody vouches for: read within bounds, inflated within bounds, errors with their place."""

import bz2
import os
import struct
import weakref
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ..._core.errors import RoboCacheError
from .._faults import fault, missing
from .._files import Mapped

CHUNK_BYTES = 1 << 30  # of one chunk when inflated, unless the user says more
CACHE_BYTES = 32 << 20  # of inflated chunks that are kept
PROBLEMS = (ValueError, KeyError, IndexError, TypeError, struct.error, EOFError, OSError, OverflowError, MemoryError,
            RecursionError, RuntimeError, ArithmeticError)  # fmt: skip


@contextmanager
def damage(doing: str = "cannot be read", **place: Any) -> Iterator[None]:
    """Turn what parsing throws over bad bytes into a `DataError` with the place; our own errors pass."""
    try:
        yield
    except RoboCacheError:
        raise
    except PROBLEMS as error:
        raise fault(f"{doing}: {str(error) or type(error).__name__}", **place) from error


class Cursor:
    """Walks over bytes and never past their end."""

    def __init__(self, data: Any, at: int = 0, stop: int | None = None) -> None:
        self.data, self.at, self.stop = memoryview(data), at, len(data) if stop is None else stop

    def take(self, count: int) -> memoryview:
        """The next bytes."""
        if count < 0 or self.at < 0 or self.at + count > self.stop:
            raise ValueError(f"{count} bytes at {self.at} are wanted, and there are {self.stop}: it is cut off")
        self.at += count
        return self.data[self.at - count : self.at]

    def numbers(self, form: str) -> tuple[Any, ...]:
        """Numbers as `struct` knows them, little endian."""
        return struct.unpack("<" + form, self.take(struct.calcsize("<" + form)))

    def number(self, form: str) -> int:
        """A single one."""
        return int(self.numbers(form)[0])

    def string(self) -> str:
        """UTF-8 after its length of 32 bits."""
        return str(self.take(self.number("I")), "utf-8")


class Raw(Mapped):
    """A file that is mapped to look up records, and read where bytes are many: what was read is not held in memory."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        with damage(file=path):
            self._handle = os.open(path, os.O_RDONLY)
        self._closed = weakref.finalize(self, os.close, self._handle)

    def read(self, offset: int, length: int) -> bytes:
        """A copy of some bytes."""
        self.view(offset, length)
        with damage(file=self.path):
            found = os.pread(self._handle, length, offset)
        if len(found) != length:
            raise ValueError("it grew shorter while it was read")
        return found

    def checksum(self, stop: int) -> int:
        """CRC-32 of its first bytes."""
        found, step = 0, 1 << 22
        for start in range(0, stop, step):
            found = zlib.crc32(self.read(start, min(step, stop - start)), found)
        return found

    def close(self) -> None:
        """Let go of it."""
        super().close()
        self._closed()


def inflate(data: Any, how: str, size: int | None, limit: int) -> Any:
    """Bytes of a compressed chunk: no more than ``limit`` of them are ever made."""
    if size is not None and size > limit:
        raise ValueError(f"it claims {size} bytes when inflated, over the limit of {limit}; say max_chunk_bytes=")
    if how in ("", "none"):
        found, ended = data, True
    else:
        found, ended = _inflate(data, how, (limit if size is None else size) + 1)
    if size is None and len(found) > limit:
        raise ValueError(f"it is over the limit of {limit} bytes when inflated; say max_chunk_bytes=")
    if not ended or (size is not None and len(found) != size):
        raise ValueError(f"{len(found)} bytes came out of its {how or 'plain'} data, {size} were announced")
    return found


def _inflate(data: Any, how: str, most: int) -> tuple[bytes, bool]:
    tool: Any
    if how == "bz2":
        tool = bz2.BZ2Decompressor()
    elif how == "lz4":
        try:
            import lz4.frame  # type: ignore[import-untyped,unused-ignore]
        except ImportError as error:
            missing("rosbags", "reading lz4 chunks of a bag", error)
        tool = lz4.frame.LZ4FrameDecompressor()
    elif how == "zstd":
        tool = _zstd().ZstdDecompressor()
    else:
        raise ValueError(f"compression {how!r} is not known")
    try:
        found = tool.decompress(bytes(data), max_length=most)
    except PROBLEMS as error:
        raise ValueError(f"its {how} data are damaged: {error}") from error
    except Exception as error:
        if type(error).__name__ != "ZstdError":
            raise
        raise ValueError(f"its zstd data are damaged: {error}") from error
    return found, bool(tool.eof)


@cache
def _zstd() -> Any:
    try:
        from compression import zstd  # type: ignore[import-not-found,unused-ignore]  # Python 3.14 and later
    except ImportError:
        try:
            from backports import zstd
        except ImportError as error:
            missing("rosbags", "reading zstd chunks of a bag", error)
    return zstd


__all__ = ["CACHE_BYTES", "CHUNK_BYTES", "Cursor", "Raw", "damage", "inflate"]
