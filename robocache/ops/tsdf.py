"""Depth pictures into a truncated signed distance field."""

from typing import Any

from .. import interop
from .._core import checks
from .._core.errors import ArgumentError
from . import _volume
from ._dispatch import twin
from ._outputs import apart

__all__ = ["tsdf_integrate"]

CHECKS = ("auto", "strict")


def tsdf_integrate(
    grid: Any,
    weight: Any,
    depth: Any,
    K: Any,
    T: Any,
    *,
    bounds: Any = None,
    voxel_size: Any = None,
    origin: Any = None,
    truncation: float | None = None,
    depth_scale: float | None = None,
    max_depth: float | None = None,
    max_weight: float = 128.0,
    color: Any = None,
    grid_color: Any = None,
    check: str = "auto",
) -> tuple[Any, ...]:
    """Fuse posed depth pictures into a dense grid of truncated signed distances, in place.

    Parameters
    ----------
    grid : array [X, Y, Z], float32, C-contiguous
        Signed distances in units of ``truncation``, in [-1, 1] and positive before the surface. Read and written.
    weight : array [X, Y, Z], float32, C-contiguous
        How many pictures each voxel has had, at most ``max_weight``. Read and written; begin with zeros.
    depth : array [H, W] or [V, H, W], uint16, float16, float32 or float64
        Depth along the optical axis of each pixel. 0, negative, NaN and infinite ones are no depth.
    K : array [3, 3] or [4] (fx, fy, cx, cy), or [V, 3, 3] or [V, 4]
        Intrinsics in pixels, of all views or of each. The centre of a pixel lies on whole numbers.
    T : array [4, 4] or [3, 4], or [V, 4, 4] or [V, 3, 4]
        Poses: rigid transforms from the camera (x right, y down, z forward) to the world.
    bounds : (x0, y0, z0, x1, y1, z1) or two corners, optional
        What the grid covers. Give this or ``voxel_size``.
    voxel_size : float or (x, y, z), optional
        Edges of a voxel.
    origin : float or (x, y, z), optional
        Lower corner of voxel (0, 0, 0), beside ``voxel_size``; 0 if not given.
    truncation : float, optional
        Distance at which the field is cut off, in the unit of the volume; four voxels if not given.
    depth_scale : float, optional
        Units of depth in one of the volume: 1000 for millimetres in metres. 1 for floats; integers need it.
    max_depth : float, optional
        Depths beyond are no depth, in the unit of the volume.
    max_weight : float
        Where weights stop: with more views, the last ones count as much as ``1 / (max_weight + 1)`` each.
    color : array of the shape of depth and 3, uint8 or float32, optional
        Colour of each pixel.
    grid_color : array [X, Y, Z, 3], float32, C-contiguous, optional
        Colour of each voxel, in the unit of ``color``. Read and written; goes with ``color``.
    check : {"auto", "strict"}
        "strict" waits for the GPU and raises if a camera on it was no camera; otherwise the next call warns.

    Returns
    -------
    grid, weight, grid_color
        The very arrays that were given, written; ``grid_color`` only with colours.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An option, a shape, a type or a device does not fit; arrays that are written overlap others.
    DataError
        K or T on the host are no intrinsics and no rigid transform.

    Notes
    -----
    Each voxel takes the views in their order, so one call of many views gives the bits of one call a view. A view
    changes a voxel where its centre lies before the camera, falls on a pixel that has depth, and is no further behind
    that depth than ``truncation``. All other voxels keep every bit; where no view sees anything nothing is read either.
    The first view of a voxel replaces what grid and grid_color hold there, which may be anything, NaN too.

    With ``n`` the weight so far and the distance ``s = min(1, (depth - z) / truncation)`` along the optical axis,
    ``grid += (s - grid) / (n + 1)``, the same for each colour, and then ``weight = min(n + 1, max_weight)``. This is
    the projective distance of Curless and Levoy (1996) as KinectFusion (2011) has it: exact at the surface, too long
    off it where the surface is seen at an angle. Distances behind a surface of which only the front was seen go no
    further than ``truncation``: keep it below the thickness of things, and above the noise of depth. Where views from
    the side outnumber those from the front, their longer distances move the surface, on a sphere by less than a voxel.

    Where voxel (0, 0, 0) lies before the camera, and the steps to its neighbours, are worked out in float64, in units
    of depth and, for x and y, times fx and fy; then rounded to float32. What follows is single IEEE operations of
    float32 with nothing fused: ``((c + i*a) + j*b) + k*d`` for X, Y and Z; ``r = 1/Z``; column ``floor(X*r + (cx +
    0.5))`` and row likewise; depth rounded to float32; ``(depth - Z) * (1/truncation)``. So CPU, GPU and every run give
    the same bits, and a volume at 4e6 m is as exact as one at the origin. Weights below the least normal float32 count
    as none.

    The GPU reads and writes only voxels that some view changes, each once for every 16 views, in one launch (one for
    every 16 views if K or T are on the host). Nothing synchronizes but ``check="strict"``. K and T may live on the
    host, from where they travel as arguments, or on the device of the grid; a CUDA graph can capture the call, and
    reads those on the device anew. A camera on the device that is none is left out and reported. Depth and colours that
    are not contiguous are copied first.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.ops.tsdf import tsdf_integrate
    >>> grid, weight = np.ones((4, 4, 8), np.float32), np.zeros((4, 4, 8), np.float32)
    >>> depth = np.full((48, 64), 500, np.uint16)  # a wall half a metre away
    >>> K, T = (60, 60, 31.5, 23.5), np.eye(4)
    >>> bounds = (-0.2, -0.2, 0.1, 0.2, 0.2, 0.9)
    >>> _ = tsdf_integrate(grid, weight, depth, K, T, bounds=bounds, truncation=0.2, depth_scale=1000)
    >>> [round(distance, 2) for distance in grid[2, 2].tolist()]
    [1.0, 1.0, 0.75, 0.25, -0.25, -0.75, 1.0, 1.0]
    >>> weight[2, 2].astype(int)
    array([1, 1, 1, 1, 1, 1, 0, 0])
    """
    # Validate.
    checks.choice("check", check, CHECKS)
    if (color is None) != (grid_color is None):
        raise ArgumentError("color and grid_color go together; give both or none")
    for name, array in (("grid", grid), ("weight", weight), ("grid_color", grid_color)):
        if array is not None:
            interop.writable(name, array)
    remote = _volume.places({"K": K, "T": T})
    call, arrays = interop.receive(grid=grid, weight=weight, grid_color=grid_color, depth=depth, color=color, **remote)
    target, mass, tint, depths, shades = arrays[:5]
    there = dict(zip(remote, arrays[5:], strict=True))
    with call:
        space = _volume.volume(tuple(target.shape), bounds, origin, voxel_size)
        written = {"grid": target, "weight": mass} | ({} if tint is None else {"grid_color": tint})
        _volume.fields(written, tuple(target.shape), True, call.xp)
        reads = {"depth": depths, "color": shades, **there}
        for name, array in written.items():
            apart(name, array, reads, call.xp)
        rows, shades = _volume.pictures(depths, shades)
        terms = _volume.terms(rows.dtype, space, truncation, depth_scale, max_depth, max_weight)
        cameras = _volume.Cameras(
            _volume.intrinsics(there.get("K", K), rows.shape[0], "K" not in there),
            _volume.poses(there.get("T", T), rows.shape[0], "T" not in there),
            rows.shape[0],
        )

        # Dispatch.
        if target.size and rows.size:
            strict = check == "strict"
            twin(call.backend, "tsdf").integrate(target, mass, tint, rows, shades, cameras, space, terms, strict)

        # Restore shape.
        return (grid, weight) if grid_color is None else (grid, weight, grid_color)
