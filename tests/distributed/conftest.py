"""Demonstrations in a file, a plan of them, and processes that end when a test wants them to."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from robocache import distributed
from tests.datasets import made

ROOT = Path(__file__).resolve().parents[2]
LENGTHS = (5, 3, 4, 6, 2, 7, 1, 8, 2, 3)
SHARD = 4500  # bytes: a few episodes each


@pytest.fixture
def demos(tmp_path: Path) -> Path:
    """A file of ten demonstrations."""
    pytest.importorskip("h5py")
    found: Path = made.robomimic(tmp_path / "demos.hdf5", lengths=LENGTHS, raw=True)
    return found


@pytest.fixture
def planned(demos: Path, tmp_path: Path) -> Callable[..., distributed.Manifest]:
    """Plans them into a folder of that name."""
    return lambda name="out", **options: distributed.plan(demos, tmp_path / name, **{"shard": SHARD} | options)


@pytest.fixture
def hooked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Lets workers that are started from now on meet what ``hooks.py`` tells of; without arguments, nothing more."""

    def hook(**events: Any) -> None:
        site = tmp_path / "site"
        site.mkdir(exist_ok=True)
        (site / "sitecustomize.py").write_text(Path(__file__).with_name("hooks.py").read_text("utf-8"), "utf-8")
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(site), str(ROOT)]))
        for name in ("KILLS", "POISON", "FULL"):
            monkeypatch.setenv(name, str(events.pop(name.lower(), "")))
        assert not events

    return hook


def contents(path: Path) -> dict[str, bytes]:
    """Every file of a folder and below, but for the lock."""
    return {
        str(file.relative_to(path)): file.read_bytes()
        for file in sorted(path.rglob("*")) if file.is_file() and file.name != ".lock"
    }  # fmt: skip
