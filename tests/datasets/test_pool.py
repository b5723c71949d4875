"""Never more open than allowed when idle, never one thing in two threads, never a parent's thing in a child."""

import os
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets._pool import Pool


class Thing:
    """Something to open."""

    def __init__(self, key: Any) -> None:
        self.key, self.users, self.closed = key, 0, False


def pool_of(limit: int) -> tuple[Pool, list[Thing], list[Thing]]:
    """A pool, what was opened, and what was closed."""
    opened: list[Thing] = []
    closed: list[Thing] = []

    def close(thing: Thing) -> None:
        assert not thing.closed, "closed twice"
        thing.closed = True
        closed.append(thing)

    def opener(key: Any) -> Thing:
        thing = Thing(key)  # never opened[-1]: by then another thread may have opened one
        opened.append(thing)
        return thing

    pool = Pool(limit, close)
    pool.opener = opener  # type: ignore[attr-defined]
    return pool, opened, closed


def use(pool: Any, key: Any) -> Thing:
    with pool.lease(key, lambda: pool.opener(key)) as thing:
        assert thing.key == key
        assert not thing.closed
        return thing


@given(st.integers(0, 4), st.lists(st.integers(0, 6), max_size=60))
def test_the_one_unused_for_longest_is_closed(limit: int, keys: list[int]) -> None:
    pool, opened, closed = pool_of(limit)
    kept: list[int] = []  # oldest first
    expected, dropped = [], []
    for key in keys:
        if key in kept:
            kept.remove(key)
        else:
            expected.append(key)
        kept.append(key)
        if len(kept) > limit:
            dropped.append(kept.pop(0))
        use(pool, key)
        assert len(pool) == len(kept)
    assert [thing.key for thing in opened] == expected
    assert [thing.key for thing in closed] == dropped
    pool.close()
    assert len(pool) == 0
    assert all(thing.closed for thing in opened)
    pool.close()


def test_a_thing_in_use_is_not_given_twice() -> None:
    pool, opened, closed = pool_of(2)
    with pool.lease("a", lambda: pool.opener("a")) as first, pool.lease("a", lambda: pool.opener("a")) as second:
        assert first is not second
    assert len(pool) == len(opened) == 2
    assert use(pool, "a") in opened
    assert len(opened) == 2
    assert closed == []


def test_what_failed_is_closed_and_not_kept() -> None:
    pool, opened, closed = pool_of(2)
    for kind in (ValueError, KeyboardInterrupt):
        with pytest.raises(kind), pool.lease("a", lambda: pool.opener("a")):
            raise kind
    assert closed == opened
    assert len(opened) == 2
    assert len(pool) == 0

    def bad() -> Thing:
        raise OSError("cannot be opened")

    with pytest.raises(OSError, match="cannot be opened"), pool.lease("a", bad):
        pytest.fail("nothing was opened")
    assert len(pool) == 0
    use(pool, "a")
    assert len(pool) == 1


def test_threads_never_share_a_thing() -> None:
    pool, opened, closed = pool_of(3)
    start, lock, shared = threading.Barrier(8), threading.Lock(), []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        start.wait()
        for _ in range(400):
            key = rng.randrange(5)
            with pool.lease(key, lambda key=key: pool.opener(key)) as thing:
                with lock:
                    thing.users += 1
                    shared.append(thing.users != 1 or thing.closed or thing.key != key)
                with lock:
                    thing.users -= 1

    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(work, range(8)))
    finally:
        sys.setswitchinterval(switch)
    assert len(shared) == 3200
    assert not any(shared)
    assert len(pool) <= 3
    assert len(opened) - len(closed) == len(pool)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
def test_a_child_neither_uses_nor_closes_what_its_parent_opened() -> None:
    pool, opened, closed = pool_of(2)
    use(pool, "a")
    read, write = os.pipe()
    child = os.fork()
    if child == 0:  # nothing may leave this block but by os._exit
        said = "died"
        try:
            used = use(pool, "a")
            pool.close()
            said = f"{used is opened[0]} {len(opened)} {opened[0].closed} {[thing is used for thing in closed]}"
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as answer:
        said = answer.read().decode()
    os.waitpid(child, 0)
    assert said == "False 2 False [True]"
    assert use(pool, "a") is opened[0]
    assert closed == []


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")
@pytest.mark.parametrize("what", ["count", "close", "give", "locked"])
def test_a_child_that_asks_for_something_else_first(what: str) -> None:
    """Whatever is called first in a child: what the parent has idle is not there, and its lock may have been held."""
    pool, opened, _ = pool_of(2)
    use(pool, "a")
    read, write = os.pipe()
    lease = pool.lease("b", lambda: pool.opener("b"))
    if what == "give":
        lease.__enter__()
    if what == "locked":
        pool._lock.acquire()
    child = os.fork()
    if child == 0:
        said = "died"
        try:
            if what == "close":
                pool.close()
            elif what == "give":
                lease.__exit__(None, None, None)
            elif what == "locked":
                use(pool, "a")
            said = f"{len(pool)} {opened[0].closed}"
        finally:
            os.write(write, said.encode())
            os._exit(0)
    os.close(write)
    ready = _wait(child)
    with os.fdopen(read, "rb") as answer:
        said = answer.read().decode() if ready else "hangs"
    assert said == {"count": "0 False", "close": "0 False", "give": "0 False", "locked": "1 False"}[what]


def _wait(child: int, seconds: float = 10) -> bool:
    """Whether a child ended in time; it is ended if not."""
    ended: list[int] = []
    watch = threading.Thread(target=lambda: ended.append(os.waitpid(child, 0)[1]))
    watch.start()
    watch.join(seconds)
    if not ended:
        os.kill(child, signal.SIGKILL)
    watch.join()
    return ended == [0]
