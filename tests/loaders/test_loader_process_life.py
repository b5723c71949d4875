"""The life of the process that reads: it ends with its parent, and is missed at once when it does not."""

import gc
import os
import select
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from loaders.arrays import numbers
from loaders.processes import Closing, Dying, Waiting, failing, pipes
from loaders.test_loader_threads import FORK, LEAK, LIMIT, ROOT

import robocache as rc
from robocache.errors import ArgumentError, BackendError

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="no pidfd here")


def child_of(loader: Any) -> int:
    pid: int = loader._engine._child._process.pid
    return pid


def run(program: str, *arguments: str, cwd: Path = ROOT) -> Any:
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", program, *arguments]
    if program.endswith(".py"):
        command = [sys.executable, program, *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=LIMIT, check=False)


def ended(pidfd: int) -> bool:
    """Wait for the end of a process that is no child of this one."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(LIMIT * 1000))


def entered(folder: Path) -> int:
    """Wait until a source reads what it waits at; the process it does that in."""
    pipe = os.open(folder / "entered", os.O_RDONLY | os.O_NONBLOCK)
    poll = select.poll()
    poll.register(pipe, select.POLLIN)
    assert poll.poll(LIMIT * 1000)
    pid = int(os.read(pipe, 64))
    os.close(pipe)
    return pid


def files() -> int:
    gc.collect()  # what other tests have left open is not to be closed between two looks
    return len(os.listdir("/proc/self/fd"))


with rc.DataLoader(numbers(0, [200]), batch_size=2) as whole:
    ALL = [batch.item.tolist() for batch in whole]


@settings(max_examples=4)  # a process takes a third of a second to start
@given(st.lists(st.integers(0, 12), min_size=1, max_size=2))
def test_a_process_that_is_killed_is_missed_and_replaced(cuts: list[int]) -> None:
    """Whenever it is; nothing is lost or handed out twice, and no descriptor stays."""
    before = files()
    with rc.DataLoader(numbers(0, [200]), batch_size=2, threads=2, workers="process") as loader:
        seen, pids = [], set()
        for cut in cuts:
            loop = iter(loader)
            pids.add(child_of(loader))
            seen += [next(loop).item.tolist() for _ in range(cut)]
            os.kill(child_of(loader), signal.SIGKILL)
            with pytest.raises(BackendError, match=r"ended before batch .* \(killed by SIGKILL; if nobody did that"):
                seen.extend(batch.item.tolist() for batch in loop)
            with pytest.raises(StopIteration):
                next(loop)
        assert len(pids) == len(cuts)
        assert seen + [batch.item.tolist() for batch in loader] == ALL
    del loop  # which has its memory yet
    assert files() == before


def test_a_process_that_dies_of_what_it_reads(tmp_path: Path) -> None:
    source = failing({20}, kind=Dying, path=tmp_path / "died", lengths=[60])
    with rc.DataLoader(source, batch_size=2, threads=1, workers="process", shuffle=False) as loader:
        seen = []
        with pytest.raises(BackendError, match="before batch 10 of epoch 0 was read"):
            seen.extend(batch.anchor.tolist() for batch in loader)
        assert len(seen) == 10
        assert seen + [batch.anchor.tolist() for batch in loader] == [[k, k + 1] for k in range(0, 60, 2)]


def test_a_consumer_that_waits_is_told_at_once(tmp_path: Path) -> None:
    source = failing({0}, kind=Waiting, path=pipes(tmp_path))
    with rc.DataLoader(source, batch_size=2, threads=1, workers="process", shuffle=False) as loader:
        loop, said = iter(loader), []

        def consume() -> None:
            with pytest.raises(BackendError, match="SIGTERM"):
                next(loop)
            said.append(True)

        consumer = threading.Thread(target=consume)
        consumer.start()
        os.kill(entered(tmp_path), signal.SIGTERM)
        consumer.join(LIMIT)
        assert said


def test_closing_does_not_wait_for_a_read_that_never_ends(tmp_path: Path) -> None:
    source = failing({0}, kind=Waiting, path=pipes(tmp_path))
    before = files()
    loader = rc.DataLoader(source, batch_size=2, threads=2, workers="process", shuffle=False)
    loop = iter(loader)
    pidfd = os.pidfd_open(child_of(loader))
    entered(tmp_path)
    loader.close()  # nobody opens the gate
    assert ended(pidfd)
    os.close(pidfd)
    with pytest.raises(ArgumentError, match="closed"):
        next(loop)
    assert files() == before + 1  # of the memory, which the loop still has
    del loop
    loader.close()
    assert files() == before


def test_sources_are_closed_there(tmp_path: Path) -> None:
    source = Closing([30], numbers(0, [30]).values)
    source.path = str(tmp_path / "closed")
    with rc.DataLoader(source, batch_size=2, workers="process") as loader:
        next(iter(loader))
        pid = child_of(loader)
    assert (tmp_path / "closed").read_text() == str(pid)


PARENT = """
import os, sys
sys.path.insert(0, "tests")
from loaders.arrays import numbers
from loaders.processes import Waiting, failing
import robocache as rc
how, path = sys.argv[1:]
source = failing({30}, kind=Waiting, path=path, lengths=[60]) if how == "reading" else numbers(0, [60])
loader = rc.DataLoader(source, batch_size=2, threads=2, workers="process", shuffle=False)
loop = iter(loader)
kept = [next(loop) for _ in range(15)]
print(loader._engine._child._process.pid, flush=True)
if how == "forked" and os.fork() == 0:  # has all its ends of the lines
    sys.stdin.read()
    os._exit(0)
