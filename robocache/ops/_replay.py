"""Calls that look like an earlier one go straight to the twin, on the GPU to the launch.

Everything an operation checks follows from shapes, strides, types, alignment, device and options. They are the key;
a call whose key was seen before has passed the checks already. What depends on the addresses is checked every time.
"""

import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from .._core import dtypes
from .._core.jobs import Job
from ._outputs import apart

COARSE = "source_times are float32 and too coarse for their own spacing; keep times in int64 ns or float64"
STRAIGHT = 0x101  # the flags of NumPy that say C-contiguous and aligned
CAPACITY = 1024  # then all is forgotten: a loop over ever-changing shapes must not grow without end


def key(arrays: Sequence[Any], options: tuple[Any, ...]) -> Any:
    """Key of a call, or None where some array is neither CuPy on the current device nor contiguous NumPy."""
    if type(arrays[0]) is np.ndarray:
        return _host_key(arrays, options)
    cupy = sys.modules.get("cupy")
    if cupy is None:
        return None
    ndarray = cupy.ndarray
    parts: list[Any] = []
    device = None
    for array in arrays:
        if array is None:
            parts.append(None)
            continue
        if type(array) is not ndarray:
            return None
        data = array.data
        if device is None:
            device = data.device_id
        elif data.device_id != device:
            return None
        parts += (array.shape, array.strides, array.dtype.num, data.ptr & 15)
    if device is None or cupy.cuda.runtime.getDevice() != device:
        return None
    return (device, *parts, *options, *map(type, options))  # types: 1 and 1.0 are equal keys, but not equal options


def pair(values: Any, out: Any, flags: int) -> Any:
    """Key of a call with one array and perhaps an output: the leanest, for plans."""
    if type(values) is np.ndarray:
        return _host_key((values, out), (flags,))
    cupy = sys.modules.get("cupy")
    if cupy is None or type(values) is not cupy.ndarray:
        return None
    data = values.data
    device = data.device_id
    if cupy.cuda.runtime.getDevice() != device:
        return None
    if out is None:
        return (device, values.shape, values.strides, values.dtype, data.ptr & 15, flags)
    room = out.data if type(out) is cupy.ndarray else None
    if room is None or room.device_id != device:
        return None
    part = (out.shape, out.strides, out.dtype, room.ptr & 15)
    return (device, values.shape, values.strides, values.dtype, data.ptr & 15, flags, part)


def _host_key(arrays: Sequence[Any], options: tuple[Any, ...]) -> Any:
    parts: list[Any] = []
    for array in arrays:
        if array is None:
            parts.append(None)
            continue
        if type(array) is not np.ndarray:
            return None
        flags = array.flags.num
        if flags & STRAIGHT != STRAIGHT:
            return None
        parts += (array.shape, array.dtype, flags)  # of the flags, whether a result can be written
    return ("cpu", *parts, *options, *map(type, options))


def same_memory(pairs: Iterable[tuple[Any, Any]]) -> bool:
    """Whether every array in use is the caller's own memory, so that a later call can pass its own instead."""
    return all(a is b is None or (a is not None and b is not None and _start(a) == _start(b)) for a, b in pairs)


def _start(array: Any) -> Any:
    """Address and type."""
    if isinstance(array, np.ndarray):
        return array.ctypes.data, array.dtype
    return array.data.ptr, array.dtype


class Memory:
    """What one operation remembers."""

    def __init__(self) -> None:
        self._known: dict[Any, Callable[..., Any]] = {}

    def find(self, key: Any) -> Callable[..., Any] | None:
        """The replay of a call with this key."""
        try:
            return None if key is None else self._known.get(key)
        except TypeError:  # an option without a hash: a list, an array
            return None

    def keep(self, key: Any, replay: Callable[..., Any]) -> None:
        """Remember how to run calls with this key."""
        if len(self._known) >= CAPACITY:
            self._known.clear()
        if any(type(part) is float and part != part for part in key):
            return  # NaN equals nothing: it would never be found again
        with suppress(TypeError):
            self._known[key] = replay


