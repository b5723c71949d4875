"""Bridge as recorded: equal to NumPy, pickle and the JPEG and PNG libraries; nothing but plain values is unpickled."""

import os
import pickle
import random
import shutil
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import robocache.datasets as rd
from robocache.datasets._bridge_files import nanoseconds
from robocache.errors import ArgumentError, DataError

simplejpeg = pytest.importorskip("simplejpeg")
Image = pytest.importorskip("PIL.Image")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import made  # noqa: E402


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return made.bridge(tmp_path_factory.mktemp("bridge"))


@pytest.fixture
def scratch(recorded, tmp_path):
    top = Path(shutil.copytree(recorded, tmp_path / "set"))
    return top, top / rd.open_dataset(top)[0].id


def test_every_value_equals_the_reference(recorded):
    compared = 0
    dataset = rd.open_dataset(recorded)
    assert (dataset.format, dataset.control_hz, dataset.control_hz_origin) == ("bridge", 5.0, "registry")
    assert [Path(episode.id).name for episode in dataset] == ["traj9", "traj10"]
    assert dataset.index.lengths.tolist() == [4, 3]
    for episode in dataset:
        folder = recorded / episode.id
        expected = {
            f"obs_dict/{k}": np.asarray(v) for k, v in pickle.loads((folder / "obs_dict.pkl").read_bytes()).items()
        }
        policy = pickle.loads((folder / "policy_out.pkl").read_bytes())
        expected["policy_out/actions"] = np.stack([step["actions"] for step in policy])
        for name in ("images0", "images1", "depth_images0"):
            depth = name.startswith("depth")
            files = [folder / name / f"im_{t}.{'png' if depth else 'jpg'}" for t in range(episode.length)]
            encoded = [file.read_bytes() for file in files]
            if depth:
                expected[name] = np.stack([np.asarray(Image.open(file)).astype(np.uint16)[..., None] for file in files])
            else:
                expected[name] = np.stack([simplejpeg.decode_jpeg(data, fastdct=True) for data in encoded])
            stream = episode[name]
            assert stream.read([2, 0], decode=False) == [encoded[2], encoded[0]]
            assert stream.ranges([1]) == [rd.Range(str(files[1]), 0, len(encoded[1]), "png" if depth else "jpeg")]
        assert set(episode) == set(expected)
        for name, stream in episode.items():
            for index in (None, [1, 0, 1], -1):
                got, want = stream.read(index), expected[name] if index is None else expected[name][index]
                assert got.dtype == want.dtype == stream.dtype
                assert got.shape == want.shape
                assert got.tobytes() == want.tobytes()
                compared += want.size
    assert compared > 30_000
    assert not list(dataset.validate())


def test_there_is_one_action_fewer_than_states_and_all_are_stamped(recorded):
    episode = rd.open_dataset(recorded)[0]
    assert (len(episode["obs_dict/full_state"]), len(episode["policy_out/actions"]), episode.length) == (4, 3, 4)
    times = [1_627_812_672_250_000_000 + 200_000_000 * k for k in range(4)]
    for name, count in (("obs_dict/full_state", 4), ("images0", 4), ("policy_out/actions", 3)):
        assert episode[name].clock == "host"
        assert np.abs(episode[name].times - times[:count]).max() < 300  # what float64 seconds can hold


def test_text_dates_and_metadata(recorded, tmp_path):
    episode = rd.open_dataset(recorded)[0]
    assert episode.language == (rd.Span(0, 4, "put pot 0 in sink", None, "lang.txt"),)
    assert episode.meta["language_confidence"] == [0.75]
    assert episode.meta["collection"] == {"robot": "widowx", "camera_type": "Logitech C920"}
    assert episode.meta["config"] == {"agent": {"T": 50}}
    assert episode.meta["camera_delay_steps"] == 0
    early = rd.open_dataset(made.bridge(tmp_path / "early", (3,), day="2021-07-22"))
    assert (early[0].meta["camera_delay_steps"], early[0].meta["date"]) == (1, "2021-07-22_10-11-12")
    single = rd.open_dataset(tmp_path / "early" / early[0].id)
    assert (single[0].id, single[0].meta["camera_delay_steps"], single[0].meta["collection"]) == (".", 1, None)
    np.testing.assert_array_equal(single[0]["images0"].read(), early[0]["images0"].read())


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_protocol(tmp_path, protocol):
    first = rd.open_dataset(made.bridge(tmp_path / "a", (3,), protocol=protocol))[0]
    folder = tmp_path / "a" / first.id
    reference = pickle.loads((folder / "obs_dict.pkl").read_bytes())
    assert first["obs_dict/full_state"].read().tobytes() == reference["full_state"].tobytes()


