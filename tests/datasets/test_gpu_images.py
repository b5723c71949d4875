"""Pictures for a GPU: who decodes them, in what order, and what is refused, with a decoder that stands in for one."""

import io
import sys

import numpy as np
import pytest

import robocache.datasets as rd
from robocache.datasets import _gpu_images
from robocache.datasets._images import decode_image
from robocache.errors import ArgumentError, BackendError, DataError, DeviceError, DTypeError
from tests.datasets import fake_gpu

simplejpeg = pytest.importorskip("simplejpeg")
Image = pytest.importorskip("PIL.Image")


@pytest.fixture
def log(monkeypatch):
    """What the stand-ins of CuPy and nvImageCodec were told."""
    log = []
    for name, module in {"cupy": fake_gpu.cupy(log), **fake_gpu.nvimgcodec(log)}.items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(_gpu_images, "_decoders", {})
    return log


def picture(seed, size=(24, 40), channels=3):
    y, x = np.mgrid[: size[0], : size[1]]
    waves = [np.sin(x / (5 + seed) + k) * 60 + np.cos(y / (4 + k)) * 60 + 128 for k in range(channels)]
    return np.stack(waves, -1).astype(np.uint8)


def jpeg(array, **options):
    return simplejpeg.encode_jpeg(np.ascontiguousarray(array), 92, "GRAY" if array.shape[2] == 1 else "RGB", **options)


def png(array):
    out = io.BytesIO()
    Image.fromarray(array).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("dct", ["fast", "accurate", None])
def test_the_cpu_gives_what_it_gives_one_by_one(dct):
    given = [jpeg(picture(k)) for k in range(17)]
    found = rd.decode_images(given, dct=dct)
    assert found.dtype == np.uint8
    assert np.array_equal(found, np.stack([decode_image(data, 3, dct=dct or "fast") for data in given]))


def test_pictures_that_differ_are_a_list():
    arrays = [picture(0), picture(1, (8, 9)), picture(2, channels=1)[..., 0]]
    found = rd.decode_images([png(array) for array in arrays], channels=None)
    assert [array.shape for array in found] == [(24, 40, 3), (8, 9, 3), (24, 40, 1)]
    assert all(np.array_equal(np.squeeze(a), b) for a, b in zip(found, arrays))
    assert rd.decode_images([]).shape[0] == 0


def test_the_gpu_decodes_a_batch_at_once(log):
    given = [jpeg(picture(k)) for k in range(5)]
    found = rd.decode_images(given, device=0)
    assert found.flags.c_contiguous  # though rows are padded in the decoder's memory
    assert np.abs(found.astype(int) - rd.decode_images(given, dct="accurate")).max() <= 1  # Pillow's JPEG library
    made = ("Decoder", 0, ["GPU_ONLY", "HYBRID_CPU_GPU"], ":fancy_upsampling=1")
    assert log == [made, ("decode", 5, "SRGB", 0)]
    rd.decode_images(given[:2], device=0, channels=1)
    assert log[1:] == [("decode", 5, "SRGB", 0), ("decode", 2, "GRAY", 0)]  # one decoder of a device is enough


def test_channels_as_each_picture_has(log):
    given = [jpeg(picture(0)), jpeg(picture(1, channels=1)), jpeg(picture(2, (16, 16)))]
    found = rd.decode_images(given, device=0, channels=None)
    assert [array.shape for array in found] == [(24, 40, 3), (24, 40, 1), (16, 16, 3)]
    assert [entry[1:3] for entry in log if entry[0] == "decode"] == [(2, "SRGB"), (1, "GRAY")]
    want = rd.decode_images(given, channels=None, dct="accurate")
    assert all(np.abs(a.astype(int) - b).max() <= 1 for a, b in zip(found, want))


def test_who_decodes_is_said_before_and_is_so(log):
    pictures, mixed = [jpeg(picture(0))], [jpeg(picture(0)), png(picture(1))]
    for given, options, name in [
        (pictures, {}, "cpu"), (pictures, {"device": 0}, "nvimgcodec"), (mixed, {"device": 0}, "cpu"),
        (pictures, {"device": 0, "channels": 4}, "cpu"), (pictures, {"device": 0, "dct": "fast"}, "cpu"),
        (pictures, {"device": 0, "decoder": "cpu"}, "cpu"), (pictures, {"device": 0, "channels": 1}, "nvimgcodec"),
    ]:  # fmt: skip
        log.clear()
        assert rd.image_decoder(given, **options) == name
        assert not log
        rd.decode_images(given, **options)
        assert any(entry[0] == "decode" for entry in log) == (name == "nvimgcodec")
    for given, options, why in [
        (mixed, {}, "not png"), (pictures, {"channels": 4}, "not 4"), (pictures, {"dct": "fast"}, "dct"),
        ([b"GIF89a"], {}, "not unknown"),
    ]:  # fmt: skip
        with pytest.raises(ArgumentError, match=f"{why}.*decoder='cpu' can"):
            rd.decode_images(given, device=0, decoder="nvimgcodec", **options)
    for options in ({"decoder": "nvimgcodec"}, {"device": 0, "decoder": "pynvvideocodec"}, {"decoder": "turbo"}):
        with pytest.raises(ArgumentError, match="decoder"):
            rd.decode_images(pictures, **options)
    for device in (1, -1, "cuda"):
        with pytest.raises(DeviceError, match="0 to 0"):
            rd.decode_images(pictures, device=device)


