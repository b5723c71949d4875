"""Voxels of a fixed number of points, as detectors take them."""

from dataclasses import dataclass
from typing import Any

from .. import interop
from .._core import checks
from . import _voxel_args as args
from . import _voxel_cells as cells
from ._dispatch import twin

__all__ = ["HardVoxels", "hard_voxelize"]

SELECT = ("first", "random", "nearest")
COORDS = ("zyx", "xyz")
MOST = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class HardVoxels:
    """What :func:`hard_voxelize` kept and what it cut, all in the framework and on the device of the points.

    Attributes
    ----------
    voxels : array [M, max_points, C]
        Points of each voxel, or their features; zeros where there are fewer.
    coords : array [M, 3] or [M, 4], int32
        Cell of each voxel as ``coord_order`` says; of several clouds, the cloud comes first.
    num_points : array [M], int32
        Points of each voxel that are in ``voxels``.
    offsets : array [B + 1], int64
        Voxels of cloud ``b`` are ``offsets[b]:offsets[b + 1]``; ``[0, M]`` for a single cloud.
    num_voxels : array [], int64
        Voxels there are; rows past them are padding: coords -1, the rest 0.
    dropped : array [B] or [], int64
        Points of each cloud that lie outside or are not finite.
    cut_points : array [B] or [], int64
        Points inside that are in no voxel, because it was full or was cut itself.
    cut_voxels : array [B] or [], int64
        Voxels past ``max_voxels``.
    inverse : array, int64, or None
        Voxel of each point, even of one that was cut from it, in the shape of the points without their last axis; -1
        for none.
    """

    voxels: Any
    coords: Any
    num_points: Any
    offsets: Any
    num_voxels: Any
    dropped: Any
    cut_points: Any
    cut_voxels: Any
    inverse: Any


