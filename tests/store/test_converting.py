"""A conversion as a whole: killed anywhere it goes on to the same bytes, whoever does it; failures are listed."""

import errno
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from robocache import store
from robocache.datasets import open_dataset
from robocache.errors import ArgumentError, BackendError, DataError
from robocache.store import _writing
from robocache.store.conversion import locked
from robocache.store.plan import FAILURES, is_done
from tests.store.comparing import assert_same, contents
from tests.store.killing import OPTIONS

ROOT = Path(__file__).resolve().parents[2]


def program(source: Path, folder: Path, points: list[int]) -> Any:
    """Runs ``killing.py``."""
    folder.mkdir(exist_ok=True)
    ran = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("killing.py")), str(source), str(folder), json.dumps(points)],
        env=os.environ | {"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert not ran.returncode, ran.stderr
    return json.loads(ran.stdout)


def test_killed_anywhere_it_goes_on_to_the_same_bytes(demos: Path, tmp_path: Path) -> None:
    ((total, code),) = program(demos, tmp_path / "whole", [0])
    assert code == 0
    assert total > 30
    wanted = contents(tmp_path / "whole" / "0")
    rng = random.Random(0)
    points = [1, 2, total - 2, total, *rng.sample(range(4, total - 3), 5)]
    ended = program(demos, tmp_path / "killed", points)
    assert [code for _, code in ended] == [-signal.SIGKILL] * len(points)
    unfinished = 0
    for point in points:
        folder = tmp_path / "killed" / str(point)
        if not (folder / "store.json").exists():
            unfinished += 1
            with pytest.raises(DataError, match=r"there is none|there is nothing"):
                store.open_store(folder)
        store.convert(demos, folder, **OPTIONS)
        assert contents(folder) == wanted, point
    assert unfinished >= len(points) - 1
    assert_same(open_dataset(demos), tmp_path / "killed" / str(points[0]), OPTIONS["streams"])


def test_any_number_of_workers_gives_the_same_bytes(demos: Path, tmp_path: Path) -> None:
    one = store.convert(demos, tmp_path / "one", shard=9000)
    two = store.convert(demos, tmp_path / "two", shard=9000, workers=2)
    assert one.shards == two.shards > 2
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    before = contents(tmp_path / "two")
    assert store.convert(demos, tmp_path / "two", shard=9000) == store.convert(demos, tmp_path / "two", shard=9000)
    assert contents(tmp_path / "two") == before


def test_pieces_are_functions_of_their_own(demos: Path, tmp_path: Path) -> None:
    plan = store.make_plan(demos, shard=9000)
    out = tmp_path / "out"
    out.mkdir()
    plan.write(out)
    again = store.Plan.read(out)
    assert again.digest == plan.digest
    with pytest.raises(DataError):
        store.finish(again, out)
    for number in reversed(range(len(plan.shards))):
        assert not is_done(again, out, number)
        store.run_shard(again, out, number)
        assert is_done(again, out, number)
    assert store.finish(again, out) == []
    store.convert(demos, tmp_path / "other", shard=9000)
    assert contents(out) == contents(tmp_path / "other")


def test_a_damaged_shard_is_made_again(demos: Path, tmp_path: Path) -> None:
    store.convert(demos, tmp_path / "out", shard=9000)
    wanted = contents(tmp_path / "out")
    rng = random.Random(0)
    for name in ("shard-00000.rcs", "shard-00002.rcs"):
        data = bytearray(wanted[name])
        data[rng.randrange(len(data) // 2, len(data))] ^= 1
        (tmp_path / "out" / name).write_bytes(data)
    (tmp_path / "out" / "shard-00001.rcs").unlink()
    store.convert(demos, tmp_path / "out", shard=9000)
    assert contents(tmp_path / "out") == wanted


def test_poison_is_listed(demos: Path, tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(demos, "r+") as file:
        del file["data/demo_2/obs/object"]
        del file["data/demo_4/rewards"]
        file["data/demo_4/rewards"] = [[1.0, 2.0]] * 2
    for workers in (1, 2):
        done = store.convert(demos, tmp_path / f"out{workers}", shard=9000, workers=workers)
        assert [(f["position"], f["id"], f["type"]) for f in done.failures] == [
            (2, "demo_2", "ArgumentError"), (4, "demo_4", "DataError"),
        ]  # fmt: skip
        assert "obs/object" in done.failures[0]["message"]
        assert "rewards" in done.failures[1]["message"]
        listed = json.loads((tmp_path / f"out{workers}" / FAILURES).read_bytes())
        assert listed["failures"] == [dict(failure) for failure in done.failures]
        assert done.episodes == 5
    assert contents(tmp_path / "out1") == contents(tmp_path / "out2")
    with open_dataset(tmp_path / "out1") as mine, open_dataset(demos) as source:
        assert [episode.id for episode in mine] == [f"demo_{k}" for k in (0, 1, 3, 5, 6)]
        assert list(mine.splits["valid"]) == [4]
        assert mine[2]["states"].read().tobytes() == source[3]["states"].read().tobytes()
        assert not list(mine.validate())
    for workers in (1, 2):
        with pytest.raises((ArgumentError, DataError), match=r"obs/object|rewards"):
            store.convert(demos, tmp_path / "out1", shard=9000, on_error="raise", workers=workers)
    skipped = store.convert(demos, tmp_path / "out1", shard=9000)
    assert len(skipped.failures) == 2


def test_another_conversion_is_refused(demos: Path, tmp_path: Path) -> None:
    store.convert(demos, tmp_path / "out")
    with pytest.raises(ArgumentError, match="other options"):
        store.convert(demos, tmp_path / "out", streams=["actions"])
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.tex").write_text("x")
    with pytest.raises(ArgumentError, match=r"thesis.tex.*no conversion"):
        store.convert(demos, tmp_path / "full")
    with pytest.raises(ArgumentError, match="within the source"):
        store.convert(tmp_path, tmp_path / "below")
    os.utime(demos, ns=(1, 1))
    with pytest.raises(ArgumentError, match="other data"):
        store.convert(demos, tmp_path / "out")
    plan = store.Plan.read(tmp_path / "out")
    with pytest.raises(DataError, match="has changed since"):
        plan.open()


def _hold(folder: str, ready: Any, done: Any) -> None:
    with locked(Path(folder)):
        ready.set()
        done.wait(60)


def test_two_at_once(demos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    context = multiprocessing.get_context("spawn")
    ready, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=(str(out), ready, done))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(ArgumentError, match="another conversion is writing"):
            store.convert(demos, out)
        assert sorted(entry.name for entry in out.iterdir()) == [".lock"]
    finally:
        done.set()
        other.join()
    assert store.convert(demos, out).episodes == 7


@pytest.mark.parametrize("where", ["flush", "part"])
def test_a_full_disk(demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    out, calls = tmp_path / "out", []
    flush, begin = os.fsync, _writing.tempfile.SpooledTemporaryFile

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) > 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    class Full(begin):  # type: ignore[valid-type, misc]
        def write(self, data: Any) -> int:
            calls.append(len(data))
            if len(calls) > 90:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return int(super().write(data))

    with monkeypatch.context() as patch:
        if where == "flush":
            patch.setattr(_writing.os, "fsync", full)
        else:
            patch.setattr(_writing.tempfile, "SpooledTemporaryFile", Full)
        with pytest.raises(DataError, match="cannot be written: No space left") as caught:
            store.convert(demos, out, shard=9000)
        assert caught.value.file.startswith(str(out))
    assert not (out / "store.json").exists()
    assert not list(out.glob(".*.part"))
    plan = store.Plan.read(out)
    there = [number for number in range(len(plan.shards)) if (out / f"shard-{number:05d}.rcs").exists()]
    assert there
    assert all(is_done(plan, out, number) for number in there)
    assert not store.convert(demos, out, shard=9000).failures
    assert_same(open_dataset(demos), out)


CONVERTING = """
import ctypes, os, subprocess, sys
from robocache import store
from robocache.errors import BackendError

def main():
    os.environ |= {"DIE": sys.argv[3], "PARENT": str(os.getpid())}
    try:
        store.convert(sys.argv[1], sys.argv[2], shard=9000, workers=2)
    except BackendError as error:
        sys.stdout.write(str(error))

def adopt():  # orphans become this process's children, so that it can wait for them
    ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
    subprocess.run([sys.executable, *sys.argv[:3], "parent"])
    try:
        while True:
            os.wait()
    except ChildProcessError:
        sys.stdout.write("all have ended")

if __name__ == "__main__":
    adopt() if sys.argv[3] == "orphans" else main()
"""
# A worker starts from nothing, so what it is told comes by a module that Python imports first.
HOOK = """
import os, signal
if os.environ.get("DIE"):
    import robocache.store._writing as writing
    # Not getppid() for the parent: of two workers, the slower one has been adopted by then.
    whom = os.getpid() if os.environ["DIE"] == "worker" else int(os.environ["PARENT"])

    def replace(*_):
        try:
            os.kill(whom, signal.SIGKILL)
        except ProcessLookupError:  # the other worker was faster
            pass

    writing.os.replace = replace
"""


@pytest.mark.parametrize(("who", "said"), [("worker", "a worker was killed"), ("orphans", "all have ended")])
def test_a_process_that_is_killed(demos: Path, tmp_path: Path, who: str, said: str) -> None:
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(HOOK)
    (tmp_path / "run.py").write_text(CONVERTING)
    paths = os.pathsep.join([str(tmp_path / "site"), str(ROOT)])
    ran = subprocess.run(
        [sys.executable, str(tmp_path / "run.py"), str(demos), str(tmp_path / "out"), who],
        env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert said in ran.stdout, ran.stderr
    assert not (tmp_path / "out" / "store.json").exists()
    store.convert(demos, tmp_path / "out", shard=9000)
    assert not list((tmp_path / "out").glob(".*.part"))
    assert_same(open_dataset(demos), tmp_path / "out")


def test_a_missing_library_is_no_fault_of_an_episode(
    demos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("PIL")
    plan = store.make_plan(demos, images="png", streams=["obs/agentview_image"])
    (tmp_path / "out").mkdir()
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(BackendError, match=r"robocache\[images\]"):
        store.run_shard(plan, tmp_path / "out", 0)
    assert not list((tmp_path / "out").iterdir())


def test_progress(demos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[tuple[int, int]] = []
    store.convert(demos, tmp_path / "out", shard=9000, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (7, 7)
    assert seen == sorted(seen)
    store.convert(demos, tmp_path / "other", shard=9000, progress=True)
    assert capsys.readouterr().out == ""
