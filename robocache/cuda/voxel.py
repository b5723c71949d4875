"""Voxels on the GPU: the two twins."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from . import _launch, extremes, group, reduce
from ._module import Macros, function
from ._points import BLOCKS, MACROS, THREADS, Source, clear, flat
from ._scan import Scan


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
    reduced = {kind: out for kind, out in wanted.items() if kind in reduce.KINDS}
    if dropped is not None:
        clear(dropped)
    source = Source(points, rows, grid) if rows.total else None
    shared = dropped is None and rows.extent is None and len(kinds) == 1  # later calls can do the same
    shared = shared and source is not None and source.points is points
    counts = wanted.get("count", wanted.get("density"))  # both are four bytes: counted and divided in place
    if source and (counts is not None or "occupancy" in wanted or not reduced):
        bits = "occupancy" in wanted and wanted["occupancy"].dtype == np.uint32
        scan = Scan(source, rows, grid, counts is not None, bits)
        scan.run(source.points, wanted.get("occupancy"), counts, None if reduced else dropped, status)
        if "density" in wanted:
            blocks = min(_launch.blocks(rows.clouds * cells, THREADS), 8 * BLOCKS)
            kernel = function(source.device, "voxel", "voxel_density", source.macros)
            kernel((blocks,), (THREADS,), (counts, source.cloud, cells, wanted["density"]))
    elif source is None:
        for kind in ("occupancy", "count", "density"):
            if kind in wanted:
                clear(wanted[kind])
    if reduced:
        flattened, *layout = flat(features)
        shared = shared and flattened is features
        dense: Dense | extremes.Extremes
        if source and not channels_first and extremes.fits(reduced, features, rows.clouds * cells):
            dense = extremes.Extremes(source, layout, flattened, rows, grid, reduced, fill)
        else:
            dense = Dense(source, layout, features, rows, grid, cells if channels_first else 0, reduced, fill)
        dense.run(_addresses(source), flattened.data.ptr, tuple(reduced.values()), _address(dropped), status)
    if strict:
        _launch.finish()  # synchronizes
        return None
    if not shared or source is None:
        return None
    if reduced:
        return dense.again
    return None if "density" in wanted else _replay(scan, kinds == ("occupancy",))


def _replay(scan: Scan, occupancy: bool) -> Callable[..., None]:
    """How to fill one occupancy or count grid again from other points of the same layout."""

    def again(points: Any, features: Any, out: Any) -> None:
        scan.run(points, out if occupancy else None, None if occupancy else out, None, _launch.begin())

    return again


class Dense:
    """Everything about dense grids of reduced features of calls of one layout, but for addresses."""

    def __init__(
        self, source: Source | None, layout: Sequence[int], features: Any, rows: Any, grid: Any,
        cells: int, outs: dict[str, Any], fill: tuple[float, int],
    ) -> None:  # fmt: skip
        device = _launch.device_id(features)
        self._total = rows.total
        self._patterns = [reduce.fill_bits(fill, out.dtype) for out in outs.values()]
        self._group = None
        if source is not None:
            reducer = reduce.Reduce(layout, features, tuple(outs), cells, device)
            more = {"inverse": 8 * rows.total}
            blanks = dict.fromkeys(reduce.KINDS, (0, 0))
            for (kind, out), bits in zip(outs.items(), self._patterns, strict=True):
                blanks[kind] = out.nbytes, reduce.repeated(bits, out.itemsize)
            self._group = group.Group(source, rows, grid, "sorted", reducer, more, tuple(blanks.values()))

    def run(self, source: Sequence[int], features: int, outs: Sequence[Any], dropped: int, status: int) -> None:
        """Fill the grids ``outs``; the rest are addresses."""
        work = self._group
        if work is None:
            for out, bits in zip(outs, self._patterns, strict=True):
                reduce.blank(out, bits)
            return
        memory = work.memory()
        fixed, addresses = (memory.base + work.at["inverse"], dropped), [out.data.ptr for out in outs]
        work.fill(memory, source, fixed, (0,) * 5, self._total, False, status, features, addresses)

    def again(self, points: Any, features: Any, out: Any) -> None:
        """The same for another call of one reduction."""
        status, start = _launch.begin(), points.data.ptr
        self.run((start, 0), start if features is None else features.data.ptr, (out,), 0, status)


class Set:
    """Everything about the voxel sets of calls of one layout, but for addresses."""

    def __init__(
        self, source: Source, layout: Sequence[int], features: Any, rows: Any, grid: Any,
        kinds: tuple[str, ...], order: str, limit: int | None,
    ) -> None:  # fmt: skip
        self.limit = limit
        reducer = reduce.Reduce(layout, features, kinds, 0, source.device)
        self._group = group.Group(source, rows, grid, order, reducer, {})

    def run(
        self, source: Sequence[int], features: int, fixed: Sequence[int], rest: Callable[[int], Sequence[int]]
    ) -> None:
        """Fill one set.

        ``fixed``: addresses of inverse and dropped; ``rest`` makes room for a number of voxels and gives those of
        coords, counts, offsets, kept, found and then of each reduction.
        """
        status = _launch.begin()
        work, limit = self._group, self.limit
        memory = work.memory()
        if limit is None:
            limit = work.find(memory, source, fixed, status)  # synchronizes
        targets = rest(limit)
        work.fill(memory, source, fixed, targets[:5], limit, self.limit is None, status, features, targets[5:])


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
    found: dict[str, Any] = {"inverse": empty((rows.total,), np.int64), "dropped": empty((rows.clouds,), np.int64)}

    def rest(voxels: int) -> list[int]:
        found["coords"], found["counts"] = empty((voxels, 3), np.int32), empty((voxels,), np.int32)
        found["offsets"] = empty((rows.clouds + 1,), np.int64)
        found["kept"], found["found"] = empty((), np.int64), empty((), np.int64)
        found["features"] = tuple(empty((voxels, features.shape[2]), dtype) for dtype in types)
        arrays = [found[name] for name in ("coords", "counts", "offsets", "kept", "found")]
        return [array.data.ptr for array in (*arrays, *found["features"])]

    if rows.total == 0:
        _launch.begin()
        rest(limit or 0)
        _nothing(found)
        return found
    source = Source(points, rows, grid)
    flattened, *layout = flat(features)
    job = Set(source, layout, features, rows, grid, kinds, order, limit)
    fixed = (found["inverse"].data.ptr, found["dropped"].data.ptr)
    job.run(_addresses(source), flattened.data.ptr, fixed, rest)
    if source.points is points and flattened is features and source.extent is rows.extent:
        found["again"] = job
    if strict:
        _launch.finish()  # synchronizes
    return found


def _nothing(found: dict[str, Any]) -> None:
    found["coords"].fill(-1)
    for array in (*(found[name] for name in ("counts", "offsets", "kept", "found", "dropped")), *found["features"]):
        clear(array)


def _address(array: Any) -> int:
    return 0 if array is None else int(array.data.ptr)


def _addresses(source: Source | None) -> tuple[int, int]:
    return (0, 0) if source is None else (source.points.data.ptr, _address(source.extent))
