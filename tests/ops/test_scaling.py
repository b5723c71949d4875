"""``normalize`` and ``denormalize`` against fractions, and back again, on both backends."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import stats as oracle
from strategies import FLOATS, INTEGERS, arranged, bfloat16, generators, numbers

import robocache as rc
from robocache.errors import ArgumentError, DataError, DTypeError, ShapeError

MODES = ("mean_std", "min_max", "quantile")
NAMES = {"mean_std": ("mean", "std"), "min_max": ("min", "max"), "quantile": ("q01", "q99")}
ENDS = {"min": 0, "max": 1, "q01": 0, "q99": 1}
RANGES = ((-1.0, 1.0), (0.0, 1.0), (-3.0, 0.5))
LAYOUTS = ("contiguous", "negative", "broadcast", "sliced", "transposed")


def entry(rng: np.random.Generator, width: int) -> dict[str, Any]:
    """Statistics of one key, one feature of which is constant."""
    first = rng.standard_normal(width) * 10.0 ** rng.integers(-3, 4, width)
    second = rng.random(width) * 10.0 ** rng.integers(-3, 3, width)
    second[rng.integers(width)] = 0
    return {"mean": first, "std": second} | {a: first + k * second for a, k in ENDS.items()}


@given(
    rng=generators(),
    dtype=st.sampled_from(FLOATS + INTEGERS),
    mode=st.sampled_from(MODES),
    range_=st.sampled_from(RANGES),
    layout=st.sampled_from(LAYOUTS),
    width=st.sampled_from((1, 2, 7, 14, 40)),
)
def test_against_fractions(backend: Any, rng: Any, dtype: Any, mode: str, range_: Any, layout: str, width: int) -> None:
    values = arranged(numbers(rng, (int(rng.integers(0, 40)), width), dtype, odd=False), layout)
    stats, constant = entry(rng, width), str(rng.choice(["zero", "keep"] + ["lower", "middle"] * (mode != "mean_std")))
    got = backend.np(rc.normalize(backend.to(values), stats, mode, range=range_, constant=constant))
    result = dtype if dtype in FLOATS else np.dtype(np.float32 if dtype.itemsize <= 2 else np.float64)
    assert (got.dtype, got.shape) == (result, values.shape)
    real = np.float64 if result == np.float64 else np.float32
    unit = Fraction(1, 2 ** (52 if real is np.float64 else 23))
    first, second = (stats[name] for name in NAMES[mode])
    for i, f in np.ndindex(*values.shape):
        bounds = Fraction(float(first[f])), Fraction(float(second[f]))
        x = float(real(values[i, f]))
        exact = oracle.normalized(x, *bounds, mode, *range_, constant)
        # What the subtraction loses, of its operands' size where they are not near each other, and what follows.
        moved = max(abs(Fraction(x)), abs(bounds[0])) * unit
        scale = bounds[1] if mode == "mean_std" else bounds[1] - bounds[0]
        gain = 1 if mode == "mean_std" else Fraction(range_[1]) - Fraction(range_[0])
        off = abs(bounds[0]) + abs(bounds[1])
        bound = moved if scale == 0 else moved / scale * gain
        if scale and mode != "mean_std":  # the divisor is rounded like the values
            bound += abs(exact - Fraction(range_[0])) * off * unit / scale
        bound += 4 * unit * (abs(exact) + 4)
        if result in (np.dtype(np.float16), bfloat16):
            bound += Fraction(tolerances.ulp(float(exact), result).item())
        if not np.isfinite(float(got[i, f])):
            assert abs(exact) > 60_000
            continue
        assert abs(Fraction(float(got[i, f])) - exact) <= bound, (values[i, f], float(exact), got[i, f])


@given(rng=generators(), dtype=st.sampled_from(FLOATS), mode=st.sampled_from(MODES))
def test_there_and_back(backend: Any, rng: Any, dtype: Any, mode: str) -> None:
    width = int(rng.integers(1, 9))
    centre, size = rng.standard_normal(width) * 10.0 ** rng.integers(-2, 3, width), 10.0 ** rng.integers(-2, 2, width)
    values = (centre + size * rng.standard_normal((50, width))).astype(dtype)
    values[:, 0] = values[0, 0]
    stats = rc.RunningStats(bits=3).update(values)
    for constant in ("zero", "keep", "lower", "middle")[: 2 if mode == "mean_std" else 4]:
        scaled = rc.normalize(backend.to(values), stats, mode, constant=constant)
        again = backend.np(rc.denormalize(scaled, stats, mode, constant=constant)).astype(np.float64)
        assert (again[:, 0] == values[:, 0].astype(np.float64)).all()
        true = values.astype(np.float64)
        first = {"mean_std": stats.mean, "min_max": stats.min}.get(mode)
        first = stats.quantile(0.01) if first is None else first
        second = {"mean_std": stats.std(), "min_max": stats.max - stats.min}.get(mode)
        second = stats.quantile(0.99) - first if second is None else second
        if dtype in (np.float16, bfloat16):
            held = np.abs(backend.np(scaled).astype(np.float64)) + 1
            bound = tolerances.ulp(held, dtype) * second + tolerances.ulp(np.abs(true), dtype)
        else:
            larger = np.maximum(np.abs(true), np.abs(first))
            bound = 4 * tolerances.ulp(larger if mode == "mean_std" else np.maximum(larger, second), dtype)
        assert (np.abs(again - true) <= bound).all()


def test_equal_bits_on_both_backends_and_wherever_memory_begins(backend: Any) -> None:
    """Packs, their rests, unaligned starts, features that lie apart, NaN, subnormals and clipping."""
    rng = np.random.default_rng(0)
    for dtype in (*FLOATS, np.dtype(np.uint8), np.dtype(np.int64), np.dtype(bool)):
        for shape, own in (
            ((33, 7), (7,)),
            ((5, 3, 9), (3, 1)),
            ((4, 2, 3, 5), (2, 1, 5)),
            ((1000,), ()),
            ((129, 3), (1,)),
        ):
            flat = numbers(rng, (int(np.prod(shape)) + 1,), dtype)
            stats = {"mean": rng.standard_normal(own), "std": rng.random(own)}
            for start in (0, 1):
                values = flat[start:][: int(np.prod(shape))].reshape(shape)
                given = backend.to(flat)[start:][: values.size].reshape(shape)
                for options in ({}, {"clip": 0.5}, {"clip": (0, 1e-40)}):
                    expected = rc.normalize(values, stats, **options)
                    got = rc.normalize(given, stats, **options)
                    assert tolerances.same_bits(backend.np(got), expected)
                    back = rc.denormalize(got, stats)
                    assert tolerances.same_bits(backend.np(back), rc.denormalize(expected, stats))


@pytest.mark.parametrize("own", [(7,), (3, 1)], ids=str)
def test_large_calls_are_shared_out(backend: Any, monkeypatch: pytest.MonkeyPatch, own: tuple[int, ...]) -> None:
    """Threads begin in the middle of a row on the CPU; those of few blocks go round several times on the GPU."""
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", "3")
    if backend.name == "cuda":
        from robocache.cuda import scaling

        monkeypatch.setattr(scaling, "BLOCKS", 2)
    rng = np.random.default_rng(3)
    stats = {"mean": rng.standard_normal(own), "std": rng.random(own) + 0.1}
    for dtype in (np.float32, np.float64, np.float16):
        values = rng.standard_normal((30_001, *((7,) if own == (7,) else (3, 5)))).astype(dtype)
        got = backend.np(rc.normalize(backend.to(values), stats))
        parts = [rc.normalize(values[k : k + 100], stats) for k in range(0, len(values), 100)]
        assert tolerances.same_bits(got, np.concatenate(parts))


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_bounds_go_to_the_ends_exactly(backend: Any, dtype: Any) -> None:
    rng = np.random.default_rng(1)
    values = (rng.standard_normal((100, 40)) * 10.0 ** rng.integers(-3, 4, 40)).astype(dtype)
    stats = rc.RunningStats().update(values)
    got = backend.np(rc.normalize(backend.to(values), stats, "min_max")).astype(np.float64)
    assert (got.min(0) == -1).all()
    assert (got.max(0) == 1).all()
    back = backend.np(rc.denormalize(backend.to(np.array([[-1] * 40], dtype)), stats, "min_max"))
    assert (back[0] == values.min(0)).all()


def test_a_large_mean_keeps_its_digits(backend: Any) -> None:
    values = np.float32(1000) + np.linspace(-0.02, 0.02, 50, dtype=np.float32)
    stats = {"mean": 1000.00001, "std": 0.01}
    got = backend.np(rc.normalize(backend.to(values), stats))
    assert np.abs(got - (values.astype(np.float64) - 1000.00001) / 0.01).max() < 1e-6


@pytest.mark.parametrize("mode", MODES)
def test_constant_features_by_every_policy(backend: Any, mode: str) -> None:
    values = np.float32([[0.1, 0.0], [0.1, 4.0], [0.3, 1.0]])
    stats = rc.RunningStats().update(values[:2])
    wanted = {"zero": 0.0, "keep": np.float32(0.1), "lower": -1.0, "middle": 0.0}
    for constant, at in wanted.items():
        if mode == "mean_std" and constant in ("lower", "middle"):
            with pytest.raises(ArgumentError, match="place in range"):
                rc.normalize(backend.to(values), stats, mode, constant=constant)
            continue
        got = rc.normalize(backend.to(values), stats, mode, constant=constant, clip=0.05)
        assert (backend.np(got)[:2, 0] == at).all()
        assert abs(backend.np(got)[2, 0] - at - 0.2) < 1e-6  # neither scaled nor clipped
        again = backend.np(
            rc.denormalize(
                rc.normalize(backend.to(values), stats, mode, constant=constant), stats, mode, constant=constant
            )
        )
        assert np.abs(again - values).max() < 1e-6
        assert (again[:2, 0] == values[:2, 0]).all()


def test_masks_leave_features_alone(backend: Any) -> None:
    values = np.float32([[5, 5, 5], [7, 7, 7]])
    stats = {"q01": [4, 4, np.nan], "q99": [6, 6, np.nan], "mask": [True, False, False]}
    got = rc.normalize(backend.to(values), stats, "quantile", clip=1)
    assert backend.np(got).tolist() == [[0, 5, 5], [1, 7, 7]]
    mask = np.array([True, True, False])
    got = rc.normalize(backend.to(values), stats, "quantile", mask=mask)
    assert backend.np(got).tolist() == [[0, 0, 5], [2, 2, 7]]
    assert backend.np(rc.denormalize(got, stats, "quantile", mask=mask)).tolist() == values.tolist()
    with pytest.raises(DataError, match=r"feature \(2,\).*mask="):
        rc.normalize(backend.to(values), stats, "quantile", mask=True)


def test_out(backend: Any) -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    stats = rc.RunningStats().update(values)
    expected = rc.normalize(values, stats)
    given, out = backend.to(values), backend.to(np.ones((4, 6), np.float32))
    assert rc.normalize(given, stats, out=out) is out
    assert tolerances.same_bits(backend.np(out), expected)
    assert rc.normalize(given, stats, out=given) is given
    assert tolerances.same_bits(backend.np(given), expected)
    for wrong, kind, text in (
        (np.ones((4, 5), np.float32), ShapeError, "out has shape"),
        (np.ones((4, 6)), DTypeError, "out has dtype"),
        (np.ones((6, 4), np.float32).T, ArgumentError, "contiguous"),
    ):
        with pytest.raises(kind, match=text):
            rc.normalize(given, stats, out=backend.to(wrong))
    memory = backend.to(np.ones(30, np.float32))
    with pytest.raises(ArgumentError, match="overlaps"):
        rc.normalize(memory[:24].reshape(4, 6), stats, out=memory[6:].reshape(4, 6))


def test_statistics_gathered_where_the_values_are(backend: Any) -> None:
    rng = np.random.default_rng(2)
    values = rng.standard_normal((300, 5)).astype(np.float32)
    given = backend.to(values)
    stats = rc.RunningStats().update(given)
    for mode in MODES:
        got = backend.np(rc.normalize(given, stats, mode))
        assert tolerances.same_bits(got, rc.normalize(values, rc.RunningStats().update(values), mode))
    stats.update(given + 1)
    assert not (backend.np(rc.normalize(given, stats)) == rc.normalize(values, rc.RunningStats().update(values))).any()


WRONG = [
    (ArgumentError, "mode='median'", {"mode": "median"}),
    (ArgumentError, "constant='one'", {"constant": "one"}),
    (ArgumentError, "range=", {"mode": "min_max", "range": (1, 1)}),
    (ArgumentError, "clip=", {"clip": -1}),
    (ArgumentError, "clip=", {"clip": (1, 0)}),
    (ArgumentError, "quantiles=", {"mode": "quantile", "quantiles": (0.1,)}),
    (ArgumentError, "mask must be", {"mask": [1, 0, 1]}),
    (ArgumentError, "mask must be", {"mask": [True, False]}),
    (ArgumentError, "stats is list", {"stats": [1, 2]}),
    (DataError, r"stats\['action'\]", {"stats": {"action": {"mean": [0], "std": [1]}}}),
    (DataError, "no 'q01'", {"mode": "quantile", "stats": {"mean": [0], "std": [1]}}),
    (DataError, "numbers on the CPU", {"stats": {"mean": ["a"], "std": [1]}}),
    (DataError, "out of order", {"stats": {"mean": [0], "std": [-1]}}),
    (DataError, "out of order", {"mode": "min_max", "stats": {"min": [2], "max": [1]}}),
    (DataError, "range of float32", {"stats": {"mean": [1e300], "std": [1]}}),
    (DataError, "no sample was seen", {"stats": rc.RunningStats((3,))}),
    (DataError, "not known", {"mode": "quantile", "stats": rc.RunningStats((3,), quantiles=())}),
    (ShapeError, "have shapes", {"stats": {"mean": [0, 0], "std": [1]}}),
    (ShapeError, "last axes to fit", {"stats": {"mean": [0, 0], "std": [1, 1]}}),
    (DTypeError, "complex", {"values": np.ones(3, np.complex64)}),
]


@pytest.mark.parametrize("error, text, change", WRONG, ids=[w[1] for w in WRONG])
def test_faults_are_named(backend: Any, error: Any, text: str, change: dict[str, Any]) -> None:
    arguments = {"values": np.ones((2, 3), np.float32), "stats": {"mean": [0] * 3, "std": [1] * 3}} | change
    arguments["values"] = backend.to(arguments["values"])
    with pytest.raises(error, match=text):
        rc.normalize(**arguments)
