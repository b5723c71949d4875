"""What a shard file is: a prefix, a header of JSON under a checksum, and blobs of little-endian numbers.

docs/decisions/0009-store.md draws it. Nothing in a header is believed before it was held against the size of the file.
"""

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._core import dtypes
from ..datasets import StreamSpec
from ..datasets._faults import fault, faults

MAGIC, VERSION = b"\x89RCSHARD", 1
PREFIX = struct.Struct("<8sIII")  # magic, version, bytes of the header, checksum of the twelve bytes and the header
HEADER_BYTES, ALIGN = 64 << 20, 64
KINDS, CODECS = ("vector", "image", "depth", "cloud", "text", "event"), (None, "jpeg", "png", "utf-8")
NUMBERS = {dtype.name: dtype for dtype in dtypes.VALUES}
PARTS = {"values", "data", "ends", "index", "valid", "times"}
TIMES = ""  # the name under which the stamps of the steps are kept


class Blob(NamedTuple):
    """Where a part of a stream lies from the start of the blobs on; ``cuts`` and ``sums`` are of the episodes."""

    offset: int
    size: int
    cuts: tuple[int, ...]
    sums: tuple[int, ...]


class Kept(NamedTuple):
    """An episode in a shard."""

    id: int | str
    position: int
    steps: int
    clock: str
    start: int
    language: list[list[Any]]
    meta: dict[str, Any]
    left_out: list[str]


@dataclass(frozen=True)
class Head:
    """A header that was checked.

    Attributes
    ----------
    plan, number : str, int
        The digest of the plan, and which of its shards this is.
    episodes : tuple of Kept
    failed : list of dict
        Episodes of the plan that are not in it: position, id, type, message.
    streams : mapping of str to StreamSpec
    dct : mapping of str to str
        How JPEG of a stream is decoded.
    gaps : frozenset of str
        Streams that are not valid at every step.
    blobs : mapping of (stream, part) to Blob
    start, size : int
        Where blobs begin, and bytes of the file.
    """

    plan: str
    number: int
    episodes: tuple[Kept, ...]
    failed: list[dict[str, Any]]
    streams: Mapping[str, StreamSpec]
    dct: Mapping[str, str]
    gaps: frozenset[str]
    blobs: Mapping[tuple[str, str], Blob]
    start: int
    size: int

    @property
    def steps(self) -> int:
        """Of all episodes."""
        return sum(episode.steps for episode in self.episodes)


def canonical(value: Any) -> bytes:
    """JSON without blanks, in the order of the value."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode("utf-8")


def aligned(size: int) -> int:
    """The next multiple of 64."""
    return -(-size // ALIGN) * ALIGN


def framed(header: Mapping[str, Any]) -> bytes:
    """What a shard begins with, up to its first blob."""
    text = canonical(header)
    if len(text) > HEADER_BYTES:
        raise fault(f"a header of {len(text)} bytes is longer than {HEADER_BYTES}; say a smaller shard=")
    front = PREFIX.pack(MAGIC, VERSION, len(text), 0)[:-4]
    whole = front + struct.pack("<I", zlib.crc32(text, zlib.crc32(front))) + text
    return whole + bytes(aligned(len(whole)) - len(whole))


def spec_fields(spec: StreamSpec) -> dict[str, Any]:
    """A specification as JSON holds it."""
    told = {"kind": spec.kind, "shape": list(spec.shape), "dtype": spec.dtype.name, "unit": spec.unit}
    return told | {"names": None if spec.names is None else list(spec.names), "codec": spec.codec}


def spec_of(name: str, told: Any) -> StreamSpec:
    """The specification; ValueError for one that a store cannot hold."""
    shape, dtype, codec = told["shape"], told["dtype"], told["codec"]
    known = NUMBERS.get(dtype) if codec != "utf-8" else np.dtype(object) if dtype == "object" else None
    fixed = codec in ("jpeg", "png")
    sizes = all((n is None and fixed) or (type(n) is int and 0 <= n < 1 << 40) for n in shape)
    if not name or known is None or told["kind"] not in KINDS or codec not in CODECS or not sizes or len(shape) > 32:
        raise ValueError(f"the stream {name!r} is said to be {told!r:.200}")
    words = told["names"]
    if not all(isinstance(word, str) for word in words or ()) or not isinstance(told["unit"], str | None):
        raise ValueError(f"the stream {name!r} has the names {words!r:.200}")
    return StreamSpec(
        name, told["kind"], tuple(shape), known, told["unit"], None if words is None else tuple(words), codec
    )


def row_bytes(spec: StreamSpec) -> int:
    """Bytes of a sample of plain numbers; in Python's own integers, so that nothing overflows."""
    return prod(int(n or 0) for n in spec.shape) * spec.dtype.itemsize


