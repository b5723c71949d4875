"""A remote filesystem in memory that can be made to fail in every way, and counts what it is asked for."""

import io
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fsspec

FILES = {"a": b"first of all", "b/2": b"x" * 100, "b/c/3": b"", "d.json": b"{}"}


class Part(io.BytesIO):
    """A file that is read in parts of 7 bytes, and can break after some of them."""

    def __init__(self, data: bytes, breaks: Callable[[int], None]) -> None:
        super().__init__(data)
        self.breaks = breaks

    def read(self, size: Any = -1) -> bytes:
        self.breaks(self.tell())
        return super().read(7)


class Faulty(fsspec.AbstractFileSystem):
    """``faulty://set``; its state is the class's, and begun anew by `begin`."""

    protocol = "faulty"

    @classmethod
    def begin(cls) -> None:
        cls.files: dict[str, bytes] = {}
        cls.sent: dict[str, bytes] = {}  # in place of what is listed
        cls.told: dict[str, dict[str, Any]] = {}  # about a file, over what is true
        cls.versions: Counter[str] = Counter()
        cls.opened: Counter[str] = Counter()
        cls.breaks: Callable[[str, int], None] = lambda name, at: None
        cls.reachable = True

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.process = os.getpid()

    def _asked(self) -> None:
        if not self.reachable:
            raise RuntimeError("the network is down")
        if self.process != os.getpid():
            raise RuntimeError("is not fork-safe")

    def put_all(self, files: dict[str, bytes]) -> None:
        for name in {*files, *self.files}:
            if files.get(name) != self.files.get(name):
                self.versions[name] += 1
        type(self).files = dict(files)

    def _entry(self, name: str) -> dict[str, Any]:
        true = {"name": f"set/{name}", "size": len(self.files[name]), "type": "file", "ETag": self.versions[name]}
        return true | {"ETag": f"v{true['ETag']}"} | self.told.get(name, {})

    def find(self, path: str, detail: bool = False) -> Any:
        self._asked()
        if path.partition("/")[0] != "set":
            return {}
        return {f"set/{name}": self._entry(name) for name in self.files if f"set/{name}".startswith(path)}

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        self._asked()
        return self._entry(path.removeprefix("set/"))

    def _open(self, path: str, mode: str = "rb", **_: Any) -> Any:
        self._asked()
        name = path.removeprefix("set/")
        self.opened[name] += 1
        return Part(self.sent.get(name, self.files[name]), lambda at: type(self).breaks(name, at))


class Walked(Faulty):
    """``walked://set``: lists a folder at a time, and the folder ``b`` not at all."""

    protocol = "walked"

    find = fsspec.AbstractFileSystem.find

    def ls(self, path: str, detail: bool = True, **_: Any) -> Any:
        self._asked()
        if path == "set/b" and not self.files["b/2"]:
            raise PermissionError("folder b")
        inside = [name for name in self.files if f"set/{name}".startswith(f"{path}/")]
        folders = {f"set/{name}"[: f"set/{name}".find("/", len(path) + 1)] for name in inside
                   if "/" in f"set/{name}"[len(path) + 1 :]}  # fmt: skip
        files = [self._entry(name) for name in inside if "/" not in f"set/{name}"[len(path) + 1 :]]
        folders |= {f"{path}/", "set"}  # as stores do that know no folders
        return files + [{"name": folder, "size": 0, "type": "directory"} for folder in folders]


def register() -> None:
    """Known to fsspec from here on, with nothing in it."""
    for system in (Faulty, Walked):
        fsspec.register_implementation(system.protocol, system, clobber=True)
    Faulty.begin()


def tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, by name."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def partial(cache: Path) -> list[Path]:
    """Files that were begun and are no longer fetched."""
    return [path for path in cache.glob("*/partial/*") if path.suffix != ".lock"]
