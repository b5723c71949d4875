"""Pictures: every value of what was encoded, sizes that are lies, and damage that is said."""

import contextlib
import io
import random
import struct
import sys
import zlib
from typing import Any

import numpy as np
import pytest

from robocache.datasets._images import codec_of, decode_image
from robocache.errors import ArgumentError, BackendError, DataError

PLACE = {"file": "a.tfrecord", "episode": 3, "key": "cam"}
simplejpeg = pytest.importorskip("simplejpeg")
Image = pytest.importorskip("PIL.Image")


def noise(*shape: int, dtype: Any = np.uint8) -> np.ndarray:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def png(array: np.ndarray) -> bytes:
    """As Pillow writes it."""
    out = io.BytesIO()
    Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array).save(out, "PNG")
    return out.getvalue()


def raw_png(width: int, height: int, rows: bytes, bits: int = 8, colour: int = 2) -> bytes:
    """Chunk by chunk, whatever the header claims."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in parts)
    return b"\x89PNG\r\n\x1a\n" + body


def jpeg(array: np.ndarray, **options: Any) -> bytes:
    space = {1: "GRAY", 3: "RGB"}[array.shape[-1]]
    found: bytes = simplejpeg.encode_jpeg(np.ascontiguousarray(array), colorspace=space, **options)
    return found


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_8_bits(channels: int) -> None:
    array = noise(13, 17, channels)
    data = png(array)
    assert codec_of(data) == "png"
    for given in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        found = decode_image(given, channels)
        assert found.dtype == np.uint8
        assert np.array_equal(found, array)
    assert np.array_equal(decode_image(data, None), array)


def test_png_of_16_bits() -> None:
    array = noise(13, 17, dtype=np.uint16)
    data = raw_png(17, 13, b"".join(b"\0" + row.astype(">u2").tobytes() for row in array), 16, 0)
    for channels in (1, None):
        found = decode_image(data, channels)
        assert (found.dtype, found.shape) == (np.uint16, (13, 17, 1))
        assert np.array_equal(found[..., 0], array)


def test_png_of_16_bits_and_three_channels_is_not_halved_in_silence() -> None:
    array = noise(5, 6, 3, dtype=np.uint16)
    data = raw_png(6, 5, b"".join(b"\0" + row.astype(">u2").tobytes() for row in array), 16, 2)
    for wanted in (data, raw_png(6, 5, b"".join(b"\0" + bytes(12) for _ in range(5)), 16, 0)):
        with pytest.raises(DataError, match="16 bits a value"):
            decode_image(wanted, 3)


def test_png_of_few_bits_and_palettes() -> None:
    bits = noise(9, 16, 1) % 2
    rows = b"".join(b"\0" + np.packbits(row[:, 0]).tobytes() for row in bits)
    assert np.array_equal(decode_image(raw_png(16, 9, rows, 1, 0), 1), bits * 255)
    picture = Image.fromarray(noise(6, 7, 3)).quantize(8)
    out = io.BytesIO()
    picture.save(out, "PNG")
    assert np.array_equal(decode_image(out.getvalue(), 3), np.asarray(picture.convert("RGB")))
    assert decode_image(out.getvalue(), None).shape == (6, 7, 3)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dct, fast", [("fast", True), ("accurate", False)])
def test_jpeg(channels: int, dct: str, fast: bool) -> None:
    data = jpeg(noise(33, 47, channels), quality=80)
    assert codec_of(data) == "jpeg"
    want = simplejpeg.decode_jpeg(data, colorspace="GRAY" if channels == 1 else "RGB", fastdct=fast)
    for given in (data, bytearray(data), memoryview(data), np.frombuffer(data, np.uint8)):
        assert np.array_equal(decode_image(given, channels, dct=dct), want)
    assert np.array_equal(decode_image(data, None, dct=dct), want)
    assert want.shape == (33, 47, channels)


def test_the_two_ways_of_jpeg_differ() -> None:
    data = jpeg(noise(64, 64, 3), quality=60)
    assert (decode_image(data) != decode_image(data, dct="accurate")).any()
    with pytest.raises(ArgumentError, match="dct"):
        decode_image(data, dct="slow")


@pytest.mark.parametrize("data", [
    raw_png(10_000, 10_000, b"\0"), raw_png(1 << 15, 1 << 15, b"\0"), raw_png(1 << 30, 1 << 30, b"\0"),
    raw_png(8200, 8200, bytes(8200 * (3 * 8200 + 1))), raw_png(60_000, 60_000, b"\0", 1, 0),
], ids=["some", "large", "huge", "true", "bits"])  # fmt: skip
def test_pictures_that_claim_too_much_are_refused_before_memory_is_asked_for(data: bytes) -> None:
    with pytest.raises(DataError, match="it claims") as caught:
        decode_image(data, 3, **PLACE)
    assert (caught.value.file, caught.value.episode, caught.value.key) == ("a.tfrecord", 3, "cam")


def test_jpeg_that_claims_too_much() -> None:
    data = bytearray(jpeg(noise(16, 16, 3)))
    at = data.index(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 60000, 50000)
    with pytest.raises(DataError, match="60000 x 50000 pixels"):
        decode_image(bytes(data), 3, **PLACE)


def test_a_text_chunk_that_unpacks_without_end() -> None:
    bomb = b"a\0\0" + zlib.compress(bytes(200 << 20), 9)
    chunk = struct.pack(">I", len(bomb)) + b"zTXt" + bomb + struct.pack(">I", zlib.crc32(b"zTXt" + bomb))
    good = png(noise(4, 4, 3))
    with pytest.raises(DataError):
        decode_image(good[:33] + chunk + good[33:], 3, **PLACE)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"\0" * 100, b"BM" + bytes(60)]
)
def test_what_is_no_picture(data: bytes) -> None:
    with pytest.raises(DataError, match=r"a.tfrecord, episode 3, cam: is no (PNG|JPEG)"):
        decode_image(data, 3, **PLACE)


@pytest.mark.parametrize("make", [png, jpeg])
@pytest.mark.parametrize("cut", [0.0, 0.02, 0.3, 0.6, 0.9, 0.99])
def test_a_picture_that_is_cut_off_is_not_filled_up(make: Any, cut: float) -> None:
    data = make(noise(40, 40, 3))
    with pytest.raises(DataError):
        decode_image(data[: int(len(data) * cut)], 3, **PLACE)


@pytest.mark.parametrize("make", [png, jpeg])
def test_flipped_bits_give_data_errors_or_pictures(make: Any) -> None:
    array, rng, refused = noise(24, 24, 3), random.Random(1), 0
    good = make(array)
    for _ in range(400):
        data = bytearray(good)
        for _ in range(rng.choice((1, 1, 4))):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            found = decode_image(bytes(data), 3, **PLACE)
        except DataError as error:
            refused += (error.file, error.key) == ("a.tfrecord", "cam")
            continue
        assert found.ndim == 3
        assert found.dtype == np.uint8
    assert refused > 20


def test_a_flipped_bit_never_changes_a_png() -> None:
    array, rng = np.broadcast_to(np.arange(24, dtype=np.uint8)[:, None, None] * 3, (24, 24, 3)), random.Random(1)
    good, refused = png(array), 0
    for _ in range(500):
        data = bytearray(good)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        with contextlib.suppress(DataError):
            assert np.array_equal(decode_image(bytes(data), 3), array)
            continue
        refused += 1
    assert refused > 400


@pytest.mark.parametrize("data, package", [(b"\xff\xd8\xff\xe0", "simplejpeg"), (b"\x89PNG\r\n\x1a\n", "PIL")])
def test_a_decoder_that_is_not_installed(data: bytes, package: str, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackendError, match=r"robocache\[images\]"):
        decode_image(data, 3)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_jpeg_is_written_where_it_belongs_if_it_fits(channels: int) -> None:
    rng = np.random.default_rng(0)
    data = simplejpeg.encode_jpeg(rng.integers(0, 255, (30, 40, 3), np.uint8))
    want, room = decode_image(data, channels), np.full((3, 30, 40, channels), 7, np.uint8)
    middle = room[1]
    assert decode_image(data, channels, out=middle) is middle
    assert np.array_equal(middle, want)
    assert (room[[0, 2]] == 7).all()
    misfits = [np.full(want.shape, 7, np.float32), np.full((40, 30, channels), 7, np.uint8),
               np.full((30, 80, channels), 7, np.uint8)[:, ::2], np.full((30, 40, 4), 7, np.uint8)]  # fmt: skip
    misfits += [np.full((60, 40, channels), 7, np.uint8), np.full((15, 40, channels), 7, np.uint8)]
    for out in misfits:
        found = decode_image(data, channels, out=out)
        assert found is not out
        assert np.array_equal(found, want)
    with pytest.raises(DataError, match="no JPEG"):
        decode_image(data[:-200], channels, out=middle)
