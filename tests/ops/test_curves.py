"""The methods of ``resample_trajectories`` that need more than a line, against SciPy or their written definition."""

from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from ops.curve_strategies import CLOCKS, METHODS, POLYNOMIALS, cases, features_of, stamps, targets
from oracles import curves as oracle
from strategies import EPOCH_NS, FLOATS, Case, numbers

import robocache as rc


def answer(backend: Any, case: Case, **more: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values, validity and age as NumPy arrays."""
    got = rc.resample_trajectories(
        backend.to(case.values), backend.to(case.times), backend.to(case.targets), lengths=backend.to(case.lengths),
        offsets=backend.to(case.offsets), return_valid=True, return_age=True, **case.options, **more,
    )  # fmt: skip
    return tuple(backend.np(array) for array in got)


def expectation(case: Case) -> oracle.Row:
    return oracle.resample(
        case.values, case.times, case.targets, lengths=case.lengths, offsets=case.offsets, **case.options
    )


def judge(got: tuple[np.ndarray, ...], row: oracle.Row, dtype: np.dtype, options: dict[str, Any]) -> None:
    """Bits where samples are copied, the tolerance table where something is computed."""
    values, valid, age = got
    assert values.dtype == dtype
    assert values.shape == row.values.shape
    assert tolerances.same_bits(age, row.age), (age, row.age)
    assert tolerances.same_bits(values[row.copied], row.values[row.copied].astype(dtype))
    period = 2 * np.pi if options["method"] == "angle" else None
    errors = tolerances.curve_error(values, row.values, row.scale, dtype, period)
    errors = np.where(row.copied | row.open, 0, errors)
    assert errors.max(initial=0) <= tolerances.CURVES[options["method"]], (errors.max(), values, row)
    features = tuple(range(valid.ndim, values.ndim))
    assert not (valid & np.isnan(values.astype(np.float64)).any(axis=features)).any()
    sure = ~row.open.any(axis=features)
    assert tolerances.same_bits(valid[sure], row.valid[sure]), (valid, row.valid)


@pytest.mark.parametrize("method", METHODS)
@given(data=st.data())
def test_any_call_equals_the_oracle(backend: Any, method: str, data: st.DataObject) -> None:
    case = data.draw(cases(method))
    copies = [a.copy() for a in (case.values, case.times, case.targets)]
    got = answer(backend, case)
    judge(got, expectation(case), case.values.dtype, case.options)
    for array, copy in zip((case.values, case.times, case.targets), copies, strict=True):
        assert tolerances.same_bits(array, copy)
    again = answer(backend, case)
    assert all(tolerances.same_bits(a, b) for a, b in zip(got, again, strict=True))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("method", METHODS)
def test_every_type_by_every_method(backend: Any, method: str, dtype: np.dtype) -> None:
    rng = np.random.default_rng(5)
    for clock in CLOCKS:
        times = np.stack([stamps(rng, 25, clock, equal=False) for _ in range(2)])
        goals = np.stack([targets(rng, row, 60, clock, method == "mean") for row in times])
        for feature in features_of(method):
            options = {"method": method, "outside": "extrapolate"}
            case = Case(numbers(rng, (2, 25, *feature), dtype, odd=False), times, goals, options=options)
            judge(answer(backend, case), expectation(case), dtype, options)


@pytest.mark.parametrize("method", METHODS)
def test_without_a_batch_axis(backend: Any, method: str) -> None:
    rng = np.random.default_rng(11)
    times = stamps(rng, 30, "epoch_ns")
    goals = targets(rng, times, 25, "epoch_ns", method == "mean")
    for feature in features_of(method):
        values = numbers(rng, (30, *feature), np.dtype(np.float32))
        options = {"method": method}
        row = oracle.resample_row(values, times, goals, **options)
        shape = (25, *feature)
        wide = {name: getattr(row, name).reshape(shape) for name in ("values", "scale", "copied", "open")}
        judge(answer(backend, Case(values, times, goals, options=options)), row._replace(**wide), values.dtype, options)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shared", ["values", "stamps", "both"])
def test_one_row_serves_a_batch(backend: Any, method: str, shared: str) -> None:
    rng = np.random.default_rng(3)
    times = np.stack([stamps(rng, 12, "relative_s") for _ in range(3)])
    values = numbers(rng, (3, 12, 4), np.dtype(np.float32))
    times = times[:1] if shared != "values" else times
    values = values[:1] if shared != "stamps" else values
    goals = np.stack([targets(rng, times[0], 20, "relative_s", method == "mean") for _ in range(3)])
    options = {"method": method}
    wide = Case(np.broadcast_to(values, (3, 12, 4)), np.broadcast_to(times, (3, 12)), goals, options=options)
    judge(answer(backend, Case(values, times, goals, options=options)), expectation(wide), values.dtype, options)
    lengths = np.array([12, 7, 1])
    full = Case(wide.values, wide.times, goals, lengths, options=options)
    lent = Case(values, times, goals, lengths, options=options)
    judge(answer(backend, lent), expectation(full), values.dtype, options)


@pytest.mark.parametrize("method", METHODS)
def test_stamps_shifted_to_zero_give_equal_bits(backend: Any, method: str) -> None:
    rng = np.random.default_rng(8)
    times = stamps(rng, 200, "epoch_ns")
    goals = targets(rng, times, 300, "epoch_ns", True)
    values = rng.standard_normal((200, 2, 4)).astype(np.float32)
    for shift in (EPOCH_NS, int(times[0]), -EPOCH_NS):
        a = answer(backend, Case(values, times, goals, options={"method": method}))
        b = answer(backend, Case(values, times - shift, goals - shift, options={"method": method}))
        assert all(tolerances.same_bits(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("features", [4, 36, 600])
def test_large_calls_span_blocks_and_threads(
    backend: Any, monkeypatch: pytest.MonkeyPatch, method: str, features: int
) -> None:
    """The result is that of the same rows one at a time, on one thread."""
    rng = np.random.default_rng(features)
    times = np.stack([stamps(rng, 701, "epoch_ns") for _ in range(4)])
    goals = np.stack([targets(rng, row, 1500, "epoch_ns", method == "mean") for row in times])
    values = rng.standard_normal((4, 701, features // 4, 4)).astype(np.float32)
    options = {"method": method}
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "3")
    got = answer(backend, Case(values, times, goals, options=options))
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "1")
    for b in range(4):
        one = answer(backend, Case(values[b : b + 1], times[b : b + 1], goals[b : b + 1], options=options))
        assert all(tolerances.same_bits(a[b], c[0]) for a, c in zip(got, one, strict=True))
    if method == "mean":
        return  # a cell needs its neighbours
    some = rng.integers(0, 1500, 20)
    row = oracle.resample_row(values[2, :, 0], times[2], goals[2, some], **options)
    judge((got[0][2][some][:, 0], got[1][2][some], got[2][2][some]), row, values.dtype, options)


@pytest.mark.parametrize("method", POLYNOMIALS)
def test_gaps_of_a_nanosecond_beside_a_second(backend: Any, method: str) -> None:
    rng = np.random.default_rng(4)
    times = EPOCH_NS + np.cumsum(rng.choice([1, 2, 1_000, 10**6, 10**9], 60))
    goals = np.sort(rng.integers(times[0], times[-1], 400))
    for dtype in (np.float32, np.float64):
        values = rng.standard_normal((60, 9)).astype(dtype)
        options = {"method": method}
        row = oracle.resample_row(values, times, goals, **options)
        judge(answer(backend, Case(values, times, goals, options=options)), row, values.dtype, options)
