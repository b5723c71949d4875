"""``resample_poses`` against SciPy, and streams with a method for each slice of their features."""

from typing import Any

import numpy as np
import pytest
import tolerances
from scipy.interpolate import PchipInterpolator
from scipy.linalg import expm, logm
from scipy.spatial.transform import Rotation, Slerp

import robocache as rc
from robocache._core.errors import ArgumentError, DTypeError, ShapeError

TIMES = np.array([0, 10, 20, 35, 60, 61, 90]) * 1_000_000
GOALS = np.array([-5, 0, 3, 15, 34, 35, 60, 60.5, 75, 89, 90, 99]) * 1_000_000
GOALS = GOALS.astype(np.int64)


def path(seed: int, spread: float = 1.0) -> np.ndarray:
    """Positions, and quaternions x, y, z, w of random sign and length."""
    rng = np.random.default_rng(seed)
    turns = Rotation.from_rotvec(np.cumsum(rng.standard_normal((len(TIMES), 3)) * spread, 0)).as_quat()
    turns *= rng.choice([-1, 1], (len(TIMES), 1)) * rng.uniform(0.5, 2, (len(TIMES), 1))
    return np.concatenate([rng.standard_normal((len(TIMES), 3)), turns], 1)


def matrix(pose: np.ndarray) -> np.ndarray:
    found = np.eye(4)
    found[:3, :3], found[:3, 3] = Rotation.from_quat(pose[3:]).as_matrix(), pose[:3]
    return found


def turned(poses: np.ndarray, order: str) -> np.ndarray:
    """From x, y, z, w to the order, or back."""
    if order == "xyzw":
        return poses
    return poses[..., [0, 1, 2, 6, 3, 4, 5]]


def back(poses: np.ndarray, order: str) -> np.ndarray:
    return poses if order == "xyzw" else poses[..., [0, 1, 2, 4, 5, 6, 3]]


def clipped() -> np.ndarray:
    return np.clip(GOALS, TIMES[0], TIMES[-1]) / 1e9


@pytest.mark.parametrize("order", ["xyzw", "wxyz"])
@pytest.mark.parametrize(("dtype", "error"), [("float32", 4e-6), ("float64", 1e-13), ("float16", 4e-3)])
@pytest.mark.parametrize("position", ["linear", "pchip"])
def test_split(backend: Any, order: str, dtype: str, error: float, position: str) -> None:
    poses = path(0).astype(dtype)
    got, valid = rc.resample_poses(
        backend.to(turned(poses, order)), backend.to(TIMES), backend.to(GOALS), quat_order=order, position=position,
        return_valid=True,
    )  # fmt: skip
    got, exact = back(backend.np(got), order).astype(float), poses.astype(float)
    wide = TIMES / 1e9
    if position == "linear":
        where = np.stack([np.interp(clipped(), wide, exact[:, k]) for k in range(3)], 1)
    else:
        where = PchipInterpolator(wide, exact[:, :3])(clipped())
    assert np.abs(got[:, :3] - where).max() < error
    want = Slerp(wide, Rotation.from_quat(exact[:, 3:]))(clipped())
    assert (Rotation.from_quat(got[:, 3:]) * want.inv()).magnitude().max() < error
    assert backend.np(valid).tolist() == ((TIMES[0] <= GOALS) & (TIMES[-1] >= GOALS)).tolist()
    copied = np.isin(GOALS, TIMES)
    assert np.array_equal(got[copied], exact[np.searchsorted(TIMES, GOALS[copied])])
    inside = ~copied & (TIMES[0] < GOALS) & (TIMES[-1] > GOALS)
    assert np.abs(np.linalg.norm(got[inside, 3:], axis=1) - 1).max() < error


