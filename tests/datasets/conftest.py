"""Readers that a test registers are gone after it."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from robocache.datasets import _registry, register
from tests.datasets import toy


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of this test's own."""
    monkeypatch.setattr(_registry, "_registered", {})
    monkeypatch.setattr(_registry, "_installed", cache(_registry._installed.__wrapped__))


@pytest.fixture
def make_set(registered: None, tmp_path: Path) -> Callable[..., str]:
    """Registers a reader of given episodes; its answer is the path to open."""
    folder = tmp_path / "toy_set"
    folder.mkdir()
    (folder / "toy.json").write_bytes(bytes(1500))

    def make(episodes: Sequence[Any], **facts: Any) -> str:
        def open_toy(path: Path, *, control_hz: float | None, verify: bool) -> Any:
            if control_hz is not None:
                facts.update(control_hz=control_hz, control_hz_origin="user")
            return toy.dataset(path, episodes, **facts)

        register(toy.reader("toy", open_toy))
        return str(folder)

    return make
