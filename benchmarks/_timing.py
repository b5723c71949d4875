"""How everything here is timed. ``benchmarks/README.md`` says what the figures mean.

Device time: many calls captured in one CUDA graph, inputs rotated past the L2 cache, events around its replays, outputs
filled with NaN before. Call time: the Python call as a user makes it, on the host clock, with the device idle enough
never to push back. Wall time: one call to its end.
"""

import contextlib
import gc
import math
import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from robocache import interop

from . import _results

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # peers share the card

L2_BYTES = 60 << 20
LARGEST = 6 << 30  # of all copies of one input together
LONG_US = 4000.0
Call = Callable[[], Any]
Spread = dict[str, float]
machine = _results.machine  # for callers that time nothing


def spread(samples: Sequence[float]) -> Spread:
    """Median, quartiles and the least."""
    low, middle, high = statistics.quantiles(samples, n=4)
    return {"median": middle, "q1": low, "q3": high, "min": min(samples), "runs": len(samples)}


def call_time(function: Call, settle: Call = lambda: None, batch: int = 50, runs: int = 15) -> Spread:
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


def wall_time(function: Call, settle: Call = lambda: None, runs: int = 9) -> Spread:
    """Microseconds of one call from an idle device to the end of its work."""
    return wall_times({"": function}, settle, runs)[""]


def wall_times(functions: dict[str, Call], settle: Call = lambda: None, runs: int = 9) -> dict[str, Spread]:
    """The same for several, in turn, so that a noisy moment meets all of them; small ones many times a sample."""
    repeats, samples = {}, {name: [] for name in functions}
    for name, function in functions.items():
        function()
        settle()
        start = time.perf_counter()
        function()
        settle()
        repeats[name] = max(1, min(50, int(1e-3 / (time.perf_counter() - start + 1e-9))))
    for _ in range(runs):
        for name, function in functions.items():
            start = time.perf_counter()
            for _ in range(repeats[name]):
                function()
                settle()
            samples[name].append((time.perf_counter() - start) / repeats[name] * 1e6)
    return {name: spread(values) for name, values in samples.items()}


def poison(array: Any) -> None:
    """All bits set: NaN, -1 and no bool. What a timed call leaves unwritten is then seen."""
    if isinstance(array, np.ndarray):
        array.reshape(-1).view(np.uint8)[...] = 255
    elif array.nbytes:
        array.data.memset_async(255, array.nbytes)


