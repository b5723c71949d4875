"""Columns of Arrow as arrays of NumPy. Whatever does not fit the feature is a ValueError."""

import math
from typing import Any

import numpy as np

from ._info import Feature


def array_of(column: Any, feature: Feature) -> Any:
    r"""A chunked column as an array (row, \*sample) of the feature's dtype; of objects where it is text."""
    if feature.spec.dtype == object:
        return _objects(column)
    parts = [_numbers(chunk, feature) for chunk in column.chunks]
    found = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.empty(0, feature.spec.dtype)
    found = found.reshape(-1, *feature.spec.shape)
    found.flags.writeable = False  # it is remembered and handed to others
    return found


def _objects(column: Any) -> Any:
    values = column.to_pylist()
    found = np.empty(len(values), object)
    for k, value in enumerate(values):  # one by one: NumPy would make a table of lists of one length
        found[k] = value
    return found


def _numbers(array: Any, feature: Feature) -> Any:
    """One chunk, flat; no copy where it is as wanted."""
    widths, count = [], len(array)
    while True:
        array = getattr(array, "storage", array)  # of an extension type
        if array.null_count:
            raise ValueError("a value is missing")
        if not (width := _width(array)):
            break
        widths.append(width)
        array, count = _inner(array, width), count * width
        if len(array) != count:
            raise ValueError(f"holds {len(array)} numbers, expected {count}")
    shape = feature.spec.shape
    if tuple(widths) != shape and not (shape == () and widths == [1]) and count:
        raise ValueError(f"a sample has the shape {tuple(widths)}, expected {shape}")
    return _cast(array.to_numpy(zero_copy_only=False), feature.spec.dtype)


def _inner(array: Any, width: int) -> Any:
    """What the lists of an array hold. Its own `flatten` would import all functions of Arrow first, 30 ms of them."""
    import pyarrow as pa

    fixed = pa.types.is_fixed_size_list(array.type)
    first = array.offset * width if fixed else int(array.offsets[0].as_py()) if len(array) else 0
    return array.values.slice(first, len(array) * width)


def _width(array: Any) -> int:
    """Of the lists that an array holds, 0 if they are none."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_fixed_size_list(kind):
        if kind.list_size <= 0:
            raise ValueError("a list is empty")
        return int(kind.list_size)
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        widths = np.diff(array.offsets.to_numpy())
        if not len(widths):
            return 1
        if widths[0] <= 0 or bool((widths != widths[0]).any()):
            raise ValueError("lists of differing lengths")
        return int(widths[0])
    return 0


def _cast(values: Any, dtype: np.dtype[Any]) -> Any:
    """To the dtype of info.json. Floats are rounded, as LeRobot does; nothing else may change a value."""
    if values.dtype == dtype or (values.dtype.kind == dtype.kind == "f"):
        return values.astype(dtype, copy=False)
    if values.dtype.kind in "iu" and dtype.kind in "iuf":
        changed = values.astype(dtype)
        if dtype.kind == "f" or not len(values):
            if bool((changed.astype(values.dtype) == values).all()):
                return changed
        elif np.iinfo(dtype).min <= int(values.min()) and int(values.max()) <= np.iinfo(dtype).max:
            return changed
    raise ValueError(f"holds {values.dtype}, which is not all {dtype}")


def cells(column: Any) -> list[Any]:
    """A column of encoded pictures as (bytes, path) or bytes; chunks that are read cell by cell."""
    import pyarrow as pa

    kind = column.type
    plain = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    if not plain and not (pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0):
        raise ValueError(f"holds {kind}, expected bytes of pictures")
    return list(column.chunks)


def cell(chunks: list[Any], row: int) -> tuple[bytes | None, str | None]:
    """Bytes and path of one picture; either may be absent."""
    for chunk in chunks:
        if row < len(chunk):
            value = chunk[row].as_py()
            if isinstance(value, dict):
                return value.get("bytes"), value.get("path")
            return value, None
        row -= len(chunk)
    raise ValueError(f"has no row {row}")


def weight(thing: Any) -> int:
    """About how many bytes of memory something takes that was read from a column."""
    if isinstance(thing, list):
        return sum(chunk.nbytes for chunk in thing)
    return int(thing.nbytes) if thing.dtype != object else 64 * len(thing) + sum(map(_length, thing))


def _length(value: Any) -> int:
    return len(value) if isinstance(value, str) else 256 * len(value) if isinstance(value, list) else 0


def plain(name: str, dtype: str = "int64") -> Feature:
    """The feature that a column of the format's own has, such as ``episode_index``."""
    from ..streams import StreamSpec

    return Feature(StreamSpec(name, "vector", (), np.dtype(dtype)), dtype, (1,))


def cells_in(shape: tuple[int | None, ...]) -> int:
    """Numbers of a sample."""
    return math.prod(n or 0 for n in shape)


__all__ = ["array_of", "cell", "cells", "cells_in", "plain", "weight"]
