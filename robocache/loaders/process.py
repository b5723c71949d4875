"""The process that reads for a loader, as the loader sees it."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from queue import SimpleQueue
from typing import Any

from .._core.errors import BackendError
from .child import Job, refuse_within_main
from .filling import Filled, Filler
from .payload import Failure, again, laid_down
from .segments import Labels, Segment

PATIENCE = 2.0  # seconds that it may go on with what it reads after it was told to end
# Paths first: what is imported then may lie anywhere that the parent's program has added.
BOOT = """import sys
from multiprocessing.connection import Connection
control = Connection(int(sys.argv[1]))
sys.path[:] = control.recv()
from robocache.loaders.child import main
main(control)"""


class Child:
    """One process with threads of its own, which fill slots of shared memory for those of the loader.

    Each thread here has a line to one there: a slot's place, epoch and step go out, and where the batch lies or what
    went wrong comes back. Nothing else does; a process that is gone closes its ends.

    Raises
    ------
    BackendError
        It ended before it could read.
    """

    def __init__(self, filler: Filler, threads: int, segment: Segment, labels: Labels) -> None:
        from multiprocessing.connection import Pipe

        refuse_within_main()
        self._filler, self._segment, self._labels = filler, segment, labels
        self._threads = threads
        self._lines: SimpleQueue[Any] = SimpleQueue()
        pairs = [Pipe() for _ in range(threads + 1)]
        self._control = pairs[0][0]
        for here, _ in pairs[1:]:
            self._lines.put(here)
        payload = None
        try:
            payload = laid_down(filler)
            ends = [there.fileno() for _, there in pairs]
            files = [payload.file, segment.file, *ends]
            self._process = subprocess.Popen(
                [*_command(), str(ends[0])],
                pass_fds=files,
                stdin=subprocess.DEVNULL,
                process_group=0,
            )  # fmt: skip - a group of its own: Ctrl-C is for this process
        except BaseException:
            self._hang_up()
            raise
        finally:
            segment.forget()
            for _, there in pairs:
                there.close()
            if payload is not None:
                os.close(payload.file)
        main = _main()
        job = Job(os.getpid(), main, sys.argv, payload, segment.slot, segment.most, segment.file, labels, ends[1:])
        try:
            self._control.send([path or os.getcwd() for path in sys.path])
            self._control.send(job)
            failed = self._control.recv()
        except (EOFError, OSError) as error:
            raise self._ended("while it started; what it said is on stderr") from error
        except BaseException:
            self.close(0.0)
            raise
        if failed is not None:
            self.close()
            raise again(failed)

    @property
    def alive(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def fill(self, memory: Any, epoch: int, step: int) -> Filled:
        """Have a slot filled; see `Filler.fill`."""
        line = self._lines.get()
        try:
            if line is None:
                raise BackendError("the process that reads was ended")
            line.send((self._segment.at(memory), epoch, step, self._filler.sampler.skipped))
            answer = line.recv()
        except (EOFError, OSError) as error:
            raise self._ended(f"before batch {step} of epoch {epoch} was read") from error
        finally:
            self._lines.put(line)
        if isinstance(answer, Failure):
            raise again(answer)
        return self._labels.read(memory, answer)

    def _ended(self, when: str) -> BackendError:
        """What to say of a process that closed its ends."""
        try:
            code = self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        how = f"exit code {code}" if code >= 0 else f"killed by {_signal(-code)}"
        hint = "; if nobody did that, for want of memory" if code == -signal.SIGKILL else ""
        return BackendError(f"the process that reads ended {when} ({how}{hint}). A new loop starts a new one")

    def close(self, patience: float | None = None) -> None:
        """End it, after what it reads just now, or by force after so many seconds; then nothing can be filled."""
        with suppress(OSError):  # it may be gone
            self._control.send(None)
        try:
            self._process.wait(PATIENCE if patience is None else patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._hang_up()

    def _hang_up(self) -> None:
        self._control.close()
        for _ in range(self._threads):  # whoever waits for an answer has seen the end of its line
            self._lines.get().close()
        self._lines.put(None)


def _command() -> list[Any]:
    """Python with the options it has here, and what it runs first."""
    from multiprocessing import spawn

    *python, _, _, _ = spawn.get_command_line()
    return [*python, "-c", BOOT]


def _main() -> dict[str, str]:
    """Where the program is that this process runs, if it is a file or module."""
    main = sys.modules["__main__"]
    name = getattr(getattr(main, "__spec__", None), "name", None)
    if name is not None:
        return {"init_main_from_name": name}
    path = getattr(main, "__file__", None)
    return {} if path is None else {"init_main_from_path": os.path.abspath(path)}


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


__all__ = ["Child"]
