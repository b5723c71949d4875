"""What was used last, up to so many bytes."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any


class Bounded:
    """What was used last, up to so many bytes; what falls out is handed to ``drop``."""

    def __init__(self, limit: int, drop: Callable[[Any], None] = lambda value: None) -> None:
        self.limit, self.used, self._drop = limit, 0, drop
        self._kept: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Any:
        """The value, or None."""
        with self._lock:
            if key not in self._kept:
                return None
            self._kept.move_to_end(key)
            return self._kept[key][0]

    def put(self, key: Hashable, value: Any, size: int) -> None:
        """Keep a value, at the cost of those unused for longest."""
        out = []
        with self._lock:
            old = self._kept.pop(key, None)
            self._kept[key] = value, size
            self.used += size - (old[1] if old else 0)
            while self.used > self.limit and len(self._kept) > 1:
                gone, bytes_ = self._kept.popitem(last=False)[1]
                self.used -= bytes_
                out.append(gone)
        for gone in out:
            self._drop(gone)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._kept.clear()
            self.used = 0


__all__ = ["Bounded"]
