"""How regular stamps are, and what the streams of a dataset turn out to be: measured, nothing assumed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, DataError, DTypeError
from .model import Dataset, Episode
from .streams import StreamSpec


@dataclass(frozen=True)
class Pace:
    """The intervals between stamps that follow one another, in int64 nanoseconds; nothing was rounded.

    Attributes
    ----------
    samples : int
    start, end : int or None
        The least and the greatest stamp; None without samples.
    period : int or None
        Median of the intervals above zero, the lower one of two; None where there is none. Quartiles are found by rank
        too, so each is an interval that occurred.
    quartiles : (int, int) or None
    deviation : int or None
        How far the interval furthest from the period is from it.
    gaps : int
        Intervals of more than two and a half periods.
    longest : int or None
        The longest interval.
    duplicates, unsorted : int
        Samples stamped as the one before, and earlier than it.
    """

    samples: int
    start: int | None = None
    end: int | None = None
    period: int | None = None
    quartiles: tuple[int, int] | None = None
    deviation: int | None = None
    gaps: int = 0
    longest: int | None = None
    duplicates: int = 0
    unsorted: int = 0

    @property
    def rate(self) -> float | None:
        """Hertz, of the period."""
        return None if self.period is None else 10**9 / self.period

    @property
    def jitter(self) -> int | None:
        """The range that the middle half of the intervals is within."""
        return None if self.quartiles is None else self.quartiles[1] - self.quartiles[0]


def pace(recordings: Sequence[NDArray[np.int64]]) -> Pace:
    """Measure stamps.

    Parameters
    ----------
    recordings : sequence of int64 arrays (sample,)
        Nanoseconds. No interval is taken from the end of one to the start of the next.

    Returns
    -------
    Pace
    """
    for stamps in recordings:
        if stamps.dtype != np.int64 or stamps.ndim != 1:
            raise DTypeError(f"recordings: expected 1-D arrays of int64, got {stamps.dtype} {stamps.shape}")
    held = [stamps for stamps in recordings if len(stamps)]
    if not held:
        return Pace(0)
    steps, duplicates, unsorted = [], 0, 0
    for stamps in held:
        before, after = stamps[:-1], stamps[1:]
        up = after > before
        duplicates += int((after == before).sum())
        unsorted += int((after < before).sum())
        # Unsigned, so that no two stamps are too far apart.
        steps.append(after[up].astype(np.uint64) - before[up].astype(np.uint64))
    found = np.sort(np.concatenate(steps))
    start, end = min(int(s.min()) for s in held), max(int(s.max()) for s in held)
    count = sum(len(stamps) for stamps in held)
    if not len(found):
        return Pace(count, start, end, duplicates=duplicates, unsorted=unsorted)
    first, period, third = (int(found[-(-len(found) * part // 4) - 1]) for part in (1, 2, 3))
    least, longest, limit = int(found[0]), int(found[-1]), 5 * period // 2
    gaps = 0 if limit >= longest else int((found > np.uint64(limit)).sum())
    deviation = max(longest - period, period - least)
    return Pace(count, start, end, period, (first, third), deviation, gaps, longest, duplicates, unsorted)


@dataclass(frozen=True)
class Measured:
    """A stream over the episodes that were looked at.

    Attributes
    ----------
    spec : StreamSpec
    episodes, samples : int
        How many of the episodes have it, and its samples there.
    clocks : tuple of str
        More than one if episodes differ.
    rates : tuple of float
        Hertz of an even clock that was declared, not measured.
    pace : Pace or None
        None where nothing was stamped.
    problems : tuple of str
        Why stamps could not be read, if any could not.
    """

    spec: StreamSpec
    episodes: int
    samples: int
    clocks: tuple[str, ...]
    rates: tuple[float, ...]
    pace: Pace | None
    problems: tuple[str, ...]


def looked_at(count: int, most: int) -> list[int]:
    """Up to ``most`` positions among ``count``, the first and the last with them, evenly apart."""
    if most < 1:
        raise ArgumentError(f"episodes: expected 1 or more, got {most}")
    if count <= most:
        return list(range(count))
    return [k * (count - 1) // (most - 1) for k in range(most)] if most > 1 else [0]


def measure(dataset: Dataset, episodes: int = 10) -> tuple[list[Measured], list[Episode], list[str]]:
    """Look at the stamps of some episodes; no sample is read.

    Parameters
    ----------
    dataset : Dataset
    episodes : int
        How many at most; they are spread evenly.

    Returns
    -------
    streams : list of Measured
        Of every stream that the dataset announces or an episode has.
    opened : list of Episode
        That were looked at.
    problems : list of str
        Why others could not be.
    """
    opened: list[Episode] = []
    problems: list[str] = []
    for position in looked_at(len(dataset), episodes):
        try:
            opened.append(dataset[position])
        except DataError as error:
            problems.append(str(error))
    specs = dict(dataset.specs)
    for episode in opened:
        for name, stream in episode.items():
            specs.setdefault(name, stream.spec)
    return [_stream(spec, opened) for spec in specs.values()], opened, problems


def _stream(spec: StreamSpec, episodes: Sequence[Episode]) -> Measured:
    having = [episode[spec.name] for episode in episodes if spec.name in episode]
    stamps, problems = [], []
    for stream in having:
        if stream.timing.stamped:
            try:
                stamps.append(stream.times)
            except DataError as error:
                problems.append(str(error))
    clocks = tuple(sorted({stream.clock for stream in having}))
    declared: set[Fraction] = {s.timing.rate for s in having if s.timing.rate is not None and not s.timing.stamped}
    measured = pace(stamps) if any(stream.timing.stamped for stream in having) else None
    samples = sum(len(stream) for stream in having)
    rates = tuple(float(rate) for rate in sorted(declared))
    return Measured(spec, len(having), samples, clocks, rates, measured, tuple(problems))


def size_on_disk(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Files and bytes at or below a path; links to files count as what they lead to, links to folders are not taken."""
    root = Path(path)
    if not root.is_dir():
        return 1, root.stat().st_size
    files = total = 0
    waiting: list[Any] = [root]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)
                elif entry.is_file():
                    files, total = files + 1, total + entry.stat().st_size
    return files, total


__all__ = ["Measured", "Pace", "looked_at", "measure", "pace", "size_on_disk"]
