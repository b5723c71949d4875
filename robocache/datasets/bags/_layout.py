"""Where the fields of a message lie in its bytes, and the columns of many messages that are laid out alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._types import PRIMITIVES, Types, sizes

ELEMENTS = 1 << 20  # of a sequence of messages within a message
BLOCK = 1024  # messages that are looked at together


class Leaf(NamedTuple):
    """A number, numbers or a text: where, of which type, and how many (None for a single number)."""

    offset: int
    code: str  # of NumPy, or "str"
    length: int | None


@dataclass
class Layout:
    """All leaves of a message by dotted name. ``guards`` are the bytes that say so: the lengths of what varies."""

    little: bool
    leaves: dict[str, Leaf] = field(default_factory=dict)
    guards: list[tuple[int, int]] = field(default_factory=list)

    def stop(self, path: str) -> int:
        """First byte after a leaf."""
        leaf = self.leaves[path]
        return leaf.offset + (leaf.length or 0 if leaf.code == "str" else width(leaf.code) * _many(leaf))


def _many(leaf: Leaf) -> int:
    return 1 if leaf.length is None else leaf.length


def width(code: str) -> int:
    """Bytes of a number."""
    return int(code[1:] or 1)


class Decoder:
    """Finds its way through the messages of one type, in CDR or in the form of ROS 1."""

    def __init__(self, types: Types, root: str, cdr: bool) -> None:
        self.types, self.root, self.cdr = types, root, cdr
        self._least = sizes(types, root)

    def layout(self, data: Any) -> Layout:
        """Walk over a whole message. ValueError says what is wrong with it."""
        little, start = True, 0
        if self.cdr:
            if len(data) < 4 or data[0] != 0 or data[1] > 1:
                raise ValueError(f"its CDR header {bytes(data[:4]).hex()} is none that is known")
            little, start = bool(data[1]), 4
        walk = _Walk(self, data, Layout(little), start)
        if self.cdr:
            walk.layout.guards.append((0, 2))
        walk.struct(self.root, "", True)
        return walk.layout


class _Walk:
    def __init__(self, decoder: Decoder, data: Any, layout: Layout, at: int) -> None:
        self.decoder, self.data, self.layout = decoder, data, layout
        self.at = self.start = at

    def struct(self, name: str, prefix: str, keep: bool) -> None:
        fields = self.decoder.types[name]
        if not fields and self.decoder.cdr and name != self.decoder.root:
            self.room(1)  # an empty structure has one byte
            self.at += 1
        for part in fields:
            path = f"{prefix}{part.name}"
            if part.length is None:
                self.one(part.type, path, keep, None)
            else:
                self.many(part.type, path, keep, part.length)

    def room(self, count: int) -> None:
        if self.at + count > len(self.data):
            raise ValueError(f"{count} bytes at {self.at} are wanted, and the message has {len(self.data)}")

    def align(self, size: int) -> None:
        if self.decoder.cdr:
            self.at += -(self.at - self.start) % size

    def length(self, least: int) -> int:
        self.align(4)
        self.room(4)
        order = "little" if self.layout.little else "big"
        found = int.from_bytes(self.data[self.at : self.at + 4], order)  # type: ignore[arg-type]
        self.layout.guards.append((self.at, self.at + 4))
        self.at += 4
        if found * least > len(self.data) - self.at:
            raise ValueError(f"{found} elements at {self.at} are announced, and the message has {len(self.data)} bytes")
        return found

    def one(self, type: str, path: str, keep: bool, count: int | None) -> None:
        code = PRIMITIVES.get(type)
        if code is None:
            self.struct(type, path + ".", keep)
        elif code == "str":
            self.text(path, keep)
        else:
            size, total = width(code), width(code) * (1 if count is None else count)
            if total:
                self.align(size)
            self.room(total)
            if keep:
                self.layout.leaves[path] = Leaf(self.at, code, count)
            self.at += total

    def text(self, path: str, keep: bool) -> None:
        size = self.length(1)
        if self.decoder.cdr and (size < 1 or self.data[self.at + size - 1] != 0):
            raise ValueError(f"the text at {self.at} does not end with a zero")
        if keep:
            self.layout.leaves[path] = Leaf(self.at, "str", size - self.decoder.cdr)
        self.at += size

    def many(self, type: str, path: str, keep: bool, length: int) -> None:
        code = PRIMITIVES.get(type)
        numbers = code is not None and code != "str"
        least = width(code) if code and numbers else 4 if code else self.decoder._least[type]
        count = self.length(least) if length < 0 else length
        if numbers:
            self.one(type, path, keep, count)
            return
        if least == 0 and not self.decoder.cdr:
            return  # nothing but the count
        if count > ELEMENTS or count * max(least, 1) > len(self.data):
            raise ValueError(f"{count} elements of {type} are announced")
        for k in range(count):
            self.one(type, f"{path}[{k}]", keep and count <= 4096, None)


def column(block: NDArray[np.uint8], leaf: Leaf, little: bool) -> Any:
    """The numbers of a leaf in every row of a block: (message,) or (message, count)."""
    size = width(leaf.code)
    part = np.ascontiguousarray(block[:, leaf.offset : leaf.offset + size * _many(leaf)])
    if leaf.code == "?":
        found = part != 0
    else:
        kind = np.dtype(leaf.code).newbyteorder("<" if little else ">")
        shape = (len(part), _many(leaf))
        found = (
            part.view(kind).reshape(shape).astype(leaf.code, copy=False) if part.size else np.zeros(shape, leaf.code)
        )
    return found[:, 0] if leaf.length is None else found


class Group(NamedTuple):
    """Messages laid out alike: their positions among those given, their layout, and their first bytes."""

    rows: NDArray[np.int64]
    layout: Layout
    block: NDArray[np.uint8]


def groups(
    decoder: Decoder, payloads: Sequence[Any], wanted: Sequence[str], same: str | None = None
) -> Iterator[Group]:
    """Sort messages by layout. Their blocks reach to the last of the leaves ``wanted``, those below ``same`` equal."""
    left = np.arange(len(payloads), dtype=np.int64)
    while left.size:
        first = payloads[int(left[0])]
        layout = decoder.layout(first)
        stops = [layout.stop(path) for path in wanted if path in layout.leaves]
        texts = [path for path in layout.leaves if same is not None and path.startswith(same)]
        stop = max([*stops, *(layout.stop(path) for path in texts), 4], default=4)
        spans = [span for span in layout.guards if span[0] < stop]
        spans += [(layout.leaves[path].offset, layout.stop(path)) for path in texts]
        stop = min(max([stop, *(end for _, end in spans)]), len(first))
        rows = np.array([row for row in left.tolist() if len(payloads[row]) >= stop], np.int64)
        block = np.frombuffer(b"".join(bytes(payloads[row][:stop]) for row in rows.tolist()), np.uint8).reshape(
            len(rows), stop
        )
        at = np.concatenate([np.arange(a, b) for a, b in spans]) if spans else np.zeros(0, np.int64)
        alike = (block[:, at] == block[0, at]).all(1)
        # A message of this layout may still be cut off behind what is wanted; its length tells.
        alike &= np.array([len(payloads[row]) for row in rows.tolist()]) == len(first) if _open(layout, stop) else True
        yield Group(rows[alike], layout, block[alike])
        left = np.setdiff1d(left, rows[alike], assume_unique=True)


def _open(layout: Layout, stop: int) -> bool:
    """Whether a layout has no more lengths behind ``stop``, so that all messages of it are equally long."""
    return all(start < stop for start, _ in layout.guards)


__all__ = ["BLOCK", "Decoder", "Group", "Layout", "Leaf", "column", "groups", "width"]
