"""What every launch needs beside the kernel: the status words that kernels report faults to, and grid sizes."""

import ctypes
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import cupy
import numpy as np
from cupy.cuda import driver

from .._core.errors import DataError, DataWarning

# Faults in the order of common.cuh.
MESSAGES = (
    "source_times are unsorted, NaN or infinite in some row; that row is invalid. Sort the row, or drop it",
    "lengths or offsets point outside the array; those rows are invalid. Check them against the shape",
    "float32 source_times are too coarse for their own spacing; keep times in int64 ns or float64",
    "some targets or points lie outside the allowed range",
    "there are more voxels than max_voxels, or points than max_points; the extra ones were left out. Raise the limit",
    "the points span more than 2**63 cells; no voxel was made. Raise voxel_size or give bounds",
    "some positions or indices lie outside the data; what they asked for is invalid or filled. Check them against its "
    "length",
    "no sample lies within tolerance of some anchor's time plus delta; those are invalid. Widen tolerance, correct the "
    "deltas, or pass on_miss='invalid'",
    "some view had no camera: K or T is not finite, a focal length is not above zero, or T no rigid transform; it was "
    "left out. Check K and T",
    "some cloud has no finite point to repeat, so its row is -1; drop it, or pass pad=-1",
)
COARSE = 2  # the only fault after which every number is still right: it warns, the others raise


class Status:
    """Words of pinned host memory, one a fault, that kernels of every device write and the host reads for free.

    Reading does not synchronise: a fault shows at the first RoboCache call after the kernel that met it has ended.
    """

    def __init__(self) -> None:
        memory = cupy.cuda.alloc_pinned_memory(4 * len(MESSAGES))
        self._words = np.frombuffer(memory, np.uint32, len(MESSAGES))
        self._words[:] = 0
        self._bytes = self._words.view(np.uint8).data
        self.pointer = int(memory.ptr)

    def take(self) -> list[int]:
        """Faults reported so far; clears them."""
        if not int.from_bytes(self._bytes, "little"):  # a tenth of what NumPy's any() costs
            return []
        found = [int(i) for i in np.flatnonzero(self._words)]
        self._words[found] = 0
        return found


_status: Status | None = None
_lock = threading.Lock()


def status() -> Status:
    """The status words of this process."""
    global _status
    if _status is None:
        with _lock:
            if _status is None:
                _status = Status()
    return _status


def begin() -> int:
    """Warn of faults that earlier GPU calls reported, without a sync; the address this call's kernels report to."""
    words = status()
    found = words.take()
    if found:
        text = "; ".join(MESSAGES[i] for i in found)
        warnings.warn(f"an earlier GPU call reported: {text}", DataWarning, stacklevel=5)
    return words.pointer


def finish() -> None:
    """Wait for the current stream and raise what its kernels reported. # synchronizes"""
    cupy.cuda.get_current_stream().synchronize()
    found = status().take()
    if COARSE in found:
        found.remove(COARSE)
        warnings.warn(MESSAGES[COARSE], DataWarning, stacklevel=5)
    if found:
        raise DataError("; ".join(MESSAGES[i] for i in found))


class Shot:
    """A launch that is repeated: shape and arguments stay, but for what is packed over them before it is fired.

    It goes to the driver as CuPy's own launches do, without making an object of every argument anew. A call takes
    memory with the arguments from ``take`` and leaves it to ``fire``; no two calls under way have the same.
    """

    __slots__ = ("_device", "_kernel", "_packed", "_places", "_shape", "_spare", "_together")

    def __init__(
        self, device: int, kernel: Any, shape: tuple[Sequence[int], Sequence[int]], packed: bytes,
        places: Sequence[int] = (0,), shared: int = 0, together: bool = False,
    ) -> None:  # fmt: skip
        grid, block = ((*sizes, 1, 1)[:3] for sizes in shape)
        self._kernel = kernel  # which keeps its module loaded
        self._device, self._shape = device, (kernel.ptr, *grid, *block, shared)
        self._together = together
        self._packed, self._places = packed, places
        self._spare: list[tuple[Any, Any, int]] = []

    def take(self) -> tuple[Any, Any, int]:
        """Memory with the arguments one after another, and what ``fire`` wants beside it."""
        try:
            return self._spare.pop()
        except IndexError:
            memory = ctypes.create_string_buffer(self._packed, len(self._packed))
            start = ctypes.addressof(memory)
            pointers = (ctypes.c_void_p * len(self._places))(*(start + place for place in self._places))
            return memory, pointers, ctypes.addressof(pointers)

    def fire(self, taken: tuple[Any, Any, int]) -> None:
        """Launch on the current stream."""
        try:
            known = self._device in _thread.devices
        except AttributeError:
            known, _thread.devices = False, set()
        if not known:
            cupy.cuda.runtime.memGetInfo()  # the first call of the runtime in a thread gives it a context
            _thread.devices.add(self._device)
        stream = cupy.cuda.get_current_stream().ptr
        if self._together:
            driver.launchCooperativeKernel(*self._shape, stream, taken[2])
        else:
            driver.launchKernel(*self._shape, stream, taken[2], 0)
        self._spare.append(taken)


_thread = threading.local()
_held: list[tuple[Any, ...]] = []


def hold(*scratch: Any) -> None:
    """Keep scratch memory for good if the call is being captured: the graph goes on using it at every replay."""
    if cupy.cuda.get_current_stream().is_capturing():
        keep(*scratch)


def keep(*scratch: Any) -> None:
    """Keep scratch memory of a call that is being captured."""
    _held.append(scratch)


def blocks(total: int, per_block: int) -> int:
    """Blocks that cover ``total`` items; kernels loop over the rest when the grid limit is met."""
    return max(1, min((total + per_block - 1) // per_block, 0x7FFFFFFF))


def argument(packed: bytes | bytearray) -> Any:
    """A struct that a kernel takes by value, from its bytes."""
    return np.frombuffer(packed, np.dtype(f"V{len(packed)}"))


def device_id(array: Any) -> int:
    """Device an array lives on, without building a Device object (this is on the hot path)."""
    return int(array.data.device_id)
