"""From the items of a batch to the steps that are read for it."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import checks
from .._core.errors import ArgumentError
from ..ops.windows import FAR, MOST, windows
from .sampler import Picked

OBS, ACTION, STEP = "obs", "action", "step"  # roles of streams; STEP where whole episodes are items
SAMPLE = "sample"  # of text: once a sample, at its anchor


@dataclass(frozen=True)
class Selection:
    """Steps to read for one batch, by role. The arrays of a role share their leading shape.

    ``parts`` says which source reads which: its number, and by role where along the first axis, all of it as a slice.
    ``made`` are arrays of the batch, by key, that no source has to be asked for.
    """

    lead: dict[str, tuple[int, ...]]
    index: dict[str, Any]
    valid: dict[str, Any]
    parts: list[tuple[int, dict[str, Any]]]
    episode: NDArray[np.int64]
    anchor: NDArray[np.int64]
    offsets: NDArray[np.int64] | None = None
    made: dict[str, Any] = field(default_factory=dict)


def present(source: NDArray[np.int32]) -> list[tuple[int, Any]]:
    """The sources of a batch, each with where it is meant: a slice if it is alone."""
    numbers = np.unique(source)
    if len(numbers) == 1:
        return [(int(numbers[0]), slice(None))]
    return [(int(s), np.flatnonzero(source == s)) for s in numbers]


class WindowItems:
    """Items are windows: an observation history and an action chunk around an anchor."""

    def __init__(self, offsets: Sequence[Any], n_obs: int, n_act: int, stride: int, pads: tuple[Any, Any],
                 action_start: int) -> None:  # fmt: skip
        n_obs, n_act = checks.whole("n_obs", n_obs, 0, MOST), checks.whole("n_act", n_act, 0, MOST)
        action_start = checks.whole("action_start", action_start, -FAR, FAR)
        before = max(0, n_obs - 1, -action_start) if pads[0] is None else pads[0]
        after = max(0, action_start + n_act - 1) if pads[1] is None else pads[1]
        each = {"n_obs": n_obs, "n_act": n_act, "stride": stride, "pad_before": before, "pad_after": after}
        self.windows = [windows(one, action_start=action_start, **each) for one in offsets]
        self.sizes = [len(one) for one in self.windows]
        self.rows = {OBS: n_obs, ACTION: n_act}
        names = ("n_obs", "n_act", "action_start", "stride", "pad_before", "pad_after")
        own = {name: getattr(self.windows[0], name) for name in names}  # checked, and plain integers
        self.settings: dict[str, Any] = {"mode": "windows", **own}

    def capacity(self, batch: int) -> dict[str, int]:
        """Samples of a role that a batch may have."""
        return {role: batch * n for role, n in self.rows.items()}

    def shape(self, role: str, batch: int) -> tuple[int | None, ...]:
        """Leading shape of a full batch."""
        return (batch,) if role == SAMPLE else (batch, self.rows[role])

    def select(self, picked: Picked) -> Selection:
        """Steps of the windows of a batch."""
        parts, count = present(picked.source), len(picked.item)
        if len(parts) == 1:
            found = self.windows[parts[0][0]].take(picked.item)
            columns = [found.obs_index, found.action_index, found.obs_valid, found.action_valid]
            columns += [found.episode, found.anchor]
        else:
            shapes = [(count, n) for n in (*self.rows.values(), *self.rows.values())] + [(count,)] * 2
            kinds = (np.int64, np.int64, np.bool_, np.bool_, np.int64, np.int64)
            columns = [np.empty(shape, kind) for shape, kind in zip(shapes, kinds, strict=True)]
            for number, at in parts:
                found = self.windows[number].take(picked.item[at])
                those = (found.obs_index, found.action_index, found.obs_valid, found.action_valid)
                for column, own in zip(columns, (*those, found.episode, found.anchor), strict=True):
                    column[at] = own
        lead: dict[str, tuple[int, ...]] = {role: (count, n) for role, n in self.rows.items()}
        index, valid = dict(zip(lead, columns[:2], strict=True)), dict(zip(lead, columns[2:4], strict=True))
        where = [(number, {OBS: at, ACTION: at}) for number, at in parts]
        return Selection(lead, index, valid, where, columns[4], columns[5])


class EpisodeItems:
    """Items are whole episodes; those without a step are none.

    ``pad`` None puts them one after another, with offsets; "max" and a number give them one length, clamped to the last
    step.
    """

    def __init__(self, offsets: Sequence[Any], pad: Any) -> None:
        self.edges = [np.asarray(one, np.int64) for one in offsets]
        self.numbers = [np.flatnonzero(np.diff(one)) for one in self.edges]
        self.sizes = [len(one) for one in self.numbers]
        lengths = [np.diff(one)[own] for one, own in zip(self.edges, self.numbers, strict=True)]
        longest = max((int(one.max()) for one in lengths if one.size), default=0)
        if isinstance(pad, int) and longest > pad:
            raise ArgumentError(f"pad={pad}, but the longest episode has {longest} steps; nothing is cut off")
        self._pad = pad
        self._most = pad if isinstance(pad, int) else longest
        self.settings: dict[str, Any] = {"mode": "episodes", "pad": pad}

    def capacity(self, batch: int) -> dict[str, int]:
        """Samples that a batch may have."""
        return {STEP: batch * self._most}  # the longest one may be drawn again and again

    def shape(self, role: str, batch: int) -> tuple[int | None, ...]:
        """Leading shape of a full batch; None where it changes from batch to batch."""
        if role == SAMPLE:
            return (batch,)
        return (None,) if self._pad is None else (batch, self._pad if isinstance(self._pad, int) else None)

    def select(self, picked: Picked) -> Selection:
        """Steps of the episodes of a batch."""
        parts = present(picked.source)
        episode, first, length = (np.empty(len(picked.item), np.int64) for _ in range(3))
        for number, at in parts:
            own = self.numbers[number][picked.item[at]]
            episode[at], first[at] = own, self.edges[number][own]
            length[at] = self.edges[number][own + 1] - first[at]
        if self._pad is not None:
            width = self._pad if isinstance(self._pad, int) else int(length.max())
            steps = np.arange(width, dtype=np.int64)
            index = first[:, None] + np.minimum(steps, length[:, None] - 1)
            valid = steps < length[:, None]
            where = [(number, {STEP: at}) for number, at in parts]
            return Selection({STEP: index.shape}, {STEP: index}, {STEP: valid}, where, episode, first)
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(length)])
        index = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], length)
        if len(parts) == 1:
            where = [(parts[0][0], {STEP: slice(None)})]
        else:
            owner = np.repeat(picked.source, length)
            where = [(number, {STEP: np.flatnonzero(owner == number)}) for number, _ in parts]
        real = np.ones(index.shape, np.bool_)
        return Selection({STEP: index.shape}, {STEP: index}, {STEP: real}, where, episode, first, offsets)


__all__ = ["ACTION", "OBS", "SAMPLE", "STEP", "EpisodeItems", "Selection", "WindowItems"]
