"""What is wrong with an RLDS dataset, found by reading all of it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from ..._core.errors import DataError
from ..facts import Finding, finding_of
from ..model import Episode
from ._layout import INFO, TREE, Shard

if TYPE_CHECKING:
    from .reader import Rlds

FLAGS = {"is_first": 0, "is_last": -1}
STEPS = 16  # decoded at once


def findings(rlds: "Rlds") -> Iterator[Finding]:
    """Missing files, counts against the metadata, checksums, and every value decoded; goes on after each."""
    where = rlds.layout
    info, tree = str(where.root.path / INFO), str(where.root.path / TREE)
    if not where.told:
        yield Finding("warning", f"there is no {INFO}: splits and shards are what names of files say", info)
    for name in where.missing:
        yield Finding("error", "the shard is announced and not there", str(where.root.path / name))
    for name in where.strays:
        yield Finding("warning", f"the shard is not announced in {INFO}", str(where.root.path / name))
    for leaf in [*rlds.steps.values(), *rlds.apart.values()]:
        if leaf.form == "unknown":
            yield Finding("warning", leaf.said, tree, None, leaf.key)
        names = rlds.labels.get(leaf.key.removeprefix("steps/"))
        if leaf.labels and names is not None and len(names) != leaf.labels:
            yield Finding("warning", f"has {len(names)} labels, and {TREE} says {leaf.labels}", tree, None, leaf.key)
    total = dict.fromkeys(where.sizes, 0)
    whole = set(where.sizes)
    for k, shard in enumerate(rlds.shards):
        try:
            yield from _shard(rlds, shard)
        except DataError as error:
            yield finding_of(error)
            whole.discard(shard.split)
            continue
        for index in range(rlds.ends[k], rlds.ends[k + 1]):
            size = 0
            for found in _episode(rlds, index):
                if isinstance(found, int):
                    size = found
                else:
                    yield found
            total[shard.split] = total.get(shard.split, 0) + size
    split_there = {shard.split for shard in where.shards} - {s.split for s in where.shards if not s.there}
    for name in sorted(whole & split_there):
        if where.sizes[name] not in (0, total[name]):
            said = f"says {where.sizes[name]} bytes for {name!r}, and its records have {total[name]}"
            yield Finding("warning", said, info)


def _shard(rlds: "Rlds", shard: Shard) -> Iterator[Finding]:
    path = rlds.path(shard)
    count, trouble = rlds.container.count(path), rlds.container.trouble(path)
    if trouble is not None:
        yield Finding("error", trouble, str(path))
    if shard.count is not None and count != shard.count:
        yield Finding("error", f"has {count} records, and {INFO} says {shard.count}", str(path))


def _episode(rlds: "Rlds", index: int) -> Iterator[Finding | int]:
    """What is wrong with one episode, and the bytes of its record."""
    try:
        episode = rlds.episode(index)
        record = rlds.record(index, check=False)
    except DataError as error:
        yield finding_of(error)
        return
    yield len(record.data())
    place = (str(record.path), record.name)
    known = {leaf.key for leaf in [*rlds.steps.values(), *rlds.apart.values()]}
    for key in record.features:
        parts = ("/ragged_", "/value", "/shape")
        if key not in known and not any(key.startswith(name) and key[len(name) :].startswith(parts) for name in known):
            yield Finding("warning", f"the record has a feature that {TREE} has not", *place, key)
    yield from _values(episode, place)


def _values(episode: Episode, place: tuple[str, Any]) -> Iterator[Finding]:
    for name, stream in episode.items():
        if stream.kind == "event" and stream.codec is None and stream.dtype == object and stream.shape == ():
            continue  # of an unknown kind, which was told once
        try:
            for start in range(0, max(len(stream), 1), STEPS):
                stream.read(slice(start, start + STEPS))
        except DataError as error:
            yield finding_of(error)
            continue
        if name in FLAGS and len(stream) and stream.dtype == bool:
            wrong = np.flatnonzero(stream.read())
            wrong = wrong[wrong != (FLAGS[name] % len(stream))]
            if wrong.size:
                yield Finding("warning", f"{name} is set at steps {wrong[:5].tolist()} of {len(stream)}", *place, name)
    for key in episode.meta:
        try:
            episode.meta[key]
        except DataError as error:
            yield finding_of(error)
    try:
        _ = episode.language
    except DataError as error:
        yield finding_of(error)


__all__ = ["findings"]
