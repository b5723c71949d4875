"""How far the work is, and the store that comes of it."""

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._core.errors import DataError
from ..datasets._faults import fault
from ..datasets._files import Root
from ..datasets.measure import size_on_disk
from ..ops.stats import RunningStats
from ..store import Conversion, finish
from ..store._index import read_index
from ..store._shard import Shard
from ..store.conversion import sweep
from ..store.plan import is_done, shard_name
from .manifest import Manifest, check_inputs
from .statistics import FOLDER, counted, path_of, shard_statistics, write_merged


@dataclass(frozen=True)
class Status:
    """What is there of some shards, by their headers.

    Attributes
    ----------
    path : Path
    shards, episodes : int
        That there will be.
    done : int
        Shards that are there, with their statistics.
    missing : tuple of int
        Numbers of the others.
    converted, steps, bytes : int
        Episodes that are in shards, their steps, and the bytes of the shards.
    failures : tuple of dict
        Episodes that were left out: ``position``, ``id``, ``type`` and ``message``.
    merged : bool
        Whether there is a store of this plan.
    deaths : int
        Workers that died while `run` had them at work.
    """

    path: Path
    shards: int
    episodes: int
    done: int
    missing: tuple[int, ...]
    converted: int
    steps: int
    bytes: int
    failures: tuple[Mapping[str, Any], ...]
    merged: bool
    deaths: int = 0


@dataclass(frozen=True)
class Merged(Conversion):
    """What `merge` has made: a `robocache.store.Conversion`, and statistics of its streams.

    Attributes
    ----------
    statistics : mapping of str to RunningStats
    """

    statistics: Mapping[str, RunningStats]


def status(plan: "Manifest | str | os.PathLike[str]", *, shards: Iterable[int] | None = None) -> Status:
    """Look at how far the work is; nothing is changed, and workers may go on.

    Parameters
    ----------
    plan : Manifest or path
        What `robocache.distributed.plan` gave, or the folder it has written.
    shards : iterable of int, optional
        Numbers of those to look at; all by default.

    Returns
    -------
    Status

    Raises
    ------
    DataError
        There is no plan.
    """
    manifest = Manifest.read(plan)
    folder, numbers = manifest.folder, list(range(len(manifest.shards)) if shards is None else shards)
    missing, failures = [], list[Mapping[str, Any]]()
    converted = steps = size = 0
    for number in numbers:
        try:
            head = Shard(folder / shard_name(number)).head
        except DataError:  # not there, or cut off
            missing.append(number)
            continue
        if (head.plan, head.number) != (manifest.digest, number) or not path_of(folder, number).exists():
            missing.append(number)
            continue
        failures += head.failed
        converted, steps, size = converted + len(head.episodes), steps + head.steps, size + head.size
    episodes = sum(len(manifest.shards[number]) for number in numbers)
    done = len(numbers) - len(missing)
    return Status(folder, len(numbers), episodes, done, tuple(missing), converted, steps, size, tuple(failures),
                  _is_merged(manifest))  # fmt: skip


def _is_merged(manifest: Manifest) -> bool:
    try:
        return read_index(Root(manifest.folder)).plan == manifest.digest
    except DataError:
        return False


def merge(plan: "Manifest | str | os.PathLike[str]", *, rehash: bool = False) -> Merged:
    """Make a store of all shards, after reading every byte of them.

    Parameters
    ----------
    plan : Manifest or path
        What `robocache.distributed.plan` gave, or the folder it has written.
    rehash : bool
        Read every input again, too, and compare its hash; else its size and time of change.

    Returns
    -------
    Merged

    Raises
    ------
    DataError
        A shard is missing or damaged: `run` makes it; the source is not what was planned.

    Notes
    -----
    Writes ``stats.json``, ``failures.json`` and, last, ``store.json``. Merging again gives the same bytes.
    """
    manifest = Manifest.read(plan)
    folder, fields = manifest.folder, manifest.plan.fields
    check_inputs(manifest, rehash)
    found, bad = _validated(manifest)
    if bad:
        raise fault(f"{len(bad)} of {len(manifest.shards)} shards are not there or damaged, such as "
                    f"{shard_name(bad[0])}; run() makes them", file=folder)  # fmt: skip
    for place in (folder, folder / FOLDER):
        sweep(place)
    write_merged(manifest.plan, folder, found)
    failures = finish(manifest.plan, folder)
    index = read_index(Root(folder))
    return Merged(
        folder, len(index.ids), sum(index.lengths), len(index.parts), size_on_disk(folder)[1],
        fields["inputs"]["bytes"], tuple(failures), fields["notes"], found,
    )  # fmt: skip


def _validated(manifest: Manifest) -> tuple[dict[str, RunningStats], list[int]]:
    """Statistics of all shards, and the numbers of those that are not right."""
    plan, folder = manifest.plan, manifest.folder

    def one(number: int) -> dict[str, RunningStats] | None:
        if not is_done(plan, folder, number):
            return None
        try:
            return shard_statistics(plan, folder, number, Shard(folder / shard_name(number)))
        except DataError:
            return None

    total = {name: RunningStats(shape) for name, shape in counted(plan).items()}
    bad, count = [], min(16, len(os.sched_getaffinity(0)))
    with ThreadPoolExecutor(count) as pool:  # checksums let go of the GIL
        for first in range(0, len(manifest.shards), 4 * count):  # so that only so many wait to be merged
            numbers = range(first, min(first + 4 * count, len(manifest.shards)))
            for number, found in zip(numbers, pool.map(one, numbers), strict=True):
                if found is None:
                    bad.append(number)
                for name, stats in (found or {}).items():
                    total[name].merge(stats)
    return total, bad


__all__ = ["Merged", "Status", "merge", "status"]
