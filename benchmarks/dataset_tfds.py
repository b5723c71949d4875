"""`dataset_access` of tensorflow_datasets."""

import os
from collections.abc import Iterator
from typing import Any

import numpy as np

from .dataset_lerobot import CHUNK, Arrays, Windows


class TensorflowDatasets:
    """``as_data_source`` of tensorflow_datasets, which reads array_record and parquet, and of TFRecord a copy."""

    random, bytes_too = True, True

    def __init__(self, path: str, split: str | None) -> None:
        import tensorflow_datasets as tfds

        self.builder = tfds.builder_from_directory(path)
        self.decode = tfds.decode
        steps = self.builder.info.features["steps"].feature
        self.pictures = list(_image_names(steps, tfds.features.Image))
        self.vectors = [name for name, dtype in _flat(steps.np_dtype).items() if np.dtype(dtype).kind in "fiub"]
        self.vectors = [name for name in self.vectors if name not in self.pictures]
        self.splits = [split] if split else list(self.builder.info.splits)
        self.opened: dict[tuple[str, ...], list[Any]] = {}
        self.count = sum(self.builder.info.splits[name].num_examples for name in self.splits)
        self.lengths: dict[int, int] = {}
        self.decoder = "OpenCV" if _here("cv2") else "TensorFlow" if _here("tensorflow") else "Pillow"

    def skipping(self, names: list[str]) -> Any:
        """Leaves pictures as they are on disk, but for some."""
        left = {name: self.decode.SkipDecoding() for name in self.pictures if name not in names}
        return {"steps": _nested(left)} if left else None

    def parts(self, names: list[str]) -> list[Any]:
        """Sources that decode some pictures, and all numbers."""
        key = tuple(name for name in names if name in self.pictures)
        if key not in self.opened:
            skip = self.skipping(names)
            self.opened[key] = [self.builder.as_data_source(name, decoders=skip) for name in self.splits]
        return self.opened[key]

    def length(self, episode: int) -> int:
        """Of its steps."""
        if episode not in self.lengths:
            self.lengths[episode] = len(_pick(self.parts([]), episode)["steps"])
        return self.lengths[episode]

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """A step at a time: it has no slices."""
        steps = _pick(self.parts(names), episode)["steps"]
        rows = [_flat(steps[k]) for k in range(start, stop)]
        return {name: np.stack([row[name] for row in rows]) for name in names}

    def batch(self, windows: Windows, names: list[str]) -> Arrays:
        """Episode by episode, each opened once."""
        found: list[Any] = [None] * len(windows)
        steps, last = None, -1
        for at in sorted(range(len(windows)), key=lambda at: windows[at][0]):
            episode, start, stop = windows[at]
            if episode != last:
                steps, last = _pick(self.parts(names), episode)["steps"], episode
            found[at] = [_flat(steps[k]) for k in range(start, stop)]
        return {name: np.stack([np.stack([row[name] for row in rows]) for rows in found]) for name in names}

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        """Decoded alone."""
        return np.asarray(_flat(_pick(self.parts([name]), episode)["steps"][step])[name])

    def as_bytes(self, picture: np.ndarray) -> np.ndarray:
        """It is."""
        return picture

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        """Not decoded."""
        return bytes(_flat(_pick(self.parts([]), episode)["steps"][step])[name])

    def everything(self, count: int, vectors: list[str], pictures: list[str]) -> Iterator[np.ndarray]:
        """Step by step."""
        for episode in range(count):
            for step in _pick(self.parts(vectors + pictures), episode)["steps"]:
                row = _flat(step)
                yield from (np.asarray(row[name]) for name in vectors + pictures)


class TensorflowData(TensorflowDatasets):
    """``as_dataset`` of tensorflow_datasets: the pipeline of TensorFlow, in order only, batches of steps."""

    random, bytes_too = False, False

    def __init__(self, path: str, split: str | None) -> None:
        super().__init__(path, split)
        self.held: list[Arrays] = []
        self.decoder = "TensorFlow"

    def _records(self, names: list[str]) -> Any:
        skip = self.skipping(names)
        found = [self.builder.as_dataset(split=name, decoders=skip, shuffle_files=False) for name in self.splits]
        whole = found[0]
        for more in found[1:]:
            whole = whole.concatenate(more)
        return whole

    def _numbers(self) -> list[Arrays]:
        if not self.held:
            whole = self._records([]).flat_map(lambda one: one["steps"].batch(1 << 20))
            for row in map(_flat, whole.as_numpy_iterator()):
                self.held.append({name: row[name] for name in self.vectors})
        return self.held

    def length(self, episode: int) -> int:
        """Of its steps, by passing all of them."""
        return len(self._numbers()[episode][self.vectors[0]])

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """To be compared."""
        return {name: self._numbers()[episode][name][start:stop] for name in names}

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        """To be compared."""
        found = self._records([name]).skip(episode).take(1).flat_map(lambda one: one["steps"]).skip(step).take(1)
        return np.asarray(_flat(next(found.as_numpy_iterator()))[name])

    def everything(self, count: int, vectors: list[str], pictures: list[str]) -> Iterator[np.ndarray]:
        """Several episodes at once, in any order, which is faster."""
        import tensorflow as tf

        whole = self._records(vectors + pictures).take(count)
        steps = whole.interleave(
            lambda one: one["steps"].batch(CHUNK),
            cycle_length=os.cpu_count() or 1, num_parallel_calls=tf.data.AUTOTUNE, deterministic=False,
        )  # fmt: skip
        for batch in steps.prefetch(tf.data.AUTOTUNE).as_numpy_iterator():
            row = _flat(batch)
            yield from (row[name] for name in vectors + pictures)


def _here(module: str) -> bool:
    from importlib.util import find_spec

    return find_spec(module) is not None


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
