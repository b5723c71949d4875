"""Means over time: the line through the samples, averaged over the cell of each target in one pass."""

import functools
from typing import Any

import numpy as np

from ._address import put, view
from ._curve_rows import copy, item_of, load, narrow, refuse, write_fill
from ._jit import kernel

BLOCK = 256  # features summed at once, in the first cache


@kernel(contract=True)
def _parts(h, begin, end):
    """What the samples of a bracket weigh in its part from share ``begin`` to ``end``."""
    half = 0.5 * h * (end - begin)
    return half * ((1.0 - begin) + (1.0 - end)), half * (begin + end)


@kernel(contract=True)
def _cell(i, u, j, x, gaps):
    """Where a cell begins once gaps of no length are left out, and its width."""
    while i < j and u == 0 and not gaps[i] > 0:
        i += 1
    if i >= j:
        return i, ((x - u) * gaps[i] if i == j and x > u else 0.0)
    width = (1.0 - u) * gaps[i]
    for g in range(i + 1, j):
        width += gaps[g]
    if x > 0:
        width += x * gaps[j]
    return i, width


@kernel(contract=True)
def _add(sums, at, here, share, width, kind, brain):
    """Weigh the difference of a sample from the first one, so that what they share costs no digits."""
    total = view(sums, width, type(share))
    for d in range(width):
        put(sums, d, total[d] + share * (load(here, d, kind, brain) - load(at, d, kind, brain)))


@kernel(contract=True)
def _integrate(sums, i, u, j, x, total, gaps, base, step, width, kind, brain, real):
    """Mean difference from sample i over a cell of that width that reaches beyond the bracket it begins in."""
    at, carried = base + i * step, 0.0
    for d in range(width):
        put(sums, d, real(0))
    for g in range(i, j + (x > 0)):
        left, right = _parts(gaps[g], u if g == i else 0.0, x if g == j else 1.0) if gaps[g] > 0 else (0.0, 0.0)
        if g > i and carried + left > 0:  # a sample between two of its own stamp counts for nothing, NaN or not
            _add(sums, at, base + g * step, real((carried + left) / total), width, kind, brain)
        carried = right
    if carried > 0:
        _add(sums, at, base + (j + (x > 0)) * step, real(carried / total), width, kind, brain)


@kernel(contract=True)
def _lean(to, at, far, features, w, like, kind, brain):
    """The line from one sample to the next at a point, from the nearer end."""
    one, bad = type(w)(1), False
    x, near = (w, at) if w + w < one else (w - one, far)
    for d in range(features):
        r = load(near, d, kind, brain) + x * (load(far, d, kind, brain) - load(at, d, kind, brain))
        put(to, d, narrow(r, like, brain))
        bad |= r != r
    return bad


@functools.cache
def mean(kind: Any, brain: bool) -> Any:
    """Kernel for one type of samples."""
    real = np.float32 if kind is np.uint16 else kind
    like, size = kind(0), np.dtype(kind).itemsize

    @kernel(contract=True)
    def run(start, stop, rows):
        features, step, steps = rows.features, rows.value_step, rows.steps
        sums = np.empty(BLOCK, real)
        for item in range(start, stop):
            b, first, last, own, clock = item_of(item, rows)
            gaps, base = rows.gaps[clock], rows.values + b * rows.value_row
            to = rows.out + b * rows.out_row + (first - 1) * rows.out_step
            for k in range(first, last):
                to += rows.out_step
                i, u = rows.edges[own, k], rows.edge_weight[own, k]
                j, x = rows.edges[own, steps + k], rows.edge_weight[own, steps + k]
                if rows.index[own, k] < 0 or i < 0 or j < 0:
                    write_fill(to, features, rows.fill)
                    refuse(rows, b, k)
                    continue
                start_at, width = _cell(i, u, j, x, gaps)
                at, bad = base + start_at * step, False
                if not width > 0:  # at a point
                    at = base + i * step
                    if u == 0:
                        bad = copy(to, at, features, kind, brain)
                    else:
                        bad = _lean(to, at, at + step, features, real(u), like, kind, brain)
                elif start_at == j:
                    middle = real(0.5 * (u + x))
                    bad = _lean(to, at, at + step, features, middle, like, kind, brain)
                else:
                    for column in range(0, features, BLOCK):
                        part, more = min(BLOCK, features - column), column * size
                        _integrate(
                            sums.ctypes.data, start_at, u, j, x, width, gaps, base + more, step, part, kind, brain, real
                        )
                        for d in range(part):
                            r = load(at + more, d, kind, brain) + sums[d]
                            put(to + more, d, narrow(r, like, brain))
                            bad |= r != r
                if bad:
                    refuse(rows, b, k)

    return run
