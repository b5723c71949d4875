"""Which points of a voxel come first: by index, by a hash of it, or by how near the centre they are."""

from typing import Any

import numpy as np

from ._jit import kernel, split

EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)  # of a place that no point has
GOLDEN, FIRST, SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
SELECT = {"first": 0, "random": 1, "nearest": 2}


@kernel(inline=True)
def _mixed(x):
    x = (x ^ (x >> np.uint64(30))) * FIRST
    x = (x ^ (x >> np.uint64(27))) * SECOND
    return x ^ (x >> np.uint64(31))


@kernel()
def _ranks(start, stop, points, voxels, firsts, lasts, select, seed, coords, origin, size, scale, ranks):
    """What decides between the points of a voxel, the least wins: above, what ``select`` says, below, the point."""
    key = _mixed(seed + GOLDEN)
    for cloud in range(firsts.shape[0]):
        for i in range(max(start, firsts[cloud]), min(stop, lasts[cloud])):
            if voxels[i] < 0:
                continue
            rank = np.uint64(0)
            if select == 1:
                rank = _mixed(key + np.uint64(i - firsts[cloud] + 1) * GOLDEN) >> np.uint64(32)
            elif select == 2:
                square = 0.0
                for axis in range(3):
                    away = np.float64(points[i, axis]) - origin[axis]
                    away = (away - (np.float64(coords[voxels[i], axis]) + 0.5) * size[axis]) * scale
                    square = square + away * away
                rank = np.uint64(np.float32(square).view(np.uint32))
            ranks[i] = rank << np.uint64(32) | np.uint64(i)


@kernel()
def _insert(start, stop, parts, voxels, ranks, places):
    """The least ranks of each voxel in order; each share takes its own voxels."""
    low, high = places.shape[0] * start // parts, places.shape[0] * stop // parts
    last = places.shape[1] - 1
    for i in range(voxels.shape[0]):
        v = voxels[i]
        if v < low or v >= high or ranks[i] >= places[v, last]:
            continue
        at = last
        while at > 0 and places[v, at - 1] > ranks[i]:
            places[v, at] = places[v, at - 1]
            at -= 1
        places[v, at] = ranks[i]


@kernel()
def _take(start, stop, values, places, out):
    for v in range(start, stop):
        for k in range(places.shape[1]):
            if places[v, k] == EMPTY:
                for c in range(values.shape[1]):
                    out[v, k, c] = 0
            else:
                i = np.int64(places[v, k] & np.uint64(0xFFFFFFFF))
                for c in range(values.shape[1]):
                    out[v, k, c] = values[i, c]


def places_of(
    source: Any, voxels: np.ndarray, coords: np.ndarray, grid: Any, select: str, seed: int, count: int
) -> np.ndarray:
    """Ranks [voxels, count] of the points that are chosen, in order of their choice; ``coords`` are x, y, z."""
    largest = max(grid.size)
    scale = float(np.ldexp(1.0, -int(np.frexp(largest)[1])))  # no square overflows, and none of note vanishes
    ranks = np.empty(voxels.size, np.uint64)
    split(
        _ranks, voxels.size, 2 * source.points.nbytes, source.points, voxels, source.firsts, source.lasts,
        SELECT[select], np.uint64(seed), coords, source.origin.astype(np.float64), source.size.astype(np.float64),
        scale, ranks,
    )  # fmt: skip
    places = np.full((coords.shape[0], count), EMPTY)
    parts = 8  # each reads all points
    split(_insert, parts, ranks.nbytes, parts, voxels, ranks, places)
    return places


def take(rows: np.ndarray, places: np.ndarray, out: Any) -> None:
    """Rows [points, channels] of the chosen points to [voxels, count, channels]; zeros where there are fewer."""
    split(_take, places.shape[0], out.nbytes, rows, places, out)
