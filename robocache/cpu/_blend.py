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
from ._address import fetch, get, move, put, view
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
SHORT = 16  # features that are few
LINE = 64  # bytes of a cache line
AHEAD, MOST = 8, 512  # how many targets ahead, and bytes of each, the processor is asked for


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


@kernel(inline=True)
def _fetch(index, k, base, step, nbytes):
    """Ask for the sample of a later target: the processor foresees no way through rows that skips samples."""
    if k + AHEAD < index.size and nbytes >= LINE:
        later = base + max(index[k + AHEAD], 0) * step
        for line in range(0, min(nbytes, MOST), LINE):
            fetch(later + line)


@kernel(inline=True)
def _lean(near, far, share, brain):
    """A feature on the line from the nearer sample, whose zeros keep their sign; 16-bit floats are rounded once."""
    if not isinstance(near, np.uint16):
        return near + share * (near - far)
    if brain:
        return narrow_bf16(widen_bf16(near) + share * (widen_bf16(near) - widen_bf16(far)))
    return narrow_f16(widen_f16(near) + share * (widen_f16(near) - widen_f16(far)))


@kernel(inline=True)
def _lean_all(features, result, near, far, share, kind, brain):
    for d in range(features):
        put(result, d, _lean(get(near, d, kind), get(far, d, kind), share, brain))


@kernel(inline=True)
def _nan(x, brain):
    if not isinstance(x, np.uint16):
        return x != x
    return (x & np.uint16(0x7FFF)) > (np.uint16(0x7F80) if brain else np.uint16(0x7C00))


@functools.cache
def _blender(kind: Any, brain: bool) -> Any:
    """For floats; ``kind`` is uint16 for those of 16 bits, ``brain`` says of which sort."""
    real = np.float32 if kind is np.uint16 else kind
    size = np.dtype(kind).itemsize

    @native(SIGNATURE, contract=True)
    def blend(item, index_at, weight_at, args):
        words, fill = view(args, WORDS, np.int64), view(args + 8 * FILLER, 1, kind)[0]
        position, count, index, weight, base, to = _begin(item, index_at, weight_at, words)
        features, step, next_to = words[FEATURES], words[VALUE_STEP], words[OUT_STEP]
        for k in range(count):
            _fetch(index, k, base, step, features * size)
            at, exact, result = index[k], weight[k], to
            to += next_to
            if at < 0:
                for d in range(features):
                    put(result, d, fill)
                continue
            left = base + at * step
            if exact == 0:
                move(result, left, features * size)
            else:  # from the nearer end: exact at both, half the worst error of a + w * (b - a)
                w, right = real(exact), left + step
                near, far, share = (left, right, -w) if w < 0.5 else (right, left, w - real(1))
                if features < SHORT:  # known to the compiler: one masked vector where there is such a thing
                    _lean_all(features, result, near, far, share, kind, brain)
                else:
                    _lean_all(features, result, near, far, share, kind, brain)
            if words[VALID]:
                bad, written = False, view(result, features, kind)
                for d in range(features):
                    bad |= _nan(written[d], brain)
                if bad:
                    view(words[VALID] + (position + k) * words[COLUMNS], 1, np.uint8)[0] = 0

    return blend


@functools.cache
def _copier(kind: Any) -> Any:
    """The same where a sample is taken as it is and has no NaN."""
    size = np.dtype(kind).itemsize

    @native(SIGNATURE)
    def copy(item, index_at, weight_at, args):
        words, fill = view(args, WORDS, np.int64), view(args + 8 * FILLER, 1, kind)[0]
        _, count, index, _, base, to = _begin(item, index_at, weight_at, words)
        features = words[FEATURES]
        for k in range(count):
            _fetch(index, k, base, words[VALUE_STEP], features * size)
            if index[k] >= 0:
                move(to, base + index[k] * words[VALUE_STEP], features * size)
            else:
                for d in range(features):
                    put(to, d, fill)
            to += words[OUT_STEP]

    return copy


@functools.cache
def streamer(dtype: np.dtype) -> int:
    """Address of the C function that writes the results of an item; NaN clears ``valid``."""
    if dtype in dtypes.HALF:
        return _blender(np.uint16, dtype == dtypes.bfloat16).address
    if dtype in dtypes.FLOATING:
        return _blender(np.float64 if dtype == dtypes.float64 else np.float32, False).address
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
