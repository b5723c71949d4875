"""The sampler deals what a slow oracle deals, to any number of ranks, and goes on exactly where another was."""

import json
import pickle
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from oracles.sampling import order

from robocache.errors import PositionError
from robocache.loaders import Sampler
from robocache.loaders._mixing import PERIOD, Turns, shares_of

Items = list[tuple[int, int]]


@dataclass
class Case:
    """What a sampler is made of, but for rank, world and batch."""

    sizes: list[int]
    options: dict[str, Any]
    epoch: int

    def make(self, batch_size: int, **more: Any) -> Sampler:
        return Sampler(self.sizes, batch_size, **self.options, **more)

    def expected(self) -> Items:
        """All samples of the epoch."""
        keep = self.options.get("keep") or [None] * len(self.sizes)
        kept = [list(range(n)) if k is None else np.arange(n)[k].tolist() for n, k in zip(self.sizes, keep)]
        weights = self.options.get("weights")
        samples = self.make(1).samples
        told = {key: self.options[key] for key in ("seed", "shuffle")}
        found = order([len(k) for k in kept], self.epoch, shares=weights, samples=samples, **told)
        return [(s, kept[s][at]) for s, at in found]


@st.composite
def cases(draw: Any) -> Case:
    many = draw(st.integers(1, 4))
    weighted = draw(st.booleans())
    sizes = draw(st.lists(st.integers(1 if weighted else 0, 12), min_size=many, max_size=many))
    options: dict[str, Any] = {"shuffle": draw(st.booleans()), "seed": draw(st.integers(0, 2**64 - 1))}
    if weighted:
        coprime = st.lists(st.integers(0, 5), min_size=many, max_size=many).filter(lambda w: np.gcd.reduce(w) == 1)
        options["weights"] = draw(coprime)
        options["epoch_size"] = draw(st.none() | st.integers(1, 40))
    if draw(st.booleans()):
        masks = [draw(st.none() | st.lists(st.booleans(), min_size=n, max_size=n).filter(any)) if n else None
                 for n in sizes]  # fmt: skip
        options["keep"] = [None if mask is None else np.array(mask) for mask in masks]
    return Case(sizes, options, draw(st.integers(0, 3)))


def together(case: Case, ranks: list[Sampler], start: int = 0) -> Items:
    """What all ranks get from a step on, in the order of one."""
    world, found = len(ranks), {}
    for rank, sampler in enumerate(ranks):
        own: Items = []
        for step in range(start, sampler.steps(case.epoch)):
            picked = sampler.batch(case.epoch, step)
            assert picked.source.dtype == np.int32
            assert picked.item.dtype == np.int64
            assert len(picked.item) == sampler.batch_size or step == sampler.steps(case.epoch) - 1
            own += zip(picked.source.tolist(), picked.item.tolist())
        found |= {k * world + rank: sample for k, sample in enumerate(own)}
    assert sorted(found) == list(range(len(found)))
    return [found[k] for k in range(len(found))]


sizes_of_batches, worlds = st.integers(1, 5), st.integers(1, 4)


