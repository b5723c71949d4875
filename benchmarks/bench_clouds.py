"""Depth images and point clouds beside NumPy and Open3D, checked in the same run.

``python3 -m benchmarks.bench_clouds [--backend cpu|cuda] [--quick] --out result.json``
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import robocache as rc

from . import _results, _timing, baselines

SCALE, BOX = 1000, (-1.0, -1.0, 0.0, 1.0, 1.0, 2.5)
Calls = dict[str, Callable[[], Any]]


@dataclass(frozen=True)
class Case:
    """V views of H x W pixels, or N points."""

    op: str
    method: str
    shape: tuple[int, ...]
    share: float = 0.0  # goal

    def row(self, backend: str, seed: int, nbytes: int) -> dict[str, Any]:
        """What a result says of the case."""
        names = "VHW" if self.op in ("depth_to_points", "estimate_normals") else "N"
        dtypes = {"depth": "uint16"} if self.op == "depth_to_points" else {"points": "float32"}
        return {
            "op": self.op, "method": self.method, "backend": backend,
            "shapes": dict(zip(names, self.shape, strict=True)), "dtypes": dtypes, "distribution": "room", "seed": seed,
            "bytes": nbytes, "goal": {"share": self.share} if self.share else {},
        }  # fmt: skip


def cases(backend: str, quick: bool) -> list[Case]:
    """One camera, the four of a robot, and a batch that fills the card."""
    views = [(1, 480, 640), (4, 480, 640)] + ([] if quick else [(32, 720, 1280)] if backend == "cuda" else [])
    counts = [(100_000,)] if quick else [(100_000,), (10_000_000,)]
    found = [Case("depth_to_points", method, shape) for shape in views for method in ("all", "box", "organized")]
    found += [Case("estimate_normals", "", shape) for shape in views]
    return found + [Case(op, "", shape) for shape in counts for op in ("crop_box", "transform_points")]


class Problem:
    """Inputs of a case, its call, the peers that do the same, and the judge."""

    def __init__(self, case: Case, seed: int) -> None:
        self.case, rng = case, np.random.default_rng(seed)
        self.pose = np.array([[0.0, 0, 1, -1], [-1, 0, 0, 0], [0, -1, 0, 1]])
        if len(case.shape) == 1:
            self.points = rng.uniform(-2, 2, (*case.shape, 3)).astype(np.float32)
            return
        views, height, width = case.shape
        rows, columns = np.indices((height, width)) / height
        room = 1500 + 800 * np.sin(3 * columns) * np.cos(2 * rows)
        self.depth = np.stack([room + 100 * k + rng.normal(0, 3, room.shape) for k in range(views)]).astype(np.uint16)
        self.depth[np.broadcast_to(np.sin(9 * columns) * np.sin(7 * rows) > 0.6, case.shape)] = 0  # a sensor's shadows
        self.lens = (0.8 * width, 0.8 * width, width / 2 - 0.5, height / 2 - 0.5)

    def ours(self, xp: Any, limit: bool) -> tuple[Callable[[], Any], int]:
        """The call, on arrays of a backend, and the least bytes that it moves."""
        case = self.case
        if case.op == "transform_points":
            points = xp.asarray(self.points)
            out = xp.empty_like(points)
            return (lambda: rc.transform_points(points, self.pose, out=out)), 2 * points.nbytes
        if case.op == "crop_box":
            points = xp.asarray(self.points)
            kept = len(rc.crop_box(self.points, BOX).points)
            most = kept if limit else None
            return (lambda: rc.crop_box(points, BOX, max_points=most)), points.nbytes + 12 * kept
        if case.op == "estimate_normals":
            cloud, valid = (xp.asarray(a) for a in self.organized())
            return (lambda: rc.estimate_normals(cloud, valid)), 2 * (cloud.nbytes + valid.nbytes)
        depth, how = xp.asarray(self.depth), self.options()
        nbytes = depth.nbytes
        if case.method == "organized":
            nbytes += 13 * depth.size
        else:
            kept = len(rc.depth_to_points(self.depth, self.lens, self.pose, **how).points)
            nbytes += 12 * kept
            how |= {"max_points": kept} if limit else {}
        return (lambda: rc.depth_to_points(depth, self.lens, self.pose, **how)), nbytes

    def options(self) -> dict[str, Any]:
        """Of ``depth_to_points``."""
        more = {"box": {"bounds": BOX}, "organized": {"organized": True}, "all": {}}[self.case.method]
        return {"depth_scale": SCALE, **more}

    def organized(self) -> tuple[np.ndarray, np.ndarray]:
        """Points for normals, in the frame of each camera."""
        return rc.depth_to_points(self.depth, self.lens, depth_scale=SCALE, organized=True)

    def numpy(self) -> Callable[[], Any] | None:
        """Arrays as a whole, float32, the rays worked out once and before."""
        case, turn, shift = self.case, self.pose[:, :3].T.astype(np.float32), self.pose[:, 3].astype(np.float32)
        low, high = (np.array(b, np.float32) for b in (BOX[:3], BOX[3:]))
        if case.op == "transform_points":
            return lambda: self.points @ turn + shift
        if case.op == "crop_box":
            return lambda: self.points[((self.points >= low) & (self.points < high)).all(1)]
        if case.op == "estimate_normals":
            return partial(crossed, self.organized()[0])
        fx, fy, cx, cy = self.lens
        rows, columns = np.indices(case.shape[1:])
        rays = np.stack([(columns - cx) / fx, (rows - cy) / fy, np.ones(rows.shape)], -1).astype(np.float32)
        ways, unit = rays @ turn, np.float32(1 / SCALE)

        def kept() -> Any:
            used = self.depth > 0
            ray = np.broadcast_to(ways, (*self.depth.shape, 3))[used]
            points = ray * (self.depth[used] * unit)[:, None] + shift
            return points if case.method == "all" else points[((points >= low) & (points < high)).all(1)]

        def whole() -> Any:
            points = ways * (self.depth * unit)[..., None] + shift
            points[self.depth == 0] = np.nan
            return points

        return whole if case.method == "organized" else kept

    def open3d(self) -> Callable[[], Any]:
        """The tensor functions of Open3D, of which those on depth take one view at a time."""
        import open3d as o3d

        core, geometry = o3d.core, o3d.t.geometry
        if self.case.op in ("crop_box", "transform_points"):
            cloud = geometry.PointCloud(core.Tensor(self.points))
            if self.case.op == "crop_box":
                box = geometry.AxisAlignedBoundingBox(*(core.Tensor(np.float32(b)) for b in (BOX[:3], BOX[3:])))
                return lambda: cloud.crop(box)
            pose = core.Tensor(np.vstack([self.pose, [0, 0, 0, 1]]))
            return lambda: cloud.clone().transform(pose)
        fx, fy, cx, cy = self.lens
        lens = core.Tensor(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]]))
        back = core.Tensor(np.linalg.inv(np.vstack([self.pose, [0, 0, 0, 1]])))
        views = [geometry.Image(core.Tensor(view[..., None])) for view in self.depth]
        if self.case.op == "estimate_normals":
            flat = [view.to(core.Dtype.Float32).create_vertex_map(lens) for view in map(partial(scaled, o3d), views)]
            return lambda: [view.create_normal_map() for view in flat]
        make = geometry.PointCloud.create_from_depth_image
        return lambda: [make(view, lens, back, depth_scale=float(SCALE), depth_max=100.0) for view in views]

    def judge(self, result: Any, xp: Any) -> str:
        """On the GPU, equal bits to the CPU; on the CPU, NumPy's numbers to rounding."""
        arrays = leaves(result)
        if xp is not np:
            want = leaves(self.ours(np, True)[0]())
            got = [array.get() for array in arrays]
            if not all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(got, want, strict=True)):
                raise _results.WrongResult(f"{self.case}: not the bits of the CPU")
            return "bits of the CPU"
        want = self.numpy()()
        if self.case.op == "estimate_normals":
            known = arrays[1] & np.isfinite(want).all(-1)
            if known.mean() < 0.5 or np.median(np.abs((arrays[0] * want).sum(-1)[known])) < 0.9:
                raise _results.WrongResult(f"{self.case}: other normals than NumPy's")
        elif not np.allclose(arrays[0], want, rtol=1e-4, atol=1e-5, equal_nan=True):
            raise _results.WrongResult(f"{self.case}: other points than NumPy's")
        return "NumPy"


