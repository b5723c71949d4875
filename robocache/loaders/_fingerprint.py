"""Whether a dataset is still the one that it was."""

import hashlib
import json
import os
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from ..datasets.model import Dataset
from ..datasets.streams import StreamSpec

FILES = 10_000


def fingerprint(dataset: Dataset, streams: Mapping[str, StreamSpec], offsets: Any, *more: Any) -> str:
    """Hex digest of format, steps, streams and files, wherever the dataset lies."""
    specs = [
        [name, spec.kind, list(spec.shape), spec.dtype.name, spec.unit, spec.names, spec.codec]
        for name, spec in streams.items()
    ]
    facts = [dataset.format, sorted(dataset.splits), dataset.control_hz, specs, _files(dataset.path), more]
    digest = hashlib.blake2b(json.dumps(facts, default=repr).encode(), digest_size=16)
    digest.update(offsets.astype("<i8").tobytes())
    return digest.hexdigest()


def _files(path: Path) -> list[list[Any]]:
    """Name, size and time of change of the first files, in order of their names."""
    if not path.is_dir():
        return [_file(path, "")] if path.exists() else []
    return [_file(path, name) for name in islice(_names(path), FILES)]


def _names(path: Path) -> Any:
    for folder, below, files in os.walk(path):
        below.sort()
        yield from (os.path.relpath(os.path.join(folder, name), path) for name in sorted(files))


def _file(path: Path, name: str) -> list[Any]:
    found = os.stat(path / name)
    return [name, found.st_size, found.st_mtime_ns]


__all__ = ["fingerprint"]
