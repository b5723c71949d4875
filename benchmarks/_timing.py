"""How everything here is timed, and what goes into a result file beside the figures.

Device time: many calls captured in one CUDA graph, inputs rotated past the L2 cache, events around its replays.
Call time: the Python call as a user makes it, on the host clock, with the device idle enough never to push back.
"""

import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from robocache import interop

L2_BYTES = 60 << 20


def spread(samples: Sequence[float]) -> dict[str, float]:
    """Median and quartiles."""
    low, middle, high = statistics.quantiles(samples, n=4)
    return {"median": middle, "q1": low, "q3": high, "runs": len(samples)}


def call_time(
    function: Callable[[], Any], settle: Callable[[], Any] = lambda: None, batch: int = 50, runs: int = 15
) -> dict[str, float]:
    """Microseconds of one call on the host; ``settle`` waits for the device between batches, outside the clock."""
    for _ in range(batch):
        function()
    settle()
    samples = []
    for _ in range(runs):
        start = time.perf_counter()
        for _ in range(batch):
            function()
        samples.append((time.perf_counter() - start) / batch * 1e6)
        settle()
    return spread(samples)


def wall_time(function: Callable[[], Any], runs: int = 9) -> dict[str, float]:
    """Microseconds of one call on the host that ends when its result is there (CPU work)."""
    function()
    samples = []
    for _ in range(runs):
        start = time.perf_counter()
        function()
        samples.append((time.perf_counter() - start) * 1e6)
    return spread(samples)


def cupy_graph_time(calls: Sequence[Callable[[], Any]], runs: int = 9) -> dict[str, float]:
    """Microseconds of device time a call, from a CuPy graph that runs each of ``calls`` once, in turn."""
    import cupy

    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()  # the inputs were written on another stream, which this one does not wait for
    with stream:
        for call in calls:
            call()
        stream.synchronize()
        stream.begin_capture()
        for call in calls:
            call()
        graph = stream.end_capture()
        graph.launch()
        stream.synchronize()
        return _replay(graph.launch, len(calls), runs)


def torch_graph_time(calls: Sequence[Callable[[], Any]], runs: int = 9) -> dict[str, float]:
    """The same for torch calls, captured by torch."""
    import torch

    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for call in calls:
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = [call() for call in calls]
    graph.replay()
    torch.cuda.synchronize()
    with interop.borrowed_stream(torch.cuda.current_stream().cuda_stream, 0):
        result = _replay(graph.replay, len(calls), runs)
    del kept
    return result


def _replay(launch: Callable[[], Any], calls: int, runs: int) -> dict[str, float]:
    import cupy

    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    samples = []
    for _ in range(runs):
        begin.record()
        launch()
        end.record()
        end.synchronize()
        samples.append(cupy.cuda.get_elapsed_time(begin, end) * 1000 / calls)
    return spread(samples)


def rotation(nbytes: int, least: int = 4, most: int = 64) -> int:
    """Input sets to go round so that none is still in the L2 cache when its turn comes again."""
    return max(least, min(most, 2 * L2_BYTES // max(nbytes, 1) + 1))


def machine() -> dict[str, Any]:
    """What the figures were measured on and with."""
    info: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": os.environ.get("ROBOCACHE_COMMIT") or _git(),
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
        "cpu": _cpu_name(),
        "packages": {},
    }
    for name in ("numpy", "numba", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x", "torch", "jax", "small-gicp"):
        try:
            info["packages"][name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    try:
        import cupy

        properties = cupy.cuda.runtime.getDeviceProperties(0)
        info["gpu"] = properties["name"].decode()
        info["driver"] = cupy.cuda.runtime.driverGetVersion()
        info["runtime"] = cupy.cuda.runtime.runtimeGetVersion()
    except (ImportError, RuntimeError) as error:  # CuPy is absent, or finds no driver
        info["gpu"] = f"none ({type(error).__name__})"
    return info


def write(path: str | Path, rows: list[dict[str, Any]], **more: Any) -> None:
    """Write a result file."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(json.dumps({"machine": machine(), **more, "rows": rows}, indent=1) + "\n")


def _git() -> str:
    try:
        return subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