@pytest.mark.parametrize("order", ["xyzw", "wxyz"])
@pytest.mark.parametrize("spread", [1.0, 1e-3, 1e-9, 0.0])
@pytest.mark.parametrize(("dtype", "error"), [("float32", 4e-6), ("float64", 1e-13)])
def test_a_screw_is_the_exponential_of_the_logarithm(
    backend: Any, order: str, spread: float, dtype: str, error: float
) -> None:
    poses = path(1, spread).astype(dtype)
    got = rc.resample_poses(
        backend.to(turned(poses, order)), backend.to(TIMES), backend.to(GOALS), quat_order=order, mode="se3"
    )
    got, exact = back(backend.np(got), order).astype(float), poses.astype(float)
    for k, goal in enumerate(np.clip(GOALS, TIMES[0], TIMES[-1])):
        i = min(np.searchsorted(TIMES, goal, "right") - 1, len(TIMES) - 2)
        first, second = matrix(exact[i]), matrix(exact[i + 1])
        share = (goal - TIMES[i]) / (TIMES[i + 1] - TIMES[i])
        step = np.linalg.inv(first) @ second
        want = first @ expm(share * np.real(logm(step)))
        assert np.abs(matrix(got[k]) - want).max() < error * max(1, np.abs(want).max())


def test_half_a_turn_is_a_screw_too(backend: Any) -> None:
    poses = np.array([[0.0, 0, 0, 0, 0, 0, 1], [2.0, 0, 4, 0, 0, 1, 0]])
    got = rc.resample_poses(
        backend.to(poses), backend.to(np.array([0.0, 1.0])), backend.to(np.array([0.25, 0.5])), mode="se3"
    )
    turn = np.array([np.pi / 4, np.pi / 2])  # about the axis through (1, 0), from (0, 0) to (2, 0)
    assert np.allclose(backend.np(got)[:, 0], 1 - np.cos(turn), atol=1e-12)
    assert np.allclose(np.abs(backend.np(got)[:, 1]), np.sin(turn), atol=1e-12)
    assert np.allclose(backend.np(got)[:, 2], [1, 2], atol=1e-12)


@pytest.mark.parametrize("mode", ["split", "se3"])
def test_signs_of_quaternions_make_no_difference(backend: Any, mode: str) -> None:
    poses = path(2)
    flipped = poses * np.where(np.arange(len(TIMES)) % 2, -1, 1)[:, None] ** (np.arange(7) > 2)
    results = [
        backend.np(rc.resample_poses(backend.to(p), backend.to(TIMES), backend.to(GOALS), mode=mode))
        for p in (poses, flipped)
    ]
    turns = [Rotation.from_quat(r[:, 3:]) for r in results]
    assert np.abs(results[0][:, :3] - results[1][:, :3]).max() < 1e-12
    assert (turns[0] * turns[1].inv()).magnitude().max() < 1e-12


@pytest.mark.parametrize("mode", ["split", "se3"])
def test_a_quaternion_without_length(backend: Any, mode: str) -> None:
    poses = path(3)
    poses[2, 3:] = 0
    got, valid = rc.resample_poses(
        backend.to(poses), backend.to(TIMES), backend.to(GOALS), mode=mode, return_valid=True
    )
    touched = (TIMES[1] < GOALS) & (TIMES[3] > GOALS) & (TIMES[2] != GOALS)
    inside = (TIMES[0] <= GOALS) & (TIMES[-1] >= GOALS)
    assert backend.np(valid).tolist() == (inside & ~touched).tolist()
    assert np.isnan(backend.np(got)[touched][:, 3:]).all()
    assert np.isnan(backend.np(got)[touched][:, :3]).all() == (mode == "se3")


@pytest.mark.parametrize("mode", ["split", "se3"])
def test_rows_arms_gaps_and_out(backend: Any, mode: str) -> None:
    poses = np.stack([np.stack([path(4), path(5)], 1), np.stack([path(6), path(7)], 1)])  # (batch, time, arm, 7)
    lengths = np.array([7, 4])
    out = backend.to(np.full((2, len(GOALS), 2, 7), 77.0))
    options = {"mode": mode, "max_gap": 20_000_000, "return_valid": True, "return_age": True}
    got, valid, age = rc.resample_poses(
        backend.to(poses), backend.to(TIMES), backend.to(GOALS), lengths=backend.to(lengths), out=out, **options
    )
    assert got is out
    for b in range(2):
        for arm in range(2):
            n = lengths[b]
            one, real, old = rc.resample_poses(
                backend.to(np.ascontiguousarray(poses[b, :n, arm])), backend.to(TIMES[:n]), backend.to(GOALS),
                **options,
            )  # fmt: skip
            assert tolerances.same_bits(backend.np(got)[b, :, arm], backend.np(one))
            assert np.array_equal(backend.np(valid)[b], backend.np(real))
            assert np.array_equal(backend.np(age)[b], backend.np(old))
    assert not backend.np(valid)[0][(TIMES[3] < GOALS) & (TIMES[4] > GOALS)].any()


