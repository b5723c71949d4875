"""Depth that was packed into the 12 bits of a gray video."""

import math
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

TOP = 4095


class DepthCode:
    """What the codes 0 to 4095 mean.

    Parameters
    ----------
    low, high : float
        Metres of the codes 0 and 4095.
    shift : float
        Metres added before the logarithm.
    log : bool
        Whether codes are even in the logarithm of depth, or in depth itself.
    """

    def __init__(self, low: float, high: float, shift: float, log: bool) -> None:
        numbers = (low, high, shift)
        if not all(math.isfinite(number) for number in numbers) or not low < high:
            raise ValueError(f"depth from {low} to {high} with shift {shift} cannot be")
        if log and low + shift <= 0:
            raise ValueError(f"depth from {low} with shift {shift} has no logarithm")
        self.low, self.high, self.shift, self.log = float(low), float(high), float(shift), log

    @cached_property
    def table(self) -> NDArray[np.float32]:
        """Metres of every code. Rounded to float32 at the same points as LeRobot does, so the bits are the same."""
        low, high = (math.log(end + self.shift) if self.log else end for end in (self.low, self.high))
        metres = (np.arange(TOP + 1) * ((high - low) / TOP)).astype(np.float32) + np.float32(low)
        if self.log:
            metres = np.exp(metres) - np.float32(self.shift)
        return np.clip(metres, np.float32(self.low), np.float32(self.high))

    def metres(self, codes: NDArray[np.uint16]) -> Any:
        """Float32 metres. Raises ValueError for a code of more than 12 bits."""
        if codes.size and int(codes.max()) > TOP:
            raise ValueError(f"the depth code {int(codes.max())} has more than 12 bits")
        return self.table[codes]


__all__ = ["TOP", "DepthCode"]
