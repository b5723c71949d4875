"""Samples of a stream at steps that are counted through all episodes."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, DTypeError
from ._faults import fault

if TYPE_CHECKING:
    from .model import Dataset


def gather(dataset: "Dataset", name: str, steps: Any) -> Any:
    """See `Dataset.take`."""
    wanted = np.asarray(steps)
    if wanted.size and wanted.dtype.kind not in "iu":
        raise DTypeError(f"steps: expected integers, got {wanted.dtype}")
    episodes, within = dataset.index.locate_all(wanted.reshape(-1))
    if not wanted.size:
        return _none(dataset, name, wanted.shape)
    order = np.argsort(episodes, kind="stable")  # an episode is looked up once, however its steps are strewn
    owners, within = episodes[order], within[order]
    cuts = [0, *(np.flatnonzero(owners[1:] != owners[:-1]) + 1).tolist(), len(owners)]
    found: Any = None
    for begin, end in zip(cuts[:-1], cuts[1:], strict=True):
        number = int(owners[begin])
        column = dataset.columns(name, number)
        part = _read(dataset, name, number, within[begin:end]) if column is None else column[within[begin:end]]
        if found is None:
            found = np.empty((len(order), *part.shape[1:]), part.dtype)
        elif part.shape[1:] != found.shape[1:] or part.dtype != found.dtype:
            said = f"has samples of {part.shape[1:]} {part.dtype}, and others before it {found.shape[1:]} {found.dtype}"
            raise fault(said, file=dataset.path, episode=dataset[number].id, key=name)
        found[begin:end] = part
    out = np.empty_like(found)
    out[order] = found
    return out.reshape(wanted.shape + out.shape[1:])


def _read(dataset: "Dataset", name: str, number: int, within: NDArray[np.int64]) -> Any:
    """By the stream of an episode."""
    episode = dataset[number]
    if name not in episode:
        raise ArgumentError(f"name: episode {episode.id!r} has no stream {name!r}; it has {list(episode)}")
    stream = episode[name]
    if len(stream) != int(dataset.index.lengths[number]):
        raise ArgumentError(f"name: {name!r} has {len(stream)} samples in episode {episode.id!r}, which are no steps")
    return stream.read(within)


def _none(dataset: "Dataset", name: str, shape: tuple[int, ...]) -> Any:
    """An answer without samples."""
    specs = dataset.specs if name in dataset.specs or not len(dataset) else dataset[0]
    if name not in specs:
        raise ArgumentError(f"name: there is no stream {name!r}; there are {list(specs)}")
    return np.empty((*shape, *(size or 0 for size in specs[name].shape)), specs[name].dtype)


__all__ = ["gather"]
