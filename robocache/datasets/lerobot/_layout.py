"""Which files a v3.0 dataset is written to, and the columns of its tables."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from ..._core.errors import ArgumentError
from ..model import Episode
from ..streams import INDEX, Stream
from ._info import NUMBERS

OWN = {"timestamp": "float32", **dict.fromkeys(("frame_index", "episode_index", "index", "task_index"), "int64")}
FILE = "chunk-{chunk:03d}/file-{file:03d}"
AXES = ["height", "width", "channels"]


class Column(NamedTuple):
    """A feature to be written, and the stream that it comes from."""

    name: str
    stream: str
    dtype: str  # as info.json spells it
    shape: tuple[int, ...]
    names: tuple[str, ...] | None


def columns_of(episode: Episode, wanted: Mapping[str, str], video: bool) -> list[Column]:
    """The features that an episode gives; raises ArgumentError for what LeRobot cannot hold."""
    found = []
    for source, name in wanted.items():
        if source not in episode:
            raise ArgumentError(f"streams: episode {episode.id} has no {source!r}; it has {list(episode)}")
        if not name or "/" in name or name in OWN:
            raise ArgumentError(f"streams: {name!r} cannot name a feature; give streams={{{source!r}: another name}}")
        found.append(_column(episode[source], name, video))
    return found


def _column(stream: Stream, name: str, video: bool) -> Column:
    spec = stream.spec
    if spec.kind == "text" and spec.shape == ():
        return Column(name, spec.name, "string", (1,), None)
    if any(size is None for size in spec.shape):
        raise ArgumentError(f"streams: samples of {spec.name!r} differ in shape; leave it out")
    shape = tuple(int(size or 0) for size in spec.shape)
    if spec.kind == "image" and spec.dtype == np.uint8 and len(shape) == 3 and shape[2] == 3:
        return Column(name, spec.name, "video" if video else "image", shape, None)
    if spec.kind != "vector" or spec.dtype.name not in NUMBERS or 0 in shape:
        raise ArgumentError(
            f"streams: {spec.name!r} ({spec.kind} of {spec.dtype}) has no place in LeRobot; leave it out"
        )
    return Column(name, spec.name, spec.dtype.name, shape or (1,), spec.names)


def check(episode: Episode, columns: list[Column], fps: Any) -> int:
    """Steps of an episode, if its streams share them and nothing that was stamped would be lost."""
    steps = {len(episode[column.stream]) for column in columns}
    if len(steps) != 1 or 0 in steps:
        raise ArgumentError(f"episodes: {episode.id} has streams of {sorted(steps)} steps; fuse it first")
    for column in columns:
        timing = episode[column.stream].timing
        if timing.clock != INDEX or timing.stamped:
            raise ArgumentError(f"episodes: {column.stream!r} of {episode.id} has stamps of its own; fuse it first")
        if timing.rate is not None and timing.rate != fps:
            raise ArgumentError(f"fps: {float(fps)} given, and {column.stream!r} of {episode.id} has {timing.rate} Hz")
    return steps.pop()


def feature_entry(column: Column, info: Mapping[str, Any] | None) -> dict[str, Any]:
    """As info.json has it."""
    pictures = column.dtype in ("video", "image")
    names = AXES if pictures else list(column.names) if column.names else None
    entry: dict[str, Any] = {"dtype": column.dtype, "shape": list(column.shape), "names": names}
    return {**entry, "info": dict(info)} if info is not None else entry


def arrow_type(column: Column) -> Any:
    """Of the column in Parquet."""
    import pyarrow as pa

    if column.dtype == "string":
        return pa.string()
    if column.dtype == "image":
        return pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    kind = pa.from_numpy_dtype(np.dtype(column.dtype))
    if column.shape == (1,):
        return kind
    if len(column.shape) == 1:
        return pa.list_(kind, column.shape[0])
    for _ in column.shape:
        kind = pa.list_(kind)
    return kind


def arrow_array(values: Any, kind: Any) -> Any:
    """Numbers (step, …) as a column of that type, every bit kept."""
    import pyarrow as pa

    flat = pa.array(np.ascontiguousarray(values).reshape(-1))
    if not pa.types.is_nested(kind):
        return flat
    if pa.types.is_fixed_size_list(kind):
        return pa.FixedSizeListArray.from_arrays(flat, kind.list_size)
    for width in reversed(values.shape[1:]):
        flat = pa.ListArray.from_arrays(np.arange(0, len(flat) + 1, width, dtype=np.int32), flat)
    return flat


def nested_type(value: Any) -> Any:
    """Of a cell that holds an array of any rank, or a string, a number or a list of strings."""
    import pyarrow as pa

    if isinstance(value, np.ndarray):
        kind = pa.from_numpy_dtype(value.dtype)
        for _ in value.shape:
            kind = pa.list_(kind)
        return kind
    if isinstance(value, list):
        return pa.list_(pa.string())
    return pa.float64() if isinstance(value, float) else pa.int64()


def tasks_table(tasks: list[str]) -> Any:
    """With the text as the index that pandas finds again."""
    import pyarrow as pa

    index = "__index_level_0__"
    described = [("task_index", "task_index", "int64", "int64"), (None, index, "unicode", "object")]
    told = {
        "index_columns": [index],
        "column_indexes": [
            {"name": None, "field_name": None, "pandas_type": "unicode", "numpy_type": "object",
             "metadata": {"encoding": "UTF-8"}}
        ],
        "columns": [
            {"name": name, "field_name": field, "pandas_type": kind, "numpy_type": numpy, "metadata": None}
            for name, field, kind, numpy in described
        ],
    }  # fmt: skip
    columns = {"task_index": pa.array(range(len(tasks)), pa.int64()), index: pa.array(tasks, pa.string())}
    return pa.table(columns).replace_schema_metadata({"pandas": json.dumps(told)})


__all__ = [
    "FILE",
    "OWN",
    "Column",
    "arrow_array",
    "arrow_type",
    "check",
    "columns_of",
    "feature_entry",
    "nested_type",
    "tasks_table",
]
