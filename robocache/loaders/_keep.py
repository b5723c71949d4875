"""Items of the sources to choose from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, PositionError, ShapeError


def chosen(sizes: Sequence[int], keep: Sequence[Any] | None) -> list[NDArray[Any] | None]:
    """Numbers of the items to choose from, in the smallest type that holds them."""
    if keep is None:
        return [None] * len(sizes)
    if len(keep) != len(sizes):
        raise ShapeError(
            f"keep has {len(keep)} entries for {len(sizes)} sources; give one for each, None for all items"
        )
    return [None if wish is None else _numbers(f"keep[{at}]", wish, sizes[at]) for at, wish in enumerate(keep)]


def _numbers(name: str, wish: Any, size: int) -> NDArray[Any]:
    found = np.asarray(wish)
    if found.dtype == bool:
        if found.shape != (size,):
            raise ShapeError(f"{name}: a mask of shape {found.shape} for {size} items")
        found = np.flatnonzero(found)
    elif found.ndim != 1 or (found.size and found.dtype.kind not in "iu"):
        raise ShapeError(f"{name}: expected a 1-D array of bool or int, got {found.dtype} {found.shape}")
    elif found.size and not (int(found.min()) >= 0 and int(found.max()) < size):
        raise PositionError(f"{name}: an item outside 0 to {size - 1}; there are {size}")
    elif np.unique(found).size != found.size:
        raise ArgumentError(f"{name}: an item is there twice; weights give a source more samples")
    kept: NDArray[Any] = found.astype(np.min_scalar_type(max(size - 1, 0)))
    return kept


__all__ = ["chosen"]
