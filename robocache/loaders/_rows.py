"""Rows of a batch sorted by the episodes that they lie in, and what is asked of them and of the result."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, DTypeError, PositionError, ShapeError
from ..ops._outputs import fits


class Share(NamedTuple):
    """The rows of one episode."""

    episode: int
    steps: NDArray[np.int64]  # within the episode, rising, each once
    place: NDArray[np.int64]  # where in the flattened rows they were asked for
    which: NDArray[np.int64]  # of the steps, at each of these places

    def spread(self, samples: Any) -> Any:
        """Samples of the steps, one for each place."""
        return samples if self.steps.size == self.place.size else samples[self.which]


def by_episode(rows: NDArray[np.int64], offsets: NDArray[np.int64]) -> Iterator[Share]:
    """The episodes that some rows lie in."""
    order = np.argsort(rows, axis=None, kind="stable")
    flat = rows.reshape(-1)[order]
    episodes = np.searchsorted(offsets, flat, side="right") - 1
    edges = [0, *(np.flatnonzero(np.diff(episodes)) + 1).tolist(), flat.size] if flat.size else []
    for begin, end in zip(edges[:-1], edges[1:], strict=True):
        episode = int(episodes[begin])
        steps = flat[begin:end] - offsets[episode]
        fresh = np.ones(steps.size, bool)
        np.not_equal(steps[1:], steps[:-1], out=fresh[1:])
        yield Share(episode, steps[fresh], order[begin:end], np.cumsum(fresh) - 1)


def checked(rows: Any, offsets: NDArray[np.int64], flat: bool = False) -> NDArray[np.int64]:
    """Row numbers, each within the source."""
    found = np.asarray(rows)
    if found.dtype.kind not in "iu" and found.size:
        raise DTypeError(f"rows has dtype {found.dtype}; expected int64")
    if flat and found.ndim != 1:
        raise ShapeError(f"rows has shape {found.shape}; expected one dimension")
    if found.size and not (int(found.min()) >= 0 and int(found.max()) < int(offsets[-1])):
        raise PositionError(f"rows: from {int(found.min())} to {int(found.max())}; there are {int(offsets[-1])} steps")
    return found.astype(np.int64, copy=False)


def result(out: Any, rows: NDArray[np.int64], shape: tuple[Any, ...], dtype: np.dtype[Any]) -> Any:
    """What the samples of the rows are written into."""
    full = (*rows.shape, *shape)
    return np.empty(full, dtype) if out is None else fits("out", out, full, dtype)


def edges_of(offsets: Any, samples: int) -> NDArray[np.int64]:
    """Where episodes begin, from 0 up to the number of samples."""
    found = np.asarray(offsets)
    if found.ndim != 1 or not found.size or found.dtype.kind not in "iu":
        raise ShapeError(f"offsets: expected (episodes + 1,) integers, got {found.dtype} {found.shape}")
    found = found.astype(np.int64)
    if found[0] != 0 or found[-1] != samples or (np.diff(found) < 0).any():
        raise ArgumentError(f"offsets must rise from 0 to the {samples} samples; got {found!r}")
    return found


def picked(steps: NDArray[np.int64]) -> Any:
    """Rising steps as `Stream.read` likes them best: a run of neighbours as a slice."""
    first, last = int(steps[0]), int(steps[-1])
    return slice(first, last + 1) if last - first + 1 == steps.size else steps


__all__ = ["Share", "by_episode", "checked", "edges_of", "picked", "result"]
