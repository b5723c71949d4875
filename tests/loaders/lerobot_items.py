"""What LeRobot makes of a frame, in plain loops over its reference items, and frames in memory."""

import math
from pathlib import Path
from typing import Any

import numpy as np
from loaders.arrays import Arrays

import robocache as rc
from robocache.datasets import StreamSpec

SMALL = Path(__file__).resolve().parents[1] / "datasets" / "lerobot"
VIDEOS = ("observation.images.front", "observation.images.wrist")


def frames_of(seconds: list[float], fps: float, tolerance: float) -> list[int] | None:
    """Deltas in frames; None where LeRobot refuses."""
    for one in seconds:
        if abs(one * fps - round(one * fps)) / fps > tolerance:
            return None
    return [round(one * fps) for one in seconds]


def item(reference: Any, videos: Any, deltas: dict[str, list[int]], i: int) -> dict[str, Any]:
    """Frame ``i`` of arrays by key, whose pictures are uint8, as torch tensors and strings, in LeRobot's order."""
    import torch

    episode = reference["episode_index"]
    low, high = i, i
    while low > 0 and episode[low - 1] == episode[i]:
        low -= 1
    while high + 1 < len(episode) and episode[high + 1] == episode[i]:
        high += 1

    def value(key: str, row: int) -> Any:
        one = torch.as_tensor(np.array(reference[key][row]))
        return one.to(torch.float32) / 255 if one.dtype == torch.uint8 else one

    keys = [key for key in reference if key != "task"]
    keys = [key for key in keys if key in videos] + [key for key in keys if key not in videos]
    found = {}
    for key in keys:
        if key not in deltas:
            found[key] = value(key, i)
            continue
        stacked = torch.stack([value(key, max(low, min(high, i + delta))) for delta in deltas[key]])
        found[key] = stacked.squeeze(0) if key in videos else stacked
    for key, frames in deltas.items():
        found[f"{key}_is_pad"] = torch.BoolTensor([i + delta < low or i + delta > high for delta in frames])
    return found | {"task": str(reference["task"][i])}


def equal(batch: Any, items: list[dict[str, Any]]) -> None:
    """A batch of tensors is what PyTorch collates of items, in names, order, types, shapes and bits."""
    import torch
    from torch.utils.data import default_collate

    wanted = default_collate(items)
    assert list(batch) == list(wanted)
    for key, value in wanted.items():
        if isinstance(value, list):
            assert batch[key] == value
        else:
            assert (batch[key].dtype, batch[key].shape) == (value.dtype, value.shape), key
            assert torch.equal(batch[key], value), key


def open_view(path: Any, **options: Any) -> Any:
    """A loader of all frames in order, but for what is said."""
    return rc.DataLoader.from_lerobot(path, **{"batch_size": 8, "shuffle": False, "drop_last": False} | options)


class Frames(Arrays):
    """Frames in memory, with what a loader of frames asks for beyond a source."""

    def __init__(self, lengths: Any, values: dict[str, Any], videos: Any, *, name: str = "frames") -> None:
        super().__init__(lengths, values, name=name)
        self.videos, self.left_out, self.fps = frozenset(videos), {}, 10.0
        self.streams["task"] = StreamSpec("task", "text", (), np.dtype(object))

    def texts(self, name: str, rows: Any) -> list[str]:
        assert name == "task"
        return [f"{self.name} {row // 5}" for row in rows]


def made(seed: int, lengths: Any, *, name: str = "frames") -> Frames:
    """A video, a picture and numbers, all different from frame to frame."""
    rng, total = np.random.default_rng(seed), math.fsum(lengths)
    n = int(total)
    values = {
        "observation.front": rng.integers(0, 256, (n, 6, 5, 3), np.uint8),
        "observation.still": rng.integers(0, 256, (n, 4, 4, 1), np.uint8),
        "action": rng.standard_normal((n, 2)).astype(np.float32),
        "next.done": rng.random(n) < 0.3,
        "index": np.arange(n),
    }
    return Frames(lengths, values, ["observation.front"], name=name)
