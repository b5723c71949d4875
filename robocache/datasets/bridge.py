"""BridgeData V2 as it was recorded: folders of trajectories with ``obs_dict.pkl``, ``policy_out.pkl`` and pictures.

The path is the folder of one trajectory, or any folder above some. Option of `open_dataset`: ``dct``, how JPEG is
decoded: ``"fast"`` as TensorFlow does, or ``"accurate"``.

Streams: ``images0`` and so on, ``depth_images0``; ``obs_dict/full_state`` and all else of ``obs_dict`` that has one
row a step; ``policy_out/actions`` and all else of ``policy_out``. A trajectory of N states has N - 1 actions: action k
leads from state k to state k + 1, and the streams differ in length.

All are stamped by ``time_stamp``, clock ``"host"``: when the step was recorded. Pictures have no stamps of their own:
they may be some steps old, and in trajectories from before 2021-07-23 they are late by one, which
``meta["camera_delay_steps"]`` tells and nothing corrects. Without ``time_stamp`` the clock is ``"index"``, at 5 Hz.
"""

import datetime as dt
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import ArgumentError, DataError
from ._bridge_files import Pictures, actions, language, nanoseconds, numbers
from ._faults import fault
from ._files import Root, read_json
from ._images import DCT
from ._lazy import Lazy
from ._pickles import load
from ._sniffs import BRIDGE_FILE
from ._walks import first_specs, folders_with, names_in
from .facts import ActionSpec, Finding, Span, finding_of
from .model import Dataset, Episode, Episodes
from .streams import INDEX, Stream, StreamSpec, Timing, Values

POLICY = "policy_out.pkl"
FOLDER = re.compile(r"(depth_)?images\d{1,3}")
DATE = re.compile(r"(\d{4})-(\d{2})-(\d{2})_\d{2}-\d{2}-\d{2}")
RATE = 5.0
ALIGNED_SINCE = dt.date(2021, 7, 23)
POSE = ("x", "y", "z", "roll", "pitch", "yaw", "gripper")
PICKLE_BYTES = 1 << 28
ACTION = ActionSpec(
    "ee_pose",
    True,
    "euler_xyz",
    (0.0, 1.0),
    "base",
    note="of policy_out/actions; there is one fewer than there are states",
)


def open_bridge(path: Path, *, control_hz: float | None, verify: bool, dct: str = "fast") -> Dataset:
    """The dataset at a path; see the module."""
    del verify  # the format has no checksums, but those in PNG, which are always checked
    if dct not in DCT:
        raise ArgumentError(f"dct: expected one of {sorted(DCT)}, got {dct!r}")
    return _Bridge(path, control_hz or RATE, dct).dataset(control_hz)


