"""Points to voxels: scratch memory and the one launch of ``group.cu``."""

import math
from collections.abc import Iterator, Sequence
from struct import Struct
from threading import get_ident
from typing import Any

import cupy
import numpy as np

from .._core.errors import DataError
from . import _launch, reduce
from ._module import Macros, function
from ._points import ALONE, CHUNK, CLOUD, EXTENT, GRID_THREADS, MACROS, Source, resident

KEY_OVERFLOW = 5  # of common.cuh
PLAN = np.dtype([("arrived", np.uint32, 2), ("found", np.uint32), ("overflow", np.uint32), ("more", np.uint32, 12)])
FIND, FILL, REDUCE = 1, 2, 4  # stages

PLAN_ROOM = 256  # bytes
MOST = 8  # cells a point that are counted one by one: of find.cuh
KEPT, KEPT_BYTES = 64, 4 << 20  # threads and streams whose scratch memory is kept, and the most of each

LEAST_ENTRIES = 1 << 16  # root of the trie even for few points: 2**21 cells, half a MiB
LEAST_BLOCKS = 32  # to walk that root

# struct Work of group.cu
_CALL = Struct("11Q")
_SETTINGS = Struct("4q10Q")
_PLACE = Struct("Q")
_FEATURES_AT = _CALL.size + CLOUD.size + _SETTINGS.size
_WORK_SIZE = _FEATURES_AT + reduce.SIZE
_NO_ROWS = (0,) * 5
_NO_FEATURES = bytes(reduce.SIZE)


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for dtype, macros in MACROS.items():
        yield "group", macros + reduce.MACROS[dtype]


class Scratch:
    """Scratch memory, and two plans in front of it: a launch leaves the one it does not use as zeros for the next."""

    __slots__ = ("_array", "_turn", "base", "size")

    def __init__(self, size: int) -> None:
        self.size, self._turn = size, 0
        self._array = cupy.ndarray((size + 2 * PLAN_ROOM,), np.uint8)
        self._array.data.memset_async(0, 2 * PLAN_ROOM)
        self.base = self._array.data.ptr + 2 * PLAN_ROOM

    def plans(self) -> tuple[int, int]:
        """Addresses of the plan of this call and of that of the next."""
        start = self._array.data.ptr
        return start + self._turn * PLAN_ROOM, start + (1 - self._turn) * PLAN_ROOM

    def turn(self) -> None:
        """A launch with these plans is under way."""
        self._turn = 1 - self._turn

    def found(self, plan: int) -> int:
        """Number of voxels; the one place where ``voxelize`` waits for the GPU. # synchronizes"""
        at = plan - self._array.data.ptr
        known = self._array[at : at + PLAN.itemsize].get().view(PLAN)[0]
        if known["overflow"]:
            raise DataError(_launch.MESSAGES[KEY_OVERFLOW])
        return int(known["found"])


_kept: dict[tuple[int, int, int], Scratch] = {}


