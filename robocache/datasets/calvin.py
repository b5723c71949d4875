"""CALVIN: a folder with ``training`` and ``validation``, or one of them; one ``episode_<frame>.npz`` a step.

Options of `open_dataset`: ``keys``, the streams to offer; ``language``, the folder of annotations (by default
``lang_annotations``; others hold other embeddings); ``max_bytes``, the most that one read may give.

Streams are named as in the files. Nothing was stamped: the clock is ``"index"``, at 30 Hz. No folder is ever listed,
as there are millions of files; names are computed. Of each file only the members that are wanted are read.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import DataError
from ._calvin_language import SOURCE, Windows
from ._faults import fault, faults
from ._files import Root
from ._lazy import Lazy
from ._npz import Archive, read_npy, read_pickled_npy
from ._pool import Pool
from ._registry import loader_of
from ._sniffs import CALVIN_FILE, CALVIN_SPLITS
from .facts import ActionSpec, Finding, finding_of
from .model import Dataset, Episode, Episodes
from .streams import INDEX, Kind, Picked, Source, Stream, StreamSpec, Timing, listed

RATE = 30.0
OPEN_FILES = 128
MAX_BYTES = 4 << 30
TEXT_BYTES = 1 << 26
STEPS = 1 << 31  # frame numbers are less
TRIES = 32  # frames that are looked at for one that is not damaged
FAULTS = 1000  # an episode that has more is not looked at further

POSE = ("x", "y", "z", "euler_x", "euler_y", "euler_z")
NAMES = {
    "actions": (*POSE, "gripper"),
    "rel_actions": (*POSE, "gripper"),
    "robot_obs": (*POSE, "gripper_width", *(f"joint_{i}" for i in range(1, 8)), "gripper_action"),
    "scene_obs": (
        "door", "drawer", "button", "switch", "bulb", "green_light",
        *(f"{block}_block_{axis}" for block in ("red", "blue", "pink") for axis in POSE),
    ),
}  # fmt: skip
ACTIONS = {
    "actions": ActionSpec("ee_pose", False, "euler_xyz", (-1.0, 1.0), "world"),
    "rel_actions": ActionSpec(
        "ee_pose", True, "euler_xyz", (-1.0, 1.0), "world",
        note="differences divided by 0.02 m and 0.05 rad and clipped to [-1, 1]",
    ),
}  # fmt: skip


def open_calvin(
    path: Path, *, control_hz: float | None, verify: bool, keys: Sequence[str] | None = None,
    language: str = SOURCE, max_bytes: int = MAX_BYTES,
) -> Dataset:  # fmt: skip
    """The dataset at a path; see the module."""
    wanted = None if keys is None else tuple(keys)
    return _Calvin(path, control_hz or RATE, verify, wanted, language, max_bytes).dataset(control_hz)


class _Part:
    """A split: its folder, and the first and last frames of its episodes."""

    def __init__(self, root: Root, folder: str, language: str) -> None:
        self.root, self.folder = root, folder
        self.file = root.file(self.name(CALVIN_FILE))
        found = read_npy(self.file)
        if found.ndim != 2 or found.shape[1] != 2 or found.dtype.kind not in "iu":
            raise fault(f"holds {found.shape} of {found.dtype}, expected (episode, 2) integers", file=self.file)
        if found.size and (int(found.min()) < 0 or int(found.max()) >= STEPS):
            raise fault("has frame numbers that are not possible", file=self.file)
        self.bounds: NDArray[np.int64] = found.astype(np.int64)
        if (self.bounds[:, 1] < self.bounds[:, 0]).any():
            raise fault("has an episode that ends before it begins", file=self.file)
        self.windows = Windows(lambda: self.find(f"{language}/auto_lang_ann.npy"), self.bounds)

    def name(self, file: str) -> str:
        return file if self.folder == "." else f"{self.folder}/{file}"

    def find(self, file: str) -> Path | None:
        path = self.root.at(self.name(file))
        return path if path.is_file() else None

    def frame(self, number: int) -> Path:
        return self.root.at(self.name(f"episode_{number:07d}.npz"))

    def scenes(self) -> dict[str, Any]:
        path = self.find("scene_info.npy")
        if path is None:
            return {}
        value = read_pickled_npy(path)
        if not isinstance(value, dict):
            raise fault(f"holds a {type(value).__name__}, expected a dict", file=path)
        return value

    def text(self, file: str) -> str | None:
        path = self.find(file)
        if path is None:
            return None
        with faults(OSError, ValueError, file=path):
            if path.stat().st_size > TEXT_BYTES:
                raise ValueError(f"it is longer than {TEXT_BYTES} bytes")
            return path.read_text("utf-8")


class _Calvin:
    def __init__(
        self, path: Path, rate: float, verify: bool, keys: tuple[str, ...] | None, language: str, max_bytes: int
    ) -> None:
        self.path, self.rate, self.verify, self.max_bytes = path, rate, verify, max_bytes
        root = Root(path)
        whole = (path / CALVIN_FILE).is_file()
        folders = ["."] if whole else [name for name in CALVIN_SPLITS if (path / name / CALVIN_FILE).is_file()]
        if not folders:
            raise fault(f"has no {CALVIN_FILE}", file=path)
        self.parts = [_Part(root, folder, language) for folder in folders]
        self.first = np.cumsum([0, *(len(part.bounds) for part in self.parts)])
        self.files = Pool(OPEN_FILES, lambda archive: archive.close())
        self.specs = self.look(keys)

    def look(self, keys: tuple[str, ...] | None) -> dict[str, StreamSpec]:
        """What the first frame holds that is not damaged; `findings` tells of the others."""
        first: DataError | None = None
        for file in islice(self.some_frames(), TRIES):
            try:
                return self.look_at(file, keys)
            except DataError as error:
                first = first or error
        if first is not None:
            raise first
        return {}

    def some_frames(self) -> Iterator[Path]:
        """The first frame of every episode, one in the middle and the last."""
        for part in self.parts:
            for first, last in part.bounds.tolist():
                yield from (part.frame(number) for number in sorted({first, (first + last) // 2, last}))

    def look_at(self, file: Path, keys: tuple[str, ...] | None) -> dict[str, StreamSpec]:
        """What a frame holds."""
        specs = {}
        with self.files.lease(file, lambda: Archive(file)) as archive:
            there = [name[:-4] for name in archive.members if name.endswith(".npy")]
            if keys is not None and (absent := [key for key in keys if key not in there]):
                raise fault(f"keys: {absent} are not there; there are {there}", file=file)
            for key in there if keys is None else keys:
                value = archive.read(key, verify=self.verify)
                if value.dtype.kind in "iufb":
                    specs[key] = _spec(key, value)
        return specs

    def dataset(self, control_hz: float | None) -> Dataset:
        episodes = Episodes(int(self.first[-1]), self.episode)
        names = [part.folder if part.folder != "." else self.path.name for part in self.parts]
        splits = {
            name: range(int(a), int(b)) for name, a, b in zip(names, self.first[:-1], self.first[1:], strict=True)
        }
        head = self.parts[0]
        return Dataset(
            format="calvin", name=self.path.name, path=self.path, episodes=episodes, splits=splits, specs=self.specs,
            lengths=lambda: np.concatenate([part.bounds[:, 1] - part.bounds[:, 0] + 1 for part in self.parts]),
            findings=self.findings, control_hz=self.rate,
            control_hz_origin="registry" if control_hz is None else "user",
            action=ACTIONS["rel_actions" if "rel_actions" in self.specs else "actions"],
            meta=Lazy({"actions": ACTIONS}, {
                "statistics": lambda: head.text("statistics.yaml"),
                "scene_info": lambda: {name: part.scenes() for name, part in zip(names, self.parts, strict=True)},
            }),
            closing=self.files.close,
        )  # fmt: skip

    def episode(self, index: int) -> Episode:
        at = int(np.searchsorted(self.first, index, side="right")) - 1
        part, inside = self.parts[at], index - int(self.first[at])
        first, last = (int(n) for n in part.bounds[inside])
        name, count = part.name(str(inside)), last - first + 1
        streams = {
            key: Stream(spec, Timing(count, INDEX, rate=self.rate), _Frames(self, part, first, spec, name))
            for key, spec in self.specs.items()
        }
        meta: dict[str, Any] = {"first_frame": first, "last_frame": last}
        made: dict[str, Callable[[], Any]] = {
            "scene": lambda: _scene(part.scenes(), first, last),
            "language_embeddings": partial(part.windows.embeddings, inside),
        }
        return Episode(name, streams, length=count, language=partial(part.windows.spans, inside), meta=Lazy(meta, made))

    def findings(self) -> Iterator[Finding]:
        for part in self.parts:
            try:
                yield from part.windows.findings()
                scenes = part.scenes()
                yield from _wrong_scenes(scenes, part)
            except DataError as error:
                yield finding_of(error)
            yield from self.lengths_wrong(part)
            for inside, (first, last) in enumerate(part.bounds.tolist()):
                name, wrong = part.name(str(inside)), 0
                for number in range(first, last + 1):
                    for found in self.wrong_frame(part, number, name):
                        wrong += 1
                        yield found
                    if wrong >= FAULTS:
                        yield Finding(
                            "error", f"frames after {number} are not looked at: too many are wrong", None, name
                        )
                        break

    def lengths_wrong(self, part: _Part) -> Iterator[Finding]:
        try:
            path = part.find("ep_lens.npy")
            told = None if path is None else read_npy(path)
        except DataError as error:
            yield finding_of(error)
            return
        lengths = part.bounds[:, 1] - part.bounds[:, 0] + 1
        if told is not None and not np.array_equal(told, lengths):
            yield Finding("warning", f"its lengths are not those of {CALVIN_FILE}", str(path))
        order = np.argsort(part.bounds[:, 0])
        if (part.bounds[order][1:, 0] <= part.bounds[order][:-1, 1]).any():
            yield Finding("error", "has episodes that share frames", str(part.file))

    def wrong_frame(self, part: _Part, number: int, episode: str) -> Iterator[Finding]:
        try:
            file = part.frame(number)
            with self.files.lease(file, lambda: Archive(file, episode=episode)) as archive:
                for key, spec in self.specs.items():
                    _expected(archive.read(key, verify=True, episode=episode), spec, file, episode)
        except DataError as error:
            yield finding_of(error, episode)


class _Frames(Source):
    """One member of many files."""

    def __init__(self, owner: _Calvin, part: _Part, first: int, spec: StreamSpec, episode: str) -> None:
        self.owner, self.part, self.first, self.spec, self.episode = owner, part, first, spec, episode

    def take(self, at: Picked) -> Any:
        """One file a step, each opened once; repeated steps are read once."""
        spec, owner = self.spec, self.owner
        count = len(at) if not isinstance(at, slice) else at.stop - at.start
        size = count * math.prod(n or 1 for n in spec.shape) * spec.dtype.itemsize
        if size > owner.max_bytes:
            raise fault(
                f"{count} steps need {size} bytes, over max_bytes={owner.max_bytes}; read fewer at once",
                episode=self.episode, key=spec.name,
            )  # fmt: skip
        steps, back = np.unique(listed(at), return_inverse=True)
        for step in steps[[0, -1]].tolist() if len(steps) else ():
            if not self.part.frame(self.first + step).is_file():  # before anything is made for them
                self.read(step)
        found = np.empty((len(steps), *(n or 0 for n in spec.shape)), spec.dtype)
        for i, step in enumerate(steps.tolist()):
            found[i] = self.read(step)
        return found if len(steps) == count and isinstance(at, slice) else found[back]

    def read(self, step: int) -> Any:
        """One step."""
        file = self.part.frame(self.first + step)
        with self.owner.files.lease(file, lambda: Archive(file, episode=self.episode)) as archive:
            value = archive.read(self.spec.name, verify=self.owner.verify, episode=self.episode)
        return _expected(value, self.spec, file, self.episode)


def _expected(value: Any, spec: StreamSpec, file: Path, episode: str) -> Any:
    if value.shape != spec.shape or value.dtype.newbyteorder("=") != spec.dtype:
        raise fault(
            f"holds {value.shape} of {value.dtype}, expected {spec.shape} of {spec.dtype}",
            file=file, episode=episode, key=spec.name,
        )  # fmt: skip
    return value


def _spec(key: str, value: Any) -> StreamSpec:
    kind: Kind = "image" if key.startswith("rgb") else "depth" if key.startswith("depth") else "vector"
    names = NAMES.get(key)
    good = names is not None and value.shape == (len(names),)
    unit = "m" if kind == "depth" else None
    return StreamSpec(key, kind, value.shape, value.dtype.newbyteorder("="), unit, names if good else None)


def _ranges(scenes: dict[str, Any]) -> Iterator[tuple[str, int, int]]:
    for scene, pair in scenes.items():
        whole = isinstance(pair, list | tuple | np.ndarray) and len(pair) == 2
        if whole and all(isinstance(n, int | np.integer) for n in pair):
            yield str(scene), int(pair[0]), int(pair[1])


def _scene(scenes: dict[str, Any], first: int, last: int) -> str | None:
    return next((scene for scene, a, b in _ranges(scenes) if a <= first and last <= b), None)


def _wrong_scenes(scenes: dict[str, Any], part: _Part) -> Iterator[Finding]:
    for first, last in part.bounds.tolist() if scenes else ():
        if _scene(scenes, first, last) is None:
            yield Finding("warning", f"frames {first} to {last} lie in no scene", str(part.root.path / part.folder))


def __getattr__(name: str) -> Any:
    return loader_of(__name__, name)  # DataLoader


__all__ = ["open_calvin"]
