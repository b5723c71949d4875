"""Where a loop goes on: after it was left, in another loader, from any batch, over the ends of epochs."""

import json
import math
from itertools import islice
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaders.arrays import numbers

import robocache as rc
from robocache.errors import ArgumentError, DataError

LENGTHS = [9, 4, 12]


def make(threads: int = 2, **options: Any) -> Any:
    return rc.DataLoader(numbers(5, LENGTHS), **{"batch_size": 4, "seed": 11, "threads": threads, **options})


def names(batches: Any) -> list[Any]:
    return [(batch.source.tolist(), batch.item.tolist(), batch["state"].tobytes()) for batch in batches]


EPOCHS = 3
with make(epochs=EPOCHS) as whole:
    ALL = names(whole)
STEPS = len(whole)


def test_the_whole_stream_is_three_epochs() -> None:
    assert (STEPS, len(ALL)) == (6, 18)
    with make() as loader:
        assert [len(names(loader)) for _ in range(EPOCHS)] == [STEPS] * EPOCHS
    with make() as loader:
        assert [one for _ in range(EPOCHS) for one in names(loader)] == ALL
    with make(epochs=math.inf) as loader:
        assert names(islice(loader, len(ALL))) == ALL


@given(st.integers(0, 17), st.integers(1, 4), st.integers(1, 4), st.integers(1, 5))
def test_any_batch_is_gone_on_from_in_another_loader(stop: int, before: int, after: int, prefetch: int) -> None:
    """What was read ahead and not handed out is read again, and nothing else."""
    with make(before, epochs=EPOCHS, prefetch=prefetch) as loader:
        seen = names(islice(loader, stop))
        state = json.loads(json.dumps(loader.state_dict()))
    assert seen == ALL[:stop]
    with make(after, epochs=math.inf) as other:
        other.load_state_dict(state)
        assert names(islice(other, len(ALL) - stop)) == ALL[stop:]


@given(st.lists(st.integers(1, 7), max_size=6))
def test_a_loop_that_is_left_is_gone_on_with(cuts: list[int]) -> None:
    with make() as loader:
        seen = []
        for cut in cuts:
            seen += names(islice(loader, cut))
            where = loader.state_dict()["sampler"]
            assert where["epoch"] * STEPS + where["delivered"] // where["batch_size"] == len(seen)
            if len(seen) > len(ALL):
                break
        assert seen[: len(ALL)] == ALL[: len(seen)]


def test_one_loop_at_a_time() -> None:
    with make() as loader:
        first = iter(loader)
        one = names([next(first)])
        second = iter(loader)
        with pytest.raises(ArgumentError, match="another one began"):
            next(first)
        assert one + names(second) == ALL[:STEPS]
        with pytest.raises(StopIteration):
            next(second)
        state = loader.state_dict()
        third = iter(loader)
        next(third)
        loader.load_state_dict(state)
        with pytest.raises(ArgumentError, match="a state was loaded"):
            next(third)
        assert names(loader) == ALL[STEPS : 2 * STEPS]
    with pytest.raises(ArgumentError, match="the loader was closed"):
        next(third)
    with pytest.raises(ArgumentError, match="closed"):
        iter(loader)


def test_a_state_of_something_else_is_refused() -> None:
    with make() as loader:
        state = loader.state_dict()
        for wrong, kind, said in (
            ({**state, "format": 2}, ArgumentError, "format 2"),
            ({**state, "sources": ["0"]}, DataError, "content or order"),
            ({**state, "items": {**state["items"], "n_obs": 7}}, ArgumentError, "items"),
            ({}, ArgumentError, "format None"),
        ):
            with pytest.raises(kind, match=said):
                loader.load_state_dict(wrong)
        assert names(loader) == ALL[:STEPS]


def samples(batches: Any) -> list[tuple[int, int]]:
    return [pair for batch in batches for pair in zip(batch.source.tolist(), batch.item.tolist(), strict=True)]


@given(st.integers(0, 12), st.integers(1, 5), st.integers(1, 3), st.booleans())
def test_other_batches_and_ranks_go_on_with_the_very_samples(stop: int, batch: int, world: int, mixed: bool) -> None:
    """Over the end of an epoch too: none twice, none left out, in the order of one rank."""
    options = {"drop_last": False, "source": [numbers(5, LENGTHS), numbers(6, [3, 8])]}
    options |= {"weights": [2, 1], "epoch_size": 25} if mixed else {}

    def loader(**more: Any) -> Any:
        given = {"batch_size": 4, "seed": 11, "threads": 2, "epochs": 2, **options, **more}
        return rc.DataLoader(given.pop("source"), **given)

    with loader() as one:
        everything = samples(one)
    with loader(epochs=math.inf) as one:
        seen = samples(islice(one, stop))
        state = one.state_dict()
    if len(seen) >= len(everything):
        return
    parts = []
    for rank in range(world):
        left = 2 - state["sampler"]["epoch"]
        with loader(batch_size=batch, rank=rank, world_size=world, epochs=left) as own:
            own.load_state_dict(state)
            parts.append(samples(own))
    rest = everything[len(seen) :]
    together = sorted(pair for part in parts for pair in part)
    assert together == sorted(rest)
