"""Resampling of poses: a position and a quaternion together."""

import warnings
from typing import Any

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataWarning, DTypeError, ShapeError
from .._core.jobs import SE3, SPLIT, Curve, Job
from . import _curves, _lone, _replay, _streams
from ._curves import Part

MODES = ("split", "se3")
POSITIONS = ("linear", "cubic", "pchip", "akima", "catmull_rom")


def resample_poses(
    poses: Any,
    source_times: Any,
    target_times: Any,
    *,
    mode: str = "split",
    position: str = "linear",
    quat_order: str = "xyzw",
    lengths: Any = None,
    offsets: Any = None,
    outside: Any = "hold",
    max_gap: Any = None,
    tolerance: Any = None,
    return_valid: bool = False,
    return_age: bool = False,
    check: str = "auto",
    out: Any = None,
) -> Any:
    r"""Resample poses from their own time stamps onto target times.

    Parameters
    ----------
    poses : array, shape (time, \\*feature, 7), (batch, time, \\*feature, 7) or packed (samples, \\*feature, 7)
        Position x, y, z, then a quaternion, which need not be normalized: float16, bfloat16, float32 or float64.
    source_times, target_times, lengths, offsets, outside, max_gap, tolerance, return_valid, return_age, check, out
        As in `resample_trajectories`.
    mode : {"split", "se3"}
        Position and rotation on their own, or both along the screw motion from one pose to the next: the shortest path
        of a rigid body that turns and moves at constant rates about a fixed axis.
    position : {"linear", "cubic", "pchip", "akima", "catmull_rom"}
        Method of the position when split.
    quat_order : {"xyzw", "wxyz"}
        Where the scalar is.

    Returns
    -------
    poses, valid, age : array
        As `resample_trajectories` returns them, the quaternions of unit length but where a sample is copied.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError, DataError, BackendError
        As `resample_trajectories`; poses whose last axis is not 7.

    Warns
    -----
    DataWarning
        As `resample_trajectories`.

    Notes
    -----
    Rotations take the shorter way, whatever the signs of the quaternions; one of length zero or not finite makes its
    targets NaN and invalid (the whole pose with ``"se3"``). Exact hits and held ends copy the sample. Outside,
    ``"extrapolate"`` goes on turning and moving. See `resample_trajectories` for everything else; on the GPU, both
    modes take two launches, other positions than linear two more a pose.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> poses = np.array([[0.0, 0, 0, 0, 0, 0, 1], [1.0, 0, 0, 0, 0, 1, 0]])  # half a turn about z
    >>> rc.resample_poses(poses, np.array([0.0, 1.0]), np.array([0.5])).round(3) + 0
    array([[0.5  , 0.   , 0.   , 0.   , 0.   , 0.707, 0.707]])
    >>> rc.resample_poses(poses, np.array([0.0, 1.0]), np.array([0.5]), mode="se3").round(3) + 0
    array([[ 0.5  , -0.5  ,  0.   ,  0.   ,  0.   ,  0.707,  0.707]])
    """
    # Validate.
    checks.choice("check", check, _streams.CHECKS)
    checks.choice("mode", mode, MODES)
    checks.choice("position", position, POSITIONS)
    checks.choice("quat_order", quat_order, _curves.QUAT_ORDERS)
    if mode == "se3" and position != "linear":
        raise ArgumentError(f"position={position!r} is for mode='split'; screw motions have no other path")
    call, (samples, stamps, goals, counts, edges, given) = interop.receive(
        poses=poses, source_times=source_times, target_times=target_times, lengths=lengths, offsets=offsets, out=out
    )
    with call:
        if samples.ndim < 2 or samples.shape[-1] != 7:
            raise ShapeError(
                f"poses has shape {tuple(samples.shape)}; expected 7 in its last axis: position, quaternion"
            )
        if samples.dtype not in dtypes.FLOATING:
            raise DTypeError(f"poses has dtype {samples.dtype}; cast it to a float")
        limits, dated = (outside, max_gap, tolerance), stamps.dtype.kind == "M"
        arrays = (samples, stamps, counts, edges, goals)
        job, goals, result, lead, _ = _lone.stream(call, arrays, out, given, limits)

        # Dispatch.
        valid = call.empty((*job.out.shape[:2], 1), dtypes.boolean)
        age = call.empty((*job.out.shape[:2], 1), goals.dtype)
        if mode == "se3" or position == "linear":
            kind = SE3 if mode == "se3" else SPLIT
            parts = [Part(0, Curve(kind, scalar_first=int(quat_order == "wxyz")), job)]
        else:
            parts = _split(job, _curves.curve_of("", position, None, quat_order), quat_order)
        coarse = _curves.run_parts(call, parts, goals, valid, age, check)

        # Restore shape.
        answer = [out if out is not None else call.give(result)]
        if return_valid:
            answer.append(call.give(valid.reshape(lead)))
        if return_age:
            answer.append(call.give(age.reshape(lead).view("m8[ns]") if dated else age.reshape(lead)))
    if coarse:
        warnings.warn(_replay.COARSE, DataWarning, stacklevel=2)
    return answer[0] if len(answer) == 1 else tuple(answer)


def _split(job: Job, curve: Curve | None, quat_order: str) -> list[Part]:
    """The position and the quaternion of each pose."""
    turn, parts = _curves.curve_of("", "slerp", None, quat_order), []
    for first in range(0, job.out.shape[2], 7):
        for start, stop, how in ((first, first + 3, curve), (first + 3, first + 7, turn)):
            piece = job._replace(values=job.values[..., start:stop], out=job.out[..., start:stop])
            parts.append(Part(0, how, piece))
    return parts


__all__ = ["resample_poses"]
