"""Threads: in order whoever is first, held back by the consumer, gone when nobody wants them."""

import gc
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loaders.arrays import Arrays, numbers

import robocache as rc
from robocache.errors import ArgumentError, BackendError
from robocache.loaders.engine import Tickets

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 120  # seconds after which a program counts as hung


class Gated(Arrays):
    """Reading waits for a gate that the test opens."""

    def __init__(self, steps: int) -> None:
        super().__init__([steps], {"x": np.arange(steps, dtype=np.int64)})
        self.entered, self.gate, self.begun = threading.Event(), threading.Event(), []

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        self.begun.append(int(np.min(rows)))
        self.entered.set()
        self.gate.wait()
        return super().gather(name, rows, out)


_others: set[threading.Thread] = set()


@pytest.fixture(autouse=True)
def others() -> None:
    """Threads of loaders that other tests have dropped, and that nobody has collected yet, are not this test's."""
    _others.clear()
    _others.update(threading.enumerate())


def alive() -> list[str]:
    own = set(threading.enumerate()) - _others
    return [thread.name for thread in own if thread.name.startswith("robocache-loader")]


def test_a_late_thread_changes_no_order() -> None:
    class Late(Gated):
        def gather(self, name: str, rows: Any, out: Any = None) -> Any:
            if np.min(rows) == 0:
                self.gate.wait()  # the first batch is done after the second
            elif np.min(rows) == 2:
                self.gate.set()
            return Arrays.gather(self, name, rows, out)

    with rc.DataLoader(Late(40), batch_size=2, threads=2, shuffle=False) as loader:
        assert [batch["x"][0, 0] for batch in loader] == list(range(0, 40, 2))


def test_the_consumer_holds_the_threads_back() -> None:
    source = Gated(400)
    source.gate.set()
    with rc.DataLoader(source, batch_size=2, threads=3, prefetch=2) as loader:
        for delivered, _ in enumerate(loader):
            assert len(source.begun) <= delivered + 1 + loader.memory.slots
    assert len(source.begun) == len(loader)


def test_closing_lets_a_waiting_consumer_go() -> None:
    source, ended = Gated(40), []
    loader = rc.DataLoader(source, batch_size=2, threads=2)

    def consume() -> None:
        with pytest.raises(ArgumentError, match="closed"):
            next(loop)
        ended.append(True)

    loop = iter(loader)
    consumer, closer = threading.Thread(target=consume), threading.Thread(target=loader.close)
    consumer.start()
    source.entered.wait()
    closer.start()
    consumer.join()  # while the threads are still reading
    assert ended
    source.gate.set()
    closer.join()
    loader.close()
    assert alive() == []
    assert source.closed == 0  # it was not opened here


@pytest.mark.parametrize("taken", [0, 1, 5])
def test_a_loader_that_is_dropped_leaves_no_thread(taken: int) -> None:
    loop = iter(rc.DataLoader(numbers(0, [30]), batch_size=2, threads=3))
    batches = [next(loop) for _ in range(taken)]
    assert len(alive()) == 3
    del loop
    gc.collect()
    assert alive() == []
    assert len({tuple(batch.item) for batch in batches}) == taken


def test_an_exception_of_the_consumer_leaves_the_loader_whole() -> None:
    with rc.DataLoader(numbers(0, [30]), batch_size=2, threads=3) as loader:
        with pytest.raises(ZeroDivisionError):
            [1 // 0 for _ in loader]
        assert len(list(loader)) == len(loader) - 1
    assert alive() == []


def test_a_thread_that_dies_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Any) -> Any:
        raise KeyError("broken")

    monkeypatch.setattr(Tickets, "take", broken)
    with rc.DataLoader(numbers(0, [30]), batch_size=2, threads=2) as loader:
        with pytest.raises(BackendError, match=r"thread of the loader died: 'broken'") as caught:
            next(iter(loader))
        assert isinstance(caught.value.__cause__, KeyError)


