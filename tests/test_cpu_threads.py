"""Threads of the CPU backend: same result for any number of them, from any thread, after a fork, until the exit."""

import os
import struct
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import robocache as rc
from robocache.errors import DataError

COUNTS = ["1", "2", "3", "5", "16", "64"]
LARGE = 1 << 40  # bytes: as many threads as there may be


def batch(seed: int, dtype: Any = np.float32, rows: int = 40) -> tuple[Any, Any, Any]:
    """Work for several threads: many items, some rows longer than one."""
    rng = np.random.default_rng(seed)
    times = np.sort(rng.integers(0, 10**9, (rows, 300)), axis=1)
    targets = np.sort(rng.integers(-(10**7), 10**9 + 10**7, (rows, 1500)), axis=1)
    return rng.standard_normal((rows, 300, 9)).astype(dtype), times, targets


def several(monkeypatch: pytest.MonkeyPatch, count: str = "4") -> None:
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", count)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_the_number_of_threads_changes_nothing(monkeypatch: pytest.MonkeyPatch, dtype: Any) -> None:
    arrays, answers = batch(1, dtype), []
    for count in COUNTS:
        several(monkeypatch, count)
        answer = rc.resample_trajectories(*arrays, max_gap=10**7, return_valid=True, return_age=True)
        answers.append([array.tobytes() for array in answer])
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize("count", COUNTS)
def test_the_first_of_several_faults_is_named(monkeypatch: pytest.MonkeyPatch, count: str) -> None:
    several(monkeypatch, count)
    values, times, targets = batch(2)
    for row, sample in ((38, 3), (11, 250), (11, 280), (29, 1)):
        times[row, sample] = times[row, sample - 1] - 1
    for _ in range(5):
        with pytest.raises(DataError, match=r"row 11 .* sample 250;"):
            rc.resample_trajectories(values, times, targets)


def test_targets_outside_are_counted_over_all_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    values, times, targets = batch(3)
    missed = int(((targets < times[:, :1]) | (targets > times[:, -1:])).sum())
    for count in COUNTS:
        several(monkeypatch, count)
        with pytest.raises(DataError, match=f"^{missed} target_times"):
            rc.resample_trajectories(values, times, targets, outside="raise")


