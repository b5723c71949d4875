"""Occupancy and counts of points: the launches of ``voxel.cu``."""

from struct import Struct
from typing import Any

from .._core import dtypes
from . import _launch
from ._module import function
from ._points import CLOUD, THREADS, Source, clear, resident
from ._scratch import scratch

SLOTS, SPARE = 4096, 32  # of dense.cuh; those beside are for occupancy
SHARES = 64, 4 * THREADS  # groups of points of a block: least and most
EACH = {4: 4, 8: 3}  # blocks of a multiprocessor, by bytes of what is computed with: DENSE_BLOCKS of dense.cuh
_GRIDS = Struct("5Q")  # addresses of points, occupancy, counts, dropped, and the word by which blocks wait


class Scan:
    """Everything about dense grids of calls of one layout, but for addresses.

    Few points and a small grid need one launch, which clears it: a clear of its own takes the host as long as a launch.
    With more blocks than multiprocessors, waiting for one another would take the GPU longer than clearing first.
    """

    def __init__(self, source: Source, rows: Any, grid: Any, counts: bool, bits: bool) -> None:
        self._source, self._together, frame = source, False, source.frame(rows, grid)
        self._shot: _launch.Shot | None = None
        if frame is None:
            self._kernel = function(source.device, "voxel", "voxel_dense" + "_bits" * bits, source.macros)
            return
        size, item = dtypes.accumulator(source.points.dtype).itemsize, source.points.itemsize
        groups = rows.total // (16 // item)
        even = -(-groups // (EACH[size] * resident(source.device) // 2))  # all blocks at once
        share = min(max(-(-even // 8) * 8, SHARES[0]), SHARES[1])  # 8 groups are whole cache lines
        room = 8 * SLOTS if counts else 4 * (SLOTS + SPARE)
        every = rows.clouds * grid.shape[0] * grid.shape[1] * grid.shape[2] * (4 if counts else 1)
        blocks, clearing = _launch.blocks(groups, share), _launch.blocks(every, 16 * 8 * THREADS)
        self._together = max(blocks, clearing) <= resident(source.device) // 2 and not bits
        if self._together:
            blocks = max(blocks, clearing)
        name = "voxel_scan" + "_clear" * self._together + "_bits" * bits
        kernel = function(source.device, "voxel", name, source.macros)
        packed = bytes(_GRIDS.size) + source.packed + frame[0].pack(*frame[1], share)
        places = (0, 8, 16, 24, 32, _GRIDS.size, _GRIDS.size + CLOUD.size)
        shape = ((blocks,), (THREADS,))
        self._shot = _launch.Shot(source.device, kernel, shape, packed, places, room, self._together)

    def run(self, points: Any, occupied: Any, counts: Any, dropped: Any, status: int) -> None:
        """Fill the grids; ``dropped`` is added to."""
        if not self._together:
            for grid in (occupied, counts):
                if grid is not None:
                    clear(grid)
        if self._shot is None:
            source = self._source
            arguments = (points, source.cloud, occupied, counts, dropped, status)
            self._kernel((source.blocks,), (THREADS,), arguments)
            return
        taken = self._shot.take()
        _GRIDS.pack_into(
            taken[0], 0, points.data.ptr,
            0 if occupied is None else occupied.data.ptr,
            0 if counts is None else counts.data.ptr,
            0 if dropped is None else dropped.data.ptr,
            scratch("scan", self._source.device, 0, 0).state if self._together else 0,
        )  # fmt: skip
        self._shot.fire(taken)
