"""`rtx.DataLoader` and `calvin.DataLoader`: which streams, what was said at each anchor, which actions are real."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import robocache as rc
import robocache.datasets as rd
from robocache.datasets import calvin, lerobot, rtx
from robocache.datasets.rlds import write_rlds
from robocache.errors import ArgumentError, DataError
from robocache.loaders.lerobot_view import from_lerobot

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "datasets"))
import made  # noqa: E402

LENGTHS = (5, 4)
SAID = (["go", "go", "", "stop", "stop"], ["", "", "", "turn"])
ENDS = ((False, True), (False, False))  # of the last two steps of each episode: is_terminal


def episode(k: int) -> rd.Episode:
    rng, n = np.random.default_rng(k), LENGTHS[k]
    return rd.Episode.from_arrays(
        k,
        {
            "observation/state": rng.normal(size=(n, 3)).astype(np.float32),
            "observation/image": rng.integers(0, 255, (n, 6, 5, 3)).astype(np.uint8),
            "observation/note": np.array(["seen"] * n),
            "action/world": rng.normal(size=(n, 2)).astype(np.float32),
            "reward": np.zeros(n, np.float32),
            "is_last": np.arange(n) == n - 1,
            "is_terminal": np.array([False] * (n - 2) + list(ENDS[k])),
            "language_instruction": np.array(SAID[k]),
        },
        rate=5,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset whose last actions the registry doubts, and one of which nothing is known."""
    top = tmp_path_factory.mktemp("oxe")
    for name in ("fractal20220817_data", "made"):
        write_rlds({"train": map(episode, (0, 1)), "val": map(episode, (1,))}, top, name=name)
    return top


def windows(loader: Any) -> dict[int, Any]:
    """Copies of all samples, by anchor."""
    with loader:
        return {
            int(anchor): {
                "said": None if batch.language is None else batch.language[i],
                "real": batch.valid["action/world"][i].tolist(),
                "action": batch["action/world"][i].copy(),
            }
            for batch in loader
            for i, anchor in enumerate(batch.anchor)
        }


def test_streams_language_and_splits(folder: Path) -> None:
    with rtx.DataLoader(folder / "made", batch_size=4, n_obs=2, n_act=3, resize=(4, 4), drop_last=False) as loader:
        assert set(loader.shapes) == {"observation/state", "observation/image", "language", "action/world"}
        assert loader.shapes["observation/image"] == ((4, 2, 4, 4, 3), np.uint8)
        assert loader.shapes["language"][0] == (4,)
        assert set(loader.left_out) == {
            "observation/note", "reward", "is_first", "is_last", "is_terminal", "language_instruction",
        }  # fmt: skip
        assert "language" in loader.left_out["language_instruction"]
        for batch in loader:
            assert batch["language"] is batch.language
            assert list(batch)[-1] == "language"
            assert len(batch) == 4
            assert batch.numpy()["language"] == batch.language
            assert "language" in repr(batch)
            assert "language/valid" not in batch.numpy(valid=True)
    found = windows(rtx.DataLoader(folder / "made", batch_size=4, drop_last=False))
    assert [found[k]["said"] for k in range(9)] == SAID[0] + SAID[1]
    assert len(windows(rtx.DataLoader(folder / "made", batch_size=4, split="val", drop_last=False))) == 4
    assert len(windows(rtx.DataLoader(folder / "made", batch_size=4, split=None, drop_last=False))) == 13
    silent = rtx.DataLoader(folder / "made", batch_size=4, language=None)
    assert windows(silent).popitem()[1]["said"] is None
    with pytest.raises(ArgumentError, match="'test'"):
        rtx.DataLoader(folder / "made", batch_size=4, split="test")


