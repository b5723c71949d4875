"""Sources for the process that reads: they have to be imported there, so they are in no test module."""

import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
from loaders.arrays import Arrays, numbers

from robocache.errors import BackendError, DataError


class Odd(Exception):
    """What cannot be made again from its own arguments."""

    def __init__(self, left: str, right: str) -> None:
        super().__init__(f"{left} and {right}")


ERRORS = {
    "torn": DataError("torn"),
    "gone": OSError(5, "gone"),
    "full": MemoryError("full"),
    "missing": BackendError("no decoder"),
    "bug": ZeroDivisionError("bug"),
    "odd": Odd("this", "that"),
    "exit": SystemExit("no more"),
}


class Failing(Arrays):
    """Steps of ``state`` that cannot be read, for the reason of that name."""

    bad: Any = ()
    reason = "torn"

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        if name == "state" and set(self.bad) & set(np.asarray(rows).ravel().tolist()):
            self.fail()
        return super().gather(name, rows, out)

    def fail(self) -> None:
        raise ERRORS[self.reason]


class Dying(Failing):
    """Reading such a step ends the process, once: ``path`` is then there."""

    path = ""

    def fail(self) -> None:
        if not os.path.exists(self.path):
            Path(self.path).touch()
            os.kill(os.getpid(), signal.SIGKILL)


class Waiting(Failing):
    """Reading such a step says so, and waits until the test lets it go on; ``path`` holds two pipes with names."""

    path = ""

    def fail(self) -> None:
        with open(f"{self.path}/entered", "w") as pipe:
            pipe.write(str(os.getpid()))
        with open(f"{self.path}/gate") as pipe:
            pipe.read()


class Unopened(Arrays):
    """It cannot be made again anywhere else."""

    def __reduce__(self) -> Any:
        return self.again, ()

    @staticmethod
    def again() -> Any:
        raise OSError("the disk is not there")


class Closing(Arrays):
    """Leaves word when it was closed."""

    path = ""

    def close(self) -> None:
        Path(self.path).write_text(str(os.getpid()))


def failing(bad: Any, reason: str = "torn", kind: type[Any] = Failing, path: Any = "", lengths: Any = (9, 7)) -> Any:
    source = kind(lengths, numbers(1, lengths).values, name="holed")
    source.bad, source.reason, source.path = frozenset(bad), reason, str(path)
    return source


def pipes(folder: Path) -> Path:
    for name in ("entered", "gate"):
        os.mkfifo(folder / name)
    return folder
