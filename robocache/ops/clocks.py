"""Clocks before anything is resampled: how two are related, and stamps that are not in order."""

from typing import Any

import numpy as np

from .. import interop
from .._core import checks
from .._core.errors import ArgumentError, DataError, ShapeError
from . import _clock_fit, _clock_offset, _stamp_order, _stamps, _streams
from ._clock_fit import ClockFit
from ._clock_offset import ClockOffset
from ._episodes import edges_of
from ._stamp_order import CleanTimes, TimesReport
from .gather import gather_windows


def estimate_offset(
    a: Any,
    ta: Any,
    b: Any,
    tb: Any,
    *,
    max_offset: Any = None,
    rate: Any = None,
    max_gap: Any = None,
    min_overlap: float = 0.3,
) -> ClockOffset:
    r"""Find how far b's clock is ahead of a's, from two signals that show the same motion.

    Parameters
    ----------
    a, b : array, shape (time,) or (time, feature)
        The motion as each sensor saw it, of equally many features: angular speed of a gyroscope beside that of poses,
        a joint's position beside its command. Floats, integers or booleans. The unit and an added constant do not
        matter, the sign does. Of several features the one that varies more counts more.
    ta, tb : array, shape (time,)
        Their stamps by their own clocks, not falling: int64 nanoseconds, datetime64, or float seconds; both alike.
    max_offset : int, float, timedelta64 or a pair, optional
        How far to search to both sides, or the lowest and the highest offset, in the unit of the stamps. By default
        wherever the two overlap enough, whatever their epochs.
    rate : float, optional
        Points per second of the grid on which the signals are compared. By default that of the faster one.
    max_gap : int, float or timedelta64, optional
        Between samples further apart than this there is no signal. By default ten median periods of each.
    min_overlap : float
        Part of the shorter signal that must overlap the other, above 0 and at most 1.

    Returns
    -------
    ClockOffset
        ``offset``: an event that a stamps t, b stamps t + offset. Subtract it from ``tb``, or give it as the latency of
        b's `Stream`. Also the correlation there (``score``), the best elsewhere (``runner_up``), and the curve
        (``lags``, ``values``), on the host.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError, MemoryLimitError
        Arguments that do not fit; a grid of more than 2**25 points.
    DataError
        Stamps that fall or are not finite; a signal that does not change; no offset in the search at which enough
        overlaps; a correlation that still rises at the edge of the search, or is nowhere positive.

    Warns
    -----
    DataWarning
        A score below 0.5, or a second peak nearly as high: the motion repeats, or is not the same.

    Notes
    -----
    Both signals are resampled linearly to one rate by `resample_trajectories`, where they live; what lies outside, in
    a gap or next to a NaN is masked. For every lag, mean and energy are those of the samples that overlap at that lag
    (masked normalised cross-correlation, Padfield 2012), so that a part in common counts in full and a short overlap
    is no advantage. Sums run by FFT in float64 on the host, for GPU arrays too: the call waits for the GPU.

    The top is found between lags by a parabola through those around the peak at which the curve stays above 0.9 of
    it, 3 to 21. For motion that is slow beside the grid the error is some hundredths of a step; it grows to
    about 0.17 steps for white noise. Integers are exact: the epochs are subtracted as integers, and only the lag is
    a float. A flat overlap has correlation 0.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> speed = lambda t: np.sin(t) + np.sin(1.7 * t + 1)
    >>> ta, tb = np.arange(0, 30, 0.01), np.arange(4, 28, 0.008)
    >>> found = rc.estimate_offset(speed(ta), ta, speed(tb), tb + 0.25, max_offset=2.0)
    >>> round(found.offset, 4), round(found.score, 3)
    (0.25, 1.0)
    """
    # Validate.
    share = checks.positive("min_overlap", min_overlap)
    if share > 1:
        raise ArgumentError(f"min_overlap={min_overlap!r} must be at most 1; it is a part of the shorter signal")
    call, (left, times, right, others) = interop.receive(a=a, ta=ta, b=b, tb=tb)
    with call:
        xp = call.xp
        times, others = _stamps.native("ta", times, xp), _stamps.native("tb", others, xp)
        _stamps.alike("tb", others, "ta", times)
        first, second = _stamps.host(times), _stamps.host(others)
        for name, stamps in (("ta", first), ("tb", second)):
            _stamps.finite(name, stamps, 2)
            _stamps.rising(name, stamps, strict=False)
        low, high = _clock_offset.search(max_offset, first.dtype)
        gap = None if max_gap is None else _streams.span_of("max_gap", max_gap, first.dtype)
        step = _clock_offset.step_of(rate, first, second)

        # Dispatch.
        one = _clock_offset.on_grid("a", left, times, first, step, gap, xp)
        two = _clock_offset.on_grid("b", right, others, second, step, gap, xp)
        return _clock_offset.compare(one, two, step, low, high, share)


