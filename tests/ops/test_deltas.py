"""``delta_timestamps`` against an oracle that looks at every sample, and against LeRobot's arithmetic."""

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import windows as oracle
from strategies import CLOCKS, GAPS, generators, stamps

import robocache as rc
from robocache._core.errors import ArgumentError, DataError, DataWarning, DeviceError, DTypeError, ShapeError

TIMES, EDGES = np.array([0.0, 0.1, 0.2, 0.3, 0.0, 0.1]), np.array([0, 4, 6])


def settle(backend: Any) -> None:
    if backend.name == "cuda":
        backend.xp.cuda.Device().synchronize()


@st.composite
def cases(draw: Any) -> tuple[Any, ...]:
    """Stamps of a clock, episodes, deltas in seconds and in the stamps' unit, the same of a tolerance, anchors."""
    rng, clock = draw(generators()), draw(st.sampled_from(CLOCKS))
    counts = draw(st.lists(st.integers(0, 9), min_size=1, max_size=5))
    times = np.concatenate([stamps(rng, count, clock) for count in counts])
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    unit = 1e-9 if clock == "epoch_ns" else 1.0
    gaps = st.sampled_from((*GAPS[clock], 0.4 * GAPS[clock][-1], 7 * GAPS[clock][-1]))
    seconds = [sign * float(gap) * unit for sign, gap in draw(st.lists(st.tuples(st.sampled_from((-1, 1)), gaps)))]
    tolerance = draw(st.one_of(st.none(), gaps.map(lambda gap: float(gap) * unit)))
    native = oracle.in_nanoseconds if clock == "epoch_ns" else float
    anchors = rng.integers(0, len(times), (3, 4)) if len(times) else np.zeros((3, 0), np.int64)
    limit = None if tolerance is None else native(tolerance)
    return times, offsets, seconds, [native(s) for s in seconds], tolerance, limit, anchors


@given(case=cases())
def test_against_the_oracle(backend: Any, case: Any) -> None:
    times, offsets, seconds, shifts, tolerance, limit, anchors = case
    index, valid, missed = oracle.deltas(times, offsets, anchors.ravel().tolist(), shifts, limit)
    keys = {"all": seconds, "none": [], "two": seconds[:2]}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)  # float32 may be coarse
        d = rc.delta_timestamps(backend.to(times), keys, offsets=offsets, tolerance=tolerance, on_miss="invalid")
        batch = d.take(backend.to(anchors))
    assert (len(d), d.keys) == (len(times), ("all", "none", "two"))
    for key, width in (("all", len(seconds)), ("none", 0), ("two", min(2, len(seconds)))):
        shape = (*anchors.shape, width)
        assert tolerances.same_bits(backend.np(batch.index[key]), index[:, :width].reshape(shape)), (key, index)
        assert tolerances.same_bits(backend.np(batch.valid[key]), valid[:, :width].reshape(shape)), (key, valid)
        assert tolerances.same_bits(backend.np(batch.is_pad[f"{key}_is_pad"]), ~valid[:, :width].reshape(shape))
    if not missed:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        how = {"offsets": offsets, "tolerance": tolerance, "check": "none" if backend.name == "cpu" else "strict"}
        strict = rc.delta_timestamps(backend.to(times), keys, **how)
    with pytest.raises(DataError, match=r"within tolerance|further than tolerance"):
        strict.take(backend.to(anchors))


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, "M8[us]"])
@pytest.mark.parametrize("fps", [10, 30, 50])
def test_as_lerobot_where_frames_keep_the_rate(backend: Any, dtype: Any, fps: int) -> None:
    lengths = np.array([14, 1, 21, 300])
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    times = np.concatenate([np.arange(n) / fps for n in lengths])
    if dtype is np.int64:
        times = np.round(times * 1e9)
    times = np.round(times * 1e6).astype(np.int64).astype(dtype) if dtype == "M8[us]" else times.astype(dtype)
    keys = {"observation.state": [-2 / fps, -1 / fps, 0.0], "action": [k / fps for k in range(16)]}
    positions = np.arange(len(times))
    times = (
        times
        if times.dtype.kind == "M" and backend.name == "cpu"
        else backend.to(times.astype("M8[ns]").astype(np.int64) if times.dtype.kind == "M" else times)
    )
    d = rc.delta_timestamps(times, keys, offsets=offsets)
    for batch in (d[:], d.take(backend.to(positions))):
        for key, shifts in keys.items():
            index, padding = oracle.lerobot(offsets, positions, shifts, fps)
            assert backend.np(batch.index[key]).tolist() == index.tolist()
            assert backend.np(batch.is_pad[f"{key}_is_pad"]).tolist() == padding.tolist()


