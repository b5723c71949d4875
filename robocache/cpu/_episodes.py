"""Finding the episode of an item, and refusing positions outside the data."""

from typing import Any

import numpy as np

from .._core.errors import DataError
from ._jit import kernel


@kernel(inline=True)
def episode_of(edges, episodes, item, hint):
    """The last episode whose first item is not after ``item``, most often that of the item before."""
    if edges[hint] <= item:
        if item < edges[hint + 1]:
            return hint
        if hint + 2 <= episodes and edges[hint + 1] <= item < edges[hint + 2]:
            return hint + 1
    low, high = np.int64(0), np.int64(episodes)
    while low < high:
        middle = (low + high) >> 1
        if edges[middle + 1] <= item:
            low = middle + 1
        else:
            high = middle
    return low


def check_found(found: Any, positions: Any, total: int, name: str) -> None:
    """Refuse positions outside the data, by the first of each part."""
    bad = [part[0] for part in found if part[0] >= 0]
    if bad:
        raise DataError(
            f"{name}[{min(bad)}] = {int(positions[min(bad)])} (flattened) lies outside 0 … {total - 1}; "
            f"there are {total}. Negative ones do not count from the end"
        )
