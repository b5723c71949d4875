"""Pictures whose names are a column of a table."""

from typing import Any

import numpy as np

from .._faults import fault, faults
from .._files import Root
from .._images import codec_of, decode_image
from .._picture_heads import encoded_shape
from ..streams import Picked, Range, Source, StreamSpec, listed
from ._table import Table

BYTES = 1 << 28  # of an encoded picture


class Files(Source):
    """Pictures in files of a folder."""

    def __init__(self, table: Table, column: int, root: Root) -> None:
        self.table, self.column, self.root = table, column, root
        self.shape: tuple[int | None, ...] = (None, None, None)
        self.dtype: Any = np.dtype(object)

    def _name(self, position: int) -> str:
        return str(self.table.parsed[2][self.column][position])

    def data(self, name: str, most: int = BYTES) -> bytes:
        """The bytes of a file, at most so many."""
        path = self.root.file(name)
        with faults(OSError, file=path, episode=self.table.episode), open(path, "rb") as file:
            found = file.read(most + 1)
        if len(found) > BYTES:
            raise fault(f"is a picture of more than {BYTES} bytes", file=path, episode=self.table.episode)
        return found

    def take(self, at: Picked) -> Any:
        """See `Source.take`."""
        picked = listed(at)
        fixed = None not in self.shape
        out: Any = np.empty((len(picked), *self.shape), self.dtype) if fixed else np.empty(len(picked), object)
        for row, position in enumerate(picked):
            name = self._name(int(position))
            place = {"file": self.root.path / name, "episode": self.table.episode}
            found = decode_image(self.data(name), self.shape[2] if fixed else None, **place)
            if fixed and (found.shape != self.shape or found.dtype != self.dtype):
                raise fault(f"is {found.dtype} {found.shape}; the first is {self.dtype} {self.shape}", **place)
            out[row] = found
        return out

    def encoded(self, at: Picked) -> list[bytes]:
        """See `Source.encoded`."""
        return [self.data(self._name(int(position))) for position in listed(at)]

    def ranges(self, at: Picked) -> list[Range]:
        """See `Source.ranges`."""
        found = []
        for position in listed(at):
            path = self.root.file(self._name(int(position)))
            with faults(OSError, file=path, episode=self.table.episode):
                size = path.stat().st_size
            found.append(Range(str(path), 0, size, codec_of(self.data(self._name(int(position)), 8)) or "unknown"))
        return found


def spec_of(name: str, source: Files, first: str) -> StreamSpec:
    """What the first picture says of the stream; nothing if it is not there."""
    codec = None
    try:
        head = source.data(first, 1 << 16)
        codec, told = codec_of(head), encoded_shape(head)
        if told is not None:
            source.shape, source.dtype = told
    except ValueError:
        codec = "png" if first.lower().endswith("png") else "jpeg"
    return StreamSpec(name, "image", source.shape, source.dtype, codec=codec)


__all__ = ["Files", "spec_of"]
