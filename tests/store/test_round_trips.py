"""What a store gives back is what its source gave: every format, any shape, type and length."""

import tempfile
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache import store
from robocache.datasets import Span, open_dataset
from robocache.errors import ArgumentError, DataError
from tests.datasets import made, toy
from tests.store.comparing import assert_same

LEROBOT = Path(__file__).resolve().parents[1] / "datasets" / "lerobot"
DTYPES = ["?", "i1", "u1", "<i2", ">i4", "<u8", "<f2", "<f4", ">f8", ml_dtypes.bfloat16]


@pytest.mark.parametrize("version", ["lerobot_v21_small", "lerobot_v30_small"])
def test_lerobot(version: str, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    pytest.importorskip("av")
    done = store.convert(LEROBOT / version, tmp_path / "out", shard="200kB")
    assert done.shards > 1
    assert not done.notes
    assert not done.failures
    with open_dataset(LEROBOT / version) as source:
        assert_same(source, tmp_path / "out")
        specs = store.open_store(tmp_path / "out").streams
        assert specs["observation.images.front"].codec is None  # video: as uint8, nothing lost
        assert specs["observation.images.still"].codec == "png"


def test_rlds(tmp_path: Path) -> None:
    pytest.importorskip("google_crc32c")
    pytest.importorskip("simplejpeg")
    from robocache.datasets import Episode
    from robocache.datasets.rlds.writer import write_rlds

    rng = np.random.default_rng(0)
    episodes = [
        Episode.from_arrays(k, {"obs/image": rng.integers(0, 256, (n, 8, 12, 3), np.uint8),
                                "action": rng.normal(size=(n, 7)).astype(np.float32)},
                            rate=5, language=[Span(0, n, f"task {k}")])
        for k, n in enumerate((4, 1, 6))
    ]  # fmt: skip
    folder = write_rlds(episodes, tmp_path / "sets", name="small")
    done = store.convert(folder, tmp_path / "out")
    with open_dataset(folder) as source:
        assert_same(source, tmp_path / "out", left_out=len(done.notes))
        assert not [name for name in done.notes if name in ("obs/image", "action")]


def test_robomimic(demos: Path, tmp_path: Path) -> None:
    store.convert(demos, tmp_path / "out", shard=20_000)
    with open_dataset(demos) as source, open_dataset(tmp_path / "out") as mine:
        assert_same(source, tmp_path / "out")
        assert mine.action == source.action
        assert {name: list(part) for name, part in mine.splits.items()} == {
            name: list(part) for name, part in source.splits.items()
        }
        assert (mine.control_hz, mine.control_hz_origin) == (20.0, "file")
        assert mine[2].meta == dict(source[2].meta)


def test_calvin(tmp_path: Path) -> None:
    folder = made.calvin(tmp_path / "calvin")
    store.convert(folder, tmp_path / "out")
    with open_dataset(folder) as source:
        assert_same(source, tmp_path / "out")


def test_droid_and_bridge_need_a_rate(tmp_path: Path) -> None:
    for name, make in (("droid", made.droid), ("bridge", made.bridge)):
        folder = make(tmp_path / name)
        with pytest.raises(ArgumentError, match=r"say a rate|name streams="):
            store.convert(folder, tmp_path / f"{name}_out")
    streams = ["images0", "images1", "depth_images0", "obs_dict/qpos"]
    store.convert(tmp_path / "bridge", tmp_path / "bridge_out", streams=streams)
    with open_dataset(tmp_path / "bridge") as source:
        assert_same(source, tmp_path / "bridge_out", streams)
        assert store.open_store(tmp_path / "bridge_out").streams["depth_images0"].codec == "png"


@st.composite
def recordings(draw: Any) -> list[dict[str, Any]]:
    """Values of episodes: streams of any type and shape, the same in all, of any length."""
    count = draw(st.integers(1, 3))
    kinds = [
        (draw(st.sampled_from(DTYPES)), tuple(draw(st.lists(st.integers(0, 4), max_size=3)))) for _ in range(count)
    ]
    lengths = draw(st.lists(st.integers(0, 9), min_size=1, max_size=6))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    episodes = []
    for length in lengths:
        values: dict[str, Any] = {}
        for k, (dtype, shape) in enumerate(kinds):
            kind = np.dtype(dtype)
            size = length * int(np.prod(shape)) * kind.itemsize
            raw = rng.integers(0, 2 if kind.kind == "b" else 256, size, np.uint8)
            values[f"s/{k}"] = raw.view(kind).reshape(length, *shape)
        values["words"] = np.array([f"ä{n % 3}" for n in range(length)], object)
        episodes.append(values)
    return episodes


@given(recordings(), st.integers(1, 4000), st.sampled_from([None, 20.0]), st.booleans())
def test_any_shape_type_and_length(source: Any, episodes: Any, shard: int, rate: Any, stamped: bool) -> None:
    made_of = []
    for k, values in enumerate(episodes):
        length = len(values["words"])
        stamps = np.cumsum(np.arange(length) + 1) * 10**6 if stamped else None
        streams = [toy.stream(n, v, stamps, rate=None if stamped else rate, kind="text" if n == "words" else "vector")
                   for n, v in values.items()]  # fmt: skip
        made_of.append(toy.episode(f"e{k}", *streams, length=length, meta={"k": k, "odd": b"bytes"}))
    native = [
        toy.episode(one.id, *(toy.stream(s.name, _native(s.read()), s.times if stamped else None,
                                         rate=s.timing.rate, kind=s.kind) for s in one.values()), length=one.length)
        for one in made_of
    ]  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        path = source(made_of, control_hz=rate)
        store.convert(path, f"{folder}/out", shard=shard)
        assert_same(native, Path(folder) / "out")
        with open_dataset(f"{folder}/out") as mine:
            assert [dict(one.meta) for one in mine] == [{"k": k, "left_out": ["odd"]} for k in range(len(native))]


def _native(values: Any) -> Any:
    return values if values.dtype == object else values.astype(values.dtype.newbyteorder("="))


def test_no_rate_no_times(source: Any, tmp_path: Path) -> None:
    store.convert(source([toy.episode(0, toy.stream("a", np.zeros((3, 2))), length=3)]), tmp_path / "out")
    with pytest.raises(DataError, match="control_hz"):
        store.open_store(tmp_path / "out").times(np.arange(3))


def test_what_cannot_be_stored_is_named(source: Any, tmp_path: Path) -> None:
    ragged = np.empty(2, object)
    ragged[:] = [np.zeros(1), np.zeros(2)]
    streams = [toy.stream("a", np.zeros(2)), toy.stream("odd", ragged, kind="vector", shape=(None,)),
               toy.stream("z", np.zeros(2, "c8"))]  # fmt: skip
    path = source([toy.episode(0, *streams, length=2)])
    done = store.convert(path, tmp_path / "out")
    assert set(done.notes) == {"odd", "z"}
    assert list(store.open_store(tmp_path / "out").streams) == ["a"]
    for name in ("odd", "z"):
        with pytest.raises(ArgumentError, match=f"{name} cannot be stored"):
            store.convert(path, tmp_path / "other", streams=[name])
