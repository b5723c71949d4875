"""``RunningStats`` against exact fractions, on both backends; any cut and any order must give the same bits."""

import json
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles import stats as oracle
from strategies import FLOATS, INTEGERS, arranged, bfloat16, generators, numbers

import robocache as rc

LAYOUTS = ("contiguous", "negative", "broadcast", "sliced", "transposed")
SMALL = {"quantiles": (0.01, 0.5, 0.99), "bits": 5}  # so that histograms of float64 stay small


def hostile(rng: np.random.Generator, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """Numbers of every exponent that a type has, subnormals, both zeros, NaN and Inf."""
    if dtype not in FLOATS or rng.random() < 0.3:
        return numbers(rng, shape, dtype)
    raw = rng.integers(0, 256, (*shape, dtype.itemsize), np.uint8)
    values = np.ascontiguousarray(raw).view(dtype).reshape(shape)
    ordinary = numbers(rng, shape, dtype)
    return np.where(rng.random(shape) < rng.random(), values, ordinary)


def widened(values: np.ndarray) -> np.ndarray:
    """As float64, which holds all but 64-bit integers."""
    with np.errstate(invalid="ignore"):  # signalling NaN
        return values if values.dtype.kind in "iub" else values.astype(np.float64)


def exactly(pair: list[Any]) -> Fraction:
    """A number of ``to_dict``."""
    return Fraction(int(pair[0], 16)) * Fraction(2) ** pair[1]


def judge(stats: rc.RunningStats, found: list[list[Fraction]], strange: list[int]) -> None:
    """Every number a RunningStats has, with exact ones."""
    assert stats.nonfinite.reshape(-1).tolist() == strange
    flat = {name: np.reshape(getattr(stats, name), -1) for name in ("count", "mean", "sum", "min", "max")}
    flat |= {(d, name): np.reshape(getattr(stats, name)(d), -1) for d in (0, 1) for name in ("var", "std")}
    state = stats.to_dict()
    for f, sample in enumerate(found):
        assert flat["count"][f] == len(sample)
        assert exactly(state["sum"][f]) == sum(sample)
        assert exactly(state["square"][f]) == sum(x * x for x in sample)
        assert flat["sum"][f] == oracle.rounded(sum(sample))
        assert np.array_equal(flat["mean"][f], oracle.mean(sample), equal_nan=True)
        ends = (sample[0], sample[-1]) if sample else (math.nan,) * 2
        assert np.array_equal([flat["min"][f], flat["max"][f]], [float(e) for e in ends], equal_nan=True)
        for ddof in (0, 1):
            exact = oracle.variance(sample, ddof)
            if exact is None:
                assert math.isnan(flat[ddof, "var"][f])
                assert math.isnan(flat[ddof, "std"][f])
            else:
                assert flat[ddof, "var"][f] == oracle.rounded(exact)
                assert oracle.is_root(flat[ddof, "std"][f], exact)


def judge_quantiles(stats: rc.RunningStats, found: list[list[Fraction]], bits: int) -> None:
    got = np.full(len(found), -np.inf)
    for q in (0.0, 0.01, 0.1, 0.37, 0.5, 0.6, 0.99, 1.0):
        before, got = got, np.reshape(stats.quantile(q), -1)
        for f, sample in enumerate(found):
            if not sample:
                assert math.isnan(got[f])
                continue
            assert got[f] >= before[f]
            exact, larger = oracle.quantile(sample, q)
            rounding = Fraction(1, 2**50) * larger + Fraction(1, 2**1073)
            assert abs(Fraction(float(got[f])) - exact) <= larger / 2**bits + rounding
            if q in (0, 1) or sample[0] == sample[-1]:
                assert got[f] == float(exact)


@given(rng=generators(), dtype=st.sampled_from(FLOATS + INTEGERS), layout=st.sampled_from(LAYOUTS), data=st.data())
def test_against_exact_fractions(
    backend: Any, rng: np.random.Generator, dtype: np.dtype, layout: str, data: Any
) -> None:
    n, width = data.draw(st.integers(0, 40)), data.draw(st.sampled_from((1, 3, 14)))
    values = arranged(hostile(rng, (n, width), dtype), layout)
    marks = {"none": None, "sample": rng.random(n) < 0.7, "value": rng.random((n, width)) < 0.7}[
        data.draw(st.sampled_from(("none", "sample", "value")))
    ]
    stats = rc.RunningStats(**SMALL)
    assert stats.update(backend.to(values), backend.to(marks)) is stats
    kept = marks[:, None] if marks is not None and marks.ndim == 1 else marks
    found = oracle.samples(widened(values), kept)
    judge(stats, *found)
    judge_quantiles(stats, found[0], 5)


@given(rng=generators(), dtype=st.sampled_from(FLOATS), cuts=st.lists(st.integers(0, 60), max_size=5))
def test_any_cut_and_order_gives_the_same_bits(
    backend: Any, rng: np.random.Generator, dtype: np.dtype, cuts: list[int]
) -> None:
    values = hostile(rng, (60, 3), dtype)
    whole = rc.RunningStats(**SMALL).update(values).to_dict()  # on the CPU, whatever the backend
    edges = [0, *sorted(cuts), 60]
    parts = [values[a:b] for a, b in zip(edges[:-1], edges[1:], strict=True)]
    one = rc.RunningStats(**SMALL)
    for k in rng.permutation(len(parts)):
        one.update(backend.to(parts[k][rng.permutation(len(parts[k]))]))
    assert one.to_dict() == whole
    several = [rc.RunningStats((3,), **SMALL).update(backend.to(part)) for part in parts]
    while len(several) > 1:
        a, b = (several.pop(int(rng.integers(len(several)))) for _ in range(2))
        several.append(a + b)
    assert several[0].to_dict() == whole
    assert several[0] == one


def test_types_and_backends_mix(backend: Any) -> None:
    """Halves, integers and float64 in one object; what float32 holds is in the same buckets as float64."""
    rng = np.random.default_rng(0)
    parts = [numbers(rng, (50, 2), d, odd=False) for d in (*FLOATS, np.dtype(np.int8), np.dtype(np.int32))]
    stats, all_wide = rc.RunningStats((2,)), rc.RunningStats((2,))
    for part in parts:
        stats.update(backend.to(part))
        all_wide.update(part.astype(np.float64))
    assert stats == all_wide


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=str)
@pytest.mark.parametrize("rows, width", [(9000, 1), (4001, 14), (700, 100), (70, 300), (3, 2000)])
def test_large_updates_span_blocks_and_threads(
    backend: Any, monkeypatch: pytest.MonkeyPatch, rows: int, width: int, dtype: Any
) -> None:
    """Some features of one size, some of every exponent, so that the windows of threads move and miss."""
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "3")
    rng = np.random.default_rng(rows)
    values = (rng.standard_normal((rows, width)) * np.float64(10) ** rng.integers(-30, 30, width)).astype(dtype)
    values[rng.random(values.shape) < 0.01] = np.nan
    values[:, ::3] = hostile(rng, values[:, ::3].shape, np.dtype(dtype))
    marks = rng.random(rows) < 0.9
    stats = rc.RunningStats(bits=3).update(backend.to(values), backend.to(marks))
    cut = np.array([0, *rng.integers(0, width, 2)])
    wanted = oracle.samples(widened(values[:, cut]), marks[:, None])
    part = rc.RunningStats(bits=3).update(values[:, cut], marks)
    judge(part, *wanted)
    judge_quantiles(part, wanted[0], 3)
    whole, few = stats.to_dict(), part.to_dict()
    for name in ("count", "nonfinite", "min", "max", "sum", "square", "buckets", "counts"):
        assert [whole[name][f] for f in cut] == few[name]


