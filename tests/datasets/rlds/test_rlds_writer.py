"""What is written is read back to the bit, by this reader and by TFDS where that is installed."""

import io
import json
from functools import reduce
from operator import getitem

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

import robocache.datasets as rd
from robocache.datasets.rlds import write_rlds
from robocache.errors import ArgumentError

DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()
TYPES = st.sampled_from([np.dtype(name) for name in DTYPES] + [np.dtype(ml_dtypes.bfloat16)])


def again(episodes, path, **options):
    return rd.open_dataset(write_rlds(episodes, path, name="copy", **options))


def compare(before, after, tools):
    """Values, encoded bytes, metadata and language of the first are all in the second."""
    for name, stream in before.items():
        assert tools.canon(stream.read()) == tools.canon(after[name].read()), name
        if stream.codec in ("jpeg", "png") and stream.dtype != np.float32:
            assert stream.read(decode=False) == after[name].read(decode=False)
    assert {key: tools.canon(before.meta[key]) for key in before.meta} == {
        key: tools.canon(after.meta[key]) for key in before.meta
    }
    assert after.language == before.language


@given(st.data(), st.integers(1, 5), TYPES, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9))
def test_arrays_of_every_type_and_shape(tmp_path_factory, tools, data, steps, dtype, shape):
    raw = data.draw(st.binary(min_size=1, max_size=64))
    values = np.resize(np.frombuffer(raw, np.uint8), (steps, *shape, dtype.itemsize))
    values = values % 2 == 1 if dtype.kind == "b" else np.ascontiguousarray(values).view(dtype)
    values = values.reshape(steps, *shape)
    if dtype.kind in "fV":  # a float32 list does not promise which NaN it is
        with np.errstate(invalid="ignore"):  # bfloat16 complains of signalling ones
            values = np.where(np.isnan(values), dtype.type(1), values)
    episode = rd.Episode.from_arrays("a", {"x": values, "deep/er": np.arange(steps)}, meta={"a/x": values[0]})
    (found,) = again([episode], tmp_path_factory.mktemp("written"))
    assert found["x"].dtype == dtype
    assert found["x"].read().tobytes() == values.tobytes()
    assert found["deep/er"].read().tolist() == list(range(steps))
    assert np.asarray(found.meta["a/x"]).tobytes() == values[0].tobytes()


@given(
    st.lists(
        st.lists(st.text(max_size=6).map(lambda t: t.encode("utf-8", "replace").decode()), max_size=4),
        min_size=1,
        max_size=4,
    )
)
def test_text_and_lists_of_text(tmp_path_factory, texts):
    steps = np.array(["".join(row) for row in texts], object)
    episode = rd.Episode.from_arrays("a", {"say": steps}, meta={"words": texts[0], "one": "".join(texts[0])})
    (found,) = again([episode], tmp_path_factory.mktemp("written"))
    assert found["say"].read().tolist() == steps.tolist()
    assert found.meta["episode_metadata/words"].tolist() == texts[0]
    assert found.meta["episode_metadata/one"] == "".join(texts[0])


@pytest.mark.parametrize("name", ["rlds_small"])
def test_all_kinds_of_the_fixture_come_back(small, tmp_path, tools, name):
    before = rd.open_dataset(small / "tfrecord")
    after = again(before, tmp_path, split="val")
    assert list(after.validate()) == []
    for one, two in zip(before, after, strict=True):
        compare(one, two, tools)


def test_bridge_comes_back(bridge, tmp_path, tools):
    before = rd.open_dataset(bridge)
    after = again(before, tmp_path, shard_bytes=1_000_000)
    assert len(list(after.path.glob("*-of-00004"))) == 4
    assert (after.control_hz, after.control_hz_origin) == (5.0, "file")
    assert list(after.validate()) == []
    for one, two in zip(before, after, strict=True):
        compare(one, two, tools)


def test_pictures_become_png(tmp_path):
    rng = np.random.default_rng(0)
    colour = rng.integers(0, 255, (3, 5, 6, 3)).astype(np.uint8)
    timing = rd.Timing(3)
    depths = {"mm": rng.integers(0, 65535, (3, 5, 6, 1)).astype(np.uint16), "m": rng.random((3, 5, 6, 1), np.float32)}
    streams = dict(rd.Episode.from_arrays("a", {"colour": colour, "gray": colour[..., :1]}))
    for name, values in depths.items():
        spec = rd.StreamSpec(name, "depth", (5, 6, 1), values.dtype)
        streams[name] = rd.Stream(spec, timing, rd.Values(values))
    (found,) = again([rd.Episode("a", streams)], tmp_path)
    for name, stream in streams.items():
        assert (found[name].kind, found[name].codec) == (stream.kind, "png")
        assert found[name].read().tobytes() == stream.read().tobytes()
        assert found[name].dtype == stream.dtype
    with Image.open(io.BytesIO(found["colour"].read(1, decode=False))) as image:
        assert np.array_equal(np.asarray(image), colour[1])


