"""Features of an episode as streams and as metadata."""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from .._faults import fault
from ..streams import Picked, Range, Source, listed
from ._items import Numbers, Strings, cast
from ._record import Record
from ._tree import Leaf


def items(record: Record, leaf: Leaf, dct: str) -> tuple[Numbers | Strings, Leaf, str]:
    """The values of a feature, one after the other; the leaf as it is stored; and where its rows are."""
    if leaf.form == "unknown":
        raise fault(leaf.said, **record.where(leaf.key))
    value, shape = (f"{leaf.key}/value", f"{leaf.key}/shape") if leaf.dynamic else (leaf.key, "")
    rows = value
    if len(leaf.sequences) > 1:
        inner = leaf.sequences[1:]
        if f"{value}/ragged_flat_values" in record.features or value not in record.features or None in inner:
            value, shape = f"{value}/ragged_flat_values", shape and f"{shape}/ragged_flat_values"
        else:  # of known lengths, and written without rows
            leaf = replace(leaf, shape=(*inner, *leaf.shape), sequences=leaf.sequences[:1])
    if leaf.form == "numbers":
        return Numbers(record, leaf, value), leaf, rows
    return Strings(record, leaf, value, shape, dct), leaf, rows


class Feature(Source):
    """A feature of every step."""

    def __init__(self, record: Record, leaf: Leaf, steps: int, dct: str) -> None:
        self.record, self.leaf, self.steps, self.dct = record, leaf, steps, dct

    def _items(self) -> tuple[Numbers | Strings, Leaf, str]:
        """Its values, as many as there are steps."""
        found, leaf, rows = items(self.record, self.leaf, self.dct)
        if len(leaf.sequences) == 1 and (count := found.count()) is not None and count != self.steps:
            absent = "is not in the record" if found.key not in self.record.features else f"has {count} values"
            raise fault(f"{absent}, and there are {self.steps} steps", **self.record.where(self.leaf.key))
        return found, leaf, rows

    def column(self) -> Any:
        """All values of a tabular feature, not to be changed: to read one anew means to get at the record again."""
        place = column_place(self.record.path, self.record.at, self.leaf)
        found = self.record.kept.find(place)
        if found is None:
            found = self._items()[0].take(slice(0, self.steps, 1))
            found.flags.writeable = False
            self.record.kept.put(place, found, found.nbytes)
        return found

    def take(self, at: Picked) -> Any:
        """See Source."""
        if self.leaf.tabular:
            found = self.column()[at]
            return found.copy() if isinstance(at, slice) else found
        found, leaf, rows = self._items()
        if len(leaf.sequences) == 1:
            return found.take(at)
        values = [nested(self.record, found, leaf, rows, self.steps, int(i)) for i in listed(at)]
        if None not in (*leaf.sequences[1:], *leaf.shape) and leaf.form != "text":
            return self._stacked(values, leaf)
        result = np.empty(len(values), object)
        for i, value in enumerate(values):
            result[i] = value
        return result

    def _stacked(self, values: list[Any], leaf: Leaf) -> Any:
        shape: Any = (*leaf.sequences[1:], *leaf.shape)
        stacked = [np.asarray(value, leaf.dtype) for value in values]
        if any(value.shape != shape for value in stacked):
            raise fault(f"has rows of other lengths than {shape}", **self.record.where(self.leaf.key))
        return np.stack(stacked) if stacked else np.zeros((0, *shape), leaf.dtype)

    def encoded(self, at: Picked) -> list[bytes]:
        """See Source."""
        found, leaf, _ = self._items()
        whole = isinstance(found, Strings) and found.each == 1 and len(leaf.sequences) == 1
        return found.encoded(at) if whole and isinstance(found, Strings) else super().encoded(at)

    def ranges(self, at: Picked) -> list[Range] | None:
        """See Source."""
        found, leaf, _ = self._items()
        return found.ranges(at) if isinstance(found, Strings) and len(leaf.sequences) == 1 else None


def column_place(path: Path, at: int, leaf: Leaf) -> Hashable:
    """Under which a column of a record is kept."""
    return path, at, leaf.key, "column"


def nested(record: Record, found: Numbers | Strings, leaf: Leaf, rows: str, outer: int | None, at: int | None) -> Any:
    """A row of the outermost sequence (all of them for None): an array, or lists of arrays for further levels."""
    table = record.rows(leaf, rows, outer, found.count())

    def level(depth: int, start: int, stop: int) -> Any:
        if depth == len(table):
            return found.take(slice(start, stop, 1))
        return [level(depth + 1, int(table[depth][k]), int(table[depth][k + 1])) for k in range(start, stop)]

    return level(0, 0, len(table[0]) - 1) if at is None else level(0, at, at + 1)[0]


class Meta(Mapping[str, Any]):
    """Features of an episode that are no part of its steps, decoded when asked for."""

    def __init__(self, record: Record, leaves: Mapping[str, Leaf], dct: str) -> None:
        self._record, self._dct = record, dct
        self._leaves = {key: leaf for key, leaf in leaves.items() if not (leaf.optional and absent(record, leaf))}

    def __getitem__(self, key: str) -> Any:
        leaf = self._leaves[key]
        if len(leaf.sequences) == 0 and leaf.size is None and leaf.form == "numbers" and not leaf.dynamic:
            return self._open(leaf)
        found, stored, rows = items(self._record, leaf, self._dct)
        if len(stored.sequences) > 1:
            return nested(self._record, found, stored, rows, None, None)
        count = found.count()
        if stored.sequences:
            return found.take(slice(0, count or 0, 1))
        if count not in (1, None):
            raise fault(f"has {count} values, expected one", **self._record.where(key))
        return found.take(slice(0, 1, 1))[0]

    def _open(self, leaf: Leaf) -> Any:
        """One array of a shape with one unknown axis."""
        flat = self._record.numbers(leaf.key, leaf.dtype)
        known = 1
        for n in leaf.shape:
            known *= 1 if n is None else n
        if known == 0 or len(flat) % known:
            raise fault(f"has {len(flat)} numbers for an array of {leaf.shape}", **self._record.where(leaf.key))
        return cast(flat, leaf.dtype).reshape([-1 if n is None else n for n in leaf.shape])

    def __iter__(self) -> Iterator[str]:
        return iter(self._leaves)

    def __len__(self) -> int:
        return len(self._leaves)


def absent(record: Record, leaf: Leaf) -> bool:
    """Whether a record has nothing of a feature."""
    keys = (leaf.key, f"{leaf.key}/value", f"{leaf.key}/ragged_flat_values", f"{leaf.key}/value/ragged_flat_values")
    return not any(key in record.features for key in keys)


__all__ = ["Feature", "Meta", "absent", "column_place", "items", "nested"]
