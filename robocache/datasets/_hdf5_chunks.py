"""Chunks that were packed with gzip: unpacked here, within bounds, and with no lock held."""

import itertools
import math
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

GZIP, SHUFFLE = 1, 2


class Packed(NamedTuple):
    """How a dataset was cut into chunks and packed."""

    shape: tuple[int, ...]  # of a chunk
    filters: tuple[int, ...]
    fill: Any


class Place(NamedTuple):
    """Where a chunk lies; an offset of None is one that was never written."""

    corner: tuple[int, ...]
    mask: int
    offset: int | None
    size: int


def corners(rows: NDArray[np.int64], shape: Sequence[int], chunk: Sequence[int]) -> list[tuple[int, ...]]:
    """First positions of all chunks that hold some of the rows."""
    first = np.unique(rows // chunk[0]) * chunk[0]
    across = [range(0, n, c) for n, c in zip(shape[1:], chunk[1:], strict=True)]
    return [tuple(map(int, corner)) for corner in itertools.product(first.tolist(), *across)]


def unpack(data: bytes, packed: Packed, mask: int, dtype: np.dtype[Any]) -> NDArray[Any]:
    """A chunk as an array. Raises ValueError, zlib.error."""
    size = math.prod(packed.shape) * dtype.itemsize
    for at, kind in reversed(list(enumerate(packed.filters))):
        if mask >> at & 1:
            continue
        if kind == GZIP:
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
    rows: NDArray[np.int64], shape: tuple[int, ...], dtype: np.dtype[Any], packed: Packed, places: Sequence[Place],
    fetch: Callable[[int, int], bytes],
) -> NDArray[Any]:  # fmt: skip
    """Rows of a dataset out of its chunks. ``fetch`` reads bytes of the file."""
    out = np.empty((len(rows), *shape[1:]), dtype.newbyteorder("="))
    order = np.argsort(rows, kind="stable")
    ordered = rows[order]
    for corner, mask, offset, size in places:
        low, high = np.searchsorted(ordered, (corner[0], corner[0] + packed.shape[0]))
        inner: Any = tuple(
            slice(start, min(start + n, end))
            for start, n, end in zip(corner[1:], packed.shape[1:], shape[1:], strict=True)
        )
        target: Any = (order[low:high], *inner)
        if offset is None:
            out[target] = packed.fill
            continue
        chunk = unpack(fetch(offset, size), packed, mask, dtype)
        source: Any = (ordered[low:high] - corner[0], *(slice(0, s.stop - s.start) for s in inner))
        out[target] = chunk[source]
    return out


__all__ = ["GZIP", "SHUFFLE", "Packed", "Place", "corners", "gather", "unpack"]
