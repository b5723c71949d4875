"""Looking for the folders of episodes, with bounds: no deeper and no more than a dataset has."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from .._core.errors import DataError
from ._faults import fault, faults
from .model import Episode
from .streams import StreamSpec

DEPTH = 12
ENTRIES = 20_000_000
DIGITS = re.compile(r"(\d+)")


def natural(name: str) -> list[tuple[int, int, str]]:
    """A key that sorts ``traj10`` after ``traj9``."""
    parts = DIGITS.split(name)
    return [(0, int(part), part) if at % 2 and len(part) < 20 else (1, 0, part) for at, part in enumerate(parts)]


def folders_with(top: Path, file: str, *, entries: int = ENTRIES, quiet: bool = False) -> Iterator[Path]:
    """Folders at or below ``top`` that hold ``file``, in natural order; none of them is looked into further.

    Links to folders are not followed. ``quiet`` ends the walk where it would raise.
    """
    left = entries
    stack = [(top, 0)]
    while stack:
        folder, depth = stack.pop()
        if os.path.isfile(folder / file):
            yield folder
            continue
        below = []
        try:
            with os.scandir(folder) as found:
                for entry in found:
                    left -= 1
                    if left < 0:
                        raise OSError(f"there are more than {entries} names below {top}")
                    if entry.is_dir(follow_symlinks=False):
                        below.append(entry.name)
        except OSError as error:
            if quiet:
                return
            raise fault(f"cannot be looked through: {error}", file=folder) from error
        if below and depth >= DEPTH:
            if quiet:
                return
            raise fault(f"has folders more than {DEPTH} deep", file=top)
        stack += [(folder / name, depth + 1) for name in sorted(below, key=natural, reverse=True)]


def first_specs(episodes: Sequence[Episode], tries: int = 8) -> dict[str, StreamSpec]:
    """What the streams of the first episode are that is not damaged; `Dataset.validate` tells of the others."""
    for index in range(min(tries, len(episodes))):
        with suppress(DataError):
            return {name: stream.spec for name, stream in episodes[index].items()}
    return {}


def names_in(folder: Path, *, most: int = 1_000_000) -> list[str]:
    """Names in a folder, sorted; none if it is not there."""
    if not folder.is_dir():
        return []
    names = []
    with faults(OSError, file=folder), os.scandir(folder) as found:
        for entry in found:
            names.append(entry.name)
            if len(names) > most:
                raise fault(f"has more than {most} names", file=folder)
    return sorted(names, key=natural)


__all__ = ["first_specs", "folders_with", "names_in", "natural"]