class _Bridge:
    def __init__(self, path: Path, rate: float, dct: str) -> None:
        self.path, self.rate, self.dct, self.root = path, rate, dct, Root(path)
        self.ids = [folder.relative_to(path).as_posix() for folder in folders_with(path, BRIDGE_FILE)]
        if not self.ids:
            raise fault(f"has no {BRIDGE_FILE} at or below it", file=path)

    def dataset(self, control_hz: float | None) -> Dataset:
        episodes = Episodes(len(self.ids), self.episode)
        parts = [set(name.split("/")) for name in self.ids]
        splits = {name: [i for i, part in enumerate(parts) if name in part] for name in ("train", "val")}
        return Dataset(
            format="bridge", name=self.path.name, path=self.path, episodes=episodes,
            splits={name: found for name, found in splits.items() if found},
            specs=first_specs(episodes),
            lengths=lambda: np.array([len(self.states(name)) for name in self.ids], np.int64),
            findings=lambda: self.findings(episodes), control_hz=self.rate,
            control_hz_origin="registry" if control_hz is None else "user", action=ACTION,
        )  # fmt: skip

    def at(self, name: str, file: str) -> Path:
        return self.root.at(f"{name}/{file}" if name != "." else file)

    def observed(self, name: str) -> dict[str, Any]:
        path = self.at(name, BRIDGE_FILE)
        value = load(path, limit=PICKLE_BYTES, episode=name)
        if not isinstance(value, dict):
            raise fault(f"holds a {type(value).__name__}, expected a dict", file=path, episode=name)
        return {key: part for key, part in value.items() if isinstance(key, str)}

    def states(self, name: str, observed: Mapping[str, Any] | None = None) -> Any:
        """The rows that are the steps of a trajectory."""
        observed = self.observed(name) if observed is None else observed
        for key in ("full_state", "state", "time_stamp"):
            found = numbers(observed.get(key))
            if found is not None:
                return found
        raise fault("holds no full_state", file=self.at(name, BRIDGE_FILE), episode=name)

    def episode(self, index: int) -> Episode:
        name = self.ids[index]
        observed = self.observed(name)
        length = len(self.states(name, observed))
        arrays = {f"obs_dict/{key}": found for key, value in observed.items() if (found := numbers(value)) is not None}
        rows = {key: value for key, value in arrays.items() if len(value) == length}
        policy = self.at(name, POLICY)
        if policy.is_file():
            done = actions(load(policy, limit=PICKLE_BYTES, episode=name), policy, name)
            rows |= {f"policy_out/{key}": value for key, value in done.items()}
        stamps = arrays.get("obs_dict/time_stamp")
        streams = {}
        for key, value in rows.items():
            names = POSE if value.shape[1:] == (7,) and key in ("obs_dict/full_state", "policy_out/actions") else None
            spec = StreamSpec(key, "vector", value.shape[1:], value.dtype, names=names)
            streams[key] = Stream(
                spec, self.timing(len(value), stamps, length, name), Values(value), partial(self.where, name)
            )
        for folder in names_in(self.at(name, ".") if name != "." else self.path):
            if FOLDER.fullmatch(folder) and self.at(name, folder).is_dir():
                streams[folder] = self.pictures(name, folder, stamps, length)
        rest = {key: value for key, value in observed.items() if f"obs_dict/{key}" not in rows}
        lang = partial(language, self.at(name, "lang.txt"))
        return Episode(
            name, streams, length=length,
            language=lambda: [Span(0, length, text, None, "lang.txt") for text in lang()[0]],
            meta=Lazy({"obs_dict": rest, "camera_delay_steps": self.delay(name), "date": self.date(name)}, {
                "language_confidence": lambda: lang()[1],
                "collection": lambda: self.above(name, "collection_metadata.json"),
                "config": lambda: self.above(name, "config.json"),
            }),
        )  # fmt: skip

    def where(self, name: str) -> dict[str, Any]:
        return {"file": str(self.at(name, BRIDGE_FILE)), "episode": name}

    def timing(self, count: int, stamps: Any, length: int, name: str) -> Timing:
        """Stamps of the first ``count`` steps; an index where they cannot be those of the steps."""
        if stamps is None or len(stamps) != length or count not in (length, length - 1):
            return Timing(count, INDEX, rate=self.rate)
        place = {"key": "time_stamp", **self.where(name)}
        return Timing(count, "host", lambda: nanoseconds(stamps, **place)[:count])

    def pictures(self, name: str, folder: str, stamps: Any, length: int) -> Stream:
        depth = folder.startswith("depth")
        source = Pictures(self.root, folder if name == "." else f"{name}/{folder}", name, folder, self.dct, depth)
        shape, dtype = source.first_shape()
        spec = StreamSpec(folder, "depth" if depth else "image", shape, dtype, codec="png" if depth else "jpeg")
        timing = self.timing(source.count, stamps if source.count == length else None, length, name)
        return Stream(spec, timing, source, partial(self.where, name))

    def date(self, name: str) -> str | None:
        """Of the recording, by the name of a folder."""
        found = [match for part in (self.path / name).absolute().parts if (match := DATE.fullmatch(part))]
        return found[-1][0] if found else None

    def delay(self, name: str) -> int | None:
        """Steps that pictures are late by; None where no folder tells the date."""
        told = self.date(name)
        try:
            day = dt.date.fromisoformat(told[:10]) if told else None
        except ValueError:
            return None
        return None if day is None else int(day < ALIGNED_SINCE)

    def above(self, name: str, file: str) -> Any:
        """A JSON file in the folder of the trajectory or in one above, within the dataset; None if there is none."""
        parts = [] if name == "." else name.split("/")
        for count in range(len(parts), -1, -1):
            path = self.root.at("/".join((*parts[:count], file)))
            if path.is_file():
                return read_json(path)
        return None

    def findings(self, episodes: Sequence[Episode]) -> Iterator[Finding]:
        for index, name in enumerate(self.ids):
            try:
                episode = episodes[index]
                _ = episode.language, episode.meta["collection"], episode.meta["config"]
            except DataError as error:
                yield finding_of(error, name)
                continue
            yield from self.wrong_counts(episode, name)
            for stream in episode.values():
                if isinstance(stream.source, Pictures):
                    yield from stream.source.findings()
            yield from _wrong_stamps(episode, name)

    def wrong_counts(self, episode: Episode, name: str) -> Iterator[Finding]:
        length, place = episode.length or 0, str(self.path / name)
        if not any(key.startswith("policy_out/") for key in episode):
            yield Finding("warning", f"has no {POLICY} with actions", place, name)
        for key, stream in episode.items():
            expected = length - 1 if key.startswith("policy_out/") else length
            if len(stream) != expected:
                message = f"has {len(stream)} samples in a trajectory of {length} states, expected {expected}"
                yield Finding("error", message, place, name, key)


def _wrong_stamps(episode: Episode, name: str) -> Iterator[Finding]:
    stream = next((stream for key, stream in episode.items() if key.startswith("obs_dict/")), None)
    if stream is None or stream.clock == INDEX:
        yield Finding("warning", "has no stamps of its steps", None, name, "time_stamp")
        return
    try:
        times = stream.times
    except DataError as error:
        yield finding_of(error, name)
        return
    if (np.diff(times) <= 0).any():
        step = int(np.argmax(np.diff(times) <= 0)) + 1
        yield Finding("warning", f"the stamp of step {step} is not later", None, name, "time_stamp")


__all__ = ["open_bridge"]
