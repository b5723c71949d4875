"""``estimate_offset`` against correlations summed pair by pair, planted offsets, and what has misled others."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import clocks as oracle
from strategies import EPOCH_NS, bfloat16, generators

import robocache as rc
from robocache.errors import (
    ArgumentError,
    DataError,
    DataWarning,
    DeviceError,
    DTypeError,
    MemoryLimitError,
    ShapeError,
)

Motion = Callable[[np.ndarray], np.ndarray]


def motion(rng: np.random.Generator, features: int = 1) -> Motion:
    """A smooth signal of seconds with no period worth the name, up to 4 Hz."""
    hertz, phase = rng.uniform(0.05, 4, (features, 30)), rng.uniform(0, 2 * np.pi, (features, 30))
    weight = rng.standard_normal((features, 30))
    return lambda t: (weight * np.sin(2 * np.pi * hertz * t[:, None, None] + phase)).sum(-1)


def found(backend: Any, a: Any, ta: Any, b: Any, tb: Any, **how: Any) -> rc.ClockOffset:
    return rc.estimate_offset(*(backend.to(array) for array in (a, ta, b, tb)), **how)


@pytest.mark.filterwarnings("ignore:the offset")
@given(
    rng=generators(), counts=st.tuples(st.integers(4, 40), st.integers(4, 40)), features=st.integers(1, 3), whole=...
)
def test_the_curve_against_the_oracle(
    backend: Any, rng: Any, counts: tuple[int, int], features: int, whole: bool
) -> None:
    """Every lag of signals with jitter, gaps, repeated stamps and missing samples."""
    values = [np.round(rng.standard_normal((n, features)), 3) for n in counts]
    for v in values:
        v[rng.random(v.shape) < 0.05] = rng.choice([np.nan, np.inf])
    times = [EPOCH_NS * k + np.cumsum(rng.choice([0, 7, 9, 10, 11, 13, 45], n)) * 10**6 for k, n in enumerate(counts)]
    times = times if whole else [(t - t[0]) / 1e9 for t in times]
    step, gap = (10**7, 2 * 10**7) if whole else (0.01, 0.02)
    share = rng.choice([0.1, 0.5])
    grids = [oracle.grid(v, t, step, gap) for v, t in zip(values, times, strict=True)]
    if not all(real.any() and np.ptp(even[real], 0).any() for even, real in grids):
        return
    base = times[1][0].item() - times[0][0].item()
    lags = range(1 - len(grids[0][0]), len(grids[1][0]))
    curve = np.array([oracle.correlation(*grids, lag, share) for lag in lags])
    try:
        got = found(backend, values[0], times[0], values[1], times[1], rate=100, max_gap=gap, min_overlap=share)
    except DataError:
        best = int(np.nanargmax(curve)) if not np.isnan(curve).all() else 0
        around = curve[max(best - 1, 0) : best + 2]
        assert len(around) < 3 or np.isnan(around).any() or curve[best] < 1e-9
        return
    assert got.step == step
    assert np.allclose(got.lags, [base + lag * step for lag in lags], rtol=0, atol=0 if whole else 1e-12)
    assert (np.isnan(got.values) == np.isnan(curve)).all()
    assert np.allclose(got.values, curve, rtol=0, atol=1e-6, equal_nan=True)
    assert got.score == np.nanmax(got.values)
    assert abs(got.score - np.nanmax(curve)) < 1e-6


@given(rng=generators(), shift=st.integers(-1_500_000_000, 1_500_000_000), features=st.sampled_from((1, 3)))
def test_planted_offsets_in_nanoseconds(backend: Any, rng: Any, shift: int, features: int) -> None:
    """Other rates, jitter, other epochs, and only a part in common: to a twentieth of the grid's step."""
    signal = motion(rng, features)
    ta = np.cumsum(rng.integers(9_000_000, 11_000_000, 2500))
    tb = 8_000_000_000 + np.arange(1500) * 12_345_678
    noise = 0.02 * signal(ta / 1e9).std()
    a, b = (signal(t / 1e9) + noise * rng.standard_normal((len(t), features)) for t in (ta, tb))
    got = found(backend, a, EPOCH_NS + ta, 7.5 - 3 * -b, 10**15 + tb + shift, rate=100)
    assert isinstance(got.offset, int)
    assert abs(got.offset - (10**15 + shift - EPOCH_NS)) < 500_000
    assert got.score > 0.98
    assert got.runner_up < 0.9


