"""``robocache doctor``: what this machine has, what is wrong with it, and the command that puts it right."""

import argparse
import importlib
import importlib.metadata
import platform
import sys
from dataclasses import asdict

from .. import __version__
from . import doctor_gpu
from .report import FAIL, OK, WARN, Finding, Report, first_line

PYTHON = (3, 11)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No options beyond ``--json``."""


def run(args: argparse.Namespace) -> Report:
    """Look at everything; fails only if something that is here does not work."""
    found = examine()
    ok = all(item.level != FAIL for item in found)
    fields = {"robocache": __version__, "ok": ok, "findings": [asdict(item) for item in found]}
    return Report(ok, fields, _text(found, ok))


def examine() -> list[Finding]:
    """All findings, from the interpreter to a kernel that ran."""
    driver = doctor_gpu.driver()
    packages = cupy_packages()
    found = [_python(), *(_required(name) for name in ("numpy", "numba", "ml_dtypes")), _numba_cache()]
    found += [doctor_gpu.describe(driver), _cupy(packages, driver)]
    if packages:
        found += doctor_gpu.examine(driver)
    return [*found, *(_neighbour(name) for name in ("torch", "jax"))]


def cupy_packages() -> dict[str, str]:
    """Installed distributions that all provide the module ``cupy``, with their versions."""
    found: dict[str, str] = {}
    for item in importlib.metadata.distributions():
        name = str(item.metadata["Name"] or "").lower().replace("_", "-")
        if name == "cupy" or name.startswith(("cupy-cuda", "cupy-rocm")):
            found[name] = item.version
    return dict(sorted(found.items()))


def _python() -> Finding:
    text = f"{platform.python_implementation()} {platform.python_version()} on {platform.system()} {platform.machine()}"
    if sys.version_info >= PYTHON:
        return Finding("python", OK, text)
    wanted = ".".join(map(str, PYTHON))
    return Finding("python", FAIL, text, f"RoboCache needs Python {wanted} or later; make an environment with one")


def _required(name: str) -> Finding:
    try:
        module = importlib.import_module(name)
    except ImportError as error:
        remedy = f"python3 -m pip install --upgrade {name}"
        return Finding(name, FAIL, f"cannot be imported: {first_line(error)}", remedy)
    return Finding(name, OK, str(getattr(module, "__version__", "version unknown")))


def _numba_cache() -> Finding:
    """Whether compiled CPU kernels are kept from one process to the next: Numba itself says where."""
    try:
        from numba.core.caching import FunctionCache

        path = str(FunctionCache(_numba_cache)._impl.locator.get_cache_path())
    except ImportError as error:
        return Finding("numba cache", WARN, f"not looked at: {first_line(error)}")
    except RuntimeError:
        text = "no writable folder: every new process compiles the CPU kernels again"
        return Finding("numba cache", WARN, text, "set NUMBA_CACHE_DIR to a folder that this user can write")
    beside = path.endswith("__pycache__")
    return Finding("numba cache", OK, "writable, beside the package" if beside else f"writable, {path}")


def _cupy(packages: dict[str, str], driver: doctor_gpu.Driver | None) -> Finding:
    """The CuPy packages: none, one that fits, one that does not, or several that overwrite each other."""
    extra = doctor_gpu.extra(driver) if driver else None
    install = f"python3 -m pip install 'robocache[{extra}]'" if extra else "update the NVIDIA driver"
    if not packages:
        if driver is None:
            return Finding("cupy", OK, "not installed, and no NVIDIA driver: a complete CPU install")
        return Finding("cupy", WARN, "not installed, so GPU arrays are refused", install)
    listed = ", ".join(f"{name} {version}" for name, version in packages.items())
    if len(packages) > 1:
        keep = doctor_gpu.EXTRAS[extra][0] if extra else None
        advice = f"{listed}: these overwrite each other's files; keep one" + (f", {keep}" if keep else "")
        again = install if extra else f"python3 -m pip install {list(packages)[-1]}"
        return Finding("cupy", FAIL, advice, f"python3 -m pip uninstall {' '.join(packages)} && {again}")
    ((name, version),) = packages.items()
    wrong = doctor_gpu.unsuited(name, version)
    if wrong:
        return Finding("cupy", WARN, f"{listed}: {wrong}", f"python3 -m pip install --upgrade '{name}{doctor_gpu.PIN}'")
    if driver is not None and not doctor_gpu.runs_on(name, driver):
        text = f"{listed} needs a newer driver than CUDA {driver.cuda[0]}.{driver.cuda[1]}"
        return Finding("cupy", FAIL, text, f"python3 -m pip uninstall {name} && {install}" if extra else install)
    return Finding("cupy", OK, listed)


def _neighbour(name: str) -> Finding:
    """A framework that arrays can be handed to; looked up, not imported."""
    try:
        return Finding(name, OK, importlib.metadata.version(name))
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, OK, "not installed (optional)")


def _text(found: list[Finding], ok: bool) -> str:
    width = max(len(item.topic) for item in found)
    lines = [f"RoboCache {__version__}"]
    for item in found:
        lines.append(f"  {item.level:<4}  {item.topic:<{width}}  {item.text}")
        if item.remedy:
            lines.append(f"  {'':<4}  {'':<{width}}  -> {item.remedy}")
    warned = sum(item.level == WARN for item in found)
    closing = "Nothing is broken." if ok else "Something is broken: see the lines marked fail."
    return "\n".join([*lines, closing + (f" Warnings: {warned}." if warned else "")])
