"""The line from one clock to another, and how it is fitted."""

import warnings
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from .. import interop
from .._core import dtypes
from .._core.errors import DataError, DataWarning, DTypeError
from . import _stamps, _streams

METHODS = ("envelope", "median", "least_squares")
STEEP = 1e-3  # a skew that no quartz has
EPS = float(np.finfo(np.float64).eps)
ROOM = 2.0**63 - 2.0**13  # what float64 calls less surely fits int64


class Residuals(NamedTuple):
    """Receive stamp minus fitted one, over all samples, in the unit of the stamps."""

    least: float
    median: float
    p95: float
    most: float


@dataclass(frozen=True)
class ClockFit:
    """How one clock maps to another, as `fit_clock` finds it: ``host = device + offset + skew * (device - reference)``.

    Parameters
    ----------
    offset : int or float
        Host minus device at the first device stamp: nanoseconds as an int, or seconds as a float.
    skew : float
        How much faster the host's clock runs: 1e-6 is a microsecond every second.
    reference : int or float
        The first device stamp.
    span : int or float
        Last device stamp minus the first.
    count : int
        Samples that were fitted.
    method : str
        How.
    residuals : Residuals
        Least, median, 95th percentile and largest of receive stamp minus fitted one: with ``"envelope"`` the jitter of
        the delivery.

    Notes
    -----
    Plain numbers: it can be pickled, compared, and used on arrays of any device.
    """

    offset: Any
    skew: float
    reference: Any
    span: Any
    count: int
    method: str
    residuals: Residuals
    dated: tuple[bool, bool] = field(default=(False, False), repr=False)

    @property
    def drift_ppm(self) -> float:
        """``skew`` in parts per million."""
        return self.skew * 1e6

    @property
    def drift_error_ppm(self) -> float:
        """How far ``drift_ppm`` may be off: the spread of the residuals (95th percentile less the least) over the span.

        Infinite for a single stamp.
        """
        spread = self.residuals.p95 - self.residuals.least
        return spread / float(self.span) * 1e6 if self.span else float("inf")

    def to_host(self, device_stamps: Any) -> Any:
        """Stamps of the device on the host's clock.

        Parameters
        ----------
        device_stamps : array, any shape
            In the unit that was fitted: int64 nanoseconds (or datetime64), or float seconds.

        Returns
        -------
        array
            int64 (datetime64 if the host's stamps were) or float64, of the same shape, framework and device.

        Raises
        ------
        DTypeError
            Integers where floats were fitted, or floats where integers were.

        Notes
        -----
        Integers stay integers: only the correction ``skew * (device - reference)`` is a float64, rounded to the
        nanosecond. NaT stays NaT, and a result that int64 does not hold becomes NaT. Nothing waits for the GPU.
        """
        return self._moved("device_stamps", device_stamps, True)

    def to_device(self, host_stamps: Any) -> Any:
        """Stamps of the host on the device's clock: the inverse of `to_host`, to a nanosecond.

        Parameters
        ----------
        host_stamps : array, any shape
            As for `to_host`.

        Returns
        -------
        array
            As for `to_host`.

        Raises
        ------
        DTypeError
            As for `to_host`.
        """
        return self._moved("host_stamps", host_stamps, False)

    def _moved(self, name: str, stamps: Any, forward: bool) -> Any:
        call, (given,) = interop.receive(**{name: stamps})
        with call:
            xp, whole = call.xp, isinstance(self.offset, int)
            times = _streams.times_of(name, given.reshape(-1), xp)
            if whole != (times.dtype == dtypes.int64):
                raise DTypeError(
                    f"{name} has dtype {times.dtype}, but {'integer nanoseconds' if whole else 'float seconds'} were "
                    "fitted; convert the stamps to that"
                )
            rate = self.skew if forward else -self.skew / (1.0 + self.skew)
            shift, origin = (self.offset, self.reference) if forward else (-self.offset, self.reference + self.offset)
            moved = _exactly(times, shift, origin, rate, xp) if whole else _floats(times, shift, origin, rate)
            moved = moved.reshape(given.shape)
            return call.give(moved.view("M8[ns]") if self.dated[0 if forward else 1] else moved)


