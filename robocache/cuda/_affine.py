"""Structs of affine.cuh: parameters of clouds or views, and boxes."""

from collections.abc import Iterator
from struct import Struct
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function

REAL: dict[np.dtype[Any], str] = {dtypes.float32: "f", dtypes.float64: "d"}
TABLE, CAMERAS, BOUNDS = "Q3q12{0}0q", "Q2q16{0}0q", "6{0}"
GIVEN, CAMERA = 12, 16  # numbers of a struct Table that travel by value; numbers of a row of struct Cameras
THREADS = 256
_MATRIX, _VECTOR = (0, 4, 2, 5), (0, 1, 2, 3)  # fx, fy, cx, cy in [3, 3] and in [4]


def variants() -> Iterator[tuple[str, Macros]]:
    """Those of affine.cu."""
    for dtype in REAL:
        yield "affine", macros(dtype)


def macros(dtype: np.dtype) -> Macros:
    """Those of kernels that take no other type."""
    return (("ACC_T", dtypes.CUDA_NAME[dtype]),)


def layout(form: str, dtype: np.dtype) -> Struct:
    """A struct of kernel arguments whose real numbers are of a type, as large as CUDA makes it."""
    return Struct(form.replace("{0}", REAL[dtype]) + "0q")


def table(parameters: Any, dtype: np.dtype) -> list[Any]:
    """Fields of struct Table; None: no parameters."""
    if parameters is None:
        return [0, 0, 0, 0, *(0.0,) * GIVEN]
    values = parameters.values
    if parameters.host:
        given = _rounded(values, dtype)[:GIVEN]
        return [0, 1, values.shape[1], 0, *given, *(0.0,) * (GIVEN - len(given))]
    return [values.data.ptr, *values.shape, int(values.dtype == dtypes.float64), *(0.0,) * GIVEN]


def _rounded(values: Any, dtype: np.dtype) -> list[float]:
    with np.errstate(over="ignore"):
        return [float(value) for value in values[0].astype(dtype)]


class Cameras:
    """Intrinsics and transforms of a call as its kernels read them."""

    def __init__(self, device: int, lens: Any, pose: Any, dtype: np.dtype) -> None:
        given = [part for part in (lens, pose) if part is not None]
        self.memory: Any = None  # what the struct holds the bare address of
        moved = int(pose is not None)
        if all(part.host for part in given):
            self.fields = [0, 1, moved, *_by_value(lens, pose, dtype)]
            return
        rows = max(part.values.shape[0] for part in given)
        self.memory = cupy.empty((rows, CAMERA), dtype)
        form = layout(TABLE, dtype)
        tables = [_launch.argument(form.pack(*table(part, dtype))) for part in (lens, pose)]
        kernel = function(device, "affine", "affine_prepare", macros(dtype))
        kernel((_launch.blocks(rows, THREADS),), (THREADS,), (*tables, rows, self.memory))
        _launch.hold(self.memory, *(part.values for part in given))
        self.fields = [self.memory.data.ptr, rows, moved, *(0.0,) * CAMERA]


def _by_value(lens: Any, pose: Any, dtype: np.dtype) -> list[float]:
    numbers = [0.0] * CAMERA
    if lens is not None:
        values = _rounded(lens.values, dtype)
        fx, fy, cx, cy = (dtype.type(values[k]) for k in (_MATRIX if len(values) == 9 else _VECTOR))
        with np.errstate(all="ignore"):
            numbers[:4] = [float(number) for number in (1 / fx, 1 / fy, cx, cy)]
    if pose is not None:
        numbers[4:] = _rounded(pose.values, dtype)[:GIVEN]
    return numbers
