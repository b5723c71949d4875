"""Result files: what every one must say, and how it is written and read. The schema is in ``README.md`` here."""

import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

SCHEMA = 2
PEERS = ("torch", "jax", "scipy", "small-gicp", "spconv", "open3d", "zarr", "fpsample")
PACKAGES = ("numpy", "numba", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x", "spconv-cu120", "spconv-cu126", *PEERS)
ROOT = Path(__file__).resolve().parents[1]


class WrongResult(Exception):
    """What was timed is not what it should be."""


class ResultError(ValueError):
    """A result file lacks what a figure needs to count."""


def machine() -> dict[str, Any]:
    """What the figures are measured on and with."""
    info: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(),
        "python": platform.python_version(),
        "cpu_count": os.cpu_count(),
        "cpu": _cpu_name(),
        "packages": {},
    }
    if os.environ.get("ROBOCACHE_NOTE"):
        info["note"] = os.environ["ROBOCACHE_NOTE"]
    if hasattr(os, "sched_getaffinity"):
        info["cpus_usable"] = len(os.sched_getaffinity(0))
    for name in ("OMP_WAIT_POLICY", "OMP_NUM_THREADS", "ROBOCACHE_NUM_THREADS"):
        if name in os.environ:
            info.setdefault("environment", {})[name] = os.environ[name]
    for name in PACKAGES:
        try:
            info["packages"][name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    try:
        import cupy

        properties = cupy.cuda.runtime.getDeviceProperties(0)
        info["gpu"] = properties["name"].decode()
        info["gpu_memory"] = int(properties["totalGlobalMem"])
        info["capability"] = f"{properties['major']}.{properties['minor']}"
        info["driver"] = cupy.cuda.runtime.driverGetVersion()
        info["runtime"] = cupy.cuda.runtime.runtimeGetVersion()
    except (ImportError, RuntimeError, AttributeError, KeyError) as error:  # CuPy is absent, or finds no driver
        info["gpu"] = f"none ({type(error).__name__})"
    return info


def commit() -> str:
    """Commit measured: ``ROBOCACHE_COMMIT``, or what git says, marked where the sources differ from it."""
    given = os.environ.get("ROBOCACHE_COMMIT")
    if given:
        return given
    try:
        head = _git("rev-parse", "HEAD")
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", "robocache", "benchmarks/*.py")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}-dirty" if changed else head


def require_commit() -> None:
    """Stop before anything is timed if the result could not say what it is of."""
    if commit() == "unknown":
        raise SystemExit("no commit: run in a git checkout, or set ROBOCACHE_COMMIT to what is measured")


def write(path: str | Path, suite: str, rows: list[dict[str, Any]], **more: Any) -> None:
    """Write a result file."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    result = {"schema": SCHEMA, "suite": suite, "machine": machine(), **more, "rows": rows}
    path.write_text(json.dumps(result, indent=1, sort_keys=False) + "\n", "utf-8")


def collect(
    todo: Iterable[Callable[[], dict[str, Any]]], after: Callable[[Any, Any], None] = lambda rows, failed: None
) -> tuple[list[dict[str, Any]], list[str]]:
    """Every row, and what went wrong with those that are missing: one failure must not lose an hour's figures."""
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    for one in todo:
        try:
            rows.append(one())
            say(brief(rows[-1]))
        except Exception as error:  # noqa: BLE001 - named in the file, which then does not count
            failed.append(reason(error))
            say(f"FAILED {failed[-1]}")
        after(rows, failed)
    return rows, failed


def finish(path: str | Path, suite: str, todo: Iterable[Callable[[], dict[str, Any]]], **more: Any) -> None:
    """Run, write the file, and fail if any row did."""
    start = time.perf_counter()
    # What there is so far lies there, and does not count, should this be ended from outside.
    rows, failed = collect(
        todo, lambda rows, failed: write(path, suite, rows, failed=[*failed, "not finished"], **more)
    )
    write(path, suite, rows, failed=failed, seconds=round(time.perf_counter() - start, 1), **more)
    if failed:
        raise SystemExit(f"{len(failed)} of {len(failed) + len(rows)} rows failed; the report will not take {path}")


def read(path: str | Path) -> dict[str, Any]:
    """Read a result file; refuse one whose figures would not count."""
    path = Path(path)
    result: dict[str, Any] = json.loads(path.read_text("utf-8"))
    about = result.get("machine")
    if not isinstance(about, dict) or not (about.get("gpu") or about.get("cpu")):
        raise ResultError(f"{path.name} does not say on which machine it was measured")
    if about.get("commit") in (None, "", "unknown"):
        raise ResultError(f"{path.name} does not say which commit it measured")
    if result.get("failed"):
        raise ResultError(f"{path.name} has rows that failed: {result['failed'][0]}")
    return result


def say(text: str) -> None:
    """Progress, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def reason(error: BaseException) -> str:
    """An error in one line that names no folder of this machine."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return f"{type(error).__name__}: {re.sub(r'(?:/[-.+@ =0-9A-Za-z_]+){2,}', '<path>', first)}"[:160].rstrip(": ")


def brief(row: dict[str, Any]) -> str:
    """A row in one line of the log."""
    shape = " ".join(f"{key}{value}" for key, value in row["shapes"].items())
    parts = [row["op"], row.get("method") or row.get("reduce") or "", shape, "/".join(row["dtypes"].values())]
    parts.append(row.get("distribution", ""))
    timed = ("device_us", "wall_us", "call_us", "copy_us")
    parts += [f"{key}={row[key]['median']:.1f}" for key in timed if row.get(key)]
    if row.get("share"):
        parts.append(f"share={row['share']:.2f}")
    for name, peer in row.get("peers", {}).items():
        took = peer.get("device_us") or peer.get("wall_us")
        parts.append(f"{name}={took['median']:.0f}" if took else f"{name}: {peer.get('absent', '?')[:40]}")
    return " ".join(part for part in parts if part)


def _git(*arguments: str) -> str:
    ran = subprocess.run(["git", *arguments], capture_output=True, text=True, check=True, cwd=ROOT)
    return ran.stdout.strip()


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
