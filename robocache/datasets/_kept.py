"""What was read, kept up to a number of bytes."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Kept:
    """Remembers up to ``limit`` bytes of what was read; the one unused for longest goes first.

    What alone is larger is handed out and not kept, unless ``lone`` says that the last one always is. What goes is
    given to ``drop``. A forked process starts with what its parent had, and a lock of its own: its parent's may be held
    by a thread that does not exist here.
    """

    def __init__(self, limit: int, *, lone: bool = False, drop: Callable[[Any], None] = lambda thing: None) -> None:
        self.limit, self.size, self._lone, self._drop = limit, 0, lone, drop
        self._lock, self._process = threading.Lock(), os.getpid()
        self._things: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any], measure: Callable[[Any], int]) -> Any:
        """The thing called ``key``, made if it is not there; ``measure`` says how many bytes it holds."""
        thing = self.find(key)
        if thing is None:
            thing = make()  # not under the lock: others may read meanwhile
            self.put(key, thing, measure(thing))
        return thing

    def find(self, key: Hashable) -> Any:
        """The thing called ``key``, or None."""
        with self._own():
            if key not in self._things:
                return None
            self._things.move_to_end(key)
            return self._things[key][0]

    def put(self, key: Hashable, thing: Any, size: int) -> None:
        """Remember a thing of so many bytes, instead of one of the same key and of those unused for longest."""
        gone = []
        with self._own():
            self.size -= self._things.pop(key, (None, 0))[1]
            if size <= self.limit or self._lone:
                self._things[key] = thing, size
                self.size += size
            while self.size > self.limit and len(self._things) > self._lone:
                old, bytes_ = self._things.popitem(last=False)[1]
                self.size -= bytes_
                gone.append(old)
        for old in gone:
            self._drop(old)

    def clear(self) -> None:
        """Forget everything."""
        with self._own():
            self._things.clear()
            self.size = 0

    def _own(self) -> threading.Lock:
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        return self._lock

    def __len__(self) -> int:
        return len(self._things)


__all__ = ["Kept"]
