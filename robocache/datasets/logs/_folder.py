"""The files of a log as streams: one file, or a folder of them."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..._core.errors import ArgumentError, DataError
from .._faults import fault, faults
from .._files import Root
from .._sniffs import ARRAYS, plain_suffix
from ..streams import INDEX, Stream, StreamSpec, Timing
from ._arrays import Slices, Stored, members
from ._columns import Part, find_time, parts_of, time_unit, unit_of
from ._pictures import Files, spec_of
from ._stamps import UNITS, from_numbers, guess_unit
from ._table import Columns, Rows, Table, all_rows
from ._text import HEAD_ROWS, Head, cells_of, described, head_of


class Options(NamedTuple):
    """What the user asked for."""

    time_column: Any
    time_unit: Any
    columns: Mapping[str, Sequence[str | int]]
    rate: float | None
    clock: str
    split_by: str | None
    max_bytes: int


def stem_of(path: Path) -> str:
    """Name of a file without its suffixes; of EuRoC's ``imu0/data.csv`` that of the folder."""
    stem = path.stem.removesuffix(plain_suffix(path)) if path.suffix == ".gz" else path.stem
    return path.parent.name if path.name == "data.csv" else stem


class LogFile:
    """One file, and the streams it gives."""

    def __init__(self, path: Path, root: Path, episode: Any, options: Options) -> None:
        self.path, self.root, self.episode, self.options = path, root, episode, options
        self.stem = stem_of(path)
        self.meta: dict[str, Any] = {"file": str(path)}
        self.left_out: dict[str, str] = {}
        self.streams: dict[str, Stream] = {}
        if plain_suffix(path) in ARRAYS:
            self._arrays()
        else:
            self._rows()

    def _named(self, name: str) -> str:
        """A stream's name: with the file's before it, if there may be others."""
        if name in ("", self.stem):
            return self.stem
        return name if self.path == self.root else f"{self.stem}/{name}"

    def _add(self, spec: StreamSpec, timing: Timing, source: Any) -> None:
        if spec.name in self.streams:
            raise fault(f"has two columns that are called {spec.name!r}; say columns=", file=self.path)
        where = {"file": str(self.path), "episode": self.episode}
        self.streams[spec.name] = Stream(spec, timing, source, lambda: where)

    def _rows(self) -> None:
        head = head_of(self.path, self.options.max_bytes)
        by = self.options.split_by or ("row_type" if head.names and "row_type" in head.names else None)
        if by is not None:
            self._split(head, by)
            return
        path, most, skip = self.path, self.options.max_bytes, head.skip
        self._table("", head, lambda: all_rows(path, most)[skip:])

    def _split(self, head: Head, by: str) -> None:
        """One table for each text that the column ``by`` has."""
        if by not in (head.names or ()):
            raise ArgumentError(f"split_by: {by!r} is no column of {self.path.name}; there are {head.names}")
        at, width = (head.names or ()).index(by), len(head.kinds)
        groups: dict[str, list[tuple[int, str]]] = {}
        for number, line in all_rows(self.path, self.options.max_bytes)[head.skip :]:
            with faults(csv.Error, file=self.path):
                cells = cells_of(line, head.delimiter)
            if len(cells) != width:
                raise fault(f"line {number} has {len(cells)} columns, expected {width}", file=self.path)
            groups.setdefault(cells[at], []).append((number, line))
        for value, rows in groups.items():
            seen = [(number, cells_of(line, head.delimiter)) for number, line in rows]
            told = described(seen[:HEAD_ROWS], head.delimiter, (), self.path, True)
            blank = [all(not cells[k] for _, cells in seen) for k in range(width)]
            kinds = tuple("blank" if k == at or blank[k] else told.kinds[k] for k in range(width))
            self._table(value, told._replace(names=head.names, kinds=kinds, skip=0), partial(list, rows))

    def _table(self, prefix: str, head: Head, rows: Callable[[], Rows]) -> None:
        time = self._time(head)
        table = Table(self.path, self.episode, head, rows, time)
        parts, blank = self._parts(head, None if time is None else time[0])
        told: dict[str, Any] = {"blank": blank} if blank and not prefix else {}
        if time is not None:
            told |= {"time_column": head.names[time[0]] if head.names else time[0], "time_unit": time[1]}
        self.meta |= {prefix: told} if prefix else told
        timing = table.timing(self.options.clock, self.options.rate)
        for part in parts:
            name = self._named("/".join(filter(None, (prefix, part.name))))
            shape = part.shape if part.shape is not None else (len(part.columns),)
            if part.kind == "image":
                folder = self.path.parent / "data" if self.path.name == "data.csv" else self.path.parent
                source = Files(table, part.columns[0], Root(folder))
                self._add(spec_of(name, source, head.first[part.columns[0]]), timing, source)
                continue
            kind: Any = part.kind
            dtype = np.dtype(object if kind == "text" else "i8" if kind == "event" else "f8")
            spec = StreamSpec(name, kind, shape, dtype, part.unit, part.names)
            self._add(spec, timing, Columns(table, part.columns, shape))

    def _parts(self, head: Head, time: int | None) -> tuple[list[Part], list[str]]:
        if not self.options.columns:
            return parts_of(head, time)
        parts = []
        for name, wanted in self.options.columns.items():
            inner = name.removeprefix(f"{self.stem}/") if self.path != self.root else name
            if self.path != self.root and inner == name and name != self.stem:
                continue
            at = tuple(self._column(head, column) for column in wanted)
            if texts := [column for column in at if head.kinds[column] != "number"]:
                raise ArgumentError(f"columns: {name!r} has columns {texts} that are no numbers")
            if time in at:
                raise ArgumentError(f"columns: {name!r} has the column of the stamps")
            labels = tuple(map(str, wanted))
            parts.append(Part("" if inner == self.stem else inner, at, labels, None, None))
        return (parts, []) if parts else parts_of(head, time)

    def _column(self, head: Head, column: str | int) -> int:
        if isinstance(column, int) and 0 <= column < len(head.kinds):
            return column
        names = [name.lstrip("#% ") for name in head.names or ()]
        if isinstance(column, str) and column in names:
            return names.index(column)
        raise ArgumentError(f"{column!r} is no column of {self.path.name}; there are {names or len(head.kinds)}")

    def _of_file(self, given: Any) -> Any:
        """An option that may be told for every file, by its stem."""
        return given.get(self.stem) if isinstance(given, Mapping) else given

    def _time(self, head: Head) -> tuple[int, str] | None:
        """Column and unit of the stamps."""
        given, unit = self._of_file(self.options.time_column), self._of_file(self.options.time_unit)
        if given is None:
            found = find_time(head)
        else:
            at = self._column(head, given)
            found = at, unit_of(head.names[at]) if head.names else None
        if found is None or head.kinds[found[0]] == "blank":
            return None
        at, told = found
        unit = unit or told or guess_unit(head.first[at])
        if unit is None:
            raise fault(f"the unit of its stamps, such as {head.first[at]}, cannot be told; say time_unit=",
                        file=self.path)  # fmt: skip
        if unit not in UNITS:
            raise ArgumentError(f"time_unit: expected one of {sorted(UNITS)}, got {unit!r}")
        return at, unit

    def _arrays(self) -> None:
        most = self.options.max_bytes
        if plain_suffix(self.path) == ".npy":
            stored = {"": Stored(self.path, None, most, self.episode)}
        else:
            stored = members(self.path, most, self.episode)
        given = self._of_file(self.options.time_column)
        single = stored.get("")
        if single is not None and (single.dtype.names or isinstance(given, int)):
            self._structured(single, given)
            return
        name = given if given is not None else next((name for name in stored if time_unit(name)[0]), None)
        if name is not None and name not in stored:
            raise ArgumentError(f"time_column: {name!r} is no array of {self.path.name}; there are {list(stored)}")
        times = None if name is None else stored[name]
        for label, one in stored.items():
            if one is times:
                continue
            stamped = times is not None and one.shape[:1] == times.shape
            self._array(label, one, one.shape, one.dtype, Slices(one), times if stamped else None, str(name))

    def _array(
        self, name: str, one: Stored, shape: tuple[int, ...], dtype: Any, source: Any, times: Any, label: str
    ) -> None:
        if not shape:
            self.left_out[name] = "is a single value, without a first axis"
            return
        text = dtype.kind in "SU"
        image = dtype == np.uint8 and len(shape) == 4 and shape[3] in (1, 3, 4)
        spec = StreamSpec(
            self._named(name), "text" if text else "image" if image else "vector", shape[1:],
            np.dtype(object) if text else dtype,
        )  # fmt: skip
        self._add(spec, self._array_timing(shape[0], times, label), source)

    def _array_timing(self, count: int, times: Any, label: str) -> Timing:
        if times is None:
            return Timing(count, INDEX, rate=self.options.rate)
        dtype = times.dtype if isinstance(times, Stored) else times()[:0].dtype
        unit = self._of_file(self.options.time_unit) or unit_of(label) or ("s" if dtype.kind == "f" else None)
        if unit not in UNITS or dtype.kind not in "iuf":
            raise fault(f"the unit of its stamps {label!r} cannot be told; say time_unit=", file=self.path)

        def stamps() -> Any:
            try:
                return from_numbers(np.asarray(times.array if isinstance(times, Stored) else times()), unit)
            except DataError:
                raise
            except ValueError as error:
                raise fault(str(error), file=self.path, episode=self.episode, key=label) from error

        self.meta |= {"time_column": label, "time_unit": unit}
        return Timing(count, self.options.clock, stamps)

    def _structured(self, one: Stored, given: Any) -> None:
        """Fields of a structured array, or columns of one with two axes whose stamps are a column."""
        names = one.dtype.names
        if names:
            label = given or next((name for name in names if time_unit(name)[0]), None)
            if label is not None and label not in names:
                raise ArgumentError(f"time_column: {label!r} is no field of {self.path.name}; there are {names}")
            times = None if label is None else lambda: one.array[label]
            for name in names:
                field = one.dtype[name]
                if name != label and (field.base.kind not in "biuf" or len(one.shape) != 1):
                    self.left_out[name] = f"is a field of {field} in an array {one.shape}"
                elif name != label:
                    self._array(name, one, (*one.shape, *field.shape), field.base, Slices(one, name), times, str(label))
            return
        if len(one.shape) != 2 or not 0 <= given < one.shape[1]:
            raise ArgumentError(f"time_column: {given} is no column of an array {one.shape}")
        rest = tuple(at for at in range(one.shape[1]) if at != given)
        shape = (one.shape[0], len(rest))
        self._array("", one, shape, one.dtype, Slices(one, None, rest), lambda: one.array[:, given], str(given))


def open_files(paths: list[Path], root: Path, episode: Any, options: Options) -> Iterator[LogFile | tuple[Path, str]]:
    """Files with their streams; in a folder, those that are none, with the reason."""
    for path in paths:
        try:
            yield LogFile(path, root, episode, options)
        except DataError as error:
            if path == root:
                raise
            yield path, str(error)


__all__ = ["LogFile", "Options", "open_files"]
