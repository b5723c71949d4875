"""Batches in the memory of the host: those that were filled are handed out themselves."""

from typing import Any

import numpy as np

from .. import interop
from .._core import dtypes
from .batch import Batch
from .budget import remedy
from .fields import Layout
from .filling import Filled
from .ring import Ring


class Host:
    """Slots of NumPy memory, aligned so that JAX takes them without a copy."""

    def __init__(self, layout: Layout, count: int, most: int) -> None:
        self._layout = layout
        self.ring = Ring(self._slot, count, most, remedy(f"the {most} that memory allows"))

    def _slot(self) -> Any:
        return interop.aligned_empty((self._layout.nbytes,), dtypes.uint8)

    def batch(self, number: int, found: Filled) -> Batch:
        """Hand a slot out."""
        return Batch(self._layout, np.asarray(self.ring.lend(number)), found)


__all__ = ["Host"]
