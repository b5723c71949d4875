"""Farthest points, and PerAct's grids, bits and weights of ``voxel_grid``, beside their peers, checked in the same run.

``python3 -m benchmarks.bench_sampling [--backend cpu|cuda] --out result.json``
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import robocache as rc

from . import _results, _timing, baselines, primitives, scenes

LAYERS = ("xyz", "index", "occupancy")
SIDE, CHANNELS = 100, 10
REACH = {"uniform": (0.0, 0.0, 0.0, 1.0, 1.0, 1.0), "depth": (-6.5, -6.5, -6.5, 6.5, 6.5, 6.5)}
VIEWS = 4 * 128 * 128  # pixels of PerAct's cameras
CHECKED = 256  # picks that are compared with the definition
GOALS = {(1, 16_384, 1024): 3000.0}  # microseconds on an H200


def clouds(xp: Any, distribution: str, batch: int, count: int, seed: int) -> Any:
    """Points [B, N, 3]."""
    return scenes.cloud(xp, distribution, batch * count, seed).reshape(batch, count, 3)


def judge_picks(points: np.ndarray, picks: np.ndarray) -> str:
    """Every point against every pick."""
    nearest = np.full(len(points), np.inf, np.float32)
    for j, pick in enumerate(picks[:CHECKED]):
        if j and int(np.argmax(nearest)) != pick:
            raise _results.WrongResult(f"pick {j} is {pick}, not {int(np.argmax(nearest))}")
        dx, dy, dz = (points - points[pick]).T
        nearest = np.minimum(nearest, (dx * dx + dy * dy) + dz * dz)
        nearest[pick] = -1
    return "numpy"


def peract_numpy(points: np.ndarray, rgb: np.ndarray, bounds: Any, ticks: np.ndarray, out: np.ndarray) -> np.ndarray:
    """The same grid by bincount, with one write of what does not change."""
    low, size = np.array(bounds[:3], np.float32), np.float32((bounds[3] - bounds[0]) / SIDE)
    cells = np.floor((points - low) / size).astype(np.int32)
    kept = ((cells >= 0) & (cells < SIDE)).all(1)
    x, y, z = cells[kept].T
    flat = (x * SIDE + y) * SIDE + z
    counts = np.bincount(flat, minlength=SIDE**3)
    there, rows = np.flatnonzero(counts), out.reshape(-1, CHANNELS)
    rows[:, :6] = 0
    for c, column in enumerate((*points[kept].T, *rgb[kept].T)):
        rows[there, c] = np.bincount(flat, column, SIDE**3)[there] / counts[there]
    rows[:, 6:9] = ticks
    rows[:, 9] = counts > 0
    return out


def ticks() -> np.ndarray:
    """Index channels of all cells."""
    axis = np.arange(SIDE, dtype=np.float32) / np.float32(SIDE)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def judge_peract(points: np.ndarray, rgb: np.ndarray, bounds: Any, got: np.ndarray) -> str:
    """Means within a unit of the last place, the rest equal."""
    want = peract_numpy(points, rgb, bounds, ticks(), np.empty((SIDE, SIDE, SIDE, CHANNELS), np.float32))
    good = (got[..., 6:] == want[..., 6:]).all()
    good &= (np.abs(got[..., :6] - want[..., :6]) <= 2.0**-22 * np.abs(want[..., :6]) + 1e-9).all()
    if not good:
        raise _results.WrongResult(f"PerAct's grid of {len(points)} points")
    return "numpy"


def about(op: str, backend: str, distribution: str, seed: int, nbytes: int, **shapes: int) -> dict[str, Any]:
    """What a row says before anything is timed."""
    return {
        "op": op, "backend": backend, "shapes": shapes, "dtypes": {"points": "float32"}, "distribution": distribution,
        "seed": seed, "bytes": nbytes,
    }  # fmt: skip


def measure(row: dict[str, Any], calls: list[Callable[[], Any]]) -> Any:
    """Put the time of the calls into the row; what the first of them gives."""
    if row["backend"] == "cuda":
        row["device_us"], results = _timing.device_time(calls, least=2)
        return results[0].get()
    result = calls[0]()
    _timing.poison(result)
    row["wall_us"] = _timing.wall_time(calls[0], runs=5)
    return calls[0]()


def picks(backend: str, distribution: str, batch: int, count: int, k: int, seed: int) -> dict[str, Any]:
    """Farthest points of some clouds."""
    xp = module(backend)
    points = clouds(xp, distribution, batch, count, seed)
    row = about(
        "farthest_point_sample", backend, distribution, seed, points.nbytes + 8 * batch * k, B=batch, N=count, K=k
    )
    if backend == "cuda":
        row["goal"] = {"over_torch": 5.0}
        if (batch, count, k) in GOALS:
            row["goal"]["device_us"] = GOALS[batch, count, k]
    out = xp.empty((batch, k), np.int64)
    got = measure(row, [lambda: rc.farthest_point_sample(points, k, out=out)])
    host = points if backend == "cpu" else points.get()
    for b in {0, batch - 1}:
        row["judge"] = judge_picks(host[b], got[b])
    if backend == "cuda":
        (given,) = primitives.tensors(points)
        work = partial(primitives.torch_farthest, given, k)
        row["peers"] = {"torch": primitives.beside(work, lambda found: np.array_equal(found.cpu().numpy(), got), 3)}
    if backend == "cpu":
        row["goal"], row["peers"] = {"over_fpsample": 1 / 1.2}, pick_peers(host[0], k) if batch == 1 else {}
    return row


def pick_peers(points: np.ndarray, k: int) -> dict[str, Any]:
    """Buckets in the best of three depths, and every point against every pick."""

    def buckets() -> dict[str, Any]:
        import fpsample

        calls = {h: partial(fpsample.bucket_fps_kdline_sampling, points, k, h=h) for h in (5, 7, 9)}
        took = [_timing.wall_time(call, runs=5) for call in calls.values()]
        return {"wall_us": min(took, key=lambda t: t["median"])}

    def plain() -> dict[str, Any]:
        import fpsample

        return {"wall_us": _timing.wall_time(lambda: fpsample.fps_sampling(points, k), runs=3)}

    return {"fpsample": baselines.attempt("fpsample", buckets), "fpsample plain": baselines.attempt("fpsample", plain)}


def peract(backend: str, distribution: str, batch: int, seed: int) -> dict[str, Any]:
    """PerAct's grids of four views each."""
    xp, bounds = module(backend), REACH[distribution]
    points = clouds(xp, distribution, batch, VIEWS, seed)
    rgb = scenes.noise(xp, points.shape, seed + 1)
    out = xp.empty((batch, SIDE, SIDE, SIDE, CHANNELS), np.float32)
    row = about("voxel_grid", backend, distribution, seed, 2 * points.nbytes + out.nbytes, B=batch, N=VIEWS, G=SIDE)
    row["reduce"] = "peract"
    how = {"bounds": bounds, "shape": SIDE, "reduce": "mean", "append": LAYERS}
    got = measure(row, [lambda: rc.voxel_grid(points, rgb, out=out, **how)])
    host, colours = (a if backend == "cpu" else a.get() for a in (points, rgb))
    for b in {0, batch - 1}:
        row["judge"] = judge_peract(host[b], colours[b], bounds, got[b])
    if backend == "cuda":
        row["copy_us"] = _timing.copy_time(row["bytes"])
        row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
        row["goal"] = {"over_torch": 5.0} | ({"device_us": 270.0} if batch == 16 else {})
        row["peers"] = {"torch": peract_torch(points, rgb, bounds, got)}
    elif batch == 1:
        index, memory = ticks(), np.empty_like(got[0])
        peer = partial(peract_numpy, host[0], colours[0], bounds, index, memory)
        row["peers"] = {"numpy": {"wall_us": _timing.wall_time(peer, runs=5)}}
        row["goal"] = {"over_numpy": 4.0}
    return row


