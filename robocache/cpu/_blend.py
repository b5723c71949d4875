"""Features of every target from one or two samples: contiguous inner loops that the compiler vectorises.

Every function takes an item of work as ``locate`` cuts them, row ``item // shares`` and targets from
``item % shares * CHUNK`` on, and where their index and weight lie.
"""

import functools
from typing import Any

import numpy as np
from numba import int64, void

from .._core import dtypes
from .._core.jobs import Job
from ._address import view
from ._half import narrow_bf16, narrow_f16, widen_bf16, widen_f16
from ._jit import kernel, native
from ._locate import (
    CHUNK,
    COLUMNS,
    FEATURES,
    FILLER,
    OUT,
    OUT_ROW,
    OUT_STEP,
    STEPS,
    VALID,
    VALUE_ROW,
    VALUE_STEP,
    VALUES,
    WORDS,
)

RAW = {1: np.uint8, 2: np.uint16, 4: np.uint32, 8: np.uint64}
SIGNATURE = void(int64, int64, int64, int64)


@kernel(inline=True)
def _begin(item, index, weight, words):
    """First target of an item, how many, their index and weight, and where values and results begin."""
    shares = max(1, (words[STEPS] + CHUNK - 1) // CHUNK)
    b, first = item // shares, (item % shares) * CHUNK
    count = min(words[STEPS] - first, CHUNK)
    return (
        b * words[STEPS] + first, count, view(index, count, np.int64), view(weight, count, np.float64),
        words[VALUES] + b * words[VALUE_ROW], words[OUT] + b * words[OUT_ROW] + first * words[OUT_STEP],
    )  # fmt: skip


@functools.cache
def _float_blender(double: bool) -> Any:
    kind = np.float64 if double else np.float32

    @native(SIGNATURE, contract=True)
    def blend(item, index_at, weight_at, args):
        words, fill = view(args, WORDS, np.int64), view(args + 8 * FILLER, 1, kind)[0]
        position, count, index, weight, base, to = _begin(item, index_at, weight_at, words)
        features, step, next_to = words[FEATURES], words[VALUE_STEP], words[OUT_STEP]
        for k in range(count):
            result = view(to, features, kind)
            to += next_to
            at, exact = index[k], weight[k]
            if at < 0:
                result[:] = fill
                continue
            left = base + at * step
            a = view(left, features, kind)
            if exact == 0:
                result[:] = a
            else:  # from the nearer end: exact at both, half the worst error of a + w * (b - a)
                w = kind(exact)
                near, share = (left, w) if w < 0.5 else (left + step, w - kind(1))
                from_, c = view(near, features, kind), view(left + step, features, kind)
                for d in range(features):
                    result[d] = from_[d] + share * (c[d] - a[d])
            if words[VALID]:
                bad = False
                for d in range(features):
                    bad |= result[d] != result[d]
                if bad:
                    view(words[VALID] + (position + k) * words[COLUMNS], 1, np.uint8)[0] = 0

    return blend


@functools.cache
def _half_blender(brain: bool) -> Any:
    """The same for 16-bit floats held as uint16: widen, float32 arithmetic, one rounding."""
    infinity = np.uint16(0x7F80) if brain else np.uint16(0x7C00)

    @native(SIGNATURE, contract=True)
    def blend(item, index_at, weight_at, args):
        words, fill = view(args, WORDS, np.int64), view(args + 8 * FILLER, 1, np.uint16)[0]
        position, count, index, weight, base, to = _begin(item, index_at, weight_at, words)
        features, step, next_to = words[FEATURES], words[VALUE_STEP], words[OUT_STEP]
        for k in range(count):
            result = view(to, features, np.uint16)
            to += next_to
            at, exact = index[k], weight[k]
            if at < 0:
                result[:] = fill
                continue
            left = base + at * step
            a = view(left, features, np.uint16)
            if exact == 0:
                result[:] = a
            else:
                w = np.float32(exact)
                near, share = (left, w) if w < 0.5 else (left + step, w - np.float32(1))
                from_, c = view(near, features, np.uint16), view(left + step, features, np.uint16)
                if brain:
                    for d in range(features):
                        result[d] = narrow_bf16(widen_bf16(from_[d]) + share * (widen_bf16(c[d]) - widen_bf16(a[d])))
                else:
                    for d in range(features):
                        result[d] = narrow_f16(widen_f16(from_[d]) + share * (widen_f16(c[d]) - widen_f16(a[d])))
            if words[VALID]:
                bad = False
                for d in range(features):
                    bad |= (result[d] & np.uint16(0x7FFF)) > infinity
                if bad:
                    view(words[VALID] + (position + k) * words[COLUMNS], 1, np.uint8)[0] = 0

    return blend


@functools.cache
def _copier(kind: Any) -> Any:
    """The same where a sample is taken as it is and has no NaN."""

    @native(SIGNATURE)
    def copy(item, index_at, weight_at, args):
        words, fill = view(args, WORDS, np.int64), view(args + 8 * FILLER, 1, kind)[0]
        _, count, index, _, base, to = _begin(item, index_at, weight_at, words)
        features = words[FEATURES]
        for k in range(count):
            result = view(to + k * words[OUT_STEP], features, kind)
            if index[k] < 0:
                result[:] = fill
            else:
                result[:] = view(base + index[k] * words[VALUE_STEP], features, kind)

    return copy


@functools.cache
def streamer(dtype: np.dtype) -> int:
    """Address of the C function that writes the results of an item; NaN clears ``valid``."""
    if dtype in dtypes.HALF:
        return _half_blender(dtype == dtypes.bfloat16).address
    if dtype in dtypes.FLOATING:
        return _float_blender(dtype == dtypes.float64).address
    return _copier(RAW[dtype.itemsize]).address


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
