"""Sources give what their arrays or their dataset hold, at any rows, and open no more than they are asked for."""

import os
import pickle
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache.datasets import Dataset, Episode, Source, Stream, StreamSpec, Timing, open_dataset
from robocache.errors import ArgumentError, DataError, DTypeError, PositionError, RoboCacheError, ShapeError
from robocache.loaders import DatasetSource, MemorySource
from tests.datasets import toy

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")
SMALL = ROOT / "tests" / "datasets" / "lerobot"
RNG = np.random.default_rng(3)
LENGTHS = (4, 0, 1, 9)
OFFSETS = np.array([0, 4, 4, 5, 14])
ARRAYS = {
    "state": RNG.standard_normal((14, 3)).astype(np.float32), "half": RNG.standard_normal((14, 2)).astype(np.float16),
    "brain": RNG.standard_normal((14, 5)).astype(ml_dtypes.bfloat16), "done": RNG.random(14) > 0.5,
    "count": RNG.integers(-9, 9, (14, 2, 2)), "nothing": np.zeros((14, 0)),
    "picture": RNG.integers(0, 255, (14, 6, 5, 3), np.uint8),
}  # fmt: skip


class Counting(Source):
    """Samples of an array, of which it is known which were read, and in how many calls."""

    def __init__(self, array: Any, encoded: list[bytes] | None = None) -> None:
        self.array, self.bytes = array, encoded
        self.calls, self.read = 0, Counter[int]()

    def take(self, at: Any) -> Any:
        self.calls += 1
        self.read.update(np.arange(len(self.array))[at].tolist())
        return self.array[at]

    def encoded(self, at: Any) -> list[bytes]:
        assert self.bytes is not None
        self.calls += 1
        return [self.bytes[k] for k in np.arange(len(self.bytes))[at]]


def recording(number: int, length: int, opened: list[int], **counting: Counting) -> Episode:
    opened.append(number)
    at = slice(int(OFFSETS[number]), int(OFFSETS[number]) + length)
    streams = {}
    for name, array in ARRAYS.items():
        source = counting.get(f"{name}{number}") or Counting(array[at])
        kind, codec = ("image", "jpeg") if name == "picture" else ("vector", None)
        spec = StreamSpec(name, kind, array.shape[1:], array.dtype, codec=codec)  # type: ignore[arg-type]
        streams[name] = Stream(spec, Timing(length, rate=10), source)
    return Episode(f"e{number}", streams, length=length)


def made(opened: list[int], **counting: Counting) -> Dataset:
    """A dataset whose episodes are made when they are asked for."""
    specs = dict(recording(0, 4, []).items())
    found = toy.dataset(Path("somewhere") / "toys", [], lengths=lambda: LENGTHS, control_hz=10.0,
                        specs={name: stream.spec for name, stream in specs.items()})  # fmt: skip
    from robocache.datasets.model import Episodes

    found.episodes = Episodes(4, lambda at: recording(at, LENGTHS[at], opened, **counting))
    return found


def sources() -> list[Any]:
    return [MemorySource(ARRAYS, OFFSETS, rate=10.0), DatasetSource(made([]))]


rows_of_any_shape = st.lists(st.integers(1, 4), max_size=3).flatmap(
    lambda shape: st.lists(st.integers(0, 13), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))).map(
        lambda flat: np.array(flat, np.int64).reshape(shape)
    )
)


@given(rows=rows_of_any_shape | st.just(np.zeros((0, 3), np.int64)), name=st.sampled_from(sorted(ARRAYS)))
def test_rows_are_those_of_the_arrays(rows: np.ndarray, name: str) -> None:
    for source in sources():
        spec, want = source.streams[name], ARRAYS[name][rows]
        found = source.gather(name, rows)
        assert (found.dtype, found.shape) == (want.dtype, want.shape) == (spec.dtype, (*rows.shape, *spec.shape))
        assert found.tobytes() == want.tobytes()
        out = np.full_like(want, 1)
        assert source.gather(name, rows, out=out) is out
        assert out.tobytes() == want.tobytes()
        assert source.valid(name, rows) is None


