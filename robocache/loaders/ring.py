"""Memory of batches that goes round: slots are filled, handed out, and used again once nobody looks at them."""

import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from .._core.errors import MemoryLimitError


class Lease:
    """A batch's memory in the hands of the consumer. Every view of it holds this object; when it dies, it is free.

    NumPy and CuPy let a view of a view refer to what that refers to, so a weak reference to an array tells nothing.
    """

    __slots__ = ("_ring", "memory", "number")

    def __init__(self, ring: "Ring", number: int) -> None:
        self._ring, self.number, self.memory = ring, number, ring.memory[number]

    @property
    def __array_interface__(self) -> dict[str, Any]:
        found: dict[str, Any] = self.memory.__array_interface__
        return found

    def __del__(self) -> None:
        # In any thread, perhaps within a collection: nothing here may take a lock. SimpleQueue.put is made for that.
        self._ring.lent.discard(self.number)
        self._ring.free.put(self.number)


class Ring:
    """Slots by number: FREE, or being filled or carried by whoever took them, or lent.

    Parameters
    ----------
    make : function
        Returns the memory of a slot.
    count : int
        Slots to begin with, and to have beside those that are lent.
    most : int
        Slots that there may be.
    remedy : str
        For the error when all are lent and there may be no more.
    drop : function, optional
        Takes memory back that is not needed any more.
    """

    def __init__(
        self, make: Callable[[], Any], count: int, most: int, remedy: str, drop: Callable[[Any], None] | None = None
    ) -> None:
        self._make, self._count, self._most, self._remedy, self._drop = make, count, most, remedy, drop
        self._lock = threading.Lock()
        self._next = 0
        self.memory: dict[int, Any] = {}
        self.free: SimpleQueue[int | None] = SimpleQueue()
        self.lent: set[int] = set()
        for _ in range(count):
            self._grow()

    def _grow(self) -> None:
        number, self._next = self._next, self._next + 1
        self.memory[number] = self._make()
        self.free.put(number)

    def take(self) -> int | None:
        """A free slot; waits for one. None when the ring is closed."""
        while (number := self.free.get()) is not None:
            with self._lock:
                if len(self.memory) <= len(self.lent) + self._count:
                    return number
                memory = self.memory.pop(number)  # made when much was lent, and not needed any more
                if self._drop is not None:
                    self._drop(memory)
                del memory  # not held while this thread waits
        return None

    def lend(self, number: int) -> Lease:
        """Hand a slot out until the lease dies."""
        self.lent.add(number)
        return Lease(self, number)

    def make_room(self) -> None:
        """Have enough slots beside those that are lent.

        Raises
        ------
        MemoryLimitError
            All there may be are lent, so that nothing could ever be filled.
        """
        with self._lock:
            while len(self.memory) < min(self._most, len(self.lent) + max(1, self._count - 1)):
                self._grow()
            if len(self.lent) >= len(self.memory):
                raise MemoryLimitError(f"all {len(self.memory)} batches that fit are still in use; {self._remedy}")

    def close(self, takers: int) -> None:
        """Wake up so many who wait."""
        for _ in range(takers):
            self.free.put(None)


__all__ = ["Lease", "Ring"]
