"""Writes shards: episodes one after another, each whole or not at all, and the file whole or not at all."""

import os
import secrets
import shutil
import sys
import tempfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import DataError
from ..datasets._faults import fault
from ..datasets.streams import Stream
from ._layout import TIMES, aligned, canonical, framed, spec_fields
from ._pictures import decode
from .pipeline import Aligned, Column, Way, at_once, gaps

IN_MEMORY = 16 << 20  # of a part, before it goes to a file
META_BYTES = 1 << 16  # of an entry of an episode's meta
PICTURES = 64  # encoded pictures at a time
LITTLE = sys.byteorder == "little"


class Unwritable(DataError):
    """The place that is written to is full or fails; no episode is to blame."""


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turn what the system says of a place that is written to into `Unwritable`."""
    try:
        yield
    except OSError as error:
        failure = Unwritable(f"{path}: cannot be written: {error.strerror or error}; what was finished stays, and the "
                             "same call goes on from there")  # fmt: skip
        failure.file = str(path)
        raise failure from error


def atomic(path: Path, parts: Iterable[Any]) -> None:
    """Write a file so that after any crash it is there whole or not at all."""
    work = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with writing(path):
            with open(work, "wb") as file:
                for part in parts:
                    if hasattr(part, "read"):
                        shutil.copyfileobj(part, file, 1 << 20)
                    else:
                        file.write(part)
                file.flush()
                os.fsync(file.fileno())
            os.replace(work, path)
            sync_folder(path.parent)
    except BaseException:
        work.unlink(missing_ok=True)
        raise


def sync_folder(path: Path) -> None:
    """Make sure that names in a folder outlive a crash."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Part:
    """The bytes of a blob, with the edge and the checksum of every episode."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file: Any = tempfile.SpooledTemporaryFile(IN_MEMORY, dir=str(folder))  # noqa: SIM115 - closed by close()
        self.cuts, self.sums = [0], list[int]()
        self.size, self._sum = 0, 0

    def add(self, data: Any) -> None:
        """More bytes of the episode that is being written."""
        self._sum = zlib.crc32(data, self._sum)
        self.size += len(data)
        with writing(self.folder):
            self.file.write(data)

    def end(self, whole: bool) -> None:
        """The episode is at its end; it stays if it is whole."""
        if whole:
            self.cuts.append(self.size)
            self.sums.append(self._sum)
        else:
            self.size = self.cuts[-1]
            with writing(self.folder):
                self.file.seek(self.size)
                self.file.truncate()
        self._sum = 0

    def close(self) -> None:
        """Let go of the bytes."""
        self.file.close()


class ShardWriting:
    """A shard that grows by episodes.

    Parameters
    ----------
    folder : Path
        What does not fit into memory waits there.
    ways : mapping of str to Way
    timed, fused : bool
        Whether steps have stamps, and samples a validity.
    """

    def __init__(self, folder: Path, ways: Mapping[str, Way], timed: bool, fused: bool) -> None:
        self.folder, self.ways, self.timed = folder, ways, timed
        names = [(name, part) for name, way in ways.items() for part in _parts(way, fused)]
        self.parts = {key: Part(folder) for key in names + ([(TIMES, "times")] if timed else [])}
        self.episodes: list[dict[str, Any]] = []
        self.failed: list[dict[str, Any]] = []
        self.gaps: set[str] = set()

    def add(self, position: int, one: Aligned, file: Any) -> None:
        """Write an episode; if it cannot be read, the shard is as it was before."""
        whole = False
        try:
            told = self._told(position, one)
            if self.timed:
                if one.times is None:
                    raise fault("has no stamps, and the first episode has", file=file, episode=one.episode.id)
                self.parts[TIMES, "times"].add(_bytes(one.times, np.dtype(np.int64)))
            for name, way in self.ways.items():
                self._stream(name, way, one, file)
            whole = True
        finally:
            for part in self.parts.values():
                part.end(whole)
        self.episodes.append(told)
        self.gaps |= set(gaps(one))

    def _stream(self, name: str, way: Way, one: Aligned, file: Any) -> None:
        stream, count = one.episode[name], len(one.episode[name])
        place = {"file": file, "episode": one.episode.id, "key": name}
        if way.spec.codec is None:
            step = at_once(way.spec)
            for first in range(0, count, step):
                found = np.asarray(stream.read(slice(first, first + step)))
                self.parts[name, "values"].add(_bytes(found, way.spec.dtype))
        else:
            self._pictures(name, way, stream, place)
        if one.valid is not None:
            self.parts[name, "valid"].add(_bytes(one.valid[name], np.dtype(bool)))

    def _pictures(self, name: str, way: Way, stream: Stream, place: dict[str, Any]) -> None:
        """Every sample that is shown, once; then which of them each step shows."""
        column: Any = stream.source
        shown, index = np.unique(column.shown, return_inverse=True)
        data, ends, first = self.parts[name, "data"], self.parts[name, "ends"], self.parts[name, "ends"].size // 8
        if first + len(shown) >= 1 << 31:
            raise fault("has more pictures than a shard can count; say a smaller shard=", **place)
        if len(shown) and not way.encoding and way.spec.codec != "utf-8":
            _as_read(column, way, int(shown[0]), place)
        seen: dict[bytes, int] = {}
        number = np.empty(len(shown), np.int64)
        for at in range(0, len(shown), PICTURES):
            for k, one in enumerate(column.stored(shown[at : at + PICTURES]), at):
                known = seen.get(one) if way.spec.codec == "utf-8" else None
                if known is None:
                    known = ends.size // 8
                    data.add(one)
                    ends.add(np.int64(data.size).tobytes())
                    if way.spec.codec == "utf-8":
                        seen[one] = known
                number[k] = known
        self.parts[name, "index"].add(_bytes(number[index].astype(np.int32), np.dtype(np.int32)))

    def _told(self, position: int, one: Aligned) -> dict[str, Any]:
        timing = next(iter(one.episode.values())).timing
        meta, left_out = meta_fields(one.episode.meta)
        ident = one.episode.id
        return {
            "id": ident if isinstance(ident, str) else int(ident), "position": position, "steps": timing.count,
            "clock": timing.clock, "start": timing.start, "language": [list(span) for span in one.episode.language],
            "meta": meta, "left_out": left_out,
        }  # fmt: skip

    def finish(self, path: Path, plan: str, number: int) -> None:
        """Put the file in its place."""
        offset, blobs = 0, []
        for (name, part), kept in self.parts.items():
            blobs.append({"stream": name, "part": part, "offset": offset, "size": kept.size})
            blobs[-1] |= {"cuts": kept.cuts, "sums": kept.sums}
            offset = aligned(offset + kept.size)
        header = {
            "plan": plan, "number": number, "episodes": self.episodes, "failed": self.failed,
            "streams": {name: spec_fields(way.spec) for name, way in self.ways.items()},
            "dct": {name: way.dct for name, way in self.ways.items() if way.spec.codec == "jpeg"},
            "gaps": sorted(self.gaps), "blobs": blobs,
        }  # fmt: skip
        atomic(path, self._bytes(framed(header)))

    def _bytes(self, head: bytes) -> Iterator[Any]:
        yield head
        last = 0
        for kept in self.parts.values():
            yield bytes(aligned(last) - last)
            kept.file.seek(0)
            yield kept.file
            last = kept.size

    def close(self) -> None:
        """Let go of what was not put in its place."""
        for part in self.parts.values():
            part.close()


def _parts(way: Way, fused: bool) -> tuple[str, ...]:
    own = ("values",) if way.spec.codec is None else ("data", "ends", "index")
    return (*own, "valid") if fused else own


def _bytes(values: Any, dtype: np.dtype[Any]) -> memoryview:
    """Little-endian bytes of numbers, which are copied only where they must be."""
    flat: Any = np.ascontiguousarray(values, dtype).reshape(-1)
    if not LITTLE and dtype.itemsize > 1:
        flat = flat.byteswap()
    return memoryview(flat.view(np.uint8))


def _as_read(column: Column, way: Way, frame: int, place: dict[str, Any]) -> None:
    """Raise unless the bytes that are kept decode to what the source reads."""
    at = np.array([frame])
    kept, read = decode(way.spec, way.dct, column.stored(at), **place)[0], column.stream.read(frame)
    if kept.shape != read.shape or kept.dtype != read.dtype or not np.array_equal(kept, read):
        raise fault("its bytes alone do not give the picture that its reader gives; say images='raw'", **place)


def meta_fields(meta: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Entries that JSON holds in 64 KiB each, and the names of the others."""
    kept, others = {}, []
    for name in meta:
        try:
            value = plain(meta[name])
            fits = len(canonical(value)) <= META_BYTES
        except (TypeError, RecursionError, UnicodeEncodeError):
            fits = False
        if fits:
            kept[str(name)] = value
        else:
            others.append(str(name))
    return kept, others


def plain(value: Any) -> Any:
    """As JSON holds it; TypeError for what it does not."""
    if hasattr(value, "tolist"):
        if getattr(value, "nbytes", 0) > META_BYTES:
            raise TypeError("too long")
        value = value.tolist()
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | range):
        return [plain(item) for item in value]
    raise TypeError(f"{type(value).__name__} is not held by JSON")


__all__ = ["ShardWriting", "Unwritable", "atomic", "meta_fields", "plain", "sync_folder", "writing"]
