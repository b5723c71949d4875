"""Points of a cloud in small buckets of neighbours: a k-d tree of which only the leaves are kept."""

import numpy as np

from ._jit import kernel

SAMPLE = 31  # points looked at to choose where to cut
LEAST_SHARE = 16  # a cut that leaves less than this part on one side is not worth its pass over the points
ADVANCE, OFFSET = 1664525, 1013904223  # of a generator of 32 bits, for places that no pattern of the cloud meets


@kernel()
def _cut(points, order, start, stop, values):
    """Axis, value and whether points at it belong to the lower side; axis -1 where the sample lies in a point."""
    count = min(SAMPLE, stop - start)
    chosen, widest = -1, points[0, 0] - points[0, 0]
    for axis in range(3):
        state = np.uint64(stop - start)
        low = high = points[order[start], axis]
        for _ in range(count):
            state = (state * np.uint64(ADVANCE) + np.uint64(OFFSET)) & np.uint64(0xFFFFFFFF)
            at = start + np.int64((state * np.uint64(stop - start)) >> np.uint64(32))
            value = points[order[at], axis]
            low, high = min(low, value), max(high, value)
        if high - low > widest:
            chosen, widest = axis, high - low
    if chosen < 0:
        return -1, widest, False
    state = np.uint64(stop - start)
    for j in range(count):  # the same sample, in order
        state = (state * np.uint64(ADVANCE) + np.uint64(OFFSET)) & np.uint64(0xFFFFFFFF)
        at = start + np.int64((state * np.uint64(stop - start)) >> np.uint64(32))
        value, i = points[order[at], chosen], j
        while i > 0 and values[i - 1] > value:
            values[i] = values[i - 1]
            i -= 1
        values[i] = value
    middle = values[count // 2]
    below = upto = 0
    for j in range(count):
        below += values[j] < middle
        upto += values[j] <= middle
    return chosen, middle, count - below > upto


@kernel()
def _part(points, order, spare, start, stop, axis, middle, closed):
    """Move the points of the lower side to the front, both sides in the order they had; where the upper one begins."""
    low, high = start, 0
    for i in range(start, stop):
        p = order[i]
        value = points[p, axis]
        goes = np.int64(value < middle) | (np.int64(value == middle) & np.int64(closed))
        order[low] = p
        spare[high] = p
        low += goes
        high += 1 - goes
    for i in range(high):
        order[low + i] = spare[i]
    return low


@kernel()
def fill_buckets(points, order, most, starts):
    """Bring ``order`` into buckets of at most ``most`` points; how many there are, and where each starts."""
    spare, values = np.empty(order.shape[0], order.dtype), np.empty(SAMPLE, points.dtype)
    ends = np.empty(64 * LEAST_SHARE, np.int64)  # of what is yet to be cut, the nearest last
    ends[0] = order.shape[0]
    left, start, count = 1, 0, 0
    while left > 0:
        stop = ends[left - 1]
        if stop - start <= most:
            starts[count] = start
            count, start, left = count + 1, stop, left - 1
            continue
        axis, middle, closed = _cut(points, order, start, stop, values)
        cut = start
        if axis >= 0:
            cut = _part(points, order, spare, start, stop, axis, middle, closed)
        if min(cut - start, stop - cut) * LEAST_SHARE < stop - start:
            cut = (start + stop) // 2
        ends[left] = cut
        left += 1
    starts[count] = order.shape[0]
    return count
