"""A dataset at a URL has the very values that it has on disk, and of LeRobot and RLDS only what is asked for comes."""

import json
import os
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

fsspec = pytest.importorskip("fsspec")

import robocache.datasets as rd  # noqa: E402
from robocache.cli.main import main  # noqa: E402
from robocache.errors import ArgumentError, DataError  # noqa: E402
from tests.datasets import faulty, toy  # noqa: E402
from tests.datasets.faulty import Faulty  # noqa: E402

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import made  # noqa: E402


def lerobot(version):
    pytest.importorskip("pyarrow")
    pytest.importorskip("av")
    return HERE / "lerobot" / f"lerobot_{version}_small"


def rlds(folder, form="tfrecord"):
    with zipfile.ZipFile(HERE / "rlds" / "small.zip") as packed:
        packed.extractall(folder)
    return folder / form


def sharded(folder):
    """Four shards of two episodes each."""
    pytest.importorskip("google_crc32c")
    from robocache.datasets.rlds import write_rlds

    rng = np.random.default_rng(0)
    episodes = [rd.Episode.from_arrays(k, {"state": rng.normal(size=(5, 300))}, rate=5) for k in range(8)]
    return write_rlds(episodes, folder, name="walks", shard_bytes=20_000)


@pytest.fixture
def served():
    """Puts a folder or file where a URL finds it."""
    faulty.register()

    def serve(path):
        files = [path] if path.is_file() else [p for p in path.rglob("*") if p.is_file()]
        Faulty().put_all({(p.name if p == path else p.relative_to(path).as_posix()): p.read_bytes() for p in files})
        return f"faulty://set/{path.name}" if path.is_file() else "faulty://set"

    return serve


@pytest.fixture
def memory():
    """Puts a folder or file into the memory filesystem."""
    system = fsspec.filesystem("memory")

    def serve(path):
        system.put(str(path), f"/remote-test/{path.name}", recursive=path.is_dir())
        return f"memory://remote-test/{path.name}"

    yield serve
    if system.exists("/remote-test"):
        system.rm("/remote-test", recursive=True)


def canon(value):
    if isinstance(value, np.ndarray) and value.dtype != object:
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, np.ndarray | list | tuple):
        return [canon(part) for part in value]
    return value


def everything(dataset):
    """All that an opened dataset gives, comparable to the bit."""
    values = {"splits": {name: list(part) for name, part in dataset.splits.items()}, "name": dataset.name}
    values |= {"format": dataset.format, "lengths": np.asarray(dataset.lengths()).tolist()}
    for episode in dataset:
        values[episode.id, "language"] = list(episode.language)
        for name, stream in episode.items():
            values[episode.id, name] = (stream.spec, canon(stream.read()))
    return values


def local_files(cache):
    return {p.name for p in cache.glob("*/*/**/*") if p.is_file() and p.suffix != ".lock"}


SETS = {
    "lerobot v2.1": lambda folder: lerobot("v21"),
    "lerobot v3.0": lambda folder: lerobot("v30"),
    "rlds": rlds,
    "rlds parquet": lambda folder: rlds(folder, "parquet"),
    "rlds shards": sharded,
    "robomimic": lambda folder: made.robomimic(folder / "low_dim.hdf5"),
}


@pytest.mark.parametrize("name", SETS)
def test_values_are_those_on_disk(tmp_path, memory, name):
    if name == "robomimic":
        pytest.importorskip("h5py")
    (tmp_path / "there").mkdir()
    path = SETS[name](tmp_path / "there")
    for url in (memory(path), f"file://{path}"):
        with rd.open_dataset(url, cache=tmp_path / "cache") as far, rd.open_dataset(path) as near:
            assert far.path.is_relative_to(tmp_path / "cache")
            assert everything(far) == everything(near)
            assert not [finding for finding in far.validate() if finding.level == "error"]
            assert far.format == name.split()[0]


def test_lerobot_comes_file_by_file(tmp_path, served):
    url = served(lerobot("v21"))
    meta = {name for name in Faulty.files if name.startswith("meta/")}
    with rd.open_dataset(url, cache=tmp_path) as dataset:
        assert set(Faulty.opened) == meta
        assert len(dataset) == 4
        assert not dataset.meta["missing"]
        episode = dataset[2]
        assert set(Faulty.opened) == meta
        episode["action"].read(0)
        came = {"data/chunk-000/episode_000002.parquet"}
        assert set(Faulty.opened) == meta | came
        episode["observation.images.wrist"].read([0, 3])
        came |= {"videos/chunk-000/observation.images.wrist/episode_000002.mp4"}
        assert set(Faulty.opened) == meta | came
        assert set(Faulty.opened.values()) == {1}
    with rd.open_dataset(url, cache=tmp_path) as dataset:
        dataset[2]["action"].read()
    assert set(Faulty.opened.values()) == {1}


def test_rlds_comes_shard_by_shard(tmp_path, served):
    url = served(sharded(tmp_path / "there"))
    heads = {name for name in Faulty.files if "tfrecord" not in name}
    assert len(Faulty.files) - len(heads) == 4
    with rd.open_dataset(url, cache=tmp_path / "cache", split="train") as dataset:
        assert len(dataset) == 8
        assert set(Faulty.opened) == heads
        dataset[5]["state"].read()
        assert set(Faulty.opened) - heads == {"walks-train.tfrecord-00002-of-00004"}


