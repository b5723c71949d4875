"""Processes that work on one task at a time; one that is killed takes its own task with it, and no other."""

import os
import pickle
import signal
import threading
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from .._core.errors import BackendError


class Ended(NamedTuple):
    """How a task ended: with a result, with an error, or with the death of its worker."""

    result: Any = None
    error: BaseException | None = None
    died: bool = False


class Engine(Protocol):
    """What hands tasks to workers: `Processes`, or a cluster's."""

    count: int

    def give(self, key: Any, *args: Any) -> None:
        """Begin a task; no more than ``count`` at a time."""

    def ended(self) -> list[tuple[Any, Ended]]:
        """Wait for tasks to end."""


def each(engine: Engine, waiting: deque[tuple[Any, ...]]) -> Iterator[tuple[Any, Ended]]:
    """Keep every worker at work, and none waiting in line, so that memory does not grow with the work.

    Parameters
    ----------
    waiting : deque of (key, argument, ...)
        Whoever iterates may add to it.
    """
    begun = 0
    while waiting or begun:
        while waiting and begun < engine.count:
            engine.give(*waiting.popleft())
            begun += 1
        for one in engine.ended():
            begun -= 1
            yield one


class Processes:
    """Workers on this machine, started when there is work for them.

    Parameters
    ----------
    count : int
    function : function
        What is called with the arguments of a task. It is pickled, and so are they.
    """

    def __init__(self, count: int, function: Callable[..., Any]) -> None:
        import multiprocessing

        # Processes that start from nothing: one that is forked may hold locks of decoders whose threads it lacks.
        self._context = multiprocessing.get_context("spawn")
        self.count, self._function = count, function
        self._idle: list[tuple[Any, Any]] = []
        self._busy: dict[Any, tuple[Any, Any]] = {}

    def give(self, key: Any, *args: Any) -> None:
        """Begin a task; no more than ``count`` at a time."""
        while True:
            process, pipe = self._idle.pop() if self._idle else self._start()
            try:
                pipe.send(args)
            except OSError:  # killed while it had nothing to do
                pipe.close()
                process.join()
                continue
            self._busy[pipe] = process, key
            return

    def _start(self) -> tuple[Any, Any]:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, self._function, self.count))
        process.start()
        theirs.close()  # so that its death is the end of the pipe
        return process, ours

    def ended(self) -> list[tuple[Any, Ended]]:
        """Wait for tasks to end."""
        from multiprocessing.connection import wait

        found = []
        ready: list[Any] = wait(list(self._busy))
        for pipe in ready:
            process, key = self._busy.pop(pipe)
            try:
                end = pipe.recv()
            except (EOFError, OSError):
                pipe.close()
                process.join()
                end = Ended(died=True)
            else:
                self._idle.append((process, pipe))
            found.append((key, end))
        return found

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        """End them all; files appear whole or not at all, so none needs to be asked."""
        for pipe, (process, _key) in self._busy.items():
            process.kill()
            self._idle.append((process, pipe))
        for _process, pipe in self._idle:
            pipe.close()
        for process, _pipe in self._idle:
            process.join()


def _work(pipe: Any, function: Callable[..., Any], count: int) -> None:
    """What one of ``count`` workers does until its parent hangs up."""
    os.environ.setdefault("ROBOCACHE_NUM_THREADS", str(max(1, len(os.sched_getaffinity(0)) // count)))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal tells all of them; the parent decides
    _end_with_parent()
    while True:
        try:
            args = pipe.recv()
        except EOFError:
            return
        pipe.send(attempted(function, *args))


def attempted(function: Callable[..., Any], *args: Any) -> Ended:
    """Call it; an error is made one that can travel."""
    try:
        return Ended(function(*args))
    except Exception as error:  # noqa: BLE001 - raised by whoever gave the task
        error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:  # noqa: BLE001 - of another package's, made by other arguments than it shows
            return Ended(error=BackendError(f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))
        return Ended(error=error)


def _end_with_parent() -> None:
    """A worker whose parent is killed would go on to the end of its task."""
    import multiprocessing

    parent = multiprocessing.parent_process()

    def watch() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


__all__ = ["Ended", "Engine", "Processes", "attempted", "each"]
