"""One bag: its files, its topics, the streams they give, and what is wrong with it."""

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from ..._core.errors import DataError
from .._faults import fault
from .._files import Root
from .._sniffs import BAGS
from ..model import Episode
from ..streams import Stream
from ._bytes import damage
from ._groups import streams_of
from ._layout import Decoder
from ._mcap import Mcap
from ._ros1 import Bag
from ._sqlite import Database
from ._storage import Channel, Storage
from ._topics import Topic
from ._types import types_of

KINDS = dict(zip(BAGS, (Mcap, Bag, Database), strict=True))
YAML_BYTES = 16 << 20


class Options(NamedTuple):
    """What the user asked for."""

    verify: bool
    clock: str | None
    ragged: frozenset[str]
    limit: int
    distro: str | None
    dct: str


class Recording:
    """The files of one bag: one of them, or a folder with ``metadata.yaml`` that lists them."""

    def __init__(self, path: Path, id: Any, options: Options) -> None:
        self.path, self.id, self.options = path, id, options
        self.told: Mapping[str, Any] = read_metadata(path) if path.is_dir() else {}
        self.storages: list[Storage] = []
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        each = ""
        files = [self.path]
        if self.path.is_dir():
            names = self.told.get("relative_file_paths")
            if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
                raise fault("its metadata list no files", file=self.path / "metadata.yaml")
            files = [Root(self.path).file(name.replace("\\", "/").rsplit("/", 1)[-1]) for name in names]
            mode = str(self.told.get("compression_mode") or "").lower()
            each = str(self.told.get("compression_format") or "") if mode == "message" else ""
            if mode == "file":
                raise fault("its files are compressed as such; unpack them first: zstd -d", file=self.path)
        for file in files:
            kind = KINDS.get(file.suffix)
            if kind is None:
                raise fault(f"is of no kind that is known ({', '.join(BAGS)})", file=file)
            more = {"each": each} if kind is Database else {}
            self.storages.append(kind(file, self.options.verify, self.options.limit, **more))

    @property
    def distro(self) -> str:
        """The ROS distribution whose types stand in for definitions that are not in the bag."""
        return self.options.distro or str(self.told.get("ros_distro") or "humble")

    @cached_property
    def topics(self) -> dict[str, list[tuple[Storage, Channel]]]:
        """The channels of each topic, in the order of the files."""
        found: dict[str, list[tuple[Storage, Channel]]] = {}
        for storage in self.storages:
            for channel in storage.channels:
                found.setdefault(channel.topic, []).append((storage, channel))
        return dict(sorted(found.items()))

    def episode(self) -> Episode:
        """Streams of all topics; a topic that gives none is told in the metadata with the reason."""
        streams: dict[str, Stream] = {}
        topics: dict[str, Any] = {}
        for name, parts in self.topics.items():
            told: dict[str, Any] = {"type": parts[0][1].type, "count": sum(channel.total for _, channel in parts)}
            topics[name] = told
            try:
                found, told["omitted"], told["frame"] = self._streams(name, parts)
            except DataError as error:
                told["undecodable"] = str(error)
                continue
            streams |= found
        meta = {"topics": topics, "files": [str(storage.path) for storage in self.storages], "metadata": self.told}
        return Episode(self.id, streams, meta=meta)

    def _streams(
        self, name: str, parts: list[tuple[Storage, Channel]]
    ) -> tuple[dict[str, Stream], list[str], str | None]:
        kinds = {(channel.type, channel.encoding) for _, channel in parts}
        place = {"file": parts[0][0].path, "episode": self.id, "key": name}
        if len(kinds) > 1:
            raise fault(f"its messages are of several types: {sorted(kinds)}", **place)
        decoder = None
        with damage("cannot be decoded", **place):
            if parts[0][1].encoding != "json":
                types = types_of(parts[0][1], self.distro)
                alike = all(types == types_of(channel, self.distro) for _, channel in parts[1:])
                if not alike:
                    raise ValueError("its publishers define its type differently")
                decoder = Decoder(types, parts[0][1].type, parts[0][1].encoding == "cdr")
            topic = Topic(name, self.id, parts, decoder, self.options.verify)
            if topic.count == 0:
                raise ValueError("it has no messages")
            found, omitted = streams_of(topic, self.options.ragged, self.options.dct)
            timing = topic.timing(self.options.clock)
        where = {"file": str(parts[0][0].path), "episode": self.id}
        streams = {one.spec.name: Stream(one.spec, timing, one.source, lambda: where) for one in found}
        frame = topic.first[0].leaves.get("header.frame_id") if decoder else None
        said = None
        if frame is not None:
            said = str(bytes(topic.first[1][frame.offset : frame.offset + (frame.length or 0)]), "utf-8", "replace")
        return streams, omitted, said

    def close(self) -> None:
        """Close the files."""
        for storage in self.storages:
            storage.close()


def read_metadata(folder: Path) -> Mapping[str, Any]:
    """What ``metadata.yaml`` says."""
    path = Root(folder).file("metadata.yaml")
    with damage("is no metadata of a ROS 2 bag", file=path):
        if path.stat().st_size > YAML_BYTES:
            raise ValueError(f"it is longer than {YAML_BYTES} bytes")
        told = _yaml(path.read_text("utf-8"))
        found = told["rosbag2_bagfile_information"]
        if not isinstance(found, dict):
            raise ValueError("it is no mapping")
        return found


def _yaml(text: str) -> Any:
    try:
        from ruamel.yaml import YAML
        from ruamel.yaml.error import YAMLError
    except ImportError as error:
        from .._faults import missing

        missing("rosbags", "reading metadata.yaml", error)
    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, AttributeError, AssertionError, NotImplementedError) as error:
        raise ValueError(str(error)) from error


__all__ = ["Options", "Recording"]
