"""Every value of the datasets that LeRobot wrote, as LeRobot reads it; and real recordings."""

import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

import robocache.datasets as rd
from robocache.datasets._sniffs import lerobot as sniff
from robocache.errors import ArgumentError, DataError, PositionError

HERE = Path(__file__).resolve().parent
FIXTURES = Path(os.environ.get("ROBOCACHE_DATA") or HERE.parents[2].parent / "shared" / "data").parent / "fixtures"
REFERENCE = json.loads((HERE / "reference.json").read_text("utf-8"))


def as_lerobot(dataset, name):
    """All steps of a stream, channels first and float64 as float32: so LeRobot hands them out."""
    if name == "task":
        return np.array([s.text for e in dataset for s in e.language for _ in range(s.start, s.stop)])
    found = np.concatenate([episode[name].read() for episode in dataset])
    found = found.transpose(0, 3, 1, 2) if found.ndim == 4 else found
    return np.ascontiguousarray(found.astype(np.float32) if found.dtype == np.float64 else found)


def test_every_value_is_that_of_lerobot(small):
    compared = 0
    with rd.open_dataset(small) as dataset:
        for name, want in REFERENCE[small.name].items():
            found = as_lerobot(dataset, name)
            if name == "task":
                assert found.tolist() == want
            else:
                assert (found.dtype.name, list(found.shape)) == (want["dtype"], want["shape"]), name
                assert hashlib.sha256(found.tobytes()).hexdigest() == want["sha256"], name
            compared += found.size
    assert compared == 2_612_500


def test_every_value_of_the_whole_fixtures(small):
    path = FIXTURES / small.name
    if not path.is_dir():
        pytest.skip(f"no fixtures at {path}; set ROBOCACHE_DATA")
    with np.load(path / "reference_items.npz") as reference, rd.open_dataset(path) as dataset:
        for name in reference.files:
            assert np.array_equal(as_lerobot(dataset, name), reference[name]), name


def test_what_is_known_of_them(small):
    dataset = rd.open_dataset(small)
    assert (dataset.format, dataset.control_hz, dataset.control_hz_origin) == ("lerobot", 10.0, "file")
    assert dataset.index.lengths.tolist() == [14, 9, 21, 6]
    assert dataset.splits == {"train": [0, 1, 2, 3]}
    episode = dataset[2]
    assert [(s.start, s.stop, s.text) for s in episode.language] == [
        (0, 10, "pick up the red cube"),
        (10, 21, "place the cube in the bowl"),
    ]
    assert episode.meta["tasks"] == ["pick up the red cube", "place the cube in the bowl"]
    assert episode.meta["stats"]["action"]["count"] == [21]
    assert dataset.meta["missing"] == []
    assert dataset.meta["tasks"][2] == "push the bowl"
    assert dataset.meta["robot_type"] == "so101_follower"
    action, effort = episode["action"], episode["observation.effort"]
    assert action.names[-1] == "gripper"
    assert (action.clock, action.timing.rate) == ("index", 10)
    assert action.times[:3].tolist() == [0, 100_000_000, 200_000_000]
    assert (effort.dtype, effort.shape, effort.names) == (np.float64, (2, 3), None)
    assert (episode["next.reward"].shape, episode["next.done"].dtype) == ((), bool)
    assert episode["observation.images.front"].codec == "av1"
    assert list(dataset.validate()) == []


def test_some_steps_are_those_of_all(small):
    episode = rd.open_dataset(small)[2]
    random = np.random.default_rng(0)
    for name, stream in episode.items():
        whole = stream.read()
        for index in (0, -1, slice(3, 11), slice(19, 2, -3), random.integers(-21, 21, 12), random.random(21) < 0.4):
            assert np.array_equal(stream.read(index), whole[index]), (name, index)
        assert stream.read([]).shape == (0, *stream.shape)
        with pytest.raises(PositionError):
            stream.read(21)


def test_pictures_come_encoded_too(small):
    still = rd.open_dataset(small)[1]["observation.images.still"]
    encoded = still.read(slice(2, 4), decode=False)
    assert [data[:4] for data in encoded] == [b"\x89PNG"] * 2
    assert still.ranges() is None
    with pytest.raises(ArgumentError, match="video"):
        rd.open_dataset(small)[1]["observation.images.front"].read(0, decode=False)


def test_what_was_read_may_be_changed(small):
    stream = rd.open_dataset(small)[0]["action"]
    before = stream.read()
    stream.read()[:] = 0
    stream.read(slice(2, 5))[:] = 0
    assert np.array_equal(stream.read(), before)


def test_a_rate_of_the_user(small):
    dataset = rd.open_dataset(small, control_hz=20)
    assert (dataset.control_hz, dataset.control_hz_origin) == (20.0, "user")
    assert dataset[0]["action"].times[1] == 50_000_000


def test_memory_for_columns_is_bounded(small):
    dataset = rd.open_dataset(small, cache_bytes=2000)
    wide = rd.open_dataset(small)
    for one, other in zip(dataset, wide):
        assert np.array_equal(one["observation.effort"].read(), other["observation.effort"].read())
    kept = dataset[0]["action"].source.rows.files.kept
    assert 0 < kept.size <= 2000


def test_it_is_known_by_its_metadata(small, tmp_path):
    assert sniff(small) > 0.9
    assert sniff(small / "meta") == sniff(tmp_path) == sniff(small / "meta" / "info.json") == 0
    (tmp_path / "meta").mkdir()
    (tmp_path / "meta" / "info.json").write_bytes(b'{"codebase_version"')
    assert sniff(tmp_path) == 0


def test_a_real_humanoid_of_which_two_episodes_are_there(recording):
    dataset = rd.open_dataset(recording("lerobot_v21_unitree_g1"))
    assert [episode.id for episode in dataset] == [29, 30]
    assert dataset.index.lengths.tolist() == [221, 277]
    assert dataset.meta["announced"] == 100
    assert dataset.splits == {"train": [0, 1]}
    state, camera = dataset[1]["observation.state"], dataset[1]["observation.images.cam_high"]
    assert state.names[:2] == ("kLeftShoulderPitch", "kLeftShoulderRoll")
    assert dataset[0].language[0].text == "Pick up the yellow bottle on the table."
    assert np.array_equal(dataset[1]["frame_index"].read(), np.arange(277))
    av = pytest.importorskip("av")
    with av.open(str(camera.source.path)) as container:
        for k, frame in enumerate(container.decode(video=0)):
            if k % 50 in (0, 7) or k == 276:
                assert np.array_equal(camera.read(k), frame.to_ndarray(format="rgb24"))
    assert k == 276
    told = {finding.message.split(" is ")[0] for finding in dataset.validate()}
    assert told == {"total_episodes", "total_frames"}


def test_a_real_arm_whose_videos_are_missing(recording):
    dataset = rd.open_dataset(recording("lerobot_v30_so101_lowdim"))
    assert dataset.index.lengths.tolist() == [373, 374, 372, 373]
    rows = np.concatenate([episode["index"].read() for episode in dataset])
    assert np.array_equal(rows, np.arange(1492))
    assert np.allclose(dataset[0]["action"].read(0)[:3], [-6.8912711, -98.282913, 99.639480])
    with pytest.raises(DataError, match="there is no such file") as caught:
        dataset[3]["observation.images.top"].read(0)
    assert (caught.value.episode, caught.value.key) == (3, "observation.images.top")
    assert caught.value.file.endswith("observation.images.top/chunk-000/file-000.mp4")
    found = list(dataset.validate())
    assert len(found) == 8
    assert all(finding.level == "error" and "no such file" in finding.message for finding in found)
