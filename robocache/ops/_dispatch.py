"""Finds the twin that runs a call: ``robocache.cpu.<topic>`` or ``robocache.cuda.<topic>``."""

import importlib
from types import ModuleType

_twins: dict[tuple[str, str], ModuleType] = {}


def twin(backend: str, topic: str) -> ModuleType:
    """Backend module of a topic, imported on first use so that Numba and CuPy stay optional until needed."""
    module = _twins.get((backend, topic))
    if module is None:
        module = _twins[backend, topic] = importlib.import_module(f"robocache.{backend}.{topic}")
    return module
