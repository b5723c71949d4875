"""The tree of ``features.json``: what every feature of an episode is, and under which key it is stored."""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..._core.errors import DataError
from .._faults import fault
from ..streams import Kind, StreamSpec

NUMBERS = (
    "bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64",
)  # fmt: skip
STRINGS = ("string", "object", "str", "bytes")
PICTURES = ("uint8", "uint16", "float32")
DEEP = 64  # levels that a tree may have
FIELDS = {"dtype", "encoding", "encodingFormat", "useColormap", "label", "minimum", "maximum", "optional"}
LARGE = 1 << 31  # values that a sample may claim to have
WIDE = 1024  # numbers of a sample up to which a feature is a column of a table
WHOLE = re.compile(r"-?[0-9]{1,19}")


@dataclass(frozen=True)
class Leaf:
    """A feature that holds values.

    Parameters
    ----------
    key : str
        With slashes, as in the record.
    form : {"numbers", "tensor", "image", "text", "string", "unknown"}
        ``numbers`` lie in a list of numbers, a ``tensor`` is a byte string for a sample; ``string`` may hold any bytes.
    dtype : dtype
    shape : tuple of int or None
        Of one value, without its sequences.
    sequences : tuple of int or None
        Lengths of the sequences around it, the outermost first, ``steps`` included.
    codec : str or None
        "jpeg", "png", "utf-8", "zlib", "raw" (bytes of the array) or None.
    """

    key: str
    form: str
    dtype: np.dtype[Any]
    shape: tuple[int | None, ...] = ()
    sequences: tuple[int | None, ...] = ()
    codec: str | None = None
    optional: bool = False
    labels: int | None = None
    said: str = ""

    @property
    def dynamic(self) -> bool:
        """Whether the shape of every value is stored beside it."""
        return self.form in ("tensor", "numbers") and self.shape.count(None) > 1

    @property
    def ragged(self) -> int:
        """How many sequences lie around a value of one step."""
        return len(self.sequences) - 1

    @property
    def size(self) -> int | None:
        """Numbers in one value, if that is known."""
        return None if None in self.shape else math.prod(n for n in self.shape if n is not None)

    @property
    def tabular(self) -> bool:
        """Whether it is a few numbers in every step: a column that is worth keeping whole."""
        return self.form == "numbers" and len(self.sequences) == 1 and 0 < (self.size or 0) <= WIDE

    def spec(self, name: str) -> StreamSpec:
        """What a stream of it holds."""
        shape = (*(self.sequences[1:]), *self.shape)
        depth = self.form == "image" and self.dtype != np.uint8 and self.shape[2] == 1
        kind: Kind = "vector"
        if self.form in ("unknown", "string") or (self.form == "text" and self.ragged):
            kind = "event"
        elif not self.ragged and self.form in ("image", "text"):
            kind = "text" if self.form == "text" else "depth" if depth else "image"
        exact = self.form in ("numbers", "tensor", "image") and None not in shape
        dtype = self.dtype if exact else np.dtype(object)
        return StreamSpec(name, kind, shape, dtype, codec=None if self.ragged else self.codec)


def leaves(path: Path, top: Mapping[str, Any]) -> list[Leaf]:
    """All leaves of a tree."""
    found = list(_walk(path, top, "", (), 0))
    if len({leaf.key for leaf in found}) != len(found):
        raise fault("two features have the same key", file=path)
    return found


def _walk(
    path: Path, node: Any, key: str, around: tuple[int | None, ...], depth: int
) -> Iterator[Leaf]:  # fmt: skip
    if depth > DEEP:
        raise fault(f"is nested deeper than {DEEP} levels", file=path, key=key)
    if not isinstance(node, Mapping):
        raise fault("a feature is no object", file=path, key=key or None)
    if isinstance(node.get("featuresDict"), Mapping):
        children = node["featuresDict"].get("features") or {}
        if not isinstance(children, Mapping):
            raise fault("its features are no object", file=path, key=key or None)
        for name, child in children.items():
            yield from _walk(path, child, f"{key}/{name}" if key else name, around, depth + 1)
    elif isinstance(node.get("sequence"), Mapping):
        length = _whole(path, key, node["sequence"].get("length", -1))
        around = (*around, None if length is None or length < 0 else length)
        yield from _walk(path, node["sequence"].get("feature"), key, around, depth + 1)
    elif isinstance(node.get("video"), Mapping):  # a sequence of images
        frame = _leaf(path, {"image": {**node["video"], "shape": _frame(path, key, node["video"])}}, key)
        yield replace(frame, sequences=(*around, None))
    else:
        yield replace(_leaf(path, node, key), sequences=around)


