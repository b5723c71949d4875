"""``robocache convert``: what it prints, its exit status, and the formats it writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache import store
from robocache.cli.main import main
from robocache.datasets import open_dataset
from tests.store.comparing import same


def run(capsys: Any, *argv: Any) -> tuple[int, str, str]:
    """Exit status and what was printed."""
    status = main(["convert", *map(str, argv)])
    return status, *capsys.readouterr()


def test_text_and_json(demos: Path, tmp_path: Path, capsys: Any) -> None:
    out = tmp_path / "out"
    options = ["--rate", "40", "--streams", "actions,dones=nearest,obs/agentview_image", "--resize", "6x5"]
    status, text, _ = run(capsys, demos, out, *options, "--images", "png")
    assert status == 0
    assert "episodes   7" in text
    status, text, _ = run(capsys, demos, out, *options, "--images", "png", "--json")
    told = json.loads(text)
    assert (status, told["ok"], told["episodes"], told["failures"]) == (0, True, 7, [])
    opened = store.open_store(out, "full")
    assert opened.rate == 40
    assert opened.streams["obs/agentview_image"].shape == (6, 5, 3)
    assert told["steps"] == opened.offsets[-1]


def test_failures_are_exit_status_3(demos: Path, tmp_path: Path, capsys: Any) -> None:
    h5py = pytest.importorskip("h5py")
    with h5py.File(demos, "r+") as file:
        for k in (1, 3):
            del file[f"data/demo_{k}/rewards"]
    status, text, _ = run(capsys, demos, tmp_path / "out")
    assert status == 3
    assert "2 episodes were left out" in text
    assert "demo_3   ArgumentError" in text
    status, text, _ = run(capsys, demos, tmp_path / "out", "--json")
    assert (status, json.loads(text)["ok"]) == (3, False)
    status, _, text = run(capsys, demos, tmp_path / "out", "--on-error", "raise")
    assert status == 2
    assert "rewards" in text


@pytest.mark.parametrize(
    "wrong",
    [["--streams", "a,,b"], ["--streams", "a="], ["--streams", "a,a"], ["--resize", "6"], ["--resize", "6x-1"],
     ["--workers", "0"], ["--images", "gif"], ["--shard", "big"], ["--streams", "actions=linear"]],
)  # fmt: skip
def test_wrong_calls_are_exit_status_2(demos: Path, tmp_path: Path, capsys: Any, wrong: list[str]) -> None:
    status, _, text = run(capsys, demos, tmp_path / "out", *wrong)
    assert status == 2
    assert text.startswith("robocache convert: ")
    assert not (tmp_path / "out").exists()


def test_nothing_there(tmp_path: Path, capsys: Any) -> None:
    assert run(capsys, tmp_path / "none", tmp_path / "out")[0] == 2
    (tmp_path / "notes.txt").write_text("x")
    assert run(capsys, tmp_path / "notes.txt", tmp_path / "out")[0] == 2


@pytest.mark.parametrize("to", ["lerobot", "rlds"])
def test_other_formats(demos: Path, tmp_path: Path, capsys: Any, to: str) -> None:
    for module in ("pyarrow", "google_crc32c", "PIL", "simplejpeg"):
        pytest.importorskip(module)
    h5py = pytest.importorskip("h5py")
    with h5py.File(demos, "r+") as file:
        del file["data/demo_3/actions"]
        file["data/demo_3/actions"] = np.zeros((6, 3))
    names = "actions,obs/agentview_image,obs/object"
    extra = ["--images", "png"] if to == "lerobot" else []
    status, text, _ = run(capsys, demos, tmp_path / "out", "--to", to, "--streams", names, *extra, "--json")
    told = json.loads(text)
    assert (status, told["episodes"], [f["id"] for f in told["failures"]]) == (3, 6, ["demo_3"])
    assert (tmp_path / "out" / "failures.json").is_file()
    path = tmp_path / "out" if to == "lerobot" else tmp_path / "out" / "1.0.0"
    with open_dataset(path) as mine, open_dataset(demos) as source:
        kept = [episode for episode in source if episode.id != "demo_3"]
        assert len(mine) == len(kept)
        assert mine.control_hz == 20
        for found, episode in zip(mine, kept, strict=True):
            for name in names.split(","):
                theirs = name.replace("/", ".") if to == "lerobot" else name
                assert same(np.ascontiguousarray(found[theirs].read()), episode[name].read()), name
            assert [span.text for span in found.language] == [span.text for span in episode.language]
