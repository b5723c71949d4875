"""Poses along the screw motion from one to the next: see cuda/turn.cuh for the formulas."""

import functools
import math
from typing import Any

import numpy as np

from ._address import put
from ._curve_rows import copy, item_of, load, narrow, refuse, write_fill
from ._jit import kernel
from ._rotation import NUMBERS, cross, normalised, product, turned


@kernel()
def _pose(at, first, kind, brain, c):
    """Position, and the quaternion as x, y, z, w of length one."""
    x, y, z = load(at, 0, kind, brain), load(at, 1, kind, brain), load(at, 2, kind, brain)
    a, b = load(at, 3, kind, brain), load(at, 4, kind, brain)
    d, e = load(at, 5, kind, brain), load(at, 6, kind, brain)
    if first:
        a, b, d, e = b, d, e, a
    a, b, d, e = normalised(a, b, d, e, c)
    return x, y, z, a, b, d, e


@kernel()
def _twice(x, y, z, a, b, d):
    """(x, y, z) cross (a, b, d), and (x, y, z) cross that."""
    e, f, g = cross(x, y, z, a, b, d)
    h, i, j = cross(x, y, z, e, f, g)
    return e, f, g, h, i, j


@kernel()
def _between(first, second, u, c):
    """The pose at share u of the way."""
    ax, ay, az, ai, aj, ak, aw = first
    bx, by, bz, bi, bj, bk, bw = second
    i, j, k, w = product(-ai, -aj, -ak, aw, bi, bj, bk, bw)
    side = -c.one if w < 0 else c.one
    sine = np.sqrt(i * i + j * j + k * k)
    angle = c.two * np.arctan2(sine, side * w)
    by_sine = side / sine if sine > 0 else c.zero
    i, j, k = i * by_sine, j * by_sine, k * by_sine  # the axis
    px, py, pz = turned(-ai, -aj, -ak, aw, bx - ax, by - ay, bz - az)
    half, small = angle * c.half, type(u)(0.02) if isinstance(u, np.float32) else 1e-4
    bend = half * half / type(u)(3) if half < small else c.one - half * np.cos(half) / np.sin(half)
    ox, oy, oz, tx, ty, tz = _twice(i, j, k, px, py, pz)
    sx, sy, sz = px - half * ox + bend * tx, py - half * oy + bend * ty, pz - half * oz + bend * tz
    t = u * angle
    h = t * c.half
    near = abs(t) < small
    one = h if near else np.sin(h) * np.sin(h) / h
    two = t * t / type(u)(6) if near else c.one - np.sin(t) / t
    ox, oy, oz, tx, ty, tz = _twice(i, j, k, sx, sy, sz)
    px, py, pz = u * (sx + one * ox + two * tx), u * (sy + one * oy + two * ty), u * (sz + one * oz + two * tz)
    px, py, pz = turned(ai, aj, ak, aw, px, py, pz)
    turn = np.sin(h)
    i, j, k, w = product(ai, aj, ak, aw, i * turn, j * turn, k * turn, np.cos(h))
    i, j, k, w = normalised(i, j, k, w, c)
    return ax + px, ay + py, az + pz, i, j, k, w


@functools.cache
def screw(kind: Any, brain: bool, scalar_first: bool) -> Any:
    """Kernel for one type of samples."""
    real = np.float32 if kind is np.uint16 else kind
    like, size, c = kind(0), np.dtype(kind).itemsize, NUMBERS[real]
    x, y, z, w = (4, 5, 6, 3) if scalar_first else (3, 4, 5, 6)

    @kernel()
    def run(start, stop, rows):
        step = rows.value_step
        for item in range(start, stop):
            b, first, last, own, _ = item_of(item, rows)
            base, to = rows.values + b * rows.value_row, rows.out + b * rows.out_row + (first - 1) * rows.out_step
            for k in range(first, last):
                to += rows.out_step
                i, u = rows.index[own, k], rows.weight[own, k]
                at, bad = base + i * step, False
                if i < 0:
                    write_fill(to, rows.features, rows.fill)
                elif u == 0:
                    bad = copy(to, at, rows.features, kind, brain)
                else:
                    for d in range(0, rows.features * size, 7 * size):
                        one = _pose(at + d, scalar_first, kind, brain, c)
                        two = _pose(at + step + d, scalar_first, kind, brain, c)
                        r = _between(one, two, real(u), c)
                        lost = math.isnan(r[3])
                        put(to + d, 0, narrow(c.nan if lost else r[0], like, brain))
                        put(to + d, 1, narrow(c.nan if lost else r[1], like, brain))
                        put(to + d, 2, narrow(c.nan if lost else r[2], like, brain))
                        put(to + d, x, narrow(r[3], like, brain))
                        put(to + d, y, narrow(r[4], like, brain))
                        put(to + d, z, narrow(r[5], like, brain))
                        put(to + d, w, narrow(r[6], like, brain))
                        bad |= lost or r[0] != r[0] or r[1] != r[1] or r[2] != r[2]
                if bad:
                    refuse(rows, b, k)

    return run