def test_stamps_that_do_not_keep_the_rate(backend: Any) -> None:
    """A frame was lost: counting frames is one off from there on, looking at the stamps is not."""
    times = np.delete(np.arange(10) * 100_000_000, 4)
    d = rc.delta_timestamps(backend.to(times), {"a": [0.1, 0.5]}, on_miss="invalid")
    batch = d.take(backend.to(np.array([0, 3, 4])))
    assert backend.np(batch.index["a"]).tolist() == [[1, 4], [3, 7], [5, 8]]
    assert backend.np(batch.valid["a"]).tolist() == [[True, True], [False, True], [True, False]]


def test_a_miss(backend: Any) -> None:
    d = rc.delta_timestamps(backend.to(TIMES), {"a": [0.05], "b": [0.0]}, offsets=EDGES)
    if backend.name == "cpu":
        with pytest.raises(DataError, match=r"2 samples are further .* first of anchor 1"):
            d.take(np.array([3, 1, 0]))
        with pytest.raises(DataError, match="first of anchor 2"):
            d[2:]
        return
    batch = d.take(backend.to(np.array([3, 1, 0])))
    settle(backend)
    with pytest.warns(DataWarning, match="within tolerance"):
        d.take(backend.to(np.array([3])))
    assert backend.np(batch.valid["a"]).tolist() == [[False]] * 3
    assert backend.np(batch.valid["b"]).tolist() == [[True]] * 3


def test_times_past_the_ends_are_padding_and_no_miss(backend: Any) -> None:
    d = rc.delta_timestamps(backend.to(TIMES), {"a": [-7, -0.00005, 0.00005, 7.0]}, offsets=EDGES, check="strict")
    batch = d.take(backend.to(np.array([0, 3, 5])))
    assert backend.np(batch.index["a"]).tolist() == [[0, 0, 0, 3], [0, 3, 3, 3], [4, 5, 5, 5]]
    assert backend.np(batch.valid["a"]).tolist() == [[False, True, True, False]] * 3


def test_integers_to_their_ends(backend: Any) -> None:
    """Sums that no int64 holds lie outside; near ones are exact."""
    ends = np.iinfo(np.int64)
    times = np.array([ends.min + 1, ends.min + 3, 0, ends.max - 1, ends.max])
    shifts = [-4e9, -2e-9, 1e-9, 2e-9, 4e9]
    native = [oracle.in_nanoseconds(s) for s in shifts]
    index, valid, _ = oracle.deltas(times, np.array([0, 5]), range(5), native, 1)
    batch = rc.delta_timestamps(backend.to(times), {"a": shifts}, tolerance=1e-9, on_miss="invalid")[:]
    assert backend.np(batch.index["a"]).tolist() == index.tolist()
    lost = np.array([[not ends.min <= int(t) + s <= ends.max for s in native] for t in times])
    assert backend.np(batch.valid["a"]).tolist() == (valid & ~lost).tolist()


BAD = [[0.0, 0.2, 0.1, 0.3, 0.0, 0.1], [0.0, np.nan, 0.2, 0.3, 0.0, 0.1], [0.0, 0.1, 0.2, np.inf, 0.0, 0.1]]


