"""The voxel of every point, on its own."""

from typing import Any

from .. import interop
from .._core import checks, dtypes
from . import _outputs
from . import _voxel_args as args
from . import _voxel_cells as cells
from ._dispatch import twin

__all__ = ["point_to_voxel"]

COORDS = ("xyz", "zyx")


def point_to_voxel(
    points: Any,
    voxel_size: Any,
    bounds: Any = None,
    *,
    origin: Any = 0.0,
    linear: bool = False,
    coord_order: str = "xyz",
    lengths: Any = None,
    offsets: Any = None,
    out: Any = None,
    check: str = "auto",
) -> Any:
    """Find the cell that each point lies in: dynamic voxelization.

    Parameters
    ----------
    points, lengths, offsets
        As in :func:`voxelize`.
    voxel_size : float or (x, y, z)
        Edges of a voxel, in the unit of the points.
    bounds : (x0, y0, z0, x1, y1, z1) or two corners, optional
        Only cells between them count, and the lower one is the origin. They must hold a whole number of voxels.
    origin : float or (x, y, z)
        Corner of cell (0, 0, 0) when there are no bounds.
    linear : bool
        Whether to number the cells of the bounds instead, in C order of ``coord_order``.
    coord_order : {"xyz", "zyx"}
        Order of the coordinates of a cell.
    out : array, optional
        Where to write: C-contiguous, of the shape and type of the result, on the device of the points.
    check : {"auto", "strict", "none"}
        As in :func:`voxelize`.

    Returns
    -------
    array [N, 3] or [B, N, 3], int32
        Cells; -1 for points outside, not finite, or in the padding of a cloud. Without bounds a cell may be -1 itself,
        and those points have the least int32 instead.
    array [N] or [B, N], int64
        With ``linear``: numbers of cells, -1 for none. Every cloud has its own grid.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An option, a shape, a type or a device does not fit; ``linear`` without bounds.
    DataError
        Extents point outside the array (CPU); ``linear`` with 2**63 cells or more.

    Notes
    -----
    Cells are those of :func:`voxelize`, to the bit, on CPU and GPU. One launch on the GPU, and nothing synchronizes
    but ``check="strict"``; a CUDA graph can capture the call.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> points = np.array([[0.1, 0.6, 0.1], [9.0, 0.1, 0.1]], np.float32)
    >>> rc.point_to_voxel(points, 0.5, (0, 0, 0, 1, 1, 1))
    array([[ 0,  1,  0],
           [-1, -1, -1]], dtype=int32)
    >>> rc.point_to_voxel(points, 0.5, (0, 0, 0, 1, 1, 1), linear=True)
    array([ 2, -1])
    """
    # Validate.
    checks.choice("coord_order", coord_order, COORDS)
    checks.choice("check", check, args.CHECKS)
    call, (given, lengths, offsets, target) = interop.receive(points=points, lengths=lengths, offsets=offsets, out=out)
    native, rows = args.points_rows(given, lengths, offsets)
    grid = cells.grid(given.dtype, bounds, voxel_size, None, origin, False)
    if linear:
        cells.numbering(cells.bounded(grid, "linear=True"), 1)
    shape = given.shape[:-1] if linear else (*given.shape[:-1], 3)
    dtype = dtypes.int64 if linear else dtypes.int32

    # Dispatch.
    with call:
        if out is None:
            result = call.empty(shape, dtype)
        else:
            interop.writable("out", out)
            result = _outputs.fits("out", target, shape, dtype)
            _outputs.apart("out", result, {"points": given, "lengths": lengths, "offsets": offsets}, call.xp)
        flat = result.reshape(rows.total) if linear else result.reshape(rows.total, 3)
        twin(call.backend, "cell").point_to_voxel(native, rows, grid, coord_order == "zyx", flat, check == "strict")

        # Restore shape.
        return out if out is not None else call.give(result)
