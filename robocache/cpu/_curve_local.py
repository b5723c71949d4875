"""Curves through a few neighbours: Catmull-Rom, PCHIP and Akima, as cubic Hermite pieces in the unit of their bracket.

Tangents are slopes times the length of the bracket, so that no unit of time leaves the range of float32. Everything is
seen from the nearer end, which the piece meets exactly.
"""

import functools
from typing import Any

import numpy as np

from .._core import jobs
from ._address import put
from ._curve_rows import copy, item_of, load, narrow, refuse, write_fill
from ._jit import kernel

PCHIP, AKIMA = jobs.PCHIP, jobs.AKIMA
LARGEST = float(np.finfo(np.float32).max)


@kernel(contract=True)
def _hermite(v, d, near, far, w):
    """The piece from v by d with both tangents, at w of its length."""
    both = near + far
    return v + w * (near + w * (((d + d + d) - (near + both)) + w * (both - (d + d))))


@kernel(contract=True)
def _harmonic(e, d, alpha):
    """Weighted harmonic mean of two slopes, 0 where they differ in sign; NaN stays. No product leaves the range."""
    beta = type(alpha)(1) - alpha
    flat = ((e <= 0) & (d >= 0)) | ((e >= 0) & (d <= 0))
    small = abs(e) <= abs(d)
    low, high = e if small else d, d if small else e
    mean = low / ((alpha if small else beta) + (beta if small else alpha) * (low / high))
    return type(alpha)(0) if flat else mean


@kernel(contract=True)
def _end(d, e, q):
    """Three-point slope at an end whose bracket has slope d and the next e, limited so that the piece is monotone."""
    slope, most = d + q * (d - e), d + d + d
    against = ((slope <= 0) & (d >= 0)) | ((slope >= 0) & (d <= 0))
    turns = ((d > 0) & (e <= 0)) | ((d < 0) & (e >= 0))
    slope = most if turns & (abs(slope) > abs(most)) else slope
    return type(q)(0) if against else slope


@kernel(contract=True)
def _weigh(a, b, c, e):
    """Akima's slope between b and c, with the slopes beyond on both sides."""
    after, before = abs(e - c), abs(b - a)
    total = after + before
    share = before / total
    half = type(total)(0.5)
    return b + (half if total == 0 else share) * (c - b)


@kernel(contract=True)
def _around(i, low, high, gaps):
    """Gaps before and after bracket i, two each way, 0 beyond an end of its part of the row."""
    before = gaps[i - 1] if i - 1 >= low else 0.0
    after = gaps[i + 1] if i + 2 < high else 0.0
    before, after = max(before, 0.0), max(after, 0.0)
    earlier = gaps[i - 2] if before > 0 and i - 2 >= low else 0.0
    later = gaps[i + 2] if after > 0 and i + 3 < high else 0.0
    return max(earlier, 0.0), before, after, max(later, 0.0)


@kernel(contract=True)
def _ratio(h, gap):
    """Turns a difference over ``gap`` into a slope times h; 0 for a gap that is not there."""
    return min(h / gap, LARGEST) if gap > 0 else 0.0


@kernel(contract=True)
def _line_all(to, at, far, features, x, like, kind, brain):
    bad = False
    for d in range(features):
        v = load(at, d, kind, brain)
        r = v + x * (load(far, d, kind, brain) - v)
        put(to, d, narrow(r, like, brain))
        bad |= r != r
    return bad


@kernel(contract=True)
def _catmull_rom_all(to, at, far, p, n, features, x, ql, qr, like, kind, brain):
    bad = False
    for d in range(features):
        v, y = load(at, d, kind, brain), load(far, d, kind, brain)
        c = y - v
        near, distant = (c + (v - load(p, d, kind, brain))) * ql, (c + (load(n, d, kind, brain) - y)) * qr
        r = _hermite(v, c, near, distant, x)
        put(to, d, narrow(r, like, brain))
        bad |= r != r
    return bad


