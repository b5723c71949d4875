"""Single rules of ``resample_trajectories``, each with numbers that a reader can check by eye."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import tolerances
from strategies import FLOATS, METHODS

import robocache as rc

NAT = np.iinfo(np.int64).min


def resample(backend: Any, values: Any, times: Any, targets: Any, **options: Any) -> tuple[np.ndarray, ...]:
    """Values, validity and age as NumPy arrays, for plain lists."""
    got = rc.resample_trajectories(
        *(backend.to(np.asarray(a)) for a in (values, times, targets)), return_valid=True, return_age=True, **options
    )
    return tuple(backend.np(array) for array in got)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_an_exact_hit_is_a_copy_beside_nan_and_inf(backend: Any, dtype: np.dtype, method: str) -> None:
    values = np.array([np.nan, -0.0, np.inf, 1e-7, -np.inf], np.float64).astype(dtype)[:, None]
    got, valid, age = resample(backend, values, [0, 10, 20, 30, 40], [40, 30, 20, 10, 0], method=method)
    assert tolerances.same_bits(got, values[::-1])
    assert valid.tolist() == [True, True, True, True, False]
    assert (age == 0).all()


def test_nan_spreads_and_marks_its_target_only(backend: Any) -> None:
    values = np.array([[0.0, 0.0], [1.0, np.nan], [2.0, 2.0], [3.0, 3.0]])
    got, valid, _ = resample(backend, values, [0, 10, 20, 30], [5, 15, 25, 0])
    assert tolerances.same_bits(got, np.array([[0.5, np.nan], [1.5, np.nan], [2.5, 2.5], [0.0, 0.0]]))
    assert valid.tolist() == [False, False, True, True]


def test_infinity_is_real_and_spreads_as_ieee_says(backend: Any) -> None:
    values = np.array([1.0, np.inf, np.inf, -1.0])
    got, valid, _ = resample(backend, values, [0, 10, 20, 30], [2, 8, 15, 20])
    assert tolerances.same_bits(got, np.array([np.inf, np.nan, np.nan, np.inf]))
    assert valid.tolist() == [True, False, False, True]


@pytest.mark.parametrize("method, expected", [
    ("previous", [10.0, 30.0, 30.0, 40.0, 10.0, 60.0]),
    ("linear", [10.0, 30.0, 35.0, 40.0, 10.0, 60.0]),
    ("nearest", [10.0, 30.0, 30.0, 40.0, 10.0, 60.0]),
    ("next", [10.0, 20.0, 40.0, 40.0, 10.0, 60.0]),
])  # fmt: skip
def test_duplicates(backend: Any, method: str, expected: list[float]) -> None:
    """A hit takes the last of equal stamps, but with next the first; before and after the row its ends hold."""
    values = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    got, _, _ = resample(backend, values, [0, 10, 10, 20, 30, 30], [0, 10, 15, 20, -5, 35], method=method)
    assert got.tolist() == expected


def test_the_nearest_of_equal_later_stamps_is_the_last(backend: Any) -> None:
    got, _, age = resample(backend, [0.0, 1.0, 2.0, 3.0], [0, 10, 10, 20], [8, 12], method="nearest")
    assert got.tolist() == [2.0, 2.0]
    assert age.tolist() == [-2, 2]
    line, _, _ = resample(backend, [0.0, 1.0, 2.0, 3.0], [0, 10, 10, 20], [5, 8, 15], method="linear")
    assert line.tolist() == [0.5, 0.8, 2.5]  # up to the first of the run, on from the last


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("outside", ["hold", "nan", "extrapolate", -1.0])
def test_a_row_of_one_sample(backend: Any, method: str, outside: Any) -> None:
    values, goals = np.full((1, 2), 7.0), [95, 100, 105, 106, NAT]
    far = {"hold": 7.0, "extrapolate": 7.0, "nan": np.nan}.get(outside, outside)
    none = np.nan if isinstance(outside, str) else outside
    got, valid, age = resample(backend, values, [100], goals, method=method, outside=outside, tolerance=5)
    assert valid.tolist() == [True, True, True, False, False]
    assert tolerances.same_bits(got[:, 0], np.array([7.0, 7.0, 7.0, far, none]))
    assert age.tolist() == [-5, 0, 5, 6 if far == 7.0 else NAT, NAT]
    _, valid, _ = resample(backend, values, [100], goals, method=method, outside=outside)
    assert valid.tolist() == [False, True, False, False, False]  # without a tolerance it has no reach


@pytest.mark.parametrize("method", METHODS)
def test_a_row_of_none(backend: Any, method: str) -> None:
    for outside, fill in (("hold", np.nan), ("nan", np.nan), ("extrapolate", np.nan), (4.0, 4.0)):
        got, valid, age = resample(
            backend, np.zeros((2, 0, 3), np.float32), np.zeros((2, 0), np.int64), [1, 2], method=method, outside=outside
        )
        assert tolerances.same_bits(got, np.full((2, 2, 3), fill, np.float32))
        assert not valid.any()
        assert (age == NAT).all()


@pytest.mark.parametrize("dtype", ["?", "u1", "i8", "u8"])
def test_integers_fill_with_zero_or_the_number(backend: Any, dtype: str) -> None:
    values = np.ones((2, 3), dtype)
    lengths = np.array([0, 3])
    got = rc.resample_trajectories(
        backend.to(values), backend.to(np.arange(3)), backend.to(np.array([[1, 9], [1, 9]])), method="next",
        lengths=backend.to(lengths), outside=0,
    )  # fmt: skip
    assert backend.np(got).tolist() == [[0, 0], [1, 0]]
    hold, _, _ = resample(backend, values[0], np.arange(3), [NAT, 1, 9], method="previous")
    assert hold.tolist() == [0, 1, 1]


@pytest.mark.parametrize("shape", [(0, 3, 2), (2, 0, 2), (2, 3, 0), (0, 0, 0)])
@pytest.mark.parametrize("steps", [0, 4])
@pytest.mark.parametrize("method", ["linear", "next"])
def test_empty_axes(backend: Any, shape: tuple[int, ...], steps: int, method: str) -> None:
    times, goals = np.tile(np.arange(shape[1]), (shape[0], 1)), np.arange(steps)
    values, valid, age = resample(backend, np.zeros(shape, np.float16), times, goals, method=method)
    assert values.shape == (shape[0], steps, shape[2])
    assert valid.shape == age.shape == (shape[0], steps)
    assert valid.sum() == (6 if shape == (2, 3, 0) and steps else 0)
    packed, valid, _ = resample(
        backend, np.zeros((0, 2), np.float32), np.zeros(0), np.zeros(steps), offsets=backend.to(np.zeros(3, np.int64))
    )
    assert packed.shape == (2, steps, 2)
    assert not valid.any()


@pytest.mark.parametrize("clock", [np.int64, np.float64, np.float32])
def test_limits_include_their_boundary(backend: Any, clock: Any) -> None:
    times, goals = np.array([0, 8, 24], clock), np.array([3, 4, 5, 12, 20, 16], clock)
    unit = int if clock is np.int64 else float
    cases = (
        ("linear", [3, 4, 3, 4, 4, 8]),
        ("nearest", [3, 4, 3, 4, 4, 8]),
        ("previous", [3, 4, 5, 4, 12, 8]),
        ("next", [5, 4, 3, 12, 4, 8]),
    )
    for method, distance in cases:
        for limit in (2, 3, 4, 5, 8, 12):
            options = {"method": method, "tolerance": unit(limit)}
            _, valid, _ = resample(backend, [0.0, 1.0, 2.0], times, goals, **options)
            assert valid.tolist() == [d <= limit for d in distance], (method, limit)
        for limit, expected in ((7, [0, 0]), (8, [1, 0]), (15, [1, 0]), (16, [1, 1])):
            _, valid, _ = resample(backend, [0.0, 1.0, 2.0], times, goals[[0, 3]], method=method, max_gap=unit(limit))
            assert valid.tolist() == [bool(e) for e in expected], (method, limit)
        limits = {"max_gap": unit(0), "tolerance": unit(0)}
        _, valid, _ = resample(backend, [0.0, 1.0, 2.0], times, times, method=method, **limits)
        assert valid.all()  # a hit lies in no gap


def test_ties_go_to_the_earlier_sample(backend: Any) -> None:
    got, _, age = resample(backend, [0, 1, 2], [0, 10, 21], [5, 15, 16, 6], method="nearest")
    assert got.tolist() == [0, 1, 2, 1]
    assert age.tolist() == [5, 5, -5, -4]


def test_age_is_signed_and_to_the_sample_used(backend: Any) -> None:
    for method, ages in (
        ("linear", [-3, 0, 4, 10, 7]),
        ("previous", [-3, 0, 4, 10, 7]),
        ("next", [-3, 0, -16, -10, 7]),
        ("nearest", [-3, 0, 4, 10, 7]),
    ):
        _, _, age = resample(backend, [0.0, 1.0], [0, 20], [-3, 0, 4, 10, 27], method=method)
        assert age.tolist() == ages
        _, _, none = resample(backend, [0.0, 1.0], [0, 20], [-3, 0, 27], method=method, outside="nan")
        assert none.tolist() == [NAT, 0, NAT]  # nothing was used


@pytest.mark.parametrize("times, goals, expected", [
    ([0, 0, 1, 1], [-2, -1, 1, 2, 3], [-1.0, 0.0, 3.0, 3.0, 4.0]),  # last of the first stamps, first of the last ones
    ([0, 1, 1, 1], [-2, -1, 1, 2, 3], [-2.0, -1.0, 3.0, 2.0, 3.0]),
    ([0, 0, 0, 1], [-2, -1, 0, 2, 3], [0.0, 1.0, 2.0, 4.0, 5.0]),
    ([1, 1, 1, 1], [-1, 0, 1, 2, 3], [0.0, 0.0, 3.0, 3.0, 3.0]),  # no line to follow: held
])  # fmt: skip
def test_extrapolation_with_duplicates_at_the_ends(
    backend: Any, times: list[int], goals: list[int], expected: list[float]
) -> None:
    got, valid, age = resample(backend, [0.0, 1.0, 2.0, 3.0], times, goals, outside="extrapolate")
    assert got.tolist() == expected
    assert valid.tolist() == [q in times for q in goals]
    assert age.tolist() == [q - (times[0] if q < times[0] else times[-1] if q > times[-1] else q) for q in goals]


def test_stamps_at_the_ends_of_int64(backend: Any) -> None:
    """Differences above 2**63 are unsigned, and ages saturate."""
    ends = [-(2**63) + 1, 2**63 - 1]
    got, valid, age = resample(backend, np.array([0.0, 1.0]), ends, [0, ends[0], ends[1], 2**62])
    assert got.tolist() == [0.5, 0.0, 1.0, 0.75]
    assert valid.all()
    assert age.tolist() == [2**63 - 1, 0, 0, 2**63 - 1]
    _, valid, _ = resample(backend, np.array([0.0, 1.0]), ends, [0], max_gap=2**63 - 1)
    assert not valid.any()
    far = 2**60 + 1  # float64 cannot tell it from 2**60
    for limit, good in ((far, True), (far - 1, False)):
        assert resample(backend, [0, 1], [0, far], [5], method="next", max_gap=limit)[1].tolist() == [good]
        assert resample(backend, [0, 1], [0, far + 9], [far], method="previous", tolerance=limit)[1].tolist() == [good]
        assert resample(backend, [7], [0], [far], method="next", tolerance=limit)[1].tolist() == [good]
    for at in (2**59, 2**59 + 1):
        assert resample(backend, [0, 1], [0, far], [at], method="nearest")[0].tolist() == [at - 2**59]


def test_subnormals_are_not_flushed(backend: Any) -> None:
    for dtype, least in ((np.float32, 2.0**-149), (np.float64, 2.0**-1074), (np.float16, 2.0**-24)):
        values = np.array([0, 8, -16], np.float64) * least
        got, _, _ = resample(backend, values.astype(dtype), [0, 8, 16], [1, 7, 9, 12])
        assert (got.astype(np.float64) / least).tolist() == [1.0, 7.0, 5.0, -4.0]


@pytest.mark.parametrize("dtype", FLOATS[:2], ids=str)
def test_sixteen_bits_round_ties_to_even(backend: Any, dtype: np.dtype) -> None:
    """Half way between all neighbours of the type: float32 is exact there, so one rounding decides."""
    most = int(np.array(np.inf, dtype).view(np.uint16)) - 1
    low = np.arange(most, dtype=np.uint16).view(dtype)
    high = np.arange(1, most + 1, dtype=np.uint16).view(dtype)
    for sign in (1, -1):
        values = np.stack([low, high]) * np.array(sign, dtype)
        got, valid, _ = resample(backend, values[None], [[0, 2]], [[1]])
        middle = (values[0].astype(np.float64) + values[1].astype(np.float64)) / 2
        assert (got[0, 0].astype(np.float64) == middle.astype(np.float32).astype(dtype).astype(np.float64)).all()
        even = got[0, 0].view(np.uint16) & 1
        assert not even.any()
        assert valid.all()


def test_float_stamps_of_different_sizes(backend: Any) -> None:
    """A target in float32 is widened, never the stamps narrowed."""
    times = np.array([0.1, 0.30000001], np.float32)
    goal = np.array([0.2], np.float32)
    got, _, age = resample(backend, np.array([0.0, 1.0]), times, goal)
    a, b, q = (float(t) for t in (times[0], times[1], goal[0]))
    assert got[0] == float(Fraction(q - a) / Fraction(b - a))
    assert age.dtype == np.float32
    assert age[0] == np.float32(q - a)


def test_infinite_targets_are_invalid(backend: Any) -> None:
    _, valid, _ = resample(backend, np.arange(3.0), np.arange(3.0), [np.inf, -np.inf, 1.0], outside="extrapolate")
    assert valid.tolist() == [False, False, True]


def test_two_axes_with_shared_stamps_are_time_and_feature(backend: Any) -> None:
    """As many joints as samples is no riddle: the reading must not depend on the sizes."""
    values = np.arange(16, dtype=np.float64).reshape(4, 4)
    got = rc.resample_trajectories(backend.to(values), backend.to(np.arange(4.0)), backend.to(np.array([0.5, 3.0])))
    assert backend.np(got).tolist() == [[2, 3, 4, 5], [12, 13, 14, 15]]
