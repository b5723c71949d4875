"""`DataLoader.from_lerobot`: the items of LeRobot itself, bit for bit."""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaders.lerobot_items import SMALL, VIDEOS, equal, frames_of, item, made, open_view

import robocache as rc
import robocache.datasets as rd
from robocache.errors import ArgumentError
from robocache.loaders.frames import FrameItems, FrameLoader
from robocache.loaders.sampler import Picked

FIXTURES = Path(os.environ.get("ROBOCACHE_DATA") or SMALL.parents[2].parent / "shared" / "data").parent / "fixtures"
REFERENCE = json.loads((SMALL / "reference.json").read_text("utf-8"))
LENGTHS = (14, 9, 21, 6)
DELTAS = {
    "action": [0.0, 0.1, 0.2, 0.9],
    "observation.state": [-0.3, 0.0],
    "observation.images.front": [-0.2, 0.0, 0.1],
    "observation.images.wrist": [-0.1],
    "observation.images.still": [0.1],
    "next.done": [2.5],
}

pytest.importorskip("pyarrow")
pytest.importorskip("av")


@pytest.fixture(params=["lerobot_v21_small", "lerobot_v30_small"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def indices(loader: Any) -> list[int]:
    with loader:
        return [int(one) for batch in loader for one in batch["index"]]


def test_every_value_is_that_of_lerobot(name: str) -> None:
    with open_view(SMALL / name, batch_size=7, image_dtype="uint8") as loader:
        batches = [batch.numpy() for batch in loader]
    assert set(batches[0]) == set(REFERENCE[name])
    for key, want in REFERENCE[name].items():
        if key == "task":
            assert [text for batch in batches for text in batch[key]] == want
            continue
        found = np.concatenate([batch[key] for batch in batches])
        assert (found.dtype.name, list(found.shape)) == (want["dtype"], want["shape"]), key
        assert hashlib.sha256(found.tobytes()).hexdigest() == want["sha256"], key


@pytest.mark.parametrize("deltas", [None, DELTAS], ids=["frames", "deltas"])
def test_batches_are_what_torch_collates_of_the_items(name: str, deltas: Any) -> None:
    pytest.importorskip("torch")
    path = FIXTURES / name / "reference_items.npz"
    if not path.exists():
        pytest.skip(f"no fixtures at {path}; set ROBOCACHE_DATA")
    with np.load(path) as stored:
        reference = {key: stored[key] for key in stored.files}
    frames = {key: frames_of(given, 10, 1e-4) for key, given in (deltas or {}).items()}
    seen = 0
    with open_view(FIXTURES / name, delta_timestamps=deltas, shuffle=True, seed=3, threads=2) as loader:
        for batch in loader:
            equal(batch.to_torch(), [item(reference, VIDEOS, frames, i) for i in batch.item.tolist()])
            assert batch["index"].tolist() == batch.anchor.tolist() == batch.item.tolist()
            seen += batch.size
    assert seen == 50


@given(st.lists(st.lists(st.integers(0, 7), min_size=1, max_size=4).filter(any), min_size=1, max_size=3),
       st.lists(st.integers(-9, 9), min_size=1, max_size=4), st.integers(0, 9))  # fmt: skip
def test_frames_never_leave_their_episode(many: Any, deltas: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    offsets = [np.concatenate([[0], np.cumsum(one)]) for one in many]
    table = np.stack([np.array(deltas) * (k + 1) for k in range(len(many))])  # sources may differ in their rates
    items = FrameItems(offsets, {"a": table, "b": table[:, :1]}, ["b"])
    assert items.sizes == [sum(one) for one in many]
    source = rng.integers(0, len(many), 20).astype(np.int32)
    chosen = np.array([rng.integers(0, items.sizes[k]) for k in source])
    found = items.select(Picked(source, chosen))
    assert found.index["a"].shape == (20, len(deltas))
    assert found.index["b"].shape == (20,)
    for i, (k, step) in enumerate(zip(source, chosen, strict=True)):
        owner = [(e, s) for e, n in enumerate(many[k]) for s in range(n)]
        episode, at = owner[step]
        for j, delta in enumerate(deltas):
            target = at + delta * (k + 1)
            inside = 0 <= target < many[k][episode]
            want = owner.index((episode, min(max(target, 0), many[k][episode] - 1)))
            assert (found.index["a"][i, j], found.made["a_is_pad"][i, j]) == (want, not inside)
            assert found.valid["a"][i, j] == inside
        assert found.episode[i] == episode
        assert found.index["b"][i] == found.index["a"][i, 0]
        assert found.made["b_is_pad"][i].tolist() == [found.made["a_is_pad"][i, 0]]


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=3), st.sampled_from([5, 10, 30, 50, 29.97]),
       st.lists(st.integers(-20, 20), max_size=3), st.sampled_from([1e-4, 1e-7, 0.02]))  # fmt: skip
def test_deltas_are_taken_and_refused_as_in_lerobot(wild: Any, fps: float, exact: Any, tolerance: float) -> None:
    from robocache.loaders.lerobot_view import _frames

    source = made(0, [3])
    source.fps = fps
    for seconds in (wild, [one / fps for one in exact] or [0.0], [wild[0], 1 / fps]):
        want = frames_of(seconds, fps, tolerance)
        if want is None:
            with pytest.raises(ArgumentError, match="no multiples of 1/fps"):
                _frames({"action": seconds}, [source], tolerance)
        else:
            assert _frames({"action": seconds}, [source], tolerance)["action"].tolist() == [want]


def test_a_delta_within_tolerance_is_rounded(name: str) -> None:
    streams = ["action", "index"]
    with open_view(SMALL / name, delta_timestamps={"action": [0.10005, -0.2]}, streams=streams) as loader:
        near = [batch["action"].copy() for batch in loader]
        assert list(loader.shapes) == ["action", "index", "action_is_pad"]
    with open_view(SMALL / name, delta_timestamps={"action": [0.1, -0.2]}, streams=streams) as loader:
        assert all((batch["action"] == want).all() for batch, want in zip(loader, near, strict=True))


def test_some_episodes_and_fewer_frames(name: str) -> None:
    path, first = SMALL / name, np.concatenate([[0], np.cumsum(LENGTHS)])
    chosen = [*range(14, 23), *range(44, 50)]
    assert indices(open_view(path, episodes=[3, 1], streams=["index"])) == chosen
    dropped = [i for e, n in enumerate(LENGTHS) for i in range(first[e], first[e] + max(0, n - 7))]
    assert indices(open_view(path, drop_n_last_frames=7, streams=["index"])) == dropped
    both = indices(open_view(path, episodes=[2], drop_n_last_frames=20, streams=["index"]))
    assert both == [23]
    assert indices(open_view(path, keep=[[5, 7]], streams=["index"])) == [5, 7]
    deltas = {"index": [-1.0, 1.0]}  # of a chosen episode, all frames are there, and none of the others
    with open_view(path, episodes=[1], streams=["index"], delta_timestamps=deltas) as loader:
        found = np.concatenate([batch["index"] for batch in loader])
    assert found.tolist() == [[14, 22]] * 9
    for wrong, message in (([7], "not in lerobot"), ([1, 1], "twice"), ([-1], "integer from 0"), (["1"], "integer")):
        with pytest.raises(ArgumentError, match=message):
            open_view(path, episodes=wrong)
    with pytest.raises(ArgumentError, match="keep: give either"):
        open_view(path, episodes=[1], keep=[[0]])


def test_pictures_as_bytes_or_scaled_otherwise() -> None:
    path = SMALL / "lerobot_v30_small"
    small = rc.ImageOptions(resize=(16, 16), layout="chw", dtype="float32")
    with open_view(path, image_dtype="uint8") as bytes_, open_view(path) as floats:
        assert bytes_.memory.slot < floats.memory.slot / 3
        for raw, one in zip(bytes_, floats, strict=True):
            for key in (*VIDEOS, "observation.images.still"):
                assert raw[key].dtype == np.uint8
                assert (one[key] == raw[key].astype(np.float32) / np.float32(255)).all()
    with open_view(path, images={"observation.images.front": small}) as loader:
        batch = next(iter(loader))
        assert batch["observation.images.front"].shape == (8, 3, 16, 16)
        assert batch["observation.images.wrist"].shape == (8, 3, 64, 64)
    with pytest.raises(ArgumentError, match=r"'action'.* are no pictures"):
        open_view(path, images={"action": small})
    with pytest.raises(ArgumentError, match="float64"):
        open_view(path, image_dtype="float64")


def test_a_loop_of_tensors_alone() -> None:
    torch = pytest.importorskip("torch")
    with open_view(SMALL / "lerobot_v30_small", tensors=True, streams=["action", "task"], batch_size=25) as loader:
        for _ in range(2):
            batches = list(loader)
            assert [type(batch) for batch in batches] == [dict, dict]
            assert all(isinstance(batch["action"], torch.Tensor) and len(batch["task"]) == 25 for batch in batches)


def test_several_datasets_and_resuming(name: str) -> None:
    given = {"delta_timestamps": {"action": [0.0, 0.1]}, "streams": ["action", "index", "task"], "shuffle": True}
    paths = [SMALL / name, SMALL / "lerobot_v30_small"]
    with open_view(paths, weights=[1, 3], epoch_size=40, **given) as loader:
        found = [(batch.source.tolist(), batch.item.tolist(), batch["action"].tolist()) for batch in loader]
        assert np.bincount(np.concatenate([one[0] for one in found])).tolist() == [10, 30]
        for k, batch in enumerate(loader):
            if k == 2:
                state = json.loads(json.dumps(loader.state_dict()))
                wanted = next(iter(loader))["action"].tolist()
                break
            del batch
    with open_view(paths, weights=[1, 3], epoch_size=40, **given) as again:
        again.load_state_dict(state)
        assert next(iter(again))["action"].tolist() == wanted
    with (
        open_view(paths, weights=[1, 3], epoch_size=40, **given | {"delta_timestamps": {}}) as other,
        pytest.raises(ArgumentError, match="state is of items"),
    ):
        other.load_state_dict(state)
    with pytest.raises(ArgumentError, match="episodes: of several"):
        open_view(paths, episodes=[0])


def test_who_closes_what(monkeypatch: pytest.MonkeyPatch) -> None:
    closed: list[Any] = []
    close = rd.Dataset.close
    monkeypatch.setattr(rd.Dataset, "close", lambda self: (closed.append(self), close(self))[1])
    with rd.open_dataset(SMALL / "lerobot_v30_small") as dataset:
        with open_view(dataset, streams=["index"]) as loader:
            assert sum(batch.size for batch in loader) == 50
        assert not closed
        open_view(SMALL / "lerobot_v21_small", streams=["index"]).close()
        assert len(closed) == 1
        with pytest.raises(ArgumentError):
            open_view(SMALL / "lerobot_v21_small", streams=["nothing"])
        assert len(closed) == 2


def test_frames_in_memory_are_items_too() -> None:
    pytest.importorskip("torch")
    deltas = {"observation.front": [-1], "observation.still": [0, 3], "action": [-2, 0, 2]}
    table = {key: np.array([one]) for key, one in deltas.items()}
    source = made(0, [7, 4, 5])
    reference = {
        key: values.transpose(0, 3, 1, 2) if values.ndim == 4 else values for key, values in source.values.items()
    }
    reference |= {"episode_index": np.repeat([0, 1, 2], [7, 4, 5]), "task": source.texts("task", np.arange(16))}
    with FrameLoader([source], table, [], "float32", False, batch_size=5, drop_last=False) as loader:
        for batch in loader:
            found = batch.to_torch()
            wanted = [item(reference, source.videos, deltas, i) for i in batch.item.tolist()]
            equal(found, [{key: value for key, value in one.items() if key != "episode_index"} for one in wanted])
