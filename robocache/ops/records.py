"""What fusion takes and gives: streams, clocks and the fused result."""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .. import interop
from .._core.errors import ArgumentError
from . import _grid, _seen

Method = Any  # a name, or pairs (slice of the features, name)


@dataclass(frozen=True, eq=False, init=False)
class Stream(_seen.Remembering):
    """One sensor's samples and how to bring them onto another clock.

    Parameters
    ----------
    values, times, lengths, offsets
        As ``values``, ``source_times``, ``lengths`` and ``offsets`` of `resample_trajectories`.
    method : str, or sequence of (slice, str)
        A method of `resample_trajectories`; or one for each slice of the last axis of ``values``, which they share out.
    latency : int, float or timedelta64
        Delay from capture to stamp, in the unit of ``times``: the true capture time is stamp minus latency.
    tolerance, max_gap : int, float or timedelta64, optional
        Limits beyond which this stream is invalid, as in `resample_trajectories`.
    period, quat_order
        Of ``"angle"`` and ``"slerp"``, as in `resample_trajectories`.

    Notes
    -----
    A plain record; nothing is checked or copied before `fuse_multimodal` uses it. With several methods, a target is
    valid where every slice is, and its age is that of the first.
    """

    values: Any
    times: Any
    method: Method = "linear"
    latency: Any = 0
    tolerance: Any = None
    max_gap: Any = None
    lengths: Any = None
    offsets: Any = None
    period: Any = None
    quat_order: str = "xyzw"

    def __init__(
        self, values: Any, times: Any, method: Method = "linear", latency: Any = 0, tolerance: Any = None,
        max_gap: Any = None, lengths: Any = None, offsets: Any = None, period: Any = None, quat_order: str = "xyzw",
    ) -> None:  # fmt: skip
        fields = self.__dict__  # straight into it: the setters of a frozen record take four times as long
        fields["values"], fields["times"], fields["method"] = values, times, method
        fields["latency"], fields["tolerance"], fields["max_gap"] = latency, tolerance, max_gap
        fields["lengths"], fields["offsets"] = lengths, offsets
        fields["period"], fields["quat_order"] = period, quat_order
        _seen.remember(self, _seen.NEVER)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__  # a copy has other arrays than those that were seen


@dataclass(frozen=True, eq=False)
class Fused:
    r"""Streams on one clock, as `fuse_multimodal` returns them.

    Parameters
    ----------
    values : array, shape (batch, target, sum of features), or dict of arrays (batch, target, \\*feature)
        One array for ``layout="concat"``, one a stream for ``layout="dict"``. No batch axis if no stream has one.
    valid : array of bool, shape (batch, target, stream)
        True where that stream's value is real.
    age : array, shape (batch, target, stream)
        Target minus true capture time of the sample used; NaT or NaN where there was none.
    times : array, shape (target,) or (batch, target)
        The clock everything was brought onto; NaT or NaN where a row has fewer targets than the longest.
    slices : dict of slice
        Where each stream lies in the last axis of concatenated ``values``.
    names : tuple of str
        Streams in the order of the last axis of ``valid`` and ``age``.

    Notes
    -----
    The arrays live in the framework and on the device of the first stream.
    """

    values: Any
    valid: Any
    age: Any
    times: Any
    slices: dict[str, slice]
    names: tuple[str, ...]

    def __getitem__(self, name: str) -> Any:
        """Values of one stream."""
        if isinstance(self.values, dict):
            return self.values[name]
        return self.values[..., self.slices[name]]

    @classmethod
    def lazily(cls, values: Any, times: Any, names: tuple[str, ...], replay: Any, memory: Any) -> "Fused":
        """A result whose other attributes are made when they are asked for."""
        fused = object.__new__(cls)
        fused.__dict__.update(values=values, times=times, names=names, _later=(replay, memory))
        return fused

    def __getattr__(self, name: str) -> Any:  # only for what is not there yet
        if name not in ("valid", "age", "slices") or "_later" not in self.__dict__:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        replay, memory = self.__dict__["_later"]
        return self.__dict__.setdefault(name, replay.later(name, memory))

    def __getstate__(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True)
class Clock:
    """An even clock, for `fuse_multimodal` and, as an array, for everything else.

    Parameters
    ----------
    rate : float
        Hertz.
    start, stop : int, float or datetime64, optional
        First and last time, both included, in the unit of the stamps. `fuse_multimodal` finds what is not given.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> rc.Clock(30, 0, 100_000_000).times()
    array([        0,  33333333,  66666667, 100000000])
    """

    rate: float
    start: Any = None
    stop: Any = None

    def times(self, like: Any = None) -> Any:
        """The ticks, of the type, framework and device of ``like`` (stamps), or as NumPy int64 nanoseconds.

        Every tick is ``start + k / rate`` computed anew, so the clock never drifts.
        """
        if self.start is None or self.stop is None:
            raise ArgumentError(
                f"{self} has no beginning or no end; give start and stop, or pass it to fuse_multimodal"
            )
        call, (stamps,) = interop.receive(like=np.zeros(0, np.int64) if like is None else like)
        with call:
            return call.give(_grid.ticks(self.rate, self.start, self.stop, stamps.dtype, call.xp))


__all__ = ["Clock", "Fused", "Stream"]
