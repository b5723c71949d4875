"""Voxelize one LiDAR sweep at three sizes, and draw what is left of it at each.

    python examples/lidar_voxels.py SCAN --out PICTURES [--sizes 0.1 0.3 0.9]

SCAN is what voxelize_scan.py takes: an .npz with xyz_scan0_m and range_mm, or a binary .ply that begins with x, y, z.
Voxels and the points in them are checked against NumPy's unique. Exits non-zero if a number is off.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import robocache as rc

sys.path.append(str(Path(__file__).resolve().parent))

from voxelize_scan import load

AROUND = 30.0  # metres that are drawn to each side


def check(points: np.ndarray, voxels: rc.Voxels, size: float) -> bool:
    """Cells, their points, and that every point lies in the voxel it is said to."""
    cells, inverse, counts = np.unique(
        np.floor(points / np.float32(size)).astype(np.int64), axis=0, return_inverse=True, return_counts=True
    )
    same = (
        np.array_equal(cells, voxels.coords)
        and np.array_equal(counts, voxels.counts)
        and np.array_equal(inverse.reshape(-1), voxels.inverse)
    )
    print(
        f"{size:5.2f} m  {len(cells):6} voxels, {len(points) / max(len(cells), 1):6.1f} points in each, "
        f"{int(voxels.counts.max(initial=0))} at most; {'equal to' if same else 'DIFFER from'} NumPy's"
    )
    return same


def draw(out: Path, points: np.ndarray, maps: dict[float, rc.Voxels]) -> None:
    """The sweep from above, and the means of its voxels, by height."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    out.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(12, 11), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2, sharex=True, sharey=True).ravel()
    low, high = np.quantile(points[:, 2], [0.02, 0.98])
    clouds = {"all points": points} | {f"voxels of {size} m": voxels.features for size, voxels in maps.items()}
    dots = [0.2, *(max(0.3, (2.2 * size) ** 2) for size in maps)]
    for panel, (name, cloud), dot in zip(panels, clouds.items(), dots, strict=True):
        order = np.argsort(cloud[:, 2])
        x, y, z = cloud[order, :3].T
        shown = panel.scatter(x, y, s=dot, c=z, vmin=low, vmax=high, cmap="viridis", marker="s", linewidths=0)
        panel.set(title=f"{name}: {len(cloud)}", xlabel="x in m", ylabel="y in m", aspect="equal")
        panel.set(xlim=(-AROUND, AROUND), ylim=(-AROUND, AROUND))
    figure.colorbar(shown, ax=panels.tolist(), label="height in m", shrink=0.6)
    figure.savefig(out / "sweep.png", dpi=110)
    print(f"picture written to {out / 'sweep.png'}")


def main(argv: list[str] | None = None) -> int:
    """Print the figures, draw the sweep; 1 if any number is off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--sizes", type=float, nargs=3, default=(0.1, 0.3, 0.9), metavar="SIZE")
    args = parser.parse_args(argv)
    points = load(args.scan)
    maps = {size: rc.voxelize(points, voxel_size=size) for size in args.sizes}
    good = [check(points, voxels, size) for size, voxels in maps.items()]
    if args.out:
        draw(args.out, points, maps)
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
