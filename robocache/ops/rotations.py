"""Rotations from one form to another: quaternions, matrices, rotation vectors.

What holds for every function here, in ``euler_angles``, ``rot6d`` and ``poses``:

- Arrays are float16, bfloat16, float32 or float64, of NumPy, CuPy, torch, JAX or any DLPack framework, and the answer
  has the type, framework and device of the first. Leading axes are any number; those of several arrays broadcast.
  Angles are in radians.
- Arithmetic is float32 (float64 for float64), rounded once. For unit quaternions and rotation matrices the error of
  each number of the answer is at most 16 units of eps of that arithmetic, times the size of an angle or a position
  where that is above 1, plus half a unit in the last place. The backends agree within this; runs agree bit for bit.
- Quaternions need not have length one. One of no length or with NaN or Inf makes its whole row NaN, and so does any
  other form with NaN or Inf, but for `matrix_to_rot6d`, `canonical_quat`, and positions of poses. No row touches
  another. The GPU takes float32 below 1.2e-38 for zero.
- q and -q are one rotation. Where quaternions are made of another form, w is at least 0: see `canonical_quat`.
- ``out`` is C-contiguous, of the type and shape of the answer, and shares no memory with the arguments.
- One launch on the caller's current stream, no waiting; it can be captured in a CUDA graph after one call with the same
  type. Rows may be strided or broadcast; only where the numbers of a row are not side by side (a transposed matrix),
  or leading axes need more than three strides, a copy is made first.
"""

from typing import Any

from ._rotations import run

__all__ = [
    "matrix_to_quat",
    "matrix_to_rotvec",
    "quat_to_matrix",
    "quat_to_rotvec",
    "rotvec_to_matrix",
    "rotvec_to_quat",
]


def quat_to_matrix(quat: Any, *, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Turn quaternions into matrices.

    Parameters
    ----------
    quat : array [..., 4]
        Quaternions.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 3, 3], optional
        Where to write.

    Returns
    -------
    array [..., 3, 3]
        Rotation matrices.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    The quaternion is normalised first; one of no length gives NaN. See the module for types and accuracy.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.rotations import quat_to_matrix
    >>> quat_to_matrix(np.array([0.0, 0.0, 1.0, 1.0])).round(6) + 0.0
    array([[ 0., -1.,  0.],
           [ 1.,  0.,  0.],
           [ 0.,  0.,  1.]])
    """
    return run("quat_to_matrix", {"quat": quat}, out, quat_order=quat_order)


def matrix_to_quat(matrix: Any, *, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Turn matrices into quaternions.

    Parameters
    ----------
    matrix : array [..., 3, 3]
        Rotation matrices.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 4], optional
        Where to write.

    Returns
    -------
    array [..., 4]
        Quaternions of length one, w at least 0.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    The largest of the four numbers is found first and the others from it, so half turns (trace -1) lose nothing. The
    matrix is taken as it is and only the answer normalised: where it is off a rotation by some error, so is the answer
    (SciPy finds the nearest rotation instead). Where the determinant is not above zero, as of a reflection or of zeros,
    the answer is NaN (SciPy raises).
    """
    return run("matrix_to_quat", {"matrix": matrix}, out, quat_order=quat_order)


def quat_to_rotvec(quat: Any, *, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Turn quaternions into rotation vectors.

    Parameters
    ----------
    quat : array [..., 4]
        Quaternions.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 3], optional
        Where to write.

    Returns
    -------
    array [..., 3]
        Axes times the angle in radians, 0 to pi.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    Small angles keep their relative accuracy. At exactly pi, where an axis and its opposite mean the same, the first of
    its numbers that is not zero is above zero.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.rotations import quat_to_rotvec
    >>> quat_to_rotvec(np.array([0.0, 0.0, -1e-12, -1.0]))
    array([0.e+00, 0.e+00, 2.e-12])
    """
    return run("quat_to_rotvec", {"quat": quat}, out, quat_order=quat_order)


def rotvec_to_quat(rotvec: Any, *, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Turn rotation vectors into quaternions.

    Parameters
    ----------
    rotvec : array [..., 3]
        Axes, times the angle in radians.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 4], optional
        Where to write.

    Returns
    -------
    array [..., 4]
        Quaternions of length one, w at least 0.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    Angles may be of any size; one that is large is known no better than eps times itself. Zero gives w = 1.
    """
    return run("rotvec_to_quat", {"rotvec": rotvec}, out, quat_order=quat_order)


def matrix_to_rotvec(matrix: Any, *, out: Any = None) -> Any:
    """Turn matrices into rotation vectors.

    Parameters
    ----------
    matrix : array [..., 3, 3]
        Rotation matrices.
    out : array [..., 3], optional
        Where to write.

    Returns
    -------
    array [..., 3]
        Axes times the angle in radians, 0 to pi.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    By way of `matrix_to_quat` and `quat_to_rotvec`, without rounding between them.
    """
    return run("matrix_to_rotvec", {"matrix": matrix}, out)


def rotvec_to_matrix(rotvec: Any, *, out: Any = None) -> Any:
    """Turn rotation vectors into matrices.

    Parameters
    ----------
    rotvec : array [..., 3]
        Axes, times the angle in radians.
    out : array [..., 3, 3], optional
        Where to write.

    Returns
    -------
    array [..., 3, 3]
        Rotation matrices.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    By way of `rotvec_to_quat` and `quat_to_matrix`, without rounding between them.
    """
    return run("rotvec_to_matrix", {"rotvec": rotvec}, out)
