"""What integrating and reading a volume is given: where its voxels lie, and the cameras that saw it."""

from typing import Any, NamedTuple

import numpy as np

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataError, DTypeError, ShapeError
from ._outputs import apart, fits
from ._voxel_cells import Triple, corners

LONGEST = 1 << 24  # voxels of an axis, and pixels: whole numbers up to there are float32
RIGID = 1e-3  # by which the products of the axes of a pose may miss those of a rotation
REAL: frozenset[np.dtype] = frozenset({dtypes.float32, dtypes.float64})
DEPTHS: frozenset[np.dtype] = frozenset({np.dtype(np.uint16), dtypes.float16, dtypes.float32, dtypes.float64})
COLORS: frozenset[np.dtype] = frozenset({np.dtype(np.uint8), dtypes.float32})


class Volume(NamedTuple):
    """Lower corner of voxel (0, 0, 0) and the edges of a voxel."""

    origin: Triple
    size: Triple


class Cameras(NamedTuple):
    """Intrinsics and poses of the views, float64 on the host or as they are on the device.

    ``intrinsics`` is [n, 4] as fx, fy, cx, cy or [n, 9] as a matrix, ``poses`` [n, 12] or [n, 16] by rows, with n = 1
    for all views or one each.
    """

    intrinsics: Any
    poses: Any
    views: int


class Terms(NamedTuple):
    """The numbers of an integration: units of depth in one of the volume, and what they come to in those units."""

    scale: float
    truncation: float
    limit: float
    most: float


def volume(shape: tuple[int, ...], bounds: Any, origin: Any, voxel_size: Any) -> Volume:
    """Where the voxels of a grid lie."""
    if len(shape) != 3:
        raise ShapeError(f"grid has shape {tuple(shape)}; expected [X, Y, Z]")
    if max(shape) >= LONGEST:
        raise ShapeError(f"grid has shape {tuple(shape)}; an axis holds fewer than 2**24 voxels")
    if (bounds is None) == (voxel_size is None):
        raise ArgumentError("give exactly one of bounds and voxel_size; the grid's shape says the rest")
    if bounds is None:
        sizes = checks.triple("voxel_size", voxel_size)
        if min(sizes) <= 0:
            raise ArgumentError(f"voxel_size={voxel_size!r} must be above zero")
        return Volume(checks.triple("origin", 0.0 if origin is None else origin), sizes)
    if origin is not None:
        raise ArgumentError(f"origin={origin!r} has no say beside bounds; the lower bound is the origin")
    low, high = corners(bounds)
    x, y, z = ((b - a) / max(n, 1) for a, b, n in zip(low, high, shape, strict=True))
    return Volume(low, (x, y, z))


def fields(given: dict[str, Any], shape: tuple[int, ...], written: bool, xp: Any) -> None:
    """Refuse arrays of a volume that do not fit its grid; those that are written must be contiguous and apart."""
    for name, array in given.items():
        wanted = (*shape, 3) if name == "grid_color" else shape
        if written:
            fits(name, array, wanted, dtypes.float32)
            apart(name, array, {other: array for other, array in given.items() if other != name}, xp)
        elif array.dtype != dtypes.float32:
            raise DTypeError(f"{name} has dtype {array.dtype}; expected float32")
        elif tuple(array.shape) != wanted:
            raise ShapeError(f"{name} has shape {tuple(array.shape)}; expected {wanted}")


def pictures(depth: Any, color: Any) -> tuple[Any, Any]:
    """Depth as [view, row, column] and the colours of its pixels as [view, row, column, 3]."""
    checks.dtype("depth", depth, DEPTHS, "Cast it to one of them")
    checks.ndim("depth", depth, (2, 3), "[H, W] or [V, H, W]")
    if color is not None:
        checks.dtype("color", color, COLORS, "Cast it to one of them")
        if tuple(color.shape) != (*depth.shape, 3):
            raise ShapeError(f"color has shape {tuple(color.shape)}; expected {(*depth.shape, 3)}, as depth has")
        color = color if depth.ndim == 3 else color[None]
    depth = depth if depth.ndim == 3 else depth[None]
    if depth.shape[1] * depth.shape[2] >= 1 << 31 or max(depth.shape[1:]) >= LONGEST:
        raise ShapeError(
            f"depth has shape {tuple(depth.shape)}; a picture holds fewer than 2**31 pixels, 2**24 an axis"
        )
    return depth, color


