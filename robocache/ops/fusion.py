"""Fusion of several sensor streams onto one clock."""

import itertools
import warnings
from collections.abc import Mapping
from typing import Any

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataWarning
from .._core.jobs import LINEAR, Job
from . import _curves, _grid, _outputs, _replay, _seen, _streams
from ._curves import Part
from ._dispatch import twin
from ._streams import Arranged
from .records import Clock, Fused, Stream

_known = _replay.Memory()

FIELDS = ("values", "times", "lengths", "offsets")


def fuse_multimodal(
    streams: Mapping[str, Stream],
    target_times: Any = None,
    *,
    rate: float | None = None,
    start: Any = None,
    stop: Any = None,
    join: str = "intersection",
    outside: Any = "hold",
    layout: str = "concat",
    dtype: Any = None,
    check: str = "auto",
    out: Any = None,
) -> Fused:
    """Bring any number of sensor streams of different rates, types and shapes onto one clock.

    Parameters
    ----------
    streams : mapping of str to Stream
        In the order wanted. All stamps are of one kind (int64 ns or datetime64, float64 s, or float32 s). A stream
        without a batch axis is shared by the batch of the others.
    target_times : array of shape (target,) or (batch, target), Clock, or str, optional
        The clock; or the name of the stream to follow (its true capture times).
    rate : float, optional
        Hertz of an even clock, instead of ``target_times``.
    start, stop : int, float or datetime64, optional
        First and last time of that clock; by default, row by row, as ``join`` says.
    join : {"intersection", "union"}
        The time that all streams share, or all the time that any of them has; one that has none is then invalid.
    outside
        As in `resample_trajectories`, for every stream.
    layout : {"concat", "dict"}
        One array with all features in its last axis, or an array a stream with its own shape and type.
    dtype : dtype, optional
        Type of the concatenated array; by default what NumPy promotes the streams to.
    check
        As in `resample_trajectories`.
    out : array, or mapping of str to array for ``layout="dict"``, optional
        Written and returned as ``values``.

    Returns
    -------
    Fused
        Values, validity, age, clock and slices.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError, DataError, BackendError
        As `resample_trajectories`; also when no row has a time that all streams share.

    Warns
    -----
    DataWarning
        As `resample_trajectories`.

    Notes
    -----
    Each stream is resampled by the rules of `resample_trajectories`. Concatenating different types converts them to
    ``dtype``: floats are blended and rounded once, integers go through float64. An even clock is ``start + k / rate``
    with every stamp computed anew, so it never drifts (nanoseconds are exact but for one rounding); rows that share
    less time than the longest end in NaT or NaN, which is invalid.

    On the GPU all streams of two-sample methods run in one launch (one for every 16; one more where a row holds over
    4096 stamps to check); every curve (``"cubic"`` and so on) takes its own. Nothing waits for the GPU unless the ends
    of the clock must be read from the streams. Bandwidth: every needed sample is read once and every output written
    once.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> imu = rc.Stream(np.arange(10.0)[:, None], np.arange(10) * 5_000_000)
    >>> gripper = rc.Stream(np.array([[0], [1]]), np.array([0, 30_000_000]), method="previous", latency=2_000_000)
    >>> fused = rc.fuse_multimodal({"imu": imu, "gripper": gripper}, rate=100)
    >>> fused.times
    array([       0, 10000000, 20000000])
    >>> fused.values
    array([[0., 0.],
           [2., 0.],
           [4., 0.]])
    >>> fused.slices["gripper"]
    slice(1, 2, None)
    """
    # Validate.
    if isinstance(target_times, Clock):
        rate, start, stop, target_times = _told(target_times, rate, start, stop)
    key = None
    if rate is None and out is None and start is None and stop is None:
        options = (outside, type(outside), layout, dtype, check)
        key, addresses = _seen.fusion(streams, target_times, options, Stream)
        if (replay := _known.find(key)) is not None:
            return replay(addresses, target_times)
    names = _names(streams)
    checks.choice("check", check, _streams.CHECKS)
    outputs = _outputs.wanted(names, layout, dtype, out)
    clock = None if isinstance(target_times, str) else target_times
    call, native, clocks, given = _receive(streams, clock, outputs)
    dated = native[names[0]][1].dtype.kind == "M"
    with call:
        goals = None if clocks is None else _streams.times_of("target_times", clocks, call.xp)
        arranged = _arrange(native, goals is not None and goals.ndim == 2, call.xp)
        time = arranged[names[0]].times.dtype
        limits = {n: _streams.limits(f"{n}.", time, s.latency, s.tolerance, s.max_gap) for n, s in streams.items()}
        goals, rows = _grid.clock(arranged, limits, goals, target_times, (rate, start, stop, join), call.xp)
        lead = (goals.shape[1],) if rows is None else (rows, goals.shape[1])
        results, slices = _outputs.allocate(call, arranged, lead, layout, dtype, outputs, given)
        _outputs.keep_apart(results, outputs, arranged, goals, call.xp)

        # Dispatch.
        flat = (1 if rows is None else rows, goals.shape[1])
        parts = _parts(streams, arranged, results, slices, limits, flat, outside, call.xp)
        jobs = [part.job for part in parts]
        valid = call.empty((*flat, len(names)), dtypes.boolean)
        age = call.empty((*flat, len(names)), time)
        coarse, again = _run(call, parts, goals, valid, age, check)

        # Restore shape.
        valid, age = valid.reshape(*lead, len(names)), age.reshape(*lead, len(names))
        if clock is None:
            times = goals if rows is not None and goals.shape[0] > 1 else goals[0]
            clock = call.give(times.view("M8[ns]") if dated else times)
        values = out if out is not None else _given(call, results, layout)
        ages = call.give(age.view("m8[ns]") if dated else age)
        fused = Fused(values, call.give(valid), ages, clock, slices, tuple(names))
        if again is not None and key is not None and _own_memory(native, jobs, clocks, goals):
            _known.keep(key, _seen.Fuse(again, names, jobs, results, valid, age, fused))
    if coarse:
        warnings.warn(_replay.COARSE, DataWarning, stacklevel=2)
    return fused


