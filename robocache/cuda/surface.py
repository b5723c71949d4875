"""Points where a field of signed distances changes its sign, on the GPU."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function
from ._points import clear
from ._scratch import scratch

THREADS, PARTS, SCANNERS = 256, 64, 1024  # of surface.cu; parts of 32 voxels to a block
_SURFACE = Struct("10Q6q7d")


def variants() -> Iterator[tuple[str, Macros]]:
    """Everything that can be compiled here."""
    yield "surface", ()


def crossings(
    grid: Any,
    weight: Any,
    tint: Any,
    space: Any,
    least: float,
    real: Any,
    normals: bool,
    limit: int | None,
    empty: Callable[..., Any],
    strict: bool,
) -> dict[str, Any]:
    """See robocache.ops.surface.tsdf_to_points."""
    status = _launch.begin()
    found: dict[str, Any] = {"kept": empty((), np.int64), "found": empty((), np.int64)}
    blocks = -(-(grid.shape[0] * grid.shape[1] * -(-grid.shape[2] // 32)) // PARTS)
    if not blocks:
        clear(found["kept"])
        clear(found["found"])
        _make(found, empty, limit or 0, real, normals, tint is not None)
        found["points"].fill(np.nan)
        for name in ("normals", "colors"):
            if found[name] is not None:
                clear(found[name])
        return found
    device = _launch.device_id(grid)
    memory = scratch("surface", device, 0, 8 * (blocks + 1))

    def launch(name: str, size: int, threads: int) -> None:
        outs = [_address(found.get(name)) for name in ("points", "normals", "colors", "kept", "found")]
        work = _SURFACE.pack(
            status, grid.data.ptr, weight.data.ptr, _address(tint), memory.base, *outs, *grid.shape, blocks,
            real == dtypes.float64, -1 if limit is None else limit, *space.origin, *space.size, least,
        )  # fmt: skip
        kernel = function(device, "surface", name)
        kernel((size,), (threads,), (_launch.argument(work),))

    _launch.hold(grid, weight, tint)
    launch("surface_count", blocks, THREADS)
    launch("surface_scan", 1, SCANNERS)
    count = int(found["found"].get()) if limit is None else limit  # synchronizes without a limit
    _make(found, empty, count, real, normals, tint is not None)
    if count:
        launch("surface_write", blocks, THREADS)
    if strict:
        _launch.finish()  # synchronizes
    return found


def _make(found: dict[str, Any], empty: Callable[..., Any], count: int, real: Any, normals: bool, colors: bool) -> None:
    found["points"] = empty((count, 3), real)
    found["normals"] = empty((count, 3), dtypes.float32) if normals else None
    found["colors"] = empty((count, 3), dtypes.float32) if colors else None


def _address(array: Any) -> int:
    return 0 if array is None else int(array.data.ptr)
