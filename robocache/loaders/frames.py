"""Frames as LeRobot hands them out: one step of every stream, or those at its deltas, under LeRobot's names."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError
from . import fields
from ._lerobot import LeRobotSource
from .batch import Batch
from .loader import DataLoader
from .pictures import ImageOptions
from .sampler import Picked
from .selection import SAMPLE, Selection, present

FRAME, PAD = "frame", "_is_pad"  # the role of streams without deltas; how the flags of a stream are called


class FrameItems:
    """Items are the steps of the episodes; a stream with deltas has a role of its own.

    Parameters
    ----------
    offsets : sequence of array
        Of each source.
    deltas : mapping of str to array of int64, shape (source, delta)
        Frames from the anchor, by stream.
    single : collection of str
        Streams whose only delta has no axis, which is what LeRobot makes of videos.
    """

    def __init__(
        self, offsets: Sequence[Any], deltas: Mapping[str, NDArray[np.int64]], single: Collection[str]
    ) -> None:
        self._edges, self._deltas, self._single = list(offsets), dict(deltas), frozenset(single)
        self.sizes = [int(one[-1]) for one in self._edges]
        told = {key: one.tolist() for key, one in self._deltas.items()}
        self.settings: dict[str, Any] = {"mode": "frames", "deltas": told}

    def _widths(self) -> dict[str, tuple[int, ...]]:
        """Shape of one sample, by role."""
        found: dict[str, tuple[int, ...]] = {FRAME: (), SAMPLE: ()}
        for key, one in self._deltas.items():
            found |= {key: () if key in self._single else (one.shape[1],), key + PAD: (one.shape[1],)}
        return found

    def capacity(self, batch: int) -> dict[str, int]:
        """Samples of a role that a batch may have."""
        return {role: batch * (shape[0] if shape else 1) for role, shape in self._widths().items()}

    def shape(self, role: str, batch: int) -> tuple[int | None, ...]:
        """Leading shape of a full batch."""
        return (batch, *self._widths()[role])

    def select(self, picked: Picked) -> Selection:
        """The frames of a batch, and those at their deltas; where an episode has none, its first or last."""
        parts, anchor, count = present(picked.source), picked.item, len(picked.item)
        episode, first, last = (np.empty(count, np.int64) for _ in range(3))
        for number, at in parts:
            edges = self._edges[number]
            own = np.searchsorted(edges, anchor[at], side="right") - 1
            episode[at], first[at], last[at] = own, edges[own], edges[own + 1] - 1
        lead = {role: (count, *shape) for role, shape in self._widths().items()}
        index: dict[str, Any] = {FRAME: anchor}
        valid: dict[str, Any] = {FRAME: np.ones(count, np.bool_)}
        made = {}
        for key, deltas in self._deltas.items():
            steps = anchor[:, None] + deltas[picked.source]
            there = np.clip(steps, first[:, None], last[:, None])
            made[key + PAD] = there != steps
            index[key], valid[key] = there.reshape(lead[key]), (there == steps).reshape(lead[key])
        where = [(number, dict.fromkeys(index, at)) for number, at in parts]
        return Selection(lead, index, valid, where, episode, anchor, made=made)


class FrameLoader(DataLoader):
    """A loader of frames, which `DataLoader.from_lerobot` makes."""

    def __init__(
        self, sources: Sequence[LeRobotSource], deltas: Mapping[str, NDArray[np.int64]], opened: Sequence[Any],
        image_dtype: Any, tensors: bool, **options: Any,
    ) -> None:  # fmt: skip
        self._deltas, self._dtype, self._tensors = deltas, image_dtype, bool(tensors)
        super().__init__(list(sources), **options)
        self._own.opened = list(opened)

    def __iter__(self) -> Iterator[Any]:
        return map(Batch.to_torch, super().__iter__()) if self._tensors else super().__iter__()

    def _choose(self, mode: str, obs: Any, action: Any, n_obs: int, n_act: int, images: Mapping[str, Any],
                scales: Mapping[str, Any]) -> None:  # fmt: skip
        """Frames in place of windows, with every stream that LeRobot has."""
        streams = self._sources[0].streams
        for one in self._sources[1:]:
            if set(one.streams) != set(streams):
                raise ArgumentError(f"{one.name} has streams {sorted(one.streams)}, {self._sources[0].name} has "
                                    f"{sorted(streams)}; name those that all have with streams=")  # fmt: skip
        pictures = {key: spec for key, spec in streams.items() if spec.kind == "image"}
        if absent := sorted(set(images) - set(pictures)):
            raise ArgumentError(f"images: {absent} are no pictures of these datasets; there are {sorted(pictures)}")
        usual = ImageOptions(layout="chw", dtype=self._dtype)
        images = dict.fromkeys(pictures, usual) | dict(images)
        roles = [(key if key in self._deltas else FRAME, {key: key}) for key in streams]
        single = [key for key in self._deltas if key in self._sources[0].videos and self._deltas[key].shape[1] == 1]
        self._items = FrameItems([one.offsets for one in self._sources], self._deltas, single)
        self._fields = fields.fields_of(self._sources, roles, images, scales)
        flag = np.dtype(np.bool_)
        for key in self._deltas:
            self._fields.append(fields.Field(key + PAD, key, key + PAD, (), flag, (), flag, made=True))
        self.left_out = MappingProxyType(dict(self._sources[0].left_out))


__all__ = ["FrameItems", "FrameLoader"]
