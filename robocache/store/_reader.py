"""A store as a dataset, so that everything that takes datasets takes stores."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets import Dataset, Episode, Finding, Source, Stream, StreamSpec, Timing, Values
from ..datasets._faults import faults
from ..datasets.model import Episodes
from ..datasets.streams import INDEX, Picked, Range, listed
from ._layout import TIMES
from ._pictures import decode
from ._shard import Shard
from ._store import Store


def open_as_dataset(path: Path, *, control_hz: float | None, verify: bool) -> Dataset:
    """The store at a path; a stream with gaps has a stream ``<name>.valid`` beside it."""
    store = Store(path)
    rate = store.rate if control_hz is None else control_hz
    index = store.index

    def findings() -> Iterator[Finding]:
        yield from store.faults()

    gaps = [name for name in store.streams if name in store.gaps]
    specs = dict(store.streams) | {mask_name(n, store): _mask(n, store) for n in gaps}
    return Dataset(
        format="store", name=store.name, path=path, splits=index.splits, specs=specs,
        episodes=Episodes(len(store.lengths), lambda at: _episode(store, at, rate, verify)),
        lengths=lambda: store.lengths, findings=findings, control_hz=rate,
        control_hz_origin="user" if control_hz is not None else index.rate_origin if rate is not None else None,
        action=index.action, closing=store.close,
        meta={"pipeline": index.pipeline, "source": index.source, "fingerprint": index.fingerprint},
    )  # fmt: skip


def mask_name(name: str, store: Store) -> str:
    """Of the stream that says where another is valid."""
    made = f"{name}.valid"
    while made in store.streams:
        made += "_"
    return made


def _mask(name: str, store: Store) -> StreamSpec:
    return StreamSpec(mask_name(name, store), "event", (), np.dtype(bool))


def _episode(store: Store, number: int, rate: float | None, verify: bool) -> Episode:
    shard, at = store.place(number)
    kept = shard.head.episodes[at]
    place = {"file": str(shard.path), "episode": kept.id}
    first, last = int(shard.firsts[at]), int(shard.firsts[at + 1])
    if verify and shard.has(TIMES, "times"):
        shard.check(TIMES, at)
    with faults(ValueError, OverflowError, file=shard.path, episode=kept.id, doing="has stamps that cannot be"):
        stamps = shard.part(TIMES, "times")[first:last] if kept.clock != INDEX and shard.has(TIMES, "times") else None
        timing = Timing(kept.steps, kept.clock, stamps, None if stamps is not None else rate, kept.start)
    streams = {}
    for name, spec in store.streams.items():
        streams[name] = Stream(spec, timing, Stored(shard, name, at, verify), lambda: place)
        if name in store.gaps:
            mask = shard.part(name, "valid")[first:last]
            source = Values(partial(_checked, shard, name, at, verify, mask))
            beside = _mask(name, store)
            streams[beside.name] = Stream(beside, timing, source, lambda: place)
    meta = kept.meta | ({"left_out": kept.left_out} if kept.left_out else {})
    return Episode(kept.id, streams, length=kept.steps, language=partial(store.language, number), meta=meta)


def _checked(shard: Shard, name: str, at: int, verify: bool, values: Any) -> Any:
    if verify:
        shard.check(name, at)
    return values


class Stored(Source):
    """The samples of a stream in an episode of a shard."""

    def __init__(self, shard: Shard, name: str, at: int, verify: bool) -> None:
        self.shard, self.name, self.at, self.verify = shard, name, at, verify
        self.first, self.last = int(shard.firsts[at]), int(shard.firsts[at + 1])
        self.spec = shard.head.streams[name]
        self.place: dict[str, Any] = {"file": shard.path, "episode": shard.head.episodes[at].id, "key": name}

    def take(self, at: Picked) -> Any:
        """Decoded samples; those of plain numbers that follow one another are a view of the file."""
        if self.spec.codec is None:
            own = self.shard.part(self.name, "values")[self.first : self.last]
            return _checked(self.shard, self.name, self.at, self.verify, own)[at]
        steps = self.first + listed(at)
        index = self.shard.part(self.name, "index")[steps]
        _, firsts, places = np.unique(index, return_index=True, return_inverse=True)
        dct = self.shard.head.dct.get(self.name, "fast")
        return decode(self.spec, dct, self._bytes(steps[firsts]), **self.place)[places]

    def encoded(self, at: Picked) -> list[bytes]:
        """Pictures as they are in the file."""
        if self.spec.codec is None:
            return super().encoded(at)
        return [bytes(data) for data in self._bytes(self.first + listed(at))]

    def _bytes(self, steps: Any) -> list[memoryview]:
        _checked(self.shard, self.name, self.at, self.verify, None)
        return self.shard.pictures(self.name, steps)

    def ranges(self, at: Picked) -> list[Range] | None:
        """Where they lie."""
        if self.spec.codec is None:
            return None
        start = self.shard.head.start + self.shard.head.blobs[self.name, "data"].offset
        base = int(self.shard.part(self.name, "data").ctypes.data)
        found = []
        for data in self._bytes(self.first + listed(at)):
            begin = np.frombuffer(data, np.uint8).ctypes.data - base if len(data) else 0
            found.append(Range(str(self.shard.path), start + int(begin), len(data), str(self.spec.codec)))
        return found


__all__ = ["open_as_dataset"]
