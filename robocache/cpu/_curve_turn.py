"""Turns: quaternions along the shorter arc, and angles the shorter way round their period."""

import functools
import math
from typing import Any

import numpy as np

from ._address import put
from ._curve_rows import copy, item_of, load, narrow, refuse, widen, write_fill
from ._jit import kernel

SMALL, LARGE = np.float32(1e-20), np.float32(1e20)  # squares that keep their digits in float32
CLOSE = 1e-4  # radians between two quaternions below which the chord is as good as the arc

# Powers of the square, fitted at Chebyshev's nodes.
ARC = (
    1.0, -3.33332823e-1, 1.99982306e-1, -1.42615737e-1, 1.09401990e-1,
    -8.37206395e-2, 5.74635578e-2, -3.07175089e-2, 1.06807194e-2, -1.74370114e-3,
)  # fmt: skip
SINE = (1.0, -1.66666666e-1, 8.33333098e-3, -1.98408616e-4, 2.75252871e-6, -2.38894983e-8)


@kernel(contract=True)
def _unit(a, b, c, d):
    """A quaternion of length 1: NaN for one without a direction."""
    square = a * a + b * b + c * c + d * d
    if not SMALL < square < LARGE:  # a square may have left the range, or there is nothing to divide by
        most = max(abs(a), abs(b), abs(c), abs(d))
        a, b, c, d = a / most, b / most, c / most, d / most
        square = a * a + b * b + c * c + d * d
    one = type(a)(1) / math.sqrt(square)
    return a * one, b * one, c * one, d * one


@kernel(contract=True)
def _arc(r):
    """Angle of tangent r from 0 to 1, to 1.5 ulp. With ``_sine`` it takes a third of the time of the C library's."""
    z, total = r * r, np.float32(ARC[9])
    for power in range(8, -1, -1):
        total = total * z + np.float32(ARC[power])
    return r * total


@kernel(contract=True)
def _sine(x):
    """Sine of an angle up to a quarter turn, to 2.5 ulp."""
    z, total = x * x, np.float32(SINE[5])
    for power in range(4, -1, -1):
        total = total * z + np.float32(SINE[power])
    return x * total


@kernel(contract=True)
def _shares(apart, along, w):
    """How much of either end, up to a common factor, lies at share w of the arc."""
    rest = type(w)(1) - w
    within = (w >= 0) & (w <= 1)
    if isinstance(w, np.float32) and within:
        angle = np.float32(2) * _arc(apart / along)
        if angle < CLOSE:
            return rest, w
        return _sine(rest * angle), _sine(w * angle)
    angle = type(w)(2) * math.atan2(apart, along)
    if angle == 0 or (angle < CLOSE and within):
        return rest, w
    return math.sin(rest * angle), math.sin(w * angle)


@kernel(contract=True)
def _quaternion(at, kind, brain):
    return _unit(load(at, 0, kind, brain), load(at, 1, kind, brain), load(at, 2, kind, brain), load(at, 3, kind, brain))


@kernel(contract=True)
def _turn(to, at, far, w, like, kind, brain):
    """One quaternion at share w of the way; whether it has no direction, in which case all of it is NaN."""
    a, b, c, d = _quaternion(at, kind, brain)
    e, f, g, h = _quaternion(far, kind, brain)
    side = type(w)(-1) if a * e + b * f + c * g + d * h < 0 else type(w)(1)
    e, f, g, h = side * e, side * f, side * g, side * h
    i, j, k, m = e - a, f - b, g - c, h - d
    n, o, p, q = e + a, f + b, g + c, h + d
    apart, along = math.sqrt(i * i + j * j + k * k + m * m), math.sqrt(n * n + o * o + p * p + q * q)
    near, distant = _shares(apart, along, w)
    a, b, c, d = _unit(near * a + distant * e, near * b + distant * f, near * c + distant * g, near * d + distant * h)
    put(to, 0, narrow(a, like, brain))
    put(to, 1, narrow(b, like, brain))
    put(to, 2, narrow(c, like, brain))
    put(to, 3, narrow(d, like, brain))
    return a != a


