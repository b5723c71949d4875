"""Curves, turns, means and poses beside SciPy row by row, checked in the same run.

``python3 -m benchmarks.bench_curves [--backend cpu|cuda] --out result.json``
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import robocache as rc

from . import _results, _timing, baselines, scenes

ITEM = {"float32": 4, "bfloat16": 2, "float16": 2, "float64": 8}
LIMIT = {"float32": 2e-5, "bfloat16": 0.05, "float16": 6e-3, "float64": 1e-11}
BENDS = 8  # bytes a sample that the solve of a cubic writes and reads again
CURVES = ("cubic", "pchip", "akima", "catmull_rom", "slerp", "angle")
GOAL = {"slerp": 25.0, "cubic": 5.0, "pchip": 5.0, "akima": 5.0}  # times SciPy, on the CPU


@dataclass(frozen=True)
class Case:
    """One row of the table; ``split`` and ``se3`` are poses."""

    method: str
    batch: int
    samples: int
    targets: int
    features: int
    dtype: str = "float32"
    share: float | None = None
    seed: int = 0

    @property
    def bytes(self) -> int:
        """Every sample once, every result once, the stamps, and for a cubic the extra pass of its solve."""
        item, rows = ITEM[self.dtype], self.batch * (self.samples + self.targets)
        more = BENDS * self.batch * self.samples * self.features if self.method == "cubic" else 0
        return rows * (self.features * item + 8) + more

    @property
    def pose(self) -> bool:
        return self.method in ("split", "se3")

    def shape(self) -> tuple[int, ...]:
        tail = {"slerp": 4, "split": 7, "se3": 7}.get(self.method)
        return (self.features,) if tail is None else (self.features // tail, tail)

    def values(self, xp: Any, number: int) -> Any:
        """Input set ``number``: random, angles within their range."""
        noise = scenes.noise(xp, (self.batch, self.samples, *self.shape()), self.seed + 7 * number)
        return scenes.narrow(xp, noise * np.float32(np.pi if self.method == "angle" else 1), self.dtype)

    def call(self, values: Any, times: Any, targets: Any, **more: Any) -> Any:
        if self.pose:
            return rc.resample_poses(values, times, targets, mode=self.method, **more)
        return rc.resample_trajectories(values, times, targets, method=self.method, **more)


def stamps(case: Case, number: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Jittery stamps, and an even clock over them."""
    times = scenes.stamps(case.batch, case.samples, case.seed + 1)
    return times + number, scenes.targets(times, case.targets, "clock", case.seed + 2) + number


def by_scipy(case: Case, values: np.ndarray, times: np.ndarray, targets: np.ndarray) -> np.ndarray | None:
    """One row in float64, None where SciPy has no such thing."""
    from scipy import interpolate
    from scipy.spatial.transform import Rotation, Slerp

    seconds, wanted = (times - times[0]) / 1e9, (targets - times[0]) / 1e9
    values = values.astype(np.float64)
    if case.method == "slerp":
        found = [Slerp(seconds, Rotation.from_quat(values[:, k]))(wanted).as_quat() for k in range(values.shape[1])]
        return np.stack(found, 1)
    makers = {
        "cubic": partial(interpolate.CubicSpline, bc_type="natural"),
        "pchip": interpolate.PchipInterpolator,
        "akima": interpolate.Akima1DInterpolator,
    }
    if case.method not in makers:
        return None
    return makers[case.method](seconds, values)(wanted)


def judge(case: Case, values: Any, times: np.ndarray, targets: np.ndarray, got: np.ndarray) -> float:
    """Largest error of two rows against SciPy, or float64 on the CPU, which the tests hold against an oracle."""
    worst = 0.0
    for b in (0, case.batch - 1):
        row = values[b].get() if hasattr(values, "get") else values[b]
        exact = by_scipy(case, row, times[b], targets[b])
        if exact is None:
            exact = case.call(row.astype(np.float64)[None], times[b : b + 1], targets[b : b + 1])[0]
        wrong = np.abs(got[b].astype(np.float64) - exact)
        if case.method == "slerp":  # either sign is the same turn
            wrong = np.minimum(wrong.max(-1), np.abs(got[b].astype(np.float64) + exact).max(-1))
        if case.method == "angle":
            wrong = np.minimum(wrong, np.abs(wrong - 2 * np.pi))
        worst = max(worst, float(wrong.max()))
    if not worst <= LIMIT[case.dtype]:
        raise _results.WrongResult(f"{case.method} {case.dtype}: off by {worst}")
    return worst


