"""Samples and masks of ``RunningStats.update`` as the backends take them: [outer, inner, feature]."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from .._core import dtypes
from .._core.errors import ArgumentError, DTypeError, ShapeError
from .._core.tally import MOST_ROWS


def axes_of(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes to go over, counted from the first and in order."""
    try:
        listed = [int(a) for a in ((axis,) if np.ndim(axis) == 0 else axis)]
    except (TypeError, ValueError):
        raise ArgumentError(f"axis={axis!r} is neither an integer nor a tuple of them") from None
    if any(not -ndim <= a < ndim for a in listed) or len({a % ndim for a in listed}) < len(listed):
        raise ArgumentError(f"axis={axis!r} does not fit values of {ndim} axes; name each of them once at most")
    return tuple(sorted(a % ndim for a in listed))


def arrange(values: Any, valid: Any, axis: Any, shape: tuple[int, ...] | None, xp: Any) -> tuple[Any, Any, Any]:
    """Rows [A, B, D], marks [A, B, D or 1] as bytes or None, and the shape of the features."""
    if values.dtype not in dtypes.VALUES:
        raise DTypeError(f"values has dtype {values.dtype}; expected floats, integers or booleans. Cast them first")
    if axis is None:
        kept = len(shape) if shape is not None else min(1, max(values.ndim - 1, 0))
        axes = tuple(range(max(values.ndim - kept, 0)))
    else:
        axes = axes_of(axis, values.ndim)
    order = (*axes, *(a for a in range(values.ndim) if a not in axes))
    feature = tuple(values.shape[a] for a in order[len(axes) :])
    if shape is not None and feature != shape:
        how = "the last axes" if axis is None else f"the axes that axis={axis!r} leaves"
        raise ShapeError(
            f"values has shape {tuple(values.shape)}; expected {how} to be {shape}, those of the statistics"
        )
    lead = tuple(values.shape[a] for a in axes)
    rows = _three(values.transpose(order), lead, math.prod(feature))
    return rows, _marks(valid, values, lead, order, rows, xp), feature


def _three(array: Any, lead: tuple[int, ...], width: int) -> Any:
    """Leading axes as two, without a copy where strides allow it."""
    outer = lead[0] if len(lead) > 1 and not array.flags.c_contiguous else 1
    return array.reshape(outer, math.prod(lead) // outer if outer else 0, width)


def _marks(valid: Any, values: Any, lead: tuple[int, ...], order: tuple[int, ...], rows: Any, xp: Any) -> Any:
    if valid is None:
        return None
    if valid.dtype != dtypes.boolean:
        raise DTypeError(f"valid has dtype {valid.dtype}; expected bool, True where a sample counts")
    each = valid.ndim == values.ndim and valid.ndim != len(lead)
    shape, width = (values.shape, rows.shape[2]) if each else (lead, 1)
    try:
        marks = xp.broadcast_to(valid, shape)
    except ValueError:
        raise ShapeError(
            f"valid has shape {tuple(valid.shape)}; expected {lead}, one mark a sample, or {tuple(values.shape)}, "
            "one a value"
        ) from None
    if each:
        marks = marks.transpose(order)
    return marks.reshape(*rows.shape[:2], width).view(np.uint8)


def pieces(rows: Any, marks: Any) -> Iterator[tuple[Any, Any]]:
    """Parts of so few rows that the words of a feature cannot overflow."""
    outer, inner = rows.shape[:2]
    some, each = max(1, MOST_ROWS // max(inner, 1)), min(max(inner, 1), MOST_ROWS)
    for a in range(0, outer, some):
        for b in range(0, inner, each):
            cut = slice(a, a + some), slice(b, b + each)
            yield rows[cut], None if marks is None else marks[cut]
