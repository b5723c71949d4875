"""Files in memory, read only, that hold no descriptor: a store has more files than a process may have open."""

import ctypes
import os
import weakref
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..datasets._faults import faults

READ, SHARED = 1, 1
FAILED = ctypes.c_void_p(-1).value
_c = ctypes.CDLL(None, use_errno=True)
_map = ctypes.CFUNCTYPE(
    ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long,
    use_errno=True,
)(("mmap", _c))  # fmt: skip
_unmap = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t)(("munmap", _c))


def mapped(path: Path) -> NDArray[np.uint8]:
    """The bytes of a file as an array that cannot be written to; the map lives as long as any view of it.

    Python's own ``mmap`` keeps a descriptor for each map before 3.13. As with any map, a file that is cut short while
    it is read ends the process.
    """
    with faults(OSError, file=path), open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return np.zeros(0, np.uint8)
        start = _map(None, size, READ, SHARED, file.fileno(), 0)
        if start == FAILED:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    memory: Any = (ctypes.c_uint8 * size).from_address(start)
    weakref.finalize(memory, _unmap, start, size).atexit = False  # the process takes its maps along
    return np.frombuffer(memoryview(memory).toreadonly(), np.uint8)


__all__ = ["mapped"]
