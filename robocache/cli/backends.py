"""Which backends this machine has, and arrays on them."""

import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core.errors import BackendError
from .report import first_line


@dataclass(frozen=True)
class Backend:
    """A place to run on: its array module and what to call it in a table."""

    name: str
    xp: Any
    label: str

    def put(self, array: Any) -> Any:
        """NumPy array on this backend; None stays None."""
        return None if array is None else self.xp.asarray(array)

    def get(self, array: Any) -> np.ndarray:
        """Array of this backend as NumPy. # synchronizes"""
        return np.asarray(array.get() if self.name == "cuda" else array)

    def wait(self) -> None:
        """Until the device has done all it was given. # synchronizes"""
        if self.name == "cuda":
            self.xp.cuda.get_current_stream().synchronize()

    def median(self, work: Callable[[], Any], repeats: int = 5) -> tuple[Any, float]:
        """Result and median wall time of ``work`` after one warm call, which compiles."""
        result = work()
        self.wait()
        took = []
        for _ in range(repeats):
            start = time.perf_counter()
            result = work()
            self.wait()
            took.append(time.perf_counter() - start)
        return result, statistics.median(took)


def cpu() -> Backend:
    """NumPy arrays, Numba kernels."""
    return Backend("cpu", np, "CPU (Numba)")


def cuda() -> tuple[Backend | None, str]:
    """The GPU, or None and why there is none."""
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        if getattr(error, "name", None) == "cupy":
            return None, "CuPy is not installed"
        return None, f"CuPy cannot be imported ({first_line(error)})"
    try:
        count = cupy.cuda.runtime.getDeviceCount()
        if count == 0:
            return None, "CuPy finds no CUDA device"
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.runtime.getDevice())["name"].decode()
    except RuntimeError as error:  # CUDARuntimeError: no driver, or one too old
        return None, f"CuPy cannot use a CUDA device ({first_line(error)})"
    return Backend("cuda", cupy, f"GPU ({name})"), ""


def pick(wish: str) -> tuple[Backend, str]:
    """The backend asked for; ``auto`` takes the GPU if one can be used. Second: why not the GPU, if it was wanted."""
    if wish == "cpu":
        return cpu(), ""
    gpu, why = cuda()
    if gpu is not None:
        return gpu, ""
    if wish == "cuda":
        raise BackendError(f"{why}. Run `robocache doctor` to see what to install")
    return cpu(), why
