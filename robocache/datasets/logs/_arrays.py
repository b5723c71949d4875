"""``.npy`` and ``.npz`` files: headers are held against the bytes that are there before anything is allocated."""

import math
import struct
import tokenize
import warnings
import zipfile
import zlib
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy

from .._faults import fault
from ..streams import Picked, Source

PROBLEMS = (ValueError, OSError, EOFError, zlib.error, zipfile.BadZipFile, KeyError, TypeError, OverflowError,
            MemoryError, RecursionError, NotImplementedError, RuntimeError, SyntaxError, tokenize.TokenError,
            struct.error)  # fmt: skip


def header(file: BinaryIO, size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and type of the array in a file of so many bytes."""
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of its format is not known")
    reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of headers that Python 2 wrote, which are read all the same
        shape, fortran, dtype = reader(file)
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which are not read")
    if any(n < 0 for n in shape) or file.tell() + math.prod(shape) * dtype.itemsize != size:
        raise ValueError(f"an array {shape} of {dtype} does not fill its {size} bytes")
    return shape, fortran, dtype


class Stored:
    """An array on disk: of a ``.npy`` file, mapped; or a member of a ``.npz`` file, read when it is wanted."""

    def __init__(self, path: Path, member: str | None, most: int, episode: Any) -> None:
        self.path, self.member, self.most = path, member, most
        self.place = {"file": path, "episode": episode, "key": member}
        try:
            self.shape, self.fortran, self.dtype = self._header()
        except PROBLEMS as error:
            raise fault(f"is no array that can be read: {error}", **self.place) from error

    def _header(self) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
        if self.member is None:
            with open(self.path, "rb") as file:
                return header(file, self.path.stat().st_size)
        with zipfile.ZipFile(self.path) as archive, archive.open(self.member) as inside:
            size = archive.getinfo(self.member).file_size
            if size > self.most:
                raise ValueError(f"it claims {size} bytes, over the limit of {self.most}; say max_bytes=")
            return header(inside, size)  # type: ignore[arg-type]

    @cached_property
    def array(self) -> Any:
        """All of it."""
        try:
            if not self.dtype.itemsize or 0 in self.shape:
                return np.zeros(self.shape, self.dtype)
            if self.member is None:
                offset = self.path.stat().st_size - self._bytes()
                order: Any = "F" if self.fortran else "C"
                return np.memmap(self.path, self.dtype, "r", offset, self.shape, order)
            with zipfile.ZipFile(self.path) as archive:
                raw = archive.read(self.member)
            if len(raw) > self.most:
                raise ValueError("it is longer than it claims")
            values = np.frombuffer(raw, self.dtype, math.prod(self.shape), len(raw) - self._bytes())
            return values.reshape(self.shape, order="F" if self.fortran else "C")
        except PROBLEMS as error:
            raise fault(f"cannot be read: {error}", **self.place) from error

    def _bytes(self) -> int:
        return math.prod(self.shape) * self.dtype.itemsize


def members(path: Path, most: int, episode: Any) -> dict[str, Stored]:
    """The arrays of a ``.npz`` file."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".npy")]
    except PROBLEMS as error:
        raise fault(f"is no archive that can be read: {error}", file=path) from error
    if not names or len(set(names)) != len(names):
        raise fault("holds no arrays, or two of one name", file=path)
    return {name.removesuffix(".npy"): Stored(path, name, most, episode) for name in names}


class Slices(Source):
    """Samples along the first axis of an array: all of it, a field of it, or some of its columns."""

    def __init__(self, stored: Stored, field: str | None = None, columns: tuple[int, ...] | None = None) -> None:
        self.stored, self.field, self.columns = stored, field, columns

    def take(self, at: Picked) -> Any:
        """See `Source.take`."""
        array = self.stored.array if self.field is None else self.stored.array[self.field]
        found = array[at] if self.columns is None else array[at][:, list(self.columns)]
        return found.astype(object) if found.dtype.kind in "SU" else np.array(found)


__all__ = ["Slices", "Stored", "members"]
