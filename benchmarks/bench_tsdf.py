"""Depth pictures into a distance field, and its surface, beside tuned NumPy and Open3D, checked in the same run.

``python3 -m benchmarks.bench_tsdf [--backend cpu|cuda] [--quick] --out result.json``

Open3D's UniformTSDFVolume is the peer that keeps a dense cube too; it takes one view a call.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import robocache as rc

from . import _results, _timing

K, HEIGHT, WIDTH = (525.0, 525.0, 319.5, 239.5), 480, 640
SIDE, TRUNCATION, SCALE = 2.0, 0.04, 1000  # metres of the cube, which lies around the origin
BALL, FLOOR = 0.6, -0.7  # radius and height
PLANES = 8  # of a large grid, as many are checked


@dataclass(frozen=True)
class Case:
    """A cube of G voxels a side and V views of it, with or without colour."""

    op: str
    cells: int
    views: int = 1
    color: bool = False
    share: float = 0.0  # goal

    def row(self, backend: str, seed: int, nbytes: int) -> dict[str, Any]:
        """What a result says of the case."""
        return {
            "op": self.op, "method": "color" if self.color else "", "backend": backend,
            "shapes": {"G": self.cells, "V": self.views, "H": HEIGHT, "W": WIDTH}, "dtypes": {"depth": "uint16"},
            "distribution": "a ball above a floor", "seed": seed, "bytes": nbytes,
            "goal": {"share": self.share} if self.share else {},
        }  # fmt: skip


def cases(backend: str, quick: bool) -> list[Case]:
    """A small cube, and those of the size that a table, a room, a card take."""
    small = [Case("tsdf_integrate", 64), Case("tsdf_to_points", 64)]
    if quick:
        return small
    if backend == "cpu":
        large = [Case("tsdf_integrate", 128), Case("tsdf_integrate", 256), Case("tsdf_integrate", 256, 5)]
        return small + large + [Case("tsdf_integrate", 256, 1, True), Case("tsdf_to_points", 256, 5)]
    large = [Case("tsdf_integrate", g, v, share=0.5) for g in (256, 512) for v in (1, 4, 16)]
    large += [Case("tsdf_integrate", 512, 1, True, 0.5), Case("tsdf_integrate", 512, 64)]
    return small + large + [Case("tsdf_to_points", g, 16, share=0.5) for g in (256, 512)]


def pose(rng: np.random.Generator) -> np.ndarray:
    """A camera two metres off that looks down at the middle."""
    forward = rng.normal(size=3)
    forward[2] = -1 - abs(forward[2])
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, (1.0, 0.2, 0.1))
    right /= np.linalg.norm(right)
    found = np.eye(4)
    found[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    found[:3, 3] = -2 * forward
    return found


def picture(at: np.ndarray) -> np.ndarray:
    """Depth in millimetres: the front of the ball, or the floor."""
    v, u = np.mgrid[:HEIGHT, :WIDTH]
    way = np.stack([(u - K[2]) / K[0], (v - K[3]) / K[1], np.ones((HEIGHT, WIDTH))], -1) @ at[:3, :3].T
    a, b, c = (way * way).sum(-1), way @ at[:3, 3], at[:3, 3] @ at[:3, 3] - BALL**2
    inside = b * b - a * c
    with np.errstate(divide="ignore"):
        floor = (FLOOR - at[2, 3]) / way[..., 2]
    depth = np.where(inside >= 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, np.where(floor > 0, floor, 0))
    return (np.where(depth < 10, depth, 0) * SCALE).astype(np.uint16)


def integrate_numpy(grid: np.ndarray, weight: np.ndarray, depth: np.ndarray, poses: np.ndarray, first: int) -> None:
    """The same arithmetic in whole arrays, one plane of x at a time; ``first`` is that of ``grid[0]``."""
    cells, real = grid.shape[1], np.float32
    size = SIDE / cells
    inverse, line = real(1 / (TRUNCATION * SCALE)), np.arange(cells, dtype=real)
    for view, at in enumerate(poses):
        rows, apart = [], -SIDE / 2 + 0.5 * size - at[:3, 3]
        for row, focal in enumerate((K[0], K[1], 1.0)):
            place = at[0, row] * apart[0] + at[1, row] * apart[1] + at[2, row] * apart[2]
            rows.append([real(n * SCALE * focal) for n in (place, *(at[:3, row] * size))])
        for plane in range(len(grid)):
            i = real(first + plane)
            x, y, z = (
                ((r[0] + i * r[1]) + line[:, None] * r[2]) + line[None, :] * r[3] for r in rows
            )  # fmt: skip
            with np.errstate(all="ignore"):
                u, v = x * (1 / z) + real(K[2] + 0.5), y * (1 / z) + real(K[3] + 0.5)
                seen = np.flatnonzero((z > 0) & (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT))
            d = depth[view][v.ravel()[seen].astype(np.int32), u.ravel()[seen].astype(np.int32)].astype(real)
            s = (d - z.ravel()[seen]) * inverse
            kept = (d > 0) & (s >= -1)
            seen, s = seen[kept], np.minimum(s[kept], real(1))
            had = weight[plane].ravel()[seen]
            was = grid[plane].ravel()[seen]
            grid[plane].ravel()[seen] = np.where(had > 0, was + (s - was) / (had + 1), s)
            weight[plane].ravel()[seen] = np.minimum(had + 1, real(128))


class Problem:
    """Inputs of a case and the judge."""

    def __init__(self, case: Case, seed: int, xp: Any) -> None:
        rng = np.random.default_rng(seed)
        self.case, self.xp = case, xp
        self.poses = np.array([pose(rng) for _ in range(case.views)])
        self.depth = np.array([picture(at) for at in self.poses])
        self.color = rng.integers(0, 256, (*self.depth.shape, 3), np.uint8) if case.color else None
        self.there = [None if a is None else xp.asarray(a) for a in (self.depth, self.color)]
        self.where = {"bounds": (-SIDE / 2,) * 3 + (SIDE / 2,) * 3}
        arrays = self.arrays()
        self.integrate(arrays)
        self.seen = int((arrays[1] > 0).sum())
        self.judge(arrays)
        self.surface = arrays

    def arrays(self) -> list[Any]:
        """An empty volume."""
        shape, xp = (self.case.cells,) * 3, self.xp
        color = xp.zeros((*shape, 3), np.float32) if self.case.color else None
        return [xp.ones(shape, np.float32), xp.zeros(shape, np.float32), color]

    def integrate(self, arrays: list[Any]) -> list[Any]:
        """The call that is timed."""
        rc.tsdf_integrate(
            arrays[0], arrays[1], self.there[0], K, self.poses, truncation=TRUNCATION, depth_scale=SCALE,
            color=self.there[1], grid_color=arrays[2], **self.where,
        )  # fmt: skip
        return arrays

    def judge(self, arrays: list[Any]) -> None:
        """Raise unless planes of the volume have the bits of NumPy's."""
        first = self.case.cells // 2
        count = min(PLANES, self.case.cells - first)
        want = [np.ones((count, *(self.case.cells,) * 2), np.float32), np.zeros((count, *(self.case.cells,) * 2), "f4")]
        integrate_numpy(*want, self.depth, self.poses, first)
        for got, expected in zip(arrays, want, strict=False):
            part = got[first : first + count]
            if not np.array_equal(part.get() if hasattr(part, "get") else part, expected):
                raise _results.WrongResult(f"{self.case}: not NumPy's bits")

    def nbytes(self, found: int) -> int:
        """Least bytes of a call: voxels that are seen once each way, pictures; all voxels, and points of the result."""
        if self.case.op == "tsdf_to_points":
            return 8 * self.case.cells**3 + 24 * found
        pixels = self.depth.nbytes + (0 if self.color is None else self.color.nbytes)
        return self.seen * 2 * (20 if self.case.color else 8) + pixels


