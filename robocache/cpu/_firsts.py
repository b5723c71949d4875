"""Cells numbered in order of their first points: by a table of all cells, or of the stretches of cells there are."""

from typing import Any, NamedTuple

import numpy as np

from ._group import group
from ._jit import kernel, split
from ._points import Source, quotient
from ._prefetch import AHEAD, prefetch

STRETCH = 6  # bits of a stretch of cells
CELLS, LEAST = 16, 1 << 22  # cells a point that a table may hold, and however few points there are
STRETCHES = 32  # stretches of cells a point
KEPT, KEPT_BYTES = 4, 64 << 20  # tables that wait for the next call, and how large each may be

_tables: list[tuple[np.ndarray, int]] = []


class Numbered(NamedTuple):
    """Voxels of a call that keeps the first ones of each cloud."""

    voxels: np.ndarray  # of each point; -1: none, -2: one that was cut
    keys: np.ndarray  # of voxels, by cloud and cell
    counts: np.ndarray  # points of each voxel
    offsets: np.ndarray  # of clouds
    cut: np.ndarray  # voxels of each cloud that were cut
    dropped: np.ndarray  # points of each cloud without a cell


def _borrowed(size: int, numbers: int) -> tuple[np.ndarray, int]:
    """A table whose entries are all below a number, from which on as many ``numbers`` can be put into it.

    So it need not be cleared, which would take longer than all else; whoever has it gives it back for the next call.
    """
    try:
        table, base = _tables.pop()
    except IndexError:
        table, base = np.empty(0, np.int32), 1
    if table.size < size or base + numbers >= 1 << 31:
        table, base = np.zeros(size, np.int32), 1
    return table, base


def _give_back(table: np.ndarray, base: int) -> None:
    if table.nbytes <= KEPT_BYTES and len(_tables) < KEPT:
        _tables.append((table, base))


@kernel()
def _number_stretches(ids, none, bits, table, base, places):
    """Where each cell is in a table of the stretches there are; entries from ``base`` on are of this call."""
    found, mask = np.int64(0), (np.int64(1) << bits) - 1
    for i in range(ids.shape[0]):
        prefetch(table, ids[min(i + AHEAD, ids.shape[0] - 1)] >> bits)
        if ids[i] < none:
            stretch = np.int64(table[ids[i] >> bits]) - base
            if stretch < 0:
                stretch = found
                table[ids[i] >> bits] = base + stretch
                found += 1
            places[i] = (stretch << bits) | (ids[i] & mask)
        else:
            places[i] = 0
    return found


@kernel()
def _number_cells(
    ids, places, firsts, lasts, none, table, base, limit, voxels, keys, counts, offsets, cut, dropped
):  # fmt: skip
    """Entries of the table from ``base`` on are of this call; a cut cell has the last number."""
    found, last = np.int64(0), ids.shape[0]
    for cloud in range(firsts.shape[0]):
        offsets[cloud] = found
        lost = np.int64(0)
        left = found + limit
        for i in range(firsts[cloud], lasts[cloud]):
            prefetch(table, places[min(i + AHEAD, last - 1)])
            if ids[i] == none:
                lost += 1
                continue
            voxel = np.int64(table[places[i]]) - base
            if voxel < 0:
                if found < left:
                    voxel = found
                    keys[found], counts[found] = ids[i], 0
                    found += 1
                else:
                    voxel = last
                    cut[cloud] += 1
                table[places[i]] = base + voxel
            if voxel < last:
                voxels[i] = voxel
                counts[voxel] += 1
            else:
                voxels[i] = -2
        dropped[cloud] = lost
    offsets[firsts.shape[0]] = found


