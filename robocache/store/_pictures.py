"""Pictures on their way into a store and out of it: encoded, decoded, made smaller or larger."""

import io
from typing import Any

import numpy as np

from .._core.errors import ArgumentError
from ..datasets import StreamSpec
from ..datasets._faults import fault, missing
from ..datasets._images import DCT, decode_image

DEPTHS = {1: "GRAY", 3: "RGB"}


def decode(spec: StreamSpec, dct: str, parts: list[Any], **place: Any) -> Any:
    r"""Encoded samples as an array (n, \*shape); of objects where their sizes differ."""
    if spec.codec == "utf-8":
        return _texts(parts, place)
    channels = 1 if spec.kind == "depth" else spec.shape[2] if len(spec.shape) == 3 else None
    found = [_fitting(decode_image(part, channels, dct=dct, **place), spec, place) for part in parts]
    if len({image.shape for image in found}) == 1:
        return np.stack(found)
    if not found:
        return np.empty((0, *(n or 0 for n in spec.shape)), spec.dtype)
    several = np.empty(len(found), object)
    several[:] = found
    return several


def _texts(parts: list[Any], place: dict[str, Any]) -> Any:
    texts = np.empty(len(parts), object)
    try:
        texts[:] = [str(part, "utf-8") for part in parts]
    except UnicodeDecodeError as error:
        raise fault(f"is no text: {error}", **place) from None
    return texts


def _fitting(image: Any, spec: StreamSpec, place: dict[str, Any]) -> Any:
    if len(spec.shape) == 2 and image.shape[2] == 1:
        image = image[..., 0]
    same = len(image.shape) == len(spec.shape) and all(
        n in (None, m) for n, m in zip(spec.shape, image.shape, strict=True)
    )
    if not same or image.dtype != spec.dtype:
        raise fault(f"a picture is {image.shape} {image.dtype}, announced as {spec.shape} {spec.dtype}", **place)
    return image


def way_of_decoding(spec: StreamSpec, data: bytes, read: Any) -> str | None:
    """How an encoded picture must be decoded to be the one that was read; None if no way does that."""
    for dct in DCT:
        try:
            found = decode(spec, dct, [data])[0]
        except ValueError:
            continue
        if found.shape == read.shape and found.dtype == read.dtype and np.array_equal(found, read):
            return dct
    return None


def encode(image: Any, codec: str, quality: int) -> bytes:
    """A picture as JPEG (uint8, 1 or 3 channels) or PNG (also 4, and uint16 of one channel)."""
    plain = image[..., 0] if image.ndim == 3 and image.shape[2] == 1 else image
    if codec == "jpeg":
        try:
            import simplejpeg
        except ImportError as error:
            missing("simplejpeg", "writing JPEG", error)
        space = DEPTHS[1 if plain.ndim == 2 else plain.shape[2]]
        # Colours at full resolution: what the quality loses is then all that is lost.
        return simplejpeg.encode_jpeg(
            np.ascontiguousarray(plain if plain.ndim == 3 else plain[..., None]), quality, space, "444", fastdct=False
        )
    try:
        from PIL import Image
    except ImportError as error:
        missing("PIL", "writing PNG", error)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plain)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def holds(codec: str, spec: StreamSpec) -> bool:
    """Whether a codec takes pictures like these."""
    channels = 1 if len(spec.shape) == 2 else spec.shape[2] if len(spec.shape) == 3 else 0
    if spec.dtype == np.uint8:
        return channels in ((1, 3) if codec == "jpeg" else (1, 3, 4))
    return spec.dtype == np.uint16 and codec == "png" and channels == 1


def resize(images: Any, size: tuple[int, int]) -> Any:
    """uint8 pictures (n, height, width, channel) to another size: bilinear over all pixels that fall into one."""
    try:
        from PIL import Image
    except ImportError as error:
        missing("PIL", "resize", error)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] not in (1, 3, 4):
        raise ArgumentError(f"resize: expected uint8 pictures of 1, 3 or 4 channels, got {images.dtype} {images.shape}")
    out = np.empty((len(images), *size, images.shape[3]), np.uint8)
    for image, small in zip(images, out, strict=True):
        plain = image[..., 0] if image.shape[2] == 1 else image
        made = Image.fromarray(np.ascontiguousarray(plain)).resize(size[::-1], Image.Resampling.BILINEAR)
        small[...] = np.asarray(made).reshape(small.shape)
    return out


__all__ = ["decode", "encode", "holds", "resize", "way_of_decoding"]
