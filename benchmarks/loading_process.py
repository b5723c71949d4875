"""What a fresh process does for ``benchmarks.bench_loading``: one loader over one LeRobot dataset; JSON at its end."""

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

Job = dict[str, Any]


def ours(job: Job, shuffle: bool) -> Iterator[dict[str, Any]]:
    """`DataLoader.from_lerobot`, as tensors."""
    import robocache as rc

    feed = rc.DataLoader.from_lerobot(job["path"], batch_size=job["batch"], delta_timestamps=job["deltas"],
                                      shuffle=shuffle, threads=job["workers"], tensors=True)  # fmt: skip
    while True:
        yield from feed


def theirs(job: Job, shuffle: bool) -> Iterator[dict[str, Any]]:
    """PyTorch's ``DataLoader`` over a ``LeRobotDataset``, as LeRobot's own training does it."""
    import torch
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    data = LeRobotDataset(f"local/{Path(job['path']).name}", root=job["path"], delta_timestamps=job["deltas"])
    feed = torch.utils.data.DataLoader(data, batch_size=job["batch"], shuffle=shuffle, num_workers=job["workers"],
                                       drop_last=True, persistent_workers=True)  # fmt: skip
    while True:
        yield from feed


LOADERS = {"robocache": ours, "lerobot": theirs}


def check(job: Job) -> Job:
    """The first batches in order, into a file."""
    feed = LOADERS[job["library"]](job, False)
    arrays = {}
    for number in range(job["checked"]):
        for name, value in next(feed).items():
            if not isinstance(value, list):
                arrays[f"{number}|{name}"] = np.asarray(value)
    np.savez(job["values"], **arrays)
    return {"keys": len(arrays)}


def measure(job: Job) -> Job:
    """Seconds to the first batch, imports included, and samples a second after some batches more."""
    begin = time.perf_counter()
    feed = LOADERS[job["library"]](job, True)
    next(feed)
    first = time.perf_counter() - begin
    for _ in range(job["warm"]):
        next(feed)
    begin, batches = time.perf_counter(), 0
    while (took := time.perf_counter() - begin) < job["seconds"]:
        next(feed)
        batches += 1
    return {"first_s": first, "samples_per_second": batches * job["batch"] / took}


if __name__ == "__main__":
    told = json.loads(sys.argv[1])
    sys.stdout.write("\n" + json.dumps((check if told["what"] == "check" else measure)(told)) + "\n")
    sys.stdout.flush()
    os._exit(0)  # workers that read ahead are not waited for