class Group:
    """Everything about voxels of calls of one layout, but for addresses.

    ``at`` says where in the scratch memory, of ``size`` bytes, each array lies; ``more`` asks for room beyond what
    grouping needs, in bytes.
    """

    def __init__(
        self, source: Source, rows: Any, grid: Any, order: str, reducer: reduce.Reduce, more: dict[str, int]
    ) -> None:
        total = rows.total
        self._device = source.device
        cells = rows.clouds * math.prod(grid.shape or (0,))
        self._reduce, self._entries = reducer, max(4 * total, cells if cells <= MOST * total else 0, LEAST_ENTRIES)
        self._fill = FILL | (REDUCE if reducer.sums_of(source.points.dtype) else 0)
        self.whole = self._fill & REDUCE != 0  # no launch of its own reduces
        self._last: tuple[Any, bytes, bytes] = (None, b"", b"")
        self._ready: dict[tuple[int, int], _launch.Shot] = {}
        blocks = (min(resident(source.device), max(_launch.blocks(total, GRID_THREADS), LEAST_BLOCKS)),)
        self._shape = blocks, (GRID_THREADS,)
        macros = source.macros + reduce.MACROS[source.points.dtype]
        self._kernel = function(source.device, "group", "group", macros)
        self._shot = _launch.Shot(source.device, self._kernel, self._shape, bytes(_WORK_SIZE), together=True)
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
        self._reduced = [self.at[name] for name in ("starts", "order", "shared", "chunks", "heavy")]

    def memory(self) -> "Scratch":
        """Scratch memory of one call. Small ones are kept for the next call of the same thread on the same stream."""
        stream = cupy.cuda.get_current_stream()
        if stream.is_capturing():
            scratch = Scratch(self.size)
            _launch.keep(scratch)
            return scratch
        if self.size > KEPT_BYTES:
            return Scratch(self.size)
        key = (self._device, stream.ptr, get_ident())
        kept = _kept.get(key)
        if kept is None or kept.size < self.size:
            if len(_kept) >= KEPT:
                _kept.clear()
            kept = _kept[key] = Scratch(self.size)
        return kept

    def find(
        self, scratch: Scratch, plans: tuple[int, int], source: Sequence[int], fixed: Sequence[int], status: int
    ) -> None:  # fmt: skip
        """Only find the voxels: see ``fill``."""
        self._launch(source, plans, fixed, _NO_ROWS, status, self._shared(scratch.base, 0, FIND)[0], _NO_FEATURES)
        scratch.turn()

    def fill(
        self, scratch: Scratch, plans: tuple[int, int], source: Sequence[int], fixed: Sequence[int],
        rest: Sequence[int], limit: int, found: bool, status: int, features: int, where: int, outs: Sequence[int],
    ) -> None:  # fmt: skip
        """Find the voxels if they are not ``found`` yet, and write all results.

        Addresses, zero where there is none: ``source`` of points and extents, ``fixed`` of inverse and dropped,
        ``rest`` of coords, counts, offsets, kept and found, ``outs`` of reduced features.
        """
        shared, reduced = self._shared(scratch.base, limit, self._fill if found else self._fill | FIND)
        reduced = self._reduce.call(features, plans[0], where, outs) + reduced
        self._launch(source, plans, fixed, rest, status, shared, reduced)
        if not found:
            scratch.turn()
        if not self._fill & REDUCE and self._reduce.channels:
            self._reduce.fire(reduced)

    def refill(self, inverse: int, source: int, features: int, out: int, total: int, status: int) -> None:
        """``fill`` for a dense grid of one reduction without extents: these addresses change, the rest was packed."""
        scratch = self.memory()
        plans = scratch.plans()
        shot = self._ready.get(plans)
        if shot is None:
            base = scratch.base
            shared, reduced = self._shared(base, total, self._fill | FIND)
            reduced = self._reduce.call(0, plans[0], base + self.at["keys"], (0,)) + reduced
            packed = _CALL.pack(0, *plans, base + inverse, 0, *_NO_ROWS, status) + shared + reduced
            if len(self._ready) >= KEPT:
                self._ready.clear()
            shot = self._ready[plans] = _launch.Shot(self._device, self._kernel, self._shape, packed, together=True)
        taken = shot.take()
        _PLACE.pack_into(taken[0], 0, source)
        _PLACE.pack_into(taken[0], _FEATURES_AT, features)
        _PLACE.pack_into(taken[0], _FEATURES_AT + self._reduce.out_at, out)
        shot.fire(taken)
        scratch.turn()

    def _launch(
        self, source: Sequence[int], plans: tuple[int, int], fixed: Sequence[int], rest: Sequence[int], status: int,
        shared: bytes, reduced: bytes,
    ) -> None:  # fmt: skip
        if self._has_extent:
            shared = shared[:EXTENT] + source[1].to_bytes(8, "little") + shared[EXTENT + 8 :]
        taken = self._shot.take()
        taken[0].raw = _CALL.pack(source[0], *plans, *fixed, *rest, status) + shared + reduced
        self._shot.fire(taken)

    def _shared(self, base: int, limit: int, stages: int) -> tuple[bytes, bytes]:
        key, group, reduced = self._last
        if key != (base, limit, stages):
            places = [base + at for at in self._scratch]
            firsts = (0, 0) if self._firsts is None else (base + self._firsts[0], base + self._firsts[1])
            deferred = stages & FIND and stages != FIND
            settings = _SETTINGS.pack(self._entries, limit, stages, deferred, *places, *firsts)
            group = self._cloud + settings
            reduced = self._reduce.shared(limit, [base + at for at in self._reduced])
            self._last = ((base, limit, stages), group, reduced)
        return group, reduced
