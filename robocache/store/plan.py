"""What is to be done, written down before it is done: one plan, any number of processes, the same bytes.

`make_plan` looks at a source, `run_shard` makes one shard of it, `finish` puts them together. `robocache.store.convert`
calls the three; so may anything that hands out work to machines that share a folder.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from math import ceil
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .._core.errors import ArgumentError, BackendError, DataError
from ..datasets import Dataset, open_dataset
from ..datasets._faults import fault, faults
from ..datasets._files import Root, read_json
from ._index import FILE, sealed
from ._inputs import inputs, listing
from ._layout import canonical, spec_fields
from ._probe import probe
from ._shard import Shard
from ._store import fingerprint
from ._writing import ShardWriting, Unwritable, atomic, plain
from .pipeline import Way, align_episode

PLAN, FAILURES, VERSION = "plan.json", "failures.json", 1
UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30}


@dataclass(frozen=True)
class Plan:
    """A conversion. ``fields`` is what ``plan.json`` holds.

    Attributes
    ----------
    digest : str
        Every shard carries it: one that does was made by this plan.
    shards : sequence of list of int
        Positions of the episodes of each.
    """

    fields: Mapping[str, Any]

    @cached_property
    def digest(self) -> str:
        """Of everything that the plan says."""
        return sha256(canonical(self.fields)).hexdigest()

    @cached_property
    def ways(self) -> dict[str, Way]:
        """What is done with each stream."""
        return {name: Way.of(name, told) for name, told in self.fields["ways"].items()}

    @property
    def shards(self) -> Sequence[Sequence[int]]:
        """Positions of the episodes of each."""
        found: Sequence[Sequence[int]] = self.fields["shards"]
        return found

    def open(self) -> Dataset:
        """The source. Raises DataError if it is not as it was."""
        fields = self.fields
        if listing(inputs(Path(fields["source"]))) != fields["inputs"]:
            raise fault(
                "has changed since the conversion was planned; begin anew in another folder", file=fields["source"]
            )
        return open_dataset(fields["source"], **fields["opening"])

    def write(self, folder: Path) -> None:
        """As ``plan.json``."""
        atomic(folder / PLAN, [json.dumps(self.fields, indent=1, ensure_ascii=False).encode("utf-8")])

    @classmethod
    def read(cls, folder: str | os.PathLike[str]) -> "Plan":
        """From ``plan.json``."""
        path = Root(folder).file(PLAN)
        fields = read_json(path)
        if type(fields.get("version")) is not int or fields["version"] > VERSION:
            raise fault(
                f"is a plan of version {fields.get('version')!r:.20}, known {VERSION}; update robocache", file=path
            )
        plan = cls(fields)
        with faults(KeyError, TypeError, AttributeError, ValueError, file=path, doing="is no plan"):
            _ = plan.ways, [[int(at) for at in shard] for shard in plan.shards], fields["inputs"], fields["source"]
        return plan


def make_plan(
    src: str | os.PathLike[str], *, rate: float | None = None, streams: Any = None, images: str = "keep",
    resize: Sequence[int] | None = None, shard: str | int = "64MB", episodes: Sequence[int] | None = None,
    opening: Mapping[str, Any] | None = None,
) -> Plan:  # fmt: skip
    """Look at a source and write down what `run_shard` will do; see `convert` for the arguments.

    Parameters
    ----------
    opening : mapping, optional
        Of `open_dataset`: ``format``, ``split``, ``control_hz`` and options of the format.
    """
    limit = size_of(shard)
    if rate is not None and not 0 < rate < float("inf"):
        raise ArgumentError(f"rate: expected hertz, got {rate!r}")
    source = Path(os.path.abspath(src))
    given = plain(dict(opening or {}))
    with open_dataset(source, **given) as dataset:
        positions = _positions(episodes, len(dataset))
        found = probe(dataset, positions, rate, streams, images, resize)
        sizes = _sizes(dataset, positions, found.bytes, rate, found.ways)
        action = dataset.action
        fields = {
            "version": VERSION, "source": str(source), "opening": given, "inputs": listing(inputs(source)),
            "format": dataset.format, "name": dataset.name, "rate": None if rate is None else float(rate),
            "steps_hz": rate if rate is not None else dataset.control_hz, "timed": found.timed,
            "rate_origin": "user" if rate is not None else dataset.control_hz_origin,
            "images": images, "ways": {name: way.fields() for name, way in found.ways.items()},
            "notes": found.notes, "shards": list(_cut(positions, sizes, limit)),
            "splits": {name: [int(at) for at in part] for name, part in dataset.splits.items()},
            "action": None if action is None else plain(dict(vars(action))),
        }  # fmt: skip
    # As it will be read back: tuples are lists, names are text.
    return Plan(json.loads(json.dumps(fields)))


def size_of(text: str | int) -> int:
    """Bytes, from a number or such as "64MB"."""
    if isinstance(text, str):
        number = text.rstrip("BkMGKi ")
        unit = text[len(number) :].strip()
        size = int(float(number) * UNITS[unit]) if unit in UNITS and number.replace(".", "", 1).isdigit() else 0
    else:
        size = text
    if isinstance(size, bool) or not isinstance(size, int) or size < 1:
        raise ArgumentError(f"shard: expected bytes, or such as '64MB', got {text!r}")
    return size


def _positions(episodes: Sequence[int] | None, count: int) -> list[int]:
    if not count:
        raise ArgumentError("src: it holds no episode")
    found = list(range(count)) if episodes is None else [int(at) for at in episodes]
    if not found or len(set(found)) != len(found) or not all(0 <= at < count for at in found):
        raise ArgumentError(f"episodes: expected positions from 0 to {count - 1}, each once, got {episodes!r:.200}")
    return found


def _sizes(
    dataset: Dataset, positions: list[int], each: float, rate: float | None, ways: Mapping[str, Way]
) -> list[float]:
    """Estimated bytes of episodes: their steps times those of one. Only where shards are cut depends on it."""
    try:
        lengths: Any = dataset.lengths()
        pace = 1.0 if rate is None or not dataset.control_hz else rate / dataset.control_hz
        return [ceil(int(lengths[at]) * pace) * each for at in positions]
    except (ArgumentError, DataError):  # a log, or an episode that cannot be counted: they are opened one by one
        return [_samples(dataset, at, ways) * each for at in positions]


def _samples(dataset: Dataset, at: int, ways: Mapping[str, Way]) -> int:
    try:
        episode = dataset[at]
    except DataError:  # said when it is converted
        return 0
    return max((len(episode[name]) for name in ways if name in episode), default=0)


def _cut(positions: list[int], sizes: list[float], limit: int) -> Iterator[list[int]]:
    """Episodes of a shard, in order: as many as fit, one at least."""
    taken: list[int] = []
    size = 0.0
    for at, more in zip(positions, sizes, strict=True):
        if taken and size + more > limit:
            yield taken
            taken, size = [], 0.0
        taken.append(at)
        size += more
    yield taken


def shard_name(number: int) -> str:
    """Of a file."""
    return f"shard-{number:05d}.rcs"


def is_done(plan: Plan, folder: Path, number: int, on_error: str = "skip") -> bool:
    """Whether a shard is there, made by this plan, with every byte as it was written."""
    path = folder / shard_name(number)
    if not path.exists():
        return False
    try:
        shard = Shard(path)
    except DataError:
        return False
    head = shard.head
    mine = (head.plan, head.number) == (plan.digest, number) and (on_error == "skip" or not head.failed)
    return mine and next(shard.faults(), None) is None


def run_shard(
    plan: Plan, folder: str | os.PathLike[str], number: int, *, on_error: str = "skip", dataset: Dataset | None = None
) -> None:
    """Make a shard, unless it is there.

    Parameters
    ----------
    plan : Plan
    folder : path
        Of the store.
    number : int
    on_error : {"skip", "raise"}
        Whether an episode that cannot be converted is left out and put on the list, or ends it.
    dataset : Dataset, optional
        The source, where the caller has it open.
    """
    if not is_done(plan, Path(folder), number, on_error):
        write_shard(plan, folder, number, on_error=on_error, dataset=dataset)


def write_shard(
    plan: Plan, folder: str | os.PathLike[str], number: int, *, on_error: str = "skip",
    dataset: Dataset | None = None, left_out: Mapping[int, str] = MappingProxyType({}),
    at: Callable[[int | None], None] = lambda position: None,
) -> None:  # fmt: skip
    """Make a shard, in the place of one that may be there.

    Parameters
    ----------
    plan, folder, number, on_error, dataset
        As in `run_shard`.
    left_out : mapping of int to str, optional
        Positions of episodes that are not even tried, and why; they go on the list.
    at : function, optional
        Is told the position of each episode before it is begun, and None after the last.
    """
    target = Path(folder)
    source = plan.open() if dataset is None else dataset
    work = ShardWriting(target, plan.ways, plan.fields["timed"], plan.fields["rate"] is not None)
    try:
        for position in plan.shards[number]:
            ident: Any = None
            if position in left_out:
                work.failed.append(_failure(position, ident, BackendError(left_out[position])))
                continue
            at(position)
            try:
                episode = source[position]
                ident = episode.id if isinstance(episode.id, str) else int(episode.id)
                one = align_episode(episode, plan.ways, plan.fields["rate"], source.path)
                work.add(position, one, source.path)
            except (Unwritable, BackendError):  # a full disk, a library that is missing: no episode is to blame
                raise
            except Exception as error:
                if on_error == "raise":
                    raise
                work.failed.append(_failure(position, ident, error))
        at(None)
        work.finish(target / shard_name(number), plan.digest, number)
    finally:
        work.close()
        if dataset is None:
            source.close()


def _failure(position: int, ident: Any, error: Exception) -> dict[str, Any]:
    return {"position": position, "id": ident, "type": type(error).__name__, "message": str(error)}


def finish(plan: Plan, folder: str | os.PathLike[str]) -> list[dict[str, Any]]:
    """Write ``store.json`` and ``failures.json`` when every shard is there; the failures. Raises DataError if not."""
    target = Path(folder)
    shards = [Shard(target / shard_name(number)) for number in range(len(plan.shards))]
    heads = [shard.head for shard in shards]
    for shard, head in zip(shards, heads, strict=True):
        if head.plan != plan.digest:
            raise fault("was made by another plan", file=shard.path)
    failed = [failure for head in heads for failure in head.failed]
    kept = [episode for head in heads for episode in head.episodes]
    where = {episode.position: k for k, episode in enumerate(kept)}
    fields = plan.fields
    told = {
        "name": fields["name"], "fingerprint": fingerprint(heads), "plan": plan.digest, "rate": fields["steps_hz"],
        "rate_origin": fields["rate_origin"], "action": fields["action"],
        "streams": {name: spec_fields(way.spec) for name, way in plan.ways.items()},
        "shards": [
            {"file": shard.path.name, "bytes": h.size, "episodes": len(h.episodes), "steps": h.steps}
            for shard, h in zip(shards, heads, strict=True)
        ],
        "ids": [episode.id for episode in kept], "lengths": [episode.steps for episode in kept],
        "splits": {name: [where[at] for at in part if at in where] for name, part in fields["splits"].items()},
        "pipeline": {key: fields[key] for key in ("rate", "images", "ways", "notes")},
        "source": {key: fields[key] for key in ("source", "format", "inputs")} | {"failed": len(failed)},
    }  # fmt: skip
    listed = {"format": "robocache failures", "plan": plan.digest, "failures": failed}
    atomic(target / FAILURES, [json.dumps(listed, indent=1, ensure_ascii=False).encode("utf-8")])
    atomic(target / FILE, [sealed(told)])
    return failed


__all__ = ["FAILURES", "PLAN", "Plan", "finish", "is_done", "make_plan", "run_shard", "shard_name"]
