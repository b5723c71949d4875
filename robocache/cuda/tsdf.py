"""Depth pictures into signed distances on the GPU."""

from collections.abc import Iterator
from struct import Struct
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function

VIEWS, STEPS, THREADS = 16, 4, 256  # of tsdf.cu
BLOCKS = 4096  # to fill the largest card; each works its cameras out once
_FUSION = Struct("8Q13q9d")
_CAMERA = Struct("16d")

DEPTHS = (np.dtype(np.uint16), dtypes.float16, dtypes.float32, dtypes.float64)
COLORS = (np.dtype(np.uint8), dtypes.float32)


def _macros(depth: np.dtype, color: np.dtype) -> Macros:
    wide = "double" if depth == dtypes.float64 else "float"
    return (("DEPTH_T", dtypes.CUDA_NAME[depth]), ("DEPTH_ACC_T", wide), ("COLOR_T", dtypes.CUDA_NAME[color]))


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for depth in DEPTHS:
        for color in COLORS:
            yield "tsdf", _macros(depth, color)


def integrate(
    grid: Any, weight: Any, tint: Any, depth: Any, shades: Any, cameras: Any, space: Any, terms: Any, strict: bool
) -> None:
    """See robocache.ops.tsdf.tsdf_integrate."""
    status, colored = _launch.begin(), tint is not None
    depth = cupy.ascontiguousarray(depth)
    shades = cupy.ascontiguousarray(shades) if colored else None
    cameras = cameras._replace(intrinsics=_settled(cameras.intrinsics), poses=_settled(cameras.poses))
    _launch.hold(grid, weight, tint, depth, shades, cameras)
    macros = _macros(depth.dtype, shades.dtype if colored else COLORS[0])
    kernel = function(_launch.device_id(grid), "tsdf", "tsdf_integrate" + "_color" * colored, macros)
    parts = grid.shape[0] * grid.shape[1] * -(-grid.shape[2] // (32 * STEPS))
    blocks = min(_launch.blocks(parts, THREADS // 32), BLOCKS)
    most = cameras.views if _on_device(cameras.intrinsics) and _on_device(cameras.poses) else VIEWS
    for view in range(0, cameras.views, most):
        count = min(most, cameras.views - view)
        addresses = [0 if a is None else a.data.ptr for a in (grid, weight, tint)]
        addresses += [0 if a is None else a.data.ptr + view * a.strides[0] for a in (depth, shades)]
        addresses += [_place(rows, view)[0] for rows in (cameras.intrinsics, cameras.poses)]
        work = _FUSION.pack(
            status, *addresses, *_place(cameras.intrinsics, view)[1:], *_place(cameras.poses, view)[1:],
            cameras.intrinsics.shape[1] == 9, cameras.poses.shape[1] == 16, *grid.shape, count, *depth.shape[1:],
            int(np.float32(terms.limit).view(np.uint32)),
            *(o + 0.5 * s for o, s in zip(space.origin, space.size, strict=True)), *space.size, terms.scale,
            float(np.float32(1 / terms.truncation)), terms.most,
        )  # fmt: skip
        table = b"".join(_camera(cameras, n) for n in range(view, view + min(count, VIEWS)))
        kernel((blocks,), (THREADS,), (_launch.argument(work + table.ljust(VIEWS * _CAMERA.size, b"\0")),))
    if strict:
        _launch.finish()  # synchronizes


def _on_device(rows: Any) -> bool:
    return isinstance(rows, cupy.ndarray)


def _settled(rows: Any) -> Any:
    return cupy.ascontiguousarray(rows) if _on_device(rows) else rows


def _place(rows: Any, view: int) -> tuple[int, int, int]:
    """Address of a view's numbers, how many lie between two views, and whether they are doubles; 0 if on the host."""
    if not _on_device(rows):
        return 0, 0, 0
    step = rows.shape[1] if rows.shape[0] > 1 else 0
    return rows.data.ptr + view * step * rows.itemsize, step, rows.dtype == dtypes.float64


def _camera(cameras: Any, view: int) -> bytes:
    """A camera of the host as an argument; zeros for what the device has."""
    k, t = (
        [0.0] * 16 if _on_device(rows) else rows[view % len(rows)].tolist()
        for rows in (cameras.intrinsics, cameras.poses)
    )
    if cameras.intrinsics.shape[1] == 9:
        k = [k[0], k[4], k[2], k[5]]
    return _CAMERA.pack(*k[:4], *t[:12])
