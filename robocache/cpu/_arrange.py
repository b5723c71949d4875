"""Points in order of their keys, equal keys in order of their points: what grouping rests on.

Where the keys are few for so many points, or become few once empty stretches of them are left out, the points of each
are counted in a table, a stretch of which stays in cache because points were parted by their upper bits before. All
other keys are sorted by digits.
"""

from typing import NamedTuple

import numpy as np

from ._jit import kernel, split
from ._points import BLOCK

DIGIT = 11  # bits a pass at most: 2048 write fronts still fit the second-level TLB
SPREAD = 4  # keys a point that are counted one by one
STRETCH = 4  # bits of a stretch of keys; empty ones are left out
NEAR = 14  # bits of keys whose table stays in the second cache
WHOLE_KEYS, WHOLE_POINTS = 1 << 17, 1 << 20  # fewer are counted without being parted


class Runs(NamedTuple):
    """Points in order of keys: run ``r`` is ``points[starts[r]:starts[r + 1]]``; past the last run, those of no key."""

    points: np.ndarray
    starts: np.ndarray


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
def _count_heads(start, stop, keys, none, length, heads):
    for block in range(start, stop):
        found = np.int64(0)
        for j in range(block * length, min((block + 1) * length, keys.shape[0])):
            if keys[j] < none and (j == 0 or keys[j - 1] != keys[j]):
                found += 1
        heads[block] = found


@kernel()
def _note_heads(start, stop, keys, none, length, before, starts):
    for block in range(start, stop):
        run = before[block]
        for j in range(block * length, min((block + 1) * length, keys.shape[0])):
            if keys[j] < none and (j == 0 or keys[j - 1] != keys[j]):
                starts[run] = j
                run += 1


@kernel()
def _mark_stretches(start, stop, keys, bits, marks):
    for i in range(start, stop):
        marks[keys[i] >> bits] = 1


@kernel()
def _rank_stretches(marks, ranks):
    rank = np.int32(0)
    for s in range(marks.shape[0]):
        ranks[s] = rank
        rank += marks[s]
    return rank


@kernel()
def _close_up(start, stop, keys, bits, ranks, close):
    mask = (np.int64(1) << bits) - 1
    for i in range(start, stop):
        close[i] = (np.int64(ranks[keys[i] >> bits]) << bits) | (keys[i] & mask)


@kernel()
def _tally_parts(start, stop, keys, bounds, shift, none, table, heads):
    for part in range(start, stop):
        for j in range(bounds[part], bounds[part + 1]):
            table[keys[j]] += 1
        found = np.int64(0)
        for key in range(part << shift, min((part + 1) << shift, none)):
            found += table[key] > 0
        heads[part] = found


@kernel()
def _place_parts(start, stop, keys, index, bounds, shift, none, before, table, starts, order):
    for part in range(start, stop):
        run, at = before[part], bounds[part]
        for key in range(part << shift, min((part + 1) << shift, none + 1)):
            count = table[key]
            if count > 0:
                table[key] = at
                if key < none:
                    starts[run] = at
                    run += 1
                at += count
        for j in range(bounds[part], bounds[part + 1]):
            to = table[keys[j]]
            table[keys[j]] = to + 1
            order[to] = index[j]


def _part(keys: np.ndarray, index: np.ndarray, shift: int, digit: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keys and points in order of one digit, stable, and where those of each value begin."""
    blocks = -(-keys.size // BLOCK)
    counts, mask = np.empty((blocks, 1 << digit), np.int64), (1 << digit) - 1
    keys_out, index_out = np.empty_like(keys), np.empty_like(index)
    split(_radix_count, blocks, keys.nbytes, keys, shift, mask, BLOCK, counts)
    _radix_scan(counts)
    bounds = np.append(counts[0], keys.size)
    split(_radix_scatter, blocks, keys.nbytes, keys, index, shift, mask, BLOCK, counts, keys_out, index_out)
    return keys_out, index_out, bounds


def _sorted(keys: np.ndarray, none: int) -> Runs:
    bits = max(none.bit_length(), 1)
    passes = -(-bits // DIGIT)
    digit = -(-bits // passes)
    index = np.arange(keys.size, dtype=np.int32)
    for shift in range(0, passes * digit, digit):
        keys, index, _ = _part(keys, index, shift, digit)
    blocks = -(-keys.size // BLOCK)
    heads = np.zeros(blocks + 1, np.int64)
    split(_count_heads, blocks, keys.nbytes, keys, none, BLOCK, heads[1:])
    before = np.cumsum(heads)
    starts = np.empty(before[-1] + 1, np.int64)
    starts[-1] = np.searchsorted(keys, none)
    split(_note_heads, blocks, keys.nbytes, keys, none, BLOCK, before, starts)
    return Runs(index, starts)


def _counted(keys: np.ndarray, none: int) -> Runs:
    index, shift, bounds = np.arange(keys.size, dtype=np.int32), none.bit_length(), np.array([0, keys.size])
    if none >= WHOLE_KEYS or keys.size >= WHOLE_POINTS:
        digit = min(max(shift - NEAR, 5), DIGIT)
        shift = max(shift - digit, 0)
        keys, index, bounds = _part(keys, index, shift, digit)
    parts = (none >> shift) + 1
    table, heads = np.zeros(none + 1, np.int32), np.zeros(parts + 1, np.int64)
    split(_tally_parts, parts, keys.nbytes, keys, bounds, shift, none, table, heads[1:])
    before = np.cumsum(heads)
    starts, order = np.empty(before[-1] + 1, np.int64), np.empty_like(index)
    starts[-1] = keys.size - table[none]
    split(_place_parts, parts, keys.nbytes, keys, index, bounds, shift, none, before, table, starts, order)
    return Runs(order, starts)


def arrange(keys: np.ndarray, none: int) -> Runs:
    """Points of fewer than 2**31 keys from zero to ``none``, which is the key of those that have none."""
    if keys.size == 0:
        return Runs(np.empty(0, np.int32), np.zeros(1, np.int64))
    room = SPREAD * keys.size
    if none > room and none >> STRETCH <= keys.size:
        marks = np.zeros((none >> STRETCH) + 1, np.uint8)
        split(_mark_stretches, keys.size, keys.nbytes, keys, STRETCH, marks)
        ranks = np.empty(marks.size, np.int32)
        if _rank_stretches(marks, ranks) << STRETCH <= room:
            close = np.empty_like(keys)
            split(_close_up, keys.size, keys.nbytes, keys, STRETCH, ranks, close)
            keys, none = close, (int(ranks[-1]) << STRETCH) + (none & ((1 << STRETCH) - 1))
    return _counted(keys, none) if none <= room else _sorted(keys, none)