def test_many_threads_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    """More callers than processors, each with numbers of its own, all with threads to help them."""
    several(monkeypatch)
    inputs = [batch(seed, rows=12 + seed) for seed in range(8)]
    expected = [rc.resample_trajectories(*arrays).tobytes() for arrays in inputs]
    gate, wrong = threading.Barrier(len(inputs)), []

    def work(number: int) -> None:
        gate.wait()
        answers = (rc.resample_trajectories(*inputs[number]).tobytes() for _ in range(15))
        wrong.extend(number for answer in answers if answer != expected[number])

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(inputs))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_every_item_is_done_once_however_the_threads_come(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short parts, more threads than processors: called, late, taken back and called again in every order."""
    from numba import int64, void

    from robocache.cpu._address import add, view
    from robocache.cpu._jit import native
    from robocache.cpu._team import spread

    @native(void(int64, int64, int64, int64))
    def mark(start, stop, args, report):  # type: ignore[no-untyped-def]
        for item in range(start, stop):
            add(view(args, 1, np.int64)[0] + 8 * item, 1)

    several(monkeypatch, "16")
    for items in (1, 2, 15, 16, 17, 40):
        counts = np.zeros(items, np.int64)
        for _ in range(300):
            spread(mark.address, items, LARGE, struct.Struct("=q"), counts.ctypes.data)
        assert (counts == 300).all()


@pytest.mark.parametrize("bad", [0, 7])
def test_an_exception_reaches_the_caller(monkeypatch: pytest.MonkeyPatch, bad: int) -> None:
    from robocache.cpu._jit import split

    several(monkeypatch, "8")

    def share(start: int, stop: int) -> int:
        if start == bad:
            raise ArithmeticError(f"share {start}")
        return start

    for _ in range(20):
        with pytest.raises(ArithmeticError, match=f"share {bad}"):
            split(share, 8, LARGE)
    assert split(lambda start, stop: start, 8, LARGE) == list(range(8))


def test_shares_may_call_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every thread of the pool in a call that wants threads itself."""
    from robocache.cpu._jit import split

    several(monkeypatch)
    arrays = batch(5)
    expected = rc.resample_trajectories(*arrays).tobytes()

    def share(start: int, stop: int) -> bool:
        inner = split(lambda first, last: last - first, 100, LARGE)
        return sum(inner) == 100 and rc.resample_trajectories(*arrays).tobytes() == expected

    for _ in range(5):
        assert all(split(share, 8, LARGE))


PROGRAM = """
import threading, numpy as np, robocache as rc
rng = np.random.default_rng(0)
arrays = rng.standard_normal((64, 500, 8), np.float32), np.sort(rng.random((64, 500))), np.sort(rng.random((64, 900)))
ran = threading.Event()
def work():
    while True:
        rc.resample_trajectories(*arrays)
        ran.set()
rc.resample_trajectories(*arrays)
if {busy}:
    threading.Thread(target=work, daemon=True).start()
    ran.wait()
"""


FORKS = (
    PROGRAM.replace("if {busy}:", "for _ in range(3):")
    + """
import os, signal, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # that forking beside threads is unsafe is what is tried here
expected = rc.resample_trajectories(*arrays).tobytes()
for _ in range(10):
    child = os.fork()
    if child == 0:
        signal.alarm(60)  # a child that waits for a thread it has not would wait for ever
        os._exit(0 if all(rc.resample_trajectories(*arrays).tobytes() == expected for _ in range(3)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
)


def run(program: str, **more: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(Path(rc.__file__).parents[1]), "ROBOCACHE_NUM_THREADS": "4", **more}
    ran = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.parametrize("busy", [False, True])
def test_the_process_ends_in_silence(busy: bool) -> None:
    """Also in the middle of a call of a daemon thread."""
    run(PROGRAM.format(busy=busy))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_works_while_other_threads_are_busy() -> None:
    run(FORKS)


def test_a_second_process_compiles_nothing(tmp_path: Path) -> None:
    def stored() -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in tmp_path.rglob("*.nb?")}

    run(PROGRAM.format(busy=False), NUMBA_CACHE_DIR=str(tmp_path))
    first = stored()
    run(PROGRAM.format(busy=False), NUMBA_CACHE_DIR=str(tmp_path))
    assert len(first) > 8
    assert stored() == first


CONVERSIONS = """
import numba, numpy as np
from robocache.cpu._half import HARDWARE, narrow_f16, widen_f16
@numba.njit
def widen(bits, out):
    for i in range(bits.size):
        out[i] = widen_f16(bits[i])
@numba.njit
def narrow(numbers, out):
    for i in range(numbers.size):
        out[i] = narrow_f16(numbers[i])
halves, wide = np.arange(1 << 16, dtype=np.uint16), np.empty(1 << 16, np.float32)
widen(halves, wide)
exact = halves.view(np.float16).astype(np.float32)
assert (wide == exact)[exact == exact].all() and (np.isnan(wide) == np.isnan(exact)).all()
between = (halves.view(np.float16)[:0x7C00].astype(np.float64) + halves.view(np.float16)[1:0x7C01]) / 2
ties = between[np.isfinite(between)].astype(np.float32)
random = np.random.default_rng(0).integers(0, 1 << 32, 1 << 18, dtype=np.uint32).view(np.float32)
special = np.array([0, np.inf, 65504, 65519.996, 65520, 2.0**-24, 2.0**-25, 2.0**-126], np.float32)
near = [np.nextafter(ties, np.float32(side)) for side in (-np.inf, np.inf)]
numbers = np.concatenate([wide, ties, *near, random, special])
numbers = np.concatenate([numbers, -numbers])
got = np.empty(numbers.size, np.uint16)
narrow(numbers, got)
with np.errstate(all="ignore"):
    rounded = numbers.astype(np.float16).view(np.uint16)
sign = (numbers.view(np.uint32) >> 16 & 0x8000).astype(np.uint16)
assert (got == np.where(np.isnan(numbers), sign | 0x7E00, rounded)).all()
assert not (HARDWARE and {generic})
"""


@pytest.mark.parametrize("generic", [False, True])
def test_float16_is_exact_with_and_without_the_processor(tmp_path: Path, generic: bool) -> None:
    more = {"NUMBA_CPU_NAME": "generic", "NUMBA_CPU_FEATURES": ""} if generic else {}
    run(CONVERSIONS.format(generic=generic), NUMBA_CACHE_DIR=str(tmp_path), **more)
