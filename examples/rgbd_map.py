"""Fuse posed RGB-D frames into a distance field and into coloured voxels, and draw both.

    python examples/rgbd_map.py FOLDER --out PICTURES [--voxel 0.025] [--depth-scale 1000] [--max-depth 3]

FOLDER holds color/1.png, depth/1.pgm (16 bits) and so on, and pose.txt with a line "x y z qx qy qz qw" for each frame,
camera to world. The intrinsics are those of --k. Each frame is also compared with the surface that the others make: if
the poses are right, walls are single, and points lie a voxel off it or less, the median. Exits non-zero if not.
"""

import argparse
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

import robocache as rc

Bounds, Shape = tuple[float, ...], tuple[int, ...]
SAMPLES = 1000  # points of a frame that are compared


class Frames(NamedTuple):
    """Depth [V, H, W] uint16, colours [V, H, W, 3] uint8 and poses [V, 4, 4], camera to world."""

    depth: np.ndarray
    color: np.ndarray
    poses: np.ndarray


def load(folder: Path) -> Frames:
    """All frames that pose.txt has a line of."""
    try:
        from PIL import Image
    except ImportError as error:
        raise SystemExit("needs Pillow: python3 -m pip install pillow") from error
    lines = np.loadtxt(folder / "pose.txt", ndmin=2)
    depth, color = [], []
    for number in range(1, len(lines) + 1):
        with Image.open(folder / "depth" / f"{number}.pgm") as picture:
            depth.append(np.asarray(picture).astype(np.uint16))
        with Image.open(folder / "color" / f"{number}.png") as picture:
            color.append(np.asarray(picture.convert("RGB")))
    poses = np.tile(np.eye(4), (len(lines), 1, 1))
    poses[:, :3, :3] = rc.rotations.quat_to_matrix(lines[:, 3:])
    poses[:, :3, 3] = lines[:, :3]
    return Frames(np.stack(depth), np.stack(color), poses)


