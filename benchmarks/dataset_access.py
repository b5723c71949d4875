"""One way to ask RoboCache, tensorflow_datasets and LeRobot for the same items of a dataset.

Each gives what a user who knows it well would call: tensorflow_datasets skips the decoding of pictures that are not
asked for, LeRobot reads numbers from its table without touching video.
"""

import json
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np

Arrays = dict[str, np.ndarray]
CHUNK = 32


class Access(Protocol):
    """An opened dataset. Names are RoboCache's; one that a library lacks is not among its own."""

    count: int  # episodes
    vectors: list[str]
    pictures: list[str]
    bytes_too: bool  # whether pictures can be had as they are on disk

    def length(self, episode: int) -> int:
        """Steps."""

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """Numbers of some steps."""

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        """One picture (height, width, channel)."""

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        """The same as it is on disk."""

    def everything(self, episode: int) -> Iterator[np.ndarray]:
        """Every number and picture of an episode, in order."""


class RoboCache:
    """`robocache.datasets`."""

    def __init__(self, path: str, split: str | None) -> None:
        import robocache.datasets as rd

        self.data = rd.open_dataset(path, split=split)
        self.count = len(self.data)
        first = self.data[0]
        numbers = {n: len(s) for n, s in first.items() if s.kind == "vector" and s.dtype.kind in "fiub"}
        self.vectors = [name for name, count in numbers.items() if count == (first.length or count)]
        self.pictures = [name for name, stream in first.items() if stream.kind in ("image", "depth")]
        self.bytes_too = any(first[name].ranges(0) is not None for name in self.pictures)

    def length(self, episode: int) -> int:
        """Of the shortest stream of numbers, where a log has no steps."""
        one = self.data[episode]
        return one.length if one.length is not None else min(len(one[name]) for name in self.vectors)

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """A read a stream."""
        one = self.data[episode]
        return {name: one[name].read(slice(start, stop)) for name in names}

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        """Decoded."""
        found: np.ndarray = self.data[episode][name].read(step)
        return found

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        """Not decoded."""
        found: bytes = self.data[episode][name].read(step, decode=False)
        return found

    def everything(self, episode: int) -> Iterator[np.ndarray]:
        """Stream by stream, pictures some at a time."""
        one = self.data[episode]
        yield from (one[name].read() for name in self.vectors)
        for name in self.pictures:
            yield from (one[name].read(slice(at, at + CHUNK)) for at in range(0, len(one[name]), CHUNK))


class TensorflowDatasets:
    """``as_data_source`` of tensorflow_datasets, which reads array_record and parquet, and of TFRecord a copy."""

    def __init__(self, path: str, split: str | None) -> None:
        import tensorflow_datasets as tfds

        builder = tfds.builder_from_directory(path)
        steps = builder.info.features["steps"].feature
        self.pictures = list(_image_names(steps, tfds.features.Image))
        skip = _nested({name: tfds.decode.SkipDecoding() for name in self.pictures})
        names = [split] if split else list(builder.info.splits)
        self.plain = [builder.as_data_source(name, decoders={"steps": skip}) for name in names]
        self.whole = [builder.as_data_source(name) for name in names]
        self.count = sum(len(part) for part in self.plain)
        first = _flat(self.plain[0][0]["steps"][0])
        self.vectors = [name for name, value in first.items() if np.asarray(value).dtype.kind in "fiub"]
        self.bytes_too = True

    def length(self, episode: int) -> int:
        """Of its steps."""
        return len(_pick(self.plain, episode)["steps"])

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """A step at a time: it has no slices."""
        steps = _pick(self.plain, episode)["steps"]
        rows = [_flat(steps[k]) for k in range(start, stop)]
        return {name: np.stack([row[name] for row in rows]) for name in names}

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        """With all that the step holds."""
        return np.asarray(_flat(_pick(self.whole, episode)["steps"][step])[name])

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        """With all that the step holds, not decoded."""
        return bytes(_flat(_pick(self.plain, episode)["steps"][step])[name])

    def everything(self, episode: int) -> Iterator[np.ndarray]:
        """Step by step."""
        for step in _pick(self.whole, episode)["steps"]:
            row = _flat(step)
            yield from (np.asarray(row[name]) for name in self.vectors + self.pictures)


