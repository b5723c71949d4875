"""How CPU kernels are compiled and spread over threads.

Kernels release the GIL and take ``(start, stop, …)``, the share of the work they do. ``split`` runs the shares on a
plain thread pool: Numba's own parallel loops abort the process when two threads of the user enter them at once, cost
several times the compile time, and a barrier of theirs can take longer than a small call.
"""

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import numba

SERIAL_BYTES = 1 << 20  # below this a second thread costs more than it saves

_pool: ThreadPoolExecutor | None = None
_pool_pid = 0
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
    """Threads a large call uses: ``ROBOCACHE_NUM_THREADS`` or the processors this process may run on."""
    wish = os.environ.get("ROBOCACHE_NUM_THREADS")
    if wish:
        return max(1, int(wish))
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def split(function: Callable[..., Any], total: int, nbytes: int, *args: Any) -> list[Any]:
    """Run ``function(start, stop, *args)`` over ``range(total)``, on several threads when ``nbytes`` is large.

    Returns what each share returned, in order.
    """
    count = 1 if nbytes < SERIAL_BYTES else min(threads(), total)
    if count <= 1:
        return [function(0, total, *args)]
    edges = [total * i // count for i in range(count + 1)]
    pool = _threads()
    others = [pool.submit(function, a, b, *args) for a, b in zip(edges[1:-1], edges[2:], strict=True)]
    try:
        mine = function(edges[0], edges[1], *args)
    finally:
        wait(others)  # their arguments must outlive them, also when this share raised
    return [mine, *(other.result() for other in others)]


def _threads() -> ThreadPoolExecutor:
    """The pool of this process; a fork starts its own, because threads do not survive one."""
    global _pool, _pool_pid
    with _lock:
        if _pool is None or _pool_pid != os.getpid():
            _pool = ThreadPoolExecutor(max_workers=max(1, threads() - 1), thread_name_prefix="robocache")
            _pool_pid = os.getpid()
        return _pool
