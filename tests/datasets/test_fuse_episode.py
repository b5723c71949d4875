"""`Episode.fuse` is `fuse_multimodal` called by hand, and clocks that no one brought together are not mixed."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest

import robocache as rc
from robocache.datasets import Episode
from robocache.errors import ArgumentError, DataError
from tests.datasets import toy

RNG = np.random.default_rng(5)
IMU = RNG.standard_normal((200, 6)).astype(np.float32)
IMU_TIMES = toy.EPOCH_NS + np.arange(200) * 5_000_000
JOINTS = RNG.standard_normal((100, 7))
JOINT_TIMES = toy.EPOCH_NS + np.arange(100) * 10_000_000 + 3_000_000
MODE = RNG.integers(0, 5, (50, 1))
MODE_TIMES = toy.EPOCH_NS + np.arange(50) * 20_000_000


def recording(**more: Any) -> Episode:
    """Three streams of numbers on one clock, and others that are none or on another."""
    return toy.episode(
        "e1",
        toy.stream("imu", IMU, IMU_TIMES),
        toy.stream("joints", JOINTS, JOINT_TIMES),
        toy.stream("mode", MODE, MODE_TIMES),
        toy.stream("cam", np.zeros((9, 4, 4, 3), np.uint8), np.arange(9), kind="image"),
        toy.stream("text", np.array(["a", "b"], object), np.arange(2), kind="text"),
        *more.values(),
    )


def equal(found: Any, want: Any) -> None:
    """Bit for bit, and not trivially."""
    assert found.names == want.names
    assert found.slices == want.slices
    for key in ("values", "valid", "age", "times"):
        one, other = getattr(found, key), getattr(want, key)
        if isinstance(other, dict):
            assert one.keys() == other.keys()
            assert all(np.array_equal(one[k], other[k], equal_nan=True) for k in other)
        else:
            assert one.dtype == other.dtype
            assert np.array_equal(one, other, equal_nan=True)
    assert want.valid.any()


def by_hand(**methods: str) -> dict[str, rc.Stream]:
    arrays = {"imu": (IMU, IMU_TIMES), "joints": (JOINTS, JOINT_TIMES), "mode": (MODE, MODE_TIMES)}
    return {name: rc.Stream(*arrays[name], method=method) for name, method in methods.items()}


def test_by_default_floats_are_blended_and_integers_held() -> None:
    equal(recording().fuse(50), rc.fuse_multimodal(by_hand(imu="linear", joints="linear", mode="previous"), rate=50))


@pytest.mark.parametrize("kind, method", [
    (np.float16, "linear"), (ml_dtypes.bfloat16, "linear"), (np.int8, "previous"), (np.uint64, "previous"),
    (bool, "previous"),
])  # fmt: skip
def test_methods_by_type(kind: Any, method: str) -> None:
    values = RNG.integers(0, 2, (100, 3)).astype(kind)
    one = toy.episode(0, toy.stream("x", values, JOINT_TIMES))
    want = rc.fuse_multimodal({"x": rc.Stream(values, JOINT_TIMES, method=method)}, rate=30)
    found = one.fuse(30)
    assert found.values.dtype == want.values.dtype
    assert found.values.tobytes() == want.values.tobytes()


def test_methods_by_stream() -> None:
    streams = {
        "joints": "pchip",
        "imu": {"method": "nearest", "latency": 2_000_000, "max_gap": 10_000_000},
        "mode": None,
    }
    want = {
        "joints": rc.Stream(JOINTS, JOINT_TIMES, method="pchip"),
        "imu": rc.Stream(IMU, IMU_TIMES, method="nearest", latency=2_000_000, max_gap=10_000_000),
        "mode": rc.Stream(MODE, MODE_TIMES, method="previous"),
    }
    equal(recording().fuse(100, streams), rc.fuse_multimodal(want, rate=100))
    equal(recording().fuse(100, ["mode", "imu"]), rc.fuse_multimodal(by_hand(mode="previous", imu="linear"), rate=100))


def test_options_are_passed_on() -> None:
    methods = by_hand(imu="linear", joints="linear", mode="previous")
    given = {"join": "union", "outside": 7, "layout": "dict"}
    equal(recording().fuse(50, **given), rc.fuse_multimodal(methods, rate=50, **given))
    goals = IMU_TIMES[20:150:3] + 1
    equal(recording().fuse(target_times=goals, dtype=np.float32), rc.fuse_multimodal(methods, goals, dtype=np.float32))
    equal(recording().fuse(target_times="joints"), rc.fuse_multimodal(methods, "joints"))


def test_the_index_clock_is_fused_with_itself() -> None:
    one = Episode.from_arrays(0, {"a": JOINTS, "b": JOINTS[:, :2] > 0}, rate=12.5)
    times = np.arange(100) * 80_000_000
    want = {"a": rc.Stream(JOINTS, times), "b": rc.Stream(JOINTS[:, :2] > 0, times, method="previous")}
    equal(one.fuse(5), rc.fuse_multimodal(want, rate=5))


def test_clocks_are_not_mixed() -> None:
    wrong = recording(a=toy.stream("lidar", np.zeros((100, 2)), JOINT_TIMES, clock="sensor"))
    with pytest.raises(ArgumentError, match=r"different clocks .*imu: 'log'.*lidar: 'sensor'.*stamps="):
        wrong.fuse(50)
    with pytest.raises(ArgumentError, match="different clocks"):
        recording(a=toy.stream("state", np.zeros((100, 2)), rate=10)).fuse(50)
    equal(wrong.fuse(50, ["lidar"]), rc.fuse_multimodal({"lidar": rc.Stream(np.zeros((100, 2)), JOINT_TIMES)}, rate=50))


def test_stamps_that_were_brought_onto_the_clock_of_the_others() -> None:
    values = RNG.standard_normal((100, 2))
    late = recording(a=toy.stream("lidar", values, JOINT_TIMES - 7, clock="sensor"))
    mapped = JOINT_TIMES + 250_000
    want = by_hand(imu="linear") | {"lidar": rc.Stream(values, mapped)}
    equal(late.fuse(50, ["imu", "lidar"], stamps={"lidar": mapped}), rc.fuse_multimodal(want, rate=50))


@pytest.mark.parametrize("given, said", [
    ({"streams": ["imu", "nothing"]}, "not in this episode"), ({"streams": "imu"}, "names of streams"),
    ({"streams": []}, "names of streams"), ({}, "rate"),
    ({"rate": 5, "stamps": {"imus": IMU_TIMES}}, "stamps: .'imus'"),
    ({"rate": 5, "streams": ["imu"], "stamps": {"mode": MODE_TIMES}}, "stamps"),
])  # fmt: skip
def test_wrong_calls(given: dict[str, Any], said: str) -> None:
    with pytest.raises(ArgumentError, match=said):
        recording().fuse(**given)


def test_an_episode_without_numbers() -> None:
    with pytest.raises(ArgumentError, match="names of streams"):
        toy.episode(0, toy.stream("text", np.array(["a"], object), np.arange(1), kind="text")).fuse(5)


def test_a_rate_that_no_one_knows() -> None:
    with pytest.raises(DataError, match="a: has no stamps and no known rate"):
        Episode.from_arrays("e", {"a": JOINTS}).fuse(5)
