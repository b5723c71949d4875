"""Ray on this machine, with two workers: the same bytes as without it, and workers that are killed."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from robocache import distributed
from robocache.errors import BackendError
from tests.distributed.conftest import contents
from tests.distributed.test_shards import spoil, whole

# A process of its own: Ray leaves threads, signal handlers and warnings behind.
RUNNING = """
import json, os, sys
import ray
from robocache.cli.main import main

nodes, shutdown = [], ray.shutdown

def end():
    nodes.extend(node["NodeManagerAddress"] for node in ray.nodes())
    shutdown()

ray.shutdown = end
options = ["--engine", "ray", "--workers", "2", "--retries", sys.argv[1], "--json"]
status = main(["distributed", "run", sys.argv[2], *options])
left = [name for name in os.environ if name.endswith("_OSX_CLUSTER")]
sys.stderr.write(json.dumps([status, nodes, ray.is_initialized(), left]))
"""


def ray_or_skip() -> None:
    if importlib.util.find_spec("ray") is None:
        if os.environ.get("ROBOCACHE_REQUIRE_RAY") == "1":
            pytest.fail("ray is not installed but ROBOCACHE_REQUIRE_RAY=1")
        pytest.skip("ray is not installed (extra ray)")


@pytest.mark.slow
def test_two_workers(demos: Path, planned: Any, hooked: Any, tmp_path: Path) -> None:
    ray_or_skip()
    spoil(demos)
    wanted = whole(planned("whole"))
    killed, poisoned = planned("killed"), planned("poisoned")
    folder = tmp_path / "kills"
    folder.mkdir()
    for point in (3, 7):
        (folder / str(point)).touch()
    hooked(kills=folder)
    assert run(2, killed.folder) == (len(killed.shards), 2, [2, 7])
    assert not list(folder.iterdir())
    distributed.merge(killed)
    assert contents(killed.folder) == wanted
    hooked(poison="demo_3")
    assert run(1, poisoned.folder) == (len(poisoned.shards), 2, [2, 3, 7])


def run(retries: int, folder: Path) -> tuple[int, int, list[int]]:
    """Shards that are done, workers that died, and episodes that were left out."""
    ran = subprocess.run(
        [sys.executable, "-c", RUNNING, str(retries), str(folder)], env=os.environ | {"RAY_USAGE_STATS_ENABLED": "0"},
        capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip
    assert not ran.returncode, ran.stderr
    told = json.loads(ran.stdout)  # one object, whatever Ray has to say
    # Exit status; reached from this machine alone; nothing stays.
    assert ran.stderr.endswith(json.dumps([3, ["127.0.0.1"], False, []])), ran.stderr
    return told["done"], told["deaths"], [failure["position"] for failure in told["failures"]]


def test_without_ray_the_extra_is_named(planned: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(BackendError, match=r"pip install 'robocache\[ray\]'"):
        distributed.run(planned(), "ray")
