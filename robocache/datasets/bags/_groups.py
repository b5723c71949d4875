"""Which streams the messages of a type give, and their units where the type fixes them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from .._picture_heads import encoded_shape
from ..streams import Source, StreamSpec
from ._layout import Layout
from ._pictures import Clouds, Pictures, Whole, cloud_names, picture
from ._sources import Joints, Json, Numbers, Texts, flattened, is_number, joint_names
from ._topics import Topic
from ._types import PRIMITIVES, Field

UNITS = {
    "geometry_msgs/Pose": {"position": "m"},
    "geometry_msgs/Transform": {"translation": "m"},
    "geometry_msgs/Twist": {"linear": "m/s", "angular": "rad/s"},
    "geometry_msgs/Accel": {"linear": "m/s^2", "angular": "rad/s^2"},
    "geometry_msgs/Wrench": {"force": "N", "torque": "N m"},
    "geometry_msgs/PointStamped": {"point": "m"},
    "sensor_msgs/Imu": {"angular_velocity": "rad/s", "linear_acceleration": "m/s^2"},
    "sensor_msgs/MagneticField": {"magnetic_field": "T"},
    "sensor_msgs/Temperature": {"temperature": "degC"},
    "sensor_msgs/FluidPressure": {"fluid_pressure": "Pa"},
    "sensor_msgs/NavSatFix": {"latitude": "deg", "longitude": "deg", "altitude": "m"},
    "sensor_msgs/Range": {"range": "m", "min_range": "m", "max_range": "m", "field_of_view": "rad"},
    "sensor_msgs/LaserScan": {
        "angle_min": "rad", "angle_max": "rad", "angle_increment": "rad", "time_increment": "s", "scan_time": "s",
        "range_min": "m", "range_max": "m", "ranges": "m",
    },
}  # fmt: skip
SIDE_BY_SIDE = {("x", "y", "z"), ("x", "y", "z", "w"), ("x", "y"), ("x", "y", "theta"), ("r", "g", "b", "a")}


class Found(NamedTuple):
    """A stream to be."""

    spec: StreamSpec
    source: Source


class Fields(NamedTuple):
    """Fields that make a stream."""

    path: str
    leaves: tuple[str, ...]
    names: tuple[str, ...] | None
    unit: str | None


def fields_of(topic: Topic) -> Iterator[Fields]:
    """The fields of a type, vectors as one; those whose messages hold messages without end are left out."""
    types = topic.decoder.types

    def visit(owner: str, prefix: str) -> Iterator[Fields]:
        for part in types[owner]:
            path, unit = prefix + part.name, UNITS.get(owner, {}).get(part.name)
            inner = types.get(part.type, ())
            if part.type == "std_msgs/Header" and not prefix:
                continue  # its stamp is the clock, its frame is told in the metadata
            if part.type in PRIMITIVES:
                yield Fields(path, (path,), None, unit)
            elif part.length is None and _vector(inner):
                names = tuple(one.name for one in inner)
                yield Fields(path, tuple(f"{path}.{name}" for name in names), names, unit)
            elif part.length is None:
                yield from visit(part.type, path + ".")
            else:
                yield Fields(path, (), None, None)

    yield from visit(topic.type, "")


def _vector(fields: tuple[Field, ...]) -> bool:
    alike = {(one.type, one.length) for one in fields}
    return tuple(one.name for one in fields) in SIDE_BY_SIDE and alike in ({("float64", None)}, {("float32", None)})


def streams_of(topic: Topic, ragged: frozenset[str], dct: str) -> tuple[list[Found], list[str]]:
    """The streams of a topic, and what of its messages none of them holds. ValueError if there are none."""
    if topic.parts[0][1].encoding == "json":
        return _json(topic)
    layout, data = topic.first
    special = {
        "sensor_msgs/Image": _image, "sensor_msgs/CompressedImage": _compressed, "sensor_msgs/PointCloud2": _cloud,
    }  # fmt: skip
    if topic.type in special:
        return [special[topic.type](topic, Whole(layout, data), dct)], []
    found, omitted = [], []
    for group in fields_of(topic):
        if topic.type == "sensor_msgs/JointState" and group.path == "name":
            continue  # told by the names of the other streams
        made = None
        if topic.type == "sensor_msgs/JointState":
            made = _joints(topic, group, layout, data)
        elif group.leaves and all(leaf in layout.leaves for leaf in group.leaves):
            made = _plain(topic, group, layout, f"{topic.name}/{group.path}" in ragged)
        if made is None:
            omitted.append(group.path)
        else:
            found.append(made)
    return found, omitted


def _plain(topic: Topic, group: Fields, layout: Layout, ragged: bool) -> Found | None:
    leaf, name = layout.leaves[group.leaves[0]], f"{topic.name}/{group.path}"
    if leaf.code == "str":
        return Found(StreamSpec(name, "text", (), np.dtype(object)), Texts(topic, group.path))
    shape: tuple[int, ...] = (len(group.leaves),) if group.names else () if leaf.length is None else (leaf.length,)
    if shape == (0,) and not ragged:
        return None
    dtype = np.dtype(leaf.code)
    told = (None,) if ragged else shape
    spec = StreamSpec(name, "vector", told, np.dtype(object) if ragged else dtype, group.unit, group.names)
    return Found(spec, Numbers(topic, group.leaves, shape, dtype, ragged))


def _joints(topic: Topic, group: Fields, layout: Layout, data: Any) -> Found | None:
    leaf = layout.leaves.get(group.path)
    if group.path not in ("position", "velocity", "effort") or leaf is None or not leaf.length:
        return None
    names = joint_names(layout, data)
    if len(names) != leaf.length:
        raise ValueError(f"its first message has {leaf.length} numbers for {len(names)} joints")
    dtype = np.dtype(leaf.code)
    spec = StreamSpec(f"{topic.name}/{group.path}", "vector", (leaf.length,), dtype, None, names)
    return Found(spec, Joints(topic, group.path, names, dtype))


def _image(topic: Topic, message: Whole, dct: str) -> Found:
    kind, shape, dtype = picture(message)
    return Found(StreamSpec(topic.name, kind, shape, dtype), Pictures(topic, kind, shape, dtype))


def _compressed(topic: Topic, message: Whole, dct: str) -> Found:
    data, told = message.bytes("data"), encoded_shape(message.bytes("data"))
    if told is None:
        raise ValueError(f"its format {message.text('format')[:60]!r} is neither JPEG nor PNG")
    codec = "png" if bytes(data[:4]) == b"\x89PNG" else "jpeg"
    shape, dtype = told
    return Found(
        StreamSpec(topic.name, "image", shape, dtype, codec=codec), Pictures(topic, "compressed", shape, dtype, dct)
    )


def _cloud(topic: Topic, message: Whole, dct: str) -> Found:
    names = cloud_names(message)
    spec = StreamSpec(topic.name, "cloud", (None, len(names)), np.dtype(object), None, names)
    return Found(spec, Clouds(topic, names))


def _json(topic: Topic) -> tuple[list[Found], list[str]]:
    """Numbers of JSON messages: integers where the schema says so, else float64."""
    first = flattened(topic.payload(0))
    integers = _integers(topic.parts[0][1].definition)
    found, omitted = [], []
    for path, value in sorted(first.items()):
        many = value if isinstance(value, list) else [value]
        if not many or not all(map(is_number, many)):
            omitted.append(path)
            continue
        length, integer = (len(value) if isinstance(value, list) else None), path in integers
        spec = StreamSpec(
            f"{topic.name}/{path}", "vector", () if length is None else (length,), np.dtype("i8" if integer else "f8")
        )
        found.append(Found(spec, Json(topic, path, length, integer)))
    return found, omitted


def _integers(schema: str) -> set[str]:
    """Names of the properties that a JSON schema calls integers."""
    if not schema.strip():
        return set()
    types = flattened(schema.encode())
    return {
        ".".join(path.removesuffix(".type").removesuffix(".items").split(".")[1::2])
        for path, value in types.items()
        if value == "integer" and path.endswith(".type")
    }


__all__ = ["Found", "streams_of"]
