"""Every value of the fixtures equals what TFDS reads, bit for bit; a real recording reads as its description says."""

import json

import numpy as np
import pytest
import simplejpeg

import robocache.datasets as rd

FORMATS = ("tfrecord", "array_record", "parquet")


def open_as(folder, form):
    if form == "array_record":
        pytest.importorskip("array_record")
    return rd.open_dataset(folder / form)


def compare(dataset, reference):
    """Number of values of ``dataset`` that were compared with all of the reference."""
    count, seen = 0, set()
    for split in dataset.splits:
        for at, episode in enumerate(dataset.split(split)):
            begin = f"{split}|{at}|"
            for key in (key for key in reference.files if key.startswith(begin)):
                name, _, part = key.removeprefix(begin).partition("|")
                got = episode[name.removeprefix("steps/")].read() if name.startswith("steps/") else episode.meta[name]
                count += same(got, reference[key], part, key)
                seen.add(key)
    assert seen == {key for key in reference.files if key.split("|")[0] in dataset.splits}
    return count


def same(got, want, part, key):
    if part == "shapes":
        assert [value.shape for value in got] == [tuple(row) for row in want.tolist()], key
        return 0
    if part == "flat":
        got = np.concatenate([value.reshape(-1) for value in got])
    elif want.dtype.kind == "U":
        listed = want.tolist()
        if listed[:1] == "[":
            listed, got = json.loads(listed), [row if isinstance(row, str) else list(row) for row in got]
        assert (got.tolist() if isinstance(got, np.ndarray) else got) == listed, key
        return np.size(want)
    got = np.asarray(got)
    assert (got.dtype, got.shape) == (want.dtype, want.shape), key
    assert got.tobytes() == want.tobytes(), key
    return got.size


@pytest.mark.parametrize("form", FORMATS)
def test_the_small_fixture_equals_tfds(small, form):
    assert compare(open_as(small, form), np.load(small / "tfds_reference.npz")) == 111_885


@pytest.mark.parametrize("form", FORMATS)
def test_the_whole_fixture_equals_tfds(whole, form):
    assert compare(open_as(whole, form), np.load(whole / "tfds_reference.npz")) == 797_026


def test_containers_hold_the_same_and_nothing_is_wrong(small, tools):
    first = None
    for form in FORMATS:
        dataset = open_as(small, form)
        assert list(dataset.validate()) == []
        values, errors = tools.everything(dataset)
        assert not errors
        assert first in (None, values)
        first = values


def test_single_steps_and_masks_equal_the_whole(small):
    episode = open_as(small, "tfrecord")[1]
    for name, stream in episode.items():
        every = stream.read()
        for picked in (2, -1, slice(1, 4), [4, 0, 0], np.arange(5) % 2 == 0, slice(None, None, 2)):
            got, want = stream.read(picked), every[picked]
            if isinstance(want, np.ndarray) and want.dtype != object:
                assert got.dtype == want.dtype, name
                np.testing.assert_array_equal(got, want)
            else:
                assert str(got) == str(want), name


def test_encoded_bytes_are_those_of_the_file(small):
    stream = open_as(small, "tfrecord")[1]["observation/image_primary"]
    found = stream.read(decode=False)
    for where, data, pixels in zip(stream.ranges(), found, stream.read()):
        with open(where.file, "rb") as file:
            file.seek(where.offset)
            assert file.read(where.length) == data
        assert where.codec == "jpeg"
        assert np.array_equal(simplejpeg.decode_jpeg(data, fastdct=True), pixels)
    parquet = open_as(small, "parquet")[1]["observation/image_primary"]
    assert parquet.ranges() is None
    assert parquet.read(decode=False) == found


def test_dct_accurate_is_what_others_decode(small):
    fast = open_as(small, "tfrecord")[1]["observation/image_primary"]
    other = rd.open_dataset(small / "tfrecord", dct="accurate")[1]["observation/image_primary"]
    want = np.stack([simplejpeg.decode_jpeg(data) for data in fast.read(decode=False)])
    assert np.array_equal(other.read(), want)
    assert not np.array_equal(fast.read(), want)


def test_specs_are_known_without_reading(small):
    dataset = open_as(small, "tfrecord")
    specs = {name: (s.kind, s.shape, s.dtype.name, s.codec) for name, s in dataset.specs.items()}
    assert specs["observation/image_primary"] == ("image", (48, 64, 3), "uint8", "jpeg")
    assert specs["observation/depth"] == ("depth", (32, 40, 1), "uint16", "png")
    assert specs["observation/depth_m"] == ("depth", (8, 8, 1), "float32", "png")
    assert specs["observation/joint_f64"] == ("vector", (7,), "float64", None)
    assert specs["observation/tactile_zlib"] == ("vector", (16, 16), "uint8", "zlib")
    assert specs["observation/contacts"] == ("vector", (None, 2), "object", None)
    assert specs["language_instruction"] == ("text", (), "object", "utf-8")
    assert specs["observation/words"][0] == "event"
    assert dataset.meta["labels"] == {"episode_metadata/scene": ("kitchen", "lab")}


def test_bridge_reads_as_described(bridge):
    dataset = rd.open_dataset(bridge)
    assert (len(dataset), dataset.control_hz, dataset.control_hz_origin) == (25, 5.0, "registry")
    assert dataset.index.lengths.tolist() == [10] * 25
    assert list(dataset.validate()) == []
    assert dataset.action.gripper == (0.0, 1.0)
    texts = set()
    for episode in dataset:
        assert np.abs(episode["action"].read(0)[:6]).max() < 1e-5
        assert episode["observation/image_3"].read().max() == 0
        assert episode["observation/image_0"].read().std() > 10
        assert episode["observation/state"].times.tolist() == [k * 200_000_000 for k in range(10)]
        assert episode["is_first"].read().tolist() == [True] + [False] * 9
        assert episode["language_embedding"].read().shape == (10, 512)
        texts |= {span.text for span in episode.language}
        difference = np.diff(episode["observation/state"].read()[:, :3], axis=0)
        assert np.abs(difference - episode["action"].read()[:-1, :3]).max() < 0.08
    assert len(texts) == 4
    assert "turn lever vertical to front" in texts
