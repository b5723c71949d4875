"""The one place that names ``cupy.RawModule``: source text in, kernel functions out.

``#include "….cuh"`` is expanded here and not by the compiler, so CuPy's disk cache, whose key holds the source but not
our headers, can never serve a stale kernel. Nothing compiles before the first call.
"""

import re
from functools import cache
from importlib import resources
from typing import Any

import cupy
from cupy.cuda import driver

Macros = tuple[tuple[str, str], ...]

# -fmad=false: a*b+c is fused only where a kernel says so, because equal bits on both backends are promised.
OPTIONS = ("-std=c++17", "-fmad=false")

_functions: dict[tuple[int, str, str, Macros], Any] = {}


@cache
def source(topic: str) -> str:
    """Text that is compiled for a topic; the ``#line`` directives make compile errors point at the files."""
    folder = resources.files(__package__)

    def expanded(name: str) -> str:
        lines = folder.joinpath(name).read_text("utf-8").splitlines()
        out = [f'#line 1 "{name}"']
        for number, line in enumerate(lines, start=1):
            header = re.fullmatch(r'#include "(\w+\.cuh)"', line)
            out += [expanded(header[1]), f'#line {number + 1} "{name}"'] if header else [line]
        return "\n".join(out)

    return expanded(f"{topic}.cu")


def options(macros: Macros) -> tuple[str, ...]:
    """Compiler options of one variant."""
    return OPTIONS + tuple(f"-D{name}={value}" for name, value in macros)


@cache
def _module(topic: str, macros: Macros) -> Any:
    return cupy.RawModule(code=source(topic), options=options(macros), backend="nvrtc")


def function(device: int, topic: str, name: str, macros: Macros = ()) -> Any:
    """Kernel ``name`` of a topic on the current device (its id is ``device``), compiled on first use."""
    key = (device, topic, name, macros)
    found = _functions.get(key)
    if found is None:
        found = _module(topic, macros).get_function(name).kernel  # the Function of this device
        mine = driver.funcGetAttribute(driver.CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, found.ptr)
        limit = driver.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        driver.funcSetAttribute(found.ptr, limit, shared_memory(device) - mine)
        _functions[key] = found
    return found


@cache
def shared_memory(device: int) -> int:
    """Bytes of shared memory that one block may take on a device, its kernel's own variables included."""
    return int(cupy.cuda.Device(device).attributes["MaxSharedMemoryPerBlockOptin"])
