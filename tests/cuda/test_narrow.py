"""Rows of a few odd features, which the GPU brings through shared memory: equal to the CPU twin bit for bit."""

from typing import Any

import numpy as np
import pytest
import tolerances
from strategies import EPOCH_NS, FLOATS, METHODS

import robocache as rc

pytestmark = pytest.mark.cuda


def both(cupy: Any, values: Any, *given: Any, **more: Any) -> None:
    """The call on the GPU, into an output full of other numbers, and on the CPU."""
    there = {name: cupy.asarray(v) if isinstance(v, np.ndarray) else v for name, v in more.items()}
    goals = np.broadcast_to(given[1], (len(values), given[1].shape[-1]))
    out = cupy.full((*goals.shape, values.shape[2]), 77, np.float32).astype(values.dtype)
    got = rc.resample_trajectories(
        values, *map(cupy.asarray, given), **there, out=out, return_valid=True, return_age=True
    )
    want = rc.resample_trajectories(values.get(), *given, **more, return_valid=True, return_age=True)
    for a, b in zip(got, want, strict=True):
        assert tolerances.same_bits(a.get(), b)


def scene(rows: int, samples: int, targets: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    times = EPOCH_NS + np.cumsum(rng.integers(0, 40_000_000, (rows, samples)), axis=1)  # with equal stamps
    goals = rng.integers(times[:, :1] - 50_000_000, times[:, -1:] + 50_000_000, (rows, targets))
    goals[:, ::5] = times[:, rng.integers(0, samples)][:, None]  # hits
    return times, goals


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
@pytest.mark.parametrize("features", [1, 3, 7, 14])
def test_widths_and_types(cupy: Any, dtype: Any, features: int) -> None:
    for rows, samples, targets in ((3, 700, 1300), (300, 33, 40), (1, 2, 1), (2, 1, 5)):
        times, goals = scene(rows, samples, targets)
        numbers = np.random.default_rng(1).standard_normal((rows, samples, features)).astype(dtype)
        numbers[0, samples // 2] = np.nan
        for method in METHODS:
            both(cupy, cupy.asarray(numbers), times, goals, method=method)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_rows_that_start_anywhere(cupy: Any, dtype: Any) -> None:
    """Odd rows of odd samples: no row but the first lies at a multiple of 16 bytes, nor do the results of any."""
    times, goals = scene(9, 51, 67)
    memory = cupy.asarray(np.random.default_rng(2).standard_normal(9 * 51 * 5 + 3).astype(np.float32)).astype(dtype)
    for start in range(3):
        values = memory[start : start + 9 * 51 * 5].reshape(9, 51, 5)
        both(cupy, values, times, goals)
        both(cupy, values[::2], times[::2], goals[::2], outside="extrapolate")
        both(cupy, values, times[:1], goals[:1])


def test_lengths_and_limits(cupy: Any) -> None:
    times, goals = scene(6, 90, 130)
    values = cupy.asarray(np.random.default_rng(3).standard_normal((6, 90, 7)).astype(np.float32))
    lengths = np.array([90, 1, 0, 45, 89, 2])
    both(cupy, values, times, goals, lengths=lengths, max_gap=25_000_000, tolerance=12_000_000, outside=3.0)
    both(cupy, values, times, goals, lengths=lengths, method="nearest", outside="hold")


def test_a_row_out_of_order_alone_is_filled(cupy: Any) -> None:
    times, goals = scene(4, 60, 80)
    values = np.random.default_rng(4).standard_normal((4, 60, 7)).astype(np.float32)
    good = rc.resample_trajectories(values, times, goals)
    times[2, 10] = times[2, 40]
    out, valid = rc.resample_trajectories(*map(cupy.asarray, (values, times, goals)), return_valid=True)
    cupy.cuda.Device().synchronize()
    with pytest.warns(rc.errors.DataWarning, match="unsorted"):
        rc.resample_trajectories(*map(cupy.asarray, (values[:1], times[:1], goals[:1])))
    assert np.isnan(out[2].get()).all()
    assert not valid[2].any()
    for row in (0, 1, 3):
        assert tolerances.same_bits(out[row].get(), good[row])
