"""Checks of depth images and of what is asked of their pixels."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core import checks, dtypes
from .._core.errors import ArgumentError, DTypeError, ShapeError
from ._cloud_args import REAL, Box, Table
from ._cloud_args import table as one_or_many

DEPTHS: frozenset[np.dtype[Any]] = frozenset({dtypes.uint16, dtypes.float16, dtypes.float32, dtypes.float64})


class Pixels(NamedTuple):
    """Which pixels are used and how; numbers rounded to ``dtype``, the type of the arithmetic."""

    dtype: np.dtype
    height: int  # of the whole image, as width
    width: int
    stride: int
    unit: float  # of the depth
    near: float
    far: float
    box: Box


def some(name: str, shape: Sequence[int]) -> None:
    """Refuse more pixels than 31 bits can number."""
    if math.prod(shape) >= 1 << 31:
        raise ShapeError(f"{name} holds {math.prod(shape)} pixels; one call takes fewer than 2**31. Pass fewer views")


def result_dtype(depth: Any, dtype: Any) -> np.dtype:
    """Type of the points."""
    checks.ndim("depth", depth, (2, 3, 4), "[H, W], [V, H, W] or [B, V, H, W]")
    checks.dtype("depth", depth, DEPTHS, "Cast it to float32, or to uint16")
    some("depth", depth.shape)
    if dtype is None:
        return dtypes.accumulator(depth.dtype)
    try:
        wanted = np.dtype(dtype)
    except TypeError as error:
        raise DTypeError(f"dtype={dtype!r} is no NumPy dtype: {error}") from None
    if wanted not in REAL:
        raise DTypeError(f"dtype={wanted} is not a type of points; choose float32 or float64")
    return wanted


def pixels(depth: Any, stride: int, depth_scale: Any, depth_range: Any, box: Box, dtype: np.dtype) -> Pixels:
    """What is asked of the pixels."""
    if depth_scale is None and depth.dtype == dtypes.uint16:
        raise ArgumentError("uint16 depth has no unit; pass depth_scale, 1000 for millimetres")
    scale = checks.positive("depth_scale", 1.0 if depth_scale is None else depth_scale)
    try:
        near, far = (float(value) for value in depth_range)
    except (TypeError, ValueError):
        raise ArgumentError(f"depth_range={depth_range!r} needs two numbers, near and far") from None
    if not 0 <= near < far:
        raise ArgumentError(f"depth_range={depth_range!r} needs 0 <= near < far")
    with np.errstate(over="ignore"):
        unit, near, far = (float(dtype.type(value)) for value in (1 / scale, near, far))
    if not 0 < unit < math.inf:
        raise ArgumentError(f"depth_scale={depth_scale!r}: one over it is no number above zero in {dtype}")
    return Pixels(dtype, int(depth.shape[-2]), int(depth.shape[-1]), stride, unit, near, far, box)


def four(shape: Sequence[int]) -> tuple[int, int, int, int]:
    """A shape with all four axes: scene, view, row, column."""
    scenes, views, height, width = (*(1,) * (4 - len(shape)), *shape)
    return scenes, views, height, width


def views(depth: Any, stride: int) -> Any:
    """Every ``stride``-th row and column as [B, V, H, W], without a copy."""
    while depth.ndim < 4:
        depth = depth[None]
    return depth[:, :, ::stride, ::stride]


def table(name: str, given: Any, shapes: tuple[tuple[int, ...], ...], images: Any, call: Any) -> Table:
    """Parameters of views: one for all, one a view of every scene, or one a view and scene."""
    lead = tuple(images.shape[:-2])
    return one_or_many(name, given, shapes, ((), *(lead[-k:] for k in range(1, len(lead) + 1))), call)


def mask(given: Any, shape: tuple[int, ...], call: Any) -> Any:
    """``valid``, contiguous."""
    if given is None:
        return None
    if given.dtype != dtypes.boolean:
        raise DTypeError(f"valid has dtype {given.dtype}; expected bool")
    if tuple(given.shape) != shape:
        raise ShapeError(f"valid has shape {tuple(given.shape)}; expected {shape}")
    return call.xp.ascontiguousarray(given)