def _frame(path: Path, key: str, video: Mapping[str, Any]) -> dict[str, Any]:
    return {"dimensions": ["-1" if n is None else n for n in _shape(path, key, video.get("shape"))[1:]]}


def _leaf(path: Path, node: Mapping[str, Any], key: str) -> Leaf:
    told = node.get("description")
    said = told if isinstance(told, str) else ""
    text = np.dtype(object)
    for kind in ("tensor", "image", "classLabel"):
        if isinstance(node.get(kind), Mapping):
            try:
                return replace(_READERS[kind](path, key, node[kind]), said=said)
            except DataError as error:  # the other features can still be read
                return Leaf(key, "unknown", text, said=str(error))
    if "boundingBox" in node:
        return Leaf(key, "numbers", np.dtype(np.float32), (4,), said=said)
    if "text" in node:
        return Leaf(key, "text", text, codec="utf-8", said=said)
    name = str(node.get("pythonClassName", "without a class"))[:200]
    return Leaf(key, "unknown", text, said=f"{path}, {key}: is a feature {name}, which is not read")


def _tensor(path: Path, key: str, node: Mapping[str, Any]) -> Leaf:
    shape, encoding = _shape(path, key, _told(path, key, node)), node.get("encoding") or "none"
    name, optional = node.get("dtype"), node.get("optional") is True
    if encoding not in ("none", "bytes", "zlib"):
        raise fault(f"has the encoding {encoding!r}", file=path, key=key)
    if name in STRINGS:
        return Leaf(key, "string", np.dtype(object), shape, codec="bytes", optional=optional)
    dtype = _dtype(path, key, name, (*NUMBERS, "bfloat16"))
    if encoding == "none":
        return Leaf(key, "numbers", dtype, shape, optional=optional)
    return Leaf(key, "tensor", dtype, shape, codec="zlib" if encoding == "zlib" else "raw", optional=optional)


def _image(path: Path, key: str, node: Mapping[str, Any]) -> Leaf:
    shape = _shape(path, key, _told(path, key, node)) or (None, None, 3)
    dtype = _dtype(path, key, node.get("dtype") or "uint8", PICTURES)
    codec = node.get("encodingFormat") or "png"
    if codec not in ("png", "jpeg") or len(shape) != 3 or shape[2] not in (None, 1, 3, 4):
        raise fault(f"is an image of {codec!r} and shape {shape}; jpeg, png and 1, 3 or 4 channels are read",
                    file=path, key=key)  # fmt: skip
    if dtype == np.float32 and shape[2] != 1:
        raise fault(f"is an image of float32 and shape {shape}; these have one channel", file=path, key=key)
    return Leaf(key, "image", dtype, shape, codec=codec)


def _label(path: Path, key: str, node: Mapping[str, Any]) -> Leaf:
    return Leaf(key, "numbers", np.dtype(np.int64), labels=_whole(path, key, node.get("numClasses", 0)))


_READERS = {"tensor": _tensor, "image": _image, "classLabel": _label}


def _dtype(path: Path, key: str, name: Any, known: tuple[str, ...]) -> np.dtype[Any]:
    if name not in known:
        raise fault(f"has the dtype {name!r}; {', '.join(known)} are read", file=path, key=key)
    if name == "bfloat16":
        import ml_dtypes

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(name)


def _told(path: Path, key: str, node: Mapping[str, Any]) -> Any:
    """The shape of a node; one that has other things in its place is damaged."""
    if "shape" not in node and (strange := set(node) - FIELDS):
        raise fault(f"has no shape, but {sorted(strange)[0]!r}", file=path, key=key)
    return node.get("shape")


def _shape(path: Path, key: str, node: Any) -> tuple[int | None, ...]:
    dimensions = (node or {}).get("dimensions", []) if isinstance(node or {}, Mapping) else None
    if not isinstance(dimensions, list) or len(dimensions) > 32 or set(node or {}) - {"dimensions"}:
        raise fault(f"has the shape {str(node)[:80]}", file=path, key=key)
    shape = tuple(_whole(path, key, n) for n in dimensions)
    if any(n is not None and n < -1 for n in shape) or math.prod(max(n or 0, 1) for n in shape) > LARGE:
        raise fault(f"has the shape {shape}", file=path, key=key)
    return tuple(None if n is None or n < 0 else n for n in shape)


def _whole(path: Path, key: str, value: Any) -> int | None:
    """An int64 of JSON: a number, or a string of one; null is unknown."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not WHOLE.fullmatch(str(value)):
        raise fault(f"{str(value)[:80]!r} is no whole number", file=path, key=key)
    return int(value)


__all__ = ["Leaf", "leaves"]
