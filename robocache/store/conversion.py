"""From a dataset of any format to a store: planned, made shard by shard, put together."""

import fcntl
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .._core.errors import ArgumentError, BackendError
from ..datasets import Dataset
from ..datasets._files import Root
from ..datasets.measure import size_on_disk
from ._export import Export
from ._index import read_index
from ._processes import Processes, each
from ._writing import writing
from .plan import PLAN, Plan, finish, is_done, make_plan, run_shard

LOCK, LEAVING = ".lock", ".part"
TARGETS, ON_ERROR = ("store", "lerobot", "rlds"), ("skip", "raise")
Progress = Callable[[int, int], None]
_sources: dict[str, Dataset] = {}  # of a worker process: the one that its shards come from


@dataclass(frozen=True)
class Conversion:
    """What `convert` has done.

    Attributes
    ----------
    path : Path
    episodes, steps, shards, bytes : int
        Of what was written; ``shards`` is 0 for other formats.
    source_bytes : int
    failures : tuple of dict
        Episodes that were left out: ``position``, ``id``, ``type`` and ``message``.
    notes : mapping of str to str
        Streams that are not stored, or not as one might expect, and why.
    """

    path: Path
    episodes: int
    steps: int
    shards: int
    bytes: int
    source_bytes: int
    failures: tuple[Mapping[str, Any], ...]
    notes: Mapping[str, str]


def convert(
    src: str | os.PathLike[str], dst: str | os.PathLike[str], *, rate: float | None = None, streams: Any = None,
    images: str = "keep", resize: Sequence[int] | None = None, workers: int = 1, shard: str | int = "64MB",
    episodes: Sequence[int] | None = None, on_error: str = "skip", to: str = "store",
    progress: Progress | bool = False, opening: Mapping[str, Any] | None = None,
) -> Conversion:  # fmt: skip
    """Decode, align and resample a dataset once.

    Parameters
    ----------
    src : path
        Of a dataset that `robocache.datasets.open_dataset` opens.
    dst : path
        A folder that is not there, is empty, or holds the same conversion, which then goes on.
    rate : float, optional
        Hertz of the clock that every stream is brought onto, by `Episode.fuse`. By default the steps stay as they are,
        which needs streams that share them.
    streams : sequence of str, or mapping of str to method or dict, optional
        Which, and how they are resampled: a method of `resample_trajectories` or options of `robocache.Stream`. By
        default all that can be stored; floats ``"linear"``, everything else ``"previous"``. Pictures and text are
        chosen whole: ``"previous"``, ``"nearest"`` or ``"next"``.
    images : str
        ``"keep"``: bytes of single pictures as they are, video as uint8, so that nothing is lost. ``"raw"``: uint8.
        ``"png"``; ``"jpeg:95"``, which loses a little. Pictures in that codec already stay as they are.
    resize : (int, int), optional
        Height and width of uint8 pictures.
    workers : int
        Processes, started anew; 1 for none. Any number gives the same bytes.
    shard : int or str
        Bytes of a file, about; an episode is never divided.
    episodes : sequence of int, optional
        Positions in the source; all by default.
    on_error : {"skip", "raise"}
        Leave out an episode that cannot be converted, and say so in ``failures`` and ``failures.json``; or end there.
    to : {"store", "lerobot", "rlds"}
        Or another format, in one go and one process.
    progress : bool or function
        A bar on stderr when it takes longer than a second; or a function of episodes done and episodes in all.
    opening : mapping, optional
        Options of `open_dataset`.

    Returns
    -------
    Conversion

    Raises
    ------
    ArgumentError
        What cannot be done, such as steps of several clocks without a rate; another conversion in ``dst``, or one that
        is running.
    DataError
        The source cannot be read; ``dst`` cannot be written to, such as a full disk. What was finished stays.
    BackendError
        A library is missing, or a worker was killed.
    """
    if on_error not in ON_ERROR or to not in TARGETS:
        raise ArgumentError(f"on_error, to: expected one of {ON_ERROR} and of {TARGETS}, got {on_error!r} and {to!r}")
    if isinstance(workers, bool) or workers < 1 or (to != "store" and workers != 1):
        raise ArgumentError(f"workers: expected 1 or more, and 1 for {TARGETS[1:]}, got {workers!r}")
    target, source = Path(dst), Path(os.path.abspath(src))
    outside(source, target)
    options: dict[str, Any] = {"rate": rate, "streams": streams, "images": images, "resize": resize}
    plan = make_plan(source, **options, shard=shard, episodes=episodes, opening=opening)
    if to != "store":
        with showing(progress, sum(map(len, plan.shards))) as show:
            made = Export(plan, to, on_error, show)
            made.write(target)
        return _report(plan, target, (made.episodes, made.steps, 0), made.failed, made.notes)
    with writing(target):
        target.mkdir(parents=True, exist_ok=True)
    with locked(target):
        begin(plan, target)
        sweep(target)
        with showing(progress, sum(map(len, plan.shards))) as show:
            _run(plan, target, workers, on_error, show)
        failed = finish(plan, target)
        index = read_index(Root(target))
    counts = len(index.ids), sum(index.lengths), len(index.parts)
    return _report(plan, target, counts, failed, plan.fields["notes"])


