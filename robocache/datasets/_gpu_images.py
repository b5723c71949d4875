"""JPEG to CuPy arrays by nvImageCodec."""

import threading
from typing import Any

from ._faults import fault, faults
from ._images import PIXELS, codec_of
from ._on_device import absent

# Work on the card's multiprocessors, which every card can do alike. No CPU decoder that would step in unseen, and not
# the JPEG engine that some cards have: which pictures of a batch it takes, and with what values, is for it to say.
KINDS = ("GPU_ONLY", "HYBRID_CPU_GPU")
OPTIONS = ":fancy_upsampling=1"  # chroma blended between its samples, as libjpeg-turbo does

_decoders: dict[tuple[int, tuple[str, ...], str], tuple[Any, threading.Lock]] = {}
_lock = threading.Lock()


def library() -> Any:
    """nvImageCodec, or an error that says how to install it."""
    try:
        from nvidia import nvimgcodec
    except ImportError as error:
        absent("nvidia.nvimgcodec", "decoding JPEG on the GPU", error)
    return nvimgcodec


def _decoder(device: int, kinds: tuple[str, ...] = KINDS, options: str = OPTIONS) -> tuple[Any, threading.Lock]:
    with _lock:
        key = device, kinds, options
        if key not in _decoders:
            nv = library()
            backends = [nv.Backend(getattr(nv.BackendKind, kind)) for kind in kinds]
            made = nv.Decoder(device_id=device, backends=backends, options=options)
            _decoders[key] = made, threading.Lock()  # a decoder is for one thread at a time
        return _decoders[key]


def _parsed(nv: Any, data: Any, number: int, place: dict[str, Any]) -> Any:
    """The header of a picture that is whole and not too large."""
    place = {"doing": f"picture {number} is no JPEG that can be decoded"} | place
    with faults(RuntimeError, ValueError, TypeError, **place):
        data = bytes(data)
        if codec_of(data) != "jpeg":
            raise ValueError("it begins otherwise")
        if data.rfind(b"\xff\xd9") < data.rfind(b"\xff\xda"):  # no end of the image after the start of its last scan
            raise ValueError("it is cut off")
        stream = nv.CodeStream(data)
        if stream.height * stream.width > PIXELS:
            raise ValueError(f"it claims {stream.height} x {stream.width} pixels")
        return stream


def decode(encoded: list[Any], channels: int | None, device: int, place: dict[str, Any]) -> list[Any]:
    """A CuPy array (height, width, channel) for each picture, ordered on the current stream of the device.

    They are nvImageCodec's memory, with rows that may be padded: copy them.
    """
    import cupy

    nv = library()
    streams = [_parsed(nv, data, k, place) for k, data in enumerate(encoded)]
    gray = [channels == 1 or (channels is None and stream.num_channels == 1) for stream in streams]
    found: list[Any] = [None] * len(streams)
    decoder, alone = _decoder(device)
    for colour in (True, False):
        places = [k for k, plain in enumerate(gray) if plain != colour]
        if not places:
            continue
        space = nv.ColorSpec.SRGB if colour else nv.ColorSpec.GRAY
        params = nv.DecodeParams(apply_exif_orientation=False, color_spec=space)
        with alone:
            images = decoder.decode(
                [streams[k] for k in places], params=params, cuda_stream=cupy.cuda.get_current_stream().ptr
            )
        for k, image in zip(places, images, strict=True):
            if image is None:
                raise fault(
                    f"picture {k} is no JPEG that nvImageCodec can decode; decoder='cpu' says what is wrong with it",
                    **place,
                )
            found[k] = cupy.from_dlpack(image)
    return found


__all__ = ["decode", "library"]
