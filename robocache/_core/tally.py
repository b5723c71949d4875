"""How statistics are gathered: one row of 64-bit words a feature, and a histogram beside it.

A finite sample is ±M·2**e with an integer M. Its sum and that of its square are integers of many digits of 32 bits, one
in each word, so adding is exact and no order shows. The words of a feature are: count, NaN and Inf, least and largest
code, the digits of the sum, the digits of the sum of squares. A code is the bits of the magnitude, with its sign.

Buckets of the histogram hold magnitudes with equal exponent and equal leading ``bits`` of the fraction; the middle one
is zero, those of negative numbers lie before it.
"""

from typing import NamedTuple

import numpy as np

from . import dtypes

COUNT, STRANGE, LOW, HIGH, SUM = range(5)
NONE_LOW, NONE_HIGH = 2**63 - 1, -(2**63)  # codes where there was no sample
MOST_ROWS = 1 << 28  # samples of a feature after which digits must be carried, or 64 bits could overflow
HISTOGRAM_BYTES = 1 << 32  # most memory of the histograms of one type of values


class Form(NamedTuple):
    """Layout for values that float32 holds, or for those that need float64."""

    dtype: np.dtype
    least: int  # exponent of the least subnormal
    binades: int
    origin: int  # exponent of the first digit of the sum; that of the squares is twice as low
    sum_digits: int
    square_digits: int

    @property
    def square(self) -> int:
        """First digit of the sum of squares."""
        return SUM + self.sum_digits

    @property
    def words(self) -> int:
        """Words a feature."""
        return self.square + self.square_digits

    def buckets(self, bits: int) -> int:
        """Buckets a feature."""
        return 2 * (self.binades << bits) + 1 if bits else 0


NARROW = Form(dtypes.float32, -149, 277, -160, 10, 19)
WIDE = Form(dtypes.float64, -1074, 2098, -1088, 67, 133)


def form_of(dtype: np.dtype) -> Form:
    """Layout for values of a type. 64-bit integers become the nearest float64."""
    wide = dtype.itemsize == 8 or (dtype.itemsize == 4 and dtype.kind in "iu")
    return WIDE if wide else NARROW
