"""What a training run used: wall time of steps, waits, GPU utilisation, cycles of its multiprocessors, host CPU."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

EVERY = 0.1  # seconds between samples


class Meter:
    """Samples a GPU while a block runs, through NVML: its utilisation, and the cycles that GPM counts (Hopper on)."""

    def __init__(self, device: int = 0) -> None:
        self.device, self.utilization, self.gpm = device, [], {}
        self._stop = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Meter"]:
        pynvml, handle = _opened(self.device)
        before, clock = os.times(), time.perf_counter()
        first = self._sample(pynvml, handle)
        thread = threading.Thread(target=self._watch, args=(pynvml, handle), daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._stop.set()
            thread.join()
            after, wall = os.times(), time.perf_counter() - clock
            spent = sum(after[:4]) - sum(before[:4])
            self.wall, self.cpu = wall, spent / wall / len(os.sched_getaffinity(0))
            self.memory = 0
            if pynvml is not None:
                self._cycles(pynvml, handle, first)
                self.memory = pynvml.nvmlDeviceGetMemoryInfo(handle).used

    def _watch(self, pynvml: Any, handle: Any) -> None:
        while pynvml is not None and not self._stop.wait(EVERY):
            self.utilization.append(pynvml.nvmlDeviceGetUtilizationRates(handle).gpu)

    @staticmethod
    def _sample(pynvml: Any, handle: Any) -> Any:
        if pynvml is None:
            return None
        with suppress(pynvml.NVMLError, AttributeError):
            sample = pynvml.nvmlGpmSampleAlloc()
            pynvml.nvmlGpmSampleGet(handle, sample)
            return sample
        return None

    def _cycles(self, pynvml: Any, handle: Any, first: Any) -> None:
        """Averages between the two ends of the block."""
        last = self._sample(pynvml, handle)
        if first is None or last is None:
            self.gpm = {"absent": "this card or driver has no GPM"}
            return
        wanted = {"graphics": 1, "sm": 2, "sm_occupancy": 3, "dram": 10}  # NVML_GPM_METRIC_*
        try:
            asked = pynvml.c_nvmlGpmMetricsGet_t()
            asked.version, asked.numMetrics = 1, len(wanted)
            asked.sample1, asked.sample2 = first, last
            for place, number in enumerate(wanted.values()):
                asked.metrics[place].metricId = number
            pynvml.nvmlGpmMetricsGet(asked)
            self.gpm = {name: round(asked.metrics[place].value, 1) for place, name in enumerate(wanted)}
        except (pynvml.NVMLError, AttributeError) as error:
            self.gpm = {"absent": str(error)}

    def told(self) -> dict[str, Any]:
        """What a result says of it; the first and last samples, which reach out of the block, are left out."""
        inside = self.utilization[2:-1] or self.utilization
        return {
            "nvml_utilization": round(float(np.mean(inside)), 1) if inside else None,
            "gpm": self.gpm, "host_cpu_share": round(self.cpu, 3), "device_bytes": int(self.memory),
            "seconds": round(self.wall, 2),
        }  # fmt: skip


def _opened(device: int) -> tuple[Any, Any]:
    """NVML and the handle of a GPU, or None for both where there is none."""
    try:
        import pynvml

        pynvml.nvmlInit()
    except Exception:  # noqa: BLE001 - no package, no driver
        return None, None
    return pynvml, pynvml.nvmlDeviceGetHandleByIndex(device)


def forget(folder: Path) -> int:
    """Take a folder's files out of the page cache; how many bytes they have."""
    total = 0
    for path in folder.rglob("*"):
        if path.is_file():
            with open(path, "rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            total += path.stat().st_size
    return total


def cached_share(folder: Path) -> float:
    """Share of a folder's pages that are in memory, by ``mincore``: whether a cold run was cold."""
    import ctypes
    import mmap

    libc = ctypes.CDLL(None, use_errno=True)
    page, there, pages = mmap.PAGESIZE, 0, 0
    for path in folder.rglob("*"):
        size = path.stat().st_size if path.is_file() else 0
        if not size:
            continue
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            seen = np.zeros(-(-size // page), np.uint8)
            address = np.frombuffer(mapped, np.uint8).ctypes.data
            if libc.mincore(ctypes.c_void_p(address), ctypes.c_size_t(size), seen.ctypes.data_as(ctypes.c_void_p)):
                raise OSError(ctypes.get_errno(), "mincore")
            there, pages = there + int((seen & 1).sum()), pages + len(seen)
    return there / max(pages, 1)


def spread(values: Any) -> dict[str, float]:
    """Median and quartiles, and the slow end."""
    found = np.percentile(np.asarray(values, float), [25, 50, 75, 95])
    return {"q1": float(found[0]), "median": float(found[1]), "q3": float(found[2]), "p95": float(found[3])}
