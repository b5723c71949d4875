"""Frames by ordinal against plain decoding from the start, for codecs with and without reordering; damaged files."""

import os
import signal
import threading
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets._container import Container
from robocache.datasets._depth import DepthCode
from robocache.datasets._video import Videos, VideoSource
from robocache.errors import ArgumentError, DataError

av = pytest.importorskip("av")
COUNT = 45
CODECS = {
    "h264.mp4": ("libx264", {"g": "12", "bf": "3"}),
    "h264-open.mp4": ("libx264", {"x264-params": "open-gop=1:keyint=10:bframes=3:scenecut=0"}),
    "h264-one-key.mp4": ("libx264", {"g": "250", "bf": "0"}),
    "h264-two.mp4": ("libx264", {"g": "2"}),
    "h264-five.mkv": ("libx264", {"x264-params": "open-gop=1:keyint=5:bframes=2:b-pyramid=strict:scenecut=0"}),
    "h264.mkv": ("libx264", {"g": "12", "bf": "2"}),
    "hevc.mp4": ("libx265", {"x265-params": "keyint=12:bframes=4:open-gop=1:log-level=none"}),
    "mpeg4.avi": ("mpeg4", {"g": "12"}),
    "av1.mp4": ("libsvtav1", {"g": "2", "crf": "30", "preset": "12"}),
}


def write(path, codec, options, frames, pixels="yuv420p", container_options=None):
    height, width = frames[0].shape[:2]
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=Fraction(30), options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, pixels
        for k, image in enumerate(frames):
            if image.ndim == 3:
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            else:
                frame = av.VideoFrame(width, height, pixels)
                plane = frame.planes[0]
                rows = np.zeros((height, plane.line_size // 2), np.uint16)
                rows[:, :width] = image
                plane.update(rows.tobytes())
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def pictures(count, size=(48, 80)):
    y, x = np.mgrid[: size[0], : size[1]]
    random = np.random.default_rng(7)
    for k in range(count):
        image = np.stack([x * 3 + k * 7, y * 5 + k * 3, x + y + k * 11], -1) % 256
        image[8:24, 8:24] = random.integers(0, 256, (16, 16, 3))
        yield image.astype(np.uint8)


@pytest.fixture(scope="module", params=sorted(CODECS))
def clip(request, tmp_path_factory):
    """A file, and its frames decoded from the first to the last."""
    codec, options = CODECS[request.param]
    path = tmp_path_factory.mktemp("clips") / request.param
    os.environ["SVT_LOG"] = "1"
    try:
        write(path, codec, options, list(pictures(COUNT)))
    except (av.FFmpegError, ValueError, LookupError):
        pytest.skip(f"no encoder {codec} here")
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == COUNT
    return path, frames


@pytest.fixture(scope="module")
def simple(tmp_path_factory):
    path = tmp_path_factory.mktemp("simple") / "clip.mp4"
    write(path, "libx264", {"g": "6"}, list(pictures(COUNT)))
    with av.open(str(path)) as container:
        return path, np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])


def test_any_frames_are_those_of_plain_decoding(clip):
    path, frames = clip
    source = VideoSource(path, 0, COUNT, total=COUNT, videos=Videos(limit=1))
    random = np.random.default_rng(0)
    picks = [random.integers(0, COUNT, random.integers(1, 7)) for _ in range(12)]
    for at in [np.array([COUNT - 1]), np.array([0]), *picks, np.array([5, 5, 2, 5])]:
        for image, ordinal in zip(source.take(at), at):
            assert np.array_equal(image, frames[ordinal]), (path.name, at)
    assert np.array_equal(source.take(slice(0, COUNT, 1)), frames)


def test_a_part_of_a_file(simple):
    path, frames = simple
    source = VideoSource(path, lambda: 10, 20, shape=(48, 80, 3))
    assert np.array_equal(source.take(slice(0, 20, 1)), frames[10:30])
    assert np.array_equal(source.take(np.array([19, 0])), frames[[29, 10]])
    assert source.take(np.array([], np.int64)).shape == (0, 48, 80, 3)
    with pytest.raises(ArgumentError, match="on its own"):
        source.encoded(slice(0, 1, 1))