def test_what_is_refused(backend: Any) -> None:
    times = backend.to(TIMES)
    poses = path(0)
    with pytest.raises(ShapeError):
        rc.resample_poses(backend.to(poses[:, :6]), times, times)
    with pytest.raises(DTypeError):
        rc.resample_poses(backend.to(poses.astype(np.int64)), times, times)
    for wrong in ({"mode": "screw"}, {"position": "slerp"}, {"mode": "se3", "position": "cubic"}, {"quat_order": "x"}):
        with pytest.raises(ArgumentError):
            rc.resample_poses(backend.to(poses), times, times, **wrong)


def test_a_stream_with_a_method_for_each_slice(backend: Any) -> None:
    gripper = (np.arange(len(TIMES)) % 3)[:, None].astype(float)
    values = np.concatenate([path(8), gripper], 1)
    parts = [(slice(0, 3), "cubic"), (slice(3, 7), "slerp"), (slice(7, None), "previous")]
    other = rc.Stream(backend.to(np.arange(14.0).reshape(7, 2)), backend.to(TIMES))
    fused = rc.fuse_multimodal(
        {"other": other, "arm": rc.Stream(backend.to(values), backend.to(TIMES), method=parts)}, backend.to(GOALS)
    )
    got = backend.np(fused["arm"])
    for cut, method in parts:
        part = backend.to(np.ascontiguousarray(values[:, cut]))
        want = rc.resample_trajectories(part, backend.to(TIMES), backend.to(GOALS), method=method)
        assert tolerances.same_bits(got[:, cut], backend.np(want))
    assert backend.np(fused.valid)[:, 1].tolist() == ((TIMES[0] <= GOALS) & (TIMES[-1] >= GOALS)).tolist()
    plain = rc.resample_trajectories(other.values, backend.to(TIMES), backend.to(GOALS))
    assert tolerances.same_bits(backend.np(fused["other"]), backend.np(plain))


def test_curves_of_other_types_are_converted(backend: Any) -> None:
    narrow, wide = path(9)[:, :4].astype(np.float32), np.arange(7.0)[:, None]
    streams = {
        "turn": rc.Stream(backend.to(narrow), backend.to(TIMES), method="slerp"),
        "wide": rc.Stream(backend.to(wide), backend.to(TIMES), method="pchip"),
    }
    fused = rc.fuse_multimodal(streams, backend.to(GOALS))
    want = rc.resample_trajectories(backend.to(narrow), backend.to(TIMES), backend.to(GOALS), method="slerp")
    assert backend.np(fused.values).dtype == np.float64
    assert np.array_equal(backend.np(fused["turn"]), backend.np(want).astype(np.float64))


@pytest.mark.parametrize(
    "method",
    [
        [(slice(0, 3), "linear")], [(slice(0, 4), "linear"), (slice(3, 7), "slerp")], [(0, "linear")], "quintic", 7,
        [(slice(0, 7, 2), "linear"), (slice(1, 7, 2), "linear")], [(slice(0, 7), "quintic")], [],
        [(slice(0, 2), "linear"), (slice(2, 7), "slerp")],
    ],
)  # fmt: skip
def test_slices_that_do_not_share_out_the_features(backend: Any, method: Any) -> None:
    stream = rc.Stream(backend.to(path(0)), backend.to(TIMES), method=method)
    with pytest.raises((ArgumentError, ShapeError), match="method"):
        rc.fuse_multimodal({"a": stream}, backend.to(GOALS))
