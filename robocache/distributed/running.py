"""All shards of a plan, by workers of this machine or of a cluster; whoever dies is replaced."""

import os
import secrets
from collections import deque
from dataclasses import replace
from typing import Any

from .._core.errors import ArgumentError, BackendError
from ..store._processes import Processes, each
from ..store.conversion import Progress, showing
from .making import check_failed, last_word, make, word_of
from .manifest import Manifest
from .merging import Status, status

ENGINES = ("local", "ray")


def run(
    plan: "Manifest | str | os.PathLike[str]", engine: str = "local", *, workers: int | None = None,
    num_gpus: float | None = None, retries: int = 2, failed: str = "keep", address: str | None = None,
    progress: Progress | bool = False,
) -> Status:  # fmt: skip
    """Make every shard that is not there.

    Parameters
    ----------
    plan : Manifest or path
        What `robocache.distributed.plan` gave, or the folder it has written.
    engine : {"local", "ray"}
        Processes of this machine, or tasks of Ray (extra ``ray``).
    workers : int, optional
        Shards that are made at a time; none waits in line. By default one a core of the machine or of the cluster, or
        as many as ``num_gpus`` allows.
    num_gpus : float, optional
        Of each worker, which Ray hands out; only for ``"ray"``. The pipeline itself runs on the CPU; a reader of one's
        own may use the GPU that its worker sees.
    retries : int
        How often a shard whose worker died is begun again, by one that leaves word of the episode it is at. If that was
        the same each time, it is left out and listed, and the others of its shard are made.
    failed : {"keep", "again"}
        Whether a shard in which episodes have failed stays as it is, or is made once more.
    address : str, optional
        Of a Ray cluster, or "auto"; by default Ray is started here, for this process alone, and ends with it.
    progress : bool or function
        A bar on stderr when it takes longer than a second; or a function of episodes done and episodes in all.

    Returns
    -------
    Status
        With ``deaths``, and ``failures`` where episodes were left out.

    Raises
    ------
    ArgumentError
        Options that are not known, or not for this engine.
    DataError
        The source is not what was planned; the folder cannot be written to, such as a full disk. Shards that are done
        stay, and the same call goes on.
    BackendError
        A library is missing or has another version than where it was planned; a worker died ``retries`` + 1 times over
        a shard, and no one episode is to blame.

    Notes
    -----
    Files are the same to the byte for any engine, number of workers and order. Several runs of a plan at a time do no
    harm, but work twice.
    """
    manifest = Manifest.read(plan)
    again, total = check_failed(failed), manifest.episodes
    for name, value, least in (("workers", workers, 1), ("retries", retries, 0)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise ArgumentError(f"{name}: expected {least} or more, got {value!r}")
    if num_gpus is not None and not num_gpus > 0:
        raise ArgumentError(f"num_gpus: expected more than 0, got {num_gpus!r}")
    told = secrets.token_hex(8), os.path.abspath(manifest.folder), manifest.digest
    deaths = _Deaths(manifest, retries)
    waiting: deque[tuple[Any, ...]] = deque((k, *told, k, again) for k in range(len(manifest.shards)))
    done = 0
    with _engine(engine, workers, num_gpus, address, len(manifest.shards)) as at_work, showing(progress, total) as show:
        for number, ended in each(at_work, waiting):
            if ended.died:
                left_out = deaths.of(number)
                waiting.appendleft((number, *told, number, again, True, left_out))
            elif ended.error is not None:
                raise ended.error
            else:
                done += len(manifest.shards[number])
                show(done, total)
    return replace(status(manifest), deaths=deaths.count)


class _Deaths:
    """Whether to try again, and without which episodes."""

    def __init__(self, manifest: Manifest, retries: int) -> None:
        self.manifest, self.retries, self.count = manifest, retries, 0
        self._seen: dict[int, list[int | None]] = {}
        self._left_out: dict[int, dict[int, str]] = {}

    def of(self, number: int) -> dict[int, str]:
        """Episodes to leave out of a shard whose worker has died. Raises BackendError when there is nothing to try."""
        seen, left_out = self._seen.setdefault(number, []), self._left_out.setdefault(number, {})
        seen.append(last_word(word_of(self.manifest.folder, number)))
        self.count += 1
        if len(seen) <= self.retries:
            return left_out
        suspects = set(seen[1:])  # the first worker left no word
        position = suspects.pop() if len(suspects) == 1 else None
        if position is None:
            raise BackendError(f"shard {number}: its worker died {len(seen)} times, perhaps for want of memory; what "
                               "is done stays, and the same call goes on, with fewer workers if it was")  # fmt: skip
        left_out[position] = f"it killed the worker that read it, {self.retries} times that are known of"
        del seen[1:]
        return left_out


def _engine(name: str, workers: int | None, num_gpus: float | None, address: str | None, most: int) -> Any:
    """What hands out the work, as a context."""
    if name not in ENGINES:
        raise ArgumentError(f"engine: expected one of {ENGINES}, got {name!r}")
    if name == "ray":
        from ._ray import Tasks

        return Tasks(make, workers, num_gpus, address)
    if num_gpus is not None or address is not None:
        raise ArgumentError("num_gpus, address: only engine='ray' takes them")
    return Processes(min(workers or len(os.sched_getaffinity(0)), most), make)


__all__ = ["run"]