def test_axes(backend: Any) -> None:
    rng = np.random.default_rng(1)
    images = rng.integers(0, 256, (4, 3, 25, 20), np.uint8)
    marks = rng.random((4, 25, 20)) < 0.5
    stats = rc.RunningStats((3,)).update(backend.to(images), backend.to(marks), axis=(0, 2, -1))
    rows = images.transpose(0, 2, 3, 1)
    assert stats == rc.RunningStats((3,)).update(rows[marks])
    each = rng.random(images.shape) < 0.5
    got = rc.RunningStats((3,)).update(backend.to(images), backend.to(each), axis=(0, 2, 3))
    judge(got, *oracle.samples(rows.reshape(-1, 3), each.transpose(0, 2, 3, 1).reshape(-1, 3)))
    whole = rc.RunningStats(()).update(backend.to(images))
    judge(whole, *oracle.samples(images.reshape(-1, 1)))
    assert whole.mean.shape == ()
    effort = rng.standard_normal((7, 8, 2, 3))
    kept = rc.RunningStats((2, 3)).update(backend.to(effort), backend.to(np.ones((7, 1), bool)))
    judge(kept, *oracle.samples(effort.reshape(-1, 6)))
    assert kept.mean.shape == (2, 3)


def test_a_large_mean_does_not_cancel(backend: Any) -> None:
    rng = np.random.default_rng(2)
    values = (1000 + 0.01 * rng.standard_normal((4000, 1))).astype(np.float32)
    stats = rc.RunningStats().update(backend.to(values))
    assert stats.std()[0] == pytest.approx(values.astype(np.float64).std(), rel=1e-12)
    assert stats.std()[0] > 0.009  # float32 E[x²] - E[x]² gives 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, bfloat16], ids=str)
