"""Exact statistics on the GPU: see ``_core.tally`` for what is gathered and stats.cu for how."""

from collections.abc import Iterator
from functools import cache
from struct import Struct
from typing import Any, NamedTuple

import cupy
import numpy as np

from .._core import dtypes, tally
from .._core.errors import BackendError
from . import _launch
from ._module import Macros, function

THREADS = 256
SLOTS = 4096  # of stats.cu
HOME_BYTES = 24 << 10  # most shared memory for the words of a block's features
THREAD_ROWS = 1 << 16  # most rows of a thread, so that its registers do not overflow
BLOCKS = 4  # on a multiprocessor
LEAST_ROWS = 16  # of a thread, to be worth the table it clears

_SAMPLES = Struct("4Q15q")
_SAMPLES_TYPE = np.dtype(f"V{_SAMPLES.size}")


def _macros(dtype: np.dtype) -> Macros:
    wide = tally.form_of(dtype) is tally.WIDE
    return (("VALUE_T", dtypes.CUDA_NAME[dtype]), ("WIDE", str(int(wide))))


MACROS = {dtype: _macros(dtype) for dtype in dtypes.CUDA_NAME}


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in dict.fromkeys(MACROS.values()):
        yield "stats", macros


class Gathered(NamedTuple):
    """What updates add to: words [feature, word] and counts [feature, bucket], None without a sketch."""

    words: Any
    counts: Any
    bits: int
    form: tally.Form


@cache
def _processors(device: int) -> int:
    return int(cupy.cuda.Device(device).attributes["MultiProcessorCount"])


def _clear(gathered: Gathered) -> None:
    """Ready for updates on any stream. # synchronizes"""
    words = gathered.words
    words[...] = 0
    words[:, tally.LOW], words[:, tally.HIGH] = tally.NONE_LOW, tally.NONE_HIGH
    if gathered.counts is not None:
        gathered.counts[...] = 0
    cupy.cuda.get_current_stream().synchronize()


def make(features: int, bits: int, form: tally.Form) -> Gathered:
    """See robocache.ops.stats.RunningStats."""
    counts = cupy.empty((features, form.buckets(bits)), np.uint64) if bits else None
    gathered = Gathered(cupy.empty((features, form.words), np.int64), counts, bits, form)
    _clear(gathered)
    return gathered


def _steps(array: Any, size: int) -> list[int]:
    return [0 if n == 1 else step // size for n, step in zip(array.shape, array.strides, strict=True)]


def add(rows: Any, valid: Any, gathered: Gathered) -> None:
    """See robocache.ops.stats.RunningStats."""
    _launch.begin()
    if cupy.cuda.get_current_stream().is_capturing():
        raise BackendError("updates cannot be captured: replays would not be counted. Update after the graph has run")
    form, size = gathered.form, rows.itemsize
    if any(step % size for step in rows.strides):
        rows = cupy.ascontiguousarray(rows)
    outer, inner, features = rows.shape
    total, buckets = outer * inner, form.buckets(gathered.bits)
    feature_step = abs(rows.strides[2]) if features > 1 else size
    most = min(THREADS, (2**32 - 2) // max(buckets, 1))
    if feature_step > size * 8:  # neighbours are rows, then
        most = 1
    chunks = -(-features // most)
    per = -(-features // chunks)
    step = THREADS // per
    device = _launch.device_id(rows)
    wanted = min(-(-total // (step * LEAST_ROWS)), -(-BLOCKS * _processors(device) // chunks))
    share = -(-total // max(1, wanted, -(-total // (step * THREAD_ROWS))))
    home = per * form.words * 8 <= HOME_BYTES
    packed = _SAMPLES.pack(
        rows.data.ptr, 0 if valid is None else valid.data.ptr, gathered.words.data.ptr,
        0 if gathered.counts is None else gathered.counts.data.ptr, total, inner, *_steps(rows, size),
        *(_steps(valid, 1) if valid is not None else (0, 0, 0)), features, per, chunks, share, gathered.bits, buckets,
        home,
    )  # fmt: skip
    room = (8 * SLOTS if gathered.counts is not None else 0) + (per * form.words * 8 if home else 0)
    work = np.frombuffer(bytearray(packed), _SAMPLES_TYPE)
    kernel = function(device, "stats", "stats_add", MACROS[rows.dtype])
    kernel((chunks * -(-total // share),), (per * step,), (work,), room)


def drain(gathered: Gathered) -> tuple[Any, Any, Any]:
    """See robocache.ops.stats.RunningStats. # synchronizes"""
    cupy.cuda.Device(_launch.device_id(gathered.words)).synchronize()  # updates may run on any stream
    places = numbers = np.zeros(0, np.int64)
    if gathered.counts is not None:
        flat = gathered.counts.reshape(-1)
        found = cupy.flatnonzero(flat)
        places, numbers = found.get(), flat[found].get().astype(np.int64)
    words = gathered.words.get()
    _clear(gathered)
    return words, places, numbers


def carry(gathered: Gathered) -> None:
    """See robocache.ops.stats.RunningStats."""
    words = gathered.words
    kernel = function(_launch.device_id(words), "stats", "stats_carry", MACROS[gathered.form.dtype])
    kernel((_launch.blocks(2 * words.shape[0], 128),), (128,), (words.data.ptr, words.shape[0]))
