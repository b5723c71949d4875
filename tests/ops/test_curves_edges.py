"""Single rules of the curved methods, each with numbers that a reader can check by eye."""

import math
from typing import Any

import numpy as np
import pytest
import tolerances
from ops.curve_strategies import METHODS, POLYNOMIALS
from oracles import curves as oracle
from scipy.spatial.transform import Rotation, Slerp
from strategies import EPOCH_NS, FLOATS

import robocache as rc

LOCAL = ("pchip", "akima", "catmull_rom")
STEP = 10_000_000


def resample(backend: Any, values: Any, times: Any, targets: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values and validity as NumPy arrays, for plain lists."""
    arrays = (backend.to(np.asarray(a)) for a in (values, times, targets))
    got = rc.resample_trajectories(*arrays, return_valid=True, **options)
    return tuple(backend.np(array) for array in got)


def quaternions(*angles: float, dtype: Any = np.float64) -> np.ndarray:
    """Turns about one axis."""
    axis = np.array([2.0, -1.0, 2.0]) / 3
    return np.array([[*(axis * math.sin(a / 2)), math.cos(a / 2)] for a in angles], dtype)


def turned(q: np.ndarray) -> np.ndarray:
    """Their angles."""
    return 2 * np.arctan2(q[..., :3] @ np.array([2.0, -1.0, 2.0]) / 3, q[..., 3])


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("method", [m for m in METHODS if m != "mean"])
def test_an_exact_hit_is_a_copy_beside_nan_and_inf(backend: Any, dtype: np.dtype, method: str) -> None:
    values = np.array([np.nan, -0.0, np.inf, 1e-7, 0.5], np.float64).astype(dtype)[:, None].repeat(4, 1)
    targets = [40, 30, 20, 10, 0, 50, -1]
    got, valid = resample(backend, values, [0, 10, 20, 30, 40], targets, method=method)
    expected = values[[4, 3, 2, 1, 0, 4, 0]]
    if method == "angle":
        expected[2] = np.nan  # Inf is no angle
    assert tolerances.same_bits(got, expected)
    assert valid.tolist() == [True, True, method != "angle", True, False, False, False]


@pytest.mark.parametrize("method, reach", [("catmull_rom", (1, 2)), ("pchip", (1, 2)), ("akima", (2, 3))])
def test_nan_spreads_through_the_stencil_and_no_further(backend: Any, method: str, reach: tuple[int, int]) -> None:
    values, times = np.sin(np.arange(12.0)), np.arange(12) * STEP
    values[6] = np.nan
    got, valid = resample(backend, values, times, times[:-1] + STEP // 4, method=method)
    expected = [not i - reach[0] <= 6 <= i + reach[1] for i in range(11)]
    assert valid.tolist() == expected
    assert (~np.isnan(got)).tolist() == expected


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_one_bad_sample_spoils_its_feature_of_a_natural_spline(backend: Any, bad: float) -> None:
    """Throughout the row and its parts, but for hits and held ends; other features and rows are untouched."""
    times = np.array([0, 10, 20, 30, 30, 40, 50, 60]) * STEP
    values = np.sin(np.arange(48.0)).reshape(2, 8, 3)
    spoiled = values.copy()
    spoiled[0, 6, 1] = bad
    targets = np.array([5, 10, 25, 45, 55, 60, 99, -1]) * STEP
    clean, _ = resample(backend, values, times[None], targets, method="cubic")
    got, valid = resample(backend, spoiled, times[None], targets, method="cubic")
    between = np.array([True, False, True, True, True, False, False, False])
    assert np.isnan(got[0, between, 1]).all()
    assert valid[0].tolist() == [False, True, False, False, False, True, False, False]
    spoiled_result = clean.copy()
    spoiled_result[0, between, 1] = np.nan
    assert tolerances.same_bits(got, spoiled_result)
    assert valid[1].tolist() == [True] * 6 + [False] * 2
    plain, line = np.arange(8) * STEP, np.sin(np.arange(8.0))
    line[1] = bad
    got, valid = resample(backend, line, plain, plain[1:] - STEP // 3, method="cubic")
    assert np.isnan(got).all()
    assert not valid.any()
    short, _ = resample(backend, spoiled, times[None], targets, method="cubic", lengths=backend.to(np.array([6, 8])))
    assert not np.isnan(short).any()  # padding counts for nothing


@pytest.mark.parametrize("method", METHODS)
def test_equal_stamps_part_a_row(backend: Any, method: str) -> None:
    """What lies across them changes nothing, and each part has ends of its own."""
    rng = np.random.default_rng(1)
    times = np.array([0, 1, 3, 4, 4, 4, 5, 7, 8]) * STEP
    values = rng.standard_normal((9, 4))
    left = np.array([2, 5, 15, 35, 39]) * STEP // 10
    right = np.array([40, 42, 55, 79]) * STEP // 10
    if method == "mean":
        left, right = left[:2], np.array([55, 60]) * STEP // 10  # cells that end before the gap
        whole = [resample(backend, values, times, q, method=method)[0] for q in (left, right)]
    else:
        both, _ = resample(backend, values, times, np.concatenate([left, right]), method=method)
        whole = [both[: len(left)], both[len(left) :]]
    alone = [
        resample(backend, values[:4], times[:4], left, method=method)[0],
        resample(backend, values[5:], times[5:], right, method=method)[0],
    ]
    if method == "cubic":  # the mean gap of the row is the unit of time
        assert all(np.allclose(a, b, rtol=0, atol=1e-14) for a, b in zip(whole, alone, strict=True))
    else:
        assert all(tolerances.same_bits(a, b) for a, b in zip(whole, alone, strict=True))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_what_stands_still_stays_as_it_is(backend: Any, method: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(2)
    times = EPOCH_NS + np.cumsum(rng.integers(1, STEP, 40))
    targets = np.sort(rng.integers(times[0], times[-1], 100))
    still = np.array([0.5, 0.5, -0.5, 0.5] if method == "slerp" else [0.1, -2.7, 3.0, 0.0]).astype(dtype)
    got, valid = resample(backend, np.tile(still, (40, 1)), times, targets, method=method)
    assert tolerances.same_bits(got, np.tile(still, (100, 1)))
    assert valid.all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("method", [*POLYNOMIALS, "mean"])
def test_what_moves_evenly_goes_on_so(backend: Any, method: str, dtype: Any) -> None:
    """Also where it is extrapolated; the mean of an even cell is the value in its middle."""
    times = np.array([0, 1, 5, 6, 9, 16, 17, 20]) * STEP
    targets = np.linspace(3, 17, 29) if method == "mean" else np.linspace(-4, 24, 57)
    targets = (targets * STEP).astype(np.int64)
    rate = np.array([2.0, -3.0, 0.0])
    outside = "hold" if method == "mean" else "extrapolate"
    values = ((times / STEP)[:, None] * rate + 1).astype(dtype)
    got, _ = resample(backend, values, times, targets, method=method, outside=outside)
    exact = (targets / STEP)[:, None] * rate + 1
    assert np.abs(got - exact).max() <= 200 * np.finfo(dtype).eps * np.abs(exact).max()


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_pchip_stays_within_its_samples(backend: Any, dtype: np.dtype) -> None:
    rng = np.random.default_rng(3)
    times = np.cumsum(rng.integers(1, 9, 60)) * 1000
    values = np.cumsum(rng.choice([0.0, 0.0, 1e-3, 0.3, 50.0], (60, 5)), axis=0).astype(dtype)
    targets = np.sort(rng.integers(times[0], times[-1], 3000))
    got = resample(backend, values, times, targets, method="pchip")[0].astype(np.float64)
    ends = (resample(backend, values, times, targets, method=method)[0] for method in ("previous", "next"))
    low, high = (end.astype(np.float64) for end in ends)
    slack = tolerances.ulp(high, dtype)
    assert (got >= low - slack).all()
    assert (got <= high + slack).all()
    assert (np.diff(got, axis=0) >= -2 * slack[1:]).all()


@pytest.mark.parametrize("method", METHODS)
def test_one_two_and_three_samples(backend: Any, method: str) -> None:
    targets = np.array([-STEP, 0, STEP // 4, STEP, 3 * STEP])
    for count in (1, 2, 3):
        values = quaternions(0.1, 0.5, 0.3)[:count].astype(np.float32)
        times = np.arange(count) * STEP
        for outside in ("hold", "nan", "extrapolate", 7.0):
            options = {"method": method, "outside": outside, "tolerance": None}
            row = oracle.resample_row(values, times, targets, **options)
            got, valid = resample(backend, values, times, targets, **options)
            assert np.allclose(got, row.values, rtol=0, atol=1e-5, equal_nan=True), (count, outside, got, row.values)
            assert valid.tolist() == row.valid.tolist()


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


@pytest.mark.parametrize("method", METHODS)
def test_limits_and_nan_targets(backend: Any, method: str) -> None:
    values = quaternions(*np.linspace(0, 1, 6))
    times, targets = np.array([0, 1, 2, 8, 9, 10]) * STEP, np.array([5, 15, 45, 85]) * STEP // 10
    _, valid = resample(backend, values, times, targets, method=method, max_gap=3 * STEP)
    assert valid.tolist() == [True, True, False, True]
    _, valid = resample(backend, values, times, targets, method=method, tolerance=STEP)
    assert valid.tolist() == [True, True, False, True]
    got, valid = resample(backend, values, times / STEP, [np.nan, 0.5], method=method, outside=4.0)
    assert (got[0] == 4).all()
    assert not valid[0]
