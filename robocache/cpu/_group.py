"""Points of equal cells to voxel numbers: a stable radix sort of (key, point), then numbering of the runs."""

from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.errors import DataError
from ._jit import kernel, split
from ._points import BLOCK, Source

DIGIT = 11  # bits a pass at most: 2048 write fronts still fit the second-level TLB


@kernel()
def _radix_count(start, stop, keys, shift, mask, length, counts):
    for block in range(start, stop):
        for digit in range(counts.shape[1]):
            counts[block, digit] = 0
        for j in range(block * length, min((block + 1) * length, keys.shape[0])):
            counts[block, (keys[j] >> shift) & mask] += 1


@kernel()
def _radix_scan(counts):
    before = np.int64(0)
    for digit in range(counts.shape[1]):
        for block in range(counts.shape[0]):
            count = counts[block, digit]
            counts[block, digit] = before
            before += count


@kernel()
def _radix_scatter(start, stop, keys, index, shift, mask, length, counts, keys_out, index_out):
    for block in range(start, stop):
        for j in range(block * length, min((block + 1) * length, keys.shape[0])):
            key = keys[j]
            digit = (key >> shift) & mask
            to = counts[block, digit]
            counts[block, digit] = to + 1
            keys_out[to] = key
            index_out[to] = index[j]


@kernel()
def _count_heads(start, stop, keys, limit, length, heads):
    for block in range(start, stop):
        found = np.int64(0)
        for j in range(block * length, min((block + 1) * length, keys.shape[0])):
            if keys[j] < limit and (j == 0 or keys[j - 1] != keys[j]):
                found += 1
        heads[block] = found


@kernel()
def _label(start, stop, keys, index, limit, length, before, inverse, starts):
    for block in range(start, stop):
        voxel_id = before[block] - 1
        for j in range(block * length, min((block + 1) * length, keys.shape[0])):
            if keys[j] >= limit:
                inverse[index[j]] = -1
            else:
                if j == 0 or keys[j - 1] != keys[j]:
                    voxel_id += 1
                    starts[voxel_id] = j
                inverse[index[j]] = voxel_id


@kernel()
def _renumber(start, stop, rank, rows, inverse):
    for p in range(start, stop):
        if inverse[p] >= 0:
            to = rank[inverse[p]]
            inverse[p] = to if to < rows else -1


@kernel()
def _fill_rows(start, stop, keys, begins, ends, base, extent, coords, counts):
    for row in range(start, stop):
        key = keys[begins[row]]
        for axis in range(2, -1, -1):
            coords[row, axis] = key % extent[axis] + base[axis]
            key //= extent[axis]
        counts[row] = ends[row] - begins[row]


def _sort(keys: np.ndarray, bits: int) -> tuple[np.ndarray, np.ndarray]:
    """Keys in order, and the point each belongs to; equal keys keep the order of their points."""
    total = keys.size
    blocks = -(-total // BLOCK)
    passes = -(-bits // DIGIT)
    digit = -(-bits // passes)
    index = np.arange(total, dtype=np.int32 if total < 1 << 31 else np.int64)
    spare_keys, spare_index = np.empty_like(keys), np.empty_like(index)
    counts = np.empty((blocks, 1 << digit), np.int64)
    mask = (1 << digit) - 1
    for shift in range(0, passes * digit, digit):
        split(_radix_count, blocks, keys.nbytes, keys, shift, mask, BLOCK, counts)
        _radix_scan(counts)
        split(_radix_scatter, blocks, keys.nbytes, keys, index, shift, mask, BLOCK, counts, spare_keys, spare_index)
        keys, spare_keys, index, spare_index = spare_keys, keys, spare_index, index
    return keys, index


def group(
    points: Any, rows: Any, grid: Any, order: str, limit: int | None, empty: Callable[..., Any]
) -> dict[str, Any]:
    """See robocache.ops.voxel.voxelize."""
    source = Source(points, rows, grid)
    inverse, dropped = empty((rows.total,), np.int64), empty((rows.clouds,), np.int64)
    base, extent = np.zeros(3, np.int64), np.array(grid.shape or (1, 1, 1), np.int64)
    if not source.bounded and rows.total:
        base, extent = source.box()
    last = rows.clouds * int(extent[0]) * int(extent[1]) * int(extent[2])  # above every key
    if last >= 1 << 63:
        raise DataError("the points span more than 2**63 cells; no voxel was made. Raise voxel_size or give bounds")
    keys = source.ids(base, extent, last)
    source.count_dropped(keys, last, dropped)
    keys, index = _sort(keys, max(last.bit_length(), 1))

    blocks = -(-rows.total // BLOCK)
    heads = np.zeros(blocks + 1, np.int64)
    split(_count_heads, blocks, keys.nbytes, keys, last, BLOCK, heads[1:])
    before = np.cumsum(heads)
    found = int(before[-1])
    starts = np.empty(found + 1, np.int64)
    starts[found] = np.searchsorted(keys, last)
    split(_label, blocks, keys.nbytes, keys, index, last, BLOCK, before, inverse, starts)

    wanted = found if limit is None else limit
    kept = min(found, wanted)
    offsets = np.searchsorted(keys[starts[:-1]], np.arange(rows.clouds + 1) * (last // max(rows.clouds, 1)))
    begins, ends = starts[:-1], starts[1:]
    if order == "first":
        by_first = np.argsort(index[begins])
        rank = np.empty_like(by_first)
        rank[by_first] = np.arange(found)
        begins, ends = begins[by_first], ends[by_first]
        split(_renumber, inverse.size, inverse.nbytes, rank, kept, inverse)
    elif kept < found:
        inverse[inverse >= kept] = -1
    coords, counts = empty((wanted, 3), np.int32), empty((wanted,), np.int32)
    coords[kept:], counts[kept:] = -1, 0
    split(_fill_rows, kept, 20 * kept, keys, begins, ends, base, extent, coords, counts)
    result = {"coords": coords, "counts": counts, "inverse": inverse, "dropped": dropped}
    for name, value in (("offsets", np.minimum(offsets, kept)), ("kept", kept), ("found", found)):
        result[name] = empty(np.shape(value), np.int64)
        result[name][...] = value
    return result
