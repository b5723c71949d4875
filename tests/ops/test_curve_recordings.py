"""A motion capture at 100 Hz brought onto the stamps of a camera's 30 Hz estimate, as SciPy does it row by row.

The recordings of TUM RGB-D are looked for in the folder that ROBOCACHE_DATA names, or in shared/data beside the
checkout.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation, Slerp

import robocache as rc

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data") / "tum_rgbd_trajectories"
GAP = 50_000_000  # nanoseconds


def recording(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Stamps in nanoseconds, read as decimals so that none is rounded, and poses x, y, z, then x, y, z, w."""
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    lines = [line.split() for line in path.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    times = [int(second) * 10**9 + int(part.ljust(9, "0")) for second, part in (row[0].split(".") for row in lines)]
    return np.array(times), np.array([[float(x) for x in row[1:]] for row in lines])


@pytest.fixture(scope="module")
def both() -> tuple[np.ndarray, ...]:
    return *recording("freiburg1_xyz-groundtruth.txt"), *recording("freiburg1_xyz-rgbdslam.txt")


def scipy(times: np.ndarray, poses: np.ndarray, goals: np.ndarray) -> tuple[np.ndarray, Rotation]:
    """Positions and rotations at the goals that lie inside."""
    origin = times[0]
    seconds, wanted = (times - origin) / 1e9, (goals - origin) / 1e9
    where = np.stack([np.interp(wanted, seconds, poses[:, k]) for k in range(3)], 1)
    return where, Slerp(seconds, Rotation.from_quat(poses[:, 3:]))(wanted)


@pytest.mark.parametrize("mode", ["split", "se3"])
def test_ground_truth_at_the_stamps_of_an_estimate(backend: Any, both: tuple[np.ndarray, ...], mode: str) -> None:
    times, truth, goals, estimate = both
    got, valid, age = rc.resample_poses(
        backend.to(truth), backend.to(times), backend.to(goals), mode=mode, max_gap=GAP, return_valid=True,
        return_age=True,
    )  # fmt: skip
    got, valid, age = backend.np(got), backend.np(valid), backend.np(age)
    before = np.searchsorted(times, goals, "right") - 1
    inside = (before >= 0) & (goals <= times[-1])
    gaps = times[np.minimum(before + 1, len(times) - 1)] - times[before]
    bridged = inside & ((gaps <= GAP) | (times[before] == goals))
    assert valid.tolist() == bridged.tolist()
    assert 0 < (inside & ~bridged).sum() < 0.1 * len(goals)  # the recording has gaps up to 110 ms
    assert np.array_equal(age[inside], (goals - times[before])[inside])

    where, turn = scipy(times, truth, goals[inside])
    mine = Rotation.from_quat(got[inside, 3:])
    assert (mine * turn.inv()).magnitude().max() < 1e-7  # SciPy counts seconds in float64, here nanoseconds are exact
    if mode == "split":
        assert np.abs(got[inside, :3] - where).max() < 1e-7
    else:
        step = np.abs(np.diff(truth[:, :3], axis=0)).sum(1).max()
        assert np.abs(got[inside, :3] - where).max() < 0.05 * step  # arcs leave their chords, by little

    # The error of the estimate from one frame to the next, by both.
    def relative(turns: Rotation) -> np.ndarray:
        return ((turns[:-1].inv() * turns[1:]).inv() * (seen[:-1].inv() * seen[1:])).magnitude()

    seen = Rotation.from_quat(estimate[inside, 3:])
    real = valid[inside][:-1] & valid[inside][1:]
    errors, expected = relative(mine)[real], relative(turn)[real]
    assert np.abs(errors - expected).max() < 2e-7
    assert np.median(errors) < np.radians(2)


@pytest.mark.parametrize("method", ["cubic", "pchip", "akima", "catmull_rom"])
def test_curves_of_the_ground_truth_stay_close_to_it(backend: Any, both: tuple[np.ndarray, ...], method: str) -> None:
    """Every second sample left out and brought back: the curves come closer than half a millimetre in the median."""
    times, truth, _, _ = both
    got, valid = rc.resample_trajectories(
        backend.to(np.ascontiguousarray(truth[::2, :3])), backend.to(times[::2]), backend.to(times[1:-1:2]),
        method=method, max_gap=GAP, return_valid=True,
    )  # fmt: skip
    error = np.abs(backend.np(got) - truth[1:-1:2, :3]).max(1)[backend.np(valid)]
    assert len(error) > 1400
    assert np.median(error) < 5e-4
