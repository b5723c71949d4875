"""A LeRobot dataset as a source that gives what LeRobot gives: its types, its order of streams, the texts of tasks."""

from collections.abc import Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from .._core.errors import ArgumentError
from ..datasets._faults import fault
from ..datasets.model import Dataset
from ..datasets.streams import StreamSpec
from ._dataset import DatasetSource
from ._rows import by_episode, checked, picked
from .fields import TEXT, spoken

TASK, TASK_INDEX = "task", "task_index"
KINDS = {"f": "float32", "i": "int64", "u": "int64", "b": "bool"}  # what PyTorch makes of Python's numbers
TYPES: dict[str, np.dtype[Any]] = {kind: np.dtype(name) for kind, name in KINDS.items()}


class LeRobotSource(DatasetSource):
    """Streams as the items of a ``LeRobotDataset`` have them.

    Parameters
    ----------
    dataset : Dataset
        Of the format "lerobot".
    streams : sequence of str, optional
        By default all but depth and lists of language.

    Attributes
    ----------
    videos : frozenset of str
        Streams that lie in video files.
    left_out : dict of str to str
        Streams that are not there by default, and why.

    Notes
    -----
    Numbers come in the types that PyTorch makes of Python's: float32, int64, bool. Pictures are decoded here, JPEG the
    way most libraries do.
    """

    def __init__(self, dataset: Dataset, streams: Sequence[str] | None = None) -> None:
        if dataset.format != "lerobot":
            raise ArgumentError(f"{dataset.name} is of the format {dataset.format!r}; use DataLoader(dataset)")
        specs = dict(dataset.specs) | {TASK: StreamSpec(TASK, "text", (), TEXT)}
        why = {name: _against(spec) for name, spec in specs.items()}
        self.left_out = {} if streams is not None else {name: said for name, said in why.items() if said}
        names = [name for name in specs if not why[name]] if streams is None else list(dict.fromkeys(streams))
        if not names or (absent := [name for name in names if name not in specs]):
            raise ArgumentError(f"streams: {absent if names else 'none'} of {dataset.name}; there are {list(specs)}")
        if wrong := {name: why[name] for name in names if why[name]}:
            raise ArgumentError(f"streams: leave out {wrong}")
        told = dataset.meta["info"]["features"]
        self.videos = frozenset(name for name in names if told.get(name, {}).get("dtype") == "video")
        self.fps = float(dataset.meta["fps"])
        numbers = [name for name in names if not spoken(specs[name])]
        super().__init__(dataset, list(dict.fromkeys([*numbers, TASK_INDEX])))
        self._wanted = streams
        ordered = [name for name in specs if name in names]
        ordered.sort(key=lambda name: name not in self.videos)  # as in an item: videos come first
        self.streams = MappingProxyType({name: _typed(specs[name]) for name in ordered})

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        """Samples at global steps, in LeRobot's types."""
        wanted = self.streams[name].dtype if name in self.streams else self._spec(name).dtype
        if wanted == self._spec(name).dtype:
            return super().gather(name, rows, out)
        found = super().gather(name, rows).astype(wanted)
        if out is None:
            return found
        out[...] = found
        return out

    def texts(self, name: str, rows: Any) -> list[str]:
        """The task of every step, or what a column of text holds."""
        rows = checked(rows, self.offsets, flat=True)
        if name == TASK:
            return self._tasks(rows)
        if name not in self.streams or not spoken(self.streams[name]):
            raise ArgumentError(f"{name}: its samples are numbers; use gather")
        found = [""] * rows.size
        for share in by_episode(rows, self.offsets):
            samples = self._dataset[share.episode][name].read(picked(share.steps))
            for place, which in zip(share.place.tolist(), share.which.tolist(), strict=True):
                if not isinstance(samples[which], str):
                    raise fault(f"step {share.steps[which]} holds no text", episode=self.episode(share.episode),
                                key=name)  # fmt: skip
                found[place] = samples[which]
        return found

    def _tasks(self, rows: Any) -> list[str]:
        table = self._dataset.meta["tasks"]
        found = []
        for row, index in zip(rows.tolist(), super().gather(TASK_INDEX, rows).tolist(), strict=True):
            if index not in table:
                number = int(np.searchsorted(self.offsets, row, side="right")) - 1
                raise fault(f"task {index} is not in the table of tasks", episode=self.episode(number), key=TASK_INDEX)
            found.append(table[index])
        return found


def _against(spec: StreamSpec) -> str | None:
    """Why a stream is not among those of an item."""
    if spoken(spec):
        return None
    if spec.kind not in ("vector", "image"):
        return f"holds {spec.kind}, which LeRobot's own items have in several ways or not at all"
    return None if spec.dtype.kind in TYPES else f"has dtype {spec.dtype}"


def _typed(spec: StreamSpec) -> StreamSpec:
    if spec.kind == "image":
        return replace(spec, codec=None)
    return spec if spoken(spec) else replace(spec, dtype=TYPES[spec.dtype.kind])


__all__ = ["LeRobotSource"]
