"""Train with JAX on several devices of one process: a loader for each, their batches as one sharded array.

python examples/sharded_jax.py [--devices 2] [--epochs 4]

On the CPU say XLA_FLAGS=--xla_force_host_platform_device_count=2 to have two devices. On GPUs each loader copies its
batches to its own, and no array moves between them.
"""

import argparse
import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

import robocache as rc
from robocache.loaders import MemorySource

BATCH, STEPS, CHUNK = 16, 60, 4


def recordings(episodes: int = 8) -> MemorySource:
    """Episodes in memory; the path of a store or dataset does as well."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (episodes, 1, 7))
    state = np.sin(np.arange(STEPS)[:, None] / 8 + phase).reshape(-1, 7).astype(np.float32)
    action = np.tanh(state @ rng.normal(size=(7, 3))).astype(np.float32)
    return MemorySource({"state": state, "action": action}, np.arange(episodes + 1) * STEPS)


def loss_of(weights: dict, batch: dict) -> jax.Array:
    """Mean square over actions that are not padding."""
    hidden = jnp.tanh(batch["state"][:, 0] @ weights["into"])
    chunk = (hidden @ weights["out"]).reshape(-1, CHUNK, 3)
    real = batch["action/valid"]
    return (jnp.square(chunk - batch["action"]).mean(axis=2) * real).sum() / real.sum()


@jax.jit
def step(weights: dict, batch: dict) -> tuple[dict, jax.Array]:
    """One step down the gradient; XLA adds up what the devices found."""
    loss, slope = jax.value_and_grad(loss_of)(weights, batch)
    return jax.tree.map(lambda w, g: w - 0.3 * g, weights, slope), loss


def main(argv: list[str] | None = None) -> int:
    """0 if the devices together saw what one would have seen, and the loss fell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    args = parser.parse_args(argv)
    devices = jax.devices()[: args.devices]
    if len(devices) < args.devices:
        print(f"there are {len(devices)} devices; see --help")
        return 2
    mesh = Mesh(np.array(devices), ("batch",))
    split, everywhere = NamedSharding(mesh, PartitionSpec("batch")), NamedSharding(mesh, PartitionSpec())
    gpus = devices[0].platform == "gpu"
    source, count = recordings(), len(devices)
    loaders = [
        rc.DataLoader(
            source, batch_size=BATCH // count, n_act=CHUNK, seed=1, rank=rank, world_size=count, epochs=args.epochs,
            device=device.local_hardware_id if gpus else None,
        )
        for rank, device in enumerate(devices)
    ]  # fmt: skip
    rng = np.random.default_rng(1)
    shapes = {"into": (7, 64), "out": (64, 3 * CHUNK)}
    weights = {name: rng.normal(size=shape).astype(np.float32) / 4 for name, shape in shapes.items()}
    weights = jax.device_put(weights, everywhere)
    seen, losses = [], []
    for batches in zip(*loaders, strict=True):
        shards = [batch.to_jax(valid=True) for batch in batches]
        batch = {}
        for name, first in shards[0].items():
            parts = [jax.device_put(one[name], device) for one, device in zip(shards, devices)]  # on GPUs it is there
            shape = (first.shape[0] * count, *first.shape[1:])
            batch[name] = jax.make_array_from_single_device_arrays(shape, split, parts)
        weights, loss = step(weights, batch)
        losses.append(float(loss))
        seen.append(np.sort(np.concatenate([one.item for one in batches])))
    with rc.DataLoader(source, batch_size=BATCH, n_act=CHUNK, seed=1, epochs=args.epochs) as alone:
        wanted = [np.sort(batch.item) for batch in alone]
    for loader in loaders:
        loader.close()
    same = len(seen) == len(wanted) and (np.array(seen) == np.array(wanted)).all()
    tenth = max(1, len(losses) // 10)
    first, last = float(np.mean(losses[:tenth])), float(np.mean(losses[-tenth:]))
    print(f"{batch['state'].shape} over {len(batch['state'].sharding.device_set)} devices")
    print(f"{len(losses)} steps: loss {first:.4f} to {last:.4f}; the samples of one device: {same}")
    return 0 if same and last < 0.7 * first else 1


if __name__ == "__main__":
    sys.exit(main())
