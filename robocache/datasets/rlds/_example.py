"""Records as TFDS writes them: ``tf.train.Example`` in the framing of tfrecord."""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core.errors import ArgumentError
from ._tfrecord import masked
from ._varints import packed
from ._wire import BYTES, FLOATS, INTEGERS

MOST = (1 << 31) - 1  # bytes that protobuf reads


def string_list(values: Sequence[bytes]) -> bytes:
    """A Feature of byte strings."""
    return _part(BYTES, b"".join(_part(1, value) for value in values))


def number_list(values: NDArray[Any]) -> bytes:
    """A Feature of numbers: float32 as they are, integers and bools as int64, uint64 by its bits."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype == np.float32:
        return _part(FLOATS, _part(1, flat.astype("<f4").tobytes()) if flat.size else b"")
    whole = flat.view(np.int64) if flat.dtype == np.uint64 else flat.astype(np.int64)
    return _part(INTEGERS, _part(1, packed(whole)) if flat.size else b"")


def example(features: Mapping[str, bytes]) -> bytes:
    """An Example of Features by key."""
    entries = [_part(1, _part(1, key.encode("utf-8")) + _part(2, value)) for key, value in features.items()]
    record = _part(1, b"".join(entries))
    if len(record) > MOST:
        raise ArgumentError(f"episodes: one of {len(record)} bytes; a record has {MOST} at most")
    return record


def framed(record: bytes, crc: Callable[[Any], int]) -> bytes:
    """A record with its length and the checksums of both."""
    head = struct.pack("<Q", len(record))
    return b"".join((head, struct.pack("<I", masked(crc(head))), record, struct.pack("<I", masked(crc(record)))))


def _part(number: int, value: bytes) -> bytes:
    size, left = bytearray(), len(value)
    while left > 127:
        size.append(left & 127 | 128)
        left >>= 7
    size.append(left)
    return b"".join((bytes((number << 3 | 2,)), bytes(size), value))


__all__ = ["example", "framed", "number_list", "string_list"]
