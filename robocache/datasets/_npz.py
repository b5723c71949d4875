"""Arrays of `.npy` and `.npz` files, of which only what is wanted is read, and nothing is unpickled."""

import math
import os
import re
import struct
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ._faults import fault, faults

TAIL = 4096  # of a file, in which its table of members usually lies
TABLE_BYTES = 1 << 20
MEMBER_BYTES = 1 << 30
HEADER_BYTES = 1 << 16
DIMENSIONS = 32
HEADER = re.compile(
    rb"\{'descr': '([<>|=](?:[biufc]\d{1,2}|[SU]\d{1,9}|O))', 'fortran_order': (True|False), "
    rb"'shape': \(((?:\d{1,19}L?, ?)*(?:\d{1,19}L?)?)\),? ?\}[ \n]*"
)
END, ENTRY, LOCAL = b"PK\x05\x06", b"PK\x01\x02", b"PK\x03\x04"
PROBLEMS = (OSError, ValueError, TypeError, MemoryError, OverflowError, struct.error)


class Layout(NamedTuple):
    """What the header of an array says."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    fortran: bool
    start: int  # of the values

    @property
    def size(self) -> int:
        """Bytes of the values."""
        return math.prod(self.shape) * self.dtype.itemsize


class Member(NamedTuple):
    """Where an array lies in its archive."""

    offset: int  # of its local header
    packed: int
    size: int
    crc: int
    method: int


@lru_cache(maxsize=1024)
def _parsed(header: bytes) -> Layout:
    """Read by a pattern: the header is Python, and to parse hostile Python is slow and fails in many ways."""
    match = HEADER.fullmatch(header[10 if header[6] == 1 else 12 :])
    if match is None:
        raise ValueError("its header is none of an array of numbers or text")
    sizes = [int(n) for n in match[3].replace(b"L", b"").replace(b",", b" ").split()]
    if len(sizes) > DIMENSIONS or any(n >= 1 << 62 for n in sizes):
        raise ValueError(f"the shape {sizes} is not possible")
    return Layout(tuple(sizes), np.dtype(match[1].decode()), match[2] == b"True", len(header))


def layout(head: bytes) -> Layout:
    """The header of an array, from the first bytes of its file. Raises ValueError and its like."""
    if head[:6] != b"\x93NUMPY" or len(head) < 12 or head[6] not in (1, 2, 3) or head[7]:
        raise ValueError("it does not begin as an array")
    length = 10 + int.from_bytes(head[8:10], "little") if head[6] == 1 else 12 + int.from_bytes(head[8:12], "little")
    if length > HEADER_BYTES or length > len(head):
        raise ValueError("its header is cut off")
    return _parsed(head[:length])


def values(data: bytes, **place: Any) -> Any:
    """The array of a whole `.npy` file. It is not writable, as ``data`` is not."""
    with faults(*PROBLEMS, **place, doing="is no array that can be read"):
        found = layout(data)
        if found.dtype.hasobject:
            raise ValueError("it holds objects")
        if found.size != len(data) - found.start:
            raise ValueError(
                f"{found.shape} of {found.dtype} needs {found.size} bytes, and {len(data) - found.start} are there"
            )
        flat = np.frombuffer(data, found.dtype, math.prod(found.shape), found.start)
        return flat.reshape(found.shape, order="F" if found.fortran else "C")


def read_npy(path: Path, *, limit: int = MEMBER_BYTES) -> Any:
    """The array of a `.npy` file of at most ``limit`` bytes."""
    return values(_whole(path, limit), file=path)


def read_pickled_npy(path: Path, *, limit: int = MEMBER_BYTES) -> Any:
    """The plain values of a `.npy` file that holds a pickle, read with the restricted unpickler."""
    from ._pickles import loads

    data = _whole(path, limit)
    with faults(*PROBLEMS, file=path, doing="is no array that can be read"):
        found = layout(data)
    if not found.dtype.hasobject:
        return values(data, file=path)
    value = loads(data[found.start :], file=path)
    if not isinstance(value, np.ndarray) or value.shape != found.shape:
        raise fault("its header is not that of its values", file=path)
    return value.item() if value.ndim == 0 else value


def _whole(path: Path, limit: int) -> bytes:
    with faults(OSError, file=path):
        if path.stat().st_size > limit:
            raise OSError(f"it is longer than {limit} bytes")
        return path.read_bytes()


class Archive:
    """An open `.npz` file: its table of members, and members one by one."""

    def __init__(self, path: Path, **place: Any) -> None:
        self.path = path
        with faults(*PROBLEMS, file=path, doing="is no archive that can be read", **place):
            self.handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
            try:
                self.size = os.fstat(self.handle).st_size
                self.members = self._table()
            except BaseException:
                os.close(self.handle)
                raise

    def close(self) -> None:
        """Close the file."""
        os.close(self.handle)

    def _at(self, offset: int, length: int) -> bytes:
        if offset < 0 or length < 0 or offset + length > self.size:
            raise ValueError(f"it is cut off: {length} bytes at {offset} are wanted, and it has {self.size}")
        data = os.pread(self.handle, length, offset)
        if len(data) != length:
            raise ValueError("it is cut off")
        return data

    def _table(self) -> dict[str, Member]:
        base = max(0, self.size - TAIL)
        tail = self._at(base, self.size - base)
        end = tail.rfind(END)
        if end < 0 or len(tail) - end < 22:
            raise ValueError("it has no table of members")
        count, length, offset = struct.unpack("<HII", tail[end + 10 : end + 20])
        if length > TABLE_BYTES or offset + length != base + end:
            raise ValueError("its table of members is damaged")
        table = tail[offset - base : end] if offset >= base else self._at(offset, length)
        found: dict[str, Member] = {}
        at = 0
        for _ in range(count):
            if table[at : at + 4] != ENTRY or len(table) - at < 46:
                raise ValueError("its table of members is damaged")
            flags, method = struct.unpack("<HH", table[at + 8 : at + 12])
            crc, packed, size, name, extra, comment = struct.unpack("<IIIHHH", table[at + 16 : at + 34])
            (start,) = struct.unpack("<I", table[at + 42 : at + 46])
            text = table[at + 46 : at + 46 + name].decode("utf-8")
            if flags & 1 or method not in (0, 8) or text in found:
                raise ValueError(f"its member {text!r} is encrypted, packed in an unknown way or there twice")
            found[text] = Member(start, packed, size, crc, method)
            at += 46 + name + extra + comment
        if at != len(table):
            raise ValueError("its table of members is damaged")
        return found

    def _packed(self, name: str, member: Member) -> bytes:
        head = self._at(member.offset, 30)
        length, extra = struct.unpack("<HH", head[26:30])
        named = name.encode()
        if head[:4] != LOCAL or length != len(named) or self._at(member.offset + 30, length) != named:
            raise ValueError("its table of members leads to another place")
        return self._at(member.offset + 30 + length + extra, member.packed)

    def read(self, key: str, *, verify: bool = True, limit: int = MEMBER_BYTES, **place: Any) -> Any:
        """The array ``key``."""
        name = f"{key}.npy"
        if name not in self.members:
            raise fault("is not in this file", file=self.path, key=key, **place)
        member = self.members[name]
        with faults(*PROBLEMS, zlib.error, file=self.path, key=key, doing="cannot be unpacked", **place):
            if member.size > limit:
                raise ValueError(f"it unpacks to {member.size} bytes, over the limit of {limit}")
            data = self._packed(name, member)
            if member.method == 8:
                unpacker = zlib.decompressobj(-15)
                data = unpacker.decompress(data, member.size + 1)
                if not unpacker.eof or unpacker.unused_data:
                    raise ValueError("its packed bytes do not end where they should")
            if len(data) != member.size:
                raise ValueError(f"it has {len(data)} bytes, and {member.size} were announced")
            if verify and zlib.crc32(data) != member.crc:
                raise ValueError("its checksum does not agree")
        return values(data, file=self.path, key=key, **place)


__all__ = ["MEMBER_BYTES", "Archive", "Layout", "layout", "read_npy", "read_pickled_npy", "values"]
