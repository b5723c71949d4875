"""A policy in PyTorch; and the usual way beside our loader: PyTorch's, whose dataset reads and decodes item by item."""

import os
import time
from collections.abc import Iterator
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
        if not self.size.pictures:
            item["goal"] = torch.from_numpy(np.array(episode["goal"].read(slice(step, step + 1))))
        else:
            import io

            for camera in training_data.CAMERAS:
                data = episode[camera].read(step, decode=False)
                item[camera] = torch.from_numpy(np.array(Image.open(io.BytesIO(data)))[None])
        return item


class Feed:
    """Batches on the GPU from PyTorch's loader: a process for each core, up to 16, pinned memory, warmed up."""

    def __init__(self, path: Path, size: training_models.Size) -> None:
        import torch

        self.workers = min(16, len(os.sched_getaffinity(0)))
        there = torch.cuda.is_available()
        self._where = "cuda" if there else "cpu"
        loader = torch.utils.data.DataLoader(
            Items(path, size), batch_size=size.batch, shuffle=True, num_workers=self.workers, pin_memory=there,
            drop_last=True, persistent_workers=True, prefetch_factor=4, multiprocessing_context="spawn",
        )  # fmt: skip
        self._ahead = chain.from_iterable(repeat(loader))
        for _ in range(2 * self.workers):
            next(self._ahead)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for batch in self._ahead:
            yield {name: value.to(self._where, non_blocking=True) for name, value in batch.items()}


def samples_per_second(path: Path, size: training_models.Size, seconds: float) -> dict[str, Any]:
    """What PyTorch's loader brings to the GPU."""
    try:
        import torch
    except ImportError:
        return {"absent": "torch is not installed"}
    feed = Feed(path, size)
    ahead = iter(feed)
    start, batches = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        moved = next(ahead)
        batches += 1
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    del moved
    return {"torch": batches * size.batch / (time.perf_counter() - start), "torch_workers": feed.workers}


def there() -> bool:
    """Whether PyTorch can be used on the device that is measured."""
    try:
        import torch
    except ImportError:
        return False
    return bool(torch.cuda.is_available())


class TorchRun:
    """Steps of one policy of `training_models` in PyTorch, without compilation: the same numbers at the start."""

    framework = "PyTorch"

    def __init__(self, size: training_models.Size) -> None:
        self.size = size
        self.begin()

    def begin(self) -> None:
        """With nothing learnt."""
        import torch

        def placed(value: Any) -> Any:
            if isinstance(value, dict):
                return {name: placed(one) for name, one in value.items()}
            return torch.from_numpy(value).cuda().requires_grad_()

        self.params = placed(training_models.parameters(self.size, training_data.JOINTS))
        layers = self.params["layers"]
        every = [one for name, one in self.params.items() if name != "layers"]
        every += layers.values() if isinstance(layers, dict) else [layers]
        self.optimizer = torch.optim.Adam(every, 0.3 / self.size.width, (0.9, 0.99), fused=True)
        self.warmup = torch.optim.lr_scheduler.LambdaLR(self.optimizer, lambda number: min(1.0, (number + 1) / 100))

    @staticmethod
    def ready(batch: Any) -> dict[str, Any]:
        """A batch as the policy takes it."""
        arrays: dict[str, Any] = dict(batch.to_torch(valid=True))
        return arrays | {"action_valid": arrays["action/valid"]}

    def predict(self, batch: dict[str, Any]) -> Any:
        """The chunk of actions, as `training_models.predict` does it, of a policy that sees pictures."""
        import torch
        from torch.nn.functional import gelu, layer_norm, scaled_dot_product_attention

        half, width, heads = torch.bfloat16, self.size.width, self.size.heads
        given = {name: value.to(half) for name, value in self.params.items() if name != "layers"}
        layers = {name: value.to(half) for name, value in self.params["layers"].items()}
        state = batch["state"][:, -1].to(half) @ given["state"]
        count, found = len(state), [given["query"] + state[:, None], state[:, None]]
        patches = []
        for camera in training_data.CAMERAS:
            picture = batch[camera][:, -1].to(half) / 127.5 - 1
            side = picture.shape[1] // training_models.PATCH
            cut = picture.reshape(count, side, training_models.PATCH, side, training_models.PATCH, 3)
            patches.append(cut.permute(0, 1, 3, 2, 4, 5).reshape(count, side * side, -1) @ given["patch"])
        seen = torch.cat(patches, 1)
        x = torch.cat([*found, seen + given["place"][: seen.shape[1]]], 1)
        for at in range(self.size.depth):
            qkv = (layer_norm(x, (width,)) @ layers["qkv"][at]).reshape(count, -1, 3, heads, width // heads)
            mixed = scaled_dot_product_attention(*qkv.permute(2, 0, 3, 1, 4)).transpose(1, 2)
            x = x + mixed.reshape(count, -1, width) @ layers["out"][at]
            x = x + gelu(layer_norm(x, (width,)) @ layers["up"][at]) @ layers["down"][at]
        return layer_norm(x[:, : self.size.n_act].float(), (width,)) @ self.params["head"]

    def _loss(self, batch: dict[str, Any]) -> Any:
        wrong = (self.predict(batch) - batch["action"]) ** 2
        real = batch["action_valid"][..., None]
        return (wrong * real).sum() / (real.sum() * wrong.shape[-1]).clamp(min=1)

    def go(self, batch: dict[str, Any]) -> Any:
        """One step; its loss, which nobody has waited for."""
        self.optimizer.zero_grad()
        loss = self._loss(batch)
        loss.backward()
        self.optimizer.step()
        self.warmup.step()
        return loss.detach()

    def judge(self, batch: dict[str, Any]) -> float:
        """The loss alone."""
        import torch

        with torch.no_grad():
            return float(self._loss(batch))
