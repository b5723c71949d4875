"""Attributes of HDF5 objects: numbers and text."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from ._hdf5 import TEXT_BYTES, dtype_of
from ._hdf5_text import Raw


def attributes(thing: Any, path: Path) -> dict[str, Any]:
    """The attributes of an object: numbers, arrays of them, text. Call it with the lock."""
    import h5py

    count = h5py.h5a.get_num_attrs(thing)
    if count > 10_000:
        raise ValueError("an object has more than 10000 attributes")
    opened = [h5py.h5a.open(thing, index=i) for i in range(count)]
    return {one.name.decode("utf-8"): attribute(thing, one, path) for one in opened}


def attribute(thing: Any, one: Any, path: Path) -> Any:
    """The value of an attribute. Call it with the lock."""
    import h5py

    kind = one.get_type()
    stored, text = dtype_of(kind)
    shape = tuple(int(n) for n in one.shape)
    if math.prod(shape) * max(1, kind.get_size()) > TEXT_BYTES:
        raise ValueError(f"the attribute {one.name!r} is too long")
    if text and kind.is_variable_str():
        raw = Raw(path)
        count = math.prod(shape)
        found = raw.attribute(h5py.h5o.get_info(thing).addr, one.name, count) if raw.usable else None
        if found is None:  # a newer form, which libhdf5 itself guards with checksums
            buffer = np.empty(shape, h5py.string_dtype())
            one.read(buffer, mtype=h5py.h5t.py_create(buffer.dtype))
            found = [item if isinstance(item, bytes) else str(item).encode() for item in buffer.reshape(-1).tolist()]
        out = np.empty(count, object)
        out[:] = [item.rstrip(b"\0").decode("utf-8") for item in found]
        return out.reshape(shape)[()]
    values = np.zeros(shape, stored)
    one.read(values, mtype=h5py.h5t.py_create(stored))
    if text:
        return texts(values)[()]
    return values[()]


def texts(values: Any) -> Any:
    """Bytes of fixed length as text."""
    out = np.empty(values.shape, object)
    for where, item in np.ndenumerate(values):
        out[where] = bytes(item).rstrip(b"\0").decode("utf-8")
    return out


def text_attribute(thing: Any, name: str, path: Path) -> Any:
    """One attribute, or None if it is not there. Call it with the lock."""
    import h5py

    if not h5py.h5a.exists(thing, name.encode()):
        return None
    return attribute(thing, h5py.h5a.open(thing, name.encode()), path)


__all__ = ["attribute", "attributes", "text_attribute", "texts"]
