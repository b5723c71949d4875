"""Points of equal cells to voxel numbers: the launches of ``group.cu``, all on the device but for one optional sync."""

from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numpy as np

from .._core.errors import DataError
from . import _launch
from ._module import Macros, function
from ._points import BLOCKS, THREADS, Source, clear

TILE = 2048  # as in group.cu
DIGITS = 256
KEY_OVERFLOW = 5  # as in common.cuh
PLAN = np.dtype(
    [("box", np.uint32, 6), ("base", np.int64, 3), ("extent", np.int64, 3)]
    + [(name, np.int64) for name in ("limit", "bits", "found", "ended", "overflow")]
)  # struct KeyPlan of common.cuh
FOUND = PLAN.fields["found"][1]  # type: ignore[index]

NARROW: Macros = (("INDEX_T", "u32"),)
WIDE: Macros = (("INDEX_T", "u64"),)


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    yield "group", NARROW
    yield "group", WIDE


class _Sort:
    """Buffers of one sort and the launches on them."""

    def __init__(self, device: int, total: int) -> None:
        self.total, self.tiles = total, (total + TILE - 1) // TILE
        self.device = device
        self.macros = NARROW if total < 1 << 32 else WIDE
        self.index_type = np.uint32 if self.macros is NARROW else np.uint64
        self.held: list[Any] = []
        self.keys = self.scratch((2, total), np.int64)
        self.index = self.scratch((2, total), self.index_type)
        self.plan = self.scratch(PLAN.itemsize, np.uint8, zero=True)
        self.buffers = (self.keys[0], self.keys[1], self.index[0], self.index[1], self.plan)

    def scratch(self, size: int | tuple[int, ...], dtype: Any, zero: bool = False) -> Any:
        array = (cupy.zeros if zero else cupy.empty)(size, dtype)
        self.held.append(array)
        return array

    def launch(self, name: str, blocks: int, *args: Any) -> None:
        function(self.device, "group", name, self.macros)((blocks,), (THREADS,), args)

    def tiled(self, name: str, *args: Any) -> None:
        self.launch(name, min(self.tiles, 0x7FFFFFFF), *args)

    def sort(self, bits: int) -> None:
        """Order the keys; ``bits`` is known to be enough, the device may need fewer."""
        a, b, _, _, plan = self.buffers
        counts = self.scratch((DIGITS, self.tiles), self.index_type)
        totals = self.scratch(DIGITS, np.int64)
        for shift in range(0, bits, 8):
            self.tiled("group_radix_count", a, b, plan, self.total, self.tiles, shift, counts)
            self.launch("group_scan", DIGITS, counts, self.tiles, plan, shift, totals)
            self.tiled("group_radix_scatter", *self.buffers, self.total, self.tiles, shift, counts, totals)

    def scan(self, sums: Any) -> None:
        """Counts a tile to counts before it; the sum goes to ``plan->found``."""
        self.launch("group_scan", 1, sums, self.tiles, self.plan, 0, self.plan.data.ptr + FOUND)


def group(
    points: Any, rows: Any, grid: Any, order: str, limit: int | None, empty: Callable[..., Any]
) -> dict[str, Any]:
    """See robocache.ops.voxel.voxelize."""
    total = rows.total
    dropped, inverse = clear(empty((rows.clouds,), np.int64)), empty((total,), np.int64)
    if total == 0:
        return _nothing(rows, limit or 0, dropped, inverse, empty)
    status = _launch.status().pointer
    source = Source(points, rows, grid)
    work = _Sort(source.device, total)
    bits = 63
    if grid.shape is None:
        source.launch("voxel_box", work.plan)
    else:
        bits = max(1, (rows.clouds * grid.shape[0] * grid.shape[1] * grid.shape[2]).bit_length())
    source.launch("voxel_keys", work.plan, work.keys[0], dropped, int(limit is not None), status)
    work.sort(bits)

    flags, sums = work.scratch(total, np.uint8), work.scratch(work.tiles, work.index_type)
    first = work.scratch(total, np.uint8, zero=True) if order == "first" else None
    work.tiled("group_heads", *work.buffers, total, work.tiles, flags, first, sums)
    work.scan(sums)
    voxels = _found(work.plan) if limit is None else limit
    starts_size = min(total, total if first is not None else voxels) + 1
    starts = work.scratch(starts_size, work.index_type)
    keep = total if first is not None else voxels
    work.tiled(
        "group_label", *work.buffers[2:], total, work.tiles, flags, sums, keep, starts_size, inverse, starts
    )  # fmt: skip
    rank = None
    if first is not None:
        rank = work.scratch(total, work.index_type)
        work.tiled("group_count_flags", first, total, work.tiles, sums)
        work.scan(sums)
        work.tiled("group_rank", first, total, work.tiles, sums, inverse, rank)
        work.launch("group_renumber", source.blocks, total, voxels, rank, inverse)
    found = _outputs(rows, voxels, dropped, inverse, empty)
    spread = max(voxels, rows.clouds + 1, total if rank is not None else 0)
    a, b, _, _, plan = work.buffers
    work.launch(
        "group_rows", min(_launch.blocks(spread, THREADS), BLOCKS), a, b, plan, starts, rank, voxels, rows.clouds,
        found["coords"], found["counts"], found["offsets"], found["kept"], found["found"], status,
    )  # fmt: skip
    _launch.hold(*work.held)
    return found


def _found(plan: Any) -> int:
    """Number of voxels; the one place where ``voxelize`` waits for the GPU. # synchronizes"""
    known = plan.get().view(PLAN)[0]
    if known["overflow"]:
        raise DataError(_launch.MESSAGES[KEY_OVERFLOW])
    return int(known["found"])


def _outputs(rows: Any, voxels: int, dropped: Any, inverse: Any, empty: Callable[..., Any]) -> dict[str, Any]:
    return {
        "coords": empty((voxels, 3), np.int32),
        "counts": empty((voxels,), np.int32),
        "offsets": empty((rows.clouds + 1,), np.int64),
        "kept": empty((), np.int64),
        "found": empty((), np.int64),
        "dropped": dropped,
        "inverse": inverse,
    }


def _nothing(rows: Any, voxels: int, dropped: Any, inverse: Any, empty: Callable[..., Any]) -> dict[str, Any]:
    found = _outputs(rows, voxels, dropped, inverse, empty)
    found["coords"].fill(-1)
    for name in ("counts", "offsets", "kept", "found"):
        clear(found[name])
    return found
