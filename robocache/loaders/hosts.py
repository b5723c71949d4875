"""Batches in the memory of the host: those that were filled are handed out themselves."""

from typing import Any

import numpy as np

from .. import interop
from .._core import dtypes
from .batch import Batch
from .budget import remedy
from .filling import Filled
from .layout import Layout
from .ring import Ring
from .segments import Segment


class Host:
    """Slots of NumPy memory or of a shared segment, aligned so that JAX takes them without a copy."""

    def __init__(self, layout: Layout, count: int, most: int, segment: Segment | None = None) -> None:
        self._layout = layout
        make, drop = (self._slot, None) if segment is None else (segment.take, segment.drop)
        self.ring = Ring(make, count, most, remedy(f"the {most} that memory allows"), drop)

    def _slot(self) -> Any:
        return interop.aligned_empty((self._layout.nbytes,), dtypes.uint8)

    def batch(self, number: int, found: Filled) -> Batch:
        """Hand a slot out."""
        return Batch(self._layout, np.asarray(self.ring.lend(number)), found)


__all__ = ["Host"]
