"""Rotations and poses on the GPU: one launch of ``rotation.cu``, packed so that later calls change addresses only."""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from struct import Struct
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from .._core.rotations import CONVERSIONS, FORMS, PROGRAMS, Rows, Settings, arranged, width
from . import _launch
from ._module import Macros, function

THREADS = 256  # most in a block: of rotation.cu
TILE_BYTES = 2048  # rows of a block, times the size of a number: two rows a thread of float32
BLOCKS = 264  # to fill the card: 2 on each of 132
ACCESS = 16  # bytes of the widest
PROGRAM = {
    "canonical_quat": "Canonical", "invert_quat": "Invert", "multiply_quats": "Multiply", "slerp": "Slerp",
    "compose_poses": "Compose", "relative_pose": "Relative",
}  # fmt: skip

# struct Work of rotation.cu
_HEAD = Struct("4Qd")
_SHAPE = Struct("4q")
_SIDE = Struct("5q")
_SETTINGS = Struct("8i")
_ABSENT = _SIDE.pack(0, 0, 0, -1, 0)


@cache
def _macros(name: str, dtype: np.dtype, weight: np.dtype) -> Macros:
    types = (
        ("VALUE_T", dtypes.CUDA_NAME[dtype]),
        ("ACC_T", dtypes.CUDA_NAME[dtypes.accumulator(dtype)]),
        ("WEIGHT_T", dtypes.CUDA_NAME[weight]),
    )
    if name in PROGRAM:
        return (*types, ("PROGRAM", PROGRAM[name]))
    (source,), target = CONVERSIONS[name]
    return (*types, ("FROM", str(FORMS.index(source))), ("TO", str(FORMS.index(target))))


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for dtype in sorted(dtypes.FLOATING, key=str):
        for name in PROGRAMS:
            yield "rotation", _macros(name, dtype, dtype)
        yield "rotation", _macros("slerp", dtype, dtypes.accumulator(dtype))


class _Room:
    """Shared memory of a block, and how the rows of each array travel."""

    def __init__(self, tile: int) -> None:
        self._tile, self.used = tile, 0

    def side(self, pointer: int, nbytes: int, packed: bool, strides: Sequence[int]) -> bytes:
        """One array; ``packed`` says that its rows lie one after the other."""
        access = math.gcd(nbytes, ACCESS)  # the widest that divides a row
        wide = pointer % access == 0 and all(step % access == 0 for step in strides)
        if not packed or (wide and nbytes == ACCESS):
            return _SIDE.pack(*strides, -1, wide)
        place = self.used
        self.used += -(-self._tile * nbytes // ACCESS) * ACCESS + ACCESS
        return _SIDE.pack(*strides, place, wide)


def _copied(array: Any, shape: tuple[int, ...] | None = None) -> Any:
    bits = array.view(np.uint16) if array.dtype == dtypes.bfloat16 else array  # of bfloat16 only the bits move
    copy = cupy.ascontiguousarray(bits if shape is None else cupy.broadcast_to(bits, shape))
    _launch.hold(copy)
    return copy.view(array.dtype)


def _launched(name: str, settings: Settings, rows: Rows, out: Any) -> _launch.Shot:
    """The launch of a call, with everything settled but the addresses and the weight."""
    forms, result = PROGRAMS[name]
    total, size = math.prod(rows.axes), out.dtype.itemsize
    even = -(-total // BLOCKS)
    tile = min(TILE_BYTES // size, -(-even // 32) * 32)
    room, sides = _Room(tile), []
    for k, (form, array) in enumerate(zip(forms, rows.arrays, strict=False)):  # the weight may be a number
        nbytes = width(form) * array.dtype.itemsize
        sides.append(room.side(array.data.ptr, nbytes, rows.packed(k, nbytes), rows.strides[k]))
    sides += [_ABSENT] * (3 - len(sides))
    goal = room.side(out.data.ptr, width(result) * size, True, (0, 0, 0))
    shape = _SHAPE.pack(total, tile, rows.axes[1] * rows.axes[2], rows.axes[2])
    packed = bytes(_HEAD.size) + shape + goal + b"".join(sides) + _SETTINGS.pack(*settings)
    weight = rows.arrays[2].dtype if len(rows.arrays) > 2 else out.dtype
    device = _launch.device_id(out)
    kernel = function(device, "rotation", "rotation_rows", _macros(name, out.dtype, weight))
    grid = (_launch.blocks(total, tile),)
    return _launch.Shot(device, kernel, (grid, (min(THREADS, tile),)), packed, shared=room.used)


def apply(
    name: str, settings: Settings, lead: tuple[int, ...], arrays: Sequence[Any], weight: float, out: Any
) -> Callable[..., None] | None:
    """See robocache.ops.rotations."""
    forms, _ = PROGRAMS[name]
    rows = arranged(forms[: len(arrays)], arrays, lead, _copied)
    if not out.size:
        return None
    shot = _launched(name, settings, rows, out)
    count = len(arrays)

    def replay(arrays: Sequence[Any], weight: float, out: Any) -> None:
        _launch.begin()
        pointers = [0, 0, 0]
        pointers[:count] = [array.data.ptr for array in arrays]
        taken = shot.take()
        _HEAD.pack_into(taken[0], 0, out.data.ptr, *pointers, weight)
        shot.fire(taken)

    replay(rows.arrays, weight, out)
    return replay if all(a is b for a, b in zip(rows.arrays, arrays, strict=True)) else None
