"""What RunningStats and normalize must give: fractions, sorted lists and one rounding at the end."""

import math
from fractions import Fraction

import numpy as np


def samples(values, valid=None):
    """Finite samples of each feature [N, D] as sorted fractions, and how many were not finite; 64-bit integers are
    rounded to float64 first."""
    kept = np.ones(values.shape, bool) if valid is None else np.broadcast_to(valid, values.shape)
    found, strange = [], []
    for f in range(values.shape[1]):
        numbers = [float(v) for v, k in zip(values[:, f], kept[:, f], strict=True) if k]
        finite = [v for v in numbers if math.isfinite(v)]
        found.append(sorted(Fraction(v) for v in finite))
        strange.append(len(numbers) - len(finite))
    return found, strange


def rounded(number):
    """The nearest float64."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def mean(numbers):
    return rounded(sum(numbers) / len(numbers)) if numbers else math.nan


def variance(numbers, ddof=0):
    """Around the exact mean, as a fraction; None without samples enough."""
    if not numbers or len(numbers) <= ddof:
        return None
    middle = sum(numbers) / Fraction(len(numbers))
    return sum((x - middle) ** 2 for x in numbers) / (len(numbers) - ddof)


def is_root(number, exact):
    """Whether a float64 is the one nearest to the root of a fraction."""
    if math.isinf(number):
        return exact > Fraction(np.finfo(np.float64).max) ** 2
    low, high = (Fraction(rounded(np.nextafter(number, end))) if number else Fraction(0) for end in (-np.inf, np.inf))
    if number == 0:
        return exact <= Fraction(1, 2**2150)
    below, above = (Fraction(number) + low) / 2, (Fraction(number) + high) / 2
    return below**2 <= exact <= above**2


def quantile(numbers, q):
    """NumPy's "linear" quantile as a fraction, and the larger magnitude of the two samples it lies between."""
    rank = Fraction(q) * (len(numbers) - 1)
    k = math.floor(rank)
    a, b = numbers[k], numbers[min(k + 1, len(numbers) - 1)]
    return a + (b - a) * (rank - k), max(abs(a), abs(b))


def normalized(x, first, second, mode, low, high, constant):
    """One value as a fraction, from the statistics as fractions: mean and std, or two bounds."""
    x = Fraction(x)
    scale = second if mode == "mean_std" else second - first
    if scale == 0:
        if constant == "keep":
            return x
        return x - first + {"zero": 0, "lower": Fraction(low), "middle": (Fraction(low) + Fraction(high)) / 2}[constant]
    share = (x - first) / scale
    return share if mode == "mean_std" else share * (Fraction(high) - Fraction(low)) + Fraction(low)