def test_only_what_has_an_instruction(folder: Path) -> None:
    given: dict[str, Any] = {"batch_size": 2, "drop_last": False, "language": "only"}
    assert sorted(windows(rtx.DataLoader(folder / "made", **given))) == [0, 1, 3, 4, 8]
    strided = windows(rtx.DataLoader(folder / "made", **given, stride=2, n_act=2))
    assert sorted(strided) == [0, 4]  # of the anchors 0, 2, 4 and 5, 7
    inside = windows(rtx.DataLoader(folder / "made", **given, n_obs=2, pad_before=0))
    assert sorted(inside) == [1, 3, 4, 8]
    for more in ({"mode": "episodes"}, {"keep": [[0]]}):
        with pytest.raises(ArgumentError, match="language='only'"):
            rtx.DataLoader(folder / "made", **given, **more)
    with pytest.raises(ArgumentError, match="language"):
        rtx.DataLoader(folder / "made", batch_size=2, language="some")


def test_last_actions_that_mean_nothing(folder: Path) -> None:
    given: dict[str, Any] = {"batch_size": 3, "n_act": 2, "drop_last": False}
    doubted = windows(rtx.DataLoader("fractal20220817_data", data_dir=folder, **given))
    taken = windows(rtx.DataLoader("made", data_dir=f"{folder}/", **given))
    values = np.concatenate([episode(k)["action/world"].read() for k in (0, 1)])
    for anchor in range(9):
        end = 5 if anchor < 5 else 9
        real = [anchor + k < end for k in range(2)]
        assert taken[anchor]["real"] == real
        assert doubted[anchor]["real"] == [one and anchor + k != 8 for k, one in enumerate(real)]  # 4 is terminal
        for found in (taken, doubted):
            assert (found[anchor]["action"] == values[np.minimum([anchor, anchor + 1], end - 1)]).all()


def test_mixtures_and_who_closes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[str] = []
    close = rd.Dataset.close
    monkeypatch.setattr(rd.Dataset, "close", lambda self: (closed.append(self.name), close(self))[1])
    names = ["made", "fractal20220817_data"]
    with rtx.DataLoader(names, data_dir=folder, weights=[1, 2], batch_size=3, epoch_size=9) as loader:
        batches = list(loader)
        assert np.bincount(np.concatenate([batch.source for batch in batches])).tolist() == [3, 6]
        assert {len(set(batch.source)) for batch in batches} == {2}  # both in one batch
        said = SAID[0] + SAID[1]
        assert all(batch.language == [said[anchor] for anchor in batch.anchor] for batch in batches)
    assert sorted(closed) == sorted(names)
    dataset = rd.open_dataset(folder / "made", split="val")
    rtx.DataLoader(dataset, batch_size=2).close()
    assert len(closed) == 2
    with pytest.raises(ArgumentError, match="'nothing'"):
        rtx.DataLoader(folder / "made", batch_size=2, obs=["nothing"])
    assert closed[2:] == ["made"]
    with pytest.raises(DataError, match="nothing"):
        rtx.DataLoader("absent", data_dir=folder, batch_size=2)
    with pytest.raises(ArgumentError, match="empty list"):
        rtx.DataLoader([], batch_size=2)


def test_names_that_are_chosen(folder: Path) -> None:
    given: dict[str, Any] = {"batch_size": 2, "obs": {"joints": "observation/state"}, "action": "reward"}
    with rtx.DataLoader(folder / "made", **given) as loader:
        assert list(next(iter(loader))) == ["joints", "reward", "language"]
    with rc.DataLoader(folder / "made", batch_size=2, obs=["language"], action=["action/world"]) as loader:
        assert next(iter(loader)).language is not None
    with rc.DataLoader(folder / "made", batch_size=2) as loader:
        assert "name it in obs=" in loader.left_out["language"]
        assert next(iter(loader)).language is None
    with rc.DataLoader(folder / "made", batch_size=2, mode="episodes", obs=["language", "reward"]) as loader:
        for batch in loader:  # episodes of train and val, each by what holds at its first step
            assert batch.language == [["go", "", ""][number] for number in batch.episode]
    for options in ({"images": {"language": rc.ImageOptions()}}, {"normalize": {"language": {}}}):
        with pytest.raises(ArgumentError, match="is text, which has no options"):
            rc.DataLoader(folder / "made", batch_size=2, obs=["language"], **options)


