"""Voxels on the GPU: the two twins."""

from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numpy as np

from . import _launch, group, reduce
from ._module import Macros, function
from ._points import BLOCKS, MACROS, THREADS, Source, clear


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in MACROS.values():
        yield "voxel", macros


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
) -> Callable[..., None] | None:
    """See robocache.ops.voxel.voxel_grid."""
    status = _launch.begin()
    wanted = dict(zip(kinds, outs, strict=True))
    cells = grid.shape[0] * grid.shape[1] * grid.shape[2]
    for kind in ("occupancy", "count", "density"):
        if kind in wanted:
            clear(wanted[kind])
    if dropped is not None:
        clear(dropped)
    reduced = {kind: out for kind, out in wanted.items() if kind in reduce.KINDS}
    counts, ids = wanted.get("count"), None
    if counts is None and "density" in wanted and not reduced:
        counts = wanted["density"]  # both are four bytes: counted and divided in place
    if reduced:
        ids = cupy.empty(rows.total, np.int64)
        counts = cupy.zeros(rows.clouds * cells, np.int32) if counts is None else counts
    if rows.total:
        source = Source(points, rows, grid)
        source.launch("voxel_dense", wanted.get("occupancy"), counts, ids, dropped, status)
        if "density" in wanted:
            blocks = min(_launch.blocks(rows.clouds * cells, THREADS), 8 * BLOCKS)
            kernel = function(source.device, "voxel", "voxel_density", source.macros)
            kernel((blocks,), (THREADS,), (counts, source.cloud, cells, wanted["density"]))
    if reduced:
        reduce.reduce(
            features, ids, counts, tuple(reduced), tuple(reduced.values()), cells if channels_first else 0, fill
        )
        _launch.hold(ids, counts)
    if strict:
        _launch.finish()  # synchronizes
        return None
    return _replay(points, rows, grid, kinds) if dropped is None and rows.extent is None else None


def _replay(points: Any, rows: Any, grid: Any, kinds: tuple[str, ...]) -> Callable[..., None] | None:
    """How to fill one occupancy or count grid again from other points of the same layout: one clear, one launch."""
    if kinds not in (("occupancy",), ("count",)) or not rows.total:
        return None
    source = Source(points, rows, grid)
    if source.points is not points:
        return None  # the layout makes every call copy the points first
    kernel = function(source.device, "voxel", "voxel_dense", source.macros)
    shape, layout, occupancy = ((source.blocks,), (THREADS,)), source.cloud, kinds == ("occupancy",)
    del source, rows  # nor may this keep the first call's points alive

    def again(points: Any, out: Any) -> None:
        status = _launch.begin()
        clear(out)
        wanted = (out, None) if occupancy else (None, out)
        kernel(*shape, (points, layout, *wanted, None, None, status))

    return again


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
    _launch.begin()
    found = group.group(points, rows, grid, order, limit, empty)
    counts, ids = found["counts"], found["inverse"]
    outs = tuple(empty((counts.shape[0], features.shape[2]), dtype) for dtype in types)
    reduce.reduce(features, ids, counts, kinds, outs, 0, (0.0, 0))
    if strict:
        _launch.finish()  # synchronizes
    return {**found, "features": outs}
