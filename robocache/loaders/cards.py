"""From pinned host memory to the memory of a GPU that batches are handed out of."""

import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from .. import interop
from .._core.errors import BackendError, DeviceError, MemoryLimitError
from .batch import Batch
from .budget import remedy
from .fields import Field
from .filling import Filled
from .finishing import finish
from .layout import Transfer
from .lending import keeps_what_it_reads
from .ring import Ring
from .segments import Segment

OUT_OF_MEMORY = 2  # cudaErrorMemoryAllocation
PER_THREAD = 2  # handle of the default stream of each thread, which means another one in another thread

PORTABLE = 1  # cudaHostRegisterPortable


class Buffer:
    """Device memory of one batch, and the streams that work with it."""

    def __init__(self, device: int, nbytes: int) -> None:
        import cupy

        with cupy.cuda.Device(device):
            # Not of CuPy's pool, which would give it to another stream at once when it is dropped: to free what was
            # allocated by itself waits for the device.
            self.memory = cupy.cuda.Memory(nbytes)
            self._filled = cupy.cuda.Event(disable_timing=True)
        self.device, self.nbytes = device, nbytes
        self.streams: dict[int, Any] = {}
        self.anywhere = False  # whether some thread works with it on a stream that others cannot name
        self.jax = False  # whether JAX had it, which does not tell its streams
        self._left: list[Any] = []  # how far the streams were when the last batch in it was dropped
        self._lock = threading.Lock()

    def array(self, owner: Any) -> Any:
        """The bytes as a CuPy array whose views all hold ``owner``."""
        import cupy

        memory = cupy.cuda.UnownedMemory(self.memory.ptr, self.nbytes, owner, self.device)
        return cupy.ndarray((self.nbytes,), np.uint8, cupy.cuda.MemoryPointer(memory, 0))

    def leave(self) -> None:
        """Note how far the streams are that had this memory. Nobody has it any more, so later work is not with it."""
        import cupy

        with self._lock, cupy.cuda.Device(self.device):
            for used in self.streams.values():
                event = cupy.cuda.Event(disable_timing=True)
                event.record(used)
                self._left.append(event)
            self.streams = {}

    def claim(self, stream: Any) -> None:
        """Make a stream wait until all work of those who had this memory is done."""
        import cupy

        self.leave()
        if self.anywhere or (self.jax and not keeps_what_it_reads(self.device)):
            cupy.cuda.Device(self.device).synchronize()  # synchronizes: in the thread that copies, not the consumer's
        for event in self._left:
            stream.wait_event(event)
        self._left, self.anywhere, self.jax = [], False, False

    def filled(self, stream: Any) -> None:
        """Say that the memory is written once a stream is so far."""
        self._filled.record(stream)

    def receive(self) -> None:
        """Make the stream that is current here wait until the memory is written, and remember it. The host goes on."""
        import cupy

        stream = cupy.cuda.get_current_stream(self.device)
        if stream.ptr not in self.streams:
            stream.wait_event(self._filled)
            self._remember(stream)

    def hand_over(self) -> None:
        """The same at the hand-over, also for the stream on which PyTorch works, if it is there and uses CUDA."""
        self.receive()
        torch = sys.modules.get("torch")
        if torch is not None and hasattr(torch, "cuda") and torch.cuda.is_initialized():
            pointer = torch.cuda.current_stream(self.device).cuda_stream
            if pointer not in self.streams:
                stream = interop.borrowed_stream(pointer, self.device)
                stream.wait_event(self._filled)
                self._remember(stream)

    def _remember(self, stream: Any) -> None:
        self.streams[stream.ptr] = stream
        self.anywhere |= stream.ptr == PER_THREAD


