"""``align``: the sample of each target, against a search written out; and clocks as arrays."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from strategies import CLOCKS, EPOCH_NS, generators, stamps, targets

import robocache as rc
from robocache._core.errors import ArgumentError

NAT = np.iinfo(np.int64).min


def expected(times: np.ndarray, goals: np.ndarray, direction: str, tolerance: Any) -> tuple[np.ndarray, np.ndarray]:
    """One row, in exact arithmetic: Python's integers, or float64."""
    ticks = [t.item() for t in times]
    index, valid = [], []
    for goal in goals.tolist():
        if goal == NAT or goal != goal or not np.isfinite(np.float64(goal)) or not ticks:
            index.append(-1)
            valid.append(False)
            continue
        before = [i for i, t in enumerate(ticks) if t <= goal]
        after = [i for i, t in enumerate(ticks) if t >= goal]
        last = before[-1] if before else None
        first = after[0] if after else None
        if direction == "previous":
            found = last
        elif direction == "next":
            found = first
        elif last is None or first is None:
            found = last if first is None else first
        elif ticks[first] - goal < goal - ticks[last]:
            found = max(i for i, t in enumerate(ticks) if t == ticks[first])  # of equal stamps the last
        else:
            found = last
        real = found is not None and (tolerance is None or abs(ticks[found] - goal) <= tolerance)
        index.append(found if found is not None else 0 if direction == "previous" else len(ticks) - 1)
        valid.append(real)
    return np.array(index, np.int64), np.array(valid, bool)


@given(
    rng=generators(), clock=st.sampled_from(CLOCKS), count=st.integers(0, 40), goals=st.integers(0, 30),
    direction=st.sampled_from(("nearest", "previous", "next")), limited=st.booleans(),
)  # fmt: skip
def test_any_row(backend: Any, rng: Any, clock: str, count: int, goals: int, direction: str, limited: bool) -> None:
    times = stamps(rng, count, clock)
    wanted = targets(rng, times, goals)
    tolerance = None if not limited else 20_000_000 if clock == "epoch_ns" else 0.02
    index, valid = rc.align(
        backend.to(times), backend.to(wanted), direction=direction, tolerance=tolerance, check="strict"
    )
    want, real = expected(times, wanted, direction, tolerance)
    assert backend.np(valid).tolist() == real.tolist()
    index = backend.np(index)
    assert index.dtype == np.int64
    assert index[real].tolist() == want[real].tolist()
    assert ((index == -1) == (want == -1)).all()
    if count:
        assert ((index >= -1) & (index < count)).all()


def test_rows_lengths_and_offsets(backend: Any) -> None:
    times = np.array([[0, 10, 20], [5, 15, 99]])
    goals = np.array([[9, 31], [5, 31]])
    index, valid = rc.align(backend.to(times), backend.to(goals), lengths=backend.to(np.array([3, 2])), tolerance=6)
    assert backend.np(index).tolist() == [[1, 2], [0, 1]]
    assert backend.np(valid).tolist() == [[True, False], [True, False]]
    index, valid = rc.align(
        backend.to(np.array([0, 10, 20, 5, 15])), backend.to(goals), offsets=backend.to(np.array([0, 3, 5])),
        direction="previous",
    )  # fmt: skip
    assert backend.np(index).tolist() == [[0, 2], [3, 4]]
    assert backend.np(valid).all()


def test_an_end_within_tolerance_belongs(backend: Any) -> None:
    """Unlike in resampling, where whatever lies outside the row is invalid."""
    frames, late = np.array([100, 200]), np.array([95, 94, 205, 206])
    index, valid = rc.align(backend.to(frames), backend.to(late), tolerance=5)
    assert backend.np(index).tolist() == [0, 0, 1, 1]
    assert backend.np(valid).tolist() == [True, False, True, False]


def test_the_index_gathers(backend: Any) -> None:
    frames, values = np.array([0, 33, 66]), np.arange(6.0).reshape(3, 2)
    index, valid = rc.align(backend.to(frames), backend.to(np.array([-50, 30, 70])), tolerance=5)
    got = rc.gather_windows(backend.to(values), index, valid, pad="nan")
    assert np.array_equal(backend.np(got), [[np.nan, np.nan], [2, 3], [4, 5]], equal_nan=True)


@pytest.mark.parametrize("wrong", [{"direction": "linear"}, {"tolerance": -1}, {"tolerance": 0.5}])
def test_what_is_refused(backend: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(ArgumentError):
        rc.align(backend.to(np.array([1, 2])), backend.to(np.array([1])), **wrong)


def test_a_clock_as_an_array(backend: Any) -> None:
    clock = rc.Clock(30, EPOCH_NS, EPOCH_NS + 10**9)
    ticks = clock.times(backend.to(np.zeros(2, np.int64)))
    assert type(ticks).__module__.partition(".")[0] == type(backend.to(np.zeros(1))).__module__.partition(".")[0]
    exact = [EPOCH_NS + (2 * k * 10**9 // 30 + 1) // 2 for k in range(31)]
    assert backend.np(ticks).tolist() == exact
    assert clock.times(np.zeros(1, "M8[ns]")).dtype == np.dtype("M8[ns]")
    seconds = rc.Clock(4, 0, 1).times(backend.to(np.zeros(0, np.float32)))
    assert backend.np(seconds).tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert len(rc.Clock(4, 1.0, 0.0).times(np.zeros(0))) == 0
    with pytest.raises(ArgumentError, match=r"start|end"):
        rc.Clock(30).times()


def test_a_clock_of_a_fusion(backend: Any) -> None:
    streams = {
        "a": rc.Stream(backend.to(np.arange(5.0)[:, None]), backend.to(np.arange(5) * 10)),
        "b": rc.Stream(backend.to(np.arange(5.0)[:, None]), backend.to(np.arange(5) * 10 + 20)),
    }
    shared = rc.fuse_multimodal(streams, rc.Clock(1e8))
    assert backend.np(shared.times).tolist() == [20, 30, 40]
    every = rc.fuse_multimodal(streams, rc.Clock(1e8), join="union")
    assert backend.np(every.times).tolist() == [0, 10, 20, 30, 40, 50, 60]
    assert backend.np(every.valid)[:, 0].tolist() == [True] * 5 + [False] * 2
    assert backend.np(every.valid)[:, 1].tolist() == [False] * 2 + [True] * 5
    assert backend.np(rc.fuse_multimodal(streams, rc.Clock(1e8, start=25), join="union").times).tolist() == [
        25, 35, 45, 55,
    ]  # fmt: skip
    with pytest.raises(ArgumentError, match="Clock"):
        rc.fuse_multimodal(streams, rc.Clock(1e8), rate=3)
    with pytest.raises(ArgumentError, match="join"):
        rc.fuse_multimodal(streams, rc.Clock(1e8), join="left")


def test_a_union_of_rows_of_which_some_are_empty(backend: Any) -> None:
    times = np.array([[0, 10, 20], [0, 10, 20]])
    values = backend.to(np.zeros((2, 3, 1), np.float32))
    streams = {
        "a": rc.Stream(values, backend.to(times), lengths=backend.to(np.array([3, 0]))),
        "b": rc.Stream(values, backend.to(times + 20), lengths=backend.to(np.array([1, 2]))),
    }
    every = rc.fuse_multimodal(streams, rate=1e8, join="union")
    assert backend.np(every.times).tolist() == [[0, 10, 20], [20, 30, NAT]]
    assert backend.np(every.valid)[1].tolist() == [[False, True], [False, True], [False, False]]
