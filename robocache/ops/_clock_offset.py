"""Correlation of two signals of which parts are missing, lag by lag, and the peak of it."""

import math
import warnings
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataError, DataWarning, MemoryLimitError, ShapeError
from . import _stamps, _streams
from .trajectory import resample_trajectories

LONGEST = 1 << 25  # points of a grid; ten million stamps fit, with a few GB of memory
FLAT = 1e-10  # share of a signal's energy below which a stretch of it counts as constant
TOP = 0.9  # of the peak: the lags that the parabola goes through
WIDE = 10  # of them on either side at most: far from the peak the curve may lean
POOR = 0.5  # a correlation that may be chance
REPEATS = 0.95  # of the best: a second peak as good as the first
LOBE = 0.5  # of the peak: what lies above it, in one piece, is the peak itself


@dataclass(frozen=True, eq=False)
class ClockOffset:
    """How far one clock is ahead of another, as `estimate_offset` finds it.

    Parameters
    ----------
    offset : int or float
        Stamp of b minus stamp of a for one and the same event: nanoseconds as an int, or seconds as a float.
    score : float
        Correlation at the peak, at most 1.
    runner_up : float
        The highest correlation beside the peak, NaN if the search shows no other; close to ``score`` where the motion
        repeats.
    step : int or float
        Spacing of the grid, and of the lags.
    lags : NumPy array, shape (lag,)
        Offsets that were tried, in the unit of the stamps.
    values : NumPy array of float64, shape (lag,)
        Their correlations; NaN where too little overlaps.
    """

    offset: Any
    score: float
    runner_up: float
    step: Any
    lags: np.ndarray = field(repr=False)
    values: np.ndarray = field(repr=False)


class Grid(NamedTuple):
    """A signal at even times from its first stamp, on the host: ``[n, features]`` and ``[n]``, 0 where not real."""

    values: np.ndarray
    real: np.ndarray
    start: Any


def step_of(rate: Any, a: np.ndarray, b: np.ndarray) -> Any:
    """Spacing of the grid in the unit of the stamps: by the rate in Hz, else the shorter of the median periods."""
    if rate is None:
        return min(_stamps.period_of(a), _stamps.period_of(b))
    rate = checks.positive("rate", rate)
    if a.dtype != dtypes.int64:
        return 1 / rate
    if not 1e-9 <= rate <= 1e9:
        raise ArgumentError(f"rate={rate!r} must lie between 1e-9 and 1e9 Hz for stamps in nanoseconds")
    return round(1e9 / rate)


