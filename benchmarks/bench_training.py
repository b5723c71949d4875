"""A training loop with real data beside the same loop with data that are on the GPU already.

``python3 -m benchmarks.bench_training --root FOLDER [--gib 5] [--seconds 5] --out result.json``

Demonstrations with two cameras are written as RLDS, converted to a store, and policies of three sizes are trained from
it. For each: the time of a step with one batch that stays on the GPU, and with the loader's batches, warm and cold
(files out of the page cache); what NVML and its cycle counters saw; the loss on episodes that were held out. Then steps
of a fixed length, from 2 to 100 ms: the shortest at which the loop loses less than 5 %. Beside it a PyTorch
``DataLoader`` over the same files, an item at a time. Every 100th batch is compared with a slow path.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

import robocache as rc

from . import _results, training_data, training_models, training_torch
from .training_meter import Meter, cached_share, forget, spread

CHECKED = 100  # every how many batches the slow path looks
FIXED = (2, 5, 10, 20, 50, 100)  # ms
LOST = 0.05
DEVICE: int | None = 0
PER_EPISODE = 2 * training_data.STEPS * 30_500  # bytes, nearly all pictures


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
            expected |= {name: episode[name].read([step]) for name in training_data.CAMERAS if name in arrays}
            for name, values in expected.items():
                if not np.array_equal(arrays[name][row], values):
                    raise _results.WrongResult(f"batch differs from the files: {name} of episode {number}, step {step}")
            if not np.array_equal(valid[row], steps < len(episode["state"])):
                raise _results.WrongResult(f"validity of episode {number}, step {step}")


def loader(store: Any, size: training_models.Size, **more: Any) -> Any:
    """The loader of a policy."""
    shown = ["state", *(training_data.CAMERAS if size.pictures else ())]
    given = {"n_obs": 1, "n_act": size.n_act, "pad_after": size.n_act - 1, "obs": shown, "action": ["action"]}
    return rc.DataLoader(store, batch_size=size.batch, **({"threads": threads()} | given | more))


def threads() -> int:
    """All processors but two, up to 16: for the loop, and for what JAX itself does."""
    return max(1, min(16, len(os.sched_getaffinity(0)) - 2))


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


def forever(make: Any) -> Iterator[Any]:
    """Batches, epoch after epoch."""
    while True:
        yield from make


def policy(
    size: training_models.Size, stores: dict[str, Any], truth: Truth, seconds: float, make: Callable[[Any], Any]
) -> dict[str, Any]:
    """A row of the result: one policy, in JAX or in PyTorch."""
    run = make(size)
    with (
        loader(stores["train"], size, device=DEVICE) as fed,
        loader(stores["val"], size, device=DEVICE, shuffle=True) as held,
    ):
        ahead = forever(fed)
        fixed, unseen = run.ready(next(ahead)), [run.ready(batch) for _, batch in zip(range(4), held, strict=False)]
        before = float(np.mean([run.judge(batch) for batch in unseen]))
        for _ in range(2):
            float(run.go(fixed))  # compiles
        rough = time.perf_counter()
        for _ in range(10):
            loss = run.go(fixed)
        float(loss)  # synchronizes
        steps = int(np.clip(seconds / ((time.perf_counter() - rough) / 10), 100, 2000)) // 10 * 10
        rows = {"synthetic": timed(run, iter(lambda: fixed, None), steps)}
        run.begin()  # what was learnt from one batch is forgotten
        rows["warm"] = timed(run, ahead, steps, truth.check)
        rows["warm"]["loader"] = fed.stats()
    forget(stores["train"].path)
    cold = cached_share(stores["train"].path)
    with loader(stores["train"], size, device=DEVICE, seed=1) as fed:
        ahead = forever(fed)
        for _ in range(2):
            run.go(run.ready(next(ahead)))
        rows["cold"] = timed(run, ahead, steps, truth.check)
        rows["cold"]["loader"] = fed.stats()
    rows["cold"]["cached_before"] = round(cold, 3)
    after = float(np.mean([run.judge(batch) for batch in unseen]))
    base = rows["synthetic"]["step_ms"]["median"]
    stall = {kind: round(1 - base / rows[kind]["step_ms"]["median"], 4) for kind in ("warm", "cold")}
    return {
        "op": "train", "method": f"{size.name}, {run.framework}", "backend": "cuda",
        "shapes": {"B": size.batch, "A": size.n_act},
        "dtypes": {"values": "bfloat16"}, "pictures": len(training_data.CAMERAS) if size.pictures else 0,
        "steps": steps, "stall": stall, "held_out_loss": {"before": before, "after": after}, **rows,
    }  # fmt: skip


def fixed_work() -> tuple[Callable[[Any, float], Any], float]:
    """Work of a given length on the GPU, and how many turns of it a millisecond holds."""
    import jax
    import jax.numpy as jnp

    side = 64 if DEVICE is None else 2048
    matrix = jnp.full((side, side), 1e-3, jnp.bfloat16)

    @jax.jit
    def turn(count: Any, seed: Any) -> Any:
        return jax.lax.fori_loop(0, count, lambda _, x: x @ matrix, matrix + seed.astype(jnp.bfloat16)).sum()

    turn(10, jnp.float32(0)).block_until_ready()
    start = time.perf_counter()
    turn(4000, jnp.float32(0)).block_until_ready()
    rate = 4000 / ((time.perf_counter() - start) * 1e3)
    return lambda touched, ms: turn(int(ms * rate), touched), rate


def touched(batch: dict[str, Any]) -> Any:
    """A number that needs every array of a batch."""
    import jax.numpy as jnp

    return sum(jnp.sum(value[..., :1].astype(jnp.float32)) for value in batch.values()) * 0


def sweep(store: Any, size: training_models.Size, seconds: float) -> dict[str, Any]:
    """Steps of fixed lengths: what share of the time is lost with the loader's batches."""
    import jax

    work, _ = fixed_work()
    touch = jax.jit(touched)
    found = {}
    with loader(store, size, device=DEVICE) as fed:
        ahead = forever(fed)
        ready = training_models.JaxRun.ready
        still = ready(next(ahead))
        for ms in FIXED:
            steps = max(30, int(seconds / ms * 1e3 / 2))
            took = {}
            for kind in ("synthetic", "real"):
                work(touch(still), ms).block_until_ready()
                start = time.perf_counter()
                for _ in range(steps):
                    last = work(touch(still if kind == "synthetic" else ready(next(ahead))), ms)
                last.block_until_ready()
                took[kind] = (time.perf_counter() - start) * 1e3 / steps
            found[str(ms)] = took | {"stall": round(1 - took["synthetic"] / took["real"], 4), "steps": steps}
    good = [ms for ms in FIXED if all(found[str(m)]["stall"] < LOST for m in FIXED if m >= ms)]
    return {
        "op": "sweep", "method": "pictures" if size.pictures else "state", "backend": "cuda",
        "shapes": {"B": size.batch, "A": size.n_act}, "dtypes": {"values": "uint8" if size.pictures else "float32"},
        "steps_ms": found, "smallest_ms": min(good, default=None),
    }  # fmt: skip


