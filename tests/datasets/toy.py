"""A reader whose episodes are arrays in memory: what the base and the commands are tested with."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from robocache.datasets import Dataset, Episode, Finding, Reader, Stream, StreamSpec, Timing, Values
from robocache.datasets.model import Episodes

EPOCH_NS = 1_767_225_600 * 10**9


def stream(
    name: str, values: Any, stamps: Any = None, *, clock: str = "log", rate: Any = None, where: Any = dict, **spec: Any
) -> Stream:
    """A stream of an array; options of `StreamSpec` change what is announced of it."""
    array = np.asarray(values)
    told = {"kind": "vector", "shape": array.shape[1:], "dtype": array.dtype} | spec
    timing = Timing(len(array), "index" if stamps is None else clock, stamps, rate)
    return Stream(StreamSpec(name, **told), timing, Values(array), where)


def episode(name: Any, *streams: Stream, **more: Any) -> Episode:
    """An episode of streams."""
    return Episode(name, {one.name: one for one in streams}, **more)


def dataset(path: Path, episodes: Sequence[Any], **facts: Any) -> Dataset:
    """A dataset; an item of ``episodes`` that is an error is raised when that episode is opened."""

    def make(at: int) -> Episode:
        if isinstance(episodes[at], Exception):
            raise episodes[at]
        found: Episode = episodes[at]
        return found

    def lengths() -> list[int]:
        return [0 if isinstance(one, Exception) else one.length or 0 for one in episodes]

    def findings() -> Iterator[Finding]:
        yield from ()

    specs = {} if not episodes or isinstance(episodes[0], Exception) else {n: s.spec for n, s in episodes[0].items()}
    given = {"format": "toy", "name": path.name, "splits": {"train": range(len(episodes))}, "specs": specs}
    given |= {"lengths": lengths, "findings": findings} | facts
    return Dataset(path=path, episodes=Episodes(len(episodes), make), **given)


def reader(name: str, make: Callable[..., Dataset], *, file: str = "toy.json", sure: float = 1.0) -> Reader:
    """A format that takes folders with a certain file for its own."""
    return Reader(name, lambda path: sure if (path / file).exists() else 0.0, make)
