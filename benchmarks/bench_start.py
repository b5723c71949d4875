"""What a new process pays: importing the package, and the first call once kernels are cached on disk.

``python3 -m benchmarks.bench_start --out result.json``
"""

import argparse
import json
import subprocess
import sys
from functools import partial
from typing import Any

from . import _results, _timing

IMPORT = """
import time; start = time.perf_counter()
import robocache
spent = time.perf_counter() - start
import sys; heavy = sorted({"cupy", "numba", "torch", "jax"} & set(sys.modules))
"""
FIRST = """
import time, numpy as np
BEFORE
start = time.perf_counter()
import robocache as rc
times = xp.asarray(np.arange(8 * 100).reshape(8, 100) * 10_000_000)
values = xp.asarray(np.random.default_rng(0).standard_normal((8, 100, 14), np.float32))
out = rc.resample_trajectories(values, times, times[:, ::2] + 1)
CALL
spent = time.perf_counter() - start
heavy = []
"""
CPU = ("xp = np", "")
CUDA = ("import cupy as xp; xp.zeros(1); xp.cuda.Device().synchronize()", "xp.cuda.Device().synchronize()")
VOXELS = "rc.voxel_grid(xp.abs(values[0, :, :3]), bounds=(0, 0, 0, 8, 8, 8), shape=64, reduce='count')"
PRINT = "\nimport json; print(json.dumps([spent, heavy]))\n"


def program(setup: tuple[str, str], *more: str) -> str:
    """Source of a process that makes first calls."""
    return FIRST.replace("BEFORE", setup[0]).replace("CALL", "\n".join([*more, setup[1]]))


def measure(name: str, text: str, backend: str, most_us: float, runs: int) -> dict[str, Any]:
    """Fresh processes, after one that fills the caches on disk."""
    samples, heavy = [], []
    for _ in range(runs + 1):
        ran = subprocess.run(
            [sys.executable, "-c", text + PRINT], capture_output=True, text=True, check=True, cwd=_results.ROOT
        )
        spent, heavy = json.loads(ran.stdout.splitlines()[-1])
        samples.append(spent * 1e6)
    row = {"op": "start", "backend": backend, "method": name, "shapes": {}, "dtypes": {}}
    row |= {"cold_us": samples[0], "wall_us": _timing.spread(samples[1:]), "goal": {"wall_us": most_us}}
    return {**row, "heavy": heavy}


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--backend", choices=("cpu", "cuda"), default="cuda")
    parser.add_argument("--out", required=True)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    _results.require_commit()
    work = [("import robocache", IMPORT, "cpu", 0.15e6)]
    work.append(("first call after importing NumPy", program(CPU), "cpu", 1.0e6))
    if options.backend == "cuda":
        work.append(("first call after importing CuPy", program(CUDA), "cuda", 0.3e6))
        work.append(("first two operations after importing CuPy", program(CUDA, VOXELS), "cuda", 0.3e6))
    _results.finish(options.out, "start", [partial(measure, *one, options.runs) for one in work])


if __name__ == "__main__":
    main()
