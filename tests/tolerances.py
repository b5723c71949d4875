"""The one tolerance table. A test may ask for less, never for more.

Linear values are measured in units in the last place of the larger of the two samples; everything else (nearest,
previous, next, exact hits, fills, validity, age, integers) must be equal bit for bit.

Where the numbers come from, with u half a unit of the larger sample: rounding b - a costs at most u at its half
weight, rounding the weight at most 2 u, rounding the result at most u; but opposite signs make the result small, and
the sum is largest, 3.5 u, where samples of opposite sign have weights 1/4 and 3/4. 16-bit types compute in float32 and
then round once. Outside the range the result counts as a sample.
"""

from typing import Any

import ml_dtypes
import numpy as np

bfloat16 = np.dtype(ml_dtypes.bfloat16)
DIGITS = {"float16": (10, -14), "bfloat16": (7, -126), "float32": (23, -126), "float64": (52, -1022)}

ULPS = {"float16": 0.501, "bfloat16": 0.501, "float32": 1.751, "float64": 1.751}
OUTSIDE_ULPS = {"float16": 0.502, "bfloat16": 0.502, "float32": 7.0, "float64": 7.0}  # extrapolated


def ulp(size: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A unit in the last place of ``size`` in ``dtype``, as float64."""
    digits, least = DIGITS[np.dtype(dtype).name]
    size = np.asarray(size, np.float64)
    exponent = np.where(size == 0, least, np.frexp(np.where(np.isfinite(size), size, 1.0))[1] - 1)
    return np.ldexp(1.0, np.maximum(exponent, least) - digits)


def same_bits(got: np.ndarray, expected: np.ndarray) -> bool:
    """Equal type, shape and bits; every NaN equals every other."""
    if got.dtype != expected.dtype or got.shape != expected.shape:
        return False
    if got.dtype.kind in "mM":
        got, expected = got.view(np.int64), expected.view(np.int64)
    if got.dtype.kind in "iub":
        return bool((got == expected).all())
    nan = np.isnan(got.astype(np.float64))
    if not (nan == np.isnan(expected.astype(np.float64))).all():
        return False
    raw = np.dtype(f"u{got.itemsize}")
    return bool((np.ascontiguousarray(got).view(raw) == np.ascontiguousarray(expected).view(raw))[~nan].all())


def error_in_ulps(got: np.ndarray, exact: np.ndarray, larger: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Distance to the exact value in units of the larger sample; NaN and Inf count as 0 where right, else as inf."""
    with np.errstate(invalid="ignore", over="ignore"):
        held, exact = np.asarray(got).dtype, np.asarray(exact, np.float64)
        got = np.asarray(got).astype(np.float64)
        rounded = exact.astype(held).astype(np.float64)
        exact = np.where(np.isinf(rounded), rounded, exact)  # too large for the type of the result
        finite = np.isfinite(got) & np.isfinite(exact)
        distance = np.abs(np.where(finite, got - exact, 0.0)) / ulp(larger, dtype)
    same = (got == exact) | (np.isnan(got) & np.isnan(exact))
    return np.where(finite, distance, np.where(same, 0.0, np.inf))


# Rotations: what a number may be off, in eps of its type times its size (or 1 if that is less). Chains of sums and
# products of numbers up to 1, sine, cosine and arc tangent, measured at most at 13; 16-bit types compute in float32 and
# round once. A matrix that is off a rotation by its own rounding may be read in more than one way, by so many eps more.
ROTATION_EPS = {"float16": 0.503, "bfloat16": 0.501, "float32": 16.0, "float64": 16.0}
MATRIX_EPS = 4.0


def eps(dtype: np.dtype) -> float:
    """Distance from 1 to the next number of a type."""
    return float(np.ldexp(1.0, -DIGITS[np.dtype(dtype).name][0]))


# Curves: units of the arithmetic's precision (2**-23, 2**-52) in the largest number that goes into a value, besides
# the one rounding of 16-bit results. The slerp of float64 takes the chord for the arc under 1e-4 rad.
CURVES = {"cubic": 16, "pchip": 16, "akima": 16, "catmull_rom": 16, "slerp": 16, "angle": 16, "mean": 16}


def curve_error(got: np.ndarray, exact: np.ndarray, scale: np.ndarray, dtype: np.dtype, period: float | None) -> Any:
    """Distance to the exact value in units of the scale, round the period where there is one; NaN must be NaN."""
    wide = dtype == np.float64
    epsilon, least = (2.0**-52, 2.0**-1022) if wide else (2.0**-23, 2.0**-126)
    with np.errstate(invalid="ignore", over="ignore"):
        most = float(ml_dtypes.finfo(dtype).max)
        got, exact = np.clip(got.astype(np.float64), -most, most), np.clip(exact, -most, most)
        apart = got - exact
        if period is not None:
            apart -= period * np.round(apart / period)
        rounding = 0.501 * ulp(np.maximum(np.abs(exact), np.abs(got)), dtype) if dtype.itemsize == 2 else 0.0
        error = np.maximum(np.abs(apart) - rounding - least, 0) / (epsilon * np.maximum(scale, least))
    both = np.isnan(got) & np.isnan(exact)
    return np.where(both, 0.0, np.where(np.isnan(error), np.inf, error))
