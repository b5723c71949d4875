"""Checks of what the operations on point clouds and depth images are given."""

from typing import Any, NamedTuple

import numpy as np

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DTypeError, ShapeError

AFFINE = ((3, 4), (4, 4))
LENS = ((3, 3), (4,))
REAL: frozenset[np.dtype[Any]] = frozenset({dtypes.float32, dtypes.float64})


class Table(NamedTuple):
    """Parameters: row ``i % rows`` belongs to cloud or view ``i``. On the host, as float64, if there is one for all."""

    values: Any  # [rows, width]; a matrix row by row
    host: bool


class Box(NamedTuple):
    """Half-open bounds, rounded to the type of the arithmetic; no finite number is outside the default ones."""

    low: tuple[float, float, float]
    high: tuple[float, float, float]


def constant(name: str, value: Any, shapes: tuple[tuple[int, ...], ...]) -> Any:
    """The one matrix or vector for all if the host holds it, as float64; None for whatever travels as an array."""
    if value is None or interop.kind(value) not in ("numpy", "host"):
        return None
    try:
        array = np.asarray(value) if interop.kind(value) == "numpy" else np.asarray(value, np.float64)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name} is neither an array nor a list of numbers") from None
    return array if array.shape in shapes else None


def table(
    name: str, given: Any, shapes: tuple[tuple[int, ...], ...], leads: tuple[tuple[int, ...], ...], call: Any
) -> Table:
    """Parameters of a call: one of ``shapes``, with one of ``leads`` before it."""
    array = given
    for shape in shapes:
        lead = tuple(array.shape[: array.ndim - len(shape)])
        if array.ndim >= len(shape) and tuple(array.shape[len(lead) :]) == shape and lead in leads:
            break
    else:
        wanted = " or ".join(str((*lead, *shape)) for shape in shapes for lead in dict.fromkeys(leads))
        raise ShapeError(f"{name} has shape {tuple(array.shape)}; expected {wanted}")
    checks.dtype(name, array, REAL, "Cast it to float64")
    if isinstance(array, np.ndarray):
        _structure(name, array.reshape(-1, *shape), shape)
        if not lead:
            return Table(array.astype(np.float64).reshape(1, -1), True)
    width = shape[0] * (shape[1] if len(shape) == 2 else 1)
    return Table(call.xp.ascontiguousarray(array).reshape(-1, width), False)


def _structure(name: str, array: np.ndarray, shape: tuple[int, ...]) -> None:
    """Refuse what would be left out of account: a projective last row, a skew."""
    if shape == (4, 4) and (array[:, 3] != (0, 0, 0, 1)).any():
        raise ArgumentError(f"{name} is not affine: its last row must be 0, 0, 0, 1")
    if shape == (3, 3) and (
        (array[:, 2] != (0, 0, 1)).any() or (array[:, 0, 1] != 0).any() or (array[:, 1, 0] != 0).any()
    ):
        raise ArgumentError(f"{name} must be fx, 0, cx; 0, fy, cy; 0, 0, 1. Rectify images of cameras with skew")


def box(bounds: Any, dtype: np.dtype) -> Box:
    """Bounds in the type of the arithmetic; infinite ones bound nothing."""
    most = float(np.finfo(dtype).max)
    if bounds is None:
        return Box((-most,) * 3, (np.inf,) * 3)
    try:
        values = np.asarray(bounds, np.float64).ravel()
    except (TypeError, ValueError):
        raise ArgumentError(f"bounds={bounds!r} needs six numbers: x0, y0, z0, x1, y1, z1") from None
    if values.size != 6:
        raise ArgumentError(f"bounds={bounds!r} needs six numbers: x0, y0, z0, x1, y1, z1")
    if not (values[:3] < values[3:]).all():
        raise ArgumentError(f"bounds={bounds!r} must have its first three numbers below the last three")
    with np.errstate(over="ignore"):
        rounded = values.astype(dtype)
    if (np.isinf(rounded) & np.isfinite(values)).any():
        raise ArgumentError(f"bounds={bounds!r} overflow {dtype}, the type the points are computed in")
    x0, y0, z0, x1, y1, z1 = np.where(rounded == -np.inf, -most, rounded).tolist()
    return Box((x0, y0, z0), (x1, y1, z1))


def limit(max_points: Any) -> int | None:
    """``max_points``, checked."""
    return None if max_points is None else checks.whole("max_points", max_points, 0, (1 << 31) - 1)


def feature_rows(name: str, features: Any, lead: tuple[int, ...], call: Any) -> tuple[Any, bool]:
    """Features as [rows, width] with contiguous rows, and whether they came without an axis of channels."""
    if features is None:
        return None, False
    flat = features.ndim == len(lead)
    if features.ndim not in (len(lead), len(lead) + 1) or tuple(features.shape[: len(lead)]) != lead:
        raise ShapeError(
            f"{name} has shape {tuple(features.shape)}; expected {lead} or {lead} and one axis of channels"
        )
    if features.dtype not in dtypes.VALUES:
        raise DTypeError(f"{name} has dtype {features.dtype}; expected floats, integers or booleans. Cast it first")
    width = 1 if flat else features.shape[-1]
    rows = 1
    for size in lead:
        rows *= size
    if not features.flags.c_contiguous:  # only the bits are moved, of which CuPy knows every kind
        bits = features.view(np.dtype(f"u{features.dtype.itemsize}"))
        features = call.xp.ascontiguousarray(bits).view(features.dtype)
    return features.reshape(rows, width), flat
