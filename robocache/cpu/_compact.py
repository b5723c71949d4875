"""Points that are kept, counted by blocks: where those of each block go, and how many there are."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from .._core.errors import DataError, DataWarning

BLOCK = 1 << 14  # points a thread takes at a time


class Kept:
    """How many points are kept and where those of a block begin."""

    def __init__(self, counts: np.ndarray, limit: int | None, strict: bool) -> None:
        self.before = np.zeros(counts.size + 1, np.int64)
        np.cumsum(counts, out=self.before[1:])
        self.found = int(self.before[-1])
        self.rows = self.found if limit is None else limit
        self.count = min(self.found, self.rows)
        if self.found > self.rows:
            text = (
                f"there are {self.found} points but max_points={limit}; the last ones were left out. Raise max_points"
            )
            if strict:
                raise DataError(text)
            warnings.warn(text, DataWarning, stacklevel=5)

    def array(self, empty: Callable[..., Any], shape: tuple[int, ...], dtype: Any, fill: int) -> Any:
        """Rows of the result, those past the last point filled."""
        array = empty((self.rows, *shape), np.dtype(dtype))
        array[self.count :] = fill
        return array

    def sizes(self, empty: Callable[..., Any], offsets: np.ndarray) -> dict[str, Any]:
        """The arrays that say how many points there are."""
        found = {}
        for name, value in (("offsets", offsets), ("kept", self.count), ("found", self.found)):
            found[name] = empty(np.shape(value), np.dtype(np.int64))
            found[name][...] = value
        return found
