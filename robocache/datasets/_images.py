"""Encoded pictures to arrays, on the CPU."""

import io
import struct
import zlib
from contextlib import suppress
from typing import Any

import numpy as np

from .._core.errors import ArgumentError
from ._faults import faults, missing

COLORS = {1: "GRAY", 3: "RGB", 4: "RGBA"}
PIXELS = 1 << 26  # a picture that claims more is refused before it is decoded
DCT = {"fast": True, "accurate": False}


def codec_of(data: Any) -> str | None:
    """``"jpeg"`` or ``"png"`` by the first bytes."""
    head = bytes(data[:8])
    return "jpeg" if head[:3] == b"\xff\xd8\xff" else "png" if head == b"\x89PNG\r\n\x1a\n" else None


def decode_image(
    data: Any, channels: int | None = 3, *, dct: str = "fast", least: Any = None, out: Any = None, **place: Any
) -> Any:
    """An encoded picture as an array (height, width, channel).

    ``dct`` is how JPEG is decoded: "fast" as TensorFlow does, to the bit; "accurate" as most others. ``least``
    (height, width) lets a JPEG of twice that or more be decoded to fewer pixels, but no fewer than that. A JPEG of the
    shape of ``out``, C-contiguous uint8, is written there, and it is returned; else ``out`` may hold anything. PNG of
    16 bits gives uint16. Damaged bytes raise DataError with the ``place`` (file, episode, key).
    """
    if dct not in DCT:
        raise ArgumentError(f"dct: expected one of {sorted(DCT)}, got {dct!r}")
    if codec_of(data) == "jpeg":
        return _jpeg(data, channels, DCT[dct], least, out, place)
    return _png(data, channels, place)


def _jpeg(data: Any, channels: int | None, fast: bool, least: Any, out: Any, place: dict[str, Any]) -> Any:
    try:
        import simplejpeg
    except ImportError as error:
        missing("simplejpeg", "decoding JPEG", error)
    if least is None and channels in COLORS and _takes(out, channels):
        with suppress(ValueError):  # damaged, or larger than out: what is wrong is said below
            # The header is not read apart: each call lets go of Python's lock, which other threads then hold.
            if simplejpeg.decode_jpeg(data, colorspace=COLORS[channels], fastdct=fast, buffer=out).shape == out.shape:
                return out
    with faults(ValueError, OSError, MemoryError, **place, doing="is no JPEG that can be decoded"):
        height, width, space, _ = simplejpeg.decode_jpeg_header(data)
        if height * width > PIXELS:
            raise ValueError(f"it claims {height} x {width} pixels")
        want = COLORS.get(channels or 0) or ("GRAY" if space == "Gray" else "RGB")
        if least is None:
            return simplejpeg.decode_jpeg(data, colorspace=want, fastdct=fast)
        low = {"min_height": least[0], "min_width": least[1], "min_factor": 2}
        return simplejpeg.decode_jpeg(data, colorspace=want, fastdct=fast, **low)


def _takes(out: Any, channels: int) -> bool:
    """Whether a picture of so many channels could be decoded to where it belongs."""
    return (
        out is not None and out.ndim == 3 and out.shape[2] == channels and out.dtype == np.uint8
        and bool(out.flags.c_contiguous)
    )  # fmt: skip


def _png(data: Any, channels: int | None, place: dict[str, Any]) -> Any:
    try:
        from PIL import Image, UnidentifiedImageError
    except ImportError as error:
        missing("PIL", "decoding PNG", error)
    problems = (ValueError, OSError, SyntaxError, MemoryError, UnidentifiedImageError, Image.DecompressionBombError)
    with faults(*problems, **place, doing="is no PNG that can be decoded"):
        if codec_of(data) != "png":
            raise ValueError("it begins otherwise")
        _refuse(data, channels)
        with Image.open(io.BytesIO(bytes(data)), formats=("PNG",)) as image:
            if image.mode.startswith("I"):
                found = np.asarray(image).astype(np.uint16)
            else:
                modes = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
                want = modes[channels] if channels else image.mode if image.mode in modes.values() else "RGB"
                found = np.asarray(image if image.mode == want else image.convert(want))
    return found if found.ndim == 3 else found[..., None]


def _refuse(data: Any, channels: int | None) -> None:
    """Raise ValueError for what Pillow does not look at, would only warn of, or would halve in silence."""
    view, at, kind = memoryview(data).cast("B"), 8, b""
    while kind != b"IEND":
        if at + 12 > len(view):
            raise ValueError("it is cut off")
        (length,) = struct.unpack_from(">I", view, at)
        if length > len(view) - at - 12:
            raise ValueError("it is cut off")
        kind = bytes(view[at + 4 : at + 8])
        if (at == 8) != (kind == b"IHDR") or (kind == b"IHDR" and length != 13):
            raise ValueError("it begins otherwise")
        if struct.unpack_from(">I", view, at + 8 + length)[0] != zlib.crc32(view[at + 4 : at + 8 + length]):
            raise ValueError(f"the checksum of {kind!r} differs")
        at += 12 + length
    width, height, bits, colour = struct.unpack_from(">IIBB", view, 16)
    if width * height > PIXELS:
        raise ValueError(f"it claims {height} x {width} pixels")
    if bits == 16 and (colour != 0 or channels not in (None, 1)):
        raise ValueError("it has 16 bits a value and more than one channel, or is wanted with more")


__all__ = ["codec_of", "decode_image"]