@pytest.mark.parametrize("times", BAD)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bad_stamps(backend: Any, times: list[float], dtype: type) -> None:
    given = backend.to(np.array(times, dtype))
    with pytest.raises(DataError, match="unsorted, NaN"):
        rc.delta_timestamps(given, {"a": [0.0]}, offsets=EDGES, check="strict")
    if backend.name == "cpu":
        with pytest.raises(DataError, match="episode 0"):
            rc.delta_timestamps(given, {"a": [0.0]}, offsets=EDGES)
    else:
        d = rc.delta_timestamps(given, {"a": [0.0, 0.1]}, offsets=EDGES)
        settle(backend)
        with pytest.warns(DataWarning, match="unsorted"):
            batch = d[:]
        assert backend.np(batch.valid["a"]).tolist() == [[False] * 2] * 4 + [[True, True], [True, False]]
        assert backend.np(batch.index["a"]).tolist() == [[k, k] for k in range(4)] + [[4, 5], [5, 5]]
    trusting = rc.delta_timestamps(given, {"a": [-0.1, 0.1]}, offsets=EDGES, check="none", on_miss="invalid")
    index = backend.np(trusting[:].index["a"])
    assert ((index[:4] >= 0) & (index[:4] < 4) & (index[4:] >= 4).all()).all()


def test_a_nat_is_no_stamp() -> None:
    with pytest.raises(DataError, match="episode 1"):
        rc.delta_timestamps(np.array([0, 1, -(2**63)]), {}, offsets=np.array([0, 2, 3]))


def test_coarse_stamps_warn(backend: Any) -> None:
    times, edges = (1.7e9 + np.arange(6) * 300).astype(np.float32), np.array([0, 3, 6])
    with pytest.warns(DataWarning, match="coarse"):
        rc.delta_timestamps(backend.to(times), {"a": [0.0]}, offsets=edges, check="strict")
    apart = np.array([0, 1e6, 0.5, 2e6], np.float32)  # only the step between episodes would be
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rc.delta_timestamps(backend.to(apart), {"a": [0.0]}, offsets=np.array([0, 2, 4]), check="strict")


@pytest.mark.parametrize("bad", [-1, 6, 2**40])
def test_anchors_outside(backend: Any, bad: int) -> None:
    keys, anchors = {"a": [0.0, 0.1]}, backend.to(np.array([1, bad]))
    with pytest.raises(DataError, match="positions"):
        rc.delta_timestamps(backend.to(TIMES), keys, offsets=EDGES, check="strict").take(anchors)
    if backend.name == "cuda":
        d = rc.delta_timestamps(backend.to(TIMES), keys, offsets=EDGES)
        batch = d.take(anchors)
        settle(backend)
        with pytest.warns(DataWarning, match="positions or indices"):
            d[0]
        assert backend.np(batch.index["a"]).tolist() == [[1, 2], [-1, -1]]
        assert backend.np(batch.valid["a"]).tolist() == [[True, True], [False, False]]


def test_nothing_to_find(backend: Any) -> None:
    for edges in ([0], [0, 0, 0]):
        d = rc.delta_timestamps(backend.to(np.zeros(0)), {"a": [0.1]}, offsets=np.array(edges))
        assert len(d) == 0
        assert backend.np(d[:].index["a"]).shape == (0, 1)
    assert rc.delta_timestamps(backend.to(TIMES), {}, offsets=EDGES)[0].index == {}


def test_durations_of_numpy(backend: Any) -> None:
    times, keys = np.arange(5) * 10**9, {"a": np.array([0, 1500], "m8[ms]")}
    d = rc.delta_timestamps(backend.to(times), keys, tolerance=np.timedelta64(500, "ms"))
    assert backend.np(d[0].index["a"]).tolist() == [0, 1]
    seconds = rc.delta_timestamps(backend.to(times / 1e9), keys, tolerance=0.5)
    assert backend.np(seconds[0].index["a"]).tolist() == [0, 1]


