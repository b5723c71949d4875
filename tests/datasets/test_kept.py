"""What is remembered stays within its bytes, in threads and in forked processes too."""

import os
import threading

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets._kept import Kept


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60)), max_size=60), st.integers(0, 100))
def test_the_last_used_that_fit_are_kept(uses, limit):
    kept, sizes, order = Kept(limit), {}, []
    for key, size in uses:
        made = []
        sizes.setdefault(key, size)
        got = kept.get(key, lambda key=key, made=made: made.append(key) or ("thing", key), lambda _, k=key: sizes[k])
        assert got == ("thing", key)
        assert bool(made) == (key not in order)  # made anew exactly if it was not kept
        order = [other for other in order if other != key]
        if sizes[key] <= limit:
            order.append(key)
        while sum(sizes[other] for other in order) > limit:
            order.pop(0)
        assert kept.size == sum(sizes[other] for other in order) <= limit
        assert len(kept) == len(order)
    kept.clear()
    assert len(kept) == kept.size == 0


def test_threads_get_the_same():
    kept, wrong = Kept(1 << 20), []

    def work(seed):
        for key in np.random.default_rng(seed).integers(0, 20, 300).tolist():
            found = kept.get(key, lambda: np.full(10, key), lambda array: array.nbytes)  # noqa: B023
            if found[0] != key:
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert kept.size == 20 * 80


def in_child(work):
    """Whether ``work`` returns True in a forked process."""
    child = os.fork()
    if not child:
        right = False
        try:
            right = work()
        finally:
            os._exit(0 if right else 1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_lock_that_was_held_at_a_fork_is_not_waited_for():
    kept = Kept(100)
    kept.get("a", lambda: "parent's", lambda _: 1)
    with kept._lock:  # as another thread may hold it
        assert in_child(lambda: kept.get("a", lambda: "own", lambda _: 1) == "parent's" and len(kept) == 1)
    assert kept.get("a", lambda: "new", lambda _: 1) == "parent's"


def test_the_last_may_stay_alone_and_what_goes_is_handed_over():
    gone = []
    kept = Kept(100, lone=True, drop=gone.append)
    kept.put("a", "one", 60)
    kept.put("b", "two", 40)
    assert kept.find("a") == "one"
    kept.put("c", "three", 30)  # a was used after b
    assert (gone, kept.size) == (["two"], 90)
    kept.put("d", "large", 500)
    assert (gone, kept.size, kept.find("d")) == (["two", "one", "three"], 500, "large")
    kept.put("d", "small", 5)  # instead of itself: nothing goes
    assert (len(gone), kept.size, kept.find("d"), kept.find("a")) == (3, 5, "small", None)
