"""An open video file: which frames it has, and how to get to some of them."""

import os
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ._faults import missing
from ._images import PIXELS

# Said to FFmpeg, so that no file is taken for a playlist that leads elsewhere.
DEMUXERS = {".mp4": "mp4", ".m4v": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm", ".avi": "avi"}
SHORT = 8  # frames from key frame to key frame that are soon decoded again
UNORDERED = {"av1", "vp8", "vp9", "mjpeg", "ffv1"}  # codecs whose frames are shown in the order they are stored in


def pyav() -> Any:
    """PyAV, or an error that says how to install it."""
    try:
        import av
    except ImportError as error:
        missing("av", "decoding video", error)
    return av


class FrameIndex(NamedTuple):
    """What a file holds: times in its own unit, in the order shown; key frames by ordinal, and where to seek."""

    pts: NDArray[np.int64]
    keys: NDArray[np.int64]
    seeks: NDArray[np.int64]
    shape: tuple[int, int]

    def nbytes(self) -> int:
        """Of memory."""
        return self.pts.nbytes + self.keys.nbytes + self.seeks.nbytes


class _Packet(NamedTuple):
    pts: int
    dts: int
    key: bool


class Container:
    """One open file and where its decoder is; for one thread at a time. Raises ValueError, or what PyAV raises."""

    def __init__(self, path: Path, threads: int) -> None:
        av = pyav()
        demuxer = DEMUXERS.get(path.suffix.lower())
        if demuxer is None:
            raise ValueError(f"videos of type {path.suffix!r} are not read; {', '.join(DEMUXERS)} are")
        self.size, self._mp4 = path.stat().st_size, demuxer == "mp4"
        options = {"protocol_whitelist": "file"}
        self.container = av.open(f"file:{os.path.abspath(path)}", format=demuxer, options=options)
        try:
            if not self.container.streams.video:
                raise ValueError("holds no video")
            self.stream = self.container.streams.video[0]
            context = self.stream.codec_context
            if context is None:
                raise ValueError("holds video that no decoder is known for")
            self.codec = context.codec.canonical_name
            # A damaged frame is an error, not a guess at what it may have looked like.
            context.options = {"max_pixels": str(PIXELS), "err_detect": "explode"}
            context.thread_count, context.thread_type = threads, "AUTO" if threads > 1 else "NONE"
        except BaseException:
            self.container.close()
            raise
        self._next, self._fresh = -1, False  # the ordinal that comes next; whether a seek was just made
        self._frames: Iterator[Any] = iter(())
        self._last = -1  # the ordinal after which nothing is wanted for now, so that the decoder is emptied
        self._empty = False

    def close(self) -> None:
        """Let go of file and decoder."""
        self._frames = iter(())
        self.container.close()

    def survey(self) -> FrameIndex:
        """Look at every packet, or at the table of contents where it says as much."""
        height, width = int(self.stream.height or 0), int(self.stream.width or 0)
        if not 0 < height * width <= PIXELS:
            raise ValueError(f"claims {height} x {width} pixels")
        # MP4 lists every frame; the lists of others are for seeking, and have gaps.
        entries = getattr(self.stream, "index_entries", None) if self._mp4 else None
        known = len(entries) if entries is not None else 0
        if known > self.size:
            raise ValueError(f"claims {known} frames in {self.size} bytes")
        packets = self._listed(entries) if known and self.codec in UNORDERED else self._demuxed(known)
        pts = np.array([packet.pts for packet in packets], np.int64)
        order = np.argsort(pts, kind="stable")
        pts = pts[order]
        if not len(pts) or bool((pts[1:] == pts[:-1]).any()):
            raise ValueError("two frames have the same time" if len(pts) else "holds no frame")
        keys = np.flatnonzero(np.array([packet.key for packet in packets])[order])
        if not len(keys) or keys[0] != 0:
            raise ValueError("does not begin with a key frame")
        seeks = np.array([packet.dts for packet in packets], np.int64)[order][keys]
        return FrameIndex(pts, keys, seeks, (height, width))

    def _listed(self, entries: Any) -> list[_Packet]:
        """From the table of contents alone, so that the frames themselves need not be read."""
        for entry in (entries[0], entries[len(entries) - 1]):
            if entry.pos < 0 or entry.size <= 0 or entry.pos + entry.size > self.size:
                raise ValueError(f"is cut off: a frame of {entry.size} bytes at {entry.pos}, and it has {self.size}")
        return [_Packet(e.timestamp, e.timestamp, e.is_keyframe) for e in entries if not e.is_discard]

    def _demuxed(self, known: int) -> list[_Packet]:
        packets, seen = [], 0
        for packet in self.container.demux(self.stream):
            if packet.size == 0:
                continue  # what flushes the decoder
            seen += 1
            if seen > self.size:
                raise ValueError(f"holds more frames than its {self.size} bytes")
            if packet.is_discard:
                continue  # decoded, not shown
            if packet.pts is None or packet.is_corrupt:
                raise ValueError(f"packet {seen - 1} is damaged")
            packets.append(_Packet(packet.pts, packet.pts if packet.dts is None else packet.dts, packet.is_keyframe))
        if seen < known:
            raise ValueError(f"is cut off: {seen} of {known} frames are there")
        return packets

    def frames(self, index: FrameIndex, wanted: Any) -> Iterator[Any]:
        """Frames of rising ordinals, each decoded once."""
        before = np.searchsorted(index.keys, wanted, side="right") - 1
        after = np.searchsorted(before, before, side="right")  # the first place with another key frame
        for ordinal, key, end in zip(wanted.tolist(), before.tolist(), after.tolist(), strict=True):
            goes_on = index.keys[key] <= self._next <= ordinal
            if not goes_on or (self._empty and ordinal > self._last):
                goes_on |= end < len(wanted) and before[end] == key + 1
                self._seek(index, key, -1 if goes_on else int(wanted[end - 1]))
            try:
                yield self._reach(index, ordinal)
            except pyav().InvalidDataError:
                if not self._fresh or key == 0:
                    raise
                self._seek(index, 0, -1)  # some key frames need what came before them; the first never does
                yield self._reach(index, ordinal)

    def _seek(self, index: FrameIndex, key: int, last: int) -> None:
        self._next, self._empty = -1, False
        self._next, first, packets = self.begin(index, key)
        stop = index.keys[key + 1] if key + 1 < len(index.keys) else len(index.pts)
        self._last = last if stop - self._next <= SHORT else -1
        self._fresh, self._frames = True, self._decoded(index, first, packets)

    def begin(self, index: FrameIndex, key: int) -> tuple[int, Any, Iterator[Any]]:
        """Ordinal and packet of a key frame, or of one before it if the container cannot find it; what comes after."""
        # MP4 is sought by the time of showing, and goes a key frame too far back by that of decoding; others do not.
        back = [int(index.seeks[max(0, one)]) for one in (key, key - 1, key - 2, 0)]
        for place in dict.fromkeys([int(index.pts[index.keys[key]]), *back]):
            self.container.seek(place, stream=self.stream, backward=True, any_frame=False)
            packets = self.container.demux(self.stream)
            first = next(packets, None)
            if first is None or first.pts is None:
                continue
            at = int(np.searchsorted(index.pts, first.pts))
            if at <= index.keys[key] and index.pts[at] == first.pts and first.is_keyframe:
                return at, first, packets
        raise ValueError(f"the key frame {int(index.keys[key])} cannot be found")

    def _decoded(self, index: FrameIndex, first: Any, rest: Iterator[Any]) -> Iterator[Any]:
        """Frames as the decoder hands them out: some packets late, unless nothing after ``self._last`` is wanted."""
        missing = self._last - self._next + 1  # packets of frames up to there
        until = index.pts[self._last] if self._last >= 0 else None
        for packet in chain((first,), rest):
            if packet.is_corrupt and packet is not first:
                raise ValueError("a packet is damaged")
            if packet.pts is not None and packet.pts < first.pts:
                continue  # shown before the key frame, and built on frames before it: not to be had from here
            frames = packet.decode()
            missing -= until is not None and packet.pts is not None and packet.pts <= until
            if until is not None and not missing:
                self._empty = True
                yield from [*frames, *self.stream.codec_context.decode(None)]
                return
            yield from frames

    def _reach(self, index: FrameIndex, ordinal: int) -> Any:
        for frame in self._frames:
            due = index.pts[self._next]
            if frame.pts is not None and frame.pts < due and self._fresh:
                continue  # shown before the key frame that decoding began at
            if frame.pts != due or frame.is_corrupt:
                raise ValueError(f"frame {self._next} is damaged")
            self._fresh, self._next = False, self._next + 1
            if self._next > ordinal:
                return frame
        raise ValueError(f"ends before frame {ordinal}")


__all__ = ["Container", "FrameIndex", "pyav"]
