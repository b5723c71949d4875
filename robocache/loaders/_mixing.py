"""Shares of several sources in a stream of samples, and whose turn it is at any place of it."""

from collections.abc import Sequence
from fractions import Fraction
from math import gcd, lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import checks
from .._core.errors import ArgumentError

PERIOD = 1 << 20  # places after which turns repeat, at most


class Turns:
    """A stream in which every source keeps its share: after any number of samples, rounded up or down.

    Parameters
    ----------
    weights : sequence of float
        Not negative; only their ratios count.

    Attributes
    ----------
    shares : NumPy array of int64
        Turns of every source in a period. They are the weights exactly, if a period of 2**20 holds them (0.7 and 0.3
        are 7 and 3 of 10), else the nearest that it holds.
    period : int
        Places after which the turns repeat.
    """

    def __init__(self, weights: Sequence[float]) -> None:
        from ..cpu._shuffle import deal

        self.shares = shares_of(weights)
        self.period = int(self.shares.sum())
        self._source = np.empty(self.period, np.int32)
        self._turn = np.empty(self.period, np.int64)
        deal(self.shares, self._source, self._turn)

    def at(self, first: int, step: int, count: int) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
        """Source at the places ``first + k * step``, and which of its own samples that is."""
        period, place = divmod(first, self.period)
        turned: Any
        turned, at = np.divmod(place + np.arange(count, dtype=np.int64) * step, self.period)
        source = self._source[at]
        own: NDArray[np.int64] = self._turn[at] + (turned + period) * self.shares[source]
        return source, own

    def until(self, counts: Sequence[int]) -> int:
        """Samples until every source that has a share has had ``counts`` of its own."""
        order = np.argsort(self._source, kind="stable")
        begin = np.cumsum(self.shares) - self.shares
        most = 0
        for source, (count, share) in enumerate(zip(counts, self.shares.tolist(), strict=True)):
            if share and count:
                periods, turn = divmod(count - 1, share)
                most = max(most, periods * self.period + int(order[begin[source] + turn]) + 1)
        return most


def shares_of(weights: Sequence[float]) -> NDArray[np.int64]:
    """Whole shares in the ratio of the weights, of which the sum is at most ``PERIOD``."""
    parts = [_fraction(f"weights[{at}]", weight) for at, weight in enumerate(weights)]
    if not any(parts):
        raise ArgumentError(f"weights={list(weights)!r} are all zero; give at least one source a share")
    scale = lcm(*(part.denominator for part in parts))
    whole = [int(part * scale) for part in parts]
    common = gcd(*whole)
    whole = [number // common for number in whole]
    total = sum(whole)
    if total > PERIOD:
        whole = _rounded(whole, total)
    return np.array(whole, np.int64)


def _fraction(name: str, weight: Any) -> Fraction:
    """The simple fraction that a float stands for, such as 1/3, or the float itself."""
    number = checks.finite(name, weight)
    if number < 0:
        raise ArgumentError(f"{name}={weight!r} must not be negative")
    simple = Fraction(number).limit_denominator(PERIOD)
    return simple if float(simple) == number else Fraction(number)


def _rounded(whole: list[int], total: int) -> list[int]:
    """``PERIOD`` places by largest remainders."""
    parts = [divmod(number * PERIOD, total) for number in whole]
    shares = [part for part, _ in parts]
    order = sorted(range(len(whole)), key=lambda at: -parts[at][1])
    for at in order[: PERIOD - sum(shares)]:
        shares[at] += 1
    if starved := [at for at, number in enumerate(whole) if number and not shares[at]]:
        raise ArgumentError(
            f"weights: source {starved[0]} would get less than one sample in {PERIOD}; raise its weight, or give it 0"
        )
    return shares


__all__ = ["PERIOD", "Turns", "shares_of"]
