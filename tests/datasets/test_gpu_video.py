"""Frames by a hardware decoder: ordinals, colours and the order of streams, with a decoder that stands in for one."""

import os
import re
import sys

import numpy as np
import pytest
from oracles import yuv

import robocache.datasets as rd
from robocache.datasets import _gpu_video
from robocache.datasets._bitstream import Rewriter, annexb
from robocache.datasets._colour import weights
from robocache.datasets._video import Videos, VideoSource
from robocache.errors import ArgumentError, BackendError, DataError, DeviceError
from tests.datasets import fake_gpu
from tests.datasets.test_video import pictures, write

av = pytest.importorskip("av")
COUNT, SIZE = 45, (48, 80)
CODECS = {
    "h264.mp4": ("libx264", {"g": "12", "bf": "3"}),
    "open.mp4": ("libx264", {"x264-params": "open-gop=1:keyint=10:bframes=3:scenecut=0"}),
    "one-key.mp4": ("libx264", {"g": "250", "bf": "0"}),
    "h264.mkv": ("libx264", {"g": "12", "bf": "2"}),
    "av1.mp4": ("libsvtav1", {"g": "8", "crf": "30", "preset": "12"}),
}
MATRICES = {1: (0.2126, 0.0722), 2: (0.299, 0.114), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087)}
MATRICES |= {9: (0.2627, 0.0593)}


@pytest.fixture
def log(monkeypatch):
    """What the stand-ins of CuPy and PyNvVideoCodec were told."""
    log = []
    for name, module in {"cupy": fake_gpu.cupy(log), **fake_gpu.pynvvideocodec(log)}.items():
        monkeypatch.setitem(sys.modules, name, module)
    _gpu_video.limits.cache_clear()
    yield log
    _gpu_video.limits.cache_clear()


@pytest.fixture
def kernel(monkeypatch):
    """The kernel's place taken by the oracle."""
    frames = pytest.importorskip("robocache.cuda.frames", exc_type=ImportError)
    monkeypatch.setattr(frames, "rgb", by_oracle)


