"""RT-X (Open X-Embodiment), which is RLDS: ``DataLoader`` with its defaults. See `robocache.loaders.formats.rtx`."""

from typing import Any

from ._registry import loader_of


def __getattr__(name: str) -> Any:
    return loader_of(__name__, name)  # DataLoader
