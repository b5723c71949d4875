"""Dense grids written in one go on the GPU, from rows of the few voxels that hold something."""

import math
from collections.abc import Iterator
from struct import Struct
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch, group, reduce
from ._module import Macros, function
from ._points import BLOCKS, MACROS, THREADS, Source, clear, flat
from ._work import KINDS, address

TILE_BYTES, BLOCK = 8192, 128  # of canvas.cu
LINE = 128 // 16  # accesses to what the cache keeps together
JOINED = 8  # most channels of features that are copied to be reduced together
_PAINT = Struct("3Q11qd" + 2 * "Q5q")
_SPLAT = Struct("6Q5q")  # struct Splat up to the cloud
_NO_ROWS = (0, 0, 0, 0, 0, -1)


def _paint_macros(dtype: np.dtype) -> Macros:
    name, accumulator = dtypes.CUDA_NAME[dtype], dtypes.CUDA_NAME[dtypes.accumulator(dtype)]
    return (("OUT_T", name), ("ACC_T", accumulator))


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for dtype, macros in MACROS.items():
        yield "splat", macros
        yield "canvas", _paint_macros(dtype)


def _painters(channels: int, itemsize: int) -> tuple[int, int]:
    """Threads that meet the same channels again after each wrote 16 bytes, and the cells they then have got ahead."""
    part = 16 // itemsize
    period = channels // math.gcd(channels, part)
    together = math.lcm(period, LINE)
    painters = BLOCK - BLOCK % (together if together <= BLOCK else period) if period <= BLOCK else 0
    return painters, painters * part // channels


def _real(dtype: np.dtype) -> np.dtype:
    """Type of a mean."""
    return dtype if dtype in dtypes.FLOATING else dtypes.float64


class _Found:
    """The sorted voxels of points with one reduction of some arrays of features, all in scratch memory."""

    def __init__(
        self, points: Any, features: tuple[Any, ...], rows: Any, grid: Any, kind: str, dropped: Any, status: int
    ) -> None:
        limit = min(rows.total, rows.clouds * grid.shape[0] * grid.shape[1] * grid.shape[2])
        self.reduced = [cupy.ndarray((limit, array.shape[2]), _real(array.dtype)) for array in features]
        self.coords, self.offsets = cupy.ndarray((limit, 3), np.int32), cupy.ndarray((rows.clouds + 1,), np.int64)
        _launch.hold(self.coords, self.offsets, *self.reduced)
        if not rows.total:
            clear(self.offsets)
            return
        source = Source(points, rows, grid)
        given = [flat(array) for array in features]
        lost = cupy.ndarray((rows.clouds,), np.int64) if dropped is None else dropped
        more = {"inverse": 8 * rows.total, "counts": 4 * limit, "numbers": 16}
        for array in features[1:]:
            more["others"] = reduce.room(rows.total, array.shape[2])
        first, *others = [
            reduce.Reduce(layout[1:], array, (kind,), 0, source.device)
            for array, layout in zip(features, given, strict=True)
        ]
        work = group.Group(source, rows, grid, "sorted", first, more)
        memory = work.memory()
        at = {name: memory.base + place for name, place in work.at.items()}
        targets = (self.coords.data.ptr, at["counts"], self.offsets.data.ptr, at["numbers"], at["numbers"] + 8)
        work.fill(
            memory, (source.points.data.ptr, address(source.extent)), (at["inverse"], lost.data.ptr), targets, limit,
            False, status, given[0][0].data.ptr, [self.reduced[0].data.ptr],
        )  # fmt: skip
        for other, (array, *_), made in zip(others, given[1:], self.reduced[1:], strict=True):
            places = [at[name] for name in ("starts", "order", "shared", "chunks", "others")]
            call = reduce.CALL.pack(array.data.ptr, *other.targets([made.data.ptr]))
            other.fire(call + other.shared(limit, [*places, memory.state, 0]))
        _launch.hold(source.points, source.extent, lost, *[array for array, *_ in given])

    def columns(self, which: int, count: int, first: int = 0, divisor: int = -1) -> tuple[int, ...]:
        """Some columns of rows, as struct Source of canvas.cu has them."""
        made = self.reduced[which]
        return made.data.ptr, KINDS[made.dtype], made.shape[1], first, count, divisor


