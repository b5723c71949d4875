"""``robocache selftest``: resampling, fusion and voxels on every backend here, against answers stored with the package.

The answers were worked out in fractions by tests/make_selftest_answers.py. Integers and masks must be equal; each float
answer carries its tolerance.
"""

import argparse
import json
import time
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

import robocache as rc

from .._core.errors import ArgumentError
from . import backends
from .report import Report, first_line, table

Case = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of ``robocache selftest``."""
    parser.add_argument("--backend", choices=("cpu", "cuda", "all"), default="all", help="default: all that are here")
    parser.add_argument("--answers", type=Path, help=argparse.SUPPRESS)


def run(args: argparse.Namespace) -> Report:
    """Run every case; ok if none is off."""
    cases = load(args.answers)
    chosen, skipped = _backends(args.backend)
    results = [check(case, backend) for backend in chosen for case in cases]
    failed = [row for row in results if not row["ok"]]
    fields = {"ok": not failed, "backends": [b.name for b in chosen], "skipped": skipped, "results": results}
    return Report(not failed, fields, _text(results, skipped, failed))


def load(path: Path | None) -> list[Case]:
    """Stored cases, from the package or from a file."""
    try:
        text = (path or resources.files(__package__).joinpath("answers.json")).read_text("utf-8")
        cases: list[Case] = json.loads(text)["cases"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArgumentError(f"the stored answers cannot be read: {error}") from error
    return cases


def _backends(wish: str) -> tuple[list[backends.Backend], dict[str, str]]:
    if wish != "all":
        return [backends.pick(wish)[0]], {}
    gpu, why = backends.cuda()
    return ([backends.cpu(), gpu], {}) if gpu else ([backends.cpu()], {"cuda": why})


def decode(stored: dict[str, Any]) -> np.ndarray:
    """Array as it was stored; null is NaN."""
    data = [np.nan if item is None else item for item in stored["data"]]
    return np.array(data, stored["dtype"]).reshape(stored["shape"])


def check(case: Case, backend: backends.Backend) -> dict[str, Any]:
    """One case on one backend: what was wrong, if anything."""
    start = time.perf_counter()
    row = {"backend": backend.name, "op": case["op"], "name": case["name"], "wrong": ""}
    try:
        got = CALLS[case["op"]](case, backend)
        faults = [_differs(key, got[key], stored, case["tolerance"].get(key, 0.0), backend) for key, stored in
                  case["expected"].items()]  # fmt: skip
        row["wrong"] = "; ".join(fault for fault in faults if fault)
    except Exception as error:  # an operation that raises is a failed case, not the end of the run
        row["wrong"] = f"{type(error).__name__}: {first_line(error)}"
    return {**row, "ok": not row["wrong"], "seconds": time.perf_counter() - start}


def _differs(key: str, found: Any, stored: dict[str, Any], tolerance: float, backend: backends.Backend) -> str:
    """Nothing if equal (floats: within the tolerance), else what is off."""
    want, have = decode(stored), backend.get(found)
    if have.dtype != want.dtype or have.shape != want.shape:
        return f"{key} is {have.dtype} {have.shape}, not {want.dtype} {want.shape}"
    if want.dtype.kind != "f":
        off = int((have != want).sum())
        return f"{key}: {off} of {want.size} differ" if off else ""
    empty = np.isnan(want)
    apart = np.abs(np.where(empty, 0, have.astype(np.float64) - want))
    worst = float(apart.max(initial=0))
    same = bool((np.isnan(have) == empty).all()) and worst <= tolerance
    return "" if same else f"{key} is off by {worst:.3g}, {tolerance:.3g} allowed"


def _resample(case: Case, backend: backends.Backend) -> dict[str, Any]:
    given = {key: backend.put(decode(stored)) for key, stored in case["arrays"].items()}
    values, valid, age = rc.resample_trajectories(**given, **case["options"])
    return {"values": values, "valid": valid, "age": age}


def _fuse(case: Case, backend: backends.Backend) -> dict[str, Any]:
    streams = {
        name: rc.Stream(backend.put(decode(one["values"])), backend.put(decode(one["times"])), **one["options"])
        for name, one in case["streams"].items()
    }
    fused = rc.fuse_multimodal(streams, backend.put(decode(case["arrays"]["target_times"])), **case["options"])
    return {"values": fused.values, "valid": fused.valid, "age": fused.age, "times": fused.times}


def _voxelize(case: Case, backend: backends.Backend) -> dict[str, Any]:
    given = {key: backend.put(decode(stored)) for key, stored in case["arrays"].items()}
    voxels = rc.voxelize(**given, **case["options"])
    return {key: getattr(voxels, key) for key in case["expected"]}


def _grid(case: Case, backend: backends.Backend) -> dict[str, Any]:
    given = {key: backend.put(decode(stored)) for key, stored in case["arrays"].items()}
    return {"grid": rc.voxel_grid(**given, **case["options"])}


CALLS = {"resample_trajectories": _resample, "fuse_multimodal": _fuse, "voxelize": _voxelize, "voxel_grid": _grid}


def _text(results: list[dict[str, Any]], skipped: dict[str, str], failed: list[dict[str, Any]]) -> str:
    rows = [(r["backend"], r["op"], r["name"], "ok" if r["ok"] else f"FAILED  {r['wrong']}") for r in results]
    lines = [table(("backend", "operation", "case", "result"), rows)]
    lines += [f"{name}: skipped, {why}" for name, why in skipped.items()]
    lines.append(f"{len(results) - len(failed)} of {len(results)} cases as stored.")
    return "\n".join(lines)
