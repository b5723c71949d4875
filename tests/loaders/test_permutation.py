"""Keyed permutations: each number once, the same as an oracle's, invertible, and as even as chance."""

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from oracles.sampling import Permutation, turns
from scipy import stats

from robocache.cpu._shuffle import deal, permute

UNLIKELY = 1e-4  # seeds are fixed, so these tests cannot fail by chance


def permuted(n: int, seed: int, at: Any, walk: int = 0) -> np.ndarray:
    at = np.asarray(at, np.int64)
    item = np.empty(at.size, np.int64)
    permute(np.zeros(at.size, np.int32), at + walk * n, np.array([n]), np.array([seed], np.uint64), item)
    return item


def test_every_number_comes_once() -> None:
    for n in range(1, 400):
        assert np.array_equal(np.sort(permuted(n, n * 7, range(n), n % 3)), np.arange(n)), n
    for n in (2**15 - 1, 2**15, 2**15 + 1, 100_003):
        assert np.array_equal(np.sort(permuted(n, 1, range(n))), np.arange(n)), n


@given(n=st.one_of(st.integers(1, 2000), st.integers(1, 2**62)), seed=st.integers(0, 2**64 - 1), data=st.data())
def test_any_position_is_as_the_oracle_has_it_and_can_be_undone(n: int, seed: int, data: Any) -> None:
    walk = data.draw(st.integers(0, (2**62 - 1) // n))
    at = data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=8))
    oracle, found = Permutation(n, seed, walk), permuted(n, seed, at, walk)
    assert found.tolist() == [oracle.forth(x) for x in at]
    assert [oracle.back(x) for x in found.tolist()] == at


@pytest.mark.parametrize("n", [3, 4, 5])
def test_all_orders_of_few_are_equally_likely(n: int) -> None:
    numbers = {order: k for k, order in enumerate(itertools.permutations(range(n)))}
    walks = 100 * len(numbers)
    found = permuted(n, 12345, range(n * walks)).reshape(walks, n)
    counts = np.bincount([numbers[tuple(order)] for order in found.tolist()], minlength=len(numbers))
    assert stats.chisquare(counts).pvalue > UNLIKELY


@pytest.mark.parametrize("n", [7, 16, 17, 64])
def test_every_number_is_as_likely_at_every_position_and_after_every_other(n: int) -> None:
    walks = 10_000
    found = permuted(n, 99, range(n * walks)).reshape(walks, n)
    counts = np.stack([np.bincount(found[:, k], minlength=n) for k in range(n)])
    off = ((counts - walks / n) ** 2).sum() / (walks / n)
    assert stats.chi2.sf(off, (n - 1) ** 2) > UNLIKELY
    for one, other in ((0, 1), (n // 2, n - 1)):
        pairs = np.bincount(found[:, one] * n + found[:, other], minlength=n * n).reshape(n, n)
        assert stats.chisquare(pairs[~np.eye(n, dtype=bool)]).pvalue > UNLIKELY
    apart = np.bincount(((found[:, 1:] - found[:, :-1]) % n).ravel(), minlength=n)
    assert stats.chisquare(apart[1:]).pvalue > UNLIKELY


@pytest.mark.parametrize("n", [1_000_003, 2**40 + 1, 2**62])
def test_many_numbers_spread_evenly(n: int) -> None:
    """Neighbours land anywhere, and no bit of the answer follows one of the question."""
    count, parts = 200_000, 64
    found = permuted(n, 5, np.arange(count))
    part = (found.astype(np.float64) / n * parts).astype(int)
    if n > 100 * count:  # else the first numbers are a fair share of all, and hit each part alike
        assert stats.chisquare(np.bincount(part, minlength=parts)).pvalue > UNLIKELY
    joint = np.bincount(part[1:] * parts + part[:-1], minlength=parts * parts)
    assert stats.chisquare(joint).pvalue > UNLIKELY
    bits = range((n - 1).bit_length() - 1)
    at = np.arange(count)
    for b in range(17):
        for c in bits:
            even = ((at >> b) ^ (found >> c)) & 1
            assert abs(even.mean() - 0.5) < 5 / np.sqrt(count)


def test_seeds_and_walks_give_orders_that_have_nothing_in_common() -> None:
    n = 10_000
    orders = [permuted(n, seed, range(n), walk) for seed in (0, 1, 2**63) for walk in (0, 1, 2)]
    for one, other in itertools.combinations(orders, 2):
        assert (one == other).sum() < 8  # one is expected
        assert abs(np.corrcoef(one, other)[0, 1]) < 0.05


shares = st.lists(st.integers(0, 60), min_size=1, max_size=12).filter(any)


@given(shares)
def test_turns_are_the_oracles_and_never_off_by_a_sample(given: list[int]) -> None:
    whole = np.array(given)
    source, turn = np.empty(whole.sum(), np.int32), np.empty(whole.sum(), np.int64)
    deal(whole, source, turn)
    assert source.tolist() == turns(given)
    had = np.cumsum(source[:, None] == np.arange(len(given)), axis=0)
    due = np.arange(1, source.size + 1)[:, None] * whole / source.size
    assert (np.abs(had - due) < 1).all()
    assert turn.tolist() == (had[np.arange(source.size), source] - 1).tolist()
