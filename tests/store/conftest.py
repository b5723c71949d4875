"""Sources in memory, found by a reader of the test's own, and sources in files that other processes find too."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from robocache.datasets import _registry, register
from tests.datasets import made, toy


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Path]:
    """Registers a reader of given episodes; its answer is the path to convert."""
    monkeypatch.setattr(_registry, "_registered", {})
    monkeypatch.setattr(_registry, "_installed", cache(_registry._installed.__wrapped__))
    folder = tmp_path / "toy_set"
    folder.mkdir()
    (folder / "toy.json").write_bytes(bytes(1500))

    def make(episodes: Sequence[Any], **facts: Any) -> Path:
        def open_toy(path: Path, *, control_hz: float | None, verify: bool) -> Any:
            return toy.dataset(path, episodes, **facts)

        register(toy.reader("toy", open_toy))
        return folder

    return make


@pytest.fixture
def demos(tmp_path: Path) -> Path:
    """A file of demonstrations."""
    pytest.importorskip("h5py")
    found: Path = made.robomimic(tmp_path / "demos.hdf5", lengths=(5, 3, 4, 6, 2, 7, 1))
    return found
