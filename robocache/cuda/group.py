"""Points to voxels: scratch memory and the one launch of ``group.cu``."""

import math
from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any

import numpy as np

from .._core.errors import DataError
from . import _launch, reduce
from ._module import Macros, function
from ._points import ALONE, CHUNK, CLOUD, EXTENT, GRID_THREADS, MACROS, Source, cached, resident
from ._scratch import KEPT, Scratch, scratch

KEY_OVERFLOW = 5  # of common.cuh
PLAN = np.dtype([("arrived", np.uint32), ("found", np.uint32), ("overflow", np.uint32), ("more", np.uint32, 17)])
FIND, FILL, REDUCE = 1, 2, 4  # stages

MOST = 8  # cells a point that are counted one by one: of group.cuh

LEAST_ENTRIES = 1 << 16  # root of the trie even for few points: 2**21 cells, half a MiB
LEAST_BLOCKS = 32  # to walk that root

# struct Work of group.cu
_CALL = Struct("9Q")
_PLAN = _ADDRESS = Struct("Q")
_SETTINGS = Struct("5q10Q")
_CLOUD_AT = _CALL.size + _PLAN.size
_FEATURES_AT = _CLOUD_AT + CLOUD.size + _SETTINGS.size
_BLANKS = Struct("4q4Q")
_NO_BLANKS = ((0, 0),) * 4
_NO_ROWS = _NO_FEATURES = (0,) * 5


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for dtype, macros in MACROS.items():
        yield "group", macros + reduce.MACROS[dtype]


class Group:
    """Everything about voxels of calls of one layout, but for addresses.

    ``at`` says where in the scratch memory, of ``size`` bytes, each array lies; ``more`` asks for room beyond what
    grouping needs, in bytes. ``blanks``: bytes of dense grids of each reduction there is, and what empty cells hold.
    """

    def __init__(
        self, source: Source, rows: Any, grid: Any, order: str, reducer: reduce.Reduce,
        more: dict[str, int], blanks: Sequence[tuple[int, int]] | None = None,
    ) -> None:  # fmt: skip
        total = rows.total
        self._device = source.device
        cells = rows.clouds * math.prod(grid.shape or (0,))
        self._reduce, self._entries = reducer, max(4 * total, cells if cells <= MOST * total else 0, LEAST_ENTRIES)
        self._fill = FILL | (REDUCE if reducer.sums_of(source.points.dtype) else 0)
        self._ready: dict[tuple[int, int, int, int], _launch.Shot] = {}
        sizes, patterns = zip(*(blanks or _NO_BLANKS), strict=True)
        self._dense, self._blanks = blanks is not None, _BLANKS.pack(*sizes, *patterns)
        work = max(total, max(sizes) // (16 * 8))  # threads with something to do
        blocks = (min(resident(source.device), max(_launch.blocks(work, GRID_THREADS), LEAST_BLOCKS)),)
        self._shape = blocks, (GRID_THREADS,)
        macros = source.macros + reduce.MACROS[source.points.dtype]
        self._kernel = function(source.device, "group", "group", macros)
        self._cloud, self._has_extent = source.packed, source.extent is not None
        chunks = 2 * (total // CHUNK)
        first = order == "first"
        arrays = {
            "partials": 8 * blocks[0], "rows": 4 * total, "table": 8 * self._entries,
            "starts": 4 * (total + 1), "keys": 8 * total, "order": 4 * total, "shared": 4 * (total // (ALONE + 1)),
            "chunks": 8 * chunks, "heavy": chunks * reducer.channels * reduce.HEAVY, "firsts": 4 * total * first,
            "firsts_table": 8 * (total + 31) // 32 * first,
        }  # fmt: skip
        self.at: dict[str, int] = {}
        self.size = 0
        for name, nbytes in (arrays | more).items():
            self.at[name] = self.size
            self.size += -(-nbytes // 256) * 256
        names = ("rows", "table", "partials", "starts", "keys", "order", "shared", "chunks")
        self._scratch = [self.at[name] for name in names]
        self._firsts = (self.at["firsts"], self.at["firsts_table"]) if first else None
        self._places = [self.at[name] for name in ("starts", "order", "shared", "chunks", "heavy")]

    def memory(self) -> Scratch:
        """Scratch memory of one call."""
        return scratch("group", self._device, 0, self.size)

    def find(self, memory: Scratch, source: Sequence[int], fixed: Sequence[int], status: int) -> int:
        """The number of voxels: the one place where ``voxelize`` waits for the GPU. # synchronizes"""
        self._fire(self._shot(memory, 0, FIND), source, status, fixed, _NO_ROWS)
        known = memory.look(PLAN)
        if known["overflow"]:
            raise DataError(_launch.MESSAGES[KEY_OVERFLOW])
        return int(known["found"])

    def fill(
        self, memory: Scratch, source: Sequence[int], fixed: Sequence[int], rest: Sequence[int], limit: int,
        found: bool, status: int, features: int, outs: Sequence[int],
    ) -> None:  # fmt: skip
        """Find the voxels if they are not ``found`` yet, and write all results.

        Addresses, zero where there is none: ``source`` of points and extents, ``fixed`` of inverse and dropped,
        ``rest`` of coords, counts, offsets, kept and found, ``outs`` of reduced features.
        """
        shot = self._shot(memory, limit, self._fill if found else self._fill | FIND)
        reduced = (features, *self._reduce.targets(outs))
        self._fire(shot, source, status, fixed, rest, reduced)
        if not self._fill & REDUCE and self._reduce.channels:
            self._reduce.fire(reduce.CALL.pack(*reduced) + self._reduced(memory, limit))

    def _fire(
        self, shot: _launch.Shot, source: Sequence[int], status: int, fixed: Sequence[int], rest: Sequence[int],
        reduced: Sequence[int] = _NO_FEATURES,
    ) -> None:  # fmt: skip
        taken = shot.take()
        _CALL.pack_into(taken[0], 0, source[0], status, *fixed, *rest)
        reduce.CALL.pack_into(taken[0], _FEATURES_AT, *reduced)
        if self._has_extent:
            _ADDRESS.pack_into(taken[0], _CLOUD_AT + EXTENT, source[1])
        shot.fire(taken)

    def _shot(self, memory: Scratch, limit: int, stages: int) -> _launch.Shot:
        """The launch with this memory, with everything packed that calls share."""
        key = (memory.base, memory.state, limit, stages)
        shot = self._ready.get(key)
        if shot is None:
            base = memory.base
            firsts = (0, 0) if self._firsts is None else [base + at for at in self._firsts]
            deferred = stages & FIND and stages != FIND
            sizes = (self._entries, limit, stages, deferred, cached(self._device))
            settings = (*sizes, *[base + at for at in self._scratch], *firsts)
            packed = bytes(_CALL.size) + _PLAN.pack(memory.state) + self._cloud + _SETTINGS.pack(*settings)
            packed += bytes(reduce.CALL.size) + self._reduced(memory, limit) + self._blanks
            if len(self._ready) >= KEPT:
                self._ready.clear()
            shot = _launch.Shot(self._device, self._kernel, self._shape, packed, together=True)
            self._ready[key] = shot
        return shot

    def _reduced(self, memory: Scratch, limit: int) -> bytes:
        places = [memory.base + at for at in self._places]
        where = memory.base + self.at["keys"] if self._dense else 0
        return self._reduce.shared(limit, [*places, memory.state, where])
