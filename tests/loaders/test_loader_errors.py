"""Samples that cannot be read: named, or skipped and counted; nothing else changes."""

import traceback
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaders.arrays import Arrays, numbers

import robocache as rc
from robocache.errors import BackendError, DataError, MemoryLimitError


class Holed(Arrays):
    """Some steps of ``state`` cannot be read."""

    bad: frozenset[int] = frozenset()
    error: Any = DataError("torn")

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        if name == "state" and self.bad & set(np.asarray(rows).ravel().tolist()):
            self.fail()
        return super().gather(name, rows, out)

    def fail(self) -> None:
        raise self.error


def holed(bad: Any, error: Any = None, lengths: Any = (9, 7), name: str = "holed") -> Holed:
    plain = numbers(1, lengths)
    source = Holed(lengths, plain.values, name=name)
    source.bad = frozenset(bad)
    if error is not None:
        source.error = error
    return source


@pytest.mark.parametrize("threads", [1, 3])
def test_an_error_names_source_episode_and_stream(threads: int) -> None:
    source = holed({10})
    with rc.DataLoader([numbers(0, [4], name="good"), source], batch_size=3, threads=threads, shuffle=False) as loader:
        seen = []
        with pytest.raises(DataError, match="holed, episode holed-1, state: cannot be read: torn") as caught:
            seen.extend(batch.item.tolist() for batch in loader)
        assert len(seen) == 4  # 14 windows come before
        error = caught.value
        assert (error.file, error.episode, error.key) == ("holed", "holed-1", "state")
        assert error.__cause__ is source.error
        frames = [frame.name for frame in traceback.extract_tb(error.__cause__.__traceback__)]
        assert frames[-1] == "fail"
        loop = iter(loader)  # it stays where it could not go on
        with pytest.raises(DataError, match="torn"):
            next(loop)
        with pytest.raises(StopIteration):
            next(loop)
        source.bad = frozenset()
        assert len(seen) + len(list(loader)) == len(loader)


@pytest.mark.parametrize("error, kind, said", [
    (OSError("gone"), DataError, "OSError: gone"),
    (MemoryError("full"), MemoryLimitError, "full"),
    (BackendError("no decoder"), BackendError, "no decoder"),
    (ZeroDivisionError("bug"), DataError, "ZeroDivisionError: bug"),
])  # fmt: skip
@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_mistakes_are_not_skipped(error: Any, kind: Any, said: str, on_error: str) -> None:
    with rc.DataLoader(holed({3}, error), batch_size=16, on_error=on_error) as loader:
        if on_error == "skip" and isinstance(error, OSError):
            assert [batch.size for batch in loader] == [15]
        else:
            with pytest.raises(kind, match=said) as caught:
                list(loader)
            assert caught.value.__cause__ is error


@given(st.sets(st.integers(0, 15)), st.integers(1, 7), st.integers(1, 3), st.integers(1, 3))
def test_skipped_samples_are_left_out_and_counted(bad: Any, batch_size: int, threads: int, n_obs: int) -> None:
    source = holed(bad)
    options = {"batch_size": batch_size, "n_obs": n_obs, "drop_last": False, "seed": 3}
    with rc.DataLoader(numbers(1, [9, 7]), **options) as whole:
        expected = []
        for batch in whole:
            each = zip(batch.item.tolist(), batch["state"], _steps(batch, n_obs))
            expected.append([(item, row.tobytes()) for item, row, steps in each if not steps & bad])
    with rc.DataLoader(source, on_error="skip", threads=threads, **options) as loader:
        found = [[(i, row.tobytes()) for i, row in zip(batch.item.tolist(), batch["state"])] for batch in loader]
        stats = loader.stats()
        assert found == [one for one in expected if one]
        assert stats["dropped"] == expected.count([])
        assert stats["skipped"] == 16 - sum(map(len, found)) == len(stats["ledger"])
        assert stats["samples"] == sum(map(len, found))
        assert all((one.source, one.stream, one.message) == ("holed", "state", "torn") for one in stats["ledger"])
        assert loader.state_dict()["sampler"]["epoch"] == 1


def _steps(batch: Any, n_obs: int) -> list[set[int]]:
    """Steps of ``state`` of each sample."""
    ends = np.cumsum([0, 9, 7])
    return [{max(int(ends[e]), int(a) - k) for k in range(n_obs)} for e, a in zip(batch.episode, batch.anchor)]


def test_the_ledger_names_and_is_bounded() -> None:
    with rc.DataLoader(holed(range(300), lengths=[150, 150]), batch_size=7, on_error="skip", shuffle=False) as loader:
        assert list(loader) == []
        stats = loader.stats()
    assert (stats["skipped"], stats["dropped"], len(stats["ledger"])) == (294, 42, 100)
    one = stats["ledger"][42]
    assert (one.source, one.item, one.episode, one.stream, one.message) == ("holed", 42, "holed-0", "state", "torn")


def test_an_error_that_only_many_rows_meet_is_not_skipped() -> None:
    class Crowded(Arrays):
        def gather(self, name: str, rows: Any, out: Any = None) -> Any:
            if rows.size > 4:
                raise DataError("too many at once")
            return super().gather(name, rows, out)

    plain = numbers(0, [20])
    with (
        rc.DataLoader(Crowded([20], plain.values), batch_size=5, on_error="skip") as loader,
        pytest.raises(DataError, match="arrays, state: cannot be read: too many"),
    ):
        list(loader)