def outside(source: Path, target: Path) -> None:
    """Raise if the folder lies within the source, which it would change."""
    if Path(os.path.realpath(target)).is_relative_to(os.path.realpath(source)):
        raise ArgumentError(f"dst: {target} lies within the source")


def _report(plan: Plan, target: Path, counts: tuple[int, int, int], failed: Any, notes: Any) -> Conversion:
    size, source = size_on_disk(target)[1], plan.fields["inputs"]["bytes"]
    return Conversion(target, *counts, size, source, tuple(failed), notes)


@contextmanager
def locked(target: Path) -> Iterator[None]:
    """Only one conversion at a time writes to a folder."""
    with writing(target), open(target / LOCK, "a", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArgumentError(f"dst: another conversion is writing to {target}; wait for it, or end it") from None
        yield


def begin(plan: Plan, target: Path) -> None:
    """Write the plan, or see that the one that is there is the same."""
    if (target / PLAN).exists():
        if Plan.read(target).digest != plan.digest:
            raise ArgumentError(
                f"dst: {target} holds a conversion of other data, or with other options; choose another folder, or "
                "remove it"
            )
    elif others := [entry.name for entry in target.iterdir() if entry.name != LOCK and entry.suffix != LEAVING]:
        raise ArgumentError(f"dst: {target} holds {sorted(others)[:3]}, and no conversion; choose another folder")
    else:
        plan.write(target)


def sweep(target: Path) -> None:
    """Remove what processes that were killed have left."""
    for left in target.glob(f".*{LEAVING}"):
        left.unlink(missing_ok=True)


def _run(plan: Plan, target: Path, workers: int, on_error: str, show: Progress) -> None:
    """Every shard that is not there yet."""
    total, done = sum(map(len, plan.shards)), 0
    if workers == 1:
        with plan.open() as dataset:
            for number, positions in enumerate(plan.shards):
                run_shard(plan, target, number, on_error=on_error, dataset=dataset)
                done += len(positions)
                show(done, total)
        return
    _in_processes(plan, target, workers, on_error, show)


def _in_processes(plan: Plan, target: Path, workers: int, on_error: str, show: Progress) -> None:
    """Shards in any order, by workers that were told nothing but where the plan is."""
    total, done = sum(map(len, plan.shards)), 0
    waiting: Any = deque((number, os.fspath(target), number, on_error) for number in range(len(plan.shards)))
    with Processes(workers, _shard_of) as pool:
        for number, ended in each(pool, waiting):
            if ended.died:
                raise BackendError("a worker was killed, perhaps for want of memory; the same call goes on from there, "
                                   "with fewer workers if it was")  # fmt: skip
            if ended.error is not None:
                raise ended.error
            done += len(plan.shards[number])
            show(done, total)


def _shard_of(target: str, number: int, on_error: str) -> None:
    """What a worker does: one shard; the source stays open for the next."""
    plan = Plan.read(target)
    if is_done(plan, Path(target), number, on_error):
        return
    if plan.digest not in _sources:
        _sources.clear()
        _sources[plan.digest] = plan.open()
    run_shard(plan, target, number, on_error=on_error, dataset=_sources[plan.digest])


@contextmanager
def showing(progress: Progress | bool, total: int) -> Iterator[Progress]:
    """What is told of every shard."""
    if not isinstance(progress, bool):
        yield progress
        return
    from tqdm import tqdm

    with tqdm(total=total, unit="episode", delay=1, disable=not progress) as bar:
        yield lambda done, _: bar.update(done - bar.n)


__all__ = ["Conversion", "begin", "convert", "locked", "outside", "showing", "sweep"]
