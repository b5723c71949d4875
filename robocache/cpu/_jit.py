"""How CPU kernels are compiled, and how those that take arrays are spread over threads.

Kernels release the GIL and take ``(start, stop, …)``, the share of the work they do. ``split`` runs the shares on a
plain thread pool: Numba's own parallel loops abort the process when two threads of the user enter them at once, cost
several times the compile time, and a barrier of theirs can take longer than a small call. Kernels that are called too
often for Python threads take an address instead, see ``_team``.
"""

import functools
import math
import os
import threading
from collections import deque
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numba

WAKE_BYTES = 1 << 19  # what waking one Python thread costs, in bytes moved in the same time
MOST_THREADS = 32  # fewer already use all of the memory's bandwidth

_pool: "_Pool | None" = None
_lock = threading.Lock()


def kernel(contract: bool = False, inline: bool = False, signature: Any = None) -> Callable[[Callable[..., Any]], Any]:
    """Compile for the CPU, with a signature at once, else when called.

    ``contract`` lets a*b+c become one fma; nothing else of fast-math is ever on.
    """
    compiler = functools.partial(numba.njit, signature)
    return _stored(compiler, nogil=True, inline="always" if inline else "never", **_numerics(contract))


def native(signature: Any, contract: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a C function that other machine code can call by its address; it must not raise."""
    return _stored(lambda **options: numba.cfunc(signature, **options), **_numerics(contract))


def _numerics(contract: bool) -> dict[str, Any]:
    return {"error_model": "numpy", **({"fastmath": {"contract"}} if contract else {})}


def _stored(compiler: Callable[..., Any], **options: Any) -> Callable[[Callable[..., Any]], Any]:
    """Compile, and keep the result on disk where that is possible."""

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return compiler(cache=True, **options)(function)
        except RuntimeError:  # neither the package nor the user's cache folder can be written
            return compiler(**options)(function)

    return decorate


def threads() -> int:
    """Threads a large call may use: ``ROBOCACHE_NUM_THREADS``, or the processors of this process, 32 at most."""
    wish = os.environ.get("ROBOCACHE_NUM_THREADS")
    if wish:
        return max(1, int(wish))
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(count, MOST_THREADS)


def split(function: Callable[..., Any], total: int, nbytes: int, *args: Any) -> list[Any]:
    """Run ``function(start, stop, *args)`` over ``range(total)``, on several threads when there is much to do.

    ``nbytes`` is the work in bytes moved. Returns what each share returned, in order.
    """
    # n threads take work / n + n * wake, which is least at the root of work / wake.
    count = 1 if nbytes < 2 * WAKE_BYTES else min(threads(), total, max(2, math.isqrt(nbytes // WAKE_BYTES)))
    if count <= 1:
        return [function(0, total, *args)]
    edges = [total * i // count for i in range(count + 1)]
    return _workers(count - 1).run(_Shares(function, edges, args))


class _Shares:
    """The shares of one call. Whoever comes takes the next one; the caller waits for those taken, for no thread."""

    def __init__(self, function: Callable[..., Any], edges: list[int], args: tuple[Any, ...]) -> None:
        self.task: tuple[Callable[..., Any], list[int], tuple[Any, ...]] | None = (function, edges, args)
        self.left = deque(range(len(edges) - 1))
        self.results: list[Any] = [None] * len(self.left)
        self.done: SimpleQueue[BaseException | None] = SimpleQueue()

    def work(self) -> None:
        """Run shares until none is left."""
        while self.left and (task := self.task) is not None:
            try:
                number = self.left.popleft()
            except IndexError:  # another thread was faster
                return
            function, edges, args = task
            try:
                self.results[number] = function(edges[number], edges[number + 1], *args)
                failure = None
            except BaseException as error:  # noqa: BLE001 - it is raised again in the thread of the caller
                failure = error
            del function, args, task  # nor keep the caller's arrays alive
            self.done.put(failure)

    def wait(self) -> list[Any]:
        """The results, once every share is through; the first failure is raised."""
        failures = [self.done.get() for _ in self.results]
        self.task = None  # a thread that comes too late must not keep the caller's arrays alive
        for failure in failures:
            if failure is not None:
                raise failure
        return self.results


class _Pool:
    """Daemon threads that take shares from one queue; far leaner than an executor and its futures."""

    def __init__(self) -> None:
        self.tasks: SimpleQueue[_Shares] = SimpleQueue()
        self.size = 0

    def grow(self, size: int) -> None:
        """Have at least ``size`` threads."""
        for number in range(self.size, size):
            threading.Thread(target=self._work, name=f"robocache-{number}", daemon=True).start()
        self.size = max(self.size, size)

    def _work(self) -> None:
        while True:
            self.tasks.get().work()

    def run(self, shares: _Shares) -> list[Any]:
        """All shares, of which this thread takes its part."""
        for _ in range(len(shares.results) - 1):
            self.tasks.put(shares)
        shares.work()
        return shares.wait()


def _workers(size: int) -> _Pool:
    """The pool of this process."""
    global _pool
    with _lock:
        if _pool is None:
            _pool = _Pool()
        _pool.grow(size)
        return _pool


def _forget() -> None:
    """A fork has none of the threads, and perhaps a lock that one of them held."""
    global _pool, _lock
    _pool, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
