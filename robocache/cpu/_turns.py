"""Stages of rotation programs: C functions that make one block of another.

Each takes the number of rows, the block it reads, the block it writes (rows apart by their numbers, see ``_blocks``),
and the settings of the call, and is compiled when a program first has it.
"""

from typing import Any

import numpy as np

from ._address import view
from ._blocks import SIGNATURE, block
from ._jit import kernel, native
from ._rotation import (
    NUMBERS,
    canonical,
    euler_of,
    matrix_of,
    normalised,
    product,
    quat_of,
    quat_of_euler,
    quat_of_rotvec,
    rotvec_of,
    slerp,
    spanned,
    turned,
)

# Settings of a call, in this order
COLUMNS, FIRST, SECOND, OTHER, SIGN, SYMMETRIC, INTRINSIC, SETTINGS = range(8)


@kernel(inline=True)
def _unit(x, at, r, c):
    """The quaternion there, of length one."""
    return normalised(x[at, r], x[at + 1, r], x[at + 2, r], x[at + 3, r], c)


def unit(real: Any) -> Any:
    """Quaternions of length one."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 4, real), block(target, 4, real)
        for r in range(count):
            y[0, r], y[1, r], y[2, r], y[3, r] = _unit(x, 0, r, c)

    return run


def canonical_sign(real: Any) -> Any:
    """The canonical one of q and -q."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 4, real), block(target, 4, real)
        for r in range(count):
            y[0, r], y[1, r], y[2, r], y[3, r] = canonical(x[0, r], x[1, r], x[2, r], x[3, r], c)

    return run


def inverse(real: Any) -> Any:
    """Unit quaternions turned back."""

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 4, real), block(target, 4, real)
        for r in range(count):
            y[0, r], y[1, r], y[2, r], y[3, r] = -x[0, r], -x[1, r], -x[2, r], x[3, r]

    return run


def quat_to_matrix(real: Any) -> Any:
    """Matrices of unit quaternions."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 4, real), block(target, 9, real)
        for r in range(count):
            (
                y[0, r], y[1, r], y[2, r], y[3, r], y[4, r], y[5, r], y[6, r], y[7, r], y[8, r],
            ) = matrix_of(x[0, r], x[1, r], x[2, r], x[3, r], c)  # fmt: skip

    return run


def matrix_to_quat(real: Any) -> Any:
    """Unit quaternions of matrices."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 9, real), block(target, 4, real)
        for r in range(count):
            y[0, r], y[1, r], y[2, r], y[3, r] = quat_of(
                x[0, r], x[1, r], x[2, r], x[3, r], x[4, r], x[5, r], x[6, r], x[7, r], x[8, r], c
            )

    return run


def rotvec_to_quat(real: Any) -> Any:
    """Unit quaternions of rotation vectors."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 3, real), block(target, 4, real)
        for r in range(count):
            y[0, r], y[1, r], y[2, r], y[3, r] = quat_of_rotvec(x[0, r], x[1, r], x[2, r], c)

    return run


def quat_to_rotvec(real: Any) -> Any:
    """Rotation vectors of unit quaternions."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 4, real), block(target, 3, real)
        for r in range(count):
            y[0, r], y[1, r], y[2, r] = rotvec_of(x[0, r], x[1, r], x[2, r], x[3, r], c)

    return run


def rot6d_to_matrix(real: Any) -> Any:
    """Matrices of which two rows, or columns, span a plane with those given."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 6, real), block(target, 9, real)
        s = view(settings, SETTINGS, np.int64)
        along, across = (3, 1) if s[COLUMNS] else (1, 3)
        for r in range(count):
            ax, ay, az, bx, by, bz, ux, uy, uz = spanned(x[0, r], x[1, r], x[2, r], x[3, r], x[4, r], x[5, r], c)
            y[0, r], y[along, r], y[2 * along, r] = ax, ay, az
            y[across, r], y[across + along, r], y[across + 2 * along, r] = bx, by, bz
            y[2 * across, r], y[2 * across + along, r], y[2 * across + 2 * along, r] = ux, uy, uz

    return run


def euler_to_quat(real: Any) -> Any:
    """Unit quaternions of angles about fixed axes."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 3, real), block(target, 4, real)
        s = view(settings, SETTINGS, np.int64)
        first, second, other, sign = s[FIRST], s[SECOND], s[OTHER], real(s[SIGN])
        for r in range(count):
            y[first, r], y[second, r], y[other, r], y[3, r] = quat_of_euler(
                x[0, r], x[1, r], x[2, r], sign, s[SYMMETRIC], c
            )

    return run


def quat_to_euler(real: Any) -> Any:
    """Angles of unit quaternions, in the order of the caller."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 4, real), block(target, 3, real)
        s = view(settings, SETTINGS, np.int64)
        first, second, other, sign = s[FIRST], s[SECOND], s[OTHER], real(s[SIGN])
        for r in range(count):
            y[0, r], y[1, r], y[2, r] = euler_of(
                x[first, r], x[second, r], x[other, r], x[3, r], sign, s[SYMMETRIC], s[INTRINSIC], c
            )

    return run


def multiply(real: Any) -> Any:
    """Products of quaternions."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 8, real), block(target, 4, real)
        for r in range(count):
            ax, ay, az, aw = _unit(x, 0, r, c)
            bx, by, bz, bw = _unit(x, 4, r, c)
            y[0, r], y[1, r], y[2, r], y[3, r] = product(ax, ay, az, aw, bx, by, bz, bw)

    return run


def interpolate(real: Any) -> Any:
    """Quaternions between two, by a weight."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 9, real), block(target, 4, real)
        for r in range(count):
            ax, ay, az, aw = _unit(x, 0, r, c)
            bx, by, bz, bw = _unit(x, 4, r, c)
            y[0, r], y[1, r], y[2, r], y[3, r] = slerp(ax, ay, az, aw, bx, by, bz, bw, x[8, r], c)

    return run


def compose(real: Any) -> Any:
    """Poses given in the frame of others."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 14, real), block(target, 7, real)
        for r in range(count):
            ax, ay, az, aw = _unit(x, 3, r, c)
            bx, by, bz, bw = _unit(x, 10, r, c)
            dx, dy, dz = turned(ax, ay, az, aw, x[7, r], x[8, r], x[9, r])
            y[0, r], y[1, r], y[2, r] = x[0, r] + dx, x[1, r] + dy, x[2, r] + dz
            y[3, r], y[4, r], y[5, r], y[6, r] = product(ax, ay, az, aw, bx, by, bz, bw)

    return run


def relate(real: Any) -> Any:
    """Poses as seen from others."""
    c = NUMBERS[real]

    @native(SIGNATURE)
    def run(count, source, target, settings):
        x, y = block(source, 14, real), block(target, 7, real)
        for r in range(count):
            ax, ay, az, aw = _unit(x, 3, r, c)
            bx, by, bz, bw = _unit(x, 10, r, c)
            bx, by, bz = -bx, -by, -bz
            y[0, r], y[1, r], y[2, r] = turned(bx, by, bz, bw, x[0, r] - x[7, r], x[1, r] - x[8, r], x[2, r] - x[9, r])
            y[3, r], y[4, r], y[5, r], y[6, r] = product(bx, by, bz, bw, ax, ay, az, aw)

    return run
