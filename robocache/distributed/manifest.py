"""What is to be done, from which files, with which versions: written once, and held against what is there."""

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import file_digest, sha256
from importlib import metadata
from pathlib import Path
from typing import Any

from .. import __version__
from .._core.errors import ArgumentError, BackendError
from ..datasets._faults import fault, faults
from ..datasets._files import Root, read_json
from ..store import Plan, make_plan
from ..store._inputs import inputs, listing
from ..store._layout import canonical
from ..store._writing import atomic, writing
from ..store.conversion import begin, locked, outside

INPUTS, MARK = "inputs.json", "robocache inputs"
OPTIONS = ("rate", "streams", "images", "resize")
# What decodes, resamples and encodes: other versions may give other bits.
DECIDING = ("numpy", "numba", "av", "h5py", "pillow", "pyarrow", "simplejpeg")
File = tuple[str, int, int, str | None]  # name, bytes, nanoseconds of its last change, SHA-256


@dataclass(frozen=True)
class Manifest:
    """A plan and where its shards go; made by `plan`, read by `Manifest.read`.

    Attributes
    ----------
    folder : Path
    plan : robocache.store.Plan
        What ``plan.json`` holds.
    digest : str
        Of everything that the plan says. Every file that is made carries it.
    shards : sequence of list of int
        Positions in the source of the episodes of each.
    """

    folder: Path
    plan: Plan

    @property
    def digest(self) -> str:
        """Of everything that the plan says."""
        return self.plan.digest

    @property
    def shards(self) -> Sequence[Sequence[int]]:
        """Positions in the source of the episodes of each."""
        return self.plan.shards

    @property
    def episodes(self) -> int:
        """In all shards."""
        return sum(map(len, self.shards))

    @classmethod
    def read(cls, folder: "str | os.PathLike[str] | Manifest") -> "Manifest":
        """From a folder that `plan` has written; one that was read stays as it is."""
        if isinstance(folder, Manifest):
            return folder
        found = cls(Path(folder), Plan.read(folder))
        if not {"hashes", "versions"} <= set(found.plan.fields):
            raise fault("is the plan of a conversion; robocache convert goes on with it", file=found.folder)
        return found


def plan(
    src: str | os.PathLike[str], dst: str | os.PathLike[str], pipeline: Mapping[str, Any] | None = None, *,
    shard: str | int = "64MB", episodes: Sequence[int] | None = None, opening: Mapping[str, Any] | None = None,
    hashes: bool = True,
) -> Manifest:  # fmt: skip
    """Look at a source and write down what is to be done with it, into which shards.

    Parameters
    ----------
    src : path
        Of a dataset that `robocache.datasets.open_dataset` opens; every worker finds it there.
    dst : path
        A folder that is not there, is empty, or holds the same plan; every worker finds it there.
    pipeline : mapping, optional
        ``rate``, ``streams``, ``images`` and ``resize`` of `robocache.store.convert`.
    shard : int or str
        Bytes of a file, about; an episode is never divided.
    episodes : sequence of int, optional
        Positions in the source; all by default.
    opening : mapping, optional
        Options of `open_dataset`.
    hashes : bool
        Read every input once and keep its SHA-256. Then a source may be copied or touched, and `merge` can compare
        contents. Without them an input is the same if its name, size and time of change are.

    Returns
    -------
    Manifest
        ``plan.json`` in ``dst``, and ``inputs.json``: name, bytes, time of change and hash of every input.

    Raises
    ------
    ArgumentError
        What cannot be done; another plan in ``dst``.
    DataError
        The source cannot be read, or changes while it is; ``dst`` cannot be written to.
    BackendError
        A library is missing.
    """
    options = dict(pipeline or {})
    if strange := sorted(set(options) - set(OPTIONS)):
        raise ArgumentError(f"pipeline: {strange} are not known; there are {list(OPTIONS)}")
    source, target = Path(os.path.abspath(src)), Path(os.path.abspath(dst))
    outside(source, target)
    made = make_plan(source, **options, shard=shard, episodes=episodes, opening=opening)
    files = list(_hashed(source, hashes))
    if listing(inputs(source)) != made.fields["inputs"] or listing(f[:3] for f in files) != made.fields["inputs"]:
        raise fault("changes while it is planned; wait until it is whole", file=source)
    found = Manifest(target, Plan({**made.fields, "hashes": _digest(files), "versions": versions()}))
    with writing(target):
        target.mkdir(parents=True, exist_ok=True)
    with locked(target):
        begin(found.plan, target)  # whoever has the plan does not need the list until something has changed
        atomic(target / INPUTS, [canonical({"format": MARK, "files": files})])
    return found


