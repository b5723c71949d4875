"""Shards by anyone in any order: the same bytes, done once, and nothing believed that does not validate."""

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache import distributed, store
from robocache.datasets import open_dataset
from robocache.distributed import making, manifest
from robocache.errors import ArgumentError, BackendError, DataError
from robocache.store import _writing
from robocache.store.conversion import sweep
from tests.distributed.conftest import SHARD, contents
from tests.store.comparing import assert_same

Planned = Any


def whole(plan: distributed.Manifest) -> dict[str, bytes]:
    """Everything, made in order by this process."""
    distributed.run_shard(plan, 0, 1)
    distributed.merge(plan)
    return contents(plan.folder)


def test_any_share_and_order_gives_the_same_bytes(demos: Path, planned: Planned) -> None:
    wanted = whole(planned("whole"))
    for name, n, order in (("backwards", None, -1), ("three", 3, 1), ("many", 40, -1)):
        plan = planned(name)
        for i in range(n or len(plan.shards))[::order]:
            done = distributed.run_shard(plan.folder, i, n)
            assert done.missing == ()
            assert done.shards == len(range(i, len(plan.shards), n or len(plan.shards)))
        distributed.merge(plan.folder)
        assert contents(plan.folder) == wanted
    with open_dataset(demos) as source:
        assert_same(source, plan.folder)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_any_number_of_workers_gives_the_same_bytes(planned: Planned, workers: int) -> None:
    wanted, plan = whole(planned("whole")), planned()
    seen: list[tuple[int, int]] = []
    done = distributed.run(plan, workers=workers, progress=lambda *told: seen.append(told))
    assert (done.done, done.shards, done.converted, done.merged, done.deaths) == (4, 4, 10, False, 0)
    assert seen == sorted(seen)
    assert seen[-1] == (10, 10)
    distributed.merge(plan)
    assert contents(plan.folder) == wanted
    assert distributed.status(plan).merged


def test_the_same_as_a_conversion(demos: Path, planned: Planned, tmp_path: Path) -> None:
    store.convert(demos, tmp_path / "store", shard=SHARD)
    whole(planned())
    one, other = (store.open_store(tmp_path / name, "full") for name in ("store", "out"))
    assert one.fingerprint == other.fingerprint


def test_statistics_are_of_the_valid_steps_of_all_shards(planned: Planned) -> None:
    how = {"method": "linear", "max_gap": 20_000_000}  # steps are 50 ms apart: what lies between is invalid
    plan = planned(pipeline={"rate": 30, "streams": {"actions": how, "states": None}})
    distributed.run_shard(plan, 0, 1)
    found = distributed.merge(plan).statistics
    cached = store.open_store(plan.folder)
    rows = np.arange(cached.offsets[-1])
    for name in ("actions", "states"):
        valid = cached.valid(name, rows)
        assert (valid is None) is (name == "states")
        values = cached.gather(name, rows)[slice(None) if valid is None else valid]
        stats = found[name]
        assert len(values) > 0
        assert (len(values) < len(rows)) is (name == "actions")
        assert (stats.count == len(values)).all()
        assert np.array_equal(stats.min, values.min(0))
        assert np.array_equal(stats.max, values.max(0))
        np.testing.assert_allclose(stats.mean, values.mean(0), rtol=1e-12, atol=1e-14)
        np.testing.assert_allclose(stats.std(), values.std(0), rtol=1e-12)
    assert distributed.read_statistics(plan.folder) == found


def test_a_plan_is_written_once(demos: Path, planned: Planned, tmp_path: Path) -> None:
    plan = planned()
    before = contents(plan.folder)
    assert planned().digest == plan.digest == distributed.Manifest.read(plan.folder).digest
    assert contents(plan.folder) == before
    (plan.folder / "inputs.json").unlink()  # killed between the two
    assert planned().digest == plan.digest
    assert contents(plan.folder) == before
    told = json.loads(before["inputs.json"])["files"]
    assert [one[1] for one in told] == [demos.stat().st_size]
    with pytest.raises(ArgumentError, match="other options"):
        planned(shard=3000)
    with pytest.raises(ArgumentError, match="other options"):
        store.convert(demos, plan.folder, shard=SHARD)
    with pytest.raises(ArgumentError, match=r"pipeline: \['fps'\]"):
        planned("other", pipeline={"fps": 3})
    with pytest.raises(ArgumentError, match="within the source"):
        distributed.plan(tmp_path, tmp_path / "below")
    store.convert(demos, tmp_path / "store")
    with pytest.raises(DataError, match="robocache convert goes on"):
        distributed.status(tmp_path / "store")
    for wrong in ((-1, 3), (3, 3), (0, 0), (True, 2), (0.0, 1)):
        with pytest.raises(ArgumentError, match="from 0 to n - 1"):
            distributed.run_shard(plan, *wrong)
    wrong_runs: list[dict[str, Any]] = [{"workers": 0}, {"retries": -1}, {"engine": "dask"}, {"failed": "x"}]
    for options in (*wrong_runs, {"num_gpus": 1}, {"engine": "ray", "num_gpus": -1}, {"address": "auto"}):
        with pytest.raises(ArgumentError, match=next(reversed(options))):
            distributed.run(plan, **options)
    assert contents(plan.folder) == before


