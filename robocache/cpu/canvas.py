"""Dense grids written once on the CPU, from rows of the few voxels that hold something."""

from typing import Any

import numpy as np

from .._core import dtypes
from . import _reduce
from ._jit import kernel, split
from ._points import Source

STEPS = 1 << 20  # parts of a cell that a coordinate is rounded to; of splat.cu
SMALLEST = -960  # least exponent that a unit follows from, as in `_reduce`


@kernel()
def _number(ids, table, slots, counts):
    """Rows of cells in the order of their first points, and the points of each; how many there are."""
    found = np.int32(0)
    for i in range(ids.shape[0]):
        slots[i] = -1
        if ids[i] >= 0:
            row = table[ids[i]]
            if row < 0:
                row = table[ids[i]] = found
                found += 1
            slots[i] = row
            counts[row] += 1
    return found


@kernel()
def _paint(start, stop, table, rows, fill, shape, index, occupancy, out):
    """Lines [start, stop) of cells along z, channels last: that of empty cells first, as a whole."""
    wide, deep, means = shape[1], shape[2], rows.shape[1]
    channels = means + 3 * (index.shape[0] > 0) + occupancy
    empty = np.zeros((deep, channels), out.dtype)
    empty[:, :means] = fill
    for z in range(deep if index.shape[0] else 0):
        empty[z, means + 2] = index[shape[0] + wide + z]
    flat = empty.reshape(-1)
    for line in range(start, stop):
        if index.shape[0]:
            x, y = index[line // wide % shape[0]], index[shape[0] + line % wide]
            for z in range(deep):
                empty[z, means] = x
                empty[z, means + 1] = y
        to = out[line * flat.shape[0] : (line + 1) * flat.shape[0]]
        for i in range(to.shape[0]):
            to[i] = flat[i]
        for z in range(deep):
            row = table[line * deep + z]
            if row >= 0:
                for c in range(means):
                    to[z * channels + c] = rows[row, c]
                if occupancy:
                    to[(z + 1) * channels - 1] = 1


def _paint_planes(table: Any, rows: Any, fill: Any, shape: Any, index: Any, occupancy: bool, out: Any) -> None:
    """The same with channels first."""
    means, cells = rows.shape[1], shape[0] * shape[1] * shape[2]
    planes = out.reshape(table.size // cells, -1, cells)
    planes[:, :means] = fill
    there = np.flatnonzero(table >= 0)
    planes[there // cells, :means, there % cells] = rows[table[there]]
    if index.size:
        parts = np.split(index, (shape[0], shape[0] + shape[1]))
        for axis, part in enumerate(np.meshgrid(*parts, indexing="ij")):
            planes[:, means + axis] = part.reshape(-1)
    if occupancy:
        planes[:, -1] = (table >= 0).reshape(-1, cells)


@kernel()
def _scatter(start, stop, points, firsts, lasts, origin, size, shape, features, ids, values, lost):
    """The eight cells whose middles are around each point, and its features times their weights, with the weight."""
    cell, part = np.empty(3, np.int64), np.empty(3, np.int64)
    for cloud in range(start, stop):
        lost[cloud] = 0
        for i in range(firsts[cloud], lasts[cloud]):
            inside = True
            for axis in range(3):
                q = (points[i, axis] - origin[axis]) / size[axis]
                inside = inside and np.floor(q) >= 0 and np.floor(q) < shape[axis]
                if inside:
                    c = q - points.dtype.type(0.5)
                    cell[axis] = np.int64(np.floor(c))
                    part[axis] = np.int64(np.rint(np.float64(c - np.floor(c)) * STEPS))
            lost[cloud] += not inside
            for corner in range(8):
                number, weight = np.int64(cloud), np.int64(1)
                for axis in range(3):
                    up = (corner >> (2 - axis)) & 1
                    at = cell[axis] + up
                    weight *= part[axis] if up else STEPS - part[axis]
                    if not inside or at < 0 or at >= shape[axis]:
                        weight = np.int64(0)
                    number = number * shape[axis] + at
                weight = (weight + (1 << 29)) >> 30
                if weight == 0:
                    continue
                w = np.float64(weight) / (1 << 30)
                ids[i, corner] = number
                for f in range(features.shape[1]):
                    values[i, corner, f] = w * features[i, f]
                values[i, corner, features.shape[1]] = w


@kernel()
def _line_up(slots, starts, order):
    """Points of each row in a row; ``starts`` is where each begins, and then where it ends."""
    for i in range(slots.shape[0]):
        if slots[i] >= 0:
            order[starts[slots[i]]] = i
            starts[slots[i]] += 1


@kernel()
def _sum_rows(start, stop, order, ends, features, powers, mean, out):
    """Sums or means to the bits of `_reduce`, without anything kept for a row but its result."""
    top = np.zeros(1)
    bits = top.view(np.int64)
    for row in range(start, stop):
        first = ends[row - 1] if row > 0 else 0
        count = ends[row] - first
        fraction, left = 61, count
        while left > 0:
            fraction -= 1
            left >>= 1
        for c in range(features.shape[1]):
            most, flags = 0.0, 0
            for j in range(first, ends[row]):
                x = np.float64(features[order[j], c])
                size = abs(x)
                if x != x:
                    flags |= 1
                elif size == np.inf:
                    flags |= 2 if x > 0 else 4
                else:
                    most = size if size > most else most
            if flags:
                out[row, c] = np.nan if flags & 1 or flags == 6 else (np.inf if flags & 2 else -np.inf)
                continue
            top[0] = most
            exponent = max((bits[0] >> 52) - 1022, SMALLEST)
            scale, unit, units = powers[fraction - exponent + 1022], powers[exponent - fraction + 1022], np.int64(0)
            for j in range(first, ends[row]):
                units += np.int64(np.rint(np.float64(features[order[j], c]) * scale))
            total = np.float64(units)
            out[row, c] = total / np.float64(count) * unit if mean and count > 1 else total * unit


def _rows(ids: Any, cells: int) -> tuple[Any, Any, Any, Any, Any]:
    """Row of every cell, of every point, points of each row, and the points of each row in a row."""
    table, slots = np.full(cells, -1, np.int32), np.empty(ids.size, np.int32)
    counts = np.zeros(min(ids.size, cells), np.int32)
    counts = counts[: _number(ids, table, slots, counts)]
    ends = np.cumsum(counts, dtype=np.int64) - counts
    order = np.empty(int(counts.sum(dtype=np.int64)), np.int32)
    _line_up(slots, ends, order)
    return table, slots, counts, order, ends


def _reduced(features: Any, lined: Any, kind: str) -> Any:
    """Rows of sums or means, of floats in their type and of integers in float64."""
    slots, counts, order, ends = lined
    floating, channels = features.dtype in dtypes.FLOATING, features.shape[2]
    if not floating and features.dtype.itemsize > 2:
        out = np.empty((counts.size, channels))
        _reduce.reduce(features, slots, counts, (kind,), (out,), 0, (0.0, 0))
        return out
    wide = features.astype(dtypes.accumulator(features.dtype), copy=False).reshape(slots.size, channels)
    out = np.empty((counts.size, channels))
    wide, powers = np.ascontiguousarray(wide), _reduce.POWERS
    split(_sum_rows, counts.size, 4 * wide.nbytes, order, ends, wide, powers, kind == "mean", out)
    with np.errstate(over="ignore"):
        if features.dtype in dtypes.HALF:
            out = out.astype(np.float32)
        return out.astype(features.dtype, copy=False) if floating else out


def _put(table: Any, rows: Any, fill: float, shape: Any, layers: tuple[bool, bool], first: bool, out: Any) -> None:
    if not out.size:
        return
    real = np.float64 if out.dtype == dtypes.float64 else np.float32
    parts = [np.arange(n, dtype=real) / real(n) for n in shape] if layers[0] else [np.empty(0, real)]
    index, flat, half = np.concatenate(parts), out.reshape(-1), out.dtype in dtypes.HALF
    with np.errstate(over="ignore"):
        rows, empty = (np.asarray(a).astype(real, copy=False) for a in (rows, fill))
        if half:
            rows, empty = (np.asarray(a).astype(out.dtype, copy=False).view(np.uint16) for a in (rows, empty))
            flat, index = flat.view(np.uint16), np.empty(0, np.uint16)
    if first:
        _paint_planes(table, rows, empty[()], shape, index, layers[1], flat)
    else:
        axes = np.array(shape, np.int64)
        split(_paint, table.size // shape[2], out.nbytes, table, rows, empty[()], axes, index, layers[1], flat)


def append(
    points: Any,
    features: Any,
    rows: Any,
    grid: Any,
    layers: tuple[bool, bool],
    out: Any,
    fill: tuple[float, int],
    channels_first: bool,
    dropped: Any,
    strict: bool,
) -> None:
    """See robocache.ops.voxel.voxel_grid."""
    source = Source(points, rows, grid)
    cells = rows.clouds * grid.shape[0] * grid.shape[1] * grid.shape[2]
    ids = source.ids(np.zeros(3, np.int64), np.array(grid.shape, np.int64), -1)
    if dropped is not None:
        source.count_dropped(ids, -1, dropped)
    table, *lined = _rows(ids, cells)
    if len({array.dtype for array in features}) == 1:  # each point is looked for once
        features = (np.concatenate(features, axis=2),)
    with np.errstate(over="ignore"):
        parts = [_reduced(array, lined, "mean").astype(out.dtype, copy=False) for array in features]
    _put(table, np.concatenate(parts, axis=1), fill[0], grid.shape, layers, channels_first, out)


def splat(
    points: Any,
    features: Any,
    rows: Any,
    grid: Any,
    kinds: tuple[str, ...],
    outs: tuple[Any, ...],
    fill: tuple[float, int],
    channels_first: bool,
    dropped: Any,
    strict: bool,
) -> None:
    """See robocache.ops.voxel.voxel_grid."""
    source = Source(points, rows, grid)
    width = 0 if features is None else features.shape[2]
    wide = np.empty((rows.total, 0)) if features is None else features.astype(np.float64).reshape(rows.total, width)
    ids, values = np.full((rows.total, 8), -1), np.empty((rows.total, 8, width + 1))
    lost = np.empty(rows.clouds, np.int64)
    split(
        _scatter, rows.clouds, values.nbytes, source.points, source.firsts, source.lasts, source.origin, source.size,
        np.array(grid.shape, np.int64), wide, ids, values, lost,
    )  # fmt: skip
    if dropped is not None:
        dropped[...] = lost
    table, *lined = _rows(ids.reshape(-1), rows.clouds * grid.shape[0] * grid.shape[1] * grid.shape[2])
    sums = _reduced(values.reshape(1, rows.total * 8, width + 1), lined, "sum")
    weight = sums[:, width:]
    for kind, out in zip(kinds, outs, strict=True):
        shares = sums[:, :width]
        found = weight if kind == "count" else shares if kind == "sum" else shares / weight
        _put(table, found, 0.0 if kind == "count" else fill[0], grid.shape, (False, False), channels_first, out)