def test_text_that_a_source_cannot_give() -> None:
    from loaders.arrays import numbers

    source = numbers(0, [4])
    source.streams["note"] = rd.StreamSpec("note", "text", (), np.dtype(object))
    with pytest.raises(ArgumentError, match="has no method texts"):
        rc.DataLoader(source, batch_size=2, obs=["note"])


def test_calvin(tmp_path: Path) -> None:
    path = made.calvin(tmp_path, windows=((54, 56), (56, 57), (100, 101)))
    with calvin.DataLoader(path, batch_size=3, n_act=2, drop_last=False) as loader:
        assert set(loader.left_out) == {"actions", "scene_obs"}
        said, seen = {}, 0
        for batch in loader:
            seen += batch.size
            said |= dict(zip(batch.anchor.tolist(), batch.language, strict=True))
            with np.load(path / "training" / "episode_0000100.npz") as frame:
                for i in np.flatnonzero(batch.anchor == 6):
                    assert (batch["rel_actions"][i, 0] == frame["rel_actions"]).all()
                    assert (batch["rgb_static"][i, 0] == frame["rgb_static"]).all()
    drawer = [f"open the drawer {i}" for i in range(3)]
    # Frames 53 to 58 and 100 to 103; where two windows hold, the last of the file.
    spoken = ["", drawer[0], drawer[0], drawer[1], drawer[1], "", drawer[2], drawer[2], "", ""]
    assert [said[k] for k in range(10)] == spoken
    assert seen == 10
    with calvin.DataLoader(path, batch_size=2, language="only", resize=(6, 6), drop_last=False) as loader:
        assert sorted(k for batch in loader for k in batch.anchor) == [1, 2, 3, 4, 6, 7]
        assert loader.shapes["rgb_static"][0] == (2, 1, 6, 6, 3)
        assert loader.shapes["rgb_tactile"][0] == (2, 1, 16, 12, 6)  # no picture that Pillow resizes
    with calvin.DataLoader(path, batch_size=3, split="validation", action="actions") as loader:
        assert len(loader) == 1
        assert "actions" in loader.shapes
    with pytest.raises(ArgumentError, match="no window with an instruction"):
        calvin.DataLoader(path, batch_size=2, language="only", annotations="lang_elsewhere")


def test_the_names_are_found_late() -> None:
    program = (
        "import sys\nfrom robocache.datasets import calvin, lerobot, rtx\n"
        "assert not [m for m in sys.modules if m.startswith('robocache.loaders')]\n"
        "rtx.DataLoader\nassert 'robocache.loaders.formats' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], cwd=HERE.parents[1], check=True)
    assert lerobot.DataLoader.__func__ is from_lerobot
    for module in (rtx, calvin, lerobot):
        with pytest.raises(AttributeError, match="has no attribute 'Loader'"):
            module.Loader  # noqa: B018


def test_what_bridge_says() -> None:
    data = Path(os.environ.get("ROBOCACHE_DATA") or HERE.parents[1].parent / "shared" / "data")
    path = data / "bridge_v2_rlds_debug"
    if not path.exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    dataset = rd.open_dataset(path)
    wanted = [next((s.text for s in e.language if s.start <= 0 < s.stop), "") for e in dataset]
    with rtx.DataLoader(path, batch_size=25, mode="episodes", shuffle=False, obs=["observation/state"]) as loader:
        batch = next(iter(loader))
        assert batch.language == wanted
        last = batch.offsets[1:] - 1
        gone = np.zeros(int(batch.offsets[-1]), bool)
        gone[last] = [bool(e["is_last"].read(-1)) and not e["is_terminal"].read(-1) for e in dataset]
        assert (batch.valid["action"] == ~gone).all()
