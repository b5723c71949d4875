"""The cell of every point on the GPU."""

from collections.abc import Iterator
from struct import Struct
from typing import Any

from . import _launch
from ._module import Macros, function
from ._points import MACROS, THREADS, Source

NOWHERE = -(1 << 31)  # where -1 is a cell
_CELLS = Struct("4Q2q")  # struct Cells of cell.cu, less its cloud


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in MACROS.values():
        yield "cell", macros


def point_to_voxel(points: Any, rows: Any, grid: Any, backwards: bool, out: Any, strict: bool) -> None:
    """See robocache.ops.point_voxels.point_to_voxel."""
    status = _launch.begin()
    if rows.total:
        source = Source(points, rows, grid)
        cells, numbers = (out.data.ptr, 0) if out.ndim == 2 else (0, out.data.ptr)
        nowhere = -1 if grid.shape is not None else NOWHERE
        packed = _CELLS.pack(source.points.data.ptr, status, cells, numbers, backwards, nowhere) + source.packed
        _launch.hold(source.points, source.extent, out)
        kernel = function(source.device, "cell", "cell_of_point", source.macros)
        kernel((_launch.blocks(rows.total, THREADS),), (THREADS,), (_launch.argument(packed),))
    if strict:
        _launch.finish()  # synchronizes
