"""The GPU half of ``robocache doctor``: driver, CuPy, compiler, kernel cache, and a kernel that really runs."""

import ctypes
import importlib
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import robocache as rc

from .report import FAIL, OK, WARN, Finding, first_line

# extra of this package -> CuPy package, lowest CUDA version that the driver must support, lowest device
EXTRAS = {
    "cuda13": ("cupy-cuda13x", (13, 0), (7, 5)),
    "cuda12": ("cupy-cuda12x", (12, 0), (5, 0)),
    "cuda11": ("cupy-cuda11x", (11, 2), (3, 5)),
}
PIN = ">=14.0.1,!=14.1.0"
KERNEL = 'extern "C" __global__ void probe(int* out) { out[threadIdx.x] = 3 * threadIdx.x + 1; }'


@dataclass(frozen=True)
class Driver:
    """What the driver says of itself: newest CUDA version it runs, its own version, device names, lowest capability."""

    cuda: tuple[int, int]
    version: str = ""
    devices: tuple[str, ...] = ()
    capability: tuple[int, int] = (0, 0)
    error: int = 0


def driver() -> Driver | None:
    """The NVIDIA driver of this machine, asked directly and through nvidia-smi; None if there is none."""
    name = "nvcuda.dll" if os.name == "nt" else "libcuda.so.1"
    try:
        library = ctypes.CDLL(name)
    except OSError:
        return None
    number = ctypes.c_int(0)
    library.cuDriverGetVersion(ctypes.byref(number))
    code = int(library.cuInit(0))
    rows = _smi()
    return Driver(
        (number.value // 1000, number.value % 1000 // 10),
        rows[0][1] if rows else "",
        tuple(row[0] for row in rows),
        min((_pair(row[2]) for row in rows), default=(0, 0)),
        code,
    )


def _smi() -> list[list[str]]:
    """Name, driver version and compute capability of each device; empty where nvidia-smi is missing or fails."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name,driver_version,compute_cap", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = [[cell.strip() for cell in line.split(",")] for line in answer.splitlines()]
    return [row for row in rows if len(row) == 3]


def _pair(text: str) -> tuple[int, int]:
    found = re.match(r"(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def describe(found: Driver | None) -> Finding:
    """The driver as a finding."""
    if found is None:
        return Finding("nvidia driver", OK, "none: arrays on the CPU only")
    text = f"runs CUDA up to {found.cuda[0]}.{found.cuda[1]}"
    text += "".join(f", {part}" for part in (found.version, *found.devices) if part)
    if found.error == 100:  # CUDA_ERROR_NO_DEVICE
        hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
        return Finding("nvidia driver", OK, f"{text}, but no device" + ("" if hidden is None else " is visible"))
    if found.error:
        remedy = "restart the machine if the driver was updated; in a container, start it with access to the GPU"
        return Finding("nvidia driver", FAIL, f"{text}, but cuInit returns {found.error}", remedy)
    return Finding("nvidia driver", OK, text)


def extra(found: Driver) -> str | None:
    """The extra of this package that fits the driver and the oldest device; None if the driver is too old for all."""
    for name, (_, cuda, capability) in EXTRAS.items():
        if found.cuda >= cuda and (found.capability == (0, 0) or found.capability >= capability):
            return name
    return None


def runs_on(package: str, found: Driver) -> bool:
    """Whether the driver is new enough for a CuPy package; one built from source is taken to be."""
    return all(found.cuda >= cuda for name, cuda, _ in EXTRAS.values() if name == package)


def unsuited(package: str, version: str) -> str:
    """Why a CuPy version is not one that RoboCache supports, or nothing."""
    numbers = tuple(int(part) for part in re.findall(r"\d+", version)[:3])
    if package == "cupy-cuda11x":  # CuPy 14 has no CUDA 11 build
        return "" if numbers >= (13, 6) else "older than 13.6"
    if numbers < (14, 0, 1):
        return "older than 14.0.1"
    return "14.1.0 is left out on purpose" if numbers == (14, 1, 0) else ""


def examine(found: Driver | None) -> list[Finding]:
    """CuPy from import to a kernel that ran. A fault counts as broken only where there is a GPU to use."""
    level = FAIL if found is not None and found.error == 0 else WARN
    try:
        cupy = importlib.import_module("cupy")
    except ImportError as error:
        reason = first_line(error.__cause__ or error)
        return [Finding("cupy import", level, reason, "reinstall the CuPy package of the line above")]
    findings = [_nvrtc(cupy, level), _headers(), _kernel_cache()]
    try:
        count = int(cupy.cuda.runtime.getDeviceCount())
    except RuntimeError as error:
        if level == WARN:
            return [*findings, Finding("gpu", OK, "none that CuPy can use: arrays on the CPU only")]
        return [*findings, Finding("gpu", FAIL, first_line(error), "compare the lines on driver and cupy above")]
    for index in range(count):
        with cupy.cuda.Device(index):
            findings += [_device(cupy, index), _probe(cupy, index), _operation(cupy, index)]
    return findings


def _nvrtc(cupy: Any, level: str) -> Finding:
    try:
        major, minor = cupy.cuda.nvrtc.getVersion()
    except (ImportError, RuntimeError, OSError) as error:
        remedy = "python3 -m pip install nvidia-cuda-nvrtc-cu12 (CUDA 13: nvidia-cuda-nvrtc)"
        return Finding("nvrtc", level, f"cannot be loaded: {first_line(error)}", remedy)
    return Finding("nvrtc", OK, f"{major}.{minor}")


def _headers() -> Finding:
    """CUDA headers, found the way CuPy finds them. RoboCache's kernels include none; CuPy's own routines do."""
    try:
        pathfinder = importlib.import_module("cuda.pathfinder")
        where = pathfinder.find_nvidia_header_directory("cudart")
    except (ImportError, RuntimeError, AttributeError):
        where = None
    where = where or os.environ.get("CUDA_PATH")
    if where:
        return Finding("cuda headers", OK, str(where))
    remedy = "python3 -m pip install nvidia-cuda-runtime-cu12 (CUDA 13: nvidia-cuda-runtime)"
    return Finding("cuda headers", WARN, "not found; RoboCache does not need them, parts of CuPy do", remedy)


def _kernel_cache() -> Finding:
    """The folder where CuPy keeps compiled kernels: whoever can write there can run code as this user."""
    topic = "kernel cache"
    if os.environ.get("CUPY_CACHE_IN_MEMORY", "0") not in ("", "0"):
        return Finding(topic, WARN, "in memory only: every process compiles again", "unset CUPY_CACHE_IN_MEMORY")
    folder = Path(os.environ.get("CUPY_CACHE_DIR") or Path.home() / ".cupy" / "kernel_cache")
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    if not os.access(nearest, os.W_OK):
        remedy = "set CUPY_CACHE_DIR to a folder that this user can write"
        return Finding(topic, WARN, f"{folder} cannot be written: every process compiles again", remedy)
    if nearest != folder:
        return Finding(topic, OK, f"{folder}, made on first use")
    if os.name != "nt" and folder.stat().st_mode & 0o022:
        return Finding(topic, WARN, f"{folder} can be written by other users", f"chmod go-w {folder}")
    files = [path for path in folder.iterdir() if path.is_file()]
    size = sum(path.stat().st_size for path in files) / 1e6
    return Finding(topic, OK, f"{folder}, {len(files)} files, {size:.1f} MB")


def _device(cupy: Any, index: int) -> Finding:
    facts = cupy.cuda.runtime.getDeviceProperties(index)
    free, total = cupy.cuda.runtime.memGetInfo()
    capability = facts["major"] * 10 + facts["minor"]
    text = f"{facts['name'].decode()}, compute capability {facts['major']}.{facts['minor']}, "
    text += f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    supported = getattr(cupy.cuda.nvrtc, "getSupportedArchs", None)
    architectures = supported() if supported else ()
    if architectures and capability not in architectures:
        remedy = "python3 -m pip install --upgrade nvidia-cuda-nvrtc-cu12 (CUDA 13: nvidia-cuda-nvrtc)"
        return Finding(f"gpu {index}", WARN, f"{text}; NVRTC here cannot target sm_{capability}", remedy)
    return Finding(f"gpu {index}", OK, text)


def _probe(cupy: Any, index: int) -> Finding:
    """A two-line kernel: tells a broken CUDA install from a fault of RoboCache."""
    topic = f"gpu {index} kernel"
    try:
        out = cupy.zeros(32, cupy.int32)
        cupy.RawKernel(KERNEL, "probe", options=("-std=c++17",))((1,), (32,), (out,))
        right = bool((out.get() == 3 * np.arange(32) + 1).all())
    except Exception as error:  # any fault of driver, compiler or cache is a finding, not a crash
        return Finding(
            topic, FAIL, f"does not compile or run: {first_line(error)}", "compare driver, cupy and nvrtc above"
        )
    return Finding(topic, OK, "compiles and runs") if right else Finding(topic, FAIL, "runs but answers wrongly")


def _operation(cupy: Any, index: int) -> Finding:
    """One small call of RoboCache on the device."""
    topic = f"gpu {index} robocache"
    try:
        values, times = cupy.asarray([[0.0], [2.0]]), cupy.asarray([0, 10])
        out = rc.resample_trajectories(values, times, cupy.asarray([5]), check="strict")
        right = float(out[0, 0]) == 1.0
    except Exception as error:  # as above
        return Finding(
            topic, FAIL, f"resample_trajectories fails: {first_line(error)}", "report this with the output above"
        )
    if right:
        return Finding(topic, OK, "resample_trajectories compiles and answers rightly")
    return Finding(topic, FAIL, "resample_trajectories answers wrongly", "run `robocache selftest --backend cuda`")
