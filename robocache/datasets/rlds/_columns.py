"""How streams and metadata are stored: a node of ``features.json``, and lists of values under one or two keys."""

import io
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core.errors import ArgumentError
from .._faults import missing
from .._images import codec_of
from ..streams import Stream
from ._example import number_list, string_list

CLASSES = "tensorflow_datasets.core.features"
LARGE = 64  # numbers in a sample from which on its bytes are stored, which costs less than a list of varints
PLAIN = ("bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32")
EXACT = ("float16", "bfloat16", "float64")  # a list of floats would cut or change them; their bytes do not
Encode = Callable[[Any], dict[str, bytes]]


@dataclass(frozen=True)
class Column:
    """One feature: what it is, and what makes its Features by key of a stream or of a value of metadata."""

    node: dict[str, Any]
    encode: Encode


def node(kind: str, **fields: Any) -> dict[str, Any]:
    """A node of ``features.json``."""
    modules = {
        "text": "text_feature.Text", "image": "image_feature.Image", "sequence": "sequence_feature.Sequence",
        "featuresDict": "features_dict.FeaturesDict", "steps": "dataset_feature.Dataset",
        "tensor": "tensor_feature.Tensor",
    }  # fmt: skip
    key = "sequence" if kind == "steps" else kind
    return {"pythonClassName": f"{CLASSES}.{modules[kind]}", key: fields}


def tensor(shape: Sequence[int | None], dtype: str, encoding: str = "none") -> dict[str, Any]:
    """The node of an array."""
    return node("tensor", shape=_dimensions(shape), dtype=dtype, encoding=encoding)


def _dimensions(shape: Sequence[int | None]) -> dict[str, Any]:
    return {"dimensions": ["-1" if n is None else str(n) for n in shape]} if len(shape) else {}


def column(key: str, stream: Stream) -> Column:
    """How a stream of steps is stored; ArgumentError if it cannot be."""
    if stream.kind in ("image", "depth") and (made := _pictures(key, stream)):
        return made
    if stream.kind == "text":
        return Column(node("text"), lambda s: {key: string_list([str(text).encode("utf-8") for text in s.read()])})
    if stream.dtype != object and None not in stream.shape:
        return _arrays(key, stream)
    sample = stream.read(0) if len(stream) else None
    if isinstance(sample, bytes) and stream.shape == ():
        return Column(tensor((), "string"), lambda s: {key: string_list([_bytes(key, v) for v in s.read()])})
    if isinstance(sample, np.ndarray) and sample.dtype.name in (*PLAIN, *EXACT):
        return _differing(key, stream, sample)
    if isinstance(sample, (list, np.ndarray)) and all(isinstance(text, str) for text in sample):
        words = node("sequence", feature=node("text"), length="-1")
        return Column(words, lambda s: _words(key, s))
    raise ArgumentError(
        f"episodes: {stream.name!r} holds {type(sample).__name__} ({stream.dtype}, {stream.shape}), "
        "which RLDS has no feature for"
    )


