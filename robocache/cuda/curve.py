"""Curves on the GPU: one launch once targets are found, two for cubics."""

import struct
from collections.abc import Callable, Iterator
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from .._core.jobs import CUBIC, CURVES, MEAN, SE3, SLERP, Curve, Found, Job
from . import _launch
from ._module import Macros, function
from ._points import clear
from ._work import address, fill_bits, macros, threads_of

TILE = 256  # most targets of a block: of curve.cuh
TILE_BYTES = 32768  # results a block should write
FILL_THE_CARD = 528  # blocks: 4 on each of 132 multiprocessors
KNOT = {4: 64, 8: 80}  # bytes of struct Knot, by those of what is computed with
CELL = {4: 40, 8: 56}
BEND = {4: (128, 64, 24), 8: (64, 64, 56)}  # threads of a block of bend.cuh; samples it solves, and beside them

_CALL = struct.Struct("13Q3q4q3q6qQ2dq4q")
_ADDRESSES, _SCRATCH, _SCRATCH_AT = struct.Struct("3Q"), struct.Struct("2Q"), 8 * 11  # of bend and spoilt
_CLOCK = {dtypes.int64: 0, dtypes.float64: 1, dtypes.float32: 2}


def _macros(dtype: np.dtype) -> Macros:
    return (("VALUE_T", dtypes.CUDA_NAME[dtype]), ("ACC_T", dtypes.CUDA_NAME[dtypes.accumulator(dtype)]))


MACROS = {dtype: _macros(dtype) for dtype in dtypes.FLOATING}


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for variant in MACROS.values():
        yield "curve", variant


def apply(job: Job, curve: Curve, found: Found, edges: Found | None, valid: Any) -> Callable[..., None] | None:
    """See robocache.ops.trajectory.resample_trajectories."""
    if not job.out.size:
        if valid is not None:
            valid[..., 0] = found.valid[:, : job.out.shape[1]]
        return None
    again = Applied(job, curve, found, edges, valid)
    again(job.values.data.ptr, job.out.data.ptr, address(valid), valid)
    return again


class Applied:
    """The launches of a call, with everything settled but the addresses of values, result and validity."""

    def __init__(self, job: Job, curve: Curve, found: Found, edges: Found | None, valid: Any) -> None:
        rows, steps, features = job.out.shape
        self._keep = job.times, job.lengths, job.offsets, found, edges  # whose addresses are packed
        device, dtype = _launch.device_id(job.out), dtypes.accumulator(job.out.dtype)
        samples, variant, size = job.times.shape[-1], MACROS[job.out.dtype], dtype.itemsize
        threads, chunk, halo = BEND[size]
        threads = min(threads, -(-features // 32) * 32)
        chunks, groups = -(-samples // chunk), -(-features // threads)
        tile = _tile(rows, steps, features * job.out.itemsize)
        tiles = -(-steps // tile)
        packed = _pack(job, curve, (found, edges), valid, (tile, tiles), (chunk, halo, chunks, groups))
        kernel = function(device, "curve", f"curve_{(*CURVES, 'se3')[curve.kind]}", variant)
        width = {SLERP: 4, SE3: 7}.get(curve.kind) or _vector(job, curve)
        room = tile * (KNOT[size] + (CELL[size] if curve.kind == MEAN else 0))
        shape = (rows * tiles,), (threads_of(tile * features // width, 0),)
        self._shot = _launch.Shot(device, kernel, shape, packed, shared=room)
        self._bend: _launch.Shot | None = None
        if curve.kind == CUBIC and samples:
            solved = 1 if job.offsets is not None else rows
            self._scratch = ((solved, samples, features), dtype), rows * (features + 1)
            most = chunk + 2 * halo
            room = size * (5 * most + 4 + most * threads)
            kernel = function(device, "curve", "curve_bend", variant)
            self._bend = _launch.Shot(device, kernel, ((solved * chunks * groups,), (threads,)), packed, shared=room)

    def __call__(self, values: int, out: int, marks: int, loose: Any = None) -> None:
        _launch.begin()
        scratch = (0, 0)
        if self._bend is not None:
            bend, spoilt = cupy.ndarray(*self._scratch[0]), cupy.ndarray(self._scratch[1], np.uint8)
            clear(spoilt)
            _launch.hold(bend, spoilt)
            scratch = bend.data.ptr, spoilt.data.ptr
        if loose is not None:
            _launch.hold(loose)
        for shot in (self._bend, self._shot):
            if shot is not None:
                taken = shot.take()
                _ADDRESSES.pack_into(taken[0], 0, values, out, marks)
                _SCRATCH.pack_into(taken[0], _SCRATCH_AT, *scratch)
                shot.fire(taken)


def _pack(
    job: Job, curve: Curve, searched: tuple[Found, Found | None], valid: Any, tiles: tuple[int, int],
    bends: tuple[int, int, int, int],
) -> bytes:  # fmt: skip
    """Struct Call of curve.cuh."""
    values, times, out, item = job.values, job.times, job.out, job.out.itemsize
    packed = job.offsets is not None
    shared = packed or values.ndim == 2 or values.shape[0] == 1
    found, edges = searched
    cells = (None, None) if edges is None else (edges.index, edges.weight)
    pointers = values, out, valid, times, job.lengths, job.offsets, found.index, found.weight, found.valid, *cells
    return _CALL.pack(
        *map(address, pointers), 0, 0, found.index.itemsize, _row(found), 0 if edges is None else _row(edges),
        *out.shape[:2], *tiles, times.shape[-1], 0 if packed or times.shape[0] == 1 else times.shape[1],
        _CLOCK[times.dtype], out.shape[2], 0 if shared else values.strides[0] // item, values.strides[-2] // item,
        out.strides[0] // item, out.strides[1] // item, _vector(job, curve), fill_bits(job.fill, out.dtype),
        curve.low, curve.period, curve.scalar_first, *bends,
    )  # fmt: skip


def _row(found: Found) -> int:
    """From one row of what was found to the next, 0 where one serves all."""
    return int(found.index.shape[1]) if found.index.shape[0] > 1 else 0


def _vector(job: Job, curve: Curve) -> int:
    """Elements of an access: as many as every row of features can be cut into."""
    values, out, item = job.values, job.out, job.out.itemsize
    wide = 4 if curve.kind == SLERP else 16 // item  # WIDE of curve.cuh
    steps = [out.shape[2] * item, *values.strides[:-1], *out.strides[:2], values.data.ptr, out.data.ptr]
    return wide if all(step % min(16, wide * item) == 0 for step in steps) else 1


def _tile(rows: int, steps: int, row_bytes: int) -> int:
    """Targets of a block: enough bytes to stream, yet enough blocks to fill the card."""
    tile = 8
    while tile < TILE and tile * row_bytes < TILE_BYTES:
        tile *= 2
    while tile > 8 and rows * -(-steps // tile) < FILL_THE_CARD:
        tile //= 2
    return tile


def cells(targets: Any) -> Any:
    """See robocache.ops._curves.find."""
    edges = cupy.empty((targets.shape[0], 2 * targets.shape[1]), targets.dtype)
    if edges.size:
        _launch.hold(edges)
        kernel = function(_launch.device_id(targets), "trajectory", "trajectory_cells", macros(targets.dtype))
        kernel((_launch.blocks(targets.size, TILE),), (TILE,), (targets, edges, targets.size, targets.shape[1]))
    return edges


__all__ = ["apply", "cells", "variants"]
