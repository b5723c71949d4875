"""A store that is open: steps of all its episodes at random."""

import os
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, DTypeError, PositionError, ShapeError
from ..datasets import Finding, Span, StreamSpec
from ..datasets._faults import fault
from ..datasets._files import Root
from ._index import FILE, Index, read_index
from ._layout import TIMES, Head, canonical, row_bytes, spec_fields
from ._shard import Shard

VERIFY = ("header", "full")


class Store:
    r"""A random-access cache of episodes, made by `convert`; a source for a loader.

    Attributes
    ----------
    path : Path
    name : str
    fingerprint : str
        Hexadecimal; it changes when what is stored or its layout changes.
    streams : mapping of str to StreamSpec
        Codec None: plain numbers, for `gather`. ``"jpeg"``, ``"png"``, ``"utf-8"``: bytes, for `encoded`.
    offsets : array of int64 (episode + 1,)
        The first step of each episode, counted through all of them.
    lengths : array of int64 (episode,)
    rate : float or None
        Hertz of the steps, if known.
    gaps : frozenset of str
        Streams that are not valid at every step.

    Notes
    -----
    Nothing is read before it is asked for. Threads may share a store, forked processes too; a pickled one is opened
    again. No array that is handed out can be written to the files.
    """

    def __init__(self, path: str | os.PathLike[str], verify: str = "header") -> None:
        if verify not in VERIFY:
            raise ArgumentError(f"verify: expected one of {VERIFY}, got {verify!r}")
        self.path, root = Path(path), Root(path)
        self.index: Index = read_index(root)
        self.verify = verify
        self.name, self.fingerprint, self.rate = self.index.name, self.index.fingerprint, self.index.rate
        self.streams: Mapping[str, StreamSpec] = MappingProxyType(dict(self.index.streams))
        self.lengths = np.array(self.index.lengths, np.int64)
        self.offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(self.lengths, dtype=np.int64)])
        self.shards: tuple[Shard, ...] = tuple(Shard(root.file(part.file)) for part in self.index.parts)
        self._agree()
        self.starts = np.cumsum([0, *(part.steps for part in self.index.parts)], dtype=np.int64)
        self._first = np.cumsum([0, *(part.episodes for part in self.index.parts)], dtype=np.int64)
        self.gaps = frozenset[str]().union(*(shard.head.gaps for shard in self.shards))
        self._bases: dict[tuple[str, str], Any] = {}
        if verify == "full":
            for finding in self.faults():
                raise fault(finding.message, file=finding.file, episode=finding.episode, key=finding.key)

    def _agree(self) -> None:
        """Shards are those that the index tells of."""
        heads = [shard.head for shard in self.shards]
        for shard, part in zip(self.shards, self.index.parts, strict=True):
            head = shard.head
            told = (part.size, part.episodes, part.steps, self.index.plan, dict(self.streams))
            if (head.size, len(head.episodes), head.steps, head.plan, dict(head.streams)) != told:
                raise fault(f"is not the shard that {FILE} tells of", file=shard.path)
            if set(head.blobs) != set(heads[0].blobs) or head.dct != heads[0].dct:
                raise fault("has other parts than the first shard", file=shard.path)
        kept = [(episode.id, episode.steps) for head in heads for episode in head.episodes]
        if kept != list(zip(self.index.ids, self.index.lengths, strict=True)) or fingerprint(heads) != self.fingerprint:
            raise fault("tells of other episodes than the shards hold", file=self.path / FILE)

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        r"""Samples of a stream of plain numbers.

        Parameters
        ----------
        name : str
        rows : array of int64, any shape
            Steps, counted through all episodes; in any order, repeats allowed.
        out : array, optional
            C-contiguous, of the result's shape and type; written and returned.

        Returns
        -------
        array (\*rows.shape, \*shape)

        Raises
        ------
        ArgumentError
            No such stream, or one that is encoded.
        PositionError
            A row that is not there; negative ones do not count from the end.
        DTypeError, ShapeError
            ``rows`` or ``out`` of another type or shape.
        """
        spec = self._spec(name)
        if spec.codec is not None:
            raise ArgumentError(f"name: {name!r} is stored as {spec.codec}; ask encoded() for its bytes")
        return self._copy(name, "values", spec.dtype, tuple(int(n or 0) for n in spec.shape), rows, out)

    def encoded(self, name: str, rows: Any) -> list[memoryview]:
        """The bytes of a stream with a codec at steps (1-D), not copied."""
        spec = self._spec(name)
        if spec.codec is None:
            raise ArgumentError(f"name: {name!r} holds plain numbers; ask gather() for them")
        at = _steps(rows, int(self.offsets[-1]))
        if at.ndim != 1:
            raise ShapeError(f"rows: expected a 1-D array, got {at.shape}")
        parts = np.searchsorted(self.starts, at, side="right") - 1
        found: list[Any] = [None] * len(at)
        for part in np.unique(parts):
            (where,) = np.nonzero(parts == part)
            got = self._open()[part].pictures(name, at[where] - self.starts[part])
            for k, data in zip(where.tolist(), got, strict=True):
                found[k] = data
        return found

    def valid(self, name: str, rows: Any) -> NDArray[np.bool_] | None:
        """Whether the samples at steps are real, of the shape of ``rows``; None for a stream that always is."""
        self._spec(name)
        return self._copy(name, "valid", np.dtype(bool), (), rows, None) if name in self.gaps else None

    def times(self, rows: Any) -> NDArray[np.int64]:
        """Int64 nanoseconds of steps, of the shape of ``rows``. Raises DataError where not even a rate was known."""
        if not all(shard.has(TIMES, "times") for shard in self._open()):
            raise fault("has no stamps: its source had no rate; say control_hz= when it is converted", file=self.path)
        return self._copy(TIMES, "times", np.dtype(np.int64), (), rows, None)

    def episode(self, number: int) -> int | str:
        """The name that an episode has in its source."""
        if not 0 <= number < len(self.lengths):
            raise PositionError(f"number: {number} is none of the {len(self.lengths)} episodes")
        return self.index.ids[number]

    def language(self, number: int) -> list[Span]:
        """Instructions of an episode, with its steps that they hold for."""
        shard, at = self.place(number)
        return [Span(*span) for span in shard.head.episodes[at].language]

    def dct(self, name: str) -> str:
        """How JPEG of a stream is to be decoded, as `robocache.datasets` has it: "fast" or "accurate"."""
        return next((shard.head.dct[name] for shard in self._open() if name in shard.head.dct), "fast")

    def export_zarr(self, path: str | os.PathLike[str], **options: Any) -> list[str]:
        """Write a ReplayBuffer; see `robocache.store.export_zarr`."""
        from ._zarr import export_zarr

        return export_zarr(self, path, **options)

    def place(self, number: int) -> tuple[Shard, int]:
        """The shard of an episode, and which of its episodes it is."""
        part = int(np.searchsorted(self._first, number, side="right")) - 1
        return self._open()[part], number - int(self._first[part])

    def faults(self) -> Iterator[Finding]:
        """Everything whose checksum differs."""
        for shard in self._open():
            yield from shard.faults()

    def _open(self) -> tuple[Shard, ...]:
        if not self.shards and len(self.index.parts):
            raise ArgumentError(f"{self.path}: the store was closed")
        return self.shards

    def _spec(self, name: str) -> StreamSpec:
        if name not in self.streams:
            raise ArgumentError(f"name: {name!r} is not there; there are {list(self.streams)}")
        return self.streams[name]

    def _copy(self, name: str, part: str, dtype: Any, shape: tuple[int, ...], rows: Any, out: Any) -> Any:
        from ..cpu.mapped import gather

        held = self._open()  # while the kernel runs its memory stays, whoever closes the store
        at = _steps(rows, None)
        wanted = (*at.shape, *shape)
        if out is None:
            out = np.empty(wanted, dtype)
        elif not isinstance(out, np.ndarray) or out.dtype != dtype:
            raise DTypeError(f"out: expected an array of {dtype}, got {getattr(out, 'dtype', type(out).__name__)}")
        elif out.shape != wanted or not out.flags.c_contiguous or not out.flags.writeable:
            raise ShapeError(f"out: expected a writable C-contiguous array of {wanted}, got {out.shape}")
        key = name, part
        bases = self._bases.get(key)
        if bases is None:
            bases = self._bases[key] = np.array([shard.address(name, part) for shard in held], np.int64)
        row = row_bytes(self.streams[name]) if part == "values" else dtype.itemsize
        gather(self.starts, bases, row, at, out)
        return out

    def close(self) -> None:
        """Let go of the files; arrays that were handed out stay."""
        self.shards = ()
        self._bases = {}

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> Any:
        return _again, (os.fspath(self.path), self.fingerprint)

    def __repr__(self) -> str:
        steps = int(self.offsets[-1])
        return f"Store({self.name!r}, {len(self.lengths)} episodes, {steps} steps, rate={self.rate})"


