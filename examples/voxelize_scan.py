"""Voxelize one LiDAR scan as a dense grid and as a set of voxels, and check both.

    python examples/voxelize_scan.py SCAN [--voxel-size 0.2] [--picture scan.png]

SCAN is an .npz with xyz_scan0_m (rows, columns, 3) and range_mm (scans, rows, columns), or a binary .ply of float
properties that begin with x, y, z. Counts are checked against NumPy; the means of the voxel set also against
small_gicp's single-thread voxelgrid_sampling where that is installed. Exits non-zero if a number is off.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

import robocache as rc

LOWER, UPPER = (-32.0, -32.0, -4.0), (32.0, 32.0, 12.0)


def load(path: Path) -> np.ndarray:
    """Points (N, 3) float32."""
    if path.suffix == ".npz":
        with np.load(path) as file:
            points, seen = file["xyz_scan0_m"], file["range_mm"][0] > 0
        return np.ascontiguousarray(points[seen], np.float32)
    return load_ply(path)


def load_ply(path: Path) -> np.ndarray:
    """x, y, z of a binary little-endian PLY whose properties are all float."""
    raw = path.read_bytes()
    header, marker, body = raw.partition(b"end_header\n")
    words = [line.split() for line in header.decode("ascii").splitlines()]
    if not marker or ["format", "binary_little_endian", "1.0"] not in words:
        raise SystemExit(f"{path} is not a binary little-endian PLY")
    count = next(int(word[2]) for word in words if word[:2] == ["element", "vertex"])
    names = [word[-1] for word in words if word[0] == "property"]
    if names[:3] != ["x", "y", "z"] or any(word[1] != "float" for word in words if word[0] == "property"):
        raise SystemExit(f"{path} has properties {names}; expected floats that begin with x, y, z")
    table = np.frombuffer(body, "<f4", count * len(names)).reshape(count, len(names))
    return np.ascontiguousarray(table[:, :3])


def check_grid(points: np.ndarray, counts: np.ndarray, size: float) -> bool:
    """Dense counts against np.add.at on the same cells."""
    lower = np.asarray(LOWER, np.float32)
    inside = ((points >= lower) & (points < np.asarray(UPPER, np.float32))).all(axis=1)
    cells = np.floor((points[inside] - lower) / np.float32(size)).astype(np.int64)
    expected = np.zeros(counts.shape, np.int64)
    kept = (cells < counts.shape).all(axis=1)
    np.add.at(expected, tuple(cells[kept].T), 1)
    same = bool((expected == counts).all())
    print(
        f"grid    {counts.shape}: {int(counts.sum())} of {len(points)} points in {int((counts > 0).sum())} cells; "
        f"counts {'equal' if same else 'DIFFER from'} NumPy's"
    )
    return same


def check_set(points: np.ndarray, voxels: rc.Voxels, size: float) -> bool:
    """Coordinates and counts against np.unique."""
    cells, counts = np.unique(np.floor(points / np.float32(size)).astype(np.int64), axis=0, return_counts=True)
    same = bool(np.array_equal(cells, voxels.coords) and np.array_equal(counts, voxels.counts))
    print(
        f"set     {len(voxels.coords)} voxels of {size} m; "
        f"coordinates and counts {'equal' if same else 'DIFFER from'} NumPy's"
    )
    return same


def check_peer(points: np.ndarray, voxels: rc.Voxels, size: float) -> bool:
    """Means against small_gicp, cell by cell. It works in float64 and multiplies by 1 / size, RoboCache divides in the
    points' type, so a point on an edge may fall to either side: cells that hold such a point are counted, not compared.
    """
    try:
        import small_gicp
    except ImportError:
        print("peer    small_gicp is not installed: not compared")
        return True
    peer = small_gicp.voxelgrid_sampling(points.astype(np.float64), size, 1).points()[:, :3]
    ours = np.floor(points / np.float32(size)).astype(np.int64)
    theirs = np.floor(points.astype(np.float64) * (1.0 / size)).astype(np.int64)
    moved = (ours != theirs).any(axis=1)
    edge = {tuple(cell) for cell in np.concatenate([ours[moved], theirs[moved]]).tolist()}
    own = {tuple(c): m for c, m in zip(voxels.coords.tolist(), voxels.features, strict=True) if tuple(c) not in edge}
    cells = np.floor(peer * (1.0 / size)).astype(np.int64).tolist()
    other = {tuple(c): m for c, m in zip(cells, peer, strict=True) if tuple(c) not in edge}
    shared = sorted(own.keys() & other.keys())
    ours, theirs = np.array([own[c] for c in shared]), np.array([other[c] for c in shared])
    off = np.abs(ours - theirs)
    rounded = off <= 0.5 * np.spacing(np.abs(ours)) + 1e-12  # the float32 nearest to the float64 mean
    ok = own.keys() == other.keys() and bool(rounded.all())
    print(
        f"peer    small_gicp has {len(peer)} voxels; {int(moved.sum())} points on edges fall to another cell there, "
        f"which leaves {len(edge)} cells out\n"
        f"        {len(shared)} voxels compared: cells {'equal' if own.keys() == other.keys() else 'DIFFER'}; means "
        f"{'equal but for the rounding to float32' if rounded.all() else 'DIFFER'}, {off.max(initial=0):.1e} m at most"
    )
    return ok


def draw(path: Path, counts: np.ndarray, size: float) -> None:
    """The grid from above: the height of the highest filled cell."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        print("picture: matplotlib is not installed (python3 -m pip install matplotlib); none written")
        return
    filled = counts > 0
    top = counts.shape[2] - 1 - np.argmax(filled[:, :, ::-1], axis=2)
    height = np.where(filled.any(axis=2), LOWER[2] + (top + 0.5) * size, np.nan)
    figure = Figure(figsize=(7, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shown = axes.imshow(height.T, origin="lower", extent=(LOWER[0], UPPER[0], LOWER[1], UPPER[1]), cmap="viridis")
    figure.colorbar(shown, label="height of the highest filled cell in m")
    axes.set(xlabel="x in m", ylabel="y in m", title=f"{size} m voxels")
    figure.savefig(path, dpi=120)
    print(f"picture written to {path}")


def main(argv: list[str] | None = None) -> int:
    """Print the figures; 1 if any differs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scan", type=Path)
    parser.add_argument("--voxel-size", type=float, default=0.2)
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args(argv)
    points, size = load(args.scan), args.voxel_size
    counts = rc.voxel_grid(points, bounds=(LOWER, UPPER), voxel_size=size, reduce="count")
    voxels = rc.voxelize(points, voxel_size=size)
    results = [check_grid(points, counts, size), check_set(points, voxels, size), check_peer(points, voxels, size)]
    if args.picture:
        draw(args.picture, counts, size)
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
