"""Points of a call as kernels take them: layouts packed by value, whole-card launches."""

import math
from functools import cache
from struct import Struct
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros

THREADS = 256
BLOCKS = 2048  # fills the largest GPU; with more points each thread takes several and dropped ones are summed up first

# of grid.cuh and table.cuh
GRID_THREADS = 448
ALONE, CHUNK = 16, 512

POINTS = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64)


def _macros(dtype: np.dtype) -> Macros:
    accumulator = dtypes.CUDA_NAME[dtypes.accumulator(dtype)]
    return (("POINT_T", dtypes.CUDA_NAME[dtype]), ("ACC_T", accumulator))


MACROS = {dtype: _macros(dtype) for dtype in POINTS}


CLOUD = Struct("8qQ6d4q")  # struct Cloud of cells.cuh
EXTENT = 64  # where the address of the extents lies in it
_CLOUD_TYPE = np.dtype(f"V{CLOUD.size}")

# struct Frame of dense.cuh, and the sizes of cells whose reciprocals are ordinary numbers
_FRAMES = {np.dtype(np.float32): (Struct("9f8I"), 1e-30, 1e30), np.dtype(np.float64): (Struct("9d8I"), 1e-300, 1e300)}
MOST_CELLS, LONGEST = 1 << 31, 1 << 21  # in all, and on an axis, that struct Frame can number


@cache
def resident(device: int) -> int:
    """Blocks of a cooperative launch that the card holds at once: two of grid.cuh on each multiprocessor."""
    return 2 * int(cupy.cuda.Device(device).attributes["MultiProcessorCount"])


@cache
def cached(device: int) -> int:
    """Bytes that the L2 cache of the card holds."""
    return int(cupy.cuda.Device(device).attributes["L2CacheSize"])


def flat(array: Any) -> tuple[Any, int, int, int]:
    """Array [outer, inner, C] with contiguous rows, and the points an address row holds, its stride and the point's."""
    size = array.itemsize
    outer, inner, channels = array.strides
    if (array.shape[2] > 1 and channels != size) or outer % size or inner % size:
        array = copied(array)
        outer, inner, channels = array.strides
    if array.shape[0] == 1 or outer == array.shape[1] * inner:
        return array, array.shape[0] * array.shape[1], 0, inner // size
    return array, array.shape[1], outer // size, inner // size


def copied(array: Any) -> Any:
    """A contiguous copy, which a graph that is being captured keeps."""
    bits = array.view(np.uint16) if array.dtype == dtypes.bfloat16 else array  # of bfloat16 only the bits move
    copy = cupy.ascontiguousarray(bits)
    _launch.hold(copy)
    return copy.view(array.dtype)


class Source:
    """Points of one call as the kernels want them."""

    def __init__(self, points: Any, rows: Any, grid: Any) -> None:
        self.points, inner, outer_stride, inner_stride = flat(points)
        extent = rows.extent
        if extent is not None and not extent.flags.c_contiguous:
            extent = copied(extent)
        self.extent = extent  # the struct holds its bare address
        address = 0 if extent is None else extent.data.ptr
        wide = int(extent is not None and extent.dtype == dtypes.int64)
        per_cloud = points.shape[1]
        self.contiguous = (inner, inner_stride) == (rows.total, 3)
        self.packed = CLOUD.pack(
            inner, outer_stride, inner_stride, rows.total, rows.clouds, per_cloud, rows.mode, wide, address,
            *grid.origin, *grid.size, *(grid.shape or (0, 0, 0)), grid.clamp,
        )  # fmt: skip
        self.cloud = np.frombuffer(self.packed, _CLOUD_TYPE)
        self.device = _launch.device_id(self.points)
        self.blocks = min(_launch.blocks(rows.total, THREADS), BLOCKS)
        self.macros = MACROS[points.dtype]

    def frame(self, rows: Any, grid: Any) -> tuple[Struct, list[Any]] | None:
        """All of struct Frame but its last word; None where points or cells are not as it needs them."""
        dtype = dtypes.accumulator(self.points.dtype)
        frame, least, most = _FRAMES[dtype]
        cells, together = rows.clouds * math.prod(grid.shape), 16 // self.points.itemsize
        if rows.mode or not self.contiguous or cells >= MOST_CELLS or max(grid.shape) >= LONGEST:
            return None
        if min(grid.size) < least or max(grid.size) > most or rows.total < together * rows.clouds:
            return None
        inverse = [1 / dtype.type(size) for size in grid.size]
        safe = [0.5 - (4 * cells + 2) * np.finfo(dtype).eps / 2 for cells in grid.shape]
        head = min(5 * (self.points.data.ptr % 16 // self.points.itemsize) % together, rows.total)
        per_cloud = rows.total // rows.clouds
        return frame, [*grid.origin, *inverse, *safe, *grid.shape, rows.total, rows.clouds, per_cloud, head]


def clear(array: Any) -> Any:
    """The array, zeroed on the current stream."""
    if array.nbytes:
        array.data.memset_async(0, array.nbytes)
    return array