def on_grid(name: str, values: Any, times: Any, stamps: np.ndarray, step: Any, max_gap: Any, xp: Any) -> Grid:
    """The signal every ``step`` from its first stamp, resampled where it lives. # synchronizes"""
    if values.ndim not in (1, 2) or values.shape[0] != stamps.size or not values.size:
        raise ShapeError(
            f"{name} has shape {tuple(values.shape)} for {stamps.size} stamps; expected (time,) or (time, feature)"
        )
    checks.dtype(name, values, dtypes.VALUES, "Cast it to float32 or float64")
    start, end = stamps[0].item(), stamps[-1].item()
    count = int((end - start) // step) + 1
    if count > LONGEST:
        raise MemoryLimitError(
            f"{name} spans {count} steps of the grid, at most {LONGEST}; give a lower rate, or cut the recording"
        )
    if max_gap is None:
        max_gap = min(_stamps.FAR * _stamps.period_of(stamps), 2**62)
    goals = xp.arange(count) * step  # from the first stamp: the difference of integers is exact
    signal = values.reshape(stamps.size, -1)
    signal = signal if signal.dtype in dtypes.FLOATING else signal.astype(np.float64)
    even, real = resample_trajectories(
        signal, times - times[0], goals.astype(times.dtype), max_gap=max_gap, return_valid=True, check="strict"
    )
    even = _stamps.host(even).astype(np.float64)
    real = _stamps.host(real) & np.isfinite(even).all(1)
    return Grid(_levelled(name, even, real), real.astype(np.float64), start)


def _levelled(name: str, even: np.ndarray, real: np.ndarray) -> np.ndarray:
    """Mean removed, largest value 1, and 0 where not real: the correlation stays, and its sums lose no digits."""
    if not real.any():
        raise DataError(f"{name} has no two finite samples within max_gap; give finite samples, or a larger max_gap")
    even = even / (np.abs(even[real]).max() or 1)
    if not np.ptp(even[real], 0).any():
        raise DataError(f"{name} does not change; expected a signal that shows the motion, such as an angular speed")
    even -= even[real].mean(0)
    even[~real] = 0
    return even / np.abs(even).max()


def search(max_offset: Any, time: np.dtype) -> tuple[Any, Any]:
    """The lowest and the highest offset to try; infinite where there is no limit."""
    if max_offset is None:
        return -math.inf, math.inf
    if isinstance(max_offset, (tuple, list)):
        if len(max_offset) != 2:
            raise ArgumentError(f"max_offset={max_offset!r} must be a number or a pair (lowest, highest)")
        low, high = (_streams.span_of("max_offset", edge, time, signed=True) for edge in max_offset)
    else:
        high = _streams.span_of("max_offset", max_offset, time)
        low = -high
    if not low < high:
        raise ArgumentError(f"max_offset={max_offset!r} leaves nothing to search; expected lowest < highest")
    return low, high


def lags_of(a: Grid, b: Grid, step: Any, low: Any, high: Any) -> np.ndarray:
    """Shifts in steps whose offsets cover ``low`` to ``high``; all at which the two touch if these are infinite."""
    base = b.start - a.start
    first, last = 1 - len(a.real), len(b.real) - 1
    if low > -math.inf:  # integers stay integers: a float would lose the nanoseconds of an epoch
        first, last = max(first, int((low - base) // step)), min(last, int(-((base - high) // step)))
    return np.arange(first, last + 1)


def correlate(a: Grid, b: Grid, lags: np.ndarray, share: float) -> np.ndarray:
    """Correlation of ``a[i]`` and ``b[i + lag]`` over the i at which both are real; NaN where those are too few.

    Mean and energy are those of the samples that overlap, found for all lags at once (Padfield, Masked object
    registration in the Fourier domain, 2012). Features count as their energy says.
    """
    size = 1 << (len(a.real) + len(b.real) - 2).bit_length()

    def spectrum(signal: np.ndarray) -> np.ndarray:
        return np.fft.rfft(signal, size)

    def sums(left: np.ndarray, right: np.ndarray) -> np.ndarray:
        return np.fft.irfft(left.conj() * right, size)[lags % size]

    real_a, real_b = spectrum(a.real), spectrum(b.real)
    pairs = np.rint(sums(real_a, real_b))
    energy_a = sums(spectrum((a.values**2).sum(1)), real_b)
    energy_b = sums(real_a, spectrum((b.values**2).sum(1)))
    cross, some = np.zeros(len(lags)), np.maximum(pairs, 1)
    for left, right in zip(map(spectrum, a.values.T), map(spectrum, b.values.T), strict=True):
        sum_a, sum_b = sums(left, real_b), sums(real_a, right)
        cross += sums(left, right) - sum_a * sum_b / some
        energy_a -= sum_a**2 / some
        energy_b -= sum_b**2 / some
    moves = (energy_a > FLAT * (a.values**2).sum()) & (energy_b > FLAT * (b.values**2).sum())
    both = np.where(moves, energy_a, 1) * np.where(moves, energy_b, 1)
    values = np.where(moves, np.clip(cross / np.sqrt(both), -1, 1), 0)
    enough = max(3, share * min(a.real.sum(), b.real.sum()))
    return np.where(pairs >= enough, values, np.nan)


def _beside(values: np.ndarray, top: int) -> float:
    """How far from the highest value the top of a parabola lies, in lags.

    It is fitted by least squares to the lags on either side where the curve stays near its peak, three at least: where
    signals are slow for the grid, the noise of three alone would move it.
    """
    low, high = _stretch(values, top, TOP * values[top])
    wide = max(1, min(top - low, high - top, WIDE))
    near, k = values[top - wide : top + wide + 1], np.arange(-wide, wide + 1.0)
    squares = (k**2).sum()
    bend = ((k**2 - squares / len(k)) @ near) / ((k**4).sum() - squares**2 / len(k))
    return float(np.clip(-(k @ near) / squares / (2 * bend), -wide, wide)) if bend < 0 else 0.0


def _elsewhere(values: np.ndarray, top: int) -> float:
    """The highest value outside the peak and its flanks, NaN if there is none."""
    low, high = _stretch(values, top, LOBE * values[top])
    while low > 0 and values[low - 1] <= values[low]:
        low -= 1
    while high + 1 < len(values) and values[high + 1] <= values[high]:
        high += 1
    rest = np.concatenate([values[:low], values[high + 1 :]])
    rest = rest[~np.isnan(rest)]
    return float(rest.max()) if rest.size else math.nan


def _stretch(values: np.ndarray, top: int, level: float) -> tuple[int, int]:
    """First and last of the values around ``top``, in one piece, that reach a level. NaN does not."""
    below = np.flatnonzero(~(values >= level))
    k = int(np.searchsorted(below, top))
    return int(below[k - 1]) + 1 if k else 0, int(below[k]) - 1 if k < below.size else len(values) - 1


def compare(a: Grid, b: Grid, step: Any, low: Any, high: Any, share: float) -> ClockOffset:
    """The offset at which two signals agree most."""
    if a.values.shape[1] != b.values.shape[1]:
        raise ShapeError(f"a has {a.values.shape[1]} features but b {b.values.shape[1]}; give equally many")
    base, lags = b.start - a.start, lags_of(a, b, step, low, high)
    whole = isinstance(step, int)
    if whole and abs(base) + (len(a.real) + len(b.real)) * step >= 2**63:
        raise DataError(f"tb starts {base} ns after ta, which leaves int64; expected nanoseconds of both")
    values = correlate(a, b, lags, share) if len(lags) else np.zeros(0)
    if np.isnan(values).all():
        raise DataError(
            f"within the search a and b never overlap by {share:.0%} of the shorter one (b starts {base} after a by "
            "their stamps); give a larger max_offset or a smaller min_overlap"
        )
    top = int(np.nanargmax(values))
    score, at = float(values[top]), base + int(lags[top]) * step
    if not score > 0:
        raise DataError("a and b correlate at no offset of the search; expected the same motion with the same sign")
    if top in (0, len(lags) - 1) or np.isnan(values[top - 1] + values[top + 1]):
        raise DataError(
            f"the correlation still rises at the edge of the search, offset {at}; give a larger max_offset, a smaller "
            "min_overlap, or longer recordings"
        )
    runner_up, beside = _elsewhere(values, top), _beside(values, top) * step
    if score < POOR or runner_up > REPEATS * score:
        warnings.warn(
            f"the offset {at} is uncertain: its correlation is {score:.2f}, the next best {runner_up:.2f}; give "
            "recordings of a motion that does not repeat, or narrow max_offset",
            DataWarning,
            stacklevel=3,
        )
    return ClockOffset(at + (round(beside) if whole else beside), score, runner_up, step, base + lags * step, values)
