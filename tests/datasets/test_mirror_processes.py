"""Threads and processes that fetch one URL at once, one of which may be killed."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

fsspec = pytest.importorskip("fsspec")

from robocache.datasets import fetch  # noqa: E402
from robocache.datasets._mirror import Mirror  # noqa: E402
from robocache.errors import DataError  # noqa: E402
from tests.datasets import faulty  # noqa: E402
from tests.datasets.faulty import FILES, Faulty, partial, tree  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def far():
    faulty.register()
    system = Faulty()
    system.put_all(FILES)
    return system


def test_threads_fetch_each_file_once(far, tmp_path):
    far.put_all(many := {f"{k % 3}/{k}": bytes([k]) * k for k in range(40)})
    ready, found = threading.Barrier(4), []

    def work():
        mirror = Mirror("faulty://set", tmp_path, None, False)
        ready.wait()
        mirror.bring(mirror.listing)
        found.append(tree(mirror.path))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [many] * 4
    assert set(far.opened.values()) == {1}


PROGRAM = """
import os, signal, sys
from robocache.datasets import fetch
from tests.datasets import faulty
faulty.register()
data = {f"{k}": bytes([k]) * 3000 for k in range(20)}
faulty.Faulty().put_all(data)
def breaks(name, at):
    if sys.argv[2] == "dies" and name == "7" and at > 1000:
        os.kill(os.getpid(), signal.SIGKILL)
faulty.Faulty.breaks = staticmethod(breaks)
print("ready", flush=True)
sys.stdin.readline()
folder = fetch("faulty://set", cache=sys.argv[1])
sys.exit(0 if {p.name: p.read_bytes() for p in folder.iterdir()} == data else 3)
"""


def process(cache, how):
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, cache, how], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip


def test_processes_at_once_one_of_which_is_killed(tmp_path):
    running = [process(tmp_path, how) for how in ("dies", "lives", "lives")]
    for one in running:
        assert one.stdout.readline() == b"ready\n"
    for one in running:  # the one that dies may also find that all is there
        one.stdin.write(b"go\n")
        one.stdin.flush()
    statuses = [one.wait(120) for one in running]
    for one in running:
        one.stdin.close()
        one.stdout.close()
    assert statuses[0] in (0, -9)
    assert statuses[1:] == [0, 0]


def test_after_a_kill_all_is_fetched_that_was_not_whole(tmp_path):
    first = process(tmp_path, "dies")
    first.communicate(b"go\n")
    assert first.returncode == -9
    (folder,) = tmp_path.glob("*/set")
    assert all(data == bytes([int(name)]) * 3000 for name, data in tree(folder).items())
    assert not (folder / "7").exists()
    second = process(tmp_path, "lives")
    second.communicate(b"go\n")
    assert second.returncode == 0
    assert not partial(tmp_path)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_connects_anew(far, tmp_path):
    mirror = Mirror("faulty://set", tmp_path, None, False)
    child = os.fork()
    if child == 0:
        status = 1
        try:
            mirror.bring(["a"])
            status = 0
        finally:
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert (mirror.path / "a").read_bytes() == FILES["a"]


def test_what_is_open_is_not_mixed_with_what_came_since(far, tmp_path):
    old = Mirror("faulty://set", tmp_path, None, False)
    old.bring(["a"])
    far.put_all(FILES | {"b/2": b"new"})
    with pytest.raises(DataError, match=r"b/2: has more than|b/2: was cut off: 3 of 100"):
        old.bring(["b/2"])
    fetch("faulty://set", cache=tmp_path)
    assert old.has("a")
    assert not old.has("b/2")
    with pytest.raises(DataError):
        old.bring(["b/2"])
    assert (old.path / "b/2").read_bytes() == b"new"  # which another one needs
