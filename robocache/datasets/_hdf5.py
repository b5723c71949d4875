"""HDF5 files that were written by others: what is in them, without following anything that leads out of them."""

import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import DataError
from ._faults import fault, faults, missing
from ._hdf5_chunks import GZIP, SHUFFLE, Packed
from ._kept import Kept
from ._pool import Pool
from .streams import Kind

# Whatever h5py throws over bad bytes.
PROBLEMS = (
    OSError, RuntimeError, KeyError, ValueError, TypeError, AttributeError, IndexError, MemoryError, OverflowError,
    SystemError,
)  # fmt: skip
LOCK = threading.RLock()  # libhdf5 does one thing at a time


def _forked() -> None:
    """Another thread of the parent may hold the lock, and does not exist here."""
    global LOCK
    LOCK = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
OPEN_FILES = 16
CHUNK_BYTES = 32 << 20  # of unpacked chunks that are kept
PLACE_BYTES = 16 << 20  # of where chunks lie
MAX_BYTES = 4 << 30
NAMES, DATASETS, DEPTH, HOPS = 1_000_000, 10_000, 8, 8
TEXT_BYTES = 1 << 26
ROWS = 1 << 26
SMALL, RATIO = 1 << 26, 1100  # gzip makes at most 1032 bytes of one


class Node(NamedTuple):
    """A dataset of a file, looked at and not read."""

    name: str  # below the group that was looked into
    path: str  # in the file
    shape: tuple[int, ...]
    dtype: np.dtype[Any]  # in the byte order of this machine; object for text
    stored: np.dtype[Any]
    offset: int | None  # of its bytes, where they lie in one piece and as they are in memory
    packed: Packed | None  # where chunks can be read here
    chunk: tuple[int, ...] | None
    most: int  # bytes that a file of this size may unpack to
    raw_text: bool = False  # references to text at ``offset``


