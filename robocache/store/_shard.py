"""One shard file: its arrays, its pictures, and whether they are what was written."""

import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets import Finding
from ..datasets._faults import fault
from ..datasets.facts import finding_of
from ._layout import TIMES, Head, read_head
from ._mapping import mapped

DTYPES = {"ends": np.dtype("<i8"), "index": np.dtype("<i4"), "valid": np.dtype(bool), "times": np.dtype("<i8")}


class Shard:
    """A shard that is mapped.

    Parameters
    ----------
    path : Path

    Attributes
    ----------
    head : Head
    firsts : array of int64 (episode + 1,)
        The first step of each episode, within the shard.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.bytes = path, mapped(path)
        self.head: Head = read_head(path, self.bytes)
        self.firsts = np.cumsum([0, *(episode.steps for episode in self.head.episodes)], dtype=np.int64)
        self._right: set[tuple[str, int]] = set()
        self._lock = threading.Lock()

    def part(self, name: str, part: str) -> Any:
        """A blob as an array; of a sample's shape in its last axes where it is ``values``."""
        blob, begin = self.head.blobs[name, part], self.head.start
        flat = self.bytes[begin + blob.offset : begin + blob.offset + blob.size]
        if part == "data":
            return flat
        if part != "values":
            return flat.view(DTYPES[part])
        spec = self.head.streams[name]
        return flat.view(spec.dtype).reshape(int(self.firsts[-1]), *(int(n or 0) for n in spec.shape))

    def address(self, name: str, part: str) -> int:
        """Where a blob is in memory."""
        return int(self.bytes.ctypes.data) + self.head.start + self.head.blobs[name, part].offset

    def has(self, name: str, part: str) -> bool:
        """Whether there is such a blob."""
        return (name, part) in self.head.blobs

    def pictures(self, name: str, steps: NDArray[np.int64]) -> list[memoryview]:
        """The bytes of what a stream shows at steps of this shard, not copied."""
        if not len(steps):
            return []
        data = memoryview(self.part(name, "data"))
        index, ends = self.part(name, "index"), self.part(name, "ends")
        shown = index[steps].astype(np.int64)
        if int(shown.min()) < 0 or int(shown.max()) >= len(ends):
            raise self._wrong(name, steps[np.argmax((shown < 0) | (shown >= len(ends)))])
        stops = ends[shown]
        starts = np.where(shown > 0, ends[shown - 1], 0)
        bad = (starts < 0) | (stops < starts) | (stops > len(data))
        if bad.any():
            raise self._wrong(name, steps[np.argmax(bad)])
        return [data[a:b] for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]

    def _wrong(self, name: str, step: Any) -> Exception:
        at = int(np.searchsorted(self.firsts, step, side="right")) - 1
        said = f"a picture of step {int(step - self.firsts[at])} lies outside of what is there"
        return fault(said, file=self.path, episode=self.head.episodes[at].id, key=name)

    def check(self, name: str, at: int) -> None:
        """Raise DataError unless the bytes of a stream in an episode are those that were written; remembered."""
        if (name, at) in self._right:
            return
        for (stream, part), blob in self.head.blobs.items():
            if stream != name:
                continue
            begin = self.head.start + blob.offset
            data: Any = self.bytes[begin + blob.cuts[at] : begin + blob.cuts[at + 1]]
            if zlib.crc32(data) != blob.sums[at]:
                episode = self.head.episodes[at].id
                raise fault(f"the checksum of its {part} differs", file=self.path, episode=episode, key=name or None)
        with self._lock:
            self._right.add((name, at))

    def faults(self) -> Iterator[Finding]:
        """Every checksum, and that nothing is between the blobs."""
        for at in range(len(self.head.episodes)):
            for name in (*self.head.streams, TIMES):
                try:
                    self.check(name, at)
                except ValueError as error:
                    yield finding_of(error)  # type: ignore[arg-type]
        end = self.head.start
        for blob in self.head.blobs.values():
            begin = self.head.start + blob.offset
            if self.bytes[end:begin].any():
                yield Finding("error", f"{begin - end} bytes at {end} are not zero", str(self.path))
            end = begin + blob.size


__all__ = ["Shard"]
