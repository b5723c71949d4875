"""Which samples an index picks, and even clocks against fractions."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets import Range, Source, Stream, StreamSpec, Timing
from robocache.datasets._faults import fault
from robocache.datasets.streams import listed, positions
from robocache.errors import ArgumentError, DataError, DTypeError, PositionError
from tests.datasets import toy

ENDS = st.none() | st.integers(-40, 40)
SLICES = st.builds(slice, ENDS, ENDS, st.none() | st.integers(-5, 5).filter(bool))


@st.composite
def indices(draw: Any) -> tuple[int, Any]:
    """A count of samples and something that picks some of them."""
    count = draw(st.integers(0, 30))
    kinds = [SLICES, st.just(None), st.just([]), st.lists(st.booleans(), min_size=count, max_size=count).map(np.array)]
    if count:
        inside = st.integers(-count, count - 1)
        dtypes = st.sampled_from([np.int64, np.int32, np.int8])
        many = st.builds(np.array, st.lists(inside, max_size=9), dtypes)
        kinds += [
            inside,
            many,
            st.lists(inside, min_size=1),
            inside.map(np.int16),
            st.integers(0, count - 1).map(np.uint64),
        ]
    return count, draw(st.one_of(kinds))


@given(indices())
def test_an_index_picks_what_numpy_picks(case: tuple[int, Any]) -> None:
    count, index = case
    values = np.arange(100, 100 + count)
    one = toy.stream("x", values)
    if isinstance(index, list) or (isinstance(index, np.ndarray) and index.size == 0):
        want = values[np.array(index, np.int64)] if len(index) else values[:0]
    else:
        want = values if index is None else values[index]
    found = one.read(index)
    assert np.array_equal(found, want)
    assert np.shape(found) == np.shape(want)
    picked, single = positions(index, count, "x")
    assert single == (np.ndim(want) == 0)
    assert listed(picked).dtype == np.int64
    assert np.array_equal(values[listed(picked)], np.reshape(want, -1))
    if isinstance(picked, slice):
        assert 0 <= picked.start <= picked.stop <= max(count, picked.start)
        assert picked.step == 1


@pytest.mark.parametrize("index", [10, -11, [0, 10], [-11], np.array([3, 99]), np.uint64(2**64 - 1), 2**70, -(2**70)])
def test_positions_past_either_end(index: Any) -> None:
    with pytest.raises((PositionError, DTypeError)):
        toy.stream("x", np.arange(10)).read(index)


@pytest.mark.parametrize("length", [0, 9, 11])
def test_a_mask_of_another_length(length: int) -> None:
    with pytest.raises(PositionError, match="mask"):
        toy.stream("x", np.arange(10)).read(np.ones(length, bool))


@pytest.mark.parametrize("index", [1.0, "1", np.array([1.5]), np.zeros((2, 2), np.int64), [None], {}, b"1"])
def test_an_index_of_another_type(index: Any) -> None:
    with pytest.raises((DTypeError, PositionError)):
        toy.stream("x", np.arange(10)).read(index)


def test_one_sample_has_no_axis_of_samples() -> None:
    one = toy.stream("x", np.arange(12).reshape(4, 3))
    assert one.read(-1).tolist() == [9, 10, 11]
    assert one.read([3]).shape == (1, 3)


class Recorder(Source):
    """Says what it was asked for."""

    def take(self, at: Any) -> Any:
        return listed(at)

    def encoded(self, at: Any) -> list[bytes]:
        return [b"%d" % k for k in listed(at)]

    def ranges(self, at: Any) -> list[Range]:
        return [Range("f", int(k), 1, "jpeg") for k in listed(at)]


def test_encoded_and_ranges() -> None:
    one = Stream(StreamSpec("cam", "image", (2, 2, 3), np.dtype(np.uint8), codec="jpeg"), Timing(5), Recorder())
    assert one.read(slice(None, None, -2), decode=False) == [b"4", b"2", b"0"]
    assert one.read(-1, decode=False) == b"4"
    assert one.ranges(1) == [Range("f", 1, 1, "jpeg")]
    plain = toy.stream("x", np.arange(3))
    assert plain.ranges() is None
    with pytest.raises(ArgumentError, match="not encoded"):
        plain.read(0, decode=False)


def test_values_are_read_once_and_late() -> None:
    calls = []
    one = toy.stream("x", np.arange(3))
    one.source = toy.Values(lambda: calls.append(1) or np.arange(3))
    assert calls == []
    assert one.read().tolist() == one.read(slice(None)).tolist() == [0, 1, 2]
    assert calls == [1]


# ---- time ----------------------------------------------------------------------------------------------------------


def exact(count: int, rate: Fraction, start: int) -> list[int]:
    """Start and k / rate seconds, each rounded half up."""
    return [start + (k * 10**9 / rate + Fraction(1, 2)).__floor__() for k in range(count)]


RATES = [12.5, 29.97, Fraction(1, 3), Fraction(30000, 1001), 1000, 0.1, 7, 59.94, 1e6]


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("start", [0, -5, toy.EPOCH_NS])
def test_an_even_clock_is_rounded_once(rate: Any, start: int) -> None:
    timing = Timing(500, rate=rate, start=start)
    assert timing.times.dtype == np.int64
    assert timing.times.tolist() == exact(500, Fraction(rate).limit_denominator(10**6), start)
    assert not timing.stamped


@given(
    st.fractions(Fraction(1, 1000), 10**6, max_denominator=10**6), st.integers(0, 300), st.integers(-(10**15), 10**15)
)
def test_any_even_clock_is_rounded_once(rate: Fraction, count: int, start: int) -> None:
    assert Timing(count, rate=rate, start=start).times.tolist() == exact(count, rate.limit_denominator(10**6), start)


@pytest.mark.parametrize("rate", [29.97, Fraction(30000, 1001), 12.5, Fraction(999_983, 999_979)])
def test_an_even_clock_of_many_samples_neither_drifts_nor_overflows(rate: Any) -> None:
    count = 3_000_000
    timing = Timing(count, rate=rate)
    ratio = Fraction(rate).limit_denominator(10**6)
    for k in (1, count // 3, count - 1):
        assert timing.times[k] == (k * 10**9 / ratio + Fraction(1, 2)).__floor__()
    assert (np.diff(timing.times) > 0).all()


def test_stamps_are_what_was_given() -> None:
    stamps = np.array([5, 3, 3], np.int64)
    assert Timing(3, "header", stamps).times is stamps
    calls = []
    late = Timing(3, "header", lambda: calls.append(1) or stamps)
    assert late.stamped
    assert calls == []
    assert late.times is stamps
    assert late.times is stamps
    assert calls == [1]


@pytest.mark.parametrize("stamps", [np.zeros(2, np.int64), np.zeros(3), np.zeros((3, 1), np.int64), [0, 1]])
def test_stamps_of_another_shape_or_type(stamps: Any) -> None:
    one = toy.stream("imu", np.zeros(3), stamps, where=lambda: {"file": "log", "episode": 7})
    with pytest.raises(DataError, match=r"log, episode 7, imu: has .* stamps") as caught:
        _ = one.times
    assert (caught.value.file, caught.value.episode, caught.value.key) == ("log", 7, "imu")


def test_an_unknown_rate_names_the_episode_and_the_stream() -> None:
    one = toy.stream("state", np.zeros(3), where=lambda: {"episode": "e7"})
    assert one.clock == "index"
    with pytest.raises(DataError, match=r"episode e7, state: has no stamps .*control_hz") as caught:
        _ = one.times
    assert (caught.value.episode, caught.value.key) == ("e7", "state")


def test_what_stamps_raise_with_a_place_is_left_alone() -> None:
    def bad() -> Any:
        raise fault("cut off", file="a", key="other")

    def shape() -> Any:
        raise ValueError("no DataError")

    with pytest.raises(DataError, match=r"^a, other: cut off$"):
        _ = toy.stream("imu", np.zeros(3), bad, where=lambda: {"episode": 1}).times
    with pytest.raises(ValueError, match="no DataError"):
        _ = toy.stream("imu", np.zeros(3), shape).times


@pytest.mark.parametrize("rate", [0, -1, 0.0, float("nan"), float("inf"), -float("inf"), 1e-300])
def test_rates_that_cannot_be(rate: Any) -> None:
    with pytest.raises(DataError, match="which cannot be"):
        Timing(2, rate=rate)


def test_counts_that_cannot_be() -> None:
    with pytest.raises(DataError, match="-1 samples"):
        Timing(-1)


@pytest.mark.parametrize("count, rate, start", [(10**7, 1e-3, 0), (2, 1, 2**63 - 10**9), (3, 1, -(2**63))])
def test_more_time_than_there_is(count: int, rate: float, start: int) -> None:
    with pytest.raises(DataError, match="more time than"):
        _ = Timing(count, rate=rate, start=start).times


def test_a_rate_of_many_digits_does_not_overflow() -> None:
    rate = Fraction(999_999_999_989, 999_983)  # the product of a million steps and the rest of its period passes int64
    times = Timing(10**7 // 2, rate=rate).times
    for k in (1, 3_000_001, 10**7 // 2 - 1):
        assert times[k] == (k * 10**9 / rate + Fraction(1, 2)).__floor__()
