"""The values of a feature, one after the other, decoded."""

import zlib
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._faults import fault
from .._images import decode_image
from ..streams import Picked, Range, listed
from ._record import Record
from ._tree import Leaf

LARGEST = 1 << 30  # bytes that one encoded array may unpack to


class Numbers:
    """Values that lie in a list of numbers."""

    def __init__(self, record: Record, leaf: Leaf, key: str) -> None:
        self.record, self.leaf, self.key = record, leaf, key
        if leaf.size is None:
            raise fault(f"has the shape {leaf.shape}, and nothing says which it has here", **record.where(key))

    @cached_property
    def _all(self) -> NDArray[Any]:
        flat, size = self.record.numbers(self.key, self.leaf.dtype), self.leaf.size or 0
        if len(flat) % size if size else len(flat):
            raise fault(f"has {len(flat)} numbers for values of {self.leaf.shape}", **self.record.where(self.key))
        return flat.reshape(len(flat) // size if size else 0, *_known(self.leaf.shape))

    def count(self) -> int | None:
        """How many values there are; None if they are empty and any number is."""
        return len(self._all) if self.leaf.size else None

    def take(self, at: Picked) -> Any:
        """Some values."""
        values = self._all
        if not self.leaf.size:
            return np.zeros((len(listed(at)), *_known(self.leaf.shape)), self.leaf.dtype)
        return cast(values[at], self.leaf.dtype)


def cast(values: NDArray[Any], dtype: np.dtype[Any]) -> NDArray[Any]:
    """A copy in another type, with no word of a signalling NaN or of what float16 cannot hold."""
    with np.errstate(invalid="ignore", over="ignore"):
        return values.astype(dtype)


def _known(shape: tuple[int | None, ...]) -> tuple[int, ...]:
    return tuple(n for n in shape if n is not None)


class Strings:
    """Values that are byte strings: text, pictures, arrays, or just bytes."""

    def __init__(self, record: Record, leaf: Leaf, key: str, shape_key: str = "", dct: str = "fast") -> None:
        self.record, self.leaf, self.key, self.shape_key, self.dct = record, leaf, key, shape_key, dct
        self.each = (leaf.size if leaf.form == "string" else 1) or 0
        if not self.each:
            raise fault(f"is of strings and shape {leaf.shape}, which is not read", **record.where(key))

    def count(self) -> int | None:
        """How many values there are."""
        spans = self.record.spans(self.key)
        if len(spans) % self.each:
            raise fault(f"has {len(spans)} strings for values of {self.leaf.shape}", **self.record.where(self.key))
        return len(spans) // self.each

    def encoded(self, at: Picked) -> list[bytes]:
        """The bytes of some values."""
        data = self.record.data()
        return [bytes(data[start : start + size]) for start, size in self._spans(at).tolist()]

    def ranges(self, at: Picked) -> list[Range] | None:
        """Where in the file they are."""
        place = self.record.container.place(self.record.path, self.record.at)
        if place is None or self.each != 1:
            return None
        file, codec = str(self.record.path), self.leaf.codec or "raw"
        return [Range(file, place.offset + start, size, codec) for start, size in self._spans(at).tolist()]

    def _spans(self, at: Picked) -> NDArray[np.int64]:
        spans = self.record.spans(self.key)
        return spans[at] if self.each == 1 else spans.reshape(-1, self.each, 2)[at].reshape(-1, 2)

    def take(self, at: Picked) -> Any:
        """Some values."""
        leaf, data, where = self.leaf, self.record.data(), self.record.where(self.key)
        places = listed(at).tolist()
        parts = [data[start : start + size] for start, size in self._spans(at).tolist()]
        if leaf.form == "image":
            return gathered([_picture(part, leaf, self.dct, where) for part in parts], leaf)
        if leaf.form == "tensor":
            shapes = self._shapes(places)
            return gathered([_array(part, leaf, shape, where) for part, shape in zip(parts, shapes, strict=True)], leaf)
        found = np.empty(len(parts), object)
        for i, part in enumerate(parts):
            found[i] = bytes(part) if leaf.form == "string" else _text(part, where)
        return found if self.each == 1 and not leaf.shape else found.reshape(len(places), *_known(leaf.shape))

    def _shapes(self, places: list[int]) -> list[tuple[int | None, ...]]:
        leaf = self.leaf
        if not leaf.dynamic:
            return [leaf.shape] * len(places)
        where = self.record.where(self.shape_key)
        table = self.record.numbers(self.shape_key, np.dtype(np.int64))
        if len(table) != len(self.record.spans(self.key)) * len(leaf.shape):
            raise fault(f"has {len(table)} numbers for shapes of {len(leaf.shape)} axes", **where)
        shapes = [tuple(row) for row in table.reshape(-1, len(leaf.shape))[places].tolist()]
        for shape in shapes:
            if any(n < 0 or (known is not None and n != known) for n, known in zip(shape, leaf.shape, strict=True)):
                raise fault(f"says the shape {shape}, which is none of {leaf.shape}", **where)
        return shapes


def gathered(values: list[Any], leaf: Leaf) -> Any:
    """Values as one array, of object where they may differ in shape."""
    if None not in leaf.shape:
        return np.stack(values) if values else np.zeros((0, *_known(leaf.shape)), leaf.dtype)
    found = np.empty(len(values), object)
    for i, value in enumerate(values):
        found[i] = value
    return found


def _text(part: memoryview, where: dict[str, Any]) -> str:
    try:
        return bytes(part).decode("utf-8")
    except UnicodeDecodeError as error:
        raise fault(f"is no UTF-8 ({error}); read(decode=False) gives the bytes", **where) from None


def _picture(part: memoryview, leaf: Leaf, dct: str, where: dict[str, Any]) -> NDArray[Any]:
    depth = leaf.dtype == np.float32
    found = decode_image(part, 4 if depth else leaf.shape[2], dct=dct, **where)
    if depth:  # the four bytes of every float are the channels of a PNG
        found = np.ascontiguousarray(found).view(np.float32)
    wanted = [known is None or n == known for n, known in zip(found.shape, leaf.shape, strict=True)]
    if found.dtype != leaf.dtype or not all(wanted):
        raise fault(f"is a picture of {found.shape} {found.dtype}, not {leaf.shape} {leaf.dtype}", **where)
    return np.asarray(found)


def _array(part: memoryview, leaf: Leaf, shape: tuple[int | None, ...], where: dict[str, Any]) -> NDArray[Any]:
    known = 1
    for n in shape:
        known *= 1 if n is None else n
    open_ = None in shape
    size = known * leaf.dtype.itemsize
    raw = _inflated(part, LARGEST if open_ else size, where) if leaf.codec == "zlib" else bytes(part)
    if size > LARGEST or (len(raw) != size if not open_ else bool(len(raw) % size if size else raw)):
        raise fault(f"has {len(raw)} bytes for an array of {shape} {leaf.dtype}", **where)
    if leaf.dtype == bool and raw.translate(None, b"\0\1"):
        raise fault("holds other bytes than 0 and 1 for bools", **where)
    count = len(raw) // size if open_ and size else 0
    flat = np.frombuffer(raw, leaf.dtype if leaf.dtype.kind == "V" else leaf.dtype.newbyteorder("<"))
    return flat.astype(leaf.dtype).reshape([count if n is None else n for n in shape])


def _inflated(part: memoryview, most: int, where: dict[str, Any]) -> bytes:
    if most > LARGEST:
        raise fault(f"claims to unpack to {most} bytes", **where)
    unpacker = zlib.decompressobj()
    try:
        raw = unpacker.decompress(part, most + 1)
    except zlib.error as error:
        raise fault(f"is no zlib: {error}", **where) from None
    if len(raw) > most or not unpacker.eof or unpacker.unused_data:
        raise fault(f"unpacks to other than the {most} bytes that it may have", **where)
    return raw


__all__ = ["Numbers", "Strings", "cast", "gathered"]
