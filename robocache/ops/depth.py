"""Depth images: to points, and to the normals of surfaces."""

from typing import Any

import numpy as np

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, ShapeError
from . import _cloud_args as args
from . import _depth_args as images
from ._cloud_set import packed
from ._dispatch import twin
from ._voxel_args import CHECKS

__all__ = ["depth_to_points", "estimate_normals"]


def depth_to_points(
    depth: Any,
    K: Any,
    T: Any = None,
    *,
    color: Any = None,
    depth_scale: float | None = None,
    depth_range: Any = (0.0, np.inf),
    bounds: Any = None,
    stride: int = 1,
    organized: bool = False,
    return_index: bool = False,
    max_points: int | None = None,
    dtype: Any = None,
    check: str = "auto",
) -> Any:
    """Turn depth images into points, in one cloud for all views of a scene.

    Parameters
    ----------
    depth : array [H, W], [V, H, W] for V views of a scene, or [B, V, H, W] for B scenes
        Distance along the optical axis; uint16, float16, float32 or float64. 0, less, NaN and infinity mean that
        nothing was measured.
    K : array or list [3, 3] or [4], or an array with [V] or [B, V] before that
        Pinhole intrinsics in pixels of the whole image, fx, 0, cx; 0, fy, cy; 0, 0, 1 or (fx, fy, cx, cy), of float32
        or float64; the centre of the first pixel is (0, 0). On the GPU, a single one may also come from the host.
    T : array or list [3, 4] or [4, 4], or an array with [V] or [B, V] before that, optional
        Camera to world, likewise. Without it points are in the frame of their camera: x right, y down, z ahead.
    color : array [..., H, W] or [..., H, W, F], optional
        What goes with the pixels, of any type, and becomes ``features``.
    depth_scale : float, optional
        Units of ``depth`` in a unit of the points, 1000 for millimetres and metres. Integers need it; floats have 1.
    depth_range : (near, far)
        Pixels are used where ``near <= z < far``, in the unit of the points.
    bounds : (x0, y0, z0, x1, y1, z1) or two corners, optional
        Only points in this box are kept, see `crop_box`. With T it lies in the world.
    stride : int
        Every how many rows and columns a pixel is used, from the first on.
    organized : bool
        Whether to return all points in the order of the image and a mask, instead of those that are kept.
    return_index : bool
        Whether the result has an index, which counts over all pixels of ``depth``.
    max_points : int, optional
        Rows of the result, used or not. Nothing synchronizes then, and a CUDA graph can capture the call.
    dtype : float32 or float64, optional
        Type of the points and of the arithmetic; default float64 for float64 depth, else float32.
    check : {"auto", "strict", "none"}
        "strict" waits for the GPU and raises if there are more points than ``max_points``; else the next call warns.

    Returns
    -------
    PackedPoints
        Points [M, 3], in the order of scene, view, row and column, features, index, and offsets of B scenes.
    points, valid : array [..., H', W', 3] and bool array [..., H', W']
        With ``organized``: ``H' = ceil(H / stride)``. Where ``valid`` is False, points are NaN.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An argument does not fit.

    Notes
    -----
    ``z = depth * (1 / depth_scale)``, ``x = ((column - cx) * (1 / fx)) * z``, ``y = ((row - cy) * (1 / fy)) * z``, then
    T as in `transform_points`; each operation is rounded by itself in ``dtype``, to which all numbers are rounded first
    (of ``depth_scale``, one over it). CPU, GPU and every run give the same bits. Lens distortion is not modelled:
    rectify images first. Depth may have any strides; colours that are not contiguous are copied first.

    A point is kept if its pixel was measured and lies within ``depth_range``, and the point is finite and within
    ``bounds``. ``max_points``, and what synchronizes, are as in `crop_box`; ``organized`` never synchronizes. On the
    GPU, one launch unprojects, moves, crops and compacts (the count before it, without ``max_points``, is another), and
    the matrices that live there are taken as they are. A call takes fewer than 2**31 pixels.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.ops.depth import depth_to_points
    >>> depth = np.array([[1000, 0], [2000, 500]], np.uint16)  # millimetres
    >>> cloud = depth_to_points(depth, (1.0, 1.0, 0.0, 0.0), depth_scale=1000)
    >>> cloud.points
    array([[0. , 0. , 1. ],
           [0. , 2. , 2. ],
           [0.5, 0.5, 0.5]], dtype=float32)
    """
    # Validate.
    checks.choice("check", check, CHECKS)
    most, every = args.limit(max_points), checks.whole("stride", stride, 1, (1 << 31) - 1)
    lens_given, pose_given = args.constant("K", K, args.LENS), args.constant("T", T, args.AFFINE)
    call, (given, lenses, poses, colors) = interop.receive(
        depth=depth, K=None if lens_given is not None else K, T=None if pose_given is not None else T, color=color
    )
    real = images.result_dtype(given, dtype)
    pixels = images.pixels(given, every, depth_scale, depth_range, args.box(bounds, real), real)
    if organized and (color is not None or return_index or max_points is not None):
        raise ArgumentError("organized=True keeps every pixel: leave out color, return_index and max_points")
    with call:
        lens = images.table("K", lenses if lens_given is None else lens_given, args.LENS, given, call)
        pose = None
        if T is not None:
            pose = images.table("T", poses if pose_given is None else pose_given, args.AFFINE, given, call)
        feature, flat = args.feature_rows("color", colors, tuple(given.shape), call)

        # Dispatch.
        views = images.views(given, every)
        module = twin(call.backend, "depth")
        if not organized:
            clouds = given.shape[0] if given.ndim == 4 else 1
            found = module.unproject(
                views, lens, pose, pixels, feature, clouds, return_index, most, call.empty, check == "strict"
            )
            return packed(call, found, flat)
        shape = (*given.shape[:-2], *views.shape[2:])
        points, valid = call.empty((*shape, 3), real), call.empty(shape, dtypes.boolean)
        module.organize(views, lens, pose, pixels, points.reshape(*views.shape, 3), valid.reshape(views.shape))

        # Restore shape.
        return call.give(points), call.give(valid)


