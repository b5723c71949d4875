"""Point clouds on the GPU: the two twins."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .._core import dtypes
from . import _affine, _launch
from ._compact import KEEPERS, Kept, carried
from ._module import Macros, function
from ._points import BLOCKS, MACROS, THREADS, flat

_CLOUDS = f"2Qq8qQ{_affine.CAMERAS}{_affine.BOUNDS}"


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in MACROS.values():
        yield "clouds", macros
    yield from _affine.variants()


class _Clouds:
    """Points of one call as the kernels want them."""

    def __init__(self, points: Any, rows: Any, pose: Any, box: Any) -> None:
        self.status = _launch.begin()
        self.points, inner, outer_stride, inner_stride = flat(points)
        extent = rows.extent
        if extent is not None and not extent.flags.c_contiguous:
            extent = extent.copy()
        self.device, self.macros = _launch.device_id(self.points), MACROS[points.dtype]
        self.dtype = dtypes.accumulator(points.dtype)
        poses = _affine.Cameras(self.device, None, pose, self.dtype)
        self.held = (self.points, extent, poses.memory)  # the struct holds bare addresses
        wide = int(extent is not None and extent.dtype == dtypes.int64)
        self._layout = (
            points.shape[2], inner, outer_stride, inner_stride,
            rows.total, rows.clouds, points.shape[1], rows.mode, wide,
            0 if extent is None else extent.data.ptr, *poses.fields,
            *(box.low + box.high if box is not None else (0.0,) * 6),
        )  # fmt: skip

    def pack(self, out: Any) -> Any:
        """Struct Clouds."""
        address = 0 if out is None else out.data.ptr
        form = _affine.layout(_CLOUDS, self.dtype)
        return _launch.argument(form.pack(self.points.data.ptr, address, *self._layout))


def transform(points: Any, rows: Any, pose: Any, out: Any, strict: bool) -> None:
    """See robocache.ops.clouds.transform_points."""
    given = _Clouds(points, rows, pose, None)
    if rows.total:
        _launch.hold(given.held, out)
        kernel = function(given.device, "clouds", "clouds_move", given.macros)
        blocks = min(_launch.blocks(rows.total, THREADS), 8 * BLOCKS)
        kernel((blocks,), (THREADS,), (given.status, given.pack(out)))
    if strict:
        _launch.finish()  # synchronizes


def crop(
    points: Any, features: Any, rows: Any, pose: Any, box: Any, index: bool, limit: int | None,
    empty: Callable[..., Any], strict: bool,
) -> dict[str, Any]:  # fmt: skip
    """See robocache.ops.clouds.crop_box."""
    given = _Clouds(points, rows, pose, box)
    per_cloud = 0 if rows.mode == 2 else points.shape[1]
    work = Kept(given.device, rows.total, given.dtype, per_cloud, rows.clouds, empty)
    kernel = function(given.device, "clouds", "clouds_crop", given.macros)

    def launch(job: Any, out: Any = None, cargo: Any = None) -> None:
        arguments = (given.status, given.pack(out), carried(features, cargo), job)
        kernel((work.blocks,), (KEEPERS,), arguments)

    count = work.rows(limit, launch)
    out = work.array((count, points.shape[2]), points.dtype, limit)
    cargo = None if features is None else work.array((count, features.shape[1]), features.dtype, limit)
    numbers = work.array((count,), np.int64, limit, 255) if index or rows.mode == 2 else None
    launch(work.job(given.status, numbers, count), out, cargo)
    _launch.hold(given.held, features, out, cargo, numbers)
    if strict:
        _launch.finish()  # synchronizes
    return {"points": out, "features": cargo, "index": numbers if index else None, **work.sizes()}
