"""How streams travel to the kernels: one struct for each launch, of which a call replaces only the addresses."""

import math
import struct
from collections.abc import Sequence
from functools import cache
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from .._core.jobs import Job
from . import _launch
from ._module import Macros, function, shared_memory

STAGED = 8192  # longest row that is staged in shared memory and checked there, if that leaves room for two blocks
GRID = 0x7FFFFFFF  # blocks along the first axis
CHECKED = 2048  # stamps of a longer row that one block checks, unless there are many rows
TILE = 256  # most threads in a block, and targets whose index it holds; twice as many threads for narrow rows
FOUND = 24  # bytes of shared memory a target whose index a block holds
TILE_BYTES = 131072  # results a block should write, to be worth the staging
TILE_MOST = 4096
BLOCKS = 264  # to fill the card: 2 on each of 132
FIND_BYTES = 128  # as many targets a block as if each were that long, where targets are only found
NARROW = 98304  # most shared memory of a block that brings a row's samples there, for two on a multiprocessor
CAPACITIES = (1, 4, 16)  # streams a launch can carry; kernel arguments end at 4 KiB

KIND = {name: i for i, name in enumerate("f16 bf16 float double i8 u8 i16 u16 i32 u32 i64 u64".split())}
KINDS = {dtype: KIND[name] for dtype, name in dtypes.CUDA_NAME.items()} | {dtypes.boolean: 12}
BERTH = 16  # more than needed, so that bytes lie in shared memory as they do outside
WIDTHS = {8: (2,), 4: (4, 2), 2: (8, 4, 2), 1: (16, 4, 2)}  # elements an access can move

_LAYOUT = struct.Struct("5qQ5q")
_GOAL = struct.Struct("12q")
_STREAM = {True: struct.Struct("2q3q5q"), False: struct.Struct("2q3d5q")}  # by: times are integers


@cache
def macros(time: np.dtype, capacity: int = 1) -> Macros:
    """Those of trajectory.cu."""
    return (("TIME_T", dtypes.CUDA_NAME[time]), ("STREAMS", str(capacity)))