class LeRobot:
    """``LeRobotDataset``; numbers by its Hugging Face table, pictures by its items."""

    def __init__(self, path: str, split: str | None) -> None:
        from lerobot.datasets.lerobot_dataset import LeRobotDataset

        self.data = LeRobotDataset(f"local/{Path(path).name}", root=path)
        table = getattr(self.data.meta, "episodes", None)
        if hasattr(self.data, "episode_data_index"):  # until 0.3
            ends = self.data.episode_data_index
            self.starts, self.stops = ([int(k) for k in ends[side]] for side in ("from", "to"))
        else:
            self.starts, self.stops = (list(map(int, table[f"dataset_{side}_index"])) for side in ("from", "to"))
        self.count = len(self.starts)
        features = self.data.meta.features
        self.pictures = [name for name, told in features.items() if told["dtype"] in ("image", "video")]
        self.vectors = [name for name, told in features.items() if np.dtype(_number(told["dtype"])).kind in "fiub"]
        self.numbers = self.data.hf_dataset.select_columns(self.vectors)
        self.bytes_too = False

    def length(self, episode: int) -> int:
        """From its own table."""
        return self.stops[episode] - self.starts[episode]

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """A slice of the table."""
        rows = self.numbers[self.starts[episode] + start : self.starts[episode] + stop]
        return {name: np.stack([np.asarray(item) for item in rows[name]]) for name in names}

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        """With all that the item holds, back from floats (channel, height, width)."""
        found = np.asarray(self.data[self.starts[episode] + step][name])
        return np.rint(found * 255).astype(np.uint8).transpose(1, 2, 0)

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        """It has no such call."""
        raise NotImplementedError

    def everything(self, episode: int) -> Iterator[np.ndarray]:
        """Item by item."""
        for at in range(self.starts[episode], self.stops[episode]):
            item = self.data[at]
            yield from (np.asarray(item[name]) for name in self.vectors + self.pictures)


LIBRARIES: dict[str, Any] = {"robocache": RoboCache, "tensorflow_datasets": TensorflowDatasets, "lerobot": LeRobot}


def prepared(library: str, path: str, folder: str) -> str:
    """The path that a library reads: for tensorflow_datasets a copy of TFRecord, of which it reads no item alone."""
    source = Path(path)
    if library != "tensorflow_datasets" or not (source / "dataset_info.json").exists():
        return path
    if json.loads((source / "dataset_info.json").read_text("utf-8")).get("fileFormat", "tfrecord") != "tfrecord":
        return path
    return str(as_array_record(source, Path(folder) / source.parent.name / source.name))


def as_array_record(source: Path, target: Path) -> Path:
    """The records of a TFDS folder of TFRecord, byte for byte, in the file format that is read at random."""
    from array_record.python.array_record_module import ArrayRecordWriter

    target.mkdir(parents=True)
    for path in source.iterdir():
        if ".tfrecord-" not in path.name:
            shutil.copy(path, target)
            continue
        writer = ArrayRecordWriter(str(target / path.name.replace(".tfrecord-", ".array_record-")), "group_size:1")
        for record in records(path.read_bytes()):
            writer.write(record)
        writer.close()
    info = json.loads((source / "dataset_info.json").read_text("utf-8")) | {"fileFormat": "array_record"}
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


def _pick(parts: list[Any], episode: int) -> Any:
    for part in parts:
        if episode < len(part):
            return part[episode]
        episode -= len(part)
    raise IndexError(episode)


def _flat(tree: Any, prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in tree.items():
        found |= _flat(value, f"{prefix}{key}/") if isinstance(value, dict) else {prefix + key: value}
    return found


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *above, last = name.split("/")
        branch = tree
        for part in above:
            branch = branch.setdefault(part, {})
        branch[last] = value
    return tree


def _image_names(feature: Any, kind: type, prefix: str = "") -> Iterator[str]:
    for key, value in feature.items():
        if isinstance(value, kind):
            yield prefix + key
        elif hasattr(value, "items"):
            yield from _image_names(value, kind, f"{prefix}{key}/")


def _number(dtype: str) -> str:
    return dtype if dtype not in ("string", "image", "video", "language") else "object"