def test_what_is_known_of_sources() -> None:
    memory, dataset = sources()
    for source in (memory, dataset):
        assert source.offsets.tolist() == OFFSETS.tolist()
        assert source.rate == 10.0
    assert list(memory.streams) == list(ARRAYS)
    assert list(dataset.streams) == [*ARRAYS, "language"]
    assert memory.streams["picture"].kind == "image"
    assert dataset.streams["picture"].codec == "jpeg"
    assert memory.episode(3) == 3
    assert dataset.episode(3) == "e3"
    with pytest.raises(PositionError):
        memory.episode(4)


def test_an_episode_is_opened_when_asked_for_and_read_once_a_call() -> None:
    opened: list[int] = []
    counting = Counting(ARRAYS["state"][5:14])
    source = DatasetSource(made(opened, state3=counting))
    assert opened == []
    rows = np.array([[13, 5], [5, 7], [13, 13]])
    assert np.array_equal(source.gather("state", rows), ARRAYS["state"][rows])
    assert opened == [3]
    assert counting.calls == 1
    assert counting.read == {0: 1, 2: 1, 8: 1}
    source.gather("state", np.array([4, 13, 0]))
    assert opened == [3, 0, 2]  # in the order of the rows


def test_pictures_are_handed_out_as_they_are() -> None:
    bytes_of = [bytes([k]) * (k + 1) for k in range(9)]
    source = DatasetSource(made([], picture3=Counting(ARRAYS["picture"][5:14], bytes_of)))
    assert source.encoded("picture", np.array([13, 6, 13, 5])) == [bytes_of[k] for k in (8, 1, 8, 0)]
    assert source.encoded("picture", np.zeros(0, np.int64)) == []
    with pytest.raises(ShapeError, match="one dimension"):
        source.encoded("picture", np.zeros((1, 1), np.int64))
    for one in (source, MemorySource(ARRAYS, OFFSETS)):
        with pytest.raises(ArgumentError, match="use gather"):
            one.encoded("state", np.array([0]))


@pytest.mark.parametrize("wrong, kind, said", [
    ({"rows": [14]}, PositionError, "there are 14 steps"), ({"rows": [-1]}, PositionError, "from -1"),
    ({"rows": [0.5]}, DTypeError, "int64"), ({"name": "states"}, ArgumentError, "'states' is not a stream"),
    ({"out": np.zeros((1, 3))}, DTypeError, "out has dtype"), ({"out": np.zeros((1, 4), "f4")}, ShapeError, "out has"),
    ({"out": np.zeros((1, 6), "f4")[:, ::2]}, ArgumentError, "contiguous"),
])  # fmt: skip
def test_wrong_rows(wrong: dict[str, Any], kind: type[RoboCacheError], said: str) -> None:
    given = {"name": "state", "rows": np.array([0]), "out": None} | wrong
    for source in sources():
        with pytest.raises(kind, match=said):
            source.gather(given["name"], np.array(given["rows"]), out=given["out"])


def test_threads_that_gather_at_once() -> None:
    for source in sources():
        start, wrong = threading.Barrier(6), []

        def work(seed: int, source: Any = source, start: Any = start, wrong: Any = wrong) -> None:
            rng = np.random.default_rng(seed)
            start.wait()
            for _ in range(20):
                name, rows = str(rng.choice(sorted(ARRAYS))), rng.integers(0, 14, (5, 2))
                wrong += [name] * (source.gather(name, rows).tobytes() != ARRAYS[name][rows].tobytes())

        threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []


def test_fingerprints_tell_what_changed(tmp_path: Path) -> None:
    first = MemorySource(ARRAYS, OFFSETS).fingerprint
    assert first == MemorySource({name: array.copy() for name, array in ARRAYS.items()}, OFFSETS).fingerprint
    other = ARRAYS | {"state": ARRAYS["state"].copy()}
    other["state"][7, 1] += 1
    same_bytes = ARRAYS | {"state": ARRAYS["state"].view(np.int32)}
    changed = [MemorySource(other, OFFSETS), MemorySource(same_bytes, OFFSETS), MemorySource(ARRAYS, [0, 4, 14])]
    assert len({first, *(source.fingerprint for source in changed)}) == 4

    def of(**facts: Any) -> str:
        dataset = made([])
        for key, value in facts.items():
            setattr(dataset, key, value)
        return DatasetSource(dataset, facts.get("streams")).fingerprint

    for folder in ("here", "there"):
        (tmp_path / folder / "below").mkdir(parents=True)
        (tmp_path / folder / "below" / "data").write_bytes(b"12345")
        os.utime(tmp_path / folder / "below" / "data", ns=(5, 5))
    same = of(path=tmp_path / "here")
    assert same == of(path=tmp_path / "there")
    os.utime(tmp_path / "here" / "below" / "data", ns=(6, 6))
    later = of(path=tmp_path / "here")
    (tmp_path / "there" / "below" / "more").write_bytes(b"")
    more = of(path=tmp_path / "there")
    lengths = of(path=tmp_path / "here", lengths=lambda: (4, 1, 0, 9))
    assert len({same, later, more, lengths, of(path=tmp_path / "here", streams=["state"])}) == 5


@pytest.mark.parametrize("wrong, kind, said", [
    ({"arrays": {}}, ArgumentError, "at least one"), ({"arrays": {"a": 3.0}}, ShapeError, "no axes"),
    ({"arrays": {"a": np.zeros(3), "b": np.zeros(4)}}, ShapeError, "differing numbers"),
    ({"arrays": {"a": np.array(["x"] * 3)}}, DTypeError, "dtype <U1"),
    ({"arrays": {"a": np.zeros(3, ">f4")}}, DTypeError, "native"), ({"offsets": [0, 2]}, ArgumentError, "3 samples"),
    ({"offsets": [1, 3]}, ArgumentError, "offsets"), ({"offsets": [0, 2, 1, 3]}, ArgumentError, "rise"),
    ({"offsets": []}, ShapeError, "offsets"), ({"offsets": [0.0, 3.0]}, ShapeError, "integers"),
    ({"rate": -1}, ArgumentError, "rate"),
])  # fmt: skip
def test_arrays_that_make_no_source(wrong: dict[str, Any], kind: type[RoboCacheError], said: str) -> None:
    given = {"arrays": {"a": np.zeros((3, 2))}, "offsets": [0, 3]} | wrong
    with pytest.raises(kind, match=said):
        MemorySource(given.pop("arrays"), given.pop("offsets"), **given)


def test_arrays_go_to_another_process() -> None:
    source = pickle.loads(pickle.dumps(MemorySource(ARRAYS, OFFSETS)))
    assert source.fingerprint == MemorySource(ARRAYS, OFFSETS).fingerprint
    assert np.array_equal(source.gather("count", np.array([3])), ARRAYS["count"][[3]])


def test_a_source_that_was_closed() -> None:
    source = MemorySource(ARRAYS, OFFSETS)
    source.close()
    source.close()
    with pytest.raises(ArgumentError, match="closed"):
        source.gather("state", np.array([0]))


def dataset_of(*episodes: Any, **facts: Any) -> Dataset:
    return toy.dataset(Path("somewhere") / "toys", episodes, **facts)


@pytest.mark.parametrize("streams, specs, said", [
    (["state", "other"], {}, "other.* not in toys"), ("state", {}, "expected names"), ([], {}, "expected names"),
    (None, {"state": {"shape": (None, 3)}}, "state has samples of shape .None, 3."),
    (["t"], {"t": {"kind": "text", "dtype": np.dtype(object)}}, "t holds text"),
    (None, {"state": {"kind": "cloud", "dtype": np.dtype(object)}}, "state holds cloud"),
])  # fmt: skip
def test_streams_that_make_no_batch(streams: Any, specs: Any, said: str) -> None:
    told = {"state": {}} | specs
    known = {name: StreamSpec(name, **{"kind": "vector", "shape": (3,), "dtype": np.dtype("f4")} | spec)
             for name, spec in told.items()}  # fmt: skip
    with pytest.raises(ArgumentError, match=said):
        DatasetSource(dataset_of(specs=known, lengths=list), streams)