def test_a_run_is_sought_and_decoded_once(simple, monkeypatch):
    seeks, begin = [], Container._seek
    monkeypatch.setattr(
        Container, "_seek", lambda self, index, key, last: seeks.append(key) or begin(self, index, key, last)
    )
    source = VideoSource(simple[0], 0, COUNT, videos=Videos())
    source.take(np.random.default_rng(0).permutation(COUNT))
    assert seeks == [0]
    source.take(np.array([7]))
    source.take(np.array([8, 10]))  # in the group of pictures that the decoder was in, before it was emptied
    source.take(np.array([11]))
    source.take(np.array([12, 13]))  # the next one
    assert seeks == [0, 1, 1]


@given(st.lists(st.lists(st.integers(0, COUNT - 1), max_size=4), max_size=12))
def test_any_calls_one_after_another(simple, calls):
    """Whether the decoder was emptied after the last one or not."""
    source = VideoSource(simple[0], 0, COUNT, videos=Videos(limit=1))
    for at in calls:
        assert np.array_equal(source.take(np.array(at, np.int64)), simple[1][at])


def test_no_packet_is_decoded_for_what_nobody_wants(tmp_path, monkeypatch):
    path = tmp_path / "clip.mp4"
    write(path, *CODECS["h264-two.mp4"], list(pictures(COUNT)))
    sent, decoded = [], Container._decoded

    def counted(self, index, first, rest):
        def each():
            for packet in rest:
                sent.append(packet.pts)
                yield packet

        sent.append(first.pts)
        return decoded(self, index, first, each())

    monkeypatch.setattr(Container, "_decoded", counted)
    source = VideoSource(path, 0, COUNT, videos=Videos())
    at = np.random.default_rng(0).permutation(COUNT)
    for one in at:
        source.take(np.array([one]))
    assert len(sent) <= 2 * COUNT


def test_open_files_are_bounded(simple, tmp_path):
    videos, data = Videos(limit=2), simple[0].read_bytes()
    for k in range(5):
        path = tmp_path / f"{k}.mp4"
        path.write_bytes(data)
        assert np.array_equal(VideoSource(path, 0, COUNT, videos=videos).take(np.array([k]))[0], simple[1][k])
    assert len(videos._pool) == 2
    videos.close()
    assert len(videos._pool) == 0