FORK = """
import os, sys
sys.path.insert(0, "tests")
from loaders.arrays import numbers
import robocache as rc
with rc.DataLoader(numbers(0, [30]), batch_size=2, threads=2) as loader:
    loop = iter(loader)
    first = next(loop)
    child = os.fork()
    if not child:
        try:
            next(loop)
            sys.exit(1)
        except rc.errors.BackendError as error:
            assert "forked" in str(error)
        kept = first["state"].copy()
        del first
        assert len(kept) == 2 and len(list(loader)) == 14
        loader.close()
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert len(list(loop)) == 14
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_goes_its_own_way() -> None:
    """In a process of its own: this one may hold frameworks that do not bear a fork."""
    ran = subprocess.run(
        [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORK], cwd=ROOT, capture_output=True, text=True,
        timeout=LIMIT, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stderr) == (0, "")


PROGRAM = """
import sys, threading
sys.path.insert(0, "tests")
from loaders.arrays import numbers
from loaders.test_loader_threads import Gated
import robocache as rc
how = sys.argv[1]
source = Gated(60) if how == "reading" else numbers(0, [60])
loader = rc.DataLoader(source, batch_size=2, threads=3)
loop = iter(loader)
if how == "reading":
    source.entered.wait()
else:
    kept = next(loop)
if how == "raising":
    raise SystemExit(3)
if how == "thread":
    threading.Thread(target=lambda: [None for _ in loop]).start()
"""


@pytest.mark.parametrize("how, code", [("halfway", 0), ("raising", 3), ("thread", 0), ("reading", 0)])
def test_a_process_ends(how: str, code: int) -> None:
    """Halfway through a loop, by an exception, with another thread in the loop, with threads that never come back."""
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM, how], cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False
    )
    assert (ran.returncode, ran.stderr) == (code, "")


LEAK = """
import os, sys
sys.path.insert(0, "tests")
import numpy as np, robocache as rc
from loaders.arrays import Arrays

device = int(sys.argv[2]) if len(sys.argv) > 2 else None

def now():
    pool = 0
    if device is not None:
        import cupy
        pool = cupy.get_default_memory_pool().total_bytes() + len(loader._engine.place.ring.memory)
    with open("/proc/self/statm") as file:
        resident = int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return resident, len(os.listdir("/proc/self/fd")), pool

source = Arrays([500, 500], {"x": np.zeros((1000, 2000), np.float32)})
scales = {"x": {"mean": 0, "std": 1}}
loader = rc.DataLoader(source, batch_size=4, n_obs=2, threads=2, epochs=float("inf"), normalize=scales,
                       device=device)
for number, batch in enumerate(loader):
    if number == 1000:
        before = now()
    if number == int(sys.argv[1]):
        break
after = now()
print(*(one - other for one, other in zip(after, before)))
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="no /proc here")
@pytest.mark.parametrize("count", [3000, pytest.param(10000, marks=pytest.mark.slow)])
def test_many_batches_leave_nothing_behind(count: int) -> None:
    """A batch has 64 kB: to keep one in ten would be 13 MB."""
    command = [sys.executable, "-c", LEAK, str(count)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=True)
    grown, opened, _ = map(int, ran.stdout.split())
    assert grown < 4 << 20
    assert opened == 0


@pytest.mark.cuda
@pytest.mark.usefixtures("cupy")
def test_many_batches_leave_nothing_behind_on_a_gpu() -> None:
    command = [sys.executable, "-c", LEAK, "10000", "0"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=True)
    grown, opened, taken = map(int, ran.stdout.split())
    assert grown < 4 << 20
    assert (opened, taken) == (0, 0)


def test_what_was_opened_is_closed_once_nobody_reads_it() -> None:
    source = Gated(40)
    loader = rc.DataLoader(source, batch_size=2, threads=2)
    loader._own.opened = [source]
    loop = iter(loader)
    source.entered.wait()
    loader._own.close(0.0)  # as at the exit of a process: the threads do not come back
    assert source.closed == 0
    source.gate.set()
    with pytest.raises(ArgumentError, match="closed"):
        next(loop)
    for thread in loop._engine._threads:
        thread.join()
    loader.close()
    loader.close()
    assert source.closed == 1
