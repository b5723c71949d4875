"""The usual way beside it: a PyTorch DataLoader whose dataset reads and decodes one item at a time."""

import os
import time
from itertools import chain, repeat
from pathlib import Path
from typing import Any

import numpy as np

from . import training_data, training_models


class Items:
    """A map-style dataset over the RLDS files: a step and the chunk of actions after it."""

    def __init__(self, path: Path, size: training_models.Size) -> None:
        self.path, self.size, self.dataset = path, size, None
        from robocache.datasets import open_dataset

        with open_dataset(path, split="train") as dataset:
            self.offsets = dataset.index.offsets

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def __getitem__(self, number: int) -> dict[str, Any]:
        import torch
        from PIL import Image

        if self.dataset is None:  # in the worker
            from robocache.datasets import open_dataset

            self.dataset = open_dataset(self.path, split="train")
        at = int(np.searchsorted(self.offsets, number, "right")) - 1
        episode, step = self.dataset[at], number - int(self.offsets[at])
        wanted = step + np.arange(self.size.n_act)
        last = len(episode["state"]) - 1
        item = {
            "state": torch.from_numpy(np.array(episode["state"].read(slice(step, step + 1)))),
            "action": torch.from_numpy(np.array(episode["action"].read(np.minimum(wanted, last)))),
            "action_valid": torch.from_numpy(wanted <= last),
        }
        if self.size.pictures:
            import io

            for camera in training_data.CAMERAS:
                data = episode[camera].read(step, decode=False)
                item[camera] = torch.from_numpy(np.array(Image.open(io.BytesIO(data)))[None])
        return item


def samples_per_second(path: Path, size: training_models.Size, seconds: float) -> dict[str, Any]:
    """With as many worker processes as cores, up to 16, pinned memory, and a copy to the GPU; warmed up."""
    try:
        import torch
    except ImportError:
        return {"absent": "torch is not installed"}
    workers = min(16, len(os.sched_getaffinity(0)))
    there = torch.cuda.is_available()
    feed = torch.utils.data.DataLoader(
        Items(path, size), batch_size=size.batch, shuffle=True, num_workers=workers, pin_memory=there, drop_last=True,
        persistent_workers=True, prefetch_factor=4, multiprocessing_context="spawn",
    )  # fmt: skip
    ahead, where = chain.from_iterable(repeat(feed)), "cuda" if there else "cpu"
    for _ in range(2 * workers):
        next(ahead)
    start, batches = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        moved = {name: value.to(where, non_blocking=True) for name, value in next(ahead).items()}
        batches += 1
    if where == "cuda":
        torch.cuda.synchronize()
    del moved
    took = time.perf_counter() - start
    del ahead, feed
    return {"torch": batches * size.batch / took, "torch_workers": workers}
