"""What is known of all samples so far, as exact integers on the host; ``RunningStats`` shows it."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import tally
from .._core.tally import NARROW, WIDE, Form

UNIT = -WIDE.origin  # sums are integers in units of 2**-UNIT, sums of squares in units of 2**-(2 UNIT)


@dataclass
class Total:
    """State of one set of features, laid out flat. Any order of absorbing and joining ends in equal states.

    Buckets are numbered -n … n as in ``tally.WIDE``; places are feature * span + bucket, sorted, and numbers say how
    many samples each holds.
    """

    bits: int  # leading bits of the fraction that a bucket keeps; 0: there are no buckets
    count: Any
    strange: Any
    low: Any
    high: Any
    sums: list[int]
    squares: list[int]
    places: Any
    numbers: Any

    @property
    def span(self) -> int:
        """Numbers between the same bucket of two features."""
        return WIDE.buckets(self.bits)

    def absorb(self, form: Form, words: Any, places: Any, numbers: Any) -> None:
        """Take what a backend has gathered: words [D, W], buckets counted feature by feature and how many are there."""
        self.count += words[:, tally.COUNT]
        self.strange += words[:, tally.STRANGE]
        seen = words[:, tally.COUNT] > 0
        self.low[seen] = np.minimum(self.low[seen], values_of(words[seen, tally.LOW], form))
        self.high[seen] = np.maximum(self.high[seen], values_of(words[seen, tally.HIGH], form))
        raised = UNIT + form.origin
        for f in np.flatnonzero(seen).tolist():
            self.sums[f] += _whole(words[f, tally.SUM : form.square]) << raised
            self.squares[f] += _whole(words[f, form.square :]) << 2 * raised
        if self.bits and len(places):
            features, buckets = np.divmod(places, form.buckets(self.bits))
            buckets = buckets - (form.binades << self.bits)
            buckets = buckets + np.sign(buckets) * ((form.least - WIDE.least) << self.bits)
            self.places = np.concatenate([self.places, features * self.span + buckets + self.span // 2])
            self.numbers = np.concatenate([self.numbers, numbers])
            self._sort()

    def join(self, other: "Total") -> None:
        """Take all of another one."""
        self.count += other.count
        self.strange += other.strange
        self.low, self.high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        self.sums = [a + b for a, b in zip(self.sums, other.sums, strict=True)]
        self.squares = [a + b for a, b in zip(self.squares, other.squares, strict=True)]
        bits = min(self.bits, other.bits)
        other = other.copy()
        self.coarsen(bits)
        other.coarsen(bits)
        self.places = np.concatenate([self.places, other.places])
        self.numbers = np.concatenate([self.numbers, other.numbers])
        self._sort()

    def coarsen(self, bits: int) -> None:
        """Keep fewer bits of the fraction: buckets fall together, as if there never had been more."""
        if bits == self.bits:
            return
        features, buckets = np.divmod(self.places, self.span)
        buckets -= self.span // 2
        less, self.bits = self.bits - bits, bits
        if not bits:
            self.places = self.numbers = np.zeros(0, np.int64)
            return
        buckets = np.sign(buckets) * (((np.abs(buckets) - 1) >> less) + 1)
        self.places = features * self.span + buckets + self.span // 2
        self._sort()

    def _sort(self) -> None:
        if not len(self.places):
            return
        order = np.argsort(self.places, kind="stable")
        places, numbers = self.places[order], self.numbers[order]
        first = np.flatnonzero(np.concatenate([[True], places[1:] != places[:-1]]))
        self.places, self.numbers = places[first], np.add.reduceat(numbers, first)

    def copy(self) -> "Total":
        """Another one with equal state."""
        return Total(
            self.bits, self.count.copy(), self.strange.copy(), self.low.copy(), self.high.copy(),
            list(self.sums), list(self.squares), self.places.copy(), self.numbers.copy(),
        )  # fmt: skip

    def sum(self) -> Any:
        """Exact sums, rounded once."""
        return np.array([ratio(s, 1 << UNIT) for s in self.sums], np.float64)

    def mean(self) -> Any:
        """Exact means, rounded once; NaN without samples."""
        counts = self.count.tolist()
        return np.array([ratio(s, n << UNIT) for s, n in zip(self.sums, counts, strict=True)], np.float64)

    def spread(self, ddof: int, root: bool) -> Any:
        """Exact variances or their roots, rounded once; NaN without samples enough."""
        found = []
        for s, q, n in zip(self.sums, self.squares, self.count.tolist(), strict=True):
            top, bottom = n * q - s * s, n * max(n - ddof, 0) << 2 * UNIT
            found.append((square_root if root else ratio)(top, bottom))
        return np.array(found, np.float64)

    def quantile(self, f: int, q: float) -> float:
        """NumPy's "linear" quantile of feature ``f``, of samples known to their bucket."""
        n = int(self.count[f])
        if n == 0:
            return math.nan
        first, last = np.searchsorted(self.places, [f * self.span, (f + 1) * self.span])
        buckets, numbers = self.places[first:last] - f * self.span - self.span // 2, self.numbers[first:last]
        ends = np.cumsum(numbers)
        rank = q * (n - 1)
        k = min(int(rank), n - 1)
        share = rank - k

        def sample(k: int) -> float:
            if k in (0, n - 1):
                return float(self.low[f] if k == 0 else self.high[f])
            at = int(np.searchsorted(ends, k, "right"))
            low, high = (min(max(e, self.low[f]), self.high[f]) for e in edges(int(buckets[at]), self.bits))
            inside = (k - int(ends[at] - numbers[at]) + 0.5) / int(numbers[at])
            return float(min(low + (high - low) * inside, high))

        low = sample(k)
        return low if share == 0 else between(low, sample(k + 1), share)


