"""Text of variable length out of HDF5, read without libhdf5, which can crash or hang on a damaged heap."""

import os
import struct
from pathlib import Path

from ._sniffs import HDF5

HEAP_BYTES = 1 << 26
TEXT_BYTES = 1 << 26
MESSAGES = 4096
ATTRIBUTE, CONTINUATION = 0x0C, 0x10


class Raw:
    """Bytes of an HDF5 file with 8-byte addresses from its start on; ``usable`` is False for any other."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with open(path, "rb") as file:
            head = file.read(16)
        version = head[8] if len(head) == 16 and head[:8] == HDF5 else 255
        widths = head[13:15] if version < 2 else head[9:11] if version < 4 else b""
        self.usable = widths == b"\x08\x08"

    def at(self, offset: int, length: int) -> bytes:
        """Bytes of the file. Raises ValueError past its end."""
        handle = os.open(self.path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        try:
            size = os.fstat(handle).st_size
            if offset < 0 or length < 0 or offset + length > size:
                raise ValueError(f"it is cut off: {length} bytes at {offset} are wanted, and it has {size}")
            data = os.pread(handle, length, offset)
        finally:
            os.close(handle)
        if len(data) != length:
            raise ValueError("it is cut off")
        return data

    def attribute(self, address: int, name: bytes, count: int = 1) -> list[bytes] | None:
        """The ``count`` texts of an attribute in the object header at ``address``; None if it is of a newer form."""
        head = self.at(address, 16)
        if head[0] != 1:
            return None
        (size,) = struct.unpack("<I", head[8:12])
        blocks, seen = [(address + 16, size)], 0
        while blocks:
            data = self.at(*_bounded(*blocks.pop()))
            at = 0
            while at + 8 <= len(data):
                kind, length = struct.unpack("<HH", data[at : at + 4])
                body = data[at + 8 : at + 8 + length]
                seen += 1
                if seen > MESSAGES or len(body) != length:
                    raise ValueError("its header is damaged")
                if kind == CONTINUATION and length >= 16:
                    blocks.append(struct.unpack("<QQ", body[:16]))
                if kind == ATTRIBUTE and (found := _value(body, name, count)) is not None:
                    return [self.text(found[16 * i : 16 * i + 16]) for i in range(count)]
                at += 8 + length
        return None

    def text(self, reference: bytes) -> bytes:
        """The text that a reference (length, address of its heap, index) leads to."""
        length, address, index = struct.unpack("<IQI", reference[:16])
        if length == 0 and index == 0:
            return b""
        head = self.at(address, 16)
        (size,) = struct.unpack("<Q", head[8:16])
        if head[:4] != b"GCOL" or head[4] != 1 or not 16 <= size <= HEAP_BYTES or length > TEXT_BYTES:
            raise ValueError("its heap of texts is damaged")
        heap = self.at(address, size)
        at = 16
        while at + 16 <= size:
            number, _, _, inside = struct.unpack("<HHIQ", heap[at : at + 16])
            if number == 0:
                break  # the free rest
            if at + 16 + inside > size:
                break
            if number == index:
                if length > inside:
                    break
                return heap[at + 16 : at + 16 + length]
            at += 16 + -(-inside // 8) * 8
        raise ValueError("its heap of texts is damaged")


def _bounded(offset: int, length: int) -> tuple[int, int]:
    if length > HEAP_BYTES:
        raise ValueError("its header is damaged")
    return offset, length


def _value(body: bytes, name: bytes, count: int) -> bytes | None:
    """The value in an attribute message that has this name."""
    version, _, names, kinds, spaces = struct.unpack("<BBHHH", body[:8])
    start, pad = {1: (8, 8), 2: (8, 1), 3: (9, 1)}.get(version, (0, 0))
    if not start:
        raise ValueError("its header is damaged")
    if body[start : start + names].rstrip(b"\0") != name:
        return None
    for size in (names, kinds, spaces):
        start += -(-size // pad) * pad
    if len(body) - start < 16 * count:
        raise ValueError("its header is damaged")
    return body[start : start + 16 * count]


__all__ = ["Raw"]
