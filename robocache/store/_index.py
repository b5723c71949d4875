"""``store.json``: what a store holds, written last; without it there is no store."""

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets import ActionSpec, StreamSpec
from ..datasets._faults import fault, faults
from ..datasets._files import Root, read_json
from ..datasets._sniffs import STORE_FILE, STORE_MARK
from ._layout import _ident, canonical, spec_of, whole

FILE, MARK, VERSION = STORE_FILE, STORE_MARK, 1


@dataclass(frozen=True)
class Part:
    """A shard, as the index tells of it; ``sum`` is the checksum of its header."""

    file: str
    size: int
    episodes: int
    steps: int


@dataclass(frozen=True)
class Index:
    """What ``store.json`` says, checked; the attributes are those of `robocache.store.Store`."""

    name: str
    fingerprint: str
    plan: str
    rate: float | None
    rate_origin: str | None
    streams: Mapping[str, StreamSpec]
    parts: tuple[Part, ...]
    ids: tuple[int | str, ...]
    lengths: tuple[int, ...]
    splits: Mapping[str, tuple[int, ...]]
    action: ActionSpec | None
    pipeline: Mapping[str, Any]
    source: Mapping[str, Any]


def sealed(fields: Mapping[str, Any]) -> bytes:
    """The file of these fields, with a checksum over them."""
    text = canonical(fields)
    return b'{"format":"%s","version":%d,"crc32":%d,"store":%s}\n' % (MARK.encode(), VERSION, zlib.crc32(text), text)


def unsealed(path: Path) -> dict[str, Any]:
    """Those fields again. Raises DataError if they are not what was written."""
    told = read_json(path)
    if told.get("format") != MARK:
        raise fault("is no index of a store: it does not say so", file=path)
    if type(told.get("version")) is not int or told["version"] > VERSION:
        version = told.get("version")
        raise fault(
            f"was written by a newer version (format {version!r:.20}, known {VERSION}); update robocache", file=path
        )
    fields = told.get("store")
    with faults(ValueError, RecursionError, file=path):
        right = isinstance(fields, dict) and zlib.crc32(canonical(fields)) == told.get("crc32")
    if not isinstance(fields, dict) or not right or set(told) != {"format", "version", "crc32", "store"}:
        raise fault("its checksum differs", file=path)
    return fields


def read_index(root: Root) -> Index:
    """The index of a store. Raises DataError for whatever does not add up."""
    path = root.at(FILE)
    if not path.is_file():
        raise fault("there is none: this is no store, or one whose conversion has not ended", file=path)
    told = unsealed(path)
    kinds = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
    with faults(*kinds, file=path, doing="cannot be"):
        return _checked(told)


def _checked(told: dict[str, Any]) -> Index:
    parts = tuple(
        Part(str(p["file"]), whole(p["bytes"]), whole(p["episodes"]), whole(p["steps"])) for p in told["shards"]
    )
    ids, lengths = tuple(map(_ident, told["ids"])), tuple(map(whole, told["lengths"]))
    if not len(ids) == len(lengths) == sum(part.episodes for part in parts) or sum(lengths) >= 1 << 62:
        raise ValueError(f"{len(ids)} names and {len(lengths)} lengths of {sum(p.episodes for p in parts)} episodes")
    splits = {str(n): tuple(whole(at, len(ids) - 1) for at in split) for n, split in told["splits"].items()}
    rate, action = told["rate"], told["action"]
    if rate is not None and not (isinstance(rate, int | float) and 0 < rate < float("inf")):
        raise ValueError(f"a rate of {rate!r:.40}")
    if action is not None:
        gripper = action["gripper"]
        action = ActionSpec(**action | {"gripper": None if gripper is None else tuple(gripper)})
    return Index(
        str(told["name"]), str(told["fingerprint"]), str(told["plan"]), None if rate is None else float(rate),
        told["rate_origin"], {name: spec_of(name, one) for name, one in told["streams"].items()}, parts, ids, lengths,
        splits, action, dict(told["pipeline"]), dict(told["source"]),
    )  # fmt: skip


__all__ = ["FILE", "Index", "Part", "read_index", "sealed", "unsealed"]
