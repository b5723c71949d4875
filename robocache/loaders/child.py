"""The process that reads for a loader: what runs in it."""

import copy
import os
import select
import signal
import sys
import threading
from contextlib import suppress
from typing import Any, NamedTuple

from .._core.errors import BackendError
from .payload import Payload, picked_up, told
from .segments import Labels, Segment

_state = {"main": False}  # whether the program of the parent is being imported here


class Job(NamedTuple):
    """All that a new process is told."""

    parent: int
    main: dict[str, str]
    argv: list[str]
    filler: Payload
    slot: int
    most: int
    segment: int
    labels: Labels
    lines: list[int]


def refuse_within_main() -> None:
    """Start no process from a program that is only imported to find what it defines."""
    if _state["main"]:
        raise BackendError(
            "a loader with workers='process' reads a source that your program defines; the process imports the program "
            "to find it, which begins the loop again. Put what the program does under if __name__ == '__main__':, or "
            "the source into a module of its own"
        )


def main(control: Any) -> None:
    """Read batches until the parent says that it is over, or is gone."""
    from multiprocessing.connection import Connection

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent's to deal with
    job: Job = control.recv()
    _watch(job.parent)
    lines = [Connection(line) for line in job.lines]
    try:
        sys.argv = job.argv
        if job.main and job.filler.main:
            _import_main(job.main)
        filler = picked_up(job.filler.file, job.filler.spans)
        segment = Segment(job.slot, job.most, job.segment)
        segment.forget()
    except BaseException as error:  # noqa: BLE001 - it is raised in the parent
        control.send(told(error))
        return
    reading = [threading.Lock() for _ in lines]
    for line, lock in zip(lines, reading, strict=True):
        threading.Thread(target=_serve, args=(line, lock, filler, segment, job.labels), daemon=True).start()
    control.send(None)
    with suppress(EOFError, OSError):
        control.recv()
    for lock in reading:  # after what they read just now; the parent does not wait for long
        lock.acquire()
    for source in filler.sources:
        source.close()
    sys.stdout.flush()
    os._exit(0)  # threads wait on their lines, and nothing else is left to do


def _import_main(main: dict[str, str]) -> None:
    """The program of the parent, without what it does under its guard."""
    from multiprocessing import process, spawn

    setattr(process.current_process(), "_inheriting", True)  # noqa: B010 - its own processes are refused too
    _state["main"] = True
    try:
        spawn.prepare(main)
    finally:
        _state["main"] = False
        delattr(process.current_process(), "_inheriting")


def _watch(parent: int) -> None:
    """End when the parent has, whatever is going on."""
    try:
        watched = os.pidfd_open(parent)
    except ProcessLookupError:
        os._exit(1)
    except OSError:  # an old or walled-in kernel: then the end of the lines tells
        return
    if os.getppid() != parent:
        os._exit(1)
    poll = select.poll()
    poll.register(watched, select.POLLIN)

    def watch() -> None:
        poll.poll()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _serve(line: Any, lock: threading.Lock, filler: Any, segment: Segment, labels: Labels) -> None:
    """Fill what one thread of the parent asks for."""
    own = copy.copy(filler)
    own.sampler = copy.copy(filler.sampler)  # each asks for itself where an epoch was resumed
    while True:
        try:
            at, epoch, step, own.sampler.skipped = line.recv()
        except (EOFError, OSError):
            return
        with lock:
            memory = segment.view(at)
            try:
                answer: Any = labels.write(memory, own.fill(memory, epoch, step))
            except BaseException as error:  # noqa: BLE001 - it is raised in the parent
                answer = told(error)
        with suppress(OSError):
            line.send(answer)
        del memory, answer


__all__ = ["Job", "main", "refuse_within_main"]
