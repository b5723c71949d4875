"""Rows of features to one row a voxel: what ``reduce.cuh`` needs of a call, and the launches of ``reduce.cu``."""

from collections.abc import Iterator, Sequence
from math import copysign
from struct import Struct
from typing import Any

import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function
from ._points import CHUNK, GRID_THREADS, clear, resident

KINDS = ("mean", "sum", "max", "min")
HEAVY = 32  # bytes of struct Heavy of reduce.cuh

# struct ReduceWork
_CALL = Struct("7Q")
_SHARED = Struct("7q5Q")
SIZE = _CALL.size + _SHARED.size
_WORK_TYPE = np.dtype(f"V{SIZE}")


def _macros(dtype: np.dtype) -> Macros:
    name, code = dtypes.CUDA_NAME[dtype], ("CODE_T", "u64" if dtype.itemsize == 8 else "u32")
    if dtype in dtypes.FLOATING:
        return (("FEATURE_T", name), code, ("SUM_T", name), ("MEAN_T", name), ("FLOATING", "1"))
    return (("FEATURE_T", name), code, ("SUM_T", "i64"), ("MEAN_T", "double"), ("FLOATING", "0"))


MACROS = {dtype: _macros(dtype) for dtype in dtypes.CUDA_NAME}


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in dict.fromkeys(MACROS.values()):
        yield "reduce", macros


def room(total: int, channels: int) -> int:
    """Bytes of scratch memory for voxels of very many points."""
    return 2 * (total // CHUNK) * channels * HEAVY


class Reduce:
    """Everything about reducing features of one layout, as ``flat`` gives it, but for addresses."""

    def __init__(self, layout: Sequence[int], features: Any, kinds: Sequence[str], cells: int, device: int) -> None:
        total, channels = features.shape[0] * features.shape[1], features.shape[2]
        self.dtype, self.channels = features.dtype, channels
        self._layout = (*layout, total, channels, cells)
        self._device = device
        self._blocks = (min(resident(device), _launch.blocks(total * channels, GRID_THREADS)),)
        self._kinds = [kinds.index(kind) if kind in kinds else None for kind in KINDS]
        self.out_at = 8 * (3 + KINDS.index(kinds[0])) if kinds else 0  # where the address of the first result is packed

    def sums_of(self, dtype: np.dtype) -> bool:
        """Whether only sums and means are wanted, of features of this type: group.cu can do that itself."""
        return self.dtype == dtype and self.channels > 0 and self._kinds[2:] == [None, None]

    def shared(self, limit: int, scratch: Sequence[int]) -> bytes:
        """What calls share: ``scratch`` are addresses of starts, order, shared, chunks and heavy."""
        return _SHARED.pack(*self._layout, limit, *scratch)

    def call(self, features: int, plan: int, where: int, outs: Sequence[int]) -> bytes:
        """Addresses of one call."""
        return _CALL.pack(features, plan, where, *[0 if k is None else outs[k] for k in self._kinds])

    def fire(self, packed: bytes) -> None:
        """A launch of its own."""
        kernel = function(self._device, "reduce", "reduce", MACROS[self.dtype])
        work = np.frombuffer(packed, _WORK_TYPE)
        kernel(self._blocks, (GRID_THREADS,), (work,), enable_cooperative_groups=True)


class Prefill:
    """Puts what a dense grid says of empty cells everywhere."""

    def __init__(self, device: int, dtype: np.dtype, kinds: Sequence[str], fill: tuple[float, int]) -> None:
        self._zero = fill[1] == 0 and fill[0] == 0 and copysign(1.0, fill[0]) > 0
        self._device, self._macros, self._fill = device, MACROS[dtype], fill
        self._kinds = [kinds.index(kind) if kind in kinds else None for kind in KINDS]

    def __call__(self, outs: Sequence[Any]) -> None:
        """Fill the results, in the order of the kinds."""
        if self._zero:
            for out in outs:
                clear(out)
        elif outs[0].size:
            kernel = function(self._device, "reduce", "reduce_fill", self._macros)
            blocks = min(8 * resident(self._device), _launch.blocks(outs[0].size, GRID_THREADS))
            chosen = (None if k is None else outs[k] for k in self._kinds)
            kernel((blocks,), (GRID_THREADS,), (*chosen, outs[0].size, *self._fill))
