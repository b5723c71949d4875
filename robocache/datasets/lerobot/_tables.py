"""The tables of episodes and tasks, as v2.1 and v3.0 have them."""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._faults import fault, faults
from .._files import JSON_BYTES, Root
from ._info import STEPS, Info
from ._parquet import Parquets

Ints = NDArray[np.int64]
EPISODE_INDEX = re.compile(rb'"episode_index"\s*:\s*(\d{1,10})\b')


class VideoPart(NamedTuple):
    """Where the videos of one feature lie, by episode."""

    chunks: Ints
    files: Ints
    begins: NDArray[np.float64]  # seconds, as the format rounded them


@dataclass
class Table:
    """All episodes that the metadata knows, by rising id."""

    ids: Ints
    lengths: Ints
    chunks: Ints
    files: Ints
    starts: Ints  # of the first row, within the dataset
    videos: dict[str, VideoPart]
    tasks: Callable[[int], list[str]]  # of an episode by its place in this table
    stats: Callable[[int], dict[str, Any]]
    path: Path

    def __post_init__(self) -> None:
        """Refuse what no dataset can have."""
        columns = (self.ids, self.chunks, self.files, self.starts)
        if any(len(column) and not (int(column.min()) >= 0 and int(column.max()) < 1 << 53) for column in columns):
            raise fault("holds an index that cannot be", file=self.path)
        if len(self.lengths) and not (int(self.lengths.min()) >= 0 and int(self.lengths.max()) < STEPS):
            raise fault(f"holds a length that is not from 0 to {STEPS - 1}", file=self.path)
        if bool((self.ids[1:] == self.ids[:-1]).any()):
            raise fault("holds an episode twice", file=self.path)


def lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Objects of a file of JSON lines, with where each line begins."""
    problems = (OSError, ValueError, RecursionError)
    with faults(*problems, file=path), open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size > JSON_BYTES:
            raise ValueError(f"it is longer than {JSON_BYTES} bytes")
        at = 0
        for number, line in enumerate(file, 1):
            if line.strip():
                value = _line(path, number, line)
                yield at, value
            at += len(line)


def _line(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise fault(f"line {number} is no JSON: {error}", file=path) from error
    if not isinstance(value, dict):
        raise fault(f"line {number} holds a {type(value).__name__}, expected an object", file=path)
    return value


def _whole(path: Path, value: dict[str, Any], name: str) -> int:
    found = value.get(name)
    if type(found) is not int or not 0 <= found < 1 << 53:
        raise fault(f"{name} is {found!r}", file=path)
    return found


def read_lines_table(root: Root, info: Info) -> Table:
    """``meta/episodes.jsonl``, of v2.1: a file for each episode."""
    path = root.file("meta/episodes.jsonl")
    found = sorted((_whole(path, v, "episode_index"), _whole(path, v, "length"), _said(v)) for _, v in lines(path))
    ids, lengths = (np.array([row[k] for row in found], np.int64) for k in (0, 1))
    chunks = ids // max(info.chunks_size, 1)
    zeros = np.zeros(len(ids), np.int64)
    videos = {name: VideoPart(chunks, ids, np.zeros(len(ids))) for name in info.videos}
    stats = LineStats(root, ids)
    return Table(ids, lengths, chunks, ids, zeros, videos, lambda i: found[i][2], stats.of, path)


def _said(value: dict[str, Any]) -> list[str]:
    tasks = value.get("tasks", [])
    return [task for task in tasks if isinstance(task, str)] if isinstance(tasks, list) else []


class LineStats:
    """``meta/episodes_stats.jsonl``: large, and looked through only when asked for."""

    def __init__(self, root: Root, ids: Ints) -> None:
        self._root, self._ids = root, ids
        self._at: dict[int, tuple[int, int]] | None = None

    def of(self, place: int) -> dict[str, Any]:
        """Of the episode at a place of the table; empty where the file has none."""
        path = self._root.at("meta/episodes_stats.jsonl")
        if not path.is_file():
            return {}
        if self._at is None:
            self._at = self._look(path)
        begin, length = self._at.get(int(self._ids[place]), (0, 0))
        if not length:
            return {}
        with faults(OSError, file=path), open(path, "rb") as file:
            file.seek(begin)
            data = file.read(length)
        stats = _line(path, 1 + place, data).get("stats", {})
        return stats if isinstance(stats, dict) else {}

    @staticmethod
    def _look(path: Path) -> dict[int, tuple[int, int]]:
        found, at = {}, 0
        with faults(OSError, ValueError, file=path), open(path, "rb") as file:
            for line in file:
                match = EPISODE_INDEX.search(line)
                if match:
                    found[int(match[1])] = at, len(line)
                at += len(line)
        return found


EPISODES = "meta/episodes"


def read_parquet_table(root: Root, info: Info, files: Parquets) -> Table:
    """``meta/episodes/chunk-*/file-*.parquet``, of v3.0: many episodes to a file."""
    folder = root.at(EPISODES)
    names = sorted(path.relative_to(root.path).as_posix() for path in folder.glob("chunk-*/file-*.parquet"))
    if not names:
        raise fault("there are no tables of episodes", file=folder)
    parts = [f"videos/{name}/{part}" for name in info.videos for part in ("chunk_index", "file_index")]
    floats = [f"videos/{name}/from_timestamp" for name in info.videos]
    whole = ["episode_index", "length", "data/chunk_index", "data/file_index", "dataset_from_index", *parts]
    paths = [root.file(name) for name in names]
    tables = [files.table(path, {*whole, *floats}.__contains__) for path in paths]
    columns = {name: _column(tables, paths, name, "i") for name in whole}
    begins = {name: _column(tables, paths, name, "f") for name in floats}
    order = np.argsort(columns["episode_index"], kind="stable")
    columns = {name: column[order] for name, column in columns.items()}
    videos = {
        name: VideoPart(
            columns[f"videos/{name}/chunk_index"],
            columns[f"videos/{name}/file_index"],
            begins[f"videos/{name}/from_timestamp"][order],
        )
        for name in info.videos
    }
    offsets = np.concatenate([[0], np.cumsum([table.num_rows for table in tables])])
    more = MoreColumns(files, paths, offsets, order)
    ids, lengths, chunks, numbers, starts = (columns[name] for name in whole[:5])
    return Table(ids, lengths, chunks, numbers, starts, videos, more.tasks, more.stats, folder)


def _column(tables: list[Any], paths: list[Path], name: str, kind: str) -> Any:
    found = []
    for table, path in zip(tables, paths, strict=True):
        if name not in table.column_names:
            raise fault("the column is missing", file=path, key=name)
        column = table.column(name)
        with faults(ValueError, TypeError, file=path, key=name, doing="is no column of numbers"):
            values = column.to_numpy() if not column.null_count else None
            if values is None or values.dtype.kind not in ("iu" if kind == "i" else "fiu"):
                raise ValueError(f"holds {column.type} with {column.null_count} missing")
            values = values.astype(np.int64 if kind == "i" else np.float64)
            if kind == "f" and not np.isfinite(values).all():
                raise ValueError("holds numbers that are not finite")
        found.append(values)
    return np.concatenate(found)


class MoreColumns:
    """The tasks and statistics of episodes: many columns, read only when asked for."""

    def __init__(self, files: Parquets, paths: list[Path], offsets: Any, order: Any) -> None:
        self._files, self._paths, self._offsets, self._order = files, paths, offsets, order

    def _row(self, place: int, wanted: Callable[[str], bool]) -> dict[str, Any]:
        row = int(self._order[place])
        at = int(np.searchsorted(self._offsets, row, side="right")) - 1
        row -= int(self._offsets[at])
        path = self._paths[at]
        groups = self._files.groups(path)
        group = int(np.searchsorted(groups, row, side="right")) - 1
        table = self._files.table(path, wanted, group).slice(row - int(groups[group]), 1)
        with faults(ValueError, TypeError, LookupError, file=path):
            return dict(table.to_pylist()[0])

    def tasks(self, place: int) -> list[str]:
        """What the episode is for."""
        return _said(self._row(place, {"tasks"}.__contains__))

    def stats(self, place: int) -> dict[str, Any]:
        """Statistics by feature and by name."""
        found: dict[str, Any] = {}
        for name, value in self._row(place, lambda name: name.startswith("stats/")).items():
            feature, _, statistic = name.removeprefix("stats/").rpartition("/")
            found.setdefault(feature, {})[statistic] = value
        return found


def read_tasks(root: Root, info: Info, files: Parquets) -> dict[int, str]:
    """Texts of the tasks by index."""
    if info.version == "v2.1":
        path = root.file("meta/tasks.jsonl")
        found: list[tuple[Any, Any]] = [
            (_whole(path, value, "task_index"), value.get("task")) for _, value in lines(path)
        ]
    else:
        path = root.file("meta/tasks.parquet")
        table = files.table(path, lambda name: True)
        texts = [name for name in ("task", "__index_level_0__") if name in table.column_names]
        texts += [name for name in table.column_names if name != "task_index"]
        if "task_index" not in table.column_names or not texts:
            raise fault(f"has the columns {table.column_names}", file=path)
        with faults(ValueError, TypeError, file=path):
            found = list(zip(table.column("task_index").to_pylist(), table.column(texts[0]).to_pylist(), strict=True))
    for index, text in found:
        if type(index) is not int or not isinstance(text, str):
            raise fault(f"task {index!r} is {text!r}", file=path)
    return dict(found)


__all__ = ["Table", "VideoPart", "lines", "read_lines_table", "read_parquet_table", "read_tasks"]
