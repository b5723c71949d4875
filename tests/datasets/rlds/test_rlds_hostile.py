"""Damaged and hostile files: DataError that says where, or the values that were there; never anything else."""

import json
import random
import shutil
import zlib

import numpy as np
import pytest

import robocache.datasets as rd
from robocache.datasets.rlds import _items
from robocache.datasets.rlds._example import example, framed, number_list, string_list
from robocache.datasets.rlds._tfrecord import crc32c
from robocache.errors import BackendError, DataError


@pytest.fixture
def copied(small, tmp_path):
    """The version folder of a copy that may be damaged."""
    folder = tmp_path / "copy" / "1.0.0"
    shutil.copytree(small / "tfrecord" / "rlds_small" / "1.0.0", folder)
    return folder


def damaged(data, rng):
    """Bytes with a few flips, or cut off, or with a run of one value."""
    bad, how = bytearray(data), rng.random()
    if how < 0.7:
        for _ in range(rng.choice([1, 1, 1, 5])):
            bad[rng.randrange(len(bad))] ^= rng.randrange(1, 256)
    elif how < 0.85:
        del bad[rng.randrange(len(bad)) :]
    else:
        at, size = rng.randrange(len(bad)), rng.randrange(1, 40)
        bad[at : at + size] = bytes([rng.choice([0, 127, 128, 255])]) * len(bad[at : at + size])
    return bytes(bad)


def sweep(folder, name, times, tools, verify=True):
    """Read a copy that is damaged time and again, and yield what was read beside what is there."""
    good, errors = tools.everything(rd.open_dataset(folder))
    assert not errors
    rng = random.Random(name)
    shards = sorted(path for path in folder.iterdir() if name in path.name)
    for _ in range(times):
        path = rng.choice(shards)
        data = path.read_bytes()
        path.write_bytes(damaged(data, rng))
        try:
            dataset = rd.open_dataset(folder, format="rlds", verify=verify)
        except DataError as error:
            yield good, {}, {"open": error}, None
        else:
            yield good, *tools.everything(dataset), dataset
            list(dataset.validate())
        path.write_bytes(data)


def test_damage_in_a_shard_is_caught_by_its_checksum(copied, tools):
    for good, values, errors, _ in sweep(copied, "tfrecord-", 60, tools):
        assert errors
        assert all(values[key] == good[key] for key in values)
        assert all(error.file for error in errors.values())


def test_damage_in_a_shard_without_checksums_never_crashes(copied, tools):
    caught = sum(bool(errors) for _, _, errors, _ in sweep(copied, "tfrecord-", 60, tools, verify=False))
    assert caught > 10


@pytest.mark.parametrize("name", ["features.json", "dataset_info.json"])
def test_damage_in_metadata_gives_no_wrong_value(copied, tools, name):
    for good, values, errors, dataset in sweep(copied, name, 60, tools):
        assert all(values[key] == good[key] for key in values if key in good)
        if set(values) != set(good):  # something is missing: that was said
            assert errors or dataset.meta["missing_shards"] or list(dataset.validate())


@pytest.mark.parametrize("form", ["array_record", "parquet"])
def test_damage_in_other_containers_never_crashes(small, tmp_path, tools, form):
    if form == "array_record":
        pytest.importorskip("array_record")
    folder = tmp_path / "copy" / "1.0.0"
    shutil.copytree(small / form / "rlds_small" / "1.0.0", folder)
    for good, values, errors, _ in sweep(folder, f"{form}-", 25, tools):
        if form == "array_record":  # parquet has no checksums of its own unless its writer made them
            assert all(values[key] == good[key] for key in values)
        assert errors or values


def test_every_byte_of_a_record_is_guarded(made):
    (shard,) = made.path.glob("*.tfrecord-*")
    data = shard.read_bytes()
    first = 16 + int.from_bytes(data[:8], "little")
    for at in [*range(0, first, 41), *range(12), *range(first - 4, first)]:
        shard.write_bytes(data[:at] + bytes([data[at] ^ 16]) + data[at + 1 :])
        dataset = rd.open_dataset(made.path)
        with pytest.raises(DataError, match=r"checksum|cut off|records") as caught:
            dataset[0]
        assert (caught.value.file, caught.value.episode) == (str(shard), "train/0")
        assert next(dataset.validate()).level == "error"


