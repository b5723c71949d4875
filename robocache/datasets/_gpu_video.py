"""Frames of a video file by NVDEC, through PyNvVideoCodec, addressed as PyAV addresses them.

PyAV finds key frames and hands over packets, which PyNvVideoCodec decodes; a frame is known by the time that its packet
had. Surfaces become RGB by a kernel of our own, since PyNvVideoCodec keeps one matrix for all its decoders.
"""

from collections.abc import Iterator
from contextlib import suppress
from functools import cache, cached_property
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from .._core.errors import BackendError
from ._bitstream import Rewriter
from ._colour import FULL, MATRICES, weights
from ._container import Container, FrameIndex
from ._on_device import absent

CODECS = {"h264": "H264", "av1": "AV1"}
PIXELS_OF = {"yuv420p": False, "yuvj420p": True}  # and whether the name says that levels go from 0 to 255


def library() -> Any:
    """PyNvVideoCodec, or an error that says how to install it."""
    try:
        import PyNvVideoCodec
    except ImportError as error:
        absent("PyNvVideoCodec", "decoding video on the GPU", error)
    except RuntimeError as error:  # it looks for the driver's video libraries at import
        raise BackendError(f"PyNvVideoCodec cannot be used here: {_line(error)}; say decoder='cpu'") from error
    return PyNvVideoCodec


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]


@cache
def limits(device: int, codec: str) -> dict[str, int]:
    """What the card says of a codec with 8 bits and 4:2:0."""
    nvc = library()
    chroma = getattr(nvc.cudaVideoChromaFormat, "420")
    found: dict[str, int] = nvc.GetDecoderCaps(
        gpuid=device, codec=getattr(nvc.cudaVideoCodec, CODECS[codec]), chromaformat=chroma, bitdepth=8
    )
    return found


class Look(NamedTuple):
    """What the CPU decoder says of the first frame."""

    pixels: str
    matrix: int
    full: bool