class Resample:
    """The launch of an earlier call of the same key, with other arrays."""

    def __init__(self, again: Any, job: Job, lead: tuple[int, ...], result: Any, goals: Any, want: Any) -> None:
        self._again, self._lead, self._time = again, lead, goals.dtype
        self._allocate = sys.modules["cupy"].ndarray  # cupy.empty without its wrapper
        self._result = (result.shape, result.dtype)
        self._size = result.nbytes
        self._reach = [reach(array) for array in (job.values, job.times, goals)]
        self._valid, self._age, _ = want

    def __call__(self, values: Any, source_times: Any, target_times: Any, lengths: Any, offsets: Any, out: Any) -> Any:
        v, t, q = values.data.ptr, source_times.data.ptr, target_times.data.ptr
        if out is None:
            result = self._allocate(*self._result)
            to = result.data.ptr
        else:
            result, to = out, out.data.ptr
            for start, (low, high) in zip((v, t, q), self._reach, strict=True):
                if start + low < to + self._size and to < start + high:
                    inputs = {"values": values, "source_times": source_times, "target_times": target_times}
                    apart("out", out, inputs, sys.modules["cupy"])
        source = (v, t, 0 if lengths is None else lengths.data.ptr, 0 if offsets is None else offsets.data.ptr)
        if not (self._valid or self._age):
            self._again((q, 0, 0), source, (to,))
            return result
        valid = self._allocate(self._lead, dtypes.boolean) if self._valid else None
        age = self._allocate(self._lead, self._time) if self._age else None
        head = (q, 0 if valid is None else valid.data.ptr, 0 if age is None else age.data.ptr)
        self._again(head, source, (to,), (valid, age))
        return tuple(array for array in (result, valid, age) if array is not None)


def reach(array: Any) -> tuple[int, int]:
    """The first byte an array uses and the one after the last, from its address."""
    spans = [(n - 1) * step for n, step in zip(array.shape, array.strides, strict=True)]
    return sum(min(s, 0) for s in spans), sum(max(s, 0) for s in spans) + array.itemsize


def resample(again: Any, job: Job, lead: tuple[int, ...], result: Any, goals: Any, want: Any) -> Any:
    """Replay of a call that has just run; ``want`` is (return_valid, return_age, check)."""
    if type(result) is np.ndarray:
        return HostResample(again, lead, result, goals, want)
    return Resample(again, job, lead, result, goals, want)


class HostResample:
    """The same on the CPU; None where machine code finds a fault, which the whole call then names."""

    def __init__(self, again: Any, lead: tuple[int, ...], result: Any, goals: Any, want: Any) -> None:
        self._again, self._lead, self._time = again, lead, goals.dtype
        self._result = (result.shape, result.dtype)
        self._valid, self._age, _ = want

    def __call__(self, values: Any, source_times: Any, target_times: Any, lengths: Any, offsets: Any, out: Any) -> Any:
        result = np.empty(*self._result) if out is None else out
        valid = np.empty(self._lead, np.bool_) if self._valid else None
        age = np.empty(self._lead, self._time) if self._age else None
        if not self._again(values, source_times, target_times, lengths, offsets, result, valid, age):
            return None
        if valid is None and age is None:
            return result
        return tuple(array for array in (result, valid, age) if array is not None)


class Applied:
    """A call of a plan that was seen before, with other arrays: nothing is left to check but the addresses."""

    def __init__(self, plan: Any, again: Any, job: Job, lead: tuple[int, ...], result: Any, options: Any) -> None:
        self._plan, self._again, self._lead = plan, again, lead
        self._result, self._size = (result.shape, result.dtype), result.nbytes
        self._reach = reach(job.values)
        self._valid, self._age = options

    def __call__(self, values: Any, out: Any) -> Any:
        return self._on_host(values, out) if type(values) is np.ndarray else self._on_device(values, out)

    def _on_device(self, values: Any, out: Any) -> Any:
        cupy = sys.modules["cupy"]
        result = cupy.ndarray(*self._result) if out is None else out
        start, to = values.data.ptr, result.data.ptr
        if out is not None and start + self._reach[0] < to + self._size and to < start + self._reach[1]:
            apart("out", out, {"values": values}, cupy)
        if not self._valid and not self._age:
            self._again(start, to, 0)
            return result
        valid = cupy.ndarray(self._lead, dtypes.boolean) if self._valid else None
        self._again(start, to, 0 if valid is None else valid.data.ptr, valid)
        age = self._plan.ages(self._lead, cupy) if self._age else None
        return tuple(array for array in (result, valid, age) if array is not None)

    def _on_host(self, values: Any, out: Any) -> Any:
        result = np.empty(*self._result) if out is None else out
        valid = np.empty(self._lead, np.bool_) if self._valid else None
        if not self._again(values, result, valid):
            return None  # out overlaps values: the whole call says so
        if valid is None and not self._age:
            return result
        age = self._plan.ages(self._lead, np) if self._age else None
        return tuple(array for array in (result, valid, age) if array is not None)
