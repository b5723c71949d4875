"""Stamps of one clock: copied to the host and checked, their differences, their usual period."""

from typing import Any

import numpy as np

from .._core import dtypes
from .._core.errors import DataError, DTypeError, ShapeError
from . import _streams

NAT = np.iinfo(np.int64).min
FAR = 10  # median periods; what is further apart is a gap


def host(array: Any) -> np.ndarray:
    """The array in host memory. # synchronizes for a GPU array"""
    return array if type(array) is np.ndarray else array.get()


def native(name: str, times: Any, xp: Any) -> Any:
    """``[n]`` stamps of a call as contiguous int64 nanoseconds or float64 seconds, where they are."""
    if times.ndim != 1:
        raise ShapeError(f"{name} has shape {tuple(times.shape)}; expected (time,), the stamps of one recording")
    stamps = _streams.times_of(name, times, xp)
    return stamps if stamps.dtype == dtypes.int64 else stamps.astype(np.float64)


def alike(name: str, times: Any, other_name: str, other: Any) -> None:
    """Refuse integer stamps beside float ones."""
    if times.dtype != other.dtype:
        raise DTypeError(
            f"{name} has dtype {times.dtype} but {other_name} {other.dtype}; bring both to one unit. "
            f"{_streams.TIME_REMEDY}"
        )


def missing(times: Any, xp: Any) -> Any:
    """Where a stamp is NaN, infinite or NaT (the smallest int64)."""
    return times == NAT if times.dtype == dtypes.int64 else ~xp.isfinite(times)


def steps(later: Any, earlier: Any) -> Any:
    """``later - earlier`` where it is not negative: as uint64, which holds any difference of int64, or as float64."""
    if later.dtype == dtypes.int64:
        return (later - earlier).view(np.uint64)
    with np.errstate(over="ignore"):
        return later - earlier


def middle(numbers: Any, xp: Any) -> Any:
    """The lower median as a Python number, None of nothing. # synchronizes"""
    if not numbers.size:
        return None
    half = (numbers.size - 1) // 2
    return (np.partition(numbers, half) if xp is np else xp.sort(numbers))[half].item()


def period_of(stamps: np.ndarray) -> Any:
    """Median difference of stamps that are not equal; None if all are."""
    gaps = steps(stamps[1:], stamps[:-1])
    return middle(gaps[gaps > 0], np)


def finite(name: str, stamps: np.ndarray, least: int) -> None:
    """Raise unless there are ``least`` stamps, none of them missing, whose differences int64 holds with room."""
    if stamps.size < least:
        raise DataError(f"{name} has {stamps.size} stamps; expected at least {least}. Give a longer recording")
    bad = np.flatnonzero(missing(stamps, np))
    if bad.size:
        shown = "NaT" if stamps.dtype == dtypes.int64 else stamps[bad[0]]
        raise DataError(
            f"{name}[{bad[0]}] is {shown} ({bad.size} such in all); expected finite stamps. Drop them by the index "
            "that sanitize_times(…, nonfinite='drop') gives"
        )
    if stamps.dtype == dtypes.int64 and int(stamps.max()) - int(stamps.min()) >= 2**62:
        raise DataError(f"{name} spans more than 146 years; expected the nanoseconds of one recording")


def rising(name: str, stamps: np.ndarray, strict: bool) -> None:
    """Raise unless finite stamps rise; equal neighbours pass unless ``strict``, but not all may be equal."""
    falls = np.flatnonzero(stamps[1:] < stamps[:-1])
    if falls.size:
        k = int(falls[0])
        raise DataError(
            f"{name} falls from {stamps[k]} to {stamps[k + 1]} at index {k + 1} ({falls.size} falls in all); expected "
            "rising stamps. If a counter was reset, cut the log there, as sanitize_times(…, resets='split') does. If "
            "some came late, use the index that sanitize_times(…, order='sort') gives"
        )
    runs(name, stamps)
    equal = np.flatnonzero(stamps[1:] == stamps[:-1])
    if strict and equal.size:
        k = int(equal[0])
        raise DataError(
            f"{name}[{k}] and {name}[{k + 1}] are both {stamps[k]} ({equal.size} repeats in all); expected each stamp "
            "once. Keep one of each by the index that sanitize_times(…, duplicates='first') gives"
        )


def runs(name: str, stamps: np.ndarray) -> None:
    """Raise if all of several stamps are equal."""
    if stamps.size > 1 and stamps.min() == stamps.max():
        raise DataError(f"{name} is {stamps[0]} throughout; expected the stamps of a clock that runs")
