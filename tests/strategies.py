"""Hypothesis strategies for trajectories: types, shapes, stamps, targets and memory layouts that real logs have."""

from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

bfloat16 = np.dtype(ml_dtypes.bfloat16)
FLOATS = tuple(np.dtype(d) for d in (np.float16, bfloat16, np.float32, np.float64))
INTEGERS = tuple(np.dtype(c) for c in "?bBhHiIqQ")
METHODS = ("linear", "nearest", "previous", "next")
CLOCKS = ("epoch_ns", "epoch_s", "relative_s", "relative_s_32")
FEATURES = ((), (1,), (7,), (14,), (2, 3), (588,), (0,))
LAYOUTS = ("contiguous", "negative", "broadcast", "sliced", "transposed", "gapped")
NAT = np.iinfo(np.int64).min

EPOCH_NS = 1_700_000_000_000_000_000
GAPS = {
    "epoch_ns": (0, 1, 2, 999_983, 1_000_000, 33_333_333),
    "epoch_s": (0.0, 0.001, 0.01, 1 / 30),
    "relative_s": (0.0, 1e-9, 0.001, 1 / 3),
    "relative_s_32": (0.0, 1 / 64, 1 / 8, 1.0),
}


def generators() -> st.SearchStrategy[np.random.Generator]:
    """A NumPy generator; numbers of arrays come from it, since drawing each one would be slow."""
    return st.integers(0, 2**32 - 1).map(np.random.default_rng)


def numbers(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype, odd: bool = True) -> np.ndarray:
    """Values of a type; ``odd`` sprinkles NaN, Inf, zeros of both signs and subnormals."""
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        ends = np.iinfo(dtype)
        return rng.integers(ends.min, ends.max, shape, dtype, endpoint=True)
    values = (rng.standard_normal(shape) * 10.0 ** rng.integers(-3, 4, shape)).astype(dtype)
    if odd and values.size:
        least = float(np.ldexp(3.0, {"float16": -24, "bfloat16": -133, "float32": -149}.get(dtype.name, -1074)))
        specials = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, least, -least], np.float64).astype(dtype)
        where = rng.random(shape) < 0.1
        values[where] = specials[rng.integers(0, len(specials), int(where.sum()))]
    return values


def stamps(rng: np.random.Generator, count: int, clock: str) -> np.ndarray:
    """Rising stamps, some of them equal."""
    gaps = np.array(GAPS[clock])[rng.integers(0, len(GAPS[clock]), count)]
    if clock == "epoch_ns":
        return EPOCH_NS + np.cumsum(gaps, dtype=np.int64)
    first = {"epoch_s": 1.7e9, "relative_s": rng.random(), "relative_s_32": 0.25}[clock]
    return (first + np.cumsum(gaps)).astype(np.float32 if clock == "relative_s_32" else np.float64)


