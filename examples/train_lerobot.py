"""Train a small action-chunking policy on a LeRobot dataset, without LeRobot: one line of the loop is another.

python examples/train_lerobot.py [DATASET] [--epochs 15] [--device cuda]

Without a dataset it writes one: an arm that follows a coloured square.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import robocache as rc
import robocache.datasets as rd
from robocache.datasets.lerobot import write_lerobot

FPS, CHUNK, SIDE = 10, 8, 32


def write(folder: Path, episodes: int = 6, steps: int = 40) -> Path:
    """A dataset of a square that moves, and of the joints that follow it."""
    rng, recorded = np.random.default_rng(0), []
    for k in range(episodes):
        path = 0.5 + 0.4 * np.sin(np.arange(steps + 1)[:, None] / 6 + rng.uniform(0, 6, 2))  # (steps + 1, 2)
        frames = np.zeros((steps, SIDE, SIDE, 3), np.uint8)
        for t, (x, y) in enumerate((path[:-1] * (SIDE - 8)).astype(int)):
            frames[t, y : y + 8, x : x + 8, k % 3] = 255
        values = {
            "observation.state": path[:-1].astype(np.float32),
            "observation.images.top": frames,
            "action": path[1:].astype(np.float32),
        }
        said = [rd.Span(0, steps, f"follow the {('red', 'green', 'blue')[k % 3]} square")]
        recorded.append(rd.Episode.from_arrays(k, values, rate=FPS, language=said))
    return write_lerobot(recorded, folder, fps=FPS, video=False)


class Policy(torch.nn.Module):
    """A camera and the state in, a chunk of actions out."""

    def __init__(self, cameras: list[str], state: int, action: int) -> None:
        super().__init__()
        self.cameras, self.action = cameras, action
        self.see = torch.nn.Sequential(
            torch.nn.LazyConv2d(8, 5, stride=4), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(4), torch.nn.Flatten(),
        )  # fmt: skip
        self.act = torch.nn.Sequential(torch.nn.LazyLinear(64), torch.nn.ReLU(), torch.nn.Linear(64, CHUNK * action))

    def forward(self, batch: dict) -> tuple[torch.Tensor, dict]:
        """The loss over actions that are not padding, as LeRobot's policies give it."""
        seen = [self.see(batch[key]) for key in self.cameras]
        chunk = self.act(torch.cat([batch["observation.state"], *seen], dim=1)).view(-1, CHUNK, self.action)
        real = ~batch["action_is_pad"]
        error = (chunk - batch["action"]).abs().mean(dim=2)
        return (error * real).sum() / real.sum(), {"padded": int((~real).sum())}


def main(argv: list[str] | None = None) -> int:
    """0 if the policy has learned something."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", nargs="?", type=Path)
    parser.add_argument("--epochs", type=int, default=15)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args(argv)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = args.dataset or write(Path(folder) / "follow")
        with rd.open_dataset(path) as dataset:
            specs, fps = dict(dataset.specs), dataset.control_hz
        deltas = {"action": [k / fps for k in range(CHUNK)]}
        cameras = [name for name, spec in specs.items() if spec.kind == "image"]

        # It was: DataLoader(LeRobotDataset(…, delta_timestamps=deltas), batch_size=16, shuffle=True, num_workers=4)
        loader = rc.DataLoader.from_lerobot(path, delta_timestamps=deltas, batch_size=16, tensors=True)

        policy = Policy(cameras, specs["observation.state"].shape[0], specs["action"].shape[0]).to(args.device)
        optimizer, means = None, []
        for epoch in range(args.epochs):
            losses = []
            for given in loader:
                batch = {k: v.to(args.device) if isinstance(v, torch.Tensor) else v for k, v in given.items()}
                loss, _ = policy(batch)
                optimizer = optimizer or torch.optim.Adam(policy.parameters(), lr=3e-3)  # lazy layers are there now
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(float(loss.detach()))
            means.append(float(np.mean(losses)))
            print(f"epoch {epoch}: loss {means[-1]:.4f}, e.g. {batch['task'][0]!r}")
        print(f"waited {loader.stats()['stall']:.0%} of the time for data")
        loader.close()
    learned = means[-1] < 0.7 * means[0]
    print("learned" if learned else "NOT learned")
    return 0 if learned else 1


if __name__ == "__main__":
    sys.exit(main())
