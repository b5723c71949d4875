"""Point clouds: moved by a transform, cut by a box."""

from typing import Any

from .. import interop
from .._core import checks, dtypes
from . import _cloud_args as args
from . import _outputs
from . import _voxel_args as clouds
from ._cloud_set import PackedPoints, packed
from ._dispatch import twin

__all__ = ["PackedPoints", "crop_box", "transform_points"]


def transform_points(
    points: Any, T: Any, *, lengths: Any = None, offsets: Any = None, out: Any = None, check: str = "auto"
) -> Any:
    """Move points by an affine transform.

    Parameters
    ----------
    points : array [N, C], or [B, N, C] for B clouds
        Columns x, y, z, then any others, which stay; float16, bfloat16, float32 or float64.
    T : array or list [3, 4] or [4, 4], or an array with [B] before that
        One transform, or one for each cloud, of float32 or float64; translations in the unit of the points. On the
        GPU, a single one may also come from the host; the last row of [4, 4] is 0, 0, 0, 1.
    lengths : array [B], int32 or int64, optional
        Points of each padded cloud that are real.
    offsets : array [B + 1], int32 or int64, optional
        Cloud ``b`` is ``points[offsets[b]:offsets[b + 1]]`` of packed points [N, C].
    out : array, optional
        Where to write: C-contiguous, of the shape and type of ``points``, without overlap.
    check : {"auto", "strict", "none"}
        "strict" waits for the GPU and raises if lengths or offsets point outside; else the next call warns.

    Returns
    -------
    array
        In the shape and type of ``points``; ``out`` itself if given.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An argument does not fit, or the last row of a T on the CPU is another.
    DataError
        Lengths or offsets point outside the points: on the CPU, and with ``check="strict"``.

    Notes
    -----
    Of each axis ``((t0 * x + t1 * y) + t2 * z) + t3``, each operation rounded by itself in the type of the points
    (float32 for 16-bit ones, then rounded once more), to which T is rounded first. CPU, GPU and every run give the
    same bits, but for which NaN a NaN becomes. With float32 and coordinates such as UTM's, where a metre is a few units
    in the last place, subtract an origin first or pass float64.

    Points that belong to no cloud (padding) are copied as they are. On the GPU the last row of a T that lives there is
    not read. One launch, no waiting but for ``check="strict"``; a CUDA graph can capture the call.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.ops.clouds import transform_points
    >>> points = np.array([[1.0, 0.0, 0.0, 7.0], [0.0, 2.0, 0.0, 8.0]])
    >>> transform_points(points, [[0, -1, 0, 0.5], [1, 0, 0, 0], [0, 0, 1, 0]])
    array([[ 0.5,  1. ,  0. ,  7. ],
           [-1.5,  0. ,  0. ,  8. ]])
    """
    # Validate.
    checks.choice("check", check, clouds.CHECKS)
    single = args.constant("T", T, args.AFFINE)
    call, (given, poses, lengths, offsets, target) = interop.receive(
        points=points, T=None if single is not None else T, lengths=lengths, offsets=offsets, out=out
    )
    native, rows = clouds.points_rows(given, lengths, offsets)
    with call:
        pose = args.table("T", poses if single is None else single, args.AFFINE, ((), (rows.clouds,)), call)
        if out is None:
            target = call.empty(tuple(given.shape), given.dtype)
        else:
            interop.writable("out", out)
            _outputs.fits("out", target, tuple(given.shape), given.dtype)
            reads = {"points": given, "T": poses, "lengths": lengths, "offsets": offsets}
            _outputs.apart("out", target, reads, call.xp)

        # Dispatch.
        twin(call.backend, "clouds").transform(native, rows, pose, target.reshape(native.shape), check == "strict")

        # Restore shape.
        return out if out is not None else call.give(target)


def crop_box(
    points: Any,
    bounds: Any,
    features: Any = None,
    *,
    T: Any = None,
    lengths: Any = None,
    offsets: Any = None,
    return_index: bool = False,
    max_points: int | None = None,
    check: str = "auto",
) -> PackedPoints:
    """Keep the points in a box, in their order.

    Parameters
    ----------
    points : array [N, C], or [B, N, C] for B clouds
        Columns x, y, z, then any others; float16, bfloat16, float32 or float64.
    bounds : (x0, y0, z0, x1, y1, z1) or two corners
        Points on the lower bounds are inside, those on the upper ones outside. Infinite ones bound nothing.
    features : array [N], [N, F], [B, N] or [B, N, F], optional
        What goes with the points, of any type.
    T : array or list [3, 4] or [4, 4], or an array with [B] before that, optional
        As in `transform_points`, by which the points are moved first.
    lengths, offsets
        As in `transform_points`. Padding is left out.
    return_index : bool
        Whether the result has an index.
    max_points : int, optional
        Rows of the result, used or not. Nothing synchronizes then, and a CUDA graph can capture the call.
    check : {"auto", "strict", "none"}
        "strict" waits for the GPU and raises what its kernels found wrong; else the next call warns.

    Returns
    -------
    PackedPoints
        Its attributes say what it holds. With ``max_points``, rows past ``num_points`` hold points 0, features 0 and
        index -1.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An argument does not fit.
    DataError
        Lengths or offsets point outside the points: on the CPU, and with ``check="strict"``.

    Notes
    -----
    A point is kept where ``lower <= p < upper`` on every axis, compared as floats in the type of the points (float32
    for 16-bit ones), to which bounds are rounded first; NaN and infinite coordinates never are. So a box keeps what
    the voxels of the same bounds do, but for points within a rounding of an upper bound. With T the result is, bit for
    bit, that of `transform_points` followed by this. CPU, GPU and every run give the same.

    Without ``max_points`` the number of points must reach the host. # synchronizes once on the GPU
    With it, points past the limit are left out: a DataWarning on the CPU (an error with ``check="strict"``), a fault
    reported by the next call (or by ``check="strict"``) on the GPU. ``offsets`` then ends at the last row used, and
    `voxelize` and others take the rows past it for padding.

    On the GPU, one launch that reads each point once (the count before it is another), in which blocks pass on how many
    points came before them (decoupled look-back: Merrill and Garland, 2016). A call takes fewer than 2**31 points.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.ops.clouds import crop_box
    >>> points = np.array([[0.5, 0.5, 0.5], [2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [1.0, 0.0, 0.0]], np.float32)
    >>> kept = crop_box(points, (0, 0, 0, 1, 1, 1), return_index=True)
    >>> kept.points
    array([[0.5, 0.5, 0.5],
           [0. , 0. , 0. ]], dtype=float32)
    >>> kept.index, kept.offsets
    (array([0, 2]), array([0, 2]))
    """
    # Validate.
    checks.choice("check", check, clouds.CHECKS)
    most, single = args.limit(max_points), args.constant("T", T, args.AFFINE)
    call, (given, values, poses, lengths, offsets) = interop.receive(
        points=points, features=features, T=None if single is not None else T, lengths=lengths, offsets=offsets
    )
    native, rows = clouds.points_rows(given, lengths, offsets)
    box = args.box(bounds, dtypes.accumulator(given.dtype))
    with call:
        pose = None
        if T is not None:
            pose = args.table("T", poses if single is None else single, args.AFFINE, ((), (rows.clouds,)), call)
        feature, flat = args.feature_rows("features", values, tuple(given.shape[:-1]), call)

        # Dispatch.
        found = twin(call.backend, "clouds").crop(
            native, feature, rows, pose, box, return_index, most, call.empty, check == "strict"
        )

        # Restore shape.
        return packed(call, found, flat)
