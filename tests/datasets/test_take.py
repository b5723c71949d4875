"""Samples at steps of any episodes, against the samples of every episode one after the other."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import robocache.datasets as rd
from robocache.datasets.lerobot import write_lerobot
from robocache.datasets.rlds import write_rlds
from robocache.errors import ArgumentError, DataError, DTypeError, PositionError
from tests.datasets import made, toy

LENGTHS = (3, 1, 7, 5, 2, 40)
FORMATS = ("rlds", "rlds, nothing kept", "array_record", "lerobot", "lerobot v2.1", "robomimic")


def recordings() -> list[rd.Episode]:
    """Episodes whose every sample is another."""
    rng = np.random.default_rng(0)
    return [
        rd.Episode.from_arrays(
            k,
            {
                "state": rng.normal(size=(n, 7)).astype(np.float32),
                "exact": rng.normal(size=(n, 2, 3)),
                "count": rng.integers(-(2**62), 2**62, n),
                "gripper": rng.random(n) < 0.5,
                "wide": rng.normal(size=(n, 1500)).astype(np.float32),
                "camera": rng.integers(0, 255, (n, 8, 6, 3)).astype(np.uint8),
                "said": np.array([f"{k}: {i}" for i in range(n)], object),
            },
            rate=10,
        )
        for k, n in enumerate(LENGTHS)
    ]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same in several formats, and what else is at hand."""
    root = tmp_path_factory.mktemp("take")
    found = {"rlds": write_rlds(recordings(), root, name="arm", shard_bytes=40_000)}
    found["rlds, nothing kept"] = found["rlds"]
    found["lerobot"] = write_lerobot(recordings(), root / "lerobot", fps=10, video=False, data_mb=0.05)
    found["lerobot v2.1"] = Path(__file__).parent / "lerobot" / "lerobot_v21_small"
    found["robomimic"] = made.robomimic(root / "demo.hdf5", LENGTHS)
    return found


@pytest.fixture
def opened(request: pytest.FixtureRequest, folders: dict[str, Path]) -> rd.Dataset:
    """One of them."""
    if request.param == "rlds, nothing kept":
        return rd.open_dataset(folders[request.param], cache_bytes=2)
    if request.param == "array_record":
        pytest.importorskip("array_record")
        from benchmarks.dataset_access import as_array_record

        target = folders["rlds"].parent.parent / "again" / "1.0.0"
        return rd.open_dataset(target if target.exists() else as_array_record(folders["rlds"], target, "again"))
    return rd.open_dataset(folders[request.param])


def same(one: Any, other: Any) -> bool:
    """To the bit."""
    if object in (one.dtype, other.dtype):
        return bool(one.dtype == other.dtype and one.shape == other.shape and one.tolist() == other.tolist())
    return bool(one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes())


@pytest.mark.parametrize("opened", FORMATS, indirect=True)
def test_every_stream_of_every_format(opened: rd.Dataset) -> None:
    rng = np.random.default_rng(1)
    total = len(opened.index)
    asked = [rng.integers(0, total, 90), rng.integers(0, total, (5, 4)), np.arange(total), np.zeros((0, 3), np.int32)]
    asked += [np.uint8(min(total - 1, 200)), [total - 1, 0, 0]]
    with opened:
        for name in opened[0]:
            if opened[0][name].codec in ("av1", "h264"):
                continue  # its files are not there
            whole = np.concatenate([episode[name].read() for episode in opened if episode.length])
            for steps in asked:
                found = opened.take(name, steps)
                at = np.asarray(steps, np.int64)
                assert same(found, whole[at.ravel()].reshape(at.shape + whole.shape[1:])), (name, steps)
                if found.dtype != object:
                    found[...] = 1  # it is the caller's
            assert same(opened.take(name, np.arange(total)), whole)


@given(st.data())
def test_steps_of_any_shape_and_order(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    lengths = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=5).filter(any))
    total = sum(lengths)
    values = np.arange(total * 2.0).reshape(total, 2)
    parts = np.split(values, np.cumsum(lengths)[:-1])
    episodes = [toy.episode(k, toy.stream("x", part), length=len(part)) for k, part in enumerate(parts)]
    kept = data.draw(st.sets(st.integers(0, len(lengths))))
    whole = toy.dataset(Path(), episodes, columns=lambda name, k: parts[k] if k in kept else None)
    steps = data.draw(arrays(np.int64, array_shapes(max_dims=3, max_side=5), elements=st.integers(0, total - 1)))
    assert same(whole.take("x", steps), values[steps])


def test_a_split_counts_its_own_steps(folders: dict[str, Path]) -> None:
    with rd.open_dataset(folders["lerobot"]) as whole:
        order = [5, 0, 2]
        part = rd.Dataset(**{**vars(whole), "splits": {"some": order}}).split("some")
        steps = np.arange(len(part.index))
        for name in ("state", "said", "camera"):
            expected = np.concatenate([whole[k][name].read() for k in order])
            assert same(part.take(name, steps), expected)


def test_what_cannot_be_taken(tmp_path: Path) -> None:
    short = toy.episode("b", toy.stream("x", np.zeros((4, 2))), toy.stream("y", np.zeros(3)), length=4)
    other = toy.episode("c", toy.stream("x", np.zeros((2, 3))), length=2)
    data = toy.dataset(tmp_path, [short, other])
    with pytest.raises(PositionError, match="there are 6"):
        data.take("x", [0, 6])
    with pytest.raises(PositionError, match="there are 6"):
        data.take("x", -1)
    with pytest.raises(DTypeError, match="expected integers, got float64"):
        data.take("x", [0.0])
    with pytest.raises(DTypeError, match="expected integers, got bool"):
        data.take("x", [True])
    for steps in ([1], []):
        with pytest.raises(ArgumentError, match="no stream 'z'"):
            data.take("z", steps)
    with pytest.raises(ArgumentError, match="'y' has 3 samples in episode 'b', which are no steps"):
        data.take("y", 0)
    with pytest.raises(DataError, match=r"episode c, x: has samples of \(3,\) float64, and others before it \(2,\)"):
        data.take("x", [0, 5])
    assert data.take("x", [5, 4]).shape == (2, 3)


def test_a_damaged_record_is_found_though_its_steps_were_counted(tmp_path: Path) -> None:
    path = write_rlds(recordings()[:3], tmp_path, name="arm")
    shard = next(path.glob("*.tfrecord*"))
    content = bytearray(shard.read_bytes())
    content[-200] ^= 1  # in the last record, which the count of steps does not check
    shard.write_bytes(content)
    with rd.open_dataset(path) as data:
        assert len(data.index) == sum(LENGTHS[:3])
        assert data.take("state", [0, 1]).shape == (2, 7)
        for _ in range(2):
            with pytest.raises(DataError, match="does not match its checksum") as caught:
                data.take("state", [0, len(data.index) - 1])
            assert caught.value.episode == "train/2"
    with rd.open_dataset(path, verify=False) as data:
        assert data.take("state", [len(data.index) - 1]).shape == (1, 7)