def peract_torch(points: Any, rgb: Any, bounds: Any, want: np.ndarray) -> dict[str, Any]:
    """The same from torch's primitives, whose sums are in no order."""
    import cupy

    size, out = np.float32((bounds[3] - bounds[0]) / SIDE), cupy.empty(want.shape, np.float32)
    given = primitives.tensors(points, rgb, np.float32(bounds[:3]), size, ticks(), out)

    def judge(found: Any) -> bool:
        return all(np.allclose(one.cpu().numpy(), ours, 1e-5, 1e-5) for one, ours in zip(found, want, strict=True))

    return primitives.beside(lambda: primitives.torch_peract(*given), judge)


def drawn(backend: str, what: str, count: int, side: int, seed: int) -> dict[str, Any]:
    """Occupancy as bits, or weights between cells, judged by plain occupancy and by the sum of weights."""
    xp, options = module(backend), {"bounds": REACH["uniform"], "shape": side}
    points = scenes.cloud(xp, "uniform", count, seed)
    more = {"packed": True} if what == "bits" else {"splat": "trilinear", "reduce": "count"}
    nbytes = side**3 // 8 if what == "bits" else 4 * side**3
    row = about("voxel_grid", backend, "uniform", seed, points.nbytes + nbytes, N=count, G=side) | {"reduce": what}
    got = measure(row, [lambda: rc.voxel_grid(points, **options, **more)])
    plain = rc.voxel_grid(points, **options, reduce="occupancy" if what == "bits" else "count")
    plain = plain if backend == "cpu" else plain.get()
    if what == "bits":
        cells = np.unpackbits(got.view(np.uint8), axis=-1, count=side, bitorder="little")
        good = bool((cells == plain).all())
    else:
        good = bool(0.9 * plain.sum() <= got.sum(dtype=np.float64) <= plain.sum() * (1 + 1e-6))
    if not good:
        raise _results.WrongResult(f"{what} of {count} points")
    row["judge"] = "plain grid"
    return row


def module(backend: str) -> Any:
    """NumPy or CuPy."""
    if backend == "cpu":
        return np
    import cupy

    return cupy


def rows(backend: str, quick: bool, seed: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """Everything, small first."""
    sizes = [(1, 4096, 512), (1, 16_384, 1024), (1, 20_000, 1024), (1, 300_000, 1024), (16, 16_384, 1024)]
    if backend == "cuda":
        sizes.append((128, 16_384, 1024))
    for size in sizes[: 3 if quick else None]:
        for distribution in ("uniform", "depth"):
            yield partial(picks, backend, distribution, *size, seed)
    for batch in (1,) if quick else (1, 16):
        for distribution in ("uniform", "depth"):
            yield partial(peract, backend, distribution, batch, seed)
    yield partial(drawn, backend, "bits", 500_000, 128, seed)
    yield partial(drawn, backend, "trilinear", 100_000, 64, seed)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="a few small rows")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    _results.finish(options.out, "sampling", rows(options.backend, options.quick, options.seed), seed=options.seed)


if __name__ == "__main__":
    main()
