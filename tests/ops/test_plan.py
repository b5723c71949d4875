"""``Plan`` against ``resample_trajectories``, which the oracle judges elsewhere: equal bits, call by call."""

from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from oracles import trajectory as oracle
from strategies import FLOATS, INTEGERS, METHODS, Case, cases, fitting, numbers, stamps, targets

import robocache as rc

WHOLE = {"return_valid": True, "return_age": True}


def plan_of(backend: Any, case: Case, **more: Any) -> rc.Plan:
    return rc.Plan(
        backend.to(case.times), backend.to(case.targets), lengths=backend.to(case.lengths),
        offsets=backend.to(case.offsets), **case.options, **more,
    )  # fmt: skip


def straight(backend: Any, case: Case) -> list[np.ndarray]:
    got = rc.resample_trajectories(
        backend.to(case.values), backend.to(case.times), backend.to(case.targets), lengths=backend.to(case.lengths),
        offsets=backend.to(case.offsets), **case.options, **WHOLE,
    )  # fmt: skip
    return [backend.np(array) for array in got]


def same(backend: Any, got: Any, expected: Any) -> None:
    for a, b in zip(got, expected, strict=True):
        assert tolerances.same_bits(backend.np(a), b), (backend.np(a), b)


@given(case=cases())
def test_a_plan_is_the_call_that_it_stands_for(backend: Any, case: Case) -> None:
    expected, plan, values = straight(backend, case), plan_of(backend, case), backend.to(case.values)
    for _ in range(2):  # the second call skips its checks
        same(backend, plan(values, **WHOLE), expected)
        same(backend, [plan.apply(values)], expected[:1])
        out = backend.to(np.ones_like(expected[0]))
        assert plan(values, out=out) is out
        same(backend, [out], expected[:1])
        same(backend, plan(values, out=out, return_valid=True), expected[:2])


@given(case=cases())
def test_what_a_plan_shows(backend: Any, case: Case) -> None:
    plan = plan_of(backend, case)
    shown = [backend.np(a) for a in (plan.index, plan.weight, plan.valid, plan.age)]
    rows, feature = range(len(case.values)), ()
    batch = oracle.resample(
        np.zeros_like(case.values, shape=(*case.values.shape[: 1 if case.offsets is not None else 2], *feature)),
        case.times, case.targets, lengths=case.lengths, offsets=case.offsets, **case.options,
    )  # fmt: skip
    shape = batch.valid.shape if shown[2].ndim == 2 else batch.valid.shape[1:]
    if shown[2].ndim == 2 and shown[2].shape[0] == 1 != shape[0]:
        return  # stamps of one row that stand for the batch: nothing more to compare with
    if not len(batch.valid):
        return
    assert [a.dtype.str[1:] for a in shown[:3]] == ["i8", "f8", "b1"]
    for k, (got, want) in enumerate(zip(shown[2:], (batch.valid, batch.age), strict=True)):
        assert tolerances.same_bits(got, want if got.ndim == 2 else want[0]), k
    rows = range(len(case.offsets) - 1) if case.offsets is not None else rows
    how = {name: case.options[name] for name in ("method", "outside", "tolerance")}
    for b in rows:
        cut = slice(None) if case.offsets is None else slice(int(case.offsets[b]), int(case.offsets[b + 1]))
        times = case.times[cut] if case.times.ndim == 1 else case.times[b]
        times = times if case.lengths is None else times[: int(case.lengths[b])]
        index, weight = oracle.places(times, case.targets[b] if case.targets.ndim == 2 else case.targets, **how)
        index += np.where(index < 0, 0, 0 if case.offsets is None else int(case.offsets[b]))
        got = [a[b] if a.ndim == 2 else a for a in shown[:2]]
        assert got[0].tolist() == index.tolist()
        assert np.allclose(got[1], weight, rtol=1e-15, atol=0, equal_nan=True)


@pytest.mark.parametrize("method", METHODS)
def test_one_plan_for_every_type_and_shape(backend: Any, method: str) -> None:
    rng = np.random.default_rng(3)
    times = stamps(rng, 40, "epoch_ns")
    goals = targets(rng, times, 33)
    plan = rc.Plan(backend.to(times), backend.to(goals), method=method, outside="extrapolate", max_gap=10**6)
    for dtype in FLOATS + INTEGERS:
        if method not in fitting(dtype):
            continue
        for shape in ((40,), (40, 7), (40, 8), (3, 40, 2, 3), (1, 40, 5), (5, 40, 16)):
            values = numbers(rng, shape, dtype)
            options = {"method": method, "outside": "extrapolate", "max_gap": 10**6}
            expected = straight(backend, Case(values, times, goals, options=options))
            same(backend, plan(backend.to(values), **WHOLE), expected)


@pytest.mark.parametrize("rows", [1, 3, 40])
def test_plans_of_one_row_serve_long_and_short_batches(backend: Any, rows: int) -> None:
    rng = np.random.default_rng(rows)
    for steps in (5, 1024, 2500):
        times, values = stamps(rng, 60, "relative_s"), rng.standard_normal((rows, 60, 2))
        goals = targets(rng, times, steps)
        plan = rc.Plan(backend.to(times), backend.to(goals))
        same(backend, plan(backend.to(values), **WHOLE), straight(backend, Case(values, times, goals)))
        many = np.stack([targets(rng, times, steps) for _ in range(rows)])
        plan = rc.Plan(backend.to(times[None]), backend.to(many), lengths=backend.to(np.full(rows, 50)))
        case = Case(values, times[None], many, np.full(rows, 50))
        same(backend, plan(backend.to(values), **WHOLE), straight(backend, case))
        same(backend, plan(backend.to(values[:1]), **WHOLE), straight(backend, Case(values[:1], *case_tail(case))))


def case_tail(case: Case) -> tuple[Any, ...]:
    return case.times, case.targets, case.lengths


@pytest.mark.parametrize("samples, steps", [(0, 3), (5, 0), (1, 4)])
def test_nothing_to_find_or_to_move(backend: Any, samples: int, steps: int) -> None:
    times, goals = np.arange(samples) * 10, np.arange(steps) * 3
    for values in (np.ones((samples, 2)), np.ones((3, samples, 2)), np.ones((samples, 0))):
        case = Case(values, times, goals, options={"tolerance": 4})
        if values.ndim == 3 and samples in (0, 3):
            continue  # reads in two ways
        same(backend, plan_of(backend, case)(backend.to(values), **WHOLE), straight(backend, case))


@pytest.mark.parametrize("rows, samples, steps, features", [(600, 30, 600, 1), (5, 40, 2500, 12)])
def test_large_calls_span_tiles_and_threads(
    backend: Any, monkeypatch: pytest.MonkeyPatch, rows: int, samples: int, steps: int, features: int
) -> None:
    """On the GPU a block of the call serves several tiles, one of the plan a single one; threads cut rows in two."""
    rng = np.random.default_rng(rows)
    times = stamps(rng, samples, "epoch_ns")
    goals, values = targets(rng, times, steps), rng.standard_normal((rows, samples, features))
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "3")
    expected = straight(backend, Case(values, times, goals))
    plan = rc.Plan(backend.to(times), backend.to(goals))
    same(backend, plan(backend.to(values), **WHOLE), expected)
    one = straight(backend, Case(values[-1:], times, goals))
    for a, b in zip(expected, one, strict=True):
        assert tolerances.same_bits(a[-1:], b)
