"""``sanitize_times`` against an oracle that walks the stamps one by one; positions and bits must be equal."""

from itertools import chain, pairwise
from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import clocks as oracle
from strategies import EPOCH_NS, NAT, bfloat16

import robocache as rc
from robocache.errors import ArgumentError, DataError, DataWarning, DeviceError, DTypeError, ShapeError

FAULTS = {"nonfinite": "missing", "resets": "far below", "order": "lower than one before", "duplicates": "equal to"}
LAX = {"order": "sort", "nonfinite": "drop", "resets": "ignore"}


@st.composite
def logs(draw: Any) -> np.ndarray:
    """Stamps with late ones, repeats, glitches to either side, resets, and missing ones."""
    kind = draw(st.sampled_from(("ns", "s", "s32")))
    steps = draw(st.lists(st.sampled_from((0, 1, 1, 1, 2, 3, 25, -1, -2, -30)), max_size=40))
    counts = np.cumsum([0, *steps]) if draw(st.booleans()) else np.array(steps, np.int64)
    times = {"ns": EPOCH_NS + counts * 10**6, "s": 100 + counts / 8, "s32": np.float32(100) + counts / np.float32(8)}
    times = times[kind].astype(np.float32 if kind == "s32" else times[kind].dtype)
    if len(times) and draw(st.booleans()):
        times[draw(st.integers(0, len(times) - 1))] = NAT if kind == "ns" else draw(st.sampled_from((np.nan, np.inf)))
    return times


RULES = st.fixed_dictionaries(
    {
        "order": st.sampled_from(("sort", "drop", "raise")),
        "duplicates": st.sampled_from(("keep", "first", "last", "raise")),
        "nonfinite": st.sampled_from(("drop", "drop", "raise")),
        "resets": st.sampled_from(("ignore", "split", "raise")),
    }
)


@given(times=logs(), cuts=st.lists(st.integers(0, 40), max_size=4), rules=RULES, gap=st.sampled_from((None, 2)))
def test_against_the_oracle(backend: Any, times: np.ndarray, cuts: list[int], rules: dict[str, str], gap: Any) -> None:
    whole = times.dtype == np.int64
    gap = gap if gap is None else gap * 10**6 if whole else gap / 8
    offsets = np.array([0, *sorted(min(c, len(times)) for c in cuts), len(times)])
    rows, found = oracle.cleaned(times, offsets, **rules)
    values = np.random.default_rng(0).standard_normal((len(times), 3)).astype(np.float32)

    def call() -> rc.CleanTimes:
        return rc.sanitize_times(
            backend.to(times), backend.to(values), offsets=backend.to(offsets), max_gap=gap, **rules
        )  # fmt: skip

    if isinstance(rows, str):
        positions = found["disordered" if rows == "order" else rows]
        row = np.searchsorted(offsets, min(positions), "right") - 1
        message = rf"{len(positions)} of times are {FAULTS[rows]}.* first times\[{min(positions)}\] in row {row}; give"
        with pytest.raises(DataError, match=message):
            call()
        return
    clean, index = call(), np.array([*chain(*rows)], np.int64)
    assert tolerances.same_bits(backend.np(clean.index), index)
    assert tolerances.same_bits(backend.np(clean.times), times[index])
    assert tolerances.same_bits(backend.np(clean.values), values[index])
    assert backend.np(clean.offsets).tolist() == np.cumsum([0, *map(len, rows)]).tolist()
    report = clean.report
    assert (report.samples, report.kept) == (len(times), len(index))
    for name, positions in found.items():
        assert getattr(report, name).tolist() == positions, name
        assert type(getattr(report, name)) is np.ndarray
    touched = {int(np.searchsorted(offsets, i, "right")) - 1 for i in chain(*found.values())}
    assert report.rows.tolist() == sorted(touched)
    assert report.clean == (not touched)
    period, jitter, largest, gaps = oracle.spacing(times, rows, gap)
    assert (report.period, report.jitter, report.largest_gap, report.gaps.tolist()) == (period, jitter, largest, gaps)


