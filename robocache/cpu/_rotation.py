"""Arithmetic of rotations for Numba, number by number, with the formulas and the order of ``cuda/rotation.cuh``.

``c`` are the numbers of ``NUMBERS`` in the type of the arithmetic: a literal would widen float32. Quaternions are
x, y, z, w; matrices nine numbers, row by row. Choices are selections, not branches, so that loops over rows vectorise.
"""

from typing import Any, NamedTuple

import numpy as np

from ._jit import kernel


class Numbers(NamedTuple):
    """Constants; ``Limits`` of rotation.cuh says what the later ones are for."""

    zero: Any
    half: Any
    one: Any
    two: Any
    pi: Any
    infinite: Any
    nan: Any
    low: Any
    high: Any
    up: Any
    down: Any
    tiny: Any
    lock: Any
    parallel: Any


def _numbers(real: Any, low: int, high: int, up: int, down: int, tiny: float, lock: float, parallel: float) -> Numbers:
    powers = (2.0**exponent for exponent in (low, high, up, down))
    plain = (0, 0.5, 1, 2, np.pi, np.inf, np.nan)
    return Numbers(*(real(number) for number in (*plain, *powers, tiny, lock, parallel)))


NUMBERS = {
    np.float32: _numbers(np.float32, -60, 100, 90, -70, 1e-4, 2e-6, 9e-13),
    np.float64: _numbers(np.float64, -500, 800, 700, -600, 1e-8, 1e-7, 3.2e-30),
}


@kernel(inline=True)
def normalised(x, y, z, w, c):
    """Of length one; NaN where it has no length, or none that is finite."""
    size = x * x + y * y + z * z + w * w
    step = c.up if size < c.low else (c.down if size > c.high else c.one)
    x, y, z, w = x * step, y * step, z * step, w * step
    size = x * x + y * y + z * z + w * w
    by = c.one / np.sqrt(size) if (size > c.zero) & (size < c.infinite) else c.nan
    return x * by, y * by, z * by, w * by


@kernel(inline=True)
def canonical(x, y, z, w, c):
    """The one of q and -q whose w is above zero, or x where w is zero, or y where both are, or z; no negative zeros."""
    flip = (w < 0) | ((w == 0) & ((x < 0) | ((x == 0) & ((y < 0) | ((y == 0) & (z < 0))))))
    by = -c.one if flip else c.one
    x, y, z, w = x * by, y * by, z * by, w * by
    return (
        c.zero if x == 0 else x, c.zero if y == 0 else y, c.zero if z == 0 else z, c.zero if w == 0 else w,
    )  # fmt: skip


@kernel(inline=True)
def product(ax, ay, az, aw, bx, by, bz, bw):
    """The turn b and then a."""
    return (
        aw * bx + ax * bw + ay * bz - az * by,
        aw * by - ax * bz + ay * bw + az * bx,
        aw * bz + ax * by - ay * bx + az * bw,
        aw * bw - ax * bx - ay * by - az * bz,
    )


@kernel(inline=True)
def cross(ax, ay, az, bx, by, bz):
    """Cross product."""
    return ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx


@kernel(inline=True)
def turned(qx, qy, qz, qw, x, y, z):
    """A vector turned by a unit quaternion."""
    tx, ty, tz = cross(qx, qy, qz, x, y, z)
    tx, ty, tz = tx + tx, ty + ty, tz + tz
    mx, my, mz = cross(qx, qy, qz, tx, ty, tz)
    return x + qw * tx + mx, y + qw * ty + my, z + qw * tz + mz


@kernel(inline=True)
def matrix_of(qx, qy, qz, qw, c):
    """Matrix of a unit quaternion."""
    x, y, z = qx + qx, qy + qy, qz + qz
    xx, yy, zz, xy, xz, yz = x * qx, y * qy, z * qz, x * qy, x * qz, y * qz
    wx, wy, wz = x * qw, y * qw, z * qw
    return (
        c.one - (yy + zz), xy - wz, xz + wy,
        xy + wz, c.one - (xx + zz), yz - wx,
        xz - wy, yz + wx, c.one - (xx + yy),
    )  # fmt: skip


@kernel(inline=True)
def quat_of(a, m01, m02, m10, b, m12, m20, m21, d, c):
    """Unit quaternion of a matrix, from the largest of its numbers: nothing cancels where the trace is near -1."""
    trace = a + b + d
    x, y, z = m21 - m12, m02 - m20, m10 - m01
    xy, xz, yz = m10 + m01, m02 + m20, m21 + m12
    by_w = (trace >= a) & (trace >= b) & (trace >= d)
    by_x, by_y = (a >= b) & (a >= d), b >= d
    qx = x if by_w else (c.one - trace + (a + a) if by_x else (xy if by_y else xz))
    qy = y if by_w else (xy if by_x else (c.one - trace + (b + b) if by_y else yz))
    qz = z if by_w else (xz if by_x else (yz if by_y else c.one - trace + (d + d)))
    qw = c.one + trace if by_w else (x if by_x else (y if by_y else z))
    cx, cy, cz = cross(m10, b, m12, m20, m21, d)
    qw = qw if a * cx + m01 * cy + m02 * cz > 0 else c.nan  # zeros and reflections are no rotations
    return normalised(qx, qy, qz, qw, c)


