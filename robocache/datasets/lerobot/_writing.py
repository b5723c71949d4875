"""A LeRobot dataset that is being written."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from ..._core.errors import ArgumentError
from ..model import Episode
from ._encode import CODECS, VideoWriter
from ._layout import (
    FILE,
    OWN,
    Column,
    arrow_array,
    arrow_type,
    check,
    columns_of,
    feature_entry,
    nested_type,
    tasks_table,
)
from ._png import encode_png
from ._stats import Pixels, Stats, Total, of_numbers

AT_ONCE = 32  # frames that are held at a time
VIDEOS = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
ROWS = 64  # episodes in a row group of the table of episodes


class Files:
    """One file after the other, begun anew when the last has grown too large."""

    def __init__(self, root: Path, name: str, limit: int, chunks_size: int) -> None:
        self.root, self.name, self.limit, self.chunks_size = root, name, limit, chunks_size
        self.writer: Any = None
        self.at, self.steps = -1, 0
        self.place = 0, 0

    def open(self, make: Any, size: int) -> Any:
        """The writer for ``size`` more bytes; ``make`` is given the path of a new file."""
        if self.writer is not None and self._grown() + size > self.limit:
            self.close()
        if self.writer is None:
            self.at, self.steps = self.at + 1, 0
            self.place = divmod(self.at, self.chunks_size)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self.writer = make(self.path)
        return self.writer

    def _grown(self) -> int:
        """Bytes of the current file."""
        return int(self.writer.size if isinstance(self.writer, VideoWriter) else self.path.stat().st_size)

    @property
    def path(self) -> Path:
        """Of the current file."""
        return self.root / self.name.format(place=FILE.format(chunk=self.place[0], file=self.place[1]))

    def close(self) -> None:
        """Finish the current file."""
        if self.writer is not None:
            self.writer.close()
            self.writer = None


class Writing:
    """A dataset that grows by episodes."""

    def __init__(
        self, root: Path, rate: Fraction, streams: Any, task: str, encoder: Any, limits: Mapping[str, int]
    ) -> None:
        self.root, self.rate, self.task, self.encoder, self.limits = root, rate, task, encoder, limits
        self.streams, self.columns = streams, list[Column]()
        self.tasks: dict[str, int] = {}
        self.count = self.steps = 0
        self.totals: dict[str, Total] = {}
        chunks = limits["chunks_size"]
        self.data = Files(root, "data/{place}.parquet", limits["data"], chunks)
        self.table = Files(root, "meta/episodes/{place}.parquet", limits["data"], chunks)
        self.videos: dict[str, Files] = {}
        self.rows: list[dict[str, Any]] = []

    def add(self, episode: Episode) -> None:
        """Write one more episode."""
        wanted = self.streams
        if wanted is None:
            wanted = self.streams = [name for name in episode if name not in OWN]
        wanted = dict(wanted) if isinstance(wanted, Mapping) else {name: name for name in wanted}
        columns = columns_of(episode, wanted, self.encoder is not None)
        if not self.columns:
            if not columns or len({column.name for column in columns}) != len(columns):
                raise ArgumentError(f"streams: none, or two of one name: {list(wanted.values())}")
            self.columns = columns
            chunks, limit = self.limits["chunks_size"], self.limits["video"]
            for column in columns:
                if column.dtype == "video":
                    self.videos[column.name] = Files(self.root, f"videos/{column.name}/{{place}}.mp4", limit, chunks)
        elif columns != self.columns:
            raise ArgumentError(f"episodes: {episode.id} has {columns}, the first has {self.columns}")
        length = check(episode, columns, self.rate)
        row: dict[str, Any] = {"episode_index": self.count, "tasks": [], "length": length}
        stats = self._data(episode, length, row)
        for column in columns:
            if column.dtype == "video":
                stats[column.name] = self._video(episode, column, length, row)
        for name, found in stats.items():
            self.totals.setdefault(name, Total()).add(found)
            row.update({f"stats/{name}/{statistic}": value for statistic, value in found.items()})
        self.rows.append(row)
        self.count, self.steps = self.count + 1, self.steps + length
        if len(self.rows) >= ROWS:
            self._flush()

    def _data(self, episode: Episode, length: int, row: dict[str, Any]) -> dict[str, Stats]:
        """The row group of an episode."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        steps = np.arange(length)
        texts = [self.task] * length
        for span in episode.language:
            texts[span.start : span.stop] = [span.text] * len(range(*slice(span.start, span.stop).indices(length)))
        task = np.array([self.tasks.setdefault(text, len(self.tasks)) for text in texts], np.int64)
        own = {
            "timestamp": (steps / float(self.rate)).astype(np.float32),
            "frame_index": steps,
            "episode_index": np.full(length, self.count),
            "index": self.steps + steps,
            "task_index": task,
        }
        arrays, stats = {}, {}
        for column in self.columns:
            if column.dtype == "image":
                arrays[column.name], stats[column.name] = self._pictures(episode, column, length)
            elif column.dtype == "string":
                arrays[column.name] = pa.array(episode[column.stream].read().tolist(), pa.string())
            elif column.dtype != "video":
                values = episode[column.stream].read()
                arrays[column.name] = arrow_array(values, arrow_type(column))
                stats[column.name] = of_numbers(values)
        arrays |= {name: pa.array(values) for name, values in own.items()}
        stats |= {name: of_numbers(values) for name, values in own.items()}
        table = pa.table(arrays)
        writer = self.data.open(lambda to: pq.ParquetWriter(to, table.schema, write_page_checksum=True), table.nbytes)
        writer.write_table(table, row_group_size=length)
        row["tasks"] = list(dict.fromkeys(texts))
        row["data/chunk_index"], row["data/file_index"] = self.data.place
        row["dataset_from_index"], row["dataset_to_index"] = self.steps, self.steps + length
        return stats

    def _pictures(self, episode: Episode, column: Column, length: int) -> tuple[Any, Stats]:
        import pyarrow as pa

        pixels, cells = Pixels(column.shape[2]), []
        for first in range(0, length, AT_ONCE):
            images = episode[column.stream].read(slice(first, first + AT_ONCE))
            pixels.add(images)
            cells += [
                {"bytes": encode_png(image), "path": f"frame-{first + k:06d}.png"} for k, image in enumerate(images)
            ]
        return pa.array(cells, arrow_type(column)), pixels.stats()

    def _video(self, episode: Episode, column: Column, length: int, row: dict[str, Any]) -> Stats:
        files, pixels = self.videos[column.name], Pixels(column.shape[2])
        writer = files.open(
            lambda path: VideoWriter(path, self.rate, (column.shape[0], column.shape[1]), **self.encoder), 0
        )
        for first in range(0, length, AT_ONCE):
            images = episode[column.stream].read(slice(first, first + AT_ONCE))
            pixels.add(images)
            writer.add(images)
        place = f"videos/{column.name}"
        row[f"{place}/chunk_index"], row[f"{place}/file_index"] = files.place
        row[f"{place}/from_timestamp"] = float(files.steps / self.rate)
        files.steps += length
        row[f"{place}/to_timestamp"] = float(files.steps / self.rate)
        return pixels.stats()

    def _flush(self) -> None:
        """Write the rows of episodes that wait."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if not self.rows:
            return
        schema = [(name, nested_type(value)) for name, value in self.rows[0].items()]
        schema += [("meta/episodes/chunk_index", pa.int64()), ("meta/episodes/file_index", pa.int64())]
        kinds = pa.schema(schema)
        writer = self.table.open(lambda to: pq.ParquetWriter(to, kinds, write_page_checksum=True), 0)
        chunk, file = self.table.place
        rows = [{name: _plain(value) for name, value in row.items()} for row in self.rows]
        more = {"meta/episodes/chunk_index": chunk, "meta/episodes/file_index": file}
        writer.write_table(pa.Table.from_pylist([{**row, **more} for row in rows], schema=kinds))
        self.rows = []

    def finish(self, robot_type: str | None, sizes: Mapping[str, float]) -> None:
        """Close the files and say what they hold."""
        import pyarrow.parquet as pq

        if not self.count:
            raise ArgumentError("episodes: there are none")
        self._flush()
        for files in (self.data, self.table, *self.videos.values()):
            files.close()
        meta = self.root / "meta"
        pq.write_table(tasks_table(list(self.tasks)), meta / "tasks.parquet")
        stats = {name: total.stats() for name, total in self.totals.items()}
        (meta / "stats.json").write_text(json.dumps(stats, indent=4), "utf-8")
        info = self._info(robot_type, sizes)
        (meta / "info.json").write_text(json.dumps(info, indent=4, ensure_ascii=False), "utf-8")

    def _info(self, robot_type: str | None, sizes: Mapping[str, float]) -> dict[str, Any]:
        fps: Any = int(self.rate) if self.rate.denominator == 1 else float(self.rate)
        features = {}
        for column in self.columns:
            info = None
            if column.dtype == "video":
                height, width, channels = column.shape
                info = {
                    "video.height": height, "video.width": width, "video.codec": CODECS[self.encoder["codec"]],
                    "video.pix_fmt": self.encoder["pixels"], "video.is_depth_map": False, "video.fps": fps,
                    "video.channels": channels, "has_audio": False,
                }  # fmt: skip
            features[column.name] = feature_entry(column, info)
        features |= {name: {"dtype": dtype, "shape": [1], "names": None} for name, dtype in OWN.items()}
        return {
            "codebase_version": "v3.0", "robot_type": robot_type, "total_episodes": self.count,
            "total_frames": self.steps, "total_tasks": len(self.tasks), "chunks_size": self.limits["chunks_size"],
            **sizes, "fps": fps, "splits": {"train": f"0:{self.count}"},
            "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
            "video_path": VIDEOS if self.videos else None,
            "features": features,
        }  # fmt: skip

    def abandon(self) -> None:
        """Let go of what is open."""
        for files in self.videos.values():
            if files.writer is not None:
                files.writer.abandon()


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray) else value


__all__ = ["Writing"]