def empty(features: int, bits: int) -> Total:
    """What is known before the first sample."""
    counts, none = np.zeros(features, np.int64), np.zeros(0, np.int64)
    low = np.full(features, np.inf)
    return Total(bits, counts, counts.copy(), low, -low, [0] * features, [0] * features, none, none.copy())


def between(low: float, high: float, share: float) -> float:
    """A number from low to high, which grows with the share and is exact where the two are equal."""
    width = high - low
    number = low + width * share if math.isfinite(width) else low * (1 - share) + high * share
    return min(max(number, low), high)


def edges(bucket: int, bits: int) -> tuple[float, float]:
    """Between which values a bucket lies."""
    if bucket == 0:
        return 0.0, 0.0
    binade, fraction = divmod(abs(bucket) - 1, 1 << bits)
    whole, exponent = (1 << bits) + fraction, binade + WIDE.least - bits
    low, high = (ratio(n << max(exponent, 0), 1 << max(-exponent, 0)) for n in (whole, whole + 1))
    return (low, high) if bucket > 0 else (-high, -low)


def values_of(codes: Any, form: Form) -> Any:
    """Values as float64, from codes of ``tally``."""
    magnitude = np.abs(codes)
    bits = magnitude.astype(np.uint32).view(np.float32) if form is NARROW else magnitude.view(np.float64)
    with np.errstate(under="ignore"):
        values = bits.astype(np.float64)
    return np.where(codes < 0, -values, values)


def ratio(top: int, bottom: int) -> float:
    """The nearest float64 to a quotient of integers; infinite where it is too large, NaN over 0."""
    if bottom == 0:
        return math.nan
    try:
        return top / bottom
    except OverflowError:
        return math.inf if top > 0 else -math.inf


def square_root(top: int, bottom: int) -> float:
    """The nearest float64 to the root of a quotient of integers."""
    if bottom == 0 or top == 0:
        return ratio(top, bottom)
    shift = max(0, 130 - top.bit_length() + bottom.bit_length())
    shift += shift & 1
    quotient, rest = divmod(top << shift, bottom)
    root = math.isqrt(quotient)
    inexact = rest != 0 or root * root != quotient  # as one more bit it decides what would look like a tie
    return ratio(2 * root + inexact, 1 << (shift // 2 + 1))


def _whole(digits: Any) -> int:
    """Digits of 32 bits, which may exceed them, as one integer."""
    return sum(int(digits[k]) << (32 * int(k)) for k in np.flatnonzero(digits))
