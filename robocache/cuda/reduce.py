"""Rows of features to one row a voxel: what ``reduce.cuh`` needs of a call, and the launches of ``reduce.cu``."""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Any

import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function
from ._points import CHUNK, GRID_THREADS, clear, flat, resident

KINDS = ("mean", "sum", "max", "min")
HEAVY = 32  # bytes of struct Heavy of reduce.cuh

# struct ReduceWork
CALL = Struct("5Q")
_SHARED = Struct("7q7Q")
SIZE = CALL.size + _SHARED.size
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

    def sums_of(self, dtype: np.dtype) -> bool:
        """Whether only sums and means are wanted, of features of this type: group.cu can do that itself."""
        return self.dtype == dtype and self.channels > 0 and self._kinds[2:] == [None, None]

    def shared(self, limit: int, scratch: Sequence[int]) -> bytes:
        """What calls share: ``scratch`` are addresses of starts, order, shared, chunks, heavy, plan and where."""
        return _SHARED.pack(*self._layout, limit, *scratch)

    def targets(self, outs: Sequence[int]) -> list[int]:
        """Addresses of the results as struct ReduceCall has them."""
        return [0 if k is None else outs[k] for k in self._kinds]

    def fire(self, packed: bytes) -> None:
        """A launch of its own."""
        kernel = function(self._device, "reduce", "reduce", MACROS[self.dtype])
        work = np.frombuffer(packed, _WORK_TYPE)
        kernel(self._blocks, (GRID_THREADS,), (work,), enable_cooperative_groups=True)


def none(points: Any, device: int) -> Reduce:
    """No reduction at all, for what only groups points."""
    nothing = points[..., :0]
    return Reduce(flat(nothing)[1:], nothing, (), 0, device)


def fill_bits(fill: tuple[float, int], dtype: np.dtype) -> int:
    """Bits of an element that says ``fill``; floats of 16 bits by way of float32."""
    if dtype not in dtypes.FLOATING:
        return fill[1] & ((1 << 8 * dtype.itemsize) - 1)
    with np.errstate(over="ignore"):
        value = np.asarray(np.nan if fill[0] != fill[0] else fill[0]).astype(dtypes.accumulator(dtype)).astype(dtype)
    return int.from_bytes(value.tobytes(), "little")


def repeated(bits: int, size: int) -> int:
    """8 bytes of elements of so many bytes."""
    return int.from_bytes((bits.to_bytes(size, "little") * 8)[:8], "little")


def blank(out: Any, pattern: int) -> None:
    """Put an element's bits everywhere in a grid."""
    words = out.view(np.dtype(f"u{out.itemsize}"))
    if pattern == 0:
        clear(words)
    else:
        words.fill(pattern)
