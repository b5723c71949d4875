"""Files of a dataset: names confined to its folder, bytes within bounds."""

import json
import mmap
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from ._faults import fault, faults

JSON_BYTES = 256 << 20  # no metadata file is longer


class Root:
    """The folder of a dataset; names from its own metadata may not lead out of it.

    Links are followed where they stay inside, or lead to the ``blobs`` beside the ``snapshots`` of a Hugging Face
    cache.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._real = Path(os.path.realpath(self.path))
        self._also = self._real.parent.parent / "blobs" if self._real.parent.name == "snapshots" else None

    def at(self, name: str) -> Path:
        """Where ``name`` (with slashes) is, there or not. Raises DataError for one that leads out."""
        if "\0" in name or os.path.isabs(name) or ".." in name.replace("\\", "/").split("/"):
            raise fault(f"the name {name!r} leads out of the dataset", file=self.path)
        path = self.path / name
        real = Path(os.path.realpath(path))
        if real.is_relative_to(self._real) or (self._also is not None and real.is_relative_to(self._also)):
            return path
        raise fault(f"{name!r} is a link that leads out of the dataset", file=self.path)

    def file(self, name: str) -> Path:
        """As `at`, and it is there."""
        return self.here(self.at(name))

    def here(self, path: Path, **place: Any) -> Path:
        """A path that `at` gave, and it is there. Raises DataError."""
        if not path.is_file():
            raise fault("there is no such file", file=path, **place)
        return path

    def size(self, path: Path) -> int | None:
        """Bytes of the file at a path that `at` gave; None if there is none."""
        try:
            status = path.stat()
        except OSError:
            return None
        return status.st_size if stat.S_ISREG(status.st_mode) else None

    def names(self, folder: str = "") -> set[str]:
        """What is in a folder; nothing if it is not there."""
        path = self.at(folder)
        with faults(OSError, file=path):
            return set(os.listdir(path)) if path.is_dir() else set()

    def sizes(self) -> dict[str, int | None]:
        """Names and bytes of what is right in the folder; None for links to nothing."""
        found: dict[str, int | None] = {}
        with faults(OSError, file=self.path), os.scandir(self.path) as entries:
            for entry in entries:
                found[entry.name] = None
                with suppress(OSError):
                    found[entry.name] = entry.stat().st_size
        return found

    def below(self, path: Path) -> "Root":
        """A folder in this one as a root of its own."""
        return Root(path)


def read_json(path: Path, kind: type = dict) -> Any:
    """A JSON file whose top is a ``kind``."""
    with faults(OSError, ValueError, RecursionError, file=path, doing="is no JSON that can be read"):
        if path.stat().st_size > JSON_BYTES:
            raise ValueError(f"it is longer than {JSON_BYTES} bytes")
        value = json.loads(path.read_bytes())
    if not isinstance(value, kind):
        raise fault(f"holds a {type(value).__name__}, expected a {kind.__name__}", file=path)
    return value


class Mapped:
    """A file in memory as it is on disk; nothing past its end can be asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with faults(OSError, ValueError, file=path), open(path, "rb") as file:
            self.size = os.fstat(file.fileno()).st_size
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if self.size else None
        self.bytes = memoryview(self._map if self._map is not None else b"")

    def view(self, offset: int, length: int, *, episode: Any = None, key: str | None = None) -> memoryview:
        """``length`` bytes from ``offset`` on, not copied."""
        if offset < 0 or length < 0 or offset + length > self.size:
            raise fault(
                f"is cut off: {length} bytes at {offset} are wanted, and it has {self.size}",
                file=self.path, episode=episode, key=key,
            )  # fmt: skip
        return self.bytes[offset : offset + length]

    def close(self) -> None:
        """Let go of the file, unless arrays still look into it."""
        self.bytes.release()
        if self._map is not None:
            with suppress(BufferError):  # a view is out there; its owner keeps the map alive
                self._map.close()


__all__ = ["Mapped", "Root", "read_json"]