def hard_voxelize(
    points: Any,
    voxel_size: Any,
    bounds: Any,
    max_points: int,
    max_voxels: int,
    *,
    features: Any = None,
    select: str = "first",
    seed: int = 0,
    coord_order: str = "zyx",
    lengths: Any = None,
    offsets: Any = None,
    static: bool = False,
    return_inverse: bool = False,
    check: str = "auto",
) -> HardVoxels:
    """Put points into voxels of at most so many, as detectors take them.

    Parameters
    ----------
    points : array [N, C], or [B, N, C] for B clouds
        Columns x, y, z, then any others; float16, bfloat16, float32 or float64. With ``offsets``, the clouds lie one
        after the other in [N, C].
    voxel_size : float or (x, y, z)
        Edges of a voxel, in the unit of the points.
    bounds : (x0, y0, z0, x1, y1, z1) or two corners
        Only cells between them count. They must hold a whole number of voxels.
    max_points : int
        Points that a voxel holds.
    max_voxels : int
        Voxels that are kept of each cloud: those whose first points come first.
    features : array [N], [N, F], [B, N] or [B, N, F], optional
        What ``voxels`` holds instead of the columns of ``points``; any type.
    select : {"first", "random", "nearest"}
        Which points of a voxel are kept, and in what order they come: the first ones, a random choice, or those
        nearest to the centre of the voxel.
    seed : int
        From 0 to 2**64 - 1, for "random".
    coord_order : {"zyx", "xyz"}
        Order of the coordinates of a cell.
    lengths : array [B], int32 or int64, optional
        Points of each padded cloud that are real.
    offsets : array [B + 1], int32 or int64, optional
        Cloud ``b`` is ``points[offsets[b]:offsets[b + 1]]``.
    static : bool
        Whether to return as many rows as there can be, ``max_voxels`` a cloud, used or not. Nothing synchronizes then,
        and a CUDA graph can capture the call.
    return_inverse : bool
        Whether to return the voxel of each point.
    check : {"auto", "strict", "none"}
        As in :func:`voxelize`.

    Returns
    -------
    HardVoxels
        Its attributes say what it holds, and what was cut.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An option, a shape, a type or a device does not fit.
    DataError
        Extents point outside the array (CPU); there are 2**63 cells or more.
    MemoryLimitError
        The rows of ``static`` would not fit into free memory; nothing has been allocated then.

    Notes
    -----
    Voxels are numbered by their first points, cloud after cloud, and cells are those of :func:`voxelize`. This is the
    convention of spconv's ``Point2VoxelCPU3d`` and of the deterministic mode of mmcv, to the byte, which go on to fill
    the voxels they have when there are ``max_voxels``. A cloud of a batch gives what it gives alone.

    "random" orders the points of a voxel by a hash of ``seed`` and their place in the cloud (splitmix64, the upper 32
    bits), so that the choice is even and the same on every machine, and does not depend on the other clouds. "nearest"
    orders them by their squared distance, found in float64 and compared in float32. Ties go to the lower index.

    On the GPU a hash table gathers the points of each cell as they come, and the place of a point is how many others
    of its voxel go before it; so nothing depends on the schedule. CPU, GPU and every run give the same bits. Any number
    of cells will do: from 2**32 on, a cell that meets another in the table is compared by its points.

    Without ``static`` the number of voxels must reach the host. # synchronizes once on the GPU
    A call takes fewer than 2**31 points. Scratch memory on the GPU is 48 to 80 bytes a point; what a voxel costs there
    grows with the product of its points and the places they may take.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> points = np.array([[2.5, 0.5, 0.5], [0.5, 0.5, 0.5], [2.6, 0.5, 0.5], [2.7, 0.5, 0.5]], np.float32)
    >>> pillars = rc.hard_voxelize(points, 1.0, (0, 0, 0, 4, 4, 1), max_points=2, max_voxels=10)
    >>> pillars.coords
    array([[0, 0, 2],
           [0, 0, 0]], dtype=int32)
    >>> pillars.voxels[0]
    array([[2.5, 0.5, 0.5],
           [2.6, 0.5, 0.5]], dtype=float32)
    >>> pillars.num_points, int(pillars.cut_points)
    (array([2, 1], dtype=int32), 1)
    """
    # Validate.
    checks.choice("select", select, SELECT)
    checks.choice("coord_order", coord_order, COORDS)
    checks.choice("check", check, args.CHECKS)
    places, limit = checks.whole("max_points", max_points, 1, MOST), checks.whole("max_voxels", max_voxels, 0, MOST)
    seed = checks.whole("seed", seed, 0, (1 << 64) - 1)
    call, (given, values, lengths, offsets) = interop.receive(
        points=points, features=features, lengths=lengths, offsets=offsets
    )
    native, rows = args.points_rows(given, lengths, offsets)
    feature = args.feature_rows(given if values is None else values, given, ())
    grid = cells.grid(given.dtype, bounds, voxel_size, None, 0.0, False)
    cells.numbering(cells.bounded(grid, "hard_voxelize"), rows.clouds)
    single = given.ndim == 2 and offsets is None

    # Dispatch.
    with call:
        if static:
            ranks = 8 * (call.backend == "cpu" and select != "first")  # of the places
            needed = rows.clouds * limit * places * (feature.shape[2] * feature.dtype.itemsize + ranks)
            args.require_memory(call, needed, "hard_voxelize", "Lower max_points or max_voxels, or leave static out")
        found = twin(call.backend, "hard").hard_voxelize(
            native, feature, rows, grid, places, limit, select, seed, coord_order == "zyx", not single, static,
            return_inverse, call.empty, check == "strict",
        )  # fmt: skip

        # Restore shape.
        flat = values is not None and values.ndim == given.ndim - 1
        inverse = found["inverse"]
        return HardVoxels(
            voxels=call.give(found["voxels"][..., 0] if flat else found["voxels"]),
            coords=call.give(found["coords"]),
            num_points=call.give(found["num_points"]),
            offsets=call.give(found["offsets"]),
            num_voxels=call.give(found["kept"]),
            inverse=None if inverse is None else call.give(inverse.reshape(given.shape[:-1])),
            **{name: call.give(_of(found[name], single)) for name in ("dropped", "cut_points", "cut_voxels")},
        )


def _of(array: Any, single: bool) -> Any:
    """Numbers of clouds, or that of a single one."""
    return array.reshape(()) if single else array