def test_episodes_whose_streams_do_not_go_together() -> None:
    def gather(*streams: Stream) -> Any:
        first = toy.episode("good", toy.stream("a", np.zeros((5, 2)), rate=5), toy.stream("b", np.zeros(5), rate=5))
        dataset = dataset_of(first, toy.episode("bad", *streams), lengths=lambda: (5, 5))
        source = DatasetSource(dataset)
        assert not source.gather("a", np.array([4])).any()
        return source.gather("a", np.array([4, 5]))

    b = toy.stream("b", np.zeros(5), rate=5)
    with pytest.raises(ArgumentError, match=r"episode bad: a has 4 samples for 5 steps; give rate="):
        gather(toy.stream("a", np.zeros((4, 2)), rate=5), b)
    with pytest.raises(
        ArgumentError, match=r"bad: the streams have several clocks .*'log'.*'index'.* convert the dataset with a rate="
    ):
        gather(b, toy.stream("a", np.zeros((5, 2)), np.arange(5)))
    with pytest.raises(DataError, match="episode bad, b: this episode lacks the stream"):
        gather(toy.stream("a", np.zeros((5, 2)), rate=5))
    with pytest.raises(DataError, match=r"episode bad, a: has samples of float64 \(3,\).* float64 \(2,\)"):
        gather(toy.stream("a", np.zeros((5, 3)), rate=5), b)
    with pytest.raises(DataError, match="episode bad, a: has samples of float32"):
        gather(toy.stream("a", np.zeros((5, 2), np.float32), rate=5), b)


def check(source: DatasetSource) -> None:
    """Every step of every stream, in an order of its own, against the episodes read whole."""
    count = int(source.offsets[-1])
    rows = np.random.default_rng(0).permutation(count)[:40]
    said = []
    for episode, count in zip(source._dataset, np.diff(source.offsets), strict=True):
        texts = [""] * count
        for span in episode.language:
            texts[span.start : span.stop] = [span.text] * (span.stop - span.start)
        said += texts
    assert source.texts("language", rows) == [said[row] for row in rows]
    assert source.spoken().tolist() == [text != "" for text in said]
    for name, spec in source.streams.items():
        if name == "language":
            continue
        whole = np.concatenate([episode[name].read() for episode in source._dataset])
        assert source.gather(name, rows).tobytes() == whole[rows].tobytes()
        if spec.codec is not None:
            encoded = [data for episode in source._dataset for data in episode[name].read(decode=False)]
            assert source.encoded(name, rows) == [encoded[row] for row in rows]


@pytest.mark.parametrize("name", ["lerobot_v21_small", "lerobot_v30_small"])
def test_a_dataset_that_lerobot_wrote(name: str) -> None:
    pytest.importorskip("pyarrow")
    with open_dataset(SMALL / name) as dataset:
        check(DatasetSource(dataset, ["observation.state", "observation.effort", "next.done", "frame_index"]))


def test_episodes_of_bridge() -> None:
    if not (path := DATA / "bridge_v2_rlds_debug").exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    with open_dataset(path) as dataset:
        source = DatasetSource(dataset)
        assert source.streams["observation/image_0"].codec == "jpeg"
        assert "language_instruction" not in source.streams
        check(source)


def test_a_log_has_no_steps() -> None:
    if not (path := DATA / "xio_imu_mag").exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    with open_dataset(path) as dataset, pytest.raises(ArgumentError, match=r"no steps.*give rate="):
        DatasetSource(dataset)
