"""Parquet files: only the columns and row groups that are asked for, kept up to a number of bytes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._faults import faults, missing
from .._kept import Kept
from .._pool import Pool
from ._columns import array_of, cells, weight
from ._info import Feature

OPEN = 16
ROWS_PER_BYTE = 8  # a file that claims more is not believed: no row of a robot's log takes less than a bit


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
        import pyarrow.parquet
    except ImportError as error:
        missing("pyarrow", "reading LeRobot", error)
    return pa


def _nbytes(array: Any) -> int:
    return int(array.nbytes)


class Parquets:
    """The Parquet files of a dataset.

    Parameters
    ----------
    limit : int
        Bytes of decoded columns that are kept.
    verify : bool
        Check the checksums of pages that have one; few writers make them.
    """

    def __init__(self, limit: int, verify: bool) -> None:
        self.kept, self._verify = Kept(limit), verify
        self._pool = Pool(OPEN, lambda file: file.close())
        self._groups = Kept(16 << 20)

    @contextmanager
    def lease(self, path: Path, **place: Any) -> Iterator[Any]:
        """An open file for this thread. Whatever is wrong with it is a DataError."""
        arrow = _pyarrow()
        kinds = (arrow.ArrowException, OSError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError)
        said = faults(*kinds, NotImplementedError, file=path, **place, doing="is no Parquet that can be read")
        with said, self._pool.lease(path, lambda: self._open(arrow, path)) as file:
            yield file

    def _open(self, arrow: Any, path: Path) -> Any:
        size = path.stat().st_size
        file = arrow.parquet.ParquetFile(path, page_checksum_verification=self._verify, pre_buffer=False)
        rows = [file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)]
        if min(rows, default=0) < 0 or sum(rows) != file.metadata.num_rows or sum(rows) > ROWS_PER_BYTE * size:
            file.close()
            raise ValueError(f"claims {file.metadata.num_rows} rows in {size} bytes")
        return file

    def groups(self, path: Path, **place: Any) -> NDArray[np.int64]:
        """First rows of the row groups, and the number of all rows at the end."""
        return self._groups.get(path, partial(self._look, path, place), _nbytes)

    def _look(self, path: Path, place: dict[str, Any]) -> Any:
        with self.lease(path, **place) as file:
            rows = [file.metadata.row_group(g).num_rows for g in range(file.metadata.num_row_groups)]
            return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.array(rows, np.int64))])

    def column(self, path: Path, group: int, feature: Feature, **place: Any) -> Any:
        """A column of a row group as an array; as chunks of encoded pictures where it holds them."""
        key = path, group, feature.spec.name
        return self.kept.get(key, partial(self._read, path, group, feature, place), weight)

    def _read(self, path: Path, group: int, feature: Feature, place: dict[str, Any]) -> Any:
        name = feature.spec.name
        with self.lease(path, **(place or {"key": name})) as file:
            found = self._table(file, group, [name]).column(name)
            return cells(found) if feature.dtype == "image" else array_of(found, feature)

    @staticmethod
    def _table(file: Any, group: int, names: list[str] | None) -> Any:
        present = file.schema_arrow.names
        for name in names or ():
            if present.count(name) != 1:
                raise ValueError(f"has {present.count(name)} columns {name!r}")
        table = file.read_row_group(group, columns=names, use_threads=False)
        if table.num_rows != file.metadata.row_group(group).num_rows:
            raise ValueError(f"row group {group} has {table.num_rows} rows, not as many as it says")
        return table

    def table(self, path: Path, wanted: Callable[[str], bool], group: int | None = None) -> Any:
        """Columns of a file of metadata, or of one of its row groups, as an Arrow table."""
        with self.lease(path) as file:
            names = [name for name in file.schema_arrow.names if wanted(name)]
            groups = range(file.metadata.num_row_groups) if group is None else [group]
            tables = [self._table(file, g, names) for g in groups]
            arrow = _pyarrow()
            return arrow.concat_tables(tables) if tables else file.schema_arrow.empty_table().select(names)

    def close(self) -> None:
        """Close what is open and forget what was read."""
        self._pool.close()
        self.kept.clear()


__all__ = ["Parquets"]