def terms(dtype: np.dtype, space: Volume, truncation: Any, depth_scale: Any, max_depth: Any, max_weight: Any) -> Terms:
    """The numbers of an integration, as float32 holds them."""
    if depth_scale is None and dtype.kind == "u":
        raise ArgumentError(
            f"depth is {dtype} and depth_scale=None; say how many of its units make one of the volume, such as "
            "depth_scale=1000 for millimetres in a volume of metres"
        )
    scale = checks.positive("depth_scale", 1.0 if depth_scale is None else depth_scale)
    width = 4 * max(space.size) if truncation is None else checks.positive("truncation", truncation)
    least, largest = float(np.finfo(np.float32).tiny), float(np.finfo(np.float32).max)
    if not least <= width * scale <= 1 / least:
        raise ArgumentError(f"truncation={width!r} leaves float32 in units of depth; choose another depth_scale")
    limit = largest if max_depth is None else min(checks.positive("max_depth", max_depth) * scale, largest)
    most = checks.finite("max_weight", max_weight)
    if not 1 <= most <= LONGEST:
        raise ArgumentError(f"max_weight={max_weight!r} must lie in [1, 2**24]")
    return Terms(scale, width * scale, float(np.float32(limit)), float(np.float32(most)))


def intrinsics(given: Any, views: int, on_host: bool) -> Any:
    """Intrinsics of all views or of each, as ``Cameras`` has them."""
    array = _numbers("K", given, on_host)
    matrix = array.shape[-2:] == (3, 3)
    if not (array.ndim == 2 + matrix or array.ndim == 1 + matrix) or not (matrix or array.shape[-1] == 4):
        raise ShapeError(
            f"K has shape {tuple(array.shape)}; expected [3, 3] or [4] (fx, fy, cx, cy), or one of them for each view"
        )
    rows = array.reshape(-1, 9 if matrix else 4)
    _one_or_each("K", rows, views)
    if on_host:
        _check_intrinsics(rows, matrix)
    return rows


def poses(given: Any, views: int, on_host: bool) -> Any:
    """Poses of all views or of each, as ``Cameras`` has them."""
    array = _numbers("T", given, on_host)
    if array.ndim not in (2, 3) or array.shape[-1] != 4 or array.shape[-2] not in (3, 4):
        raise ShapeError(f"T has shape {tuple(array.shape)}; expected [4, 4] or [3, 4], or one of them for each view")
    rows = array.reshape(-1, 4 * array.shape[-2])
    _one_or_each("T", rows, views)
    if on_host:
        _check_poses(rows)
    return rows


def _numbers(name: str, given: Any, on_host: bool) -> Any:
    if not on_host:
        checks.dtype(name, given, REAL, "Cast it to one of them")
        return given
    try:
        return np.asarray(given, np.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ArgumentError(f"{name} is no array of numbers: {error}") from None


def _one_or_each(name: str, rows: Any, views: int) -> None:
    if rows.shape[0] not in (1, views):
        raise ShapeError(f"{name} is of {rows.shape[0]} views but depth of {views}; give one for all or one for each")


def _check_intrinsics(rows: np.ndarray, matrix: bool) -> None:
    focal = rows[:, [0, 4]] if matrix else rows[:, :2]
    right = np.isfinite(rows).all(1) & (focal > 0).all(1)
    if matrix:
        right &= (rows[:, [1, 3, 6, 7, 8]] == [0, 0, 0, 0, 1]).all(1)
    if not right.all():
        raise DataError(
            f"K of view {int(np.argmin(right))} must be finite, with fx and fy above zero, no skew and a last row "
            "0, 0, 1. Rectify the pictures first"
        )


def _check_poses(rows: np.ndarray) -> None:
    turns = rows[:, :12].reshape(-1, 3, 4)[:, :, :3]
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(np.swapaxes(turns, 1, 2) @ turns - np.eye(3)).max((1, 2))
        right = np.isfinite(rows).all(1) & (off <= RIGID) & (np.linalg.det(turns) > 0)
    if rows.shape[1] == 16:
        right &= (rows[:, 12:] == [0, 0, 0, 1]).all(1)
    if not right.all():
        raise DataError(
            f"T of view {int(np.argmin(right))} is no rigid transform [R | t] from the camera to the world; give "
            "finite numbers, with R a rotation and a last row 0, 0, 0, 1"
        )


def places(cameras: dict[str, Any]) -> dict[str, Any]:
    """Those of K and T that do not live on the host, which the arrays of a call must share their device with."""
    return {name: array for name, array in cameras.items() if interop.place(name, array) != ("cpu", 0)}