def test_a_package_that_is_missing(log, monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", None)
    monkeypatch.delattr(sys.modules["nvidia"], "nvimgcodec")
    given = [jpeg(picture(0))]
    assert rd.image_decoder(given, device=0) == "cpu"
    assert np.array_equal(rd.decode_images(given, device=0), rd.decode_images(given))
    with pytest.raises(BackendError, match=r"robocache\[gpu-decode-cuda13\]"):
        rd.decode_images(given, device=0, decoder="nvimgcodec")


def test_extras_that_are_named_are_there():
    import tomllib
    from pathlib import Path

    text = Path(__file__).parents[2].joinpath("pyproject.toml").read_text("utf-8")
    extras = tomllib.loads(text)["project"]["optional-dependencies"]
    for number in ("12", "13"):
        assert any(f"cu{number}" in package for package in extras[f"gpu-decode-cuda{number}"])
        assert f"gpu-decode-cuda{number}" not in "".join(extras["datasets"])


@pytest.mark.parametrize("device", [None, 0])
def test_damage_names_the_picture(log, device):
    good = jpeg(picture(0))
    head = good.index(b"\xff\xc0") + 5
    large = good[:head] + b"\xf0\x00\xf0\x00" + good[head + 4 :]
    for bad in (good[: len(good) // 2], good[:-2], good[:12], large):
        with pytest.raises(DataError, match="picture 2"):
            rd.decode_images([good, good, bad, good], device=device)


def test_what_the_decoder_gives_up_is_no_picture(log):
    good = jpeg(picture(0))
    start = good.index(b"\xff\xda")
    bad = good[: start + 20] + b"\xff\xd9"  # whole to look at, and nothing in it
    sys.modules["nvidia.nvimgcodec"].Decoder._one = lambda self, data, mode: None
    with pytest.raises(DataError, match="picture 0 is no JPEG that nvImageCodec can decode"):
        rd.decode_images([bad], device=0)


# ---- streams --------------------------------------------------------------------------------------------------------


class Encoded(rd.Source):
    """Pictures in memory."""

    def __init__(self, parts):
        self.parts = parts

    def encoded(self, at):
        return [self.parts[k] for k in (range(at.start, at.stop) if isinstance(at, slice) else at)]

    def take(self, at):
        return np.stack([decode_image(data, 3) for data in self.encoded(at)])


def stream_of(parts, shape=(24, 40, 3), codec="jpeg"):
    spec = rd.StreamSpec("cam", "image", shape, np.dtype(np.uint8), codec=codec)
    return rd.Stream(spec, rd.Timing(len(parts), rate=10), Encoded(parts), lambda: {"file": "a.bag", "episode": 4})


def test_a_stream_of_pictures(log):
    stream = stream_of([jpeg(picture(k)) for k in range(6)])
    assert stream.decoder(device=0) == "nvimgcodec"
    assert stream.decoder(device=0, decoder="cpu") == stream.decoder() == "cpu"
    found = stream.read(slice(1, 4), device=0)
    assert np.abs(found.astype(int) - stream.read(slice(1, 4))).max() <= 12
    assert np.array_equal(stream.read(-1, device=0), stream.read([5], device=0)[0])
    assert np.array_equal(stream.read(device=0, decoder="cpu"), stream.read())
    assert np.array_equal(stream.read(decoder="cpu"), stream.read())


def test_bytes_decide_not_what_the_stream_is_said_to_hold(log):
    given = [jpeg(picture(0)), png(picture(1))]
    stream = stream_of(given, codec="png")
    assert [stream.decoder(k, device=0) for k in (0, 1, None)] == ["nvimgcodec", "cpu", "cpu"]
    assert np.array_equal(stream.read(device=0), stream.read())


def test_a_stream_says_where_it_is_damaged(log):
    good = jpeg(picture(0))
    for bad, message in ((good[:-2], "cut off"), (jpeg(picture(1, (8, 8))), r"picture 1 is \(8, 8, 3\)")):
        with pytest.raises(DataError, match=message) as caught:
            stream_of([good, bad]).read(device=0)
        assert (caught.value.file, caught.value.episode, caught.value.key) == ("a.bag", 4, "cam")


def test_pictures_of_a_stream_may_differ_in_size_where_it_says_so(log):
    stream = stream_of([jpeg(picture(0)), jpeg(picture(1, (8, 8)))], (None, None, 3))
    assert [array.shape for array in stream.read(device=0)] == [(24, 40, 3), (8, 8, 3)]


def test_numbers_are_copied_and_text_is_not(log):
    log_ = rd.Episode.from_arrays("x", {"q": np.arange(12.0).reshape(6, 2), "said": np.array(["a"] * 6)}, rate=10)
    assert np.array_equal(log_["q"].read([1, 4], device=0), log_["q"].read([1, 4]))
    assert log_["q"].decoder(device=0) == "cpu"
    with pytest.raises(DTypeError, match="no GPU holds"):
        log_["said"].read(device=0)
    with pytest.raises(ArgumentError, match="neither JPEG nor video"):
        log_["q"].read(device=0, decoder="nvimgcodec")
