"""Single rules of the curved methods, each with numbers that a reader can check by eye."""

from typing import Any

import numpy as np
import pytest
import tolerances
from ops.curve_strategies import METHODS, POLYNOMIALS, STEP, quaternions, resample
from oracles import curves as oracle
from strategies import EPOCH_NS, FLOATS

from robocache.errors import DataError, DTypeError, ShapeError


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


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("method", [m for m in METHODS if m != "slerp"])
def test_a_bad_sample_of_a_packed_row_stays_there(backend: Any, method: str, bad: float) -> None:
    values, offsets = np.sin(np.arange(30.0))[:, None], np.array([0, 9, 9, 20, 30])
    times = np.concatenate([np.arange(n) * STEP for n in np.diff(offsets)])
    targets = np.arange(1, 16) * STEP // 2
    spoiled = values.copy()
    spoiled[[9, 14, 19]] = bad
    clean, got = (
        resample(backend, v, times, targets, method=method, offsets=backend.to(offsets))[0] for v in (values, spoiled)
    )
    assert tolerances.same_bits(got[[0, 1, 3]], clean[[0, 1, 3]])
    assert np.isnan(got[2]).any()


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


@pytest.mark.parametrize("method", METHODS)
def test_bad_stamps_and_values_are_refused(backend: Any, method: str) -> None:
    values = np.ones((4, 4), np.float32)
    for times in ([0.0, 2.0, 1.0, 3.0], [0.0, np.nan, 2.0, 3.0]):
        with pytest.raises(DataError, match="unsorted"):
            resample(backend, values, times, [0.5], method=method, check="strict")
    with pytest.raises(DTypeError, match="values"):
        resample(backend, np.ones((4, 4), np.int32), np.arange(4), [1], method=method)
    if method == "slerp":
        with pytest.raises(ShapeError, match="values"):
            resample(backend, np.ones((4, 5)), np.arange(4), [1], method=method)
