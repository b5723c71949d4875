"""How ``resample_trajectories`` is called: outputs, overlaps, dates, threads, large rows."""

import threading
from typing import Any

import numpy as np
import pytest
import tolerances
from oracles import trajectory as oracle
from strategies import EPOCH_NS, FLOATS, METHODS, numbers, stamps, targets

import robocache as rc
from robocache._core.errors import ArgumentError, DataError, DTypeError, ShapeError

VALUES, TIMES, GOALS = np.arange(24, dtype=np.float32).reshape(2, 4, 3), np.arange(4) * 10, np.array([5, 10, 99])


def call(backend: Any, **more: Any) -> Any:
    given = {"values": VALUES, "source_times": TIMES, "target_times": GOALS} | more
    return rc.resample_trajectories(**{name: backend.to(value) for name, value in given.items()})


@pytest.mark.parametrize("dtype", (*FLOATS, np.dtype("?"), np.dtype("u2"), np.dtype("i8")), ids=str)
def test_out_is_returned_and_wholly_overwritten(backend: Any, dtype: np.dtype) -> None:
    method = "linear" if dtype in FLOATS else "next"
    values = VALUES.astype(dtype)
    for outside in ("hold", 1):
        plain = call(backend, values=values, method=method, outside=outside)
        for poison in (0x00, 0xFF):
            out = backend.to(np.full((2, 3, 3), poison, np.uint8).repeat(dtype.itemsize, -1).view(dtype))
            got, valid = call(backend, values=values, method=method, outside=outside, out=out, return_valid=True)
            assert got is out
            assert tolerances.same_bits(backend.np(out), backend.np(plain))
            assert backend.np(valid).tolist() == [[True, True, False]] * 2


def test_out_of_a_packed_call_with_empty_rows(backend: Any) -> None:
    out = backend.to(np.full((3, 3, 3), 77, np.float32))
    offsets = np.array([0, 0, 4, 4])
    call(backend, values=VALUES[0], offsets=offsets, out=out)
    got = backend.np(out)
    assert np.isnan(got[[0, 2]]).all()
    assert tolerances.same_bits(got[1], backend.np(call(backend, values=VALUES[:1]))[0])


@pytest.mark.parametrize("out, error", [
    (np.empty((2, 3), np.float32), ShapeError),
    (np.empty((2, 3, 4), np.float32), ShapeError),
    (np.empty((3, 3, 2), np.float32), ShapeError),
    (np.empty((2, 3, 3), np.float64), DTypeError),
    (np.empty((2, 3, 3), np.int32), DTypeError),
    (np.empty((2, 3, 6), np.float32)[..., ::2], ArgumentError),
    (np.empty((3, 3, 2), np.float32).T, ArgumentError),
    (np.empty((2, 3, 3), np.float32)[::-1], ArgumentError),
])  # fmt: skip
def test_outputs_that_do_not_fit(backend: Any, out: np.ndarray, error: type) -> None:
    with pytest.raises(error, match=r"^out "):
        call(backend, out=out)


def test_outputs_that_cannot_be_written() -> None:
    out = np.empty((2, 3, 3), np.float32)
    out.flags.writeable = False
    with pytest.raises(ArgumentError, match="read-only"):
        rc.resample_trajectories(VALUES, TIMES, GOALS, out=out)
    with pytest.raises(ArgumentError, match="list"):
        rc.resample_trajectories(VALUES, TIMES, GOALS, out=[[0.0]])


def test_an_output_that_overlaps_an_input_is_refused(backend: Any) -> None:
    memory = backend.to(np.zeros(64))
    values, times, goals = memory[:16], memory[16:32], memory[32:48]
    times[:] = backend.to(np.arange(16.0))
    goals[:] = backend.to(np.arange(16.0))
    for first in (0, 8, 16, 20, 32, 40):
        with pytest.raises(ArgumentError, match="overlaps"):
            rc.resample_trajectories(values, times, goals, out=memory[first : first + 16])
    rc.resample_trajectories(values, times, goals, out=memory[48:])
    shifted = backend.np(rc.resample_trajectories(values, times, goals, out=memory[48:]))
    assert (shifted == 0).all()


@pytest.mark.parametrize("unit, tick", [("ns", 1_000_000), ("us", 1000), ("ms", 1), ("s", 1)])
def test_dates_of_any_unit(unit: str, tick: int) -> None:
    start = np.datetime64("2024-02-29T12:00:00")
    step = np.timedelta64(tick, unit)
    times = start.astype(f"M8[{unit}]") + np.arange(5) * step
    goals = np.array([times[2], times[-1] + step, "NaT"], "M8[ns]") - np.array([1, 0, 0], "m8[ns]")
    for method in METHODS:
        got, valid, age = rc.resample_trajectories(
            np.arange(5.0), times, goals, method=method, return_valid=True, return_age=True
        )
        row = oracle.resample_row(np.arange(5.0), times.astype("M8[ns]"), goals, method)
        assert age.dtype == np.dtype("m8[ns]")
        assert tolerances.same_bits(age.view(np.int64), row.age)
        assert tolerances.same_bits(valid, row.valid)
        np.testing.assert_allclose(got, row.values[:, 0], rtol=4e-16)


