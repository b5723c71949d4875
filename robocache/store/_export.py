"""The same pipeline with another format at its end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .._core.errors import ArgumentError, BackendError
from ..datasets import Dataset, Episode
from ._writing import atomic, meta_fields
from .pipeline import Aligned, align_episode, at_once, refuse_gaps
from .plan import FAILURES, Plan

SINGLE = (bool, int, float, str)  # entries of meta that both formats hold
OWN = ("timestamp", "frame_index", "episode_index", "index", "task_index")  # what LeRobot makes itself


class Export:
    """LeRobot or RLDS, written in one go.

    The writers take an episode whole or end, so where episodes are to be skipped each is read once before.

    Attributes
    ----------
    episodes, steps : int
    failed : list of dict
    notes : dict of str to str
    """

    def __init__(self, plan: Plan, to: str, on_error: str, show: Any) -> None:
        self.plan, self.to, self.on_error, self.show = plan, to, on_error, show
        self.episodes = self.steps = 0
        self.failed: list[dict[str, Any]] = []
        self.notes = dict(plan.fields["notes"])

    def write(self, target: Path) -> None:
        """All of it, and the list of failures."""
        with self.plan.open() as dataset:
            if self.to == "lerobot":
                self._lerobot(dataset, target)
            else:
                from ..datasets.rlds.writer import write_rlds

                write_rlds(self._made(dataset), target.parent, name=target.name)
        listed = {"format": "robocache failures", "plan": self.plan.digest, "failures": self.failed}
        atomic(target / FAILURES, [json.dumps(listed, indent=1, ensure_ascii=False).encode("utf-8")])

    def _lerobot(self, dataset: Dataset, target: Path) -> None:
        from ..datasets.lerobot.writer import write_lerobot

        fps, images = self.plan.fields["steps_hz"], self.plan.fields["images"]
        if fps is None:
            raise ArgumentError("rate: the source has none, and LeRobot needs one; say rate= or control_hz")
        if images not in ("keep", "png"):
            raise ArgumentError("images: LeRobot holds pictures as video or PNG; say 'keep' or 'png'")
        names = {name: name.replace("/", ".") for name in self.plan.ways if name not in OWN}
        if images == "keep" and any(way.spec.kind == "image" for way in self.plan.ways.values()):
            self.notes["images"] = "pictures are video, which changes them a little; 'png' does not"
        write_lerobot(self._made(dataset), target, fps=fps, streams=names, video=images == "keep")

    def _made(self, dataset: Dataset) -> Iterator[Episode]:
        """Episodes that can be written."""
        positions = [at for shard in self.plan.shards for at in shard]
        for done, position in enumerate(positions, 1):
            ident: Any = None
            try:
                source = dataset[position]
                ident = source.id if isinstance(source.id, str) else int(source.id)
                one = align_episode(source, self.plan.ways, self.plan.fields["rate"], dataset.path)
                refuse_gaps(one, self.to)
                if self.on_error == "skip":
                    _read(one)
            except BackendError:
                raise
            except Exception as error:
                if self.on_error == "raise":
                    raise
                failure = {"position": position, "id": ident, "type": type(error).__name__, "message": str(error)}
                self.failed.append(failure)
                continue
            yield self._episode(ident, one.episode)
            self.show(done, len(positions))

    def _episode(self, ident: Any, episode: Episode) -> Episode:
        self.episodes += 1
        self.steps += episode.length or 0
        meta = meta_fields(episode.meta)[0]
        kept = {name: value for name, value in meta.items() if isinstance(value, SINGLE)}
        if len(kept) != len(episode.meta):
            self.notes["meta"] = f"left out: what is no single value, as in {self.to}"
        return Episode(ident, episode.streams, length=episode.length, language=episode.language, meta=kept)


def _read(one: Aligned) -> None:
    for stream in one.episode.values():
        step = at_once(stream.spec)
        for first in range(0, len(stream), step):
            stream.read(slice(first, first + step))


__all__ = ["Export"]