class Launch:
    """Up to 16 streams of a call, with everything settled but the addresses."""

    __slots__ = (
        "_addresses", "_check", "_faulty", "_shares", "_shot",
    )  # fmt: skip

    def __init__(self, jobs: Sequence[Job], column: int, columns: int, targets: Any, check: str) -> None:
        rows, steps, _ = jobs[0].out.shape
        time, count = targets.dtype, len(jobs)
        places = next(c for c in CAPACITIES if c >= count)
        checked, longest = check != "none", max(job.times.shape[-1] for job in jobs)
        tiles = [tile_of(rows, steps, job.out.shape[2] * job.out.dtype.itemsize) for job in jobs]
        device, variant = _launch.device_id(targets), macros(time, places)
        capacity, limit = min(TILE, max(tiles)), shared_memory(device) // 2
        room = (limit - capacity * FOUND - BERTH) // time.itemsize
        staged = max(_staged(job, min(STAGED, room)) for job in jobs)
        streams, work, most = bytearray(), 0, 0
        for job, tile in zip(jobs, tiles, strict=True):
            part, vector = layout(job)
            streams += part + _stream(job, time, work, tile, -(-steps // tile))
            work += rows * -(-steps // tile)
            most = max(most, min(tile, steps, TILE) * job.out.shape[2] // max(vector, 1))
        free, empty = places - count, len(streams) // count * (places - count)
        self._addresses = struct.Struct(f"5Q{4 * count}Q{32 * free}x{count}Q{8 * free}x")  # x: zeros
        row = targets.shape[1] if targets.shape[0] > 1 else 0
        narrow = None if count > 1 else _narrow(jobs[0], tiles[0], staged, min(NARROW, limit))
        held, results, room, threads = narrow or (0, 0, 0, threads_of(most, staged))
        goal = _GOAL.pack(
            row, rows, steps, count, staged, capacity, held, results, checked, column, columns, work
        )  # fmt: skip
        packed = bytes(self._addresses.size) + goal + streams + bytes(empty)
        room = room or capacity * FOUND + staged * time.itemsize + BERTH
        self._faulty = count * rows
        self._shares = shares_of(self._faulty, longest) if checked and longest > staged else None
        self._shot: _launch.Shot | None = None
        self._check: Any = None
        if (grid := grid_of(work)) is not None:
            name = "trajectory_align" + "_narrow" * (narrow is not None)
            kernel = function(device, "trajectory", name, variant)
            self._shot = _launch.Shot(device, kernel, (grid, (threads,)), packed, shared=room)
        if self._shares is not None:
            self._check = function(device, "trajectory", "trajectory_check_rows", variant)

    def fire(self, status: int, head: Sequence[int], sources: Sequence[int], outs: Sequence[int]) -> None:
        """Launch on the current stream with these addresses: the head is those of targets, validity and age."""
        shot = self._shot
        if shot is None:
            return
        faulty = None if self._shares is None else cupy.zeros(self._faulty, np.uint8)
        taken = shot.take()
        self._addresses.pack_into(taken[0], 0, status, address(faulty), *head, *sources, *outs)
        if self._shares is not None:
            _launch.hold(faulty)
            work = _launch.argument(taken[0])
            self._check((_launch.blocks(self._faulty * self._shares[1], 1),), (TILE,), (work, *self._shares))
        shot.fire(taken)


def _staged(job: Job, most: int) -> int:
    """Stamps of its rows to make room for in shared memory."""
    samples = job.times.shape[-1]
    never = samples > most and job.lengths is None and job.offsets is None
    return 0 if never else min(samples, most)


def _narrow(job: Job, tile: int, staged: int, most: int) -> tuple[int, int, int, int] | None:
    """Where samples and results lie in the shared memory of trajectory_align_narrow, its size, and threads of a block.

    None where samples are better read from where they are: worth it for odd rows of a few floats most of which are
    needed by the targets of one or two blocks.
    """
    values, times, out = job.values, job.times, job.out
    steps, features = out.shape[1:]
    samples, row = times.shape[-1], features * out.dtype.itemsize
    plain = values.dtype == out.dtype and row == values.strides[-2] == out.strides[1] and job.offsets is None
    if not plain or row % 16 == 0 or values.dtype not in dtypes.FLOATING or staged < samples:
        return None
    threads = min(2 * TILE, max(32, -(-min(tile, steps) // 32) * 32))
    held = -(-samples * times.itemsize // 16) * 16 + BERTH
    results = held + -(-samples * row // 16) * 16 + BERTH
    room = results + threads * row + BERTH
    return (held, results, room, threads) if room <= most and 2 * tile >= steps >= samples // 4 else None


def layout(job: Job) -> tuple[bytes, int]:
    """Layout of blend.cuh, and the elements an access moves."""
    values, out, packed = job.values, job.out, job.offsets is not None
    size_in, size_out = values.dtype.itemsize, out.dtype.itemsize
    row = 0 if packed or values.shape[0] == 1 else values.strides[0] // size_in
    sample, features = values.strides[-2] // size_in, out.shape[2]
    out_row, out_target = out.strides[0] // size_out, out.strides[1] // size_out
    vector, farthest = 0, max(abs(sample), TILE * abs(out_target), TILE * features) * size_out
    if values.dtype == out.dtype and farthest < 1 << 31:  # as blend.cuh numbers bytes and accesses
        steps, address = features | row | sample | out_row | out_target, values.data.ptr | out.data.ptr
        vector = next((n for n in WIDTHS[size_out] if steps % n == 0 and address % (n * size_out) == 0), 1)
    fill = fill_bits(None if job.fill != job.fill else job.fill, out.dtype)
    kinds = KINDS[values.dtype], KINDS[out.dtype]
    return _LAYOUT.pack(features, row, sample, out_row, out_target, fill, *kinds, size_in, size_out, vector), vector


def _stream(job: Job, time: np.dtype, first: int, tile: int, tiles: int) -> bytes:
    """What follows the layout in Stream of stream.cuh."""
    times = job.times
    row = 0 if job.offsets is not None or times.shape[0] == 1 else times.shape[1]
    limits = job.latency, job.tolerance, job.max_gap
    return _STREAM[time == dtypes.int64].pack(
        times.shape[-1], row, *limits, job.method, job.outside, first, tile, tiles
    )


@cache
def fill_bits(fill: Any, dtype: np.dtype) -> int:
    """Bit pattern of one element; NaN, which equals nothing, is looked up as None."""
    return int.from_bytes(np.asarray(math.nan if fill is None else fill, dtype).tobytes(), "little")


def address(array: Any) -> int:
    """Where an array lies, 0 for none."""
    return 0 if array is None else array.data.ptr


def tile_of(rows: int, steps: int, row_bytes: int) -> int:
    """Targets a block serves: enough bytes to stream, yet enough blocks to fill the card (528 = 4 on each of 132)."""
    tile = 32
    while tile < TILE_MOST and tile * row_bytes < TILE_BYTES:
        tile *= 2
    while tile > 8 and rows * ((steps + tile - 1) // tile) < BLOCKS:
        tile //= 2
    return tile


def threads_of(elements: int, stamps: int) -> int:
    """Threads of a block that moves so many elements: small rows in small blocks, so that many run side by side."""
    threads = 32
    while threads < TILE and (threads * 4 < elements or threads * 16 < stamps):
        threads *= 2
    return threads


def grid_of(blocks: int) -> tuple[int, int] | None:
    """So many blocks, None for none."""
    return (min(blocks, GRID), -(-blocks // GRID)) if blocks else None


def shares_of(rows: int, longest: int) -> tuple[int, int]:
    """Stamps of a share and shares of a row for check_rows: any of many packed rows might be the one that is long."""
    shares = max(1, min(-(-longest // CHECKED), 4096 // max(rows, 1)))
    return -(-longest // shares), shares


def staged_of(job: Job, device: int) -> int:
    """Stamps of its rows that a block which only finds targets brings to shared memory."""
    return _staged(job, min(STAGED, (shared_memory(device) // 4 - BERTH) // job.times.itemsize))


def search(job: Job, targets: Any, rows: int, staged: int, head: tuple[Any, ...]) -> tuple[Any, int, int]:
    """The struct of one stream for the kernels that check and find only, blocks of them and bytes of shared memory.

    ``head`` is (status, faulty, valid, age, whether to check).
    """
    status, faulty, valid, age, checked = head
    time, steps = targets.dtype, targets.shape[1]
    row, tile = steps if targets.shape[0] > 1 else 0, tile_of(rows, steps, FIND_BYTES)
    tiles = -(-steps // tile)
    source = (0, job.times.data.ptr, address(job.lengths), address(job.offsets), 0)
    work = struct.pack("10Q", status, address(faulty), targets.data.ptr, valid.data.ptr, age.data.ptr, *source)
    work += _GOAL.pack(row, rows, steps, 1, staged, 1, 0, 0, checked, 0, 1, rows * tiles)
    work += bytes(_LAYOUT.size) + _stream(job, time, 0, tile, tiles)
    return _launch.argument(work), rows * tiles, staged * time.itemsize + BERTH
