"""Rotations and poses on the CPU: rows are read block by block, led through the stages of a program, and written."""

import functools
import math
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Any

import numpy as np
from numba import int64, void

from .._core import dtypes
from .._core.rotations import CONVERSIONS, PROGRAMS, Rows, Settings, arranged, width
from . import _turns
from ._address import call, stack, view
from ._blocks import ABOUT, BLOCK, reader, writer
from ._jit import native
from ._team import spread

STAGES = {
    "canonical_quat": ("canonical_sign",), "invert_quat": ("unit", "inverse"), "multiply_quats": ("multiply",),
    "slerp": ("interpolate",), "compose_poses": ("compose",), "relative_pose": ("relate",),
}  # fmt: skip
TRIGONOMETRY = ("rotvec_to_quat", "quat_to_rotvec", "euler_to_quat", "quat_to_euler", "interpolate")
EFFORT = 200  # bytes that could be moved while a row goes through one of these

# Words of a program: how many operands and stages; where the stages and the settings begin; what is known of the result
# and of each operand, and the function that writes or reads it.
OPERANDS, COUNT, STAGE, SETTINGS = 0, 1, 2, 5
GOAL = SETTINGS + _turns.SETTINGS
SIDE = ABOUT + 1
PROGRAM = GOAL + 4 * SIDE
MOST, ROOM = 14, (14 + 9) * BLOCK  # numbers of a row in the block that rows are read into; words of it and the other
_ARGS = Struct("=5q")  # the program; where the result and the operands lie


@native(void(int64, int64, int64, int64))
def _run(start, stop, args, report):
    """Rows from start to stop."""
    given = view(args, 5, np.int64)
    program = given[0]
    words = view(program, PROGRAM, np.int64)
    front, span = stack(ROOM), stack(2)
    back = front + MOST * BLOCK * 8
    rows = view(span, 2, np.int64)
    for first in range(start, stop, BLOCK):
        rows[0], rows[1] = first, min(BLOCK, stop - first)
        source, target = front, back
        for k in range(words[OPERANDS]):
            side = GOAL + (k + 1) * SIDE
            call(words[side + ABOUT], program + 8 * side, given[2 + k], span, source)
        for k in range(words[COUNT]):
            call(words[STAGE + k], rows[1], source, target, program + 8 * SETTINGS)
            source, target = target, source
        call(words[GOAL + ABOUT], program + 8 * GOAL, given[1], span, source)


def _stages(name: str) -> tuple[str, ...]:
    """What a program consists of: a conversion goes by way of a quaternion or of a matrix, whichever is at hand."""
    if name in STAGES:
        return STAGES[name]
    (source,), target = CONVERSIONS[name]
    matrix, wanted = source in ("matrix", "rot6d"), target in ("matrix", "rot6d")
    first = {"quat": "unit", "matrix": None, "rot6d": "rot6d_to_matrix"}.get(source, f"{source}_to_quat")
    middle = None if matrix == wanted else "matrix_to_quat" if matrix else "quat_to_matrix"
    last = None if wanted else "canonical_sign" if target == "quat" else f"quat_to_{target}"
    return tuple(stage for stage in (first, middle, last) if stage is not None)


@functools.cache
def _stage(name: str, real: Any) -> Any:
    return getattr(_turns, name)(real)


def _places(form: str, settings: Settings, result: bool) -> list[int]:
    """Where in a block each number of a row goes: quaternions as x, y, z, w, matrices row by row."""
    quat = [3, 0, 1, 2] if settings.wxyz else [0, 1, 2, 3]
    if form == "quat":
        return quat
    if form == "pose":
        return [0, 1, 2, *(3 + place for place in quat)]
    if form == "rot6d" and result and settings.columns:
        return [0, 3, 6, 1, 4, 7]
    if form == "euler" and not result and settings.intrinsic:
        return [2, 1, 0]
    return list(range(width(form)))


def _side(places: list[int], step: int, axes: Sequence[int], strides: Sequence[int], function: int) -> list[int]:
    _, b, c = axes
    return [step, b * c, c, *strides, *places, *[0] * (9 - len(places)), function]


def _packed(name: str, settings: Settings, rows: Rows, out: Any) -> np.ndarray:
    """All that a program needs to know but addresses."""
    forms, result = PROGRAMS[name]
    real: Any = dtypes.accumulator(out.dtype).type
    stages = [_stage(stage, real).address for stage in _stages(name)]
    words = [len(forms), len(stages), *stages, *[0] * (3 - len(stages))]
    words += [settings.columns, *settings[2:]]
    words += _side(
        _places(result, settings, True),
        width(result) * out.itemsize,
        rows.axes,
        (0, 0, 0),
        writer(out.dtype, width(result)),
    )
    after = 0
    for k, (form, array) in enumerate(zip(forms, rows.arrays, strict=True)):
        nbytes = width(form) * array.itemsize
        places = [after + place for place in _places(form, settings, False)]
        step = nbytes if rows.packed(k, nbytes) else 0
        words += _side(places, step, rows.axes, rows.strides[k], reader(array.dtype, width(form)))
        after += width(form)
    return np.array(words + [0] * (PROGRAM - len(words)), np.int64)


def _copied(array: Any, shape: tuple[int, ...] | None = None) -> Any:
    return np.ascontiguousarray(array if shape is None else np.broadcast_to(array, shape))


def apply(
    name: str, settings: Settings, lead: tuple[int, ...], arrays: Sequence[Any], weight: float, out: Any
) -> Callable[..., None] | None:
    """See robocache.ops.rotations."""
    forms, _ = PROGRAMS[name]
    number = len(arrays) < len(forms)  # the weight of all rows
    real = dtypes.accumulator(out.dtype)
    given = [*arrays, np.array(weight, real)] if number else list(arrays)
    rows = arranged(forms, given, lead, _copied)
    if not out.size:
        return None
    program = _packed(name, settings, rows, out)
    total = math.prod(rows.axes)
    effort = EFFORT * any(stage in TRIGONOMETRY for stage in _stages(name))
    nbytes = out.nbytes + sum(array.nbytes for array in arrays) + total * effort

    def replay(arrays: Sequence[Any], weight: float, out: Any) -> None:
        taken = [*arrays, np.array(weight, real)] if number else arrays
        addresses = [array.ctypes.data for array in (out, *taken)]
        spread(_run.address, total, nbytes, _ARGS, program.ctypes.data, *addresses, *[0] * (4 - len(addresses)))

    replay(rows.arrays[: len(arrays)], weight, out)
    return replay if all(a is b for a, b in zip(rows.arrays, given, strict=True)) else None
