"""Features of every target from one or two samples: contiguous inner loops that the compiler vectorises."""

from typing import Any

import numpy as np

from .._core import dtypes
from .._core.jobs import Job
from ._half import narrow_bf16, narrow_f16, widen_bf16, widen_f16
from ._jit import kernel, split

TARGET_BYTES = 128  # what starting on one target takes, in bytes moved in the same time
RAW = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}


@kernel(contract=True)
def _blend_float(start, stop, index, weight, real, want_real, values, base, strides, out, origin, places, fill):
    steps, features = index.shape[1], strides[2]
    for i in range(start, stop):
        b, k = i // steps, i % steps
        to = origin + b * places[0] + k * places[1]
        result = out[to : to + features]  # slices: an index that might be negative would keep loops scalar
        at = index[b, k]
        if at < 0:
            result[:] = fill
            continue
        left = base + b * strides[0] + at * strides[1]
        w = values.dtype.type(weight[b, k])
        one = values.dtype.type(1)
        if weight[b, k] == 0:
            result[:] = values[left : left + features]
        else:  # from the nearer end: exact at both, half the worst error of a + w * (b - a)
            right = left + strides[1]
            near, share = (left, w) if w < 0.5 else (right, w - one)
            from_, a, c = (
                values[near : near + features],
                values[left : left + features],
                values[right : right + features],
            )
            for d in range(features):
                result[d] = from_[d] + share * (c[d] - a[d])
        if want_real:
            bad = False
            for d in range(features):
                bad |= result[d] != result[d]
            if bad:
                real[b, k] = False


@kernel(contract=True)
def _blend_half(start, stop, index, weight, real, want_real, values, base, strides, out, origin, places, fill, brain):
    """The same for 16-bit floats held as uint16: widen, float32 arithmetic, one rounding."""
    steps, features = index.shape[1], strides[2]
    for i in range(start, stop):
        b, k = i // steps, i % steps
        to = origin + b * places[0] + k * places[1]
        result = out[to : to + features]
        at = index[b, k]
        if at < 0:
            result[:] = fill
            continue
        left = base + b * strides[0] + at * strides[1]
        w = np.float32(weight[b, k])
        if weight[b, k] == 0:
            result[:] = values[left : left + features]
        else:
            right = left + strides[1]
            near, share = (left, w) if w < 0.5 else (right, w - np.float32(1))
            from_, a, c = (
                values[near : near + features],
                values[left : left + features],
                values[right : right + features],
            )
            if brain:
                for d in range(features):
                    result[d] = narrow_bf16(widen_bf16(from_[d]) + share * (widen_bf16(c[d]) - widen_bf16(a[d])))
            else:
                for d in range(features):
                    result[d] = narrow_f16(widen_f16(from_[d]) + share * (widen_f16(c[d]) - widen_f16(a[d])))
        if want_real:
            bad = False
            infinity = np.uint16(0x7F80) if brain else np.uint16(0x7C00)
            for d in range(features):
                bad |= (result[d] & np.uint16(0x7FFF)) > infinity
            if bad:
                real[b, k] = False


@kernel()
def _copy_raw(start, stop, index, values, base, strides, out, origin, places, fill):
    steps, features = index.shape[1], strides[2]
    for i in range(start, stop):
        b, k = i // steps, i % steps
        to = origin + b * places[0] + k * places[1]
        at = index[b, k]
        if at < 0:
            out[to : to + features] = fill
        else:
            left = base + b * strides[0] + at * strides[1]
            out[to : to + features] = values[left : left + features]


def blend(job: Job, index: Any, weight: Any, real: Any) -> None:
    """Write ``job.out``; where ``real`` is given, clear it for targets whose result holds a NaN."""
    if job.values.dtype != job.out.dtype:
        _blend_mixed(job, index, weight, real)
        return
    values = job.values
    if values.ndim == 2:
        values = values[None]
    if not values.shape[1]:
        values = np.zeros((1, 1, values.shape[2]), values.dtype)  # nothing is read: every index is -1
    dtype = values.dtype
    raw = RAW[dtype.itemsize] if dtype in dtypes.HALF or dtype not in dtypes.FLOATING else dtype
    fill = np.asarray(job.fill, dtype).view(raw)[()]
    flat, base, strides = _flat(values, raw, write=False)
    out, origin, places = _flat(job.out, raw, write=True)
    if job.offsets is not None or values.shape[0] == 1:
        strides = (0, *strides[1:])  # packed rows are found by their absolute index; a lone one serves the batch
    total, nbytes = index.size, 3 * job.out.size * dtype.itemsize + TARGET_BYTES * index.size
    where = (flat, base, strides, out, origin, places, fill)
    if dtype not in dtypes.FLOATING:
        split(_copy_raw, total, nbytes, index, *where)
        return
    want = real is not None
    flags = (real if want else np.empty((0, 0), np.bool_), want)
    if dtype in dtypes.HALF:
        split(_blend_half, total, nbytes, index, weight, *flags, *where, dtype == dtypes.bfloat16)
    else:
        split(_blend_float, total, nbytes, index, weight, *flags, *where)


def _blend_mixed(job: Job, index: Any, weight: Any, real: Any) -> None:
    """Through float64 (integers: the result's type), rounded once: copies are the price of concatenating types."""
    kind = job.out.dtype
    wide = dtypes.float64 if kind in dtypes.FLOATING else kind
    exact = job._replace(values=job.values.astype(wide), out=job.out if kind == wide else np.empty(job.out.shape, wide))
    blend(exact, index, weight, real)
    if kind != wide:
        with np.errstate(over="ignore"):
            if kind in dtypes.HALF:  # by way of float32, as on the GPU
                exact.out[...] = exact.out.astype(np.float32)
            job.out[...] = exact.out.astype(kind)


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