def fit_clock(host: Any, device: Any, *, method: str = "envelope", drift: bool = True) -> ClockFit:
    """Fit a device's clock to the host's, from device stamps and the host's stamps of their arrival.

    Parameters
    ----------
    host : array, shape (time,)
        When each sample was received, by the host's clock: int64 nanoseconds, datetime64, or float seconds.
    device : array, shape (time,)
        The device's own stamps of the same samples, rising, in the same unit (integers, or floats, as ``host``).
    method : {"envelope", "median", "least_squares"}
        ``envelope`` takes the samples that came soonest: no stamp is earlier than the line. ``median`` is a
        Theil-Sen line through the middle of the delays. ``least_squares`` goes through their mean.
    drift : bool
        Whether to fit the skew, too; without it only the offset, for recordings too short to show a drift.

    Returns
    -------
    ClockFit
        ``offset``, ``skew`` and ``drift_ppm``, statistics of the ``residuals``, and ``to_host`` and ``to_device``,
        which map stamps of any framework and device.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        Arguments that do not fit.
    DataError
        Fewer than 3 stamps (1 without drift), stamps that are not finite, a device clock that falls, repeats or stands,
        a host clock that stands.

    Warns
    -----
    DataWarning
        A drift of more than 1000 ppm: another unit, or too short a recording.

    Notes
    -----
    An arrival is late by a delay that is never negative: transport, queues, a busy host. What is constant in it cannot
    be told from the offset, and stays in it. Which samples are trusted differs.

    - ``envelope`` is the line below all points (device, host - device) that is nearest to them in sum: an edge of
      their lower convex hull (Moon, Skelly and Towsley 1999; Zhang, Liu and Xia 2002). However many samples are late,
      and however late, it holds as long as some on either side of the middle are not. One host stamp that is too early
      spoils it.
    - ``median`` takes the median slope of n/2 pairs half a recording apart (Theil's incomplete method, 1950), then the
      median rest. It stands outliers to either side, in up to about a quarter of the samples, and suits delays
      without a sharp lower edge.
    - ``least_squares`` is for stamps without outliers.

    The skew is known to about the jitter over the span of the recording, see ``drift_error_ppm``: 0.1 ms in a second
    are 100 ppm. A clock that is set or steps while recording is no line: cut it there.

    Integers are subtracted before anything becomes a float, so the epoch costs no digits; the offset is rounded to the
    nanosecond. float32 stamps count as float64. The fit runs on the host, in float64: GPU stamps are copied there, and
    the call waits for them.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> device = np.arange(0, 60_000_000_000, 10_000_000)  # a minute at 100 Hz
    >>> delay = np.random.default_rng(0).exponential(300_000, device.size).astype(np.int64)
    >>> host = 1_700_000_000_000_000_000 + device + device // 50_000 + delay  # 20 ppm
    >>> fit = rc.fit_clock(host, device)
    >>> round(fit.drift_ppm, 1)
    20.0
    >>> bool(abs(fit.to_host(device) - (host - delay)).max() < 1000)
    True
    """
    # Validate.
    checks.choice("method", method, _clock_fit.METHODS)
    call, (received, stamped) = interop.receive(host=host, device=device)
    with call:
        xp, dated = call.xp, (received.dtype.kind == "M", stamped.dtype.kind == "M")
        received, stamped = (_stamps.native(n, t, xp) for n, t in (("host", received), ("device", stamped)))
        _stamps.alike("device", stamped, "host", received)
        if received.shape != stamped.shape:
            raise ShapeError(
                f"host has {received.size} stamps but device {stamped.size}; expected one of each a sample"
            )
        here, there = _stamps.host(received), _stamps.host(stamped)
    for name, stamps in (("host", here), ("device", there)):
        _stamps.finite(name, stamps, 3 if drift else 1)
    _stamps.rising("device", there, strict=True)
    _stamps.runs("host", here)

    # Dispatch.
    return _clock_fit.fit(here, there, method, bool(drift), dated)


