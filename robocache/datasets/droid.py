"""DROID as it was recorded: folders with ``trajectory.h5``, ``metadata_*.json`` and ``recordings/MP4``.

The path is the folder of one episode, or any folder above some. Options of `open_dataset`: ``clock``, ``"robot"`` (the
robot's own stamps, for ``observation/robot_state``) or ``"host"`` (when the host began to read it; then it can be fused
with cameras and actions); ``action_stamp``, the host stamp that is taken for ``action``, of ``control_start`` (when
the command was sent), ``step_start``, ``policy_start``, ``sleep_start`` and ``step_end``; ``keys`` and ``max_bytes`` as
of robomimic.

Streams are named as in ``trajectory.h5``; pictures are ``recordings/MP4/<serial>``, frame k of step k, stamped by
``<serial>_estimated_capture``. All stamps are streams of their own too. What nothing stamped has the clock
``"index"``, at 15 Hz.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import ArgumentError, BackendError, DataError
from ._droid_stamps import HOST, ROBOT, STAMPS, nanoseconds, stamp_of
from ._faults import fault
from ._files import Root, read_json
from ._hdf5 import MAX_BYTES, Files, Node, at, describe, file_size, kind_of, read_whole, visit
from ._hdf5_attributes import attributes
from ._hdf5_rows import Rows
from ._lazy import Lazy
from ._sniffs import DROID_FILE
from ._walks import first_specs, folders_with, names_in
from .facts import ActionSpec, Finding, Span, finding_of
from .model import Dataset, Episode, Episodes
from .robomimic import unreadable
from .streams import INDEX, Source, Stream, StreamSpec, Timing

VIDEOS = "recordings/MP4"
RATE = 15.0
ACTION_STAMPS = ("control_start", "step_start", "policy_start", "sleep_start", "step_end")
ACTION = ActionSpec(
    gripper=(1.0, 0.0),
    note="action/* holds the same command as cartesian and joint position and velocity; gripper 0 open, 1 closed",
)


def open_droid(
    path: Path, *, control_hz: float | None, verify: bool, clock: str = ROBOT, action_stamp: str = "control_start",
    keys: Sequence[str] | None = None, max_bytes: int = MAX_BYTES,
) -> Dataset:  # fmt: skip
    """The dataset at a path; see the module."""
    del verify  # the format has no checksums
    if clock not in (ROBOT, HOST):
        raise ArgumentError(f"clock: expected {ROBOT!r} or {HOST!r}, got {clock!r}")
    if action_stamp not in ACTION_STAMPS:
        raise ArgumentError(f"action_stamp: expected one of {ACTION_STAMPS}, got {action_stamp!r}")
    wanted = None if keys is None else tuple(keys)
    return _Folders(path, Files(max_bytes), clock, action_stamp, wanted).dataset(control_hz)


class _Folders:
    def __init__(
        self, path: Path, files: Files, clock: str, action_stamp: str, keys: tuple[str, ...] | None
    ) -> None:  # fmt: skip
        self.path, self.files, self.clock, self.action_stamp, self.keys = path, files, clock, action_stamp, keys
        self.root = Root(path)
        self.ids = [folder.relative_to(path).as_posix() for folder in folders_with(path, DROID_FILE)]
        if not self.ids:
            raise fault(f"has no {DROID_FILE} at or below it", file=path)
        self.rate = RATE

    def dataset(self, control_hz: float | None) -> Dataset:
        self.rate = control_hz or RATE
        episodes = Episodes(len(self.ids), self.episode)
        parts = [set(name.split("/")) for name in self.ids]
        splits = {name: [i for i, part in enumerate(parts) if name in part] for name in ("success", "failure")}
        return Dataset(
            format="droid", name=self.path.name, path=self.path, episodes=episodes,
            splits={name: found for name, found in splits.items() if found},
            specs=first_specs(episodes), lengths=self.lengths,
            findings=lambda: self.findings(episodes), control_hz=self.rate,
            control_hz_origin="registry" if control_hz is None else "user", action=ACTION,
            closing=self.files.close,
        )  # fmt: skip

    def wanted(self, name: str) -> bool:
        return self.keys is None or any(name == key or name.startswith(f"{key}/") for key in self.keys)

    def episode(self, index: int) -> Episode:
        name = self.ids[index]
        file = self.root.file(DROID_FILE if name == "." else f"{name}/{DROID_FILE}")
        with self.files.use(file, episode=name) as opened:
            nodes = visit(at(opened, ""), "", file_size(file), lambda key: self.wanted(key) or key.startswith(STAMPS))
            length = self.steps(opened, file)
        reading = _Reading(self.files, file, name, {node.name: node for node in nodes})
        streams = {}
        for node in nodes:
            if node.shape and self.wanted(node.name):
                spec = StreamSpec(node.name, _kind(node), node.shape[1:], node.dtype)
                streams[node.name] = reading.stream(spec, node.shape[0], Rows(self.files, file, node, name), self)
        for key, video in self.videos(name):
            if self.wanted(key):
                spec = StreamSpec(key, "image", (None, None, 3), np.dtype(np.uint8), codec="h264")
                streams[key] = reading.stream(spec, length, _Frames(video, length, name, key), self)
        attrs = Lazy({}, {"attributes": reading.attributes})
        return Episode(
            name, streams, length=length, language=lambda: _language(attrs, length),
            meta=Lazy({"svo": self.names(name, "recordings/SVO", ".svo")}, {
                "attributes": lambda: attrs["attributes"], "metadata": lambda: self.metadata(name),
                "success": lambda: self.success(name, attrs),
            }),
        )  # fmt: skip

    def steps(self, opened: Any, file: Path) -> int:
        """Rows of the first thing that has one a step. Call it with the lock."""
        for key in (
            f"{STAMPS}/control/step_start",
            "action/joint_position",
            "observation/robot_state/joint_positions",
        ):
            found = at(opened, key)
            if found is not None:
                shape = describe(found, key, key, file_size(file)).shape
                if shape:
                    return shape[0]
        raise ValueError("has neither stamps of its steps nor joint positions")

    def lengths(self) -> Any:
        counts = []
        for name in self.ids:
            file = self.root.file(DROID_FILE if name == "." else f"{name}/{DROID_FILE}")
            with self.files.use(file, episode=name) as opened:
                counts.append(self.steps(opened, file))
        return np.array(counts, np.int64)

    def folder(self, name: str, below: str = "") -> Path:
        return self.root.at("/".join(part for part in (name, below) if part not in ("", ".")) or ".")

    def names(self, name: str, below: str, suffix: str) -> list[str]:
        return [found for found in names_in(self.folder(name, below)) if found.endswith(suffix)]

    def videos(self, name: str) -> list[tuple[str, Path]]:
        found = self.names(name, VIDEOS, ".mp4")
        return [(f"{VIDEOS}/{video[:-4]}", self.folder(name, f"{VIDEOS}/{video}")) for video in found]

    def metadata(self, name: str) -> dict[str, Any]:
        found = [file for file in self.names(name, "", ".json") if file.startswith("metadata_")]
        merged: dict[str, Any] = {}
        for file in found:
            merged |= read_json(self.folder(name, file))
        return merged

    def success(self, name: str, attrs: Lazy) -> bool | None:
        """Whether the task was done: by the file's attribute, else by its metadata, else by the folder."""
        for told in (attrs["attributes"].get("success"), self.metadata(name).get("success")):
            if isinstance(told, bool | np.bool_ | int | np.integer):
                return bool(told)
        return _by_folder(self.path / name)

    def findings(self, episodes: Sequence[Episode]) -> Iterator[Finding]:
        for index, name in enumerate(self.ids):
            try:
                episode = episodes[index]
                yield from self.contradictions(episode, name)
            except DataError as error:
                yield finding_of(error, name)
                continue
            for key, stream in episode.items():
                if len(stream) != episode.length:
                    message = f"has {len(stream)} rows in an episode of {episode.length}"
                    yield Finding("error", message, str(self.path / name / DROID_FILE), name, key)
                yield from _stamps(stream, name)
                if isinstance(stream.source, _Frames):
                    yield from stream.source.findings(name)
                else:
                    yield from unreadable(stream, name)

    def contradictions(self, episode: Episode, name: str) -> Iterator[Finding]:
        told, folder = episode.meta["success"], _by_folder(self.path / name)
        if told is not None and folder is not None and told != folder:
            yield Finding("warning", f"success is {told}, and its folder says {folder}", str(self.path / name), name)
        serials = {key.split("/")[3].partition("_")[0] for key in episode if key.startswith(f"{STAMPS}/cameras/")}
        for serial in sorted(serials):
            if self.wanted(f"{VIDEOS}/{serial}") and f"{VIDEOS}/{serial}" not in episode:
                yield Finding("warning", f"camera {serial} has stamps and no video", str(self.path / name), name)