def _bytes(key: str, value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise ArgumentError(f"episodes: {key!r} holds a {type(value).__name__} among bytes")
    return value


def _words(key: str, stream: Stream) -> dict[str, bytes]:
    rows = [[str(word).encode("utf-8") for word in row] for row in stream.read()]
    return {
        f"{key}/ragged_flat_values": string_list([word for row in rows for word in row]),
        f"{key}/ragged_row_lengths_0": number_list(np.array([len(row) for row in rows], np.int64)),
    }


def _pictures(key: str, stream: Stream) -> Column | None:
    """Encoded pictures as they are, others as PNG; None for those that only an array can hold."""
    channels, name = stream.shape[-1] if len(stream.shape) == 3 else None, stream.dtype.name
    known = {"uint8": (1, 3, 4), "uint16": (1,), "float32": (1,)}
    encoded = stream.codec in ("jpeg", "png") and name != "float32"
    if encoded and channels in (1, 3, 4):
        dtype = name if name != "object" else "uint8"
        made = node("image", shape=_dimensions(stream.shape), dtype=dtype, encodingFormat=stream.codec)
        return Column(made, lambda s: {key: string_list([_picture(key, v) for v in s.read(decode=False)])})
    if channels not in known.get(name, ()) or None in stream.shape:
        return None
    made = node("image", shape=_dimensions(stream.shape), dtype=name, encodingFormat="png")
    return Column(made, lambda s: {key: string_list([png(s.read(k)) for k in range(len(s))])})


def _picture(key: str, value: bytes) -> bytes:
    if codec_of(value) is None:
        raise ArgumentError(f"episodes: {key!r} holds bytes that are neither JPEG nor PNG")
    return value


def png(pixels: NDArray[Any]) -> bytes:
    """A picture (height, width, channel) as PNG; float32 as the four bytes of every pixel, as TFDS has it."""
    try:
        from PIL import Image
    except ImportError as error:
        missing("PIL", "writing PNG", error)
    if pixels.dtype == np.float32:
        pixels = np.ascontiguousarray(pixels.astype("<f4")).view(np.uint8)
    buffer = io.BytesIO()
    flat = np.ascontiguousarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    Image.fromarray(flat).save(buffer, "PNG", compress_level=3)
    return buffer.getvalue()


def _arrays(key: str, stream: Stream) -> Column:
    """Arrays of one shape."""
    name, shape = stream.dtype.name, [int(n or 0) for n in stream.shape]
    if name not in (*PLAIN, *EXACT):
        raise ArgumentError(f"episodes: {stream.name!r} is of {stream.dtype}, which RLDS has no feature for")
    if name in PLAIN and (name in ("float32", "bool") or np.prod(shape) < LARGE):
        return Column(tensor(shape, name), lambda s: {key: number_list(s.read())})
    if stream.codec == "zlib":
        return Column(tensor(shape, name, "zlib"), lambda s: {key: string_list(s.read(decode=False))})
    return Column(tensor(shape, name, "bytes"), lambda s: {key: string_list([_raw(value) for value in s.read()])})


def _raw(value: Any) -> bytes:
    array = np.ascontiguousarray(value)
    return array.astype(array.dtype.newbyteorder("<")).tobytes() if array.dtype.kind != "V" else array.tobytes()


def _differing(key: str, stream: Stream, sample: NDArray[Any]) -> Column:
    """Arrays whose shapes differ from step to step, the bytes of each by zlib."""
    dtype, shape = sample.dtype, stream.shape
    dynamic = sum(n is None for n in shape) > 1

    def encode(found: Stream) -> dict[str, bytes]:
        values = [np.asarray(value) for value in found.read()]
        for value in values:
            fits = len(value.shape) == len(shape) and all(
                m in (None, n) for n, m in zip(value.shape, shape, strict=True)
            )
            if value.dtype != dtype or not fits:
                said = f"holds {value.shape} {value.dtype} and {shape} {dtype}"
                raise ArgumentError(f"episodes: {key!r} {said}")
        packed = string_list([zlib.compress(_raw(value), 3) for value in values])
        if not dynamic:
            return {key: packed}
        shapes = np.array([value.shape for value in values], np.int64)
        return {f"{key}/value": packed, f"{key}/shape": number_list(shapes)}

    return Column(tensor(shape, dtype.name, "zlib"), encode)


def value_column(key: str, value: Any) -> Column:
    """How a value of metadata is stored; ArgumentError if it cannot be."""
    if isinstance(value, str):
        return Column(node("text"), lambda v: {key: string_list([v.encode("utf-8")])})
    if isinstance(value, bytes):
        return Column(tensor((), "string"), lambda v: {key: string_list([_bytes(key, v)])})
    if _are_words(value):
        words = node("sequence", feature=node("text"), length="-1")
        return Column(words, lambda v: {key: string_list([str(text).encode("utf-8") for text in v])})
    array = np.asarray(value)
    if array.dtype.name in PLAIN:
        return Column(tensor(array.shape, array.dtype.name), lambda v: {key: number_list(_same(key, v, array))})
    if array.dtype.name in EXACT:
        made = tensor(array.shape, array.dtype.name, "bytes")
        return Column(made, lambda v: {key: string_list([_raw(_same(key, v, array))])})
    raise ArgumentError(f"meta: {key!r} holds a {type(value).__name__}, which RLDS has no feature for; leave it out")


def _are_words(value: Any) -> bool:
    listed = isinstance(value, (list, tuple)) or (isinstance(value, np.ndarray) and value.dtype.kind in "OU")
    return listed and np.ndim(value) == 1 and all(isinstance(text, str) for text in value)


def _same(key: str, value: Any, first: NDArray[Any]) -> NDArray[Any]:
    array = np.asarray(value)
    if array.dtype != first.dtype or array.shape != first.shape:
        said = f"{array.shape} {array.dtype}, and in the first episode {first.shape} {first.dtype}"
        raise ArgumentError(f"meta: {key!r} is {said}")
    return array


__all__ = ["Column", "column", "node", "tensor", "value_column"]
