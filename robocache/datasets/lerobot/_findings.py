"""What is wrong with a dataset: everything is read, nothing is raised."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.errors import DataError
from .._sniffs import LEROBOT_FILE
from ..facts import Finding, finding_of
from ..model import Episode
from ._rows import ColumnSource

if TYPE_CHECKING:
    from ._dataset import Contents

AT_ONCE = 64  # frames that are decoded at a time
TOLERANCE = 1e-4  # seconds, as LeRobot has it


def findings(contents: "Contents") -> Iterator[Finding]:
    """See robocache.datasets.model.Dataset.validate."""
    yield from _totals(contents)
    yield from _side_files(contents)
    for at in range(len(contents.present)):
        place = int(contents.present[at])
        try:
            episode = contents.episode(at)
        except DataError as error:
            yield finding_of(error)
            continue
        yield from _episode(contents, episode, place)


def _totals(contents: "Contents") -> Iterator[Finding]:
    """Counts of info.json against the tables, and the tables against the files."""
    info, table, file = contents.info, contents.table, str(contents.root.at(LEROBOT_FILE))
    counts = {
        "total_episodes": (info.total_episodes, len(table.ids)),
        "total_frames": (info.total_frames, int(table.lengths.sum())),
    }
    for name, (claimed, there) in counts.items():
        if claimed is not None and claimed != there:
            yield Finding("warning", f"{name} is {claimed}, the table of episodes has {there}", file)
    absent = np.delete(np.arange(len(table.ids)), contents.present)
    for place in absent.tolist():
        name = str(contents.root.path / contents.data_name(place))
        yield Finding("warning", "there is no such data file; the episode is left out", name, int(table.ids[place]))
    gaps = table.starts[1:] != table.starts[:-1] + table.lengths[:-1]
    if not contents.alone and bool(gaps.any()):
        ident = int(table.ids[1:][gaps][0])
        yield Finding("error", "does not begin where the episode before it ends", str(table.path), ident)


def _side_files(contents: "Contents") -> Iterator[Finding]:
    for name in ("tasks", "stats", "modality"):
        meta = contents.meta()
        try:
            if name in meta:
                meta[name]
        except DataError as error:
            yield finding_of(error)


def _episode(contents: "Contents", episode: Episode, place: int) -> Iterator[Finding]:
    yield from _own_columns(contents, episode, place)
    yield from _videos(contents, episode, place)
    try:
        _ = episode.language, episode.meta["tasks"], episode.meta["stats"]
    except DataError as error:
        yield finding_of(error)
    for stream in episode.values():
        step = len(stream) if isinstance(stream.source, ColumnSource) else AT_ONCE
        try:
            for first in range(0, len(stream), max(step, 1)):
                stream.read(slice(first, first + step))
        except DataError as error:
            yield finding_of(error)


def _own_columns(contents: "Contents", episode: Episode, place: int) -> Iterator[Finding]:
    """The columns that the format itself defines."""
    steps = np.arange(episode.length or 0)
    start = int(contents.table.starts[place])
    wanted: dict[str, Any] = {
        "frame_index": steps,
        "timestamp": (steps / float(contents.info.fps)),
        **({} if contents.alone else {"index": start + steps}),
    }
    for name, right in wanted.items():
        if name not in episode:
            yield Finding("warning", "info.json has no such feature", None, episode.id, name)
            continue
        try:
            found = episode[name].read()
        except DataError:
            continue  # told with the other streams
        if found.shape != right.shape:
            yield Finding("error", f"has the shape {found.shape}", episode.meta["file"], episode.id, name)
        elif name == "timestamp":
            yield from _stamps(episode, found.astype(np.float64), right)
        elif bool((found != right).any()):
            at = int(np.flatnonzero(found != right)[0])
            what = f"step {at} has {found[at]}, expected {right[at]}"
            yield Finding("error", what, episode.meta["file"], episode.id, name)


def _stamps(episode: Episode, found: Any, right: Any) -> Iterator[Finding]:
    place = episode.meta["file"], episode.id, "timestamp"
    if bool((np.diff(found) <= 0).any()) or not np.isfinite(found).all():
        yield Finding("error", "stamps do not rise", *place)
    off = np.abs(found - right)
    allowed = TOLERANCE + right * 2.0**-23  # they are float32
    if bool((off > allowed).any()):
        yield Finding("warning", f"stamps are up to {off.max():.6f} s away from frame_index / fps", *place)


def _videos(contents: "Contents", episode: Episode, place: int) -> Iterator[Finding]:
    if contents.alone:
        return
    for name in contents.info.videos:
        first, _ = contents.run(place, name)
        begin = float(contents.table.videos[name].begins[place])
        off = abs(begin - first / float(contents.info.fps))
        if off > TOLERANCE:
            what = f"from_timestamp is {off:.6f} s away from the {first} frames before it"
            yield Finding("warning", what, str(contents.table.path), episode.id, name)


__all__ = ["findings"]
