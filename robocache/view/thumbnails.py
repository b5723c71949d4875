"""Small pictures of what a camera gave: 8-bit RGB, and PNG without a library."""

import struct
import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets._faults import fault

Picture = NDArray[np.uint8]
UNKNOWN = (44, 62, 110)  # where a depth camera saw nothing: no gray


def thumbnail(sample: Any, kind: str, height: int, **place: Any) -> Picture:
    """A picture (row, column) or (row, column, channel) as uint8 (row, column, 3), no higher than ``height``.

    Bytes of an image stay as they are; other numbers, and depth, are spread from their least to their greatest finite
    one. Depth that is 0, and what is not finite, is dark blue. Of channels the first three are shown, or the first: see
    `partly`. Raises DataError with the ``place`` for what is no picture.
    """
    array = np.asarray(sample)
    array = array[..., None] if array.ndim == 2 else array
    if array.ndim != 3 or not array.size or array.dtype.kind not in "fiub":
        raise fault(f"a picture cannot be shown whose shape is {np.shape(sample)}, of {array.dtype}", **place)
    array = array[..., :3] if array.shape[2] > 2 else array[..., :1]
    if kind == "depth":
        array = array.astype(np.float64)
        array[array == 0] = np.nan
    found = array if array.dtype == np.uint8 else _spread(array.astype(np.float64))
    return _shrink(found if found.shape[2] == 3 else np.repeat(found, 3, axis=2), height)


def partly(picture: Any) -> list[str]:
    """What a thumbnail does not show of a sample that has more channels than a picture."""
    channels = np.shape(picture)[2] if np.ndim(picture) == 3 else 1
    return [f"the first {3 if channels > 2 else 1} of {channels} channels"] if channels not in (1, 3, 4) else []


def _spread(array: NDArray[np.float64]) -> Picture:
    known = np.isfinite(array)
    low, high = array.min(where=known, initial=np.inf), array.max(where=known, initial=-np.inf)
    part = (np.where(known, array, low) - low) / (high - low) if high > low else np.zeros(array.shape)
    gray = np.rint(40 + 215 * part).astype(np.uint8)
    found = np.repeat(gray, 3, axis=2) if array.shape[2] == 1 else gray
    found[~known.all(axis=2)] = UNKNOWN
    return found


def _shrink(picture: Picture, height: int) -> Picture:
    """By means over blocks; the last rows and columns that fill no block are left out."""
    block = -(-picture.shape[0] // height)
    if block <= 1:
        return picture
    rows, columns, width = picture.shape[0] // block, max(picture.shape[1] // block, 1), min(block, picture.shape[1])
    blocks = picture[: rows * block, : columns * width].reshape(rows, block, columns, width, 3)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def png(picture: Picture) -> bytes:
    """The file."""
    height, width = picture.shape[:2]
    flat = picture.reshape(height, -1)
    rows = np.ones((height, 1 + 3 * width), np.uint8)  # filter 1: differences to the pixel on the left, which are small
    rows[:, 1:] = flat
    rows[:, 4:] -= flat[:, :-3]
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", head), (b"IDAT", zlib.compress(rows.tobytes(), 9)), (b"IEND", b""))
    chunks = [
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in parts
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


__all__ = ["Picture", "partly", "png", "thumbnail"]
