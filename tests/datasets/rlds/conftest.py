"""Where the datasets of these tests come from, and what two readings of one are compared by."""

import os
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import robocache.datasets as rd
from robocache.datasets.rlds import write_rlds
from robocache.errors import DataError

HERE = Path(__file__).resolve().parent
DATA = Path(os.environ.get("ROBOCACHE_DATA") or HERE.parents[2].parent / "shared" / "data")


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The split val of the fixture that TFDS wrote, in three containers, with what TFDS reads; it runs anywhere."""
    folder = tmp_path_factory.mktemp("rlds") / "small"
    with zipfile.ZipFile(HERE / "small.zip") as packed:
        packed.extractall(folder)
    return folder


@pytest.fixture(scope="session")
def whole():
    """The same fixture with all splits."""
    folder = DATA.parent / "fixtures" / "rlds_small"
    if not folder.exists():
        pytest.skip(f"no fixtures at {folder}; set ROBOCACHE_DATA")
    return folder


@pytest.fixture(scope="session")
def bridge():
    """25 episodes of BridgeData V2."""
    folder = DATA / "bridge_v2_rlds_debug"
    if not folder.exists():
        pytest.skip(f"no recording at {folder}; set ROBOCACHE_DATA")
    return folder


def canon(value):
    """A value as something that compares equal only if every bit does."""
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.name, value.shape, value.tobytes()
    if isinstance(value, (np.ndarray, list, tuple)):
        return [canon(part) for part in value]
    return (type(value).__name__, value.tobytes()) if isinstance(value, np.generic) else value


def everything(dataset):
    """All values of a dataset by (episode, name), and all errors over bad data by the same."""
    values, errors = {}, {}

    def take(key, read):
        try:
            values[key] = canon(read())
        except DataError as error:
            errors[key] = error

    for at in range(len(dataset)):
        try:
            episode = dataset[at]
        except DataError as error:
            errors[at] = error
            continue
        for name, stream in episode.items():
            take((episode.id, name), stream.read)
        for name in episode.meta:
            take((episode.id, "meta", name), lambda name=name, meta=episode.meta: meta[name])
        take((episode.id, "language"), lambda episode=episode: list(episode.language))
    return values, errors


@pytest.fixture(scope="session")
def tools():
    return SimpleNamespace(canon=canon, everything=everything)


@pytest.fixture
def made(tmp_path):
    """A small dataset of two episodes with every cheap kind of stream, and its episodes."""
    rng = np.random.default_rng(7)
    episodes = [
        rd.Episode.from_arrays(
            f"e{k}",
            {
                "observation/state": rng.normal(size=(4 + k, 3)).astype(np.float32),
                "observation/image": rng.integers(0, 255, (4 + k, 6, 5, 3)).astype(np.uint8),
                "action": rng.normal(size=(4 + k, 2)).astype(np.float32),
                "count": np.arange(4 + k) - 2,
                "language_instruction": np.array(["go", "go", "", "stop", "stop", "stop"][: 4 + k]),
            },
            rate=5,
            meta={"episode_metadata/path": f"/raw/{k}", "episode_metadata/success": bool(k)},
        )
        for k in range(2)
    ]
    return SimpleNamespace(path=write_rlds(episodes, tmp_path, name="made"), episodes=episodes)


@pytest.fixture
def split_up(made, tmp_path):
    """Five episodes in train, one a shard, and one in test."""
    episodes = [
        rd.Episode.from_arrays(k, {"number": np.full(3, k), "is_last": np.array([False, False, True])}, rate=4)
        for k in range(6)
    ]
    return write_rlds({"train": episodes[:5], "test": episodes[5:]}, tmp_path, name="split_up", shard_bytes=1)
