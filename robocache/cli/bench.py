"""``robocache bench``: how fast this machine is, beside a copy of the same bytes; each row is checked as it is timed.

What it writes with ``--out`` fills a row of the hardware table of the project's page on speed.
"""

import argparse
import json
import os
import platform
import re
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import robocache as rc

from . import backends
from .report import Report, first_line, table

SCHEMA, SEED = 2, 1
Call = Callable[[], Any]
Row = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``robocache bench``."""
    parser.add_argument("--backend", choices=("cpu", "cuda", "all"), default="all", help="default: all that are here")
    parser.add_argument("--quick", action="store_true", help="small sizes: seconds, and figures that say less")
    parser.add_argument("--out", type=Path, metavar="FILE", help="also write the figures as JSON")


def run(args: argparse.Namespace) -> Report:
    """Time every row on every backend wanted; ok if every result is right."""
    chosen, skipped = [], {}
    if args.backend != "cpu":
        gpu, why = backends.pick("cuda") if args.backend == "cuda" else backends.cuda()
        chosen += [gpu] if gpu else []
        skipped = {} if gpu else {"cuda": why}
    if args.backend != "cuda":
        chosen.append(backends.cpu())
    rows = [row for backend in chosen for row in measure(backend, args.quick)]
    failed = [f"{row['name']}: {row['wrong']}" for row in rows if row["wrong"]]
    fields = {"schema": SCHEMA, "suite": "bench", "machine": machine(chosen), "quick": args.quick}
    fields |= {"skipped": skipped, "failed": failed, "rows": rows}
    if args.out:
        args.out.write_text(json.dumps(fields, indent=1) + "\n", "utf-8")
    cells = [(row["name"], row["sizes"], f"{row['figure']:,.2f}", row["unit"], row["wrong"] or "ok") for row in rows]
    lines = [table(("row", "sizes", "figure", "unit", "result"), cells)]
    lines += [f"no {name}: {why}" for name, why in skipped.items()] + [f"FAILED {text}" for text in failed]
    return Report(not failed, fields, "\n".join(lines))


def machine(chosen: list[backends.Backend]) -> Row:
    """What the figures are of."""
    known = Path("/proc/cpuinfo")
    model = re.search(r"model name\s*: (.+)", known.read_text("utf-8")) if known.exists() else None
    about: Row = {"date": time.strftime("%Y-%m-%d", time.gmtime()), "python": platform.python_version(), "gpu": "none"}
    about |= {"commit": os.environ.get("ROBOCACHE_COMMIT") or f"version {rc.__version__}"}
    about |= {"cpu": model[1] if model else platform.processor() or platform.machine(), "cpu_count": os.cpu_count()}
    about["cpus_usable"] = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    about["packages"] = {"numpy": np.__version__}
    for backend in chosen:
        if backend.name == "cuda":
            runtime = backend.xp.cuda.runtime
            card = runtime.getDeviceProperties(runtime.getDevice())
            about |= {"gpu": card["name"].decode(), "capability": f"{card['major']}.{card['minor']}"}
            about |= {"gpu_memory": int(card["totalGlobalMem"]), "driver": runtime.driverGetVersion()}
            about["packages"]["cupy"] = backend.xp.__version__
    return about


def measure(backend: backends.Backend, quick: bool) -> list[Row]:
    """All rows of one backend; one that raises is a failed row, not the end of the run."""
    rows: list[Row] = []
    for make in (resample, small, points):
        try:
            rows += make(backend, np.random.default_rng(SEED), quick)
        except Exception as error:
            rows.append({"name": make.__name__, "figure": 0.0, "unit": "", "wrong": first_line(error)})
    for row in rows:
        row["name"] = row["name"] if backend.name == "cuda" else f"cpu {row['name']}"
        row["sizes"] = " ".join(f"{key} {value:,}" for key, value in row.setdefault("shapes", {}).items())
        row |= {"backend": backend.name, "seed": SEED}
    return rows


def resample(backend: backends.Backend, rng: Any, quick: bool) -> list[Row]:
    """Linear resampling of many rows into a given output, and a copy of as many bytes, in turn."""
    batch, samples, features = (8, 512, 32) if quick else (256 if backend.name == "cuda" else 64, 2048, 64)
    times = np.cumsum(rng.integers(5_000_000, 15_000_000, (batch, samples)), axis=1)
    goals = np.sort(rng.integers(times[:, :1], times[:, -1:], (batch, samples)), axis=1)
    values = rng.standard_normal((batch, samples, features), np.float32)
    given = [backend.put(array) for array in (values, times, goals)]
    out = backend.put(np.full_like(values, np.nan))
    nbytes = 2 * (values.nbytes + times.nbytes)
    source, target = (backend.put(np.ones(nbytes // 2, np.uint8)) for _ in range(2))
    plain = partial(np.copyto, target, source)
    if backend.name == "cuda":
        plain = partial(target.data.copy_from_device_async, source.data, source.nbytes)
    mine, copy = clock(backend, lambda: rc.resample_trajectories(*given, out=out), plain)
    right = np.clip([np.searchsorted(t, q, side="right") for t, q in zip(times, goals, strict=True)], 1, samples - 1)
    rows = np.arange(batch)[:, None]
    start = times[rows, right - 1]
    weight = ((goals - start) / (times[rows, right] - start))[..., None]
    expected = values[rows, right - 1] * (1 - weight) + values[rows, right] * weight
    error = float(np.abs(backend.get(out) - expected).max() / np.abs(expected).max())
    row = {"op": "resample", "shapes": {"B": batch, "S": samples, "T": samples, "D": features}, "bytes": nbytes}
    row |= {"method": "linear", "dtypes": {"values": "float32", "times": "int64"}, "distribution": "random"}
    row |= {_key(backend): mine, "copy_us": copy, "share": copy["median"] / mine["median"], "error": error}
    rate: Row = {"name": "copy", "op": "copy", "shapes": {"bytes": nbytes}, "bytes": nbytes, _key(backend): copy}
    rate |= {"figure": nbytes / copy["median"] / 1e3, "unit": "GB/s", "wrong": ""}
    wrong = "" if error <= 1e-6 else f"error {error}"
    return [rate, {**row, "name": "resample", "figure": row["share"], "unit": "of the copy's speed", "wrong": wrong}]


def small(backend: backends.Backend, rng: Any, quick: bool) -> list[Row]:
    """The Python call on a few rows, fifty at a time."""
    times = backend.put(np.arange(8 * 100).reshape(8, 100) * 10_000_000)
    values = backend.put(rng.standard_normal((8, 100, 14), np.float32))
    given = (values, times, times[:, ::2].copy())
    equal = np.array_equal(backend.get(rc.resample_trajectories(*given)), backend.get(values)[:, ::2])
    samples = []
    for _ in range(5 if quick else 15):
        samples.append(_wall(lambda: [rc.resample_trajectories(*given) for _ in range(50)]) / 50)
        backend.wait()
    row: Row = {"name": "call", "op": "resample", "method": "linear", "shapes": {"B": 8, "S": 100, "T": 50, "D": 14}}
    row |= {"dtypes": {"values": "float32", "times": "int64"}, "distribution": "clock", "call_us": spread(samples)}
    return [{**row, "figure": statistics.median(samples), "unit": "µs", "wrong": "" if equal else "not the samples"}]


def points(backend: backends.Backend, rng: Any, quick: bool) -> list[Row]:
    """Points counted into a dense grid, and the set of occupied voxels with their means, to its end."""
    cloud = rng.random((100_000 if quick else 1_000_000, 3), np.float32)
    given, out = backend.put(cloud), backend.put(np.full((128,) * 3, -1, np.int32))
    how = {"bounds": (0, 0, 0, 1, 1, 1), "shape": 128}
    (took,) = clock(backend, lambda: rc.voxel_grid(given, out=out, reduce="count", **how))  # type: ignore[arg-type]
    cells = np.ravel_multi_index(np.floor(cloud * np.float32(128)).astype(np.int64).T, (128,) * 3)
    counts = np.bincount(cells, minlength=128**3)
    wrong = "" if np.array_equal(backend.get(out).ravel(), counts) else "wrong counts"
    row: Row = {"name": "count", "op": "voxel_grid", "reduce": "count", "shapes": {"N": len(cloud), "G": 128}}
    row |= {"dtypes": {"points": "float32"}, "distribution": "uniform", "bytes": cloud.nbytes + 4 * 128**3}
    row |= {_key(backend): took, "figure": took["median"], "unit": "µs", "wrong": wrong}
    equal = np.array_equal(backend.get(rc.voxelize(given, voxel_size=1 / 128).counts), counts[counts > 0])
    took = spread([backend.median(lambda: rc.voxelize(given, voxel_size=1 / 128), 1)[1] * 1e6 for _ in range(5)])
    other: Row = {"name": "voxelize", "op": "voxelize", "reduce": "mean", "shapes": {"N": len(cloud)}}
    other |= {"dtypes": row["dtypes"], "distribution": "uniform", "wall_us": took, "figure": took["median"]}
    return [row, {**other, "unit": "µs", "wrong": "" if equal else "wrong counts"}]


def clock(backend: backends.Backend, *calls: Call) -> list[Row]:
    """Microseconds of each call, in turn: of device time as a graph of eight on a GPU, to its end on a CPU."""
    timers = [_graph(backend, call) if backend.name == "cuda" else partial(_wall, call) for call in calls]
    samples = [[timer() for timer in timers] for _ in range(12)]
    return [spread(list(column)) for column in zip(*samples[1:], strict=True)]  # the first warms up


def _key(backend: backends.Backend) -> str:
    return "device_us" if backend.name == "cuda" else "wall_us"


def _wall(call: Call) -> float:
    start = time.perf_counter()
    call()
    return (time.perf_counter() - start) * 1e6


def _graph(backend: backends.Backend, call: Call) -> Callable[[], float]:
    cuda = backend.xp.cuda
    stream, begin, end = cuda.Stream(non_blocking=True), cuda.Event(), cuda.Event()
    cuda.Device().synchronize()
    with stream:
        call()
        stream.synchronize()
        stream.begin_capture()
        for _ in range(8):
            call()
        graph = stream.end_capture()

    def timer() -> float:
        with stream:
            graph.launch()  # keeps the device busy while the host hands it what is timed
            begin.record()
            graph.launch()
            end.record()
            end.synchronize()
        return float(cuda.get_elapsed_time(begin, end)) * 1000 / 8

    return timer


def spread(samples: list[float]) -> Row:
    """As the other results have it."""
    low, middle, high = statistics.quantiles(samples, n=4)
    return {"median": middle, "q1": low, "q3": high, "min": min(samples), "runs": len(samples)}
