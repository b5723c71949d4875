"""A training loop with real data beside the same loop with data that are on the GPU already.

``python3 -m benchmarks.bench_training --root FOLDER [--gib 5] [--seconds 5] --out result.json``

Demonstrations with two cameras are written as RLDS, converted to a store, and policies of three sizes are trained from
it. For each: the time of a step with one batch that stays on the GPU, and with the loader's batches, warm and cold
(files out of the page cache); what NVML and its cycle counters saw; the loss on episodes that were held out. In PyTorch
also with the loader's child process, and with PyTorch's own ``DataLoader`` over the same files, an item at a time. Then
steps of a fixed length, from 2 to 100 ms: the shortest at which the loop loses less than 5 %; and how many samples come
with no step at all. Pictures come from a store of JPEG, and from one that was decoded beforehand. Every 100th batch is
compared with a slow path.
"""

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import robocache as rc

from . import _results, training_data, training_models, training_sweep, training_torch
from .training_meter import Meter, cached_share, forget, spread

CHECKED = 100  # every how many batches the slow path looks
DEVICE: int | None = 0
PER_EPISODE = 2 * training_data.STEPS * 30_500  # bytes, nearly all pictures
DECODED = 2 * training_data.STEPS * 3 * training_data.SIDE**2  # the same as plain pixels