def throughput(stores: dict[str, Any], path: Path, size: training_models.Size, seconds: float) -> dict[str, Any]:
    """Samples a second with nothing done to them: our loader, and PyTorch's over single items of the same files."""
    with loader(stores["train"], size, device=DEVICE) as fed:
        ahead = forever(fed)
        for _ in range(5):
            next(ahead)
        start, batches = time.perf_counter(), 0
        while time.perf_counter() - start < seconds:
            last = next(ahead)
            batches += 1
        last.numpy()  # synchronizes
        ours = batches * size.batch / (time.perf_counter() - start)
    theirs = training_torch.samples_per_second(path, size, seconds)
    return {
        "op": "load", "method": "pictures" if size.pictures else "state", "backend": "cuda",
        "shapes": {"B": size.batch, "A": size.n_act}, "dtypes": {"values": "uint8" if size.pictures else "float32"},
        "samples_per_second": {"robocache": ours, **theirs},
    }  # fmt: skip


def prepare(root: Path, gib: float, workers: int) -> tuple[Path, dict[str, Any], dict[str, Any]]:
    """The dataset, its stores, and what making them took."""
    count = max(4, int(gib * 2**30 / PER_EPISODE))
    start = time.perf_counter()
    path = training_data.write(root / "rlds", count, max(2, count // 50), workers)
    written = time.perf_counter()
    from robocache import store

    stores = {}
    for split in ("train", "val"):
        streams = ["state", "action", *training_data.CAMERAS]
        store.convert(path, root / f"store-{split}", streams=streams, workers=workers, opening={"split": split})
        stores[split] = store.open_store(root / f"store-{split}")
    size = sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
    told = {
        "episodes": count, "steps": count * training_data.STEPS, "bytes": size,
        "write_s": round(written - start, 1), "convert_s": round(time.perf_counter() - written, 1), "workers": workers,
        "threads": threads(),
    }  # fmt: skip
    return path, stores, told


def main(argv: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="a folder on a local disk with room for twice --gib")
    parser.add_argument("--gib", type=float, default=5.0)
    parser.add_argument("--seconds", type=float, default=8.0, help="of each timed part")
    parser.add_argument("--only", nargs="*", default=[size.name for size in training_models.SIZES])
    parser.add_argument("--out", required=True)
    parser.add_argument("--cpu", action="store_true", help="to see that it runs; no figure of it counts")
    given = parser.parse_args(argv)
    global DEVICE
    DEVICE = None if given.cpu else 0
    _results.require_commit()
    path, stores, told = prepare(given.root, given.gib, len(os.sched_getaffinity(0)))
    _results.say(str(told))
    truth = Truth(path, training_models.SIZES[0].n_act)
    small, medium = training_models.SIZES[:2]
    todo: list[Callable[[], dict[str, Any]]] = [
        lambda size=size: policy(size, stores, truth, given.seconds, training_models.JaxRun)
        for size in training_models.SIZES if size.name in given.only
    ]  # fmt: skip
    todo += [lambda size=size: sweep(stores["train"], size, given.seconds / 4) for size in (small, medium)]
    if training_torch.there():
        todo.append(lambda: policy(medium, stores, truth, given.seconds, training_torch.TorchRun))
    todo += [lambda size=size: throughput(stores, path, size, given.seconds / 2) for size in (small, medium)]
    _results.finish(given.out, "training", todo, data=told)


if __name__ == "__main__":
    main()
