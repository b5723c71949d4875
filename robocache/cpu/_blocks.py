"""Rows of numbers into blocks and back, whatever their type, order and strides.

A block holds ``BLOCK`` rows: the first number of all of them, then the second, and so on. So loops over rows vectorise,
and the order in which a form keeps its numbers matters only here.
"""

import functools
from typing import Any

import numpy as np
from numba import int64, void

from ._address import get, put, view
from ._half import narrow_bf16, narrow_f16, widen_bf16, widen_f16
from ._jit import kernel, native

BLOCK = 64
SIGNATURE = void(int64, int64, int64, int64)

# What is known of an operand or of the result: words of an array of int64.
STEP, INNER, INNERMOST, STEPS, PLACES = 0, 1, 2, 3, 6
ABOUT = PLACES + 9  # STEP is that of packed rows, 0 for others; PLACES say where in a block each number goes
FIRST, COUNT = 0, 1  # what rows of it are meant


def _raw(dtype: np.dtype) -> tuple[Any, Any, bool]:
    """How numbers of a type are read, in what they are computed, and whether they are bfloat16."""
    if dtype.itemsize == 2:
        return np.uint16, np.float32, dtype.name == "bfloat16"
    return dtype.type, dtype.type, False


@kernel(inline=True)
def block(address, width, real):
    """The block at an address."""
    return view(address, width * BLOCK, real).reshape(width, BLOCK)


@kernel(inline=True)
def _wide(x, brain):
    if not isinstance(x, np.uint16):
        return x
    if brain:
        return widen_bf16(x)
    return widen_f16(x)


@kernel(inline=True)
def _narrow(x, like, brain):
    if not isinstance(like, np.uint16):
        return x
    if brain:
        return narrow_bf16(x)
    return narrow_f16(x)


@functools.cache
def reader(dtype: np.dtype, width: int) -> int:
    """Address of the function that brings rows of a type and width into a block: about, address, span, block."""
    kind, _, brain = _raw(dtype)

    @native(SIGNATURE)
    def read(about, start, span, to_block):
        places = about + 8 * PLACES
        about, span = view(about, ABOUT, np.int64), view(span, 2, np.int64)
        step, first, count = about[STEP], span[FIRST], span[COUNT]
        if step:
            start += first * step
            for r in range(count):
                for w in range(width):
                    put(to_block, get(places, w, np.int64) * BLOCK + r, _wide(get(start, r * width + w, kind), brain))
            return
        inner, innermost, along = about[INNER], about[INNERMOST], about[STEPS + 2]
        c, at = innermost, start
        for r in range(count):
            if c == innermost:  # a division for every row would cost more than reading it
                a, rest = (first + r) // inner, (first + r) % inner
                b, c = rest // innermost, rest % innermost
                at = start + a * about[STEPS] + b * about[STEPS + 1] + c * along
            for w in range(width):
                put(to_block, get(places, w, np.int64) * BLOCK + r, _wide(get(at, w, kind), brain))
            c, at = c + 1, at + along

    return read.address


@functools.cache
def writer(dtype: np.dtype, width: int) -> int:
    """The same the other way, for packed rows."""
    kind, real, brain = _raw(dtype)
    like = kind(0)

    @native(SIGNATURE)
    def write(about, start, span, from_block):
        places, count = about + 8 * PLACES, view(span, 2, np.int64)[COUNT]
        start += view(span, 2, np.int64)[FIRST] * view(about, ABOUT, np.int64)[STEP]
        for r in range(count):
            for w in range(width):
                number = get(from_block, get(places, w, np.int64) * BLOCK + r, real)
                put(start, r * width + w, _narrow(number, like, brain))

    return write.address
