"""Decoders of the card beside those of the CPU: frames to the bit, pictures within a few levels, order of streams."""

import importlib
import os
import sys

import numpy as np
import pytest
from oracles import yuv

import robocache.datasets as rd
from robocache.datasets._colour import weights
from robocache.datasets._video import Videos, VideoSource
from robocache.errors import DataError
from tests.datasets.test_gpu_images import jpeg, picture, png
from tests.datasets.test_gpu_video import CODECS, MATRICES
from tests.datasets.test_video import pictures, write

pytestmark = pytest.mark.cuda
SIZE, COUNT = (144, 176), 45


def need(module):
    """A decoder's package, or a skip with the reason, also where a GPU must be there: packages are optional."""
    try:
        return importlib.import_module(module)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{module} cannot be used here: {str(error).partition(chr(10))[0]}")


@pytest.mark.parametrize("matrix, full", [(m, f) for m in sorted(MATRICES) for f in (False, True)])
@pytest.mark.parametrize("size", [(2, 2), (18, 66), (480, 640)])
def test_the_kernel_is_the_oracle(cupy, size, matrix, full):
    from robocache.cuda import frames

    random, (height, width) = np.random.default_rng(matrix), size
    luma, chroma = (random.integers(0, 256, shape, np.uint8) for shape in (size, (height // 2, width // 2, 2)))
    wide = cupy.full((height * 3 // 2, width + 6), 77, np.uint8)
    wide[:height, :width], wide[height:, :width] = cupy.asarray(luma), cupy.asarray(chroma.reshape(height // 2, width))
    out, pitch = cupy.full((height, width, 3), 5, np.uint8), wide.strides[0]
    planes = wide.data.ptr, wide.data.ptr + height * pitch
    frames.rgb(planes, (pitch, pitch), weights(matrix, full), out)
    assert np.array_equal(out.get(), yuv.rgb(luma, chroma, MATRICES[matrix], full))


@pytest.mark.parametrize("name", sorted(CODECS))
def test_every_frame_is_that_of_the_cpu(cupy, name, tmp_path):
    need("PyNvVideoCodec")
    av = pytest.importorskip("av")
    codec, options = CODECS[name]
    os.environ["SVT_LOG"] = "1"
    try:
        write(tmp_path / name, codec, options, list(pictures(COUNT, SIZE)))
    except (av.FFmpegError, ValueError, LookupError):
        pytest.skip(f"no encoder {codec} here")
    source = VideoSource(tmp_path / name, 0, COUNT, total=COUNT, videos=Videos())
    if why := source.refusal(0):
        pytest.skip(why)
    whole, random = source.take(slice(0, COUNT, 1)), np.random.default_rng(0)
    assert np.array_equal(source.take_on(slice(0, COUNT, 1), 0).get(), whole)
    for _ in range(12):
        at = random.integers(0, COUNT, random.integers(1, 7))
        assert np.array_equal(source.take_on(at, 0).get(), whole[at]), at


def test_frames_are_ordered_on_the_current_stream(cupy, tmp_path):
    need("PyNvVideoCodec")
    pytest.importorskip("av")
    path = tmp_path / "clip.mp4"
    write(path, "libx264", {"g": "12"}, list(pictures(COUNT, SIZE)))
    source = VideoSource(path, 0, COUNT, videos=Videos())
    whole = source.take(slice(0, COUNT, 1))
    for number in range(10):
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            found = source.take_on(np.array([number, 44 - number]), 0)
            twice = found.astype(np.uint16) * 2  # on the same stream, with nothing waited for
        stream.synchronize()
        assert np.array_equal(twice.get(), whole[[number, 44 - number]].astype(np.uint16) * 2)


def test_pictures_differ_by_a_few_levels(cupy):
    need("nvidia.nvimgcodec")
    given = [jpeg(picture(k, (96, 128))) for k in range(9)]
    for channels in (3, 1):
        found = rd.decode_images(given, device=0, channels=channels, decoder="nvimgcodec")
        assert found.shape == (9, 96, 128, channels)
        assert found.flags.c_contiguous
        want = rd.decode_images(given, channels=channels, dct="accurate").astype(int)
        apart = np.abs(found.get().astype(int) - want)
        assert apart.max() <= 8
        assert apart.mean() <= 0.5
    sizes = [jpeg(picture(0, (33, 47))), jpeg(picture(1, (8, 8), 1))]
    assert [a.shape for a in rd.decode_images(sizes, device=0, channels=None)] == [(33, 47, 3), (8, 8, 1)]
    assert rd.image_decoder([png(picture(0))], device=0) == "cpu"


def test_pictures_are_ordered_on_the_current_stream_and_stay(cupy):
    need("nvidia.nvimgcodec")
    given = [jpeg(picture(k, (96, 128))) for k in range(4)]
    first = rd.decode_images(given, device=0, decoder="nvimgcodec").get()
    kept = []
    for _ in range(10):
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            found = rd.decode_images(given, device=0, decoder="nvimgcodec")
            kept.append((found, found.astype(np.uint16) * 2))
        stream.synchronize()
    for found, twice in kept:  # also after the decoder's memory was used again
        assert np.array_equal(found.get(), first)
        assert np.array_equal(twice.get(), first.astype(np.uint16) * 2)


def test_damaged_pictures_are_told(cupy):
    need("nvidia.nvimgcodec")
    good = jpeg(picture(0, (96, 128)))
    for bad in (good[:-2], good[: len(good) // 2], good[:10]):
        with pytest.raises(DataError, match="picture 1"):
            rd.decode_images([good, bad], device=0, decoder="nvimgcodec")


def test_samples_that_the_cpu_decodes_are_copied(cupy, monkeypatch):
    monkeypatch.setitem(sys.modules, "nvidia.nvimgcodec", None)
    given = [png(picture(k)) for k in range(3)]
    found = rd.decode_images(given, device=0)
    assert isinstance(found, cupy.ndarray)
    assert np.array_equal(found.get(), rd.decode_images(given))
    log = rd.Episode.from_arrays("x", {"q": np.arange(12.0).reshape(6, 2)}, rate=10)
    assert np.array_equal(log["q"].read([1, 4], device=0).get(), log["q"].read([1, 4]))