def test_the_ends_of_the_exponents(backend: Any, dtype: Any) -> None:
    """The largest and the least numbers together, with both signs, in every order."""
    info = {np.float32: (1.4e-45, 3.4028235e38), np.float64: (5e-324, 1.7976931348623157e308)}
    low, high = info.get(dtype, (9.2e-41, 3.3895e38))
    column = np.array([low, high, -high, low, 1.0, -low, high, high, 0.0, -0.0, 1e5 * low, 1e-20, -1e20], np.float64)
    for order in (slice(None), slice(None, None, -1)):
        values = np.tile(column[order], 40).astype(dtype)[:, None]
        stats = rc.RunningStats(bits=4).update(backend.to(values))
        found = oracle.samples(values.astype(np.float64))
        assert len(set(found[0][0])) == 9
        judge(stats, *found)
        judge_quantiles(stats, found[0], 4)


def test_quantiles_meet_their_bound_where_buckets_are_worst(backend: Any) -> None:
    """All samples at one end of wide buckets, so that even spreading is as wrong as it can be."""
    for edge in (1.0, np.nextafter(np.float32(2), 0)):
        column = np.concatenate([np.full(500, edge), np.full(500, -edge * 1.001), [5.0, -5.0]]).astype(np.float32)
        stats = rc.RunningStats(bits=3).update(backend.to(column[:, None]))
        judge_quantiles(stats, oracle.samples(column[:, None].astype(np.float64))[0], 3)


def test_quantiles_spread_samples_inside_a_bucket(backend: Any) -> None:
    """Also in the first and in the last one; far better than the bound where samples are even."""
    column = np.linspace(-1.9, 1.9, 20_001, dtype=np.float32)
    stats = rc.RunningStats(bits=3).update(backend.to(column[:, None]))
    for q in (0.0001, 0.01, 0.1, 0.3, 0.77, 0.99, 0.9999):
        assert stats.quantile(q)[0] == pytest.approx(np.quantile(column, q), abs=3e-4)


def test_roots_are_rounded_once() -> None:
    from robocache.ops._total import square_root

    middle = 2**54 + 2  # halfway between two doubles
    assert square_root(middle**2, 1) == 2.0**54
    assert square_root(middle**2 * 4**200 + 1, 4**200) == 2.0**54 + 4
    assert square_root(1, 2**2148) == 5e-324


def test_digits_are_carried_before_they_overflow(backend: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from robocache._core import tally
    from robocache.ops import _stats_rows

    values = numbers(np.random.default_rng(3), (300, 2), np.dtype(np.float32))
    wanted = rc.RunningStats().update(values)
    for module in (tally, _stats_rows):
        monkeypatch.setattr(module, "MOST_ROWS", 64)
    for shape in ((300, 2), (3, 100, 2), (100, 3, 2)):
        view = np.repeat(values.reshape(shape), 2, axis=0)[::2]
        for dtype in (np.float32, np.float64):
            assert rc.RunningStats().update(backend.to(view.astype(dtype))) == wanted


@given(rng=generators(), dtype=st.sampled_from(FLOATS))
def test_state_survives_json(backend: Any, rng: np.random.Generator, dtype: np.dtype) -> None:
    stats = rc.RunningStats(**SMALL).update(backend.to(hostile(rng, (20, 2), dtype)))
    again = rc.RunningStats.from_dict(json.loads(json.dumps(stats.to_dict(), allow_nan=False)))
    assert again == stats
    assert again.mean.tobytes() == stats.mean.tobytes()
    more = hostile(rng, (20, 2), dtype)
    assert again.update(more) == stats.update(backend.to(more))


def test_fewer_bits_are_as_if_there_never_had_been_more(backend: Any) -> None:
    values = numbers(np.random.default_rng(4), (200, 2), np.dtype(np.float32))
    fine, coarse = (rc.RunningStats(bits=b).update(backend.to(values)) for b in (9, 4))
    twice = rc.RunningStats(bits=4).update(values).update(values)
    assert fine + coarse == twice
    assert coarse + fine == twice
    later = fine.copy().merge(coarse)
    fine.merge(coarse)  # which goes on with fewer bits than it has gathered with
    more = backend.to(values[:50])
    assert fine.update(more) == later.update(more) == twice.update(more)
    none = rc.RunningStats(quantiles=()).update(values) + fine
    with pytest.raises(rc.errors.DataError, match="not known"):
        none.quantile(0.5)