def test_threads_read_one_file_at_once(simple):
    path, frames = simple
    source, wrong = VideoSource(path, 0, COUNT, videos=Videos(limit=2)), []

    def read(seed):
        random = np.random.default_rng(seed)
        for _ in range(15):
            at = random.integers(0, COUNT, 3)
            if not np.array_equal(source.take(at), frames[at]):
                wrong.append(at)

    threads = [threading.Thread(target=read, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


@pytest.mark.filterwarnings("ignore:This process")  # forking with threads is what is tried
def test_a_forked_process_opens_its_own(simple):
    path, frames = simple
    source = VideoSource(path, 0, COUNT, videos=Videos())
    assert np.array_equal(source.take(np.array([3]))[0], frames[3])
    child = os.fork()
    if not child:
        signal.alarm(30)  # a child that waits for threads of its parent would do so for ever
        right = False
        try:
            right = all(np.array_equal(source.take(np.array([k]))[0], frames[k]) for k in (20, 4))
        finally:
            os._exit(0 if right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(source.take(np.array([9]))[0], frames[9])


def test_a_file_that_is_replaced_is_opened_anew(simple, tmp_path):
    path, source = tmp_path / "clip.mp4", VideoSource(tmp_path / "clip.mp4", 0, 5, videos=Videos())
    path.write_bytes(simple[0].read_bytes())
    assert np.array_equal(source.take(np.array([4]))[0], simple[1][4])
    write(path, "libx264", {}, list(pictures(9))[::-1])
    with av.open(str(path)) as container:
        want = next(container.decode(video=0)).to_ndarray(format="rgb24")
    assert np.array_equal(source.take(np.array([0]))[0], want)


@pytest.mark.parametrize(
    "options, match",
    [
        ({"total": COUNT + 1}, "has 45 frames, expected 46"),
        ({"total": lambda: COUNT - 1}, "expected 44"),
        ({"count": COUNT + 1}, "0 to 46 are wanted"),
        ({"first": -1}, "are wanted"),
        ({"shape": (80, 48, 3)}, r"\(48, 80\), expected \(80, 48\)"),
        ({"gray": "gray12le", "shape": (48, 80, 1)}, "expected gray12le"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(simple, options, match):
    given = {"first": 0, "count": COUNT, "episode": 7, "key": "front", **options}
    source = VideoSource(simple[0], given.pop("first"), given.pop("count"), **given)
    with pytest.raises(DataError, match=match) as caught:
        source.take(np.array([0]))
    assert (caught.value.file, caught.value.episode, caught.value.key) == (str(simple[0]), 7, "front")


def test_other_files_are_refused(tmp_path, simple):
    playlist = tmp_path / "clip.mp4"
    playlist.write_text(f"#EXTM3U\n#EXTINF:1,\n{simple[0]}\n", "utf-8")
    named = tmp_path / "clip.m3u8"
    named.write_bytes(playlist.read_bytes())
    empty = tmp_path / "empty.mp4"
    empty.touch()
    for path in (playlist, named, empty, tmp_path / "absent.mp4", tmp_path):
        with pytest.raises(DataError):
            VideoSource(path, 0, 1).take(np.array([0]))


def test_damage_is_told_or_is_none(clip, tmp_path):
    """Cut off and flipped bytes: a DataError, or frames of the right shape; pixels have no checksum."""
    source, frames = clip
    data, random = source.read_bytes(), np.random.default_rng(11)
    path = tmp_path / source.name
    for case in range(24):
        damaged = bytearray(data)
        if case % 3 == 0:
            del damaged[int(random.integers(len(data))) :]
        else:
            for at in random.integers(0, len(data), 1 + case % 5):
                damaged[at] ^= int(random.integers(1, 256))
        path.write_bytes(damaged)
        try:
            found = VideoSource(path, 0, COUNT, total=COUNT, videos=Videos()).take(np.array([0, 20, COUNT - 1]))
        except DataError as error:
            assert error.file == str(path)  # noqa: PT017
        else:
            assert found.shape == (3, *frames[0].shape)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_a_file_that_is_cut_off_is_never_read_as_whole(tmp_path, codec):
    """Even the first frames are not, and even if the list of all frames comes first."""
    whole, path = tmp_path / "whole.mp4", tmp_path / "clip.mp4"
    write(whole, codec, {}, list(pictures(20)), container_options={"movflags": "faststart"})
    data = whole.read_bytes()
    assert data.find(b"moov") < data.find(b"mdat")
    for part in (0, 7, 50, len(data) // 3, len(data) // 2, len(data) - 300, len(data) - 1):
        path.write_bytes(data[:part])
        with pytest.raises(DataError):
            VideoSource(path, 0, 1, videos=Videos()).take(np.array([0]))


@pytest.mark.parametrize("log", [True, False])
def test_depth_in_gray_video(tmp_path, log):
    random = np.random.default_rng(3)
    codes = random.integers(0, 4096, (5, 32, 48)).astype(np.uint16)
    codes[0, 0, :2] = 0, 4095
    path = tmp_path / "depth.mkv"
    write(path, "ffv1", {}, codes, "gray12le")
    place = {"shape": (32, 48, 1), "gray": "gray12le"}
    assert np.array_equal(VideoSource(path, 0, 5, **place).take(slice(0, 5, 1))[..., 0], codes)
    source = VideoSource(path, 0, 5, depth=DepthCode(0.1, 8.0, 0.5, log), **place)
    found = source.take(slice(0, 5, 1))[..., 0]
    part = codes / 4095
    want = np.exp(part * np.log(8.5 / 0.6) + np.log(0.6)) - 0.5 if log else 0.1 + part * 7.9
    assert found.dtype == np.float32
    assert np.abs(found - want).max() < 2e-6 * 8
    assert found[0, 0, :2].tolist() == [np.float32(0.1), np.float32(8.0)]


def test_depth_codes_that_mean_nothing_are_refused():
    for low, high, shift, log in [(1, 1, 0, False), (2, 1, 0, True), (0, 1, 0, True), (0, float("nan"), 1, True)]:
        with pytest.raises(ValueError, match="depth"):
            DepthCode(low, high, shift, log)
    with pytest.raises(ValueError, match="12 bits"):
        DepthCode(0, 1, 0, False).metres(np.array([4096], np.uint16))
