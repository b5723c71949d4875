"""From the metadata of a dataset to its episodes."""

import math
import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._faults import fault
from .._files import Root, read_json
from .._kept import Kept
from .._sniffs import LEROBOT_FILE
from .._video import Videos, VideoSource
from ..facts import Span
from ..model import Episode
from ..streams import INDEX, Source, Stream, Timing
from ._columns import plain
from ._info import Feature, Info, fill, read_info
from ._parquet import ROWS_PER_BYTE, Parquets
from ._rows import ColumnSource, ImageSource, Rows
from ._tables import read_lines_table, read_parquet_table, read_tasks

SPLIT = re.compile(r"(\d{0,15}):(\d{0,15})")
TASK = plain("task_index")
SPOTS, SPOT = 16 << 20, 1024  # bytes of places of episodes that are remembered, and about how many one takes


class Lazy(Mapping[str, Any]):
    """A mapping whose functions are called when their value is first asked for."""

    def __init__(self, **given: Any) -> None:
        self._given = given
        self._made: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        value = self._given[name]
        if not callable(value):
            return value
        if name not in self._made:
            self._made[name] = value()
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._given)

    def __len__(self) -> int:
        return len(self._given)


class Contents:
    """An open dataset: its files, its tables, and which episodes are there."""

    def __init__(
        self, root: Root, control_hz: float | None, verify: bool, cache_bytes: int, open_videos: int, video_threads: int
    ) -> None:
        self.root = root
        self.info: Info = read_info(self.root)
        self.files = Parquets(cache_bytes, verify)
        self.videos = Videos(open_videos, video_threads)
        self.rate = self.info.fps if control_hz is None else Fraction(control_hz)
        self.alone = self.info.version == "v2.1"  # an episode has files of its own
        if self.alone:
            self.table = read_lines_table(self.root, self.info)
        else:
            self.table = read_parquet_table(self.root, self.info, self.files)
        self.files.total = int(self.table.lengths.sum())
        self.present = np.flatnonzero(self._there())
        if len(self.table.ids) and not len(self.present):
            raise fault(f"holds the data of none of the {len(self.table.ids)} episodes it tells of", file=root.path)
        self._runs: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]] = {}
        self._spots = Kept(SPOTS)

    def _there(self) -> NDArray[np.bool_]:
        """Whether each episode's data file is there, by listing folders once: there may be very many files."""
        listings: dict[str, set[str]] = {}
        known: dict[tuple[int, int], bool] = {}
        files = list(zip(self.table.chunks.tolist(), self.table.files.tolist(), strict=True))
        for place, file in enumerate(files):
            if file in known:
                continue
            folder, _, name = self.data_name(place).rpartition("/")
            if folder not in listings:
                listings[folder] = self.root.names(folder)
            known[file] = name in listings[folder]
        return np.array([known[file] for file in files], bool)

    def data_name(self, place: int) -> str:
        """Of the Parquet file that an episode lies in."""
        table = self.table
        return fill(
            self.info.data_path, episode_index=int(table.ids[place]), chunk_index=int(table.chunks[place]),
            file_index=int(table.files[place]),
        )  # fmt: skip

    def data_path(self, place: int) -> Path:
        """Of the same file always the same object: links are followed once, and it is found faster than its equal."""
        if self.alone:
            return self.root.at(self.data_name(place))
        key = int(self.table.chunks[place]), int(self.table.files[place])
        path: Path = self._spots.get(key, lambda: self.root.at(self.data_name(place)), lambda _: SPOT)
        return path

    def video_name(self, place: int, key: str) -> str:
        """Of the video file that an episode's frames lie in."""
        part = self.table.videos[key]
        return fill(
            self.info.video_path or "", video_key=key, episode_index=int(self.table.ids[place]),
            chunk_index=int(part.chunks[place]), file_index=int(part.files[place]),
        )  # fmt: skip

    def _video(self, place: int, key: str) -> Path:
        path = self.root.at(self.video_name(place, key))
        return self.root.here(path, episode=int(self.table.ids[place]), key=key)

    def run(self, place: int, key: str) -> tuple[int, int]:
        """The ordinal of an episode's first frame in its video file, and the number of frames of that file.

        Lengths are summed; the seconds that v3.0 gives are sums of rounded durations and only tell the order.
        """
        if self.alone:
            return 0, int(self.table.lengths[place])
        if key not in self._runs:
            part, lengths = self.table.videos[key], self.table.lengths
            order = np.lexsort((self.table.ids, part.begins, part.files, part.chunks))
            chunks, files = part.chunks[order], part.files[order]
            new = np.ones(len(order), bool)
            new[1:] = (chunks[1:] != chunks[:-1]) | (files[1:] != files[:-1])
            ends = np.cumsum(lengths[order])
            before = ends - lengths[order]
            group = np.cumsum(new) - 1
            firsts, totals = np.empty_like(ends), np.empty_like(ends)
            begin = before[new]
            firsts[order] = before - begin[group]
            totals[order] = (np.append(begin[1:], ends[-1:]) - begin)[group]
            self._runs[key] = firsts, totals
        firsts, totals = self._runs[key]
        return int(firsts[place]), int(totals[place])

    def first_frame(self, place: int, key: str) -> int:
        """As `run`, if the seconds do not say something else altogether."""
        first, _ = self.run(place, key)
        said = float(self.table.videos[key].begins[place]) * float(self.info.fps)
        if not self.alone and abs(said - first) > 1 + first / 1000:
            raise fault(
                f"begins at frame {first} by the lengths before it, at {said:.1f} by its from_timestamp",
                file=self.root.at(self.video_name(place, key)), episode=int(self.table.ids[place]), key=key,
            )  # fmt: skip
        return first

    def episode(self, at: int) -> Episode:
        """The episode at a position; nothing of it is read, only the size of its file looked at."""
        place = int(self.present[at])
        rows = self._rows(place)
        ident, length = rows.episode, rows.length
        timing = Timing(length, INDEX, rate=self.rate)
        where: partial[dict[str, Any]] = partial(dict, file=rows.file, episode=ident)
        streams = {
            name: Stream(feature.spec, timing, self._source(place, rows, feature), where)
            for name, feature in self.info.features.items()
        }
        meta = Lazy(
            episode_index=ident,
            tasks=lambda: self.table.tasks(place),
            stats=lambda: self.table.stats(place),
            file=str(rows.file),
        )
        return Episode(ident, streams, length=length, language=lambda: self._language(rows), meta=meta)

    def _rows(self, place: int) -> Rows:
        """Where the rows of an episode lie; remembered, once verified, for many more episodes than are kept."""
        rows: Rows = self._spots.get(place, lambda: self._found(place), lambda _: SPOT)
        return rows

    def _found(self, place: int) -> Rows:
        ident, length = int(self.table.ids[place]), int(self.table.lengths[place])
        path = self.data_path(place)
        size = self.root.size(path)
        if size is None:
            raise fault("there is no such file", file=path, episode=ident)
        if length > ROWS_PER_BYTE * size:
            raise fault(f"claims {length} steps in {size} bytes", file=path, episode=ident)
        there = partial(self.root.here, path, episode=ident)
        return Rows(self.files, path, there, self._guess(place), length, ident, self.alone)

    def column(self, name: str, at: int) -> Any:
        """All samples of a column of an episode, not to be changed; None unless they lie in one row group."""
        feature = self.info.features.get(name)
        rows = self._rows(int(self.present[at]))
        if feature is None or feature.dtype in ("image", "video") or not rows.length:
            return None
        group, within, _ = next(rows.pieces(slice(0, rows.length, 1)))
        if not isinstance(within, slice):
            return None
        return self.files.column(rows.path, group, feature, episode=rows.episode, key=name)[within]

    @cached_property
    def _file_starts(self) -> NDArray[np.int64]:
        """The first row, within the dataset, of the data file of every episode."""
        table = self.table
        _, owner = np.unique(np.stack([table.chunks, table.files], 1), axis=0, return_inverse=True)
        first = np.full(int(owner.max(initial=-1)) + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, owner.ravel(), table.starts)
        return first[owner.ravel()]

    def _guess(self, place: int) -> int:
        return 0 if self.alone else int(self.table.starts[place] - self._file_starts[place])

    def _source(self, place: int, rows: Rows, feature: Feature) -> Source:
        key, ident = feature.spec.name, rows.episode
        if feature.dtype == "image":
            return ImageSource(rows, feature, self.root)
        if feature.dtype != "video":
            return ColumnSource(rows, feature)
        return VideoSource(
            lambda: self._video(place, key), lambda: self.first_frame(place, key),
            rows.length, shape=feature.spec.shape, total=lambda: self.run(place, key)[1], gray=feature.gray,
            depth=feature.depth, videos=self.videos, episode=ident, key=key,
        )  # fmt: skip

    @cached_property
    def tasks(self) -> dict[int, str]:
        """Texts by task_index."""
        return read_tasks(self.root, self.info, self.files)

    def _language(self, rows: Rows) -> list[Span]:
        """A span for each run of one task_index."""
        indices = ColumnSource(rows, TASK).take(slice(0, rows.length, 1))
        cuts = np.flatnonzero(np.diff(indices)) + 1
        bounds = [0, *cuts.tolist(), rows.length] if rows.length else []
        spans = []
        for start, stop in zip(bounds, bounds[1:], strict=False):
            index = int(indices[start])
            if index not in self.tasks:
                raise fault(f"task {index} is not in the table of tasks", file=rows.path, episode=rows.episode)
            spans.append(Span(start, stop, self.tasks[index], source="task_index"))
        return spans

    def splits(self) -> dict[str, list[int]]:
        """Positions by split; those that are not there are left out, as ``meta["missing"]`` says."""
        given = self.info.raw.get("splits") or {"train": ":"}
        if not isinstance(given, dict):
            raise fault(f"splits is {given!r}", file=self.root.at(LEROBOT_FILE))
        ids, found = self.table.ids[self.present], {}
        for name, text in given.items():
            match = SPLIT.fullmatch(text.strip()) if isinstance(text, str) else None
            if match is None:
                raise fault(f"the split {name!r} is {text!r}, expected first:stop", file=self.root.at(LEROBOT_FILE))
            first, stop = int(match[1] or 0), int(match[2]) if match[2] else math.inf
            found[name] = np.flatnonzero((ids >= first) & (ids < stop)).tolist()
        return found

    def meta(self) -> Lazy:
        """What is known beside the streams."""
        absent = np.delete(self.table.ids, self.present).tolist()
        lazy: dict[str, Any] = {"stats": "meta/stats.json", "modality": "meta/modality.json"}
        more = {
            name: (lambda file=file: read_json(self.root.file(file)))
            for name, file in lazy.items()
            if self.root.at(file).is_file()
        }
        announced = self.info.total_episodes or len(self.table.ids)
        return Lazy(
            info=self.info.raw, codebase_version=self.info.version, robot_type=self.info.raw.get("robot_type"),
            fps=self.info.raw["fps"], tasks=lambda: self.tasks, missing=absent, announced=announced, **more,
        )  # fmt: skip

    def close(self) -> None:
        """Let go of files and of what was read."""
        self.videos.close()
        self.files.close()


__all__ = ["Contents", "Lazy"]
