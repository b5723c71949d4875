"""What was said to the robot: spans of equal instructions."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..facts import Span
from ..model import Episode
from ._tree import Leaf
from ._varints import Damaged

# The names that Open X-Embodiment, Bridge and DROID give to instructions; the last part of a key.
_INSTRUCTION = re.compile(r"(natural_)?language_instruction(_\d+)?|instruction")
_POINTS = 0x110000


def instructions(leaves: Iterable[Leaf]) -> list[str]:
    """Keys of the features that hold instructions, by their names."""
    return [leaf.key for leaf in leaves if _INSTRUCTION.fullmatch(leaf.key.rpartition("/")[2]) and told(leaf)]


def spoken(leaf: Leaf) -> Leaf:
    """A feature of byte strings as text, if its name says that it is an instruction."""
    named = leaf.form == "string" and not leaf.shape and _INSTRUCTION.fullmatch(leaf.key.rpartition("/")[2])
    return replace(leaf, form="text", codec="utf-8") if named else leaf


def told(leaf: Leaf) -> bool:
    """Whether a feature can hold an instruction: text, or code points as language_table has them."""
    points = leaf.form == "numbers" and leaf.dtype == np.int32 and len(leaf.shape) == 1 and leaf.size
    return leaf.ragged <= 0 and (bool(points) or (leaf.form in ("text", "string") and not leaf.shape))


def instructions_in(episode: Episode) -> list[str]:
    """Names of the streams of an episode that hold instructions."""
    named = [stream for name, stream in episode.items() if _INSTRUCTION.fullmatch(name.rpartition("/")[2])]
    return [stream.name for stream in named if stream.kind == "text" or stream.dtype == np.int32]


def spans(values: Iterable[Any], source: str) -> Iterator[Span]:
    """Runs of equal instructions; empty ones leave a gap."""
    start, last, stop = 0, "", 0
    for stop, value in enumerate(map(spelled, values), 1):
        if value != last:
            if last:
                yield Span(start, stop - 1, last, None, source)
            start, last = stop - 1, value
    if last:
        yield Span(start, stop, last, None, source)


def spelled(value: Any) -> str:
    """An instruction as text; raises if it is none."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8")
    points = np.asarray(value)
    points = points[: int(np.argmin(points != 0))] if (points == 0).any() else points
    if points.size and not (int(points.min()) > 0 and int(points.max()) < _POINTS):
        raise Damaged("holds numbers that are no code points")
    return "".join(map(chr, points.tolist()))


__all__ = ["instructions", "instructions_in", "spans", "spelled", "spoken", "told"]
