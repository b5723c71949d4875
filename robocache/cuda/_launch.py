"""What every launch needs beside the kernel: the status words that kernels report faults to, and grid sizes."""

import threading
import warnings
from typing import Any

import cupy
import numpy as np

from .._core.errors import DataError, DataWarning

# Faults in the order of common.cuh.
MESSAGES = (
    "source_times are unsorted, NaN or infinite in some row; that row is invalid. Sort the row, or drop it",
    "lengths or offsets point outside the array; those rows are invalid. Check them against the shape",
    "float32 source_times are too coarse for their own spacing; keep times in int64 ns or float64",
    "some targets or points lie outside the allowed range",
    "there are more voxels than max_voxels; the extra ones were left out. Raise max_voxels",
    "the points span more than 2**63 cells; no voxel was made. Raise voxel_size or give bounds",
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


def device_id(array: Any) -> int:
    """Device an array lives on, without building a Device object (this is on the hot path)."""
    return int(array.data.device_id)
