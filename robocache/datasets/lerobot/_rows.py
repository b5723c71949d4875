"""The rows of one episode, and streams of them."""

from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._faults import fault
from .._files import Root
from .._images import decode_image
from ..streams import Picked, Source, listed
from ._columns import cell, plain
from ._info import Feature
from ._parquet import Parquets

EPISODE = plain("episode_index")
ENCODED = 64 << 20  # an encoded picture in a file of its own is not larger


class Rows:
    """Where the rows of an episode lie; looked for when the first of them is wanted.

    Parameters
    ----------
    files : Parquets
    file : Path
        Where they lie.
    fetched : function that returns a Path
        The same, once it is there.
    guess : int
        The row of the file that should be its first.
    length : int
        Its rows.
    episode : int
        Its id, which every one of its rows must hold.
    alone : bool
        Whether the file may hold no other.
    """

    def __init__(
        self, files: Parquets, file: Path, fetched: Callable[[], Path], guess: int, length: int, episode: int,
        alone: bool,
    ) -> None:  # fmt: skip
        self.files, self.file, self.length, self.episode, self.alone = files, file, length, episode, alone
        self._fetched, self._guess = fetched, guess
        self._last = 0, 0, 0  # the row group that was read last, and its rows

    @cached_property
    def path(self) -> Path:
        """Of the file, which is there."""
        return self._fetched()

    @cached_property
    def groups(self) -> NDArray[np.int64]:
        """First rows of the row groups of the file, and the number of all its rows."""
        return self.files.groups(self.path, episode=self.episode)

    @cached_property
    def start(self) -> int:
        """The row of the file that is the first."""
        groups = self.groups
        total = int(groups[-1])
        if self.alone and total != self.length:
            raise self._wrong(f"has {total} rows, its metadata says {self.length}")
        if not self._holds(groups, self._guess):
            own = np.concatenate([np.zeros(0, np.int64), *(self._ids(g) for g in range(len(groups) - 1))])
            at = np.flatnonzero(own == self.episode)
            if len(at) != self.length or (len(at) and at[-1] - at[0] + 1 != len(at)):
                raise self._wrong(f"has {len(at)} rows of it, in one run or several; expected a run of {self.length}")
            return int(at[0]) if len(at) else 0
        return self._guess

    def _wrong(self, what: str) -> Exception:
        return fault(what, file=self.path, episode=self.episode)

    def _ids(self, group: int) -> Any:
        return self.files.column(self.path, group, EPISODE, episode=self.episode, key="episode_index")

    def _holds(self, groups: NDArray[np.int64], start: int) -> bool:
        """Whether the rows from ``start`` on are those of the episode, and no other row of their groups is."""
        if not 0 <= start <= start + self.length <= groups[-1]:
            return False
        if not self.length:
            return True
        first, last = (np.searchsorted(groups, (start, start + self.length - 1), side="right") - 1).tolist()
        ids = [self._ids(group) for group in range(first, last + 1)]
        same = (ids[0] if len(ids) == 1 else np.concatenate(ids)) == self.episode
        begin = start - int(groups[first])
        return bool(same[begin : begin + self.length].all()) and int(np.count_nonzero(same)) == self.length

    def pieces(self, at: Picked) -> Iterator[tuple[int, Any, Any]]:
        """Row group, rows within it, and places in the answer."""
        if isinstance(at, slice) and at.stop > at.start:
            first, last = self.start + at.start, self.start + at.stop
            group, begin, end = self._last
            if not begin <= first < end:
                group = int(np.searchsorted(self.groups, first, side="right")) - 1
                begin, end = int(self.groups[group]), int(self.groups[group + 1])
                self._last = group, begin, end
            if last <= end:  # nearly always: an episode has a row group of its own
                yield group, slice(first - begin, last - begin), slice(None)
                return
        yield from split(self.groups, self.start + listed(at))


def split(groups: NDArray[np.int64], rows: NDArray[np.int64]) -> Iterator[tuple[int, Any, Any]]:
    """Rows of a file by row group: group, rows within it, and where they stand in ``rows``."""
    owner = np.searchsorted(groups, rows, side="right") - 1
    for group in np.flatnonzero(np.bincount(owner)).tolist():
        places = np.flatnonzero(owner == group)
        yield group, rows[places] - groups[group], places


class ColumnSource(Source):
    """Numbers or text of a column."""

    def __init__(self, rows: Rows, feature: Feature) -> None:
        self.rows, self.feature = rows, feature

    def take(self, at: Picked) -> Any:
        """A copy of some of them, to be changed at will."""
        rows, spec = self.rows, self.feature.spec
        count = at.stop - at.start if isinstance(at, slice) else len(at)
        shape = tuple(size or 0 for size in spec.shape)
        out = None
        for group, within, places in rows.pieces(at):
            found = rows.files.column(rows.path, group, self.feature, episode=rows.episode, key=spec.name)[within]
            if len(found) == count:
                return found.copy() if isinstance(within, slice) else found
            out = np.empty((count, *shape), spec.dtype) if out is None else out
            out[places] = found
        return np.empty((0, *shape), spec.dtype) if out is None else out


class ImageSource(Source):
    """Pictures that are encoded in the cells of a column, or in files that it names."""

    def __init__(self, rows: Rows, feature: Feature, root: Root) -> None:
        self.rows, self.feature, self.root = rows, feature, root

    def encoded(self, at: Picked) -> list[bytes]:
        """The pictures as they lie in the file."""
        rows = self.rows
        place: dict[str, Any] = {"episode": rows.episode, "key": self.feature.spec.name}
        found: dict[int, bytes] = {}
        order = listed(at)
        for group, within, places in rows.pieces(order):
            chunks = rows.files.column(rows.path, group, self.feature, **place)
            for row, k in zip(within.tolist(), places.tolist(), strict=True):
                found[k] = self._bytes(*cell(chunks, row))
        return [found[k] for k in range(len(order))]

    def _bytes(self, data: bytes | None, name: str | None) -> bytes:
        place: dict[str, Any] = {"episode": self.rows.episode, "key": self.feature.spec.name}
        if data is not None:
            return data
        if not name:
            raise fault("a picture is missing", file=self.rows.path, **place)
        path = self.root.file(name)
        if path.stat().st_size > ENCODED:
            raise fault(f"is longer than {ENCODED} bytes", file=path, **place)
        return path.read_bytes()

    def take(self, at: Picked) -> Any:
        """Decoded pictures."""
        spec = self.feature.spec
        place: dict[str, Any] = {"file": self.rows.path, "episode": self.rows.episode, "key": spec.name}
        encoded = self.encoded(at)
        out = None
        for k, data in enumerate(encoded):
            image = decode_image(data, None if spec.kind == "depth" else spec.shape[2], dct="accurate", **place)
            if image.shape != spec.shape or image.dtype != spec.dtype:
                raise fault(f"a picture is {image.shape} {image.dtype}, expected {spec.shape} {spec.dtype}", **place)
            # Not before one was decoded: a shape that only info.json claims takes no memory.
            out = np.empty((len(encoded), *image.shape), image.dtype) if out is None else out
            out[k] = image
        return np.empty((0, *(n or 0 for n in spec.shape)), spec.dtype) if out is None else out


__all__ = ["ColumnSource", "ImageSource", "Rows", "split"]
