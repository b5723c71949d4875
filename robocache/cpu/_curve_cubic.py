"""Natural cubic splines: the stamps are factored once a row, then features solved by blocks that stay in the cache."""

import functools
from typing import Any

import numpy as np

from .._core.jobs import Job
from ._address import put, view
from ._curve_rows import Rows, copy, load, narrow, raw, refuse, write_fill
from ._jit import kernel, split

CACHE_BYTES = 1 << 18  # of second derivatives of a block
LEAST, MOST = 16, 256  # features of a block
AFTER, BEFORE, LAST, NEXT, COLUMNS = range(5)  # of the table


def run(job: Job, rows: Rows) -> None:
    """Write the results of a job."""
    kind, brain = raw(job.out.dtype)
    real = np.dtype(np.float32 if kind is np.uint16 else kind)
    batch = rows.begin.size
    apart = rows.gaps.shape[0] > 1 or job.lengths is not None  # packed rows stand apart in one table
    table = np.empty((batch if apart else 1, rows.gaps.shape[1], COLUMNS), real)
    units = np.ones(batch)
    split(_factor, batch if apart or job.offsets is not None else 1, 3 * table.nbytes, rows, table, units)
    if not apart and job.offsets is None:
        units[:] = units[0]
    samples = max(1, int((rows.end - rows.begin).max()))
    width = CACHE_BYTES // (samples * real.itemsize) // LEAST * LEAST
    width = min(max(width, LEAST), MOST, rows.features)
    blocks = -(-rows.features // width)
    work = 3 * job.out.nbytes + 4 * real.itemsize * batch * samples * rows.features
    split(_spline(kind, brain), batch * blocks, work, rows, table, units, width, samples * width)


@kernel(contract=True)
def _factor(start, stop, rows, coefficients, units):
    """Eliminate downwards: what a second derivative takes of the differences around it, and of its neighbours.

    Time counts in the row's mean gap, ``units``, which keeps it within float32. A line of zeros ends a part.
    """
    gaps, begin, end = rows.gaps, rows.begin, rows.end
    for r in range(start, stop):
        low, high = begin[r], end[r]
        row = gaps[r if gaps.shape[0] > 1 else 0]
        table = coefficients[r if coefficients.shape[0] > 1 else 0]
        total = 0.0
        for j in range(low, high - 1):
            total += max(row[j], 0.0)
        unit = total / (high - 1 - low) if total > 0 else 1.0
        units[r] = unit
        before, link = 0.0, 0.0
        for j in range(low, high):
            after = max(row[j], 0.0) / unit if j < high - 1 else 0.0
            if before > 0 and after > 0:
                inverse = 1 / (2 * (before + after) - before * link)
                link = after * inverse
                table[j, AFTER], table[j, BEFORE] = 6 * inverse / after, 6 * inverse / before
                table[j, LAST], table[j, NEXT] = before * inverse, link
            else:
                link = 0.0
                table[j] = 0
            before = after


@kernel(contract=True)
def _bend(at, step, n, width, stride, table, low, z, kind, brain):
    """Second derivatives of a block of features into the n rows of z: NaN throughout where a sample is not finite."""
    size = z.itemsize
    start, end = z.ctypes.data, z.ctypes.data + (n - 1) * stride * size
    zero = z.dtype.type(0)
    for d in range(width):
        put(end, d, load(at, d, kind, brain) * zero + load(at + (n - 1) * step, d, kind, brain) * zero)
    if n > 1:
        for d in range(width):
            put(start, d, zero)
    taint = view(end, width, z.dtype.type)
    for j in range(1, n - 1):
        line, here = table[low + j], at + j * step
        after, before, last = line[AFTER], line[BEFORE], line[LAST]
        to, above = start + j * stride * size, view(start + (j - 1) * stride * size, width, z.dtype.type)
        for d in range(width):
            v = load(here, d, kind, brain)
            rise, fall = load(here + step, d, kind, brain) - v, v - load(here - step, d, kind, brain)
            put(end, d, taint[d] + v * zero)
            put(to, d, after * rise - before * fall - last * above[d])
    for j in range(n - 2, -1, -1):
        link, to = table[low + j, NEXT], start + j * stride * size
        here, below = view(to, width, z.dtype.type), view(to + stride * size, width, z.dtype.type)
        for d in range(width):
            put(to, d, here[d] - link * below[d])  # 0 * NaN carries the NaN of the last row through every part


@functools.cache
def _spline(kind: Any, brain: bool) -> Any:
    """Kernel for one type of samples: an item is a block of features of a row."""
    real = np.float32 if kind is np.uint16 else kind
    like, size, rsize = kind(0), np.dtype(kind).itemsize, np.dtype(real).itemsize

    @kernel(contract=True)
    def evaluate(start, stop, rows, coefficients, units, most, room):
        z, step = np.empty(room, real), rows.value_step
        blocks = (rows.features + most - 1) // most
        for item in range(start, stop):
            b, column = item // blocks, item % blocks * most
            width = min(most, rows.features - column)
            low, n = rows.begin[b], rows.end[b] - rows.begin[b]
            gaps = rows.gaps[b if rows.gaps.shape[0] > 1 else 0]
            own = b if rows.index.shape[0] > 1 else 0
            base = rows.values + b * rows.value_row + column * size
            if n > 0:
                table = coefficients[b if coefficients.shape[0] > 1 else 0]
                _bend(base + low * step, step, n, width, most, table, low, z, kind, brain)
            to = rows.out + b * rows.out_row + column * size - rows.out_step
            for k in range(rows.steps):
                to += rows.out_step
                i, w = rows.index[own, k], rows.weight[own, k]
                at = base + i * step
                if i < 0:
                    write_fill(to, width, rows.fill)
                    continue
                if w == 0:
                    if copy(to, at, width, kind, brain):
                        refuse(rows, b, k)
                    continue
                h = gaps[i] / units[b]
                bow = -w * (1 - w) * h * h / 6
                near, far = real(bow * (2 - w)), real(bow * (1 + w))
                there, go, other = z.ctypes.data + (i - low) * most * rsize, step, most * rsize
                if w >= 0.5:  # from the nearer end
                    at, go, there, other, w = at + step, -step, there + other, -other, 1 - w
                    near, far = far, near
                bends, others = view(there, width, real), view(there + other, width, real)
                bad, x = False, real(w)
                for d in range(width):
                    v = load(at, d, kind, brain)
                    r = v + x * (load(at + go, d, kind, brain) - v) + (near * bends[d] + far * others[d])
                    put(to, d, narrow(r, like, brain))
                    bad |= r != r
                if bad:
                    refuse(rows, b, k)

    return evaluate
