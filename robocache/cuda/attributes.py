"""Voxel sets of several attributes on the GPU, with chosen points and lists of points."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

import numpy as np

from .._core import dtypes
from . import _launch, group, members, pick, reduce
from ._module import Macros, function
from ._points import THREADS, Source, clear, flat

DERIVED = {"rounded": "round", "unit": "unit", "center": "center"}  # kernels of attributes.cu
_MADE = Struct("4Q2q6d")


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in dict.fromkeys(reduce.MACROS.values()):
        yield "attributes", macros


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
    status = _launch.begin()
    found: dict[str, Any] = {"inverse": empty((rows.total,), np.int64), "dropped": empty((rows.clouds,), np.int64)}
    if rows.total == 0:
        _outputs(found, jobs, rows, limit or 0, select, members, empty)
        for array in (a for value in found.values() for a in _arrays(value)):
            clear(array)
        for name in ("coords", "picks"):
            if name in found:
                found[name].fill(-1)
        return found
    call = _Call(points, jobs, rows, grid, order, any("mode" in kinds for _, kinds, _ in jobs) or members, empty)
    fixed = (found["inverse"].data.ptr, found["dropped"].data.ptr)
    count = call.group.find(call.memory, call.addresses, fixed, status) if limit is None else limit  # synchronizes
    _outputs(found, jobs, rows, count, select, members, empty)
    rest = [found[name].data.ptr for name in ("coords", "counts", "offsets", "kept", "found")]
    call.group.fill(call.memory, call.addresses, fixed, rest, count, limit is None, status, 0, ())
    chosen = None
    if select is not None:
        chosen = pick.best(call.source, grid, rows.total, found["inverse"], count, select, seed)
        pick.index(chosen, found["picks"])
    for (features, kinds, _), outs in zip(jobs, found["features"], strict=True):
        call.reduce(features, dict(zip(kinds, outs, strict=True)), chosen, found, count)
    if members:
        call.ordered(found, count).list(found["members"], found["splits"])
    _launch.hold(*(a for value in found.values() for a in _arrays(value)))
    if strict:
        _launch.finish()  # synchronizes
    return found


def _arrays(value: Any) -> Iterator[Any]:
    """Arrays of one entry of the results."""
    if isinstance(value, tuple):
        for item in value:
            yield from _arrays(item)
    else:
        yield value


def _outputs(
    found: dict[str, Any], jobs: Any, rows: Any, count: int, select: str | None, members: bool,
    empty: Callable[..., Any],
) -> None:  # fmt: skip
    found["coords"], found["counts"] = empty((count, 3), np.int32), empty((count,), np.int32)
    found["offsets"] = empty((rows.clouds + 1,), np.int64)
    found["kept"], found["found"] = empty((), np.int64), empty((), np.int64)
    if select is not None:
        found["picks"] = empty((count,), np.int64)
    if members:
        found["members"], found["splits"] = empty((rows.total,), np.int64), empty((count + 1,), np.int64)
    found["features"] = tuple(
        tuple(empty((count, features.shape[2]), dtype) for dtype in types) for features, _, types in jobs
    )


class _Call:
    """Scratch memory of one call, and what is launched after its points have been grouped."""

    def __init__(
        self, points: Any, jobs: Any, rows: Any, grid: Any, order: str, sorts: bool, empty: Callable[..., Any]
    ) -> None:
        self.source, self._empty = Source(points, rows, grid), empty
        self._rows, self._grid = rows, grid
        reducer = reduce.none(points, self.source.device)
        most = max(features.shape[2] for features, _, _ in jobs)
        more = {"slots": reduce.room(rows.total, most), **(members.room(rows.total) if sorts else {})}
        self.group = group.Group(self.source, rows, grid, order, reducer, more)
        self.memory = self.group.memory()
        self._at = {name: self.memory.base + place for name, place in self.group.at.items()}
        extent = self.source.extent
        self.addresses = (self.source.points.data.ptr, 0 if extent is None else extent.data.ptr)
        _launch.hold(self.source.points, extent)

    def ordered(self, found: dict[str, Any], count: int) -> members.Members:
        """The points of each voxel in order."""
        return members.Members(self._at, self.memory.state, found["inverse"], self._rows.total, count)

    def reduce(self, features: Any, outs: dict[str, Any], chosen: Any, found: dict[str, Any], count: int) -> None:
        """Fill the results of one attribute, by reductions."""
        plain = {kind: out for kind, out in outs.items() if kind in reduce.KINDS}
        if plain:
            self._reduce(features, plain, count)
        for kind, out in outs.items():
            if kind == "first":
                pick.take(features, chosen, out)
            elif kind == "mode":
                self.ordered(found, count).mode(features, out)
            elif kind in DERIVED:
                self._derive(features, kind, out, found, count)

    def _reduce(self, features: Any, outs: dict[str, Any], count: int) -> None:
        flattened, *layout = flat(features)
        if not features.shape[2]:
            return
        _launch.hold(flattened)
        job = reduce.Reduce(layout, features, tuple(outs), 0, self.source.device)
        places = [self._at[name] for name in ("starts", "order", "shared", "chunks", "slots")]
        targets = job.targets([out.data.ptr for out in outs.values()])
        packed = reduce.CALL.pack(flattened.data.ptr, *targets)
        job.fire(packed + job.shared(count, [*places, self.memory.state, 0]))

    def _derive(self, features: Any, kind: str, out: Any, found: dict[str, Any], count: int) -> None:
        sums = None
        if kind != "center":
            floating = features.dtype in dtypes.FLOATING
            sums = self._empty(out.shape, features.dtype if floating else np.int64)
            self._reduce(features, {"sum": sums}, count)
            _launch.hold(sums)
        if not out.size:
            return
        addresses = [0 if a is None else a.data.ptr for a in (sums, found["counts"], found["coords"], out)]
        packed = _MADE.pack(*addresses, *out.shape, *self._grid.origin, *self._grid.size)
        macros = reduce.MACROS[out.dtype]
        kernel = function(self.source.device, "attributes", f"attributes_{DERIVED[kind]}", macros)
        kernel((_launch.blocks(out.size, THREADS),), (THREADS,), (_launch.argument(packed),))
