"""The clocks of DROID: which stamps belong to which stream, as exact integers of nanoseconds."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._faults import fault

STAMPS = "observation/timestamp"
ROBOT, HOST = "robot", "host"
MILLISECOND = 10**6
MOST_MS = 9 * 10**12  # later ones do not fit 64 bits of nanoseconds


def stamp_of(name: str, there: set[str], robot_clock: str, action_stamp: str) -> tuple[str, tuple[str, ...]] | None:
    """Clock and keys of the stamps of a stream, or None if nothing stamped it."""
    for clock, keys in _candidates(name, robot_clock, action_stamp):
        whole = tuple(f"{STAMPS}/{key}" for key in keys)
        if all(key in there for key in whole):
            return clock, whole
    return None


def _candidates(name: str, robot_clock: str, action_stamp: str) -> list[tuple[str, tuple[str, ...]]]:
    seconds = ("robot_state/robot_timestamp_seconds", "robot_state/robot_timestamp_nanos")
    step: list[tuple[str, tuple[str, ...]]] = [(HOST, ("control/step_start",))]
    if name.startswith(f"{STAMPS}/"):
        key = name.removeprefix(f"{STAMPS}/")
        if key in seconds:
            return [(ROBOT, seconds)]
        return step if key == "skip_action" else [(HOST, (key,))]
    if name.startswith("observation/robot_state/"):
        return [(ROBOT, seconds)] if robot_clock == ROBOT else [(HOST, ("robot_state/read_start",))]
    if name.startswith("action/"):
        return [(HOST, (f"control/{action_stamp}",))]
    if name.startswith(("observation/camera", "recordings/")):
        serial = name.rpartition("/")[2].partition("_")[0].partition("-")[0]
        return [(HOST, (f"cameras/{serial}_estimated_capture",))]
    return step


def nanoseconds(parts: list[Any], clock: str, **place: Any) -> NDArray[np.int64]:
    """Stamps of a stream, from what the file holds: seconds and nanoseconds, or milliseconds."""
    if clock == ROBOT:
        seconds, nanos = (_integers(part, **place) for part in parts)
        if seconds.shape != nanos.shape:
            raise fault(f"has {len(seconds)} seconds and {len(nanos)} nanoseconds", **place)
        if len(seconds) and (int(np.abs(seconds).max()) > MOST_MS // 1000 or int(np.abs(nanos).max()) > 2 * 10**9):
            raise fault("has stamps that no clock shows", **place)
        return seconds * 10**9 + nanos
    (values,) = parts
    if values.dtype.kind == "f":
        if not np.isfinite(values).all() or (len(values) and float(np.abs(values).max()) > MOST_MS):
            raise fault("has stamps that no clock shows", **place)
        whole = np.floor(values)  # the rest is exact, and of a size that a product keeps
        return whole.astype(np.int64) * MILLISECOND + np.rint((values - whole) * MILLISECOND).astype(np.int64)
    values = _integers(values, **place)
    if len(values) and int(np.abs(values).max()) > MOST_MS:
        raise fault("has stamps that no clock shows", **place)
    return values * MILLISECOND


def _integers(values: Any, **place: Any) -> NDArray[np.int64]:
    exact = values.dtype.kind in "iu" or (values.dtype.kind == "f" and bool((np.rint(values) == values).all()))
    if values.ndim != 1 or not exact or (len(values) and not -(2**62) < int(values.max()) < 2**62):
        raise fault(f"has stamps of {values.dtype} {values.shape}, expected a list of integers", **place)
    if len(values) and int(values.min()) < -(2**62):
        raise fault("has stamps that no clock shows", **place)
    return values.astype(np.int64)


__all__ = ["HOST", "ROBOT", "STAMPS", "nanoseconds", "stamp_of"]
