"""Largest and least features straight into dense grids: scratch memory and the one launch of ``extremes.cu``."""

from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from typing import Any

from .._core import dtypes
from . import _launch
from ._module import Macros, function
from ._points import CLOUD, EXTENT, GRID_THREADS, MACROS, Source, resident
from ._scratch import scratch
from .reduce import fill_bits

KINDS = ("max", "min")
ACCESS = 16  # bytes of the widest access: of extremes.cuh

# struct Work of extremes.cu
_CALL = Struct("9Q")
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
        walk = (units, *divmod(32, units), fill_bits(fill, dtype))
        self._settings = source.packed + _SETTINGS.pack(*layout, channels, every, order, whole, *walk)
        most = max(rows.total, every * channels * dtype.itemsize // ACCESS // 8)  # threads with something to do
        shape = (min(resident(source.device), _launch.blocks(most, GRID_THREADS)),), (GRID_THREADS,)
        kernel = function(source.device, "extremes", "extremes", source.macros + _CODES[dtype.itemsize])
        self._shot = _launch.Shot(source.device, kernel, shape, bytes(_WORK_SIZE), together=True)

    def run(self, source: Sequence[int], features: int, outs: Sequence[Any], dropped: int, status: int) -> None:
        """Fill the grids ``outs``; the rest are addresses."""
        memory = scratch("extremes", self._device, self._bits, self._points)
        targets = [0 if k is None else outs[k].data.ptr for k in self._outs]
        settings = self._settings
        if self._has_extent:
            settings = settings[:EXTENT] + source[1].to_bytes(8, "little") + settings[EXTENT + 8 :]
        places = memory.base + memory.zeroed
        packed = _CALL.pack(source[0], features, *targets, dropped, status, memory.state, memory.base, places)
        taken = self._shot.take()
        taken[0].raw = packed + settings
        self._shot.fire(taken)

    def again(self, points: Any, features: Any, out: Any) -> None:
        """The same for another call of one reduction."""
        status, start = _launch.begin(), points.data.ptr
        self.run((start, 0), start if features is None else features.data.ptr, (out,), 0, status)
