"""Features of every target from one or two samples: contiguous inner loops that the compiler vectorises.

Kernels take items of work as ``locate`` cuts them: row ``item // shares``, targets from ``item % shares * CHUNK`` on.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import dtypes
from .._core.jobs import Job
from ._half import narrow_bf16, narrow_f16, widen_bf16, widen_f16
from ._jit import kernel
from ._locate import CHUNK, NO_MASK

RAW = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@kernel(contract=True)
def _blend_float(
    start, stop, steps, index, weight, values, base, strides, out, origin, places, fill, want_valid, valid, column
):  # fmt: skip
    features, shares = strides[2], max(1, (steps + CHUNK - 1) // CHUNK)
    one = values.dtype.type(1)
    for item in range(start, stop):
        b, first = item // shares, (item % shares) * CHUNK
        for k in range(first, min(steps, first + CHUNK)):
            to = origin + b * places[0] + k * places[1]
            result = out[to : to + features]  # slices: an index that might be negative would keep loops scalar
            at, exact = index[item - start, k - first], weight[item - start, k - first]
            if at < 0:
                result[:] = fill
                continue
            left = base + b * strides[0] + at * strides[1]
            if exact == 0:
                result[:] = values[left : left + features]
            else:  # from the nearer end: exact at both, half the worst error of a + w * (b - a)
                w, right = values.dtype.type(exact), left + strides[1]
                near, share = (left, w) if w < 0.5 else (right, w - one)
                from_, a = values[near : near + features], values[left : left + features]
                c = values[right : right + features]
                for d in range(features):
                    result[d] = from_[d] + share * (c[d] - a[d])
            if want_valid:
                bad = False
                for d in range(features):
                    bad |= result[d] != result[d]
                if bad:
                    valid[b, k, column] = False


@kernel(contract=True)
def _blend_half(
    start, stop, steps, index, weight, values, base, strides, out, origin, places, fill, want_valid, valid, column,
    brain,
):  # fmt: skip
    """The same for 16-bit floats held as uint16: widen, float32 arithmetic, one rounding."""
    features, shares = strides[2], max(1, (steps + CHUNK - 1) // CHUNK)
    infinity = np.uint16(0x7F80) if brain else np.uint16(0x7C00)
    for item in range(start, stop):
        b, first = item // shares, (item % shares) * CHUNK
        for k in range(first, min(steps, first + CHUNK)):
            to = origin + b * places[0] + k * places[1]
            result = out[to : to + features]
            at, exact = index[item - start, k - first], weight[item - start, k - first]
            if at < 0:
                result[:] = fill
                continue
            left = base + b * strides[0] + at * strides[1]
            if exact == 0:
                result[:] = values[left : left + features]
            else:
                w, right = np.float32(exact), left + strides[1]
                near, share = (left, w) if w < 0.5 else (right, w - np.float32(1))
                from_, a = values[near : near + features], values[left : left + features]
                c = values[right : right + features]
                if brain:
                    for d in range(features):
                        result[d] = narrow_bf16(widen_bf16(from_[d]) + share * (widen_bf16(c[d]) - widen_bf16(a[d])))
                else:
                    for d in range(features):
                        result[d] = narrow_f16(widen_f16(from_[d]) + share * (widen_f16(c[d]) - widen_f16(a[d])))
            if want_valid:
                bad = False
                for d in range(features):
                    bad |= (result[d] & np.uint16(0x7FFF)) > infinity
                if bad:
                    valid[b, k, column] = False


@kernel()
def _copy_raw(
    start, stop, steps, index, weight, values, base, strides, out, origin, places, fill, want_valid, valid, column
):  # fmt: skip
    features, shares = strides[2], max(1, (steps + CHUNK - 1) // CHUNK)
    for item in range(start, stop):
        b, first = item // shares, (item % shares) * CHUNK
        for k in range(first, min(steps, first + CHUNK)):
            to = origin + b * places[0] + k * places[1]
            at = index[item - start, k - first]
            if at < 0:
                out[to : to + features] = fill
            else:
                left = base + b * strides[0] + at * strides[1]
                out[to : to + features] = values[left : left + features]


def blender(job: Job, valid: Any, column: int) -> Callable[[int, int, Any, Any], None]:
    """A function that writes the results of items [start, stop) given their index and weight; NaN clears ``valid``."""
    values = job.values if job.values.ndim == 3 else job.values[None]
    if not values.shape[1]:
        values = np.zeros((1, 1, values.shape[2]), values.dtype)  # nothing is read: every index is -1
    dtype, steps = values.dtype, job.out.shape[1]
    raw = RAW[dtype.itemsize] if dtype in dtypes.HALF or dtype not in dtypes.FLOATING else dtype
    fill = np.asarray(job.fill, dtype).view(raw)[()]
    flat, base, strides = _flat(values, raw, write=False)
    out, origin, places = _flat(job.out, raw, write=True)
    if job.offsets is not None or values.shape[0] == 1:
        strides = (0, *strides[1:])  # packed rows are found by their absolute index; a lone one serves the batch
    mask = (valid is not None, NO_MASK if valid is None else valid, column)
    where = (flat, base, strides, out, origin, places, fill, *mask)
    if dtype in dtypes.HALF:
        brain = dtype == dtypes.bfloat16
        return lambda start, stop, index, weight: _blend_half(start, stop, steps, index, weight, *where, brain)
    run = _blend_float if dtype in dtypes.FLOATING else _copy_raw
    return lambda start, stop, index, weight: run(start, stop, steps, index, weight, *where)


def widened(job: Job) -> Job:
    """A job whose result has the type of its values, for types that differ: float64, or the integer result's type.

    Copies of the source and of the result are the price of concatenating types.
    """
    kind = dtypes.float64 if job.out.dtype in dtypes.FLOATING else job.out.dtype
    return job._replace(values=job.values.astype(kind), out=np.empty(job.out.shape, kind))


def narrow_into(out: Any, exact: Any) -> None:
    """Round a widened result once (16-bit types by way of float32, as on the GPU)."""
    with np.errstate(over="ignore"):
        out[...] = exact.astype(np.float32) if out.dtype in dtypes.HALF else exact


def _flat(array: Any, raw: Any, write: bool) -> tuple[Any, int, tuple[int, int, int]]:
    """The memory under a strided array as one dimension, where its first element lies, and its strides in elements.

    One specialisation then serves every layout; the third "stride" is the number of features, which are contiguous.
    """
    size, strides = array.itemsize, array.strides
    if array.flags.c_contiguous:
        memory, base = array.reshape(-1), 0
    else:
        low = tuple(slice(None, None, -1) if s < 0 else slice(None) for s in strides)
        ascending = array[low]
        reach = 1 + sum((n - 1) * s // size for n, s in zip(ascending.shape, ascending.strides, strict=True))
        memory = np.lib.stride_tricks.as_strided(ascending, (reach,), (size,), writeable=write)
        base = sum((n - 1) * -s // size for n, s in zip(array.shape, strides, strict=True) if s < 0)
    memory = memory.view(raw)
    memory.flags.writeable = write
    return memory, base, (strides[0] // size, strides[1] // size, array.shape[2])
