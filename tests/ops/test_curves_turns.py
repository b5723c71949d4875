"""Quaternions, angles and means over cells, with numbers that a reader can check by eye."""

import math
from typing import Any

import numpy as np
import pytest
import tolerances
from ops.curve_strategies import STEP, quaternions, resample
from oracles import curves as oracle
from scipy.spatial.transform import Rotation, Slerp
from strategies import FLOATS


def turned(q: np.ndarray) -> np.ndarray:
    """Their angles."""
    return 2 * np.arctan2(q[..., :3] @ np.array([2.0, -1.0, 2.0]) / 3, q[..., 3])


def test_slerp_turns_evenly(backend: Any) -> None:
    values = quaternions(0.2, 1.4, 1.4 + 1e-6, 3.0)
    times, targets = np.arange(4) * STEP, np.arange(0, 31) * STEP // 10
    for dtype, most in ((np.float32, 2e-6), (np.float64, 1e-13)):
        got, valid = resample(backend, values.astype(dtype), times, targets, method="slerp")
        exact = np.interp(targets / STEP, np.arange(4), [0.2, 1.4, 1.4 + 1e-6, 3.0])
        assert np.abs(turned(got.astype(np.float64)) - exact).max() < most
        assert valid.all()
    on, _ = resample(backend, values, times, [4 * STEP, -STEP], method="slerp", outside="extrapolate")
    assert np.allclose(turned(on) % (2 * math.pi), [4.6 - 1e-6, -1.0 % (2 * math.pi)], atol=1e-9)


