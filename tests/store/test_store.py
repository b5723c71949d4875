"""An open store as a source of a loader: rows at random, threads, forks, pickles, and what is refused."""

import gc
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from robocache import store
from robocache.datasets import open_dataset
from robocache.errors import ArgumentError, DataError, DTypeError, PositionError, ShapeError
from tests.datasets import toy

LENGTHS = (5, 0, 3, 7, 1, 0)


@pytest.fixture
def cached(source: Any, tmp_path: Path) -> Any:
    """A store of many shards, one without a step, and its values one after another."""
    pytest.importorskip("PIL")
    rng = np.random.default_rng(1)
    episodes, whole = [], {"a": [], "wide": [], "flag": [], "eye": []}
    for k, n in enumerate(LENGTHS):
        values = {"a": rng.normal(size=(n, 3)).astype("f4"), "wide": rng.integers(-9, 9, (n, 40, 30)),
                  "flag": rng.random(n) < 0.5, "eye": rng.integers(0, 256, (n, 5, 6, 3), np.uint8)}  # fmt: skip
        streams = [toy.stream(m, v, rate=10, kind="image" if m == "eye" else "vector") for m, v in values.items()]
        episodes.append(toy.episode(k, *streams, length=n))
        for name, value in values.items():
            whole[name].append(value)
    store.convert(source(episodes), tmp_path / "out", shard=1, images="png")
    opened = store.open_store(tmp_path / "out")
    assert len(opened.shards) == len(LENGTHS)
    return opened, {name: np.concatenate(parts) for name, parts in whole.items()}


@given(st.data())
def test_any_rows_in_any_order(cached: Any, data: Any) -> None:
    opened, whole = cached
    total = sum(LENGTHS)
    shape = data.draw(st.sampled_from([(), (0,), (7,), (3, 4), (2, 0, 3), (2, 3, 2)]))
    flat = data.draw(st.lists(st.integers(0, total - 1), min_size=int(np.prod(shape)), max_size=int(np.prod(shape))))
    rows = np.array(flat, np.int64).reshape(shape)
    for name in ("a", "wide", "flag"):
        found = opened.gather(name, rows)
        assert found.dtype == whole[name].dtype
        assert np.array_equal(found, whole[name][rows])
        out = np.empty_like(found)
        assert opened.gather(name, rows, out) is out
        assert np.array_equal(out, found)
    assert np.array_equal(opened.times(rows), np.concatenate([np.arange(n) for n in LENGTHS])[rows] * 10**8)
    assert np.array_equal(opened.gather("a", rows[..., None][..., ::-1])[..., 0, :], whole["a"][rows])


def test_runs_and_rows_of_another_type(cached: Any) -> None:
    opened, whole = cached
    rows = np.arange(16)
    assert np.array_equal(opened.gather("a", rows.astype(np.uint8)), whole["a"])
    assert np.array_equal(opened.gather("a", rows[::-1]), whole["a"][::-1])
    assert np.array_equal(opened.gather("a", np.tile(rows, 500)), np.tile(whole["a"], (500, 1)))


def test_what_is_refused(cached: Any) -> None:
    opened, _ = cached
    for rows in ([16], [-1], [0, 3, 99], [2**62]):
        with pytest.raises(PositionError, match=str(rows[-1])):
            opened.gather("a", np.array(rows))
        with pytest.raises(PositionError):
            opened.encoded("eye", np.array(rows))
    with pytest.raises(ArgumentError, match="'no' is not there"):
        opened.gather("no", np.arange(3))
    with pytest.raises(ArgumentError, match=r"encoded\(\)"):
        opened.gather("eye", np.arange(3))
    with pytest.raises(ArgumentError, match=r"gather\(\)"):
        opened.encoded("a", np.arange(3))
    with pytest.raises(DTypeError, match="rows"):
        opened.gather("a", np.arange(3.0))
    with pytest.raises(DTypeError, match="out"):
        opened.gather("a", np.arange(3), np.empty((3, 3)))
    for bad in (np.empty((2, 3), "f4"), np.empty((3, 3), "f4", "F"), np.empty((6, 3), "f4")[::2]):
        with pytest.raises(ShapeError, match="out"):
            opened.gather("a", np.arange(3), bad)
    frozen = np.empty((3, 3), "f4")
    frozen.flags.writeable = False
    with pytest.raises(ShapeError, match="writable"):
        opened.gather("a", np.arange(3), frozen)
    with pytest.raises(ShapeError, match="1-D"):
        opened.encoded("eye", np.zeros((2, 2), int))
    with pytest.raises(PositionError):
        opened.episode(6)
    with pytest.raises(ArgumentError, match="verify"):
        store.open_store(opened.path, "deep")


