"""A file of rows as streams; read as a whole when the first sample is wanted."""

import csv
import threading
import warnings
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._faults import fault, faults
from ..streams import INDEX, Picked, Source, Timing
from ._stamps import LONGEST, to_nanoseconds
from ._text import Head, cells_of, is_number, read, rows_of

Rows = Sequence[tuple[int, str]]
ROWS = 1 << 16  # that are parsed at a time


def all_rows(path: Path, most: int) -> list[tuple[int, str]]:
    """Line numbers and lines of a file, without comments."""
    with faults(UnicodeDecodeError, file=path, doing="is no text"):
        text = read(path, most).decode("utf-8-sig")
    return list(rows_of(text))


class Table:
    """The rows of a file, or some of them.

    Parameters
    ----------
    rows : function
        Returns (line number, line) of every row but the header.
    time : (int, str), optional
        Column and unit of the stamps.
    """

    def __init__(
        self, path: Path, episode: Any, head: Head, rows: Callable[[], Rows], time: tuple[int, str] | None
    ) -> None:
        self.path, self.episode, self.head, self._rows, self.time = path, episode, head, rows, time
        self._lock = threading.Lock()

    @property
    def place(self) -> dict[str, Any]:
        """Where it is, for errors."""
        return {"file": self.path, "episode": self.episode}

    @cached_property
    def _parsed(self) -> tuple[int, NDArray[np.int64] | None, dict[int, Any]]:
        rows = self._rows()
        stamps: list[Any] = []
        columns: dict[int, list[Any]] = {at: [] for at, kind in enumerate(self.head.kinds) if kind != "blank"}
        for start in range(0, len(rows), ROWS):
            block = rows[start : start + ROWS]
            found = self._numbers(block)
            if self.time is not None:
                stamps.append(self._stamps(found[str(self.time[0])], block))
            for at, parts in columns.items():
                parts.append(self._texts(block, at) if self.head.kinds[at] == "text" else found[str(at)])
        joined = {at: np.concatenate(parts) for at, parts in columns.items() if parts and not self._is_time(at)}
        return len(rows), np.concatenate(stamps) if stamps else None, joined

    def _is_time(self, at: int) -> bool:
        return self.time is not None and at == self.time[0]

    @property
    def parsed(self) -> tuple[int, NDArray[np.int64] | None, dict[int, Any]]:
        """Rows, stamps, and columns by their number. Of threads that ask at once, one reads."""
        with self._lock:
            return self._parsed

    def _numbers(self, block: Rows) -> Any:
        """A record array with a field for every column."""
        kinds = {"number": "f8", "text": "S1", "blank": "S1"}
        dtype = [
            (str(at), f"S{LONGEST}" if self._is_time(at) else kinds[kind]) for at, kind in enumerate(self.head.kinds)
        ]
        lines = [line for _, line in block]
        mark = self.head.delimiter
        quote = '"' if mark is not None and any('"' in line for line in lines) else None
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                found = np.loadtxt(lines, dtype, comments=None, delimiter=mark, quotechar=quote, ndmin=1)
            if len(found) != len(lines):  # a quote that is not closed, or a carriage return within a line
                raise ValueError(f"{len(lines)} lines from line {block[0][0]} on hold {len(found)} rows")
            return found
        except (ValueError, TypeError, IndexError, OverflowError, Warning) as error:
            with faults(csv.Error, **self.place):
                self.blame(block)
            raise fault(f"cannot be read: {error}", **self.place) from error

    def blame(self, block: Rows) -> None:
        """Raise for the first line that is not as it should be."""
        for number, line in block:
            cells = cells_of(line, self.head.delimiter)
            if len(cells) != len(self.head.kinds):
                message = f"line {number} has {len(cells)} columns, expected {len(self.head.kinds)}"
                raise fault(message, **self.place)
            for at, (cell, kind) in enumerate(zip(cells, self.head.kinds, strict=True)):
                if kind == "number" and not is_number(cell):
                    name = self.head.names[at] if self.head.names else f"column {at}"
                    raise fault(f"line {number} has {cell[:60]!r} where a number should be", key=name, **self.place)

    def _stamps(self, cells: Any, block: Rows) -> NDArray[np.int64]:
        _, unit = self.time or (0, "s")
        try:
            if cells.size and int(np.char.str_len(cells).max()) >= LONGEST:
                raise ValueError(f"a stamp has more than {LONGEST} characters")
            return to_nanoseconds(cells, unit)
        except (ValueError, ArithmeticError) as error:
            for (number, _), cell in zip(block, cells, strict=True):
                try:
                    to_nanoseconds(np.array([cell]), unit)
                except (ValueError, ArithmeticError) as told:
                    raise fault(f"line {number}: the stamp cannot be read: {told}", **self.place) from told
            raise fault(f"the stamps cannot be read: {error}", **self.place) from error

    def _texts(self, block: Rows, at: int) -> Any:
        out = np.empty(len(block), object)
        with faults(csv.Error, **self.place):
            out[:] = [cells_of(line, self.head.delimiter)[at] for _, line in block]
        return out

    def timing(self, clock: str, rate: float | None) -> Timing:
        """Its stamps, or the index if it has none."""
        return Counted(self, INDEX if self.time is None else clock, rate)


class Counted(Timing):
    """The clock of a table, whose rows are counted when that is first asked."""

    def __init__(self, table: Table, clock: str, rate: float | None) -> None:
        self._table = table
        stamped = table.time is not None
        super().__init__(0, clock, self._read if stamped else None, None if stamped else rate)

    def _read(self) -> Any:
        found = self._table.parsed[1]
        return np.zeros(0, np.int64) if found is None else found

    @property
    def count(self) -> int:
        """Rows."""
        return self._table.parsed[0]

    @count.setter
    def count(self, count: int) -> None:
        """Is known by the table alone."""


class Columns(Source):
    """Some columns side by side."""

    def __init__(self, table: Table, columns: tuple[int, ...], shape: tuple[int, ...]) -> None:
        self.table, self.columns, self.shape = table, columns, shape

    @cached_property
    def array(self) -> Any:
        """All rows."""
        count, stamps, found = self.table.parsed
        if not self.columns:
            return np.zeros(0, np.int64) if stamps is None else stamps
        if not count:
            return np.zeros((0, *self.shape))
        chosen = [found[at] for at in self.columns]
        if not self.shape:
            return np.ascontiguousarray(chosen[0])
        return np.stack(chosen, 1).reshape(count, *self.shape)

    def take(self, at: Picked) -> Any:
        """See `Source.take`."""
        return self.array[at]


__all__ = ["Columns", "Rows", "Table", "all_rows"]