@pytest.mark.parametrize("dtype", [np.float16, bfloat16, np.float32, np.float64, np.int16])
@pytest.mark.parametrize("clock", ["ns", "s", "s32"])
def test_types(backend: Any, dtype: Any, clock: str) -> None:
    signal = motion(np.random.default_rng(1))
    t = np.arange(1200) / 128
    a, b = (np.rint(signal(s)[:, 0] * 64).astype(dtype) for s in (t, t[100:] + 1 / 256))
    times = {"ns": (t * 1e9).astype(np.int64), "s": t, "s32": t.astype(np.float32)}[clock]
    got = found(backend, a, times, b, times[:-100])
    expected = -(100 / 128 + 1 / 256)
    assert abs(got.offset / (1e9 if clock == "ns" else 1) - expected) < 0.1 / 128
    assert isinstance(got.offset, int if clock == "ns" else float)


def test_the_sign(backend: Any) -> None:
    """A clock that is ahead shows a later time; the offset is also the latency that a stream is given."""
    signal, t = motion(np.random.default_rng(2)), np.arange(2000) * 10_000_000
    values = signal(t / 1e9)
    ahead = t + 120_000_000
    got = found(backend, values, t, values, ahead, max_offset=10**9)
    assert got.offset == 120_000_000
    stream = rc.Stream(backend.to(values), backend.to(ahead), latency=got.offset)
    fused = rc.fuse_multimodal({"b": stream}, backend.to(t), layout="dict")
    assert np.allclose(backend.np(fused["b"]), values)


def test_a_search_to_one_side_names_its_own_lags(backend: Any) -> None:
    """UMI's get_latency takes the peak among lags above zero, and then the lag of that number among all of them."""
    signal, t = motion(np.random.default_rng(3)), np.arange(0, 20, 0.01)
    values = signal(t)
    for low, high, true in ((0.0, 1.0, 0.2), (-1.0, 0.0, -0.2), (0.1, 3.0, 0.2)):
        got = found(backend, values, t, values, t + true, max_offset=(low, high))
        assert got.offset == pytest.approx(true, abs=1e-9)
        assert got.lags[0] == pytest.approx(low, abs=0.01)
        assert got.lags[-1] == pytest.approx(high, abs=0.01)
        assert got.lags[np.nanargmax(got.values)] == pytest.approx(true, abs=0.006)


def test_a_part_in_common_counts_in_full(backend: Any) -> None:
    """Seven of twenty seconds overlap. Sums over what is not there would favour lag 0, and the mean with them."""
    signal = motion(np.random.default_rng(4))
    ta, tb = np.arange(0, 20, 0.01), np.arange(13, 33, 0.01)
    got = found(backend, signal(ta) + 50, ta, signal(tb) + 50, tb - 13)
    assert got.offset == pytest.approx(-13, abs=1e-3)
    assert got.score > 0.999
    with pytest.raises(DataError, match="still rises at the edge"):
        found(backend, signal(ta), ta, signal(tb), tb - 13, max_offset=(-12.99, -12.8))


def test_gaps_and_missing_samples_are_no_signal(backend: Any) -> None:
    rng = np.random.default_rng(5)
    signal, t = motion(rng), np.arange(0, 30, 0.01)
    hole = (t > 8) & (t < 15)
    a, b = signal(t), signal(t)
    b[rng.random(len(t)) < 0.02] = np.nan
    got = found(backend, a[~hole], t[~hole], b, t + 0.5)
    assert got.offset == pytest.approx(0.5, abs=1e-3)
    assert got.score > 0.9999
    bridged = found(backend, a[~hole], t[~hole], b, t + 0.5, max_gap=100.0)
    assert bridged.score < 0.95


def test_layouts(backend: Any) -> None:
    signal, t = motion(np.random.default_rng(6), 2), np.arange(0, 10, 0.01)
    values = signal(t)
    plain = found(backend, values, t, values[100:], t[100:])
    twice = np.repeat(values, 2, 0)[::2]
    other = found(backend, np.asfortranarray(values), np.repeat(t, 2)[::2], twice[:99:-1][::-1], t[100:])
    assert (other.offset, other.score) == (plain.offset, plain.score)
    assert (other.values[~np.isnan(other.values)] == plain.values[~np.isnan(plain.values)]).all()


