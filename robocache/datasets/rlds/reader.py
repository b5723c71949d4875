"""Opens RLDS datasets as TFDS stores them: Open X-Embodiment, BridgeData V2, DROID."""

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core.errors import ArgumentError, DataError
from .._faults import fault, faults
from .._files import Root, read_json
from .._images import DCT
from .._kept import Kept
from ..facts import Finding, Span
from ..model import Dataset, Episode, Episodes
from ..streams import Stream, Timing
from . import _language
from ._layout import TREE, Layout, Shard, layout
from ._record import Record, counters
from ._shards import container
from ._sources import Feature, Meta, absent, column_place
from ._tree import leaves
from ._varints import Damaged
from .known import Known, lookup

LABELS = 16 << 20  # bytes that a file of labels may have


def open_rlds(
    path: Path, *, control_hz: float | None = None, verify: bool = True, dct: str = "fast",
    language: Sequence[str] | None = None, name: str | None = None, cache_bytes: int = 256 << 20,
    root: Root | None = None,
) -> Dataset:  # fmt: skip
    """Open an RLDS dataset; reached by `robocache.datasets.open_dataset`.

    Parameters
    ----------
    path : Path
        The version folder, the folder of the dataset (its newest version is taken), or a folder with one dataset.
    control_hz : float, optional
        Steps a second, in place of what `register_dataset` knows of the dataset; RLDS itself does not store it.
    verify : bool
        Check the CRC-32C of an episode when it is first touched. Counting steps looks at every episode without.
    dct : {"fast", "accurate"}
        How JPEG is decoded: as TensorFlow does, to the bit, or as most other libraries do.
    language : sequence of str, optional
        Names of the features that ``Episode.language`` is made from, in place of those with the usual names.
    name : str, optional
        The dataset that this is, for `register_dataset`, where ``dataset_info.json`` has another name.
    cache_bytes : int
        Of records that stay in memory, half of them, and of the numbers in records; the last record stays however large
        it is. Records of array_record and parquet are unpacked whole: threads that go through episodes side by side
        need twice the bytes of all their episodes.
    root : Root, optional
        What brings shards when they are asked for; by default they are there.

    Returns
    -------
    Dataset
        Streams are named as below ``steps``, such as ``"observation/state"``; metadata as in the file, such as
        ``"episode_metadata/file_path"``. The clock is ``"index"``.
    """
    if dct not in DCT:
        raise ArgumentError(f"dct: expected one of {sorted(DCT)}, got {dct!r}")
    found = Rlds(layout(Path(path), Root(path) if root is None else root), control_hz, verify, dct, name, cache_bytes)
    found.language = found.instructions(language)
    return found.dataset()


