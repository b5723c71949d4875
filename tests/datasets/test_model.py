"""Episodes and datasets: what is remembered, how steps are counted, splits, arrays in memory, threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets import Dataset, Episode, Span, StepIndex
from robocache.datasets.model import KEPT, Episodes
from robocache.errors import ArgumentError, DataError, PositionError
from tests.datasets import toy

# ---- episodes ------------------------------------------------------------------------------------------------------


def counted(count: int) -> tuple[Episodes, list[int]]:
    """Episodes, and the positions that were made, in turn."""
    made: list[int] = []

    def make(at: int) -> Episode:
        made.append(at)
        return toy.episode(at)

    return Episodes(count, make), made


def test_episodes_are_a_sequence() -> None:
    episodes, made = counted(5)
    assert len(episodes) == 5
    assert made == []
    assert episodes[-1].id == 4
    assert [one.id for one in episodes[1:4]] == [1, 2, 3]
    assert [one.id for one in episodes[::-2]] == [4, 2, 0]
    assert [one.id for one in episodes] == [0, 1, 2, 3, 4]
    assert episodes[np.int64(2)].id == 2
    assert episodes[2] is episodes[2]
    for past in (5, -6, 10**30):
        with pytest.raises(PositionError, match="there are 5"):
            episodes[past]


@given(st.lists(st.integers(0, 2 * KEPT), max_size=300))
def test_the_last_episodes_are_remembered(wanted: list[int]) -> None:
    episodes, made = counted(2 * KEPT + 1)
    kept: list[int] = []  # oldest first
    expected = []
    for at in wanted:
        if at in kept:
            kept.remove(at)
        else:
            expected.append(at)
        kept = [*kept, at][-KEPT:]
        assert episodes[at].id == at
    assert made == expected


def test_an_episode_that_fails_is_tried_again() -> None:
    calls: list[int] = []

    def make(at: int) -> Episode:
        calls.append(at)
        if len(calls) == 1:
            raise DataError("not now")
        return toy.episode(at)

    episodes = Episodes(1, make)
    with pytest.raises(DataError, match="not now"):
        episodes[0]
    assert episodes[0].id == 0


def test_threads_may_ask_for_episodes_at_once() -> None:
    episodes, _ = counted(500)
    start = threading.Barrier(8)

    def ask(seed: int) -> bool:
        wanted = np.random.default_rng(seed).integers(0, 500, 3000)
        start.wait()
        return all(episodes[int(at)].id == at for at in wanted)

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(8)))
    assert len(episodes._kept) <= KEPT + 8


# ---- steps ---------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 5), max_size=12))
def test_steps_are_counted_through(lengths: list[int]) -> None:
    index = StepIndex(lengths)
    expected = [(episode, step) for episode, length in enumerate(lengths) for step in range(length)]
    assert len(index) == len(expected)
    assert [index.locate(k) for k in range(len(index))] == expected
    episodes, steps = index.locate_all(np.arange(len(index))[::-1])
    assert list(zip(episodes.tolist(), steps.tolist())) == expected[::-1]
    for past in (-1, len(index)):
        with pytest.raises(PositionError):
            index.locate(past)
        with pytest.raises(PositionError):
            index.locate_all(np.array([past]))
    assert [part.shape for part in index.locate_all(np.zeros((0,), np.int64))] == [(0,), (0,)]


# ---- datasets ------------------------------------------------------------------------------------------------------


def three(folder: Path, **facts: Any) -> Dataset:
    episodes = [toy.episode(name, length=length) for name, length in (("a", 3), ("b", 0), ("c", 4))]
    return toy.dataset(folder, episodes, splits={"train": range(2), "val": [2, 0], "none": []}, **facts)


def test_a_split_is_a_dataset_of_some_episodes(tmp_path: Path) -> None:
    whole = three(tmp_path)
    val = whole.split("val")
    assert [one.id for one in val] == ["c", "a"]
    assert val.index.lengths.tolist() == [4, 3]
    assert whole.index.lengths.tolist() == [3, 0, 4]
    assert val[0] is whole[2]
    assert {name: list(part) for name, part in val.splits.items()} == {"val": [0, 1]}
    assert len(whole.split("none")) == len(whole.split("none").index) == 0
    assert [one.id for one in val.split("val")] == ["c", "a"]
    with pytest.raises(ArgumentError, match=r"'test' is not there; there are \['none', 'train', 'val'\]"):
        whole.split("test")


def test_lengths_are_asked_for_once_and_late(tmp_path: Path) -> None:
    calls = []
    data = three(tmp_path, lengths=lambda: calls.append(1) or [3, 0, 4])
    assert len(data) == 3
    assert calls == []
    assert data.index is data.index
    assert calls == [1]


def test_a_dataset_closes_what_it_opened(tmp_path: Path) -> None:
    closed = []
    with three(tmp_path, closing=lambda: closed.append(1)) as data:
        assert repr(data).startswith("Dataset(")
    assert closed == [1]
    with pytest.raises(RuntimeError), three(tmp_path, closing=lambda: closed.append(2)):
        raise RuntimeError
    assert closed == [1, 2]


# ---- an episode ----------------------------------------------------------------------------------------------------


def test_an_episode_is_a_mapping_that_reads_late() -> None:
    calls = []

    def language() -> list[Span]:
        calls.append("language")
        return [Span(0, 2, "go"), Span(2, 3, "stop", task="t", source="s")]

    one = toy.episode("e", toy.stream("a", [1, 2]), toy.stream("b", [3]), length=3, language=language,
                      meta=lambda: calls.append("meta") or {"success": True})  # fmt: skip
    assert (list(one), len(one), "a" in one, "x" in one) == (["a", "b"], 2, True, False)
    assert calls == []
    assert one.language == one.language == (Span(0, 2, "go", None, None), Span(2, 3, "stop", "t", "s"))
    assert dict(one.meta) == {"success": True}
    assert one.meta is one.meta
    assert calls == ["language", "meta"]
    with pytest.raises(KeyError):
        one["x"]
    with pytest.raises(TypeError):
        one.streams["a"] = one["b"]  # type: ignore[index]
    assert one != toy.episode("e")
    assert len({one, one, toy.episode("e")}) == 2


def test_arrays_in_memory() -> None:
    arrays = {
        "state": np.arange(8, dtype=np.float32).reshape(4, 2),
        "gray": np.zeros((4, 5, 6, 1), np.uint8),
        "five": np.zeros((4, 5, 6, 5), np.uint8),
        "note": np.array(["a", "bc", "", "d"]),
        "done": np.array([False, False, False, True]),
    }
    one = Episode.from_arrays(7, arrays, rate=12.5, language=[Span(0, 4, "go")], meta={"a": 1})
    assert (one.id, one.length, one.language[0].text, one.meta["a"]) == (7, 4, "go", 1)
    assert {name: stream.kind for name, stream in one.items()} == {
        "state": "vector", "gray": "image", "five": "vector", "note": "text", "done": "vector",
    }  # fmt: skip
    for name, array in arrays.items():
        assert one[name].read().tolist() == array.tolist()
        assert one[name].times.tolist() == [0, 80_000_000, 160_000_000, 240_000_000]
        assert (one[name].clock, one[name].shape) == ("index", array.shape[1:])
        assert one[name].read().dtype == one[name].dtype == (object if name == "note" else array.dtype)


def test_arrays_in_memory_with_stamps() -> None:
    stamps = {"a": np.array([5, 9], np.int64)}
    one = Episode.from_arrays("x", {"a": np.zeros(2), "b": np.zeros(3)}, times=stamps, rate=10, clock="robot")
    assert (one["a"].clock, one["a"].times.tolist(), one["a"].timing.stamped) == ("robot", [5, 9], True)
    assert (one["b"].clock, one["b"].times.tolist(), one["b"].timing.stamped) == ("index", [0, 10**8, 2 * 10**8], False)
    assert one.length is None
    both = Episode.from_arrays("x", {"a": np.zeros(2), "b": np.ones(2)}, times=stamps["a"])
    assert both["a"].times is both["b"].times is stamps["a"]
    with pytest.raises(DataError, match="a: has no stamps and no known rate"):
        _ = Episode.from_arrays("x", {"a": np.zeros(2)})["a"].times
