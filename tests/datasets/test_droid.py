"""DROID as recorded: values equal h5py's, every stream has the stamps that were taken for it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import robocache.datasets as rd
from robocache.datasets._droid_stamps import nanoseconds
from robocache.errors import ArgumentError, DataError

h5py = pytest.importorskip("h5py")
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import made  # noqa: E402

STATE = "observation/robot_state/joint_positions"


def h5_values(path):
    """Every dataset of a file, by h5py alone."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, thing: found.update({name: thing[()]} if isinstance(thing, h5py.Dataset) else {}))
    return found


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    return made.droid(tmp_path_factory.mktemp("droid"))


def test_every_value_equals_h5py(recorded):
    with rd.open_dataset(recorded) as dataset:
        assert (dataset.format, len(dataset), dataset.control_hz, dataset.control_hz_origin) == (
            "droid", 2, 15.0, "registry",
        )  # fmt: skip
        assert {name: list(found) for name, found in dataset.splits.items()} == {"success": [1], "failure": [0]}
        assert dataset.index.lengths.tolist() == [6, 4]
        for episode in dataset:
            expected = h5_values(recorded / episode.id / "trajectory.h5")
            assert set(episode) == set(expected)
            for name, stream in episode.items():
                got = stream.read()
                assert got.dtype == expected[name].dtype
                assert got.tobytes() == expected[name].tobytes()
                np.testing.assert_array_equal(stream.read([2, 0, 2, -1]), expected[name][[2, 0, 2, -1]])
        assert not [found for found in dataset.validate() if found.level == "error"]


def test_any_folder_above_or_the_episode_itself(recorded):
    whole = rd.open_dataset(recorded)
    for index, above in ((1, "LAB/success"), (0, "LAB/failure/2023-07-22"), (1, whole[1].id)):
        part = rd.open_dataset(recorded / above)
        np.testing.assert_array_equal(part[0][STATE].read(), whole[index][STATE].read())
        assert len(part) == 1
        assert part[0].meta["success"] is (index == 1)
    assert rd.open_dataset(recorded / whole[1].id)[0].id == "."


def test_each_stream_has_its_own_stamps(recorded):
    episode = rd.open_dataset(recorded)[1]
    with h5py.File(recorded / episode.id / "trajectory.h5") as file:
        stamps = file["observation/timestamp"]
        expected = {
            STATE: ("robot", [
                int(s) * 10**9 + int(n) for s, n in zip(
                    stamps["robot_state/robot_timestamp_seconds"], stamps["robot_state/robot_timestamp_nanos"]
                )
            ]),
            "action/joint_position": ("host", [int(t) * 10**6 for t in stamps["control/control_start"]]),
            "observation/controller_info/success": ("host", [int(t) * 10**6 for t in stamps["control/step_start"]]),
            "observation/timestamp/skip_action": ("host", [int(t) * 10**6 for t in stamps["control/step_start"]]),
            "observation/timestamp/robot_state/read_end": (
                "host", [int(t) * 10**6 for t in stamps["robot_state/read_end"]],
            ),
        }  # fmt: skip
        for serial in made.SERIALS:
            capture = [int(t) * 10**6 for t in stamps[f"cameras/{serial}_estimated_capture"]]
            for name in (
                f"camera_extrinsics/{serial}_left",
                f"camera_intrinsics/{serial}_left",
                f"camera_type/{serial}",
            ):
                expected[f"observation/{name}"] = ("host", capture)
            received = [int(t) * 10**6 for t in stamps[f"cameras/{serial}_frame_received"]]
            expected[f"observation/timestamp/cameras/{serial}_frame_received"] = ("host", received)
        host = [int(t) * 10**6 for t in stamps["robot_state/read_start"]]
    for name, (clock, times) in expected.items():
        assert (episode[name].clock, episode[name].times.tolist()) == (clock, times), name
    other = rd.open_dataset(recorded, clock="host", action_stamp="step_start")[1]
    assert (other[STATE].clock, other[STATE].times.tolist()) == ("host", host)
    assert other["action/joint_position"].times.tolist() == expected["observation/timestamp/skip_action"][1]


def test_cameras_joints_and_actions_can_be_brought_onto_one_clock(recorded):
    episode = rd.open_dataset(recorded, clock="host")[0]
    names = (STATE, "action/joint_position", "observation/camera_extrinsics/11111111_left")
    assert {episode[name].clock for name in names} == {"host"}
    assert episode[STATE].times[0] - episode[names[2]].times[0] == 21_000_000
    with pytest.raises(ArgumentError, match="different clocks"):
        rd.open_dataset(recorded)[0].fuse(30.0, [STATE, "action/joint_position"])


def test_what_was_not_stamped_is_on_the_index(tmp_path):
    top = made.droid(tmp_path, (4,))
    file = next(top.rglob("trajectory.h5"))
    with h5py.File(file, "a") as opened:
        del opened["observation/timestamp/control/control_start"]
        del opened["observation/timestamp/robot_state/robot_timestamp_nanos"]
    dataset = rd.open_dataset(top)
    for name in (STATE, "action/joint_position"):
        assert (dataset[0][name].clock, int(dataset[0][name].times[1])) == ("index", 66_666_667)
        assert ("warning", name) in {(found.level, found.key) for found in dataset.validate()}


def test_text_and_metadata(recorded):
    episode = rd.open_dataset(recorded)[0]
    assert episode.language == (rd.Span(0, 6, "put marker 1 in the pot", None, "current_task"),)
    assert episode.meta["metadata"]["uuid"] == "LAB+1"
    assert episode.meta["attributes"]["scene_id"] == 1234567890
    assert (episode.meta["success"], episode.meta["svo"]) == (False, ["11111111.svo"])


