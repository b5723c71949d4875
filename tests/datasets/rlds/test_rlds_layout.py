"""Folders of shards that lack one of the JSON files of TFDS, or both."""

import shutil
from pathlib import Path

import pytest

import robocache.datasets as rd
from robocache.datasets._sniffs import rlds as sniff
from robocache.errors import DataError


def test_without_dataset_info_the_names_of_shards_say_it(split_up, tools):
    whole = tools.everything(rd.open_dataset(split_up))
    (split_up / "dataset_info.json").unlink()
    (split_up / "labels.txt").write_text("a\nb\n")  # what the reader of logs would take
    for path in (split_up, split_up.parent):
        assert sniff(path) > 0.9
        dataset = rd.open_dataset(path)
        assert (dataset.format, dataset.name, dataset.path) == ("rlds", "split_up", split_up)
    assert {name: len(at) for name, at in dataset.splits.items()} == {"train": 5, "test": 1}
    assert tools.everything(dataset.split("train")) == tools.everything(rd.open_dataset(split_up, split="train"))
    assert tools.everything(dataset) == whole
    assert dataset.index.lengths.tolist() == [3] * 6
    assert [(f.level, Path(f.file).name) for f in dataset.validate()] == [("warning", "dataset_info.json")]
    (split_up / "split_up-train.tfrecord-00003-of-00005").unlink()
    dataset = rd.open_dataset(split_up)
    assert dataset.meta["missing_shards"] == ("split_up-train.tfrecord-00003-of-00005",)
    assert len(dataset) == 5


@pytest.mark.parametrize("gone", (["features.json"], ["features.json", "dataset_info.json"]))
def test_without_features_the_file_that_is_missing_is_told(split_up, gone):
    (split_up / "labels.txt").write_text("a\nb\n")
    for name in gone:
        (split_up / name).unlink()
    for path in (split_up, split_up.parent):
        assert sniff(path) == 0.6
        with pytest.raises(DataError, match=r"there is no features\.json") as caught:
            rd.open_dataset(path)
        assert caught.value.file == str(split_up)


def test_shards_that_names_cannot_tell_apart(split_up):
    (split_up / "dataset_info.json").unlink()
    other = split_up / "split_up-train.tfrecord-00000-of-00007"
    other.write_bytes(b"")
    with pytest.raises(DataError, match="'train', and the files do not tell"):
        rd.open_dataset(split_up)
    other.rename(split_up / "else-train.tfrecord-00000-of-00001")
    with pytest.raises(DataError, match="shards of 2 datasets"):
        rd.open_dataset(split_up)


def test_a_whole_dataset_goes_before_loose_shards(made, split_up, tmp_path):
    top = tmp_path / "both"
    shutil.copytree(split_up.parent, top / "loose")
    (top / "loose" / split_up.name / "dataset_info.json").unlink()
    shutil.copytree(split_up.parent, top / "old")
    assert rd.open_dataset(top).path == top / "old" / split_up.name
    shutil.rmtree(top / "old")
    assert rd.open_dataset(top).path == top / "loose" / split_up.name
    shutil.copytree(top / "loose" / split_up.name, top / "loose" / "9.10.0")
    shutil.copytree(top / "loose" / split_up.name, top / "loose" / "9.9.0")
    assert rd.open_dataset(top).path.name == "9.10.0"
    shutil.copytree(top / "loose", top / "more")
    with pytest.raises(DataError, match="datasets; open one of"):
        rd.open_dataset(top)