def test_instructions_without_a_stream(tmp_path):
    spans = (rd.Span(1, 3, "go"), rd.Span(3, 4, "stop"))
    episodes = [rd.Episode.from_arrays(k, {"x": np.zeros(5)}, language=said) for k, said in enumerate([spans, ()])]
    dataset = again(episodes, tmp_path)
    assert dataset[0]["language_instruction"].read().tolist() == ["", "go", "go", "stop", ""]
    assert [(s.start, s.stop, s.text) for s in dataset[0].language] == [(1, 3, "go"), (3, 4, "stop")]
    assert dataset[1].language == ()


def test_flags_are_added_and_kept(tmp_path):
    given_ = np.array([True, True, False])
    dataset = again([rd.Episode.from_arrays(0, {"is_first": given_, "x": np.zeros(3)})], tmp_path)
    assert dataset[0]["is_first"].read().tolist() == given_.tolist()
    assert dataset[0]["is_last"].read().tolist() == [False, False, True]
    assert "is_terminal" not in dataset[0]


def one(values, **options):
    return rd.Episode.from_arrays("e", values, **options)


GOOD = {"x": np.zeros((3, 2))}
STAMPED = one(GOOD, times=np.arange(3), clock="robot")


@pytest.mark.parametrize(
    "episodes, said",
    [
        ([STAMPED], "stamped by the clock 'robot'"),
        ([one({"x": np.zeros(3), "y": np.zeros(4)})], "different lengths"),
        ([one({})], "no streams"),
        ([], "there are none"),
        ([one(GOOD), one({"x": np.zeros((3, 3))})], r"differs from the first one in \['x'\]"),
        ([one(GOOD), one({"y": np.zeros((3, 2))})], "differs"),
        ([one(GOOD), one(GOOD, rate=3)], "rate"),
        ([one(GOOD), one(GOOD, meta={"a": 1})], "metadata"),
        ([one(GOOD, meta={"a": 1}), one(GOOD, meta={"a": "b"})], "meta"),
        ([one(GOOD, meta={"a": {}})], "leave it out"),
        ([one(GOOD, meta={"a/b": 1, "a/b/c": 2})], "beginning of another"),
        ([one({"x": np.zeros(3, complex)})], "complex128"),
        ([one({"x": np.zeros(3, "M8[ns]")})], "datetime64"),
        ([one(GOOD, language=[rd.Span(0, 2, "a"), rd.Span(1, 3, "b")])], "overlap"),
        ([one(GOOD), one(GOOD, language=[rd.Span(0, 2, "a")])], "has instructions"),
    ],
)
def test_what_cannot_be_stored_is_refused_and_nothing_is_left(tmp_path, episodes, said):
    with pytest.raises(ArgumentError, match=said):
        write_rlds(episodes, tmp_path, name="bad")
    assert list((tmp_path / "bad").iterdir()) == []


def test_bad_calls(tmp_path):
    for wrong in (
        {"name": "a-b"},
        {"name": "a", "version": "1"},
        {"name": "a", "split": "a/b"},
        {"name": "a", "shard_bytes": 0},
    ):
        with pytest.raises(ArgumentError):
            write_rlds([one(GOOD)], tmp_path, **wrong)
    assert list(tmp_path.iterdir()) == []
    path = write_rlds([one(GOOD)], tmp_path, name="a")
    before = (path / "dataset_info.json").read_bytes()
    with pytest.raises(ArgumentError, match="already there"):
        write_rlds([one(GOOD)], tmp_path, name="a")
    assert (path / "dataset_info.json").read_bytes() == before
    with pytest.raises(ArgumentError, match="not in episode"):
        write_rlds([one(GOOD)], tmp_path, name="b", meta=["no"])


def test_metadata_says_what_tfds_asks(made):
    info = json.loads((made.path / "dataset_info.json").read_text())
    (shard,) = made.path.glob("made-train.tfrecord-00000-of-00001")
    (split,) = info["splits"]
    assert split["shardLengths"] == ["2"]
    assert int(split["numBytes"]) == shard.stat().st_size - 2 * 16
    assert json.loads((made.path / "metadata.json").read_text()) == {"control_hz": 5.0}
    assert not list(made.path.glob("*.part"))


@pytest.mark.filterwarnings("ignore")  # TensorFlow gives some of its own
def test_tfds_reads_what_is_written(made, small, tmp_path):
    tfds = pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("tensorflow")
    copied = write_rlds(rd.open_dataset(small / "tfrecord"), tmp_path, name="copied")
    count = 0
    for path in (made.path, copied):
        builder = tfds.builder_from_directory(path)
        for mine, theirs in zip(rd.open_dataset(path), builder.as_dataset(split="train"), strict=True):
            steps = list(tfds.as_numpy(theirs["steps"]))
            assert len(steps) == mine.length
            for name, stream in mine.items():
                if stream.dtype == object:
                    continue
                for want, step in zip(stream.read(), steps, strict=True):
                    value = reduce(getitem, name.split("/"), step)
                    assert np.asarray(value).tobytes() == want.tobytes(), name
                    count += np.size(want)
    assert count > 100_000
