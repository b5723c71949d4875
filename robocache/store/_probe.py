"""Looks at one episode of a source to say what is done with each of its streams."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .._core.errors import ArgumentError, DataError
from ..datasets import Dataset, Episode, Stream, StreamSpec
from ._layout import NUMBERS, row_bytes
from ._pictures import holds, way_of_decoding
from ._writing import plain
from .pipeline import HOLDING, Way, align_episode

FORMS = re.compile(r"keep|raw|png|jpeg(?::(\d{1,3}))?")
FRAME = ("jpeg", "png")


@dataclass(frozen=True)
class Probed:
    """What `make_plan` wants to know: ``bytes`` are of a step, ``notes`` say what is not as one might expect."""

    ways: Mapping[str, Way]
    notes: Mapping[str, str]
    bytes: float
    timed: bool


def probe(
    dataset: Dataset, positions: Sequence[int], rate: float | None, streams: Any, images: str,
    resize: Sequence[int] | None,
) -> Probed:  # fmt: skip
    """Look at the first episode that can be read and has steps, or at the first that can be read."""
    form = FORMS.fullmatch(images) if isinstance(images, str) else None
    quality = int(form[1] or 95) if form else 0
    if form is None or (images.startswith("jpeg") and not 1 <= quality <= 100):
        raise ArgumentError(f"images: expected 'keep', 'raw', 'png' or 'jpeg:95', got {images!r}")
    size = None if resize is None else tuple(int(n) for n in resize)
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ArgumentError(f"resize: expected height and width, got {resize!r}")
    look = _Look(images.partition(":")[0], quality, size, rate, _wanted(streams, rate))
    first: DataError | None = None
    spare: Probed | None = None
    for position in positions:
        try:
            found, steps = look.at(dataset[position], dataset.specs)
        except DataError as error:  # listed when it is converted
            first = first or error
            continue
        if steps:
            return found
        spare = spare or found
    if spare is not None:
        return spare
    raise first or ArgumentError("episodes: there are none")


def _wanted(streams: Any, rate: float | None) -> dict[str, dict[str, Any]] | None:
    """Names of streams, and the options of each."""
    if streams is None:
        return None
    if isinstance(streams, str) or not streams:
        raise ArgumentError(f"streams: expected names of streams, got {streams!r}")
    given = dict(streams) if isinstance(streams, Mapping) else dict.fromkeys(streams)
    found = {}
    for name, how in given.items():
        if how is not None and rate is None:
            raise ArgumentError(f"streams: {name} has a method, {how!r}, which needs a rate")
        options = {} if how is None else dict(how) if isinstance(how, Mapping) else {"method": how}
        try:
            found[str(name)] = plain(options)
        except TypeError as error:
            raise ArgumentError(f"streams: the options of {name} go into a file, and {error}") from None
    return found


class _Look:
    def __init__(self, images: str, quality: int, size: Any, rate: float | None, wanted: Any) -> None:
        self.images, self.quality, self.size, self.rate, self.wanted = images, quality, size, rate, wanted

    def at(self, episode: Episode, announced: Mapping[str, StreamSpec]) -> tuple[Probed, int]:
        """What is found, and how many steps it was found from."""
        notes: dict[str, str] = {}
        if self.wanted is None:
            notes |= {name: "left out: the first episode lacks it" for name in announced if name not in episode}
        elif absent := [name for name in self.wanted if name not in episode]:
            raise ArgumentError(f"streams: {absent} are not in episode {episode.id}; there are {list(episode)}")
        ways, each = {}, 8.0
        for name in episode if self.wanted is None else self.wanted:
            way, size, note = self._stream(episode[name])
            if way is None:
                if self.wanted is not None:
                    raise ArgumentError(f"streams: {name} cannot be stored: {note}")
                notes[name] = f"left out: {note}"
                continue
            if note:
                notes[name] = note
            ways[name], each = way, each + size + (self.rate is not None)
        if not ways:
            raise ArgumentError(f"streams: episode {episode.id} has none that can be stored ({notes})")
        one = align_episode(episode, ways, self.rate)
        return Probed(ways, notes, each, one.times is not None), one.episode.length or 0

    def _stream(self, stream: Stream) -> tuple[Way | None, float, str]:
        """What is done with it, bytes of a step, and what is to be said of it."""
        spec = stream.spec
        if spec.kind in ("image", "depth") and len(spec.shape) in (2, 3) and len(stream):
            return self._picture(stream)
        if spec.dtype == object:
            words = (
                spec.kind == "text" and spec.shape == () and all(isinstance(t, str) for t in stream.read(slice(0, 1)))
            )
            if not words:
                return None, 0.0, "its samples are of no fixed shape"
            way = Way(replace(spec, codec="utf-8"), self._method(stream, "previous", False), False)
            return way, 8.0, ""
        if None in spec.shape or spec.dtype.name not in NUMBERS:
            return None, 0.0, f"samples are {spec.shape} of {spec.dtype}"
        own = replace(spec, codec=None, dtype=NUMBERS[spec.dtype.name])
        blended = spec.kind not in ("image", "depth")
        smooth = spec.kind == "vector" and (own.dtype.kind == "f" or own.dtype.name == "bfloat16")
        way = Way(own, self._method(stream, "linear" if smooth else "previous", blended), blended)
        return way, float(row_bytes(own)), ""

    def _method(self, stream: Stream, default: str, blended: bool) -> dict[str, Any]:
        if self.rate is None:
            return {}
        options = {"method": default} | ((self.wanted or {}).get(stream.name) or {})
        if not blended and options["method"] not in HOLDING:
            raise ArgumentError(f"streams: samples of {stream.name} are chosen whole, by one of {HOLDING}, "
                                f"not {options['method']!r}")  # fmt: skip
        return options

    def _picture(self, stream: Stream) -> tuple[Way | None, float, str]:
        spec, method, note = stream.spec, self._method(stream, "previous", False), ""
        some = [stream.read(at) for at in sorted({0, len(stream) // 2, len(stream) - 1})]
        shape, dtype = some[0].shape, some[0].dtype
        if dtype.name not in NUMBERS:
            return None, 0.0, f"samples are {shape} of {dtype}"
        size = self.size
        if size is not None and (
            spec.kind == "depth" or dtype != np.uint8 or len(shape) != 3 or shape[2] not in (1, 3, 4)
        ):
            size, note = None, "not resized: it holds no uint8 picture of 1, 3 or 4 channels"
        final = shape if size is None else (*size, shape[2])
        raw = replace(spec, shape=final, dtype=NUMBERS[dtype.name], codec=None)
        encoding = self.images if self.images in FRAME else ""
        same = size is None and spec.codec in FRAME and (self.images == "keep" or encoding == spec.codec)
        if same:
            kept = stream.read(0, decode=False)
            if dct := self._decoding(stream, some):
                return Way(replace(spec, dtype=NUMBERS[dtype.name]), method, False, dct=dct), len(kept) + 12.0, note
            note = "stored decoded: its bytes alone do not give the picture that its reader gives"
        if encoding and (not holds(encoding, raw) or (encoding == "jpeg" and spec.kind == "depth")):
            encoding, note = "", f"stored decoded: {encoding} does not hold {final} of {raw.dtype}"
        if encoding:
            way = Way(replace(raw, codec=encoding), method, False, encoding, self.quality, size, "accurate")
            return way, row_bytes(raw) / 3.0, note
        return Way(raw, method, False, size=size), float(row_bytes(raw)), note

    def _decoding(self, stream: Stream, some: list[Any]) -> str:
        """The way that gives what was read for every one of them."""
        ways = [way_of_decoding(stream.spec, stream.read(k, decode=False), read)
                for k, read in zip(sorted({0, len(stream) // 2, len(stream) - 1}), some, strict=True)]  # fmt: skip
        if None in ways:
            return ""
        return "accurate" if "accurate" in ways else "fast"  # a flat picture is the same either way


__all__ = ["Probed", "probe"]