class Files:
    """Open files, a bounded number of them, used by one thread at a time."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.chunks, self.places = Kept(CHUNK_BYTES), Kept(PLACE_BYTES, lone=True)
        self._pool = Pool(OPEN_FILES, _close)
        self._handles = Pool(OPEN_FILES, os.close)

    def handle(self, path: Path) -> AbstractContextManager[int]:
        """The file for `os.pread`, with no lock. Raises OSError."""
        return self._handles.lease(str(path), lambda: os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0)))

    @contextmanager
    def use(self, path: Path, **place: Any) -> Iterator[Any]:
        """The file, for reading; what goes wrong within becomes a DataError."""
        try:
            import h5py
        except ImportError as error:
            missing("h5py", "reading HDF5", error)

        def make() -> Any:
            with faults(*PROBLEMS, file=path, doing="is no HDF5 that can be read", **place):
                return h5py.File(path, "r", locking="best-effort")

        with LOCK, self._pool.lease(path, make) as file:
            try:
                yield file
            except DataError as error:
                raise error if error.file is not None else _placed(error, path, **place) from error
            except PROBLEMS as error:
                raise fault(f"is no HDF5 that can be read: {error}", file=path, **place) from error

    def close(self) -> None:
        """Close what is open."""
        self.chunks.clear()
        self.places.clear()
        self._handles.close()
        with LOCK:
            self._pool.close()


def _placed(error: DataError, path: Path, **place: Any) -> DataError:
    found = fault(str(error), file=path, **place)
    found.key = error.key or found.key
    return found


def _close(file: Any) -> None:
    with LOCK:
        file.close()


def names(group: Any) -> list[str]:
    """Names in a group. Call it with the lock."""
    if group.get_num_objs() > NAMES:
        raise ValueError(f"a group has more than {NAMES} names")
    return [name.decode("utf-8") for name in group]


def child(group: Any, name: str, hops: int = HOPS) -> Any:
    """What a name in a group leads to, within the file. Call it with the lock."""
    import h5py

    key = name.encode("utf-8")
    kind = group.links.get_info(key).type
    if kind == h5py.h5l.TYPE_HARD:
        return h5py.h5o.open(group, key)
    if kind != h5py.h5l.TYPE_SOFT or hops <= 0:
        raise ValueError(f"{name!r} is a link that leads out of the file or to other links")
    target = group.links.get_val(key).decode("utf-8")
    found = h5py.h5o.open(group, b"/") if target.startswith("/") else group
    for part in target.split("/"):
        if part not in ("", "."):
            found = child(found, part, hops - 1)
    return found


def at(file: Any, path: str) -> Any:
    """The object at a path of the file, or None if there is none. Call it with the lock."""
    import h5py

    found = file.id
    found = h5py.h5o.open(found, b"/")
    for part in path.split("/"):
        if part and (not isinstance(found, h5py.h5g.GroupID) or part.encode() not in found):
            return None
        found = child(found, part) if part else found
    return found


def visit(group: Any, prefix: str, size: int, wanted: Callable[[str], bool] = lambda name: True) -> list[Node]:
    """All datasets below a group; ``size`` is that of the file. Call it with the lock."""
    import h5py

    found: list[Node] = []
    work = [(group, "", 0)]
    while work:
        here, above, depth = work.pop()
        below = []
        for name in names(here):
            whole = f"{above}{name}"
            thing = child(here, name)
            if isinstance(thing, h5py.h5g.GroupID):
                if depth >= DEPTH:
                    raise ValueError(f"{whole!r} lies deeper than {DEPTH} groups")
                below.append((thing, f"{whole}/", depth + 1))
            elif isinstance(thing, h5py.h5d.DatasetID) and wanted(whole):
                with faults(*PROBLEMS, key=whole, doing="cannot be read"):
                    found.append(describe(thing, whole, f"{prefix}/{whole}", size))
                if len(found) > DATASETS:
                    raise ValueError(f"it has more than {DATASETS} datasets")
        work += reversed(below)
    return found


def describe(dataset: Any, name: str, path: str, size: int) -> Node:
    """A dataset, without reading it. Raises ValueError for one that may not be read. Call it with the lock."""
    import h5py

    plist, kind = dataset.get_create_plist(), dataset.get_type()
    layout = plist.get_layout()
    if layout not in (h5py.h5d.COMPACT, h5py.h5d.CONTIGUOUS, h5py.h5d.CHUNKED) or plist.get_external_count():
        raise ValueError("its values lie in other files")
    stored, text = dtype_of(kind)
    shape = tuple(int(n) for n in dataset.shape)
    if shape and shape[0] > ROWS:
        raise ValueError(f"it claims {shape[0]} rows, more than {ROWS}")
    dtype = np.dtype(object) if text else stored.newbyteorder("=")
    filters = tuple(int(plist.get_filter(i)[0]) for i in range(plist.get_nfilters()))
    for code in filters:
        if not h5py.h5z.filter_avail(code):
            raise ValueError(f"it is packed with filter {code}, which this h5py lacks; import hdf5plugin first")
    same = not text and bool(kind.equal(h5py.h5t.py_create(stored, logical=True)))
    offset, packed, chunk = None, None, None
    one_piece = layout == h5py.h5d.CONTIGUOUS and not filters
    if one_piece and (same or kind.get_class() == h5py.h5t.STRING):
        offset = dataset.get_offset()
        if offset is not None and offset + math.prod(shape) * kind.get_size() > size:
            raise ValueError(f"is cut off: {shape} of {stored} at {offset} do not lie within {size} bytes")
        if not same and not (text and kind.is_variable_str()):
            offset = None
    if layout == h5py.h5d.CHUNKED:
        chunk = tuple(int(n) for n in plist.get_chunk())
        if same and set(filters) <= {GZIP, SHUFFLE} and len(set(filters)) == len(filters) and shape:
            fill = np.zeros((), stored)
            plist.get_fill_value(fill)
            packed = Packed(chunk, filters, fill[()])
    native = stored.isnative and not text
    place = offset if native or text else None
    return Node(name, path, shape, dtype, stored, place, packed, chunk, max(SMALL, RATIO * size), text)


def dtype_of(kind: Any) -> tuple[np.dtype[Any], bool]:
    """The NumPy type of an HDF5 type, and whether it is text. Raises ValueError for any that is not read."""
    import h5py

    if kind.get_class() == h5py.h5t.STRING:
        if not kind.is_variable_str() and kind.get_size() > TEXT_BYTES:
            raise ValueError("its texts are too long")
        return (np.dtype(object) if kind.is_variable_str() else np.dtype(f"S{kind.get_size()}")), True
    if kind.get_class() in (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.ENUM):
        dtype = np.dtype(kind.dtype)
        if dtype.kind in "iufb" and dtype.fields is None and dtype.subdtype is None:
            return np.dtype(dtype.str), False
    raise ValueError("values of its type are not read: only numbers, bools and text are")


def kind_of(node: Node) -> Kind:
    """What a stream of this dataset is."""
    shape = node.shape[1:]
    if node.dtype == object:
        return "text"
    if node.dtype == np.uint8 and len(shape) == 3 and shape[2] in (1, 3, 4):
        return "image"
    if "depth" in node.name and (len(shape) == 2 or (len(shape) == 3 and shape[2] == 1)):
        return "depth"
    return "event" if node.dtype == bool and not shape else "vector"


def file_size(path: Path) -> int:
    """Bytes of a file."""
    with faults(OSError, file=path):
        return os.stat(path).st_size


def read_whole(files: Files, path: Path, node: Node, **place: Any) -> Any:
    """All values of a small dataset. Raises DataError over the limit."""
    if math.prod(node.shape) * max(1, node.stored.itemsize) > files.max_bytes:
        raise fault(f"needs more than max_bytes={files.max_bytes}", file=path, key=node.name, **place)
    from ._hdf5_rows import Rows

    if not node.shape:
        return Rows(files, path, node._replace(shape=(1,)), **place).take(slice(0, 1, 1))[0]
    return Rows(files, path, node, **place).take(slice(0, node.shape[0], 1))


__all__ = [
    "MAX_BYTES", "Files", "Node", "at", "child", "describe", "file_size", "kind_of", "names",
    "read_whole", "visit",
]  # fmt: skip
