"""Fusions that look like an earlier one: what was seen of their streams, and the launch with other arrays."""

import sys
from collections.abc import Mapping
from typing import Any

from ._replay import CAPACITY


class Fuse:
    """The same for fusion: all results lie in one allocation, and an array is made of each when it is asked for.

    For small calls the arrays of validity and age would cost more than the launch.
    """

    def __init__(self, again: Any, names: Any, jobs: Any, results: Any, valid: Any, age: Any, fused: Any) -> None:
        self._again, self._cupy = again, sys.modules["cupy"]
        self._fused, self._names, self._slices = type(fused), fused.names, fused.slices
        self._keys = list(results) if isinstance(fused.values, dict) else None
        specs: list[tuple[Any, Any, int]] = []
        size = 0
        for array in (*results.values(), valid, age):
            specs.append((array.shape, array.dtype, size))
            size += -(-array.nbytes // 256) * 256
        self._size = size
        *self._results, self._valid, self._age = specs
        outs = []
        for name, job in zip(names, jobs, strict=True):
            which = self._keys.index(name) if self._keys else 0
            outs.append(specs[which][2] + job.out.data.ptr - list(results.values())[which].data.ptr)
        self._outs = tuple(outs)

    def __call__(self, sources: list[int], target_times: Any) -> Any:
        cupy = self._cupy
        memory = cupy.cuda.alloc(self._size)
        start = memory.ptr
        head = (target_times.data.ptr, start + self._valid[2], start + self._age[2])
        self._again(head, sources, [start + at for at in self._outs])
        ndarray = cupy.ndarray
        if self._keys is None:
            shape, dtype, _ = self._results[0]
            values: Any = ndarray(shape, dtype, memory)
        else:
            arrays = [ndarray(shape, dtype, memory + at) for shape, dtype, at in self._results]
            values = dict(zip(self._keys, arrays, strict=True))
        return self._fused.lazily(values, target_times, self._names, self, memory)

    def later(self, name: str, memory: Any) -> Any:
        """``valid``, ``age`` or ``slices`` of the call whose results lie in this memory."""
        if name == "slices":
            return dict(self._slices)
        shape, dtype, at = self._valid if name == "valid" else self._age
        return self._cupy.ndarray(shape, dtype, memory + at)


class Remembering:
    """A place for what a replay has seen of an object, outside its ``__dict__``: never copied, compared or pickled."""

    __slots__ = ("_seen",)


remember = Remembering._seen.__set__  # type: ignore[attr-defined]  # the record itself is frozen
_signatures: dict[Any, object] = {}
NEVER: tuple[Any, ...] = ()  # what a new stream has seen


def _read(stream: Any, ndarray: Any) -> Any:
    """Device of a stream, its addresses and the rest of its key; None if some array is not CuPy's."""
    values, times, lengths, offsets = stream.values, stream.times, stream.lengths, stream.offsets
    if type(values) is not ndarray or type(times) is not ndarray:
        return None
    data, clock, latency, tolerance, max_gap = values.data, times.data, stream.latency, stream.tolerance, stream.max_gap
    pointer, device = data.ptr, data.device_id
    if clock.device_id != device:
        return None
    parts: tuple[Any, ...] = (
        stream.method, values.shape, values.strides, values.dtype.num, pointer & 15,
        times.shape, times.strides, times.dtype.num,
    )  # fmt: skip
    if type(latency) is not int or latency or tolerance is not None or max_gap is not None:
        parts += (latency, type(latency), tolerance, type(tolerance), max_gap, type(max_gap))  # 1 is 1.0, yet another
    addresses = [pointer, clock.ptr, 0, 0]
    for place, array in ((2, lengths), (3, offsets)) if lengths is not None or offsets is not None else ():
        if array is not None:
            if type(array) is not ndarray or array.data.device_id != device:
                return None
            addresses[place] = array.data.ptr
            parts += (place, array.shape, array.strides, array.dtype.num)
    return device, addresses, parts


def _look(stream: Any, ndarray: Any) -> Any:
    """What is remembered of a stream that comes again: its arrays, their shapes, and what ``_read`` says."""
    read = _read(stream, ndarray)
    if read is None:
        return None
    device, addresses, parts = read
    if len(_signatures) >= CAPACITY:
        _signatures.clear()  # those in use go on being equal to themselves
    try:
        signature = _signatures.setdefault(parts, object())
    except TypeError:  # an option without a hash
        return None
    values, times = stream.values, stream.times
    seen = (values, times, stream.lengths, stream.offsets, values.shape, times.shape, device, addresses, signature)
    remember(stream, seen)
    return seen


def fusion(streams: Any, clock: Any, options: tuple[Any, ...], kind: Any) -> tuple[Any, list[int]]:
    """Key of a fusion onto the stamps of ``clock``, None without one, and the addresses of its streams.

    A stream that was seen before is not looked at again, as long as its arrays are the same objects of the same shapes
    (assigning to ``shape`` changes an array in place): an array never moves.
    """
    cupy = sys.modules.get("cupy")
    if cupy is None or type(clock) is not cupy.ndarray or not isinstance(streams, Mapping):
        return None, []
    device = clock.data.device_id
    if cupy.cuda.runtime.getDevice() != device:
        return None, []
    key = [device, clock.shape, clock.strides, clock.dtype, *options]
    addresses: list[int] = []
    for name, stream in streams.items():
        if type(stream) is not kind:
            return None, []
        seen = getattr(stream, "_seen", NEVER)
        if seen is NEVER:  # perhaps it is made anew for every call: nothing is remembered of it yet
            read = _read(stream, cupy.ndarray)
            if read is None or read[0] != device:
                return None, []
            remember(stream, None)
            key += (name, read[2])
            addresses += read[1]
            continue
        if (
            seen is None
            or stream.values is not seen[0]
            or stream.times is not seen[1]
            or stream.lengths is not seen[2]
            or stream.offsets is not seen[3]
            or seen[0].shape != seen[4]
            or seen[1].shape != seen[5]
        ):
            seen = _look(stream, cupy.ndarray)
            if seen is None:
                return None, []
        if seen[6] != device:
            return None, []
        key += (name, seen[8])
        addresses += seen[7]
    return tuple(key), addresses
