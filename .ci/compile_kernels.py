"""Compile every kernel variant for every GPU generation with NVRTC, which needs no GPU; refuse register spills.

``robocache/cuda/<topic>.py`` names its variants in ``variants()``; a ``.cu`` that no variant covers is a failure.
"""

import argparse
import importlib
import multiprocessing
import os
import re
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cupy.cuda import nvrtc  # noqa: E402

from robocache.cuda import _module  # noqa: E402

ARCHITECTURES = (75, 80, 86, 89, 90, 100, 120)

ENTRY = re.compile(r"Compiling entry function '(\w+)'")
SPILL = re.compile(r"(\d+) bytes spill stores, (\d+) bytes spill loads")
REGISTERS = re.compile(r"Used (\d+) registers")

SPILLING = """
extern "C" __global__ void spilling(const float* in, float* out) {
    float x[48];
    #pragma unroll
    for (int i = 0; i < 48; i++) x[i] = in[threadIdx.x + i * 32];
    #pragma unroll
    for (int i = 0; i < 48; i++) out[threadIdx.x + i * 32] = x[i] * x[(i + 7) % 48] + x[(i * 5) % 48];
}
"""
CLEAN = 'extern "C" __global__ void clean(float* out) { out[threadIdx.x] = 1.0f; }\n'
BROKEN = 'extern "C" __global__ void broken(float* out) { out[threadIdx.x] = missing; }\n'


@dataclass
class Outcome:
    """What compiling one variant for one architecture gave."""

    topic: str
    macros: _module.Macros
    arch: int
    kernels: int
    registers: int
    seconds: float
    faults: list[str]

    @property
    def name(self) -> str:
        """Variant and architecture as one readable line."""
        macros = " ".join(f"{key}={value}" for key, value in self.macros)
        return f"{self.topic}.cu [{macros}] sm_{self.arch}"


def build(text: str, name: str, options: tuple[str, ...], arch: int) -> tuple[int, int, list[str]]:
    """Kernels, most registers and faults of one compilation, with the options that CuPy itself adds."""
    program = nvrtc.createProgram(text, name, (), ())
    try:
        nvrtc.compileProgram(program, (*options, "-ftz=true", f"-arch=sm_{arch}", "--ptxas-options=-v"))
        log = nvrtc.getProgramLog(program)
        cubin = nvrtc.getCUBIN(program)
    except nvrtc.NVRTCError as error:
        return 0, 0, [f"{error}\n{nvrtc.getProgramLog(program)}"]
    finally:
        nvrtc.destroyProgram(program)
    kernels = ENTRY.split(log)[1:]
    found = [
        (name, REGISTERS.search(text), SPILL.findall(text))
        for name, text in zip(kernels[::2], kernels[1::2], strict=True)
    ]
    faults = [
        f"{name} spills registers: {stores} bytes stored, {loads} loaded"
        for name, _, spills in found
        for stores, loads in spills
        if (stores, loads) != ("0", "0")
    ]
    if not cubin or not found or not all(used and spills for _, used, spills in found):
        faults.append(f"no kernel, or a compiler log this script cannot read:\n{log}")
    return len(found), max((int(used[1]) for _, used, _ in found if used), default=0), faults


def compile_variant(task: tuple[str, _module.Macros, int]) -> Outcome:
    """Compile one variant for one architecture."""
    topic, macros, arch = task
    start = time.perf_counter()
    found = build(_module.source(topic), f"{topic}.cu", _module.options(macros), arch)
    return Outcome(topic, macros, arch, found[0], found[1], time.perf_counter() - start, found[2])


def self_check(arch: int) -> list[str]:
    """Prove that the checks of this script can fail: a planted spill, a broken kernel, and a clean one."""
    faults = []
    if not any("spill" in f for f in build(SPILLING, "spilling.cu", ("-maxrregcount=24",), arch)[2]):
        faults.append("a planted register spill went unseen")
    if not any("missing" in f for f in build(BROKEN, "broken.cu", (), arch)[2]):
        faults.append("a broken kernel compiled")
    if build(CLEAN, "clean.cu", (), arch)[2]:
        faults.append("a clean kernel was refused")
    return faults


def discover(only: Iterable[str]) -> tuple[list[tuple[str, _module.Macros]], list[str]]:
    """Variants of every topic, and the topics whose ``.cu`` no variant covers."""
    folder = ROOT / "robocache" / "cuda"
    topics = sorted(path.stem for path in folder.glob("*.cu"))
    wrappers = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    found: list[tuple[str, _module.Macros]] = []
    for wrapper in wrappers:
        found += getattr(importlib.import_module(f"robocache.cuda.{wrapper}"), "variants", tuple)()
    found = list(dict.fromkeys(found))
    uncovered = sorted(set(topics) - {topic for topic, _ in found})
    wanted = set(only)
    return [variant for variant in found if not wanted or variant[0] in wanted], uncovered


def summary(outcomes: list[Outcome]) -> str:
    """One row a topic and architecture."""
    rows = [f"{'topic':<16}{'arch':<8}{'variants':>9}{'kernels':>9}{'max registers':>15}{'cpu s':>8}"]
    for topic, arch in sorted({(o.topic, o.arch) for o in outcomes}):
        group = [o for o in outcomes if (o.topic, o.arch) == (topic, arch)]
        kernels, seconds = sum(o.kernels for o in group), sum(o.seconds for o in group)
        most = max(o.registers for o in group)
        rows.append(f"{topic:<16}sm_{arch:<5}{len(group):>9}{kernels:>9}{most:>15}{seconds:>8.1f}")
    return "\n".join(rows)


def main() -> int:
    """Compile, report, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("topics", nargs="*", help="topics to compile (all)")
    parser.add_argument("--arch", type=int, action="append", help="architecture, such as 90; may be repeated (all)")
    parser.add_argument("--self-check", action="store_true", help="only prove that spills and errors are seen")
    parser.add_argument("--slow", type=int, default=0, metavar="N", help="also list the N slowest compilations")
    chosen = parser.parse_args()
    architectures = tuple(chosen.arch or ARCHITECTURES)

    faults = [f"sm_{arch}: {fault}" for arch in architectures for fault in self_check(arch)]
    print(f"self-check: {'; '.join(faults) or 'a planted spill and a broken kernel are both seen'}")
    if faults or chosen.self_check:
        return len(faults)

    variants, uncovered = discover(chosen.topics)
    tasks = [(topic, macros, arch) for topic, macros in variants for arch in architectures]
    processes = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    start = time.perf_counter()
    with ProcessPoolExecutor(processes, multiprocessing.get_context("spawn")) as pool:
        outcomes = list(pool.map(compile_variant, tasks, chunksize=4))
    for outcome in outcomes:
        for fault in outcome.faults:
            print(f"\nFAILED {outcome.name}: {fault}")
    for topic in uncovered:
        print(f"\nFAILED {topic}.cu: no variants() in robocache/cuda names it")
    for outcome in sorted(outcomes, key=lambda o: -o.seconds)[: chosen.slow]:
        print(f"{outcome.seconds:6.1f} s  {outcome.registers:3} registers  {outcome.name}")
    failed = sum(bool(outcome.faults) for outcome in outcomes) + len(uncovered) + (not outcomes)
    print(summary(outcomes))
    print(f"{len(outcomes)} compiled on {processes} processes in {time.perf_counter() - start:.0f} s, {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
