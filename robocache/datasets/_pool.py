"""A bounded number of open things, such as video containers: each used by one thread at a time."""

import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from contextlib import AbstractContextManager
from typing import Any
from weakref import WeakSet


class Pool:
    """Keeps up to ``limit`` things open between uses; the one unused for longest is closed first.

    A process that was forked starts with an empty pool: what its parent has open is neither used nor closed.
    """

    def __init__(self, limit: int, close: Callable[[Any], None]) -> None:
        self.limit, self._close = limit, close
        self._begin()
        _pools.add(self)

    def _begin(self) -> None:
        self._lock = threading.Lock()  # a new one in a child: another thread of the parent may have held it
        self._idle: OrderedDict[tuple[Hashable, int], Any] = OrderedDict()
        self._serial, self._life = 0, object()

    def lease(self, key: Hashable, make: Callable[[], Any]) -> AbstractContextManager[Any]:
        """The thing called ``key``, this thread's alone meanwhile; one that failed is closed, not kept."""
        return _Lease(self, key, make)

    def _take(self, key: Hashable) -> Any:
        with self._lock:
            for name in reversed(self._idle):
                if name[0] == key:
                    return self._idle.pop(name)
        return None

    def _give(self, key: Hashable, thing: Any) -> None:
        with self._lock:
            self._serial += 1
            self._idle[key, self._serial] = thing
            old = self._idle.popitem(last=False)[1] if len(self._idle) > self.limit else None
        if old is not None:
            self._close(old)

    def close(self) -> None:
        """Close what is idle."""
        with self._lock:
            things, self._idle = list(self._idle.values()), OrderedDict()
        for thing in things:
            self._close(thing)

    def __len__(self) -> int:
        return len(self._idle)


class _Lease:
    """See `Pool.lease`. No generator: it is entered for every sample."""

    __slots__ = ("_key", "_life", "_make", "_pool", "_thing")

    def __init__(self, pool: Pool, key: Hashable, make: Callable[[], Any]) -> None:
        self._pool, self._key, self._make = pool, key, make

    def __enter__(self) -> Any:
        self._life, self._thing = self._pool._life, self._pool._take(self._key)
        if self._thing is None:
            self._thing = self._make()
        return self._thing

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        pool, own = self._pool, self._life is self._pool._life
        if error is not None:
            if own:
                pool._close(self._thing)
        elif own:
            pool._give(self._key, self._thing)
        else:
            _inherited.append(self._thing)


_pools: "WeakSet[Pool]" = WeakSet()
_inherited: list[Any] = []  # kept: to free a decoder whose threads stayed behind in the parent could wait for them


def _forget() -> None:
    for pool in list(_pools):
        _inherited.append(pool._idle)
        pool._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)

__all__ = ["Pool"]
