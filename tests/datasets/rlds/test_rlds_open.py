"""How a dataset is found and opened: paths, splits, partial downloads, rates, options, language."""

import json
import shutil
import subprocess
import sys
import threading

import numpy as np
import pytest

import robocache.datasets as rd
from robocache.datasets import _sniffs
from robocache.datasets._sniffs import rlds as sniff
from robocache.datasets.rlds import known, register_dataset, write_rlds
from robocache.errors import ArgumentError, DataError


def rewrite(path, **change):
    """Change a JSON file; None takes a key away."""
    value = {k: v for k, v in (json.loads(path.read_text()) | change).items() if v is not None}
    path.write_text(json.dumps(value))


def test_every_folder_that_means_it(made):
    for path in (made.path, made.path.parent, made.path.parent.parent, made.path / "dataset_info.json"):
        assert sniff(path) > 0.9
        assert rd.open_dataset(path).path == made.path
    assert sniff(made.path / "features.json" / "no") == 0.0


def test_the_newest_version_and_several_datasets(made, tmp_path):
    for version in ("1.0.9", "1.0.10"):
        shutil.copytree(made.path, made.path.parent / version)
    assert rd.open_dataset(made.path.parent).path.name == "1.0.10"
    shutil.copytree(made.path.parent, tmp_path / "other")
    with pytest.raises(DataError, match="holds 2 datasets"):
        rd.open_dataset(tmp_path)
    shutil.copytree(made.path, tmp_path / "other" / "config" / "1.0.0")
    assert rd.open_dataset(tmp_path / "other" / "config").path.parent.name == "config"


def test_looking_ends(made, monkeypatch):
    monkeypatch.setattr(_sniffs, "LOOKS", 20)
    for k in range(30):
        (made.path.parent.parent / f"frame_{k}.npz").touch()
    assert sniff(made.path.parent.parent) == 0.0
    assert sniff(made.path) > 0.9


def test_what_is_no_rlds_is_left_alone(tmp_path):
    assert sniff(tmp_path) == 0.0
    (tmp_path / "dataset_info.json").write_text("{}")  # as other libraries name it too
    assert sniff(tmp_path) == 0.0
    (tmp_path / "features.json").write_text('{"featuresDict": {"features": {"image": {}}}}')
    assert sniff(tmp_path) == 0.0


def test_old_metadata_has_defaults(small, tmp_path, tools):
    new = rd.open_dataset(small / "tfrecord")
    folder = shutil.copytree(new.path, tmp_path / "old")
    info = json.loads((folder / "dataset_info.json").read_text())
    splits = [{"name": split["name"], "shardLengths": split["shardLengths"]} for split in info["splits"]]
    rewrite(folder / "dataset_info.json", fileFormat=None, splits=splits)
    assert tools.everything(rd.open_dataset(folder)) == tools.everything(new)
    rewrite(folder / "dataset_info.json", splits=[{"name": "val", "numShards": 2}])  # older still: files are counted
    assert tools.everything(rd.open_dataset(folder)) == tools.everything(new)
    rewrite(folder / "dataset_info.json", splits=[{"name": "val", "numShards": 3}])
    with pytest.raises(DataError, match="says 3 shards"):
        rd.open_dataset(folder)


def numbers(dataset):
    return {episode.id: int(episode["number"].read(0)) for episode in dataset}


def test_splits(split_up):
    dataset = rd.open_dataset(split_up)
    assert {name: list(at) for name, at in dataset.splits.items()} == {"train": [0, 1, 2, 3, 4], "test": [5]}
    assert numbers(dataset.split("test")) == {"test/0": 5}
    assert numbers(rd.open_dataset(split_up, split="train")) == {f"train/{k}": k for k in range(5)}
    assert dataset.index.lengths.tolist() == [3] * 6
    with pytest.raises(ArgumentError, match="nope"):
        dataset.split("nope")


