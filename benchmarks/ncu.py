"""What the hardware counters say of each main kernel, on one GPU, through Nsight Compute.

``python3 -m benchmarks.ncu --out result.json``; ``--drive NAME`` runs one workload, which is what ncu watches.
"""

import argparse
import csv
import io
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import robocache as rc

from . import _results
from .alignment import Case, Problem
from .bench_fusion import PLANT, Fusion
from .grids import Cloud
from .scenes import noise

METRICS = {
    "dram_percent": "dram__throughput.avg.pct_of_peak_sustained_elapsed",
    "l2_percent": "lts__throughput.avg.pct_of_peak_sustained_elapsed",
    "occupancy_percent": "sm__warps_active.avg.pct_of_peak_sustained_active",
    "registers": "launch__registers_per_thread",
    "dram_bytes": "dram__bytes.sum",
    "us": "gpu__time_duration.sum",
}
MILLION = 1_000_000


def resample(case: Case) -> Callable[[], Any]:
    """A call of one resampling."""
    import cupy

    problem = Problem(case)
    given = (problem.values(cupy, 0), *problem.times_as(cupy))
    out = cupy.empty((case.batch, case.targets, case.features), problem.kind)
    return lambda: rc.resample_trajectories(*given, method=case.method, out=out)


def fuse() -> Callable[[], Any]:
    """A call of one fusion."""
    import cupy

    given = Fusion(256, 128, PLANT, "float32", 1).inputs(cupy, 0)
    return lambda: rc.fuse_multimodal(*given)


def grid(reduce: str, count: int, distribution: str) -> Callable[[], Any]:
    """A call of one dense grid."""
    import cupy

    cloud = Cloud(distribution, count, 1)
    points = cloud.points(cupy, 0)
    given = (points, noise(cupy, (count, 8), 2)) if reduce in ("mean", "max") else (points,)
    return lambda: rc.voxel_grid(*given, bounds=cloud.bounds, shape=128, reduce=reduce)


def voxelize(count: int, distribution: str, size: float) -> Callable[[], Any]:
    """A call of one sparse mean."""
    import cupy

    points = Cloud(distribution, count, 1).points(cupy, 0)
    return lambda: rc.voxelize(points, voxel_size=size, max_voxels=count)


WORK: dict[str, Callable[[], Callable[[], Any]]] = {
    "linear f32, 256 x 2048 x 2048 x 128": partial(resample, Case(256, 2048, 2048, 128, distribution="clock")),
    "linear bf16, 256 x 2048 x 2048 x 128": partial(
        resample, Case(256, 2048, 2048, 128, "bfloat16", distribution="clock")
    ),
    "previous f32, 256 x 2048 x 2048 x 128": partial(
        resample, Case(256, 2048, 2048, 128, method="previous", distribution="clock")
    ),
    "fuse f32, 256 rows, 3 streams": fuse,
    "occupancy 128, 10 M lidar": partial(grid, "occupancy", 10 * MILLION, "lidar"),
    "count 128, 10 M lidar": partial(grid, "count", 10 * MILLION, "lidar"),
    "mean of 8 features 128, 500 k uniform": partial(grid, "mean", 500_000, "uniform"),
    "voxelize mean, 1 M lidar": partial(voxelize, MILLION, "lidar", 0.25),
}


def command(name: str) -> list[str]:
    """ncu over the kernels of this package, in a process of its own."""
    topics = sorted(path.stem for path in (_results.ROOT / "robocache" / "cuda").glob("*.cu"))
    watch = ["ncu", "--clock-control", "none", "--target-processes", "all", "-k", f"regex:^({'|'.join(topics)})(_|$)"]
    watch += ["--metrics", ",".join(METRICS.values()), "--csv", "--page", "raw", "--print-units", "base"]
    return [*watch, sys.executable, "-m", "benchmarks.ncu", "--drive", name]


def parse(text: str) -> dict[str, dict[str, float]]:
    """Metrics of the last launch of each kernel, from the CSV that follows ncu's own messages."""
    lines = text.splitlines()
    start = next((i for i, line in enumerate(lines) if line.startswith('"ID"')), None)
    if start is None:
        return {}
    found: dict[str, dict[str, float]] = {}
    for row in csv.DictReader(io.StringIO("\n".join(lines[start:]))):
        if not (row.get("ID") or "").strip():  # the row of units
            continue
        values = {key: _number(row.get(metric)) for key, metric in METRICS.items()}
        if values["us"] is not None:
            values["us"] /= 1000  # nanoseconds
        kernel = re.sub(r"\(.*", "", row["Kernel Name"])
        found[kernel] = {key: value for key, value in values.items() if value is not None}
    return found


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").replace(",", ""))
    except ValueError:
        return None


def measure(name: str) -> list[dict[str, Any]]:
    """One row a kernel of this workload."""
    ran = subprocess.run(command(name), capture_output=True, text=True, check=False, timeout=120, cwd=_results.ROOT)
    kernels = parse(ran.stdout)
    if ran.returncode or not kernels:
        tail = next((line for line in reversed((ran.stdout + ran.stderr).splitlines()) if line.strip()), "no output")
        raise RuntimeError(f"ncu on {name!r} gave nothing (status {ran.returncode}): {tail}")
    return [{"op": "ncu", "backend": "cuda", "work": name, "kernel": k, **v} for k, v in kernels.items()]


def drive(name: str) -> None:
    """Twice: the first call compiles, and the last launch of each kernel counts."""
    import cupy

    call = WORK[name]()
    for _ in range(2):
        call()
    cupy.cuda.Device().synchronize()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("--out")
    chosen.add_argument("--drive", choices=sorted(WORK), metavar="NAME")
    options = parser.parse_args()
    if options.drive:
        drive(options.drive)
        return
    _results.require_commit()
    rows: list[dict[str, Any]] = []
    failed = [] if shutil.which("ncu") else ["ncu is not on the PATH"]
    for name in WORK if not failed else ():
        try:
            rows += measure(name)
            _results.say(f"{name}: {', '.join(row['kernel'] for row in rows if row['work'] == name)}")
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            failed.append(_results.reason(error))
            _results.say(f"FAILED {failed[-1]}")
    _results.write(options.out, "ncu", rows, failed=failed)
    if failed:
        raise SystemExit(f"{len(failed)} workloads failed")


if __name__ == "__main__":
    main()
