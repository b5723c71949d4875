"""Pictures and point clouds out of messages, one message at a time."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._images import PIXELS, codec_of, decode_image
from ..streams import Kind, Picked, Range, Source, listed
from ._bytes import damage
from ._layout import Layout, column
from ._topics import Topic

# Kind, channels, type, and whether the channels are stored blue first.
ENCODINGS: dict[str, tuple[Kind, int, str, bool]] = {
    "rgb8": ("image", 3, "u1", False), "bgr8": ("image", 3, "u1", True), "mono8": ("image", 1, "u1", False),
    "mono16": ("image", 1, "u2", False), "16UC1": ("depth", 0, "u2", False), "32FC1": ("depth", 0, "f4", False),
}  # fmt: skip
POINT_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 8: "f8"}
CLOUD_NAMES = ("x", "y", "z", "intensity")


class Whole:
    """A message with its layout, to take single values from."""

    def __init__(self, layout: Layout, data: Any) -> None:
        self.layout, self.data = layout, data

    def number(self, path: str) -> int:
        """An integer."""
        row = np.frombuffer(self.data, np.uint8)[None]
        return int(column(row, self.layout.leaves[path], self.layout.little)[0])

    def bytes(self, path: str) -> memoryview:
        """The bytes of a text or of an array of bytes."""
        leaf = self.layout.leaves[path]
        return memoryview(self.data)[leaf.offset : leaf.offset + (leaf.length or 0)]

    def text(self, path: str) -> str:
        """A text."""
        return str(self.bytes(path), "utf-8")


class Picture(NamedTuple):
    """What an image message says of itself."""

    kind: Kind
    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def picture(message: Whole) -> Picture:
    """Of a ``sensor_msgs/Image``; ValueError for one whose encoding is not known."""
    encoding = message.text("encoding")
    if encoding not in ENCODINGS:
        raise ValueError(f"its encoding is {encoding!r}; those known are {sorted(ENCODINGS)}")
    kind, channels, code, _ = ENCODINGS[encoding]
    size = message.number("height"), message.number("width")
    return Picture(kind, size if channels == 0 else (*size, channels), np.dtype(code))


def pixels(message: Whole) -> NDArray[Any]:
    """The array of a ``sensor_msgs/Image``, red first, without the padding of its rows."""
    _, shape, dtype = picture(message)
    channels, step, data = (shape[2] if len(shape) == 3 else 1), message.number("step"), message.bytes("data")
    row = shape[1] * channels * dtype.itemsize
    if step < row or step * shape[0] != len(data):
        raise ValueError(f"{len(data)} bytes are no {shape[0]} rows of {step} bytes with {row} of pixels")
    stored = dtype.newbyteorder(">" if message.number("is_bigendian") else "<")
    rows = np.frombuffer(data, np.uint8).reshape(shape[0], step)[:, :row]
    found = np.ascontiguousarray(rows).view(stored).reshape(shape).astype(dtype)
    return np.ascontiguousarray(found[..., ::-1]) if ENCODINGS[message.text("encoding")][3] else found


class Pictures(Source):
    """Images of a topic."""

    def __init__(self, topic: Topic, kind: str, shape: tuple[int | None, ...], dtype: Any, dct: str = "fast") -> None:
        self.topic, self.kind, self.shape, self.dtype, self.dct = topic, kind, shape, dtype, dct

    def _one(self, position: int) -> Any:
        data = self.topic.payload(position)
        message = Whole(self.topic.decoder.layout(data), data)
        if self.kind != "compressed":
            return pixels(message)
        channels = self.shape[2] if len(self.shape) == 3 else None
        encoded = message.bytes("data")
        if codec_of(encoded) is None:
            raise ValueError(f"it is neither JPEG nor PNG, but {message.text('format')[:60]!r}")
        return decode_image(encoded, channels, dct=self.dct, **self.topic.place)

    def take(self, at: Picked) -> Any:
        """See `Source.take`."""
        picked = listed(at)
        fixed = all(size is not None for size in self.shape)
        out: Any = np.empty((len(picked), *self.shape), self.dtype) if fixed else np.empty(len(picked), object)
        for rows, position in enumerate(picked):
            with damage(f"message {position} cannot be read", **self.topic.place):
                found = self._one(int(position))
                if found.dtype != self.dtype or (fixed and found.shape != self.shape):
                    raise ValueError(f"it is {found.dtype} {found.shape}; the first is {self.dtype} {self.shape}")
                out[rows] = found
        return out

    def encoded(self, at: Picked) -> list[bytes]:
        """See `Source.encoded`."""
        if self.kind != "compressed":
            return super().encoded(at)
        return [bytes(self._data(int(position))[1]) for position in listed(at)]

    def _data(self, position: int) -> tuple[Layout, memoryview]:
        with damage(f"message {position} cannot be read", **self.topic.place):
            data = self.topic.payload(position)
            layout = self.topic.decoder.layout(data)
            return layout, Whole(layout, data).bytes("data")

    def ranges(self, at: Picked) -> list[Range] | None:
        """See `Source.ranges`."""
        if self.kind != "compressed":
            return None
        found = []
        for position in listed(at):
            number, *place = self.topic.index[1][position]
            storage, _ = self.topic.parts[number]
            start = storage.located(np.array(place))
            if start is None:
                return None
            layout, data = self._data(int(position))
            leaf = layout.leaves["data"]
            found.append(Range(str(storage.path), start + leaf.offset, len(data), codec_of(data) or "unknown"))
        return found


def cloud_names(message: Whole) -> tuple[str, ...]:
    """Which of x, y, z and intensity a ``sensor_msgs/PointCloud2`` has."""
    fields = _cloud_fields(message)
    if not {"x", "y", "z"} <= set(fields):
        raise ValueError(f"its points have no x, y and z, but {sorted(fields)[:8]}")
    return tuple(name for name in CLOUD_NAMES if name in fields)


def _cloud_fields(message: Whole) -> dict[str, tuple[int, str]]:
    found: dict[str, tuple[int, str]] = {}
    for k in range(sum(path.startswith("fields[") and path.endswith("].name") for path in message.layout.leaves)):
        prefix = f"fields[{k}]."
        name = message.text(prefix + "name")
        code = POINT_TYPES.get(message.number(prefix + "datatype"))
        if name in CLOUD_NAMES:
            if code is None or message.number(prefix + "count") not in (0, 1) or name in found:
                raise ValueError(f"the field {name!r} of its points cannot be read")
            found[name] = message.number(prefix + "offset"), code
    return found


def points(message: Whole, names: tuple[str, ...]) -> NDArray[np.float32]:
    """The points of a ``sensor_msgs/PointCloud2`` as (point, field) float32."""
    fields = _cloud_fields(message)
    if missing := [name for name in names if name not in fields]:
        raise ValueError(f"its points have no {missing}, which those of the first message have")
    height, width = message.number("height"), message.number("width")
    step, row, data = message.number("point_step"), message.number("row_step"), message.bytes("data")
    count = height * width
    if count > PIXELS or (count and (step == 0 or (width * step > row and height > 1))):
        raise ValueError(f"{height} x {width} points of {step} bytes do not fit rows of {row} bytes")
    big = message.number("is_bigendian")
    out = np.empty((count, len(names)), np.float32)
    for k, name in enumerate(names if count else ()):
        offset, code = fields[name]
        kind = np.dtype(code).newbyteorder(">" if big else "<")
        last = (height - 1) * row + (width - 1) * step + offset + kind.itemsize
        if offset + kind.itemsize > step or last > len(data):
            raise ValueError(f"the field {name!r} of its points reaches to byte {last} of {len(data)}")
        part: NDArray[Any] = np.ndarray((height, width), kind, data, offset, (row, step))
        with np.errstate(over="ignore", invalid="ignore"):  # float64 past float32's range is inf
            out[:, k] = part.reshape(-1)
    return out


class Clouds(Source):
    """Point clouds of a topic, each of its own length."""

    def __init__(self, topic: Topic, names: tuple[str, ...]) -> None:
        self.topic, self.names = topic, names

    def take(self, at: Picked) -> Any:
        """See `Source.take`."""
        picked = listed(at)
        out = np.empty(len(picked), object)
        for row, position in enumerate(picked):
            with damage(f"message {position} cannot be read", **self.topic.place):
                data = self.topic.payload(int(position))
                out[row] = points(Whole(self.topic.decoder.layout(data), data), self.names)
        return out


__all__ = ["Clouds", "Picture", "Pictures", "Whole", "cloud_names", "picture", "pixels", "points"]
