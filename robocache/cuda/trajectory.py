"""Alignment of streams to target times on the GPU: packs the streams into one kernel argument, launches once."""

import struct
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np

from .._core import dtypes
from .._core.jobs import REFUSE, Job
from . import _launch
from ._module import Macros, function

STAGED = 2048  # rows up to here are checked inside the main kernel
TILE = 256  # most targets a block serves, and threads in a block
CAPACITIES = (1, 4, 16)  # streams a launch can carry; kernel arguments end at 4 KiB

KIND = {name: i for i, name in enumerate("f16 bf16 float double i8 u8 i16 u16 i32 u32 i64 u64".split())}
KINDS = {dtype: KIND[name] for dtype, name in dtypes.CUDA_NAME.items()} | {dtypes.boolean: 12}
WIDTHS = {8: (2,), 4: (4, 2), 2: (8, 4, 2), 1: (16, 4, 2)}  # elements an access can move

_INT = struct.Struct("5Q7qQ3q9q")
_FLOAT = struct.Struct("5Q7qQ3d9q")
_TARGETS = struct.Struct("5Q8q")


@cache
def _macros(time: np.dtype, capacity: int) -> Macros:
    return (("TIME_T", dtypes.CUDA_NAME[time]), ("STREAMS", str(capacity)))


def variants() -> Iterator[tuple[str, Macros]]:
    """Everything that can be compiled here."""
    for time in sorted(dtypes.TIMES, key=str):
        for capacity in CAPACITIES:
            yield "trajectory", _macros(time, capacity)


def align(jobs: Sequence[Job], targets: Any, valid: Any, age: Any, check: str) -> bool:
    """See robocache.ops.trajectory.resample_trajectories."""
    status = _launch.begin()
    most = CAPACITIES[-1]
    for start in range(0, len(jobs), most):
        _align_some(jobs[start : start + most], start, len(jobs), targets, valid, age, check, status)
    if check == "strict" or any(job.outside == REFUSE for job in jobs):
        _launch.finish()
    return False


def _align_some(
    jobs: Sequence[Job], column: int, columns: int, targets: Any, valid: Any, age: Any, check: str, status: int
) -> None:
    rows, steps, _ = jobs[0].out.shape
    if not rows or not steps:
        return
    time = targets.dtype
    capacity = next(c for c in CAPACITIES if c >= len(jobs))
    layout = _INT if time == dtypes.int64 else _FLOAT
    tile = _tile(rows, steps, max(job.out.shape[2] * job.out.dtype.itemsize for job in jobs))
    tiles = (steps + tile - 1) // tile
    packed = bytearray(layout.size * capacity)
    for k, job in enumerate(jobs):
        layout.pack_into(packed, k * layout.size, *_describe(job), k * rows * tiles, tiles)
    table = np.frombuffer(packed, f"V{len(packed)}")
    device = _launch.device_id(jobs[0].out)
    macros = _macros(time, capacity)
    checked = check != "none"
    faulty = None
    goal = [
        targets.data.ptr, _pointer(valid), _pointer(age), 0, status,
        targets.shape[1] if targets.shape[0] > 1 else 0, rows, steps, len(jobs), tile, checked, column, columns,
    ]  # fmt: skip
    if checked and any(job.times.shape[-1] > STAGED for job in jobs):
        import cupy

        faulty = cupy.empty(len(jobs) * rows, np.uint8)
        goal[3] = faulty.data.ptr
        kernel = function(device, "trajectory", "trajectory_check_rows", macros)
        kernel((_launch.blocks(faulty.size, 1),), (TILE,), (table, _argument(goal), faulty))
    work = len(jobs) * rows * tiles
    kernel = function(device, "trajectory", "trajectory_align", macros)
    kernel((_launch.blocks(work, 1),), (TILE,), (table, _argument(goal), work))


def _describe(job: Job) -> tuple[Any, ...]:
    """Fields of one Stream of trajectory.cu, but for its place in the grid."""
    values, out, packed = job.values, job.out, job.offsets is not None
    size_in, size_out = values.dtype.itemsize, out.dtype.itemsize
    strides, places = values.strides, out.strides
    row = 0 if packed or values.shape[0] == 1 else strides[0] // size_in
    sample, features = strides[-2] // size_in, out.shape[2]
    out_row, out_target = places[0] // size_out, places[1] // size_out
    source, target = values.data.ptr, out.data.ptr
    vector = 0
    if values.dtype == out.dtype:
        joint = features | row | sample | out_row | out_target
        joint_bytes = source | target
        vector = next((n for n in WIDTHS[size_out] if joint % n == 0 and joint_bytes % (n * size_out) == 0), 1)
    times = job.times
    return (
        source, times.data.ptr, _pointer(job.lengths), _pointer(job.offsets), target,
        times.shape[-1], features, row, sample, 0 if packed or times.shape[0] == 1 else times.shape[1],
        out_row, out_target, _fill(job.fill, out.dtype), job.latency, job.tolerance, job.max_gap,
        job.method, job.outside, KINDS[values.dtype], KINDS[out.dtype], size_in, size_out, vector,
    )  # fmt: skip


@cache
def _fill_bits(fill: Any, dtype: np.dtype) -> int:
    return int.from_bytes(np.array(fill, dtype).tobytes(), "little")


def _fill(fill: Any, dtype: np.dtype) -> int:
    return _fill_bits("nan" if fill != fill else fill, dtype)


def _pointer(array: Any) -> int:
    return 0 if array is None else int(array.data.ptr)


def _argument(goal: list[Any]) -> np.ndarray:
    return np.frombuffer(_TARGETS.pack(*goal), f"V{_TARGETS.size}")


def _tile(rows: int, steps: int, row_bytes: int) -> int:
    """Targets a block serves: enough bytes to stream, yet enough blocks to fill the card (528 = 4 on each of 132)."""
    tile = 64
    while tile < TILE and tile * row_bytes < 16384:
        tile *= 2
    while tile > 8 and rows * ((steps + tile - 1) // tile) < 528:
        tile //= 2
    return tile