def test_a_cut_off_shard_gives_what_is_whole(made, tools):
    (shard,) = made.path.glob("*.tfrecord-*")
    data = shard.read_bytes()
    shard.write_bytes(data[:-1])
    dataset = rd.open_dataset(made.path)
    assert tools.canon(dataset[0]["count"].read()) == tools.canon(made.episodes[0]["count"].read())
    with pytest.raises(DataError, match="cut off"):
        dataset[1]
    assert len([finding for finding in dataset.validate() if "cut off" in finding.message]) == 2


def one(folder, features, tree, verify=True, count=1):
    """A dataset of one record of which every part is given."""
    folder.mkdir(exist_ok=True)
    record = framed(example(features), crc32c())
    (folder / "x-train.tfrecord-00000-of-00001").write_bytes(record)
    info = {"name": "x", "version": "1.0.0", "splits": [{"name": "train", "shardLengths": [count]}]}
    (folder / "dataset_info.json").write_text(json.dumps(info))
    step = {"featuresDict": {"features": tree}}
    top = {"featuresDict": {"features": {"steps": {"sequence": {"feature": step}}}}}
    (folder / "features.json").write_text(json.dumps(top))
    return rd.open_dataset(folder, verify=verify)


def array(shape, dtype="float32", encoding="none"):
    return {"tensor": {"shape": {"dimensions": shape}, "dtype": dtype, "encoding": encoding}}


BOMB, FOUR = zlib.compress(bytes(10**7)), zlib.compress(b"1234")
INTS, TWO = np.array([1, 2], np.int64), [b"a", b"b"]


@pytest.mark.parametrize(
    "features, tree, said",
    [
        ({"steps/a": number_list(INTS)}, {"a": array([])}, "holds integers, and floats"),
        ({"steps/a": string_list(TWO)}, {"a": array([], "int8")}, "holds bytes, and integers"),
        ({"steps/a": number_list(INTS * 200)}, {"a": array([], "uint8")}, "more than uint8"),
        ({"steps/a": number_list(INTS)}, {"a": array([], "bool")}, "more than bool"),
        ({"steps/a": number_list(INTS)}, {"a": array([2**20, 2**20], "int8")}, "shape"),
        ({"steps/b": number_list(INTS)}, {"a": array([], "int8"), "b": array([], "int8")}, "not in the record"),
        ({"steps/a": string_list(TWO), "steps/b": number_list(INTS[:1])},
         {"a": {"text": {}}, "b": array([], "int8")}, "2 values, and there are 1 steps"),
        ({"steps/a": string_list([b"abcdef"])}, {"a": array([4], "int8", "zlib")}, "no zlib"),
        ({"steps/a": string_list([BOMB])}, {"a": array([4], "int8", "zlib")}, "unpacks to other"),
        ({"steps/a": string_list([BOMB])}, {"a": array([2**30, 2], "int8", "zlib")}, "claims to"),
        ({"steps/a": string_list([FOUR + b"!"])}, {"a": array([4], "int8", "zlib")}, "unpacks to other"),
        ({"steps/a": string_list(TWO)}, {"a": array([4], "int8", "bytes")}, "1 bytes for an array"),
        ({"steps/a": string_list([b"\2"])}, {"a": array([1], "bool", "bytes")}, "other bytes than 0 and 1"),
        ({"steps/a": string_list([b"\xff"])}, {"a": {"text": {}}}, "no UTF-8"),
        ({"steps/a": string_list(TWO)}, {"a": {"image": {"shape": {"dimensions": [4, 4, 3]}}}}, "no PNG"),
        ({"steps/a": string_list(TWO)}, {"a": {"audio": {}, "pythonClassName": "Audio"}}, "Audio, which is not read"),
        ({"steps/a": string_list(TWO)}, {"a": array([], "complex64")}, "complex64"),
        ({"steps/a": number_list(INTS)}, {"a": {"tensor": {"shape": {"dimension": [1]}, "dtype": "int8"}}}, "shape"),
        ({"steps/a": number_list(INTS)}, {"a": {"tensor": {"shappe": {}, "dtype": "int8"}}}, "shappe"),
        ({"steps/a/value": string_list(TWO[:1]), "steps/a/shape": number_list(np.array([1, 2**40]))},
         {"a": array([-1, -1], "int8", "bytes")}, "1 bytes for an array"),
        ({"steps/a/value": string_list(TWO[:1]), "steps/a/shape": number_list(np.array([-1, -1]))},
         {"a": array([-1, -1], "int8", "bytes")}, "says the shape"),
        ({"steps/a/ragged_flat_values": number_list(INTS), "steps/a/ragged_row_lengths_0": number_list(INTS * 2**40)},
         {"a": {"sequence": {"feature": array([], "int8")}}, "n": array([], "int8")}, "impossible length|rows"),
    ],
)  # fmt: skip
def test_lies_are_found_out(tmp_path, features, tree, said):
    count = {"steps/n": number_list(INTS)} if "n" in tree else {}
    dataset = one(tmp_path, features | count, tree)
    with pytest.raises(DataError, match=said) as caught:
        dataset[0]["a"].read()
    assert caught.value.key.startswith("steps/a")
    assert any(finding.key and finding.key.startswith("steps/a") for finding in dataset.validate())


