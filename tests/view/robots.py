"""Episodes in memory that have whatever a picture must cope with."""

from pathlib import Path
from typing import Any

import numpy as np

from robocache.datasets import Dataset, Span
from tests.datasets import toy

MS = 1_000_000


def stamps(count: int, period: int, *, late: int = 0, lost: slice = slice(0, 0), jitter: int = 0) -> Any:
    """Rising stamps in nanoseconds, some of them lost."""
    rng = np.random.default_rng(count)
    found = toy.EPOCH_NS + late + np.arange(count, dtype=np.int64) * period
    found += rng.integers(-jitter, jitter + 1, count)
    return np.delete(found, np.arange(count)[lost])


def robot(name: Any = "monday", said: str = "open the drawer", seed: int = 7) -> Any:
    """A camera at 20 Hz, joints at 100 Hz that stop for 0.3 s, a gripper, a text, and clouds of differing sizes."""
    rng = np.random.default_rng(seed)
    camera = stamps(64, 50 * MS, late=3 * MS)
    joints = stamps(300, 10 * MS, lost=slice(120, 150), jitter=MS)
    clouds = np.empty(6, object)
    clouds[:] = [rng.normal(size=(5 + 3 * k, 3)).astype(np.float32) for k in range(6)]
    return toy.episode(
        name,
        toy.stream("camera/front", rng.integers(0, 256, (64, 12, 16, 3), np.uint8), camera, kind="image"),
        toy.stream("joints", rng.normal(size=(270, 8)).cumsum(0), joints, unit="rad"),
        toy.stream("position", rng.normal(size=(270, 3)).cumsum(0), joints, unit="m", names=("x", "y", "z")),
        toy.stream("gripper", np.arange(270) > 100, joints, kind="event"),
        toy.stream(
            "says", np.array(["go"] * 3 + ["stop"] * 3, object), clouds_at(), kind="text", dtype=np.dtype(object)
        ),
        toy.stream("lidar", clouds, clouds_at(), kind="cloud", shape=(None, 3)),
        language=(Span(0, 1, said),),
    )


def said_at() -> Any:
    """Texts, one for each cloud."""
    return np.array(["go"] * 3 + ["stop"] * 3, object)


def clouds_at() -> Any:
    """Stamps of what comes twice a second."""
    return stamps(6, 500 * MS)


def dataset(*episodes: Any, name: str = "kitchen", **facts: Any) -> Dataset:
    """A dataset of episodes in memory."""
    return toy.dataset(Path(name), episodes, **facts)


def seconds(times: Any, zero: int) -> Any:
    """As floats, subtracted as integers first."""
    return np.array([int(t) - int(zero) for t in times], np.float64) / 1e9
