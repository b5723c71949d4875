"""What is kept of many items: the host's side of compact.cuh."""

from collections.abc import Callable
from struct import Struct
from typing import Any

import numpy as np

from . import _launch
from ._points import clear
from ._scratch import scratch

KEEPERS = 256  # of compact.cuh
ITEMS = {4: 8, 8: 4}  # of a thread, by bytes of what is computed with
_COMPACT = Struct("7Q5q")
_CARRIED = Struct("2Q2q")
_WIDEST = 8  # bytes that a row of features is copied by


class Kept:
    """Room for one call: how many items are kept, where each cloud begins, and then the rows of the result."""

    def __init__(
        self, device: int, items: int, dtype: np.dtype, per_cloud: int, clouds: int, empty: Callable[..., Any]
    ) -> None:
        self._empty, self._items, self._clouds = empty, items, (per_cloud, clouds)
        self.blocks = _launch.blocks(items, KEEPERS * ITEMS[dtype.itemsize])
        self._scratch = scratch("compact", device, 8 * self.blocks, 0)
        whole = np.dtype(np.int64)
        self.offsets, self.kept, self.found = empty((clouds + 1,), whole), empty((), whole), empty((), whole)
        if not items:
            clear(self.offsets)

    def rows(self, limit: int | None, count: Callable[[Any], None]) -> int:
        """Rows of the result; where there is no limit, ``count`` launches the kernel to count only."""
        if limit is not None:
            return limit
        count(self.job(0, None, 0))
        return int(self.found.get())  # synchronizes

    def array(self, shape: tuple[int, ...], dtype: Any, limit: int | None, byte: int = 0) -> Any:
        """An array of the result; with a limit, every byte of it set, for the rows that stay free."""
        array = self._empty(shape, np.dtype(dtype))
        if limit is not None and array.nbytes:
            array.data.memset_async(byte, array.nbytes)
        return array

    def job(self, status: int, index: Any, rows: int) -> Any:
        """Struct Compact."""
        room, numbers = self._scratch, 0 if index is None else index.data.ptr
        packed = _COMPACT.pack(
            status, room.state, room.base, self.offsets.data.ptr, self.kept.data.ptr, self.found.data.ptr, numbers,
            self.blocks, rows, self._items, *self._clouds,
        )  # fmt: skip
        return _launch.argument(packed)

    def sizes(self) -> dict[str, Any]:
        """The arrays that say how many there are."""
        return {"offsets": self.offsets, "kept": self.kept, "found": self.found}


def carried(features: Any, out: Any) -> Any:
    """Struct Carried: rows [N, F] and where they go; None: none."""
    if features is None or out is None or not features.nbytes or not out.nbytes:
        return _launch.argument(_CARRIED.pack(0, 0, 0, 1))
    row = features.shape[1] * features.dtype.itemsize
    bits = row | features.data.ptr | out.data.ptr
    return _launch.argument(_CARRIED.pack(features.data.ptr, out.data.ptr, row, min(bits & -bits, _WIDEST)))
