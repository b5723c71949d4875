"""How CPU kernels are compiled and spread over threads.

Kernels release the GIL and take ``(start, stop, …)``, the share of the work they do. ``split`` runs the shares on a
plain thread pool: Numba's own parallel loops abort the process when two threads of the user enter them at once, cost
several times the compile time, and a barrier of theirs can take longer than a small call.
"""

import math
import os
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

import numba

WAKE_BYTES = 1 << 19  # what waking one thread costs, in bytes moved in the same time
MOST_THREADS = 16  # Python hands the shares out one after another, so more of them stop paying

_pool: "_Pool | None" = None
_lock = threading.Lock()


def kernel(contract: bool = False, inline: bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile for the CPU. ``contract`` lets a*b+c become one fma; nothing else of fast-math is ever on."""

    def decorate(function: Callable[..., Any]) -> Any:
        options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "inline": "always" if inline else "never"}
        if contract:
            options["fastmath"] = {"contract"}
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # neither the package nor the user's cache folder can be written
            return numba.njit(**options)(function)

    return decorate


def threads() -> int:
    """Threads a large call may use: ``ROBOCACHE_NUM_THREADS``, or the processors of this process, 16 at most."""
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
    return _workers(count - 1).run(function, edges, args)


class _Pool:
    """Daemon threads that take shares from one queue; far leaner than an executor and its futures."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.tasks: SimpleQueue[Any] = SimpleQueue()
        self.size = 0

    def grow(self, size: int) -> None:
        """Have at least ``size`` threads."""
        for number in range(self.size, size):
            threading.Thread(target=self._work, name=f"robocache-{number}", daemon=True).start()
        self.size = max(self.size, size)

    def _work(self) -> None:
        while True:
            function, start, stop, args, number, done = self.tasks.get()
            try:
                done.put((number, function(start, stop, *args), None))
            except BaseException as error:  # noqa: BLE001 - it is raised again where the result is awaited
                done.put((number, None, error))
            del function, args, done  # nor keep the caller's arrays alive until the next task

    def run(self, function: Callable[..., Any], edges: list[int], args: tuple[Any, ...]) -> list[Any]:
        """All shares but the first go to the threads, the first runs here; results in order."""
        done: SimpleQueue[Any] = SimpleQueue()
        count = len(edges) - 1
        for number in range(1, count):
            self.tasks.put((function, edges[number], edges[number + 1], args, number, done))
        results: list[Any] = [None] * count
        failures: list[BaseException] = []
        try:
            results[0] = function(edges[0], edges[1], *args)
        finally:
            for _ in range(1, count):  # also when this share raised: the others still use the arrays
                number, result, failure = done.get()
                results[number] = result
                if failure is not None:
                    failures.append(failure)
        if failures:
            raise failures[0]
        return results


def _workers(size: int) -> _Pool:
    """The pool of this process; a fork starts its own, because threads do not survive one."""
    global _pool
    with _lock:
        if _pool is None or _pool.pid != os.getpid():
            _pool = _Pool()
        _pool.grow(size)
        return _pool