sys.stdin.read()
"""


@pytest.mark.parametrize("how", ["idle", "reading", "forked"])
def test_a_parent_that_is_killed_leaves_nothing(how: str, tmp_path: Path) -> None:
    """No process, and nothing in /dev/shm; not even where a fork of it lives on."""
    shared = sorted(os.listdir("/dev/shm"))
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", PARENT, how, str(pipes(tmp_path))]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        child = int(parent.stdout.readline())
        pidfd = os.pidfd_open(child)
        if how == "reading":
            assert entered(tmp_path) == child
        parent.kill()
        assert ended(pidfd)
        os.close(pidfd)
    assert sorted(os.listdir("/dev/shm")) == shared


PROGRAM = """
import os, signal, sys
sys.path.insert(0, "tests")
from loaders.arrays import numbers
from loaders.processes import Waiting, failing
import robocache as rc
how, path = sys.argv[1:]
source = failing({0}, kind=Waiting, path=path, lengths=[60]) if how == "reading" else numbers(0, [60])
loader = rc.DataLoader(source, batch_size=2, threads=3, workers="process", shuffle=False)
loop = iter(loader)
print(loader._engine._child._process.pid, flush=True)
if how == "reading":
    open(path + "/entered").read()
else:
    kept = next(loop)
if how == "raising":
    raise SystemExit(3)
if how == "interrupted":
    os.kill(loader._engine._child._process.pid, signal.SIGINT)  # as a terminal would, to both
    os.killpg(0, signal.SIGINT)
"""


@pytest.mark.parametrize("how, code", [("halfway", 0), ("raising", 3), ("reading", 0), ("interrupted", -2)])
def test_a_parent_that_ends(how: str, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, how, str(pipes(tmp_path))]
    ran = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT, check=False, start_new_session=True
    )
    assert ran.returncode == code
    if how == "interrupted":
        assert ran.stderr.count("Traceback") == 1
        assert ran.stderr.rstrip().endswith("KeyboardInterrupt")
    else:
        assert ran.stderr == ""
    with pytest.raises(ProcessLookupError):
        os.kill(int(ran.stdout), 0)


def test_a_forked_child_starts_its_own() -> None:
    ran = run(FORK.replace("threads=2", "threads=2, workers='process'"))
    assert (ran.returncode, ran.stderr) == (0, "")


MAIN = """
import sys
sys.path.insert(0, "tests")
import robocache as rc
from loaders.arrays import Arrays, numbers

class Own(Arrays):
    pass

def main():
    kind = Own if "own" in sys.argv else Arrays
    loader = rc.DataLoader(kind([30], numbers(0, [30]).values), batch_size=2, workers="process")
    print(len(list(loader)), flush=True)

"""


def test_programs_with_and_without_a_guard(tmp_path: Path) -> None:
    for guard, own, said in (
        ("if __name__ == '__main__':\n    ", "own", None),
        ("", "others", None),  # nothing of the program is needed
        ("", "own", "if __name__ == '__main__':, or the source into a module"),
    ):
        script = tmp_path / "script.py"
        script.write_text(f"{MAIN}{guard}main()\n".replace('"tests"', repr(str(ROOT / "tests"))))
        ran = subprocess.run(
            [sys.executable, str(script), own], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=LIMIT, check=False,
        )  # fmt: skip
        if said is None:
            assert (ran.returncode, ran.stdout, ran.stderr) == (0, "15\n", "")
        else:
            assert (ran.returncode, ran.stdout) == (1, "")
            assert said in ran.stderr.replace("\n", " ")


def test_a_program_of_the_command_line() -> None:
    """Also what a notebook does: there is no file to import."""
    ran = run(MAIN + "main()")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "15\n", "")
    ran = run(MAIN + "main()", "own")
    assert ran.returncode == 1
    assert "what a notebook or `python -c` defines is not there" in ran.stderr
    ran = run("import os, sys; sys.stdin.close()\n" + MAIN + "main()")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "15\n", "")


NOW = """
def now():
    found = []
    for pid in ("self", loader._engine._child._process.pid):
        with open(f"/proc/{pid}/statm") as file:
            found.append(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        found.append(len(os.listdir(f"/proc/{pid}/fd")))
    return found

"""


@pytest.mark.parametrize("count", [3000, pytest.param(10000, marks=pytest.mark.slow)])
def test_many_batches_leave_nothing_behind(count: int) -> None:
    """Neither here nor there."""
    program = LEAK.replace("threads=2", "threads=2, workers='process'")
    cut = program.index("def now"), program.index("source =")
    program = program[: cut[0]] + NOW + program[cut[1] :]
    ran = run(program, str(count))
    assert ran.stderr == ""
    here, files_here, there, files_there = map(int, ran.stdout.split())
    assert (files_here, files_there) == (0, 0)
    assert max(here, there) < 4 << 20
