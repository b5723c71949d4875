"""One record: the walk over it, done once, and the lists of values that it led to."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._faults import fault, faults
from .._kept import Kept
from . import _wire
from ._shards import Container
from ._tree import Leaf

FEATURE_BYTES = 400  # about what a walk takes in memory for each feature
_NAMES = {_wire.BYTES: "bytes", _wire.FLOATS: "floats", _wire.INTEGERS: "integers"}


@dataclass
class Walk:
    """What a look at all of a record found, small enough to be remembered for very many records."""

    features: dict[str, _wire.Feature]
    checked: bool  # its checksum was compared
    steps: int | None = None


class Record:
    """The features of one episode as they lie in its file.

    Parameters
    ----------
    container : Container
    path : Path
        The shard.
    at : int
        Number of the record in it.
    name : str
        Of the episode, for messages.
    kept : Kept
        Where walks and decoded numbers stay for a while.
    check : bool
        Compare the checksum of the payload, unless that was done.
    """

    def __init__(self, container: Container, path: Path, at: int, name: str, kept: Kept, check: bool) -> None:
        self.container, self.path, self.at, self.name, self.kept = container, path, at, name, kept
        walk: Walk | None = kept.find((path, at))
        if walk is None or (check and not walk.checked):
            with faults(_wire.Damaged, **self.where(), doing="is no tf.train.Example"):
                walk = Walk(_wire.features(container.record(path, at, check)), check)
            kept.put((path, at), walk, FEATURE_BYTES * len(walk.features))
        self._walk, self.features = walk, walk.features
        self._spans: dict[str, NDArray[np.int64]] = {}
        self._rows: dict[str, list[NDArray[np.int64]]] = {}

    def where(self, key: str | None = None) -> dict[str, Any]:
        """The place, for errors."""
        return {"file": self.path, "episode": self.name, **({"key": key} if key else {})}

    def data(self) -> memoryview:
        """The payload."""
        return self.container.record(self.path, self.at, False)

    def _feature(self, key: str, kind: int) -> _wire.Feature:
        found = self.features.get(key, _wire.Feature())
        if found.kind not in (0, kind):
            raise fault(f"holds {_NAMES[found.kind]}, and {_NAMES[kind]} are expected", **self.where(key))
        return found

    def spans(self, key: str) -> NDArray[np.int64]:
        """Offset in the payload and length of every byte string of a list."""
        if key not in self._spans:
            feature = self._feature(key, _wire.BYTES)
            with faults(_wire.Damaged, **self.where(key)):
                self._spans[key] = _wire.byte_spans(self.data(), feature)
        return self._spans[key]

    def numbers(self, key: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """All numbers of a list, not to be kept: float32 for any floats, else of ``dtype``."""
        if dtype.kind not in "biu":
            feature = self._feature(key, _wire.FLOATS)
            with faults(_wire.Damaged, **self.where(key)):
                return _wire.floats(self.data(), feature)
        place = (self.path, self.at, key)
        found = self.kept.find(place)
        if found is None or found.dtype != dtype:
            feature = self._feature(key, _wire.INTEGERS)
            with faults(_wire.Damaged, **self.where(key)):
                found = _narrowed(_wire.integers(self.data(), feature), dtype)
            self.kept.put(place, found, found.nbytes)
        return np.asarray(found)

    def rows(self, leaf: Leaf, key: str, steps: int | None, items: int | None) -> list[NDArray[np.int64]]:
        """Of the sequences inside ``steps``, from the outermost on, where each row begins in the next level."""
        if key not in self._rows:
            found, above = [], steps
            for level in range(len(leaf.sequences) - 1):
                place = f"{key}/ragged_row_lengths_{level}"
                lengths = self.numbers(place, np.dtype(np.int64))
                if above is not None and len(lengths) != above:
                    raise fault(f"has {len(lengths)} rows, and {above} are expected", **self.where(place))
                last = level == len(leaf.sequences) - 2
                if len(lengths) and (int(lengths.min()) < 0 or int(lengths.max()) > len(self.data())):
                    raise fault("has a row of impossible length", **self.where(place))
                found.append(np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]))
                above = int(found[-1][-1])
                if last and items is not None and above != items:
                    raise fault(f"its rows have {above} values, and {items} are there", **self.where(place))
            self._rows[key] = found
        return self._rows[key]

    def steps(self, counters: Sequence["Counter"]) -> int:
        """How many steps there are, by the features of which it can be told at once; they must agree."""
        if self._walk.steps is None:
            self._walk.steps = self._counted(counters)
        return self._walk.steps

    def _counted(self, counters: Sequence["Counter"]) -> int:
        told: tuple[int, str] | None = None
        for key, size in counters:
            feature = self.features.get(key, _wire.Feature())
            if feature.kind == 0 or (told is not None and feature.kind != _wire.FLOATS):
                continue
            with faults(_wire.Damaged, **self.where(key)):
                count, over = divmod(_wire.count(self.data(), feature), size)
            if over or (told is not None and count != told[0]):
                other = f", and {told[1]} has {told[0]}" if told else ""
                raise fault(f"has {count} steps{' and a part' * bool(over)}{other}", **self.where(key))
            told = told or (count, key)
        return told[0] if told else 0


class Counter(NamedTuple):
    """A list by which steps can be counted, and how many values it has for each."""

    key: str
    size: int


def counters(leaves: Sequence[Leaf]) -> list[Counter]:
    """Those of some features, the cheapest first: floats, then integers, then bytes and rows."""
    found = sorted((order, each, key) for leaf in leaves for order, each, key in _counted(leaf))
    return [Counter(key, each) for _, each, key in found]


def _counted(leaf: Leaf) -> Iterator[tuple[int, int, str]]:
    key = f"{leaf.key}/value" if leaf.dynamic else leaf.key
    if leaf.form == "unknown":
        return
    if leaf.ragged:
        yield 2, 1, f"{key}/ragged_row_lengths_0"
    elif leaf.form in ("tensor", "image"):
        yield 2, 1, key
    elif leaf.size:
        yield (0 if leaf.dtype.kind in "fV" else 1) if leaf.form == "numbers" else 2, leaf.size, key


def _narrowed(values: NDArray[np.int64], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Int64 as it was before it was stored."""
    if dtype == np.uint64:
        return values.view(np.uint64)
    if dtype != np.int64 and values.size:
        low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        if int(values.min()) < low or int(values.max()) > high:
            raise _wire.Damaged(f"holds {values.min()} to {values.max()}, which is more than {dtype} can")
    return values.astype(dtype, copy=False)


__all__ = ["Counter", "Record", "counters"]
