"""``robocache distributed``: what each step prints, and its exit status."""

import json
from pathlib import Path
from typing import Any

import pytest

from robocache import store
from robocache.cli.main import main
from tests.distributed.conftest import SHARD
from tests.distributed.test_shards import spoil


def run(capsys: Any, *argv: Any) -> tuple[int, str, str]:
    """Exit status and what was printed."""
    status = main(["distributed", *map(str, argv)])
    return status, *capsys.readouterr()


def test_from_a_plan_to_a_store(demos: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    options = ["--shard", str(SHARD), "--rate", "40", "--streams", "actions,states=nearest"]
    status, text, _ = run(capsys, "plan", demos, out, *options)
    assert (status, "shards" in text) == (0, True)
    status, text, _ = run(capsys, "plan", demos, out, *options, "--json")
    told = json.loads(text)
    assert (status, told["ok"], told["episodes"]) == (0, True, 10)
    shards = told["shards"]
    status, text, _ = run(capsys, "status", out)
    assert (status, f"0 of {shards}" in text) == (1, True)
    status, text, error = run(capsys, "merge", out)
    assert status == 2
    assert f"{shards} of {shards} shards are not there" in error
    for i in (1, 0):
        status, text, _ = run(capsys, "run-shard", out, i, 2)
        assert status == 0
    status, text, _ = run(capsys, "--json", "status", out)
    told = json.loads(text)
    assert (status, told["done"], told["missing"], told["merged"]) == (0, shards, [], False)
    assert "merge" in run(capsys, "run", out, "--workers", 1)[1]
    status, text, _ = run(capsys, "merge", out, "--rehash", "--json")
    told = json.loads(text)
    assert (status, told["episodes"], told["shards"]) == (0, 10, shards)
    opened = store.open_store(out, "full")
    assert opened.rate == 40
    assert told["statistics"]["actions"]["count"] == [int(opened.offsets[-1])] * 7
    assert json.loads(run(capsys, "status", out, "--json")[1])["merged"]


def test_failures_are_exit_status_3(demos: Path, tmp_path: Path, capsys: Any) -> None:
    spoil(demos)
    out = tmp_path / "out"
    assert run(capsys, "plan", demos, out, "--shard", SHARD, "--no-hashes")[0] == 0
    status, text, _ = run(capsys, "run-shard", out, 0, 1)
    assert status == 3
    assert "2 episodes were left out" in text
    for step in ("merge", "status", "run"):
        status, text, _ = run(capsys, step, out)
        assert (status, "demo_7" in text) == (3, True), step


@pytest.mark.parametrize(
    "wrong", [["run", "--workers", "0"], ["run", "--address", "auto"], ["run-shard", "9", "3"], ["merge", "--rehash"]]
)
def test_wrong_calls_are_exit_status_2(demos: Path, tmp_path: Path, capsys: Any, wrong: list[str]) -> None:
    out = tmp_path / "out"
    assert run(capsys, "status", out)[0] == 2
    assert run(capsys, "plan", demos, out, "--no-hashes")[0] == 0
    status, _, error = run(capsys, wrong[0], out, *wrong[1:])
    assert status == 2
    assert error.startswith("robocache distributed: ")
    assert run(capsys, "plan", tmp_path / "nothing", tmp_path / "other")[0] == 2
