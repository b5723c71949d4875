"""Products of rotations, steps between them, and poses. See ``rotations`` for what holds everywhere.

A pose is seven numbers, a position and then a quaternion in ``quat_order``.
"""

from typing import Any

import numpy as np

from ._rotations import run

__all__ = ["canonical_quat", "compose_poses", "invert_quat", "multiply_quats", "relative_pose", "slerp"]


def canonical_quat(quat: Any, *, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Choose between q and -q, which are one rotation.

    Parameters
    ----------
    quat : array [..., 4]
        Quaternions of any length.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 4], optional
        Where to write.

    Returns
    -------
    array [..., 4]
        w is above 0; where it is 0, the first of x, y, z that is not 0 is above 0.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    Only signs change: the length stays, also that of a quaternion of no length, and so do NaN and Inf. Negative zeros
    become zeros, so that equal rotations of equal length have equal bits.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.rotations import canonical_quat
    >>> canonical_quat(np.array([[0.6, 0.0, 0.0, -0.8], [0.0, -1.0, 0.0, 0.0]]))
    array([[-0.6,  0. ,  0. ,  0.8],
           [ 0. ,  1. ,  0. ,  0. ]])
    """
    return run("canonical_quat", {"quat": quat}, out, quat_order=quat_order)


def invert_quat(quat: Any, *, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Turn rotations back.

    Parameters
    ----------
    quat : array [..., 4]
        Quaternions.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 4], optional
        Where to write.

    Returns
    -------
    array [..., 4]
        Quaternions of length one; w keeps its sign.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    The conjugate, normalised. See the module for types and accuracy.
    """
    return run("invert_quat", {"quat": quat}, out, quat_order=quat_order)


def multiply_quats(left: Any, right: Any, *, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Multiply quaternions: the rotation that turns by ``right`` and then by ``left``.

    Parameters
    ----------
    left, right : array [..., 4]
        Quaternions of one type, leading axes broadcast.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 4], optional
        Where to write.

    Returns
    -------
    array [..., 4]
        Quaternions of length one; the sign is that of the product.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    Both are normalised first. See the module for types and accuracy.
    """
    return run("multiply_quats", {"left": left, "right": right}, out, quat_order=quat_order)


def slerp(q0: Any, q1: Any, weight: Any, *, out: Any = None) -> Any:
    """Interpolate between quaternions, the shorter way and at a steady rate.

    Parameters
    ----------
    q0, q1 : array [..., 4]
        Quaternions of one type and of either order of numbers, leading axes broadcast.
    weight : number or array [...]
        0 gives ``q0``, 1 gives ``q1`` up to its sign; others lie beyond. An array is of the type of the quaternions, or
        float32 for 16-bit ones.
    out : array [..., 4], optional
        Where to write.

    Returns
    -------
    array [..., 4]
        Quaternions of length one, on the side of ``q0``.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    Both are normalised, and ``q1`` is negated where that is nearer. At half a turn apart, where both ways are equally
    short, ``q1`` is taken as it is. The angle between them is ``2 atan2(|q1 - q0|, |q1 + q0|)``; below 1e-4 (1e-8 for
    float64) the arc is a line. A weight of NaN gives NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.rotations import slerp
    >>> half_turn = np.array([0.0, 0.0, 1.0, 0.0])
    >>> slerp(np.array([0.0, 0.0, 0.0, 1.0]), half_turn, np.array([0.0, 1 / 3, 1.0])).round(6)
    array([[0.      , 0.      , 0.      , 1.      ],
           [0.      , 0.      , 0.5     , 0.866025],
           [0.      , 0.      , 1.      , 0.      ]])
    """
    if isinstance(weight, (int, float, np.number)):
        return run("slerp", {"q0": q0, "q1": q1}, out, weight=float(weight))
    return run("slerp", {"q0": q0, "q1": q1, "weight": weight}, out)


def compose_poses(base: Any, pose: Any, *, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Bring poses that are given in the frame of others into the frame of those.

    Parameters
    ----------
    base, pose : array [..., 7]
        Positions and quaternions of one type, leading axes broadcast.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 7], optional
        Where to write.

    Returns
    -------
    array [..., 7]
        ``base * pose``: the position of ``base`` plus that of ``pose`` turned by ``base``, and the product of the
        quaternions, of length one and with the sign of the product.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    The inverse of `relative_pose`. NaN and Inf touch what is made of them: a position of ``pose`` only the position.
    The error of a position is at most 16 eps times the larger of the two positions, plus the rounding.
    """
    return run("compose_poses", {"base": base, "pose": pose}, out, quat_order=quat_order)


def relative_pose(pose: Any, base: Any, *, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Express poses in the frame of others.

    Parameters
    ----------
    pose, base : array [..., 7]
        Positions and quaternions of one type, leading axes broadcast: a chunk ``[B, T, 7]`` and where each began,
        ``[B, 1, 7]``.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 7], optional
        Where to write.

    Returns
    -------
    array [..., 7]
        ``base^-1 * pose``; quaternions of length one, with the sign of the product.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    The inverse of `compose_poses`. Positions are subtracted first, so two far away that are near to each other lose
    nothing more. NaN and Inf are treated as there.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.rotations import relative_pose
    >>> base = np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0])
    >>> chunk = np.array([[1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [1.5, 0.0, 0.2, 0.0, 0.6, 0.0, 0.8]])
    >>> relative_pose(chunk, base)
    array([[0. , 0. , 0. , 0. , 0. , 0. , 1. ],
           [0.5, 0. , 0.2, 0. , 0.6, 0. , 0.8]])
    """
    return run("relative_pose", {"pose": pose, "base": base}, out, quat_order=quat_order)
