"""Rows by index on the GPU."""

import struct
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function
from ._work import address

TILE = 32768  # bytes a block writes; gather.cu counts on them
ROWS = 1024  # rows that begin in a tile, at most
BLOCKS = 528  # to fill the card: 4 on each of 132
WIDEST, THREADS, PLACE = 16, 256, 8  # bytes of an access; threads of a block; bytes of a row's place
_GATHER = struct.Struct("6Q7q")


def variants() -> Iterator[tuple[str, Macros]]:
    """Everything that can be compiled here."""
    yield "gather", ()


def gather(values: Any, index: Any, valid: Any, fill: Any, out: Any, check: str) -> None:
    """See robocache.ops.gather.gather_windows."""
    count, row, size = index.size, out.shape[1] * out.dtype.itemsize, out.dtype.itemsize
    if not count * row:
        return
    step = values.strides[0]
    unit = _power(row | step | values.data.ptr)
    store = _power(out.data.ptr)
    if store < WIDEST:
        unit = store = min(unit, store)
    tile, total = min(TILE, ROWS * row // WIDEST * WIDEST), count * row
    while tile > 2048 and total // tile < BLOCKS:
        tile = tile // 2 // WIDEST * WIDEST
    filler = np.asarray(fill, out.dtype).tobytes() * (8 // size)
    work = _GATHER.pack(
        _launch.begin(), values.data.ptr, index.data.ptr, address(valid), out.data.ptr,
        int.from_bytes(filler, "little"), values.shape[0], step, row, count, tile, index.dtype == dtypes.int64,
        -(-(1 << 31) // row) if row < tile else 0,
    )  # fmt: skip
    _launch.hold(values, index, valid, out)
    kernel = function(_launch.device_id(out), "gather", f"gather_{unit}_{store}")
    threads = min(THREADS, max(32, tile // store))
    room = (tile // row + 2) * PLACE
    kernel((_launch.blocks(total, tile),), (threads,), (_launch.argument(work),), shared_mem=room)
    if check == "strict":
        _launch.finish()  # synchronizes


def _power(number: int) -> int:
    """The largest power of two that divides a number, an access at most."""
    return min(number & -number, WIDEST) or WIDEST
