"""Frames of video files by their ordinal, decoded on the CPU.

A file is looked through once for the times of its frames and for its key frames. To read frames, the key frame at or
before the first one is sought and decoding goes on from there; only what was asked for is held in memory.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from .._core.errors import ArgumentError
from ._container import Container, FrameIndex, pyav
from ._depth import DepthCode
from ._faults import faults
from ._kept import Kept
from ._pool import Pool
from .streams import Picked, Source, listed

OPEN = 16  # containers that stay open between reads
OPEN_ON_DEVICE = 4  # the same with a decoder of a card, which holds some of its memory
INDEX_BYTES = 32 << 20  # of frame times that are remembered
GRAYS = {"gray12le": "<u2", "gray16le": "<u2", "gray10le": "<u2", "gray": "u1"}


class Videos:
    """Open files and frame times, shared by the streams of a dataset.

    Parameters
    ----------
    limit : int
        Files that stay open between reads, with a decoder each.
    threads : int
        Threads of a decoder. One is best where several files are read at once.
    """

    def __init__(self, limit: int = OPEN, threads: int = 1) -> None:
        if limit < 0 or threads < 1:
            raise ArgumentError(f"limit, threads: expected at least 0 and 1, got {limit} and {threads}")
        self._pool, self._on_device = Pool(limit, self._shut), Pool(min(limit, OPEN_ON_DEVICE), self._shut)
        self._indices, self._threads = Kept(INDEX_BYTES), threads

    @staticmethod
    def _shut(video: Any) -> None:
        with suppress(OSError, ValueError):  # it is given up either way
            video.close()

    @contextmanager
    def lease(self, path: Path, *, device: int | None = None, **place: Any) -> Iterator[tuple[Any, FrameIndex]]:
        """An open file for this thread, and what it holds. Whatever is wrong with it is a DataError.

        It is a Container, or an Nvdec where a device is given.
        """
        av = pyav()
        kinds = (av.FFmpegError, OSError, ValueError, MemoryError, OverflowError, NotImplementedError)
        with faults(*kinds, file=path, **place, doing="is no video that can be decoded"):
            status = path.stat()
            name = os.fspath(path), status.st_size, status.st_mtime_ns
            pool = self._pool if device is None else self._on_device
            with pool.lease((*name, device), lambda: self._open(path, device)) as video:
                yield video, self._indices.get(name, video.survey, FrameIndex.nbytes)

    def _open(self, path: Path, device: int | None) -> Any:
        container = Container(path, self._threads)
        if device is None:
            return container
        from ._gpu_video import opened

        return opened(container, device)

    def close(self) -> None:
        """Close what is open."""
        self._pool.close()
        self._on_device.close()


class VideoSource(Source):
    """A run of frames of a video file.

    Parameters
    ----------
    path : Path, or function that returns one
        Asked when the first frame is read.
    first : int, or function that returns one
        Ordinal of the first frame, counted from 0 in the order shown.
    count : int
        Frames.
    shape : tuple of int, optional
        Height, width and channels that each must have; by default those of the file.
    total : int, or function that returns one, optional
        Frames that the whole file must have.
    gray : str, optional
        A pixel format such as ``"gray12le"`` that the file must have; samples are then its own numbers, not RGB.
    depth : DepthCode, optional
        What those numbers mean; samples are then metres.
    videos : Videos, optional
        Open files to share.
    episode, key : optional
        Named in errors.

    Notes
    -----
    Without ``gray`` samples are uint8 (height, width, 3), in RGB, as PyAV's ``to_ndarray(format="rgb24")`` makes them.
    """

    def __init__(
        self, path: Path | Callable[[], Path], first: int | Callable[[], int], count: int, *,
        shape: tuple[int | None, ...] | None = None, total: int | Callable[[], int | None] | None = None,
        gray: str | None = None, depth: DepthCode | None = None, videos: Videos | None = None,
        episode: Any = None, key: str | None = None,
    ) -> None:  # fmt: skip
        if gray is not None and gray not in GRAYS:
            raise ArgumentError(f"gray: expected one of {sorted(GRAYS)}, got {gray!r}")
        self._path, self._first, self.count, self._shape, self._total = path, first, count, shape, total
        self._gray, self._depth, self._videos = gray, depth, videos if videos is not None else SHARED
        self._place = {"episode": episode, "key": key}

    @cached_property
    def path(self) -> Path:
        """Of the file."""
        return self._path() if callable(self._path) else self._path

    @cached_property
    def first(self) -> int:
        """Ordinal of the first frame."""
        return self._first() if callable(self._first) else self._first

    def encoded(self, at: Picked) -> list[bytes]:
        """Refused: a frame of a video cannot be decoded without those before it."""
        raise ArgumentError("decode=False: a frame of a video is not encoded on its own; read it decoded")

    def frames(self) -> "VideoSource":
        """See `Source.frames`."""
        return self

    def refusal(self, device: int) -> str:
        """Why a card cannot decode this; nothing if it can."""
        if self._gray is not None:
            return f"its pixels are {self._gray}, not colours"
        with self._videos.lease(self.path, device=device, **self._place) as (video, index):
            found: str = video.refusal(index)
            return found

    def take_on(self, at: Picked, device: int) -> Any:
        """Frames decoded on the device, which is the current one; a CuPy array, ordered on its current stream."""
        from ._gpu_video import rgb

        with self._videos.lease(self.path, device=device, **self._place) as (video, index):
            self._checked(index)
            return rgb(video, index, self.first + listed(at))

    def take(self, at: Picked) -> Any:
        """Decoded frames."""
        ordinals = self.first + listed(at)
        order = np.argsort(ordinals, kind="stable")
        with self._videos.lease(self.path, **self._place) as (video, index):
            shape = self._checked(index)
            dtype = np.float32 if self._depth is not None else GRAYS[self._gray] if self._gray else np.uint8
            out = np.empty((len(ordinals), *shape), dtype)
            wanted, starts = np.unique(ordinals[order], return_index=True)
            slots = np.split(order, starts[1:]) if len(order) else []
            for frame, places in zip(video.frames(index, wanted), slots, strict=True):
                out[places] = self._converted(frame, shape)
        return out

    def _checked(self, index: FrameIndex) -> tuple[int, ...]:
        """Shape of a sample, if the file has the frames and the size that it should have."""
        total = self._total() if callable(self._total) else self._total
        if total is not None and total != len(index.pts):
            raise ValueError(f"has {len(index.pts)} frames, expected {total}")
        if not 0 <= self.first <= self.first + self.count <= len(index.pts):
            raise ValueError(f"has {len(index.pts)} frames; {self.first} to {self.first + self.count} are wanted")
        shape = (*index.shape, *((3,) if not self._gray else ())) if self._shape is None else self._shape
        if tuple(shape[:2]) != index.shape:
            raise ValueError(f"has frames of {index.shape}, expected {shape[:2]}")
        return (*index.shape, *(int(n or 0) for n in shape[2:]))

    def _converted(self, frame: Any, shape: tuple[int, ...]) -> Any:
        if (frame.height, frame.width) != shape[:2]:
            raise ValueError(f"a frame is {frame.height} x {frame.width}, expected {shape[:2]}")
        if self._gray is None:
            return frame.to_ndarray(format="rgb24")
        if frame.format.name != self._gray:
            raise ValueError(f"has pixels of {frame.format.name}, expected {self._gray}")
        plane, dtype = frame.planes[0], np.dtype(GRAYS[self._gray])
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: shape[0], : shape[1] * dtype.itemsize]
        codes = np.ascontiguousarray(rows).view(dtype)
        return (codes if self._depth is None else self._depth.metres(codes)).reshape(shape)


SHARED = Videos()

__all__ = ["FrameIndex", "VideoSource", "Videos"]
