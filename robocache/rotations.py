"""Rotations and poses in the forms that logs and policies have. See ``ops.rotations`` for what holds everywhere."""

from .ops.euler_angles import euler_to_matrix, euler_to_quat, matrix_to_euler, quat_to_euler
from .ops.poses import canonical_quat, compose_poses, invert_quat, multiply_quats, relative_pose, slerp
from .ops.rot6d import matrix_to_rot6d, quat_to_rot6d, rot6d_to_matrix, rot6d_to_quat
from .ops.rotations import (
    matrix_to_quat,
    matrix_to_rotvec,
    quat_to_matrix,
    quat_to_rotvec,
    rotvec_to_matrix,
    rotvec_to_quat,
)

__all__ = [
    "canonical_quat",
    "compose_poses",
    "euler_to_matrix",
    "euler_to_quat",
    "invert_quat",
    "matrix_to_euler",
    "matrix_to_quat",
    "matrix_to_rot6d",
    "matrix_to_rotvec",
    "multiply_quats",
    "quat_to_euler",
    "quat_to_matrix",
    "quat_to_rot6d",
    "quat_to_rotvec",
    "relative_pose",
    "rot6d_to_matrix",
    "rot6d_to_quat",
    "rotvec_to_matrix",
    "rotvec_to_quat",
    "slerp",
]
