"""What is known of a dataset beside its samples: what was said, what an action means, what is wrong."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from .._core.errors import DataError


class Span(NamedTuple):
    """What was said of the steps ``start`` to ``stop`` (not included) of an episode."""

    start: int
    stop: int
    text: str
    task: str | None = None
    source: str | None = None


class Finding(NamedTuple):
    """Something that `Dataset.validate` found wrong."""

    level: str  # "error", or "warning" for what can still be read
    message: str
    file: str | None = None
    episode: Any = None
    key: str | None = None


@dataclass(frozen=True)
class ActionSpec:
    """What the numbers of an action mean.

    Parameters
    ----------
    representation : {"joint", "ee_pose", "planar", "unknown"}
    relative : bool, optional
        Differences to the state, or targets.
    rotation : {"euler_xyz", "axis_angle", "quat_xyzw", "rot6d"}, optional
    gripper : tuple of float, optional
        The values of closed and of open.
    frame : str, optional
        Such as ``"base"`` or ``"tool"``.
    last_valid : bool
        Whether the action of an episode's last step means anything.
    note : str
        What the fields cannot say.
    """

    representation: str = "unknown"
    relative: bool | None = None
    rotation: str | None = None
    gripper: tuple[float, float] | None = None
    frame: str | None = None
    last_valid: bool = True
    note: str = ""


def finding_of(error: DataError, episode: Any = None) -> Finding:
    """What an error says, as a finding; ``episode`` where the error does not know it."""
    return Finding("error", str(error), error.file, episode if error.episode is None else error.episode, error.key)


__all__ = ["ActionSpec", "Finding", "Span", "finding_of"]
