"""Packed varints to int64 and back."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray


class Damaged(ValueError):
    """Bytes that no writer of protobuf makes."""


LONG = 1 << 20  # bytes from which on compiling pays
MOST = 10  # bytes of a varint


def count_varints(data: NDArray[np.uint8]) -> int:
    """How many numbers end in these bytes."""
    return int(np.count_nonzero(data < 128))


def varints(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    """All numbers; Damaged where one is cut off or too long."""
    if data.size == 0:
        return np.zeros(0, np.int64)
    if data[-1] >= 128:
        raise Damaged("a number is cut off")
    if data.size >= LONG:
        return _compiled_varints(data)
    last = np.flatnonzero(data < 128)
    if last.size == data.size:
        return data.astype(np.int64)
    first = np.concatenate([np.zeros(1, np.int64), last[:-1] + 1])
    sizes = last - first + 1
    longest = int(sizes.max())
    if longest > MOST:
        raise Damaged("a number is longer than ten bytes")
    found = np.zeros(last.size, np.uint64)
    for k in range(longest):
        far = np.flatnonzero(sizes > k)
        found[far] |= (data[first[far] + k] & 127).astype(np.uint64) << np.uint64(7 * k)
    return found.view(np.int64)


def _compiled_varints(data: NDArray[np.uint8]) -> NDArray[np.int64]:
    found = np.empty(count_varints(data), np.int64)
    if _loop()(data, found) < 0:
        raise Damaged("a number is longer than ten bytes")
    return found


@cache
def _loop() -> Any:
    from ...cpu._jit import kernel

    return kernel()(_decode)


def _decode(data: Any, found: Any) -> int:
    """See varints; the last byte ends a number, and ``found`` has room for all."""
    size, at = 0, 0
    while at < data.size:
        value, shift = np.uint64(0), 0
        while True:
            byte = data[at]
            at += 1
            value |= np.uint64(byte & 127) << np.uint64(shift)
            if byte < 128:
                break
            shift += 7
            if shift > 63:
                return -1
        found[size] = np.int64(value)
        size += 1
    return size


def packed(values: NDArray[Any]) -> bytes:
    """Int64 numbers as varints."""
    left = np.ascontiguousarray(values, np.int64).reshape(-1).view(np.uint64)
    if left.size == 0 or int(left.max()) < 128:
        return left.astype(np.uint8).tobytes()
    table = np.zeros((left.size, MOST), np.uint8)
    used = np.zeros((left.size, MOST), bool)
    more = np.ones(left.size, bool)
    for k in range(MOST):
        table[:, k], used[:, k] = left & np.uint64(127), more
        left = left >> np.uint64(7)
        table[left > 0, k] |= 128
        more = left > 0
        if not more.any():
            break
    return table[used].tobytes()


__all__ = ["Damaged", "count_varints", "packed", "varints"]
