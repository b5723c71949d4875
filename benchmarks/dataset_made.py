"""Datasets of realistic size to time readers on, made by the writers of this package and the same every time.

``python3 -m benchmarks.dataset_made FOLDER --episodes 200`` writes one set of episodes as RLDS (tfrecord and
array_record, JPEG) and as LeRobot v3.0 (h264 and AV1): 7 numbers of state and of action, one camera.
"""

import argparse
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from robocache.datasets import Episode, Source, Span, Stream, StreamSpec, Timing
from robocache.datasets.lerobot import write_lerobot
from robocache.datasets.rlds import write_rlds
from robocache.datasets.streams import Picked, listed

from .dataset_access import as_array_record

SIDE, RATE, JOINTS, QUALITY = 256, 10, 7, 85
TASKS = ("pick up the cup", "open the drawer", "wipe the table", "close the lid")


def scene(rng: np.random.Generator) -> np.ndarray:
    """A table top to look at: coarse patches, finer ones on them, and the grain of a sensor."""
    size = 3 * SIDE
    field = np.zeros((size, size, 3), np.float32)
    for cell, strength in ((96, 60), (24, 30), (6, 10), (1, 3)):
        patches = rng.normal(size=(size // cell, size // cell, 3)).astype(np.float32)
        field += strength * np.repeat(np.repeat(patches, cell, 0), cell, 1)
    return np.clip(field + 120, 0, 255).astype(np.uint8)


class Camera(Source):
    """Looks at a scene from where the arm is."""

    def __init__(self, over: np.ndarray, state: np.ndarray) -> None:
        self.over = over
        self.corners = ((np.sin(state[:, :2]) + 1) * SIDE).astype(np.int64)

    def take(self, at: Picked) -> Any:
        """Pictures."""
        places = (self.corners[k] for k in listed(at).tolist())
        found = [self.over[top : top + SIDE, left : left + SIDE] for top, left in places]
        return np.stack(found) if found else np.zeros((0, SIDE, SIDE, 3), np.uint8)

    def encoded(self, at: Picked) -> list[bytes]:
        """As JPEG."""
        import simplejpeg

        return [simplejpeg.encode_jpeg(np.ascontiguousarray(image), QUALITY) for image in self.take(at)]


def episode(number: int, codec: str | None, names: tuple[str, str, str], steps: tuple[int, int]) -> Episode:
    """A recording: the arm wanders smoothly, the action is where it goes next."""
    rng = np.random.default_rng(number)
    count = int(rng.integers(steps[0], steps[1] + 1))
    phases, speeds = rng.uniform(0, 6, JOINTS), rng.uniform(0.01, 0.04, JOINTS)  # radians, and a step
    smooth = 1.5 * np.sin(np.arange(count + 1)[:, None] * speeds + phases)
    path = (smooth + 0.002 * rng.normal(size=smooth.shape)).astype(np.float32)
    state, action = path[:-1], np.diff(path, axis=0)
    arrays = Episode.from_arrays(number, {names[0]: state, names[1]: action}, rate=RATE)
    spec = StreamSpec(names[2], "image", (SIDE, SIDE, 3), np.dtype(np.uint8), codec=codec)
    pictures = Stream(spec, Timing(count, rate=RATE), Camera(scene(np.random.default_rng(number % 8)), state))
    said = [Span(0, count, TASKS[number % len(TASKS)])]
    return Episode(number, {**arrays, names[2]: pictures}, length=count, language=said)


def episodes(count: int, codec: str | None, names: tuple[str, str, str], steps: tuple[int, int]) -> Iterator[Episode]:
    """Some of them, one after the other."""
    return (episode(number, codec, names, steps) for number in range(count))


def make(folder: Path, count: int, steps: tuple[int, int] = (100, 300)) -> None:
    """All of the sets that are not there yet."""
    dotted = ("observation.state", "action", "observation.images.front")
    slashed = ("observation/state", "action", "observation/image")
    todo = {
        "made_tfrecord/1.0.0": lambda _: write_rlds(
            episodes(count, "jpeg", slashed, steps), folder, name="made_tfrecord", meta=(), shard_bytes=64 << 20
        ),
        "made_array_record/1.0.0": partial(_again, folder / "made_tfrecord" / "1.0.0"),
        "made_h264": lambda path: write_lerobot(
            episodes(count, None, dotted, steps), path, fps=RATE, codec="libx264", crf=23
        ),
        "made_av1": lambda path: write_lerobot(episodes(count, None, dotted, steps), path, fps=RATE),
    }
    for name, write in todo.items():
        if not (folder / name).exists():
            write(folder / name)


def _again(source: Path, target: Path) -> None:
    as_array_record(source, target, "made_array_record")


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--episodes", type=int, default=200)
    parser.add_argument("--steps", type=int, nargs=2, default=(100, 300), help="of the shortest and the longest")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    make(options.folder, options.episodes, tuple(options.steps))


if __name__ == "__main__":
    main()
