"""Batches of a LeRobot dataset: `DataLoader.from_lerobot` beside PyTorch's ``DataLoader`` over a ``LeRobotDataset``.

``python3 -m benchmarks.bench_loading --out loading.json --python lerobot=~/lerobot/bin/python folder …``

Both are given the same folder, deltas and batch size, and as many threads as the other has worker processes. The first
batches in order are compared before anything is timed: numbers and flags to the bit, pictures by how far they are
apart. Then fresh processes take turns; each says how long its first batch took, and how many samples a second follow.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import _results
from .bench_datasets import PIXELS_APART, Refused, compiled

Row = dict[str, Any]
CHECKED, N_ACT = 2, 16


def ask(pythons: dict[str, str], job: Row) -> Row:
    """One thing, in a fresh process of a library's own environment."""
    python = pythons.get(job["library"], sys.executable)
    ran = subprocess.run([python, "-m", "benchmarks.loading_process", json.dumps(job)], capture_output=True, text=True,
                         check=False, cwd=_results.ROOT, env=compiled(os.environ))  # fmt: skip
    if ran.returncode:
        raise Refused(next((line for line in reversed(ran.stderr.splitlines()) if line.strip()), "no word"))
    done: Row = json.loads(ran.stdout.splitlines()[-1])
    return done


def deltas(path: str) -> tuple[dict[str, list[float]], int]:
    """A chunk of actions, for a dataset's own rate; and how many pictures an item has."""
    info = json.loads((Path(path) / "meta" / "info.json").read_text("utf-8"))
    pictures = sum(one["dtype"] in ("image", "video") for one in info["features"].values())
    return {"action": [k / info["fps"] for k in range(N_ACT)]}, pictures


def compared(mine: Any, other: Any) -> Row:
    """Counts of equal arrays, and how far pictures are apart in levels of a byte."""
    if set(mine) != set(other):
        raise _results.WrongResult(f"keys differ: {sorted(set(mine) ^ set(other))}")
    equal, apart = 0, [0.0]
    for key in mine:
        one, two = mine[key], other[key]
        if (one.shape, one.dtype) != (two.shape, two.dtype):
            raise _results.WrongResult(f"{key}: {one.shape} {one.dtype} and {two.shape} {two.dtype}")
        if one.ndim >= 4:
            apart.append(float(np.abs(one.astype(np.float64) - two).mean() * 255))
        elif np.array_equal(one, two):
            equal += 1
        else:
            raise _results.WrongResult(f"{key} differs")
    if max(apart) > PIXELS_APART:
        raise _results.WrongResult(f"pictures are {max(apart):.2f} levels apart")
    return {"equal": equal, "levels_apart": round(max(apart), 3)}


def row(path: str, pythons: dict[str, str], given: argparse.Namespace) -> Row:
    """One dataset."""
    wanted, pictures = deltas(path)
    job = {"path": path, "deltas": wanted, "batch": given.batch, "workers": given.workers, "seconds": given.seconds,
           "warm": 2 * given.workers, "checked": CHECKED}  # fmt: skip
    libraries = ("robocache", "lerobot")
    with tempfile.TemporaryDirectory() as folder:
        for name in libraries:
            ask(pythons, job | {"library": name, "what": "check", "values": f"{folder}/{name}.npz"})
        same = compared(*(dict(np.load(f"{folder}/{name}.npz")) for name in libraries))
    runs: dict[str, list[Row]] = {name: [] for name in libraries}
    for _ in range(given.runs):
        for name in libraries:
            runs[name].append(ask(pythons, job | {"library": name, "what": "time"}))
    told = {
        name: {key: statistics.median(one[key] for one in found) for key in found[0]} | {"runs": found}
        for name, found in runs.items()
    }
    return {
        "op": "items", "method": Path(path).name, "backend": "cpu", "shapes": {"B": given.batch, "A": N_ACT},
        "dtypes": {"values": "float32"}, "pictures": pictures, "workers": given.workers, "compared": same, **told,
    }  # fmt: skip


def main(argv: list[str] | None = None) -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("--out", required=True)
    parser.add_argument("--python", action="append", default=[], help="lerobot=PATH of its own Python")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--runs", type=int, default=3)
    given = parser.parse_args(argv)
    _results.require_commit()
    pythons = dict(one.split("=", 1) for one in given.python)
    todo: list[Callable[[], Row]] = [lambda path=path: row(path, pythons, given) for path in given.paths]
    _results.finish(given.out, "loading", todo, note=os.environ.get("ROBOCACHE_NOTE", ""))


if __name__ == "__main__":
    main()
