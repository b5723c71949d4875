"""Rotations by SciPy's ``Rotation`` in float64, row by row where it has no batches; what it lacks by definition.

Quaternions are x, y, z, w here. Rows without a rotation are NaN. Arrays are [N, …] float64.
"""

import warnings

import numpy as np
from scipy.spatial.transform import Rotation, Slerp


def scalar_last(quat, order):
    """Quaternions of either order as x, y, z, w."""
    return quat if order == "xyzw" else np.roll(quat, -1, axis=-1)


def in_order(quat, order):
    """x, y, z, w in the order of the caller."""
    return quat if order == "xyzw" else np.roll(quat, 1, axis=-1)


def spanned(pairs):
    """[N, 6] to [N, 2, 3] and their cross product: Gram-Schmidt, in float64."""
    first, second = pairs[:, :3], pairs[:, 3:]
    with np.errstate(all="ignore"):
        a = first / np.linalg.norm(first, axis=1, keepdims=True)
        b = second - (a * second).sum(1, keepdims=True) * a
        b = b / np.linalg.norm(b, axis=1, keepdims=True)
    return np.stack([a, b, np.cross(a, b)], 1)


def rotation(form, rows, how):
    """What rows of a form mean, and which of them mean nothing."""
    flat = rows.reshape(len(rows), -1)
    bad = ~np.isfinite(flat).all(1)
    if form in ("quat", "matrix", "rot6d"):
        bad |= (flat == 0).all(1)
    if form == "matrix":
        with np.errstate(invalid="ignore"):
            bad |= ~(np.linalg.det(np.where(bad[:, None, None], 0, rows)) > 0)
    safe = np.where(
        bad[:, None],
        {"quat": [0, 0, 0, 1.0], "matrix": np.eye(3).ravel(), "rot6d": np.eye(3).ravel()[:6]}.get(form, 0.0),
        flat,
    )
    if form == "quat":
        return Rotation.from_quat(scalar_last(safe, how["quat_order"])), bad
    if form == "rotvec":
        return Rotation.from_rotvec(safe), bad
    if form == "euler":
        return Rotation.from_euler(how["order"], safe), bad
    if form == "matrix":
        return Rotation.from_matrix(safe.reshape(-1, 3, 3)), bad
    three = spanned(safe)
    return Rotation.from_matrix(three if how["layout"] == "rows" else np.swapaxes(three, 1, 2)), bad


def angles(turn, order):
    """Euler angles; SciPy warns of gimbal lock, where the third is zero."""
    with warnings.catch_warnings(action="ignore", category=UserWarning):
        return turn.as_euler(order)


def form_of(form, turn, how):
    """Rows of a form for a rotation."""
    if form == "quat":
        return in_order(turn.as_quat(canonical=True), how["quat_order"])
    if form == "rotvec":
        return turn.as_rotvec()
    if form == "euler":
        return angles(turn, how["order"])
    matrix = turn.as_matrix()
    if form == "matrix":
        return matrix
    rows = matrix if how["layout"] == "rows" else np.swapaxes(matrix, 1, 2)
    return rows[:, :2].reshape(-1, 6)


def convert(source, target, rows, how):
    """Rows of one form as rows of another."""
    if not len(rows):
        return form_of(target, Rotation.identity(1), how)[:0]
    turn, bad = rotation(source, rows, how)
    found = form_of(target, turn, how)
    found[bad] = np.nan
    return found


def step(a, b, weight):
    """Slerp of single quaternions x, y, z, w."""
    return Slerp([0.0, 1.0], Rotation.from_quat([a, b]))(weight).as_quat() if 0 <= weight <= 1 else beyond(a, b, weight)


def beyond(a, b, weight):
    """The same outside, where SciPy refuses: the turn from a to b, that many times."""
    first = Rotation.from_quat(a)
    return (first * Rotation.from_rotvec(weight * (first.inv() * Rotation.from_quat(b)).as_rotvec())).as_quat()


def relative(pose, base):
    """One pose in the frame of another, x, y, z, w last."""
    back = Rotation.from_quat(base[3:]).inv()
    return np.concatenate([back.apply(pose[:3] - base[:3]), (back * Rotation.from_quat(pose[3:])).as_quat()])


def compose(base, pose):
    """One pose given in the frame of another."""
    turn = Rotation.from_quat(base[3:])
    return np.concatenate([base[:3] + turn.apply(pose[:3]), (turn * Rotation.from_quat(pose[3:])).as_quat()])
