"""ReplayBuffer groups of Zarr: what is written is what the store holds, and what comes from strangers is refused."""

import json
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache import store
from robocache.errors import ArgumentError, BackendError, DataError, DTypeError, PositionError, ShapeError
from tests.datasets import toy

zarr = pytest.importorskip("zarr")
LENGTHS = (4, 0, 6, 3)


@pytest.fixture
def cached(source: Any, tmp_path: Path) -> store.Store:
    rng = np.random.default_rng(0)
    episodes = []
    for k, n in enumerate(LENGTHS):
        values = {"state": rng.normal(size=(n, 5)), "obs/grip": rng.random(n) < 0.5, "half": np.ones((n, 2), "f2"),
                  "eye": rng.integers(0, 256, (n, 6, 7, 3), np.uint8)}  # fmt: skip
        streams = [toy.stream(m, v, rate=10, kind="image" if m == "eye" else "vector") for m, v in values.items()]
        words = toy.stream("words", np.array(["x"] * n, object), rate=10, kind="text")
        episodes.append(toy.episode(k, *streams, words, length=n))
    store.convert(source(episodes), tmp_path / "out", shard=500)
    return store.open_store(tmp_path / "out")


@pytest.mark.parametrize("zarr_format", [2, 3])
@pytest.mark.parametrize("compress", [False, True])
def test_there_and_back(cached: store.Store, tmp_path: Path, zarr_format: int, compress: bool) -> None:
    path = tmp_path / "replay.zarr"
    assert cached.export_zarr(path, zarr_format=zarr_format, compress=compress) == ["words"]
    # As its own readers see it: data/<key> and the ends of episodes.
    group = zarr.open_group(str(path), mode="r")
    assert group.metadata.zarr_format == zarr_format
    assert group["meta/episode_ends"][:].tolist() == np.cumsum(LENGTHS).tolist()
    every = np.arange(sum(LENGTHS))
    assert np.array_equal(group["data/state"][:], cached.gather("state", every))
    with_rate = store.ZarrSource(path, rate=10)
    assert with_rate.rate == 10
    assert np.array_equal(with_rate.offsets, cached.offsets)
    assert {name: spec.shape for name, spec in with_rate.streams.items()} == {
        "state": (5,), "obs/grip": (), "half": (2,), "eye": (6, 7, 3),
    }  # fmt: skip
    rows = np.random.default_rng(1).integers(0, sum(LENGTHS), (5, 3))
    for name, spec in with_rate.streams.items():
        assert spec.dtype == cached.streams[name].dtype
        found = with_rate.gather(name, rows)
        assert np.array_equal(found, cached.gather(name, rows))
        out = np.empty_like(found)
        assert with_rate.gather(name, rows, out) is out
        assert np.array_equal(out, found)
        assert with_rate.gather(name, np.zeros((0, 2), int)).shape == (0, 2, *spec.shape)
    again = pickle.loads(pickle.dumps(with_rate))
    assert again.fingerprint == with_rate.fingerprint
    assert again.episode(3) == 3
    assert again.valid("state", rows) is None


def test_pictures_are_decoded(source: Any, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    pictures = np.random.default_rng(0).integers(0, 256, (3, 6, 7, 3), np.uint8)
    path = source([toy.episode(0, toy.stream("eye", pictures, rate=10, kind="image"), length=3)])
    store.convert(path, tmp_path / "out", images="png")
    store.export_zarr(store.open_store(tmp_path / "out"), tmp_path / "replay.zarr")
    assert np.array_equal(store.ZarrSource(tmp_path / "replay.zarr").gather("eye", np.arange(3)), pictures)


def test_wrong_calls(cached: store.Store, tmp_path: Path) -> None:
    path = tmp_path / "replay.zarr"
    with pytest.raises(ArgumentError, match="words"):
        cached.export_zarr(path, streams=["words"])
    with pytest.raises(ArgumentError, match="zarr_format"):
        cached.export_zarr(path, zarr_format=4)
    with pytest.raises(ArgumentError, match="not there"):
        cached.export_zarr(tmp_path)
    assert not path.exists()
    cached.export_zarr(path)
    group = store.ZarrSource(path)
    with pytest.raises(PositionError):
        group.gather("state", np.array([13]))
    with pytest.raises(PositionError):
        group.gather("state", np.array([-1]))
    with pytest.raises(PositionError):
        group.episode(4)
    with pytest.raises(ArgumentError, match="'no'"):
        group.gather("no", np.arange(2))
    with pytest.raises(ArgumentError, match="plain numbers"):
        group.encoded("state", np.arange(2))
    with pytest.raises(DTypeError):
        group.gather("state", np.arange(2.0))
    with pytest.raises(DTypeError):
        group.gather("state", np.arange(2), np.empty((2, 5), "f4"))
    with pytest.raises(ShapeError):
        group.gather("state", np.arange(2), np.empty((3, 5)))
    with pytest.raises(ArgumentError, match="rate"):
        store.ZarrSource(path, rate=0)


def test_groups_that_are_none(cached: store.Store, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such folder"):
        store.ZarrSource(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no group"):
        store.ZarrSource(tmp_path / "empty")
    path = tmp_path / "replay.zarr"
    cached.export_zarr(path, zarr_format=2)
    for ends in ([4, 3, 10, 13], [4, 4, 10, 12], [4, 4, 10, 14], [-1, 4, 10, 13]):
        zarr.open_group(str(path), mode="r+")["meta/episode_ends"][:] = ends
        with pytest.raises(DataError, match=r"episode_ends go back|steps"):
            store.ZarrSource(path)


def test_pickles_are_refused(cached: store.Store, tmp_path: Path) -> None:
    path = tmp_path / "replay.zarr"
    cached.export_zarr(path, zarr_format=2, streams=["state"])
    file = path / "data" / "state" / ".zarray"
    told = json.loads(file.read_text())
    for key, value in (("filters", [{"id": "pickle", "protocol": 5}]), ("compressor", {"id": "Pickle"})):
        file.write_text(json.dumps(told | {key: value}))
        with pytest.raises(DataError, match="run code") as caught:
            store.ZarrSource(path)
        assert caught.value.file == str(file)
    file.write_text("[" * 10**5)
    with pytest.raises(DataError, match="no metadata"):
        store.ZarrSource(path)


def test_a_pickle_may_be_spoken_of(cached: store.Store, tmp_path: Path) -> None:
    path = tmp_path / "replay.zarr"
    cached.export_zarr(path, streams=["state"])
    zarr.open_group(str(path), mode="r+").attrs["task"] = {"name": "put the pickle into the pot"}
    assert list(store.ZarrSource(path).streams) == ["state"]
    file = path / "data" / "state" / "zarr.json"
    told = json.loads(file.read_text())
    told["codecs"].append({"name": "numcodecs.pickle", "configuration": {}})
    file.write_text(json.dumps(told))
    with pytest.raises(DataError, match="run code"):
        store.ZarrSource(path)


def test_without_zarr(cached: store.Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    with pytest.raises(BackendError, match=r"robocache\[zarr\]"):
        cached.export_zarr(tmp_path / "replay.zarr")
