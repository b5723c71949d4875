"""`robocache view`: what it writes, what it says, and how it fails."""

import importlib
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache.cli.main import main
from robocache.datasets._faults import fault
from robocache.store import convert
from tests.datasets import toy
from tests.view import robots

pytest.importorskip("matplotlib")
MakeSet = Callable[..., str]
ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")
SMALL = ROOT / "tests" / "datasets" / "lerobot"


def run(capsys: Any, *argv: str) -> tuple[int, str, str]:
    status = main(["view", *argv])
    return status, *capsys.readouterr()


def test_json_says_what_was_drawn(capsys: Any, make_set: MakeSet, tmp_path: Path) -> None:
    path, out = make_set([robots.robot(), robots.robot("tuesday")]), tmp_path / "a.svg"
    options = ("--episode", "1", "--rate", "20", "--streams", "joints=pchip,camera/front,lidar", "--out", str(out))
    status, text, _ = run(capsys, path, *options, "--json")
    said = json.loads(text)
    assert status == 0
    assert out.read_text("utf-8").count("<image") >= 8
    assert (said["id"], said["rate"], said["rate_from"], said["left_out"]) == ("tuesday", 20.0, "given", {})
    joints, camera, lidar = said["streams"]
    assert (joints["method"], joints["gaps"], joints["features"], len(joints["features_shown"])) == ("pchip", 1, 8, 6)
    assert (camera["shows"], camera["items"], lidar["shows"], lidar["samples"]) == ("frames", 8, "sizes", 6)
    assert "written" in run(capsys, path, *options)[1]


def test_the_name_of_the_file_and_the_status_of_a_damaged_stream(
    capsys: Any, make_set: MakeSet, tmp_path: Path, monkeypatch: Any
) -> None:
    class Bad(toy.Values):
        def take(self, at: Any) -> Any:
            raise fault("is cut off \x1b[31m", file="a.bin", key="cam")

    cam = toy.stream("cam", np.zeros(3), rate=5)
    cam.source = Bad(np.zeros(3))
    path = make_set([toy.episode(0, cam, toy.stream("a", np.zeros(3), rate=5))])
    monkeypatch.chdir(tmp_path)
    status, text, _ = run(capsys, path)
    assert status == 1
    assert (tmp_path / "toy_set_episode0.png").exists()
    assert "PROBLEM    a.bin, cam: is cut off \\x1b[31m" in text
    assert "not shown  cannot be read: cam" in text


@pytest.mark.parametrize(
    "options, said",
    [
        (("--episode", "7"), "episode 7: there are 1"),
        (("--out", "a.gif"), "--out: expected a file of .png, .svg, .pdf, got 'a.gif'"),
        (("--out", "none/a.png"), "--out: none/a.png cannot be written"),
        (("--rrd", "a.png"), "--rrd: expected a file of .rrd"),
        (("--streams", "a,,b"), "--streams"),
        (("--streams", "elbow"), "['elbow'] are not in this episode"),
        (("--start", "50"), "start, stop: "),
        (("--format", "nonsense"), "nonsense"),
    ],
)
def test_bad_calls(
    capsys: Any, make_set: MakeSet, tmp_path: Path, monkeypatch: Any, options: tuple[str, ...], said: str
) -> None:
    path = make_set([robots.robot()])
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    status, text, err = run(capsys, path, *options)
    assert (status, text) == (2, "")
    assert err.startswith("robocache view: ")
    assert said in err
    assert sorted(tmp_path.iterdir()) == before


def test_missing_libraries_are_named(capsys: Any, make_set: MakeSet, tmp_path: Path, monkeypatch: Any) -> None:
    path = make_set([robots.robot()])
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    status, _, err = run(capsys, path, "--out", str(tmp_path / "a.png"))
    assert status == 2
    assert "pip install 'robocache[plot]'" in err
    monkeypatch.setitem(sys.modules, "rerun", None)
    status, _, err = run(capsys, path, "--rrd", str(tmp_path / "a.rrd"))
    assert status == 2
    assert "pip install 'robocache[viz]'" in err


def test_a_missing_decoder_is_named(capsys: Any, tmp_path: Path, monkeypatch: Any) -> None:
    pytest.importorskip("pyarrow")
    monkeypatch.setitem(sys.modules, "av", None)
    for command, out in (("view", "a.png"), ("report", "a.html")):
        assert main([command, str(SMALL / "lerobot_v30_small"), "--out", str(tmp_path / out)]) == 2
        assert "pip install 'robocache[video]'" in capsys.readouterr().err
        assert not (tmp_path / out).exists()


@pytest.mark.parametrize("name", ["lerobot_v21_small", "lerobot_v30_small"])
def test_sets_on_disk_and_their_stores(capsys: Any, tmp_path: Path, name: str) -> None:
    pytest.importorskip("av")
    pytest.importorskip("pyarrow")
    convert(SMALL / name, tmp_path / "store")
    for path in (SMALL / name, tmp_path / "store"):
        status, text, _ = run(capsys, str(path), "--json", "--episode", "-1", "--out", str(tmp_path / "a.png"))
        said = json.loads(text)
        assert status == 0
        assert {one["shows"] for one in said["streams"]} >= {"frames", "lines"}
        assert said["rate"] == 10


@pytest.mark.parametrize("name", ["robomimic", "droid", "calvin", "bridge"])
def test_every_format_that_is_made_here(capsys: Any, tmp_path: Path, name: str) -> None:
    pytest.importorskip("h5py")
    made = getattr(importlib.import_module("tests.datasets.made"), name)(tmp_path / f"{name}.hdf5")
    for command, out in (("view", "a.png"), ("report", "a.html")):
        status = main([command, str(made), "--json", "--out", str(tmp_path / out)])
        said = json.loads(capsys.readouterr().out)
        assert (status, said["problems"], said["format"]) == (0, [], name)
        assert (tmp_path / out).stat().st_size > 10_000


def test_the_g1(capsys: Any, tmp_path: Path) -> None:
    path = DATA / "lerobot_v21_unitree_g1"
    if not path.exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    pytest.importorskip("av")
    status, text, _ = run(capsys, str(path), "--json", "--streams", "observation.state,observation.images.cam_high",
                          "--rate", "10", "--out", str(tmp_path / "g1.png"))  # fmt: skip
    state, camera = json.loads(text)["streams"]
    assert status == 0
    assert (state["samples"], state["features"], state["valid"], state["stamped"]) == (221, 26, 74, False)
    assert (camera["samples"], camera["items"]) == (221, 8)
