"""Alignment of streams to target times on the GPU: packs the streams into one kernel argument, launches once."""

import math
import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from .._core.jobs import REFUSE, Aligned, Job
from . import _launch
from ._module import Macros, function

STAGED = 2048  # rows up to here are checked inside the main kernel
CHECKED = 8192  # stamps of a longer row that one block checks
TILE = 256  # most targets a block serves, and threads in a block
CAPACITIES = (1, 4, 16)  # streams a launch can carry; kernel arguments end at 4 KiB

KIND = {name: i for i, name in enumerate("f16 bf16 float double i8 u8 i16 u16 i32 u32 i64 u64".split())}
KINDS = {dtype: KIND[name] for dtype, name in dtypes.CUDA_NAME.items()} | {dtypes.boolean: 12}
WIDTHS = {8: (2,), 4: (4, 2), 2: (8, 4, 2), 1: (16, 4, 2)}  # elements an access can move

_GOAL = struct.Struct("5Q9q")
_STREAM = {True: struct.Struct("5Q7qQ3q9q"), False: struct.Struct("5Q7qQ3d9q")}  # by: times are integers
_ADDRESSES = struct.Struct("5Q")


@cache
def _macros(time: np.dtype, capacity: int) -> Macros:
    return (("TIME_T", dtypes.CUDA_NAME[time]), ("STREAMS", str(capacity)))


def variants() -> Iterator[tuple[str, Macros]]:
    """Everything that can be compiled here."""
    for time in sorted(dtypes.TIMES, key=str):
        for capacity in CAPACITIES:
            yield "trajectory", _macros(time, capacity)


def align(jobs: Sequence[Job], targets: Any, valid: Any, age: Any, check: str) -> Aligned:
    """See robocache.ops.trajectory.resample_trajectories."""
    most = CAPACITIES[-1]
    launches = [
        Launch(jobs[start : start + most], start, len(jobs), targets, check) for start in range(0, len(jobs), most)
    ]
    wait = check == "strict" or any(job.outside == REFUSE for job in jobs)

    def replay(sources: Sequence[Any], outs: Sequence[int], targets: Any, valid: Any, age: Any) -> None:
        status = _launch.begin()
        if valid is not None or age is not None:
            _launch.hold(valid, age)
        for i, launch in enumerate(launches):
            part = slice(i * most, (i + 1) * most)
            launch.fire(sources[part], outs[part], targets, valid, age, status)
        if wait:
            _launch.finish()

    replay([job[:4] for job in jobs], [job.out.data.ptr for job in jobs], targets, valid, age)
    return Aligned(False, replay)


class Launch:
    """Up to 16 streams of a call, with everything settled but the addresses."""

    __slots__ = ("_blocks", "_check", "_faulty", "_kernel", "_shares", "_size", "_step", "_template")

    def __init__(self, jobs: Sequence[Job], column: int, columns: int, targets: Any, check: str) -> None:
        rows, steps, _ = jobs[0].out.shape
        time = targets.dtype
        capacity = next(c for c in CAPACITIES if c >= len(jobs))
        layout = _STREAM[time == dtypes.int64]
        tile = _tile(rows, steps, max(job.out.shape[2] * job.out.dtype.itemsize for job in jobs))
        tiles = (steps + tile - 1) // tile
        checked, longest = check != "none", max(job.times.shape[-1] for job in jobs)
        work = len(jobs) * rows * tiles
        self._step = layout.size
        self._template = bytearray(_GOAL.size + layout.size * capacity)
        row = targets.shape[1] if targets.shape[0] > 1 else 0
        _GOAL.pack_into(
            self._template, 0, 0, 0, 0, 0, 0, row, rows, steps, len(jobs), tile, checked, column, columns, work
        )
        for k, job in enumerate(jobs):
            layout.pack_into(self._template, self._at(k), 0, 0, 0, 0, 0, *_describe(job), k * rows * tiles, tiles)
        self._size = np.dtype(f"V{len(self._template)}")
        self._blocks = (_launch.blocks(work, 1),) if work else None
        self._shares = -(-longest // CHECKED) if checked and longest > STAGED else 0
        self._faulty = len(jobs) * rows
        device, macros = _launch.device_id(targets), _macros(time, capacity)
        self._kernel = function(device, "trajectory", "trajectory_align", macros)
        self._check = function(device, "trajectory", "trajectory_check_rows", macros)

    def _at(self, k: int) -> int:
        return _GOAL.size + k * self._step

    def fire(
        self, sources: Sequence[Any], outs: Sequence[int], targets: Any, valid: Any, age: Any, status: int
    ) -> None:
        """Launch on the current stream with these arrays."""
        if self._blocks is None:
            return
        packed = bytearray(self._template)  # fresh: another thread may be launching the same
        faulty = cupy.zeros(self._faulty, np.uint8) if self._shares else None
        _ADDRESSES.pack_into(packed, 0, targets.data.ptr, _address(valid), _address(age), _address(faulty), status)
        at = _GOAL.size
        for (values, times, lengths, offsets), out in zip(sources, outs, strict=True):
            _ADDRESSES.pack_into(packed, at, values.data.ptr, times.data.ptr, _address(lengths), _address(offsets), out)
            at += self._step
        work = np.frombuffer(packed, self._size)
        if self._shares:
            _launch.hold(faulty)
            self._check((_launch.blocks(self._faulty * self._shares, 1),), (TILE,), (work, CHECKED, self._shares))
        self._kernel(self._blocks, (TILE,), (work,))


def _describe(job: Job) -> tuple[Any, ...]:
    """Fields of one Stream of stream.cuh, but for its addresses and its place in the grid."""
    values, out, times, packed = job.values, job.out, job.times, job.offsets is not None
    size_in, size_out = values.dtype.itemsize, out.dtype.itemsize
    row = 0 if packed or values.shape[0] == 1 else values.strides[0] // size_in
    sample, features = values.strides[-2] // size_in, out.shape[2]
    out_row, out_target = out.strides[0] // size_out, out.strides[1] // size_out
    vector = 0
    if values.dtype == out.dtype:
        steps, address = features | row | sample | out_row | out_target, values.data.ptr | out.data.ptr
        vector = next((n for n in WIDTHS[size_out] if steps % n == 0 and address % (n * size_out) == 0), 1)
    return (
        times.shape[-1], features, row, sample, 0 if packed or times.shape[0] == 1 else times.shape[1],
        out_row, out_target, _bits(None if job.fill != job.fill else job.fill, out.dtype), job.latency, job.tolerance,
        job.max_gap, job.method, job.outside, KINDS[values.dtype], KINDS[out.dtype], size_in, size_out, vector,
    )  # fmt: skip


@cache
def _bits(fill: Any, dtype: np.dtype) -> int:
    """Bit pattern of one element; NaN, which equals nothing, is looked up as None."""
    return int.from_bytes(np.asarray(math.nan if fill is None else fill, dtype).tobytes(), "little")


def _address(array: Any) -> int:
    return 0 if array is None else array.data.ptr


def _tile(rows: int, steps: int, row_bytes: int) -> int:
    """Targets a block serves: enough bytes to stream, yet enough blocks to fill the card (528 = 4 on each of 132)."""
    tile = 32
    while tile < TILE and tile * row_bytes < 65536:
        tile *= 2
    while tile > 8 and rows * ((steps + tile - 1) // tile) < 528:
        tile //= 2
    return tile
