"""Checks of options that hold for any operation. Each returns the checked value or raises a typed error."""

import math
import operator
from collections.abc import Iterable
from typing import Any

import numpy as np

from .dtypes import FLOATING
from .errors import ArgumentError, DTypeError, ShapeError


def choice(name: str, value: Any, allowed: Iterable[str]) -> Any:
    """``value`` if it is one of ``allowed``."""
    if value not in allowed:
        raise ArgumentError(f"{name}={value!r} is not known; choose one of {', '.join(map(repr, allowed))}")
    return value


def ndim(name: str, array: Any, allowed: tuple[int, ...], layout: str) -> None:
    """Refuse an array whose number of dimensions is not in ``allowed``."""
    if array.ndim not in allowed:
        raise ShapeError(f"{name} has shape {tuple(array.shape)}; expected {layout}")


def dtype(name: str, array: Any, allowed: frozenset[np.dtype], remedy: str) -> None:
    """Refuse an array whose type is not in ``allowed``."""
    if array.dtype not in allowed:
        listed = ", ".join(sorted(str(d) for d in allowed))
        raise DTypeError(f"{name} has dtype {array.dtype}; expected one of {listed}. {remedy}")


def finite(name: str, value: Any) -> float:
    """A real, finite number as float."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}={value!r} is not a number") from None
    if not math.isfinite(number):
        raise ArgumentError(f"{name}={value!r} must be finite")
    return number


def positive(name: str, value: Any) -> float:
    """A real, finite number above zero as float."""
    number = finite(name, value)
    if number <= 0:
        raise ArgumentError(f"{name}={value!r} must be above zero")
    return number


def whole(name: str, value: Any, low: int, high: int) -> int:
    """An integer from ``low`` to ``high``."""
    try:
        number = operator.index(value)
    except TypeError:
        raise ArgumentError(f"{name}={value!r} is not an integer") from None
    if isinstance(value, (bool, np.bool_)) or not low <= number <= high:
        raise ArgumentError(f"{name}={value!r} must be an integer from {low} to {high}")
    return number


def held(value: Any, dtype: np.dtype) -> Any:
    """A number as ``dtype`` holds it, or None where it does not: rounded if a float, exact if an integer."""
    try:
        number = np.asarray(value)
        if number.ndim or (number.dtype.kind not in "biuf" and number.dtype not in FLOATING):
            return None
        with np.errstate(over="ignore", invalid="ignore"):
            found = number.astype(dtype)
        if dtype not in FLOATING:
            return found.item() if bool(found == number) else None
        overflow = np.isfinite(number.astype(np.float64)) and not np.isfinite(found.astype(np.float64))
    except (TypeError, ValueError, OverflowError):
        return None
    return None if overflow else found.item()


def triple(name: str, value: Any) -> tuple[float, float, float]:
    """One number for all three axes, or three numbers in the order x, y, z."""
    if np.ndim(value) == 0:
        number = finite(name, value)
        return (number, number, number)
    items = list(value)
    if len(items) != 3:
        raise ArgumentError(f"{name}={value!r} needs one number or three (x, y, z)")
    x, y, z = (finite(name, item) for item in items)
    return (x, y, z)
