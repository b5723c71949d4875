"""Voxels of a fixed number of points on the GPU."""

import math
from collections.abc import Callable, Iterator
from struct import Struct
from typing import Any

import numpy as np

from .._core import dtypes
from . import _launch, pick
from ._compact import ITEMS, KEEPERS
from ._module import Macros, function
from ._points import BLOCKS, MACROS, Source, clear, flat
from ._scratch import Scratch, scratch

CROWD = 64  # of hard.cuh
SLOT, STATE = 16, 16  # bytes of struct Slot and struct State there
EXACT = 1 << 32  # cells that half a slot tells apart
FILLED = 16 * 8 * KEEPERS  # bytes of voxels for a block to clear
WIDEST = 16  # bytes that features are copied by

_HARD = Struct("19Q5qQ9q")  # struct Hard of hard.cuh, up to its choice


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
    found["inverse"] = empty((rows.total,), np.int64) if wants_inverse else None

    def outputs(rows: int) -> None:
        found["voxels"] = empty((rows, places, features.shape[2]), features.dtype)
        found["coords"], found["num_points"] = empty((rows, 3 + batched), np.int32), empty((rows,), np.int32)

    if rows.total == 0:
        outputs(rows.clouds * limit if static else 0)
        return _nothing(found)
    job = _Job(Source(points, rows, grid), features, rows, grid, pick.choice(grid, select, seed))
    job.settings = (limit, places, backwards, batched)
    if static:
        outputs(rows.clouds * limit)
    job.number(found, status)
    if not static:
        outputs(int(found["kept"].get()))  # synchronizes
    job.fill(found, status)
    if strict:
        _launch.finish()  # synchronizes
    return found


class _Job:
    """The five launches of a call, and the memory between them."""

    def __init__(self, source: Source, features: Any, rows: Any, grid: Any, choice: bytes) -> None:
        total, cells = rows.total, rows.clouds * math.prod(grid.shape)
        self._source, self._total, self._choice = source, total, choice
        self._features, *self._layout = flat(features)
        bits = (2 * total - 1).bit_length()
        self._slots, direct = 1 << bits, cells <= 1 << bits
        self._tiles = _launch.blocks(total, KEEPERS * ITEMS[dtypes.accumulator(source.points.dtype).itemsize])
        self._hash = (1, 0) if direct else (pick.GOLDEN, 64 - bits)
        self._wide = cells > EXACT
        sizes = (
            STATE, SLOT * self._slots, 8 * total, 8 * total, 8 * self._tiles, 4 * (total // CROWD),
            8 * (rows.clouds + 1),
        )  # fmt: skip
        starts = [0]
        for nbytes in sizes:
            starts.append(starts[-1] - -nbytes // 256 * 256)
        self._memory: Scratch = scratch("hard", source.device, 0, starts.pop())
        self._room = [self._memory.base + start for start in starts]
        self.settings: tuple[int, int, bool, bool]

    def number(self, found: dict[str, Any], status: int) -> None:
        """Find the voxels and number them: all results but those that have a row each."""
        source = self._source
        _launch.hold(source.points, source.extent, self._features)
        packed = self._packed(found, status)
        self._fire("hard_clear", min(_launch.blocks(self._slots, 4 * KEEPERS), BLOCKS), packed)
        self._fire("hard_find", _launch.blocks(self._total, KEEPERS), packed)
        self._fire("hard_number", self._tiles, packed)

    def fill(self, found: dict[str, Any], status: int) -> None:
        """Write the rows."""
        packed, blocks = self._packed(found, status), _launch.blocks(self._total, KEEPERS)
        clearing = min(_launch.blocks(found["voxels"].nbytes, FILLED), BLOCKS)
        self._fire("hard_list", max(blocks, clearing), packed)
        self._fire(f"hard_place_{self._unit(found['voxels'])}", blocks, packed)
        _launch.hold(*found.values())

    def _fire(self, name: str, blocks: int, packed: Any) -> None:
        kernel = function(self._source.device, "hard", name, self._source.macros)
        kernel((blocks,), (KEEPERS,), (packed,))

    def _unit(self, out: Any) -> int:
        """Bytes that rows of features can be copied by."""
        bits = out.shape[2] | self._layout[1] | self._layout[2]
        bits = bits * out.itemsize | self._features.data.ptr | out.data.ptr | WIDEST
        return bits & -bits

    def _packed(self, found: dict[str, Any], status: int) -> Any:
        """Struct Hard; what has no address yet is not looked at before it has."""
        source, out, (limit, places, *more) = self._source, found.get("voxels"), self.settings
        at = {name: 0 if array is None else array.data.ptr for name, array in found.items()}
        inner, *strides = self._layout
        size = self._features.itemsize
        rows, nbytes, units = (
            (0, 0, 0) if out is None else (len(out), out.nbytes, out.shape[2] * size // self._unit(out))
        )
        packed = _HARD.pack(
            source.points.data.ptr, self._features.data.ptr, status, *self._room,
            *(at[name] for name in ("offsets", "kept", "dropped", "cut_points", "cut_voxels", "inverse")),
            *(at.get(name, 0) for name in ("voxels", "coords", "num_points")),
            limit, places, rows, *more, *self._hash, self._slots, self._wide, self._tiles,
            inner, *(stride * size for stride in strides), nbytes, units,
        )  # fmt: skip
        return _launch.argument(packed + self._choice + source.packed)


def _nothing(found: dict[str, Any]) -> dict[str, Any]:
    """What there is of no points."""
    found["coords"].fill(-1)
    for name in ("dropped", "cut_points", "cut_voxels", "offsets", "kept", "voxels", "num_points"):
        clear(found[name])
    return found