def estimate_normals(
    points: Any, valid: Any = None, *, viewpoint: Any = (0.0, 0.0, 0.0), max_jump: float = 0.05
) -> tuple[Any, Any]:
    """Find the normals of the surfaces in an organized cloud.

    Parameters
    ----------
    points : array [..., H, W, 3] with up to two axes before those of the image
        Points in the order of a depth image, float32 or float64, as from ``depth_to_points(..., organized=True)``.
    valid : array [..., H, W] of bool, optional
        Which points to use. NaN and infinite points never are.
    viewpoint : (x, y, z), or array [V, 3] or [B, V, 3] of float32 or float64
        Where the camera is in the frame of the points: normals point to its side.
    max_jump : float
        How far a neighbour may be, as a share of the point's distance from the viewpoint, to be of the same surface.

    Returns
    -------
    normals : array [..., H, W, 3]
        Vectors of length one in the type of the points; NaN where there is none.
    known : array [..., H, W] of bool
        Where there is a normal.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An argument does not fit.

    Notes
    -----
    Along the row, the difference is that of the right and the left neighbour, or of the point itself in place of one
    that is outside the image, not used, or too far: where ``|q - p|**2 > max_jump**2 * |p - viewpoint|**2``. Down the
    column likewise. The normal is their cross product, divided by its length, and turned to where
    ``n . (viewpoint - p) >= 0``. There is none where both neighbours of a row or column are missing, or the product
    is too short or too long for its squared length to be above 0 and finite.

    Sums go from x to z, each operation is rounded by itself in the type of the points, and square roots and
    quotients are IEEE's; so CPU, GPU and every run give the same bits. One launch, no waiting; a CUDA graph can capture
    the call. Differences of neighbours are as noisy as the depth: smooth it first where that matters.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.ops.depth import depth_to_points, estimate_normals
    >>> wall = np.full((3, 4), 2.0, np.float32)
    >>> points, valid = depth_to_points(wall, (100.0, 100.0, 1.5, 1.0), organized=True)
    >>> normals, known = estimate_normals(points, valid)
    >>> normals[1, 2] + 0.0
    array([ 0.,  0., -1.], dtype=float32)
    """
    # Validate.
    jump = checks.positive("max_jump", max_jump)
    single = args.constant("viewpoint", viewpoint, ((3,),))
    call, (given, mask, eyes) = interop.receive(
        points=points, valid=valid, viewpoint=None if single is not None else viewpoint
    )
    checks.ndim("points", given, (3, 4, 5), "[H, W, 3], [V, H, W, 3] or [B, V, H, W, 3]")
    checks.dtype("points", given, args.REAL, "Cast them to float32")
    if given.shape[-1] != 3:
        raise ShapeError(f"points has shape {tuple(given.shape)}; the last axis must hold x, y and z")
    images.some("points", given.shape[:-1])
    with call:
        eye = images.table("viewpoint", eyes if single is None else single, ((3,),), given[..., 0], call)
        flags = images.mask(mask, tuple(given.shape[:-1]), call)
        shape = images.four(given.shape[:-1])
        cloud = call.xp.ascontiguousarray(given).reshape(*shape, 3)
        normals, known = (
            call.empty(tuple(given.shape), given.dtype),
            call.empty(tuple(given.shape[:-1]), dtypes.boolean),
        )

        # Dispatch.
        twin(call.backend, "depth").normals(
            cloud, None if flags is None else flags.reshape(shape), eye, jump, normals.reshape(*shape, 3),
            known.reshape(shape),
        )  # fmt: skip

        # Restore shape.
        return call.give(normals), call.give(known)