def test_a_partial_download_says_so(split_up):
    (split_up / "split_up-train.tfrecord-00001-of-00005").unlink()
    (split_up / "split_up-test.tfrecord-00000-of-00001").unlink()
    (split_up / "split_up-more.tfrecord-00000-of-00001").write_bytes(b"")
    dataset = rd.open_dataset(split_up)
    assert numbers(dataset) == {f"train/{k}": k for k in (0, 2, 3, 4)}  # ids are those of the whole dataset
    missing = ("split_up-train.tfrecord-00001-of-00005", "split_up-test.tfrecord-00000-of-00001")
    assert dataset.meta["missing_shards"] == missing
    found = list(dataset.validate())
    assert [finding.level for finding in found] == ["error", "error", "warning"]
    assert [finding.file for finding in found[:2]] == [str(split_up / name) for name in missing]
    assert "more" in found[2].file
    assert list(dataset.splits) == ["train"]
    with pytest.raises(DataError, match="'test' is announced"):
        dataset.split("test")
    for path in split_up.glob("*.tfrecord-*"):
        path.unlink()
    with pytest.raises(DataError, match="none of its 6 shards"):
        rd.open_dataset(split_up)


def test_counts_against_the_metadata(split_up):
    info = split_up / "dataset_info.json"
    splits = json.loads(info.read_text())["splits"]
    splits[0]["shardLengths"][1] = "2"
    rewrite(info, splits=splits)
    dataset = rd.open_dataset(split_up)
    assert numbers(dataset[k] for k in (0, 1, 3)) == {"train/0": 0, "train/1": 1, "train/3": 2}
    with pytest.raises(DataError, match="has 1 records") as caught:
        dataset[2]
    assert caught.value.episode == "train/2"
    assert len(list(dataset.validate())) == 2
    splits[0]["shardLengths"][1] = "0"
    rewrite(info, splits=splits)
    assert any("says 0" in finding.message for finding in rd.open_dataset(split_up).validate())
    splits[0]["shardLengths"][1], splits[0]["numBytes"] = "1", "77"
    rewrite(info, splits=splits)
    (found,) = rd.open_dataset(split_up).validate()
    assert (found.level, "77 bytes" in found.message) == ("warning", True)


def test_flags_at_the_wrong_steps_are_found(tmp_path):
    wrong = rd.Episode.from_arrays(0, {"is_first": np.array([1, 1, 0], bool), "is_last": np.array([0, 1, 0], bool)})
    found = list(rd.open_dataset(write_rlds([wrong], tmp_path, name="wrong")).validate())
    assert [(finding.level, finding.key) for finding in found] == [("warning", "is_first"), ("warning", "is_last")]


def test_where_the_rate_comes_from(made, monkeypatch):
    monkeypatch.setattr(known, "_registered", {})
    assert (rd.open_dataset(made.path).control_hz, rd.open_dataset(made.path).control_hz_origin) == (5.0, "file")
    user = rd.open_dataset(made.path, control_hz=8)
    assert (user.control_hz, user.control_hz_origin) == (8, "user")
    assert user[0]["action"].times.tolist() == [0, 125_000_000, 250_000_000, 375_000_000]
    (made.path / "metadata.json").unlink()
    unknown = rd.open_dataset(made.path)
    assert (unknown.control_hz, unknown.control_hz_origin, unknown.action) == (None, None, None)
    assert unknown[0]["action"].clock == "index"
    with pytest.raises(DataError, match="control_hz") as caught:
        _ = unknown[0]["action"].times
    assert (caught.value.episode, caught.value.key) == ("train/0", "action")
    spec = rd.ActionSpec("joint")
    register_dataset("mad*", control_hz=3)
    assert rd.open_dataset(made.path).control_hz == 3
    register_dataset("made", control_hz=7, action=spec)
    dataset = rd.open_dataset(made.path)
    assert (dataset.control_hz, dataset.control_hz_origin, dataset.action) == (7, "registry", spec)
    assert rd.open_dataset(made.path, name="droid").control_hz == 15
    for bad in (
        {"name": ""},
        {"name": "a*b"},
        {"name": "a", "control_hz": 0},
        {"name": "a", "control_hz": float("nan")},
    ):
        with pytest.raises(ArgumentError):
            register_dataset(**bad)


