"""What a loader reads from, and how a path or a dataset becomes one."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError
from ..datasets import Dataset, StreamSpec, open_dataset

METHODS = ("gather", "encoded", "valid", "episode", "close")


class Source(Protocol):
    r"""Steps of episodes, one after another, and how to read any of them.

    Attributes
    ----------
    name : str
        For messages.
    fingerprint : str
        Hexadecimal; changes when the content or its layout does.
    streams : mapping of str to StreamSpec
        A stream with a ``codec`` is read by ``encoded``, any other by ``gather``.
    offsets : array of int64, shape (episode + 1,)
        First step of each episode, and the end of the last.
    rate : float or None
        Hertz of the steps, if known.

    Notes
    -----
    Several threads read at once. ``rows`` are steps counted through all episodes, int64, in any order, repeats allowed.
    A source may list streams of ``kind`` "text" with samples of shape () too; it then has a method
    ``texts(name, rows)``, of rows of one axis, that returns a list of str.
    """

    name: str
    fingerprint: str
    streams: Mapping[str, StreamSpec]
    offsets: NDArray[np.int64]
    rate: float | None

    def gather(self, name: str, rows: NDArray[np.int64], out: Any = None) -> Any:
        r"""Samples (\*rows.shape, \*shape) of plain numbers, in C-contiguous ``out`` if that is given."""

    def encoded(self, name: str, rows: NDArray[np.int64]) -> "Sequence[bytes | memoryview]":
        """Samples of a stream with a codec, as they are stored; ``rows`` has one axis."""

    def valid(self, name: str, rows: NDArray[np.int64]) -> "NDArray[np.bool_] | None":
        """Where a stream has a sample; None if it always has."""

    def episode(self, number: int) -> str | int:
        """What the source itself calls an episode."""

    def close(self) -> None:
        """Close files."""


def sources_of(given: Any) -> tuple[list[Any], list[Any]]:
    """The sources of an argument, and those among them that were opened here and must be closed."""
    listed = list(given) if isinstance(given, Sequence) and not isinstance(given, (str, bytes)) else [given]
    if not listed:
        raise ArgumentError("source is an empty list; give at least one source")
    found, opened = [], []
    try:
        for one in listed:
            if isinstance(one, (str, os.PathLike)):
                opened.append(_opened(one))
            found.append(opened[-1] if isinstance(one, (str, os.PathLike)) else _adapted(one))
    except BaseException:
        for source in opened:
            source.close()
        raise
    return found, opened


def _opened(path: str | os.PathLike[str]) -> Any:
    """The store at a path, or the dataset of whatever other format."""
    from ..datasets._sniffs import STORE_FILE
    from ..store import open_store

    if (Path(path) / STORE_FILE).is_file():
        return _adapted(open_store(path))
    return _adapted(open_dataset(path))


def _adapted(given: Any) -> Any:
    """A source as it is, or a dataset or store behind its adapter."""
    from ..store import Store

    if isinstance(given, Store):
        from ._store import StoreSource

        return StoreSource(given)
    if isinstance(given, Dataset):
        from ._dataset import DatasetSource

        return DatasetSource(given)
    if not all(callable(getattr(given, name, None)) for name in METHODS):
        raise ArgumentError(
            f"source is {type(given).__name__}; expected a path, a dataset, or an object with the methods of "
            "robocache.loaders.Source"
        )
    return given


__all__ = ["Source", "sources_of"]
