"""Voxels of a fixed number of points on the CPU."""

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _firsts, _picks
from ._jit import kernel, split
from ._members import bits_of
from ._points import Source
from ._prefetch import AHEAD, prefetch


@kernel()
def _scatter_firsts(voxels, values, num, out):
    """The first points of each voxel, which ``num`` counts."""
    most, channels = out.shape[1], out.shape[2]
    for i in range(voxels.shape[0]):
        prefetch(out, max(np.int64(voxels[min(i + AHEAD, voxels.shape[0] - 1)]), 0))
        v = voxels[i]
        if v >= 0 and num[v] < most:
            at = num[v]
            num[v] = at + 1
            for c in range(channels):
                out[v, at, c] = values[i, c]


@kernel()
def _put_inverse(start, stop, voxels, inverse):
    for i in range(start, stop):
        inverse[i] = max(voxels[i], -1)


def hard_voxelize(
    points: Any,
    features: Any,
    rows: Any,
    grid: Any,
    places: int,
    limit: int,
    select: str,
    seed: int,
    backwards: bool,
    batched: bool,
    static: bool,
    wants_inverse: bool,
    empty: Callable[..., Any],
    strict: bool,
) -> dict[str, Any]:
    """See robocache.ops.hard_voxels.hard_voxelize."""
    found = _firsts.number(points, rows, grid, limit)
    kept = int(found.offsets[-1])
    wanted = rows.clouds * limit if static else kept
    values = bits_of(features)
    result: dict[str, Any] = {
        "voxels": np.zeros((wanted, places, features.shape[2]), features.dtype),
        "coords": empty((wanted, 3 + batched), np.int32),
        "num_points": np.zeros(wanted, np.int32),
        "offsets": found.offsets,
        "kept": np.array(kept),
        "dropped": found.dropped,
        "cut_voxels": found.cut,
        "inverse": None,
    }
    _firsts.coords_of(found.keys, grid, backwards, result["coords"])
    voxels, num = result["voxels"].view(values.dtype), result["num_points"]
    if select == "first":
        _scatter_firsts(found.voxels, values, num, voxels)
    else:
        coords = np.empty((kept, 3), np.int32)
        _firsts.coords_of(found.keys, grid, False, coords)
        source = Source(points, rows, grid)
        _picks.take(values, _picks.places_of(source, found.voxels, coords, grid, select, seed, places), voxels[:kept])
        num[:kept] = np.minimum(found.counts, places)
    before = np.append(0, np.cumsum(num[:kept], dtype=np.int64))
    taken = before[found.offsets[1:]] - before[found.offsets[:-1]]
    result["cut_points"] = _given(points, rows) - found.dropped - taken
    if wants_inverse:
        result["inverse"] = empty((rows.total,), np.int64)
        split(_put_inverse, rows.total, 12 * rows.total, found.voxels, result["inverse"])
    return result


def _given(points: Any, rows: Any) -> np.ndarray:
    """Points of each cloud."""
    if rows.mode == 2:
        return np.diff(rows.extent.astype(np.int64))
    return rows.extent.astype(np.int64) if rows.mode == 1 else np.full(rows.clouds, points.shape[1], np.int64)