def unproject(
    frames: Frames, k: np.ndarray, scale: float, farthest: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points [N, 3] in the world, their colours, and the frame of each."""
    fx, fy, cx, cy = k
    z = frames.depth / scale
    view, v, u = np.nonzero((z > 0) & (z <= farthest))
    z = z[view, v, u]
    local = np.stack([(u - cx) / fx * z, (v - cy) / fy * z, z], axis=1)
    turns, places = frames.poses[view, :3, :3], frames.poses[view, :3, 3]
    points = np.einsum("nij,nj->ni", turns, local) + places
    return points.astype(np.float32), frames.color[view, v, u].astype(np.float32), view


def around(points: np.ndarray, size: float) -> tuple[Bounds, Shape]:
    """Bounds with a few voxels to spare, without the outermost points, and the shape of their grid."""
    low = np.floor(np.quantile(points, 0.002, axis=0) / size) - 4
    high = np.ceil(np.quantile(points, 0.998, axis=0) / size) + 4
    shape = (high - low).astype(int)
    if np.prod(shape, dtype=np.float64) > 2e8:
        raise SystemExit(f"a grid of {tuple(shape.tolist())} voxels is too large; choose a larger --voxel")
    return tuple(np.concatenate([low, high]) * size), tuple(shape.tolist())


def fuse(frames: Frames, k: np.ndarray, args: argparse.Namespace, bounds: Bounds, shape: Shape) -> rc.SurfacePoints:
    """The surface that frames make together."""
    grid, weight = np.ones(shape, np.float32), np.zeros(shape, np.float32)
    tint = np.zeros((*shape, 3), np.float32)
    rc.tsdf_integrate(
        grid, weight, frames.depth, k, frames.poses, bounds=bounds, truncation=4 * args.voxel, max_depth=args.max_depth,
        depth_scale=args.depth_scale, color=frames.color, grid_color=tint,
    )  # fmt: skip
    return rc.tsdf_to_points(grid, weight, bounds=bounds, grid_color=tint)


def disagreement(one: np.ndarray, surface: rc.SurfacePoints, reach: float) -> tuple[float, float]:
    """How far points lie off a surface, along its normals, the median; and the share that have it within reach."""
    some = one[:: max(1, len(one) // SAMPLES)]
    nearest = np.concatenate([((p - surface.points) ** 2).sum(1).argmin(keepdims=True) for p in some])
    way = some - surface.points[nearest]
    near = (np.abs(way) < reach).all(axis=1)
    off = np.abs((way[near] * surface.normals[nearest[near]]).sum(axis=1))
    return float(np.median(off)) if near.any() else np.nan, float(near.mean())


def check(
    frames: Frames,
    points: tuple[np.ndarray, ...],
    k: np.ndarray,
    args: argparse.Namespace,
    bounds: Bounds,
    shape: Shape,
) -> bool:
    """Whether each frame fits the surface that the others make."""
    found = []
    for number in range(len(frames.depth)):
        rest = np.arange(len(frames.depth)) != number
        surface = fuse(Frames(*(array[rest] for array in frames)), k, args, bounds, shape)
        found.append(disagreement(points[0][points[2] == number], surface, 5 * args.voxel))
    good = all(off <= args.voxel for off, _ in found)
    print("poses   of each frame so many points have a surface of the others near, and lie so far off it, the median:")
    print(f"        {', '.join(f'{100 * share:.0f} %, {100 * off:.2f} cm' for off, share in found)}")
    print(f"        {'ok: a voxel at most' if good else 'WRONG: more than a voxel'}")
    return good


def shaded(
    points: np.ndarray, colors: np.ndarray, pose: np.ndarray, k: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """The points as a camera sees them, the nearest of each pixel."""
    local = (points - pose[:3, 3]) @ pose[:3, :3]
    local, colors = local[local[:, 2] > 0.1], colors[local[:, 2] > 0.1]
    u, v = (np.floor(local[:, axis] / local[:, 2] * k[axis] + k[2 + axis] + 0.5).astype(int) for axis in (0, 1))
    inside = (u >= 0) & (u < size[1]) & (v >= 0) & (v < size[0])
    u, v, depth, colors = u[inside], v[inside], local[inside, 2], colors[inside]
    order = np.argsort(-depth, kind="stable")
    picture = np.full((*size, 3), 255, np.uint8)
    picture[v[order], u[order]] = np.clip(colors[order], 0, 255)
    return picture


def draw(out: Path, args: argparse.Namespace, k: np.ndarray, frames: Frames, clouds: dict[str, tuple]) -> None:
    """What the first camera sees of each map, each map from above, and a slice in which walls show their thickness."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    out.mkdir(parents=True, exist_ok=True)
    shrink = 4
    size = (frames.depth.shape[1] // shrink, frames.depth.shape[2] // shrink)
    figure = Figure(figsize=(12, 8), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, 2)
    for row, (name, (points, colors)) in zip(panels, clouds.items(), strict=True):
        row[0].imshow(shaded(points, colors, frames.poses[0], k / shrink, size))
        row[0].set(title=f"{name}: {len(points)} points, from the first camera", xticks=[], yticks=[])
        order = np.argsort(-points[:, 1])  # y is down: what is above is drawn last
        row[1].scatter(points[order, 0], points[order, 2], s=0.8, c=np.clip(colors[order] / 255, 0, 1), linewidths=0)
        row[1].plot(*frames.poses[:, [0, 2], 3].T, "r.-")
        row[1].set(title="from above, with the path of the camera", xlabel="x in m", ylabel="z in m", aspect="equal")
    figure.savefig(out / "maps.png", dpi=110)

    figure = Figure(figsize=(12, 5), layout="constrained")
    FigureCanvasAgg(figure)
    for panel, (name, (points, _)) in zip(figure.subplots(1, 2), clouds.items(), strict=True):
        middle = np.median(points[:, 1])
        cut = points[np.abs(points[:, 1] - middle) < args.voxel]
        panel.scatter(cut[:, 0], cut[:, 2], s=1, c="k", linewidths=0)
        panel.set(title=f"{name}: a slice at y = {middle:.2f} m", xlabel="x in m", ylabel="z in m", aspect="equal")
    figure.savefig(out / "slice.png", dpi=110)
    print(f"pictures written to {out / 'maps.png'} and {out / 'slice.png'}")


def main(argv: list[str] | None = None) -> int:
    """Print the figures, draw the maps; 1 if the frames do not fit one another."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--voxel", type=float, default=0.025)
    parser.add_argument("--depth-scale", type=float, default=1000.0)
    parser.add_argument("--max-depth", type=float, default=3.0)
    parser.add_argument(
        "--k", type=float, nargs=4, default=(518.0, 519.0, 325.5, 253.5), metavar=("FX", "FY", "CX", "CY")
    )
    args = parser.parse_args(argv)
    frames, k = load(args.folder), np.array(args.k)
    points, colors, view = unproject(frames, k, args.depth_scale, args.max_depth)
    bounds, shape = around(points, args.voxel)
    surface = fuse(frames, k, args, bounds, shape)
    voxels = rc.voxelize(points, colors, voxel_size=args.voxel)
    print(f"{len(frames.depth)} frames, {len(points)} points with depth")
    print(f"field   {shape} voxels of {args.voxel} m: {len(surface.points)} points of the surface")
    print(
        f"voxels  {len(voxels.coords)} of the same size, {len(points) / max(len(voxels.coords), 1):.1f} points in each"
    )
    good = check(frames, (points, colors, view), k, args, bounds, shape)
    if args.out:
        centers = voxels.centers().astype(np.float32)
        draw(
            args.out, args, k, frames,
            {"distance field": (surface.points, surface.colors), "voxels": (centers, voxels.features)},
        )  # fmt: skip
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