class Truth:
    """The slow path: samples by their anchors, straight from the RLDS files."""

    def __init__(self, path: Path, n_act: int) -> None:
        from robocache.datasets import open_dataset

        self.dataset, self.n_act = open_dataset(path, split="train"), n_act
        self.offsets = self.dataset.index.offsets
        self.looked = 0

    def check(self, batch: Any) -> None:
        """Raise unless a batch is what the files say, a few samples picture by picture."""
        self.looked += 1
        arrays = {name: np.asarray(value) for name, value in batch.numpy().items()}
        valid = np.asarray(
            batch.valid["action"].get() if hasattr(batch.valid["action"], "get") else batch.valid["action"]
        )
        for row in range(0, len(arrays["state"]), max(1, len(arrays["state"]) // 8)):
            number, step = self.dataset.index.locate(int(batch.anchor[row]))
            episode = self.dataset[number]
            steps = step + np.arange(self.n_act)
            inside = np.minimum(steps, len(episode["state"]) - 1)
            expected = {"state": episode["state"].read([step]), "action": episode["action"].read(inside)}
            expected |= {name: episode[name].read([step]) for name in arrays if name not in expected}
            for name, values in expected.items():
                if not np.array_equal(arrays[name][row], values):
                    raise _results.WrongResult(f"batch differs from the files: {name} of episode {number}, step {step}")
            if not np.array_equal(valid[row], steps < len(episode["state"])):
                raise _results.WrongResult(f"validity of episode {number}, step {step}")


def loader(store: Any, size: training_models.Size, **more: Any) -> Any:
    """The loader of a policy, epoch after epoch."""
    given = {"n_obs": 1, "n_act": size.n_act, "pad_after": size.n_act - 1, "obs": list(size.seen), "action": ["action"]}
    return rc.DataLoader(
        store, batch_size=size.batch, epochs=math.inf, **({"threads": threads(size), "device": DEVICE} | given | more)
    )


def threads(size: training_models.Size) -> int:
    """For pictures all processors but two, up to 16, for the loop and for what JAX itself does; for numbers two."""
    return max(1, min(16, len(os.sched_getaffinity(0)) - 2)) if size.pictures else 2


def timed(run: Any, batches: Iterator[Any], steps: int, judge: Callable[[Any], None] | None = None) -> dict[str, Any]:
    """Milliseconds of a step over windows of ten, the GPU waited for at their ends only."""
    took, losses, wide = [], [], 10
    meter = Meter()
    with meter.running():
        for _ in range(steps // wide):
            start = time.perf_counter()
            for _ in range(wide):
                batch = next(batches)
                loss = run.go(batch if isinstance(batch, dict) else run.ready(batch))
            losses.append(float(loss))  # synchronizes
            took.append((time.perf_counter() - start) * 1e3 / wide)
            if judge is not None and not isinstance(batch, dict) and len(took) % (CHECKED // wide) == 0:
                judge(batch)
    return {
        "step_ms": spread(took),
        "loss_first": losses[0],
        "loss_last": float(np.mean(losses[-5:])),
        **meter.told(),
    }


def policy(
    size: training_models.Size, stores: dict[str, Path], truth: Truth, seconds: float, make: Callable[[Any], Any],
    workers: str = "thread", feed: Callable[[], Any] | None = None,
) -> dict[str, Any]:  # fmt: skip
    """A row of the result: one policy, in JAX or in PyTorch; ``feed`` is another loader to be seen beside ours."""
    run = make(size)
    with loader(stores["train"], size, workers=workers) as fed, loader(stores["val"], size) as held:
        ahead = iter(fed)
        fixed, unseen = run.ready(next(ahead)), [run.ready(batch) for _, batch in zip(range(4), held, strict=False)]
        before = float(np.mean([run.judge(batch) for batch in unseen]))
        for _ in range(2):
            float(run.go(fixed))  # compiles
        rough = time.perf_counter()
        for _ in range(10):
            loss = run.go(fixed)
        float(loss)  # synchronizes
        steps = int(np.clip(seconds / ((time.perf_counter() - rough) / 10), 60, 2000)) // 10 * 10
        rows = {"synthetic": timed(run, iter(lambda: fixed, None), steps)}
        run.begin()  # what was learnt from one batch is forgotten
        rows["warm"] = timed(run, ahead, steps, truth.check)
        rows["warm"]["loader"] = fed.stats()
    forget(stores["train"])
    cold = cached_share(stores["train"])
    with loader(stores["train"], size, seed=1, workers=workers) as fed:
        ahead = iter(fed)
        for _ in range(2):
            run.go(run.ready(next(ahead)))
        rows["cold"] = timed(run, ahead, steps, truth.check)
        rows["cold"]["loader"] = fed.stats()
    rows["cold"]["cached_before"] = round(cold, 3)
    after = float(np.mean([run.judge(batch) for batch in unseen]))
    if feed is not None:
        rows["theirs"] = timed(run, iter(feed()), steps)
    base = rows["synthetic"]["step_ms"]["median"]
    stall = {kind: round(1 - base / row["step_ms"]["median"], 4) for kind, row in rows.items() if kind != "synthetic"}
    name = f"{size.name}, {run.framework}" + (", child process" if workers == "process" else "")
    return {
        "op": "train", "method": name, "backend": "cuda", "shapes": {"B": size.batch, "A": size.n_act},
        "dtypes": {"values": "bfloat16"}, "pictures": len(training_data.CAMERAS) if size.pictures else 0,
        "steps": steps, "stall": stall, "held_out_loss": {"before": before, "after": after}, **rows,
    }  # fmt: skip


def kind(size: training_models.Size, decoded: bool) -> dict[str, Any]:
    """What a row says of the data."""
    return {
        "method": ("pictures, decoded beforehand" if decoded else "pictures") if size.pictures else "state",
        "backend": "cuda", "shapes": {"B": size.batch, "A": size.n_act},
        "dtypes": {"values": "uint8" if size.pictures else "float32"},
    }  # fmt: skip


def sweep(store: Path, size: training_models.Size, seconds: float, decoded: bool = False) -> dict[str, Any]:
    """Steps of fixed lengths."""
    with loader(store, size) as fed:
        return {"op": "sweep", **kind(size, decoded), **training_sweep.sweep(iter(fed), seconds, wait)}


def wait() -> None:
    """For the GPU. # synchronizes"""
    if DEVICE is not None:
        import cupy

        cupy.cuda.Device(DEVICE).synchronize()


def throughput(
    store: Path, size: training_models.Size, seconds: float, path: Path, decoded: bool = False
) -> dict[str, Any]:
    """Samples a second with nothing done to them: our loader, and PyTorch's over single items of the same files."""
    with loader(store, size) as fed:
        ahead = iter(fed)
        for _ in range(5):
            next(ahead)
        start, batches = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            last = next(ahead)
            batches += 1
        last.numpy()  # synchronizes
        ours = batches * size.batch / (time.perf_counter() - start)
    theirs = training_torch.samples_per_second(path, size, seconds)
    return {"op": "load", **kind(size, decoded), "samples_per_second": {"robocache": ours, **theirs}}


def prepare(root: Path, gib: float, decoded_gib: float, workers: int) -> tuple[Path, dict[str, Path], dict[str, Any]]:
    """The dataset, its stores, and what making them took."""
    from robocache import store

    count = max(4, int(gib * 2**30 / PER_EPISODE))
    start = time.perf_counter()
    path = training_data.write(root / "rlds", count, max(2, count // 50), workers)
    took, stores = {"write_s": time.perf_counter() - start}, {}
    plain = range(min(count, max(4, int(decoded_gib * 2**30 / DECODED))))
    streams = ["state", "action", "goal", *training_data.CAMERAS]
    for name, split, more in (("train", "train", {}), ("val", "val", {}),
                              ("decoded", "train", {"images": "raw", "episodes": plain})):  # fmt: skip
        start, stores[name] = time.perf_counter(), root / f"store-{name}"
        store.convert(path, stores[name], streams=streams, workers=workers, opening={"split": split}, **more)
        took[f"{name}_s"] = time.perf_counter() - start
    told = {
        "episodes": count, "steps": count * training_data.STEPS, "bytes": _bytes(path), "workers": workers,
        "threads": threads(training_models.SIZES[1]), "decoded_episodes": len(plain),
        "decoded_bytes": _bytes(stores["decoded"]), "convert_s": round(took["train_s"] + took["val_s"], 1),
        **{name: round(s, 1) for name, s in took.items()},
    }  # fmt: skip
    return path, stores, told


def _bytes(folder: Path) -> int:
    return sum(f.stat().st_size for f in folder.rglob("*") if f.is_file())


def main(argv: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    room = "a folder on a local disk with room for twice --gib and for --decoded-gib"
    parser.add_argument("--root", type=Path, required=True, help=room)
    parser.add_argument("--gib", type=float, default=5.0)
    parser.add_argument("--decoded-gib", type=float, default=12.0, help="of pictures that are decoded beforehand")
    parser.add_argument("--seconds", type=float, default=8.0, help="of each timed part")
    parser.add_argument("--only", nargs="*", default=[size.name for size in training_models.SIZES])
    parser.add_argument("--out", required=True)
    parser.add_argument("--cpu", action="store_true", help="to see that it runs; no figure of it counts")
    given = parser.parse_args(argv)
    global DEVICE
    DEVICE = None if given.cpu else 0
    _results.require_commit()
    path, stores, told = prepare(given.root, given.gib, given.decoded_gib, len(os.sched_getaffinity(0)))
    _results.say(str(told))
    truth = Truth(path, training_models.SIZES[0].n_act)
    small, medium = training_models.SIZES[:2]
    todo: list[Callable[[], dict[str, Any]]] = [
        lambda size=size: policy(size, stores, truth, given.seconds, training_models.JaxRun)
        for size in training_models.SIZES if size.name in given.only
    ]  # fmt: skip
    cases = [(small, "train", False), (medium, "train", False), (medium, "decoded", True)]
    todo += [
        lambda size=size, name=name, plain=plain: sweep(stores[name], size, given.seconds / 4, plain)
        for size, name, plain in cases
    ]
    if training_torch.there():
        feed = partial(training_torch.Feed, path, medium)
        for workers, beside in (("thread", feed), ("process", None)):
            todo.append(partial(policy, medium, stores, truth, given.seconds, training_torch.TorchRun, workers, beside))
    todo += [
        lambda size=size, name=name, plain=plain: throughput(stores[name], size, given.seconds / 4, path, plain)
        for size, name, plain in cases
    ]
    _results.finish(given.out, "training", todo, data=told)


if __name__ == "__main__":
    main()