def read_head(path: Path, data: Any) -> Head:
    """The header of a shard whose bytes are ``data``. Raises DataError for whatever does not add up."""
    size = len(data)
    if size < PREFIX.size:
        raise fault(f"is cut off: it has {size} bytes", file=path)
    magic, version, length, told = PREFIX.unpack(bytes(data[: PREFIX.size]))
    if magic != MAGIC:
        raise fault("is no shard of a store: it begins otherwise", file=path)
    if version > VERSION:
        raise fault(f"was written by a newer version (format {version}, known {VERSION}); update robocache", file=path)
    if length > HEADER_BYTES or PREFIX.size + length > size:
        raise fault(f"is cut off: a header of {length} bytes is told of in {size}", file=path)
    text = bytes(data[PREFIX.size : PREFIX.size + length])
    if zlib.crc32(text, zlib.crc32(bytes(data[: PREFIX.size - 4]))) != told:
        raise fault("the checksum of its header differs", file=path)
    kinds = (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)
    with faults(*kinds, file=path, doing="has a header that cannot be"):
        return _checked(json.loads(text), aligned(PREFIX.size + length), size)


def whole(value: Any, most: int = (1 << 63) - 1) -> int:
    """An integer from 0 on, or ValueError."""
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{value!r:.40} is no number from 0 to {most}")
    return value


def _checked(told: Any, start: int, size: int) -> Head:
    episodes = tuple(_kept(one) for one in told["episodes"])
    streams = {name: spec_of(name, fields) for name, fields in told["streams"].items()}
    blobs: dict[tuple[str, str], Blob] = {}
    end = 0
    for one in told["blobs"]:
        key = one["stream"], one["part"]
        blob = Blob(whole(one["offset"]), whole(one["size"]), *(tuple(map(whole, one[k])) for k in ("cuts", "sums")))
        if key in blobs or key[1] not in PARTS or (key[0] not in streams) is (key != (TIMES, "times")):
            raise ValueError(f"a blob is said to be {key!r:.100}, or twice there")
        if blob.offset % ALIGN or blob.offset < end or start + blob.offset + blob.size > size:
            raise ValueError(f"the blob {key!r:.100} is said to be at {blob.offset}, {blob.size} bytes long")
        ordered = all(a <= b for a, b in zip(blob.cuts, blob.cuts[1:], strict=False))
        edges = blob.cuts[:1] == (0,) and blob.cuts[-1] == blob.size and ordered
        if len(blob.sums) != len(episodes) or len(blob.cuts) != len(episodes) + 1 or not edges:
            raise ValueError(f"the blob {key!r:.100} is not cut into its {len(episodes)} episodes")
        blobs[key], end = blob, blob.offset + blob.size
    if start + end != size:
        raise ValueError(f"blobs end at {start + end}, and the file has {size} bytes")
    head = Head(
        str(told["plan"]), whole(told["number"]), episodes, _failures(told["failed"]), streams,
        {name: {"fast": "fast", "accurate": "accurate"}[how] for name, how in told["dct"].items()},
        frozenset(told["gaps"]), blobs, start, size,
    )  # fmt: skip
    _fit(head)
    return head


def _failures(told: Any) -> list[dict[str, Any]]:
    return [
        {"position": whole(f["position"]), "id": _ident(f["id"]), "type": str(f["type"]), "message": str(f["message"])}
        for f in told
    ]


def _ident(value: Any) -> Any:
    if not isinstance(value, int | str | None) or isinstance(value, bool):
        raise ValueError(f"{value!r:.40} is no name of an episode")
    return value


def _kept(told: Any) -> Kept:
    if type(told["start"]) is not int or abs(told["start"]) >= 1 << 63 or not isinstance(told["meta"], dict):
        raise ValueError(f"an episode starts at {told['start']!r:.40}")
    spoken = [[whole(a), whole(b), str(text), task, source] for a, b, text, task, source in told["language"]]
    if not all(isinstance(word, str | None) for one in spoken for word in one[3:]):
        raise ValueError("an instruction is no text")
    return Kept(
        _ident(told["id"]), whole(told["position"]), whole(told["steps"]), str(told["clock"]), told["start"],
        spoken, told["meta"], list(map(str, told["left_out"])),
    )  # fmt: skip


def _fit(head: Head) -> None:
    """Every stream has the parts it needs, and each is as long as the steps say."""
    firsts = [0]
    for episode in head.episodes:
        firsts.append(firsts[-1] + episode.steps)
    if firsts[-1] >= 1 << 62 or not head.gaps <= set(head.streams):
        raise ValueError("it claims more steps than can be counted, or gaps of a stream that is not there")
    for name, spec in head.streams.items():
        numbers = spec.codec is None
        wanted = {"values": row_bytes(spec)} if numbers else {"index": 4}
        if (name, "valid") in head.blobs or name in head.gaps:
            wanted["valid"] = 1
        for part, each in wanted.items():
            blob = head.blobs[name, part]
            if blob.cuts != tuple(first * each for first in firsts):
                raise ValueError(f"{part} of {name!r} is {blob.size} bytes long for {firsts[-1]} steps of {each}")
        others = {"data", "ends", "index"} if numbers else {"values"}
        if any((name, part) in head.blobs for part in others):
            raise ValueError(f"{name!r} has parts of another kind")
        if not numbers and any(cut % 8 for cut in head.blobs[name, "ends"].cuts):
            raise ValueError(f"the ends of {name!r} are no whole numbers")
        if not numbers:
            head.blobs[name, "data"]
    stamps = head.blobs.get((TIMES, "times"))
    if stamps is not None and stamps.cuts != tuple(8 * first for first in firsts):
        raise ValueError("there are not as many stamps as steps")


__all__ = ["Blob", "Head", "Kept", "canonical", "framed", "read_head", "row_bytes", "spec_fields", "spec_of"]