class _Reading:
    """One trajectory file."""

    def __init__(self, files: Files, file: Path, episode: str, nodes: dict[str, Node]) -> None:
        self.files, self.file, self.episode, self.nodes = files, file, episode, nodes

    def place(self, key: str | None = None) -> dict[str, Any]:
        return {"file": str(self.file), "episode": self.episode, "key": key}

    def stream(self, spec: StreamSpec, count: int, source: Source, owner: _Folders) -> Stream:
        known = stamp_of(spec.name, set(self.nodes), owner.clock, owner.action_stamp)
        where: Callable[[], dict[str, Any]] = lambda: {"file": str(self.file), "episode": self.episode}  # noqa: E731
        if known is None:
            return Stream(spec, Timing(count, INDEX, rate=owner.rate), source, where)
        clock, keys = known
        return Stream(spec, Timing(count, clock, lambda: self.stamps(clock, keys)), source, where)

    def stamps(self, clock: str, keys: tuple[str, ...]) -> Any:
        parts = [read_whole(self.files, self.file, self.nodes[key], episode=self.episode) for key in keys]
        return nanoseconds(parts, clock, **self.place(keys[0]))

    def attributes(self) -> dict[str, Any]:
        with self.files.use(self.file, episode=self.episode) as opened:
            return attributes(at(opened, ""), self.file)