MS = st.integers(-9 * 10**12, 9 * 10**12)


@given(st.lists(MS, max_size=9))
def test_milliseconds_are_exact(stamps):
    assert nanoseconds([np.array(stamps, np.int64)], "host").tolist() == [t * 10**6 for t in stamps]


@given(st.lists(st.tuples(st.integers(0, 9 * 10**9), st.integers(0, 10**9 - 1)), max_size=9))
def test_seconds_and_nanoseconds_are_exact(stamps):
    parts = [np.array([s for s, _ in stamps], np.int64), np.array([n for _, n in stamps], np.int64)]
    assert nanoseconds(parts, "robot").tolist() == [s * 10**9 + n for s, n in stamps]


@given(st.lists(st.floats(-9e12, 9e12), min_size=1, max_size=9))
def test_float_milliseconds_keep_every_bit_that_counts(stamps):
    from fractions import Fraction

    got = nanoseconds([np.array(stamps)], "host").tolist()
    assert all(abs(Fraction(t) * 10**6 - n) <= Fraction(1, 2) for t, n in zip(stamps, got))


@pytest.mark.parametrize("parts", [
    [np.array([2**62])], [np.array([np.nan])], [np.array([1e300])], [np.zeros((2, 2), np.int64)], [np.array([True])],
], ids=str)  # fmt: skip
def test_stamps_that_no_clock_shows(parts):
    with pytest.raises(DataError):
        nanoseconds(parts, "host")
    with pytest.raises(DataError):
        nanoseconds([parts[0], parts[0]], "robot")


def test_findings(tmp_path):
    top = made.droid(tmp_path, (4, 5, 4))
    first, second, third = sorted(top.rglob("trajectory.h5"), key=lambda p: "failure" not in str(p))
    with h5py.File(first, "a") as opened:
        opened[STATE].resize(3, axis=0)
        opened["observation/timestamp/control/control_start"][2] = 5
    with h5py.File(second, "a") as opened:
        opened.attrs["success"] = False
    third.write_bytes(third.read_bytes()[:900])
    dataset = rd.open_dataset(top)
    found = list(dataset.validate())
    names = [folder.parent.relative_to(top).as_posix() for folder in (first, second, third)]
    errors = {(f.episode, f.key) for f in found if f.level == "error"}
    assert {(names[0], STATE), (names[2], None)} <= errors
    assert not {episode for episode, _ in errors} & {names[1]}
    told = {(f.episode, f.key, f.message[:20]) for f in found if f.level == "warning"}
    assert (names[0], "action/joint_position", "its stamp of step 2 ") in told
    assert (names[1], None, "success is False, an") in told
    assert any(f.message == "camera 11111111 has stamps and no video" for f in found)


def test_links_that_lead_out_are_refused(tmp_path):
    top = made.droid(tmp_path / "set", (4,))
    folder = next(top.rglob("trajectory.h5")).parent
    secret = tmp_path / "secret.json"
    secret.write_text(json.dumps({"secret": 1}))
    (folder / "metadata_x.json").symlink_to(secret)
    with pytest.raises(DataError, match="leads out"):
        _ = rd.open_dataset(top)[0].meta["metadata"]
    real = folder / "trajectory.h5"
    real.rename(tmp_path / "trajectory.h5")
    real.symlink_to(tmp_path / "trajectory.h5")
    with pytest.raises(DataError, match="leads out"):
        _ = rd.open_dataset(top)[0]


def test_options(recorded):
    for options in ({"clock": "utc"}, {"action_stamp": "noon"}, {"stamp": 1}):
        with pytest.raises(ArgumentError):
            rd.open_dataset(recorded, **options)
    assert list(rd.open_dataset(recorded, keys=["action/joint_position"])[0]) == ["action/joint_position"]
    with pytest.raises(DataError, match="no dataset that a reader knows"):
        rd.open_dataset(recorded / "LAB" / "success" / "2023-07-22" / "Sat_Jul_22_00:00:00_2023" / "recordings")


def test_frames_are_those_of_the_video(tmp_path):
    av = pytest.importorskip("av")
    pytest.importorskip("robocache.datasets._video", reason="the video reader is not there yet")
    top = made.droid(tmp_path, (6,), videos=True)
    episode = rd.open_dataset(top)[0]
    for serial in made.SERIALS:
        name = f"recordings/MP4/{serial}"
        with av.open(str(top / episode.id / f"{name}.mp4")) as container:
            expected = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
        np.testing.assert_array_equal(episode[name].read(), expected)
        np.testing.assert_array_equal(episode[name].read([4, 0, 4]), expected[[4, 0, 4]])
        np.testing.assert_array_equal(
            episode[name].times, episode[f"observation/timestamp/cameras/{serial}_estimated_capture"].times
        )
    (top / episode.id / "recordings" / "MP4" / f"{made.SERIALS[0]}.mp4").write_bytes(b"no video")
    episode = rd.open_dataset(top)[0]
    with pytest.raises(DataError):
        episode[f"recordings/MP4/{made.SERIALS[0]}"].read(0)
    assert episode[STATE].read().shape == (6, 7)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_damage_gives_nothing_but_data_errors(tmp_path):
    top = made.droid(tmp_path, (3,))
    file = next(top.rglob("trajectory.h5"))
    command = [sys.executable, str(HERE / "fuzzing.py"), str(top), str(file), "3", "25"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent)}
    ran = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    ended = json.loads(ran.stdout)
    assert set(ended) == {"read", "refused"}, ran.stderr
    assert ended["refused"] > 0
