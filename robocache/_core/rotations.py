"""What the rotation backends take: programs by name, settings of a call, and rows that are broadcast together."""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from .errors import ArgumentError

SHAPES = {
    "quat": (4,), "matrix": (3, 3), "rotvec": (3,), "rot6d": (6,), "euler": (3,), "pose": (7,), "weight": (),
}  # fmt: skip
FORMS = ("quat", "matrix", "rotvec", "rot6d", "euler")  # in the order of Form in turns.cuh

# name -> what it takes, what it gives
CONVERSIONS: dict[str, tuple[tuple[str, ...], str]] = {
    f"{a}_to_{b}": ((a,), b)
    for a, b in (
        ("quat", "matrix"), ("quat", "rotvec"), ("quat", "rot6d"), ("quat", "euler"),
        ("matrix", "quat"), ("matrix", "rotvec"), ("matrix", "rot6d"), ("matrix", "euler"),
        ("rotvec", "quat"), ("rotvec", "matrix"), ("rot6d", "quat"), ("rot6d", "matrix"),
        ("euler", "quat"), ("euler", "matrix"),
    )
}  # fmt: skip
PROGRAMS: dict[str, tuple[tuple[str, ...], str]] = CONVERSIONS | {
    "canonical_quat": (("quat",), "quat"),
    "invert_quat": (("quat",), "quat"),
    "multiply_quats": (("quat", "quat"), "quat"),
    "slerp": (("quat", "quat", "weight"), "quat"),
    "compose_poses": (("pose", "pose"), "pose"),
    "relative_pose": (("pose", "pose"), "pose"),
}


def width(form: str) -> int:
    """Numbers in a row of a form."""
    return math.prod(SHAPES[form])


class Settings(NamedTuple):
    """Conventions of a call, all integers. Axes are 0, 1, 2 for x, y, z.

    Euler angles turn about the fixed axes first, second and then other, or first again where symmetric; intrinsic ones
    are the same turns in the opposite order, so their axes are kept reversed here. sign is that of the permutation.
    """

    wxyz: int = 0
    columns: int = 0
    first: int = 0
    second: int = 1
    other: int = 2
    sign: int = 1
    symmetric: int = 0
    intrinsic: int = 0


def settings(quat_order: str = "xyzw", layout: str = "rows", order: Any = "xyz") -> Settings:
    """Settings of checked conventions; the Euler order is checked here."""
    letters = order.lower() if isinstance(order, str) else ""
    axes = ["xyz".find(letter) for letter in letters]
    if (
        len(axes) != 3
        or -1 in axes
        or axes[0] == axes[1]
        or axes[1] == axes[2]
        or order not in (letters, order.upper())
    ):
        raise ArgumentError(
            f"order={order!r} is no Euler order; give three axes of which no neighbours are equal: "
            "'xyz' about fixed axes, 'XYZ' about the turning ones"
        )
    intrinsic = order != letters
    first, second, third = reversed(axes) if intrinsic else axes
    other = 3 - first - second
    sign = (first - second) * (second - other) * (other - first) // 2
    return Settings(
        int(quat_order == "wxyz"), int(layout == "columns"), first, second, other, sign, int(first == third),
        int(intrinsic),
    )  # fmt: skip


class Rows(NamedTuple):
    """Rows of the operands over the same three axes, with the bytes from one to the next along each."""

    arrays: list[Any]
    axes: tuple[int, int, int]
    strides: list[tuple[int, int, int]]

    def packed(self, operand: int, nbytes: int) -> bool:
        """Whether the rows of an operand, of so many bytes, lie one after the other."""
        _, b, c = self.axes
        packed = (b * c * nbytes, c * nbytes, nbytes)
        return all(n == 1 or s == p for n, s, p in zip(self.axes, self.strides[operand], packed, strict=True))


def arranged(forms: Sequence[str], arrays: Sequence[Any], lead: tuple[int, ...], copy: Callable[..., Any]) -> Rows:
    """Rows of arrays whose leading axes are broadcast to ``lead``, as they lie in memory.

    ``copy(array)`` makes a contiguous copy: of an array whose rows are not contiguous, and of one with a shape,
    ``copy(array, shape)``, where the layouts of all together need more than three axes.
    """
    taken = [array if _contiguous_rows(form, array) else copy(array) for form, array in zip(forms, arrays, strict=True)]
    axes, strides = _merged(forms, taken, lead)
    if len(axes) > 3:
        wanted = [(*lead, *SHAPES[form]) for form in forms]
        whole = [tuple(a.shape) == shape and a.flags.c_contiguous for a, shape in zip(taken, wanted, strict=True)]
        taken = [a if ok else copy(a, shape) for a, ok, shape in zip(taken, whole, wanted, strict=True)]
        axes, strides = _merged(forms, taken, lead)
    missing = 3 - len(axes)
    a, b, c = [1] * missing + axes
    full = []
    for steps in strides:
        x, y, z = [0] * missing + steps
        full.append((x, y, z))
    return Rows(taken, (a, b, c), full)


def _contiguous_rows(form: str, array: Any) -> bool:
    """Whether the numbers of a row lie side by side, and all of them at multiples of their size."""
    size, step = array.dtype.itemsize, array.dtype.itemsize
    for n, stride in zip(reversed(SHAPES[form]), reversed(array.strides), strict=False):
        if stride != step:
            return False
        step *= n
    return not any(stride % size for stride in array.strides)


def _merged(forms: Sequence[str], arrays: Sequence[Any], lead: tuple[int, ...]) -> tuple[list[int], list[list[int]]]:
    """The fewest axes that tell all rows, and the strides of every array along them."""
    steps = []
    for form, array in zip(forms, arrays, strict=True):
        inner = len(SHAPES[form])
        shape, strides = array.shape[: array.ndim - inner], array.strides[: array.ndim - inner]
        own = [0 if n == 1 else step for n, step in zip(shape, strides, strict=True)]
        steps.append([0] * (len(lead) - len(own)) + own)
    axes: list[int] = []
    merged: list[list[int]] = [[] for _ in arrays]
    for axis, n in enumerate(lead):
        if n == 1:
            continue
        along = [step[axis] for step in steps]
        if axes and all(m[-1] == step * n for m, step in zip(merged, along, strict=True)):
            axes[-1] *= n
            for m, step in zip(merged, along, strict=True):
                m[-1] = step
            continue
        axes.append(n)
        for m, step in zip(merged, along, strict=True):
            m.append(step)
    return axes, merged
