"""Rows of an HDF5 dataset: straight from the file where they lie in one piece, else through its chunks or libhdf5."""

import math
import os
import zlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._faults import fault, faults
from ._hdf5 import PROBLEMS, Files, Node, at
from ._hdf5_attributes import texts
from ._hdf5_chunks import Corner, Packed, Place, Tile, gather, tiles_of, unpack
from ._hdf5_text import Raw
from .streams import Picked, Range, Source, listed

KEEP_BYTES = 1 << 18  # a stream in chunks that is no larger is read once and kept: its chunks are often one row each
CHUNKS = 1 << 20  # of one read
EACH_PLACE = 320  # bytes of memory
PIECE = 1 << 30  # of one call to the system


class Rows(Source):
    """The first axis of a dataset is that of the samples."""

    def __init__(self, files: Files, path: Path, node: Node, episode: Any = None) -> None:
        self.files, self.path, self.node, self.episode = files, path, node, episode
        self.row_bytes = math.prod(node.shape[1:]) * node.stored.itemsize
        self._small = math.prod(node.shape) * max(1, node.stored.itemsize) <= KEEP_BYTES
        self._problems = faults(*PROBLEMS, zlib.error, **self._place)

    @property
    def _place(self) -> dict[str, Any]:
        return {"file": self.path, "episode": self.episode, "key": self.node.name}

    def take(self, at: Picked) -> Any:
        """Some rows, in the order that was asked for."""
        if self.node.offset is not None and not self.node.raw_text:
            return self._straight(at)
        if self._small:
            kept = self.files.chunks.get((str(self.path), self.node.path, ()), self._all, lambda found: found.nbytes)
            return kept[at].copy()
        return self._some(listed(at))

    def ranges(self, at: Picked) -> list[Range] | None:
        """Rows that lie in the file as they are in memory have a range of it each."""
        node = self.node
        if node.offset is None or node.raw_text:
            return None
        return [Range(str(self.path), node.offset + i * self.row_bytes, self.row_bytes, "raw") for i in listed(at)]

    def _straight(self, at: Picked) -> Any:
        rows = listed(at)
        out = np.empty((len(rows), *self.node.shape[1:]), self.node.dtype)
        each, base = self.row_bytes, self.node.offset or 0
        with self._problems, self.files.handle(self.path) as handle:
            if len(rows) != 1 or os.preadv(handle, [out.data], int(rows[0]) * each + base) != each:
                flat = out.reshape(-1).view(np.uint8)
                for start, stop in _runs(rows):
                    _fill(handle, flat[start * each : stop * each], int(rows[start]) * each + base)
        return self._checked(out) if out.dtype == bool else out

    def _all(self) -> Any:
        return self._some(np.arange(self.node.shape[0], dtype=np.int64))

    def _some(self, rows: NDArray[np.int64]) -> Any:
        node, most = self.node, self.files.max_bytes
        wanted = len(rows) * max(1, self.row_bytes)
        if node.chunk is not None:
            across, size = self._chunk_counts
            wanted = max(wanted, size)
            along = min(len(rows), (int(rows.max()) - int(rows.min())) // node.chunk[0] + 2) if len(rows) > 1 else 1
            if along * across > CHUNKS:
                raise fault(f"lies in more than {CHUNKS} chunks; read fewer rows", **self._place)
        if wanted > min(most, node.most):
            told = f"max_bytes={most}" if most <= node.most else f"the {node.most} that a file of this size can hold"
            raise fault(f"{len(rows)} rows need {wanted} bytes, over {told}; read fewer", **self._place)
        if not len(rows):
            return np.empty((0, *node.shape[1:]), node.dtype)
        if node.raw_text and node.offset is not None:
            return self._heap_text(rows)
        return self._checked(self._by_library(rows) if node.packed is None else self._unpacked(rows, node.packed))

    @cached_property
    def _chunk_counts(self) -> tuple[int, int]:
        """How many chunks a row lies in, and the bytes of one."""
        chunk = self.node.chunk or ()
        across = math.prod(-(-n // c) for n, c in zip(self.node.shape[1:], chunk[1:], strict=True))
        return across, math.prod(chunk) * self.node.stored.itemsize

    @cached_property
    def _tiles(self) -> list[Tile]:
        return tiles_of(self.node.shape, self.node.chunk or ())

    def _unpacked(self, rows: NDArray[np.int64], packed: Packed) -> Any:
        node, kept, path = self.node, self.files.chunks, str(self.path)
        places = self.files.places.get((path, node.path), self._located, lambda found: EACH_PLACE * len(found))
        if len(rows) == 1 and not packed.filters and packed.shape[1:] == node.shape[1:]:
            return self._plain(int(rows[0]), packed, places)
        several = packed.shape[0] > 1  # rows in a chunk: one that is read once need not be kept

        def chunk(corner: Corner) -> Any:
            found = kept.find((path, node.path, corner)) if several else None
            place = places.get(corner)
            if found is not None or place is None:
                return found
            mask, offset, size = place
            with self.files.handle(self.path) as handle:
                if offset + size > os.fstat(handle).st_size:
                    raise ValueError(f"is cut off: a chunk of {size} bytes at {offset} does not lie within the file")
                found = unpack(os.pread(handle, size, offset), packed, mask, node.stored)
            if several:
                kept.put((path, node.path, corner), found, found.nbytes)
            return found

        with self._problems:
            return gather(rows, node.shape, node.stored, packed, self._tiles, chunk)

    def _plain(self, row: int, packed: Packed, places: Mapping[Corner, Place]) -> Any:
        """A row that lies in one piece in a chunk."""
        inside = row % packed.shape[0]
        place = places.get((row - inside, *(0,) * (len(packed.shape) - 1)))
        if place is None:
            return np.full((1, *self.node.shape[1:]), packed.fill, self.node.dtype)
        out = np.empty((1, *self.node.shape[1:]), self.node.stored)
        with self._problems, self.files.handle(self.path) as handle:
            if place.size != self._chunk_counts[1]:
                raise ValueError(f"a chunk of {self._chunk_counts[1]} bytes is said to have {place.size}")
            start = place.offset + inside * self.row_bytes
            if os.preadv(handle, [out.data], start) != self.row_bytes:
                raise ValueError(f"is cut off: {self.row_bytes} bytes at {start} are wanted")
        return out.astype(self.node.dtype, copy=False)

    def _located(self) -> dict[Corner, Place]:
        """Where all chunks that were written lie: libhdf5 walks over all of them to find a single one, too."""
        found = {}

        def note(info: Any) -> None:
            found[tuple(map(int, info.chunk_offset))] = Place(int(info.filter_mask), info.byte_offset, int(info.size))

        with self.files.use(self.path, episode=self.episode, key=self.node.name) as file:
            self._dataset(file).chunk_iter(note)
        return found

    def _by_library(self, rows: NDArray[np.int64]) -> Any:
        import h5py

        node = self.node
        unique, back = np.unique(rows, return_inverse=True)
        out = np.empty((len(unique), *node.shape[1:]), node.stored)
        with self.files.use(self.path, episode=self.episode, key=node.name) as file:
            dataset = self._dataset(file)
            if node.stored.hasobject:
                raise ValueError("text of variable length in chunks is not read")
            memory = h5py.h5t.py_create(node.stored, logical=True)
            space = dataset.get_space()
            if dataset.rank == 0:  # a single value, taken for one row
                dataset.read(h5py.h5s.ALL, h5py.h5s.ALL, out, memory)
            for start, stop in _runs(unique) if dataset.rank else ():
                first, count = (int(unique[start]), *(0,) * (len(node.shape) - 1)), (stop - start, *node.shape[1:])
                space.select_hyperslab(first, count)
                dataset.read(h5py.h5s.create_simple(count), space, out[start:stop], memory)
        found = out[back]
        with faults(ValueError, **self._place):
            return texts(found) if node.dtype == object else found.astype(node.dtype, copy=False)

    def _dataset(self, file: Any) -> Any:
        """The dataset, which must still be what it was when it was looked at."""
        import h5py

        found = at(file, self.node.path)
        if not isinstance(found, h5py.h5d.DatasetID) or (tuple(found.shape) or (1,)) != self.node.shape:
            raise ValueError("it has changed since the file was opened")
        return found

    def _heap_text(self, rows: NDArray[np.int64]) -> Any:
        out = np.empty((len(rows), *self.node.shape[1:]), object)
        each = math.prod(self.node.shape[1:])
        flat = out.reshape(-1)
        with faults(*PROBLEMS, **self._place):
            raw = Raw(self.path)
            if not raw.usable:
                raise ValueError("text of variable length in a file of this form is not read")
            for at_row, row in enumerate(rows.tolist()):
                references = raw.at((self.node.offset or 0) + row * each * 16, each * 16)
                for i in range(each):
                    flat[at_row * each + i] = raw.text(references[16 * i : 16 * i + 16]).rstrip(b"\0").decode("utf-8")
        return out

    def _checked(self, found: Any) -> Any:
        if found.dtype == bool and found.size and int(found.view(np.uint8).max()) > 1:
            raise fault("has bools that are neither true nor false", **self._place)
        return found


def _runs(rows: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Stretches of consecutive rows."""
    if len(rows) < 2:
        return [(0, len(rows))] if len(rows) else []
    breaks = np.flatnonzero(np.diff(rows) != 1) + 1
    return list(zip([0, *breaks.tolist()], [*breaks.tolist(), len(rows)], strict=True))


def _fill(handle: int, target: Any, offset: int) -> None:
    done = 0
    while done < len(target):
        got = os.preadv(handle, [target[done : done + PIECE]], offset + done)
        if got <= 0:
            raise ValueError(f"is cut off: {len(target)} bytes at {offset} are wanted")
        done += got


__all__ = ["Rows"]
