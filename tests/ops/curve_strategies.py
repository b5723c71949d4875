"""Strategies for curves, and what their tests share. The differences of these stamps are exact, also in SciPy."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st
from strategies import EPOCH_NS, FLOATS, LAYOUTS, NAT, Case, arranged, generators, numbers

import robocache as rc

METHODS = ("cubic", "pchip", "akima", "catmull_rom", "slerp", "angle", "mean")
POLYNOMIALS = METHODS[:4]
STEP = 10_000_000  # nanoseconds between samples of cases by hand
CLOCKS = ("epoch_ns", "epoch_s", "relative_s", "relative_s_32")
GAPS = {
    "epoch_ns": (0, 50_000, 999_982, 1_000_000, 33_333_334),
    "epoch_s": (0.0, 1 / 1024, 10 / 1024, 34 / 1024),
    "relative_s": (0.0, 1 / 1024, 1 / 64, 11 / 32),
    "relative_s_32": (0.0, 1 / 64, 1 / 8, 1.0),
}
START = {"epoch_ns": EPOCH_NS, "epoch_s": 1.7e9, "relative_s": 0.25, "relative_s_32": 0.25}
KIND = {"epoch_ns": np.int64, "epoch_s": np.float64, "relative_s": np.float64, "relative_s_32": np.float32}


def stamps(rng: np.random.Generator, count: int, clock: str, equal: bool = True) -> np.ndarray:
    """Rising stamps; some of them equal, but most not."""
    gaps = np.array(GAPS[clock])
    pick = rng.integers(0 if equal and rng.random() < 0.7 else 1, len(gaps), count)
    return (START[clock] + np.cumsum(gaps[pick])).astype(KIND[clock])


def targets(rng: np.random.Generator, source: np.ndarray, count: int, clock: str, ordered: bool) -> np.ndarray:
    """Targets of one row: hits, points between, points outside; unless ordered in any order, some NaN or NaT.

    Cells of ordered ones have edges that no stamp's type rounds.
    """
    step = {"epoch_ns": 2, "epoch_s": 2.0**-20, "relative_s": 2.0**-20, "relative_s_32": 2.0**-10}[clock]
    low, high = (source[0], source[-1]) if len(source) else (START[clock], START[clock])
    reach = int((high - low) / step) + 8
    wide = -(reach // 8) if rng.random() < 0.5 else 0
    goals = np.array(low + np.array(step, KIND[clock]) * rng.integers(wide, reach - wide, count)).astype(KIND[clock])
    if len(source):
        goals = np.where(rng.random(count) < 0.25, source[rng.integers(0, len(source), count)], goals)
    if ordered:
        return np.sort(goals)
    goals[rng.random(count) < 0.05] = NAT if clock == "epoch_ns" else np.nan
    return goals


def features_of(method: str) -> tuple[tuple[int, ...], ...]:
    return ((4,), (2, 4), (5, 4)) if method == "slerp" else ((), (1,), (7,), (3, 6), (40,), (0,))


@st.composite
def cases(draw: Any, method: str, odd: bool = True) -> Case:
    """A call with a batch axis: padded, ragged, packed, or with shared stamps."""
    rng, clock = draw(generators()), draw(st.sampled_from(CLOCKS))
    dtype, feature = draw(st.sampled_from(FLOATS)), draw(st.sampled_from(features_of(method)))
    batch, samples, steps = draw(st.integers(0, 3)), draw(st.integers(0, 9)), draw(st.integers(0, 9))
    shape = draw(st.sampled_from(("padded", "ragged", "packed", "shared")))
    lengths = offsets = None
    if shape == "packed":
        counts = rng.integers(0, samples + 1, batch)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(draw(st.sampled_from((np.int64, np.int32))))
        rows = [stamps(rng, int(n), clock) for n in counts]
        times = np.concatenate([*rows, stamps(rng, 2, clock)])  # the last two belong to no row
        values = numbers(rng, (len(times), *feature), dtype, odd)
        values = arranged(values, draw(st.sampled_from(("contiguous", "negative"))) if feature else "contiguous")
    else:
        rows = [stamps(rng, samples, clock) for _ in range(1 if shape == "shared" else batch)]
        times = np.array(rows, KIND[clock]).reshape(len(rows), samples)
        if shape == "ragged":
            lengths = rng.integers(0, samples + 1, batch).astype(draw(st.sampled_from((np.int64, np.int32))))
            rows = [row[:n] for row, n in zip(rows, lengths, strict=True)]
            for b, n in enumerate(lengths):
                times[b, n:] = 3
        values = arranged(numbers(rng, (batch, samples, *feature), dtype, odd), draw(st.sampled_from(LAYOUTS)))
    rows = rows * batch if shape == "shared" else rows
    ordered = method == "mean"
    goals = np.array([targets(rng, row, steps, clock, ordered) for row in rows], KIND[clock]).reshape(batch, steps)
    if shape == "shared":
        times = times[0]
    return Case(values, times, goals, lengths, offsets, {"method": method} | draw(_options(clock)))


@st.composite
def _options(draw: Any, clock: str) -> dict[str, Any]:
    limits = st.one_of(st.none(), st.sampled_from((*GAPS[clock][1:], 2 * GAPS[clock][-1])))
    return {
        "outside": draw(st.sampled_from(("hold", "nan", "extrapolate", -2.0))),
        "tolerance": draw(limits),
        "max_gap": draw(limits),
    }


def resample(backend: Any, values: Any, times: Any, targets: Any, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Values and validity as NumPy arrays, for plain lists."""
    arrays = (backend.to(np.asarray(a)) for a in (values, times, targets))
    got = rc.resample_trajectories(*arrays, return_valid=True, **options)
    return tuple(backend.np(array) for array in got)


def quaternions(*angles: float, dtype: Any = np.float64) -> np.ndarray:
    """Turns about one axis."""
    axis = np.array([2.0, -1.0, 2.0]) / 3
    return np.array([[*(axis * math.sin(a / 2)), math.cos(a / 2)] for a in angles], dtype)
