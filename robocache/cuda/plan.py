"""Plans on the GPU: the search of an alignment written down, and the launch that applies it to features."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numpy as np

from .._core.jobs import LINEAR, REFUSE, Found, Job
from . import _launch, _work
from ._module import Macros, function

INDEX = {np.dtype(np.int32): (("INDEX_T", "i32"),), np.dtype(np.int64): (("INDEX_T", "i64"),)}
_ADDRESSES = struct.Struct("3Q")
_KNOWN = struct.Struct("3Q5q")


def variants() -> Iterator[tuple[str, Macros]]:
    """Everything that can be compiled here; the search is part of _work.cu."""
    for macros in INDEX.values():
        yield "plan", macros


def find(job: Job, targets: Any, rows: int, check: str) -> Found:
    """See robocache.ops.plan.Plan."""
    steps, total, time = targets.shape[1], job.times.shape[-1], targets.dtype
    index = cupy.empty((rows, steps), np.int32 if total < 2**31 else np.int64)
    weight = cupy.empty((rows, steps), np.float64) if job.method == LINEAR else None
    real, age = cupy.empty((rows, steps), np.bool_), cupy.empty((rows, steps), time)
    if index.size:
        device, macros, checked = _launch.device_id(targets), _work.macros(time), check != "none"
        staged = _work.staged_of(job, device)
        faulty = cupy.zeros(rows, np.uint8) if checked and total > staged else None
        _launch.hold(index, weight, real, age, faulty)
        head = (_launch.begin(), faulty, real, age, checked)
        work, blocks, room = _work.search(job, targets, rows, staged, head)
        if faulty is not None:
            share, shares = _work.shares_of(rows, total)
            kernel = function(device, "trajectory", "trajectory_check_rows", macros)
            kernel((_launch.blocks(rows * shares, 1),), (_work.TILE,), (work, share, shares))
        kernel = function(device, "trajectory", "trajectory_find", macros)
        arguments = (work, index.data.ptr, _work.address(weight), index.itemsize)
        kernel(_work.grid_of(blocks), (_work.TILE,), arguments, shared_mem=room)
        if check == "strict" or job.outside == REFUSE:
            _launch.finish()  # synchronizes
    return Found(index, weight, real, age, False)


def apply(job: Job, found: Found, valid: Any) -> Callable[..., None] | None:
    """See robocache.ops.plan.Plan."""
    rows, steps, features = job.out.shape
    part, vector = _work.layout(job)
    tile = _work.tile_of(rows, steps, features * job.out.dtype.itemsize)
    tile = min(tile, _work.TILE)  # no stamps are staged that more targets would pay for
    tiles = -(-steps // tile)
    index, weight = found.index, found.weight
    packed = bytes(_ADDRESSES.size) + _KNOWN.pack(
        index.data.ptr, _work.address(weight), found.valid.data.ptr,
        steps if index.shape[0] > 1 else 0, steps, tile, tiles, rows * tiles,
    ) + part  # fmt: skip
    grid, device = _work.grid_of(rows * tiles), _launch.device_id(index)
    threads = (_work.threads_of(min(tile, steps) * features // max(vector, 1), 0),)
    kernel = function(device, "plan", "plan_apply", INDEX[index.dtype])
    shot = None if grid is None else _launch.Shot(device, kernel, (grid, threads), packed, shared=tile * _work.FOUND)

    def replay(values: int, out: int, marks: int, loose: Any = None) -> None:
        _launch.begin()
        if loose is not None:
            _launch.hold(loose)
        if shot is None:
            return
        taken = shot.take()
        _ADDRESSES.pack_into(taken[0], 0, values, out, marks)
        shot.fire(taken)

    replay(job.values.data.ptr, job.out.data.ptr, _work.address(valid), valid)
    return replay
