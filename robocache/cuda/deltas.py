"""Samples at times around others on the GPU."""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from .._core.jobs import Search
from . import _launch
from ._module import Macros, function
from ._work import address

ANCHORS = 16  # of a block
THREADS, CHECK_THREADS, CHECK_BLOCKS = 128, 256, 2048
_ADDRESSES, _COUNTS, _CHECK = struct.Struct("8Q"), struct.Struct("5q"), struct.Struct("4Q2q")


def variants() -> Iterator[tuple[str, Macros]]:
    """Everything that can be compiled here."""
    for time in sorted(dtypes.TIMES, key=str):
        yield "deltas", _macros(time)


def table(columns: Sequence[tuple[Any, int, int]], time: np.dtype) -> Any:
    """See robocache.ops.deltas.DeltaTimestamps."""
    packed = b"".join(_wide(time, "2q").pack(*column) for column in columns)
    there = cupy.asarray(np.frombuffer(packed, np.uint8))
    cupy.cuda.get_current_stream().synchronize()  # synchronizes: later calls may be on other streams
    return there


def check(times: Any, offsets: Any, strict: bool) -> tuple[Any, bool]:
    """See robocache.ops.deltas.DeltaTimestamps."""
    episodes = offsets.size - 1
    if not times.size:
        return None, False
    faulty = cupy.zeros(episodes, np.uint8)
    work = _CHECK.pack(_launch.begin(), faulty.data.ptr, times.data.ptr, offsets.data.ptr, episodes, times.size)
    kernel = function(_launch.device_id(times), "deltas", "deltas_check", _macros(times.dtype))
    blocks = min(_launch.blocks(times.size, CHECK_THREADS), CHECK_BLOCKS)
    kernel((blocks,), (CHECK_THREADS,), (_launch.argument(work),))
    if strict:
        _launch.finish()  # synchronizes
    return faulty, False


def take(search: Search, anchors: Any, first: int, step: int, index: Any, valid: Any, count: int, strict: bool) -> None:
    """See robocache.ops.deltas.DeltaTimestamps.take."""
    if not count:
        return
    times, offsets = search.times, search.offsets
    _launch.hold(search, anchors, index, valid)
    work = _ADDRESSES.pack(
        _launch.begin(), address(search.faulty), times.data.ptr, offsets.data.ptr, address(anchors),
        search.table.data.ptr, index.data.ptr, valid.data.ptr,
    )  # fmt: skip
    work += _COUNTS.pack(offsets.size - 1, count, first, step, search.deltas)
    work += _wide(times.dtype, "q").pack(search.tolerance, search.refuse)
    kernel = function(_launch.device_id(times), "deltas", "deltas_take", _macros(times.dtype))
    kernel((_launch.blocks(count, ANCHORS),), (THREADS,), (_launch.argument(work),))
    if strict:
        _launch.finish()  # synchronizes


def _macros(time: Any) -> Macros:
    return (("TIME_T", dtypes.CUDA_NAME[time]),)


def _wide(time: np.dtype, rest: str) -> struct.Struct:
    """One number in which times of a type are computed, and what follows it."""
    return struct.Struct(("q" if time == dtypes.int64 else "d") + rest)
