"""robomimic and robosuite: one HDF5 file with a group ``data/demo_<i>`` for each demonstration.

Options of `open_dataset`: ``keys``, names of streams or of groups of them (``"obs"``, ``"obs/robot0_eef_pos"``), to
look at nothing else; ``max_bytes``, the most that one read of packed data may unpack to.

Streams are named as in the file: ``actions``, ``states``, ``obs/robot0_eef_pos``, ``next_obs/…``, ``action_dict/…``.
Nothing was stamped: the clock is ``"index"``, at the ``control_freq`` of ``env_args``. Values have no checksum: a
flipped bit within them cannot be seen.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import DataError
from ._faults import fault, faults
from ._hdf5 import MAX_BYTES, Files, Node, at, child, describe, file_size, kind_of, names, read_whole, visit
from ._hdf5_attributes import attributes, text_attribute
from ._hdf5_rows import Rows
from ._lazy import Lazy
from ._walks import first_specs, natural
from .facts import ActionSpec, Finding, Span, finding_of
from .model import Dataset, Episode, Episodes
from .streams import INDEX, Stream, StreamSpec, Timing

JSON_TEXT = ("env_args", "ep_meta", "camera_info")


def open_robomimic(
    path: Path, *, control_hz: float | None, verify: bool, keys: Sequence[str] | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:  # fmt: skip
    """The dataset at a path; see the module."""
    del verify  # the format has no checksums
    return _Demos(path, Files(max_bytes), None if keys is None else tuple(keys)).dataset(control_hz)


class _Demos:
    def __init__(self, path: Path, files: Files, keys: tuple[str, ...] | None) -> None:
        self.path, self.files, self.keys = path, files, keys
        with files.use(path) as file:
            data = at(file, "data")
            if data is None:
                raise ValueError("it has no group 'data'")
            self.demos = sorted(names(data), key=natural)
            self.env = text_attribute(data, "env_args", path)
            mask = at(file, "mask")
            self.masks = [] if mask is None else sorted(names(mask), key=natural)
        self.rate: float | None = None

    def dataset(self, control_hz: float | None) -> Dataset:
        env = parsed(self.env, self.path, "env_args") if self.env is not None else {}
        found = env.get("env_kwargs", {}).get("control_freq") if isinstance(env.get("env_kwargs", {}), dict) else None
        good = isinstance(found, int | float) and not isinstance(found, bool) and 0 < found < 1e6
        self.rate = control_hz if control_hz is not None else float(found) if found is not None and good else None
        episodes = Episodes(len(self.demos), self.episode)
        return Dataset(
            format="robomimic", name=self.path.stem, path=self.path, episodes=episodes,
            splits=Lazy({}, {name: partial(self.split, name) for name in self.masks}),
            specs=first_specs(episodes),
            lengths=self.lengths, findings=lambda: self.findings(episodes), control_hz=self.rate,
            control_hz_origin="user" if control_hz is not None else "file" if self.rate is not None else None,
            action=action_of(env), meta=Lazy({"env_args": env}, {"attributes": self.attributes}),
            closing=self.files.close,
        )  # fmt: skip

    def attributes(self) -> dict[str, Any]:
        with self.files.use(self.path) as file:
            return attributes(at(file, "data"), self.path)

    def wanted(self, name: str) -> bool:
        return self.keys is None or any(name == key or name.startswith(f"{key}/") for key in self.keys)

    def nodes(self, demo: str, wanted: Callable[[str], bool]) -> list[Node]:
        with self.files.use(self.path, episode=demo) as file:
            group = at(file, f"data/{demo}")
            return visit(group, f"data/{demo}", file_size(self.path), wanted)

    def episode(self, index: int) -> Episode:
        demo = self.demos[index]
        place: dict[str, Any] = {"file": str(self.path), "episode": demo}
        nodes = self.nodes(demo, self.wanted)
        if self.keys is not None:
            absent = [key for key in self.keys if not any(n.name == key or n.name.startswith(f"{key}/") for n in nodes)]
            if absent:
                raise fault(f"keys: {absent} are not there", **place)
        streams = {}
        for node in nodes:
            if not node.shape:
                continue  # a single value is no stream; it is in meta
            kind = kind_of(node)
            spec = StreamSpec(node.name, kind, node.shape[1:], node.dtype)
            timing = Timing(node.shape[0], INDEX, rate=self.rate)
            streams[node.name] = Stream(spec, timing, Rows(self.files, self.path, node, demo), partial(dict, place))
        single = {
            node.name: partial(read_whole, self.files, self.path, node, episode=demo)
            for node in nodes
            if not node.shape
        }
        length = self.length(demo)
        return Episode(
            demo, streams, length=length, language=lambda: self.language(demo, length),
            meta=lambda: Lazy(self.meta(demo), single),
        )  # fmt: skip

    def meta(self, demo: str) -> dict[str, Any]:
        with self.files.use(self.path, episode=demo) as file:
            found = attributes(at(file, f"data/{demo}"), self.path)
        return {
            name: parsed(value, self.path, name, demo) if name in JSON_TEXT and isinstance(value, str) else value
            for name, value in found.items()
        }

    def language(self, demo: str, length: int) -> list[Span]:
        meta = self.meta(demo).get("ep_meta")
        said = meta.get("lang") if isinstance(meta, dict) else None
        return [Span(0, length, said, None, "ep_meta")] if isinstance(said, str) and said else []

    def length(self, demo: str) -> int:
        """Rows of ``actions``; without them, of ``states``, or else the number that is announced."""
        with self.files.use(self.path, episode=demo) as file:
            group = at(file, f"data/{demo}")
            for name in ("actions", "states"):
                if name.encode() in group:
                    shape = describe(child(group, name), name, f"data/{demo}/{name}", file_size(self.path)).shape
                    if shape:
                        return shape[0]
            told = text_attribute(group, "num_samples", self.path)
        if told is None or not 0 <= int(told) < 1 << 26:
            raise fault("has no actions, no states and no num_samples", file=self.path, episode=demo)
        return int(told)

    def lengths(self) -> Any:
        return np.array([self.length(demo) for demo in self.demos], np.int64)

    def split(self, name: str) -> list[int]:
        """Positions of the demonstrations that a mask names."""
        with self.files.use(self.path, key=f"mask/{name}") as file:
            nodes = visit(at(file, "mask"), "mask", file_size(self.path), lambda there: there == name)
        if not nodes or nodes[0].dtype != object or len(nodes[0].shape) != 1:
            raise fault("is no list of names", file=self.path, key=f"mask/{name}")
        listed = read_whole(self.files, self.path, nodes[0])
        where = {demo: i for i, demo in enumerate(self.demos)}
        absent = [demo for demo in listed if demo not in where]
        if absent:
            raise fault(f"names {absent[:3]}, which are not there", file=self.path, key=f"mask/{name}")
        return [where[demo] for demo in listed]

    def findings(self, episodes: Sequence[Episode]) -> Iterator[Finding]:
        steps = 0
        for index, demo in enumerate(self.demos):
            try:
                episode = episodes[index]
                steps += episode.length or 0
                told = episode.meta.get("num_samples")
            except DataError as error:
                yield finding_of(error, demo)
                continue
            if told is not None and told != episode.length:
                yield Finding(
                    "error", f"num_samples is {told}, and there are {episode.length} steps", str(self.path), demo
                )
            for name, stream in episode.items():
                if len(stream) != episode.length:
                    message = f"has {len(stream)} rows in an episode of {episode.length}"
                    yield Finding("error", message, str(self.path), demo, name)
                yield from unreadable(stream, demo)
        yield from self.faults_of_the_whole(steps)

    def faults_of_the_whole(self, steps: int) -> Iterator[Finding]:
        try:
            with self.files.use(self.path) as file:
                total = text_attribute(at(file, "data"), "total", self.path)
            if total is not None and total != steps:
                yield Finding("warning", f"total is {total}, and there are {steps} steps", str(self.path), None, "data")
        except DataError as error:
            yield finding_of(error)
        for name in self.masks:
            try:
                self.split(name)
            except DataError as error:
                yield finding_of(error)


def unreadable(stream: Stream, episode: Any, block: int = 1 << 24) -> Iterator[Finding]:
    """Read a stream block by block."""
    each = int(np.prod(stream.shape, dtype=np.int64)) * max(1, stream.dtype.itemsize) if None not in stream.shape else 1
    step = max(1, block // max(1, each))
    for start in range(0, len(stream), step):
        try:
            stream.read(slice(start, start + step))
        except DataError as error:
            yield finding_of(error, episode)
            return


def parsed(text: Any, path: Path, key: str, episode: Any = None) -> Any:
    """A JSON object in an attribute."""
    with faults(ValueError, TypeError, RecursionError, file=path, key=key, episode=episode, doing="is no JSON"):
        value = json.loads(text)
        if not isinstance(value, dict):
            raise ValueError(f"it is a {type(value).__name__}, expected an object")
    return value


def action_of(env: dict[str, Any]) -> ActionSpec | None:
    """What an action means, where ``env_args`` tells of robosuite's operational-space controller."""
    kwargs = env.get("env_kwargs")
    control = kwargs.get("controller_configs") if isinstance(kwargs, dict) else None
    if isinstance(control, list) and len(control) == 1:
        control = control[0]
    parts = control.get("body_parts") if isinstance(control, dict) else None
    if isinstance(parts, dict) and len(parts) == 1:
        control = next(iter(parts.values()))
    if not isinstance(control, dict) or control.get("type") not in ("OSC_POSE", "OSC_POSITION"):
        return None
    relative = control.get("control_delta", control.get("input_type") != "absolute")
    scale = control.get("output_max")
    return ActionSpec(
        "ee_pose", relative is not False, "axis_angle" if control["type"] == "OSC_POSE" else None, (1.0, -1.0), None,
        note=f"in [-1, 1], which the controller scales to output_max={scale}" if relative is not False else "",
    )  # fmt: skip


__all__ = ["open_robomimic"]
