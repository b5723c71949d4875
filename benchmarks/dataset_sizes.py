"""What has to be installed: bytes on disk of packages and of all that they need, in the environment this runs in."""

import re
import tomllib
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
EXTRAS = ("rlds", "array-record", "lerobot", "hdf5", "bags", "datasets")


def installed(package: str) -> bool:
    """Whether a distribution is here."""
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def closure(packages: Iterable[str]) -> tuple[dict[str, int], list[str]]:
    """Bytes on disk of packages and of all that they need, by name; and those that are not here."""
    sizes: dict[str, int] = {}
    absent, waiting = set(), list(packages)
    while waiting:
        name = re.sub(r"[-_.]+", "-", waiting.pop()).lower()
        if name in sizes or name in absent:
            continue
        try:
            found = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            absent.add(name)
            continue
        paths = (Path(str(file.locate())) for file in found.files or ())
        sizes[name] = sum(path.stat().st_size for path in paths if path.is_file())
        needs = [need for need in found.requires or () if "extra ==" not in need]
        waiting += [need_name(need) for need in needs]
    return sizes, sorted(absent)


def told(packages: Iterable[str]) -> dict[str, Any]:
    """Sizes, what is missing, and versions."""
    found, missing = closure(packages)
    return {
        "bytes": sum(found.values()), "packages": found, "not_here": missing,
        "versions": {package: metadata.version(package) for package in found},
    }  # fmt: skip


def need_name(need: str) -> str:
    """The package that a requirement is of."""
    return re.split(r"[^-.\w]", need.strip(), maxsplit=1)[0]


def wanted() -> dict[str, list[str]]:
    """What each extra of this project brings, with what the project itself needs."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = project["optional-dependencies"]
    base = [need_name(need) for need in project["dependencies"]]
    return {f"robocache[{name}]": [*base, *unfolded(name, extras)] for name in EXTRAS}


def own_bytes() -> int:
    """Of this package."""
    return sum(path.stat().st_size for path in (ROOT / "robocache").rglob("*") if path.suffix in (".py", ".cu", ".cuh"))


def unfolded(name: str, extras: dict[str, list[str]]) -> list[str]:
    """Packages of an extra, and of the extras of this project that it names."""
    found = []
    for need in extras[name]:
        inner = re.match(r"robocache\[([^\]]*)\]", need)
        found += (
            [p for part in inner[1].split(",") for p in unfolded(part.strip(), extras)] if inner else [need_name(need)]
        )
    return found
