"""The pace of stamps against counting in Python's integers, and which episodes are looked at."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets._faults import fault
from robocache.datasets.measure import Pace, looked_at, measure, pace, size_on_disk
from robocache.errors import ArgumentError, DTypeError
from tests.datasets import toy

INT64 = st.integers(-(2**63), 2**63 - 1)
NEAR = st.integers(0, 12)  # many duplicates and steps back
STEADY = st.lists(st.integers(95, 105) | st.just(251) | st.just(250), min_size=1).map(
    lambda steps: np.cumsum(steps).tolist()
)
RECORDINGS = st.lists(st.lists(INT64) | st.lists(NEAR) | STEADY, max_size=4)


def obvious(recordings: list[list[int]]) -> Pace:
    """Counted one by one."""
    stamps = [t for recording in recordings for t in recording]
    pairs = [pair for recording in recordings for pair in zip(recording, recording[1:])]
    steps = sorted(b - a for a, b in pairs if b > a)
    again, back = sum(a == b for a, b in pairs), sum(a > b for a, b in pairs)
    if not stamps:
        return Pace(0)
    if not steps:
        return Pace(len(stamps), min(stamps), max(stamps), duplicates=again, unsorted=back)

    def ranked(share: Fraction) -> int:
        """The least interval that so large a share is not above."""
        return next(step for step in steps if Fraction(sum(s <= step for s in steps), len(steps)) >= share)

    period = ranked(Fraction(1, 2))
    gaps = sum(Fraction(step) > Fraction(5, 2) * period for step in steps)
    return Pace(
        len(stamps), min(stamps), max(stamps), period, (ranked(Fraction(1, 4)), ranked(Fraction(3, 4))),
        max(abs(step - period) for step in steps), gaps, steps[-1], again, back,
    )  # fmt: skip


@given(RECORDINGS)
def test_pace_is_what_counting_gives(recordings: list[list[int]]) -> None:
    assert pace([np.array(recording, np.int64) for recording in recordings]) == obvious(recordings)


def test_a_gap_is_longer_than_two_and_a_half_periods() -> None:
    steps = np.array([100, 100, 100, 250, 251, 100, 0, -5], np.int64)
    found = pace([np.cumsum(np.concatenate([[10**18], steps]))])
    assert (found.period, found.gaps, found.longest, found.duplicates, found.unsorted) == (100, 1, 251, 1, 1)
    assert found.rate == 1e7
    assert found.jitter == 150


def test_stamps_of_the_whole_range_do_not_overflow() -> None:
    found = pace([np.array([-(2**63), 2**63 - 1], np.int64)])
    assert found.period == found.longest == 2**64 - 1
    assert found.gaps == 0


@pytest.mark.parametrize("wrong", [np.zeros(3), np.zeros(3, np.int32), np.zeros((2, 2), np.int64)])
def test_other_arrays_are_refused(wrong: np.ndarray) -> None:
    with pytest.raises(DTypeError, match="recordings"):
        pace([wrong])


@given(st.integers(0, 500), st.integers(1, 60))
def test_episodes_looked_at_are_spread(count: int, most: int) -> None:
    found = looked_at(count, most)
    assert len(found) == min(count, most)
    assert sorted(set(found)) == found
    assert set(found) <= set(range(count))
    if count and most > 1:
        assert found[0] == 0
        assert found[-1] == count - 1
        steps = np.diff(found)
        assert steps.size == 0 or steps.max() - steps.min() <= 1


def test_no_episodes_is_a_wrong_call() -> None:
    with pytest.raises(ArgumentError, match="1 or more"):
        looked_at(5, 0)


def test_measure_tells_declared_from_measured(tmp_path: Path) -> None:
    ticks = np.arange(50, dtype=np.int64) * 10_000_000
    bad = toy.stream("imu", np.zeros(3), lambda: np.zeros(2, np.int64), where=lambda: {"episode": "c"})
    episodes = [
        toy.episode("a", toy.stream("imu", np.zeros((50, 6)), ticks), toy.stream("state", np.zeros(9), rate=12.5)),
        toy.episode("b", toy.stream("imu", np.zeros((20, 6)), ticks[:20] * 3, clock="robot")),
        toy.episode("c", bad, toy.stream("late", np.zeros((4, 2), np.int32))),
        fault("cut off", file="x", episode="d"),
    ]
    found, opened, problems = measure(toy.dataset(tmp_path, episodes), 10)
    imu, state, late = found
    assert [one.id for one in opened] == ["a", "b", "c"]
    assert problems == ["x, episode d: cut off"]
    assert imu.pace == obvious([ticks.tolist(), (ticks[:20] * 3).tolist()])
    assert (imu.clocks, imu.rates, imu.episodes, imu.samples) == (("log", "robot"), (), 3, 73)
    assert imu.problems == ("episode c, imu: has (2,) stamps of int64 for 3 samples",)
    assert (state.pace, state.rates, state.clocks) == (None, (12.5,), ("index",))
    assert (late.pace, late.rates, late.samples) == (None, (), 4)


def test_measure_reads_no_sample(tmp_path: Path) -> None:
    def never() -> np.ndarray:
        raise AssertionError("a sample was read")

    one = toy.stream("imu", np.zeros(5), np.arange(5))
    one.source = toy.Values(never)
    assert measure(toy.dataset(tmp_path, [toy.episode(0, one)]))[0][0].samples == 5


def test_size_on_disk(tmp_path: Path) -> None:
    (tmp_path / "set" / "deep").mkdir(parents=True)
    (tmp_path / "set" / "a").write_bytes(bytes(1000))
    (tmp_path / "set" / "deep" / "b").write_bytes(bytes(24))
    (tmp_path / "blob").write_bytes(bytes(500))
    (tmp_path / "set" / "link").symlink_to(tmp_path / "blob")
    (tmp_path / "set" / "round").symlink_to(tmp_path)
    (tmp_path / "set" / "broken").symlink_to(tmp_path / "nothing")
    assert size_on_disk(tmp_path / "set") == (3, 1524)
    assert size_on_disk(tmp_path / "blob") == (1, 500)