T = np.arange(0, 10, 0.01)
A = motion(np.random.default_rng(7))(T)
WRONG = [
    (ShapeError, "a has shape .* for 999 stamps", {"ta": T[1:]}),
    (ShapeError, r"b has shape \(1000, 1, 1\)", {"b": A[:, None]}),
    (ShapeError, r"b has shape \(1000, 0\)", {"b": A[:, :0]}),
    (ShapeError, "a has 1 features but b 2", {"b": np.repeat(A, 2, 1)}),
    (ShapeError, r"ta has shape \(1, 1000\)", {"ta": T[None]}),
    (DTypeError, "a has dtype complex128", {"a": A.astype(complex)}),
    (DTypeError, "tb has dtype int64 but ta float64", {"tb": np.arange(1000)}),
    (DTypeError, "ta has dtype int32", {"ta": np.arange(1000, dtype=np.int32)}),
    (ArgumentError, "rate=0 must be above zero", {"rate": 0}),
    (ArgumentError, "min_overlap=2 must be at most 1", {"min_overlap": 2}),
    (ArgumentError, "min_overlap=0 must be above", {"min_overlap": 0}),
    (ArgumentError, "max_offset=-1 must not be negative", {"max_offset": -1}),
    (ArgumentError, "max_offset=0 leaves nothing", {"max_offset": 0}),
    (ArgumentError, r"max_offset=\(2, 1\) leaves nothing", {"max_offset": (2, 1)}),
    (ArgumentError, r"max_offset=\(1,\) must be a number or a pair", {"max_offset": (1,)}),
    (ArgumentError, "max_gap=nan must be finite", {"max_gap": np.nan}),
    (MemoryLimitError, "a spans 99900.* steps of the grid", {"rate": 1e9}),
    (DataError, "ta has 1 stamps; expected at least 2", {"ta": T[:1], "a": A[:1]}),
    (DataError, "tb falls from 9.99 to 0.0 at index 1", {"tb": np.append(T[-1:], T[:-1])}),
    (DataError, r"tb\[0\] is nan", {"tb": np.where(T == 0, np.nan, T)}),
    (DataError, "ta is 3.0 throughout", {"ta": np.full(1000, 3.0)}),
    (DataError, "a does not change", {"a": np.full(1000, 0.1, np.float32)}),
    (DataError, "b has no two finite samples within max_gap", {"b": np.full(1000, np.nan)}),
    (DataError, "never overlap by 30%.*b starts 100.0 after a", {"tb": T + 100, "max_offset": 1.0}),
    (DataError, "still rises at the edge of the search, offset 0.1", {"tb": T + 0.2, "max_offset": 0.1}),
    (DataError, "correlate at no offset of the search", {"b": -A, "max_offset": 0.03}),
]  # fmt: skip


@pytest.mark.parametrize("error, message, how", WRONG, ids=[f"{i}" for i in range(len(WRONG))])
def test_what_is_refused(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    given = {"a": A, "ta": T, "b": A, "tb": T} | how
    with pytest.raises(error, match=message) as caught:
        rc.estimate_offset(**{name: backend.to(value) for name, value in given.items()})
    assert type(caught.value) is error


def test_clocks_too_far_apart_for_int64(backend: Any) -> None:
    t = (T * 1e9).astype(np.int64)
    with pytest.raises(DataError, match="tb starts 18446744063719551614 ns after ta, which leaves int64"):
        found(backend, A, t - (2**63 - 1), A, t + (2**63 - 1 - t[-1]))


def test_a_motion_that_repeats_is_uncertain(backend: Any) -> None:
    wave = np.sin(2 * np.pi * T)
    with pytest.warns(DataWarning, match="uncertain: its correlation is 1.00, the next best 1.00"):
        found(backend, wave, T, wave, T)
    near = found(backend, wave, T, wave, T + 0.125, max_offset=0.4)
    assert near.offset == pytest.approx(0.125, abs=1e-4)


def test_two_motions_are_not_one(backend: Any) -> None:
    rng = np.random.default_rng(8)
    t = np.arange(0, 60, 0.01)
    with pytest.warns(DataWarning, match="the offset .* is uncertain"):
        got = found(backend, motion(rng)(t), t, motion(rng)(t), t)
    assert got.score < 0.5


def test_devices_are_not_mixed(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="b lives on"):
        rc.estimate_offset(cupy.asarray(A), cupy.asarray(T), A, T)


def test_torch_dates_and_lists(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    if backend.name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch without a GPU")
    place = "cpu" if backend.name == "cpu" else "cuda"
    a, t = torch.from_numpy(A).to(place), torch.from_numpy(T).to(place)
    got = rc.estimate_offset(a, t, a, t + 1, max_offset=2)
    assert got.offset == pytest.approx(1)
    assert type(got.values) is np.ndarray
    if backend.name == "cpu":
        dates = np.datetime64("2026-01-01", "ns") + np.rint(T * 1e9).astype(np.int64)
        later = rc.estimate_offset(A, dates, A.tolist(), dates + 5, max_offset=np.timedelta64(1, "s"))
        assert later.offset == 5
