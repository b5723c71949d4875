"""Points of a call as kernels take them: layouts packed by value, launches of ``voxel.cu``, whole-card launches."""

from functools import cache
from struct import Struct
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function

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


@cache
def resident(device: int) -> int:
    """Blocks of a cooperative launch that the card holds at once: two of grid.cuh on each multiprocessor."""
    return 2 * int(cupy.cuda.Device(device).attributes["MultiProcessorCount"])


def flat(array: Any) -> tuple[Any, int, int, int]:
    """Array [outer, inner, C] with contiguous rows, and the points an address row holds, its stride and the point's."""
    size = array.itemsize
    outer, inner, channels = array.strides
    if (array.shape[2] > 1 and channels != size) or outer % size or inner % size:
        array = _copy(array)
        outer, inner, channels = array.strides
    if array.shape[0] == 1 or outer == array.shape[1] * inner:
        return array, array.shape[0] * array.shape[1], 0, inner // size
    return array, array.shape[1], outer // size, inner // size


def _copy(array: Any) -> Any:
    bits = array.view(np.uint16) if array.dtype == dtypes.bfloat16 else array  # of bfloat16 only the bits move
    copy = cupy.ascontiguousarray(bits)
    _launch.hold(copy)
    return copy.view(array.dtype)


class Source:
    """Points of one call as the kernels want them; ``launch`` runs a kernel of voxel.cu with them in front."""

    def __init__(self, points: Any, rows: Any, grid: Any) -> None:
        self.points, inner, outer_stride, inner_stride = flat(points)
        extent = rows.extent
        if extent is not None and not extent.flags.c_contiguous:
            extent = _copy(extent)
        self.extent = extent  # the struct holds its bare address
        address = 0 if extent is None else extent.data.ptr
        wide = int(extent is not None and extent.dtype == dtypes.int64)
        per_cloud = points.shape[1]
        self.packed = CLOUD.pack(
            inner, outer_stride, inner_stride, rows.total, rows.clouds, per_cloud, rows.mode, wide, address,
            *grid.origin, *grid.size, *(grid.shape or (0, 0, 0)), grid.clamp,
        )  # fmt: skip
        self.cloud = np.frombuffer(self.packed, _CLOUD_TYPE)
        self.device = _launch.device_id(self.points)
        self.blocks = min(_launch.blocks(rows.total, THREADS), BLOCKS)
        self.macros = MACROS[points.dtype]

    def launch(self, name: str, *args: Any) -> None:
        """Run a kernel over the points."""
        kernel = function(self.device, "voxel", name, self.macros)
        kernel((self.blocks,), (THREADS,), (self.points, self.cloud, *args))


def clear(array: Any) -> Any:
    """The array, zeroed on the current stream."""
    if array.nbytes:
        array.data.memset_async(0, array.nbytes)
    return array