class Rlds:
    """The parts of an open dataset."""

    def __init__(
        self, where: Layout, control_hz: float | None, verify: bool, dct: str, name: str | None, cache_bytes: int
    ) -> None:
        self.layout, self.verify, self.dct = where, verify, dct
        tree = where.root.file(TREE)
        found = [_language.spoken(leaf) for leaf in leaves(tree, read_json(tree))]
        self.steps = {leaf.key.removeprefix("steps/"): leaf for leaf in found if leaf.key.split("/")[0] == "steps"}
        self.apart = {leaf.key: leaf for leaf in found if leaf.key.split("/")[0] != "steps"}
        if not self.steps or not all(leaf.sequences for leaf in self.steps.values()):
            raise fault("has no sequence 'steps', so this is no RLDS", file=tree)
        self.counters = counters(list(self.steps.values()))
        self.specs = {name: leaf.spec(name) for name, leaf in self.steps.items()}
        self.container = container(where.form, verify, cache_bytes // 2)
        self.kept = Kept(cache_bytes // 2, lone=True)  # of numbers, and of where things lie in records
        self._paths: dict[str, Path] = {}
        self.language: list[str] = []
        self.shards = [shard for shard in where.shards if shard.there]
        self.ends = np.cumsum([0, *self._counts()]).tolist()
        self.episodes = Episodes(self.ends[-1], self.episode)
        self.rate, self.origin, self.known = self._rate(control_hz, name or where.name)

    def _counts(self) -> Iterator[int]:
        """Episodes of every shard; those that nothing tells are counted, and numbered in the order they are here."""
        seen: dict[str, int] = {}
        for shard in self.shards:
            count = shard.count if shard.count is not None else self.container.count(self.there(shard))
            if shard.count is None:
                shard.first = seen.get(shard.split, 0)
            seen[shard.split] = shard.first + count
            yield count

    def _rate(self, control_hz: float | None, name: str) -> tuple[float | None, str | None, Known | None]:
        known = lookup(name)
        if control_hz is not None:
            return control_hz, "user", known
        told = self.layout.root.at("metadata.json")
        rate = read_json(told).get("control_hz") if told.is_file() else None
        if rate is not None:
            if isinstance(rate, bool) or not isinstance(rate, (int, float)) or not 0 < rate < 1e9:
                raise fault(f"says control_hz {rate!r}", file=told)
            return float(rate), "file", known
        rate = known.control_hz if known else None
        return rate, "registry" if rate is not None else None, known

    def instructions(self, asked: Sequence[str] | None) -> list[str]:
        """Keys of the features that hold instructions."""
        if asked is None:
            return _language.instructions([*self.steps.values(), *self.apart.values()])
        every = {**self.steps, **self.apart}
        for name in [asked] if isinstance(asked, str) else asked:
            if name not in every or not _language.told(every[name]):
                raise ArgumentError(f"language: {name!r} is no feature that can hold instructions")
        return [every[name].key for name in ([asked] if isinstance(asked, str) else asked)]

    def path(self, shard: Shard) -> Path:
        """The file of a shard; always the same object, which is found faster than an equal one."""
        if shard.name not in self._paths:
            self._paths[shard.name] = self.layout.root.at(shard.name)
        return self._paths[shard.name]

    def there(self, shard: Shard) -> Path:
        """The file of a shard, which is there, and is the one that was listed."""
        return self.layout.root.here(self.path(shard))

    def locate(self, index: int) -> tuple[Shard, int]:
        """The shard of an episode, and its number in it."""
        at = bisect_right(self.ends, index) - 1
        return self.shards[at], index - self.ends[at]

    def name(self, index: int) -> str:
        """The id of an episode: its split, and its number there, counting those of shards that are not here too."""
        shard, at = self.locate(index)
        return f"{shard.split}/{shard.first + at}"

    def record(self, index: int, check: bool) -> Record:
        """The record of an episode."""
        shard, at = self.locate(index)
        path, name = self.there(shard), self.name(index)
        if check and self.verify and shard.count is not None and self.container.count(path) > shard.count:
            more = f"has {self.container.count(path)} records, and dataset_info.json says {shard.count}"
            raise fault(f"{more}; verify=False reads the first ones", file=path, episode=name)
        try:
            return Record(self.container, path, at, name, self.kept, check)
        except DataError as error:
            if error.episode is not None:
                raise
            raise fault(str(error).removeprefix(f"{error.file}: "), file=error.file, episode=name) from None

    def episode(self, index: int) -> Episode:
        """One episode, its record walked over."""
        record = self.record(index, check=True)
        length = record.steps(self.counters)
        timing = Timing(length, rate=self.rate)
        streams = {
            name: Stream(self.specs[name], timing, Feature(record, leaf, length, self.dct), record.where)
            for name, leaf in self.steps.items()
            if not (leaf.optional and absent(record, leaf))
        }
        meta = Meta(record, self.apart, self.dct)
        return Episode(
            self.name(index), streams, length=length, meta=meta,
            language=lambda: tuple(self._spans(record, streams, meta, length)),
        )  # fmt: skip

    def _spans(
        self, record: Record, streams: Mapping[str, Stream], meta: Meta, length: int
    ) -> Iterator[Span]:  # fmt: skip
        for key in self.language:
            name = key.removeprefix("steps/") if key not in self.apart else key
            with faults(UnicodeDecodeError, Damaged, **record.where(key)):
                if name in meta:
                    yield from _language.spans([meta[name]] * length, key)
                elif name in streams:
                    yield from _language.spans(streams[name].read(), name)

    def column(self, name: str, index: int) -> Any:
        """All samples of a feature of an episode, not to be changed; None for what is no table of numbers."""
        leaf = self.steps.get(name)
        if leaf is None or not leaf.tabular or leaf.optional:
            return None
        shard, at = self.locate(index)
        found = self.kept.find(column_place(self.path(shard), at, leaf))
        return self.episodes[index][name].source.column() if found is None else found

    def lengths(self) -> NDArray[np.int64]:
        """Steps of every episode, by a look at each."""
        return self._lengths

    @cached_property
    def _lengths(self) -> NDArray[np.int64]:
        counts = [self.record(k, check=False).steps(self.counters) for k in range(self.ends[-1])]
        return np.array(counts, np.int64)

    @cached_property
    def labels(self) -> dict[str, tuple[str, ...]]:
        """Names of the classes of every ClassLabel that has a file of them."""
        found = {}
        for leaf in [*self.steps.values(), *self.apart.values()]:
            if leaf.labels is not None:
                path = self.layout.root.at(f"{leaf.key.replace('/', '-')}.labels.txt")
                with faults(OSError, ValueError, file=path):
                    if path.is_file():
                        if path.stat().st_size > LABELS:
                            raise ValueError(f"is longer than {LABELS} bytes")
                        found[leaf.key.removeprefix("steps/")] = tuple(path.read_text("utf-8").splitlines())
        return found

    def dataset(self) -> Dataset:
        """What `open_dataset` returns."""
        where = self.layout
        meta = {
            "version": where.version, "file_format": where.form, "labels": self.labels,
            "missing_shards": where.missing,
            "description": where.info.get("description"), "citation": where.info.get("citation"),
        }  # fmt: skip
        return Dataset(
            format="rlds", name=where.name, path=where.root.path,
            episodes=self.episodes, columns=self.column, splits=Splits(self), specs=self.specs,
            lengths=self.lengths, findings=self.findings, control_hz=self.rate, control_hz_origin=self.origin,
            action=self.known.action if self.known else None, meta=meta, closing=self.container.close,
        )  # fmt: skip

    def findings(self) -> Iterator[Finding]:
        """See robocache.datasets.rlds._findings."""
        from ._findings import findings

        return findings(self)


class Splits(Mapping[str, Sequence[int]]):
    """Positions of the episodes of every split; one of which no shard is there is known, and asking for it raises."""

    def __init__(self, of: Rlds) -> None:
        self._root, self._all = of.layout.root.path, of.layout.splits
        self._missing = of.layout.missing
        self._ranges: dict[str, range] = {}
        for split in of.layout.splits:
            at = [k for k, shard in enumerate(of.shards) if shard.split == split]
            if at or not any(shard.split == split for shard in of.layout.shards):
                self._ranges[split] = range(of.ends[at[0]], of.ends[at[-1] + 1]) if at else range(0)

    def __getitem__(self, name: str) -> Sequence[int]:
        if name in self._all and name not in self._ranges:
            raise fault(f"the split {name!r} is announced, and none of its shards is there", file=self._root)
        return self._ranges[name]

    def __contains__(self, name: object) -> bool:
        return name in self._all

    def __iter__(self) -> Iterator[str]:
        return iter(self._ranges)

    def __len__(self) -> int:
        return len(self._ranges)

    def __repr__(self) -> str:
        return repr(self._ranges)


__all__ = ["Rlds", "open_rlds"]
