"""What lies below a URL, through fsspec: names, sizes, what tells one version from another, and bytes."""

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from .._core.errors import ArgumentError, BackendError, RoboCacheError
from ._faults import fault, missing

CHUNK = 4 << 20  # bytes that are asked for at once
# Options that say who asks and how, not what is asked for.
SECRETS = {"key", "secret", "token", "password", "passphrase", "account_key", "sas_token", "credential", "anon"}
MANNERS = {"config_kwargs", "requester_pays", "use_ssl", "skip_instance_cache", "use_listings_cache"}
# Where filesystems say which version of a file it is: by its content, or else by its dates.
CONTENT = ("ETag", "etag", "md5Hash", "md5", "crc32c", "generation", "blob_id", "sha", "sha256", "checksum", "CRC")
DATES = ("mtime", "modified", "LastModified", "Last-Modified", "last_modified", "updated", "created")


class Version(NamedTuple):
    """A file as it is now."""

    size: int
    stamp: str  # of its content or its dates; empty where the filesystem tells neither


@contextmanager
def reaching(place: str, doing: str) -> Iterator[None]:
    """Turn whatever a filesystem throws into a `DataError`: each has errors of its own."""
    try:
        yield
    except RoboCacheError:
        raise
    except Exception as error:
        raise fault(f"{doing}: {str(error) or type(error).__name__}", file=place) from error


def folder(full: str, told: Mapping[str, Any]) -> bool:
    """Whether an entry is one, or the empty key with a slash at its end that stands for one in a store without."""
    return told.get("type") == "directory" or (full.endswith("/") and told.get("size") == 0)


def listed(system: Any, path: str) -> dict[str, Any]:
    """What a filesystem tells of every file, in one go where it can."""
    from fsspec.asyn import AsyncFileSystem
    from fsspec.spec import AbstractFileSystem

    own = type(system).find is not AbstractFileSystem.find
    if own or getattr(type(system), "_find", AsyncFileSystem._find) is not AsyncFileSystem._find:
        return dict(system.find(path, detail=True))
    found, folders, seen = {}, [path], {path.rstrip("/")}
    while folders:  # fsspec's own walk leaves out folders that it cannot list
        for told in system.ls(folders.pop(), detail=True):
            if told["type"] != "directory":
                found[told["name"]] = told
            elif (name := told["name"].rstrip("/")) not in seen:
                seen.add(name)
                folders.append(name)
    return found


class Far:
    """The files below a URL.

    Parameters
    ----------
    url : str
    options : mapping, optional
        Of the filesystem.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None) -> None:
        self._url, self._options = url.rstrip("/"), dict(options or {})
        self.url = re.sub(
            r"//[^/@]+@|\?.*", lambda m: "//" if m[0][0] == "/" else "", self._url
        )  # no password is shown
        last = re.sub(r"[^\w.@+=-]", "_", self.url.rsplit("/", 1)[-1])[:80]
        self.name = last if last.strip(".") else "dataset"
        self._full: dict[str, str] = {}
        self._system: tuple[int, Any, str] | None = None

    @property
    def digest(self) -> str:
        """Of the URL and of the options that may change what it means."""
        told = {name: value for name, value in self._options.items() if name not in SECRETS | MANNERS}
        text = json.dumps([self._url, told], sort_keys=True, default=lambda value: type(value).__name__)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]

    def _connect(self) -> tuple[Any, str]:
        """Filesystem and path; anew in a forked process, whose parent's connections are not its own."""
        if self._system is None or self._system[0] != os.getpid():
            try:
                from fsspec.core import url_to_fs
            except ImportError as error:
                missing("fsspec", f"reading {self.url}", error)
            with reaching(self.url, "cannot be reached"):
                try:
                    self._system = os.getpid(), *url_to_fs(self._url, **self._options)
                except ImportError as error:  # fsspec says the package
                    raise BackendError(f"{self.url}: {error} (with pip, beside 'robocache[remote]')") from error
                except ValueError as error:
                    raise ArgumentError(f"{self.url}: {error}") from error
        return self._system[1:]

    def find(self) -> tuple[dict[str, Version], bool]:
        """Every file by its name below the URL, and whether the URL itself is the only one."""
        system, path = self._connect()
        with reaching(self.url, "cannot be listed"):
            system.invalidate_cache()
            try:
                found = listed(system, path)
            except FileNotFoundError:
                found = {}
            found = {full: told for full, told in found.items() if not folder(full, told)}
            if not found:
                raise fault("there is nothing", file=self.url)
            alone = [full.rstrip("/") for full in found] == [path.rstrip("/")]
            self._full = {self._named(full, path, alone): full for full in found}
            versions = {name: self._version(found[full], full) for name, full in self._full.items()}
        return versions, alone

    def _named(self, full: str, path: str, alone: bool) -> str:
        prefix = f"{path.rstrip('/')}/"
        name = full.rstrip("/").rsplit("/", 1)[-1] if alone else full.removeprefix(prefix)
        inside = alone or full.startswith(prefix)
        if not inside or re.search(r"[\\\0]", name) or any(part in ("", ".", "..") for part in name.split("/")):
            raise fault(f"lists {full!r}, a name that leads out of it", file=self.url)
        return name

    def _version(self, told: Mapping[str, Any], full: str) -> Version:
        if told.get("size") is None or told.get("islink"):  # of a link some lists give the dates of the link itself
            told = self._connect()[0].info(full)
        size = told.get("size")
        if isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 1 << 63:
            raise fault(f"the size of {full!r} is {size!r}", file=self.url)
        named = next(([key] for key in CONTENT if told.get(key)), [key for key in DATES if told.get(key)])
        # A date may be a number in a list and a datetime when asked for alone.
        values = {key: told[key].timestamp() if hasattr(told[key], "timestamp") else told[key] for key in named}
        return Version(size, " ".join(f"{key}={value}" for key, value in values.items()))

    def version(self, name: str) -> Version:
        """Of one file, now."""
        system, full = self._connect()[0], self._full[name]
        system.invalidate_cache(full)
        return self._version(system.info(full), full)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file, a part at a time. Raises what the filesystem raises."""
        with self._connect()[0].open(self._full[name], "rb") as file:
            while data := file.read(CHUNK):
                yield data


__all__ = ["Far", "Version", "reaching"]
