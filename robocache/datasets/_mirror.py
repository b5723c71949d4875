"""A local folder that holds what was fetched from below a URL, and knows which version each file is."""

import json
import os
import shutil
import threading
import zlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .._core.errors import DataError
from ._far import Far, Version, reaching
from ._faults import fault, faults
from ._files import read_json

THREADS = 8  # files that are fetched at once
SLOTS = 64  # locks of a folder: one name always has the same


def cache_folder(cache: str | os.PathLike[str] | None) -> Path:
    """``cache``, or ``ROBOCACHE_CACHE``, or ``robocache`` where this user's caches are."""
    if cache is None:
        given, xdg = os.environ.get("ROBOCACHE_CACHE"), os.environ.get("XDG_CACHE_HOME", "")
        cache = given or os.path.join(xdg if os.path.isabs(xdg) else "~/.cache", "robocache")
    return Path(cache).expanduser().absolute()


@contextmanager
def locked(path: Path) -> Iterator[Any]:
    """The open file, for one thread of one process at a time."""
    import fcntl  # Windows has none, and the rest of the package does not need it

    with open(path, "a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield file
        finally:
            fcntl.flock(file, fcntl.LOCK_UN)  # not by closing: a process forked meanwhile has it open too


class Ledger:
    """What was fetched: a line of JSON for each file, with its version and the local time of its bytes.

    The last line of a name counts. It is written before the file is moved to its place, so a file without a line that
    fits was not fetched whole.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self.entries: dict[str, tuple[Version, int]] = {}

    def refresh(self) -> None:
        """Read what other processes have added."""
        with locked(self._path) as file:
            self._take(file)

    def _take(self, file: Any) -> None:
        file.seek(self._read)
        data = file.read()
        for line in data.split(b"\n"):
            try:
                name, size, stamp, mtime = json.loads(line)
            except (ValueError, TypeError):  # nothing, or cut off when a process was killed
                continue
            self.entries[name] = Version(size, stamp), mtime
        self._read += len(data)

    def add(self, name: str, version: Version, mtime: int) -> None:
        """Note a file that is about to be in its place."""
        with locked(self._path) as file:
            self._take(file)
            file.write(b"\n" + json.dumps([name, *version, mtime]).encode())  # begins anew after a line cut off
            file.flush()
            self._take(file)


class Mirror:
    """A copy of what lies below a URL, as far as it was asked for.

    Parameters
    ----------
    url, storage_options
        See `Far`.
    cache : path, optional
        See `cache_folder`.
    offline : bool
        Ask nobody; hold what was fetched before.
    """

    def __init__(
        self, url: str, cache: str | os.PathLike[str] | None, storage_options: Mapping[str, Any] | None, offline: bool
    ) -> None:
        self.far, self.offline = Far(url, storage_options), offline
        self._base = cache_folder(cache) / f"{self.far.name}-{self.far.digest}"
        self.path = self._base / self.far.name
        with faults(OSError, file=self._base, doing="cannot be used as a cache"):
            self.listing, self._alone = self._remembered() if offline else self._found()
            self._ledger = Ledger(self._base / "fetched.jsonl")
            self._ledger.refresh()
            for name, (version, _) in self._ledger.entries.items():
                if not offline and self.listing.get(name) != version:  # gone or changed there: not to be mixed with new
                    (self.path / name).unlink(missing_ok=True)

    @property
    def top(self) -> Path:
        """What the URL is: the folder, or its only file."""
        return self.path / next(iter(self.listing)) if self._alone else self.path

    def _found(self) -> tuple[dict[str, Version], bool]:
        """What is there now, which is also written down."""
        kept = self._base / "listing.json"
        try:
            versions, alone = self.far.find()
        except DataError as error:
            hint = f"; offline=True opens what of it is in {self._base}" if kept.is_file() else ""
            raise fault(str(error).removeprefix(f"{self.far.url}: ") + hint, file=self.far.url) from error
        for folder in (self.path, self._base / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        with locked(self._base / "listing.lock"):
            part = self._base / "partial" / "listing"
            part.write_text(json.dumps({"url": self.far.url, "alone": alone, "files": versions}))
            os.replace(part, kept)
        return versions, alone

    def _remembered(self) -> tuple[dict[str, Version], bool]:
        kept = self._base / "listing.json"
        if not kept.is_file():
            raise fault(f"offline=True, and nothing of it is in {self._base}", file=self.far.url)
        told = read_json(kept)
        with faults(LookupError, TypeError, AttributeError, file=kept, doing="is no listing"):
            return {name: Version(*version) for name, version in told["files"].items()}, told["alone"]

    def has(self, name: str) -> bool:
        """Whether a file is here as it was listed, untouched since it was fetched."""
        version, mtime = self._ledger.entries.get(name, (None, 0))
        if version is None or version != self.listing.get(name):
            return False
        try:
            status = os.stat(self.path / name)
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (version.size, mtime)

    def bring(self, names: Iterable[str]) -> None:
        """Fetch files that are not here. Raises DataError; what was fetched whole until then stays."""
        wanted = [name for name in names if not self.has(name)]
        if not wanted:
            return
        size = sum(self.listing[name].size for name in wanted)
        if self.offline:
            said = f"offline=True, and {len(wanted)} of its files are not in {self.path}, such as {wanted[0]}"
            raise fault(said, file=self.far.url)
        with faults(OSError, file=self._base, doing="cannot be used as a cache"):
            free = shutil.disk_usage(self._base).free
        if size > free:
            said = f"{size} bytes are to be fetched, and {self._base} has room for {free}"
            raise fault(f"{said}; say cache= or ROBOCACHE_CACHE, or fetch less by include=", file=self.far.url)
        from tqdm import tqdm

        remaining, stop, lock = iter(wanted), threading.Event(), threading.Lock()
        # Shown on a terminal alone, and only when it takes longer than a second.
        bar = tqdm(total=size, unit="B", unit_scale=True, desc=self.far.name, delay=1, disable=None)

        def count(size: int) -> bool:
            with lock:
                bar.update(size)
            return not stop.is_set()

        def work() -> None:
            try:
                while count(0) and (name := next(remaining, None)) is not None:
                    self._fetch(name, count)
            except BaseException:
                stop.set()
                raise

        with bar, ThreadPoolExecutor(min(THREADS, len(wanted))) as pool:
            try:
                for done in [pool.submit(work) for _ in range(min(THREADS, len(wanted)))]:
                    done.result()
            finally:
                stop.set()

    def _fetch(self, name: str, count: Any) -> None:
        """Fetch one file, unless another thread or process just did."""
        slot = f"{zlib.crc32(name.encode('utf-8', 'surrogatepass')) % SLOTS:02d}"
        place = self.far.url if self._alone else f"{self.far.url}/{name}"
        part = self._base / "partial" / slot
        with reaching(place, "cannot be fetched"), locked(part.with_suffix(".lock")):
            self._ledger.refresh()
            if self.has(name):
                return
            try:
                if not self._download(name, part, place, count):
                    return
                target = self.path / name
                target.parent.mkdir(parents=True, exist_ok=True)
                self._ledger.add(name, self.listing[name], part.stat().st_mtime_ns)
                os.replace(part, target)
            finally:
                part.unlink(missing_ok=True)

    def _download(self, name: str, part: Path, place: str, count: Any) -> bool:
        """Write a file elsewhere, and see that it is what was listed; False if all is given up."""
        size, got = self.listing[name].size, 0
        with open(part, "wb") as file:
            for data in self.far.chunks(name):
                if not count(len(data)):
                    return False
                got += len(data)
                if got > size:
                    raise fault(f"has more than the {size} bytes that it was listed with", file=place)
                file.write(data)
            if got < size:
                raise fault(f"was cut off: {got} of {size} bytes came", file=place)
            file.flush()
            os.fsync(file.fileno())
        now = self.far.version(name)
        if now != self.listing[name]:
            raise fault(f"has changed since it was listed ({self.listing[name]}, now {now}); open it again", file=place)
        return True


__all__ = ["Mirror", "cache_folder"]
