"""What is written is read back: numbers to the bit, PNG exactly, video nearly; and by LeRobot where it is installed."""

import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import robocache.datasets as rd
from robocache.datasets.lerobot.writer import write_lerobot
from robocache.errors import ArgumentError, BackendError, DataError

DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]
OWN = {"timestamp", "frame_index", "episode_index", "index", "task_index"}


def moving(count, seed=0, size=(64, 96)):
    y, x = np.mgrid[: size[0], : size[1]]
    steps = np.arange(count)[:, None, None]
    return np.stack([x + 3 * steps + seed, y + 2 * steps, (x + y) // 2 + steps], -1).astype(np.uint8)


def episodes(counts, *, pictures=True, seed=0):
    random = np.random.default_rng(seed)
    for k, count in enumerate(counts):
        values = {
            "observation.state": random.standard_normal((count, 7)).astype(np.float32),
            "action": random.standard_normal((count, 2, 3)),
            "next.done": np.arange(count) == count - 1,
            "note": [f"step {i}" for i in range(count)],
        }
        if pictures:
            values["observation.images.front"] = moving(count, k)
        spans = [rd.Span(0, count // 2, "reach"), rd.Span(count // 2, count, "grasp")] if k % 2 else []
        yield rd.Episode.from_arrays(k, values, rate=20, language=spans)


def test_there_and_back(tmp_path):
    """Files that are split by size, steps that nothing was said of, and every value."""
    counts = [5, 12, 60, 1, 70]
    path = write_lerobot(
        episodes(counts), tmp_path / "set", fps=20, robot_type="arm", codec="libx264", crf=18, gop=6,
        data_mb=0.02, video_mb=0.004, chunks_size=2,
    )  # fmt: skip
    dataset = rd.open_dataset(path)
    assert list(dataset.validate()) == []
    assert dataset.index.lengths.tolist() == counts
    assert dataset.meta["robot_type"] == "arm"
    for want, got in zip(episodes(counts), dataset):
        assert set(got) == set(want) | OWN
        for name in ("observation.state", "action", "next.done", "note"):
            one, other = want[name].read(), got[name].read()
            assert one.dtype == other.dtype
            assert one.tolist() == other.tolist()
        one, other = (episode["observation.images.front"].read().astype(float) for episode in (want, got))
        assert one.shape == other.shape
        assert 10 * np.log10(255**2 / np.mean((one - other) ** 2)) > 30
        texts = [text for span in got.language for text in [span.text] * (span.stop - span.start)]
        half = got.length // 2
        assert texts == (["reach"] * half + ["grasp"] * (got.length - half) if got.id % 2 else [""] * got.length)
        assert np.array_equal(got["timestamp"].read(), (np.arange(got.length) / 20).astype(np.float32))
    assert sorted(p.relative_to(path).as_posix() for p in path.rglob("file-*"))[-1].startswith("videos/")
    for folder, files in {"data": 2, "videos/observation.images.front": 2, "meta/episodes": 1}.items():
        names = sorted(p.relative_to(path / folder).as_posix() for p in (path / folder).rglob("file-*"))
        assert len(names) >= files
        assert [name.split(".")[0] for name in names] == [
            f"chunk-{k // 2:03d}/file-{k % 2:03d}" for k in range(len(names))
        ]
    groups = pq.ParquetFile(path / "data/chunk-000/file-000.parquet").metadata
    assert [groups.row_group(g).num_rows for g in range(groups.num_row_groups)] == counts[: groups.num_row_groups]


def test_pictures_as_png_are_exact(tmp_path):
    path = write_lerobot(episodes([3, 40]), tmp_path / "set", fps=20, video=False)
    info = json.loads((path / "meta/info.json").read_text("utf-8"))
    assert info["video_path"] is None
    assert info["features"]["observation.images.front"]["dtype"] == "image"
    for want, got in zip(episodes([3, 40]), rd.open_dataset(path)):
        images = [episode["observation.images.front"].read() for episode in (want, got)]
        assert np.array_equal(*images)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data(), dtype=st.sampled_from(DTYPES), shape=array_shapes(min_dims=0, max_dims=3, max_side=4))
def test_numbers_of_every_kind_keep_every_bit(tmp_path_factory, data, dtype, shape):
    assume(len(shape) < 3 or dtype != "uint8")  # those are pictures
    shape = () if shape == (1,) else shape
    counts = data.draw(st.lists(st.integers(1, 5), min_size=1, max_size=3))
    given_ = [data.draw(arrays(np.dtype(dtype), (count, *shape))) for count in counts]
    path = write_lerobot(
        (rd.Episode.from_arrays(k, {"x": values}) for k, values in enumerate(given_)),
        tmp_path_factory.mktemp("sets") / "set", fps=7.5,
    )  # fmt: skip
    dataset = rd.open_dataset(path)
    assert dataset.control_hz == 7.5
    for values, got in zip(given_, dataset):
        found = got["x"].read()
        assert (found.dtype, found.shape) == (values.dtype, values.shape)
        assert found.tobytes() == np.ascontiguousarray(values).tobytes()


def test_statistics_are_those_of_all_steps(tmp_path):
    counts = [4, 9, 30]
    path = write_lerobot(episodes(counts), tmp_path / "set", fps=20, video=False)
    stats, dataset = json.loads((path / "meta/stats.json").read_text("utf-8")), rd.open_dataset(path)
    for name in ("observation.state", "action", "next.done", "observation.images.front", "index"):
        whole = np.concatenate([episode[name].read() for episode in dataset]).astype(np.float64)
        axes, scale = ((0, 1, 2), 255.0) if whole.ndim == 4 else (0, 1.0)
        found = {key: np.squeeze(np.array(value, np.float64)) for key, value in stats[name].items()}
        assert found["count"] == sum(counts)
        for key, want in [
            ("min", whole.min(axes)),
            ("max", whole.max(axes)),
            ("mean", whole.mean(axes)),
            ("std", whole.std(axes)),
        ]:
            assert np.allclose(found[key], np.squeeze(want) / scale, rtol=1e-9, atol=1e-12), (name, key)
        one = np.asarray(dataset[2][name].read(), np.float64)
        own = {key: np.squeeze(np.array(value, np.float64)) for key, value in dataset[2].meta["stats"][name].items()}
        for key, part in {"q01": 0.01, "q10": 0.1, "q50": 0.5, "q90": 0.9, "q99": 0.99}.items():
            want = np.quantile(one, part, axis=axes, method="inverted_cdf" if whole.ndim == 4 else "linear") / scale
            assert np.allclose(own[key], np.squeeze(want)), (name, key)
            assert (found["min"] <= found[key]).all()
            assert (found[key] <= found["max"]).all()


def test_names_may_be_changed_and_streams_left_out(tmp_path):
    values = {"observation/state": np.ones((4, 3)), "action": np.zeros((4, 1), np.int16), "extra": np.zeros(4)}
    one = [rd.Episode.from_arrays("a", values)]
    with pytest.raises(ArgumentError, match="cannot name a feature"):
        write_lerobot(one, tmp_path / "set", fps=5)
    chosen = {"observation/state": "observation.state", "action": "action"}
    dataset = rd.open_dataset(write_lerobot(one, tmp_path / "set", fps=5, streams=chosen, task="wait"))
    assert set(dataset[0]) - OWN == {"observation.state", "action"}
    assert dataset[0].language[0].text == "wait"
    assert dataset[0]["action"].shape == ()  # the format does not tell (1,) from a scalar


def test_a_dataset_of_lerobot_is_written_again(small, tmp_path):
    source = rd.open_dataset(small)
    copy = rd.open_dataset(write_lerobot(source, tmp_path / "set", fps=10, video=False))
    for one, other in zip(source, copy):
        assert one.language == other.language
        for name in one:
            assert np.array_equal(one[name].read(), other[name].read()), name
            assert one[name].names == other[name].names


@pytest.mark.parametrize(
    "values, options, match",
    [
        ({"x": np.zeros((3, 2))}, {"fps": 0}, "fps"),
        ({"x": np.zeros((3, 2))}, {"fps": 30}, "has 20 Hz"),
        ({"x": np.zeros((3, 2))}, {"codec": "divx"}, "codec"),
        ({"x": np.zeros((3, 2))}, {"streams": ["y"]}, "has no 'y'"),
        ({"x": np.zeros((3, 2))}, {"streams": []}, "none"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(3)}, {"streams": {"x": "a", "y": "a"}}, "two of one name"),
        ({"x": np.zeros((3, 2)), "y": np.zeros(4)}, {}, "fuse"),
        ({"x": np.zeros((0, 2))}, {}, "fuse"),
        ({"x": np.zeros((3, 2), complex)}, {}, "no place"),
        ({"x": np.zeros((3, 0))}, {}, "no place"),
        ({"x": np.zeros((3, 8, 8, 1), np.uint8)}, {}, "no place"),
        ({"timestamp": np.zeros(3)}, {"streams": ["timestamp"]}, "cannot name"),
        ({"x": np.zeros((3, 63, 65, 3), np.uint8)}, {"codec": "libx264"}, "cannot encode"),
    ],
)
def test_what_lerobot_cannot_hold_is_refused(tmp_path, values, options, match):
    one = rd.Episode.from_arrays("a", values, rate=20)
    with pytest.raises(ArgumentError, match=match):
        write_lerobot([one], tmp_path / "set", **{"fps": 20, **options})
    assert os.listdir(tmp_path) == []


def test_stamps_are_not_lost_in_silence(tmp_path):
    one = rd.Episode.from_arrays("a", {"x": np.zeros((3, 2))}, times=np.array([0, 5, 10]))
    with pytest.raises(ArgumentError, match="stamps of its own"):
        write_lerobot([one], tmp_path / "set", fps=20)


def test_a_missing_encoder_is_not_replaced(tmp_path, monkeypatch):
    av = pytest.importorskip("av")
    monkeypatch.setattr(av.codec, "Codec", lambda *_: (_ for _ in ()).throw(ValueError("no codec")))
    with pytest.raises(BackendError, match="no encoder 'libsvtav1'"):
        write_lerobot(episodes([2]), tmp_path / "set", fps=20)


def test_it_appears_whole_or_not_at_all(tmp_path):
    def broken():
        yield from episodes([4, 4])
        raise DataError("the third cannot be read")

    for video in (True, False):
        with pytest.raises(DataError, match="third"):
            write_lerobot(broken(), tmp_path / "set", fps=20, video=video, codec="libx264")
        with pytest.raises(ArgumentError, match="none"):
            write_lerobot([], tmp_path / "set", fps=20)
        assert os.listdir(tmp_path) == []
    different = [*episodes([4]), *episodes([4], pictures=False)]
    with pytest.raises(ArgumentError, match=r"has no 'observation\.images\.front'"):
        write_lerobot(different, tmp_path / "set", fps=20, codec="libx264")
    (tmp_path / "set").mkdir()
    path = write_lerobot(episodes([4], pictures=False), tmp_path / "set", fps=20)
    with pytest.raises(ArgumentError, match="there already"):
        write_lerobot(episodes([4]), path, fps=20)
    assert os.listdir(tmp_path) == ["set"]


def test_a_flip_in_a_written_value_is_seen(tmp_path):
    path = write_lerobot(episodes([50], pictures=False), tmp_path / "set", fps=20)
    file = path / "data/chunk-000/file-000.parquet"
    column, data = pq.ParquetFile(file).metadata.row_group(0).column(0), file.read_bytes()
    begin = column.dictionary_page_offset or column.data_page_offset
    for at in range(begin + 60, begin + column.total_compressed_size, 97):
        damaged = bytearray(data)
        damaged[at] ^= 1
        file.write_bytes(damaged)
        with pytest.raises(DataError):
            rd.open_dataset(path)[0]["observation.state"].read()


def test_lerobot_reads_it(tmp_path):
    lerobot = pytest.importorskip("lerobot.datasets.lerobot_dataset", reason="LeRobot is not installed")
    path = write_lerobot(episodes([6, 30]), tmp_path / "set", fps=20, codec="libx264")
    theirs, ours = lerobot.LeRobotDataset("local/set", root=path, video_backend="pyav"), rd.open_dataset(path)
    assert len(theirs) == 36
    for step in range(36):
        episode, at = ours.index.locate(step)
        item = theirs[step]
        for name in ("observation.state", "action", "timestamp", "index", "next.done"):
            assert np.array_equal(item[name].numpy(), ours[episode][name].read(at).astype(item[name].numpy().dtype))
        image = (item["observation.images.front"].numpy() * 255).round().astype(np.uint8).transpose(1, 2, 0)
        assert np.array_equal(image, ours[episode]["observation.images.front"].read(at))
