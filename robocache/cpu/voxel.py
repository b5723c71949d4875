"""Voxels on the CPU: the two twins."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.errors import DataError, DataWarning
from . import _group, _members, _reduce
from ._jit import kernel, split
from ._points import Source

PARTS = 8  # shares of the cells among threads: each share reads all cell numbers, so more would only read more


@kernel()
def _mark(start, stop, ids, occupied):
    for i in range(start, stop):
        if ids[i] >= 0:
            occupied[ids[i]] = True


@kernel()
def _tally(start, stop, parts, ids, counts):
    low = counts.shape[0] * start // parts
    high = counts.shape[0] * stop // parts
    for i in range(ids.shape[0]):
        if ids[i] >= low and ids[i] < high:
            counts[ids[i]] += 1


def voxel_grid(
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
    wanted = dict(zip(kinds, outs, strict=True))
    cells = grid.shape[0] * grid.shape[1] * grid.shape[2]
    ids = source.ids(np.zeros(3, np.int64), np.array(grid.shape, np.int64), -1)
    if dropped is not None:
        source.count_dropped(ids, -1, dropped)
    if "occupancy" in wanted:
        bits = wanted["occupancy"] if wanted["occupancy"].dtype == np.uint32 else None
        occupied = wanted["occupancy"].reshape(-1) if bits is None else np.empty(rows.clouds * cells, np.bool_)
        occupied[...] = False
        split(_mark, ids.size, ids.nbytes, ids, occupied)
        if bits is not None:
            packed = np.packbits(occupied.reshape(-1, grid.shape[2]), axis=-1, bitorder="little")
            words = np.zeros((packed.shape[0], bits.shape[-1]), "<u4")
            words.view(np.uint8)[:, : packed.shape[1]] = packed
            bits.reshape(words.shape)[...] = words
    if kinds == ("occupancy",):
        return
    counts = wanted["count"].reshape(-1) if "count" in wanted else np.empty(rows.clouds * cells, np.int32)
    counts[...] = 0
    split(_tally, PARTS, ids.nbytes, PARTS, ids, counts)
    if "density" in wanted:
        given = np.maximum(source.lasts - source.firsts, 1)[:, None]
        wanted["density"].reshape(rows.clouds, cells)[...] = counts.reshape(rows.clouds, cells) / given
    reduced = {kind: out for kind, out in wanted.items() if kind in _reduce.KINDS}
    if reduced:
        _reduce.reduce(
            features, ids, counts, tuple(reduced), tuple(reduced.values()), cells if channels_first else 0, fill
        )


def voxelize(
    points: Any,
    features: Any,
    rows: Any,
    grid: Any,
    kinds: tuple[str, ...],
    types: tuple[Any, ...],
    order: str,
    limit: int | None,
    empty: Callable[..., Any],
    strict: bool,
) -> dict[str, Any]:
    """See robocache.ops.voxel.voxelize."""
    found, members = _group.group(points, rows, grid, order, limit, empty)
    counts = found["counts"]
    if found["found"] > found["kept"]:
        text = (
            f"there are {found['found']} voxels but max_voxels={limit}; the extra ones were left out. Raise max_voxels"
        )
        if strict:
            raise DataError(text)
        warnings.warn(text, DataWarning, stacklevel=4)
    outs = tuple(empty((counts.shape[0], features.shape[2]), dtype) for dtype in types)
    _members.reduce_members(features, members, None, kinds, outs)
    return {**found, "features": outs}
