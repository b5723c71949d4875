"""Shards and the records in them: tfrecord, array_record and parquet."""

from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .._faults import fault, faults, missing
from .._kept import Kept
from .._pool import Pool
from ._tfrecord import Place, TfRecords


class Container(Protocol):
    """Files of records."""

    def count(self, path: Path) -> int:
        """How many whole records a file has."""

    def trouble(self, path: Path) -> str | None:
        """What is wrong with the file after its last whole record."""

    def record(self, path: Path, at: int, check: bool) -> memoryview:
        """The bytes of a record; with ``check`` its checksum is compared first."""

    def place(self, path: Path, at: int) -> Place | None:
        """Where it lies, if its bytes are in the file as they are."""

    def close(self) -> None:
        """Let go of all files."""


class _Copied:
    """Records that a library hands out as bytes; the last ones are kept, ``resident`` bytes of them."""

    errors: tuple[type[Exception], ...] = (OSError, ValueError, RuntimeError, IndexError, KeyError, MemoryError)

    def __init__(self, resident: int) -> None:
        self._files = Pool(16, self._shut)
        self._counts: dict[Path, int] = {}
        self._records = Kept(resident, lone=True)

    def _open(self, path: Path) -> Any:
        raise NotImplementedError

    def _shut(self, file: Any) -> None:
        with suppress(*self.errors):
            file.close()

    def _size(self, file: Any) -> int:
        raise NotImplementedError

    def _read(self, file: Any, path: Path, at: int) -> memoryview:
        raise NotImplementedError

    def count(self, path: Path) -> int:
        """See Container."""
        if path not in self._counts:
            with faults(*self.errors, file=path), self._files.lease(path, lambda: self._open(path)) as file:
                self._counts[path] = self._size(file)
        return self._counts[path]

    def trouble(self, path: Path) -> str | None:
        """See Container."""
        return None

    def place(self, path: Path, at: int) -> Place | None:
        """See Container."""
        return None

    def record(self, path: Path, at: int, check: bool) -> memoryview:
        """See Container."""
        found: memoryview | None = self._records.find((path, at))
        if found is None:
            if at >= self.count(path):
                raise fault(f"has {self.count(path)} records, and number {at} is wanted", file=path)
            with faults(*self.errors, file=path), self._files.lease(path, lambda: self._open(path)) as file:
                found = self._read(file, path, at)
            self._records.put((path, at), found, len(found))
        return found

    def close(self) -> None:
        """See Container."""
        self._files.close()
        self._records.clear()


class ArrayRecords(_Copied):
    """``*.array_record``, by the package array-record, which checks the checksums of its chunks always."""

    def __init__(self, resident: int) -> None:
        super().__init__(resident)
        try:
            from array_record.python.array_record_module import ArrayRecordReader
        except ImportError as error:
            missing("array_record", "reading array_record", error)
        self._reader = ArrayRecordReader

    def _open(self, path: Path) -> Any:
        return self._reader(str(path), "readahead_buffer_size:0")

    def _size(self, file: Any) -> int:
        return int(file.num_records())

    def _read(self, file: Any, path: Path, at: int) -> memoryview:
        return memoryview(file.read([at])[0])


class Parquet(_Copied):
    """``*.parquet`` with the records in one column ``data``; it has checksums only where its writer made them."""

    def __init__(self, verify: bool, resident: int) -> None:
        super().__init__(resident)
        self._verify = verify
        self._groups = Kept(resident, lone=True)
        try:
            from pyarrow import parquet
        except ImportError as error:
            missing("pyarrow", "reading parquet", error)
        self._reader = parquet.ParquetFile

    def _open(self, path: Path) -> Any:
        file = self._reader(path, memory_map=True, page_checksum_verification=self._verify)
        if "data" not in file.schema_arrow.names or str(file.schema_arrow.field("data").type) not in KINDS:
            raise ValueError("it has no column 'data' of bytes")
        return file

    def _size(self, file: Any) -> int:
        return int(file.metadata.num_rows)

    def _read(self, file: Any, path: Path, at: int) -> memoryview:
        rows = [file.metadata.row_group(k).num_rows for k in range(file.metadata.num_row_groups)]
        ends = np.cumsum(rows)
        group = int(np.searchsorted(ends, at, "right"))
        column = self._groups.find((path, group))
        if column is None:
            column = file.read_row_group(group, columns=["data"], use_threads=False).column("data")
            self._groups.put((path, group), column, column.nbytes)
        value = column[at - int(ends[group]) + rows[group]].as_buffer()
        if value is None:
            raise ValueError(f"row {at} is null")
        return memoryview(value).cast("B")

    def close(self) -> None:
        """See Container."""
        super().close()
        self._groups.clear()


KINDS = ("binary", "large_binary", "string", "large_string")
FORMATS = ("tfrecord", "array_record", "parquet")


def container(form: str, verify: bool, resident: int) -> Container:
    """What reads the shards of a format, and keeps so many bytes of their records in memory."""
    if form == "tfrecord":
        return TfRecords(verify, resident)
    return ArrayRecords(resident) if form == "array_record" else Parquet(verify, resident)


__all__ = ["FORMATS", "Container", "container"]