def _run(call: Any, parts: list[Part], goals: Any, valid: Any, age: Any, check: str) -> tuple[bool, Any]:
    """Whether float32 stamps are too coarse, and how to run all streams again if they are of two-sample methods."""
    if len(parts) > valid.shape[2] or any(part.curve for part in parts):
        return _curves.run_parts(call, parts, goals, valid, age, check), None
    aligned = twin(call.backend, "trajectory").align([part.job for part in parts], goals, valid, age, check)
    return aligned.coarse, aligned.replay


def _given(call: Any, results: dict[str, Any], layout: str) -> Any:
    """The values in the caller's framework."""
    return call.give(results[""]) if layout == "concat" else {name: call.give(r) for name, r in results.items()}


def _told(clock: Clock, *others: Any) -> tuple[Any, ...]:
    """Rate, start and stop of a clock, and no target times."""
    if any(other is not None for other in others):
        raise ArgumentError("a Clock has its own rate, start and stop; leave them out")
    return clock.rate, clock.start, clock.stop, None


def _receive(streams: Mapping[str, Stream], clock: Any, outputs: dict[str, Any]) -> tuple[Any, ...]:
    """The call, the native arrays of each stream, of the clock and of the outputs."""
    named = {f"{name}.{field}": getattr(stream, field) for name, stream in streams.items() for field in FIELDS}
    outs = {f"out[{name!r}]" if name else "out": array for name, array in outputs.items()}
    call, arrays = interop.receive(**named, target_times=clock, **outs)
    count = len(FIELDS)
    native = {name: arrays[count * k : count * (k + 1)] for k, name in enumerate(streams)}
    clocks, *given = arrays[count * len(streams) :]
    return call, native, clocks, dict(zip(outputs, given, strict=True))


def _own_memory(native: dict[str, list[Any]], jobs: list[Job], clock: Any, goals: Any) -> bool:
    """Whether the kernels read the caller's own arrays, none of which had to be copied."""
    used = (goals, *itertools.chain(*(job[:4] for job in jobs)))
    return _replay.same_memory(zip(used, (clock, *itertools.chain(*native.values())), strict=True))


def _names(streams: Any) -> list[str]:
    if not isinstance(streams, Mapping) or not streams:
        raise ArgumentError("streams must be a non-empty mapping of name to Stream")
    for name, stream in streams.items():
        if not isinstance(stream, Stream):
            raise ArgumentError(f"streams[{name!r}] is {type(stream).__name__}; wrap it in Stream(values, times)")
    return list(streams)


def _arrange(native: dict[str, list[Any]], batched: bool, xp: Any) -> dict[str, Arranged]:
    arranged: dict[str, Arranged] = {}
    for name, (values, times, lengths, offsets) in native.items():
        stamps = _streams.times_of(f"{name}.times", times, xp)
        for first, other in arranged.items():
            _streams.targets_like(f"{name}.times", stamps, f"{first}.times", other.times.dtype)
            break
        shared = stamps.ndim == 1 and values.ndim and values.shape[0] == stamps.shape[0] and lengths is None
        arranged[name] = _streams.arrange(f"{name}.", values, stamps, lengths, offsets, batched and not shared, xp)
    return arranged


def _parts(
    streams: Mapping[str, Stream], arranged: dict[str, Arranged], results: dict[str, Any], slices: dict[str, slice],
    limits: dict[str, tuple[Any, Any, Any]], flat: tuple[int, int], outside: Any, xp: Any,
) -> list[Part]:  # fmt: skip
    """The jobs of every stream, each writing into its own part of the results."""
    parts = []
    for column, (name, spec) in enumerate(streams.items()):
        label, result = f"{name}.", results[name if name in results else ""]
        width = slices[name].stop if name in results else result.shape[-1]
        view = result.reshape(*flat, width)[..., slices[name]]
        stream = _streams.spread(label, arranged[name], flat[0], xp)
        policy = _streams.outside_of(outside, result.dtype)
        methods = _curves.methods_of(label, spec.method, stream.feature)
        for cut, method in methods:
            curve = _curves.curve_of(label, method, spec.period if method == "angle" else None, spec.quat_order)
            values = stream.values if len(methods) == 1 else stream.values[..., cut]
            feature = stream.feature if len(methods) == 1 else values.shape[-1:]
            _curves.fits(label, method, values.dtype, feature)
            code = LINEAR if curve else _streams.method_of(label, method, values)
            out = view if len(methods) == 1 else view[..., cut]
            job = Job(values, *stream[1:4], out, code, *policy, *limits[name], label)
            parts.append(Part(column, curve, job))
        if spec.period is not None and all(method != "angle" for _, method in methods):
            _curves.curve_of(label, methods[0][1], spec.period, spec.quat_order)  # refuses it
    return parts


__all__ = ["Clock", "Fused", "Stream", "fuse_multimodal"]
