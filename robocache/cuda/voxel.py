"""Voxels on the GPU: launches of ``voxel.cu`` for whatever depends on the points, and the two twins."""

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch, group, reduce
from ._module import Macros, function

THREADS = 256
BLOCKS = 2048  # fills the largest GPU; with more points each thread takes several and dropped ones are summed up first

POINTS = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64)


def _macros(dtype: np.dtype) -> Macros:
    accumulator = dtypes.CUDA_NAME[dtypes.accumulator(dtype)]
    return (("POINT_T", dtypes.CUDA_NAME[dtype]), ("ACC_T", accumulator))


MACROS = {dtype: _macros(dtype) for dtype in POINTS}


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in MACROS.values():
        yield "voxel", macros


@lru_cache(maxsize=64)
def grid_struct(grid: Any) -> np.ndarray:
    """``struct Grid`` of voxel.cu, passed by value."""
    fields = np.dtype([("real", np.float64, 6), ("shape", np.int64, 3), ("clamp", np.int64)])
    return np.array(((*grid.origin, *grid.size), grid.shape or (0, 0, 0), grid.clamp), fields)


_STRUCTS = {size: np.dtype([("words", np.int64, size)]) for size in (5, 9)}


def struct(*words: int) -> np.ndarray:
    """A struct of 64-bit words, passed by value."""
    return np.array(words, np.int64).view(_STRUCTS[len(words)])


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
    if array.dtype == dtypes.bfloat16:  # only the bits move
        return cupy.ascontiguousarray(array.view(np.uint16)).view(dtypes.bfloat16)
    return cupy.ascontiguousarray(array)


class Source:
    """Points of one call as the kernels want them; ``launch`` runs a kernel of voxel.cu with them in front."""

    def __init__(self, points: Any, rows: Any, grid: Any) -> None:
        self.points, inner, outer_stride, inner_stride = flat(points)
        extent = rows.extent
        self.extent = None if extent is None else cupy.ascontiguousarray(extent)  # kept alive with the launches
        address = 0 if self.extent is None else self.extent.data.ptr
        wide = int(extent is not None and extent.dtype == dtypes.int64)
        per_cloud = points.shape[1]
        self.rows = struct(inner, outer_stride, inner_stride, rows.total, rows.clouds, per_cloud, rows.mode, wide, address)
        self.grid = grid_struct(grid)
        self.device = _launch.device_id(self.points)
        self.blocks = min(_launch.blocks(rows.total, THREADS), BLOCKS)
        self.macros = MACROS[points.dtype]

    def launch(self, name: str, *args: Any) -> None:
        """Run a kernel over the points."""
        kernel = function(self.device, "voxel", name, self.macros)
        kernel((self.blocks,), (THREADS,), (self.points, self.rows, self.grid, *args))


_held: list[tuple[Any, ...]] = []


def hold(*scratch: Any) -> None:
    """Keep scratch memory for good if the call is being captured: the graph goes on using it at every replay."""
    if cupy.cuda.get_current_stream().is_capturing():
        _held.append(scratch)


def clear(array: Any) -> Any:
    """The array, zeroed on the current stream."""
    if array.nbytes:
        array.data.memset_async(0, array.nbytes)
    return array


def voxel_grid(
    points: Any,
    features: Any,
    rows: Any,
    grid: Any,
    kinds: tuple[str, ...],
    outs: tuple[Any, ...],
    fill: tuple[float, int],
    channels_first: bool,
    dropped: Any,
    strict: bool,
) -> None:
    """See robocache.ops.voxel.voxel_grid."""
    status = _launch.begin()
    wanted = dict(zip(kinds, outs, strict=True))
    cells = grid.shape[0] * grid.shape[1] * grid.shape[2]
    for kind in ("occupancy", "count", "density"):
        if kind in wanted:
            clear(wanted[kind])
    if dropped is not None:
        clear(dropped)
    reduced = {kind: out for kind, out in wanted.items() if kind in reduce.KINDS}
    counts, ids = wanted.get("count"), None
    if counts is None and "density" in wanted and not reduced:
        counts = wanted["density"]  # both are four bytes: counted and divided in place
    if reduced:
        ids = cupy.empty(rows.total, np.int64)
        counts = cupy.zeros(rows.clouds * cells, np.int32) if counts is None else counts
    if rows.total:
        source = Source(points, rows, grid)
        source.launch("voxel_dense", wanted.get("occupancy"), counts, ids, dropped, status)
        if "density" in wanted:
            blocks = min(_launch.blocks(rows.clouds * cells, THREADS), 8 * BLOCKS)
            kernel = function(source.device, "voxel", "voxel_density", source.macros)
            kernel((blocks,), (THREADS,), (counts, source.rows, cells, wanted["density"]))
    if reduced:
        reduce.reduce(
            features, ids, counts, tuple(reduced), tuple(reduced.values()), cells if channels_first else 0, fill
        )
        hold(ids, counts)
    if strict:
        _launch.finish()  # synchronizes


def voxelize(
    points: Any,
    features: Any,
    rows: Any,
    grid: Any,
    kinds: tuple[str, ...],
    order: str,
    limit: int | None,
    empty: Callable[..., Any],
    strict: bool,
) -> dict[str, Any]:
    """See robocache.ops.voxel.voxelize."""
    _launch.begin()
    found = group.group(points, rows, grid, order, limit, empty)
    counts, ids = found["counts"], found["inverse"]
    shape = (counts.shape[0], features.shape[2])
    outs = tuple(empty(shape, reduce.result_dtype(kind, features.dtype)) for kind in kinds)
    reduce.reduce(features, ids, counts, kinds, outs, 0, (0.0, 0))
    if strict:
        _launch.finish()  # synchronizes
    return {**found, "features": outs}
