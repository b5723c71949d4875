"""How a ``Plan`` is made and called: what is refused, bad stamps, copies, threads, frameworks."""

import copy
import pickle
import re
import threading
import warnings
from typing import Any

import numpy as np
import pytest
import tolerances

import robocache as rc
from robocache._core.errors import ArgumentError, DataError, DataWarning, DeviceError, DTypeError, ShapeError

TIMES, GOALS = np.arange(4) * 10, np.array([5, 10, 99])
VALUES = np.arange(24, dtype=np.float32).reshape(2, 4, 3)


def made(backend: Any, times: Any = TIMES, goals: Any = GOALS, **more: Any) -> rc.Plan:
    more = {name: backend.to(value) if name in ("lengths", "offsets") else value for name, value in more.items()}
    return rc.Plan(backend.to(times), backend.to(goals), **more)


WRONG_PLANS = [
    (ArgumentError, "method", {"method": "quintic"}),
    (ArgumentError, "check", {"check": "yes"}),
    (ArgumentError, "outside", {"outside": "wrap"}),
    (ArgumentError, "tolerance", {"tolerance": -1}),
    (ArgumentError, "max_gap", {"max_gap": 0.5}),
    (DTypeError, "target_times", {"goals": GOALS * 1.0}),
    (DTypeError, "source_times", {"times": TIMES.astype(np.int32)}),
    (ShapeError, "source_times", {"times": np.zeros((1, 1, 4), np.int64)}),
    (ShapeError, "target_times", {"goals": np.zeros((), np.int64)}),
    (ShapeError, "batch", {"times": np.tile(TIMES, (2, 1)), "goals": np.tile(GOALS, (3, 1))}),
    (ShapeError, "lengths", {"times": np.tile(TIMES, (2, 1)), "lengths": np.array([1, 2, 3])}),
    (ShapeError, "packed", {"times": np.tile(TIMES, (2, 1)), "offsets": np.array([0, 4])}),
    (ShapeError, "offsets", {"offsets": np.array([0, 4]), "goals": np.tile(GOALS, (3, 1))}),
    (ArgumentError, "exclude", {"offsets": np.array([0, 4]), "lengths": np.array([4])}),
]