def targets(rng: np.random.Generator, source: np.ndarray, count: int) -> np.ndarray:
    """Targets for one row in any order: hits, midpoints, points between, outside, and NaT or NaN."""
    if not len(source):
        return np.zeros(count, source.dtype)
    pick, kind = rng.integers(0, len(source), count), rng.integers(0, 6, count)
    following = np.minimum(pick + 1, len(source) - 1)
    a, b = source[pick], source[following]
    gap, reach = b - a, source[-1] - source[0]
    share = rng.random(count)
    whole = source.dtype.kind == "i"
    between = a + (share * gap).astype(np.int64) if whole else a + share * gap
    middle = a + gap // 2 if whole else a + gap / 2
    one = 1 if whole else 0.125
    choices = [a, b, middle, between, source[0] - (reach // 3 if whole else reach / 3) - one, source[-1] + reach + one]
    result = np.choose(kind, [np.broadcast_to(c, count) for c in choices]).astype(source.dtype)
    result[rng.random(count) < 0.05] = NAT if whole else np.nan
    return result


def arranged(array: np.ndarray, layout: str) -> np.ndarray:
    """The same numbers (but for "broadcast", which repeats the first row) in another memory layout."""
    if layout == "negative":
        backwards = tuple(slice(None, None, -1) for _ in array.shape)
        return np.ascontiguousarray(array[backwards])[backwards]
    if layout == "broadcast" and array.shape[0]:
        return np.broadcast_to(array[:1], array.shape)
    if layout == "sliced":
        wide = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
        wide[..., 2 : 2 + array.shape[-1]] = array
        return wide[..., 2 : 2 + array.shape[-1]]
    if layout == "transposed":
        return np.ascontiguousarray(array.T).T
    if layout == "gapped":
        wide = np.zeros((array.shape[0], 2 * array.shape[1], *array.shape[2:]), array.dtype)
        wide[:, ::2] = array
        return wide[:, ::2]
    return array


@dataclass
class Case:
    """Arguments of one call; ``rows`` of ``lengths`` and ``offsets`` are int64 or int32 or None."""

    values: np.ndarray
    times: np.ndarray
    targets: np.ndarray
    lengths: np.ndarray | None = None
    offsets: np.ndarray | None = None
    options: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        v = self.values
        return (
            f"Case(values {v.dtype}{v.shape} strides {v.strides}, times={self.times!r}, targets={self.targets!r}, "
            f"lengths={self.lengths}, offsets={self.offsets}, {self.options})"
        )


def fitting(dtype: np.dtype) -> tuple[str, ...]:
    """Methods a type can be resampled by."""
    return METHODS if dtype in FLOATS else METHODS[1:]


@st.composite
def cases(draw: Any, dtypes: tuple[np.dtype, ...] = FLOATS + INTEGERS, odd: bool = True) -> Case:
    """A call of ``resample_trajectories`` with a batch axis, padded, packed or shared."""
    rng = draw(generators())
    dtype, clock = draw(st.sampled_from(dtypes)), draw(st.sampled_from(CLOCKS))
    feature = draw(st.sampled_from(FEATURES))
    small = int(np.prod(feature)) > 14
    batch = draw(st.integers(0, 2 if small else 4))
    samples = draw(st.integers(0, 4 if small else 12))
    steps = draw(st.integers(0, 3 if small else 9))
    shape = draw(st.sampled_from(("padded", "ragged", "packed", "shared")))
    lengths = offsets = None
    if shape == "packed":
        counts = rng.integers(0, samples + 1, batch)
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(draw(st.sampled_from((np.int64, np.int32))))
        total = int(offsets[-1]) + 2  # what lies behind the last row belongs to none
        rows = [stamps(rng, int(n), clock) for n in counts]
        times = np.concatenate([*rows, stamps(rng, 2, clock)])
        values = numbers(rng, (total, *feature), dtype, odd)
        if values.ndim > 1:
            values = arranged(values, draw(st.sampled_from(("contiguous", "negative", "sliced", "transposed"))))
    else:
        rows = [stamps(rng, samples, clock) for _ in range(1 if shape == "shared" else batch)]
        times = rows[0] if shape == "shared" else np.array(rows, stamps(rng, 0, clock).dtype).reshape(batch, samples)
        if shape == "ragged":
            lengths = rng.integers(0, samples + 1, batch).astype(draw(st.sampled_from((np.int64, np.int32))))
            rows = [row[:n] for row, n in zip(rows, lengths, strict=True)]
            for b, n in enumerate(lengths):
                times[b, n:] = 3  # neither sorted nor near: padding counts for nothing
        values = arranged(numbers(rng, (batch, samples, *feature), dtype, odd), draw(st.sampled_from(LAYOUTS)))
    # With shared stamps, (batch, time) reads as (time, feature), and equal numbers of rows and samples in two ways.
    many = draw(st.booleans()) or (shape == "shared" and (not feature or samples == values.shape[0]))
    own = [targets(rng, row, steps) for row in rows] or [targets(rng, stamps(rng, 0, clock), steps)]
    own = own * max(batch, 1) if shape == "shared" else own
    goals = np.array(own[:batch], times.dtype).reshape(batch, steps) if many else own[0]
    return Case(values, times, goals, lengths, offsets, draw(_options(dtype, clock)))


@st.composite
def _options(draw: Any, dtype: np.dtype, clock: str) -> dict[str, Any]:
    outsides: list[Any] = ["hold", "extrapolate", 1]
    outsides += ["nan", 0.5, -2] if dtype in FLOATS else []
    limits = st.one_of(st.none(), st.sampled_from((*GAPS[clock], 2 * GAPS[clock][-1])))
    return {
        "method": draw(st.sampled_from(fitting(dtype))),
        "outside": draw(st.sampled_from(outsides)),
        "tolerance": draw(limits),
        "max_gap": draw(limits),
    }
