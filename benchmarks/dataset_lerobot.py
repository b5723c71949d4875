"""`dataset_access` of LeRobot."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Arrays = dict[str, np.ndarray]
Windows = list[tuple[int, int, int]]
CHUNK = 32
OWN = ("timestamp", "frame_index", "episode_index", "index", "task_index")  # it takes a single number of each


class LeRobot:
    """``LeRobotDataset``; numbers by its Hugging Face table, pictures by its items."""

    random, bytes_too = True, False

    def __init__(self, path: str, split: str | None) -> None:
        from lerobot.datasets.lerobot_dataset import LeRobotDataset

        self.data = LeRobotDataset(f"local/{Path(path).name}", root=path)
        table = self.data.meta.episodes
        self.starts, self.stops = (list(map(int, table[f"dataset_{side}_index"])) for side in ("from", "to"))
        self.count = len(self.starts)
        features = self.data.meta.features
        self.pictures = [name for name, told in features.items() if told["dtype"] in ("image", "video")]
        self.vectors = [name for name, told in features.items() if np.dtype(_number(told["dtype"])).kind in "fiub"]
        self.tables: dict[tuple[str, ...], Any] = {}
        self.opened: dict[tuple[Any, ...], Any] = {}
        self.decoder = str(getattr(self.data, "video_backend", "Pillow"))

    def table(self, names: list[str]) -> Any:
        """Some columns, which come as NumPy: faster than as the tensors that it gives of itself."""
        if tuple(names) not in self.tables:
            self.tables[tuple(names)] = self.data.hf_dataset.select_columns(names).with_format("numpy")
        return self.tables[tuple(names)]

    def length(self, episode: int) -> int:
        """From its own table."""
        return self.stops[episode] - self.starts[episode]

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """A slice of the table."""
        rows = self.table(names)[self.starts[episode] + start : self.starts[episode] + stop]
        return {name: np.asarray(rows[name]) for name in names}

    def batch(self, windows: Windows, names: list[str]) -> Arrays:
        """All rows in one call."""
        at = np.array(windows)
        width = windows[0][2] - windows[0][1]
        steps = (np.array(self.starts)[at[:, 0]] + at[:, 1])[:, None] + np.arange(width)
        rows = self.table(names)[steps.ravel()]
        return {name: np.asarray(rows[name]).reshape(len(windows), width, -1) for name in names}

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        """With all that the item holds."""
        return np.asarray(self.data[self.starts[episode] + step][name])

    def as_bytes(self, picture: np.ndarray) -> np.ndarray:
        """From floats (channel, height, width)."""
        return np.rint(picture * 255).astype(np.uint8).transpose(1, 2, 0)

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        """It has no such call."""
        raise NotImplementedError

    def spans(self, names: list[str], steps: int) -> Any:
        """The dataset whose items are spans of steps."""
        if (steps, *names) not in self.opened:
            from lerobot.datasets.lerobot_dataset import LeRobotDataset

            deltas = {name: [k / self.data.fps for k in range(steps)] for name in names}
            found = LeRobotDataset(self.data.repo_id, root=self.data.root, delta_timestamps=deltas)
            self.opened[(steps, *names)] = found
        return self.opened[(steps, *names)]

    def everything(self, count: int, vectors: list[str], pictures: list[str]) -> Iterator[np.ndarray]:
        """Numbers at once, frames some in a call; as floats, which count as the bytes that they were."""
        for episode, (start, stop) in enumerate(zip(self.starts[:count], self.stops[:count])):
            yield from self.window(episode, 0, stop - start, vectors).values()
            for at in range(start, stop, CHUNK) if pictures else ():
                item = self.spans(pictures, min(CHUNK, stop - at))[at]
                yield from (np.broadcast_to(np.uint8(0), np.asarray(item[name]).shape) for name in pictures)


class LeRobotItems(LeRobot):
    """Windows as the items that ``LeRobotDataset(delta_timestamps=)`` gives, with all that they hold."""

    def __init__(self, path: str, split: str | None) -> None:
        super().__init__(path, split)
        self.vectors = [name for name in self.vectors if name not in OWN]

    def window(self, episode: int, start: int, stop: int, names: list[str]) -> Arrays:
        """An item, from its first step on."""
        item = self.spans(names, stop - start)[self.starts[episode] + start]
        return {name: np.asarray(item[name]) for name in names}

    def batch(self, windows: Windows, names: list[str]) -> Arrays:
        """Item by item."""
        found = [self.window(*one, names) for one in windows]
        return {name: np.stack([one[name] for one in found]) for name in names}


def _number(dtype: str) -> str:
    return dtype if dtype not in ("string", "image", "video", "language") else "object"