def test_nothing_is_changed_without_a_rule(backend: Any) -> None:
    times = EPOCH_NS + np.arange(100) * 10**6
    clean = rc.sanitize_times(backend.to(times))
    assert backend.np(clean.times).tolist() == times.tolist()
    assert backend.np(clean.index).tolist() == list(range(100))
    assert clean.report.clean
    assert clean.offsets is clean.values is None
    assert str(clean.report) == (
        "100 of 100 stamps kept: 0 nonfinite, 0 disordered, 0 duplicates, 0 resets, 0 gaps; "
        "period 1000000, jitter 0, largest gap 1000000"
    )


def test_a_reset_is_neither_a_late_stamp_nor_a_glitch(backend: Any) -> None:
    def resets(*stamps: int) -> list[int]:
        return rc.sanitize_times(backend.to(np.array(stamps)), **LAX).report.resets.tolist()

    rising = range(1000, 1020)
    assert resets(*rising, *range(5)) == [20]
    assert resets(*rising, *range(5), *range(3)) == [20]  # the second fall is no further than packets stray
    assert resets(*rising, 3, *range(1020, 1030)) == []  # one late, or broken, stamp
    assert resets(*rising, 10**9, *range(1020, 1030)) == []  # one from the future
    assert resets(*rising, 1015, 1016, *range(1020, 1030)) == []  # two that came late
    clean = rc.sanitize_times(backend.to(np.array([*rising, *range(5), *range(1500, 1510)])), resets="split")
    assert backend.np(clean.offsets).tolist() == [0, 20, 35]


def test_integers_of_the_whole_range(backend: Any) -> None:
    ends = np.array([2**63 - 1, -(2**63) + 1, 0, 2**63 - 1])
    clean = rc.sanitize_times(backend.to(ends), order="sort", resets="ignore", duplicates="first", max_gap=2**62)
    assert backend.np(clean.times).tolist() == [-(2**63) + 1, 0, 2**63 - 1]
    assert (clean.report.largest_gap, clean.report.period) == (2**63 - 1, 2**63 - 1)
    assert clean.report.gaps.tolist() == [0, 2]
    apart = rc.sanitize_times(backend.to(np.array([-(2**63) + 1, 2**63 - 1])))
    assert apart.report.largest_gap == 2**64 - 2


def test_many_rows_and_long_disorder(backend: Any) -> None:
    """Longer than any block, with every stamp late but the running maxima."""
    rng = np.random.default_rng(5)
    times = rng.integers(0, 10**15, 20_011)
    offsets = np.array([0, 7, 7, 12_345, 20_011])
    clean = rc.sanitize_times(backend.to(times), offsets=offsets, order="drop", resets="ignore")
    highest = np.concatenate([np.maximum.accumulate(times[a:b]) for a, b in pairwise(offsets)])
    assert backend.np(clean.index).tolist() == np.flatnonzero(times == highest).tolist()
    clean = rc.sanitize_times(backend.to(times), offsets=offsets, order="sort", resets="ignore")
    assert (
        backend.np(clean.times).tolist() == np.concatenate([np.sort(times[a:b]) for a, b in pairwise(offsets)]).tolist()
    )


def test_no_stamps_and_one(backend: Any) -> None:
    for times in (np.zeros(0, np.int64), np.zeros(0, np.float32), np.array([3.5])):
        clean = rc.sanitize_times(backend.to(times), backend.to(np.zeros((len(times), 2), np.uint8)), resets="split")
        assert backend.np(clean.times).dtype == times.dtype
        assert backend.np(clean.values).shape == (len(times), 2)
        assert backend.np(clean.offsets).tolist() == [0, len(times)]
        assert (clean.report.period, clean.report.jitter, clean.report.largest_gap) == (None, None, None)
    gone = rc.sanitize_times(backend.to(np.full(3, np.nan)), nonfinite="drop")
    assert (gone.report.kept, backend.np(gone.index).tolist()) == (0, [])


@pytest.mark.parametrize("dtype", [np.float16, bfloat16, np.float64, np.int8, np.bool_])
def test_values_of_every_type_and_layout(backend: Any, dtype: Any) -> None:
    times = np.array([4, 2, 3, 2])[::-1]
    values = np.arange(24).reshape(2, 3, 4).T.astype(dtype)[:, ::-1]
    clean = rc.sanitize_times(backend.to(times), backend.to(values), order="sort", duplicates="last", resets="ignore")
    assert backend.np(clean.index).tolist() == [2, 1, 3]
    assert tolerances.same_bits(backend.np(clean.values), np.ascontiguousarray(values[[2, 1, 3]]))