@pytest.mark.parametrize("error, message, how", WRONG_PLANS, ids=[f"{i}-{w[1]}" for i, w in enumerate(WRONG_PLANS)])
def test_plans_that_are_refused(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    with pytest.raises(error, match=message) as caught:
        made(backend, **how)
    assert type(caught.value) is error


WRONG_VALUES = [
    (ShapeError, "4 stamps|4 shared stamps", {}, {"values": VALUES[:, :3]}),
    (ShapeError, "no axes", {}, {"values": np.zeros(())}),
    (DTypeError, "method='nearest'", {}, {"values": VALUES.astype(int)}),
    (DTypeError, "values has dtype", {}, {"values": VALUES.astype(complex)}),
    (ArgumentError, "outside='nan'", {"outside": "nan", "method": "next"}, {"values": VALUES.astype(int)}),
    (ArgumentError, "outside=0.5", {"outside": 0.5, "method": "next"}, {"values": VALUES.astype(int)}),
    (ShapeError, "lengths of 3", {"lengths": np.array([1, 2, 3])}, {}),
    (ShapeError, "packed rows of 4 samples", {"offsets": np.array([0, 4])}, {}),
    (ShapeError, "batch", {"goals": np.tile(GOALS, (3, 1))}, {}),
    (ShapeError, "^out ", {}, {"out": np.zeros((2, 3), np.float32)}),
    (DTypeError, "^out ", {}, {"out": np.zeros((2, 3, 3))}),
    (ArgumentError, "^out ", {}, {"out": np.zeros((2, 3, 6), np.float32)[..., ::2]}),
]


@pytest.mark.parametrize("error, message, how, call", WRONG_VALUES, ids=[f"{i}" for i in range(len(WRONG_VALUES))])
def test_values_that_do_not_fit(backend: Any, error: type, message: str, how: Any, call: Any) -> None:
    plan = made(backend, **how)
    with pytest.raises(error) as caught:
        plan(**{name: backend.to(array) for name, array in ({"values": VALUES} | call).items()})
    assert type(caught.value) is error
    assert re.search(message, str(caught.value)), str(caught.value)


def test_an_output_that_overlaps_the_values(backend: Any) -> None:
    plan, memory = made(backend), backend.to(np.zeros(64, np.float32))
    for first in (0, 5, 12, 11, 12):
        out = memory[first : first + 9].reshape(3, 3)
        if first < 12:
            with pytest.raises(ArgumentError, match="overlaps values"):
                plan(memory[:12].reshape(4, 3), out=out)
        else:
            assert plan(memory[:12].reshape(4, 3), out=out) is out


def test_a_read_only_output_is_refused_every_time() -> None:
    plan, out = rc.Plan(TIMES, GOALS), np.zeros((3, 3), np.float32)
    plan(VALUES[0], out=out)
    out.flags.writeable = False
    with pytest.raises(ArgumentError, match="read-only"):
        plan(VALUES[0], out=out)


def test_values_of_another_place(cupy: Any) -> None:
    here = rc.Plan(TIMES, GOALS)
    there = rc.Plan(cupy.asarray(TIMES), cupy.asarray(GOALS))
    with pytest.raises(DeviceError, match=r"GPU 0.*the CPU"):
        here(cupy.asarray(VALUES))
    with pytest.raises(DeviceError, match=r"the CPU.*GPU 0"):
        there(VALUES)
    with pytest.raises(DeviceError, match="GPU"):
        rc.Plan(TIMES, cupy.asarray(GOALS))


@pytest.mark.parametrize("bad", [[0, 20, 10, 30], [0, 10, 20, -(2**63)]])
def test_bad_stamps(backend: Any, bad: list[int]) -> None:
    times = np.stack([TIMES, bad])
    with pytest.raises(DataError, match="unsorted"):
        made(backend, times, check="strict")
    if backend.name == "cpu":
        with pytest.raises(DataError, match=r"row 1 .*unsorted"):
            made(backend, times)
        return
    plan = made(backend, times)
    backend.xp.cuda.Device().synchronize()
    with pytest.warns(DataWarning, match="unsorted"):
        values, valid = plan(backend.to(VALUES), return_valid=True)
    assert backend.np(valid).tolist() == [[True, True, False], [False] * 3]
    assert np.isnan(backend.np(values)[1]).all()
    assert backend.np(plan.index)[1].tolist() == [-1] * 3


def test_bad_extents(backend: Any) -> None:
    for how in ({"lengths": np.array([3, 5])}, {"offsets": np.array([0, 3, 9])}):
        with pytest.raises(DataError):
            made(backend, check="strict", **how)
    with pytest.raises(DataError):
        made(backend, outside="raise")
    inside = made(backend, goals=GOALS[:2], outside="raise")
    assert backend.np(inside(backend.to(VALUES))).shape == (2, 2, 3)


def test_coarse_stamps_warn(backend: Any) -> None:
    times = (1.7e9 + np.arange(4) * 300).astype(np.float32)
    if backend.name == "cpu":
        with pytest.warns(DataWarning, match="coarse"):
            made(backend, times, times)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made(backend)


@pytest.mark.parametrize("twin", [copy.copy, copy.deepcopy, lambda plan: pickle.loads(pickle.dumps(plan))])
def test_copies_do_the_same(backend: Any, twin: Any) -> None:
    plan = made(backend, method="nearest", offsets=np.array([0, 1, 4]))
    values = backend.to(VALUES[0])
    expected = backend.np(plan(values))
    other = twin(plan)
    assert repr(other) == repr(plan)
    for _ in range(2):
        assert tolerances.same_bits(backend.np(other(values)), expected)


def test_what_is_shown_can_be_written_to(backend: Any) -> None:
    plan, values = made(backend), backend.to(VALUES)
    expected = [backend.np(a).copy() for a in plan(values, return_valid=True, return_age=True)]
    for array in (plan.index, plan.weight, plan.valid, plan.age, *plan(values, return_valid=True, return_age=True)):
        array[...] = 1
    for _ in range(2):
        for a, b in zip(plan(values, return_valid=True, return_age=True), expected, strict=True):
            assert tolerances.same_bits(backend.np(a), b)


def test_repr(backend: Any) -> None:
    where = "the CPU" if backend.name == "cpu" else "GPU 0"
    assert repr(made(backend)) == f"Plan(4 samples → 3 targets, method='linear', on {where})"
    packed = made(backend, offsets=np.array([0, 1, 4]), method="next")
    assert repr(packed) == f"Plan(4 samples packed → 2 x 3 targets, method='next', on {where})"


def test_dates() -> None:
    start = np.datetime64("2024-02-29T12:00:00", "ns")
    plan = rc.Plan(start + TIMES, start + GOALS)
    values, age = plan(VALUES, return_age=True)
    assert age.dtype == plan.age.dtype == np.dtype("m8[ns]")
    assert age.view(np.int64).tolist() == [[5, 0, 69]] * 2
    assert plan.age.view(np.int64).tolist() == [5, 0, 69]
    assert values[0, :, 0].tolist() == [1.5, 3.0, 9.0]


def test_threads_share_a_plan(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "2")
    plan = rc.Plan(backend.to(np.arange(400) * 1000), backend.to(np.arange(900) * 440))
    gate, wrong = threading.Barrier(5), []

    def work(k: int) -> None:
        width = (1, 3, 500)[k % 3]
        values = np.full((400, width), k, np.float32) + np.arange(400, dtype=np.float32)[:, None]
        gate.wait()
        for _ in range(4):
            got = backend.np(plan(backend.to(values)))
            if not (np.abs(got - k - np.minimum(np.arange(900) * 0.44, 399)[:, None]) < 1e-3).all():
                wrong.append(k)

    workers = [threading.Thread(target=work, args=(k,)) for k in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


def test_torch_in_torch_out() -> None:
    torch = pytest.importorskip("torch")
    plan = rc.Plan(torch.from_numpy(TIMES), torch.from_numpy(GOALS))
    got, valid = plan(torch.from_numpy(VALUES), return_valid=True)
    assert isinstance(got, torch.Tensor)
    assert got[0, :, 0].tolist() == [1.5, 3.0, 9.0]
    assert valid.tolist() == [[True, True, False]] * 2
    assert isinstance(plan.index, torch.Tensor)
    out = torch.empty(2, 3, 3)
    assert plan(torch.from_numpy(VALUES), out=out) is out
    assert isinstance(plan(VALUES), np.ndarray)


def test_a_lone_axis_is_read_as_before(backend: Any) -> None:
    """(batch, time) with shared stamps needs a batch axis that shows, as in ``resample_trajectories``."""
    with pytest.raises(ShapeError, match="two ways"):
        made(backend)(backend.to(np.zeros((4, 4, 2), np.float32)))
    one = made(backend, TIMES[None])
    assert backend.np(one(backend.to(np.zeros((4, 4, 2), np.float32)))).shape == (4, 3, 2)