WRONG = [
    (ArgumentError, "on_miss=", {"on_miss": "warn"}),
    (ArgumentError, "check=", {"check": "yes"}),
    (ArgumentError, "tolerance=-1", {"tolerance": -1}),
    (ArgumentError, "tolerance", {"tolerance": np.nan}),
    (ArgumentError, "deltas must map", {"deltas": [0.0]}),
    (ArgumentError, "deltas must map", {"deltas": {1: [0.0]}}),
    (ShapeError, r"deltas\['a'\] has shape \(\)", {"deltas": {"a": 0.1}}),
    (ArgumentError, r"deltas\['a'\]", {"deltas": {"a": [np.inf]}}),
    (ArgumentError, r"deltas\['a'\]", {"deltas": {"a": ["x"]}}),
    (ArgumentError, r"deltas\['a'\] holds NaT", {"deltas": {"a": np.array(["NaT"], "m8[s]")}}),
    (ArgumentError, "more nanoseconds", {"times": np.arange(6), "deltas": {"a": [1e10]}}),
    (ShapeError, "times has shape", {"times": np.zeros((2, 3))}),
    (DTypeError, "times has dtype", {"times": np.zeros(6, np.int32)}),
    (DataError, "offsets run from 0 to 5", {"offsets": np.array([0, 5])}),
    (DataError, "offsets run from 1 to 6", {"offsets": np.array([1, 6])}),
    (DataError, "must not fall", {"offsets": np.array([0, 4, 3, 6])}),
]


@pytest.mark.parametrize("error, message, how", WRONG, ids=[f"{i}" for i in range(len(WRONG))])
def test_what_is_refused(backend: Any, error: type, message: str, how: dict[str, Any]) -> None:
    how = {"times": TIMES, "deltas": {"a": [0.0]}, "offsets": EDGES} | how
    with pytest.raises(error, match=message) as caught:
        rc.delta_timestamps(**(how | {"times": backend.to(how["times"])}))
    assert type(caught.value) is error


def test_anchors_of_another_place(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="GPU 0"):
        rc.delta_timestamps(TIMES, {"a": [0.0]}, offsets=EDGES).take(cupy.asarray([0]))


def test_it_copies_and_says_what_it_is(backend: Any) -> None:
    d = rc.delta_timestamps(backend.to(TIMES), {"a": [0.0, 0.1], "b": [0.0]}, offsets=backend.to(EDGES))
    assert repr(d) == "DeltaTimestamps(6 anchors in 2 episodes; deltas of a: 2, b: 1)"
    other = pickle.loads(pickle.dumps(d))
    assert backend.np(other[:].index["a"]).tolist() == backend.np(d[:].index["a"]).tolist()
    assert backend.np(d[[5, 0]].index["a"]).tolist() == [[5, 5], [0, 1]]


def test_torch_in_torch_out(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    if backend.name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch without a GPU")
    device = "cpu" if backend.name == "cpu" else "cuda"
    d = rc.delta_timestamps(torch.from_numpy(TIMES).to(device), {"a": [0.0, 0.1]}, offsets=torch.from_numpy(EDGES))
    for batch in (d[2:4], d.take(torch.tensor([2, 3], device=device))):
        assert isinstance(batch.index["a"], torch.Tensor)
        assert batch.index["a"].tolist() == [[2, 3], [3, 3]]
        assert batch.is_pad["a_is_pad"].tolist() == [[False, False], [False, True]]


def test_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(4)
    times, anchors = np.cumsum(rng.integers(1, 1000, 50_000)), rng.integers(0, 50_000, 8000)
    found = []
    for threads in ("1", "3"):
        monkeypatch.setenv("ROBOCACHE_NUM_THREADS", threads)
        d = rc.delta_timestamps(times, {"a": rng.permutation(np.arange(-8, 9)) * 0.0 + 5e-7}, tolerance=None)
        found.append(d.take(anchors).index["a"])
    assert tolerances.same_bits(*found)
