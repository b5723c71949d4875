"""Turns the arrays and options of one stream into what the backends take; shared by resampling and fusion."""

import math
from typing import Any, NamedTuple

import numpy as np

from .._core import checks, dtypes, jobs
from .._core.errors import ArgumentError, DTypeError, ShapeError

OUTSIDE = {"hold": jobs.HOLD, "nan": jobs.FILL, "extrapolate": jobs.EXTRAPOLATE, "raise": jobs.REFUSE}
CHECKS = ("auto", "strict", "none")
TIME_REMEDY = "Times are int64 nanoseconds, datetime64, or seconds as float64 or float32"


class Arranged(NamedTuple):
    """Arrays of one stream in the layout of ``Job``; ``rows`` is None for a stream without a batch axis."""

    values: Any
    times: Any
    lengths: Any
    offsets: Any
    rows: int | None
    feature: tuple[int, ...]


def times_of(name: str, array: Any, xp: Any) -> Any:
    """``[R, T]`` or ``[T]`` stamps as int64, float64 or float32: contiguous, or one row broadcast (see `one_row`)."""
    if array.dtype.kind == "M":
        array = _nanoseconds(name, array)
    if array.dtype not in dtypes.TIMES:
        raise DTypeError(f"{name} has dtype {array.dtype}. {TIME_REMEDY}; convert them first")
    if array.ndim not in (1, 2):
        raise ShapeError(f"{name} has shape {tuple(array.shape)}; expected (time,) or (batch, time)")
    if array.flags.c_contiguous:
        return array
    if array.ndim == 2 and array.shape[0] > 1 and array.strides[0] == 0:
        return xp.broadcast_to(xp.ascontiguousarray(array[:1]), array.shape)
    return xp.ascontiguousarray(array)


def one_row(times: Any) -> Any:
    """``[1, T]`` where one row is broadcast over the batch: the backends then share it."""
    return times if times.flags.c_contiguous else times[:1]


def _nanoseconds(name: str, array: Any) -> Any:
    """datetime64 of any unit as int64 ns, refused where ns cannot hold it."""
    if array.dtype == np.dtype("M8[ns]"):
        return array.view(np.int64)
    try:
        fine = array.astype("M8[ns]")
        fits = not (fine.astype(array.dtype) != array)[~np.isnat(array)].any()
    except OverflowError:  # NumPy 2.5 and later look themselves
        fits = False
    if not fits:
        raise DTypeError(f"{name} of dtype {array.dtype} leaves the range of datetime64[ns] (years 1678 to 2262)")
    return fine.view(np.int64)


def arrange(label: str, values: Any, times: Any, lengths: Any, offsets: Any, batched: bool, xp: Any) -> Arranged:
    """Check shapes against each other and flatten the features. ``batched``: the targets have a batch axis."""
    some_values(label, values)
    if offsets is not None:
        return _packed(label, values, times, lengths, offsets, xp)
    if times.ndim == 1:
        batched = _is_batched(label, values, times, batched or lengths is not None)
        times = times[None]
    elif values.ndim < 2:
        raise ShapeError(f"{label}values has shape {tuple(values.shape)}; (batch, time) stamps need (batch, time, …)")
    else:
        batched = True
    if not batched:
        values = values[None]
    if values.ndim < 2 or values.shape[1] != times.shape[1]:
        raise ShapeError(
            f"{label}values has shape {tuple(values.shape)} but source_times has {times.shape[1]} stamps; "
            "expected (batch, time, *feature) with that many samples"
        )
    rows = _joint(f"{label}values and source_times", values.shape[0], times.shape[0])
    if lengths is not None:
        lengths = _counts(f"{label}lengths", lengths, xp)
        rows = _joint(f"{label}values and lengths", rows, lengths.shape[0])
        if lengths.shape[0] != rows:
            raise ShapeError(f"{label}lengths has {lengths.shape[0]} entries for {rows} rows; give one a row")
    feature = tuple(values.shape[2:])
    return Arranged(flatten(values, 2, xp), one_row(times), lengths, None, rows if batched else None, feature)


def some_values(label: str, values: Any) -> None:
    """Refuse what no stream can hold."""
    if values.dtype not in dtypes.VALUES:
        raise DTypeError(f"{label}values has dtype {values.dtype}; expected one of {dtypes.names(dtypes.VALUES)}")
    if values.ndim == 0:
        raise ShapeError(f"{label}values has no axes; expected (time, *feature) or (batch, time, *feature)")


def _is_batched(label: str, values: Any, times: Any, wanted: bool) -> bool:
    """Whether values with shared ``(time,)`` stamps has a batch axis. Two axes are always (time, feature)."""
    if wanted:
        return True
    samples = times.shape[0]
    leading = values.shape[0] == samples
    second = values.ndim > 2 and values.shape[1] == samples
    if leading and second:
        raise ShapeError(
            f"{label}values of shape {tuple(values.shape)} with {samples} shared stamps can be read in two ways; "
            "give source_times[None] for (batch, time, …), or values[None] with source_times[None] for one trajectory"
        )
    if not leading and not second:
        raise ShapeError(
            f"{label}values has shape {tuple(values.shape)} but source_times has {samples} stamps; expected "
            "(time, *feature), or (batch, time, *feature). For (batch, time) give source_times[None]"
        )
    return second