def _joined(features: tuple[Any, ...]) -> tuple[Any, ...]:
    """Features of one type side by side in scratch memory, so that the points of a voxel are gone through once.

    Many channels stay where they are: to copy them would cost more than that.
    """
    channels = sum(array.shape[2] for array in features)
    same = len({(array.dtype, *array.shape[:2]) for array in features}) == 1
    if len(features) == 1 or not same or channels > JOINED:
        return features
    bits = np.dtype(f"u{features[0].itemsize}")  # only these move
    together = cupy.ndarray((*features[0].shape[:2], channels), bits)
    _launch.hold(together)
    start = 0
    for array in features:
        together[..., start : start + array.shape[2]] = array.view(bits)
        start += array.shape[2]
    return (together.view(features[0].dtype),)


def _scattered(
    points: Any, features: Any, rows: Any, grid: Any, long: Any, width: int, dropped: Any, status: int
) -> _Found:
    """Sums of features times weights, with those of the weights behind them, in a grid of all clouds along x."""
    every = rows._replace(mode=0, clouds=1, total=8 * rows.total, extent=None)
    cells = cupy.ndarray((1, every.total, 3), np.float32)
    values = cupy.ndarray((1, every.total, width + 1), np.float64)
    if rows.total:
        source = Source(points, rows, grid)
        array, *layout = (None, 1, 0, 0) if features is None else flat(features)
        kind = 0 if features is None else KINDS[features.dtype]
        addresses = (address(array), cells.data.ptr, values.data.ptr, address(dropped), status)
        packed = _SPLAT.pack(source.points.data.ptr, *addresses, *layout, width, kind) + source.packed
        kernel = function(source.device, "splat", "splat_scatter", source.macros)
        blocks = min(_launch.blocks(every.total, THREADS), BLOCKS)
        kernel((blocks,), (THREADS,), (_launch.argument(packed),))
        _launch.hold(source.points, source.extent, cells, values, array)
    return _Found(cells, (values,), every, long, "sum", None, status)


def _paint(
    found: _Found, sources: list[tuple[int, ...]], fill: float, grid: Any, cells: int, layers: tuple[bool, bool],
    first: bool, out: Any,
) -> None:  # fmt: skip
    """Write a grid; ``grid`` and the clouds of ``found`` are those of the rows, ``cells`` those of a caller's cloud."""
    channels = sum(source[4] for source in sources) + 3 * layers[0] + layers[1]
    clouds = found.offsets.shape[0] - 1
    tiles = clouds * -(-(grid.shape[0] * grid.shape[1] * grid.shape[2]) * out.itemsize // TILE_BYTES)
    packed = _PAINT.pack(
        found.coords.data.ptr, found.offsets.data.ptr, out.data.ptr, clouds, *grid.shape, cells, channels, first,
        *layers, *_painters(channels, out.itemsize), fill, *sources[0], *(sources[1] if len(sources) > 1 else _NO_ROWS),
    )  # fmt: skip
    kernel = function(_launch.device_id(out), "canvas", "canvas_paint", _paint_macros(out.dtype))
    kernel((tiles,), (BLOCK,), (_launch.argument(packed),))


def append(
    points: Any,
    features: Any,
    rows: Any,
    grid: Any,
    layers: tuple[bool, bool],
    out: Any,
    fill: tuple[float, int],
    channels_first: bool,
    dropped: Any,
    strict: bool,
) -> None:
    """See robocache.ops.voxel.voxel_grid."""
    status = _launch.begin()
    cells = grid.shape[0] * grid.shape[1] * grid.shape[2]
    if dropped is not None:
        clear(dropped)
    if out.size:
        features = _joined(features)
        found = _Found(points, features, rows, grid, "mean", dropped, status)
        sources = [found.columns(i, array.shape[2]) for i, array in enumerate(features)]
        _paint(found, sources, fill[0], grid, cells, layers, channels_first, out)
    if strict:
        _launch.finish()  # synchronizes


def splat(
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
    if dropped is not None:
        clear(dropped)
    width = 0 if features is None else features.shape[2]
    x, y, z = grid.shape
    long = grid._replace(origin=(0.0,) * 3, size=(1.0,) * 3, shape=(rows.clouds * x, y, z))
    found = _scattered(points, features, rows, grid, long, width, dropped, status)
    for kind, out in zip(kinds, outs, strict=True):
        if out.size:
            columns = {"count": (1, width), "sum": (width, 0, -1), "mean": (width, 0, width)}[kind]
            sources = [found.columns(0, *columns)]
            blank = 0.0 if kind == "count" else fill[0]
            _paint(found, sources, blank, long, x * y * z, (False, False), channels_first, out)
    if strict:
        _launch.finish()  # synchronizes