def test_slerp_is_that_of_scipy_and_takes_either_order(backend: Any) -> None:
    rng = np.random.default_rng(6)
    values = rng.standard_normal((30, 4))
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    targets = np.linspace(0, 29 * STEP, 200).astype(np.int64)
    expected = Slerp(np.arange(30.0), Rotation.from_quat(values))(targets / STEP).as_quat()
    got, _ = resample(backend, values, np.arange(30) * STEP, targets, method="slerp")
    assert np.minimum(np.abs(got - expected), np.abs(got + expected)).max() < 1e-9
    other, _ = resample(
        backend, np.roll(values, 1, 1), np.arange(30) * STEP, targets, method="slerp", quat_order="wxyz"
    )  # fmt: skip
    assert np.allclose(np.roll(other, -1, 1), got, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_slerp_goes_the_short_way_whatever_the_sign(backend: Any, dtype: Any) -> None:
    values = quaternions(0.0, 1.0, 2.0, dtype=dtype)
    values[1] *= -1
    got, valid = resample(backend, values, np.arange(3) * STEP, [STEP // 2, 3 * STEP // 2, STEP], method="slerp")
    exact = quaternions(0.5, 1.5)
    assert np.abs(got[0] - exact[0]).max() < 1e-6
    assert np.abs(got[1] + exact[1]).max() < 1e-6  # on from -q
    assert tolerances.same_bits(got[2], values[1])
    assert valid.all()


def test_slerp_between_equal_opposite_and_orthogonal_quaternions(backend: Any) -> None:
    one = np.array([0.0, 0.0, 0.0, 1.0])
    pairs = ((one, one, one), (one, -one, one), (one, np.roll(one, 1), np.array([0.5, 0, 0, 0.5]) ** 0.5))
    for a, b, middle in pairs:
        got, valid = resample(backend, np.stack([a, b]), [0, STEP], [STEP // 2], method="slerp")
        assert np.allclose(got, middle, rtol=0, atol=1e-15)
        assert valid.all()
    near = quaternions(1.0, 1.0 + 3e-5, 1.0 + 6e-4, dtype=np.float32)
    got, _ = resample(backend, near, np.arange(3) * STEP, [STEP // 3, 4 * STEP // 3], method="slerp")
    assert np.abs(np.linalg.norm(got, axis=1) - 1).max() < 2e-7


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_slerp_of_any_length_and_of_none(backend: Any, dtype: np.dtype) -> None:
    values = quaternions(0.2, 0.9, 1.6)[:, None].repeat(2, 1)
    largest, least = (3e4, 1e-3) if dtype == np.float16 else (1e38, 1e-37)
    scaled = values * np.array([[1.0, largest], [largest, least], [least, 1.0]])[..., None]
    targets = [STEP // 2, 3 * STEP // 2]
    got, valid = resample(backend, scaled.astype(dtype), np.arange(3) * STEP, targets, method="slerp")
    exact, _ = resample(backend, values, np.arange(3) * STEP, targets, method="slerp")
    assert np.abs(got.astype(np.float64) - exact).max() < 2e-2
    assert valid.all()
    for bad in (0.0, np.nan, np.inf):
        broken = values.astype(dtype)
        broken[1, 0] = 0
        broken[1, 0, 2] = bad
        got, valid = resample(backend, broken, np.arange(3) * STEP, [*targets, 0], method="slerp")
        assert np.isnan(got[:2, 0].astype(np.float64)).all()
        assert not np.isnan(got[:, 1:].astype(np.float64)).any()
        assert valid.tolist() == [False, False, True]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_angles_wrap(backend: Any, dtype: np.dtype) -> None:
    values = np.array([170, -170, -90, 90, 80]).astype(dtype)
    targets = np.array([5, 15, 25, 35]) * STEP // 10 - STEP // 2 + STEP // 4
    got, valid = resample(backend, values, np.arange(5) * STEP, targets, method="angle", period=360.0)
    assert got.astype(np.float64).tolist() == [175.0, -150.0, -135.0, 87.5]  # half a turn goes down
    assert valid.all()
    up, _ = resample(backend, values, np.arange(5) * STEP, targets, method="angle", period=(0, 360))
    assert up.astype(np.float64).tolist() == [175.0, 210.0, 225.0, 87.5]


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_angles_lie_in_their_range(backend: Any, dtype: np.dtype) -> None:
    rng = np.random.default_rng(9)
    targets = rng.integers(-STEP, 401 * STEP, 4000)
    for low, period in ((-np.pi, 2 * np.pi), (0.0, 2 * np.pi), (-180.0, 360.0)):
        edge = (low + period) * (1 + rng.uniform(-1e-3, 1e-3, 200))  # 16 bits round some of these up to it
        values = np.concatenate([rng.uniform(-50, 50, 200), edge]).astype(dtype)
        got, valid = resample(
            backend, values, np.arange(400) * STEP, targets, method="angle", period=(low, low + period),
            outside="extrapolate",
        )  # fmt: skip
        real = np.float64 if dtype == np.float64 else np.float32
        least = np.minimum(real(low), np.array(low).astype(dtype)).astype(np.float64)
        assert (got.astype(np.float64) >= least).all()
        assert (got.astype(np.float64) < real(low) + real(period)).all()
        assert valid.sum() == ((targets >= 0) & (targets <= 399 * STEP)).sum()


def test_means_of_cells_by_hand(backend: Any) -> None:
    values = np.array([0.0, 2.0, 2.0, 6.0, np.nan, 1.0])
    times = np.array([0, 1, 2, 3, 4, 5]) * STEP
    got, valid = resample(backend, values[:4], times[:4], np.array([5, 15, 25]) * STEP // 10, method="mean")
    assert np.allclose(got, [1.0, 2.0, 4.0], rtol=0, atol=1e-15)
    got, _ = resample(backend, values[:4], times[:4], np.array([10, 20]) * STEP // 10, method="mean")
    assert np.allclose(got, [1.75, 2.5], rtol=0, atol=1e-15)  # cells of 0.5 to 1.5 and 1.5 to 2.5
    got, valid = resample(backend, values, times, np.array([5, 15, 25, 35]) * STEP // 10, method="mean")
    assert valid.tolist() == [True, True, True, False]


def test_means_of_cells_between_two_samples_are_the_line(backend: Any) -> None:
    rng = np.random.default_rng(10)
    values, times = rng.standard_normal((8, 5)), np.arange(8) * 100 * STEP
    targets = np.arange(310, 390, 2) * STEP
    got, _ = resample(backend, values, times, targets, method="mean")
    line, _ = resample(backend, values, times, targets, method="linear")
    assert np.allclose(got, line, rtol=0, atol=1e-14)
    one, _ = resample(backend, values, times, targets[:1], method="mean")
    assert tolerances.same_bits(one, line[:1])  # a lone target has no cell


def test_means_of_many_samples_keep_their_digits(backend: Any) -> None:
    """A ripple on a level far from zero, as a barometer gives it."""
    times = np.arange(20_001) * 1_000_000
    values = (101_325 + np.sin(np.arange(20_001) * 0.37)).astype(np.float32)
    targets = np.arange(1, 10) * 2_000_000_000
    got, _ = resample(backend, values, times, targets, method="mean")
    row = oracle.resample_row(values, times, targets, method="mean")
    assert np.abs(got - row.values[:, 0]).max() <= 0.6 * np.spacing(np.float32(101_325))
