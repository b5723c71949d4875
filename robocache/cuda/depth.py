"""Depth images on the GPU: the three twins."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._core import dtypes
from . import _affine, _launch
from ._compact import KEEPERS, Kept, carried
from ._module import Macros, function
from ._points import BLOCKS, THREADS

DEPTHS = (dtypes.uint16, dtypes.float16, dtypes.float32, dtypes.float64)
_IMAGES = f"3Q10q{_affine.CAMERAS}{_affine.BOUNDS}4{{0}}"
_SURFACE = f"4Q2q{_affine.TABLE}3{{0}}"


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for dtype in (dtypes.float32, dtypes.float64):
        yield "normals", _affine.macros(dtype)
        for depth in DEPTHS:
            yield "depth", (("DEPTH_T", dtypes.CUDA_NAME[depth]), *_affine.macros(dtype))


class _Images:
    """Images of one call as the kernels want them."""

    def __init__(self, depth: Any, lens: Any, pose: Any, pixels: Any) -> None:
        size = depth.dtype.itemsize
        if any(stride % size for stride in depth.strides):
            depth = depth.copy()
        self.device, self._dtype, self.depth = _launch.device_id(depth), pixels.dtype, depth
        cameras = _affine.Cameras(self.device, lens, pose, pixels.dtype)
        self.held = (depth, cameras.memory)  # the struct holds bare addresses
        self.macros = (("DEPTH_T", dtypes.CUDA_NAME[depth.dtype]), *_affine.macros(pixels.dtype))
        box = pixels.box
        self._layout = (
            *depth.shape[1:], *(stride // size for stride in depth.strides),
            pixels.stride, pixels.height, pixels.width,
            *cameras.fields, *box.low, *box.high, pixels.unit, pixels.near, pixels.far, math.nan,
        )  # fmt: skip

    def pack(self, out: Any, valid: Any = None) -> Any:
        """Struct Images."""
        addresses = (0 if array is None else array.data.ptr for array in (out, valid))
        form = _affine.layout(_IMAGES, self._dtype)
        return _launch.argument(form.pack(self.depth.data.ptr, *addresses, *self._layout))


def unproject(
    depth: Any, lens: Any, pose: Any, pixels: Any, color: Any, clouds: int, index: bool, limit: int | None,
    empty: Callable[..., Any], strict: bool,
) -> dict[str, Any]:  # fmt: skip
    """See robocache.ops.depth.depth_to_points."""
    status, given = _launch.begin(), _Images(depth, lens, pose, pixels)
    work = Kept(given.device, depth.size, pixels.dtype, depth.size // max(clouds, 1), clouds, empty)
    kernel = function(given.device, "depth", "depth_unproject", given.macros)

    def launch(job: Any, out: Any = None, cargo: Any = None) -> None:
        kernel((work.blocks,), (KEEPERS,), (given.pack(out), carried(color, cargo), job))

    count = work.rows(limit, launch)
    out = work.array((count, 3), pixels.dtype, limit)
    cargo = None if color is None else work.array((count, color.shape[1]), color.dtype, limit)
    numbers = work.array((count,), np.int64, limit, 255) if index else None
    launch(work.job(status, numbers, count), out, cargo)
    _launch.hold(given.held, color, out, cargo, numbers)
    if strict:
        _launch.finish()  # synchronizes
    return {"points": out, "features": cargo, "index": numbers, **work.sizes()}


def organize(depth: Any, lens: Any, pose: Any, pixels: Any, points: Any, valid: Any) -> None:
    """See robocache.ops.depth.depth_to_points."""
    _launch.begin()
    if not depth.size:
        return
    given = _Images(depth, lens, pose, pixels)
    _launch.hold(given.held, points, valid)
    kernel = function(given.device, "depth", "depth_organize", given.macros)
    blocks = min(_launch.blocks(depth.size, THREADS), 8 * BLOCKS)
    kernel((blocks,), (THREADS,), (depth.size, given.pack(points, valid)))


def normals(points: Any, valid: Any, eyes: Any, jump: float, out: Any, known: Any) -> None:
    """See robocache.ops.depth.estimate_normals."""
    _launch.begin()
    if not known.size:
        return
    dtype = points.dtype
    with np.errstate(over="ignore"):
        square = float(dtype.type(jump * jump))
    surface = _affine.layout(_SURFACE, dtype).pack(
        points.data.ptr, 0 if valid is None else valid.data.ptr, out.data.ptr, known.data.ptr, *known.shape[2:],
        *_affine.table(eyes, dtype), square, math.nan, math.inf,
    )  # fmt: skip
    _launch.hold(points, valid, eyes.values, out, known)
    kernel = function(_launch.device_id(points), "normals", "normals_organized", _affine.macros(dtype))
    blocks = min(_launch.blocks(known.size, THREADS), 8 * BLOCKS)
    kernel((blocks,), (THREADS,), (known.size, _launch.argument(surface)))
