"""Arguments of a loader that need a look of their own."""

import os
from typing import Any

from .._core import checks
from .._core.errors import ArgumentError

MOST_THREADS = 8  # by default: the trainer needs its processors too
MOST_STEPS = 1 << 31


def usual_threads() -> int:
    """Half the processors of this process, few enough to leave the trainer some."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, count // 2))


def only_episodes(**given: Any) -> None:
    """Refuse arguments of windows where whole episodes are asked for."""
    usual = {"n_obs": 1, "n_act": 1, "action_start": 0, "stride": 1, "pad_before": None, "pad_after": None}
    wrong = sorted(name for name, value in given.items() if value != usual[name])
    if wrong:
        raise ArgumentError(f"{', '.join(wrong)}: mode='episodes' has no windows; leave them out")


def padding(pad: Any) -> Any:
    """``pad`` of whole episodes, checked."""
    if pad is None or pad == "max":
        return pad
    return checks.whole("pad", pad, 1, MOST_STEPS)


__all__ = ["only_episodes", "padding", "usual_threads"]
