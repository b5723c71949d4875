"""What cannot be drawn is said, and does no harm to the rest."""

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache.datasets._faults import fault
from robocache.errors import ArgumentError, DataError, PositionError
from robocache.view import draw, save, scene
from tests.datasets import toy
from tests.view import robots

pytest.importorskip("matplotlib")


def test_odd_streams_are_drawn_and_said(tmp_path: Path) -> None:
    back = robots.stamps(6, 10 * robots.MS)
    ticks = back[0] + np.arange(6) * robots.MS
    back[3] -= 30 * robots.MS
    odd = toy.episode(
        0, toy.stream("one", np.ones((1, 2)), back[:1]), toy.stream("nan", np.full((6, 2), np.nan), ticks),
        toy.stream("back", np.arange(6.0), back), toy.stream("none", np.zeros((0, 3)), np.zeros(0, np.int64)),
        toy.stream("wide", np.array([1e308, -1e308, np.inf, 1, 2, 3]), ticks),
        toy.stream("equal", np.zeros(6), np.full(6, back[0])), toy.stream("nothing", np.zeros((6, 0)), ticks),
    )  # fmt: skip
    shown = scene(robots.dataset(odd), rate=100)
    assert shown.left_out == {"none": "no samples"}
    notes = {panel.stream.name: panel.notes for panel in shown.panels}
    assert notes["nan"] == ["not one finite number"]
    assert notes["back"] == ["1 stamp back in time, not resampled"]
    assert notes["wide"] == ["1 number not finite"]
    assert notes["one"] == []
    save(draw(shown), tmp_path / "odd.png")
    assert (tmp_path / "odd.png").read_bytes().startswith(b"\x89PNG")


def test_a_damaged_stream_leaves_the_others() -> None:
    class Bad(toy.Values):
        def take(self, at: Any) -> Any:
            raise fault("is no JPEG", file="a.bin", key="cam")

    cam = toy.stream("cam", np.zeros((3, 2, 2, 3), np.uint8), rate=5, kind="image")
    cam.source = Bad(np.zeros(3))
    shown = scene(robots.dataset(toy.episode(0, cam, toy.stream("a", np.zeros(3), rate=5))))
    assert shown.problems == ["a.bin, cam: is no JPEG"]
    assert [panel.stream.name for panel in shown.panels] == ["a"]
    with pytest.raises(DataError, match=r"nothing of it can be read: a\.bin, cam: is no JPEG"):
        scene(robots.dataset(toy.episode(0, cam)))


@pytest.mark.parametrize(
    "wrong, said",
    [
        ({"streams": {"elbow": None}}, "'elbow'.* not in this episode"),
        ({"start": 2.0, "stop": 1.0}, "no span"),
        ({"start": 99.0, "stop": 100.0}, "no sample from 99 to 100 s"),
        ({"start": float("nan")}, "no span"),
        ({"rate": 0.0}, "hertz above 0"),
        ({"rate": 1e9}, "narrow start and stop"),
        ({"features": 0}, "features: expected"),
        ({"frames": 0}, "frames: expected"),
        ({"streams": {"joints": "bogus"}}, "joints: "),
        ({"streams": {"gripper": "linear"}}, "gripper: "),
        ({"streams": {"camera/front": "linear"}}, "camera/front is not resampled"),
    ],
)
def test_wrong_wishes(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises((ArgumentError, TypeError), match=said):
        scene(robots.dataset(robots.robot()), **wrong)


def test_episodes_that_are_not_there_or_empty() -> None:
    with pytest.raises(PositionError, match="episode 5: there are 1"):
        scene(robots.dataset(robots.robot()), 5)
    with pytest.raises(DataError, match="has no streams"):
        scene(robots.dataset(toy.episode("e")))
    with pytest.raises(DataError, match=r"a: no stamps and no known rate"):
        scene(robots.dataset(toy.episode("e", toy.stream("a", np.zeros(4)))))


# ---- the file ------------------------------------------------------------------------------------------------------


def test_hostile_names_do_no_harm(tmp_path: Path) -> None:
    bad = "<script>$\\frac{1}$\n_x\ud800 机器人"
    stream = toy.stream(bad, np.zeros((3, 2)), rate=5, unit="$^", names=("_a", "$b"))
    shown = scene(robots.dataset(toy.episode(bad, stream, language=robots.robot(said=bad).language), name="_<b>"))
    save(draw(shown), tmp_path / "a.svg")
    assert ET.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_same_bytes_each_time(tmp_path: Path, suffix: str) -> None:
    for name in ("a", "b"):
        save(draw(scene(robots.dataset(robots.robot()))), tmp_path / f"{name}{suffix}")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()


def test_files_that_cannot_be_written(tmp_path: Path) -> None:
    figure = draw(scene(robots.dataset(toy.episode(0, toy.stream("a", np.zeros(3), rate=5)))))
    for name in ("a.gif", "none/a.png"):
        with pytest.raises(ArgumentError, match="path: "):
            save(figure, tmp_path / name)


def test_stamps_too_far_apart_for_nanoseconds() -> None:
    ends = np.array([-(2**62) - 5, 2**62], np.int64)
    with pytest.raises(DataError, match=r"a: .*more time than int64 nanoseconds can hold"):
        scene(robots.dataset(toy.episode(0, toy.stream("a", np.zeros(2), ends))))


def test_many_samples_are_pixels_in_a_vector_file(tmp_path: Path) -> None:
    times = toy.EPOCH_NS + np.arange(30_000) * 5 * robots.MS
    shown = scene(robots.dataset(toy.episode(0, toy.stream("a", np.sin(np.arange(90_000.0)).reshape(-1, 3), times))))
    save(draw(shown), tmp_path / "a.svg")
    assert (tmp_path / "a.svg").stat().st_size < 1_000_000