def sanitize_times(
    times: Any,
    values: Any = None,
    *,
    order: str = "raise",
    duplicates: str = "keep",
    nonfinite: str = "raise",
    resets: str = "raise",
    offsets: Any = None,
    max_gap: Any = None,
) -> CleanTimes:
    r"""Bring stamps into order by rules that you choose, and report what was wrong with them.

    Parameters
    ----------
    times : array, shape (time,) or packed (samples,)
        int64 nanoseconds, datetime64, or seconds as float64 or float32.
    values : array, shape (time, \\*feature), optional
        Samples that go with them. Floats, integers or booleans.
    order : {"raise", "sort", "drop"}
        A stamp below one before it: an error; sort the row, equal stamps staying in their order; leave it out.
    duplicates : {"keep", "first", "last", "raise"}
        Which of equal stamps in a row to keep, once it is in order.
    nonfinite : {"raise", "drop"}
        NaN, Inf and NaT (the smallest int64).
    resets : {"raise", "split", "ignore"}
        A clock that starts anew: an error; a row for each part; no more than disorder.
    offsets : array of int, shape (row + 1,), optional
        Where each row of packed times begins, from 0 to their number. Each is cleaned on its own.
    max_gap : int, float or timedelta64, optional
        What to report as a gap. By default more than ten median periods.

    Returns
    -------
    CleanTimes
        ``times``, the ``index`` of the samples kept, ``offsets`` of their rows, ``values`` if any were given, and a
        `TimesReport`.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        Arguments that do not fit.
    DataError
        A fault whose rule is ``"raise"``; the message says how many and where.

    Notes
    -----
    The rules apply in this order: missing stamps, resets, order, duplicates. A reset is a fall of more than ten median
    periods, to below both stamps before it, from which the next stamp does not come back: so neither one late stamp
    nor one that is too high is taken for one. With ``order="drop"`` what remains is the running maximum; a single stamp
    far in the future leaves nothing after it, which ``report.disordered`` shows.

    Nothing is changed that a rule did not name, and stamps themselves never are: they are kept or not, and moved. Both
    backends give equal bits. A GPU call waits, since how many remain depends on the data.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> stamps = np.array([0, 10, 30, 20, 30, 40])
    >>> clean = rc.sanitize_times(stamps, order="sort", duplicates="first")
    >>> clean.times
    array([ 0, 10, 20, 30, 40])
    >>> clean.index
    array([0, 1, 3, 2, 5])
    >>> clean.report.disordered, clean.report.duplicates
    (array([3]), array([4]))
    """
    # Validate.
    checks.choice("order", order, ("raise", "sort", "drop"))
    checks.choice("duplicates", duplicates, ("keep", "first", "last", "raise"))
    checks.choice("nonfinite", nonfinite, ("raise", "drop"))
    checks.choice("resets", resets, ("raise", "split", "ignore"))
    call, (given, samples) = interop.receive(times=times, values=values)
    with call:
        stamps = _stamps.native("times", given, call.xp)
        if samples is not None and samples.shape[:1] != stamps.shape:
            raise ShapeError(
                f"values has shape {tuple(samples.shape)} for {stamps.size} times; expected (time, *feature)"
            )
        edges = np.array([0, stamps.size]) if offsets is None else edges_of(offsets, None)[0]
        if edges[0] != 0 or edges[-1] != stamps.size:
            raise DataError(f"offsets run from {edges[0]} to {edges[-1]}; expected from 0 to the {stamps.size} times")
        gap = None if max_gap is None else _streams.span_of("max_gap", max_gap, stamps.dtype)

        # Dispatch.
        rules = _stamp_order.Rules(order, duplicates, nonfinite, resets, gap)
        index, begins, report = _stamp_order.ordered(stamps, edges, rules, call.xp)
        kept = None if samples is None else gather_windows(samples, index)

        # Restore shape.
        rows = None if offsets is None and resets != "split" else call.give(begins)
        taken = _streams.times_of("times", given, call.xp)[index]
        taken = taken.view("M8[ns]") if given.dtype.kind == "M" else taken
        return CleanTimes(call.give(taken), call.give(index), rows, None if kept is None else call.give(kept), report)


__all__ = ["CleanTimes", "ClockFit", "ClockOffset", "TimesReport", "estimate_offset", "fit_clock", "sanitize_times"]
