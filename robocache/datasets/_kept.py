"""What was read, kept up to a number of bytes."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Kept:
    """Remembers up to ``limit`` bytes of what was read; the one unused for longest goes first.

    What alone is larger is handed out and not kept. A forked process starts with what its parent had, and a lock of
    its own: its parent's may be held by a thread that does not exist here.
    """

    def __init__(self, limit: int) -> None:
        self.limit, self.size = limit, 0
        self._lock, self._process = threading.Lock(), os.getpid()
        self._things: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any], measure: Callable[[Any], int]) -> Any:
        """The thing called ``key``, made if it is not there; ``measure`` says how many bytes it holds."""
        if self._process != os.getpid():
            self._lock, self._process = threading.Lock(), os.getpid()
        with self._lock:
            if key in self._things:
                self._things.move_to_end(key)
                return self._things[key][0]
        thing = make()  # not under the lock: others may read meanwhile
        size = measure(thing)
        with self._lock:
            if size <= self.limit and key not in self._things:
                self._things[key] = thing, size
                self.size += size
                while self.size > self.limit:
                    self.size -= self._things.popitem(last=False)[1][1]
        return thing

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._things.clear()
            self.size = 0

    def __len__(self) -> int:
        return len(self._things)


__all__ = ["Kept"]
