"""Memory that two processes see: slots of batches, and the numbers that belong to a batch."""

import mmap
import os
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import BackendError, MemoryLimitError
from .filling import Filled, Skip

PAGE = mmap.PAGESIZE


def pages(nbytes: int) -> int:
    """As many bytes, or a few more: whole pages, of which each can be given back to the system."""
    return -(-nbytes // PAGE) * PAGE


def nameless(nbytes: int) -> int:
    """A file in memory without a name, which is gone when the last process that has it is, however that ends.

    It does not lie in /dev/shm and is not bound by the size of that.
    """
    if not hasattr(os, "memfd_create"):
        raise BackendError("workers='process' needs memfd_create, which Linux has; use workers='thread'")
    made = os.memfd_create("robocache-loader")
    try:
        os.ftruncate(made, nbytes)
    except BaseException:
        os.close(made)
        raise
    return made


class Segment:
    """Slots of one size in shared memory, of which only those that were written take any.

    Parameters
    ----------
    slot : int
        Bytes of one, whole pages.
    most : int
        Slots that there may be.
    made : int, optional
        File of a segment that another process made; it is closed. By default a new one.

    Raises
    ------
    MemoryLimitError
        The system does not allow a segment of that size.
    """

    def __init__(self, slot: int, most: int, made: int | None = None) -> None:
        self.slot, self.most = slot, most
        try:
            self.file = nameless(slot * most) if made is None else made
        except (OSError, ValueError, OverflowError) as error:
            raise self._refused(error) from error
        try:
            self._map = mmap.mmap(self.file, slot * most)
        except (OSError, ValueError, OverflowError) as error:
            self.forget()
            raise self._refused(error) from error
        self.memory = np.frombuffer(self._map, np.uint8)  # whose views keep the map
        self._next, self._free = 0, list[int]()

    def _refused(self, error: Exception) -> MemoryLimitError:
        return MemoryLimitError(
            f"{self.most} batches of {self.slot:,} bytes of shared memory: {error}; give memory= to take less, lower "
            "batch_size, or see ulimit -v and -f"
        )

    def take(self) -> Any:
        """A slot that nobody has."""
        if self._free:
            number = self._free.pop()
        else:
            number, self._next = self._next, self._next + 1
        return self.view(number * self.slot)

    def drop(self, memory: Any) -> None:
        """Take a slot back, and give its pages to the system."""
        at = self.at(memory)
        self._map.madvise(mmap.MADV_REMOVE, at, self.slot)
        self._free.append(at // self.slot)

    def at(self, memory: Any) -> int:
        """Where a slot begins."""
        return int(memory.ctypes.data - self.memory.ctypes.data)

    def view(self, at: int) -> Any:
        """The slot that begins there."""
        return self.memory[at : at + self.slot]

    def forget(self) -> None:
        """Close the file; the memory stays."""
        os.close(self.file)


class Told(NamedTuple):
    """What is said of a batch that lies in a slot."""

    samples: int
    lead: dict[str, tuple[int, ...]]
    cut: bool  # whether there are offsets
    skipped: list[Skip]
    texts: dict[str, list[str]]


class Labels:
    """The numbers of a batch, behind its arrays in a slot: they are not to be pickled."""

    def __init__(self, start: int, batch_size: int) -> None:
        self._start = start
        self._size = batch_size
        self.nbytes = 8 * (5 * batch_size + 1)

    def _numbers(self, memory: Any) -> Any:
        return memory[self._start : self._start + self.nbytes].view(np.int64)

    def write(self, memory: Any, found: Filled) -> Told:
        """Lay them down."""
        numbers, count = self._numbers(memory), len(found.item)
        block = numbers[: 4 * count].reshape(4, count)
        for row, one in zip(block, (found.item, found.episode, found.anchor, found.source), strict=True):
            row[...] = one
        if found.offsets is not None:
            numbers[4 * count : 5 * count + 1] = found.offsets
        return Told(count, found.lead, found.offsets is not None, found.skipped, found.texts)

    def read(self, memory: Any, told: Told) -> Filled:
        """Copies of them."""
        numbers, count = self._numbers(memory), told.samples
        item, episode, anchor, source = numbers[: 4 * count].reshape(4, count).copy()
        offsets = numbers[4 * count : 5 * count + 1].copy() if told.cut else None
        return Filled(source.astype(np.int32), item, episode, anchor, told.lead, offsets, told.skipped, told.texts)


__all__ = ["Labels", "Segment", "Told", "nameless", "pages"]
