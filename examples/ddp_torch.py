"""Train with PyTorch's DistributedDataParallel: every process reads its own share of one order.

python examples/ddp_torch.py [--world 2] [--epochs 4] [--cuda]

On the CPU processes talk by gloo; with --cuda each has a GPU, its batches arrive there, and they talk by NCCL.
"""

import argparse
import datetime as dt
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import robocache as rc
from robocache.loaders import MemorySource

BATCH, STEPS, CHUNK = 16, 60, 4


def recordings(episodes: int = 8) -> MemorySource:
    """Episodes in memory, the same in every process; the path of a store or dataset does as well."""
    rng = np.random.default_rng(0)
    phase = rng.uniform(0, 2 * np.pi, (episodes, 1, 7))
    state = np.sin(np.arange(STEPS)[:, None] / 8 + phase).reshape(-1, 7).astype(np.float32)
    action = np.tanh(state @ rng.normal(size=(7, 3))).astype(np.float32)
    return MemorySource({"state": state, "action": action}, np.arange(episodes + 1) * STEPS)


def train(rank: int, world: int, epochs: int, cuda: bool, folder: str) -> None:
    """One process: its batches, and what it saw of them, into a file."""
    dist.init_process_group(
        "nccl" if cuda else "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=world,
        timeout=dt.timedelta(seconds=120),
    )  # fmt: skip
    device = torch.device("cuda", rank) if cuda else torch.device("cpu")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(7, 32), torch.nn.Tanh(), torch.nn.Linear(32, 3 * CHUNK)).to(device)
    model = DistributedDataParallel(model, device_ids=[rank] if cuda else None)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    seen, losses = [], []
    with rc.DataLoader(
        recordings(), batch_size=BATCH // world, n_act=CHUNK, seed=1, rank=rank, world_size=world,
        device=rank if cuda else None, epochs=epochs,
    ) as loader:  # fmt: skip
        for batch in loader:
            seen.append(batch.item)
            found = batch.to_torch(valid=True)
            chunk = model(found["state"][:, 0]).view(-1, CHUNK, 3)
            error = (chunk - found["action"]).square().mean(dim=2)
            real = found["action/valid"]
            loss = (error * real).sum() / real.sum()
            optimizer.zero_grad()
            loss.backward()  # DDP averages the gradients here
            optimizer.step()
            losses.append(float(loss.detach()))
    weights = torch.cat([one.detach().cpu().reshape(-1) for one in model.parameters()]).numpy()
    np.savez(Path(folder) / f"rank{rank}.npz", seen=np.array(seen), losses=np.array(losses), weights=weights)
    dist.destroy_process_group()


def main(argv: list[str] | None = None) -> int:
    """0 if the processes together saw what one would have seen, stayed in step, and learned."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", type=int, default=2)
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--cuda", action="store_true")
    args = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        given = (args.world, args.epochs, args.cuda, folder)
        torch.multiprocessing.spawn(train, given, nprocs=args.world)
        ranks = [dict(np.load(Path(folder) / f"rank{rank}.npz")) for rank in range(args.world)]
    with rc.DataLoader(recordings(), batch_size=BATCH, n_act=CHUNK, seed=1, epochs=args.epochs) as alone:
        wanted = [np.sort(batch.item) for batch in alone]
    together = np.sort(np.concatenate([one["seen"] for one in ranks], axis=1), axis=1)
    same = len(wanted) == len(together) and (together == np.array(wanted)).all()
    in_step = all((one["weights"] == ranks[0]["weights"]).all() for one in ranks)
    losses = np.mean([one["losses"] for one in ranks], axis=0)
    tenth = max(1, len(losses) // 10)
    first, last = losses[:tenth].mean(), losses[-tenth:].mean()
    print(f"{args.world} processes, {len(losses)} steps: loss {first:.4f} to {last:.4f}")
    print(f"the samples of one process: {same}; equal weights: {in_step}")
    return 0 if same and in_step and last < 0.7 * first else 1


if __name__ == "__main__":
    sys.exit(main())
