"""Chunks that are plain or packed with gzip: unpacked here, within bounds, and with no lock held."""

import itertools
import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

GZIP, SHUFFLE = 1, 2
Corner = tuple[int, ...]


class Packed(NamedTuple):
    """How a dataset was cut into chunks and packed."""

    shape: tuple[int, ...]  # of a chunk
    filters: tuple[int, ...]
    fill: Any


class Place(NamedTuple):
    """Where a chunk lies, and which filters it skipped."""

    mask: int
    offset: int
    size: int


class Tile(NamedTuple):
    """A chunk's part of a row: its corner but for the first axis, where its values go, and which those are."""

    corner: Corner
    target: tuple[slice, ...]
    source: tuple[slice, ...]


def tiles_of(shape: Sequence[int], chunk: Sequence[int]) -> list[Tile]:
    """The parts that the chunks make of a row."""
    found = []
    for corner in itertools.product(*(range(0, n, c) for n, c in zip(shape[1:], chunk[1:], strict=True))):
        ends = [min(at + c, n) for at, c, n in zip(corner, chunk[1:], shape[1:], strict=True)]
        target = tuple(slice(at, end) for at, end in zip(corner, ends, strict=True))
        found.append(Tile(corner, target, tuple(slice(0, part.stop - part.start) for part in target)))
    return found


def unpack(data: bytes, packed: Packed, mask: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A chunk as an array. Raises ValueError, zlib.error."""
    size = math.prod(packed.shape) * dtype.itemsize
    for at in range(len(packed.filters) - 1, -1, -1):
        if mask >> at & 1:
            continue
        if packed.filters[at] == GZIP:
            unpacker = zlib.decompressobj()
            data = unpacker.decompress(data, size + 1)
            if not unpacker.eof:
                raise ValueError(f"a chunk does not unpack to {size} bytes")
        elif dtype.itemsize > 1 and len(data) == size:
            data = np.frombuffer(data, np.uint8).reshape(dtype.itemsize, -1).T.tobytes()
    if len(data) != size:
        raise ValueError(f"a chunk unpacks to {len(data)} bytes, expected {size}")
    return np.frombuffer(data, dtype).reshape(packed.shape)


def gather(
    rows: NDArray[np.int64], shape: tuple[int, ...], dtype: np.dtype[Any], packed: Packed, tiles: Sequence[Tile],
    chunk: Callable[[Corner], Any],
) -> NDArray[Any]:  # fmt: skip
    """Rows of a dataset out of its chunks. ``chunk`` gives the one at a corner, None for one never written."""
    out = np.empty((len(rows), *shape[1:]), dtype.newbyteorder("="))
    for corner, to, inside in _by_chunk(rows, packed.shape[0]):
        for tile in tiles:
            found = chunk((corner, *tile.corner))
            out[to, *tile.target] = packed.fill if found is None else found[inside, *tile.source]
    return out


def _by_chunk(rows: NDArray[np.int64], long: int) -> Iterator[tuple[int, Any, Any]]:
    """First row of every chunk, and which of ``rows`` are in it: where they go, and which rows of the chunk."""
    if len(rows) == 1:
        row = int(rows[0])
        yield row - row % long, 0, row % long
        return
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    number = ordered // long
    for low, high in itertools.pairwise([0, *(np.flatnonzero(np.diff(number)) + 1).tolist(), len(rows)]):
        corner = int(number[low]) * long
        yield corner, _run(order[low:high]), _run(ordered[low:high] - corner)


def _run(at: NDArray[np.int64]) -> Any:
    """Positions as a slice where they follow one another, which needs no copy on the way."""
    first, last = int(at[0]), int(at[-1])
    if last - first + 1 == len(at) and (len(at) < 3 or bool((at[1:] > at[:-1]).all())):
        return slice(first, last + 1)
    return at


__all__ = ["GZIP", "SHUFFLE", "Packed", "Place", "Tile", "gather", "tiles_of", "unpack"]
