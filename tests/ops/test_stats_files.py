"""LeRobot's and RLDS' spellings, and everything that ``RunningStats`` refuses."""

import copy
import json
import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import robocache as rc
from robocache.errors import ArgumentError, DataError, DeviceError, DTypeError, MemoryLimitError, ShapeError

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")
FIXTURES = DATA.parent / "fixtures"


def sample(seed: int = 0, shape: tuple[int, ...] = (200, 4)) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def test_lerobot_entries_come_back(backend: Any) -> None:
    values = sample()
    stats = rc.RunningStats().update(backend.to(values))
    entry = json.loads(json.dumps(stats.to_lerobot()))
    assert list(entry) == ["min", "max", "mean", "std", "count", "q01", "q10", "q50", "q90", "q99"]
    again = rc.RunningStats.from_lerobot(entry)
    assert again.to_lerobot() == entry
    assert again.quantile(0.01).tolist() == entry["q01"]
    assert (again.mean == stats.mean).all()
    assert (again.std() == stats.std()).all()
    more = sample(1)
    merged, whole = (
        again + rc.RunningStats().update(backend.to(more)),
        rc.RunningStats().update(np.concatenate([values, more])),
    )
    assert merged.count.tolist() == [400] * 4
    for name in ("min", "max"):
        assert (getattr(merged, name) == getattr(whole, name)).all()
    np.testing.assert_allclose(merged.mean, whole.mean, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(merged.std(), whole.std(), rtol=1e-14)
    with pytest.raises(DataError, match="not known"):
        merged.quantile(0.01)
    assert rc.RunningStats.from_dict(again.to_dict()) == again
    assert tuple(np.shape(stats.to_lerobot((4, 1, 1))["q50"])) == (4, 1, 1)
    assert rc.RunningStats(()).update(values).to_lerobot()["mean"] == [rc.RunningStats(()).update(values).mean]


def test_rlds_entries_come_back(backend: Any) -> None:
    stats = rc.RunningStats(quantiles=(0.01, 0.99)).update(backend.to(sample()))
    mask = [True, True, True, False]
    entry = json.loads(json.dumps(stats.to_rlds(mask)))
    assert list(entry) == ["mean", "std", "max", "min", "q01", "q99", "mask"]
    again = rc.RunningStats.from_rlds(entry, num_transitions=200)
    assert (again.std() == stats.std()).all()
    assert again.count.tolist() == [200] * 4
    given = backend.to(sample())
    got, direct = rc.normalize(given, entry, "quantile"), rc.normalize(given, stats, "quantile", mask=np.array(mask))
    assert (backend.np(got) == backend.np(direct)).all()


def test_files_without_counts_cannot_be_merged() -> None:
    entry = rc.RunningStats().update(sample()).to_rlds()
    for read in (rc.RunningStats.from_rlds, rc.RunningStats.from_lerobot):
        with pytest.raises(DataError, match="cannot be merged"):
            read(entry)


@pytest.mark.parametrize("name", ["observation.state", "action", "observation.effort", "timestamp", "next.done"])
def test_lerobots_own_figures(backend: Any, name: str) -> None:
    """Moments as LeRobot wrote them; its quantiles of several episodes are averages, and not compared."""
    folder = FIXTURES / "lerobot_v30_small"
    if not folder.exists():
        pytest.skip(f"no data set at {folder}; set ROBOCACHE_DATA to the folder beside it")
    theirs = json.loads((folder / "meta" / "stats.json").read_text("utf-8"))[name]
    with np.load(folder / "reference_items.npz") as items:
        values = items[name]
    shape = np.shape(theirs["mean"]) if values.ndim > 1 else ()  # all but the last axis are averaged over there
    stats = rc.RunningStats(shape).update(backend.to(values))
    mine = stats.to_lerobot()
    frames = (
        values.size // max(len(values), 1) // np.size(theirs["mean"])
    )  # it counts frames, however many samples each
    assert mine["count"] == [frames * theirs["count"][0]]
    for key in ("min", "max", "mean", "std"):
        np.testing.assert_allclose(mine[key], np.array(theirs[key], np.float64), rtol=2e-6, atol=2e-7)
    read = rc.RunningStats.from_lerobot(theirs)
    np.testing.assert_array_equal(read.std(), theirs["std"])


def test_an_episode_at_a_time() -> None:
    """LeRobot 2.1 keeps statistics of each episode; merged, they are those of the whole."""
    path = FIXTURES / "lerobot_v21_small" / "meta" / "episodes_stats.jsonl"
    if not path.exists():
        pytest.skip(f"no data set at {path}; set ROBOCACHE_DATA to the folder beside it")
    episodes = [json.loads(line)["stats"]["action"] for line in path.read_text("utf-8").splitlines()]
    merged = rc.RunningStats.from_lerobot(episodes[0])
    for episode in episodes[1:]:
        merged.merge(rc.RunningStats.from_lerobot(episode))
    whole = json.loads((FIXTURES / "lerobot_v30_small" / "meta" / "stats.json").read_text("utf-8"))["action"]
    assert merged.count.tolist() == whole["count"] * 6
    np.testing.assert_allclose(merged.mean, whole["mean"], rtol=1e-6)
    np.testing.assert_allclose(merged.std(), whole["std"], rtol=1e-6)


def test_nothing_yet_and_nothing_at_all(backend: Any) -> None:
    stats = rc.RunningStats()
    assert repr(stats) == "RunningStats(no samples)"
    with pytest.raises(ArgumentError, match="update first"):
        _ = stats.mean
    assert rc.RunningStats.from_dict(stats.to_dict()) == stats
    stats.update(backend.to(np.zeros((0, 3))))
    assert (stats.shape, stats.count.tolist()) == ((3,), [0, 0, 0])
    assert all(
        np.isnan(a).all() for a in (stats.mean, stats.std(), stats.var(1), stats.min, stats.max, stats.quantile(0.5))
    )
    with pytest.raises(DataError, match="no sample"):
        stats.to_lerobot()
    one = stats.update(backend.to(np.array([[1.5, 2, -3]])))
    assert (one.mean == one.min).all()
    assert (one.quantile(0.3) == one.max).all()
    assert (one.std() == 0).all()
    assert np.isnan(one.std(ddof=1)).all()
    wide = rc.RunningStats((2, 0)).update(backend.to(np.zeros((5, 2, 0))))
    assert wide.mean.shape == (2, 0)
    assert rc.RunningStats().update(backend.to(np.array(3.0))).mean == 3


def test_nan_and_inf_are_counted_not_hidden(backend: Any) -> None:
    stats = rc.RunningStats().update(backend.to(np.array([[1, np.nan], [np.inf, 2], [-np.inf, 4]])))
    assert stats.nonfinite.tolist() == [2, 1]
    assert stats.count.tolist() == [1, 2]
    assert stats.mean.tolist() == [1, 3]
    with pytest.raises(DataError, match="1 to 2 samples"):
        stats.to_lerobot()


def test_copies_and_pickles_go_their_own_way(backend: Any) -> None:
    stats = rc.RunningStats().update(backend.to(sample()))
    for other in (stats.copy(), pickle.loads(pickle.dumps(stats)), copy.deepcopy(stats)):
        assert other == stats
        other.update(sample(1))
        assert other != stats
        assert int(stats.count[0]) == 200
    stats.mean[...] = 7
    assert (stats.mean != 7).all()
    assert (stats + stats).count.tolist() == [400] * 4
    assert stats.merge(stats).count.tolist() == [400] * 4


def test_threads_add_to_one_object(backend: Any) -> None:
    parts = [sample(k, (500, 3)) for k in range(8)]
    stats, given = rc.RunningStats(), [backend.to(part) for part in parts]
    several = [threading.Thread(target=stats.update, args=(part,)) for part in given]
    for thread in several:
        thread.start()
    for thread in several:
        thread.join()
    assert stats == rc.RunningStats().update(np.concatenate(parts))


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    values, marks = torch.randn(50, 3, dtype=torch.bfloat16), torch.rand(50) < 0.5
    stats = rc.RunningStats().update(values, marks)
    assert stats == rc.RunningStats().update(values[marks].float())
    scaled = rc.normalize(values, stats)
    assert isinstance(scaled, torch.Tensor)
    assert scaled.dtype == torch.bfloat16
    assert isinstance(stats.mean, np.ndarray)


WRONG = [
    (ArgumentError, "bits=0", lambda _: rc.RunningStats(bits=0)),
    (ArgumentError, "quantiles=", lambda _: rc.RunningStats(quantiles=(2,))),
    (ArgumentError, "shape=", lambda _: rc.RunningStats((-1,))),
    (ShapeError, r"last axes to be \(4,\)", lambda to: rc.RunningStats((4,)).update(to(np.ones((3, 5))))),
    (ShapeError, r"last axes to be \(4, 5\)", lambda to: rc.RunningStats((4, 5)).update(to(np.ones(5)))),
    (ShapeError, "axis=0 leaves", lambda to: rc.RunningStats((3,)).update(to(np.ones((3, 5))), axis=0)),
    (ArgumentError, "axis=2", lambda to: rc.RunningStats().update(to(np.ones((3, 5))), axis=2)),
    (ArgumentError, r"axis=\(0, -2\)", lambda to: rc.RunningStats().update(to(np.ones((3, 5))), axis=(0, -2))),
    (ArgumentError, "axis='x'", lambda to: rc.RunningStats().update(to(np.ones((3, 5))), axis="x")),
    (DTypeError, "valid has dtype", lambda to: rc.RunningStats().update(to(np.ones((3, 5))), to(np.ones(3)))),
    (ShapeError, "one mark a sample", lambda to: rc.RunningStats().update(to(np.ones((3, 5))), to(np.ones(4, bool)))),
    (DTypeError, "values has dtype", lambda to: rc.RunningStats().update(to(np.ones((3, 5), np.complex64)))),
    (MemoryLimitError, "GiB.*axis=", lambda to: rc.RunningStats(bits=12).update(to(np.ones((1, 1000))))),
    (ArgumentError, "other is int", lambda _: rc.RunningStats().merge(3)),
    (ShapeError, "other is of features", lambda _: rc.RunningStats((2,)) + rc.RunningStats((3,))),
    (ArgumentError, "ddof=-1", lambda _: rc.RunningStats((2,)).std(-1)),
    (ArgumentError, "quantiles=", lambda _: rc.RunningStats((2,)).quantile(1.5)),
    (DataError, "no format", lambda _: rc.RunningStats.from_dict({})),
    (
        DataError,
        "not what to_dict gave",
        lambda _: rc.RunningStats.from_dict({**rc.RunningStats((2,)).to_dict(), "sum": [1]}),
    ),
    (
        DataError,
        "lacks std",
        lambda _: rc.RunningStats.from_lerobot({"mean": [1], "min": [1], "max": [1], "count": [1]}),
    ),
    (ArgumentError, "entry is list", lambda _: rc.RunningStats.from_lerobot([1])),
    (
        ShapeError,
        "different shapes",
        lambda _: rc.RunningStats.from_rlds({"mean": [1], "std": [1, 2], "min": [1], "max": [1]}, 3),
    ),
    (DataError, "count", lambda _: rc.RunningStats.from_rlds({"mean": [1], "std": [1], "min": [1], "max": [1]}, 3.5)),
    (
        DataError,
        "no finite samples",
        lambda _: rc.RunningStats.from_rlds({"mean": [np.nan], "std": [1], "min": [1], "max": [1]}, 3),
    ),
    (ShapeError, "mask has", lambda _: rc.RunningStats().update(np.ones((2, 2))).to_rlds([True])),
    (ShapeError, "does not hold", lambda _: rc.RunningStats().update(np.ones((2, 2))).to_lerobot((3,))),
]


@pytest.mark.parametrize("error, text, call", WRONG, ids=[w[1] for w in WRONG])
def test_faults_are_named(backend: Any, error: Any, text: str, call: Any) -> None:
    with pytest.raises(error, match=text):
        call(backend.to)


@pytest.mark.cuda
def test_marks_on_another_device_are_refused(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="valid lives on the CPU"):
        rc.RunningStats().update(cupy.zeros((3, 5)), np.ones(3, bool))