def _floats(times: Any, shift: float, origin: float, rate: float) -> Any:
    times = times.astype(np.float64)
    return times + (shift + (times - origin) * rate)


def _exactly(times: Any, shift: int, origin: int, rate: float, xp: Any) -> Any:
    """Integers; NaT where a step would leave int64, which is looked at in floats because integers wrap silently."""
    rough = times.astype(np.float64)
    about = rough - float(origin)
    fine = (times != _stamps.NAT) & (abs(about) < ROOM) & (abs(rough + (float(shift) + about * rate)) < ROOM)
    bend = xp.rint(xp.where(fine, times - origin, 0) * rate).astype(np.int64)
    return xp.where(fine, times + shift + bend, _stamps.NAT)


def fit(host: np.ndarray, device: np.ndarray, method: str, drift: bool, dated: tuple[bool, bool]) -> ClockFit:
    """Of checked stamps on the host: rising ``device``, finite ``host``, at least 3 of them (1 without drift)."""
    whole = device.dtype == dtypes.int64
    start, origin = host[0].item(), device[0].item()
    span = device[-1].item() - origin
    x = device - device[0]
    y = ((host - host[0]) - x).astype(np.float64)  # exact: differences first, floats after
    x = x.astype(np.float64)
    skew, shift = _line(x, y, method) if drift else (0.0, _level(y, method))
    if skew <= -1:
        raise DataError(f"host runs backwards as device runs on (skew {skew:.3g}); are both in the order of arrival?")
    if abs(skew) > STEEP:
        warnings.warn(
            f"the clocks differ by {skew * 1e6:.0f} ppm, more than clocks do; are both in the same unit? If so, the "
            "recording is too short for its jitter: give a longer one, or drift=False",
            DataWarning,
            stacklevel=3,
        )
    offset = start - origin + (round(shift) if whole else shift)
    if whole and max(abs(offset), abs(origin + offset)) >= 2**63:
        raise DataError(f"host is {offset} ns ahead of device, which int64 does not hold; expected nanoseconds")
    rest = y - (shift + skew * x)
    low, median, high = (float(q) for q in np.quantile(rest, (0.0, 0.5, 0.95)))
    found = Residuals(low, median, high, float(rest.max()))
    return ClockFit(offset, skew, origin, span, len(x), method, found, dated)


def _level(y: np.ndarray, method: str) -> float:
    """A constant under, through the middle of, or nearest to the points."""
    if method == "envelope":
        return float(y.min())
    return float(np.median(y) if method == "median" else y.mean())


def _line(x: np.ndarray, y: np.ndarray, method: str) -> tuple[float, float]:
    """Slope, and value at 0."""
    centre = float(x.mean())
    about = x - centre
    if method == "envelope":
        slope, level = _support(about, y)
    elif method == "median":
        half = len(x) // 2
        slope = float(np.median((y[half:] - y[: len(y) - half]) / (x[half:] - x[: len(x) - half])))
        level = float(np.median(y - slope * about))
    else:
        level = float(y.mean())
        slope = float(about @ (y - level) / (about @ about))
    return slope, level - slope * centre


def _support(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """The line below all points that is highest at x = 0: an edge of the lower hull, as slope and value there.

    From any two points, one on either side, the lowest point below their line replaces the one on its side. A step is
    one pass, and few are needed, so no hull has to be built. A point at 0 counts to the right.
    """
    left, right = 0, len(x) - 1
    size, reach = float(abs(y).max()), float(max(-x[0], x[-1]))
    while True:
        slope = float((y[right] - y[left]) / (x[right] - x[left]))
        level = float(y[left] - slope * x[left])
        below = y - slope * x
        lowest = int(np.argmin(below))
        if below[lowest] >= level - 8 * EPS * (size + abs(slope) * reach):  # what rounding puts below is not
            return slope, level
        left, right = (lowest, right) if x[lowest] < 0 else (left, lowest)