@pytest.mark.parametrize(
    "name, rate",
    [
        ("fractal20220817_data", 3), ("bridge", 5), ("bridge_dataset", 5), ("bridge_orig", 5), ("droid", 15),
        ("droid_100", 15), ("taco_play", 15), ("kuka", 10), ("toto", 30), ("libero_10_no_noops", 20),
        ("asu_table_top_converted_externally_to_rlds", 12.5), ("asu_table_top", 12.5), ("dobbe", 3.75),
    ],
)  # fmt: skip
def test_known_rates(name, rate):
    assert known.lookup(name).control_hz == rate


def test_names_are_matched_as_said():
    assert known.lookup("bridge_of_mine") is None
    assert known.lookup("droid_like") is None
    assert known.lookup("language_table_sim").control_hz == 10
    assert known.lookup("droid").action.gripper == (1.0, 0.0)
    assert known.lookup("bridge").action != known.lookup("bridge_dataset").action


def test_language_is_runs_of_equal_instructions(made):
    first, second = rd.open_dataset(made.path)
    assert first.language == (
        rd.Span(0, 2, "go", None, "language_instruction"),
        rd.Span(3, 4, "stop", None, "language_instruction"),
    )
    assert [span.stop for span in second.language] == [2, 5]
    chosen = rd.open_dataset(made.path, language=["episode_metadata/path"])[0]
    assert chosen.language == (rd.Span(0, 4, "/raw/0", None, "episode_metadata/path"),)
    assert rd.open_dataset(made.path, language=[])[0].language == ()
    with pytest.raises(ArgumentError, match="language"):
        rd.open_dataset(made.path, language=["action"])


def test_code_points_are_instructions_too(tmp_path):
    points = np.zeros((3, 8), np.int32)
    points[:, :2] = [ord("g"), ord("ö")]
    made = rd.Episode.from_arrays(0, {"observation/instruction": points})
    (span,) = rd.open_dataset(write_rlds([made], tmp_path, name="language_table"))[0].language
    assert span == rd.Span(0, 3, "gö", None, "observation/instruction")


def test_bad_options(made):
    for option in ({"dct": "slow"}, {"colour": 1}):
        with pytest.raises(ArgumentError):
            rd.open_dataset(made.path, **option)


def test_threads_read_the_same_dataset(small, tools):
    for form in ("tfrecord", "parquet"):
        want, _ = tools.everything(rd.open_dataset(small / form))
        dataset, found = rd.open_dataset(small / form), []
        threads = [threading.Thread(target=lambda d=dataset, f=found: f.append(tools.everything(d))) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [(want, {})] * 4


def test_closing_lets_go_and_arrays_stay(made):
    dataset = rd.open_dataset(made.path)
    with dataset:
        array = dataset[0]["action"].read()
    assert np.array_equal(array, made.episodes[0]["action"].read())
    assert array.flags.writeable


def test_opening_loads_no_decoder(made):
    program = (
        "import sys, robocache.datasets as rd; d = rd.open_dataset(sys.argv[1]); d[0]['action'].read()\n"
        "print(*{'numba', 'pyarrow', 'PIL', 'simplejpeg', 'av', 'h5py'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", program, made.path], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == []


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the resident memory from /proc")
def test_a_full_pass_does_not_stay_in_memory(tmp_path):
    def resident():
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096

    block = np.random.default_rng(0).integers(0, 255, (4, 1 << 19)).astype(np.uint8)
    episodes = (rd.Episode.from_arrays(k, {"block": block + np.uint8(k)}) for k in range(40))
    path = write_rlds(episodes, tmp_path, name="large", shard_bytes=10 << 20)
    dataset, before, most = rd.open_dataset(path, cache_bytes=16 << 20), resident(), 0
    for k, episode in enumerate(dataset):
        assert np.array_equal(episode["block"].read(3), block[3] + np.uint8(k))
        most = max(most, resident() - before)
    assert most < 40 << 20  # of 84 MB
