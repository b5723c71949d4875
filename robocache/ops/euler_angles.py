"""Euler angles: 12 orders, about fixed axes or those of the body. See ``rotations`` for what holds everywhere."""

from typing import Any

from ._rotations import run

__all__ = ["euler_to_matrix", "euler_to_quat", "matrix_to_euler", "quat_to_euler"]


def quat_to_euler(quat: Any, *, order: str, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Turn quaternions into Euler angles.

    Parameters
    ----------
    quat : array [..., 4]
        Quaternions.
    order : str
        Axes as in SciPy: ``"xyz"`` turns about the fixed axes x, then y, then z; ``"XYZ"`` about the axes of the body.
        Any of the 12 sequences, in one case.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 3], optional
        Where to write.

    Returns
    -------
    array [..., 3]
        First and third from -pi to pi; the second from -pi/2 to pi/2, or 0 to pi where the outer axes are the same.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    In gimbal lock (the second angle within 2e-6 of an end of its range, 1e-7 for float64) only the sum or difference of
    the other two is known; the third is then 0, as in SciPy, which warns. Near it both are inaccurate, but the rotation
    that they make is not. Elsewhere the angles are SciPy's. The method is that of Bernardes and Viollet (2022).

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.rotations import quat_to_euler
    >>> quat_to_euler(np.array([0.0, 0.0, 1.0, 1.0]), order="xyz").round(6) + 0.0
    array([0.      , 0.      , 1.570796])
    """
    return run("quat_to_euler", {"quat": quat}, out, order=order, quat_order=quat_order)


def euler_to_quat(angles: Any, *, order: str, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Turn Euler angles into quaternions.

    Parameters
    ----------
    angles : array [..., 3]
        Radians, in the order of ``order``.
    order : str
        Axes as in SciPy: ``"xyz"`` turns about the fixed axes x, then y, then z; ``"XYZ"`` about the axes of the body.
        Any of the 12 sequences, in one case.
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
    Angles may be of any size; a large one is known no better than eps times itself.
    """
    return run("euler_to_quat", {"angles": angles}, out, order=order, quat_order=quat_order)


def matrix_to_euler(matrix: Any, *, order: str, out: Any = None) -> Any:
    """Turn matrices into Euler angles.

    Parameters
    ----------
    matrix : array [..., 3, 3]
        Rotation matrices.
    order : str
        Axes as in SciPy: ``"xyz"`` turns about the fixed axes x, then y, then z; ``"XYZ"`` about the axes of the body.
        Any of the 12 sequences, in one case.
    out : array [..., 3], optional
        Where to write.

    Returns
    -------
    array [..., 3]
        First and third from -pi to pi; the second from -pi/2 to pi/2, or 0 to pi where the outer axes are the same.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    By way of `matrix_to_quat` and `quat_to_euler`, without rounding between them.
    """
    return run("matrix_to_euler", {"matrix": matrix}, out, order=order)


def euler_to_matrix(angles: Any, *, order: str, out: Any = None) -> Any:
    """Turn Euler angles into matrices.

    Parameters
    ----------
    angles : array [..., 3]
        Radians, in the order of ``order``.
    order : str
        Axes as in SciPy: ``"xyz"`` turns about the fixed axes x, then y, then z; ``"XYZ"`` about the axes of the body.
        Any of the 12 sequences, in one case.
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
    By way of `euler_to_quat` and `quat_to_matrix`, without rounding between them.
    """
    return run("euler_to_matrix", {"angles": angles}, out, order=order)