def open_store(path: str | os.PathLike[str], verify: str = "header") -> Store:
    """Open a store.

    Parameters
    ----------
    path : path
        Its folder.
    verify : {"header", "full"}
        Whether to read all and compare every checksum too. Headers always are checked.

    Raises
    ------
    DataError
        It is no store, its conversion has not ended, a newer version wrote it, or it is damaged; ``file``, ``episode``
        and ``key`` say where.
    """
    return Store(path, verify)


def fingerprint(heads: list[Head]) -> str:
    """Of what shards hold: specifications, lengths and checksums, wherever it came from."""
    digest = sha256()
    for head in heads:
        blobs = [[*key, *blob] for key, blob in head.blobs.items()]
        streams = {name: spec_fields(spec) for name, spec in head.streams.items()}
        kept = [[*episode] for episode in head.episodes]
        told = canonical([streams, dict(head.dct), sorted(head.gaps), kept, blobs])
        digest.update(len(told).to_bytes(8, "little") + told)
    return digest.hexdigest()


def _steps(rows: Any, count: int | None) -> NDArray[np.int64]:
    """Rows as contiguous int64, within ``count`` if it is given."""
    at = np.asarray(rows)
    if at.dtype.kind not in "iu" and at.size:
        raise DTypeError(f"rows: expected integers, got {at.dtype}")
    at = np.ascontiguousarray(at, np.int64).reshape(at.shape)
    if count is not None and at.size and not 0 <= int(at.min()) <= int(at.max()) < count:
        raise PositionError(f"rows: {int(at.min())} to {int(at.max())} are not all within the {count} steps")
    return at


def _again(path: str, known: str) -> Store:
    store = Store(path)
    if store.fingerprint != known:
        raise fault("is another store than the one that was pickled", file=path)
    return store


__all__ = ["Store", "fingerprint", "open_store"]
