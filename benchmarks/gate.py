"""The performance gate: what must not get worse, said in ratios and counts that hold on noisy machines.

``python3 -m benchmarks.gate`` checks; with ``--update`` it records today's counts in ``gate.json``. No limit is a time.
"""

import argparse
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

import robocache as rc

from . import _results, scenes

RECORD = Path(__file__).with_name("gate.json")
TRIES = 4  # noise only ever adds time, so one good try is proof
# Most that a ratio of two times, or of memory to output, may be; well above what is seen on a busy machine.
LIMITS = {
    "linear over memcpy, one thread": 4.0,
    "previous over memcpy, one thread": 4.0,
    "resample, twice the targets": 2.7,
    "resample, twice the samples": 2.7,
    "resample, twice the features": 2.7,
    "count, twice the points": 2.7,
    "voxelize, twice the points": 2.9,
    "scratch memory of a call with out=, over its output": 0.1,
}
COUNT_SLACK = 1.15  # on Python calls, which other versions of NumPy shift a little
CODE_SLACK = 1.10  # on machine instructions with the compiler that recorded them, and registers
OTHER_VERSION = 1.5  # on either, with another Python or compiler than that of the record


@dataclass(frozen=True)
class Verdict:
    """One thing looked at; ``limit`` is the most it may be."""

    name: str
    value: float | None
    limit: float | None
    why: str = ""

    @property
    def ok(self) -> bool:
        """Within the limit, or not looked at for the reason given."""
        return self.value is None or self.limit is None or self.value <= self.limit

    def __str__(self) -> str:
        if self.value is None or self.limit is None:
            return f"skipped  {self.name}: {self.why}"
        return f"{'ok' if self.ok else 'FAILED':<8} {self.name}: {self.value:.4g}, at most {self.limit:.4g}"


def ratio(top: Callable[[], Any], bottom: Callable[[], Any], runs: int = 7) -> float:
    """Least time over least time, taken in turn."""
    least = [float("inf"), float("inf")]
    top(), bottom()
    for _ in range(runs):
        for k, call in enumerate((top, bottom)):
            start = time.perf_counter()
            call()
            least[k] = min(least[k], time.perf_counter() - start)
    return least[0] / least[1]


def stream(batch: int, samples: int, targets: int, features: int) -> tuple[Any, ...]:
    """Inputs and output of a resampling."""
    times = scenes.stamps(batch, samples, 1)
    goals = scenes.targets(times, targets, "clock", 2)
    return (
        scenes.noise(np, (batch, samples, features), 3),
        times,
        goals,
        np.empty((batch, targets, features), np.float32),
    )


def aligned(given: tuple[Any, ...], method: str = "linear") -> Callable[[], Any]:
    """The call on them."""
    return lambda: rc.resample_trajectories(*given[:3], method=method, out=given[3])


def copied(given: tuple[Any, ...]) -> Callable[[], Any]:
    """A copy that moves as many bytes."""
    half = sum(array.nbytes for array in given) // 2
    source, target = np.ones(half, np.uint8), np.zeros(half, np.uint8)
    return lambda: np.copyto(target, source)


def counted(points: np.ndarray) -> Callable[[], Any]:
    """A dense count."""
    out = np.empty((64, 64, 64), np.int32)
    return lambda: rc.voxel_grid(points, bounds=scenes.BOUNDS["lidar"], shape=64, reduce="count", out=out)


def grouped(points: np.ndarray) -> Callable[[], Any]:
    """A set of voxels."""
    return lambda: rc.voxelize(points, voxel_size=0.5)


def pairs() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """What is set against what."""
    base, large = stream(16, 1000, 1000, 32), stream(32, 2000, 2000, 64)
    points = scenes.cloud(np, "lidar", 400_000, 4)
    return {
        "linear over memcpy, one thread": (aligned(large), copied(large)),
        "previous over memcpy, one thread": (aligned(large, "previous"), copied(large)),
        "resample, twice the targets": (aligned(stream(16, 1000, 2000, 32)), aligned(base)),
        "resample, twice the samples": (aligned(stream(16, 2000, 1000, 32)), aligned(base)),
        "resample, twice the features": (aligned(stream(16, 1000, 1000, 64)), aligned(base)),
        "count, twice the points": (counted(points), counted(points[:200_000])),
        "voxelize, twice the points": (grouped(points), grouped(points[:200_000])),
    }


def timing() -> list[Verdict]:
    """Every ratio of times, on one thread."""
    before = os.environ.get("ROBOCACHE_NUM_THREADS")
    os.environ["ROBOCACHE_NUM_THREADS"] = "1"
    try:
        return [verdict(name, *pair) for name, pair in pairs().items()]
    finally:
        os.environ.pop("ROBOCACHE_NUM_THREADS")
        if before is not None:
            os.environ["ROBOCACHE_NUM_THREADS"] = before


def verdict(name: str, top: Callable[[], Any], bottom: Callable[[], Any]) -> Verdict:
    """The best of several tries."""
    least = float("inf")
    for _ in range(TRIES):
        least = min(least, ratio(top, bottom))
        if least <= LIMITS[name]:
            break
    return Verdict(name, least, LIMITS[name])


def memory() -> Verdict:
    """Most memory a call with ``out=`` holds beside it."""
    given = stream(16, 1000, 1000, 64)
    call = aligned(given)
    call()
    tracemalloc.start()
    call()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    name = "scratch memory of a call with out=, over its output"
    return Verdict(name, most / given[3].nbytes, LIMITS[name])