def _packed(label: str, values: Any, times: Any, lengths: Any, offsets: Any, xp: Any) -> Arranged:
    if lengths is not None:
        raise ArgumentError(f"{label}lengths and {label}offsets exclude each other: rows are padded or packed")
    if times.ndim != 1 or values.shape[0] != times.shape[0]:
        raise ShapeError(
            f"packed rows need values (samples, *feature) and source_times (samples,) of one length; got {label}values "
            f"{tuple(values.shape)} and source_times {tuple(times.shape)}"
        )
    offsets = _counts(f"{label}offsets", offsets, xp)
    if offsets.shape[0] < 1:
        raise ShapeError(f"{label}offsets is empty; expected (rows + 1,) starting at 0")
    feature = tuple(values.shape[1:])
    return Arranged(flatten(values, 1, xp), times, None, offsets, offsets.shape[0] - 1, feature)


def flatten(values: Any, lead: int, xp: Any) -> Any:
    """``lead`` axes and one contiguous feature axis; copies only where the memory does not allow a view."""
    if values.ndim != lead + 1:
        values = values.reshape(*values.shape[:lead], math.prod(values.shape[lead:]))
    if values.flags.c_contiguous:
        return values
    size = values.dtype.itemsize
    loose = (values.shape[-1] > 1 and values.strides[-1] != size) or any(s % size for s in values.strides)
    return xp.ascontiguousarray(values) if loose else values


def _counts(name: str, array: Any, xp: Any) -> Any:
    if array.ndim != 1:
        raise ShapeError(f"{name} has shape {tuple(array.shape)}; expected one dimension")
    if array.dtype not in (dtypes.int64, dtypes.int32):
        raise DTypeError(f"{name} has dtype {array.dtype}; expected int64 or int32")
    return xp.ascontiguousarray(array.astype(np.int64, copy=False))


def _joint(what: str, a: int, b: int) -> int:
    """Batch size of two operands, where 1 broadcasts."""
    if a != b and 1 not in (a, b):
        raise ShapeError(f"{what} disagree on the batch: {a} against {b} rows")
    return b if a == 1 else a


def join_rows(what: str, *rows: int | None) -> int | None:
    """Batch size of several operands; None (no batch axis) gives way to a number."""
    joint: int | None = None
    for n in rows:
        if n is not None:
            joint = n if joint is None else _joint(what, joint, n)
    return joint


def spread(label: str, stream: Arranged, rows: int | None, xp: Any) -> Arranged:
    """The stream for a batch of ``rows``: lengths are given to every row. Values and times of one row are shared."""
    if rows is None or stream.rows in (None, rows):
        return stream
    if stream.offsets is not None:
        raise ShapeError(f"{label}offsets makes {stream.rows} rows for a batch of {rows}; packed rows are not repeated")
    if stream.lengths is None:
        return stream
    return stream._replace(lengths=xp.ascontiguousarray(xp.broadcast_to(stream.lengths, (rows,))))


def method_of(label: str, method: Any, values: Any) -> int:
    """Code of a method of two samples, refused where the values cannot be averaged."""
    code = jobs.METHODS.index(checks.choice(f"{label}method", method, jobs.METHODS))
    if code == jobs.LINEAR and values.dtype not in dtypes.FLOATING:
        raise DTypeError(
            f"{label}values has dtype {values.dtype}, which has nothing between two samples; "
            "use method='nearest', 'previous' or 'next', or cast the values to a float"
        )
    return code


def outside_of(outside: Any, dtype: np.dtype) -> tuple[int, Any]:
    """Policy outside a row's range and the number that fills what has no sample."""
    floating = dtype in dtypes.FLOATING
    if isinstance(outside, str):
        code = OUTSIDE[checks.choice("outside", outside, OUTSIDE)]
        if outside == "nan" and not floating:
            raise ArgumentError(f"outside='nan' needs float values, not {dtype}; give a fill number instead")
        return code, (math.nan if floating else 0)
    fill = checks.held(outside, dtype)
    if fill is None:
        raise ArgumentError(
            f"outside={outside!r} is neither one of {', '.join(OUTSIDE)} nor a number that {dtype} holds"
        )
    return jobs.FILL, fill


def span_of(name: str, value: Any, time: np.dtype, signed: bool = False) -> int | float:
    """A duration in the unit of the stamps; None is ``NO_LIMIT``."""
    integer = time == dtypes.int64
    if value is None:
        return jobs.NO_LIMIT if integer else float(jobs.NO_LIMIT)
    if isinstance(value, np.timedelta64):
        if np.isnat(value):
            raise ArgumentError(f"{name} is NaT; give a duration")
        value = int(value.astype("m8[ns]").astype(np.int64)) if integer else value / np.timedelta64(1, "s")
    if integer and not isinstance(value, (int, np.integer)):
        raise ArgumentError(
            f"{name}={value!r}: the stamps are integer nanoseconds, so give an int in ns or a timedelta64"
        )
    number = int(value) if integer else checks.finite(name, value)
    if number < 0 and not signed:
        raise ArgumentError(f"{name}={value!r} must not be negative")
    if integer and not -(2**63) < number < 2**63:
        raise ArgumentError(f"{name}={value!r} does not fit 64-bit nanoseconds")
    return number


def limits(label: str, time: np.dtype, latency: Any, tolerance: Any, max_gap: Any) -> tuple[Any, Any, Any]:
    """Latency, tolerance and max_gap of one stream as its stamps are counted."""
    return (
        span_of(f"{label}latency", 0 if latency is None else latency, time, signed=True),
        span_of(f"{label}tolerance", tolerance, time),
        span_of(f"{label}max_gap", max_gap, time),
    )


def targets_like(name: str, times: Any, other_name: str, other: np.dtype) -> None:
    """Refuse two kinds of stamps in one call: nothing is converted in silence."""
    if times.dtype != other:
        raise DTypeError(
            f"{name} has dtype {times.dtype} but {other_name} {other}; bring both to one kind. {TIME_REMEDY}"
        )