def points_of(problem: Problem, arrays: list[Any], room: int | None) -> Any:
    """The surface of a volume."""
    return rc.tsdf_to_points(arrays[0], arrays[1], max_points=room, **problem.where)


def judged_points(problem: Problem) -> int:
    """How many points the surface has; refuse those that lie neither on the ball nor on the floor."""
    found = points_of(problem, problem.surface, None)
    points = found.points.get() if hasattr(found.points, "get") else found.points
    off = np.minimum(np.abs(np.linalg.norm(points, axis=1) - BALL), np.abs(points[:, 2] - FLOOR))
    if not len(points) or not np.quantile(off, 0.9) < SIDE / problem.case.cells:
        raise _results.WrongResult(f"{problem.case}: points off the surface")
    return len(points)


def run_cuda(case: Case, seed: int) -> dict[str, Any]:
    """One row on the GPU."""
    import cupy

    problem = Problem(case, seed, cupy)
    found = judged_points(problem) if case.op == "tsdf_to_points" else 0
    nbytes = problem.nbytes(found)
    sets = [problem.surface] + [
        [None if a is None else a.copy() for a in problem.surface] for _ in range(_timing.rotation(nbytes) - 1)
    ]
    if case.op == "tsdf_to_points":
        calls = [partial(points_of, problem, arrays, found) for arrays in sets]
    else:
        calls = [partial(problem.integrate, arrays) for arrays in sets]
    row = case.row("cuda", seed, nbytes)
    row["device_us"], _ = _timing.device_time(calls, lambda result: [])  # written in place; judged before
    row["judge"] = "bits of NumPy on some planes" if not found else "distance to the scene"
    row["call_us"] = _timing.call_time(calls[0], cupy.cuda.Device().synchronize, batch=10)
    row["copy_us"] = _timing.copy_time(nbytes)
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    row["peers"] = {}
    return row


