"""Largest and least features straight into dense grids: scratch memory and the one launch of ``extremes.cu``."""

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from threading import get_ident
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function
from ._points import CLOUD, EXTENT, GRID_THREADS, MACROS, Source, resident
from .group import KEPT, KEPT_BYTES

KINDS = ("max", "min")
ACCESS = 16  # bytes of the widest access: of extremes.cuh
TURN = 256  # bytes between the two words of a launch and those of the next, in front of the scratch memory

# struct Work of extremes.cu
_CALL = Struct("10Q")
_SETTINGS = Struct("4q6qQ")
_WORK_SIZE = _CALL.size + CLOUD.size + _SETTINGS.size
_CODES: dict[int, Macros] = {
    4: (("CODE_T", "u32"), ("WHOLE_T", "i32")),
    8: (("CODE_T", "u64"), ("WHOLE_T", "i64")),
}


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in MACROS.values():
        for codes in _CODES.values():
            yield "extremes", macros + codes


def fits(kinds: Iterable[str], features: Any, cells: int) -> bool:
    """Whether these reductions of [rows, points, channels] to so many cells, channels last, can be done here."""
    known = features.dtype.itemsize in _CODES and all(kind in KINDS for kind in kinds)
    return known and features.shape[2] > 0 and 0 < cells < 1 << 31


class Scratch:
    """Two turns, a bit a cell, all zero between launches, and a word a point."""

    __slots__ = ("_array", "_turn", "bits", "claimed", "places", "points")

    def __init__(self, bits: int, points: int) -> None:
        self.bits, self.points, self._turn = bits, points, 0
        self._array = cupy.ndarray((2 * TURN + bits + points,), np.uint8)
        self._array.data.memset_async(0, 2 * TURN + bits)
        self.claimed = self._array.data.ptr + 2 * TURN
        self.places = self.claimed + bits

    def turns(self) -> tuple[int, int]:
        """Addresses of the turn of this launch and of that of the next."""
        start = self.claimed - 2 * TURN
        return start + self._turn, start + TURN - self._turn

    def turn(self) -> None:
        """A launch with these turns is under way."""
        self._turn = TURN - self._turn


_kept: dict[tuple[int, int, int], Scratch] = {}


class Extremes:
    """Everything about dense grids of extremes of calls of one layout, but for addresses."""

    def __init__(
        self, source: Source, layout: Sequence[int], features: Any, rows: Any, grid: Any, wanted: dict[str, Any],
        fill: tuple[float, int],
    ) -> None:  # fmt: skip
        dtype, channels = features.dtype, features.shape[2]
        every = rows.clouds * grid.shape[0] * grid.shape[1] * grid.shape[2]
        kinds = list(wanted)
        self._device, self._outs = source.device, [kinds.index(kind) if kind in wanted else None for kind in KINDS]
        self._bits, self._points = -(-every // 2048) * 256, -(-rows.total // 64) * 256
        places = [features.data.ptr, *(out.data.ptr for out in wanted.values())]
        places += [step * dtype.itemsize for step in (channels, layout[1], layout[2])]
        whole = all(place % ACCESS == 0 for place in places)
        order = 2 if dtype in dtypes.FLOATING else int(dtype.kind == "i")
        self._has_extent = source.extent is not None
        units = channels * dtype.itemsize // ACCESS if whole else channels
        walk = (units, *divmod(32, units), _bits(fill, dtype))
        self._settings = source.packed + _SETTINGS.pack(*layout, channels, every, order, whole, *walk)
        most = max(rows.total, every * channels * dtype.itemsize // ACCESS // 8)  # threads with something to do
        shape = (min(resident(source.device), _launch.blocks(most, GRID_THREADS)),), (GRID_THREADS,)
        kernel = function(source.device, "extremes", "extremes", source.macros + _CODES[dtype.itemsize])
        self._shot = _launch.Shot(source.device, kernel, shape, bytes(_WORK_SIZE), together=True)

    def _memory(self) -> Scratch:
        """Scratch memory of one call. Small ones are kept for the next call of the same thread on the same stream."""
        stream = cupy.cuda.get_current_stream()
        if stream.is_capturing():
            scratch = Scratch(self._bits, self._points)
            _launch.keep(scratch)
            return scratch
        key = (self._device, stream.ptr, get_ident())
        kept = _kept.get(key)
        if kept is not None and kept.bits >= self._bits and kept.points >= self._points:
            return kept
        if self._bits + self._points > KEPT_BYTES:
            return Scratch(self._bits, self._points)
        if len(_kept) >= KEPT:
            _kept.clear()
        bits, points = self._bits, self._points
        if kept is not None and max(bits, kept.bits) + max(points, kept.points) <= KEPT_BYTES:
            bits, points = max(bits, kept.bits), max(points, kept.points)  # serves both layouts from now on
        kept = _kept[key] = Scratch(bits, points)
        return kept

    def run(self, source: Sequence[int], features: int, outs: Sequence[Any], dropped: int, status: int) -> None:
        """Fill the grids ``outs``; the rest are addresses."""
        scratch = self._memory()
        targets = [0 if k is None else outs[k].data.ptr for k in self._outs]
        settings = self._settings
        if self._has_extent:
            settings = settings[:EXTENT] + source[1].to_bytes(8, "little") + settings[EXTENT + 8 :]
        packed = _CALL.pack(
            source[0], features, *targets, dropped, status, *scratch.turns(), scratch.claimed, scratch.places
        )
        taken = self._shot.take()
        taken[0].raw = packed + settings
        self._shot.fire(taken)
        scratch.turn()

    def again(self, points: Any, features: Any, out: Any) -> None:
        """The same for another call of one reduction."""
        status, start = _launch.begin(), points.data.ptr
        self.run((start, 0), start if features is None else features.data.ptr, (out,), 0, status)


def _bits(fill: tuple[float, int], dtype: np.dtype) -> int:
    """What empty cells hold, as bits."""
    if dtype not in dtypes.FLOATING:
        return fill[1] & ((1 << 8 * dtype.itemsize) - 1)
    with np.errstate(over="ignore"):
        value = np.asarray(np.nan if fill[0] != fill[0] else fill[0]).astype(dtype)
    return int.from_bytes(value.tobytes(), "little")
