"""Farthest points on the CPU: a pick is compared with the boxes of buckets, and with the points of few of them."""

from typing import Any

import numpy as np

from .._core import dtypes
from .._core.errors import DataError
from ._buckets import LEAST_SHARE, fill_buckets
from ._jit import kernel, split
from ._points import clouds

BUCKET, FEW = 192, 48  # points of a bucket; fewer picks do not repay finding them
GROUP = 16  # buckets that have a box together
PICK_BYTES = 8192  # what a pick takes, in bytes moved in the same time
BAD_START = -1


@kernel()
def _enclose(lows, highs, edges, low, high):
    """Bounds of runs of values along one axis."""
    for b in range(low.shape[0]):
        least, most = lows[edges[b]], highs[edges[b]]
        for i in range(edges[b], edges[b + 1]):
            least, most = min(least, lows[i]), max(most, highs[i])
        low[b], high[b] = least, most


@kernel(inline=True)
def _beyond(low, high, at, zero):
    """How far a coordinate lies outside of an interval."""
    below, above = low - at, at - high
    most = below if below > above else above
    return most if most > zero else zero


@kernel()
def _measure_boxes(low, high, at, lowers):
    """Squared distances of boxes: by the steps of `_approach`, so that none is above that of a point inside."""
    x0, y0, z0, x1, y1, z1 = low[0], low[1], low[2], high[0], high[1], high[2]
    ax, ay, az, zero = at[0], at[1], at[2], at[3]
    for b in range(lowers.shape[0]):
        dx, dy, dz = _beyond(x0[b], x1[b], ax, zero), _beyond(y0[b], y1[b], ay, zero), _beyond(z0[b], z1[b], az, zero)
        lowers[b] = (dx * dx + dy * dy) + dz * dz


@kernel()
def _approach(x, y, z, at, nearest):
    """Squared distance of each point from the nearest pick, now that there is another."""
    ax, ay, az = at[0], at[1], at[2]
    for i in range(nearest.shape[0]):
        dx, dy, dz = x[i] - ax, y[i] - ay, z[i] - az
        square = (dx * dx + dy * dy) + dz * dz
        nearest[i] = square if square < nearest[i] else nearest[i]


@kernel()
def _largest(codes):
    """Largest of integers: the bits of floats, which grow with those that are not negative."""
    most = codes[0]
    for i in range(codes.shape[0]):
        most = max(most, codes[i])
    return most


@kernel()
def _find(start, stop, top, codes, numbers):
    """Where the point of the lowest number lies among those as far as ``top``."""
    found = np.int64(-1)
    for i in range(start, stop):
        if codes[i] == top and (found < 0 or numbers[i] < numbers[found]):
            found = np.int64(i)
    return found


@kernel()
def _farthest(best, wide_tops, tops, starts, codes, numbers, known):
    """The same among all points; ``known`` remembers it of buckets, -1 where it is not known."""
    found = np.int64(-1)
    for g in range(wide_tops.shape[0]):
        if wide_tops[g] != best:
            continue
        for b in range(g * GROUP, min(tops.shape[0], (g + 1) * GROUP)):
            if tops[b] == best:
                if known[b] < 0:
                    known[b] = _find(starts[b], starts[b + 1], best, codes, numbers)
                if found < 0 or numbers[known[b]] < numbers[found]:
                    found = known[b]
    return found


@kernel()
def _boxes(points, numbers, edges):
    low, high = np.empty((3, edges.shape[0] - 1), points.dtype), np.empty((3, edges.shape[0] - 1), points.dtype)
    for axis in range(3):
        values = points[axis]
        _enclose(values, values, edges, low[axis], high[axis])
    return low, high


