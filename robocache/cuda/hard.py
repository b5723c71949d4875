"""Voxels of a fixed number of points on the GPU."""

from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

import numpy as np

from . import _launch, group, pick, reduce
from ._module import Macros, function
from ._points import GRID_THREADS, MACROS, THREADS, Source, clear

_HARD = Struct("11Q5q")  # struct Hard of hard.cu, less its cloud


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in MACROS.values():
        yield "hard", macros


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
    status, clouds = _launch.begin(), (rows.clouds,)
    found = {name: empty(clouds, np.int64) for name in ("dropped", "cut_points", "cut_voxels")}
    found["offsets"], found["kept"] = empty((rows.clouds + 1,), np.int64), empty((), np.int64)
    voxels = empty((rows.total,), np.int64)
    found["inverse"] = voxels if wants_inverse else None

    def outputs(rows: int) -> None:
        found["voxels"] = empty((rows, places, features.shape[2]), features.dtype)
        found["coords"], found["num_points"] = empty((rows, 3 + batched), np.int32), empty((rows,), np.int32)

    if rows.total == 0:
        outputs(rows.clouds * limit if static else 0)
        return _nothing(found)
    source = Source(points, rows, grid)
    more = {"edges": 8 * (rows.clouds + 1), "counts": 16}
    job = group.Group(source, rows, grid, "first", reduce.none(points, source.device), more)
    memory = job.memory()
    addresses = (source.points.data.ptr, 0 if source.extent is None else source.extent.data.ptr)
    at = {name: memory.base + place for name, place in job.at.items()}
    rest = (0, 0, at["edges"], at["counts"], at["counts"] + 8)
    job.fill(memory, addresses, (voxels.data.ptr, found["dropped"].data.ptr), rest, rows.total, False, status, 0, ())
    _launch.hold(source.points, source.extent, voxels, *found.values())

    def launch(name: str, blocks: int, threads: int, count: int) -> None:
        results = [found[key].data.ptr for key in ("offsets", "kept", "cut_points", "cut_voxels")]
        written = [found[key].data.ptr if key in found else 0 for key in ("coords", "num_points")]
        packed = _HARD.pack(
            at["edges"], at["keys"], at["starts"], found["dropped"].data.ptr, voxels.data.ptr, *results, *written,
            limit, places, count, backwards, batched,
        )  # fmt: skip
        kernel = function(source.device, "hard", name, source.macros)
        kernel((blocks,), (threads,), (_launch.argument(packed + source.packed),))

    launch("hard_clouds", 1, GRID_THREADS, 0)
    count = rows.clouds * limit if static else int(found["kept"].get())  # synchronizes
    outputs(count)
    launch("hard_points", _launch.blocks(rows.total, THREADS), THREADS, count)
    launch("hard_rows", _launch.blocks(count, THREADS), THREADS, count)
    pick.take(features, pick.places(source, grid, rows.total, voxels, count, places, select, seed), found["voxels"])
    _launch.hold(*found.values())
    if strict:
        _launch.finish()  # synchronizes
    return found


def _nothing(found: dict[str, Any]) -> dict[str, Any]:
    """What there is of no points."""
    found["coords"].fill(-1)
    for name in ("dropped", "cut_points", "cut_voxels", "offsets", "kept", "voxels", "num_points"):
        clear(found[name])
    return found
