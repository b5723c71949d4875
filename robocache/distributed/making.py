"""A shard and its statistics, by whoever is told to: the part of the work that needs no one else."""

import os
from collections.abc import Mapping
from contextlib import closing, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from .._core.errors import ArgumentError, DataError
from ..datasets import Dataset, open_dataset
from ..datasets._faults import fault
from ..store._shard import Shard
from ..store._writing import Unwritable, writing
from ..store.conversion import LEAVING
from ..store.plan import is_done, shard_name, write_shard
from .manifest import Manifest, check_inputs, check_versions
from .merging import Status, status
from .statistics import shard_statistics, write_statistics

FAILED = ("keep", "again")
_maker: dict[str, "Maker"] = {}  # of a worker


def run_shard(
    plan: "Manifest | str | os.PathLike[str]", i: int, n: int | None = None, *, failed: str = "keep"
) -> Status:
    """Make shards i, i + n, i + 2n, … unless they are there: the share of one of n processes that know of no engine.

    Parameters
    ----------
    plan : Manifest or path
        What `robocache.distributed.plan` gave, or the folder it has written.
    i, n : int
        Which process of how many; by default as many as there are shards, so that ``i`` is one of them.
    failed : {"keep", "again"}
        Whether a shard in which episodes have failed stays as it is, or is made once more.

    Returns
    -------
    Status
        Of these shards.

    Raises
    ------
    ArgumentError
        ``i`` is not from 0 to n - 1.
    DataError
        The source is not what was planned; the folder cannot be written to, such as a full disk. Shards that are done
        stay.
    BackendError
        A library is missing or has another version than where it was planned.
    """
    manifest = Manifest.read(plan)
    count = len(manifest.shards) if n is None else n
    if any(isinstance(k, bool) or not isinstance(k, int) for k in (i, count)) or not 0 <= i < count:
        raise ArgumentError(f"i, n: expected a number from 0 to n - 1, got {i!r} of {count!r}")
    again = check_failed(failed)
    mine = range(i, len(manifest.shards), count)
    with closing(Maker(manifest)) as maker:
        for number in mine:
            maker.make(number, again)
    return status(manifest, shards=mine)


def check_failed(failed: str) -> bool:
    """Whether shards with failures are made again."""
    if failed not in FAILED:
        raise ArgumentError(f"failed: expected one of {FAILED}, got {failed!r}")
    return failed == "again"


class Maker:
    """Makes shards of one manifest; the source, once it was held against the plan, stays open for the next."""

    def __init__(self, manifest: Manifest) -> None:
        check_versions(manifest)
        self.manifest = manifest
        self._source: Dataset | None = None

    def make(
        self, number: int, again: bool = False, careful: bool = False,
        left_out: Mapping[int, str] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        """Make a shard and its statistics, unless they are there.

        Parameters
        ----------
        number : int
        again : bool
            Whether a shard in which episodes have failed is made once more.
        careful : bool
            Whether to leave word of the episode that is being read, should it be the end of this process.
        left_out : mapping of int to str
            Positions of episodes that were, and what is said of them.
        """
        plan, target = self.manifest.plan, self.manifest.folder
        if not is_done(plan, target, number, "raise" if again else "skip"):
            word = word_of(target, number)
            try:
                write_shard(plan, target, number, dataset=self._open(), left_out=left_out,
                            at=(lambda at: _leave_word(word, at)) if careful else lambda at: None)  # fmt: skip
            except Unwritable:
                # Somebody else has made it, and `merge` has swept away what was not yet in its place.
                if not is_done(plan, target, number):
                    raise
        shard = Shard(target / shard_name(number))
        try:
            shard_statistics(plan, target, number, shard)
        except DataError:
            write_statistics(plan, target, number, shard)

    def _open(self) -> Dataset:
        if self._source is None:
            check_inputs(self.manifest)
            fields = self.manifest.plan.fields
            self._source = open_dataset(fields["source"], **fields["opening"])
        return self._source

    def close(self) -> None:
        """Close the source."""
        if self._source is not None:
            self._source.close()


def make(run: str, folder: str, digest: str, number: int, *options: Any) -> None:
    """What a worker of any engine does; it is told by words and numbers alone.

    Parameters
    ----------
    run : str
        A word that is another one for each run: what a worker keeps is of one.
    folder, digest : str
        Of the manifest.
    number, *options
        As of `Maker.make`.
    """
    if _maker.get(run) is None:
        manifest = Manifest.read(folder)
        if manifest.digest != digest:
            raise fault("holds another plan than the one that is being carried out", file=folder)
        for old in _maker.values():
            old.close()
        _maker.clear()
        _maker[run] = Maker(manifest)
    _maker[run].make(number, *options)


def word_of(folder: Path, number: int) -> Path:
    """Where a worker leaves word of the episode that it is at."""
    return folder / f".{shard_name(number)}.at{LEAVING}"


def _leave_word(path: Path, position: int | None) -> None:
    with writing(path):
        if position is None:
            path.unlink(missing_ok=True)
        else:
            path.write_text(str(position), "ascii")


def last_word(path: Path) -> int | None:
    """The episode that a worker was at when it died, if it has said so; said once."""
    with suppress(OSError, ValueError):
        said = int(path.read_text("ascii"))
        path.unlink(missing_ok=True)
        return said
    return None


__all__ = ["Maker", "check_failed", "last_word", "make", "run_shard", "word_of"]
