"""Bags that are cut off, flipped, or made to harm: nothing but DataError comes of them."""

import sqlite3
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache.datasets import open_dataset
from robocache.errors import ArgumentError, DataError

TOPICS = {"/imu": "sensor_msgs/msg/Imu", "/joints": "sensor_msgs/msg/JointState", "/text": "std_msgs/msg/String"}


def data_file(path: Path) -> Path:
    return path if path.is_file() else next(one for one in path.iterdir() if one.suffix in (".mcap", ".db3"))


def look(path: Path) -> None:
    """Read all there is."""
    met: list[DataError] = []
    with open_dataset(path) as dataset:
        for stream in dataset[0].values():
            for what in (type(stream).read, type(stream).times.fget):
                try:
                    what(stream)
                except DataError as error:
                    met.append(error)
        assert all(error.file is not None and error.key is not None for error in met)
        for finding in dataset.validate():
            assert finding.message


@pytest.mark.parametrize("kind", ["ros1", "ros1-lz4", "mcap", "mcap-zstd", "sqlite"])
def test_flips_and_cuts(bags, tmp_path, kind):
    path = data_file(bags["make"](tmp_path / "bag", kind, 3, TOPICS).path)
    raw, rng, refused = path.read_bytes(), np.random.default_rng(2), 0
    hurt = tmp_path / f"hurt{path.suffix}"
    for k in range(45):
        bad = bytearray(raw)
        if k % 3 == 0:
            bad = bad[: int(rng.integers(0, len(raw)))]
        for at in rng.integers(0, max(1, len(bad)), 2) if k % 3 and bad else ():
            bad[at] = int(rng.integers(0, 256))
        hurt.write_bytes(bad)
        try:
            look(hurt)
        except DataError as error:
            refused += error.file is not None
    assert refused >= 15  # of every cut at least


@pytest.mark.parametrize("kind,message", [("mcap", "recording finished"), ("sqlite", "cut off")])
def test_a_cut_off_bag_says_so(bags, tmp_path, kind, message):
    path = data_file(bags["make"](tmp_path / "bag", kind, 40, TOPICS).path)
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DataError, match=message):
        open_dataset(path)


def test_an_unfinished_ros1_bag_says_so(bags, tmp_path):
    path = bags["make"](tmp_path / "bag", "ros1", 3, TOPICS).path
    raw = path.read_bytes()
    path.write_bytes(raw[:-400])
    with pytest.raises(DataError, match="cut off"):
        open_dataset(path)
    at = raw.index(b"index_pos=") + 10
    path.write_bytes(raw[:at] + bytes(8) + raw[at + 8 :])
    with pytest.raises(DataError, match="not finished"):
        open_dataset(path)


def test_names_in_metadata_do_not_lead_out(bags, tmp_path):
    made = bags["make"](tmp_path / "bag", "mcap", 3, TOPICS).path
    (made / "bag.mcap").rename(tmp_path / "bag.mcap")
    told = (made / "metadata.yaml").read_text()
    for name in ("../bag.mcap", "other.mcap", str(tmp_path / "bag.mcap")):
        (made / "metadata.yaml").write_text(told.replace("bag.mcap", name))
        with pytest.raises(DataError, match="no such file"):
            open_dataset(made)
    (made / "bag.mcap").symlink_to(tmp_path / "bag.mcap")
    (made / "metadata.yaml").write_text(told)
    with pytest.raises(DataError, match="leads out"):
        open_dataset(made)


@pytest.mark.parametrize("text", ["", "[", "a: 1", "rosbag2_bagfile_information: 3", "rosbag2_bagfile_information: {}",
                                  "rosbag2_bagfile_information: !!python/object:os.system {}", "\x00"])  # fmt: skip
def test_bad_metadata(bags, tmp_path, text):
    made = bags["make"](tmp_path / "bag", "sqlite", 3, TOPICS).path
    (made / "metadata.yaml").write_text(text + "\n# rosbag2_bagfile_information")
    with pytest.raises(DataError, match=r"metadata"):
        open_dataset(made, format="bags")


def test_counts_in_metadata_that_are_wrong_are_found(bags, tmp_path):
    made = bags["make"](tmp_path / "bag", "sqlite", 3, {"/text": "std_msgs/msg/String"}).path
    told = (made / "metadata.yaml").read_text()
    (made / "metadata.yaml").write_text(told.replace("message_count: 3", "message_count: 4"))
    with open_dataset(made) as dataset:
        said = [(finding.level, finding.message) for finding in dataset.validate()]
    assert ("error", "3 messages are there, metadata.yaml says 4") in said


@pytest.mark.parametrize("harm", [
    "CREATE VIEW messages AS WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x FROM c) SELECT x id, x topic_id, "
    "x timestamp, x data FROM c",
    "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, "
    "data BLOB AS (zeroblob(1000000000)) VIRTUAL); INSERT INTO messages VALUES (1, 1, 1)",
    "CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id, timestamp, data); INSERT INTO messages VALUES (1,1,'a',2)",
])  # fmt: skip
def test_a_database_made_to_harm(bags, tmp_path, harm):
    path = data_file(bags["make"](tmp_path / "bag", "sqlite", 3, {"/text": "std_msgs/msg/String"}).path)
    with sqlite3.connect(path) as database:
        database.executescript("DROP TABLE messages;" + harm)
    database.close()
    try:
        with open_dataset(path) as dataset:
            assert "undecodable" in dataset[0].meta["topics"]["/text"]
    except DataError:
        pass


def test_definitions_are_not_run(bags, tmp_path):
    path = bags["make"](tmp_path / "bag", "ros1", 3, {"/text": "std_msgs/msg/String"}).path
    raw = path.read_bytes()
    assert b"string data" in raw
    path.write_bytes(raw.replace(b"string data", b"string d();"))
    with open_dataset(path) as dataset:
        assert "has a line" in dataset[0].meta["topics"]["/text"]["undecodable"]


def test_options_that_cannot_be(bags, tmp_path):
    path = bags["make"](tmp_path / "bag", "ros1", 3, TOPICS).path
    for options in (
        {"clock": "wall"},
        {"ragged": "/a"},
        {"max_chunk_bytes": 0},
        {"dct": "x"},
        {"ros_distro": "x"},
        {"colour": 1},
    ):
        with pytest.raises(ArgumentError, match=next(iter(options))):
            open_dataset(path, **options)


def test_two_threads_read_one_bag(recorded):
    from concurrent.futures import ThreadPoolExecutor

    def read(_: Any) -> list[bytes]:
        return [np.asarray(stream.read()).tobytes() for stream in streams if stream.kind == "vector"]

    with open_dataset(recorded.path) as dataset, ThreadPoolExecutor(4) as pool:
        streams = list(dataset[0].values())
        assert len({tuple(found) for found in pool.map(read, range(4))}) == 1