def row_of(case: Case, backend: str) -> dict[str, Any]:
    """What a row says before anything is timed."""
    shapes = {"B": case.batch, "S": case.samples, "T": case.targets, "D": case.features}
    row: dict[str, Any] = {
        "op": "resample_poses" if case.pose else "resample", "method": case.method, "backend": backend,
        "shapes": shapes, "dtypes": {"values": case.dtype, "times": "int64"}, "distribution": "clock",
        "seed": case.seed, "bytes": case.bytes,
    }  # fmt: skip
    if case.share and backend == "cuda":
        row["goal"] = {"share": case.share}
    if case.method in GOAL and backend == "cpu" and case.samples > 1000:
        row["goal"] = {"over_scipy": GOAL[case.method]}
    return row


def run_cuda(case: Case) -> dict[str, Any]:
    """One row on the GPU: the call, and a plan of it."""
    import cupy

    row = row_of(case, "cuda")
    count = max(2, min(8, _timing.rotation(case.bytes)))
    host = [stamps(case, k) for k in range(count)]
    sets = [(case.values(cupy, k), *map(cupy.asarray, host[k])) for k in range(count)]
    outs = [cupy.empty((*v.shape[:1], case.targets, *v.shape[2:]), v.dtype) for v, *_ in sets]
    calls = [partial(case.call, *given, out=out) for given, out in zip(sets, outs, strict=True)]
    row["device_us"], _ = _timing.device_time(calls, least=2)
    row["error"] = max(judge(case, sets[k][0], *host[k], outs[k].get()) for k in (0, -1))
    if not case.pose:
        plans = [rc.Plan(t, q, method=case.method) for _, t, q in sets]
        again = [partial(p.apply, s[0], out=o) for p, s, o in zip(plans, sets, outs, strict=True)]
        row["plan_us"], _ = _timing.device_time(again, least=2)
        judge(case, sets[0][0], *host[0], outs[0].get())
        if case.bytes < 64 << 20:
            row["plan_call_us"] = _timing.call_time(again[0], cupy.cuda.Device().synchronize)
    if case.bytes < 64 << 20:
        row["call_us"] = _timing.call_time(calls[0], cupy.cuda.Device().synchronize)
    row["copy_us"] = _timing.copy_time(case.bytes)
    row["share"] = _timing.ratio(row["copy_us"], row["device_us"])
    row["plan_share"] = _timing.ratio(row["copy_us"], row["plan_us"]) if "plan_us" in row else None
    row["peers"] = {"scipy": baselines.absent("runs on the CPU")}
    return row


def run_cpu(case: Case) -> dict[str, Any]:
    """One row on the CPU, memcpy in turn with it, then SciPy over the same rows."""
    row, (times, targets), values = row_of(case, "cpu"), stamps(case), case.values(np, 0)
    out = np.empty((case.batch, case.targets, *case.shape()), values.dtype)
    copy = _timing.HostCopy(case.bytes)
    mine: Callable[[], Any] = partial(case.call, values, times, targets, out=out)
    mine()
    _timing.poison(out)
    took = _timing.wall_times({"mine": mine, "alone": copy.alone, "together": copy.together})
    row["error"] = judge(case, values, times, targets, out)
    row["wall_us"], row["copy_us"] = took["mine"], min(took["alone"], took["together"], key=lambda t: t["median"])
    row["share"] = _timing.ratio(row["copy_us"], row["wall_us"])

    def scipy() -> dict[str, Any]:
        def rows() -> None:
            for b in range(case.batch):
                by_scipy(case, values[b], times[b], targets[b])

        return {"wall_us": _timing.wall_time(rows, runs=3)}

    known = by_scipy(case, values[0], times[0], targets[0]) is not None
    row["peers"] = {"scipy": baselines.attempt("scipy", scipy) if known else baselines.absent("has no such method")}
    return row


def cases(backend: str, quick: bool) -> list[Case]:
    """Small calls, then large ones."""
    small = [Case(method, 2, 30, 10, 8) for method in (*CURVES, "mean")]
    if quick:
        return small
    if backend == "cpu":
        return small + [Case(method, 64, 2048, 2048, 16) for method in (*CURVES, "mean")] + [
            Case("mean", 64, 10_240, 512, 16), Case("split", 64, 2048, 2048, 7), Case("se3", 64, 2048, 2048, 7),
        ]  # fmt: skip
    large = [
        Case(method, 256, 2048, 2048, 128, dtype, share=0.7) for dtype in ("float32", "bfloat16") for method in CURVES
    ]
    means = [Case("mean", 256, 10_240, 512, 64, dtype, share=0.7) for dtype in ("float32", "bfloat16")]
    poses = [Case(method, 2048, 2048, 2048, 7) for method in ("split", "se3")]
    return [*small, *large, *means, Case("pchip", 256, 2048, 2048, 64, "float64", share=0.7), *poses]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--quick", action="store_true", help="the small rows only")
    options = parser.parse_args()
    _results.require_commit()
    run = run_cuda if options.backend == "cuda" else run_cpu
    _results.finish(options.out, "curves", [partial(run, case) for case in cases(options.backend, options.quick)])


if __name__ == "__main__":
    main()
