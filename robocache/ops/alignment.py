"""Which sample belongs to which target, without touching the samples: video frames, events, files."""

from typing import Any

import numpy as np

from .. import interop
from .._core import checks, dtypes
from . import _streams
from .plan import Plan

DIRECTIONS = ("nearest", "previous", "next")


def align(
    source_times: Any,
    target_times: Any,
    *,
    direction: str = "nearest",
    tolerance: Any = None,
    lengths: Any = None,
    offsets: Any = None,
    check: str = "auto",
) -> tuple[Any, Any]:
    """Find for every target the sample that belongs to it.

    Parameters
    ----------
    source_times, target_times, lengths, offsets, check
        As in `resample_trajectories`.
    direction : {"nearest", "previous", "next"}
        The sample nearest to the target (of two equally near the earlier), the last one not after it, or the first one
        not before it.
    tolerance : int, float or timedelta64, optional
        A sample further from its target than this does not belong to it. Unit of the stamps.

    Returns
    -------
    index : array of int64, shape (target,) or (batch, target)
        The sample in its row, or in all samples if they are packed: the one in that direction, be it too far; the end
        of the row where there is none; -1 if the row is empty or out of order, or the target NaN.
    valid : array of bool, shape of ``index``
        Whether it belongs to the target.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError, DataError, BackendError
        As `resample_trajectories`.

    Warns
    -----
    DataWarning
        As `resample_trajectories`.

    Notes
    -----
    Unlike in `resample_trajectories`, a target outside the row is valid if a sample in that direction is within
    ``tolerance`` (or none is given), as in ``pandas.merge_asof``. Of equal stamps ``next`` takes the first, the others
    the last. Differences are taken in the stamps' own type. The index fits `gather_windows`, with ``valid`` to pad by.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> frames, states = np.array([0, 33_000_000, 66_000_000]), np.array([1_000_000, 40_000_000, 90_000_000])
    >>> index, valid = rc.align(frames, states, tolerance=10_000_000)
    >>> index, valid
    (array([0, 1, 2]), array([ True,  True, False]))
    >>> rc.align(frames, states, direction="next")
    (array([1, 2, 2]), array([ True,  True, False]))
    """
    # Validate.
    checks.choice("direction", direction, DIRECTIONS)
    plan = Plan(source_times, target_times, method=direction, lengths=lengths, offsets=offsets, check=check)

    # Dispatch.
    call, _ = interop.receive(source_times=source_times)
    with call:
        index, age, time = plan.native(np.int64)
        limit = _streams.span_of("tolerance", tolerance, time)
        valid = index >= 0
        if direction != "nearest":
            valid &= age >= 0 if direction == "previous" else age <= 0
        if limit >= 0:
            valid &= (age <= limit) & (age >= -limit)

        # Restore shape.
        return call.give(index), call.give(valid.astype(dtypes.boolean, copy=False))


__all__ = ["align"]
