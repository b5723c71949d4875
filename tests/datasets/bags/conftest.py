"""Bags with random messages of many types, written by rosbags."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

pytest.importorskip("rosbags")

from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

TYPES = {
    "/imu": "sensor_msgs/msg/Imu", "/joints": "sensor_msgs/msg/JointState", "/pose": "geometry_msgs/msg/PoseStamped",
    "/odom": "nav_msgs/msg/Odometry", "/tf": "geometry_msgs/msg/TransformStamped",
    "/twist": "geometry_msgs/msg/TwistStamped", "/wrench": "geometry_msgs/msg/WrenchStamped",
    "/array": "std_msgs/msg/Float64MultiArray", "/text": "std_msgs/msg/String", "/f32": "std_msgs/msg/Float32",
    "/i64": "std_msgs/msg/Int64", "/flag": "std_msgs/msg/Bool", "/scan": "sensor_msgs/msg/LaserScan",
    "/fix": "sensor_msgs/msg/NavSatFix", "/battery": "sensor_msgs/msg/BatteryState", "/joy": "sensor_msgs/msg/Joy",
}  # fmt: skip
NUMPY = {"bool": "?", "byte": "i1", "char": "u1", "float32": "f4", "float64": "f8"} | {
    f"{sign}int{bits}": f"{sign[:1] or 'i'}{bits // 8}" for sign in ("", "u") for bits in (8, 16, 32, 64)
}
SEQUENCE = 5  # elements of every sequence, so that they are no streams of objects
NAMES = ["hip", "knee", "ankle", "toe", "wrist"]
KINDS = ("ros1", "ros1-bz2", "ros1-lz4", "sqlite", "sqlite-message", "mcap", "mcap-zstd")
START = 1_700_000_000_123_456_789


class Recorded(NamedTuple):
    """A bag and what was written: for every topic its log times and messages."""

    path: Path
    told: dict[str, list[tuple[int, Any]]]


def store(kind: str) -> Any:
    return types_of(Stores.ROS1_NOETIC if kind.startswith("ros1") else Stores.ROS2_HUMBLE)


@cache
def types_of(known: Stores) -> Any:
    return get_typestore(known)


def number(rng: np.random.Generator, base: str, size: int | None) -> Any:
    """A random number or array of them; of floats any bits but those of NaN."""
    dtype = np.dtype(NUMPY[base])
    many = np.frombuffer(rng.bytes(dtype.itemsize * (1 if size is None else size)), f"u{dtype.itemsize}").copy()
    found = many % 2 == 1 if base == "bool" else many.view(dtype)
    if dtype.kind == "f":
        found[~np.isfinite(found)] = 1.5
    return found.copy() if size is not None else found[0].item()


def text(rng: np.random.Generator) -> str:
    return "".join(rng.choice(list("abcäß ☃"), int(rng.integers(0, 9))))


def message(store: Any, type: str, rng: np.random.Generator, **given: Any) -> Any:
    """A random message of any type; ``given`` fields are not random."""
    values = {}
    for field, (kind, told) in store.fielddefs[type][1]:
        inner, size = ((kind, told), None) if kind in (1, 2) else (told[0], told[1] if kind == 3 else SEQUENCE)
        base = inner[1][0] if inner[0] == 1 else None
        if field in given:
            values[field] = given[field]
        elif base == "string":
            values[field] = text(rng) if size is None else [text(rng) for _ in range(size)]
        elif base is not None:
            values[field] = number(rng, base, size)
        elif inner[1].endswith(("/Time", "/Duration")) and size is None:
            values[field] = store.types[inner[1]](sec=int(rng.integers(0, 1 << 31)), nanosec=int(rng.integers(10**9)))
        else:
            made = [message(store, inner[1], rng) for _ in range(1 if size is None else size)]
            values[field] = made[0] if size is None else made
    return store.types[type](**values)


def write(path: Path, kind: str, told: dict[str, tuple[str, list[tuple[int, Any]]]]) -> Path:
    """A bag of the topics given as (type, [(log time, message)])."""
    types = store(kind)
    ros1 = kind.startswith("ros1")
    if ros1:
        path = path.with_suffix(".bag")
        writer: Any = Writer1(path)
        if "-" in kind:
            writer.set_compression(Writer1.CompressionFormat[kind.split("-")[1].upper()])
    else:
        plugin = StoragePlugin.MCAP if kind.startswith("mcap") else StoragePlugin.SQLITE3
        writer = Writer(path, version=9, storage_plugin=plugin)
        if "-" in kind:
            mode = CompressionMode.MESSAGE if kind.endswith("message") else CompressionMode.STORAGE
            writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        rows = []
        for topic, (name, messages) in told.items():
            connection = writer.add_connection(topic, name, typestore=types)
            rows += [(time, k, connection, name, one) for k, (time, one) in enumerate(messages)]
        for time, _, connection, name, one in sorted(rows, key=lambda row: row[:2]):
            raw = types.serialize_ros1(one, name) if ros1 else types.serialize_cdr(one, name)
            writer.write(connection, time, raw)
    return path


def make(path: Path, kind: str, count: int, topics: dict[str, str] | None = None, seed: int = 0) -> Recorded:
    """A bag with ``count`` random messages a topic."""
    rng, types = np.random.default_rng(seed), store(kind)
    told = {}
    for topic, name in (topics or TYPES).items():
        times = START + np.cumsum(rng.integers(1, 10**8, count))
        fixed: dict[str, Any] = {"name": NAMES} if name.endswith("JointState") else {}
        told[topic] = name, [(int(time), message(types, name, rng, **fixed)) for time in times]
    return Recorded(write(path, kind, told), {topic: rows for topic, (_, rows) in told.items()})


@pytest.fixture(scope="session", params=KINDS)
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return make(tmp_path_factory.mktemp("bags") / request.param, request.param, 12)


@pytest.fixture(scope="session")
def bags() -> dict[str, Callable[..., Any]]:
    """What makes bags: ``make``, ``write``, ``message`` and ``store``."""
    return {"make": make, "write": write, "message": message, "store": store}
