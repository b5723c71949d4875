"""Hand arrays to RoboCache from PyTorch and back: same memory, same device, no copy in between.

python examples/torch_handover.py [--device cuda]
"""

import argparse
import sys

import torch

import robocache as rc


def main(argv: list[str] | None = None) -> int:
    """0 if the aligned tensors are what they must be."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    device = parser.parse_args(argv).device
    stamps = torch.arange(0, 1_000_000_000, 10_000_000, device=device)  # 100 Hz, int64 ns
    joints = torch.stack([stamps / 1e9, 2 * stamps / 1e9], dim=1).float()  # (100, 2)
    targets = torch.arange(0, 1_000_000_000, 20_000_000, device=device) + 5_000_000  # 50 Hz, between the samples

    aligned, valid = rc.resample_trajectories(joints, stamps, targets, return_valid=True)
    print(type(aligned).__name__, tuple(aligned.shape), aligned.dtype, aligned.device, "valid:", int(valid.sum()))

    out = torch.empty(50, 2, device=device)  # RoboCache writes into torch's own memory
    rc.resample_trajectories(joints, stamps, targets, out=out)
    expected = torch.stack([targets / 1e9, 2 * targets / 1e9], dim=1).float()
    right = torch.allclose(aligned, expected, rtol=0, atol=1e-6) and torch.equal(aligned, out) and bool(valid.all())
    print("right" if right else "WRONG")
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
