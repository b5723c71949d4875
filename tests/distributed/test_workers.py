"""Workers that are killed: others go on, good episodes are there once, and an episode that kills is listed."""

import random
from pathlib import Path
from typing import Any

import pytest

from robocache import distributed
from robocache.datasets import open_dataset
from robocache.errors import BackendError, DataError
from tests.distributed.conftest import contents
from tests.distributed.test_shards import whole

Planned = Any


def kills(folder: Path, points: list[int]) -> Path:
    """Events at which the first worker that comes to them dies."""
    folder.mkdir()
    for point in points:
        (folder / str(point)).touch()
    return folder


def test_killed_anywhere_others_go_on_to_the_same_bytes(planned: Planned, hooked: Any, tmp_path: Path) -> None:
    wanted, plan = whole(planned("whole")), planned()
    rng = random.Random(0)
    points = [1, 9, *rng.sample(range(2, 9), 2)]  # a shard takes more events than that
    folder = kills(tmp_path / "kills", points)
    hooked(kills=folder)
    done = distributed.run(plan, workers=2, retries=len(points))
    assert not list(folder.iterdir())
    assert (done.deaths, done.missing, done.failures) == (len(points), (), ())
    distributed.merge(plan)
    assert contents(plan.folder) == wanted


def test_an_episode_that_kills_is_listed(demos: Path, planned: Planned, hooked: Any) -> None:
    plan = planned()
    poison = ("demo_3", "demo_4", "demo_8")
    together = next(k for k, shard in enumerate(plan.shards) if 3 in shard)
    assert 4 in plan.shards[together]
    hooked(poison=",".join(poison))
    done = distributed.run(plan, workers=2, retries=1)
    assert [(f["position"], f["type"]) for f in done.failures] == [(k, "BackendError") for k in (3, 4, 8)]
    assert all("it killed the worker that read it, 1 times" in f["message"] for f in done.failures)
    assert done.deaths == 5  # twice each, but once where it was already known to be careful
    distributed.merge(plan)
    with open_dataset(plan.folder) as mine, open_dataset(demos) as source:
        assert [e.id for e in mine] == [e.id for e in source if e.id not in poison]
    hooked()
    assert distributed.run(plan, workers=1, failed="again").failures == ()
    distributed.merge(plan)
    assert contents(plan.folder) == whole(planned("whole"))


@pytest.mark.parametrize("retries", [0, 1])
def test_when_no_episode_is_to_blame_it_ends(planned: Planned, hooked: Any, tmp_path: Path, retries: int) -> None:
    wanted, plan = whole(planned("whole")), planned()
    distributed.run_shard(plan, 1)
    before = contents(plan.folder)
    site = Path(tmp_path / "site")
    hooked()
    (site / "sitecustomize.py").write_text(
        "import os, signal, sys\n"
        "if any('spawn_main' in word for word in sys.orig_argv):\n"
        "    from robocache.store import _writing\n"
        "    _writing.os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    with pytest.raises(BackendError, match=rf"shard 0: its worker died {retries + 1} times"):
        distributed.run(plan, workers=1, retries=retries)
    after = contents(plan.folder)
    assert {name: data for name, data in after.items() if not name.endswith(".part")} == before
    hooked()
    distributed.run(plan, workers=1)
    distributed.merge(plan)
    assert contents(plan.folder) == wanted


def test_a_full_disk_ends_the_run_with_its_error(planned: Planned, hooked: Any) -> None:
    wanted, plan = whole(planned("whole")), planned()
    hooked(full=1)
    with pytest.raises(DataError, match="cannot be written: No space left") as caught:
        distributed.run(plan, workers=2)
    assert caught.value.file.startswith(str(plan.folder))
    hooked()
    assert not distributed.run(plan, workers=2).missing
    distributed.merge(plan)
    assert contents(plan.folder) == wanted
