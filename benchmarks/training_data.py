"""Demonstrations to train on: an arm goes to a marker and holds its joints near zero, written as RLDS.

Two cameras of 256 x 256 pixels see the plane, its texture, the marker and the hand. The state holds the hand and the
joints, not the marker: where to go is told by the pictures, or by the stream ``goal``.
"""

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from robocache.datasets import Episode, Source, Stream, StreamSpec, Timing

SIDE, STEPS, JOINTS = 256, 120, 7  # pixels, steps of an episode, features of state and action
RATE = 10.0  # hertz
CAMERAS = ("image", "wrist_image")
QUALITY = 90


class Recorded(NamedTuple):
    """An episode as a worker hands it over."""

    state: np.ndarray
    action: np.ndarray
    goal: np.ndarray
    pictures: dict[str, list[bytes]]


class Jpegs(Source):
    """Encoded frames in memory."""

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = frames

    def encoded(self, at: Any) -> list[bytes]:
        if isinstance(at, slice):
            return self.frames[at]
        return [self.frames[k] for k in at]

    def take(self, at: Any) -> Any:
        from robocache.datasets._images import decode_image

        return np.stack([decode_image(frame) for frame in self.encoded(at)])


def textures() -> np.ndarray:
    """Noise of several scales, as busy as a table top: what makes a JPEG as large as a real one."""
    rng = np.random.default_rng(0)
    total = np.zeros((2 * SIDE, 2 * SIDE, 3), np.float32)
    for scale, weight in ((64, 60), (16, 25), (4, 14), (1, 9)):
        grain = rng.standard_normal((2 * SIDE // scale, 2 * SIDE // scale, 3)).astype(np.float32)
        total += weight * np.kron(grain, np.ones((scale, scale, 1), np.float32))
    return np.clip(120 + total, 0, 255).astype(np.uint8)


def motion(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """State, action and the marker of an episode."""
    rng = np.random.default_rng(seed)
    marker, hand = rng.uniform(0.1, 0.9, 2), rng.uniform(0.1, 0.9, 2)
    rest, states, actions = rng.standard_normal(JOINTS - 2), [], []
    for _ in range(STEPS):
        step = np.clip(marker - hand, -0.012, 0.012)
        action = np.concatenate([step / 0.012, -rest])
        states.append(np.concatenate([hand, rest]))
        actions.append(action)
        hand = hand + step + 0.004 * rng.standard_normal(2)
        rest = 0.995 * rest + 0.1 * rng.standard_normal(JOINTS - 2)  # of unit variance, and slow
    return np.float32(states), np.float32(actions), marker


def picture(base: np.ndarray, marker: np.ndarray, hand: np.ndarray, mirrored: bool) -> np.ndarray:
    """What a camera sees; the second one sees the plane mirrored."""
    frame = base.copy()
    for place, colour, radius in ((marker, (230, 30, 30), 16), (hand, (30, 60, 230), 12)):
        x, y = ((1 - place[0]) if mirrored else place[0]) * SIDE, place[1] * SIDE
        left, top = max(0, int(x) - radius), max(0, int(y) - radius)
        part = frame[top : int(y) + radius + 1, left : int(x) + radius + 1]
        rows, columns = np.ogrid[top : top + part.shape[0], left : left + part.shape[1]]
        part[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = colour
    return frame


def record(seed: int) -> Recorded:
    """One episode, its pictures encoded."""
    import simplejpeg

    global _TEXTURE
    if _TEXTURE is None:
        _TEXTURE = textures()
    state, action, marker = motion(seed)
    rng = np.random.default_rng([seed, 1])
    found: dict[str, list[bytes]] = {}
    for number, camera in enumerate(CAMERAS):
        row, column = rng.integers(0, SIDE, 2)
        base = np.ascontiguousarray(_TEXTURE[row : row + SIDE, column : column + SIDE])
        found[camera] = [
            simplejpeg.encode_jpeg(picture(base, marker, one[:2], bool(number)), QUALITY, "RGB", "420") for one in state
        ]
    return Recorded(state, action, np.tile(np.float32(marker), (len(state), 1)), found)


_TEXTURE: np.ndarray | None = None


def as_episode(number: int, recorded: Recorded) -> Episode:
    """An episode of the dataset's model."""
    base = Episode.from_arrays(
        number, {"state": recorded.state, "action": recorded.action, "goal": recorded.goal}, rate=RATE
    )
    streams: dict[str, Stream] = dict(base.streams)
    for camera, frames in recorded.pictures.items():
        spec = StreamSpec(camera, "image", (SIDE, SIDE, 3), np.dtype(np.uint8), codec="jpeg")
        streams[camera] = Stream(spec, Timing(len(frames), rate=RATE), Jpegs(frames))
    return Episode(number, streams, length=STEPS)


def episodes(first: int, count: int, workers: int) -> Iterator[Episode]:
    """Episodes in order, made by processes; a few are under way at any time."""
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        ahead = [pool.submit(record, first + k) for k in range(min(count, 2 * workers))]
        for k in range(count):
            recorded = ahead.pop(0).result()
            if k + 2 * workers < count:
                ahead.append(pool.submit(record, first + k + 2 * workers))
            yield as_episode(k, recorded)


def write(root: Path, train: int, held_out: int, workers: int) -> Path:
    """The dataset as RLDS: splits "train" and "val"."""
    from robocache.datasets.rlds import write_rlds

    splits = {"train": episodes(0, train, workers), "val": episodes(10**6, held_out, workers)}
    return write_rlds(splits, root, name="reach")
