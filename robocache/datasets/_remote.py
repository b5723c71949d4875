"""Datasets at URLs: brought into a local folder, whole, or file by file when they are asked for."""

import os
from collections.abc import Collection, Iterable, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from .._core.errors import ArgumentError
from ._faults import fault
from ._files import Root
from ._mirror import Mirror
from ._registry import BUILT_IN, choose, open_dataset, readers
from ._sniffs import INFO, LEROBOT_FILE, TREE
from .model import Dataset


class RemoteRoot(Root):
    """The folder of a `Mirror`, or one in it: files are fetched when they are asked for."""

    def __init__(self, mirror: Mirror, path: Path) -> None:
        super().__init__(path)
        self._mirror = mirror

    def _name(self, path: Path) -> str:
        return path.relative_to(self._mirror.path).as_posix()

    def here(self, path: Path, **place: Any) -> Path:
        """See Root."""
        if self._name(path) not in self._mirror.listing:
            raise fault("there is no such file", file=path, **place)
        self._mirror.bring([self._name(path)])
        return path

    def size(self, path: Path) -> int | None:
        """See Root."""
        version = self._mirror.listing.get(self._name(path))
        return None if version is None else version.size

    def _inside(self, folder: Path) -> dict[str, int | None]:
        prefix = "" if folder == self._mirror.path else f"{self._name(folder)}/"
        rest = {n.removeprefix(prefix): v.size for n, v in self._mirror.listing.items() if n.startswith(prefix)}
        return {name: size for name, size in rest.items() if "/" not in name}

    def names(self, folder: str = "") -> set[str]:
        """See Root."""
        return set(self._inside(self.at(folder)))

    def sizes(self) -> dict[str, int | None]:
        """See Root."""
        return self._inside(self.path)

    def below(self, path: Path) -> Root:
        """See Root."""
        return RemoteRoot(self._mirror, path)


def _lerobot(names: Collection[str]) -> list[str]:
    return [name for name in names if name.startswith("meta/")] if LEROBOT_FILE in names else []


def _rlds(names: Collection[str]) -> list[str]:
    folders = {name.removesuffix(TREE) for name in names if name.rpartition("/")[2] == TREE}
    folders = {folder for folder in folders if f"{folder}{INFO}" in names}
    small = (name for name in names if name.endswith((".json", ".txt")))
    return [name for name in small if name.removesuffix(name.rpartition("/")[2]) in folders]


# Built-in formats whose readers take `root`, and the files that must be there before they are opened.
ON_DEMAND = {"lerobot": _lerobot, "rlds": _rlds}


def arrive(
    url: str, format: str | None, *, cache: str | os.PathLike[str] | None = None,
    storage_options: Mapping[str, Any] | None = None, offline: bool = False,
) -> tuple[Path, dict[str, Any]]:  # fmt: skip
    """A local path of what is at a URL, and how `open_dataset` opens it; see there for the parameters."""
    known = readers()
    if format is not None and format not in known:  # not only after all was fetched
        raise ArgumentError(f"format: {format!r} is not one of {sorted(known)}")
    mirror = Mirror(url, cache, storage_options, offline)
    for name, heads in ON_DEMAND.items():
        wanted = heads(mirror.listing) if format in (None, name) else []
        if wanted and known[name] in BUILT_IN:  # a user's own of that name takes no root
            mirror.bring(wanted)
            best = known[name] if format else choose(mirror.path, known)
            if best is known[name]:
                return mirror.path, {"format": name, "root": RemoteRoot(mirror, mirror.path)}
    mirror.bring(mirror.listing)
    return mirror.top, {"format": format}


def open_remote(url: str, **options: Any) -> Dataset:
    """See `robocache.datasets.open_dataset`."""
    own = {name: options.pop(name) for name in ("cache", "storage_options", "offline") if name in options}
    path, how = arrive(url, options.pop("format", None), **own)
    return open_dataset(path, **how, **options)


def fetch(
    url: str, *, cache: str | os.PathLike[str] | None = None, include: Iterable[str] = ("*",),
    exclude: Iterable[str] = (), storage_options: Mapping[str, Any] | None = None, offline: bool = False,
) -> Path:  # fmt: skip
    """Bring a dataset, or a part of it, into a local folder.

    Parameters
    ----------
    url : str
        Anything fsspec knows: ``s3://``, ``gs://``, ``hf://datasets/org/name``, ``file://`` and others.
    cache : path, optional
        Where to keep it: by default ``ROBOCACHE_CACHE``, or ``robocache`` in the user's folder of caches.
    include, exclude : str or iterable of str
        Which files, by patterns of their names below the URL; ``*`` stands for slashes too.
    storage_options : mapping, optional
        Of the filesystem, such as ``{"anon": True}``.
    offline : bool
        Ask nobody; all that is meant must be in the cache.

    Returns
    -------
    Path
        The folder; the file, if the URL is one. What earlier calls brought is there too, as long as it is unchanged.

    Raises
    ------
    DataError
        Nothing is there, it cannot be reached, there is no room for it, or a file came otherwise than it was listed.
    ArgumentError
        A protocol that fsspec does not know, or patterns that no file matches.
    BackendError
        fsspec, or the package for the protocol, is missing; the message names it.

    Notes
    -----
    A file appears whole or not at all. One whose size, checksum or date has changed is fetched again.
    """
    mirror = Mirror(url, cache, storage_options, offline)
    globs, but = ([given] if isinstance(given, str) else list(given) for given in (include, exclude))
    wanted = [
        name
        for name in mirror.listing
        if any(fnmatchcase(name, glob) for glob in globs) and not any(fnmatchcase(name, glob) for glob in but)
    ]
    if not wanted:
        some = ", ".join(list(mirror.listing)[:3])
        raise ArgumentError(f"include, exclude: none of {len(mirror.listing)} files is meant; there are {some} …")
    mirror.bring(wanted)
    return mirror.top


__all__ = ["arrive", "fetch", "open_remote"]
