"""Farthest points on the GPU."""

from collections.abc import Iterator
from struct import Struct
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function, shared_memory
from ._points import MACROS, Source, clear, copied, resident

ALONE_THREADS, TOGETHER_THREADS = 1024, 512  # of sampling.cu
HELD = {4: 16, 8: 8}  # distances a thread keeps there, by bytes of one
WORDS = {4: 6, 8: 10}  # of struct Pick
EACH = 4  # points a thread should have, so that few wait for one another
SHARE = 2048  # points of a block where several belong to a cloud
ROOM = 16384  # bytes of shared memory beside those of points, and more
_CALL = Struct("6Q6q")  # struct Call up to the cloud


class _Cells:
    """No grid: what `Source` asks of one."""

    origin, size, shape, clamp = (0.0,) * 3, (1.0,) * 3, None, False


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in MACROS.values():
        yield "sampling", macros


def _layout(rows: Any, longest: int, item: int, device: int) -> tuple[int, int, int, int]:
    """Blocks that belong to a cloud, such groups, threads of a block, and points it holds."""
    capacity = min(HELD[item] * ALONE_THREADS, (shared_memory(device) - ROOM) // (3 * item))
    usual = min(longest, 2 * -(-rows.total // rows.clouds))
    processors, group = resident(device) // 2, 1
    groups = min(rows.clouds, 0x7FFFFFFF)
    if usual > capacity and processors > rows.clouds:
        group = min(processors // rows.clouds, -(-usual // SHARE))
        groups = min(rows.clouds, processors // group)
    share = -(-usual // group)
    threads = min(TOGETHER_THREADS if group > 1 else ALONE_THREADS, max(32, -(-share // EACH // 32) * 32))
    threads = min(threads, capacity // 32 * 32)
    held = min(-(-share // threads), HELD[item], capacity // threads) * threads
    return group, groups, threads, held


def farthest_points(points: Any, rows: Any, start: Any, repeat: bool, out: Any, strict: bool) -> None:
    """See robocache.ops.sampling.farthest_point_sample."""
    status = _launch.begin()
    if not rows.clouds or not out.shape[1]:
        return
    if not rows.total:
        out.fill(-1)
        return
    source = Source(points, rows, _Cells)
    item = dtypes.accumulator(points.dtype).itemsize
    longest = points.shape[1]
    group, groups, threads, held = _layout(rows, longest, item, source.device)
    slots = clear(cupy.ndarray((2 * groups * group * WORDS[item],), np.uint64)) if group > 1 else None
    far = cupy.ndarray((rows.total * item,), np.uint8) if longest > group * held else None
    many = None if isinstance(start, int) else start
    if many is not None and not many.flags.c_contiguous:
        many = copied(many)
    _launch.hold(slots, far, many, source.points, source.extent)
    addresses = [0 if array is None else array.data.ptr for array in (source.points, out, many, slots, far)]
    addresses.insert(1, status)
    first, wide = (start, 0) if many is None else (0, int(many.dtype == dtypes.int64))
    packed = _CALL.pack(*addresses, out.shape[1], first, wide, repeat, group, held) + source.packed
    kernel = function(source.device, "sampling", "sampling_together" if group > 1 else "sampling_alone", source.macros)
    together = {"enable_cooperative_groups": True} if group > 1 else {}
    room = 3 * held * item + (4 * (group + 1) * WORDS[item] if group > 1 else 0)
    kernel((groups * group,), (threads,), (_launch.argument(packed),), shared_mem=room, **together)
    if strict:
        _launch.finish()  # synchronizes
