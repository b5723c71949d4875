"""The best point of each voxel on the GPU, and rows of theirs."""

import math
from collections.abc import Iterator
from struct import Struct
from typing import Any

import cupy
import numpy as np

from . import _launch
from ._module import Macros, function
from ._points import MACROS, THREADS, Source, flat

SELECT = {"first": 0, "random": 1, "nearest": 2}  # of pick.cuh
MASK = (1 << 64) - 1
GOLDEN, FIRST, SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB  # of splitmix64
EMPTY = 255  # every byte of a voxel that no point has

_PICK = Struct("3Q")
_CHOICE = Struct("qQd")
_TAKE = Struct("3Q5q")


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    yield "take", ()
    for macros in MACROS.values():
        yield "pick", macros


def _key(seed: int) -> int:
    x = (seed + GOLDEN) & MASK
    x = ((x ^ (x >> 30)) * FIRST) & MASK
    x = ((x ^ (x >> 27)) * SECOND) & MASK
    return x ^ (x >> 31)


def choice(grid: Any, select: str, seed: int) -> bytes:
    """Struct Choice of pick.cuh: the order in which points of a voxel are chosen."""
    scale = 2.0 ** -math.frexp(max(grid.size))[1]  # no square overflows, and none of note vanishes
    return _CHOICE.pack(SELECT[select], _key(seed), scale)


def best(source: Source, grid: Any, total: int, voxels: Any, rows: int, select: str, seed: int) -> Any:
    """The chosen point of each of so many voxels, below its rank; ``voxels`` is that of each point."""
    found = cupy.ndarray((rows,), np.uint64)
    _launch.hold(found, voxels, source.points, source.extent)
    if not rows:
        return found
    found.data.memset_async(EMPTY, found.nbytes)
    packed = _PICK.pack(source.points.data.ptr, voxels.data.ptr, found.data.ptr) + choice(grid, select, seed)
    kernel = function(source.device, "pick", "pick_best", source.macros)
    kernel((_launch.blocks(total, THREADS),), (THREADS,), (_launch.argument(packed + source.packed),))
    return found


def take(features: Any, chosen: Any, out: Any) -> None:
    """Rows of features [outer, inner, channels] of the chosen points; zeros where there is none."""
    if not out.size:
        return
    flattened, *layout = flat(features)
    _launch.hold(flattened, chosen, out)
    packed = _TAKE.pack(flattened.data.ptr, chosen.data.ptr, out.data.ptr, *layout, features.shape[2], out.size)
    kernel = function(_launch.device_id(out), "take", f"take_{out.itemsize}")
    kernel((_launch.blocks(out.size, THREADS),), (THREADS,), (_launch.argument(packed),))


def index(chosen: Any, out: Any) -> None:
    """The chosen point of each voxel, or -1."""
    if out.size:
        kernel = function(_launch.device_id(out), "take", "take_index")
        kernel((_launch.blocks(out.size, THREADS),), (THREADS,), (chosen, out.size, out))
