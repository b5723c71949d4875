"""Steps of a fixed length instead of a policy: each reads every array of its batch, then holds the GPU for so long."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

LENGTHS = (2, 5, 10, 20, 50, 100)  # ms
LOST = 0.05
HOLD = r"""
extern "C" __global__ void hold(unsigned long long ns) {
    unsigned long long start, now;
    asm volatile("mov.u64 %0, %globaltimer;" : "=l"(start));
    do asm volatile("mov.u64 %0, %globaltimer;" : "=l"(now)); while (now - start < ns);
}"""


def stepper() -> Callable[[Any, float], None]:
    """A step of so many milliseconds that reads a batch, on CuPy's current stream; without a GPU, only the reading."""
    try:
        import cupy

        blocks = cupy.cuda.Device().attributes["MultiProcessorCount"]
        hold = cupy.RawKernel(HOLD, "hold")
    except (ImportError, RuntimeError):
        hold = None

    def step(batch: Any, ms: float) -> None:
        for array in batch.values():
            array.max()
        if hold is not None:
            hold((blocks,), (128,), (np.uint64(ms * 1e6),))

    return step


def sweep(ahead: Iterator[Any], seconds: float, wait: Callable[[], None]) -> dict[str, Any]:
    """For each length: what share of the time is lost with the loader's batches, and the least without such a loss."""
    step, found = stepper(), {}
    still = dict(next(ahead).items())
    for ms in LENGTHS:
        steps, took = max(30, int(seconds / ms * 1e3 / 2)), {}
        for kind in ("synthetic", "real"):
            for _ in range(3):
                step(still if kind == "synthetic" else next(ahead), ms)
            wait()
            start = time.perf_counter()
            for _ in range(steps):
                step(still if kind == "synthetic" else next(ahead), ms)
            wait()
            took[kind] = (time.perf_counter() - start) * 1e3 / steps
        found[str(ms)] = took | {"stall": round(1 - took["synthetic"] / took["real"], 4), "steps": steps}
    good = [ms for ms in LENGTHS if all(found[str(m)]["stall"] < LOST for m in LENGTHS if m >= ms)]
    return {"steps_ms": found, "smallest_ms": min(good, default=None)}
