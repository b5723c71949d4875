"""Voxel sets of several attributes on the CPU, with chosen points and lists of points."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core import dtypes
from .._core.errors import DataError, DataWarning
from . import _members, _picks
from ._group import group
from ._jit import kernel, split
from ._points import Source

DERIVED = {"rounded": "sum", "unit": "sum"}  # what is made of a sum


@kernel()
def _list_members(start, stop, index, begins, ends, splits, listed):
    for v in range(start, stop):
        for j in range(ends[v] - begins[v]):
            listed[splits[v] + j] = index[begins[v] + j]


@kernel()
def _round_means(start, stop, sums, counts, out):
    for v in range(start, stop):
        for c in range(out.shape[1]):
            out[v, c] = (2 * sums[v, c] + counts[v]) // (2 * counts[v])


@kernel()
def _make_unit(start, stop, sums, out):
    for v in range(start, stop):
        square = np.float64(0)
        for c in range(out.shape[1]):
            x = np.float64(sums[v, c])
            square = square + x * x
        norm = np.sqrt(square)
        for c in range(out.shape[1]):
            x = np.float64(0) if norm == 0 else np.float64(sums[v, c]) / norm
            out[v, c] = x if np.isfinite(norm) else np.nan


@kernel()
def _fill_centers(start, stop, coords, origin, size, out):
    for v in range(start, stop):
        for axis in range(3):
            out[v, axis] = (np.float64(coords[v, axis]) + 0.5) * size[axis] + origin[axis]


def attributes(
    points: Any,
    jobs: tuple[tuple[Any, tuple[str, ...], tuple[Any, ...]], ...],
    rows: Any,
    grid: Any,
    order: str,
    limit: int | None,
    select: str | None,
    seed: int,
    members: bool,
    empty: Callable[..., Any],
    strict: bool,
) -> dict[str, Any]:
    """See robocache.ops.voxel.voxelize and robocache.ops.downsampling.voxel_downsample."""
    found, (index, begins, ends) = group(points, rows, grid, order, limit, empty)
    if found["found"] > found["kept"]:
        text = (
            f"there are {found['found']} voxels but max_voxels={limit}; the extra ones were left out. Raise max_voxels"
        )
        if strict:
            raise DataError(text)
        warnings.warn(text, DataWarning, stacklevel=4)
    kept, wanted = begins.size, found["counts"].size
    chosen = begins
    if select is not None:
        picks = found["picks"] = empty((wanted,), np.int64)
        picks[kept:] = -1
        if select == "first":
            picks[:kept] = index[begins]
        else:
            source = Source(points, rows, grid)
            places = _picks.places_of(source, found["inverse"], found["coords"][:kept], grid, select, seed, 1)
            picks[:kept] = places[:, 0] & np.uint64(0xFFFFFFFF)
        index_of, chosen = picks[:kept], np.arange(kept)
    else:
        index_of = index
    results = []
    for features, kinds, types in jobs:
        outs = tuple(empty((wanted, features.shape[2]), dtype) for dtype in types)
        _reduce_job(features, (index, begins, ends), (index_of, chosen), kinds, outs, found, grid)
        results.append(outs)
    found["features"] = tuple(results)
    if members:
        splits, listed = empty((wanted + 1,), np.int64), empty((rows.total,), np.int64)
        splits[0], splits[1 : kept + 1] = 0, np.cumsum(ends - begins)
        splits[kept + 1 :] = splits[kept]
        listed[splits[kept] :] = -1
        split(_list_members, kept, listed.nbytes, index, begins, ends, splits, listed)
        found["splits"], found["members"] = splits, listed
    return found


def _reduce_job(
    features: Any, members: Any, chosen: Any, kinds: tuple[str, ...], outs: tuple[Any, ...], found: Any, grid: Any
) -> None:
    """Fill the results of one attribute; ``chosen`` says which point of each voxel was."""
    kept = members[1].size
    plain = {kind: out for kind, out in zip(kinds, outs, strict=True) if kind in _members.KINDS}
    _members.reduce_members(features, members, chosen, tuple(plain), tuple(plain.values()))
    for kind, out in zip(kinds, outs, strict=True):
        if kind == "center":
            made = np.empty((kept, 3), dtypes.accumulator(out.dtype))
            origin, size = (np.array(triple, np.float64) for triple in (grid.origin, grid.size))
            split(_fill_centers, kept, 3 * made.nbytes, found["coords"], origin, size, made)
            _store(out, made)
        elif kind in DERIVED:
            floating = features.dtype in dtypes.FLOATING
            sums = np.empty((kept, out.shape[1]), features.dtype if floating else np.int64)
            _members.reduce_members(features, members, chosen, ("sum",), (sums,))
            made = np.empty((kept, out.shape[1]), dtypes.accumulator(out.dtype) if floating else np.int64)
            if kind == "unit":
                split(_make_unit, kept, 4 * made.nbytes, sums.astype(made.dtype, copy=False), made)
            else:
                split(_round_means, kept, 8 * made.nbytes, sums, found["counts"], made)
            _store(out, made)


def _store(out: Any, made: Any) -> None:
    """Rows there are, 16-bit floats by way of float32; those after them become zero."""
    out[made.shape[0] :] = 0
    with np.errstate(over="ignore"):
        out[: made.shape[0]] = made.astype(out.dtype, copy=False)
