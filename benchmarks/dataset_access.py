"""One way to ask RoboCache, tensorflow_datasets and LeRobot for the same items of a dataset.

Each gives what a user who knows it well would call: tensorflow_datasets decodes only the pictures that are asked for,
LeRobot reads numbers from its table, as NumPy, without touching video, and many frames of a video in one call.
"""

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .dataset_lerobot import CHUNK, Arrays, LeRobot, LeRobotItems, Windows
from .dataset_tfds import TensorflowData, TensorflowDatasets


class Access(Protocol):
    """An opened dataset. Names are RoboCache's; one that a library lacks is not among its own."""

    count: int  # episodes
    vectors: list[str]
    pictures: list[str]
    random: bool  # whether items can be had out of order; `window` and `picture` are then for comparing only
    bytes_too: bool  # whether pictures can be had as they are on disk
    decoder: str  # of pictures

    def length(self, episode: int) -> int:
        """Steps."""

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """Numbers of some steps."""

    def batch(self, windows: Windows, names: list[str]) -> Arrays:
        """Numbers of windows of one length, each (window, step, …)."""

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        """One picture."""

    def as_bytes(self, picture: np.ndarray) -> np.ndarray:
        """What `picture` gave as (height, width, channel) of bytes, to be compared."""

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        """The same as it is on disk."""

    def everything(self, count: int, vectors: list[str], pictures: list[str]) -> Iterator[np.ndarray]:
        """Numbers and pictures of the first episodes, in order."""


class RoboCache:
    """`robocache.datasets`."""

    random, decoder = True, "simplejpeg, Pillow, PyAV"

    def __init__(self, path: str, split: str | None) -> None:
        import robocache.datasets as rd

        self.data = rd.open_dataset(path, split=split)
        self.count = len(self.data)
        first = self.data[0]
        numbers = {n: len(s) for n, s in first.items() if s.kind == "vector" and s.dtype.kind in "fiub"}
        self.vectors = [name for name, count in numbers.items() if count == (first.length or count)]
        self.pictures = [name for name, stream in first.items() if stream.kind in ("image", "depth")]

    @property
    def bytes_too(self) -> bool:
        """Not of video."""
        return any(self.data[0][name].ranges(0) is not None for name in self.pictures)

    def length(self, episode: int) -> int:
        """Of the shortest stream of numbers, where a log has no steps."""
        one = self.data[episode]
        return one.length if one.length is not None else min(len(one[name]) for name in self.vectors)

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """A read a stream."""
        one = self.data[episode]
        return {name: one[name].read(slice(start, stop)) for name in names}

    def batch(self, windows: Windows, names: list[str]) -> Arrays:
        """By the numbers of the steps."""
        at = np.array(windows)
        steps = (self.data.index.offsets[at[:, 0]] + at[:, 1])[:, None] + np.arange(windows[0][2] - windows[0][1])
        return {name: self.data.take(name, steps) for name in names}

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        """Decoded."""
        found: np.ndarray = self.data[episode][name].read(step)
        return found

    def as_bytes(self, picture: np.ndarray) -> np.ndarray:
        """It is."""
        return picture

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        """Not decoded."""
        found: bytes = self.data[episode][name].read(step, decode=False)
        return found

    def everything(self, count: int, vectors: list[str], pictures: list[str]) -> Iterator[np.ndarray]:
        """Stream by stream, pictures some at a time."""
        for one in (self.data[episode] for episode in range(count)):
            yield from (one[name].read() for name in vectors)
            for name in pictures:
                yield from (one[name].read(slice(at, at + CHUNK)) for at in range(0, len(one[name]), CHUNK))


LIBRARIES: dict[str, Any] = {
    "robocache": RoboCache,
    "tensorflow_datasets": TensorflowDatasets,
    "tf.data": TensorflowData,
    "lerobot": LeRobot,
    "lerobot items": LeRobotItems,
}
MODULES = {
    "robocache": "robocache.datasets",
    "tensorflow_datasets": "tensorflow_datasets",
    "tf.data": "tensorflow_datasets",
    "lerobot": "lerobot.datasets.lerobot_dataset",
    "lerobot items": "lerobot.datasets.lerobot_dataset",
}


def prepared(library: str, path: str, folder: str) -> str:
    """The path that a library reads: for tensorflow_datasets a copy of TFRecord, of which it reads no item alone."""
    source = Path(path)
    if library != "tensorflow_datasets" or not (source / "dataset_info.json").exists():
        return path
    if json.loads((source / "dataset_info.json").read_text("utf-8")).get("fileFormat", "tfrecord") != "tfrecord":
        return path
    return str(as_array_record(source, Path(folder) / source.parent.name / source.name))


def as_array_record(source: Path, target: Path, name: str | None = None) -> Path:
    """The records of a TFDS folder of TFRecord, byte for byte, in the file format that is read at random."""
    from array_record.python.array_record_module import ArrayRecordWriter

    target.mkdir(parents=True)
    name = name or source.parent.name
    for path in source.iterdir():
        if ".tfrecord-" not in path.name:
            shutil.copy(path, target)
            continue
        shard = path.name.replace(".tfrecord-", ".array_record-").replace(source.parent.name, name)
        writer = ArrayRecordWriter(str(target / shard), "group_size:1")
        for record in records(path.read_bytes()):
            writer.write(record)
        writer.close()
    info = json.loads((source / "dataset_info.json").read_text("utf-8"))
    info |= {"fileFormat": "array_record", "name": name if source.parent.name != name else info.get("name", name)}
    for split in info["splits"]:
        split["filepathTemplate"] = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"
    (target / "dataset_info.json").write_text(json.dumps(info), "utf-8")
    return target


def records(data: bytes) -> Iterator[bytes]:
    """Payloads of TFRecord; checksums are RoboCache's to check."""
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<Q", data, at)
        yield data[at + 12 : at + 12 + length]
        at += 16 + length
