"""Normalising on the GPU: one launch of scaling.cu."""

from collections import OrderedDict
from collections.abc import Iterator
from struct import Struct
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function

THREADS = 256
BLOCKS = 1 << 16  # more would only repeat the divisions at the start
KEPT, KEPT_BYTES = 64, 1 << 18  # tables kept on the devices, and their size at most

_MAP = Struct("3Q3q4d2q")
_MAP_TYPE = np.dtype(f"V{_MAP.size}")
_tables: "OrderedDict[tuple[int, bytes], Any]" = OrderedDict()


def _macros(value: np.dtype, out: np.dtype) -> Macros:
    accumulator = dtypes.CUDA_NAME[dtypes.accumulator(out)]
    return (("VALUE_T", dtypes.CUDA_NAME[value]), ("OUT_T", dtypes.CUDA_NAME[out]), ("ACC_T", accumulator))


MACROS = {dtype: _macros(dtype, dtypes.scaled(dtype)) for dtype in dtypes.CUDA_NAME}


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in dict.fromkeys(MACROS.values()):
        yield "scaling", macros


def _on_device(device: int, table: Any) -> Any:
    """The table there; one that comes again is there already, unless it is large."""
    if table.nbytes > KEPT_BYTES:
        return cupy.asarray(table)
    key = device, table.dtype.char.encode() + table.tobytes()
    found = _tables.get(key)
    if found is None:
        found = _tables[key] = cupy.asarray(table)
        cupy.cuda.get_current_stream().synchronize()  # other streams may use it next
        while len(_tables) > KEPT:
            _tables.popitem(last=False)
    return found


def apply(values: Any, out: Any, table: Any, inner: int, terms: tuple[float, ...], clip: Any, back: bool) -> None:
    """See robocache.ops.scaling.normalize."""
    _launch.begin()
    device = _launch.device_id(values)
    rows = _on_device(device, table)
    _launch.hold(rows, values)
    low, high = clip or (0.0, 0.0)
    packed = _MAP.pack(
        values.data.ptr, out.data.ptr, rows.data.ptr, values.size, len(table) * inner, inner, *terms, low, high, back,
        clip is not None,
    )  # fmt: skip
    width = 16 // out.itemsize
    aligned = values.data.ptr % (width * values.itemsize) == 0 and out.data.ptr % 16 == 0
    name, each = ("scaling_apply", width) if aligned else ("scaling_apply_unaligned", 1)
    kernel = function(device, "scaling", name, MACROS[values.dtype])
    grid = min(BLOCKS, _launch.blocks(-(-values.size // each), THREADS))
    kernel((grid,), (THREADS,), (np.frombuffer(bytearray(packed), _MAP_TYPE),))
