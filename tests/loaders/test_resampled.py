"""What is resampled window by window is bit for bit what `Episode.fuse` makes of the whole episode."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import EPOCH_NS, generators, numbers

from robocache.datasets import Dataset, Episode, open_dataset
from robocache.datasets.streams import Source
from robocache.errors import ArgumentError, DataError, DTypeError, RoboCacheError, ShapeError
from robocache.loaders import ResampledSource
from robocache.loaders._resampled import NAT
from robocache.loaders._slices import around, crowd, joined, resample
from tests.datasets import toy

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")
HOLDS = ("nearest", "previous", "next")


def dataset_of(*episodes: Episode) -> Dataset:
    return toy.dataset(Path("somewhere") / "toys", episodes)


def same(source: ResampledSource, rate: float, streams: Any, rng: np.random.Generator, windows: int = 12) -> None:
    """Windows over all episodes at once, and the whole of every one, against `Episode.fuse`."""
    fused = [episode.fuse(rate, streams, layout="dict") for episode in source._dataset]
    assert source.offsets.tolist() == np.cumsum([0, *(len(one.times) for one in fused)]).tolist()
    first = rng.integers(0, int(source.offsets[-1]), windows)
    asked = [np.minimum(first[:, None] + np.arange(4), source.offsets[-1] - 1), np.arange(source.offsets[-1])]
    for k, name in enumerate(source.streams):
        values = np.concatenate([one.values[name] for one in fused])
        valid = np.concatenate([one.valid[:, k] for one in fused])
        for rows in (*asked, rng.permutation(asked[1])[:, None]):
            out = np.empty((*rows.shape, *values.shape[1:]), values.dtype)
            assert source.gather(name, rows, out=out) is out
            assert out.tobytes() == values[rows].tobytes()
            assert np.array_equal(source.valid(name, rows), valid[rows])
            assert np.array_equal(source.valid(name, rows.T), valid[rows].T)  # not what was gathered last


def times_of(rng: np.random.Generator, count: int, period: int) -> np.ndarray:
    """Irregular stamps, some of them equal."""
    gaps = rng.choice([0, 1, period // 2, period, period, period * 3], count)
    gaps[0] = rng.integers(0, period)
    return EPOCH_NS + np.cumsum(gaps)


@st.composite
def datasets(draw: Any) -> tuple[Dataset, dict[str, Any], float, np.random.Generator]:
    """Episodes of streams that share some time, and how to resample them."""
    rng, names = draw(generators()), ["a", "b", "c"][: draw(st.integers(1, 3))]
    kinds = {name: draw(st.sampled_from([np.float16, ml_dtypes.bfloat16, np.float32, np.float64, np.int32, bool]))
             for name in names}  # fmt: skip
    features = {name: draw(st.sampled_from([(), (1,), (4,), (2, 4), (17,)])) for name in names}
    streams: dict[str, Any] = {}
    for name in names:
        floating = np.dtype(kinds[name]).kind in "fV"
        usable = ["linear", "angle", "slerp"] if floating and features[name][-1:] == (4,) else ["linear", "angle"]
        how: dict[str, Any] = {"method": draw(st.sampled_from((*HOLDS, *(usable if floating else ()))))}
        how["latency"] = draw(st.sampled_from([0, 1, 7_000_000, -3]))
        how["max_gap"] = draw(st.sampled_from([None, 10_000_000, 25_000_000]))
        how["tolerance"] = draw(st.sampled_from([None, 2_000_000]))
        streams[name] = draw(st.sampled_from([None, how, how]))
    episodes = []
    for number in range(draw(st.integers(1, 3))):
        made = []
        for name in names:
            stamps = times_of(rng, int(rng.integers(60, 90)), int(rng.choice([3_000_000, 10_000_000])))
            values = numbers(rng, (len(stamps), *features[name]), np.dtype(kinds[name]))
            made.append(toy.stream(name, values, stamps))
        episodes.append(toy.episode(f"e{number}", *made))
    return dataset_of(*episodes), streams, draw(st.sampled_from([50, 30, 333.3, 1000 / 3, 1000])), rng


@given(datasets())
def test_windows_are_those_of_the_whole_episode(case: Any) -> None:
    dataset, streams, rate, rng = case
    same(ResampledSource(dataset, rate, streams), rate, streams, rng)


def test_a_method_for_each_slice_and_angles_of_a_period() -> None:
    rng = np.random.default_rng(1)
    pose = np.concatenate([rng.standard_normal((80, 3)), rng.standard_normal((80, 4))], axis=1)
    one = toy.episode(
        0,
        toy.stream("pose", pose, times_of(rng, 80, 10_000_000)),
        toy.stream("heading", rng.random((90, 1)) * 360, times_of(rng, 90, 10_000_000)),
    )
    streams = {
        "pose": {"method": [(slice(0, 3), "linear"), (slice(3, 7), "slerp")], "quat_order": "wxyz"},
        "heading": {"method": "angle", "period": (0, 360)},
    }
    same(ResampledSource(dataset_of(one), 77, streams), 77, streams, rng)


class Recorded(Source):
    """Samples of an array, of which it is known which were read."""

    def __init__(self, array: Any) -> None:
        self.array, self.read = array, Counter[int]()

    def take(self, at: Any) -> Any:
        self.read.update(np.arange(len(self.array))[at].tolist())
        return self.array[at]


def recorded(name: str, values: Any, stamps: Any, **spec: Any) -> tuple[Any, Recorded]:
    found = toy.stream(name, values, stamps, **spec)
    found.source = Recorded(values)
    return found, found.source


@pytest.mark.parametrize("even", [False, True])
@pytest.mark.parametrize("method", HOLDS)
def test_pictures_are_taken_as_they_are_and_no_other_is_decoded(method: str, even: bool) -> None:
    rng = np.random.default_rng(2)
    pictures, stamps = rng.integers(0, 255, (40, 6, 5, 3), np.uint8), times_of(rng, 40, 30_000_000)
    if even:  # steps fall on stamps and halfway between two
        stamps = EPOCH_NS + np.repeat(np.arange(20), 2) * 40_000_000
    camera, decoded = recorded("camera", pictures, stamps, kind="image", codec="jpeg")
    far = np.where(rng.random((40, 6, 5, 1)) < 0.005, np.nan, rng.random((40, 6, 5, 1))).astype(np.float32)
    depth = toy.stream("depth", far, stamps, kind="depth")  # not valid where something is NaN
    dataset = dataset_of(
        toy.episode(0, camera, toy.stream("imu", rng.random((9000, 3)), EPOCH_NS + np.arange(9000) * 10**6), depth)
    )
    streams = {"camera": {"method": method, "latency": 0 if even else 4_000_000}, "imu": "linear", "depth": method}
    source = ResampledSource(dataset, 50, streams)
    assert source.streams["camera"].codec is None
    assert not decoded.read
    rows = np.arange(5, 25)
    found = source.gather("camera", rows)
    used = {tuple(picture.ravel().tolist()) for picture in found}
    assert {tuple(pictures[k].ravel().tolist()) for k in decoded.read} == used
    assert set(decoded.read.values()) == {1}
    same(source, 50, streams, rng)


def test_only_the_samples_around_a_window_are_read() -> None:
    values = np.random.default_rng(0).random((10_000, 2))
    stream, read = recorded("fast", values, EPOCH_NS + np.arange(10_000) * 1_000_000)
    source = ResampledSource(dataset_of(toy.episode(0, stream)), 300)
    assert not read.read
    source.gather("fast", np.array([[30, 31, 32], [2990, 2991, 2991]]))
    around = {k for step in (30, 31, 32, 2990, 2991) for k in (step * 10 // 3, step * 10 // 3 + 1)}
    assert set(read.read) <= around | {k - 1 for k in around}
    assert set(read.read.values()) == {1}


def test_slices_are_what_a_step_is_resampled_from() -> None:
    one = toy.episode("a", toy.stream("x", np.arange(50.0)[:, None], EPOCH_NS + np.arange(50) * 10_000_000))
    two = toy.episode("b", toy.stream("x", np.arange(20.0)[:, None] * 3, EPOCH_NS + np.arange(20) * 10_000_000))
    source = ResampledSource(dataset_of(one, two), 40)
    lines = np.array([[21, 21], [3, 4], [19, 19], [3, 4], [24, 25]])  # episode b begins at 20
    slices = source.slices("x", lines)
    assert slices.offsets.tolist() == [0, 2, 6, 8, 12, 16]
    assert (slices.targets - EPOCH_NS)[:2].tolist() == [[25_000_000] * 2, [75_000_000, 100_000_000]]
    numbers = [2, 3, 7, 8, 10, 11, 47, 48, 7, 8, 10, 11, 10, 11, 12, 13]
    assert ((slices.times - EPOCH_NS) // 10_000_000).tolist() == numbers
    assert slices.values.ravel().tolist() == [6, 9, *numbers[2:12], 30, 33, 36, 39]
    out = np.empty((5, 2, 1))
    assert resample({"x": slices}, {"x": {"method": "linear"}}, {"x": out}).all()
    assert out.tolist() == source.gather("x", lines).tolist()
    apart = [source.slices("x", lines[rows]) for rows in ([3, 1], [4], [0, 2])]
    whole = joined(apart, [np.array([3, 1]), np.array([4]), np.array([0, 2])])
    assert all(np.array_equal(a, b) for a, b in zip(whole, slices, strict=True))
    assert source.episode(1) == "b"
    assert source.gather("x", np.zeros((0, 2), np.int64)).shape == (0, 2, 1)
    assert source.valid("x", np.zeros((0, 2), np.int64)).shape == (0, 2)


@given(generators(), st.integers(1, 30), st.integers(1, 4))
def test_no_target_has_more_samples_around_it_than_was_said(rng: np.random.Generator, count: int, most: int) -> None:
    stamps = np.sort(rng.integers(0, max(2, count * 10 // most), count) * 2)
    goals = np.unique(np.concatenate([stamps, stamps + 1, stamps[:1]]))
    goals = goals[goals <= stamps[-1]]
    expected = []
    for goal in goals:  # samples of the stamp at or before, and of the one after
        others = [t for t in set(stamps.tolist()) if t > goal]
        shown = {max(t for t in stamps.tolist() if t <= goal)} | ({min(others)} if others else set())
        expected.append([k for k, t in enumerate(stamps.tolist()) if t in shown])
    first, end = around(stamps, goals)
    assert [list(range(a, b)) for a, b in zip(first, end, strict=True)] == expected
    assert crowd(stamps) == max(len(one) for one in expected)


def test_one_sample_and_one_instant() -> None:
    lone = toy.stream("lone", np.array([[7.0]]), np.array([EPOCH_NS + 50]))
    other = toy.stream("other", np.arange(9.0)[:, None], EPOCH_NS + np.arange(9) * 10)
    same(ResampledSource(dataset_of(toy.episode(0, lone, other)), 30), 30, None, np.random.default_rng(0))


@pytest.mark.parametrize("options, kind, said", [
    ({"streams": {"x": "cubic"}}, ArgumentError, "'cubic' is not one of .*convert first"),
    ({"streams": {"x": "mean"}}, ArgumentError, "'mean' is not one"),
    ({"streams": {"x": {"method": [(slice(0, 1), "pchip"), (slice(1, 2), "linear")]}}}, ArgumentError, "'pchip'"),
    ({"streams": {"x": {"lengths": 3}}}, ArgumentError, "no options here"),
    ({"streams": {"x": {"latency": "1"}}}, ArgumentError, "latency"),
    ({"streams": ["y"]}, ArgumentError, "not in toys"),
    ({"streams": []}, ArgumentError, "names of streams"), ({"rate": 0}, ArgumentError, "rate"),
    ({"rate": float("nan")}, ArgumentError, "rate"), ({"streams": ["t"]}, ArgumentError, "t holds text"),
])  # fmt: skip
def test_wrong_calls(options: Any, kind: type[RoboCacheError], said: str) -> None:
    one = toy.episode(
        0,
        toy.stream("x", np.zeros((9, 2)), np.arange(9) * 10**7),
        toy.stream("t", np.array(["a"], object), np.arange(1), kind="text"),
    )
    with pytest.raises(kind, match=said):
        ResampledSource(dataset_of(one), **{"rate": 50} | options)


def test_what_is_asked_for_must_be_there() -> None:
    source = ResampledSource(dataset_of(toy.episode(0, toy.stream("x", np.zeros((9, 2)), np.arange(9) * 10**7))), 50)
    with pytest.raises(ArgumentError, match="'y' is not a stream"):
        source.gather("y", np.array([0]))
    with pytest.raises(IndexError, match="there are 5 steps"):
        source.gather("x", np.array([5]))
    with pytest.raises(DTypeError, match="out has dtype"):
        source.gather("x", np.array([0]), out=np.zeros((1, 2), np.float32))
    with pytest.raises(ShapeError, match="out has shape"):
        source.gather("x", np.array([0]), out=np.zeros((1, 3)))
    with pytest.raises(ArgumentError, match="use gather"):
        source.encoded("x", np.array([0]))


def stamps(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64) * 10**7


@pytest.mark.parametrize("bad, kind, said", [
    ((toy.stream("x", np.zeros(3), stamps(5, 7, 6)),), DataError, "episode bad, x: .*unsorted or missing at sample 2"),
    ((toy.stream("x", np.zeros(2), np.array([NAT, 1])),), DataError, "episode bad, x: .*missing at sample 0"),
    ((toy.stream("x", np.zeros(0), stamps()),), DataError, "episode bad, x: has no samples"),
    ((toy.stream("x", np.zeros(2), stamps(0, 1)), toy.stream("y", np.zeros(2), stamps(2, 3))), DataError, "no time"),
    ((toy.stream("y", np.zeros(2), stamps(2, 3)),), DataError, "episode bad, x: this episode lacks"),
    ((toy.stream("x", np.zeros(2)),), DataError, "no stamps and no known rate"),
    ((toy.stream("x", np.zeros(2), stamps(0, 1)), toy.stream("y", np.zeros(2), rate=5)), ArgumentError,
     "episode bad: the streams have several clocks .*fit_clock"),
])  # fmt: skip
def test_an_episode_that_has_no_clock_is_named(bad: Any, kind: type[RoboCacheError], said: str) -> None:
    good = toy.episode("good", *(toy.stream(one.name, np.zeros(4), stamps(0, 1, 2, 3)) for one in bad))
    if [one.name for one in bad] == ["y"]:
        good = toy.episode("good", *(toy.stream(name, np.zeros(4), stamps(0, 1, 2, 3)) for name in "xy"))
    with pytest.raises(kind, match=said):
        ResampledSource(dataset_of(good, toy.episode("bad", *bad)), 20)


def test_fingerprints_depend_on_rate_and_method() -> None:
    dataset = dataset_of(toy.episode(0, toy.stream("x", np.zeros((9, 2)), np.arange(9) * 10**7)))
    of = [ResampledSource(dataset, *more).fingerprint for more in
          [(50,), (50, ["x"]), (50, {"x": "linear"}), (50, {"x": "next"}), (50.5,)]]  # fmt: skip
    assert of[0] == of[1] == of[2]
    assert len(set(of)) == 3


@pytest.mark.parametrize("name, rate, streams", [
    ("euroc_v1_02_medium", 33.3, None), ("euroc_v1_02_medium", 200, {"imu0/a_RS_S": {"max_gap": 4_000_000},
     "state_groundtruth/q_RS": {"method": "slerp", "quat_order": "wxyz", "latency": 1_000_000}}),
    ("gtsam_logs/legged_staircase", 120, None), ("xio_imu_mag", 30, None), ("bridge_v2_rlds_debug", 15, None),
])  # fmt: skip
def test_recordings(name: str, rate: float, streams: Any) -> None:
    if not (path := DATA / name).exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    with open_dataset(path) as dataset:
        same(ResampledSource(dataset, rate, streams), rate, streams, np.random.default_rng(0), windows=60)