def test_pictures_repeat_and_are_not_copied(cached: Any) -> None:
    opened, whole = cached
    with open_dataset(opened.path) as mine:
        every = [data for episode in mine for data in episode["eye"].read(decode=False)]
        pictures = np.concatenate([episode["eye"].read() for episode in mine if episode.length])
        assert np.array_equal(pictures, whole["eye"])
        place = mine[3]["eye"].ranges(2)[0]
        assert Path(place.file).read_bytes()[place.offset : place.offset + place.length] == mine[3]["eye"].read(
            2, decode=False
        )
    rows = np.array([3, 0, 15, 3, 8, 8])
    found = opened.encoded("eye", rows)
    assert [bytes(data) for data in found] == [every[k] for k in rows]
    assert all(data.readonly for data in found)
    assert opened.encoded("eye", np.zeros(0, np.int64)) == []


def test_nothing_that_is_handed_out_can_be_written(cached: Any) -> None:
    opened, _ = cached
    with open_dataset(opened.path) as mine:
        values = mine[0]["a"].read()
    with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
        values[0] = 0
    with pytest.raises(ValueError, match="WRITEABLE"):
        values.flags.writeable = True


def test_arrays_outlive_the_store(cached: Any) -> None:
    opened, whole = cached
    with open_dataset(opened.path) as mine:
        kept = mine[3]["a"].read()
    data = opened.encoded("eye", np.array([2]))[0]
    length = len(data)
    opened.close()
    opened.close()
    with pytest.raises(ArgumentError, match="closed"):
        opened.gather("a", np.arange(2))
    with pytest.raises(ArgumentError, match="closed"):
        opened.encoded("eye", np.arange(2))
    assert np.array_equal(kept, whole["a"][8:15])
    assert len(bytes(data)) == length


def test_threads_share_a_store(cached: Any) -> None:
    opened, whole = cached
    start, wrong = threading.Barrier(4), []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        start.wait()
        for _ in range(50):
            rows = rng.integers(0, 16, 64)
            wrong.extend(
                name for name in ("a", "wide") if not np.array_equal(opened.gather(name, rows), whole[name][rows])
            )

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_forks_and_pickles(cached: Any, source: Any) -> None:
    opened, whole = cached
    again = pickle.loads(pickle.dumps(opened))
    assert again.fingerprint == opened.fingerprint
    assert np.array_equal(again.gather("a", np.arange(16)), whole["a"])
    child = os.fork()
    if not child:
        code = 1
        try:
            code = 0 if np.array_equal(opened.gather("wide", np.arange(16)), whole["wide"]) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_pickle_of_what_has_changed_is_refused(source: Any, tmp_path: Path) -> None:
    path = source([toy.episode(0, toy.stream("a", np.zeros(3)), length=3)])
    store.convert(path, tmp_path / "out")
    kept = pickle.dumps(store.open_store(tmp_path / "out"))
    for file in (tmp_path / "out").iterdir():
        file.unlink()
    store.convert(source_of_ones(source, path), tmp_path / "out")
    with pytest.raises(DataError, match="another store"):
        pickle.loads(kept)


def source_of_ones(source: Any, path: Path) -> Path:
    from robocache.datasets import register

    episode = toy.episode(0, toy.stream("a", np.ones(3)), length=3)
    register(toy.reader("toy", lambda path, control_hz, verify: toy.dataset(path, [episode])))
    return path


def test_the_fingerprint_is_of_the_content(source: Any, tmp_path: Path) -> None:
    path = source([toy.episode(k, toy.stream("a", np.arange(3.0) + k), length=3) for k in range(3)])
    prints = []
    for name, options in (("x", {}), ("y", {}), ("z", {"episodes": [0, 2]}), ("w", {"shard": 1})):
        store.convert(path, tmp_path / name, **options)
        prints.append(store.open_store(tmp_path / name).fingerprint)
    assert prints[0] == prints[1]
    assert len(set(prints)) == 3


def test_more_shards_than_descriptors(source: Any, tmp_path: Path) -> None:
    import resource

    path = source([toy.episode(k, toy.stream("a", np.full(2, k)), length=2) for k in range(40)])
    store.convert(path, tmp_path / "out", shard=1)
    gc.collect()  # what other tests have left open is not to be closed between two looks
    before = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    opened = store.open_store(tmp_path / "out")
    after = len(os.listdir("/proc/self/fd")) if Path("/proc/self/fd").exists() else 0
    assert after == before < resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert opened.gather("a", np.arange(80))[::2].tolist() == list(range(40))


def test_maps_go_with_the_last_that_looks_into_them(cached: Any) -> None:
    opened, _ = cached
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("needs /proc")
    name = str(opened.path)
    assert maps.read_text().count(name) == len(opened.shards)
    for _ in range(5):
        store.open_store(opened.path).gather("a", np.arange(3))
    assert maps.read_text().count(name) == len(opened.shards)
    kept = opened.encoded("eye", np.array([2]))
    opened.close()
    assert maps.read_text().count(name) == 1
    del kept
    assert maps.read_text().count(name) == 0
