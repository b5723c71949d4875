"""Numbers and texts out of messages."""

import json
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._faults import fault
from ..streams import Picked, Source, listed
from ._bytes import damage
from ._layout import Layout, column
from ._topics import Topic

EXACT = 1 << 53  # past it float64 cannot tell integers apart


class Numbers(Source):
    """Fields of a message side by side, or one that is an array."""

    def __init__(self, topic: Topic, paths: tuple[str, ...], shape: tuple[int, ...], dtype: Any, ragged: bool) -> None:
        self.topic, self.paths, self.shape, self.dtype, self.ragged = topic, paths, shape, dtype, ragged

    def take(self, at: Picked) -> Any:
        """See `Source.take`."""
        picked = listed(at)
        out = np.empty(len(picked), object) if self.ragged else np.empty((len(picked), *self.shape), self.dtype)
        for rows, layout, block in self.topic.columns(picked, self.paths):
            with damage(f"message {picked[rows[0]]} cannot be read", **self.topic.place):
                found = self._found(layout, block, picked[rows])
            if self.ragged:
                for row, values in zip(rows, found, strict=True):
                    out[row] = values
            else:
                out[rows] = found
        return out

    def _found(self, layout: Layout, block: NDArray[np.uint8], at: NDArray[np.int64]) -> Any:
        columns = [column(block, layout.leaves[path], layout.little) for path in self.paths]
        found = columns[0] if len(columns) == 1 else np.stack(columns, 1)
        if not self.ragged and found.shape[1:] != self.shape:
            raise fault(
                f"message {at[0]} has {found.shape[1:]} numbers where the first has {self.shape}; "
                f"say ragged=[name] to read them all", **self.topic.place,
            )  # fmt: skip
        return found


class Joints(Numbers):
    """Numbers of joints, which every message names: brought into the order of the first message by name."""

    def __init__(self, topic: Topic, path: str, names: tuple[str, ...], dtype: Any) -> None:
        super().__init__(topic, (path,), (len(names),), dtype, False)
        self.names = names

    def take(self, at: Picked) -> Any:
        """See `Source.take`."""
        picked = listed(at)
        out = np.empty((len(picked), len(self.names)), self.dtype)
        for rows, layout, block in self.topic.columns(picked, self.paths, "name["):
            with damage(f"message {picked[rows[0]]} cannot be read", **self.topic.place):
                names = joint_names(layout, block[0])
            found = column(block, layout.leaves[self.paths[0]], layout.little)
            if found.shape[1] != len(names):
                raise self._other(int(picked[rows[0]]), f"{found.shape[1]} numbers for {len(names)} joints")
            if names != self.names:
                if len(set(names)) != len(names) or not set(self.names) <= set(names):
                    raise self._other(int(picked[rows[0]]), f"the joints {list(names)}")
                found = found[:, [names.index(name) for name in self.names]]
            out[rows] = found
        return out

    def _other(self, at: int, what: str) -> Exception:
        return fault(f"message {at} has {what}; the first has the joints {list(self.names)}", **self.topic.place)


def joint_names(layout: Layout, data: Any) -> tuple[str, ...]:
    """The texts of the field ``name``."""
    leaves = [leaf for path, leaf in layout.leaves.items() if path.startswith("name[")]
    return tuple(str(bytes(data[leaf.offset : leaf.offset + (leaf.length or 0)]), "utf-8") for leaf in leaves)


class Texts(Source):
    """A text of every message."""

    def __init__(self, topic: Topic, path: str) -> None:
        self.topic, self.path = topic, path

    def take(self, at: Picked) -> Any:
        """See `Source.take`."""
        picked = listed(at)
        out = np.empty(len(picked), object)
        for rows, payloads in self.topic.blocks(picked):
            for row, data in zip(rows, payloads, strict=True):
                with damage(f"message {picked[row]} cannot be read", **self.topic.place):
                    leaf = self.topic.decoder.layout(data).leaves[self.path]
                    out[row] = str(data[leaf.offset : leaf.offset + (leaf.length or 0)], "utf-8")
        return out


class Json(Source):
    """A number, or numbers side by side, of messages in JSON."""

    def __init__(self, topic: Topic, path: str, length: int | None, integer: bool) -> None:
        self.topic, self.path, self.length, self.integer = topic, path, length, integer

    def take(self, at: Picked) -> Any:
        """See `Source.take`."""
        picked = listed(at)
        shape = (len(picked),) if self.length is None else (len(picked), self.length)
        out = np.empty(shape, np.int64 if self.integer else np.float64)
        for rows, payloads in self.topic.blocks(picked):
            for row, data in zip(rows, payloads, strict=True):
                with damage(f"message {picked[row]} cannot be read", **self.topic.place):
                    out[row] = self._number(flattened(data).get(self.path))
        return out

    def _number(self, found: Any) -> Any:
        many = found if self.length is not None else [found]
        if not isinstance(many, list) or len(many) != (self.length or 1) or not all(map(is_number, many)):
            raise ValueError(f"{self.path} is {str(found)[:60]!r}, and in the first message it is another thing")
        for number in many:
            if self.integer and not isinstance(number, int):
                raise ValueError(f"{self.path} is {number!r}, and its schema says that it is an integer")
            if not self.integer and isinstance(number, int) and abs(number) > EXACT:
                raise ValueError(f"{self.path} is {number}, which float64 cannot hold")
        return found


def is_number(value: Any) -> bool:
    """Whether JSON gave a finite number."""
    return type(value) is int or (type(value) is float and math.isfinite(value))


def flattened(data: Any) -> dict[str, Any]:
    """The leaves of a JSON object by dotted name."""
    found: dict[str, Any] = {}
    left = [("", json.loads(str(data, "utf-8")))]
    while left:
        prefix, value = left.pop()
        if isinstance(value, dict):
            left += [(f"{prefix}.{name}" if prefix else name, inner) for name, inner in value.items()]
        else:
            found[prefix] = value
    return found


__all__ = ["Joints", "Json", "Numbers", "Texts", "flattened", "is_number", "joint_names"]