@kernel()
def _cut_clouds(given, edges, limit, voxels, kept, offsets, cut):
    """Of all voxels, ``edges`` of clouds, those that stay: ``kept`` says which each was."""
    found = np.int64(0)
    renumbered = np.empty(edges[-1], np.int32)
    for cloud in range(cut.shape[0]):
        offsets[cloud] = found
        for voxel in range(edges[cloud], edges[cloud + 1]):
            if voxel - edges[cloud] < limit:
                kept[found], renumbered[voxel] = voxel, found
                found += 1
            else:
                renumbered[voxel] = -2
                cut[cloud] += 1
    offsets[cut.shape[0]] = found
    for i in range(given.shape[0]):
        if given[i] >= 0:
            voxels[i] = renumbered[given[i]]


def number(points: Any, rows: Any, grid: Any, limit: int) -> Numbered:
    """Voxels in order of their first points, at most ``limit`` of each cloud."""
    clouds, total = rows.clouds, rows.total
    none = clouds * grid.shape[0] * grid.shape[1] * grid.shape[2]
    room = min(clouds * limit, total)
    voxels, keys, counts = np.full(total, -1, np.int32), np.empty(room, np.int64), np.empty(room, np.int32)
    offsets, cut, dropped = np.zeros(clouds + 1, np.int64), np.zeros(clouds, np.int64), np.zeros(clouds, np.int64)
    most = max(CELLS * total, LEAST)
    if none > most and none >> STRETCH > STRETCHES * total:
        return _grouped(points, rows, grid, limit)
    source = Source(points, rows, grid)
    ids = source.ids(np.zeros(3, np.int64), np.array(grid.shape, np.int64), none)
    table, base = _borrowed(none if none <= most else (none >> STRETCH) + 1, total + 1)
    places, spent = ids, []
    if none > most:
        places = np.empty_like(ids)
        stretches = _number_stretches(ids, none, STRETCH, table, base, places)
        spent.append((table, base + total + 1))
        table, base = _borrowed(stretches << STRETCH, total + 1)
    results = (voxels, keys, counts, offsets, cut, dropped)
    _number_cells(ids, places, source.firsts, source.lasts, none, table, base, limit, *results)
    for each in ((table, base + total + 1), *spent):
        _give_back(*each)
    found = offsets[clouds]
    return Numbered(voxels, keys[:found], counts[:found], offsets, cut, dropped)


def _grouped(points: Any, rows: Any, grid: Any, limit: int) -> Numbered:
    """The same where a table of the cells would be too large."""
    found, _ = group(points, rows, grid, "first", None, np.empty)
    voxels, kept = np.full(rows.total, -1, np.int32), np.empty(found["counts"].size, np.int64)
    offsets, cut = np.zeros(rows.clouds + 1, np.int64), np.zeros(rows.clouds, np.int64)
    _cut_clouds(found["inverse"], found["offsets"], limit, voxels, kept, offsets, cut)
    kept = kept[: offsets[-1]]
    cell = found["coords"][kept].astype(np.int64)
    keys = np.searchsorted(offsets, np.arange(kept.size), "right") - 1
    for axis in range(3):
        keys = keys * grid.shape[axis] + cell[:, axis]
    return Numbered(voxels, keys, found["counts"][kept], offsets, cut, found["dropped"])


@kernel()
def _fill_coords(start, stop, keys, shape, backwards, clouds, coords):
    """Cloud (if there is room for it) and cell of each voxel, x first or last."""
    for v in range(start, stop):
        key = keys[v]
        for axis in range(2, -1, -1):
            above = quotient(key, shape[axis])
            coords[v, clouds + (2 - axis if backwards else axis)] = key - above * shape[axis]
            key = above
        if clouds:
            coords[v, 0] = key


def coords_of(keys: np.ndarray, grid: Any, backwards: bool, coords: Any) -> None:
    """Fill rows [keys, 3 or 4] of cells; those past the keys become -1."""
    coords[keys.size :] = -1
    shape = np.array(grid.shape, np.int64)
    split(_fill_coords, keys.size, 16 * keys.nbytes, keys, shape, backwards, coords.shape[1] - 3, coords)
