"""Rows of an HDF5 dataset: straight from the file where they lie in one piece, else through its chunks or libhdf5."""

import math
import os
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._faults import fault, faults
from ._hdf5 import PROBLEMS, Files, Node, at
from ._hdf5_attributes import texts
from ._hdf5_chunks import Place, corners, gather
from ._hdf5_text import Raw
from .streams import Picked, Range, Source, listed

KEEP_BYTES = 1 << 18  # a stream in chunks that is no larger is read once and kept: its chunks are often one row each
CHUNKS = 1 << 20  # of one read
PIECE = 1 << 30  # of one call to the system


class Rows(Source):
    """The first axis of a dataset is that of the samples."""

    def __init__(self, files: Files, path: Path, node: Node, episode: Any = None) -> None:
        self.files, self.path, self.node, self.episode = files, path, node, episode
        self.row_bytes = math.prod(node.shape[1:]) * node.stored.itemsize

    @property
    def _place(self) -> dict[str, Any]:
        return {"file": self.path, "episode": self.episode, "key": self.node.name}

    def take(self, at: Picked) -> Any:
        """Some rows, in the order that was asked for."""
        if self.node.offset is not None and not self.node.raw_text:
            return self._straight(at)
        if math.prod(self.node.shape) * max(1, self.node.stored.itemsize) <= KEEP_BYTES:
            return self._kept[at].copy()
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
        flat = out.reshape(-1).view(np.uint8)
        with self.files.handle(self.path, episode=self.episode, key=self.node.name) as handle:
            for start, stop in _runs(rows):
                first = int(rows[start]) * self.row_bytes + (self.node.offset or 0)
                _fill(handle, flat[start * self.row_bytes : stop * self.row_bytes], first)
        return self._checked(out)

    @cached_property
    def _kept(self) -> Any:
        return self._some(np.arange(self.node.shape[0], dtype=np.int64))

    def _some(self, rows: NDArray[np.int64]) -> Any:
        node, most = self.node, self.files.max_bytes
        wanted = len(rows) * max(1, self.row_bytes)
        if node.chunk is not None:
            wanted = max(wanted, math.prod(node.chunk) * node.stored.itemsize)
            across = math.prod(-(-n // c) for n, c in zip(node.shape[1:], node.chunk[1:], strict=True))
            along = min(len(rows), (int(rows.max()) - int(rows.min())) // node.chunk[0] + 2) if len(rows) else 0
            if along * across > CHUNKS:
                raise fault(f"lies in more than {CHUNKS} chunks; read fewer rows", **self._place)
        if wanted > min(most, node.most):
            told = f"max_bytes={most}" if most <= node.most else f"the {node.most} that a file of this size can hold"
            raise fault(f"{len(rows)} rows need {wanted} bytes, over {told}; read fewer", **self._place)
        if not len(rows):
            return np.empty((0, *node.shape[1:]), node.dtype)
        if node.raw_text and node.offset is not None:
            return self._heap_text(rows)
        return self._checked(self._unpacked(rows) if node.packed is not None else self._by_library(rows))

    def _unpacked(self, rows: NDArray[np.int64]) -> Any:
        node, packed = self.node, self.node.packed
        if packed is None:
            raise fault("has no chunks that can be unpacked", **self._place)
        places = []
        with self.files.use(self.path, episode=self.episode, key=node.name) as file:
            dataset = self._dataset(file)
            for corner in corners(rows, node.shape, packed.shape):
                info = dataset.get_chunk_info_by_coord(corner)
                places.append(Place(corner, int(info.filter_mask), info.byte_offset, int(info.size)))
        with (
            self.files.handle(self.path, episode=self.episode, key=node.name) as handle,
            faults(*PROBLEMS, zlib.error, **self._place),
        ):
            size = os.fstat(handle).st_size
            if any(place.offset is not None and place.offset + place.size > size for place in places):
                raise ValueError("is cut off: a chunk does not lie within the file")
            return gather(
                rows, node.shape, node.stored, packed, places, lambda offset, length: os.pread(handle, length, offset)
            )

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