def small_calls() -> dict[str, Callable[[], Any]]:
    """Calls whose cost is the host's."""
    given, points = stream(8, 100, 50, 14), scenes.cloud(np, "lidar", 1000, 5)
    streams = {f"s{k}": rc.Stream(*stream(8, 100, 50, 4)[:2]) for k in range(3)}
    clock = given[2][0]
    return {
        "resample": lambda: rc.resample_trajectories(*given[:3]),
        "resample with out=": aligned(given),
        "fuse 3 streams": lambda: rc.fuse_multimodal(streams, clock),
        "a plan with out=": partial(rc.Plan(*given[1:3]).apply, given[0], out=given[3]),
        "voxel_grid": counted(points),
        "voxelize": grouped(points),
    }


def python_calls(call: Callable[[], Any]) -> int:
    """Functions that a repeated call enters in this thread, in Python and in C: its host cost, without a clock."""
    for _ in range(3):
        call()
    entered = 0

    def watch(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal entered
        entered += event in ("call", "c_call")

    sys.setprofile(watch)
    try:
        call()
    finally:
        sys.setprofile(None)
    return entered


def python() -> str:
    """Version that decides how many calls a line of source makes."""
    return f"{sys.version_info.major}.{sys.version_info.minor}"


def launches() -> dict[str, int] | str:
    """Kernels that each repeated small call launches on a GPU, or why that is not known here."""
    try:
        import cupy

        cupy.zeros(1)
        from robocache.cuda import _launch, _module
    except (ImportError, RuntimeError) as error:
        return f"no usable GPU ({type(error).__name__})"
    found: dict[str, int] = {}
    real, driver, launched = _module.function, _launch.driver, [0]

    class Counting:
        """A kernel that counts its launches."""

        def __init__(self, kernel: Any) -> None:
            self.kernel = kernel

        def __call__(self, *args: Any, **more: Any) -> Any:
            launched[0] += 1
            return self.kernel(*args, **more)

        def __getattr__(self, name: str) -> Any:
            return getattr(self.kernel, name)

    class Driver:
        """What repeated launches go to, which counts them."""

        def launchKernel(self, *args: Any) -> None:
            launched[0] += 1
            driver.launchKernel(*args)

        def launchCooperativeKernel(self, *args: Any) -> None:
            launched[0] += 1
            driver.launchCooperativeKernel(*args)

    def counting(*key: Any) -> Any:
        return Counting(real(*key))

    modules = [m for name, m in sys.modules.items() if name.startswith("robocache.cuda.") and hasattr(m, "function")]
    on_card = [cupy.asarray(array) for array in stream(8, 100, 50, 13)]  # shapes no call has seen: no replay knows them
    streams = {f"s{k}": rc.Stream(*on_card[:2]) for k in range(3)}
    for module in modules:
        module.function = counting
    _launch.driver = Driver()
    try:
        for name, call in {
            "resample": lambda: rc.resample_trajectories(*on_card[:3]),
            "fuse 3 streams": lambda: rc.fuse_multimodal(streams, on_card[2]),
        }.items():
            launched[0] = 0
            call()
            found[name] = launched[0]
    finally:
        _launch.driver = driver
        for module in modules:
            module.function = real
    return found


def check(record: dict[str, Any]) -> list[Verdict]:
    """Every verdict."""
    from . import gate_kernels

    found = [*timing(), memory()]
    slack = COUNT_SLACK if record["python"] == python() else OTHER_VERSION
    for name, call in small_calls().items():
        known = record["python_calls"].get(name)
        most = known and known * slack
        found.append(Verdict(f"Python calls of {name}", python_calls(call), most, "not recorded: --update"))
    counts = launches()
    for name, most in record["launches"].items():
        value = None if isinstance(counts, str) else counts[name]
        found.append(Verdict(f"launches of {name}", value, most, str(counts)))
    return found + kernel_verdicts(record["kernels"], gate_kernels.measure())


def kernel_verdicts(known: dict[str, Any], now: dict[str, Any] | str) -> list[Verdict]:
    """Instructions and registers of each kernel against the record."""
    if isinstance(now, str):
        return [Verdict("kernels", None, None, now)]
    slack = CODE_SLACK if now["compiler"] == known["compiler"] else OTHER_VERSION
    found = []
    for kernel, figures in now["code"].items():
        for what, value in figures.items():
            most = known["code"].get(kernel, {}).get(what)
            found.append(Verdict(f"{what} of {kernel}", value, most and most * slack, "not recorded: --update"))
    gone = sorted(set(known["code"]) - set(now["code"]))
    return found + [Verdict(f"code of {kernel}", None, None, "is gone: --update") for kernel in gone]


def update() -> None:
    """Record today's counts; ratios have fixed limits."""
    from . import gate_kernels

    kernels = gate_kernels.measure()
    if isinstance(kernels, str):
        raise SystemExit(f"cannot record the kernels: {kernels}")
    record = {
        "python": python(),
        "python_calls": {name: python_calls(call) for name, call in small_calls().items()},
        "launches": {"resample": 1, "fuse 3 streams": 1},
        "kernels": kernels,
    }
    RECORD.write_text(json.dumps(record, indent=1) + "\n", "utf-8")


def main() -> int:
    """Command line; 1 where anything got worse."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true")
    if parser.parse_args().update:
        update()
        return 0
    found = check(json.loads(RECORD.read_text("utf-8")))
    for one in found:
        _results.say(str(one))
    failed = [one.name for one in found if not one.ok]
    _results.say(f"{len(found)} checked, {len(failed)} failed" + (f": {'; '.join(failed)}" if failed else ""))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main())
