"""Statistics beside every shard, from what lies in it, and those of all shards: the same bits in any order."""

import os
import zlib
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from ..datasets._faults import fault, faults
from ..datasets._files import Root, read_json
from ..ops.stats import RunningStats
from ..store import Plan
from ..store._layout import canonical
from ..store._shard import Shard
from ..store._store import fingerprint
from ..store._writing import atomic, writing

FOLDER, FILE, MARK, VERSION = "stats", "stats.json", "robocache statistics", 1
FEATURES = 4096  # of a stream; sums and buckets of each take memory
VALUES = 1 << 22  # at a time


def counted(plan: Plan) -> dict[str, tuple[int, ...]]:
    """Streams that are counted, and the shapes of their samples.

    Vectors of plain numbers; no pictures, whose samples are not worth decoding again.
    """
    shapes = {
        name: tuple(int(n or 0) for n in way.spec.shape)
        for name, way in plan.ways.items() if way.spec.kind == "vector" and way.spec.codec is None
    }  # fmt: skip
    return {name: shape for name, shape in shapes.items() if 0 < prod(shape) <= FEATURES}


def path_of(folder: Path, number: int) -> Path:
    """Where the statistics of a shard are kept."""
    return folder / FOLDER / f"shard-{number:05d}.json"


def write_statistics(plan: Plan, folder: Path, number: int, shard: Shard) -> None:
    """Count what a shard holds, where the steps are valid."""
    found = {name: _count(shard, name, shape) for name, shape in counted(plan).items()}
    path = path_of(folder, number)
    with writing(path):
        path.parent.mkdir(exist_ok=True)
    _write(path, {"plan": plan.digest, "of": fingerprint([shard.head])}, found)


def _count(shard: Shard, name: str, shape: tuple[int, ...]) -> RunningStats:
    values = shard.part(name, "values")
    valid = shard.part(name, "valid") if shard.has(name, "valid") else None
    found = RunningStats(shape)
    step = max(1, VALUES // prod(shape))
    for first in range(0, len(values), step):
        found.update(values[first : first + step], None if valid is None else valid[first : first + step])
    return found


def shard_statistics(plan: Plan, folder: Path, number: int, shard: Shard) -> dict[str, RunningStats]:
    """What `write_statistics` has counted. Raises DataError where that is not there, damaged, or of another shard."""
    path = path_of(folder, number)
    about, found = _read(path)
    if about != {"plan": plan.digest, "of": fingerprint([shard.head])} or list(found) != list(counted(plan)):
        raise fault("are statistics of another shard", file=path)
    return found


def write_merged(plan: Plan, folder: Path, found: Mapping[str, RunningStats]) -> None:
    """As ``stats.json``."""
    _write(folder / FILE, {"plan": plan.digest}, found)


def read_statistics(path: str | os.PathLike[str]) -> dict[str, RunningStats]:
    """Statistics of a store that `merge` has made.

    Parameters
    ----------
    path : path
        Of the store.

    Returns
    -------
    dict of str to RunningStats
        Of every stream of kind "vector" with at most 4096 features, over its valid steps.

    Raises
    ------
    DataError
        There are none, or they are not what was written.
    """
    return _read(Root(path).file(FILE))[1]


def _write(path: Path, about: Mapping[str, str], found: Mapping[str, RunningStats]) -> None:
    text = canonical({**about, "streams": {name: stats.to_dict() for name, stats in found.items()}})
    head = b'{"format":"%s","version":%d,"crc32":%d,"statistics":' % (MARK.encode(), VERSION, zlib.crc32(text))
    atomic(path, [head, text, b"}\n"])


def _read(path: Path) -> tuple[dict[str, Any], dict[str, RunningStats]]:
    told = read_json(path)
    if told.get("format") != MARK or told.get("version") != VERSION:
        raise fault(f"is no file of statistics of version {VERSION}", file=path)
    fields = told.get("statistics")
    with faults(KeyError, TypeError, ValueError, AttributeError, RecursionError, file=path):
        if zlib.crc32(canonical(fields)) != told.get("crc32"):
            raise ValueError("its checksum differs")
        streams = {str(name): RunningStats.from_dict(state) for name, state in fields.pop("streams").items()}
    return fields, streams


__all__ = ["counted", "read_statistics", "shard_statistics", "write_merged", "write_statistics"]
