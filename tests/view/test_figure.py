"""What is drawn is what was recorded: checked by the data of matplotlib's artists."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.view import Scene, draw, scene
from tests.datasets import toy
from tests.view import robots

pytest.importorskip("matplotlib")


def panel_of(shown: Scene, name: str) -> Any:
    return next(panel for panel in shown.panels if panel.stream.name == name)


def axes_of(shown: Scene, name: str) -> Any:
    """Where a stream is drawn."""
    names = [panel.stream.name for panel in shown.panels]
    return draw(shown).axes[names.index(name)]


def lines(axes: Any, gid: str) -> list[Any]:
    return [line for line in axes.lines if (line.get_gid() or "").startswith(gid)]


def spans(axes: Any, gid: str) -> list[tuple[float, float]]:
    """Beginnings and ends of drawn bars."""
    drawn = [one for one in axes.collections if one.get_gid() == gid]
    boxes = [path.get_extents() for one in drawn for path in one.get_paths()]
    return [(float(box.x0), float(box.x1)) for box in boxes]


def oracle_gaps(times: Any) -> list[tuple[int, int]]:
    """Intervals of more than two and a half medians (the lower of two)."""
    steps = sorted(int(b) - int(a) for a, b in pairwise(times) if b > a)
    if not steps:
        return []
    period = steps[(len(steps) + 1) // 2 - 1]
    return [(int(a), int(b)) for a, b in pairwise(times) if int(b) - int(a) > 5 * period // 2]


# ---- numbers -------------------------------------------------------------------------------------------------------


def test_lines_are_the_samples_and_the_curve_is_between_them() -> None:
    shown = scene(robots.dataset(robots.robot()), rate=30)
    stream = shown.episode["joints"]
    times, values = robots.seconds(stream.times, toy.EPOCH_NS - robots.MS), stream.read()
    zero = min(int(one.times[0]) for one in shown.episode.values())
    times = robots.seconds(stream.times, zero)
    axes = axes_of(shown, "joints")
    moving = np.sort(np.argsort(-np.ptp(values, axis=0))[:6])
    assert panel_of(shown, "joints").shown.tolist() == moving.tolist()
    assert "the 6 of 8 features that move most" in panel_of(shown, "joints").notes
    # The even clock begins at the first of all stamps; the oracle interpolates in float64 seconds.
    ticks = np.arange(200) / 30
    ticks = ticks[(ticks >= times[0]) & (ticks <= times[-1])]
    before = np.searchsorted(times, ticks, "right") - 1
    valid = np.diff(times, append=np.inf)[before] <= 0.025
    assert 0 < (~valid).sum() < 15
    for k, feature in enumerate(moving):
        (raw,), (curve,) = lines(axes, f"raw {k}"), lines(axes, f"curve {k}")
        assert np.array_equal(raw.get_xdata(), times)
        assert np.array_equal(raw.get_ydata(), values[:, feature])
        np.testing.assert_allclose(curve.get_xdata(), ticks, rtol=0, atol=2e-9)
        expected = np.where(valid, np.interp(ticks, times, values[:, feature]), np.nan)
        np.testing.assert_allclose(curve.get_ydata(), expected, rtol=0, atol=1e-4)
    assert axes.get_ylabel() == "rad"


def test_gaps_and_what_is_not_valid_are_marked() -> None:
    shown = scene(robots.dataset(robots.robot()), rate=30)
    stream = shown.episode["joints"]
    axes, zero = axes_of(shown, "joints"), shown.zeros["log"]
    expected = [(int(a) - zero, int(b) - zero) for a, b in oracle_gaps(stream.times)]
    assert len(expected) == 1
    np.testing.assert_allclose(spans(axes, "gaps"), np.array(expected) / 1e9)
    curve, bars = panel_of(shown, "joints").curve, spans(axes, "invalid")
    assert not curve.valid.all()
    for when, valid in zip(curve.times, curve.valid, strict=True):
        strictly = any(begin + 1e-6 < when < end - 1e-6 for begin, end in bars)
        around = any(begin - 1e-6 <= when <= end + 1e-6 for begin, end in bars)
        assert not (valid and strictly)
        assert valid or around
    last = robots.seconds(stream.times, zero)[-1]
    assert max(end for _, end in bars) == pytest.approx(shown.span[1])
    assert any(begin == pytest.approx(last) for begin, _ in bars), "after its last sample the stream says nothing"


@given(st.lists(st.integers(0, 400), min_size=1, max_size=30, unique=True).map(sorted), st.data())
def test_any_rising_stamps(ticks: list[int], data: st.DataObject) -> None:
    times = toy.EPOCH_NS + np.array(ticks, np.int64) * 10 * robots.MS
    values = data.draw(st.lists(st.floats(-1e6, 1e6), min_size=len(ticks), max_size=len(ticks)))
    shown = scene(robots.dataset(toy.episode(0, toy.stream("a", np.array(values), times))), rate=50)
    panel = shown.panels[0]
    assert panel.values[:, 0].tolist() == values
    assert panel.times.tolist() == robots.seconds(times, times[0]).tolist()
    assert panel.gaps == [tuple(robots.seconds(pair, times[0])) for pair in oracle_gaps(times)]
    expected = (times[-1] - times[0]) // (20 * robots.MS) + 1
    assert len(panel.curve.times) == expected
    np.testing.assert_allclose(
        panel.curve.values[:, 0], np.interp(panel.curve.times, panel.times, values), rtol=1e-9, atol=1e-6
    )
    low, high = shown.span
    assert low < high
    assert low <= panel.times[0] <= panel.times[-1] <= high


@pytest.mark.parametrize("start", range(0, 100, 7))
def test_two_and_a_half_periods_are_no_gap_yet(start: int) -> None:
    ticks = toy.EPOCH_NS + np.cumsum([start, 10, 10, 10, 10, 10, 24, 25, 26]) * robots.MS
    shown = scene(robots.dataset(toy.episode(0, toy.stream("a", np.zeros(9), ticks))))
    assert shown.panels[0].gaps == [tuple(robots.seconds(ticks[-2:], ticks[0]))]


def test_a_part_reaches_from_edge_to_edge() -> None:
    times = toy.EPOCH_NS + np.arange(100, dtype=np.int64) * 100 * robots.MS
    one = robots.dataset(toy.episode(0, toy.stream("a", np.arange(100.0), times)))
    shown = scene(one, start=2.05, stop=4.05, rate=10)
    assert shown.panels[0].values[:, 0].tolist() == list(range(20, 42)), "one sample more on either side"
    assert axes_of(shown, "a").get_xlim() == (2.05, 4.05)
    assert (shown.panels[0].curve.times >= 2.05).all()
    assert (shown.panels[0].curve.times <= 4.05).all()


def test_each_clock_has_its_own_zero() -> None:
    times = toy.EPOCH_NS + np.arange(10, dtype=np.int64) * robots.MS
    mixed = toy.episode(
        0, toy.stream("a", np.zeros(10), times, clock="robot"), toy.stream("b", np.zeros(10), times + 5, clock="robot"),
        toy.stream("c", np.zeros(10), rate=5), toy.stream("d", np.zeros(3)),
    )  # fmt: skip
    shown = scene(robots.dataset(mixed))
    assert shown.zeros == {"robot": toy.EPOCH_NS, "index": 0}
    assert panel_of(shown, "b").times[0] == 5e-9
    assert shown.left_out == {"d": "no stamps and no known rate; control_hz gives one"}
    assert shown.rate is None
    assert all(panel.curve is None for panel in shown.panels)
    words = " ".join(text.get_text() for text in draw(shown).texts)
    assert "no stamps and no known rate" in words
    assert "nothing is resampled" in words


def test_the_slowest_camera_gives_the_rate() -> None:
    slow = toy.stream("slow", np.zeros((10, 4, 4, 1), np.uint8), robots.stamps(10, 200 * robots.MS), kind="image")
    fast = toy.stream("fast", np.zeros((10, 4, 4), np.uint16), robots.stamps(10, 50 * robots.MS), kind="depth")
    shown = scene(robots.dataset(toy.episode(0, fast, slow)))
    assert (shown.rate, shown.rate_from) == (5.0, "slow")


# ---- pictures, texts, clouds ---------------------------------------------------------------------------------------


def test_frames_are_of_the_camera_in_order_and_apart() -> None:
    shown = scene(robots.dataset(robots.robot()), frames=5)
    axes, stream = axes_of(shown, "camera/front"), shown.episode["camera/front"]
    assert len(axes.images) == 5
    marks = [line.get_xdata()[0] for line in lines(axes, "frame")]
    times = robots.seconds(stream.times, shown.zeros["log"])
    picked = [int(np.flatnonzero(times == mark)[0]) for mark in marks]
    assert picked == sorted(picked)
    for image, at in zip(axes.images, picked, strict=True):
        assert np.array_equal(np.asarray(image.get_array()), stream.read(at))
    extents = [image.get_extent()[:2] for image in axes.images]
    assert all(left[1] < right[0] for left, right in pairwise(extents))
    assert extents[0][0] >= shown.span[0]
    assert extents[-1][1] <= shown.span[1]


@pytest.mark.parametrize("bunch", [slice(0, 4), slice(60, 64)], ids=["early", "late"])
def test_frames_that_are_close_in_time_do_not_cover_each_other(bunch: slice) -> None:
    camera = robots.robot()["camera/front"]
    few = toy.stream("few", camera.read()[bunch], camera.times[bunch], kind="image")
    wide = toy.stream("wide", np.zeros(64), camera.times)
    axes = axes_of(scene(robots.dataset(toy.episode(0, few, wide))), "few")
    extents = [image.get_extent()[:2] for image in axes.images]
    assert len(extents) == 4
    assert all(left[1] < right[0] for left, right in pairwise(extents))
    assert extents[0][0] >= axes.get_xlim()[0]
    assert extents[-1][1] <= axes.get_xlim()[1]


def test_a_camera_that_was_off(tmp_path: Path) -> None:
    camera = robots.robot()["camera/front"]
    long = toy.stream("long", np.zeros(200), toy.EPOCH_NS + np.arange(200) * 50 * robots.MS)
    shown = scene(robots.dataset(toy.episode(0, camera, long)), start=5, stop=8)
    assert shown.panels[0].notes == ["no picture in this span"]
    assert not axes_of(shown, "camera/front").images
    assert axes_of(shown, "long").get_xlim() == (5, 8)


def test_ragged_frames_depth_and_odd_channels() -> None:
    ragged = np.empty(3, object)
    ragged[:] = [np.full((4 + k, 9 - k, 3), 40 * k, np.uint8) for k in range(3)]
    depth = np.array([[[0, 1000], [2000, 3000]], [[0, 0], [0, 0]]], np.uint16)
    shown = scene(
        robots.dataset(
            toy.episode(
                0, toy.stream("cam", ragged, rate=5, kind="image", shape=(None, None, 3)),
                toy.stream("depth", depth, rate=5, kind="depth"),
                toy.stream("gray", np.full((2, 3, 4, 1), 7, np.uint8), rate=5, kind="image"),
                toy.stream("row", np.zeros((2, 3), np.uint8), rate=5, kind="image"),
                toy.stream("two", np.arange(144, dtype=np.uint8).reshape(2, 3, 4, 6), rate=5, kind="image"),
            )
        )
    )  # fmt: skip
    assert "cannot be shown whose shape is (3,)" in shown.problems[0]
    assert shown.left_out == {"row": "cannot be read"}
    cam, deep, gray, two = draw(shown).axes
    assert panel_of(shown, "two").notes[-1] == "the first 3 of 6 channels"
    assert np.array_equal(two.images[0].get_array(), np.arange(72).reshape(3, 4, 6)[..., :3])
    assert [np.asarray(image.get_array()).shape for image in cam.images] == [(4, 9, 3), (5, 8, 3), (6, 7, 3)]
    found = np.asarray(deep.images[0].get_array())
    assert (found[0, 0] == found[0, 0, 0]).sum() == 1, "what is unknown is no gray"
    assert found[0, 1, 0] < found[1, 0, 0] < found[1, 1, 0] == 255
    assert (np.asarray(gray.images[0].get_array()) == 7).all()


def test_texts_where_they_change_and_clouds_by_their_size() -> None:
    shown = scene(robots.dataset(robots.robot()))
    assert panel_of(shown, "says").items == [
        (pytest.approx(0.001, abs=2e-3), "go"),
        (pytest.approx(1.5, abs=2e-3), "stop"),
    ]
    assert {text.get_text() for text in axes_of(shown, "says").texts} >= {"go", "stop"}
    assert panel_of(shown, "lidar").values[:, 0].tolist() == [5, 8, 11, 14, 17, 20]


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int64", "float16", "float32", "bfloat16"])
def test_any_numbers(dtype: str) -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes")
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else np.dtype(dtype)
    values = np.random.default_rng(1).integers(0, 2, (20, 9)).astype(kind)
    values[:, 4] = 0
    shown = scene(robots.dataset(toy.episode(0, toy.stream("a", values, rate=10))), rate=10, features=8)
    panel = shown.panels[0]
    assert panel.shown.tolist() == [0, 1, 2, 3, 5, 6, 7, 8]
    assert np.array_equal(panel.values, values[:, panel.shown].astype(float))
    assert np.array_equal(panel.curve.values, panel.values)
    assert panel.curve.method == ("previous" if np.dtype(kind).kind in "biu" else "linear")
