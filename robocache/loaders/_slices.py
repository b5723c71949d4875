"""The samples around the steps that are asked for, packed, and what becomes of them where they lie."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..ops.fusion import fuse_multimodal
from ..ops.records import Stream


class Slices(NamedTuple):
    r"""The samples of a stream that some steps are made of, a row for each line of steps.

    Parameters
    ----------
    values : array, shape (samples, \*shape)
    times : array of int64, shape (samples,)
        Stamps, nanoseconds.
    offsets : array of int64, shape (rows + 1,)
        Where each row begins.
    targets : array of int64, shape (rows, steps)
        Where to sample; the same for every stream of a source.
    """

    values: Any
    times: Any
    offsets: Any
    targets: Any


class Resampling(NamedTuple):
    """The options by which a stream is resampled, and the most samples that one step of it is made of."""

    how: Mapping[str, Any]
    most: int


def crowd(times: NDArray[np.int64]) -> int:
    """The most samples around any target: those of two stamps that follow one another, with all that are equal."""
    runs = np.diff(np.flatnonzero(np.concatenate([[True], times[1:] != times[:-1], [True]])))
    return int((runs[:-1] + runs[1:]).max()) if runs.size > 1 else int(runs[0])


def around(captured: NDArray[np.int64], goals: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """First and end of the samples on both sides of each target, those of equal stamps with them.

    With these the search finds the neighbours that it finds in the whole stream.
    """
    later = np.searchsorted(captured, goals, side="right")
    first = np.searchsorted(captured, captured[np.maximum(later - 1, 0)], side="left")
    end = np.searchsorted(captured, captured[np.minimum(later, captured.size - 1)], side="right")
    return first, end


def spans(first: NDArray[np.int64], count: NDArray[np.int64]) -> NDArray[np.int64]:
    """So many numbers from each first one on, one after another."""
    ends = count.cumsum()
    return np.repeat(first - ends + count, count) + np.arange(ends[-1] if ends.size else 0)


def edges(count: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where rows of so many samples begin, and the end of the last."""
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(count)])


def joined(parts: Sequence[Slices], places: Sequence[Any]) -> Slices:
    """The rows of all, each in its place; one alone has its rows in order."""
    if len(parts) == 1:
        return parts[0]
    order = np.argsort(np.concatenate(places))
    count = np.concatenate([np.diff(one.offsets) for one in parts])
    at = spans((np.cumsum(count) - count)[order], count[order])
    values, times, _, targets = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    return Slices(values[at], times[at], edges(count[order]), targets[order])


def resample(slices: Mapping[str, Slices], how: Mapping[str, Any], out: Mapping[str, Any]) -> Any:
    """Write values ``[row, step]`` of streams with one clock, on the device that they lie on.

    Returns whether they are real, ``[row, step, stream]``.
    """
    streams = {name: Stream(one.values, one.times, offsets=one.offsets, **how[name]) for name, one in slices.items()}
    clock = next(iter(slices.values())).targets
    return fuse_multimodal(streams, clock, layout="dict", out=out).valid


__all__ = ["Resampling", "Slices", "around", "crowd", "edges", "joined", "resample", "spans"]
