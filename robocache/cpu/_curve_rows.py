"""What the kernels of curves share: where rows, targets and results lie, and samples as numbers of the arithmetic."""

from typing import Any, NamedTuple

import numpy as np

from .._core import dtypes, jobs
from .._core.jobs import Curve, Found, Job
from ._address import get, put, view
from ._half import narrow_bf16, narrow_f16, widen_bf16, widen_f16
from ._jit import kernel, split
from ._locate import CHUNK

# Numba keeps a kernel together with those it calls, and looks for changes in the file of the kernel only: whoever
# changes one of these must touch the ``_curve`` files beside this one.
NO_INDEX, NO_WEIGHT = np.empty((1, 0), np.int64), np.empty((1, 0))
GEOMETRY = (jobs.CUBIC, jobs.PCHIP, jobs.AKIMA, jobs.CATMULL_ROM, jobs.MEAN)  # methods that look at other gaps


class Rows(NamedTuple):
    """A job as the kernels take it: addresses, and distances in bytes.

    index and weight are ``[R, ≥ T]``, gaps ``[G, samples]``, with one row where it serves the batch; edges, of a mean,
    are the same for the lower edges of the cells and then the upper ones; the samples of row b are those from begin[b]
    to end[b] of its row of gaps.
    """

    index: Any
    weight: Any
    edges: Any
    edge_weight: Any
    gaps: Any
    begin: Any
    end: Any
    steps: int
    features: int
    values: int
    value_row: int
    value_step: int
    out: int
    out_row: int
    out_step: int
    valid: int
    fill: Any
    low: float
    period: float


def raw(dtype: np.dtype) -> tuple[Any, bool]:
    """The type that memory is read as, and whether it holds bfloat16."""
    return (np.uint16 if dtype in dtypes.HALF else dtype.type), dtype == dtypes.bfloat16


def rows_of(job: Job, curve: Curve, found: Found, edges: Found | None, valid: Any) -> Rows:
    """Everything a kernel needs of one job."""
    batch, steps, features = job.out.shape
    packed, samples = job.values.ndim == 2, job.values.shape[-2]
    begin, end = np.zeros(batch, np.int64), np.full(batch, samples, np.int64)
    if packed:
        begin[:], end[:] = job.offsets[:-1], job.offsets[1:]
    elif job.lengths is not None:
        end[:] = job.lengths
    count = found.valid.shape[0]
    kind, _ = raw(job.out.dtype)
    index, weight = _two(found, count)
    edge, edge_weight = (NO_INDEX, NO_WEIGHT) if edges is None else _two(edges, count)
    return Rows(
        index=index,
        weight=weight,
        edges=edge,
        edge_weight=edge_weight,
        gaps=gaps_of(job.times) if curve.kind in GEOMETRY else np.empty((1, 0)),
        begin=begin,
        end=end,
        steps=steps,
        features=features,
        values=job.values.ctypes.data,
        value_row=0 if packed or job.values.shape[0] == 1 else job.values.strides[0],
        value_step=job.values.strides[-2],
        out=job.out.ctypes.data,
        out_row=job.out.strides[0],
        out_step=job.out.strides[1],
        valid=0 if valid is None else valid.ctypes.data,
        fill=np.asarray(job.fill, job.out.dtype).reshape(1).view(kind)[0],
        low=float(curve.low),
        period=float(curve.period),
    )


def _two(found: Found, count: int) -> tuple[Any, Any]:
    """Index and weight a row."""
    return found.index.reshape(count, -1), found.weight.reshape(count, -1)


def gaps_of(times: Any) -> Any:
    """From every stamp to the next: subtracted in the stamps' own type, then float64."""
    gaps = np.empty(times.shape if times.ndim == 2 else (1, *times.shape))
    split(_measure, gaps.shape[0], 2 * gaps.nbytes, times.ctypes.data, times.dtype.type, gaps)
    return gaps


@kernel()
def _measure(start, stop, times, kind, gaps):
    samples, stamps = gaps.shape[1], view(times, gaps.size, kind)
    for r in range(start, stop):
        row, into = stamps[r * samples : (r + 1) * samples], gaps[r]
        for j in range(samples - 1):
            if isinstance(row[j], np.int64):
                into[j] = np.float64(np.uint64(row[j + 1]) - np.uint64(row[j]))
            else:
                into[j] = np.float64(row[j + 1]) - np.float64(row[j])


@kernel()
def item_of(item, rows):
    """Row, first target and end of the targets of an item of work; row of index, and of gaps."""
    shares = (rows.steps + CHUNK - 1) // CHUNK
    b, first = item // shares, (item % shares) * CHUNK
    found, clock = b if rows.index.shape[0] > 1 else 0, b if rows.gaps.shape[0] > 1 else 0
    return b, first, min(first + CHUNK, rows.steps), found, clock


@kernel()
def widen(x, brain):
    """A sample as a number of the arithmetic."""
    if not isinstance(x, np.uint16):
        return x
    if brain:
        return widen_bf16(x)
    return widen_f16(x)


@kernel()
def narrow(number, like, brain):
    """A number of the arithmetic as a sample of the type of ``like``."""
    if not isinstance(like, np.uint16):
        return number
    if brain:
        return narrow_bf16(number)
    return narrow_f16(number)


@kernel()
def load(at, d, kind, brain):
    return widen(get(at, d, kind), brain)


@kernel()
def copy(to, at, features, kind, brain):
    """Copy a sample bit for bit; whether it has a NaN."""
    bad = False
    for d in range(features):
        x = get(at, d, kind)
        put(to, d, x)
        number = widen(x, brain)
        bad |= number != number
    return bad


@kernel()
def write_fill(to, features, fill):
    for d in range(features):
        put(to, d, fill)


@kernel()
def refuse(rows, b, k):
    """Mark a result as not real."""
    if rows.valid:
        view(rows.valid + b * rows.steps + k, 1, np.uint8)[0] = 0
