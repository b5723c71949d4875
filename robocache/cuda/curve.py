"""Curves on the GPU: one launch once targets are found, two for cubics."""

import struct
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cupy
import numpy as np

from .._core import dtypes
from .._core.jobs import CUBIC, CURVES, MEAN, SE3, SLERP, SPLIT, Curve, Found, Job
from . import _launch
from ._module import Macros, function
from ._points import clear
from ._work import address, fill_bits, macros

TILE = 256  # most targets of a block: of curve.cuh
THREADS = 256
TILE_BYTES = 131072  # results a block should write: between tiles it waits for what it reads of the targets
FILL_THE_CARD = 528  # blocks: 4 on each of 132 multiprocessors
KNOT = {4: 80, 8: 120}  # bytes of struct Knot, by those of what is computed with
CELL = {4: 40, 8: 56}
POSE = 7  # features that belong together
BEND = {4: (32, 24), 8: (32, 56)}  # samples that a thread of bend.cuh solves, and more on both sides
SOLVERS = {4: 256, 8: 128}  # such threads of a block
MOST_CHUNKS = 32  # side by side in a block

_CALL = struct.Struct("13Q3q4q3q6qQ2dq5q")
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
        solve = _solve(samples, features, size)
        tile = _tile(rows, steps, features * job.out.itemsize)
        tiles = -(-steps // tile)
        access = POSE if curve.kind in (SE3, SPLIT) else _vector(job, curve)
        lanes = _lanes(features // (max(access, 4) if curve.kind == SLERP else access))
        packed = _pack(job, curve, (found, edges), valid, (tile, tiles), (lanes, *solve.packed))
        kernel = function(device, "curve", f"curve_{(*CURVES, 'se3', 'split')[curve.kind]}", variant)
        room = tile * (KNOT[size] + (CELL[size] if curve.kind == MEAN else 0))
        shape = (rows * tiles,), (_threads(lanes, tile),)
        self._shot = _launch.Shot(device, kernel, shape, packed, shared=room)
        self._bend: _launch.Shot | None = None
        if curve.kind == CUBIC and samples:
            solved = 1 if job.offsets is not None else rows
            self._scratch = ((solved, samples, features), dtype), rows * (features + 1)
            kernel = function(device, "curve", "curve_bend", variant)
            shape = (solved * solve.chunks * solve.groups,), (solve.threads,)
            self._bend = _launch.Shot(device, kernel, shape, packed, shared=solve.room)

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
    bends: tuple[int, ...],
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
    steps = [out.shape[2] * item, *values.strides[:-1], *out.strides[:2], values.data.ptr, out.data.ptr]
    least = 4 if curve.kind == SLERP else 16 // item
    for wide in (max(16 // item, least), least):  # WIDE of curve.cuh, or a quaternion
        if out.shape[2] % wide == 0 and all(step % min(16, wide * item) == 0 for step in steps):
            return wide
    return 1


class Solve(NamedTuple):
    """How the samples and features of a cubic are shared out among blocks of bend.cuh."""

    chunk: int  # samples of a block
    chunks: int  # blocks side by side over a row,
    groups: int  # and over its features
    across: int  # threads of a block that have the same samples
    threads: int
    room: int

    @property
    def packed(self) -> tuple[int, int, int, int]:
        """The last fields of struct Call."""
        return self.chunk, self.chunks, self.groups, self.across


def _solve(samples: int, features: int, size: int) -> Solve:
    """For ``size`` bytes of what is computed with."""
    own, halo = BEND[size]
    across = min(32, 1 << max(features - 1, 0).bit_length())
    side_by_side = max(min(SOLVERS[size] // across, MOST_CHUNKS, -(-samples // own)), 1)
    chunk = own * side_by_side
    kept = 0 if size == 4 else (own + halo) * across * side_by_side  # float32 has registers for them
    room = size * (5 * (chunk + 2 * halo) + 1 + kept)
    return Solve(chunk, -(-samples // chunk), -(-features // across), across, across * side_by_side, room)


def _tile(rows: int, steps: int, row_bytes: int) -> int:
    """Targets of a block: enough bytes to stream, yet enough blocks to fill the card."""
    tile = 8
    while tile < TILE and tile * row_bytes < TILE_BYTES:
        tile *= 2
    while tile > 8 and rows * -(-steps // tile) < FILL_THE_CARD:
        tile //= 2
    return tile


def _lanes(accesses: int) -> int:
    """Threads that share a target: all of a block's rounds over a wide one are about equally long."""
    return -(-accesses // -(-accesses // THREADS)) if accesses > THREADS else max(accesses, 1)


def _threads(lanes: int, tile: int) -> int:
    """Threads of a block: whole warps, for as many targets at once as there is room."""
    return -(-lanes * min(max(THREADS // lanes, 1), tile) // 32) * 32


def cells(targets: Any) -> Any:
    """See robocache.ops._curves.find."""
    edges = cupy.empty((targets.shape[0], 2 * targets.shape[1]), targets.dtype)
    if edges.size:
        _launch.hold(edges)
        kernel = function(_launch.device_id(targets), "trajectory", "trajectory_cells", macros(targets.dtype))
        kernel((_launch.blocks(targets.size, TILE),), (TILE,), (targets, edges, targets.size, targets.shape[1]))
    return edges


__all__ = ["apply", "cells", "variants"]