def test_dates_stay_dates() -> None:
    times = np.array(["2026-01-01T00:00:02", "NaT", "2026-01-01T00:00:01"], "M8[s]")
    clean = rc.sanitize_times(times, order="sort", nonfinite="drop", resets="ignore")
    assert clean.times.dtype == "M8[ns]"
    assert clean.times.tolist() == times[[2, 0]].astype("M8[ns]").tolist()
    assert clean.report.period == 10**9


def test_what_it_leaves_can_be_resampled(backend: Any) -> None:
    times = np.array([0, 10, 10, 30, 20, 40, 5, 15, 25]) * 10**6
    values = np.arange(9.0)
    clean = rc.sanitize_times(
        backend.to(times), backend.to(values), order="sort", duplicates="last", resets="ignore", offsets=[0, 6, 9]
    )
    got = rc.resample_trajectories(
        clean.values, clean.times, backend.to(np.array([12, 20]) * 10**6), offsets=clean.offsets
    )
    assert backend.np(got).tolist() == [[2.4, 4.0], [6.7, 7.5]]


WRONG = [
    (ArgumentError, "order='up' is not known", {"order": "up"}),
    (ArgumentError, "duplicates='mean' is not known", {"duplicates": "mean"}),
    (ArgumentError, "nonfinite=None is not known", {"nonfinite": None}),
    (ArgumentError, "resets='sort' is not known", {"resets": "sort"}),
    (ArgumentError, "max_gap=0.5: the stamps are integer", {"max_gap": 0.5}),
    (ArgumentError, "max_gap=-1 must not be negative", {"max_gap": -1}),
    (ShapeError, r"times has shape \(2, 2\); expected", {"times": np.zeros((2, 2))}),
    (DTypeError, "times has dtype int32", {"times": np.zeros(4, np.int32)}),
    (ShapeError, r"values has shape \(3,\) for 4 times", {"values": np.zeros(3)}),
    (DTypeError, "values has dtype complex128", {"values": np.zeros(4, complex)}),
    (DataError, "offsets run from 1 to 4; expected from 0 to the 4", {"offsets": [1, 4]}),
    (DataError, "offsets run from 0 to 3; expected", {"offsets": [0, 3]}),
    (DataError, "offsets must not fall", {"offsets": [0, 5, 4]}),
    (DTypeError, "offsets has dtype float64", {"offsets": np.array([0.0, 4.0])}),
]


@pytest.mark.parametrize("error, message, how", WRONG, ids=[f"{i}" for i in range(len(WRONG))])
def test_what_is_refused(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    given = {name: backend.to(value) for name, value in ({"times": np.arange(4)} | how).items()}
    with pytest.raises(error, match=message) as caught:
        rc.sanitize_times(**given)
    assert type(caught.value) is error


def test_devices_are_not_mixed(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="values lives on"):
        rc.sanitize_times(cupy.arange(3), np.arange(3))


def test_torch_and_jax(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    if backend.name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch without a GPU")
    device = "cpu" if backend.name == "cpu" else "cuda"
    times = torch.tensor([30, 10, 20, 20], device=device)
    clean = rc.sanitize_times(times, times.to(torch.bfloat16), offsets=[0, 4], **{**LAX, "duplicates": "first"})
    for array in (clean.times, clean.index, clean.offsets, clean.values):
        assert isinstance(array, torch.Tensor)
        assert array.device.type == device
    assert clean.times.tolist() == clean.values.tolist() == [10, 20, 30]
    assert (times[clean.index] == clean.times).all()
    if backend.name == "cpu":
        jax = pytest.importorskip("jax")
        with pytest.warns(DataWarning, match="jax_enable_x64"):
            clean = rc.sanitize_times(jax.numpy.array([0.5, 0.25], np.float32), order="sort", resets="ignore")
        assert isinstance(clean.times, jax.Array)
        assert clean.times.tolist() == [0.25, 0.5]
