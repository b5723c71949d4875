"""The 6D form, which networks learn well (Zhou et al. 2019). See ``rotations`` for what holds everywhere."""

from typing import Any

from ._rotations import run

__all__ = ["matrix_to_rot6d", "quat_to_rot6d", "rot6d_to_matrix", "rot6d_to_quat"]


def quat_to_rot6d(quat: Any, *, layout: str, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Turn quaternions into the 6D form.

    Parameters
    ----------
    quat : array [..., 4]
        Quaternions.
    layout : {"rows", "columns"}
        Whether the six numbers are the first two rows of the matrix (pytorch3d, UMI, Diffusion Policy, GR00T) or its
        first two columns (Zhou et al. 2019). There is no default, as the field has none.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.
    out : array [..., 6], optional
        Where to write.

    Returns
    -------
    array [..., 6]
        Two rows or two columns of the matrix.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    By way of `quat_to_matrix`.
    """
    return run("quat_to_rot6d", {"quat": quat}, out, layout=layout, quat_order=quat_order)


def rot6d_to_quat(rot6d: Any, *, layout: str, quat_order: str = "xyzw", out: Any = None) -> Any:
    """Turn the 6D form into quaternions.

    Parameters
    ----------
    rot6d : array [..., 6]
        Two vectors each, of any length.
    layout : {"rows", "columns"}
        Whether the six numbers are the first two rows of the matrix (pytorch3d, UMI, Diffusion Policy, GR00T) or its
        first two columns (Zhou et al. 2019). There is no default, as the field has none.
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
    By way of `rot6d_to_matrix` and `matrix_to_quat`, without rounding between them.
    """
    return run("rot6d_to_quat", {"rot6d": rot6d}, out, layout=layout, quat_order=quat_order)


def matrix_to_rot6d(matrix: Any, *, layout: str, out: Any = None) -> Any:
    """Turn matrices into the 6D form.

    Parameters
    ----------
    matrix : array [..., 3, 3]
        Rotation matrices.
    layout : {"rows", "columns"}
        Whether the six numbers are the first two rows of the matrix (pytorch3d, UMI, Diffusion Policy, GR00T) or its
        first two columns (Zhou et al. 2019). There is no default, as the field has none.
    out : array [..., 6], optional
        Where to write.

    Returns
    -------
    array [..., 6]
        Two rows or two columns of the matrix.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        An argument does not fit.

    Notes
    -----
    The numbers are copied, whatever they are.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.rotations import matrix_to_rot6d
    >>> matrix = np.arange(9.0).reshape(3, 3)
    >>> matrix_to_rot6d(matrix, layout="rows"), matrix_to_rot6d(matrix, layout="columns")
    (array([0., 1., 2., 3., 4., 5.]), array([0., 3., 6., 1., 4., 7.]))
    """
    return run("matrix_to_rot6d", {"matrix": matrix}, out, layout=layout)


def rot6d_to_matrix(rot6d: Any, *, layout: str, out: Any = None) -> Any:
    """Turn the 6D form into matrices.

    Parameters
    ----------
    rot6d : array [..., 6]
        Two vectors each, of any length.
    layout : {"rows", "columns"}
        Whether the six numbers are the first two rows of the matrix (pytorch3d, UMI, Diffusion Policy, GR00T) or its
        first two columns (Zhou et al. 2019). There is no default, as the field has none.
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
    Gram-Schmidt: the first vector gives the direction of the first row (or column), what of the second is square to it
    the next, their cross product the last. Vectors that are parallel to within 8 eps, or of no length, give NaN; nearly
    parallel ones give a rotation, but amplify errors of the input.
    """
    return run("rot6d_to_matrix", {"rot6d": rot6d}, out, layout=layout)
