"""`robocache info`: what it says is what is there, and only what was measured is called a rate of stamps."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache.cli import info, info_text
from robocache.cli.main import COMMANDS, main, parser
from robocache.datasets import ActionSpec, Span
from robocache.datasets._faults import fault
from robocache.errors import ArgumentError
from tests.datasets import toy

MakeSet = Callable[..., str]


def run(capsys: Any, *argv: str) -> tuple[int, str, str]:
    status = main(["info", *argv])
    return status, *capsys.readouterr()


def robot(length: int = 40, said: str = "pick up the cup") -> Any:
    """A camera that loses two frames, stamps one twice and one too early, and states on the index clock."""
    stamps = toy.EPOCH_NS + np.arange(length, dtype=np.int64) * 50_000_000
    stamps[20:] += 100_000_000
    stamps[11] = stamps[10]
    stamps[6] -= 60_000_000
    images = np.zeros((length, 4, 5, 3), np.uint8)
    return toy.episode(
        said,
        toy.stream("camera/front", images, stamps, kind="image", codec="jpeg"),
        toy.stream("state", np.zeros((length, 7), np.float32), rate=5, unit="rad"),
        length=length,
        language=(Span(0, length, said),),
    )


def test_json_holds_what_is_there(capsys: Any, make_set: MakeSet) -> None:
    action = ActionSpec("ee_pose", True, "euler_xyz", (0.0, 1.0))
    path = make_set(
        [robot(), robot(30, "stir")], control_hz=5.0, control_hz_origin="registry", action=action,
        meta={"robot_type": "so101", "limit": math.nan, "deep": {"a": np.float32(1.5), "b": (np.int64(3),)}},
        splits={"train": [0], "val": [1]},
    )  # fmt: skip
    status, out, _ = run(capsys, path, "--json")
    said = json.loads(out, parse_constant=lambda text: pytest.fail(f"{text} is no JSON"))
    assert status == 0
    camera, state = said.pop("streams")
    assert said == {
        "format": "toy", "name": "toy_set", "path": path, "episodes": 2, "steps": 70, "steps_note": None,
        "splits": {"train": 1, "val": 1},
        "control_hz": 5.0, "control_hz_origin": "registry", "files": 1, "bytes": 1500, "looked_at": 2,
        "action": {"representation": "ee_pose", "relative": True, "rotation": "euler_xyz", "gripper": [0.0, 1.0],
                   "frame": None, "last_valid": True, "note": ""},
        "meta": {"robot_type": "so101", "limit": None, "deep": {"a": 1.5, "b": [3]}},
        "language": {"distinct": 2, "examples": ["pick up the cup", "stir"]}, "problems": [],
    }  # fmt: skip
    assert state == {
        "name": "state", "kind": "vector", "shape": [7], "dtype": "float32", "unit": "rad", "names": None,
        "codec": None, "clock": "index", "episodes": 2, "samples": 70, "declared_hz": 5.0,
        "declared_hz_origin": "registry", "measured": None,
    }  # fmt: skip
    assert (camera["clock"], camera["declared_hz"], camera["codec"]) == ("log", None, "jpeg")
    assert camera["measured"] == {
        "hz": 20.0, "samples": 70, "start_ns": toy.EPOCH_NS, "end_ns": toy.EPOCH_NS + 39 * 50_000_000 + 100_000_000,
        "period_ns": 50_000_000, "jitter_ns": 0, "deviation_ns": 100_000_000, "gaps": 2, "longest_ns": 150_000_000,
        "duplicates": 2, "unsorted": 2,
    }  # fmt: skip


def test_text_shows_the_measured_rate_and_the_declared_one_apart(capsys: Any, make_set: MakeSet) -> None:
    action = ActionSpec("ee_pose", False, "rot6d", (0.0, 0.08), "base", last_valid=False, note="in metres")
    path = make_set(
        [robot()], control_hz=5.0, control_hz_origin="registry", meta={"robot_type": "so101"}, action=action
    )
    status, out, _ = run(capsys, path)
    told = "ee_pose, absolute, rot6d, in the base frame, gripper 0 closed, 0.08 open, none at the last step; in metres"
    assert told in " ".join(out.split())
    rows = {line.split()[0]: line for line in out.splitlines() if line and line[0] != " "}
    assert status == 0
    assert "5 Hz (registry)" in out
    assert "robot_type: so101" in out
    state = [line for line in out.splitlines() if line.startswith("state")]
    assert len(state) == 1, "an index clock has no row among measured stamps"
    assert state[0].endswith("index, 5 Hz (registry)")
    assert "from 2026-01-01 00:00:00 on:" in out
    assert rows["camera/front"].split() == "camera/front 20 0 ns 100 ms 1 150 ms 1 1 0 ns 2.05 s".split()


def test_starts_are_told_from_the_first_of_all(capsys: Any, make_set: MakeSet) -> None:
    ticks = np.arange(5) * 10**9
    late = toy.stream("a_name_that_is_longer_than_its_column", np.zeros(5), ticks + 995_000_000)
    path = make_set(
        [
            toy.episode(
                0, late, toy.stream("first", np.zeros(5), ticks - 5), toy.stream("none", [], np.zeros(0, np.int64))
            )
        ]
    )
    status, out, _ = run(capsys, path)
    lines = out.splitlines()
    assert status == 0
    assert max(map(len, lines)) <= 100
    assert "from -0.000 s on:" in out
    assert [line.split()[-4:] for line in lines if "…" in line] == [["995", "ms", "4", "s"]]
    assert [line.split()[-4:] for line in lines if line.startswith("first ")][1] == ["0", "ns", "4", "s"]


def test_lines_fit_and_cannot_steer_a_terminal(capsys: Any, make_set: MakeSet) -> None:
    name = "observation/" + "very_" * 20 + "long"
    values = np.zeros((3, 2))
    one = toy.episode(
        0, toy.stream(name, values, np.arange(3)), toy.stream("\x1b[31mred\n", values), toy.stream("\ud800", values),
        language=(Span(0, 1, "\x1b]0;title\x07 " + "word " * 100),),
    )  # fmt: skip
    status, out, _ = run(capsys, make_set([one], meta={"\x1b": "\x07", "note": "x " * 500}))
    assert status == 0
    assert max(map(len, out.splitlines())) <= 100
    assert "\x1b" not in out
    assert "\x07" not in out
    assert "\\x1b[31mred\\n" in out
    assert "observation/" in out
    assert "_long" in out


def test_steps_are_counted_if_that_is_cheap_or_asked_for(capsys: Any, make_set: MakeSet, monkeypatch: Any) -> None:
    monkeypatch.setattr(info, "COUNTED", 1)
    path = make_set([robot(), robot()])
    assert json.loads(run(capsys, path, "--json")[1])["steps"] is None
    assert "not counted" in run(capsys, path)[1]
    assert json.loads(run(capsys, path, "--json", "--deep")[1])["steps"] == 80


def test_a_log_has_no_steps(capsys: Any, make_set: MakeSet) -> None:
    def none() -> Any:
        raise ArgumentError("index: the streams of this log have stamps")

    log = toy.episode("log", toy.stream("imu", np.zeros((5, 3)), np.arange(5) * 10))
    path = make_set([log], lengths=none)
    status, out, _ = run(capsys, path)
    assert status == 0
    assert "steps      none: its streams have clocks of their own" in out
    assert "control    none: every stream is stamped" in out
    assert json.loads(run(capsys, path, "--json")[1])["steps"] is None
    assert main(["validate", path]) == 0


def test_options_reach_the_dataset(capsys: Any, make_set: MakeSet) -> None:
    path = make_set([robot(), robot(30), robot(25)], splits={"train": [0, 1], "val": [2]})
    said = json.loads(run(capsys, path, "--json", "--split", "val", "--control-hz", "12.5", "--format", "toy")[1])
    assert (said["episodes"], said["steps"], said["splits"]) == (1, 25, {"val": 1})
    assert (said["control_hz"], said["control_hz_origin"]) == (12.5, "user")
    assert json.loads(run(capsys, path, "--json", "--episodes", "2")[1])["looked_at"] == 2


def test_a_damaged_episode_is_said_and_the_rest_is_shown(capsys: Any, make_set: MakeSet) -> None:
    path = make_set([robot(), fault("cut off", file="toy.json", episode=1)])
    status, out, _ = run(capsys, path)
    assert status == 1
    assert "PROBLEM toy.json, episode 1: cut off" in out
    assert "camera/front" in out
    assert json.loads(run(capsys, path, "--json")[1])["problems"] == ["toy.json, episode 1: cut off"]


def test_language_and_lengths_that_cannot_be_read_are_said(capsys: Any, make_set: MakeSet) -> None:
    def bad() -> Any:
        raise fault("no text", episode="e")

    one = toy.episode("e", toy.stream("state", np.zeros(3)), language=bad)
    status, out, _ = run(capsys, make_set([one], lengths=bad), "--json")
    assert status == 1
    assert json.loads(out)["problems"] == ["episode e: no text", "episode e: no text"]
    assert json.loads(out)["streams"][0]["declared_hz"] is None


@pytest.mark.parametrize("options", [("--format", "nonsense"), ("--split", "nonsense"), ("--episodes", "0")])
def test_wrong_options(capsys: Any, make_set: MakeSet, options: tuple[str, str]) -> None:
    status, out, err = run(capsys, make_set([robot()]), *options)
    assert (status, out) == (2, "")
    assert err.startswith("robocache info: ")


def test_what_cannot_be_opened(capsys: Any, registered: None, tmp_path: Path) -> None:
    assert run(capsys, str(tmp_path / "nothing"))[0] == 2
    status, _, err = run(capsys, str(tmp_path))
    assert status == 2
    assert "no dataset that a reader knows" in err


def test_an_empty_dataset(capsys: Any, make_set: MakeSet) -> None:
    status, out, _ = run(capsys, make_set([]))
    assert status == 0
    assert "0 of 0 episodes" in out


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example_that_can_be_parsed(capsys: Any, command: str) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    example = capsys.readouterr().out.split("example: robocache ")[1].splitlines()[0]
    assert parser().parse_args(example.split()).command == command


@pytest.mark.parametrize(
    "given, text",
    [(0, "0 ns"), (999, "999 ns"), (1500, "1.5 us"), (50_000_000, "50 ms"), (-3 * 10**9, "-3 s"), (None, "-")],
)
def test_durations(given: int | None, text: str) -> None:
    assert info_text.duration(given) == text


def test_nesting_without_end_is_cut() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert json.dumps(info.plain({"meta": deep})).count("[") == 31