def test_actions_as_arrays(scratch):
    top, folder = scratch
    values = np.arange(21.0).reshape(3, 7)
    for policy in (values, list(values), {"actions": values}, [{"actions": row} for row in values]):
        (folder / "policy_out.pkl").write_bytes(pickle.dumps(policy))
        np.testing.assert_array_equal(rd.open_dataset(top)[0]["policy_out/actions"].read(), values)


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=5))
def test_seconds_keep_every_bit_that_counts(stamps):
    got = nanoseconds(np.array(stamps)).tolist()
    assert all(abs(Fraction(t) * 10**9 - n) <= Fraction(1, 2) for t, n in zip(stamps, got))


def change(path, **new):
    value = pickle.loads(path.read_bytes())
    value.update(new)
    path.write_bytes(pickle.dumps({key: part for key, part in value.items() if part is not None}))


def test_stamps_that_are_missing_or_impossible(scratch):
    top, folder = scratch
    change(folder / "obs_dict.pkl", time_stamp=None)
    episode = rd.open_dataset(top)[0]
    assert (episode["images0"].clock, episode["images0"].times.tolist()) == (
        "index",
        [0, 2 * 10**8, 4 * 10**8, 6 * 10**8],
    )
    change(folder / "obs_dict.pkl", time_stamp=np.array([1.0, np.nan, 2.0, 3.0]))
    with pytest.raises(DataError, match=r"obs_dict\.pkl.*no clock shows"):
        _ = rd.open_dataset(top)[0]["images0"].times
    change(folder / "obs_dict.pkl", time_stamp=np.array([1.0, 2.0, 1.5, 3.0]))
    assert [f.message for f in rd.open_dataset(top).validate()] == ["the stamp of step 2 is not later"]


def test_findings(scratch):
    top, folder = scratch
    (folder / "images0" / "im_1.jpg").unlink()
    (folder / "images1" / "im_3.jpg").unlink()
    png = bytearray((folder / "depth_images0" / "im_2.png").read_bytes())
    png[len(png) // 2] ^= 4
    (folder / "depth_images0" / "im_2.png").write_bytes(png)
    dataset = rd.open_dataset(top)
    found = {(f.key, f.message.rpartition(": ")[2]) for f in dataset.validate() if f.level == "error"}
    assert {key for key, _ in found} == {"images0", "images1", "depth_images0"}
    assert ("images0", "picture 1 is missing") in found
    assert ("images1", "has 3 samples in a trajectory of 4 states, expected 4") in found
    assert dataset[0]["images1"].clock == "index"  # nobody knows which one is missing
    assert dataset[0]["images0"].read([0, 2]).shape == (2, 24, 32, 3)
    with pytest.raises(DataError, match="picture 1 is missing") as caught:
        dataset[0]["images0"].read()
    assert (caught.value.episode, caught.value.key) == (dataset[0].id, "images0")


class Evil:
    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("name", ["obs_dict.pkl", "policy_out.pkl"])
def test_code_in_pickles_is_not_run(scratch, name):
    top, folder = scratch
    (folder / name).write_bytes(pickle.dumps({"full_state": np.zeros((4, 7)), "x": Evil()}))
    dataset = rd.open_dataset(top)
    assert set(dataset.specs) == set(dataset[1])  # the other trajectory is whole
    with pytest.raises(DataError, match=r"system' is not allowed") as caught:
        _ = dataset[0]
    assert caught.value.file == str(folder / name)


def test_names_and_links_that_lead_out(scratch, tmp_path):
    top, folder = scratch
    (folder / "images0" / "im_2.jpg").rename(tmp_path / "outside.jpg")
    (folder / "images0" / "im_2.jpg").symlink_to(tmp_path / "outside.jpg")
    with pytest.raises(DataError, match="leads out"):
        rd.open_dataset(top)[0]["images0"].read(2)
    (folder / "images1" / "im_9999999.jpg").write_bytes(b"")
    with pytest.raises(DataError, match="pictures of 10000000"):
        _ = rd.open_dataset(top)[0]


def test_options(recorded):
    with pytest.raises(ArgumentError):
        rd.open_dataset(recorded, dct="slow")
    accurate = rd.open_dataset(recorded, dct="accurate")[0]["images0"]
    (data,) = accurate.read([0], decode=False)
    np.testing.assert_array_equal(accurate.read(0), simplejpeg.decode_jpeg(data, fastdct=False))


@pytest.mark.parametrize(
    "name", ["obs_dict.pkl", "policy_out.pkl", "images0/im_1.jpg", "depth_images0/im_1.png", "lang.txt"]
)
def test_damage_gives_nothing_but_data_errors(scratch, name):
    top, folder = scratch
    path, rng = folder / name, random.Random(name)
    base, refused = path.read_bytes(), 0
    for _ in range(40):
        data = bytearray(base)
        for _ in range(rng.choice((1, 2, 4))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        path.write_bytes(data)
        try:
            episode = rd.open_dataset(top)[0]
            _ = episode.language
            for stream in episode.values():
                stream.read()
                _ = stream.times
        except DataError:
            refused += 1
    assert refused > 0