@kernel()
def _pick(points, numbers, first, most, codes, nearest, picks):
    """Picks of one cloud of which the points ``numbers`` are usable; how many there are."""
    starts = np.empty(numbers.shape[0] // max(1, most // LEAST_SHARE) + 2, np.int64)
    count = fill_buckets(points, numbers, most, starts)
    starts = starts[: count + 1]
    columns = np.empty((3, numbers.shape[0]), points.dtype)
    for i in range(numbers.shape[0]):
        for axis in range(3):
            columns[axis, i] = points[numbers[i], axis]
    x, y, z = columns[0], columns[1], columns[2]
    low, high = _boxes(columns, numbers, starts)
    edges = np.minimum(np.arange(-(-count // GROUP) + 1) * GROUP, count)
    groups = edges.shape[0] - 1
    wide_low, wide_high = np.empty((3, groups), points.dtype), np.empty((3, groups), points.dtype)
    for axis in range(3):
        _enclose(low[axis], high[axis], edges, wide_low[axis], wide_high[axis])
    top = codes[0]
    tops, wide_tops, known = np.full(count, top), np.full(groups, top), np.full(count, -1)
    far, wide_far = tops.view(points.dtype), wide_tops.view(points.dtype)
    lowers, wide_lowers, at = np.empty(GROUP, points.dtype), np.empty(groups, points.dtype), np.zeros(4, points.dtype)
    i = _find(0, numbers.shape[0], top, codes, np.abs(numbers - first))
    for j in range(picks.shape[0]):
        if j > 0:
            top = _largest(wide_tops)
            if top <= 0:  # no point is left, or only such as lie on picks
                rest = np.sort(numbers[codes == 0])[: picks.shape[0] - j]
                picks[j : j + rest.shape[0]] = rest
                return j + rest.shape[0]
            i = _farthest(top, wide_tops, tops, starts, codes, numbers, known)
        picks[j] = numbers[i]
        at[0], at[1], at[2] = x[i], y[i], z[i]
        nearest[i] = -1
        _measure_boxes(wide_low, wide_high, at, wide_lowers)
        for g in range(groups):
            if not wide_lowers[g] < wide_far[g]:
                continue
            a, e = edges[g], edges[g + 1]
            _measure_boxes(low[:, a:e], high[:, a:e], at, lowers[: e - a])
            for b in range(a, e):
                if lowers[b - a] < far[b]:
                    s, t = starts[b], starts[b + 1]
                    _approach(x[s:t], y[s:t], z[s:t], at, nearest[s:t])
                    tops[b], known[b] = _largest(codes[s:t]), -1
            wide_tops[g] = _largest(tops[a:e])
    return picks.shape[0]


@kernel()
def _pick_clouds(start, stop, points, codes, nearest, firsts, lasts, begins, base, repeat, picks, found):
    """Picks of each cloud, counted from ``base`` times its first point; what is left over repeats them or is -1."""
    for cloud in range(start, stop):
        a, e = firsts[cloud], lasts[cloud]
        begin = begins[cloud] + a
        if e > a and (begin < a or begin >= e):
            found[cloud] = BAD_START
            continue
        numbers, usable = np.empty(e - a, np.int64), 0
        for i in range(a, e):
            numbers[usable] = i
            usable += np.isfinite(points[i, 0]) and np.isfinite(points[i, 1]) and np.isfinite(points[i, 2])
        found[cloud] = usable
        picks[cloud] = -1
        if usable == 0 or picks.shape[1] == 0:
            continue
        if not (np.isfinite(points[begin, 0]) and np.isfinite(points[begin, 1]) and np.isfinite(points[begin, 2])):
            begin = numbers[0]
        most = BUCKET if picks.shape[1] > FEW else usable
        part = slice(a, a + usable)
        made = _pick(points, numbers[:usable], begin, most, codes[part], nearest[part], picks[cloud])
        for j in range(made):
            picks[cloud, j] -= a * base
        for j in range(made, picks.shape[1]):
            picks[cloud, j] = picks[cloud, j - made] if repeat else -1


def farthest_points(points: Any, rows: Any, start: Any, repeat: bool, out: Any, strict: bool) -> None:
    """See robocache.ops.sampling.farthest_point_sample."""
    dtype = dtypes.accumulator(points.dtype)
    xyz = np.ascontiguousarray(points[..., :3], dtype).reshape(rows.total, 3)
    firsts, lasts = clouds(points, rows)
    nearest = np.full(rows.total, np.inf, dtype)
    begins = np.empty(rows.clouds, np.int64)
    begins[...] = start
    found = np.empty(rows.clouds, np.int64)
    codes = nearest.view(np.int32 if dtype == dtypes.float32 else np.int64)
    split(
        _pick_clouds, rows.clouds, xyz.nbytes + PICK_BYTES * out.size, xyz, codes, nearest, firsts, lasts, begins,
        int(rows.mode != 2), repeat, out, found,
    )  # fmt: skip
    wrong = np.flatnonzero(found < 0)
    if wrong.size:
        b = wrong[0]
        raise DataError(f"start is {begins[b]} but cloud {b} has {lasts[b] - firsts[b]} points; choose one of them")
    empty = np.flatnonzero(found == 0)
    if repeat and empty.size and out.shape[1]:
        raise DataError(f"cloud {empty[0]} has no finite point to repeat; drop it, or pass pad=-1")