class Card:
    """One GPU: its copy stream, the buffers that are lent, and what becomes there of samples as they were read."""

    def __init__(self, device: int, fields: Sequence[Field], transfer: Transfer, count: int, most: int) -> None:
        cupy = usable(device)
        self.device, self._transfer, self._fields = device, transfer, fields
        with cupy.cuda.Device(device):
            self._stream = cupy.cuda.Stream(non_blocking=True)
            self._copied = cupy.cuda.Event(block=True, disable_timing=True)
            self._staging = cupy.cuda.Memory(max(1, self._late))
        self.ring = Ring(self._buffer, count, most, remedy(f"the {most} that fit on GPU {device}"))

    @property
    def _late(self) -> int:
        """Bytes of a slot that are finished here."""
        return self._transfer.slot.nbytes - self._transfer.direct

    def _buffer(self) -> Buffer:
        import cupy

        nbytes = self._transfer.batch.nbytes
        try:
            return Buffer(self.device, nbytes)
        except cupy.cuda.runtime.CUDARuntimeError as error:
            if error.status != OUT_OF_MEMORY:
                raise
            raise MemoryLimitError(
                f"GPU {self.device} has no {nbytes:,} bytes left for a batch; lower batch_size or prefetch, or free "
                "CuPy's pool: cupy.get_default_memory_pool().free_all_blocks()"
            ) from error

    def carry(self, slot: Any, number: int, found: Filled) -> None:
        """Copy a slot and finish it there, on the copy stream. Waits for nothing but, where JAX had it, the device."""
        import cupy

        buffer, direct, stream = self.ring.memory[number], self._transfer.direct, self._stream
        start, pointer = slot.ctypes.data, cupy.cuda.MemoryPointer
        with cupy.cuda.Device(self.device):
            buffer.claim(stream)
            copy, kind = cupy.cuda.runtime.memcpyAsync, cupy.cuda.runtime.memcpyHostToDevice
            copy(buffer.memory.ptr, start, direct, kind, stream.ptr)
            if self._late:  # what was there before is done with: the stream works in order
                copy(self._staging.ptr, start + direct, self._late, kind, stream.ptr)
            self._copied.record(stream)
            if self._late:
                late = cupy.ndarray((self._late,), np.uint8, pointer(self._staging, 0))
                out = cupy.ndarray((buffer.nbytes,), np.uint8, pointer(buffer.memory, 0))
                with stream:
                    finish(self._fields, self._transfer, late, out, found.lead)
            buffer.filled(stream)

    def wait(self) -> None:
        """Wait until the host memory of the last batch has been copied; the thread sleeps. # synchronizes"""
        self._copied.synchronize()

    def settle(self) -> None:
        """Note how far the consumer's streams are with buffers that came back: from here on, he works with others."""
        for number, buffer in list(self.ring.memory.items()):
            if buffer.streams and number not in self.ring.lent:
                buffer.leave()

    def batch(self, number: int, found: Filled) -> Batch:
        """Hand a buffer out; the stream that is current here waits for its copy."""
        buffer, lease = self.ring.memory[number], self.ring.lend(number)
        buffer.hand_over()
        return Batch(self._transfer.batch, buffer.array(lease), found, buffer)


def pinned(device: int, nbytes: int, count: int) -> Ring:
    """Slots of pinned memory, cut from one piece. CuPy's pool would round it up to a power of 2."""
    import cupy

    with cupy.cuda.Device(device):
        memory = cupy.cuda.PinnedMemoryPointer(cupy.cuda.PinnedMemory(nbytes * count), 0)
    slab = np.frombuffer(memory, np.uint8, nbytes * count)
    slots = iter([slab[i * nbytes : (i + 1) * nbytes] for i in range(count)])
    return Ring(lambda: next(slots), count, count, "it is of the loader's own")


class Registered:
    """A shared segment that a GPU copies from as from pinned memory, until nobody has a slot of it any more."""

    def __init__(self, device: int, segment: Segment) -> None:
        import cupy

        self._memory, self._runtime = segment.memory, cupy.cuda.runtime
        with cupy.cuda.Device(device):
            try:
                self._runtime.hostRegister(self._memory.ctypes.data, self._memory.nbytes, PORTABLE)
            except self._runtime.CUDARuntimeError as error:
                raise BackendError(
                    f"device={device} cannot copy from {self._memory.nbytes:,} bytes of shared memory: {error}; lower "
                    "batch_size or threads, or use workers='thread'"
                ) from error
        self.__array_interface__ = self._memory.__array_interface__

    def __del__(self) -> None:
        with suppress(RuntimeError):  # it was never registered, or CUDA is gone: the process ends
            self._runtime.hostUnregister(self._memory.ctypes.data)


def registered(device: int, segment: Segment, count: int) -> Ring:
    """Slots of a shared segment, pinned."""
    whole = np.asarray(Registered(device, segment))  # its views keep it registered
    slots = iter([whole[i * segment.slot : (i + 1) * segment.slot] for i in range(count)])
    return Ring(lambda: next(slots), count, count, "it is of the loader's own")


def usable(device: int) -> Any:
    """CuPy, if there is such a GPU."""
    try:
        import cupy

        count = cupy.cuda.runtime.getDeviceCount()
    except (ImportError, RuntimeError) as error:
        raise BackendError(
            f"device={device} needs CuPy and a GPU: {error}. Install robocache[cuda12], or leave device out"
        ) from error
    if not 0 <= device < count:
        raise DeviceError(f"device={device}, but there are {count} GPUs; count from 0, or leave it out for the CPU")
    return cupy


def total(device: int) -> int:
    """Bytes of a GPU."""
    cupy = usable(device)
    with cupy.cuda.Device(device):
        return int(cupy.cuda.runtime.memGetInfo()[1])


__all__ = ["Buffer", "Card", "pinned", "registered", "total", "usable"]
