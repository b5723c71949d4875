"""A rate: numbers as `fuse_multimodal` makes them, pictures and text by the sample that was there, gaps known."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import robocache as rc
from robocache import store
from robocache.datasets import Span, open_dataset
from robocache.errors import ArgumentError
from tests.datasets import toy
from tests.store.comparing import same

MS = 10**6


def log(rng: Any, counts: tuple[int, int, int], starts: tuple[int, int, int]) -> Any:
    """Joints, pictures and words, each with stamps of its own."""
    stamps = [first + np.cumsum(rng.integers(1, 40, n)) * MS for first, n in zip(starts, counts, strict=True)]
    words = np.array([f"word {n // 2}" for n in range(counts[2])], object)
    return toy.episode(
        "log",
        toy.stream("joints", rng.normal(size=(counts[0], 3)).astype(np.float32), stamps[0]),
        toy.stream("eye", rng.integers(0, 256, (counts[1], 4, 5, 3), np.uint8), stamps[1], kind="image"),
        toy.stream("words", words, stamps[2], kind="text"),
        toy.stream("grip", rng.integers(0, 9, counts[0]), stamps[0]),
    )


def before(stamps: Any, times: Any) -> Any:
    """The sample that was latest at each time: one by one, from the definition."""
    return np.array([max(k for k, stamp in enumerate(stamps) if stamp <= at) for at in times])


@given(st.integers(0, 2**32 - 1), st.sampled_from([7.0, 10.0, 29.97, 100.0]))
def test_every_stream_on_one_clock(source: Any, tmp_path_factory: Any, seed: int, rate: float) -> None:
    rng = np.random.default_rng(seed)
    episode = log(rng, (20, 12, 9), tuple(rng.integers(0, 50, 3) * MS))
    out = tmp_path_factory.mktemp("store") / "out"
    done = store.convert(source([episode]), out, rate=rate, streams={"joints": None, "eye": None, "words": None,
                                                                     "grip": "nearest"})  # fmt: skip
    if done.failures:  # no tick lies within the time that all share
        with pytest.raises(rc.errors.DataError):
            episode.fuse(rate, ["joints", "grip"], stop=min(s.times[-1] for s in episode.values()),
                         start=max(s.times[0] for s in episode.values()))  # fmt: skip
        return
    cached = store.open_store(out, "full")
    every = np.arange(cached.offsets[-1])
    times = cached.times(every)
    clock = rc.Clock(rate, max(s.times[0] for s in episode.values()), min(s.times[-1] for s in episode.values()))
    assert np.array_equal(times, clock.times())
    wanted = episode.fuse(target_times=times, streams={"joints": "linear", "grip": "nearest"}, layout="dict")
    assert same(cached.gather("joints", every), wanted["joints"])
    assert same(cached.gather("grip", every), wanted["grip"])
    assert same(cached.gather("eye", every), episode["eye"].read()[before(episode["eye"].times, times)])
    texts = [str(data, "utf-8") for data in cached.encoded("words", every)]
    assert texts == episode["words"].read()[before(episode["words"].times, times)].tolist()
    assert cached.valid("joints", every) is None
    with open_dataset(out) as mine:
        assert mine[0]["words"].read().tolist() == texts
        assert np.array_equal(mine[0]["joints"].times, times)
        assert mine.control_hz == rate
        again = mine[0].fuse(rate, {"joints": "previous"}, layout="dict")
        assert same(again["joints"], wanted["joints"])


def test_gaps_are_known(source: Any, tmp_path: Path) -> None:
    stamps = np.array([0, 100, 200, 600, 700]) * MS
    streams = [toy.stream("a", np.arange(5.0), stamps), toy.stream("b", np.arange(5), stamps)]
    path = source([toy.episode(0, *streams), toy.episode(1, *streams)])
    options = {"a": {"method": "linear", "max_gap": 250 * MS}, "b": None}
    store.convert(path, tmp_path / "out", rate=10, streams=options, shard=1)
    cached = store.open_store(tmp_path / "out", "full")
    rows = np.arange(16).reshape(2, 8)
    fused = toy.episode(0, *streams).fuse(10, {"a": options["a"], "b": "previous"})
    assert not fused.valid.all()
    assert np.array_equal(cached.valid("a", rows), np.stack([fused.valid[:, 0]] * 2))
    assert cached.valid("b", rows) is None
    with open_dataset(tmp_path / "out") as mine:
        assert list(mine[1]) == ["a", "a.valid", "b"]
        assert np.array_equal(mine[1]["a.valid"].read(), fused.valid[:, 0])
    for to in ("lerobot", "rlds"):
        for library in ("pyarrow", "av", "google_crc32c"):
            pytest.importorskip(library)
        with pytest.raises(ValueError, match="gaps"):
            store.convert(path, tmp_path / to, rate=10, streams=options, to=to, on_error="raise")


def test_a_picture_that_is_shown_often_is_stored_once(source: Any, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (3, 6, 4, 3), np.uint8)
    episode = toy.episode(
        0, toy.stream("eye", pictures, np.array([0, 500, 1000]) * MS, kind="image"),
        toy.stream("x", np.arange(101.0), np.arange(101) * 10 * MS),
    )  # fmt: skip
    store.convert(source([episode]), tmp_path / "out", rate=100, images="png")
    cached = store.open_store(tmp_path / "out")
    shard = cached.shards[0]
    assert len(shard.part("eye", "ends")) == 3
    assert len(shard.part("eye", "index")) == 101
    with open_dataset(tmp_path / "out") as mine:
        assert np.array_equal(mine[0]["eye"].read(), pictures[np.repeat([0, 1, 2], [50, 50, 1])])


def test_instructions_move_with_their_steps(source: Any, tmp_path: Path) -> None:
    steps = np.arange(10.0)
    spans = [Span(0, 4, "reach"), Span(4, 10, "lift"), Span(0, 10, "all")]
    episode = toy.episode(0, toy.stream("a", steps, rate=10), length=10, language=spans)
    store.convert(source([episode]), tmp_path / "out", rate=20)
    with open_dataset(tmp_path / "out") as mine:
        assert mine[0].length == 19
        assert [tuple(span[:3]) for span in mine[0].language] == [(0, 8, "reach"), (8, 19, "lift"), (0, 19, "all")]


def test_jpeg_and_size(source: Any, tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    simplejpeg = pytest.importorskip("simplejpeg")
    x, y = np.meshgrid(np.arange(32), np.arange(24))
    picture = np.stack([x * 8, y * 10, x + y], -1).astype(np.uint8)
    episode = toy.episode(0, toy.stream("eye", picture[None].repeat(2, 0), rate=10, kind="image"), length=2)
    path = source([episode])
    store.convert(path, tmp_path / "out", images="jpeg:95")
    cached = store.open_store(tmp_path / "out")
    assert cached.streams["eye"].codec == "jpeg"
    decoded = simplejpeg.decode_jpeg(cached.encoded("eye", np.array([1]))[0], fastdct=False)
    assert np.abs(decoded.astype(int) - picture).mean() < 2
    with open_dataset(tmp_path / "out") as mine:
        assert np.array_equal(mine[0]["eye"].read(1), decoded)
    store.convert(path, tmp_path / "small", resize=(12, 16))
    small = store.open_store(tmp_path / "small").gather("eye", np.array([0]))[0]
    assert small.shape == (12, 16, 3)
    halves = picture.reshape(12, 2, 16, 2, 3).mean((1, 3))
    assert np.abs(small[1:-1, 1:-1] - halves[1:-1, 1:-1]).max() <= 2  # a ramp made smaller is a ramp


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"rate": 0.0}, "rate"), ({"rate": float("nan")}, "rate"), ({"images": "webp"}, "images"),
        ({"images": "jpeg:0"}, "images"), ({"images": "jpeg:101"}, "images"), ({"resize": (4,)}, "resize"),
        ({"resize": (0, 4)}, "resize"), ({"streams": ["no"]}, "are not in episode"), ({"streams": []}, "streams"),
        ({"streams": {"a": "linear"}}, "needs a rate"), ({"streams": "a"}, "streams"),
        ({"shard": "64 pounds"}, "shard"),
        ({"shard": 0}, "shard"), ({"workers": 0}, "workers"), ({"on_error": "ignore"}, "on_error"),
        ({"to": "csv"}, "to"),
        ({"episodes": [2]}, "episodes"), ({"episodes": []}, "episodes"), ({"episodes": [0, 0]}, "episodes"),
        ({"rate": 10, "streams": {"eye": "linear"}}, "chosen whole"), ({"to": "rlds", "workers": 2}, "workers"),
        ({"rate": 10, "streams": {"a": "lanczos"}}, "method"),
    ],
)  # fmt: skip
def test_wrong_calls(source: Any, tmp_path: Path, wrong: Any, said: str) -> None:
    eye = toy.stream("eye", np.zeros((3, 4, 4, 3), np.uint8), rate=10, kind="image")
    path = source([toy.episode(k, toy.stream("a", np.zeros(3), rate=10), eye, length=3) for k in range(2)])
    with pytest.raises(ArgumentError, match=said):
        store.convert(path, tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()
    assert store.convert(path, tmp_path / "out").episodes == 2
