"""Where each array of a batch lies in the memory of one, on the host and where it is handed out."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from .._core import dtypes
from ._slices import Slices
from .fields import Field

ALIGNMENT = 256  # bytes: what cudaMalloc gives, and more than JAX asks for on the CPU


class Cell(NamedTuple):
    """Where an array lies in the memory of a batch."""

    offset: int
    role: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    def shifted(self, before: int) -> "Cell":
        """The cell in memory whose first bytes are left out."""
        return self._replace(offset=self.offset - before)

    def view(self, memory: Any, lead: Mapping[str, tuple[int, ...]]) -> Any:
        """The array in a NumPy or CuPy array of bytes, with the leading shape of its role."""
        shape = (*lead[self.role], *self.shape)
        nbytes = math.prod(shape) * self.dtype.itemsize
        return memory[self.offset : self.offset + nbytes].view(self.dtype).reshape(shape)


class Packed(NamedTuple):
    """Where `Slices` lie. How many there are is told as leading shapes, of roles of their own."""

    values: Cell
    times: Cell
    offsets: Cell
    targets: Cell

    def view(self, memory: Any, lead: Mapping[str, tuple[int, ...]], before: int = 0) -> Slices:
        """The arrays in memory whose first ``before`` bytes are left out."""
        return Slices(*(cell.shifted(before).view(memory, lead) for cell in self))


class Layout(NamedTuple):
    """Cells of values and of masks by key, of what is resampled elsewhere, and the bytes of all."""

    values: dict[str, Cell]
    masks: dict[str, Cell]
    packed: dict[str, Packed]
    nbytes: int

    def each(self) -> dict[str, int]:
        """Bytes, by role, that one step of one sample has in all arrays."""
        found: dict[str, int] = {}
        for one in (*self.values.values(), *self.masks.values()):
            found[one.role] = found.get(one.role, 0) + math.prod(one.shape) * one.dtype.itemsize
        return found


class Transfer(NamedTuple):
    """How a batch lies in a slot of the host and in the memory it is handed out of.

    The first ``direct`` bytes are the same in both. Behind them lie, in the slot, samples that are yet to be finished,
    and in the batch what they become.
    """

    slot: Layout
    batch: Layout
    direct: int


def on_host(fields: Sequence[Field], capacity: Mapping[str, int]) -> Layout:
    """A batch that is finished where it is read."""
    fields = [one for one in fields if not one.text]
    values, at = _cells(fields, capacity, True, 0)
    masks, end = _masks(fields, capacity, at)
    return Layout(values, masks, {}, end)


def to_device(fields: Sequence[Field], capacity: Mapping[str, int]) -> Transfer:
    """A batch that is finished on a device."""
    fields = [one for one in fields if not one.text]
    values, at = _cells([one for one in fields if not one.late], capacity, False, 0)
    masks, direct = _masks(fields, capacity, at)
    rest = [one for one in fields if one.late]
    raw, at = _cells([one for one in rest if one.resampling is None], capacity, False, direct)
    packed, end = _packed(rest, capacity, at)
    done, stop = _cells(rest, capacity, True, direct)
    batch = {one.key: (values | done)[one.key] for one in fields}
    return Transfer(Layout(values | raw, masks, packed, end), Layout(batch, masks, {}, stop), direct)


def _cells(fields: Sequence[Field], capacity: Mapping[str, int], final: bool, at: int) -> tuple[dict[str, Cell], int]:
    """Cells one after another, of samples as they are read or as they are in the end; and where they stop."""
    made = {}
    for one in fields:
        shape, dtype = (one.final_shape, one.final_dtype) if final else (one.shape, one.dtype)
        made[one.key] = Cell(at, one.role, shape, dtype)
        at += aligned(capacity[one.role] * math.prod(shape) * dtype.itemsize)
    return made, at


def _packed(fields: Sequence[Field], capacity: Mapping[str, int], at: int) -> tuple[dict[str, Packed], int]:
    """Room for as many samples as the steps of a batch can be made of, whichever they are."""
    made, clocks = {}, dict[str, Cell]()

    def cell(role: str, count: int, shape: tuple[int, ...], dtype: np.dtype[Any]) -> Cell:
        nonlocal at
        begin, at = at, at + aligned(count * math.prod(shape) * dtype.itemsize)
        return Cell(begin, role, shape, dtype)

    for one in fields:
        if one.resampling is not None:
            steps, samples, rows = capacity[one.role], f"samples of {one.key}", f"rows of {one.key}"
            values = cell(samples, steps * one.resampling.most, one.shape, one.dtype)
            times = cell(samples, steps * one.resampling.most, (), dtypes.int64)
            offsets = cell(rows, steps + 1, (), dtypes.int64)
            if one.role not in clocks:
                clocks[one.role] = cell(f"times of {one.role}", steps, (), dtypes.int64)
            made[one.key] = Packed(values, times, offsets, clocks[one.role])
    return made, at


def _masks(fields: Sequence[Field], capacity: Mapping[str, int], at: int) -> tuple[dict[str, Cell], int]:
    made = {}
    for one in (one for one in fields if not one.made):
        made[one.key] = Cell(at, one.role, (), dtypes.boolean)
        at += aligned(capacity[one.role])
    return made, at


def aligned(nbytes: int) -> int:
    """As many bytes, or a few more, so that what follows is aligned."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


__all__ = ["Cell", "Layout", "Packed", "Transfer", "aligned", "on_host", "to_device"]