def test_durations_as_timedelta64() -> None:
    times = np.array([0, 8, 24], "M8[us]") + np.timedelta64(20_000, "D")
    goals = times[:1] + np.array([3000, 4000, 5000, 12000], "m8[ns]")
    for limit in (np.timedelta64(4, "us"), np.timedelta64(4000, "ns"), 4000):
        _, valid = rc.resample_trajectories(
            np.arange(3.0), times, goals, method="previous", tolerance=limit, max_gap=2 * limit, return_valid=True
        )
        assert valid.tolist() == [True, True, False, False]
    _, valid = rc.resample_trajectories(
        np.arange(3.0), np.array([0.0, 8.0, 24.0]), np.array([3.0, 4.0, 5.0]), method="previous", return_valid=True,
        tolerance=np.timedelta64(4_000_000, "us"),
    )  # fmt: skip
    assert valid.tolist() == [True, True, False]  # seconds


def test_dates_that_nanoseconds_cannot_hold() -> None:
    with pytest.raises(DTypeError, match="1678 to 2262"):
        rc.resample_trajectories(np.arange(2.0), np.array(["1600", "2020"], "M8[s]"), np.array(["2000"], "M8[ns]"))


@pytest.mark.parametrize("method", METHODS)
def test_long_rows(backend: Any, method: str) -> None:
    rng = np.random.default_rng(4)
    counts = [3, 8193, 0, 8192, 2049, 20000, 1]
    rows = [stamps(rng, n, "epoch_ns") for n in counts]
    offsets = np.concatenate([[0], np.cumsum(counts)])
    goals = np.stack([targets(rng, row, 12) for row in rows])
    values = numbers(rng, (int(offsets[-1]), 2), np.dtype(np.float64))
    got = rc.resample_trajectories(
        *(backend.to(a) for a in (values, np.concatenate(rows), goals)), offsets=backend.to(offsets), method=method,
        return_valid=True, return_age=True,
    )  # fmt: skip
    got = [backend.np(array) for array in got]
    expected = oracle.resample(values, np.concatenate(rows), goals, offsets=offsets, method=method)
    errors = tolerances.error_in_ulps(got[0], expected.values, expected.larger, values.dtype)
    assert errors.max() <= (tolerances.ULPS["float64"] if method == "linear" else 0)
    assert tolerances.same_bits(got[1], expected.valid)
    assert tolerances.same_bits(got[2], expected.age)


def test_threads_of_the_caller_do_not_disturb_one_another(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six threads, small and large calls, each with numbers of its own."""
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "2")
    times, goals = EPOCH_NS + np.arange(400) * 1000, EPOCH_NS + np.arange(900) * 440
    gate, wrong = threading.Barrier(6), []

    def work(k: int) -> None:
        width = (1, 3, 700)[k % 3]
        values = np.full((1, 400, width), k, np.float32) + np.arange(400, dtype=np.float32)[:, None]
        exact = k + np.arange(900) * 0.44
        gate.wait()
        for _ in range(4):
            got, valid = rc.resample_trajectories(*map(backend.to, (values, times, goals)), return_valid=True)
            inside = goals <= times[-1]
            got = backend.np(got)[0, inside]
            if not (np.abs(got - exact[inside, None]) < 1e-3).all() or (backend.np(valid)[0] != inside).any():
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_calls_seen_before_still_find_every_fault() -> None:
    """On the CPU such calls leave all checks of contents and addresses to machine code."""
    lengths, bad, fitting = np.array([4, 2]), TIMES[::-1].copy(), np.empty((2, 3, 3), np.float32)
    plan = rc.Plan(TIMES, np.arange(4) * 10)
    for _ in range(3):
        rc.resample_trajectories(VALUES, TIMES, GOALS, lengths=lengths, out=fitting)
        rc.resample_trajectories(VALUES, TIMES, GOALS[:2] - 5, outside="raise")
        plan(VALUES, out=VALUES.copy())
    with pytest.raises(DataError, match="sample 1"):
        rc.resample_trajectories(VALUES, bad, GOALS, lengths=lengths, out=fitting)
    for wrong in ([5, 2], [4, -1]):
        with pytest.raises(DataError, match="lengths"):
            rc.resample_trajectories(VALUES, TIMES, GOALS, lengths=np.array(wrong), out=fitting)
    with pytest.raises(DataError, match="4 target_times"):
        rc.resample_trajectories(VALUES, TIMES, GOALS[1:] + 40, outside="raise")
    values = VALUES.copy()
    with pytest.raises(ArgumentError, match="overlaps"):
        plan(values, out=values)