def by_oracle(planes, pitches, colour, out):
    height, width = out.shape[:2]
    luma = fake_gpu.plane(planes[0], height, width, pitches[0])
    chroma = fake_gpu.plane(planes[1], height // 2, width, pitches[1]).reshape(height // 2, -1, 2)
    (matrix,) = {m for m in (1, 5, 7, 9) for full in (0, 1) if weights(m, bool(full)) == colour}
    out[...] = yuv.rgb(luma, chroma, MATRICES[matrix], colour[0] == 0)


@pytest.fixture(scope="module", params=sorted(CODECS))
def clip(request, tmp_path_factory):
    codec, options = CODECS[request.param]
    path = tmp_path_factory.mktemp("clips") / request.param
    os.environ["SVT_LOG"] = "1"
    try:
        write(path, codec, options, list(pictures(COUNT, SIZE)))
    except (av.FFmpegError, ValueError, LookupError):
        pytest.skip(f"no encoder {codec} here")
    return path


@pytest.fixture(scope="module")
def simple(tmp_path_factory):
    path = tmp_path_factory.mktemp("simple") / "clip.mp4"
    write(path, "libx264", {"g": "6"}, list(pictures(COUNT, SIZE)))
    return path


def stream_of(source, codec="h264", shape=(*SIZE, 3)):
    spec = rd.StreamSpec("cam", "image", shape, np.dtype(np.uint8), codec=codec)
    return rd.Stream(spec, rd.Timing(source.count, rate=30), source, lambda: {"episode": 4})


# ---- colours --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(MATRICES))
def test_the_arithmetic_is_that_of_pyav_to_the_bit(matrix, full):
    random = np.random.default_rng(matrix)
    luma = random.integers(0, 256, (32, 64), np.uint8)
    chroma = random.integers(0, 256, (16, 32, 2), np.uint8)
    luma[:2, :4], chroma[0, :2] = [[0, 255, 0, 255]] * 2, [[0, 255], [255, 0]]
    frame = av.VideoFrame(64, 32, "yuv420p")
    for plane, part in zip(frame.planes, (luma, chroma[..., 0], chroma[..., 1])):
        rows = np.zeros((plane.height, plane.line_size), np.uint8)
        rows[:, : part.shape[1]] = part
        plane.update(rows)
    frame.colorspace, frame.color_range = matrix, 2 if full else 1
    assert np.array_equal(yuv.rgb(luma, chroma, MATRICES[matrix], full), frame.to_ndarray(format="rgb24"))


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("matrix", sorted(MATRICES))
def test_weights_follow_from_the_standard(matrix, full):
    red, blue = MATRICES[matrix]
    green, wide = 1 - red - blue, 1 if full else 255 / 224
    want = [2 * (1 - red), -2 * blue * (1 - blue) / green, -2 * red * (1 - red) / green, 2 * (1 - blue)]
    offset, scale, *rest = weights(matrix, full)
    assert (offset, scale) == ((0, 8192) if full else (128, 9539))
    assert np.abs(np.array(rest) - np.array(want) * wide * 8192).max() <= 0.6  # rounded, and FFmpeg's table before


# ---- ordinals -------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("kernel")
def test_any_frames_are_those_of_the_cpu(clip, log):
    source = VideoSource(clip, 0, COUNT, total=COUNT, videos=Videos(limit=1))
    whole, random = source.take(slice(0, COUNT, 1)), np.random.default_rng(0)
    picks = [random.integers(0, COUNT, random.integers(1, 7)) for _ in range(12)]
    for at in [np.array([COUNT - 1]), np.array([0]), *picks, np.array([5, 5, 2, 5])]:
        assert np.array_equal(source.take_on(at, 0), whole[at]), at
    assert np.array_equal(source.take_on(slice(0, COUNT, 1), 0), whole)
    assert source.take_on(np.array([], np.int64), 0).shape == (0, *SIZE, 3)
    assert len([entry for entry in log if entry[0] == "CreateDecoder"]) == 1


@pytest.mark.usefixtures("kernel")
def test_a_run_is_sought_and_decoded_once(simple, log):
    source = VideoSource(simple, 10, 20, videos=Videos())
    whole = source.take(slice(0, 20, 1))
    assert np.array_equal(source.take_on(np.random.default_rng(0).permutation(20), 0).shape, whole.shape)
    ends = [entry for entry in log if entry[0] == "Decode" and not entry[1]]
    assert ends == []  # from the first frame on: nothing is flushed, and nothing is sought again
    given = sum(entry[0] == "Decode" for entry in log)
    assert given <= 30 - 6 + 20  # from the key frame before frame 10, and what a decoder of B frames holds back


@pytest.mark.usefixtures("kernel")
def test_streams_wait_for_one_another(simple, log):
    VideoSource(simple, 0, COUNT, videos=Videos()).take_on(np.array([3, 4]), 0)
    streams = [entry for entry in log if isinstance(entry, str)]
    assert streams == ["current records", "own waits for current", "enter own", "leave own", "own records",
                       "current waits for own"]  # fmt: skip
    (made,) = [entry for entry in log if entry[0] == "CreateDecoder"]
    assert made == ("CreateDecoder", 0, "H264", 7)  # the decoder works on the stream that the kernel follows
    first = log.index("enter own")
    assert all(log.index(e) > first for e in log if e[0] in ("Decode", "CreateDecoder"))


@pytest.mark.usefixtures("kernel")
def test_a_failure_is_ordered_too(simple, log, monkeypatch):
    monkeypatch.setattr(_gpu_video.Nvdec, "_feed", lambda self, data, pts: [])
    source = VideoSource(simple, 0, COUNT, videos=Videos(), episode=4, key="cam")
    with pytest.raises(DataError, match=r"episode 4, cam: .*NVDEC gave no frame 3") as caught:
        source.take_on(np.array([3]), 0)
    assert caught.value.file == str(simple)
    assert log[-1] == "current waits for own"


def test_a_frame_that_is_left_out_is_no_other_frame(simple, log):
    videos, decode = Videos(), sys.modules["PyNvVideoCodec"].CreateDecoder

    def without_the_sixth(**options):
        made = decode(**options)
        inner, made.Decode = made.Decode, lambda p: [f for f in inner(p) if f.timestamp != times[5]]
        return made

    sys.modules["PyNvVideoCodec"].CreateDecoder = without_the_sixth
    with videos.lease(simple, device=0) as (video, index):
        times = index.pts
        assert [f.timestamp for f in video.frames(index, np.array([2, 4]))] == times[[2, 4]].tolist()
        with pytest.raises(ValueError, match="frame 5 is damaged: NVDEC gave frame 6"):
            list(video.frames(index, np.array([5])))


# ---- packets --------------------------------------------------------------------------------------------------------


def test_units_with_lengths_become_units_with_start_codes():
    units = [b"\x67abc", b"\x65" * 300, b"\x01"]
    for width in (1, 2, 4):
        data = b"".join(len(unit).to_bytes(width, "big") + unit for unit in units if len(unit) < 256**width)
        want = b"".join(b"\0\0\0\1" + unit for unit in units if len(unit) < 256**width)
        assert annexb(data, width) == want
        with pytest.raises(ValueError, match="longer than it"):
            annexb(data[:-1], width)


def test_headers_come_where_decoding_begins():
    avcc = b"\1\x64\0\x1f\xff\xe1" + b"\0\3\x67ab" + b"\1" + b"\0\2\x68c"
    made = Rewriter("h264", avcc)
    assert made.packet(b"\0\0\0\1\x65", True) == b"\0\0\0\1\x67ab" + b"\0\0\0\1\x68c" + b"\0\0\0\1\x65"
    assert made.packet(b"\0\0\0\1\x41", False) == b"\0\0\0\1\x41"
    for cut in range(1, len(avcc)):
        with pytest.raises(ValueError, match="cut off"):
            Rewriter("h264", avcc[:cut])
    assert Rewriter("h264", b"\0\0\0\1\x67").packet(b"\0\0\0\1\x65", True) == b"\0\0\0\1\x65"
    av1 = Rewriter("av1", b"\x81\0\0\0\x0a\1x")
    assert av1.packet(b"\x32frame", True) == b"\x0a\1x\x32frame"
    assert av1.packet(b"\x12\0\x0a\1x\x32frame", True) == b"\x12\0\x0a\1x\x32frame"


# ---- choice ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("kernel")
def test_a_stream_says_who_decodes_and_so_it_is(simple, log):
    stream = stream_of(VideoSource(simple, 0, COUNT, videos=Videos()))
    whole = stream.read()
    for decoder in ("auto", "pynvvideocodec", "cpu"):
        name = stream.decoder(device=0, decoder=decoder)
        log.clear()
        assert np.array_equal(stream.read([7, 3], device=0, decoder=decoder), whole[[7, 3]])
        assert any(entry[0] == "Decode" for entry in log) == (name == "pynvvideocodec") == (decoder != "cpu")
    assert stream.read(7, device=0).shape == (*SIZE, 3)
    assert stream.decoder() == "cpu"
    for decoder, message in (("nvimgcodec", "is for pictures"), ("nvdec", "expected one of")):
        with pytest.raises(ArgumentError, match=message):
            stream.read(0, device=0, decoder=decoder)
    with pytest.raises(ArgumentError, match="say which by device="):
        stream.read(0, decoder="pynvvideocodec")
    with pytest.raises(ArgumentError, match="stay on the CPU"):
        stream.read(0, decode=False, device=0)
    with pytest.raises(DeviceError, match="0 to 0, got 1"):
        stream.read(0, device=1)


def test_what_the_card_cannot_decode_is_left_to_the_cpu_before_it_begins(tmp_path, log, monkeypatch):
    cases = {
        "mpeg4.avi": ("mpeg4", SIZE, "yuv420p", "h264, not mpeg4"),
        "odd.mp4": ("libx264", (48, 81), "yuv444p", "not yuv444p"),
        "wide.mp4": ("libx264", SIZE, "yuv420p10le", "not yuv420p10le"),
    }
    for name, (codec, size, pixels, why) in cases.items():
        path = tmp_path / name
        write(path, codec, {}, list(pictures(4, size)), pixels)
        stream = stream_of(VideoSource(path, 0, 4, videos=Videos()), shape=(*size, 3))
        assert stream.decoder(device=0) == "cpu"
        assert np.array_equal(stream.read(device=0), stream.read())
        with pytest.raises(ArgumentError, match=f"{why}; decoder='cpu' can"):
            stream.read(device=0, decoder="pynvvideocodec")
    path = tmp_path / "small.mp4"
    write(path, "libx264", {}, list(pictures(4, SIZE)))
    for caps, why in (({"supported": 0}, "does not decode h264$"), ({"width_min": 128}, "of 48 x 80")):
        for name, module in fake_gpu.pynvvideocodec(log, fake_gpu.CAPS | caps).items():
            monkeypatch.setitem(sys.modules, name, module)
        _gpu_video.limits.cache_clear()
        with Videos().lease(path, device=0) as (video, index):
            assert re.search(why, video.refusal(index))
    assert not [entry for entry in log if entry[0] == "CreateDecoder"]


def test_a_package_that_is_missing_or_finds_no_driver(simple, log, monkeypatch):
    stream = stream_of(VideoSource(simple, 0, COUNT, videos=Videos()))
    monkeypatch.setitem(sys.modules, "PyNvVideoCodec", None)
    assert stream.decoder(device=0) == "cpu"
    with pytest.raises(BackendError, match=r"robocache\[gpu-decode-cuda13\]"):
        stream.read(0, device=0, decoder="pynvvideocodec")
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match=r"needs CuPy"):
        stream.read(0, device=0)


@pytest.mark.usefixtures("kernel")
def test_a_decoder_that_cannot_be_made_is_no_damage(simple, log):
    nvc = sys.modules["PyNvVideoCodec"]

    def refuse(**options):
        raise nvc.PyNvVCException("no session\nmore")

    nvc.CreateDecoder = refuse
    with pytest.raises(BackendError, match=r"no session.*decoder='cpu'"):
        VideoSource(simple, 0, COUNT, videos=Videos()).take_on(np.array([0]), 0)


def test_damage_is_told(simple, log, tmp_path):
    path = tmp_path / "cut.mp4"
    path.write_bytes(simple.read_bytes()[:-2000])
    with pytest.raises(DataError):
        stream_of(VideoSource(path, 0, COUNT, videos=Videos())).read(device=0)