class _Frames(Source):
    """Frames of a video, which is opened when the first of them is wanted."""

    def __init__(self, video: Path, count: int, episode: str, key: str) -> None:
        self.video, self.count, self.episode, self.key = video, count, episode, key
        self._inner: Any = None

    def frames(self) -> Any:
        """See `Source.frames`."""
        if self._inner is None:
            from ._video import VideoSource  # type: ignore[import-not-found, unused-ignore]

            self._inner = VideoSource(self.video, 0, self.count, episode=self.episode, key=self.key)
        return self._inner

    def take(self, at: Any) -> Any:
        """Frames as arrays (n, height, width, 3)."""
        return self.frames().take(at)

    def findings(self, episode: str) -> Iterator[Finding]:
        """A first and a last frame that cannot be read."""
        try:
            self.take(slice(0, min(1, self.count), 1))
            self.take(slice(max(0, self.count - 1), self.count, 1))
        except DataError as error:
            yield finding_of(error, episode)
        except BackendError as error:
            yield Finding("warning", f"was not looked at: {error}", str(self.video), episode, self.key)


def _stamps(stream: Stream, episode: str) -> Iterator[Finding]:
    if stream.clock == INDEX:
        yield Finding("warning", "has no stamps of its own", None, episode, stream.name)
        return
    try:
        times = stream.times
    except DataError as error:
        yield finding_of(error, episode)
        return
    if len(times) and not (np.diff(times) > 0).all():
        at_step = int(np.argmax(np.diff(times) <= 0)) + 1
        yield Finding("warning", f"its stamp of step {at_step} is not later", None, episode, stream.name)


def _kind(node: Node) -> Any:
    return "event" if node.name.startswith(f"{STAMPS}/") else kind_of(node)


def _by_folder(path: Path) -> bool | None:
    parts = {"success", "failure"} & set(path.absolute().parts)
    return parts == {"success"} if len(parts) == 1 else None


def _language(attrs: Lazy, length: int) -> list[Span]:
    said = attrs["attributes"].get("current_task")
    return [Span(0, length, said, None, "current_task")] if isinstance(said, str) and said else []


__all__ = ["open_droid"]