def scaled(o3d: Any, image: Any) -> Any:
    """Depth in metres, NaN where there is none."""
    return image.clip_transform(float(SCALE), 0.0, 100.0, float("nan"))


def crossed(points: np.ndarray) -> np.ndarray:
    """Normals by central differences of whole arrays, without a look at jumps."""
    across, down = np.gradient(points, axis=-2), np.gradient(points, axis=-3)
    normals = np.cross(across, down)
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def leaves(result: Any) -> list[Any]:
    """Arrays of a result."""
    if isinstance(result, rc.PackedPoints):
        return [result.points, result.offsets, result.found]
    return list(result) if isinstance(result, tuple) else [result]


def run_cuda(case: Case, seed: int) -> dict[str, Any]:
    """One row on the GPU: device time with ``max_points``, the time of a call without."""
    import cupy

    first = Problem(case, seed)
    _, nbytes = first.ours(np, True)
    problems = [first] + [Problem(case, seed + k) for k in range(1, min(_timing.rotation(nbytes), 4))]
    row = case.row("cuda", seed, nbytes)
    calls = [problem.ours(cupy, True)[0] for problem in problems]
    row["device_us"], results = _timing.device_time(calls, leaves)
    row["judge"] = first.judge(results[0], cupy)
    row["wall_us"] = _timing.wall_time(first.ours(cupy, False)[0], cupy.cuda.Device().synchronize)
    row["copy_us"] = _timing.copy_time(nbytes)
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    row["peers"] = {}
    return row


def run_cpu(case: Case, seed: int) -> dict[str, Any]:
    """One row on the CPU, in turn with memcpy and the peers."""
    problem = Problem(case, seed)
    ours, nbytes = problem.ours(np, False)
    row, copy = case.row("cpu", seed, nbytes), _timing.HostCopy(nbytes)
    row["judge"] = problem.judge(ours(), np)
    functions: Calls = {"": ours, "alone": copy.alone, "together": copy.together, "numpy": problem.numpy()}
    missing: dict[str, Any] = {}
    if case.method in ("", "all"):  # it neither crops in one go nor keeps the order of the image
        reason = baselines.attempt("open3d", lambda: functions.update(open3d=problem.open3d()) or {})
        missing = {"open3d": reason} if reason else {}
    took = _timing.wall_times(functions)
    row["wall_us"] = took[""]
    row["copy_us"] = min(took["alone"], took["together"], key=lambda t: t["median"])
    row["share"] = _timing.ratio(row["copy_us"], row["wall_us"])
    row["peers"] = {name: {"wall_us": took[name]} for name in ("numpy", "open3d") if name in took} | missing
    return row


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
    parser.add_argument("--quick", action="store_true", help="without the largest")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    run = run_cuda if options.backend == "cuda" else run_cpu
    chosen = cases(options.backend, options.quick)
    todo = [partial(tidy, run, case, options.seed + 1000 * k) for k, case in enumerate(chosen)]
    _results.finish(options.out, "clouds", todo, seed=options.seed)


if __name__ == "__main__":
    main()
