"""The surface in a truncated signed distance field: as points, or as a mesh."""

from typing import Any, NamedTuple

import numpy as np

from .. import interop
from .._core import checks
from .._core.errors import ArgumentError, BackendError, DeviceError, DTypeError
from . import _volume
from ._dispatch import twin

__all__ = ["SurfaceMesh", "SurfacePoints", "tsdf_to_mesh", "tsdf_to_points"]

CHECKS = ("auto", "strict")


class SurfacePoints(NamedTuple):
    """Points of a surface, all arrays in the framework and on the device of the grid.

    ``points`` [M, 3]; ``normals`` [M, 3] float32, towards where the surface was seen from, or None; ``colors`` [M, 3]
    float32 or None; ``num_points`` [] int64, the rows that are points, and ``found`` [] int64, the points there would
    be without ``max_points``.
    """

    points: Any
    normals: Any
    colors: Any
    num_points: Any
    found: Any


class SurfaceMesh(NamedTuple):
    """Triangles of a surface.

    ``vertices`` [N, 3]; ``faces`` [M, 3] int32, counter-clockwise seen from where the surface was seen; ``normals``
    [N, 3] float32; ``colors`` [N, 3] float32 or None.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    colors: np.ndarray | None


def tsdf_to_points(
    grid: Any,
    weight: Any,
    *,
    bounds: Any = None,
    voxel_size: Any = None,
    origin: Any = None,
    min_weight: float = 1.0,
    grid_color: Any = None,
    normals: bool = True,
    dtype: Any = np.float32,
    max_points: int | None = None,
    check: str = "auto",
) -> SurfacePoints:
    """Find the points where a field of signed distances crosses zero.

    Parameters
    ----------
    grid, weight, grid_color : array
        As :func:`tsdf_integrate` has filled them: float32 [X, Y, Z], [X, Y, Z] and [X, Y, Z, 3].
    bounds, voxel_size, origin
        Where the voxels lie, as in :func:`tsdf_integrate`.
    min_weight : float
        Voxels of less weight have not been seen.
    normals : bool
        Whether to work out normals.
    dtype : float32 or float64
        Type of the points; far from the origin float32 is coarse.
    max_points : int, optional
        Rows of the result, used or not. Nothing synchronizes then, and a CUDA graph can capture the call.
    check : {"auto", "strict"}
        "strict" waits for the GPU and raises if there are more points than ``max_points``; otherwise the next call
        warns. On the CPU it raises instead of warning.

    Returns
    -------
    SurfacePoints
        With ``max_points``, rows past ``num_points`` hold NaN, and zeros in normals and colors.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An option, a shape, a type or a device does not fit.
    DataError
        There are more points than ``max_points`` and ``check="strict"``.

    Notes
    -----
    There is a point between two neighbours along x, y or z if both have weight, both distances lie inside (-1, 1) and
    one of them is above zero and the other is not. A value of -1 or 1 was cut off and says nothing of the surface,
    which also keeps out the jump behind an edge. The point lies at ``a / (a - b)`` of the way from a to b, found in
    float32; colours are blended by that share. Coordinates are ``(index + 0.5 + share) * voxel_size + origin`` in
    float64, rounded to ``dtype``. Points are in the order of their first voxel, x slowest, and then of the axes x, y,
    z.

    A normal is the gradient of the field, over both neighbours of an axis that have weight and lie within [-1, 1] or
    over the only one, blended between the two voxels and made a unit; zero where the gradient is. It points to where
    distances are positive, which is where the cameras were.

    All in single IEEE operations without fusing: CPU, GPU and every run give the same bits. Without ``max_points`` the
    number of points must reach the host. # synchronizes once on the GPU
    With it, points past the limit are left out: a DataWarning on the CPU, a fault that the next call reports on the
    GPU. Arrays that are not contiguous are copied first.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.ops.surface import tsdf_to_points
    >>> distance = np.array([0.75, 0.25, -0.25, -0.75], np.float32)  # falls along z
    >>> grid = np.broadcast_to(distance, (2, 1, 4))
    >>> found = tsdf_to_points(grid, np.ones_like(grid), voxel_size=0.1)
    >>> found.points
    array([[0.05, 0.05, 0.2 ],
           [0.15, 0.05, 0.2 ]], dtype=float32)
    >>> found.normals[0]
    array([ 0.,  0., -1.], dtype=float32)
    """
    # Validate.
    checks.choice("check", check, CHECKS)
    limit = None if max_points is None else checks.whole("max_points", max_points, 0, (1 << 62) - 1)
    real = _real(dtype)
    call, (field, mass, tint) = interop.receive(grid=grid, weight=weight, grid_color=grid_color)
    with call:
        space, least = _checked(field, mass, tint, bounds, origin, voxel_size, min_weight, call.xp)
        copies = [None if a is None else call.xp.ascontiguousarray(a) for a in (field, mass, tint)]

        # Dispatch.
        found = twin(call.backend, "surface").crossings(
            *copies, space, least, real, normals, limit, call.empty, check == "strict"
        )

        # Restore shape.
        names = ("points", "normals", "colors", "kept", "found")
        return SurfacePoints(*(None if found[name] is None else call.give(found[name]) for name in names))


def tsdf_to_mesh(
    grid: Any,
    weight: Any,
    *,
    bounds: Any = None,
    voxel_size: Any = None,
    origin: Any = None,
    min_weight: float = 1.0,
    grid_color: Any = None,
    dtype: Any = np.float32,
) -> SurfaceMesh:
    """Make triangles of the surface where a field of signed distances crosses zero, by scikit-image's marching cubes.

    Parameters
    ----------
    grid, weight, grid_color : array on the CPU
        As :func:`tsdf_integrate` has filled them: float32 [X, Y, Z], [X, Y, Z] and [X, Y, Z, 3].
    bounds, voxel_size, origin
        Where the voxels lie, as in :func:`tsdf_integrate`.
    min_weight : float
        Voxels of less weight have not been seen.
    dtype : float32 or float64
        Type of the vertices; far from the origin float32 is coarse.

    Returns
    -------
    SurfaceMesh
        NumPy arrays; without rows where there is no surface.

    Raises
    ------
    BackendError
        scikit-image, the extra ``mesh``, is not installed.
    DeviceError
        The grid lives on a GPU: nothing is moved unasked.
    ArgumentError, ShapeError, DTypeError
        An option, a shape or a type does not fit.

    Notes
    -----
    A cube of eight voxels makes triangles if all of them have weight and lie within [-1, 1], and if no edge on which
    the sign changes has an end at -1 or 1: the rule of :func:`tsdf_to_points`. Other cubes are holes. The method is
    that of Lewiner et al. (2003); vertices lie on edges between voxels, by linear interpolation up to float32's
    rounding.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.ops.surface import tsdf_to_mesh
    >>> grid = np.broadcast_to(np.array([0.75, 0.25, -0.25, -0.75], np.float32), (2, 2, 4))
    >>> mesh = tsdf_to_mesh(grid, np.ones_like(grid), voxel_size=0.1)  # doctest: +SKIP
    >>> mesh.vertices.shape, mesh.faces.shape  # doctest: +SKIP
    ((4, 3), (2, 3))
    """
    # Validate.
    real = _real(dtype)
    call, (field, mass, tint) = interop.receive(grid=grid, weight=weight, grid_color=grid_color)
    if call.backend != "cpu":
        raise DeviceError(
            "grid lives on a GPU, and scikit-image's marching cubes run on the CPU; copy the arrays to the host first "
            "(grid.get() of CuPy, grid.cpu() of torch), or use tsdf_to_points"
        )
    space, least = _checked(field, mass, tint, bounds, origin, voxel_size, min_weight, np)
    try:
        from skimage.measure import marching_cubes
    except ImportError as error:
        raise BackendError("tsdf_to_mesh needs scikit-image; install it with: pip install 'robocache[mesh]'") from error

    # Dispatch.
    seen = (mass >= least) & (np.abs(field) <= 1)
    cubes = _cubes(field, seen)
    if not cubes.any():
        none = np.empty((0, 3), np.float32)
        return SurfaceMesh(none.astype(real), none.astype(np.int32), none, None if tint is None else none.copy())
    mask = np.zeros(field.shape, bool)
    mask[1:, 1:, 1:] = cubes  # where scikit-image looks for that of a cube
    filled = np.where(seen, field, np.float32(1))
    places, faces, normals, _ = marching_cubes(filled, 0.0, mask=mask, gradient_direction="descent")

    # Restore shape.
    vertices = (places.astype(np.float64) + 0.5) * np.array(space.size) + np.array(space.origin)
    colors = None if tint is None else _blended(tint, places)
    outward = -normals / np.array(space.size)  # scikit-image's point into the object, and are of cubes
    length = np.linalg.norm(outward, axis=1, keepdims=True)
    outward = np.where(length > 0, outward / np.where(length > 0, length, 1), 0)
    return SurfaceMesh(vertices.astype(real), faces.astype(np.int32), outward.astype(np.float32), colors)


def _real(dtype: Any) -> np.dtype:
    try:
        real = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"dtype={dtype!r} is no NumPy dtype: {error}") from None
    if real not in _volume.REAL:
        raise DTypeError(f"dtype={dtype!r}; points are float32 or float64")
    return real


def _checked(
    field: Any, mass: Any, tint: Any, bounds: Any, origin: Any, voxel_size: Any, min_weight: Any, xp: Any
) -> tuple[_volume.Volume, float]:
    """Where the voxels lie, and the least weight as float32 holds it; arrays that do not fit are refused."""
    space = _volume.volume(tuple(field.shape), bounds, origin, voxel_size)
    given = {"grid": field, "weight": mass} | ({} if tint is None else {"grid_color": tint})
    _volume.fields(given, tuple(field.shape), False, xp)
    least = float(np.float32(checks.positive("min_weight", min_weight)))
    if not least >= float(np.finfo(np.float32).tiny):
        raise ArgumentError(f"min_weight={min_weight!r} is below the least normal float32")
    for axis, size in zip("xyz", space.size, strict=True):
        if not float(np.finfo(np.float32).tiny) <= np.float32(size) <= float(np.finfo(np.float32).max):
            raise ArgumentError(f"voxels of {size!r} along {axis} leave float32")
    return space, least


def _cubes(field: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Cubes [X - 1, Y - 1, Z - 1] that may make triangles, and do."""
    if min(field.shape) < 2:
        return np.zeros((1, 1, 1), bool)
    inside, above = np.abs(field) < 1, field > 0
    good, crossed, spoilt = seen, np.zeros((1, 1, 1), bool), np.zeros((1, 1, 1), bool)
    for axis in range(3):
        good = _paired(good, axis, np.logical_and)
        change = _paired(above, axis, np.not_equal)
        cut = change & ~_paired(inside, axis, np.logical_and)
        for other in {0, 1, 2} - {axis}:
            change, cut = _paired(change, other, np.logical_or), _paired(cut, other, np.logical_or)
        crossed, spoilt = crossed | change, spoilt | cut
    return good & crossed & ~spoilt


def _paired(array: np.ndarray, axis: int, how: Any) -> Any:
    """What neighbours along an axis come to."""
    moved = np.moveaxis(array, axis, 0)
    return np.moveaxis(how(moved[:-1], moved[1:]), 0, axis)


def _blended(tint: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Colours at places that lie on edges between voxels."""
    low = np.floor(places).astype(np.int64)
    high = np.minimum(np.ceil(places).astype(np.int64), np.array(tint.shape[:3]) - 1)
    share = (places - low).max(axis=1, keepdims=True).astype(np.float32)
    first, last = tint[tuple(low.T)], tint[tuple(high.T)]
    return first + share * (last - first)
