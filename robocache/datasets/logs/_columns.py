"""Columns to streams: which one holds the stamps, which belong together, and in which unit."""

import re
from typing import NamedTuple

import numpy as np

from ._stamps import SPELLED
from ._text import Head, is_number

BRACKETS = re.compile(r"^(.*?)\s*[\[(]\s*([^\])]*?)\s*[\])]$")
TIME = re.compile(r"(?:t_abs|time_?stamps?|times?|stamps?|t|secs?|seconds)(?:_([a-z]+))?$")
AXES = ("xyz", "xyzw", "wxyz")
TUM = ("tx", "ty", "tz", "qx", "qy", "qz", "qw")
PICTURES = (".png", ".jpg", ".jpeg")


class Part(NamedTuple):
    """Columns that make a stream. An empty name stands for the file's own."""

    name: str
    columns: tuple[int, ...]
    names: tuple[str, ...] | None = None
    unit: str | None = None
    shape: tuple[int, ...] | None = None  # other than (columns,)
    kind: str = "vector"  # or "text", "image", "event"


def split_unit(name: str) -> tuple[str, str | None]:
    """Name and unit of ``"name [unit]"`` or ``"name (unit)"``."""
    matched = BRACKETS.match(name.strip())
    return (matched[1].strip(), matched[2] or None) if matched else (name.strip(), None)


def time_unit(name: str) -> tuple[bool, str | None]:
    """Whether a column of this name holds stamps, and their unit if it says so."""
    base, unit = split_unit(name.lstrip("#% "))
    matched = TIME.match(base.lower())
    if matched is None or (matched[1] and matched[1] not in SPELLED):
        return False, None
    if base.lower() in ("sec", "secs", "seconds"):
        return True, "s"
    return True, SPELLED.get((unit or matched[1] or "").lower())


def unit_of(name: str) -> str | None:
    """The unit of stamps in a column that the user named, if its name says so."""
    base, unit = split_unit(name.lstrip("#% "))
    return SPELLED.get((unit or base.rpartition("_")[2]).lower())


def find_time(head: Head) -> tuple[int, str | None] | None:
    """The column of stamps and its unit, by the names of the header; or by the form of a TUM trajectory."""
    for at, name in enumerate(head.names or ()):
        known, unit = time_unit(name)
        if known and head.kinds[at] != "text":
            return at, unit
    if head.names is None and is_tum(head):
        return 0, "s"
    return (0, None) if is_stamps(head) else None


def is_stamps(head: Head) -> bool:
    """Whether a file is nothing but a column of integers as long as stamps."""
    return head.names is None and len(head.kinds) == 1 and re.match(r"\d{16}(\d{3})?$", head.first[0]) is not None


def is_tum(head: Head) -> bool:
    """Whether rows are a time, a position and a unit quaternion, set apart by white space."""
    if head.delimiter is not None or len(head.kinds) != 8 or not all(map(is_number, head.first)):
        return False
    return bool(abs(np.linalg.norm([float(cell) for cell in head.first[4:]]) - 1) < 1e-2)


def is_kitti(head: Head) -> bool:
    """Whether rows are the upper three rows of a pose matrix."""
    if head.names is not None or len(head.kinds) != 12 or not all(map(is_number, head.first)):
        return False
    turn = np.array([float(cell) for cell in head.first]).reshape(3, 4)[:, :3]
    return bool(np.isfinite(turn).all() and np.abs(turn @ turn.T - np.eye(3)).max() < 1e-2)


def parts_of(head: Head, time: int | None) -> tuple[list[Part], list[str]]:
    """The streams of a file whose ``time`` column is known; and columns that were blank in all rows seen."""
    columns = [at for at in range(len(head.kinds)) if at != time and head.kinds[at] != "blank"]
    blank = [(head.names or ())[at] if head.names else str(at) for at, k in enumerate(head.kinds) if k == "blank"]
    if not columns:
        return [Part("", (), None, "ns", (), "event")], blank
    if head.names is None:
        if time == 0 and is_tum(head):
            return tum(columns), blank
        if time is None and is_kitti(head):
            return [Part("", tuple(columns), None, None, (3, 4))], blank
        numbers = tuple(at for at in columns if head.kinds[at] == "number")
        texts = [_text(head, at, str(at)) for at in columns if head.kinds[at] == "text"]
        return [*([Part("", numbers)] if numbers else []), *texts], blank
    if tuple(head.names[at] for at in columns) == TUM:
        return tum(columns), blank
    return _named(head, columns), blank


def tum(columns: list[int]) -> list[Part]:
    """Position and orientation."""
    return [
        Part("position", tuple(columns[:3]), ("x", "y", "z"), "m"),
        Part("orientation", tuple(columns[3:]), ("x", "y", "z", "w")),
    ]


def _text(head: Head, at: int, name: str) -> Part:
    picture = head.first[at].lower().endswith(PICTURES)
    return Part("" if picture else name, (at,), None, None, (), "image" if picture else "text")


def _named(head: Head, columns: list[int]) -> list[Part]:
    """Neighbours that differ in their axis alone make one stream, the others one each."""
    parts, at = [], 0
    told = [split_unit((head.names or ())[column].lstrip("#% ")) for column in columns]
    while at < len(columns):
        stem, unit = _stem(told[at][0]), told[at][1]
        for count in (4, 3):
            group = told[at : at + count]
            axes = "".join(name[-1:].lower() for name, _ in group)
            numbers = all(head.kinds[column] == "number" for column in columns[at : at + count])
            alike = stem is not None and all(_stem(name) == stem and other == unit for name, other in group)
            if alike and numbers and axes in AXES and len(group) == count:
                names = tuple(name for name, _ in group)
                parts.append(Part(stem or "", tuple(columns[at : at + count]), names, unit))
                at += count
                break
        else:
            column = columns[at]
            name = told[at][0] or f"column {column}"
            if head.kinds[column] == "text":
                parts.append(_text(head, column, name))
            else:
                parts.append(Part(name, (column,), None, unit, ()))
            at += 1
    return parts


def _stem(name: str) -> str | None:
    """What is left of a name without its axis; None if it has none."""
    return name[:-1].rstrip("_. -") if name[-1:].lower() in ("x", "y", "z", "w") and name else None


__all__ = [
    "PICTURES",
    "Part",
    "find_time",
    "is_stamps",
    "is_tum",
    "parts_of",
    "split_unit",
    "time_unit",
    "tum",
    "unit_of",
]
