"""One point a voxel, with what belongs to it."""

from dataclasses import dataclass
from typing import Any

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DTypeError, ShapeError
from . import _voxel_args as args
from . import _voxel_cells as cells
from ._dispatch import twin

__all__ = ["DownsampledCloud", "voxel_downsample"]

CHOICES = ("first", "random", "nearest")
EXTRAS = ("features", "colors", "normals", "labels")
REDUCE = ("mean", "center", *CHOICES)
SHORT = frozenset(d for d in dtypes.INTEGER if d.itemsize < 8)


@dataclass(frozen=True, eq=False)
class DownsampledCloud:
    """What :func:`voxel_downsample` made, all in the framework and on the device of the points.

    Attributes
    ----------
    points : array [M, 3]
        One for each voxel, in the type they had.
    features, colors, normals, labels : array [M, ...], or None
        What belongs to them; None if it was not given.
    index : array [M], int64, or None
        Point that was chosen, counted over all clouds.
    inverse : array, int64, or None
        Voxel of each point, in the shape of the points without their last axis; -1 for points in no voxel.
    counts : array [M], int32, or None
        Points of each voxel.
    offsets : array [B + 1], int64
        Voxels of cloud ``b`` are ``offsets[b]:offsets[b + 1]``; ``[0, M]`` for a single cloud.
    dropped : array [B] or [], int64
        Points of each cloud that lie outside or are not finite.
    num_voxels : array [], int64
        Voxels there are; with ``max_voxels`` the rows past them are 0, and -1 in ``index``.
    """

    points: Any
    features: Any
    colors: Any
    normals: Any
    labels: Any
    index: Any
    inverse: Any
    counts: Any
    offsets: Any
    dropped: Any
    num_voxels: Any


