"""From statistics to the numbers of an affine map: one row a feature."""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from .._core import checks
from .._core.errors import ArgumentError, DataError, ShapeError
from ._stats_files import checked, spell
from .stats import RunningStats

MODES = ("mean_std", "min_max", "quantile")
CONSTANT = ("zero", "keep", "lower", "middle")
MOVED = -1.0  # scale of a feature that is only moved


class Options(NamedTuple):
    """How values are mapped; everything checked."""

    mode: str
    range: tuple[float, float]
    quantiles: tuple[float, float]
    constant: str
    clip: tuple[float, float] | None

    @property
    def terms(self) -> tuple[float, float]:
        """Gain and bias after the division by the scale."""
        low, high = self.range
        return (1.0, 0.0) if self.mode == "mean_std" else (high - low, low)


def options(mode: str, range_: Any, quantiles: Any, constant: str, clip: Any) -> Options:
    """Options of `normalize` after their checks."""
    checks.choice("mode", mode, MODES)
    checks.choice("constant", constant, CONSTANT)
    low, high = _pair("range", range_)
    if mode == "mean_std" and constant in ("lower", "middle"):
        raise ArgumentError(f"constant={constant!r} names a place in range, which mode='mean_std' does not have")
    ends = checked(quantiles)
    if len(ends) != 2:
        raise ArgumentError(f"quantiles={quantiles!r} must be two different numbers from 0 to 1")
    if clip is not None:
        if np.ndim(clip) == 0:
            clip = checks.positive("clip", clip)
            clip = (-clip, clip)
        clip = tuple(end + 0.0 for end in _pair("clip", clip))  # no negative zero
    return Options(mode, (low, high), (ends[0], ends[1]), constant, clip)


def _pair(name: str, value: Any) -> tuple[float, float]:
    try:
        low, high = value
    except (TypeError, ValueError):
        raise ArgumentError(f"{name}={value!r} must be two numbers, the lower one first") from None
    low, high = checks.finite(name, low), checks.finite(name, high)
    if not low < high:
        raise ArgumentError(f"{name}={value!r} must be two numbers, the lower one first")
    return low, high


def table(stats: Any, mask: Any, how: Options, real: np.dtype) -> Any:
    """Rows [*shape, 4] of center, rest, scale and shift, in the type of the arithmetic."""
    if isinstance(stats, RunningStats):
        marks = None if mask is None else np.asarray(mask)
        key = how._replace(clip=None), real, None if marks is None else (marks.dtype, marks.shape, marks.tobytes())
        return stats._state.derived(key, lambda: _rows_of(stats, stats.shape or (), mask, how, real))
    if not isinstance(stats, Mapping):
        raise ArgumentError(
            f"stats is {type(stats).__name__}; expected RunningStats or the mapping of one key of a file"
        )
    first, second = (_of_mapping(stats, name) for name in _wanted(how))
    if first.shape != second.shape:
        raise ShapeError(f"stats: {' and '.join(_wanted(how))} have shapes {first.shape} and {second.shape}")
    return rows(first, second, _mask(stats.get("mask") if mask is None else mask, first.shape), how, real)


def _rows_of(stats: RunningStats, shape: tuple[int, ...], mask: Any, how: Options, real: np.dtype) -> Any:
    first, second = (_of_object(stats, name, how) for name in _wanted(how))
    return rows(first, second, _mask(mask, shape), how, real)


def _wanted(how: Options) -> tuple[str, str]:
    if how.mode == "quantile":
        low, high = how.quantiles
        return spell(low), spell(high)
    return ("mean", "std") if how.mode == "mean_std" else ("min", "max")


def _of_object(stats: RunningStats, name: str, how: Options) -> Any:
    if name[0] == "q":
        return stats.quantile(how.quantiles[0] if name == spell(how.quantiles[0]) else how.quantiles[1])
    return stats.std() if name == "std" else getattr(stats, name)


def _of_mapping(stats: Mapping[str, Any], name: str) -> Any:
    if name not in stats:
        inner = [key for key, entry in stats.items() if isinstance(entry, Mapping)]
        remedy = f"pass one entry, such as stats[{inner[0]!r}]" if inner else "choose another mode"
        raise DataError(f"stats has no {name!r}, only {', '.join(map(str, stats))}; {remedy}")
    try:
        return np.asarray(stats[name], np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"stats[{name!r}] must be numbers on the CPU: {error}") from None


def _mask(mask: Any, shape: tuple[int, ...]) -> Any:
    if mask is None:
        return np.ones(shape, np.bool_)
    try:
        marks = np.asarray(mask)
        if marks.dtype != np.bool_:
            raise TypeError(f"dtype {marks.dtype}")
        return np.broadcast_to(marks, shape)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"mask must be booleans on the CPU, of shape {shape}: {error}") from None


def rows(first: Any, second: Any, used: Any, how: Options, real: np.dtype) -> Any:
    """Rows from mean and std, or from the lower and the upper bound."""
    wrong = used & ~(np.isfinite(first) & np.isfinite(second))
    if wrong.any():
        at = tuple(int(i) for i in np.argwhere(wrong)[0])
        raise DataError(
            f"stats of feature {at} are {first[at]} and {second[at]}: no sample was seen, or they overflow. "
            "Leave such features out by mask="
        )
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        center = first.astype(real)
        rest = (first - center).astype(real)
        # Of bounds that float32 holds this is what float32 would give: float64 has digits enough to round twice.
        scale = (second if how.mode == "mean_std" else second - first).astype(real)
    if (used & ~np.isfinite(scale)).any() or (used & ~np.isfinite(center)).any():
        raise DataError(
            f"stats leave the range of {real}, in which these values are computed; pass float64, or another unit"
        )
    if (used & (second < (0 if how.mode == "mean_std" else first))).any():
        raise DataError(f"stats: {' or '.join(_wanted(how))} is out of order (std below 0, or bounds exchanged)")
    constant = used & ~(scale > 0)  # also where what is left is too small for the type
    low, high = how.range
    shift = {"lower": low, "middle": (low + high) / 2}.get(how.constant, 0.0)
    made = np.zeros((*first.shape, 4), real)
    kept = used & ~constant if how.constant == "keep" else used
    made[..., 0], made[..., 1] = np.where(kept, center, 0), np.where(kept, rest, 0)
    made[..., 2] = np.where(used & ~constant, scale, MOVED)
    made[..., 3] = np.where(constant, shift, 0)
    return made


def laid(table: Any, shape: tuple[int, ...]) -> tuple[Any, int]:
    """Rows [D, 4] for values of a shape, and how many elements that lie together share a row."""
    own = tuple(table.shape[:-1])
    while own and own[0] == 1:
        own = own[1:]
    last = shape[len(shape) - len(own) :] if len(own) <= len(shape) else None
    if last is None or any(n not in (1, m) for n, m in zip(own, last, strict=True)):
        raise ShapeError(
            f"values has shape {shape}; expected its last axes to fit {tuple(table.shape[:-1])}, those of stats"
        )
    if own == last:
        return table.reshape(-1, 4), 1
    k = len(own)
    while k and own[k - 1] == 1:
        k -= 1
    inner = math.prod(last[k:])
    spread = np.broadcast_to(table.reshape(*own[:k], 4), (*last[:k], 4))
    return np.ascontiguousarray(spread).reshape(-1, 4), inner
