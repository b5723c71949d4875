"""Every value that rosbags wrote comes back, bit for bit, from every kind of bag."""

import tracemalloc
from functools import reduce
from typing import Any

import numpy as np
import pytest

from robocache.datasets import open_dataset
from robocache.errors import ArgumentError


def same(got: Any, want: Any) -> int:
    """Assert equal bits; how many numbers that were."""
    want = np.asarray(want)
    if want.dtype.kind in "SUO":
        assert list(got) == want.tolist()
        return len(want)
    cast = want.astype(got.dtype)
    assert got.shape == want.shape
    assert (cast == want).all()
    assert np.ascontiguousarray(got).tobytes() == cast.tobytes()
    return want.size


def field(message: Any, path: str) -> Any:
    found = reduce(getattr, path.split("."), message)
    if hasattr(found, "__dataclass_fields__"):
        return [getattr(found, name) for name in found.__dataclass_fields__ if not name.startswith("__")]
    return found


def test_all_fields_of_all_types(recorded):
    compared = 0
    with open_dataset(recorded.path) as dataset:
        episode = dataset[0]
        for name, stream in episode.items():
            topic, _, path = name.rpartition("/")
            messages = [message for _, message in recorded.told[topic]]
            compared += same(stream.read(), [field(message, path) for message in messages])
            order = np.random.default_rng(0).permutation(len(messages))[:7]
            same(stream.read(order), [field(messages[k], path) for k in order])
            same(np.asarray(stream.read(-1))[None], [field(messages[-1], path)])
        told = episode.meta["topics"]
        assert not [name for name in told if "undecodable" in told[name]]
        assert told["/array"]["omitted"] == ["layout.dim"]
        assert set(told) == set(recorded.told)
    assert compared >= 2800


def test_clocks(recorded):
    for option, clocks in ((None, {"header", "receive"}), ("header", {"header", "receive"}), ("receive", {"receive"})):
        with open_dataset(recorded.path, clock=option) as dataset:
            assert {stream.clock for stream in dataset[0].values()} == clocks
            for name, stream in dataset[0].items():
                rows = recorded.told[name.rpartition("/")[0]]
                header = option != "receive" and hasattr(rows[0][1], "header")
                assert stream.clock == ("header" if header else "receive")
                stamps = [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec if header else t for t, m in rows]
                assert stream.times.dtype == np.int64
                assert stream.times.tolist() == stamps


def test_a_fused_episode_has_one_clock(recorded):
    with open_dataset(recorded.path) as dataset, pytest.raises(ArgumentError, match="different clocks"):
        dataset[0].fuse(10, ["/imu/angular_velocity", "/f32/data"])
    with open_dataset(recorded.path, clock="receive") as dataset:
        fused = dataset[0].fuse(10, ["/imu/angular_velocity", "/i64/data"])
        assert fused.times[0] > 1_700_000_000 * 10**9


def test_units_names_and_frames(recorded):
    with open_dataset(recorded.path) as dataset:
        episode = dataset[0]
        assert (episode["/imu/angular_velocity"].unit, episode["/imu/linear_acceleration"].unit) == ("rad/s", "m/s^2")
        assert episode["/imu/orientation"].names == ("x", "y", "z", "w")
        assert episode["/odom/pose.pose.position"].unit == "m"
        assert episode["/wrench/wrench.torque"].unit == "N m"
        assert episode["/joints/effort"].names == ("hip", "knee", "ankle", "toe", "wrist")
        assert episode.meta["topics"]["/imu"]["frame"] == recorded.told["/imu"][0][1].header.frame_id
        assert set(dataset.specs) == set(episode)


def test_validation_finds_nothing_but_what_is_not_a_stream(recorded):
    with open_dataset(recorded.path, clock="receive") as dataset:
        said = [(finding.level, finding.key) for finding in dataset.validate()]
    assert sorted(said) == [("warning", "/array"), ("warning", "/battery")] or sorted(said) == [("warning", "/array")]


def test_several_bags_are_several_episodes(bags, tmp_path):
    made = [bags["make"](tmp_path / f"b{k}", kind, 3, {"/f32": "std_msgs/msg/Float32"}, k)
            for k, kind in enumerate(("ros1", "mcap", "sqlite"))]  # fmt: skip
    with open_dataset(tmp_path) as dataset:
        assert [episode.id for episode in dataset] == ["b0", "b1", "b2"]
        for episode, one in zip(dataset, made):
            same(episode["/f32/data"].read(), [message.data for _, message in one.told["/f32"]])


def test_a_topic_of_two_publishers_is_merged_by_time(bags, tmp_path):
    rosbag1 = pytest.importorskip("rosbags.rosbag1")
    store = bags["store"]("ros1")
    with rosbag1.Writer(tmp_path / "two.bag") as writer:
        both = [writer.add_connection("/n", "std_msgs/msg/Int32", typestore=store, callerid=name) for name in "ab"]
        for k in range(20):
            raw = store.serialize_ros1(store.types["std_msgs/msg/Int32"](data=k), "std_msgs/msg/Int32")
            writer.write(both[k % 3 == 0], 1000 + k, raw)
    with open_dataset(tmp_path / "two.bag") as dataset:
        assert dataset[0]["/n/data"].read().tolist() == list(range(20))
        assert dataset[0]["/n/data"].times.tolist() == [1000 + k for k in range(20)]


def test_stamps_that_are_all_zero_are_no_clock(bags, tmp_path):
    store = bags["store"]("mcap")
    rng, name = np.random.default_rng(1), "geometry_msgs/msg/TwistStamped"
    for late in (False, True):
        rows = []
        for k in range(5):
            stamp = store.types["builtin_interfaces/msg/Time"](sec=0, nanosec=7 * (late and k == 4))
            header = store.types["std_msgs/msg/Header"](stamp=stamp, frame_id="base")
            rows.append((10 + k, bags["message"](store, name, rng, header=header)))
        path = bags["write"](tmp_path / f"zero{late}", "mcap", {"/t": (name, rows)})
        with open_dataset(path) as dataset:
            stream = dataset[0]["/t/twist.linear"]
            assert stream.clock == ("header" if late else "receive")
            assert stream.times.tolist() == ([0, 0, 0, 0, 7] if late else [10, 11, 12, 13, 14])
            if late:
                said = [finding.message for finding in dataset.validate()]
                assert any("stand still 3 times" in message for message in said)


@pytest.mark.parametrize("kind", ["ros1", "mcap-zstd"])
def test_a_pass_over_a_bag_holds_little_of_it(bags, tmp_path, kind):
    store, rng = bags["store"](kind), np.random.default_rng(0)
    fields = {"height": 500, "width": 700, "encoding": "rgb8", "is_bigendian": 0, "step": 2100}
    rows = []
    for k in range(70):
        data = rng.integers(0, 255, 1_050_000, dtype=np.uint8)
        rows.append((1 + k, bags["message"](store, "sensor_msgs/msg/Image", rng, data=data, **fields)))
    path = bags["write"](tmp_path / "bag", kind, {"/c": ("sensor_msgs/msg/Image", rows)})
    first = [row.data[0] for _, row in rows]
    del rows
    tracemalloc.start()
    with open_dataset(path) as dataset:
        stream = dataset[0]["/c"]
        assert [int(stream.read(k)[0, 0, 0]) for k in range(70)] == first
        assert len(set(stream.times.tolist())) == 70
        peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 58 << 20  # of 74 MB: 32 MB of chunks, two times 8 MB of messages, a picture