def run_cpu(case: Case, seed: int) -> dict[str, Any]:
    """One row on the CPU, in turn with its peers."""
    problem = Problem(case, seed, np)
    found = judged_points(problem) if case.op == "tsdf_to_points" else 0
    functions: dict[str, Callable[[], Any]] = {}
    if case.op == "tsdf_to_points":
        functions[""] = partial(points_of, problem, problem.surface, None)
    else:
        functions[""] = partial(problem.integrate, problem.arrays())
        if not case.color:
            functions["numpy"] = partial(integrate_numpy, *problem.arrays()[:2], problem.depth, problem.poses, 0)
    row, absent = case.row("cpu", seed, problem.nbytes(found)), None
    try:
        functions["open3d"] = by_open3d(problem)
    except ImportError as error:
        absent = _results.reason(error)
    took = _timing.wall_times(functions, runs=5)
    row["judge"] = "bits of NumPy on some planes" if not found else "distance to the scene"
    row["wall_us"] = took[""]
    row["peers"] = {name: {"wall_us": took[name], "by": "host clock"} for name in took if name}
    if absent:
        row["peers"]["open3d"] = {"absent": absent}
    return row


def by_open3d(problem: Problem) -> Callable[[], Any]:
    """The same with Open3D's dense volume; points without normals are not offered, so neither is left out."""
    import open3d

    o3d, kind = open3d, open3d.pipelines.integration.TSDFVolumeColorType
    volume = o3d.pipelines.integration.UniformTSDFVolume(
        SIDE, problem.case.cells, TRUNCATION, kind.RGB8 if problem.case.color else kind.NoColor,
        origin=np.full((3, 1), -SIDE / 2),
    )  # fmt: skip
    camera = o3d.camera.PinholeCameraIntrinsic(WIDTH, HEIGHT, *K)
    colors = problem.color if problem.case.color else np.zeros((*problem.depth.shape, 3), np.uint8)
    views = []
    for depth, color, at in zip(problem.depth, colors, problem.poses, strict=True):
        image = o3d.geometry.RGBDImage.create_from_color_and_depth(
            o3d.geometry.Image(color), o3d.geometry.Image(depth), SCALE, 10.0, convert_rgb_to_intensity=False
        )
        views.append((image, np.linalg.inv(at)))

    def fuse() -> None:
        for image, world in views:
            volume.integrate(image, camera, world)

    fuse()
    return volume.extract_point_cloud if problem.case.op == "tsdf_to_points" else fuse


def tidy(run: Any, case: Case, seed: int) -> dict[str, Any]:
    """One row, and memory given back."""
    try:
        return run(case, seed)
    finally:
        _timing.free()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="the smallest cube only")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    run = run_cuda if options.backend == "cuda" else run_cpu
    todo = [
        partial(tidy, run, case, options.seed + 1000 * k)
        for k, case in enumerate(cases(options.backend, options.quick))
    ]
    _results.finish(options.out, "tsdf", todo, seed=options.seed)


if __name__ == "__main__":
    main()
