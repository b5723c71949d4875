"""Pictures to video files."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..._core.errors import ArgumentError, BackendError
from .._faults import missing

CODECS = {"libsvtav1": "av1", "libaom-av1": "av1", "libx264": "h264", "h264": "h264", "libx265": "hevc", "hevc": "hevc"}


def check_codec(codec: str) -> None:
    """Refuse an encoder that is unknown, or that PyAV here does not have."""
    try:
        import av
    except ImportError as error:
        missing("av", "writing video", error)
    if codec not in CODECS:
        raise ArgumentError(f"codec: expected one of {sorted(CODECS)}, got {codec!r}")
    try:
        av.codec.Codec(codec, "w")
    except (ValueError, LookupError, OSError) as error:
        raise BackendError(f"PyAV has no encoder {codec!r} here; say codec= another of {sorted(CODECS)}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """SVT-AV1 tells its whole configuration to the terminal when it starts, unless its own variable forbids it."""
    if "SVT_LOG" in os.environ:
        yield
        return
    os.environ["SVT_LOG"] = "1"  # errors only
    try:
        yield
    finally:
        del os.environ["SVT_LOG"]


class VideoWriter:
    """A video file that frames are added to.

    Parameters
    ----------
    path : Path
    fps : Fraction
    size : (int, int)
        Height and width.
    codec, pixels : str
        Encoder, and pixel format it stores.
    options : mapping of str to str
        Of the encoder.
    """

    def __init__(
        self, path: Path, fps: Fraction, size: tuple[int, int], codec: str, pixels: str, options: dict[str, str]
    ) -> None:
        import av

        self._av, self.path, self.frames, self.size = av, path, 0, 0
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w", format="mp4")
        self._stream = self._container.add_stream(codec, rate=fps, options=dict(options))
        self._stream.height, self._stream.width = size
        self._stream.pix_fmt = pixels
        self._stream.codec_context.time_base = 1 / fps
        self._size, self._codec = size, codec

    def add(self, images: NDArray[np.uint8]) -> None:
        """Encode pictures (frame, height, width, 3)."""
        for image in images:
            frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts = self.frames
            self._mux(frame)
            self.frames += 1

    def _mux(self, frame: Any) -> None:
        try:
            with _quiet():
                packets = self._stream.encode(frame)
            for packet in packets:
                self.size += packet.size
                self._container.mux(packet)
        except (self._av.FFmpegError, ValueError) as error:
            height, width = self._size
            what = f"codec: {self._codec} cannot encode pictures of {height} x {width} ({error}); try another"
            raise ArgumentError(f"{what}, or video=False") from error

    def close(self) -> None:
        """Finish the file."""
        self._mux(None)
        self._container.close()

    def abandon(self) -> None:
        """Let go of the file; it is not whole."""
        try:
            self._container.close()
        except (self._av.FFmpegError, ValueError, OSError):
            self.path.unlink(missing_ok=True)  # it is of no use either way


__all__ = ["CODECS", "VideoWriter", "check_codec"]