class Nvdec:
    """One open file and a decoder of a card; for one thread at a time. Raises ValueError, or what PyAV raises."""

    def __init__(self, container: Container, device: int, stream: Any = None) -> None:
        self.container, self.device, self.stream = container, device, stream
        self._decoder: Any = None
        self._next, self._fresh = -1, False
        self._frames: Iterator[Any] = iter(())

    def close(self) -> None:
        """Let go of file and decoder."""
        self._frames, self._decoder = iter(()), None
        self.container.close()

    def survey(self) -> FrameIndex:
        """As of the container."""
        return self.container.survey()

    @cached_property
    def rewriter(self) -> Rewriter:
        """Which brings packets into the form that the decoder takes."""
        return Rewriter(self.container.codec, self.container.stream.codec_context.extradata or b"")

    def look(self, index: FrameIndex) -> Look:
        """Pixel format and colour, which files may leave to their first frame to say."""
        if not hasattr(self, "_look"):
            frame = next(self.container.frames(index, np.zeros(1, np.int64)))
            name = frame.format.name
            full = PIXELS_OF.get(name, False) or int(frame.color_range) == FULL
            self._look = Look(name, int(frame.colorspace), full)
        return self._look

    def refusal(self, index: FrameIndex) -> str:
        """Why the card cannot decode this file; nothing if it can."""
        codec, (height, width) = self.container.codec, index.shape
        if codec not in CODECS:
            return f"it decodes {' and '.join(sorted(CODECS))}, not {codec}"
        look = self.look(index)
        if look.pixels not in PIXELS_OF:
            return f"it decodes {' and '.join(PIXELS_OF)}, not {look.pixels}"
        if height % 2 or width % 2:
            return f"its frames are {height} x {width}, which is odd"
        if look.matrix not in MATRICES:
            return f"its colours have the matrix {look.matrix}, which is none of {sorted(MATRICES)}"
        card = limits(self.device, codec)
        if not card["supported"]:
            return f"this card does not decode {codec}"
        fits = card["width_min"] <= width <= card["width_max"] and card["height_min"] <= height <= card["height_max"]
        return "" if fits else f"this card does not decode {codec} of {height} x {width}"

    def frames(self, index: FrameIndex, wanted: Any) -> Iterator[Any]:
        """Surfaces of rising ordinals; each is good until the next is asked for."""
        before = np.searchsorted(index.keys, wanted, side="right") - 1
        for ordinal, key in zip(wanted.tolist(), before.tolist(), strict=True):
            if not index.keys[key] <= self._next <= ordinal:
                self._seek(index, key)
            yield self._reach(index, ordinal)

    def _seek(self, index: FrameIndex, key: int) -> None:
        self._next = -1
        if self._decoder is not None:
            self._feed(b"", 0)  # what it still holds is of other frames
        self._next, first, packets = self.container.begin(index, key)
        self._fresh, self._frames = True, self._decoded(first, packets)

    def _decoded(self, first: Any, rest: Iterator[Any]) -> Iterator[Any]:
        begins = True
        for packet in chain((first,), rest):
            if packet.is_corrupt:
                raise ValueError("a packet is damaged")
            if packet.size == 0 or (packet.pts is not None and packet.pts < first.pts):
                continue  # as in Container: shown before the key frame, and built on frames before it
            if packet.pts is None:
                raise ValueError("a packet has no time")
            yield from self._feed(self.rewriter.packet(bytes(packet), begins), packet.pts)
            begins = False
        yield from self._feed(b"", 0)

    def _feed(self, data: bytes, pts: int) -> list[Any]:
        """Surfaces that a packet brings forth, or those that were held back, for no data."""
        nvc = library()
        if self._decoder is None:
            self._decoder = self._made(nvc)
        packet, held = nvc.PacketData(), np.frombuffer(data, np.uint8)
        packet.bsl, packet.bsl_data, packet.pts = len(data), held.ctypes.data if len(data) else 0, pts
        if not data:
            packet.decode_flag = int(nvc.VideoPacketFlag.ENDOFSTREAM)
        try:
            found: list[Any] = self._decoder.Decode(packet)
        except (nvc.PyNvVCException, nvc.PyNvVCExceptionUnsupported, RuntimeError) as error:
            raise ValueError(f"NVDEC refuses it: {_line(error)}") from error
        return found

    def _made(self, nvc: Any) -> Any:
        try:
            return nvc.CreateDecoder(
                gpuid=self.device, codec=getattr(nvc.cudaVideoCodec, CODECS[self.container.codec]), cudacontext=0,
                cudastream=0 if self.stream is None else self.stream.ptr, usedevicememory=True,
                outputColorType=nvc.OutputColorType.NATIVE,
            )  # fmt: skip
        except (nvc.PyNvVCException, nvc.PyNvVCExceptionUnsupported, RuntimeError) as error:
            raise BackendError(f"NVDEC cannot be used: {_line(error)}; say decoder='cpu'") from error

    def _reach(self, index: FrameIndex, ordinal: int) -> Any:
        for frame in self._frames:
            at = int(np.searchsorted(index.pts, frame.timestamp))
            if at == len(index.pts) or index.pts[at] != frame.timestamp:
                continue  # decoded for others, not shown
            if at < self._next and self._fresh:
                continue  # shown before the key frame that decoding began at
            if at != self._next:
                raise ValueError(f"frame {self._next} is damaged: NVDEC gave frame {at}")
            self._fresh, self._next = False, self._next + 1
            if self._next > ordinal:
                return frame
        raise ValueError(f"NVDEC gave no frame {ordinal}")


def opened(container: Container, device: int) -> Nvdec:
    """A file with a decoder that works on a stream of its own."""
    import cupy

    with cupy.cuda.Device(device):
        return Nvdec(container, device, cupy.cuda.Stream(non_blocking=True))


def rgb(video: Nvdec, index: FrameIndex, ordinals: Any) -> Any:
    """Frames (n, height, width, 3) on the current device, ordered on its current stream."""
    import cupy

    from ..cuda import frames

    wanted, slots = np.unique(ordinals, return_inverse=True)
    look, (height, width) = video.look(index), index.shape
    colour, current = weights(look.matrix, look.full), cupy.cuda.get_current_stream()
    found = cupy.empty((len(wanted), height, width, 3), np.uint8)
    video.stream.wait_event(current.record())
    try:
        with video.stream:
            for out, surface in zip(found, video.frames(index, wanted), strict=True):
                planes, pitches = _planes(surface, height, width)
                frames.rgb(planes, pitches, colour, out)
    finally:
        with suppress(RuntimeError):  # of a card that has failed, which the call above says better
            current.wait_event(video.stream.record())
    return found if np.array_equal(slots, np.arange(len(slots))) else found[cupy.asarray(slots)]


def _planes(surface: Any, height: int, width: int) -> tuple[tuple[int, int], tuple[int, int]]:
    """Addresses and pitches of luma and chroma."""
    views = surface.cuda()
    shapes = [tuple(view.shape) for view in views]
    if len(views) != 2 or shapes[0][:2] != (height, width) or shapes[1][0] * 2 != height:
        raise ValueError(f"NVDEC gave planes of {shapes}, expected those of {height} x {width}")
    luma, chroma = views
    return (luma.dataptr, chroma.dataptr), (int(luma.stride[0]), int(chroma.stride[0]))


__all__ = ["CODECS", "Nvdec", "library", "limits", "opened", "rgb"]