@given(case=cases(), batch=sizes_of_batches, world=worlds, drop=st.booleans())
def test_ranks_share_out_what_the_oracle_orders(case: Case, batch: int, world: int, drop: bool) -> None:
    ranks = [case.make(batch, rank=rank, world_size=world, drop_last=drop) for rank in range(world)]
    want = case.expected()
    if drop:
        assert len({len(sampler) for sampler in ranks}) == 1
        want = want[: len(want) // (batch * world) * batch * world]
    assert together(case, ranks) == want
    assert ranks[0].samples == len(case.expected())


@given(
    case=cases(), before=st.tuples(sizes_of_batches, worlds), after=st.tuples(sizes_of_batches, worlds),
    drop=st.booleans(), data=st.data(),
)  # fmt: skip
def test_resuming_with_other_batches_and_another_world_loses_and_repeats_nothing(
    case: Case, before: tuple[int, int], after: tuple[int, int], drop: bool, data: Any
) -> None:
    batch, world = before
    first = [case.make(batch, rank=rank, world_size=world, drop_last=drop) for rank in range(world)]
    least = min(sampler.steps(case.epoch) for sampler in first)
    step = data.draw(st.integers(0, least))
    states = [json.loads(json.dumps(sampler.state_dict(case.epoch, step))) for sampler in first]
    assert all(state == states[0] for state in states)
    want, had = case.expected(), step * batch * world
    batch, world = after
    second = [case.make(batch, rank=rank, world_size=world, drop_last=drop) for rank in range(world)]
    places = {sampler.resume(states[0]) for sampler in second}
    assert len(places) == 1
    epoch, start = places.pop()
    if epoch != case.epoch:  # what is left fills no batch, before or after
        assert epoch == case.epoch + 1
        assert start == 0
        left = len(want) - had
        assert left < max(before[0] * before[1], batch * world) if drop else left <= 0
        return
    rest = want[had:]
    if drop:
        rest = rest[: len(rest) // (batch * world) * batch * world]
    assert together(case, second, start) == rest
    if start < second[0].steps(epoch):  # and once more, from within the epoch that was resumed
        again = second[0].state_dict(epoch, start + 1)
        if again["epoch"] == epoch:
            assert again["delivered"] == min(had + batch * world, len(want))


@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("options", [{}, {"weights": [3, 1]}])
def test_every_step_can_be_resumed_by_every_world(options: dict[str, Any], drop: bool) -> None:
    case = Case([31, 10], options | {"seed": 5, "shuffle": True}, 1)
    want = case.expected()
    pairs = [(1, 1), (2, 1), (3, 2), (4, 3), (5, 2), (7, 1)]
    made = {(b, w): [case.make(b, rank=r, world_size=w, drop_last=drop) for r in range(w)] for b, w in pairs}
    within = 0
    for before in pairs:
        for step in range(min(sampler.steps(1) for sampler in made[before])):
            state, had = made[before][0].state_dict(1, step), step * before[0] * before[1]
            for batch, world in pairs:
                ranks = [case.make(batch, rank=r, world_size=world, drop_last=drop) for r in range(world)]
                epoch, start = {sampler.resume(state) for sampler in ranks}.pop()
                rest = want[had:]
                if drop:
                    rest = rest[: len(rest) // (batch * world) * batch * world]
                assert (epoch, start) == ((1, had // (batch * world)) if rest else (2, 0))
                if rest:
                    assert together(case, ranks, start) == rest
                    within += had % (batch * world) > 0
                assert all(sampler.steps(3) == len(sampler) for sampler in ranks)  # later epochs are cut as ever
    assert within > 100


def test_without_weights_each_item_comes_once_and_the_order_is_new() -> None:
    sampler = Sampler([40, 0, 3], 4, drop_last=False, seed=3)
    epochs = []
    for epoch in (0, 1, 2**62):
        picked = [sampler.batch(epoch, step) for step in range(len(sampler))]
        epochs.append([pair for p in picked for pair in zip(p.source.tolist(), p.item.tolist())])
        assert sorted(epochs[-1]) == [(0, k) for k in range(40)] + [(2, k) for k in range(3)]
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]
    other = Sampler([40, 0, 3], 43, seed=4).batch(0, 0)
    assert list(zip(other.source.tolist(), other.item.tolist())) != epochs[0]


def test_a_seed_means_the_same_order_for_ever() -> None:
    """Written down in 2026: whoever changes them breaks the resuming of every run there is."""
    assert Sampler([10**9], 6, seed=42).batch(3, 10).item.tolist() == [
        454487841,
        456614114,
        751953930,
        673634901,
        755161953,
        632081091,
    ]
    mixed = Sampler([100, 7], 8, weights=[0.7, 0.3], seed=42).batch(1, 2)
    assert list(zip(mixed.source.tolist(), mixed.item.tolist())) == [
        (0, 69),
        (1, 0),
        (0, 23),
        (0, 40),
        (1, 6),
        (0, 1),
        (0, 31),
        (1, 4),
    ]


def test_a_source_that_is_used_up_begins_anew_in_another_order() -> None:
    sampler = Sampler([5, 300], 60, weights=[1, 1], seed=8, epoch_size=120)
    items = np.concatenate([sampler.batch(epoch, step).item[sampler.batch(epoch, step).source == 0]
                            for epoch in range(2) for step in range(2)])  # fmt: skip
    walks = items.reshape(-1, 5)
    assert len(walks) == 24
    assert (np.sort(walks, axis=1) == np.arange(5)).all()
    assert len({tuple(walk) for walk in walks.tolist()}) > 10


@pytest.mark.parametrize("sizes, weights, samples", [
    ([10, 1000], [0.5, 0.5], 2000), ([10, 1000], [1, 100], 1010), ([7, 5, 3], [7, 5, 3], 15), ([4, 9], [1, 0], 4),
    ([1, 1], [1, 1e-3], 1001),
])  # fmt: skip
def test_an_epoch_of_a_mixture_shows_every_source_whole(sizes: list[int], weights: list[float], samples: int) -> None:
    sampler = Sampler(sizes, 1, weights=weights)
    assert abs(sampler.samples - samples) <= 1 / min(w / sum(weights) for w in weights if w)
    whole = Sampler(sizes, sampler.samples, weights=weights).batch(0, 0)
    for source, size in enumerate(sizes):
        assert len(set(whole.item[whole.source == source].tolist())) == (size if weights[source] else 0)
    short = whole.source[:-1], whole.item[:-1]  # one less, and something is missing
    seen = [len(set(short[1][short[0] == s].tolist())) for s in range(len(sizes))]
    assert seen != [size if weight else 0 for size, weight in zip(sizes, weights)]


@settings(max_examples=15)  # a period of a million places is made each time
@given(st.lists(st.just(0.0) | st.floats(0.001, 10), min_size=2, max_size=5).filter(any), st.integers(0, 2**40))
def test_any_stretch_of_a_mixture_keeps_the_shares(weights: list[float], first: int) -> None:
    turns = Turns(weights)
    assert turns.period <= PERIOD
    assert np.abs(turns.shares / turns.period - np.array(weights) / sum(weights)).max() < 1.01 / PERIOD
    source, own = turns.at(first, 1, 500)
    for s, share in enumerate(turns.shares.tolist()):
        mine = own[source == s]
        assert (np.diff(mine) == 1).all()
        places = first + np.flatnonzero(source == s)
        off = [k * turns.period - n * share for n, k in zip(places.tolist(), mine.tolist())]
        assert all(-turns.period < e < share for e in off)  # k samples before place n, k + 1 after: less than one off
    assert all(np.array_equal(a, b[::3]) for a, b in zip(turns.at(first, 3, 100), turns.at(first, 1, 300)))


def test_shares_are_the_weights_where_a_period_holds_them() -> None:
    assert shares_of([0.7, 0.2, 0.1]).tolist() == [7, 2, 1]
    assert shares_of([1 / 3, 2 / 3]).tolist() == [1, 2]
    assert shares_of([10, 20, 0]).tolist() == [1, 2, 0]
    assert shares_of([2**0.5, 1]).sum() == PERIOD


@pytest.mark.parametrize("size", [2**62, 2**40 + 1])
def test_as_many_items_as_can_be(size: int) -> None:
    sampler = Sampler([size], 64, world_size=7, rank=6)
    picked = sampler.batch(5, len(sampler) - 1)
    assert len(set(picked.item.tolist())) == 64
    assert picked.item.min() >= 0
    assert picked.item.max() < size
    mixed = Sampler([size // 4, 3], 64, weights=[0.5, 0.5])
    assert len(mixed) == (size // 4 * 2 - 1) // 64 or len(mixed) == size // 4 * 2 // 64
    assert set(mixed.batch(0, len(mixed) - 1).source.tolist()) == {0, 1}
    with pytest.raises(PositionError, match="63 bits"):
        mixed.batch(2**62, 0)


def test_nothing_to_sample() -> None:
    for sampler in (Sampler([0], 1, drop_last=False), Sampler([0, 0], 1), Sampler([3], 4)):
        assert len(sampler) == 0
        with pytest.raises(PositionError, match="has 0 batches"):
            sampler.batch(0, 0)
        assert sampler.resume(sampler.state_dict(7, 0)) == (8, 0)


def test_items_to_keep_by_number() -> None:
    numbers = np.array([30_000, 5, 7])
    sampler = Sampler([40_000, 2], 3, shuffle=False, keep=[numbers, [True, False]], drop_last=False)
    assert sampler.sizes == (3, 1)
    assert sampler.batch(0, 0).item.tolist() == [30_000, 5, 7]
    assert sampler.batch(0, 1).item.tolist() == [0]


def test_a_copy_in_another_process_deals_the_same() -> None:
    sampler = Sampler([50, 7], 8, weights=[0.3, 0.7], seed=9)
    first = sampler.batch(3, 1)
    again = pickle.loads(pickle.dumps(sampler)).batch(3, 1)
    assert np.array_equal(first.item, again.item)
    assert np.array_equal(first.source, again.source)