def test_features_that_disagree_on_the_number_of_steps(tmp_path):
    floats = {"steps/a": number_list(np.ones(2, np.float32)), "steps/b": number_list(np.ones(3, np.float32))}
    dataset = one(tmp_path, floats, {"a": array([]), "b": array([])})
    with pytest.raises(DataError, match="3 steps, and steps/a has 2"):
        dataset[0]
    assert len(list(dataset.validate())) == 1
    with pytest.raises(DataError, match="and a part"):
        one(tmp_path, {"steps/a": floats["steps/b"]}, {"a": array([2])})[0]


def test_a_huge_picture_is_not_made(tmp_path):
    from robocache.datasets.rlds._columns import png

    data = bytearray(png(np.zeros((2, 2, 3), np.uint8)))
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    dataset = one(tmp_path, {"steps/a": string_list([bytes(data)])}, {"a": {"image": {"shape": {}}}})
    with pytest.raises(DataError, match=r"60000|pixels"):
        dataset[0]["a"].read()


@pytest.mark.parametrize(
    "change, said",
    [
        ({"name": "../x"}, "leads out"),
        ({"name": 3}, "no name"),
        ({"fileFormat": "riegeli"}, "riegeli"),
        ({"splits": {}}, "no list of splits"),
        ({"splits": [{"name": "train", "shardLengths": ["-1"]}]}, "shard length"),
        ({"splits": [{"name": "train", "shardLengths": ["999999999999"]}]}, "999999999999 records"),
        ({"splits": [{"name": "test", "shardLengths": ["1"]}]}, "none of its 1 shards"),
        ({"splits": [{"name": "train", "filepathTemplate": "/etc/passwd", "shardLengths": ["1"]}]}, "leads out"),
    ],
)
def test_lies_in_dataset_info(made, change, said):
    path = made.path / "dataset_info.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(DataError, match=said):
        rd.open_dataset(made.path)


def test_trees_that_are_too_deep_or_no_rlds(made):
    path = made.path / "features.json"
    path.write_text(
        '{"featuresDict": {"features": {"steps": ' + '{"sequence": {"feature": ' * 100 + "{}" + "}}" * 100 + "}}}"
    )
    with pytest.raises(DataError, match="deeper"):
        rd.open_dataset(made.path, format="rlds")
    path.write_text('{"featuresDict": {"features": {"image": {"text": {}}}}}')
    with pytest.raises(DataError, match="no RLDS"):
        rd.open_dataset(made.path, format="rlds")


def test_bytes_bound_what_an_array_may_unpack_to(tmp_path, monkeypatch):
    monkeypatch.setattr(_items, "LARGEST", 1000)
    dataset = one(tmp_path, {"steps/a": string_list([zlib.compress(bytes(2000))])}, {"a": array([-1], "int8", "zlib")})
    with pytest.raises(DataError, match="1000 bytes"):
        dataset[0]["a"].read()


def test_checksums_need_their_library(made, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "google_crc32c", None)
    with pytest.raises(BackendError, match=r"robocache\[rlds\]"):
        rd.open_dataset(made.path)
    assert rd.open_dataset(made.path, verify=False)[0]["count"].read(0) == -2
