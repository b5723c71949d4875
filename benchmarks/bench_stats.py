"""Statistics and normalising beside their peers, checked in the same run.

``python3 -m benchmarks.bench_stats [--backend cpu|cuda] --out result.json``
"""

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import robocache as rc

from . import _results, _timing, baselines

SHAPES = ((300, 14), (100_000, 14), (10_000_000, 14), (50_000_000, 1), (250_000, 588))
SHARE = {"update": 0.25, "normalize": 0.7, "denormalize": 0.7}  # goals for large inputs
LARGE = 64 << 20  # bytes


def made(xp: Any, shape: tuple[int, int], dtype: str, kind: str, seed: int) -> Any:
    """Values: ``normal``, or ``grip``, which knows two values only, so that all meet in two buckets."""
    rng = np.random.default_rng(seed)
    block = rng.standard_normal((min(shape[0], 1 << 16), shape[1])) * 3 + 1
    block = (block > 1) if kind == "grip" else block
    return xp.asarray(np.resize(block, shape).astype(dtype))


def judged(stats: rc.RunningStats, values: np.ndarray) -> str:
    """Moments of at most a million rows against NumPy in float64, which is wrong by far less than this."""
    whole = values.astype(np.float64)
    for got, want in ((stats.mean, whole.mean(0)), (stats.std(), whole.std(0)), (stats.max, whole.max(0))):
        if not np.allclose(got, want, rtol=1e-9, atol=1e-9):
            raise _results.WrongResult(f"statistics are {got}, NumPy's {want}")
    if stats.quantiles:
        want = np.quantile(whole, 0.9, axis=0)
        if not np.allclose(stats.quantile(0.9), want, rtol=2**-7, atol=1e-6):
            raise _results.WrongResult(f"q90 is {stats.quantile(0.9)}, NumPy's {want}")
    return "NumPy in float64"


def about(op: str, method: str, backend: str, shape: tuple[int, int], dtype: str, kind: str) -> dict[str, Any]:
    """What a row is of."""
    sizes, dtypes = {"N": shape[0], "D": shape[1]}, {"values": dtype}
    return {"op": op, "method": method, "backend": backend, "shapes": sizes, "dtypes": dtypes, "distribution": kind}


def update_row(backend: str, shape: tuple[int, int], dtype: str, kind: str, sketch: bool, seed: int) -> dict[str, Any]:
    """One update. It cannot be captured, so events stand around single calls."""
    row = about("update", "quantiles" if sketch else "moments", backend, shape, dtype, kind)
    xp = _namespace(backend)
    values = made(xp, shape, dtype, kind, seed)
    how = {} if sketch else {"quantiles": ()}
    few = values[:1_000_000]
    row["judge"] = judged(rc.RunningStats(**how).update(few), few.get() if backend == "cuda" else few)
    row["bytes"] = values.nbytes
    stats = rc.RunningStats(**how)
    measure(row, backend, lambda: stats.update(values), captured=False)
    row["peers"] = {"torch": baselines.attempt("torch", lambda: by_torch(backend, values, torch_moments))}
    return row


def scale_row(backend: str, shape: tuple[int, int], dtype: str, op: str, seed: int) -> dict[str, Any]:
    """One normalisation into ``out``."""
    row = about(op, "mean_std", backend, shape, dtype, "normal")
    xp = _namespace(backend)
    values = made(xp, shape, dtype, "normal", seed)
    stats = rc.RunningStats(quantiles=()).update(values[:1_000_000])
    mean, std = stats.mean, stats.std()
    out, call = xp.empty_like(values), getattr(rc, op)
    _timing.poison(out)
    call(values, stats, out=out)
    few = [a[:1000].get() if backend == "cuda" else a[:1000] for a in (values, out)]
    exact = few[0].astype(np.float64)
    exact = (exact - mean) / std if op == "normalize" else exact * std + mean
    if not np.allclose(few[1].astype(np.float64), exact, rtol=1e-3 if dtype == "float16" else 1e-5, atol=1e-5):
        raise _results.WrongResult(f"{op} of {dtype} differs from NumPy in float64")
    row["judge"], row["bytes"] = "NumPy in float64", 2 * values.nbytes
    measure(row, backend, lambda: call(values, stats, out=out), captured=True)
    if op == "normalize":
        row["peers"] = {"torch": baselines.attempt("torch", lambda: by_torch(backend, values, torch_normalize))}
    return row


def measure(row: dict[str, Any], backend: str, call: Callable[[], Any], captured: bool) -> None:
    """Times of a call, and of a copy that moves as many bytes."""
    if row["bytes"] >= LARGE and backend == "cuda":
        row["goal"] = {"share": SHARE[row["op"]]}
    if backend == "cpu":
        copy = _timing.HostCopy(row["bytes"])
        took = _timing.wall_times({"mine": call, "alone": copy.alone, "together": copy.together}, runs=5)
        row["wall_us"] = took["mine"]
        row["copy_us"] = min(took["alone"], took["together"], key=lambda t: t["median"])
        row["share"] = _timing.ratio(row["copy_us"], row["wall_us"])
        return
    import cupy

    if captured:
        call()
        row["device_us"], _ = _timing.device_time([call], lambda result: [])
    else:
        row["device_us"] = _timing.event_time([call])
    if row["bytes"] < LARGE:
        row["call_us"] = _timing.call_time(call, cupy.cuda.Device().synchronize)
    row["copy_us"] = _timing.copy_time(row["bytes"])
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    _timing.free()


def torch_moments(torch: Any, x: Any) -> Any:
    """What a loader does without us; float32, and neither quantiles nor exactness."""
    std, mean = torch.std_mean(x.float(), 0)
    return mean, std, *torch.aminmax(x, dim=0)


def torch_normalize(torch: Any, x: Any) -> Any:
    """Two statistics of the right shape; what they are does not matter to the time."""
    return (x - x[0]) / x[1]


def by_torch(backend: str, values: Any, function: Callable[[Any, Any], Any]) -> dict[str, Any]:
    """A torch chain on the same memory."""
    import torch

    x = torch.from_numpy(values) if backend == "cpu" else torch.from_dlpack(values)
    call = partial(function, torch, x)
    if backend == "cpu":
        return {"wall_us": _timing.wall_time(call, runs=5), "by": "host clock"}
    return {"device_us": _timing.event_time([call], torch_stream=True), "by": "events"}


def _namespace(backend: str) -> Any:
    if backend == "cpu":
        return np
    import cupy

    return cupy


def todo(backend: str, quick: bool, seed: int) -> Iterator[Callable[[], dict[str, Any]]]:
    """Every row."""
    shapes = SHAPES[:2] if quick else SHAPES if backend == "cuda" else ((300, 14), (100_000, 14), (1_000_000, 14))
    for shape in shapes:
        for sketch in (True, False):
            yield partial(update_row, backend, shape, "float32", "normal", sketch, seed)
        for dtype in ("float32", "float16"):
            for op in ("normalize", "denormalize"):
                yield partial(scale_row, backend, shape, dtype, op, seed)
    yield partial(update_row, backend, shapes[-1], "float32", "grip", True, seed)
    yield partial(update_row, backend, shapes[1], "float64", "normal", True, seed)
    yield partial(update_row, backend, shapes[-1], "float16", "normal", True, seed)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="a few small rows")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    _results.require_commit()
    _results.finish(options.out, "stats", todo(options.backend, options.quick, options.seed), seed=options.seed)


if __name__ == "__main__":
    main()