@kernel(inline=True)
def quat_of_rotvec(x, y, z, c):
    """Unit quaternion of a rotation vector."""
    angle = np.sqrt(x * x + y * y + z * z)
    turn = angle * c.half
    by = c.half if angle == 0 else np.sin(turn) / angle
    return x * by, y * by, z * by, np.cos(turn)


@kernel(inline=True)
def rotvec_of(x, y, z, w, c):
    """Rotation vector of a unit quaternion, at most pi long."""
    x, y, z, w = canonical(x, y, z, w, c)
    size = np.sqrt(x * x + y * y + z * z)
    angle = np.arctan2(size, w)
    by = (angle + angle) / size if size > 0 else c.two
    return x * by, y * by, z * by


@kernel(inline=True)
def _across(ax, ay, az, bx, by, bz, c):
    """What of b is square to a, of length one."""
    along = ax * bx + ay * by + az * bz
    bx, by, bz = bx - along * ax, by - along * ay, bz - along * az
    size = bx * bx + by * by + bz * bz
    scale = c.one / np.sqrt(size) if size > c.parallel else c.nan
    return bx * scale, by * scale, bz * scale


@kernel(inline=True)
def spanned(ax, ay, az, bx, by, bz, c):
    """Three vectors square to each other, by Gram-Schmidt: from a, from b (twice, against rounding), their product."""
    ax, ay, az, _ = normalised(ax, ay, az, c.zero, c)
    bx, by, bz, _ = normalised(bx, by, bz, c.zero, c)
    bx, by, bz = _across(ax, ay, az, bx, by, bz, c)
    bx, by, bz = _across(ax, ay, az, bx, by, bz, c)
    if bx != bx:
        ax, ay, az = bx, by, bz
    ux, uy, uz = cross(ax, ay, az, bx, by, bz)
    return ax, ay, az, bx, by, bz, ux, uy, uz


@kernel(inline=True)
def slerp(ax, ay, az, aw, bx, by, bz, bw, weight, c):
    """From a to b, both of length one, the shorter way, at a steady rate."""
    sign = -c.one if ax * bx + ay * by + az * bz + aw * bw < 0 else c.one
    bx, by, bz, bw = bx * sign, by * sign, bz * sign, bw * sign
    lx, ly, lz, lw = bx - ax, by - ay, bz - az, bw - aw
    mx, my, mz, mw = bx + ax, by + ay, bz + az, bw + aw
    half = np.arctan2(np.sqrt(lx * lx + ly * ly + lz * lz + lw * lw), np.sqrt(mx * mx + my * my + mz * mz + mw * mw))
    angle = half + half
    u, v = c.one - weight, weight
    if angle > c.tiny:
        scale = c.one / np.sin(angle)
        u, v = np.sin(u * angle) * scale, np.sin(v * angle) * scale
    x, y, z, w = u * ax + v * bx, u * ay + v * by, u * az + v * bz, u * aw + v * bw
    scale = c.one / np.sqrt(x * x + y * y + z * z + w * w)
    return x * scale, y * scale, z * scale, w * scale


@kernel(inline=True)
def quat_of_euler(left, middle, right, sign, symmetric, c):
    """Numbers along the first, second and other axis, and w, of turns about fixed axes."""
    sa, ca = np.sin(left * c.half), np.cos(left * c.half)
    sb, cb = np.sin(middle * c.half), np.cos(middle * c.half)
    sc, cc = np.sin(right * c.half), np.cos(right * c.half)
    if symmetric:
        return (
            cb * (cc * sa + sc * ca), sb * (cc * ca + sc * sa), sign * sb * (sc * ca - cc * sa),
            cb * (cc * ca - sc * sa),
        )  # fmt: skip
    return (
        cc * cb * sa - sign * sc * sb * ca, cc * sb * ca + sign * sc * cb * sa, sc * cb * ca - sign * cc * sb * sa,
        cc * cb * ca + sign * sc * sb * sa,
    )  # fmt: skip


@kernel(inline=True)
def _wrapped(angle, c):
    return angle - c.two * c.pi if angle > c.pi else (angle + c.two * c.pi if angle < -c.pi else angle)


@kernel(inline=True)
def euler_of(first, second, other, w, sign, symmetric, intrinsic, c):
    """Angles of a unit quaternion given along the axes of the order, as the caller counts them. See turns.cuh."""
    other = sign * other
    a, b, d, e = w, first, second, other
    if not symmetric:
        a, b, d, e = w - second, first + other, second + w, other - first
    total, difference = np.arctan2(b, a), np.arctan2(e, d)
    half = np.arctan2(np.sqrt(d * d + e * e), np.sqrt(a * a + b * b))
    middle, left, right = half + half, total - difference, total + difference
    low, high = middle <= c.lock, c.pi - middle <= c.lock
    if intrinsic:
        left, right = right, left
    if low or high:
        lone = total + total if low else difference + difference
        left, right = (lone if low or intrinsic else -lone), c.zero
    if not symmetric:
        if intrinsic:
            left *= sign
        else:
            right *= sign
        middle -= c.half * c.pi
    return _wrapped(left, c), middle, _wrapped(right, c)
