"""Parquet files: only the columns and row groups that are asked for, kept up to a number of bytes."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..._core.errors import DataError
from .._faults import faults, missing
from .._kept import Kept
from .._pool import Pool
from ._columns import array_of, cells, cells_in, weight
from ._info import Feature

OPEN = 16
TOGETHER, TOGETHER_BYTES = 2048, 512 << 10  # rows that are read at once with their neighbours, and what they may take
ROWS_PER_BYTE = 8  # a file that claims more is not believed: no row of a robot's log takes less than a bit


@cache
def _pyarrow() -> Any:
    """The library, and what it throws over bad bytes."""
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        missing("pyarrow", "reading LeRobot", error)
    kinds = (pa.ArrowException, OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)
    return pa, (*kinds, NotImplementedError)


class File(NamedTuple):
    """An open file, and what would else be asked of it for every column."""

    reader: Any
    names: list[str]
    rows: list[int]  # of every row group
    runs: list[int]  # first row groups of runs that have few rows


def _runs(rows: list[int]) -> list[int]:
    """Where runs of neighbours begin; they are the same whichever row group is wanted, so that none is read twice."""
    found, held = [], TOGETHER + 1
    for group, count in enumerate(rows):
        if held + count > TOGETHER:
            found.append(group)
            held = 0
        held += count
    return found


def _nbytes(array: Any) -> int:
    return int(array.nbytes)


def _row_bytes(features: Iterable[Feature]) -> int:
    return sum(one.spec.dtype.itemsize * cells_in(one.spec.shape) for one in features)


class Parquets:
    """The Parquet files of a dataset.

    Parameters
    ----------
    limit : int
        Bytes of decoded columns that are kept.
    verify : bool
        Check the checksums of pages that have one; few writers make them.

    Notes
    -----
    Small row groups are read with their neighbours, and with the columns that were asked of the row groups before: a
    call of Arrow and all around it takes longer than to decode some hundred rows. What is read so takes at most
    `TOGETHER_BYTES`, and neighbours only come along where the columns of all ``total`` rows can be kept, so that
    nothing is dropped before anyone looks at it.
    """

    def __init__(self, limit: int, verify: bool) -> None:
        self.kept, self._verify = Kept(limit), verify
        self.total: int | None = None  # rows of all data files, once they are known
        self._asked: dict[str, Feature] = {}  # since the run that was read last
        self._run: tuple[Path, int] | None = None
        self._pool = Pool(OPEN, lambda file: file.reader.close())
        self._groups = Kept(16 << 20)

    @contextmanager
    def lease(self, path: Path, **place: Any) -> Iterator[File]:
        """An open file for this thread. Whatever is wrong with it is a DataError."""
        arrow, kinds = _pyarrow()
        said = faults(*kinds, file=path, **place, doing="is no Parquet that can be read")
        with said, self._pool.lease(path, lambda: self._open(arrow, path)) as file:
            yield file

    def _open(self, arrow: Any, path: Path) -> File:
        size = path.stat().st_size
        reader = arrow.parquet.ParquetFile(path, page_checksum_verification=self._verify, pre_buffer=False)
        told = reader.metadata
        rows = [told.row_group(g).num_rows for g in range(told.num_row_groups)]
        if min(rows, default=0) < 0 or sum(rows) != told.num_rows or sum(rows) > ROWS_PER_BYTE * size:
            reader.close()
            raise ValueError(f"claims {told.num_rows} rows in {size} bytes")
        return File(reader, reader.schema_arrow.names, rows, _runs(rows))

    def groups(self, path: Path, **place: Any) -> NDArray[np.int64]:
        """First rows of the row groups, and the number of all rows at the end."""
        return self._groups.get(path, partial(self._look, path, place), _nbytes)

    def _look(self, path: Path, place: dict[str, Any]) -> Any:
        with self.lease(path, **place) as file:
            return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(file.rows, np.int64))])

    def column(self, path: Path, group: int, feature: Feature, **place: Any) -> Any:
        """A column of a row group as an array; as chunks of encoded pictures where it holds them."""
        name = feature.spec.name
        numbers = feature.dtype != "image" and feature.spec.dtype != object
        if numbers:
            self._asked[name] = feature
        found = self.kept.find((path, group, name))
        if found is None and numbers:
            with suppress(DataError):  # of whatever came along: it is read alone then
                found = self._several(path, group, feature)
        if found is None:
            with self.lease(path, **(place or {"key": name})) as file:
                column = self._table(file, [group], [name]).column(name)
                found = cells(column) if feature.dtype == "image" else array_of(column, feature)
            self.kept.put((path, group, name), found, weight(found))
        return found

    def _several(self, path: Path, group: int, feature: Feature) -> Any:
        """A column of a row group, read with others; None if it is better read alone."""
        with self.lease(path) as file:
            features, groups = self._along(path, group, feature, file)
            if len(features) * len(groups) < 2:
                return None
            table = self._table(file, groups, [one.spec.name for one in features])
            arrays = [array_of(table.column(one.spec.name), one) for one in features]
        found = None
        for one, whole in zip(features, arrays, strict=True):
            at = 0
            for number in groups:
                part = whole[at : at + file.rows[number]]
                if len(groups) > 1:
                    part = part.copy()  # a view would keep all of them in memory
                    part.flags.writeable = False
                self.kept.put((path, number, one.spec.name), part, weight(part))
                found = part if one is feature and number == group else found
                at += file.rows[number]
        return found

    def _along(self, path: Path, group: int, feature: Feature, file: File) -> tuple[list[Feature], range]:
        """Columns, and a run of row groups, to be read in one call."""
        asked = {**self._asked, feature.spec.name: feature}
        others = [one for name, one in asked.items() if one is not feature and name in file.names]
        features = [feature, *(one for one in others if self.kept.find((path, group, one.spec.name)) is None)]
        each, half = _row_bytes(features), self.kept.limit // 2
        at = bisect_right(file.runs, group) - 1
        run = range(file.runs[at], (*file.runs, len(file.rows))[at + 1])
        stays = self.total is not None and self.total * _row_bytes(asked.values()) <= half
        if not stays or sum(file.rows[number] for number in run) * each > TOGETHER_BYTES:
            run = range(group, group + 1)
        if self._run != (path, run.start):
            self._asked, self._run = {feature.spec.name: feature}, (path, run.start)
        return features if file.rows[group] * each <= min(TOGETHER_BYTES, half) else [feature], run

    @staticmethod
    def _table(file: File, groups: Sequence[int], names: list[str]) -> Any:
        for name in names:
            if file.names.count(name) != 1:
                raise ValueError(f"has {file.names.count(name)} columns {name!r}")
        table = file.reader.read_row_groups(list(groups), columns=names, use_threads=False)
        if table.num_rows != (told := sum(file.rows[group] for group in groups)):
            raise ValueError(f"row groups {list(groups)} have {table.num_rows} rows, not the {told} that they say")
        return table

    def table(self, path: Path, wanted: Callable[[str], bool], group: int | None = None) -> Any:
        """Columns of a file of metadata, or of one of its row groups, as an Arrow table."""
        with self.lease(path) as file:
            names = [name for name in file.names if wanted(name)]
            return self._table(file, range(len(file.rows)) if group is None else [group], names)

    def close(self) -> None:
        """Close what is open and forget what was read."""
        self._pool.close()
        self.kept.clear()


__all__ = ["Parquets"]
