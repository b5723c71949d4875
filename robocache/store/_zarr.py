"""Zarr groups in the layout of Diffusion Policy's ReplayBuffer: ``data/<key>`` and ``meta/episode_ends``."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, DTypeError, PositionError, ShapeError
from ..datasets import StreamSpec
from ..datasets._faults import fault, faults, missing
from ._inputs import inputs, listing
from ._layout import NUMBERS, row_bytes
from ._pictures import decode
from ._store import Store
from .pipeline import at_once

CHUNK_BYTES, SHARD_BYTES = 64 << 10, 16 << 20
LOCAL = 1 << 20  # of metadata files


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        missing("zarr", "reading and writing Zarr", error)
    return zarr


class ZarrSource:
    r"""A ReplayBuffer on disk, of Zarr format 2 or 3, as a source for a loader.

    Parameters
    ----------
    path : path
        Of the group that holds ``data`` and ``meta/episode_ends``.
    rate : float, optional
        Hertz of the steps: the layout has no place for it.

    Attributes
    ----------
    name, fingerprint, streams, offsets, lengths, rate
        As of `Store`. The fingerprint is of names, sizes and times of change of the files, not of what they hold.

    Notes
    -----
    Chunks without a checksum hide a damaged value. Codecs that run code from the file are refused.
    """

    def __init__(self, path: str | os.PathLike[str], rate: float | None = None) -> None:
        self.path, self.rate, self.name = Path(path), rate, Path(path).stem
        if rate is not None and not 0 < rate < float("inf"):
            raise ArgumentError(f"rate: expected hertz, got {rate!r}")
        if not self.path.is_dir():
            raise fault("there is no such folder", file=self.path)
        _refuse_code(self.path)
        zarr = _zarr()
        with faults(Exception, file=self.path, doing="is no group of a ReplayBuffer"):
            group = zarr.open_group(str(self.path), mode="r")
            ends = np.asarray(group["meta/episode_ends"][:])
            arrays = {n: a for n, a in group["data"].members(max_depth=None) if hasattr(a, "dtype")}
            if ends.ndim != 1 or ends.dtype.kind not in "iu":
                raise ValueError(f"episode_ends is {ends.shape} of {ends.dtype}")
            self.offsets = np.concatenate([np.zeros(1, np.int64), ends.astype(np.int64)])
            if (np.diff(self.offsets) < 0).any():
                raise ValueError("episode_ends go back")
            odd = [n for n, a in arrays.items() if a.dtype.name not in NUMBERS or a.shape[:1] != (self.offsets[-1],)]
            if odd:
                raise ValueError(f"{odd[:3]} are no numbers, or not of {self.offsets[-1]} steps")
        self._arrays = arrays
        specs = {name: _spec(name, array) for name, array in sorted(arrays.items())}
        self.streams: Mapping[str, StreamSpec] = MappingProxyType(specs)
        self.lengths = np.diff(self.offsets)
        self.fingerprint: str = listing(inputs(self.path))["digest"]

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        """Samples of steps; see `Store.gather`."""
        if name not in self._arrays:
            raise ArgumentError(f"name: {name!r} is not there; there are {list(self.streams)}")
        spec, at = self.streams[name], np.asarray(rows)
        if at.dtype.kind not in "iu" and at.size:
            raise DTypeError(f"rows: expected integers, got {at.dtype}")
        wanted, places = np.unique(at.astype(np.int64), return_inverse=True)
        if len(wanted) and not (wanted[0] >= 0 and wanted[-1] < self.offsets[-1]):
            raise PositionError(f"rows: {wanted[0]} to {wanted[-1]} are not all within the {self.offsets[-1]} steps")
        with faults(Exception, file=self.path, key=name):
            found = _rows(self._arrays[name], wanted)
        found = np.asarray(found)[places.reshape(at.shape)].astype(spec.dtype, copy=False)
        if out is None:
            return found
        if not isinstance(out, np.ndarray) or out.dtype != spec.dtype:
            raise DTypeError(f"out: expected an array of {spec.dtype}, got {getattr(out, 'dtype', type(out).__name__)}")
        if out.shape != found.shape or not out.flags.c_contiguous:
            raise ShapeError(f"out: expected a C-contiguous array of {found.shape}, got {out.shape}")
        out[...] = found
        return out

    def encoded(self, name: str, rows: Any) -> list[bytes]:
        """Refused: all are plain numbers."""
        raise ArgumentError(f"name: {name!r} holds plain numbers; ask gather() for them")

    def valid(self, name: str, rows: Any) -> NDArray[np.bool_] | None:
        """None: the layout has no gaps."""
        return None

    def episode(self, number: int) -> int:
        """Its number: the layout has no names."""
        if not 0 <= number < len(self.lengths):
            raise PositionError(f"number: {number} is none of the {len(self.lengths)} episodes")
        return int(number)

    def close(self) -> None:
        """Nothing stays open."""

    def __reduce__(self) -> Any:
        return ZarrSource, (os.fspath(self.path), self.rate)


def _rows(array: Any, wanted: NDArray[np.int64]) -> Any:
    """Rows of rising numbers. Where each is a chunk, runs of neighbours: for those an index takes far longer."""
    if not len(wanted):
        return np.empty((0, *array.shape[1:]), array.dtype)
    if array.chunks[0] > 1:
        return array.oindex[wanted]
    runs = np.split(wanted, np.flatnonzero(np.diff(wanted) != 1) + 1)
    return np.concatenate([array[int(run[0]) : int(run[-1]) + 1] for run in runs])


def _spec(name: str, array: Any) -> StreamSpec:
    image = array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] in (1, 3, 4)
    shape = tuple(int(n) for n in array.shape[1:])
    return StreamSpec(name, "image" if image else "vector", shape, NUMBERS[array.dtype.name])


def _refuse_code(path: Path) -> None:
    """Raise if metadata asks for a codec that would run what is in the chunks."""
    for folder, _, names in os.walk(path):
        for name in {".zarray", ".zmetadata", "zarr.json"} & set(names):
            file = Path(folder) / name
            with faults(OSError, ValueError, RecursionError, file=file, doing="is no metadata of Zarr"):
                if file.stat().st_size > LOCAL:
                    raise ValueError(f"it is longer than {LOCAL} bytes")
                if _asks_for_pickles(json.loads(file.read_bytes())):
                    raise ValueError("it asks for pickles, which run code")


def _asks_for_pickles(told: Any) -> bool:
    """Whether a codec anywhere in metadata is called so; what users wrote of their data does not count."""
    if isinstance(told, list):
        return any(map(_asks_for_pickles, told))
    if not isinstance(told, dict):
        return False
    named = any("pickle" in str(told.get(key, "")).lower() for key in ("id", "name"))
    return named or any(
        _asks_for_pickles(value) for key, value in told.items() if not str(key).endswith(("attributes", ".zattrs"))
    )


def export_zarr(
    store: Store, path: str | os.PathLike[str], *, streams: Sequence[str] | None = None, zarr_format: int = 3,
    compress: bool = False,
) -> list[str]:  # fmt: skip
    """Write a store as a ReplayBuffer.

    Parameters
    ----------
    store : Store
    path : path
        A folder that is not there.
    streams : sequence of str, optional
        Which; by default all but text.
    zarr_format : {3, 2}
        3 with sharding; 2, which the code of Diffusion Policy reads.
    compress : bool
        By Zarr's default codec.

    Returns
    -------
    list of str
        Names of streams that were left out.

    Raises
    ------
    ArgumentError
        A folder that is there; text, bfloat16 or pictures of differing size that were asked for, or gaps, none of
        which the layout holds.
    """
    zarr, target = _zarr(), Path(path)
    if target.exists() or zarr_format not in (2, 3):
        raise ArgumentError(
            f"path, zarr_format: expected a path that is not there and 2 or 3, got {target}, {zarr_format}"
        )
    odd = {
        name: spec for name, spec in store.streams.items()
        if spec.codec == "utf-8" or spec.dtype.name == "bfloat16" or None in spec.shape
    }  # fmt: skip
    wanted = [name for name in store.streams if name not in odd] if streams is None else list(streams)
    if bad := [name for name in wanted if name in odd or name not in store.streams or name in store.gaps]:
        raise ArgumentError(f"streams: {bad} cannot be written: text, bfloat16, gaps, or differing sizes")
    root = zarr.create_group(str(target), zarr_format=zarr_format)
    data, meta = root.create_group("data"), root.create_group("meta")
    ends = store.offsets[1:]
    array = meta.create_array("episode_ends", shape=ends.shape, dtype="int64", chunks=(max(1, len(ends)),))
    array[:] = ends
    for name in wanted:
        _write(store, name, data, zarr_format, compress)
    return [name for name in store.streams if name not in wanted]


def _write(store: Store, name: str, data: Any, zarr_format: int, compress: bool) -> None:
    """One array, a chunk of a picture or of 64 KiB of numbers."""
    spec, steps = store.streams[name], int(store.offsets[-1])
    row = max(1, row_bytes(spec))
    chunk = 1 if spec.kind in ("image", "depth") else max(1, min(steps, CHUNK_BYTES // row))
    outer = chunk * max(1, min(-(-steps // chunk), SHARD_BYTES // (chunk * row)))
    shape = tuple(int(n or 0) for n in spec.shape)
    options: dict[str, Any] = {
        "shape": (steps, *shape),
        "dtype": spec.dtype.name,
        "chunks": (chunk, *map(_some, shape)),
    }
    if zarr_format == 3:
        options["shards"] = (outer, *map(_some, shape))
    if not compress:
        options["compressors"] = None
    array = data.create_array(name, **options)
    step = max(outer, at_once(spec) // outer * outer)
    for first in range(0, steps, step):
        rows = np.arange(first, min(steps, first + step))
        if spec.codec is None:
            array[first : first + step] = store.gather(name, rows)
        else:
            parts = store.encoded(name, rows)
            array[first : first + step] = decode(spec, store.dct(name), parts, file=store.path, key=name)


def _some(size: int) -> int:
    return max(1, size)


__all__ = ["ZarrSource", "export_zarr"]
