"""The features of all episodes that are written, fixed by the first one."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..._core.errors import ArgumentError
from ..model import Episode
from ..streams import INDEX
from ._columns import Column, column, node, tensor, value_column
from ._example import example, number_list, string_list
from ._language import instructions_in

SPOKEN = "language_instruction"


class Schema:
    """The features of all episodes, fixed by the first one."""

    def __init__(self, meta: Sequence[str] | None) -> None:
        self._wanted = meta
        self.steps: dict[str, Column] = {}
        self.apart: dict[str, Column] = {}
        self._specs: dict[str, Any] = {}
        self.rate: float | None = None
        self._flags: list[str] = []
        self._spoken = False
        self._begun = False

    def _begin(self, episode: Episode, rate: float | None) -> None:
        self._specs = {name: _told(stream) for name, stream in episode.items()}
        self.steps = {name: column(f"steps/{name}", stream) for name, stream in episode.items()}
        self._flags = [flag for flag in ("is_first", "is_last") if flag not in episode]
        self._spoken = bool(episode.language) and not instructions_in(episode)
        self.apart = {key: value_column(_placed(key), episode.meta[key]) for key in self._keys(episode)}
        self.rate, self._begun = rate, True

    def _keys(self, episode: Episode) -> list[str]:
        wanted = list(episode.meta) if self._wanted is None else list(self._wanted)
        if absent := [key for key in wanted if key not in episode.meta]:
            raise ArgumentError(f"meta: {absent} are not in episode {episode.id!r}")
        return wanted

    def encode(self, episode: Episode) -> bytes:
        """The record of an episode."""
        length, rate = _clock(episode)
        if not self._begun:
            self._begin(episode, rate)
        specs = {name: _told(stream) for name, stream in episode.items()}
        if specs != self._specs or rate != self.rate or set(self._keys(episode)) != set(self.apart):
            other = [name for name in {**specs, **self._specs} if specs.get(name) != self._specs.get(name)]
            said = f"in {other}" if other else "in its rate or in the names of its metadata"
            raise ArgumentError(f"episodes: {episode.id!r} differs from the first one {said}")
        found: dict[str, bytes] = {}
        for name, made in self.steps.items():
            found |= made.encode(episode[name])
        for flag in self._flags:
            where = np.arange(length) == (0 if flag == "is_first" else length - 1)
            found[f"steps/{flag}"] = number_list(where)
        if episode.language and not self._spoken and not instructions_in(episode):
            raise ArgumentError(f"episodes: {episode.id!r} has instructions, and the first one has none")
        if self._spoken:
            found[f"steps/{SPOKEN}"] = string_list(_spoken(episode, length))
        for key, made in self.apart.items():
            found |= made.encode(episode.meta[key])
        return example(found)

    def tree(self) -> dict[str, Any]:
        """The tree of ``features.json``."""
        steps = {name: made.node for name, made in self.steps.items()}
        steps |= {flag: tensor((), "bool") for flag in self._flags}
        if self._spoken:
            steps[SPOKEN] = node("text")
        apart = {_placed(key): made.node for key, made in self.apart.items()}
        top = {"steps": node("steps", feature=_nested(steps), length="-1")}
        return _nested({**top, **apart})


def _told(stream: Any) -> tuple[Any, ...]:
    return stream.kind, stream.shape, stream.dtype, stream.codec


def _placed(key: str) -> str:
    return key if "/" in key else f"episode_metadata/{key}"


def _clock(episode: Episode) -> tuple[int, float | None]:
    """Steps and rate of an episode, if all of its streams share them."""
    if not len(episode):
        raise ArgumentError(f"episodes: {episode.id!r} has no streams")
    for stream in episode.values():
        if stream.timing.stamped or stream.clock != INDEX:
            raise ArgumentError(
                f"episodes: {stream.name!r} of {episode.id!r} was stamped by the clock {stream.clock!r}, and RLDS "
                "holds no stamps; fuse the streams to one rate first, and keep the stamps as a stream if you need them"
            )
    lengths = {len(stream) for stream in episode.values()}
    rates = {stream.timing.rate for stream in episode.values()}
    if len(lengths) > 1 or len(rates) > 1:
        told = ", ".join(f"{s.name}: {len(s)}" for s in episode.values())
        raise ArgumentError(f"episodes: the streams of {episode.id!r} have different lengths or rates ({told})")
    rate = rates.pop()
    return lengths.pop(), None if rate is None else float(rate)


def _spoken(episode: Episode, length: int) -> list[bytes]:
    """The instruction of every step, empty where there was none."""
    texts = [b""] * length
    for span in episode.language:
        if not 0 <= span.start < span.stop <= length or any(texts[span.start : span.stop]):
            raise ArgumentError(f"episodes: the instructions of {episode.id!r} overlap, or lie outside its steps")
        texts[span.start : span.stop] = [span.text.encode("utf-8")] * (span.stop - span.start)
    return texts


def _nested(flat: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Nodes by path as a tree."""
    inner: dict[str, dict[str, Any]] = {}
    for path, found in flat.items():
        first, _, rest = path.partition("/")
        inner.setdefault(first, {})[rest] = found
    features = {}
    for first, below in inner.items():
        if not first or ("" in below and len(below) > 1):
            raise ArgumentError(f"episodes: {first!r} is the name of a feature and the beginning of another")
        features[first] = below[""] if "" in below else _nested(below)
    return node("featuresDict", features=features)


__all__ = ["Schema"]
