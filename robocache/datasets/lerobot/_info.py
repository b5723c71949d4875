"""``meta/info.json``: what a dataset says of itself."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from .._depth import DepthCode
from .._faults import fault, faults
from .._files import Root, read_json
from .._images import PIXELS
from .._sniffs import LEROBOT_FILE
from .._video import GRAYS
from ..streams import Kind, StreamSpec

VERSIONS = ("v2.1", "v3.0")
NUMBERS = {"bool", "float16", "float32", "float64", *(f"{u}int{b}" for u in ("", "u") for b in (8, 16, 32, 64))}
TEXTS, PICTURES = {"string": "text", "language": "event"}, {"image", "video"}
STEPS = 1 << 31  # an episode that claims more is refused
FIELD = re.compile(r"\{(\w+)(?::0(\d{1,2})d)?\}")


@dataclass(frozen=True)
class Feature:
    """A column or a video."""

    spec: StreamSpec
    dtype: str  # as info.json spells it
    shape: tuple[int, ...]
    gray: str | None = None
    depth: DepthCode | None = None


@dataclass(frozen=True)
class Info:
    """What info.json says, checked."""

    raw: Mapping[str, Any]
    version: str
    fps: Fraction
    features: Mapping[str, Feature]
    data_path: str
    video_path: str | None
    chunks_size: int
    total_episodes: int | None
    total_frames: int | None

    @property
    def videos(self) -> list[str]:
        """Names of the features that lie in video files."""
        return [name for name, feature in self.features.items() if feature.dtype == "video"]


def read_info(root: Root) -> Info:
    """Read and check ``meta/info.json``."""
    path = root.file(LEROBOT_FILE)
    raw = read_json(path)
    version = raw.get("codebase_version")
    if version not in VERSIONS:
        raise fault(f"codebase_version is {version!r}; {' and '.join(VERSIONS)} can be read", file=path)
    features = raw.get("features")
    if not isinstance(features, dict):
        raise fault("has no features", file=path)
    fps = raw.get("fps")
    if isinstance(fps, bool) or not isinstance(fps, int | float) or not (math.isfinite(fps) and 0 < fps <= 1e6):
        raise fault(f"fps is {fps!r}", file=path)
    found = {}
    for name, given in features.items():
        with faults(ValueError, TypeError, KeyError, OverflowError, file=path, key=name, doing="is no feature"):
            found[name] = feature(name, given)
    two = version == VERSIONS[0]
    totals = [_count(raw, name, path) for name in ("total_episodes", "total_frames")]
    video_path = _template(raw, "video_path", path, two)
    if video_path is None and any(entry.dtype == "video" for entry in found.values()):
        raise fault("has features in videos and no video_path", file=path)
    data_path = _template(raw, "data_path", path, two)
    if data_path is None:
        raise fault("has no data_path", file=path)
    size = _count(raw, "chunks_size", path) or 1000
    rate = Fraction(fps).limit_denominator(10**6)
    return Info(raw, version, rate, found, data_path, video_path, size, totals[0], totals[1])


def _count(raw: Mapping[str, Any], name: str, path: Any) -> int | None:
    value = raw.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 1 << 53):
        raise fault(f"{name} is {value!r}", file=path)
    return value


def _template(raw: Mapping[str, Any], name: str, path: Any, two: bool) -> str | None:
    """A path with fields in braces; no field but those of the format, and no width that would fill memory."""
    template = raw.get(name)
    if template is None:
        return None
    known = {"episode_chunk", "episode_index"} if two else {"chunk_index", "file_index", "episode_chunk"}
    known |= {"video_key"} if name == "video_path" else set()
    if isinstance(template, str) and not re.search(r"[{}]", FIELD.sub("", template)):
        fields = FIELD.findall(template)
        if all(field in known and int(width or 0) <= 20 for field, width in fields):
            return template
    raise fault(f"{name} is {template!r}; only {sorted(known)} can be filled in", file=path)


def fill(template: str, **values: Any) -> str:
    """``template`` with its fields filled in."""
    values.setdefault("episode_chunk", values.get("chunk_index"))
    return FIELD.sub(lambda match: str(values[match[1]]).zfill(int(match[2] or 0)), template)


def feature(name: str, given: Any) -> Feature:
    """One entry of ``features``. Raises ValueError and the like for what it cannot mean."""
    if not isinstance(given, dict):
        raise TypeError(f"{given!r}")
    dtype, shape = given["dtype"], given.get("shape") or [1]
    if not isinstance(shape, list) or not all(type(n) is int and 0 < n <= PIXELS for n in shape) or len(shape) > 8:
        raise ValueError(f"its shape is {shape!r}")
    shape = tuple(shape)
    if math.prod(shape) > 4 * PIXELS:
        raise ValueError(f"its shape is {shape}")
    if dtype in PICTURES:
        return _picture(name, dtype, shape, given)
    sample = () if shape == (1,) else shape
    if dtype in TEXTS:
        kind: Kind = "text" if dtype == "string" else "event"
        return Feature(StreamSpec(name, kind, sample, np.dtype(object)), dtype, shape)
    if dtype not in NUMBERS:
        raise ValueError(f"its dtype is {dtype!r}")
    names = _names(given.get("names"), math.prod(shape))
    return Feature(StreamSpec(name, "vector", sample, np.dtype(dtype), names=names), dtype, shape)


def _picture(name: str, dtype: str, shape: tuple[int, ...], given: Mapping[str, Any]) -> Feature:
    if len(shape) != 3:
        raise ValueError(f"its shape is {shape}")
    axes = given.get("names")
    first = str(axes[0]) if isinstance(axes, list) and len(axes) == 3 else ""
    if first.startswith("channel") or (first != "height" and shape[0] in (1, 3, 4) and shape[2] not in (1, 3, 4)):
        shape = (shape[1], shape[2], shape[0])
    said = {str(k).removeprefix("video."): v for source in ("video_info", "info") for k, v in _dict(given, source)}
    deep = said.get("is_depth_map") is True and shape[2] == 1
    if dtype == "image":
        numbers = np.dtype(np.uint16 if deep else np.uint8)
        return Feature(StreamSpec(name, "depth" if deep else "image", shape, numbers, codec="png"), dtype, shape)
    codec, pixels = said.get("codec"), said.get("pix_fmt")
    codec = codec if isinstance(codec, str) else "video"
    if not deep:
        spec = StreamSpec(name, "image", (*shape[:2], 3), np.dtype(np.uint8), codec=codec)
        return Feature(spec, dtype, (*shape[:2], 3))
    gray = pixels if pixels in GRAYS else "gray12le"
    limits = [said.get(part) for part in ("depth_min", "depth_max", "shift")]
    if all(limit is None for limit in limits):  # codes of unknown meaning stay codes
        spec = StreamSpec(name, "depth", shape, np.dtype(GRAYS[gray]), codec=codec)
        return Feature(spec, dtype, shape, gray)
    low, high, shift = (float(0 if limit is None else limit) for limit in limits)
    depth = DepthCode(low, high, shift, said.get("use_log", True) is not False)
    spec = StreamSpec(name, "depth", shape, np.dtype(np.float32), unit="m", codec=codec)
    return Feature(spec, dtype, shape, gray, depth)


def _dict(given: Mapping[str, Any], name: str) -> Any:
    value = given.get(name)
    return value.items() if isinstance(value, dict) else ()


def _names(given: Any, count: int) -> tuple[str, ...] | None:
    """Of the features, from a list, a nested list, or a dict of lists or of positions; None if they do not fit."""
    flat: list[str] = []
    stack = [given]
    while stack and len(flat) <= count:
        value = stack.pop()
        if isinstance(value, list):
            stack += reversed(value)
        elif isinstance(value, dict):
            placed = all(type(at) is int for at in value.values())
            stack += reversed(sorted(value, key=lambda k: value[k]) if placed else list(value.values()))
        elif isinstance(value, str):
            flat.append(value)
    return tuple(flat) if len(flat) == count else None


__all__ = ["STEPS", "VERSIONS", "Feature", "Info", "feature", "fill", "read_info"]
