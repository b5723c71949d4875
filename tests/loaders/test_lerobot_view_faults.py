"""`DataLoader.from_lerobot`: deltas that cannot be, columns of any kind, and what is refused or left out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loaders.lerobot_items import SMALL, VIDEOS, open_view

import robocache as rc
import robocache.datasets as rd
from robocache.errors import ArgumentError, DataError
from robocache.loaders.lerobot_view import from_lerobot

pytest.importorskip("pyarrow")
pytest.importorskip("av")


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    def copy(version: str) -> Path:
        return Path(shutil.copytree(SMALL / f"lerobot_{version}_small", tmp_path / version))

    return copy


@pytest.mark.parametrize(
    "deltas, message",
    [
        ({"action": [0.0, 0.05]}, r"\[0.05\] are no multiples of 1/fps.*near them are \[0.0, 0.1\]"),
        ({"action": [0.1002]}, "tolerance_s=0.0001"),
        ({"actions": [0.0]}, "no such stream"),
        ({"task": [0.0]}, "no such stream"),
        ({"action": []}, "at least one"),
        ({"action": 0.1}, "at least one"),
        ({"action": [[0.1]]}, "is not a number"),
        ({"action": "0"}, "at least one"),
        ({"action": [float("nan")]}, "must be finite"),
        ({"action": [1e300]}, "no episode is as long"),
        ([0.1], "must map"),
    ],
)
def test_deltas_that_cannot_be(deltas: Any, message: str) -> None:
    with pytest.raises(ArgumentError, match=message):
        open_view(SMALL / "lerobot_v30_small", delta_timestamps=deltas)


def test_columns_of_any_width_and_of_text(tmp_path: Path) -> None:
    pa = pytest.importorskip("pyarrow")
    import pyarrow.parquet as pq

    folder = tmp_path / "wide"
    shutil.copytree(SMALL / "lerobot_v30_small", folder)
    kinds = {"tiny": "int8", "flags": "uint16", "half": "float16"}
    info = json.loads((folder / "meta" / "info.json").read_text())
    (file,) = sorted((folder / "data").rglob("*.parquet"))
    table = pq.read_table(file)
    rng = np.random.default_rng(0)
    made = {key: rng.integers(0, 100, 50).astype(kind) for key, kind in kinds.items()}
    for key, values in made.items():
        table = table.append_column(key, pa.array(values))
        info["features"][key] = {"dtype": kinds[key], "shape": [1], "names": None}
    said = [f"step {k}" for k in range(50)]
    table = table.append_column("note", pa.array(said))
    info["features"]["note"] = {"dtype": "string", "shape": [1], "names": None}
    pq.write_table(table, file)
    (folder / "meta" / "info.json").write_text(json.dumps(info))
    with open_view(folder, streams=["note", *kinds], batch_size=30, shuffle=True) as loader:
        for batch in loader:
            assert {key: batch[key].dtype.name for key in kinds} == {
                "tiny": "int64",
                "flags": "int64",
                "half": "float32",
            }
            for key, values in made.items():
                assert (batch[key] == values[batch.item]).all()
            assert batch["note"] == [said[k] for k in batch.item]


def test_depth_is_left_out_and_told(copied: Callable[[str], Path]) -> None:
    path = copied("v30")
    info = json.loads((path / "meta" / "info.json").read_text())
    info["features"][VIDEOS[1]] |= {"shape": [64, 64, 1], "info": {"is_depth_map": True}}
    (path / "meta" / "info.json").write_text(json.dumps(info))
    with open_view(path) as loader:
        assert set(loader.left_out) == {VIDEOS[1]}
        assert VIDEOS[1] not in loader.shapes
    with pytest.raises(ArgumentError, match="depth"):
        open_view(path, streams=[VIDEOS[1]])


def test_a_task_that_no_table_has(copied: Callable[[str], Path]) -> None:
    path = copied("v21")
    tasks = (path / "meta" / "tasks.jsonl").read_text().splitlines()
    (path / "meta" / "tasks.jsonl").write_text("\n".join(line for line in tasks if '"task_index": 1' not in line))
    with (
        open_view(path, streams=["action", "task"]) as loader,
        pytest.raises(DataError, match="task 1 is not in the table") as caught,
    ):
        list(loader)
    assert caught.value.episode == 1
    with open_view(path, streams=["action", "task"], on_error="skip") as loader:
        texts = [text for batch in loader for text in batch["task"]]
        skipped = loader.stats()["skipped"]
    assert set(texts) == {"pick up the red cube", "push the bowl"}
    assert len(texts) + skipped == 50
    assert skipped == 9 + 11  # all of episode 1, half of episode 2
    with open_view(path, streams=["action"]) as loader:  # nobody asked
        assert sum(batch.size for batch in loader) == 50


@pytest.mark.parametrize("option", ["n_obs", "n_act", "mode", "obs", "pad_after"])
def test_options_of_windows_are_refused(option: str) -> None:
    with pytest.raises(ArgumentError, match=f"{option}: the frames of LeRobot"):
        open_view(SMALL / "lerobot_v30_small", **{option: 1})


def test_other_formats_are_refused(tmp_path: Path) -> None:
    episode = rd.Episode.from_arrays(0, {"x": np.zeros(3)}, rate=10)
    dataset = rd.Dataset(
        format="toy", name="toy", path=tmp_path, episodes=[episode], splits={}, specs={}, lengths=lambda: [3],
        findings=lambda: iter(()),
    )  # fmt: skip
    with pytest.raises(ArgumentError, match="is of the format 'toy'"):
        open_view(dataset)
    with pytest.raises(ArgumentError, match="empty list"):
        open_view([])
    assert rc.DataLoader.from_lerobot.__func__ is from_lerobot  # type: ignore[attr-defined]


def test_text_alone_takes_no_memory(copied: Callable[[str], Path]) -> None:
    with open_view(copied("v30"), streams=["task"], batch_size=25) as loader:
        assert loader.left_out == {}
        texts = [text for batch in loader for text in batch["task"]]
        assert len(texts) == 50
        assert texts[-1] == "push the bowl"