def voxel_downsample(
    points: Any,
    voxel_size: Any,
    *,
    features: Any = None,
    colors: Any = None,
    normals: Any = None,
    labels: Any = None,
    reduce: str = "mean",
    seed: int = 0,
    bounds: Any = None,
    origin: Any = 0.0,
    order: str = "sorted",
    lengths: Any = None,
    offsets: Any = None,
    max_voxels: int | None = None,
    return_index: bool = False,
    return_inverse: bool = False,
    return_counts: bool = False,
    check: str = "auto",
) -> DownsampledCloud:
    """Thin clouds out to one point for each voxel.

    Parameters
    ----------
    points : array [N, C], or [B, N, C] for B clouds
        Columns x, y, z; others are not looked at. float16, bfloat16, float32 or float64. With ``offsets``, the clouds
        lie one after the other in [N, C].
    voxel_size : float or (x, y, z)
        Edges of a voxel, in the unit of the points.
    features : array [N], [N, F], [B, N] or [B, N, F], optional
        Numbers that are averaged; of 64-bit integers only those of a chosen point can be had.
    colors : array [N, F] or [B, N, F], integers of up to 32 bits or floats, optional
        Averaged; the mean of integers is rounded to the nearest integer, and half goes up.
    normals : array [N, 3] or [B, N, 3], floats, optional
        Added and brought to length 1.
    labels : array [N], [N, F], [B, N] or [B, N, F], integers or booleans, optional
        The most frequent one, and of equally frequent ones the smallest.
    reduce : {"mean", "center", "first", "random", "nearest"}
        The mean of the points, the centre of the voxel, or one of the points: the first one, any one, or the one
        nearest to the centre. Of one of the points everything is taken as it is: features, colors, normals and labels.
    seed : int
        From 0 to 2**64 - 1, for "random".
    bounds, origin, order, lengths, offsets, max_voxels, check
        As in :func:`voxelize`.
    return_index : bool
        Whether to return which points were chosen; there are none with "mean" and "center".
    return_inverse, return_counts : bool
        Whether to return the voxel of each point, and the points of each voxel.

    Returns
    -------
    DownsampledCloud
        Its attributes say what it holds.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An option, a shape, a type or a device does not fit.
    DataError
        Extents point outside the array (CPU); the cells between the outermost points number 2**63 or more.

    Notes
    -----
    Cells, means and what synchronizes are those of :func:`voxelize`: exact far from the origin, and the same bits on
    CPU, GPU and in every run, in whatever order the points come. A normal is the sum, rounded to the type of the
    normals, divided by its length in float64; a sum of zero stays zero, and one that is not finite, or whose square is
    not, gives NaN. A centre is found in float64. "random" and "nearest" choose as in :func:`hard_voxelize`.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> points = np.array([[0.1, 0.1, 0.1], [0.4, 0.1, 0.1], [0.9, 0.1, 0.1]], np.float32)
    >>> colors = np.array([[10, 0, 0], [11, 0, 0], [255, 255, 255]], np.uint8)
    >>> thin = rc.voxel_downsample(points, 0.5, colors=colors, return_counts=True)
    >>> thin.points
    array([[0.25, 0.1 , 0.1 ],
           [0.9 , 0.1 , 0.1 ]], dtype=float32)
    >>> thin.colors[:, 0], thin.counts
    (array([ 11, 255], dtype=uint8), array([2, 1], dtype=int32))
    >>> rc.voxel_downsample(points, 0.5, reduce="nearest", return_index=True).index
    array([0, 2])
    """
    # Validate.
    checks.choice("reduce", reduce, REDUCE)
    checks.choice("order", order, ("sorted", "first"))
    args.options("drop", check)
    seed, limit = checks.whole("seed", seed, 0, (1 << 64) - 1), args.max_voxels_of(max_voxels)
    select = reduce if reduce in CHOICES else None
    if return_index and select is None:
        raise ArgumentError(f"return_index=True, but reduce={reduce!r} chooses no point; choose one of {CHOICES}")
    call, (given, *extras, lengths, offsets) = interop.receive(
        points=points, features=features, colors=colors, normals=normals, labels=labels, lengths=lengths,
        offsets=offsets,
    )  # fmt: skip
    native, rows = args.points_rows(given, lengths, offsets)
    grid = cells.grid(given.dtype, bounds, voxel_size, None, origin, False)
    single = given.ndim == 2 and offsets is None
    if grid.shape is not None:
        cells.numbering(grid.shape, rows.clouds)
    jobs = _jobs(native[..., :3], given, named := dict(zip(EXTRAS, extras, strict=True)), reduce)

    # Dispatch.
    with call:
        found = twin(call.backend, "attributes").attributes(
            native, tuple(jobs.values()), rows, grid, order, limit, select, seed, False, call.empty, check == "strict"
        )

        # Restore shape.
        results: dict[str, Any] = dict.fromkeys(EXTRAS)
        for name, (result,) in zip(jobs, found["features"], strict=True):
            flat = name != "points" and named[name].ndim == given.ndim - 1
            results[name] = call.give(result[:, 0] if flat else result)
        return DownsampledCloud(
            index=call.give(found["picks"]) if return_index else None,
            inverse=call.give(found["inverse"].reshape(given.shape[:-1])) if return_inverse else None,
            counts=call.give(found["counts"]) if return_counts else None,
            offsets=call.give(found["offsets"]),
            dropped=call.give(found["dropped"].reshape(()) if single else found["dropped"]),
            num_voxels=call.give(found["kept"]),
            **results,
        )


def _jobs(points: Any, given: Any, extras: dict[str, Any], reduce: str) -> dict[str, Any]:
    """What becomes of each attribute: rows, reductions and types."""
    chosen = reduce in CHOICES
    jobs = {"points": (points, ("first" if chosen else reduce,), (points.dtype,))}
    for name, array in extras.items():
        if array is None:
            continue
        kind = {"features": "mean", "colors": "mean", "normals": "unit", "labels": "mode"}[name]
        floating = array.dtype in dtypes.FLOATING
        if name == "normals" and (array.ndim != given.ndim or array.shape[-1] != 3):
            raise ShapeError(f"normals has shape {tuple(array.shape)}; expected x, y, z for each of {given.shape[:-1]}")
        if name == "normals":
            checks.dtype(name, array, dtypes.FLOATING, "Cast them to float32")
        if name == "labels" and floating:
            raise DTypeError(f"labels has dtype {array.dtype}; expected integers or booleans. Cast them")
        if name == "colors" and not floating:
            checks.dtype(name, array, SHORT, "Cast them to uint8 or int32")
            kind = "rounded"
        if chosen:
            kind = "first"
        try:
            rows = args.feature_rows(array, given, (kind,))
        except (ShapeError, DTypeError) as error:
            raise type(error)(str(error).replace("features has", f"{name} has", 1)) from None
        dtype = array.dtype if kind in ("rounded", "unit") else args.result_dtype(kind, array.dtype)
        jobs[name] = (rows, (kind,), (dtype,))
    return jobs