@pytest.mark.parametrize("damage", ["cut", "bit", "gone", "statistics", "left"])
def test_what_does_not_validate_is_made_again(planned: Planned, damage: str) -> None:
    plan = planned()
    wanted = whole(plan)
    (plan.folder / "store.json").unlink()
    shard, beside = plan.folder / "shard-00001.rcs", plan.folder / "stats" / "shard-00001.json"
    if damage == "cut":
        shard.write_bytes(shard.read_bytes()[:-8])
    elif damage == "bit":
        data = bytearray(shard.read_bytes())
        data[len(data) * 3 // 4] ^= 1
        shard.write_bytes(data)
    elif damage == "gone":
        shard.unlink()
    elif damage == "statistics":
        beside.write_bytes((plan.folder / "stats" / "shard-00002.json").read_bytes())
    else:
        shard.rename(plan.folder / ".shard-00001.rcs.0badcafe.part")
        beside.rename(plan.folder / "stats" / ".shard-00001.json.0badcafe.part")
    told = distributed.status(plan)
    assert told.missing == ((1,) if damage in ("cut", "gone", "left") else ())  # the rest takes reading every byte
    with pytest.raises(DataError, match=r"1 of 4 shards are not there or damaged, such as shard-00001.rcs"):
        distributed.merge(plan)
    assert not (plan.folder / "store.json").exists()
    others = {name: (plan.folder / name).stat().st_mtime_ns for name in ("shard-00000.rcs", "shard-00002.rcs")}
    distributed.run_shard(plan, 0, 1)
    distributed.merge(plan)
    assert contents(plan.folder) == wanted
    assert others == {name: (plan.folder / name).stat().st_mtime_ns for name in others}


def test_a_changed_input_is_refused(demos: Path, planned: Planned) -> None:
    plan, blind = planned(), planned("blind", hashes=False)
    data, status = demos.read_bytes(), demos.stat()
    os.utime(demos, ns=(1, 1))  # copied, say
    distributed.run_shard(plan, 0, 1)
    distributed.merge(plan)
    with pytest.raises(DataError, match="has changed since it was planned: 1 files"):
        distributed.run_shard(blind, 0)
    at = data.index(np.float64(open_dataset(demos)[4]["actions"].read()[0, 0]).tobytes())
    demos.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    fresh = distributed.run(plan, workers=1)  # all is there, so nobody looks at the source
    assert fresh.missing == ()
    (plan.folder / "shard-00002.rcs").unlink()
    for made in (distributed.merge, lambda p: distributed.run_shard(p, 2), lambda p: distributed.run(p, workers=2)):
        with pytest.raises(DataError, match="has changed since it was planned: 1 files") as caught:
            made(plan)
        assert caught.value.file == str(demos)
    os.utime(demos, ns=(status.st_atime_ns, status.st_mtime_ns))  # as if nothing had happened
    distributed.run_shard(plan, 2)
    with pytest.raises(DataError, match="has changed since it was planned: 1 files"):
        distributed.merge(plan, rehash=True)
    with pytest.raises(ArgumentError, match="hashes=False"):
        distributed.merge(blind, rehash=True)
    demos.write_bytes(data + b"\0")
    with pytest.raises(DataError, match="has changed"):
        distributed.merge(plan)
    (plan.folder / "inputs.json").write_text('{"files": []}')
    with pytest.raises(DataError, match="not the list that the plan tells of"):
        distributed.merge(plan)


def test_other_versions_are_refused(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, here = planned(), manifest.versions()
    monkeypatch.setattr(manifest, "versions", lambda: {**here, "numpy": "0.9"})
    with pytest.raises(BackendError, match=r"numpy 0.9 \(planned with"):
        distributed.run_shard(plan, 0)
    assert sorted(contents(plan.folder)) == ["inputs.json", "plan.json"]


def spoil(demos: Path) -> None:
    """Two episodes that cannot be converted."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(demos, "r+") as file:
        for name, values in (("demo_2", np.zeros((4, 3))), ("demo_7", np.zeros((1, 7)))):
            del file[f"data/{name}/actions"]
            file[f"data/{name}/actions"] = values


def test_poison_is_listed_with_its_reason(demos: Path, planned: Planned) -> None:
    spoil(demos)
    one, two = planned(), planned("two")
    distributed.run_shard(one, 0, 1)
    done = distributed.run(two, workers=2)
    for failures in (done.failures, distributed.merge(one).failures, distributed.merge(two).failures):
        assert [(f["position"], f["id"]) for f in failures] == [(2, "demo_2"), (7, "demo_7")]
        assert "actions" in failures[0]["message"]
    assert contents(one.folder) == contents(two.folder)
    assert json.loads((one.folder / "failures.json").read_bytes())["failures"] == [dict(f) for f in failures]
    with open_dataset(one.folder) as mine, open_dataset(demos) as source:
        assert [episode.id for episode in mine] == [f"demo_{k}" for k in (0, 1, 3, 4, 5, 6, 8, 9)]
        assert mine[2]["states"].read().tobytes() == source[3]["states"].read().tobytes()


def test_failed_shards_are_made_again_when_asked(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, plan, align = whole(planned("whole")), planned(), store.plan.align_episode

    def flaky(episode: Any, *args: Any) -> Any:
        if episode.id == "demo_5":
            raise OSError("the network is down")
        return align(episode, *args)

    with monkeypatch.context() as patch:
        patch.setattr(store.plan, "align_episode", flaky)
        done = distributed.run_shard(plan, 0, 1)
    assert [(f["id"], f["type"]) for f in done.failures] == [("demo_5", "OSError")]
    assert len(distributed.run_shard(plan, 0, 1).failures) == 1
    assert not distributed.run_shard(plan, 0, 1, failed="again").failures
    distributed.merge(plan)  # statistics of the shard as it is now
    assert contents(plan.folder) == wanted


def test_the_same_shard_twice_at_once(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, plan = whole(planned("whole")), planned()
    barrier, replace = threading.Barrier(2), os.replace

    def together(*args: Any) -> None:
        barrier.wait(60)  # both have written, neither has put it in its place
        replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(_writing.os, "replace", together)
        errors: list[BaseException] = []

        def one() -> None:
            try:
                distributed.run_shard(plan, 1)
            except BaseException as error:  # noqa: BLE001
                errors.append(error)
                barrier.abort()

        threads = [threading.Thread(target=one) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not errors
    distributed.run_shard(plan, 0, 1)
    distributed.merge(plan)
    assert contents(plan.folder) == wanted


def test_merged_under_the_hands_of_a_duplicate(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, replace = planned(), os.replace

    def late(*args: Any) -> None:
        monkeypatch.setattr(_writing.os, "replace", replace)
        distributed.run_shard(plan, 0, 1)
        distributed.merge(plan)
        assert not Path(args[0]).exists()  # swept away
        replace(*args)

    monkeypatch.setattr(_writing.os, "replace", late)
    assert not distributed.run_shard(plan, 1).missing
    assert distributed.status(plan).merged


def test_a_full_disk(planned: Planned, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, plan, calls, flush = whole(planned("whole")), planned(), [0], os.fsync

    def full(descriptor: int) -> None:
        calls[0] += 1
        if calls[0] > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(descriptor)

    with monkeypatch.context() as patch:
        patch.setattr(_writing.os, "fsync", full)
        with pytest.raises(DataError, match="cannot be written: No space left"):
            distributed.run_shard(plan, 0, 1)
    assert not [name for name in contents(plan.folder) if name.endswith(".part")]
    told = distributed.status(plan)
    assert told.done == 1
    assert told.failures == ()  # no episode is to blame
    distributed.run_shard(plan, 0, 1)
    distributed.merge(plan)
    assert contents(plan.folder) == wanted


def test_words_of_workers(tmp_path: Path) -> None:
    word = making.word_of(tmp_path, 3)
    assert making.last_word(word) is None
    word.write_text("17")
    assert making.last_word(word) == 17
    assert making.last_word(word) is None
    word.write_text("")  # killed while it wrote
    assert making.last_word(word) is None
    sweep(tmp_path)
    assert not list(tmp_path.iterdir())
