"""Which files a source is made of, and whether they are the same."""

import os
from collections.abc import Iterable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

from ..datasets._faults import faults
from ._layout import canonical


def inputs(path: Path) -> Iterator[tuple[str, int, int]]:
    """Names of the files at or below a path, in order; their bytes, and when they were changed."""
    with faults(OSError, file=path):
        for name in sorted(_files(path)):
            status = os.stat(path / name if name else path)
            yield name, status.st_size, status.st_mtime_ns


def listing(found: Iterable[tuple[str, int, int]]) -> dict[str, Any]:
    """How many files `inputs` has found, their bytes, and a digest of all it says."""
    digest, files, total = sha256(), 0, 0
    for one in found:
        digest.update(canonical(one))
        files, total = files + 1, total + one[1]
    return {"files": files, "bytes": total, "digest": digest.hexdigest()}


def _files(path: Path) -> Iterator[str]:
    if not path.is_dir():
        yield ""
    for folder, _, names in os.walk(path):
        below = os.path.relpath(folder, path)
        yield from (
            os.path.normpath(os.path.join(below, name)) for name in names if os.path.exists(os.path.join(folder, name))
        )


__all__ = ["inputs", "listing"]
