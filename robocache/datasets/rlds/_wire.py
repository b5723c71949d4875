"""The wire of ``tf.train.Example``: where every value of every feature lies, walked without protobuf.

An Example holds Features (field 1), these hold map entries (field 1) of a key (1) and a Feature (2), and a Feature
holds one list of bytes (1), floats (2) or integers (3), whose values are field 1.
"""

from array import array
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._varints import Damaged, count_varints, varints

BYTES, FLOATS, INTEGERS = 1, 2, 3
_VARINT, _FIXED64, _LENGTH, _GROUP, _GROUP_END, _FIXED32 = range(6)
_WORDS = {_FIXED64: 8, _FIXED32: 4}


class Feature(NamedTuple):
    """A list of values: of what, and the parts of the record that it lies in (more than one after a merge)."""

    kind: int = 0
    parts: tuple[tuple[int, int], ...] = ()


def features(data: memoryview) -> dict[str, Feature]:
    """The features of an Example by key; of equal keys the last one counts."""
    found: dict[str, Feature] = {}
    for number, wire, start, stop in _fields(data, 0, len(data)):
        if number == 1 and wire == _LENGTH:
            for inner, kind, begin, end in _fields(data, start, stop):
                if inner == 1 and kind == _LENGTH:
                    key, feature = _entry(data, begin, end)
                    found[key] = feature
    return found


def _entry(data: memoryview, start: int, stop: int) -> tuple[str, Feature]:
    key, kind = b"", 0
    parts: tuple[tuple[int, int], ...] = ()
    for number, wire, begin, end in _fields(data, start, stop):
        if wire != _LENGTH:
            continue
        if number == 1:
            key = bytes(data[begin:end])
        elif number == 2:
            for which, how, first, last in _fields(data, begin, end):
                if how == _LENGTH and which in (BYTES, FLOATS, INTEGERS):
                    parts = (*parts, (first, last)) if which == kind else ((first, last),)
                    kind = which
    try:
        return key.decode("utf-8"), Feature(kind, parts)
    except UnicodeDecodeError:
        raise Damaged(f"the key {key[:40]!r} is no UTF-8") from None


def _fields(data: memoryview, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, wire type, and start and end of the value, of the fields of one message; groups are passed over."""
    depth = 0
    while at < end:
        tag, at = _varint(data, at, end)
        number, wire = tag >> 3, tag & 7
        if not 0 < number < 1 << 29:
            raise Damaged(f"a field has the number {number}")
        start = at
        if wire == _VARINT:
            _, at = _varint(data, at, end)
        elif wire == _LENGTH:
            length, start = _varint(data, at, end)
            at = start + length
        elif wire in _WORDS:
            at += _WORDS[wire]
        elif wire in (_GROUP, _GROUP_END):
            depth += 1 if wire == _GROUP else -1
        else:
            raise Damaged(f"a field has the wire type {wire}")
        if at > end or depth < 0:
            raise Damaged("a field runs past the end of its message" if at > end else "a group ends that never began")
        if depth == 0 and wire != _GROUP_END:
            yield number, wire, start, at
    if depth:
        raise Damaged("a group has no end")


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    value = shift = 0
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value & 0xFFFFFFFFFFFFFFFF, at
        shift += 7
        if shift > 63:
            raise Damaged("a number is longer than ten bytes")
    raise Damaged("a number is cut off")


def byte_spans(data: memoryview, feature: Feature) -> NDArray[np.int64]:
    """Offset and length of every value of a bytes list, shape (value, 2)."""
    found = array("q")
    for begin, end in feature.parts:
        at = begin
        while at < end:
            if data[at] != 0x0A:  # not field 1 with a length in its shortest form
                for number, wire, start, stop in _fields(data, at, end):
                    if number == 1 and wire == _LENGTH:
                        found.extend((start, stop - start))
                break
            at += 1
            length = data[at] if at < end else 128
            if length < 128:
                at += 1
            else:
                length, at = _varint(data, at, end)
            if at + length > end:
                raise Damaged("a value runs past the end of its list")
            found.extend((at, length))
            at += length
    return np.frombuffer(found, np.int64).reshape(-1, 2) if found else np.zeros((0, 2), np.int64)


def floats(data: memoryview, feature: Feature) -> NDArray[np.float32]:
    """All values of a float list, a view where they lie in one piece."""
    pieces = []
    for wire, start, stop in _numbers(data, feature, _FIXED32):
        if wire == _LENGTH and (stop - start) % 4:
            raise Damaged(f"{stop - start} bytes are no list of floats")
        pieces.append(np.frombuffer(data[start:stop], "<f4"))
    return _joined(pieces, np.dtype(np.float32))


def integers(data: memoryview, feature: Feature) -> NDArray[np.int64]:
    """All values of an integer list."""
    pieces = []
    for _, start, stop in _numbers(data, feature, _VARINT):
        pieces.append(varints(np.frombuffer(data[start:stop], np.uint8)))
    return _joined(pieces, np.dtype(np.int64))


def _joined(pieces: list[NDArray[Any]], dtype: np.dtype[Any]) -> NDArray[Any]:
    if len(pieces) == 1:
        return pieces[0]
    return np.concatenate(pieces) if pieces else np.zeros(0, dtype)


def _numbers(data: memoryview, feature: Feature, single: int) -> Iterator[tuple[int, int, int]]:
    """The stretches that numbers lie in: packed ones, or one by one."""
    for begin, end in feature.parts:
        for number, wire, start, stop in _fields(data, begin, end):
            if number == 1 and wire in (_LENGTH, single):
                yield wire, start, stop


def count(data: memoryview, feature: Feature) -> int:
    """How many values a list has; for bytes and integers it has to be walked."""
    if feature.kind == BYTES:
        return len(byte_spans(data, feature))
    if feature.kind == FLOATS:
        return sum((stop - start) // 4 for _, start, stop in _numbers(data, feature, _FIXED32))
    stretches = _numbers(data, feature, _VARINT)
    return sum(count_varints(np.frombuffer(data[start:stop], np.uint8)) for _, start, stop in stretches)


__all__ = ["BYTES", "FLOATS", "INTEGERS", "Damaged", "Feature", "byte_spans", "count", "features", "floats", "integers"]
