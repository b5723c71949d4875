"""What one process tells another: objects whose arrays are not copied twice, and errors with where they came from."""

import mmap
import os
import pickle
import re
import traceback
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from .._core.errors import ArgumentError, BackendError, MemoryLimitError, RoboCacheError
from . import budget
from .layout import aligned
from .segments import nameless

MAIN = re.compile(rb"__(mp_)?main__")
REMEDY = (
    "the other process cannot be given the source: {}. Give paths, stores, a MemorySource, or objects that pickle "
    "can take (a class of a module that can be imported, without open files and locks, or with a __reduce__ that "
    "opens them again); or workers='thread'"
)


class Payload(NamedTuple):
    """An object in a file without a name: where its parts lie, the pickle first, and whether it needs ``__main__``."""

    file: int
    spans: list[tuple[int, int]]
    main: bool


def pickled(what: Any) -> tuple[bytes, Sequence[Any]]:
    """A pickle, and the arrays it is about, not copied.

    Raises
    ------
    ArgumentError
        It cannot be pickled.
    MemoryLimitError
        The other process would need a copy of more than a quarter of the memory.
    """
    arrays: list[pickle.PickleBuffer] = []
    try:
        data = pickle.dumps(what, 5, buffer_callback=arrays.append)
    except RoboCacheError:
        raise
    except Exception as error:
        raise ArgumentError(REMEDY.format(f"{type(error).__name__}: {error}")) from error
    parts = [one.raw() for one in arrays]
    total, limit = len(data) + sum(one.nbytes for one in parts), budget.host_limit(None)
    if total > limit:
        raise MemoryLimitError(
            f"the sources hold {total:,} bytes that another process needs a copy of, more than the {limit:,} allowed "
            "(a quarter of the memory); use workers='thread', or convert them to a store, which processes share"
        )
    return data, parts


def laid_down(what: Any) -> Payload:
    """Write an object for another process; whoever calls closes the file."""
    data, arrays = pickled(what)
    spans, at = [], 0
    for one in (memoryview(data), *arrays):
        spans.append((at, one.nbytes))
        at = aligned(at + one.nbytes)
    try:
        made = nameless(max(1, at))
        with open(made, "wb", closefd=False) as file:
            for (start, _), one in zip(spans, (data, *arrays), strict=True):
                file.seek(start)
                file.write(one)
    except OSError as error:
        raise MemoryLimitError(f"no memory for a copy of the sources, {at:,} bytes: {error}") from error
    return Payload(made, spans, MAIN.search(data) is not None)


def picked_up(file: int, spans: Sequence[tuple[int, int]]) -> Any:
    """The object again. Its arrays lie in the file; what is written to them stays in this process."""
    held = mmap.mmap(file, 0, access=mmap.ACCESS_COPY)
    os.close(file)
    whole = memoryview(held)
    data, *arrays = (whole[at : at + nbytes] for at, nbytes in spans)
    try:
        return pickle.loads(data, buffers=arrays)
    except RoboCacheError:
        raise
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
        if isinstance(error, AttributeError) and MAIN.search(said.encode()):
            said += " (what a notebook or `python -c` defines is not there; put it into a module)"
        raise ArgumentError(REMEDY.format(said)) from error


class Failure(NamedTuple):
    """An error on its way: itself and its cause where pickle takes them, what it says, and its traceback."""

    error: bytes | None
    cause: bytes | None
    said: str
    trace: str


def told(error: BaseException) -> Failure:
    """An error for the other process."""
    trace = "".join(traceback.format_exception(error))
    return Failure(_bytes(error), _bytes(error.__cause__), f"{type(error).__name__}: {error}", trace)


def _bytes(error: BaseException | None) -> bytes | None:
    if error is not None:
        with suppress(Exception):  # some can be pickled and not unpickled
            data = pickle.dumps(error)
            pickle.loads(data)
            return data
    return None


def again(failure: Failure) -> BaseException:
    """The error here, with the traceback that it had there as a note."""
    error = _error(failure.error)
    if error is None:
        error = BackendError(f"the process that reads failed: {failure.said}")
    error.__cause__ = _error(failure.cause)
    error.add_note(f"In the process that reads:\n{failure.trace}")
    return error


def _error(data: bytes | None) -> BaseException | None:
    if data is not None:
        with suppress(Exception):  # of a module that is only there
            found = pickle.loads(data)
            return found if isinstance(found, BaseException) else None
    return None


__all__ = ["Failure", "Payload", "again", "laid_down", "picked_up", "pickled", "told"]