@kernel(contract=True)
def _pchip_all(to, at, far, p, n, features, x, ql, qr, sl, sr, left, right, like, kind, brain):
    bad, third = False, type(x)(1 / 3)
    al, ar = third + third * ql, third + third * qr
    for d in range(features):
        v, y = load(at, d, kind, brain), load(far, d, kind, brain)
        c, e, f = y - v, (v - load(p, d, kind, brain)) * sl, (load(n, d, kind, brain) - y) * sr
        near = _harmonic(e, c, al) if left else _end(c, f, qr)
        distant = _harmonic(f, c, ar) if right else _end(c, e, ql)
        r = _hermite(v, c, near, distant, x)
        put(to, d, narrow(r, like, brain))
        bad |= r != r
    return bad


@kernel(contract=True)
def _akima_all(to, at, far, p, n, pp, nn, features, x, sll, sl, sr, srr, like, kind, brain):
    """Without a sample before, p is ``at``; without one before that, pp is p; likewise n and nn behind."""
    bad = False
    for d in range(features):
        v, y = load(at, d, kind, brain), load(far, d, kind, brain)
        vp, vn = load(p, d, kind, brain), load(n, d, kind, brain)
        c, e, f = y - v, (v - vp) * sl, (vn - y) * sr
        e, f = e if p != at else (c + c) - f, f if n != far else (c + c) - e
        g, j = (vp - load(pp, d, kind, brain)) * sll, (load(nn, d, kind, brain) - vn) * srr
        g, j = g if pp != p else (e + e) - c, j if nn != n else (f + f) - c
        r = _hermite(v, c, _weigh(g, e, c, f), _weigh(j, f, c, e), x)
        put(to, d, narrow(r, like, brain))
        bad |= r != r
    return bad


@functools.cache
def local(kind: Any, brain: bool, method: int) -> Any:
    """Kernel of one method for one type of samples."""
    real = np.float32 if kind is np.uint16 else kind
    like = kind(0)
    pchip, akima = method == PCHIP, method == AKIMA

    @kernel(contract=True)
    def run(start, stop, rows):
        features, step = rows.features, rows.value_step
        for item in range(start, stop):
            b, first, last, own, clock = item_of(item, rows)
            gaps, low, high = rows.gaps[clock], rows.begin[b], rows.end[b]
            base, to = rows.values + b * rows.value_row, rows.out + b * rows.out_row + (first - 1) * rows.out_step
            for k in range(first, last):
                to += rows.out_step
                i, w = rows.index[own, k], rows.weight[own, k]
                at, go = base + i * step, step
                if i < 0:
                    write_fill(to, features, rows.fill)
                    continue
                if w == 0:
                    if copy(to, at, features, kind, brain):
                        refuse(rows, b, k)
                    continue
                h = gaps[i]
                earlier, before, after, later = _around(i, low, high, gaps)
                if w >= 0.5:
                    at, go, w = at + step, -step, 1.0 - w
                    earlier, before, after, later = later, after, before, earlier
                far, x, left, right = at + go, real(w), before > 0, after > 0
                p, n = at - go if left else at, far + go if right else far  # else their difference is 0
                ql, qr = real(h / (h + before)), real(h / (h + after))
                sl, sr = real(_ratio(h, before)), real(_ratio(h, after))
                if not left and not right:
                    bad = _line_all(to, at, far, features, x, like, kind, brain)
                elif pchip:
                    bad = _pchip_all(to, at, far, p, n, features, x, ql, qr, sl, sr, left, right, like, kind, brain)
                elif akima:
                    pp, nn = p - go if earlier > 0 else p, n + go if later > 0 else n
                    sll, srr = real(_ratio(h, earlier)), real(_ratio(h, later))
                    bad = _akima_all(to, at, far, p, n, pp, nn, features, x, sll, sl, sr, srr, like, kind, brain)
                else:
                    bad = _catmull_rom_all(to, at, far, p, n, features, x, ql, qr, like, kind, brain)
                if bad:
                    refuse(rows, b, k)

    return run
