"""robomimic files: equal to h5py, nothing followed out of the file, damage refused."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import robocache.datasets as rd
from robocache.datasets import _hdf5_rows
from robocache.errors import ArgumentError, DataError

h5py = pytest.importorskip("h5py")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import made  # noqa: E402


def h5_values(path):
    """Every dataset of every demonstration, by h5py alone."""
    found = {}
    with h5py.File(path) as file:
        file["data"].visititems(
            lambda name, thing: found.update({name: thing[()]} if isinstance(thing, h5py.Dataset) else {})
        )
    return found


@pytest.fixture(autouse=True)
def small_streams_are_not_kept(monkeypatch):
    monkeypatch.setattr(_hdf5_rows, "KEEP_BYTES", 0)


FORMS = {
    "plain": {}, "packed": {"compress": True}, "newest": {"libver": "latest"}, "raw robosuite": {"raw": True},
    "packed newest": {"libver": "latest", "compress": True}, "user block": {"userblock_size": 1024, "compress": True},
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_value_equals_h5py(tmp_path, form):
    path = made.robomimic(tmp_path / "demo.hdf5", (5, 3, 4), numbers=(0, 2, 10), **FORMS[form])
    expected, compared = h5_values(path), 0
    with rd.open_dataset(path) as dataset:
        assert dataset.format == "robomimic"
        assert [episode.id for episode in dataset] == ["demo_0", "demo_2", "demo_10"]
        assert dataset.index.lengths.tolist() == [5, 3, 4]
        for episode in dataset:
            for name, stream in episode.items():
                want = expected.pop(f"{episode.id}/{name}")
                assert stream.dtype.isnative
                assert stream.clock == "index"
                for index in (None, slice(1, 3), [2, 0, 2], -1, np.arange(len(stream)) % 2 == 0):
                    got = stream.read(index)
                    ref = want if index is None else want[index]
                    assert got.dtype == want.dtype.newbyteorder("=")
                    assert got.tobytes() == ref.astype(ref.dtype.newbyteorder("=")).tobytes()
                    compared += ref.size
            with h5py.File(path) as file:
                said = dict(file[f"data/{episode.id}"].attrs)
            assert set(said) == set(episode.meta)
            assert said["model_file"] == episode.meta["model_file"]
            assert json.loads(said.get("ep_meta", "{}")) == episode.meta.get("ep_meta", {})
        assert not expected
        assert compared > 1000
        assert not list(dataset.validate())


@given(at=st.lists(st.integers(-9, 8), max_size=12), compress=st.booleans())
def test_any_positions_in_any_order(tmp_path_factory, at, compress):
    path = tmp_path_factory.getbasetemp() / f"positions{compress}.hdf5"
    if not path.exists():
        made.robomimic(path, (9,), compress=compress)
    with rd.open_dataset(path) as dataset:
        for name in ("obs/agentview_image", "obs/object", "actions"):
            want = h5_values(path)[f"demo_0/{name}"][np.array(at, int)]
            np.testing.assert_array_equal(dataset[0][name].read(at), want)


@pytest.mark.parametrize("options", [
    {"compression": "lzf"}, {"compression": "gzip", "shuffle": True}, {"fletcher32": True}, {"chunks": (2, 3)},
    {"compression": "gzip", "chunks": (4, 2), "shuffle": True},
    {"compression": "gzip", "chunks": (1, 7), "fletcher32": True},
], ids=str)  # fmt: skip
def test_other_storage_equals_h5py(tmp_path, options):
    path = made.robomimic(tmp_path / "a.hdf5", (9,), raw=True)
    rng = np.random.default_rng(0)
    for dtype in ("<f8", ">f4", "<i2", "?", "u1"):
        values = (rng.random((9, 7)) * 200).astype(dtype)
        with h5py.File(path, "a") as file:
            demo = file["data/demo_0"]
            if "odd" in demo:
                del demo["odd"]
            demo.create_dataset("odd", data=values, **options)
        with rd.open_dataset(path, keys=["odd"]) as dataset:
            assert list(dataset[0]) == ["odd"]
            for index in (slice(None), [8, 0, 3, 3], slice(2, 7)):
                np.testing.assert_array_equal(dataset[0]["odd"].read(index), values[index])


def test_chunks_that_were_never_written_hold_the_fill_value(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5", (6,), raw=True)
    with h5py.File(path, "a") as file:
        odd = file["data/demo_0"].create_dataset("odd", (6, 2), "f4", chunks=(2, 2), compression="gzip", fillvalue=7)
        odd[2:4] = 1
    with rd.open_dataset(path) as dataset:
        assert dataset[0]["odd"].read()[:, 0].tolist() == [7, 7, 1, 1, 7, 7]


def test_what_the_file_says_of_itself(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5")
    with rd.open_dataset(path) as dataset:
        assert (dataset.control_hz, dataset.control_hz_origin) == (20.0, "file")
        assert dataset[0]["actions"].times.tolist() == [0, 50_000_000, 100_000_000, 150_000_000, 200_000_000]
        assert dataset.meta["env_args"] == made.ENV
        assert dataset.action.representation == "ee_pose"
        assert dataset.action.gripper == (1.0, -1.0)
        assert dataset[1].language == (rd.Span(0, 3, "lift number 1", None, "ep_meta"),)
        assert dataset[1].meta["model_file"] == "<mujoco model='1'/>"
        assert {name: list(dataset.splits[name]) for name in dataset.splits} == {"train": [0, 1], "valid": [2]}
        assert [e.id for e in dataset.split("valid")] == ["demo_2"]
        assert (dataset[0]["obs/agentview_image"].kind, dataset[0]["obs/agentview_depth"].kind) == ("image", "depth")
    plain = made.robomimic(tmp_path / "b.hdf5", env={"env_name": "x"}, raw=True)
    with rd.open_dataset(plain) as dataset:
        assert (dataset.control_hz, dataset.action, dict(dataset.splits)) == (None, None, {})
        with pytest.raises(DataError, match="no stamps and no known rate"):
            _ = dataset[0]["actions"].times
    with rd.open_dataset(plain, control_hz=10) as dataset:
        assert (dataset.control_hz_origin, dataset[0]["actions"].times[1]) == ("user", 10**8)


def test_rows_in_one_piece_have_ranges(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5")
    with rd.open_dataset(path) as dataset:
        stream = dataset[0]["obs/agentview_image"]
        (one,) = stream.ranges([3])
        data = Path(one.file).read_bytes()[one.offset : one.offset + one.length]
        assert data == stream.read(3).tobytes()
        assert dataset[0]["action_dict/abs_pos"].ranges([0]) is None  # of the other byte order
        with pytest.raises(ArgumentError):
            stream.read(0, decode=False)


def test_keys_that_are_not_there(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5")
    assert set(rd.open_dataset(path, keys=["obs", "actions"])[0]) >= {"actions", "obs/object"}
    with pytest.raises(DataError, match="typo"):
        _ = rd.open_dataset(path, keys=["typo"])[0]
    with pytest.raises(ArgumentError, match="no such option"):
        rd.open_dataset(path, key=["actions"])


def test_findings_go_on_after_the_first(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5")
    with h5py.File(path, "a") as file:
        file["data/demo_0"].attrs["num_samples"] = 99
        del file["data/demo_1/rewards"]
        file["data/demo_1/rewards"] = np.zeros(2)
        del file["mask/valid"]
        file["mask/valid"] = np.array([b"demo_7"])
    with rd.open_dataset(path) as dataset:
        told = {(found.episode, found.key) for found in dataset.validate() if found.level == "error"}
        assert told == {("demo_0", None), ("demo_1", "rewards"), (None, "mask/valid")}
        with pytest.raises(DataError, match="demo_7"):
            dataset.split("valid")


def test_a_file_that_was_cut_off_or_is_none(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5")
    data = path.read_bytes()
    with rd.open_dataset(path) as dataset:
        episode = dataset[2]
        os.truncate(path, len(data) // 3)
        with pytest.raises(DataError, match="cut off") as caught:
            episode["next_obs/agentview_image"].read()
        assert (caught.value.file, caught.value.episode, caught.value.key) == (
            str(path), "demo_2", "next_obs/agentview_image",
        )  # fmt: skip
    path.write_bytes(b"no HDF5 at all")
    with pytest.raises(DataError):
        rd.open_dataset(path, format="robomimic")
    with h5py.File(path, "w") as file:
        file["other"] = 1
    with pytest.raises(DataError, match="no group 'data'"):
        rd.open_dataset(path, format="robomimic")


def test_two_threads_read_at_once(tmp_path):
    path = made.robomimic(tmp_path / "a.hdf5", (9, 9), compress=True)
    expected, wrong = h5_values(path), []
    with rd.open_dataset(path) as dataset:

        def reading(seed):
            rng = np.random.default_rng(seed)
            for _ in range(30):
                episode, at = dataset[int(rng.integers(2))], rng.integers(0, 9, 4)
                wrong.extend(
                    name
                    for name in ("obs/agentview_image", "actions")
                    if (episode[name].read(at) != expected[f"{episode.id}/{name}"][at]).any()
                )

        threads = [threading.Thread(target=reading, args=(seed,)) for seed in range(2)]
        [thread.start() for thread in threads]
        [thread.join() for thread in threads]
    assert not wrong


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("compress", [False, True])
def test_damage_gives_nothing_but_data_errors(tmp_path, compress):
    path = made.robomimic(tmp_path / "a.hdf5", (3, 2), compress=compress)
    command = [sys.executable, str(HERE / "fuzzing.py"), str(path), str(path), str(int(compress)), "30"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    ended = json.loads(ran.stdout)
    assert set(ended) == {"read", "refused"}, ran.stderr
    assert ended["refused"] > 3