def device_time(
    calls: Sequence[Call], outputs: Callable[[Any], Sequence[Any]] = lambda result: [result], least: int = 8
) -> tuple[Spread, list[Any]]:
    """Microseconds of device time a call, from a CuPy graph that runs ``calls`` in turn; what they returned.

    ``outputs`` names the arrays of a result that the call must write. They are poisoned before the timed replays. The
    graph holds ``least`` calls or more, so that what a launch of the graph costs does not show.
    """
    import cupy

    calls = list(calls) * -(-least // len(calls))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()  # the inputs were written on another stream, which this one does not wait for
    with stream:
        for call in calls:
            call()
        stream.synchronize()
        stream.begin_capture()
        try:
            results = [call() for call in calls]
        finally:
            graph = stream.end_capture()
        for array in (array for result in results for array in outputs(result)):
            poison(array)
        took = _replay(graph.launch, len(calls))
        stream.synchronize()
    return took, results


def torch_graph_time(calls: Sequence[Call], least: int = 8) -> tuple[Spread, Any]:
    """The same for torch calls, captured by torch, and what the first returned. Nothing is poisoned: it is a peer."""
    import torch

    calls = list(calls) * -(-least // len(calls))
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        for call in calls:
            call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = [call() for call in calls]
    with interop.borrowed_stream(torch.cuda.current_stream().cuda_stream, 0):
        took = _replay(graph.replay, len(calls))
    first = results[0].clone()  # its memory is the graph's
    torch.cuda.synchronize()
    return took, first


def event_time(calls: Sequence[Call], torch_stream: bool = False, runs: int = 9) -> Spread:
    """Device time by events around single calls, for what cannot be captured; host gaps inside a call count."""
    import cupy

    pointer = 0
    if torch_stream:
        import torch

        pointer = torch.cuda.current_stream().cuda_stream
    for call in calls[:2]:
        call()
    with interop.borrowed_stream(pointer, 0) if torch_stream else cupy.cuda.Stream.null:
        samples = [_between(calls[i % len(calls)]) for i in range(runs)]
    return spread(samples)


def _between(call: Call, before: Call = lambda: None) -> float:
    """Microseconds from event to event; ``before`` keeps the device busy while the host hands it the rest."""
    import cupy

    begin, end = cupy.cuda.Event(), cupy.cuda.Event()
    cupy.cuda.Device().synchronize()
    before()
    begin.record()
    call()
    end.record()
    end.synchronize()
    return float(cupy.cuda.get_elapsed_time(begin, end)) * 1000


def _replay(launch: Call, calls: int) -> Spread:
    launch()
    if _between(launch) > LONG_US:  # the launch itself is nothing beside it
        return spread([_between(launch) / calls for _ in range(5)])
    return spread([_between(launch, launch) / calls for _ in range(11)])


def rotation(nbytes: int, least: int = 3, most: int = 64) -> int:
    """Input sets to go round so that none is still in the L2 cache when its turn comes again."""
    return max(least if nbytes * least <= LARGEST else 1, min(most, 2 * L2_BYTES // max(nbytes, 1) + 1))


WHOLE = 64 << 10


def copy_time(nbytes: int) -> Spread:
    """Device time of a copy that moves ``nbytes``: half of them read, half written.

    The driver copies sizes that are no multiple of 64 KiB a third slower. No operation should look good beside that, so
    large copies move a little more, and their time is scaled back.
    """
    import cupy

    half = max(nbytes // 2, 1)
    moved = half if half < 4 << 20 else -(-half // WHOLE) * WHOLE
    pairs = [(cupy.empty(moved, np.uint8), cupy.empty(moved, np.uint8)) for _ in range(rotation(nbytes))]

    def copier(source: Any, target: Any) -> Call:
        def call() -> None:
            stream = cupy.cuda.get_current_stream().ptr
            cupy.cuda.runtime.memcpyAsync(target.data.ptr, source.data.ptr, moved, 3, stream)

        return call

    took = device_time([copier(*pair) for pair in pairs], lambda result: [])[0]
    return {name: value if name == "runs" else value * half / moved for name, value in took.items()}


class HostCopy:
    """memcpy on the CPU that moves ``nbytes`` in all, split over the threads that RoboCache may use."""

    def __init__(self, nbytes: int) -> None:
        half = max(nbytes // 2, 1)
        self.source, self.target = np.ones(half, np.uint8), np.zeros(half, np.uint8)
        self.threads = host_threads()
        edges = [half * i // self.threads for i in range(self.threads + 1)]
        self.parts = list(zip(edges[:-1], edges[1:], strict=True))
        self.pool = ThreadPoolExecutor(self.threads)

    def alone(self) -> None:
        """One thread."""
        np.copyto(self.target, self.source)

    def together(self) -> None:
        """All threads."""
        list(self.pool.map(lambda part: np.copyto(self.target[slice(*part)], self.source[slice(*part)]), self.parts))


def host_threads() -> int:
    """Threads that RoboCache takes at most on this machine."""
    wish = os.environ.get("ROBOCACHE_NUM_THREADS")
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return int(wish) if wish else min(count, 16)


def free() -> None:
    """Give the pools' memory back, so that the next shape finds a card as empty as the first."""
    gc.collect()
    if "cupy" in sys.modules:
        with contextlib.suppress(RuntimeError):  # CuPy without a device
            sys.modules["cupy"].get_default_memory_pool().free_all_blocks()
    if "torch" in sys.modules and sys.modules["torch"].cuda.is_available():
        sys.modules["torch"].cuda.empty_cache()


def ratio(top: Spread | None, bottom: Spread | None) -> float | None:
    """Median over median."""
    return None if not top or not bottom else top["median"] / bottom["median"]


def product(numbers: Sequence[int]) -> int:
    """Elements of a shape."""
    return math.prod(int(n) for n in numbers)
