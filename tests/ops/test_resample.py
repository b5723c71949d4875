"""``resample_trajectories`` against the oracle: every type, shape, layout, method and policy that hypothesis finds."""

import warnings
from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import trajectory as oracle
from strategies import CLOCKS, EPOCH_NS, FLOATS, INTEGERS, METHODS, Case, cases, fitting, numbers, stamps, targets

import robocache as rc


def answer(backend: Any, case: Case, **more: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, validity and age as NumPy arrays."""
    got = rc.resample_trajectories(
        backend.to(case.values), backend.to(case.times), backend.to(case.targets), lengths=backend.to(case.lengths),
        offsets=backend.to(case.offsets), return_valid=True, return_age=True, **case.options, **more,
    )  # fmt: skip
    return tuple(backend.np(array) for array in got)


def judge(got: tuple[np.ndarray, ...], expected: oracle.Row, dtype: np.dtype, options: dict[str, Any]) -> None:
    """Bits where nothing is computed, the tolerance table where something is."""
    values, valid, age = got
    assert values.dtype == dtype
    assert values.shape == expected.values.shape
    assert tolerances.same_bits(age, expected.age), (age, expected.age)
    if options.get("method", "linear") != "linear":
        assert tolerances.same_bits(values, expected.values), (values, expected.values)
    else:
        table = tolerances.OUTSIDE_ULPS if options.get("outside") == "extrapolate" else tolerances.ULPS
        errors = tolerances.error_in_ulps(values, expected.values, expected.larger, dtype)
        assert errors.max(initial=0) <= table[dtype.name], (errors.max(), values, expected.values)
    assert tolerances.same_bits(valid, expected.valid), (valid, expected.valid)


def expectation(case: Case) -> oracle.Row:
    return oracle.resample(
        case.values, case.times, case.targets, lengths=case.lengths, offsets=case.offsets, **case.options
    )  # fmt: skip


@given(case=cases())
def test_any_call_equals_the_oracle(backend: Any, case: Case) -> None:
    copies = [None if a is None else a.copy() for a in (case.values, case.times, case.targets)]
    got = answer(backend, case)
    judge(got, expectation(case), case.values.dtype, case.options)
    for array, copy in zip((case.values, case.times, case.targets), copies, strict=True):
        assert tolerances.same_bits(array, copy)
    if backend.name == "cuda":
        twins_agree(got, answer(_numpy(backend), case), case)
        again = answer(backend, case)  # goes straight to the launch
        assert all(tolerances.same_bits(a, b) for a, b in zip(got, again, strict=True))


def twins_agree(got: tuple[np.ndarray, ...], other: tuple[np.ndarray, ...], case: Case) -> None:
    """What both backends promise one another: bits, and one ulp for linear."""
    assert tolerances.same_bits(got[1], other[1])
    assert tolerances.same_bits(got[2], other[2])
    if case.options["method"] != "linear":
        assert tolerances.same_bits(got[0], other[0])
        return
    larger = expectation(case).larger
    errors = tolerances.error_in_ulps(got[0], other[0].astype(np.float64), larger, got[0].dtype)
    assert errors.max(initial=0) <= 1


def _numpy(backend: Any) -> Any:
    return type(backend)("cpu", np)


@pytest.mark.parametrize("dtype, method", [(d, m) for d in FLOATS + INTEGERS for m in fitting(d)], ids=str)
def test_every_type_by_every_method(backend: Any, dtype: np.dtype, method: str) -> None:
    rng = np.random.default_rng(7)
    for clock in CLOCKS:
        times = np.stack([stamps(rng, 20, clock) for _ in range(3)])
        goals = np.stack([targets(rng, row, 40) for row in times])
        for feature in ((), (5,), (4, 4)):
            options = {"method": method, "outside": "extrapolate"}
            case = Case(numbers(rng, (3, 20, *feature), dtype), times, goals, options=options)
            judge(answer(backend, case), expectation(case), dtype, options)


@pytest.mark.parametrize("fill", ["hold", "nan", "extrapolate", -3.5, 0, np.float32(2)])
@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_every_policy_outside(backend: Any, dtype: np.dtype, fill: Any) -> None:
    rng = np.random.default_rng(3)
    times = stamps(rng, 9, "epoch_ns")
    goals = np.concatenate([times[0] - np.array([1, 5, 10**9]), times[-1] + np.array([1, 5, 10**9]), times])
    for method in METHODS:
        options = {"method": method, "outside": fill}
        case = Case(numbers(rng, (2, 9, 3), dtype), times[None].repeat(2, 0), goals, options=options)
        got = answer(backend, case)
        judge(got, expectation(case), dtype, options)
        assert not got[1][:, :6].any()


@pytest.mark.parametrize("method", METHODS)
def test_without_a_batch_axis(backend: Any, method: str) -> None:
    rng = np.random.default_rng(11)
    times = stamps(rng, 30, "epoch_ns")
    goals = targets(rng, times, 25)
    for feature in ((), (7,), (2, 2)):
        values = numbers(rng, (30, *feature), np.dtype(np.float32))
        options = {"method": method}
        got = answer(backend, Case(values, times, goals, options=options))
        row = oracle.resample_row(values, times, goals, **options)
        shape = (25, *feature)
        row = row._replace(values=row.values.reshape(shape), larger=row.larger.reshape(shape))
        judge(got, row, values.dtype, options)


@given(rate=st.sampled_from((1e3, 999.9, 100.0, 30.0)), seed=st.integers(0, 99))
def test_nanoseconds_since_the_epoch_lose_nothing(backend: Any, rate: float, seed: int) -> None:
    """The value is the stamp itself: a weight that is off by more than its rounding shows."""
    rng = np.random.default_rng(seed)
    offsets = np.round(np.arange(200) * 1e9 / rate).astype(np.int64)
    goals = rng.integers(0, offsets[-1], 300)
    values = (offsets * 1e-9).astype(np.float32)[None, :, None]
    got = backend.np(
        rc.resample_trajectories(backend.to(values), backend.to(offsets[None] + EPOCH_NS), backend.to(goals + EPOCH_NS))
    )
    row = oracle.resample_row(values[0], offsets, goals)  # from zero: Python integers either way
    errors = tolerances.error_in_ulps(got[0], row.values, row.larger, values.dtype)
    assert errors.max() <= tolerances.ULPS["float32"]
    step = values[0, 1, 0] - values[0, 0, 0]
    assert np.abs(got[0, :, 0] - goals * 1e-9).max() < 1e-4 * step + 2e-7 * values.max()


@pytest.mark.parametrize("layout", ["rows", "stamps"])
def test_one_row_serves_a_batch(backend: Any, layout: str) -> None:
    """Values, stamps or both with one row against many rows of targets."""
    rng = np.random.default_rng(5)
    times = stamps(rng, 8, "epoch_ns")[None]
    goals = np.stack([targets(rng, times[0], 6) for _ in range(5)])
    values = numbers(rng, (1 if layout == "rows" else 5, 8, 3), np.dtype(np.float64), odd=False)
    case = Case(values, times, goals)
    wide = Case(np.broadcast_to(values, (5, 8, 3)), times.repeat(5, 0), goals)
    judge(answer(backend, case), expectation(wide), values.dtype, {})
    ragged = Case(values, times, goals, lengths=np.array([6]) if layout == "rows" else np.arange(5))
    full = Case(wide.values, wide.times, goals, lengths=np.array([6] * 5) if layout == "rows" else np.arange(5))
    judge(answer(backend, ragged), expectation(full), values.dtype, {})


def test_strides_of_stamps_do_not_change_the_shape(backend: Any) -> None:
    values, times = np.arange(6.0).reshape(1, 3, 2), np.array([0, 10, 20])
    goals = np.array([5, 15, 20, 25])
    once = answer(backend, Case(values, times[None], np.tile(goals, (4, 1))))
    for t, q in (
        (times[None], np.broadcast_to(goals, (4, 4))),
        (np.broadcast_to(times, (4, 3)), goals),
        (np.broadcast_to(times, (4, 3)), np.tile(goals[::-1], (4, 1))[:, ::-1]),
        (np.repeat(times, 2)[::2][None], np.broadcast_to(np.repeat(goals, 2)[::2], (4, 4))),
    ):
        for a, b in zip(answer(backend, Case(values, t, q)), once, strict=True):
            assert tolerances.same_bits(a, b)


def test_large_calls_span_tiles_and_threads(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than 1 MiB of work, odd sizes: the result is that of the same rows one at a time, on one thread."""
    rng = np.random.default_rng(2)
    times = np.stack([stamps(rng, 301, "epoch_ns") for _ in range(9)])
    goals = np.stack([targets(rng, row, 1777) for row in times])
    values = rng.standard_normal((9, 301, 37)).astype(np.float32)
    case = Case(values, times, goals)
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "3")
    got = answer(backend, case)
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "1")
    for b in range(9):
        one = answer(backend, Case(values[b : b + 1], times[b : b + 1], goals[b : b + 1]))
        for a, c in zip(got, one, strict=True):
            assert tolerances.same_bits(a[b], c[0])
    some = rng.integers(0, 1777, 40)
    row = oracle.resample_row(values[4], times[4], goals[4, some])
    judge(tuple(a[4][some] for a in got), row, values.dtype, {})


def test_nothing_warns_in_a_normal_call(backend: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rc.resample_trajectories(backend.to(np.eye(4, 3)), backend.to(np.arange(4.0)), backend.to(np.array([0.5, 9.0])))