def _hashed(source: Path, hashes: bool) -> Iterator[File]:
    found = list(inputs(source))
    if not hashes:
        yield from ((*one, None) for one in found)
        return
    with ThreadPoolExecutor(min(16, len(os.sched_getaffinity(0)))) as pool:  # hashing lets go of the GIL
        for one, told in zip(found, pool.map(lambda one: _hash(source, one[0]), found), strict=True):
            yield *one, told


def _hash(source: Path, name: str) -> str:
    path = source / name if name else source
    with faults(OSError, file=path), open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _digest(files: list[File]) -> str:
    return sha256(canonical(files)).hexdigest()


def versions() -> dict[str, str]:
    """Of what decides about bits, where it is installed."""
    found = {"robocache": __version__}
    for name in DECIDING:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:  # whoever needs it says so
            continue
    return found


def check_versions(manifest: Manifest) -> None:
    """Raise BackendError unless bits here are those that would come where it was planned."""
    planned, here = manifest.plan.fields["versions"], versions()
    other = [f"{name} {here[name]} (planned with {planned[name]})" for name in here
             if planned.get(name, here[name]) != here[name]]  # fmt: skip
    if other:
        raise BackendError(f"{', '.join(other)}: other versions may give other bits; install the same on every worker, "
                           "or plan anew into another folder")  # fmt: skip


def check_inputs(manifest: Manifest, rehash: bool = False) -> None:
    """Raise DataError unless the source is what was planned.

    Where only a time of change differs, its hash decides; with ``rehash`` that of every file.
    """
    source = Path(manifest.plan.fields["source"])
    found = list(inputs(source))
    if listing(found) == manifest.plan.fields["inputs"] and not rehash:
        return
    known = {one[0]: one for one in _read_inputs(manifest)}
    if rehash and any(one[3] is None for one in known.values()):
        raise ArgumentError("rehash: it was planned with hashes=False, so there is nothing to compare with")
    changed = sorted(known.keys() ^ {one[0] for one in found})
    doubtful = []
    for name, size, time in found:
        if name not in known:
            continue
        _, old, before, told = known[name]
        if size != old or (time != before and told is None):
            changed.append(name)
        elif time != before or rehash:
            doubtful.append(name)
    with ThreadPoolExecutor(min(16, len(os.sched_getaffinity(0)))) as pool:
        hashes = pool.map(lambda name: _hash(source, name), doubtful)
        changed += [name for name, told in zip(doubtful, hashes, strict=True) if told != known[name][3]]
    if changed:
        raise fault(f"has changed since it was planned: {len(changed)} files, such as {min(changed) or source.name!r}; "
                    "plan anew into another folder", file=source)  # fmt: skip


def _read_inputs(manifest: Manifest) -> list[File]:
    path = Root(manifest.folder).file(INPUTS)
    with faults(KeyError, TypeError, ValueError, file=path, doing="is no list of inputs"):
        files: list[File] = [(str(n), int(b), int(t), None if h is None else str(h))
                             for n, b, t, h in read_json(path)["files"]]  # fmt: skip
    if _digest(files) != manifest.plan.fields["hashes"]:
        raise fault("is not the list that the plan tells of", file=path)
    return files


__all__ = ["Manifest", "check_inputs", "check_versions", "plan", "versions"]
