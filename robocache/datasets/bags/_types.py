"""Message types: from definitions in a bag, or from those that rosbags ships."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from .._faults import missing
from ._bytes import damage
from ._storage import Channel, plain_type

TEXT_BYTES, FIELDS = 1 << 20, 20_000  # of a definition; no robot's is longer
PRIMITIVES = {
    "bool": "?", "byte": "i1", "char": "u1", "int8": "i1", "uint8": "u1", "octet": "u1", "int16": "i2", "uint16": "u2",
    "int32": "i4", "uint32": "u4", "int64": "i8", "uint64": "u8", "float32": "f4", "float64": "f8", "string": "str",
}  # fmt: skip
PLACEHOLDER = "structure_needs_at_least_one_member"
LINE = re.compile(r"([A-Za-z][\w/]*)(?:<=\d+)?(\[(?:(?:<=)?\d*)\])?\s+([A-Za-z]\w*)(?=\s|=|$)\s*(=?)")
BREAK = re.compile(r"^={20,}[ \t]*$", re.MULTILINE)


class Field(NamedTuple):
    """A member of a message: ``length`` is None for a single value, -1 for a sequence, else that of an array."""

    name: str
    type: str
    length: int | None


Types = Mapping[str, tuple[Field, ...]]


def builtin(ros1: bool) -> dict[str, tuple[Field, ...]]:
    """What no definition spells out."""
    seconds = "uint32" if ros1 else "int32"
    return {
        "builtin_interfaces/Time": (Field("sec", seconds, None), Field("nanosec", "uint32", None)),
        "builtin_interfaces/Duration": (
            Field("sec", "int32", None), Field("nanosec", "int32" if ros1 else "uint32", None),
        ),
    }  # fmt: skip


def parse(text: str, name: str, ros1: bool) -> Types:
    """The types of a ``.msg`` text, whose parts are set apart by lines of equals signs."""
    if len(text) > TEXT_BYTES:
        raise ValueError(f"its definition has {len(text)} characters")
    found: dict[str, tuple[Field, ...]] = {}
    for number, part in enumerate(BREAK.split(text)):
        title, body = name, part
        if number:
            head, _, body = part.lstrip("\r\n").partition("\n")
            if not head.startswith("MSG: "):
                raise ValueError(f"a part of its definition begins with {head[:40]!r}")
            title = plain_type(head[5:].strip())
        found[title] = _fields(body, title)
    if sum(map(len, found.values())) > FIELDS:
        raise ValueError("its definition has too many fields")
    return builtin(ros1) | found


def _fields(body: str, title: str) -> tuple[Field, ...]:
    fields = []
    for raw in body.splitlines():
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        matched = LINE.match(line)
        if matched is None:
            raise ValueError(f"its definition has a line {line[:60]!r}")
        type, many, name, equals = matched.groups()
        if equals:
            continue  # a constant
        length = None if many is None else int(many[1:-1]) if many[1:-1].isdigit() else -1
        fields.append(Field(name, _resolved(type, title), length))
    if len({field.name for field in fields}) != len(fields):
        raise ValueError(f"two fields of {title} have one name")
    return tuple(fields)


def _resolved(type: str, title: str) -> str:
    if type in PRIMITIVES:
        return type
    if type in ("time", "duration"):
        return f"builtin_interfaces/{type.title()}"
    if type == "Header":
        return "std_msgs/Header"
    return plain_type(type) if "/" in type else f"{title.split('/', maxsplit=1)[0]}/{type}"


def shipped(distro: str) -> Types:
    """The types that rosbags knows of a ROS distribution, such as ``"humble"``."""
    try:
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        missing("rosbags", "reading a bag without message definitions", error)
    known = {store.value: store for store in Stores}
    name = next((name for name in (distro, f"ros2_{distro}", f"ros1_{distro}") if name in known), None)
    if name is None:
        raise ValueError(f"ros_distro: expected one of {sorted(known)}, got {distro[:40]!r}")
    found, ros1 = _from_rosbags(get_typestore(known[name]).fielddefs), name.startswith("ros1")
    if ros1:  # has no such member on the wire
        found = {kind: tuple(one for one in fields if one.name != PLACEHOLDER) for kind, fields in found.items()}
    return found | builtin(ros1)


def _idl(text: str) -> Types:
    try:
        from rosbags.typesys import TypesysError, get_types_from_idl
    except ImportError as error:
        missing("rosbags", "reading IDL definitions", error)
    if len(text) > TEXT_BYTES // 4:
        raise ValueError(f"its definition has {len(text)} characters")
    parts = [part.split("\n", 1)[-1] if part.startswith("IDL: ") else part for part in BREAK.split(text)]
    found: dict[str, tuple[Field, ...]] = {}
    for part in parts:
        if not part.strip():
            continue
        body = part.lstrip("\n")
        try:
            found |= _from_rosbags(get_types_from_idl(body.split("\n", 1)[-1] if body.startswith("IDL: ") else body))
        except (TypesysError, AttributeError) as error:
            raise ValueError(str(error)) from error
    return builtin(False) | found


def _from_rosbags(types: Any) -> dict[str, tuple[Field, ...]]:
    found = {}
    for name, (_, fields) in types.items():
        turned = []
        for label, (kind, told) in fields:
            inner, length = ((kind, told), None) if kind in (1, 2) else (told[0], told[1] if kind == 3 else -1)
            turned.append(Field(label, inner[1][0] if inner[0] == 1 else plain_type(inner[1]), length))
        found[plain_type(name)] = tuple(turned)
    return found


def types_of(channel: Channel, distro: str) -> Types:
    """The types that a channel's messages are made of; ValueError or DataError says why they cannot be known."""
    with damage("its definition cannot be read", key=channel.topic):
        if channel.schema in ("ros2msg", "ros1msg"):
            found = parse(channel.definition, channel.type, channel.schema == "ros1msg")
        elif channel.schema == "ros2idl":
            found = _idl(channel.definition)
        elif channel.encoding == "cdr":
            found = shipped(distro)
        else:
            raise ValueError(f"its messages are {channel.encoding or 'of no known encoding'}")
        sizes(found, channel.type)
    return found


def sizes(types: Types, root: str) -> dict[str, int]:
    """Fewest bytes of each type that ``root`` needs. Refuses types that are missing, endless or too deep."""
    found: dict[str, int] = {}

    def least(name: str, depth: int) -> int:
        if name in PRIMITIVES:
            return 4 if name == "string" else int(PRIMITIVES[name][1:] or 1)
        if name not in types:
            raise ValueError(f"nobody says what {name} is")
        if depth > 24:
            raise ValueError(f"its type {root} holds itself, or is too deep")
        if name not in found:
            total = 0
            for field in types[name]:
                inner = least(field.type, depth + 1)
                total += 4 if field.length == -1 else inner * (1 if field.length is None else field.length)
            found[name] = total
        return found[name]

    least(root, 0)
    return found


__all__ = ["PRIMITIVES", "Field", "Types", "parse", "shipped", "sizes", "types_of"]