def test_rlds_in_folders_above(tmp_path, served):
    folder = sharded(tmp_path / "there").parent
    served(folder.parent)
    with rd.open_dataset("faulty://set", cache=tmp_path / "cache") as dataset:
        assert not [name for name in Faulty.opened if "tfrecord" in name]
        assert dataset.path.parts[-2:] == ("walks", "1.0.0")
        dataset[0]["state"].read()
    assert len([name for name in Faulty.opened if "tfrecord" in name]) == 1


def test_what_is_not_there_is_missing_as_on_disk(tmp_path, served):
    source = sharded(tmp_path / "there")
    (source / "walks-train.tfrecord-00001-of-00004").unlink()
    with rd.open_dataset(served(source), cache=tmp_path / "cache") as dataset:
        assert dataset.meta["missing_shards"] == ("walks-train.tfrecord-00001-of-00004",)
        assert [episode.id for episode in dataset] == [f"train/{k}" for k in (0, 1, 4, 5, 6, 7)]
    url = served(lerobot("v21"))
    Faulty().put_all({n: d for n, d in Faulty.files.items() if "000001" not in n and "wrist" not in n})
    with rd.open_dataset(url, cache=tmp_path / "other") as dataset:
        assert dataset.meta["missing"] == [1]
        with pytest.raises(DataError, match="no such file") as caught:
            dataset[0]["observation.images.wrist"].read(0)
        assert (caught.value.episode, caught.value.key) == (0, "observation.images.wrist")
        dataset[0]["observation.images.front"].read(0)


def test_a_shard_that_changed_since_it_was_opened(tmp_path, served):
    url = served(sharded(tmp_path / "there"))
    with rd.open_dataset(url, cache=tmp_path / "cache") as dataset:
        first = dataset[0]["state"].read()
        swapped = dict(Faulty.files)
        names = sorted(name for name in swapped if "tfrecord" in name)
        swapped[names[0]], swapped[names[1]] = swapped[names[1]], swapped[names[0]]
        Faulty().put_all(swapped)
        with pytest.raises(DataError, match="changed since it was listed"):
            dataset[2]
        with rd.open_dataset(url, cache=tmp_path / "cache") as anew:
            assert canon(anew[2]["state"].read()) == canon(first)
        with pytest.raises(DataError, match="changed since it was listed"):
            dataset.episodes._make(0)  # its shard was replaced by the other's


def test_offline_opens_what_is_there(tmp_path, served):
    url = served(lerobot("v21"))
    with rd.open_dataset(url, cache=tmp_path) as dataset:
        seen = canon(dataset[1]["action"].read())
    Faulty.reachable = False
    with pytest.raises(DataError, match="offline=True opens what"):
        rd.open_dataset(url, cache=tmp_path)
    with rd.open_dataset(url, cache=tmp_path, offline=True) as dataset:
        assert len(dataset) == 4
        assert canon(dataset[1]["action"].read()) == seen
        with pytest.raises(DataError, match=r"offline=True, and 1 of its files .*episode_000002\.parquet"):
            dataset[2]["action"].read()


def test_a_part_fetched_before(tmp_path, served):
    url = served(lerobot("v30"))
    folder = rd.fetch(url, cache=tmp_path, include=("meta/*", "data/*"))
    assert not any("videos" in name for name in Faulty.opened)
    with rd.open_dataset(url, cache=tmp_path) as dataset, rd.open_dataset(folder) as plain:
        assert dataset.path == plain.path == folder
        assert canon(dataset[3]["action"].read()) == canon(plain[3]["action"].read())
    assert set(Faulty.opened.values()) == {1}


def test_options_go_where_they_belong(tmp_path, served, registered):
    url = served(lerobot("v21"))
    with rd.open_dataset(url, cache=tmp_path, control_hz=7.5, open_videos=2, format="lerobot") as dataset:
        assert (dataset.control_hz, dataset.control_hz_origin) == (7.5, "user")
        assert not [name for name in Faulty.opened if "videos" in name]
    with pytest.raises(ArgumentError, match="no such option"):
        rd.open_dataset(url, cache=tmp_path, sorted=True)
    with pytest.raises(ArgumentError, match="not one of"):
        rd.open_dataset(url, cache=tmp_path, format="lerobots")
    assert not [name for name in Faulty.opened if "videos" in name]
    with pytest.raises(ArgumentError, match="split"):
        rd.open_dataset(url, cache=tmp_path, split="nothing")
    with pytest.raises(ArgumentError, match="no such option"):
        rd.open_dataset(lerobot("v21"), offline=True)
    # A reader in place of ours knows nothing of files that come later: it gets all of them.
    rd.register(toy.reader("lerobot", lambda path, control_hz, verify: toy.dataset(path, [])))
    rd.open_dataset(url, cache=tmp_path, format="lerobot")
    assert set(Faulty.opened) == set(Faulty.files)


def test_no_dataset_at_all(tmp_path, served):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "readme.xyz").write_bytes(b"nothing")
    with pytest.raises(DataError, match="no dataset that a reader knows"):
        rd.open_dataset(served(tmp_path / "there"), cache=tmp_path / "cache")


def test_the_command_line_takes_urls(tmp_path, served, capsys, monkeypatch):
    monkeypatch.setenv("ROBOCACHE_CACHE", os.fspath(tmp_path))
    url = served(lerobot("v30"))
    assert main(["info", url, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["format"], said["episodes"], said["name"]) == ("lerobot", 4, "set")
    assert main(["validate", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["path"] == url
    for url in ("faulty://nothing", "nonsense://set"):
        for command in ("info", "validate"):
            assert main([command, url]) == 2
            assert url.partition(":")[0] in capsys.readouterr().err
    Faulty().put_all({"readme.xyz": b""})
    assert main(["validate", "faulty://set"]) == 2
