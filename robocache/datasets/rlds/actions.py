"""Actions of RLDS datasets brought to one convention."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core.errors import ArgumentError, DataError


def absolute_gripper(relative: Any, *, start: float | None = None, threshold: float = 0.1) -> NDArray[np.float32]:
    """Gripper commands that close, open or keep as the state that they lead to.

    For ``action/gripper_closedness_action`` of fractal20220817_data, kuka, jaco_play and nyu_door_opening.

    Parameters
    ----------
    relative : array (step,) or (step, 1)
        Of a whole episode: above ``threshold`` closes, below its negative opens, between keeps what was.
    start : {0.0, 1.0}, optional
        The state before the first command. By default the opposite of what the first command makes.
    threshold : float

    Returns
    -------
    array of float32 (step,)
        1 where the gripper is open, 0 where it is closed.

    Raises
    ------
    DataError
        There is no command, so nothing says what the state was; or a NaN.
    ArgumentError
        An array of another shape, or another ``start`` or ``threshold``.

    Examples
    --------
    >>> absolute_gripper([0, 0, 1, 0, -1, 0]).tolist()
    [1.0, 1.0, 0.0, 0.0, 1.0, 1.0]
    """
    given = np.asarray(relative, np.float64)
    if given.ndim not in (1, 2) or given.shape[1:] not in ((), (1,)):
        raise ArgumentError(f"relative: expected the shape (step,) or (step, 1), got {given.shape}")
    if start not in (None, 0.0, 1.0) or not 0 <= threshold < math.inf:
        raise ArgumentError(f"start: expected 0, 1 or None, and a threshold from 0 on, got {start!r} and {threshold!r}")
    flat = given.reshape(-1)
    if np.isnan(flat).any():
        raise DataError("relative: holds a NaN")
    command = np.where(flat > threshold, 0.0, np.where(flat < -threshold, 1.0, np.nan))
    at = np.flatnonzero(~np.isnan(command))
    if start is None:
        if not at.size and flat.size:
            raise DataError("relative: no step closes or opens; say start= if you know the state")
        start = 1.0 - command[at[0]] if at.size else 1.0
    last = np.maximum.accumulate(np.where(np.isnan(command), -1, np.arange(flat.size)))
    return np.where(last < 0, start, command[last]).astype(np.float32)


__all__ = ["absolute_gripper"]