@kernel(contract=True)
def _line(to, at, far, w, like, kind, brain):
    """Three coordinates at share w of the way, from the nearer end on; whether one is NaN."""
    half, rest, bad = type(w)(0.5), w - type(w)(1), False
    for e in range(3):
        a, b = load(at, e, kind, brain), load(far, e, kind, brain)
        r = a + w * (b - a) if w < half else b + rest * (b - a)
        put(to, e, narrow(r, like, brain))
        bad |= r != r
    return bad


@functools.cache
def slerp(kind: Any, brain: bool, posed: bool = False) -> Any:
    """Kernel for one type of samples: quaternions in either order, each behind a position if they are poses."""
    real = np.float32 if kind is np.uint16 else kind
    like, size = kind(0), np.dtype(kind).itemsize
    lead = 3 * size if posed else 0

    @kernel()
    def run(start, stop, rows):
        step = rows.value_step
        for item in range(start, stop):
            b, first, last, own, _ = item_of(item, rows)
            base, to = rows.values + b * rows.value_row, rows.out + b * rows.out_row + (first - 1) * rows.out_step
            for k in range(first, last):
                to += rows.out_step
                i, w = rows.index[own, k], rows.weight[own, k]
                at, bad = base + i * step, False
                if i < 0:
                    write_fill(to, rows.features, rows.fill)
                elif w == 0:
                    bad = copy(to, at, rows.features, kind, brain)
                else:
                    for d in range(0, rows.features * size, lead + 4 * size):
                        if posed:
                            bad |= _line(to + d, at + d, at + step + d, real(w), like, kind, brain)
                        q = d + lead
                        bad |= _turn(to + q, at + q, at + step + q, real(w), like, kind, brain)
                if bad:
                    refuse(rows, b, k)

    return run


@kernel(contract=True)
def _lap(way, period):
    """How many whole periods there are in a way too many for the shorter one."""
    return np.floor(way / period + type(way)(0.5))


@kernel(contract=True)
def _inside(r, low, high, period, like, brain):
    """An angle in [low, high), untouched where it lies there; what is rounded to high, here or in 16 bits, is low."""
    turned = r - period * np.floor((r - low) / period)
    turned = low if (turned >= high) | (turned < low) else turned
    r = r if (r >= low) & (r < high) else turned
    number = narrow(r, like, brain)
    return narrow(low, like, brain) if widen(number, brain) >= high else number


@functools.cache
def angle(kind: Any, brain: bool) -> Any:
    """Kernel for one type of samples."""
    real = np.float32 if kind is np.uint16 else kind
    like = kind(0)

    @kernel(contract=True)
    def run(start, stop, rows):
        step, low, period = rows.value_step, real(rows.low), real(rows.period)
        high = low + period
        for item in range(start, stop):
            b, first, last, own, _ = item_of(item, rows)
            base, to = rows.values + b * rows.value_row, rows.out + b * rows.out_row + (first - 1) * rows.out_step
            for k in range(first, last):
                to += rows.out_step
                i, w = rows.index[own, k], rows.weight[own, k]
                if i < 0:
                    write_fill(to, rows.features, rows.fill)
                    continue
                at, bad = base + i * step, False
                if w == 0:
                    for d in range(rows.features):
                        r = load(at, d, kind, brain)
                        put(to, d, _inside(r, low, high, period, like, brain))
                        bad |= r - r != 0
                else:
                    x, near = (real(w), at) if w < 0.5 else (real(w - 1.0), at + step)
                    for d in range(rows.features):
                        way = load(at + step, d, kind, brain) - load(at, d, kind, brain)
                        r = load(near, d, kind, brain) + x * (way - period * _lap(way, period))
                        put(to, d, _inside(r, low, high, period, like, brain))
                        bad |= r - r != 0
                if bad:
                    refuse(rows, b, k)

    return run
