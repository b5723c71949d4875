"""``windows`` against an oracle that walks every step, and against what other libraries' settings mean."""

import pickle
from dataclasses import astuple
from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import windows as oracle

import robocache as rc
from robocache._core.errors import ArgumentError, DataError, DataWarning, DTypeError, PositionError, ShapeError

EDGES = np.array([0, 5, 5, 8, 9])


def answer(backend: Any, batch: rc.WindowBatch) -> list[np.ndarray]:
    return [backend.np(array) for array in vars(batch).values()]


def same(backend: Any, batch: rc.WindowBatch, expected: list[np.ndarray]) -> None:
    for name, got, want in zip(vars(batch), answer(backend, batch), expected, strict=True):
        assert tolerances.same_bits(got, want), (name, got, want)


def rules() -> st.SearchStrategy[dict[str, int]]:
    small = st.integers(0, 5)
    drawn = {"n_obs": small, "n_act": small, "stride": st.integers(1, 4), "pad_before": small, "pad_after": small}
    how = st.fixed_dictionaries(drawn | {"action_start": st.integers(-4, 4)})
    return how.filter(lambda rule: rule["n_obs"] + rule["n_act"] > 0)


def lengths() -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, 12), max_size=8)


@given(counts=lengths(), first=st.integers(0, 3), rule=rules(), seed=st.integers(0, 2**32 - 1))
def test_against_the_oracle(backend: Any, counts: list[int], first: int, rule: dict[str, int], seed: int) -> None:
    offsets = first + np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64)
    expected = oracle.windows(offsets, **rule)
    w = rc.windows(backend.to(offsets), **rule)
    assert len(w) == len(expected[0])
    assert w.starts.tolist() == np.searchsorted(expected[4], np.arange(len(offsets))).tolist()
    same(backend, w[:], expected)
    rng = np.random.default_rng(seed)
    places = rng.integers(0, len(w), (3, 5)) if len(w) else np.zeros((3, 0), np.int64)
    for positions in (places, places.astype(np.int32).T, places[:, ::-2], places[:1].ravel()[:1]):
        same(backend, w.take(backend.to(positions)), [array[positions] for array in expected])
    ends = rc.windows(episode_ends=backend.to(offsets[1:] - first), **rule)
    assert tolerances.same_bits(answer(backend, ends[:])[5], expected[5] - first)


@given(rule=rules(), low=st.integers(-12, 12), high=st.integers(-12, 12), step=st.sampled_from((-3, -1, 1, 2, 5)))
def test_indexing_is_that_of_a_list(backend: Any, rule: dict[str, int], low: int, high: int, step: int) -> None:
    w, expected = rc.windows(backend.to(EDGES), **rule), oracle.windows(EDGES, **rule)
    same(backend, w[low:high:step], [array[low:high:step] for array in expected])
    for i in (low, np.int64(high)):
        if -len(w) <= i < len(w):
            same(backend, w[i], [array[i] for array in expected])
        else:
            with pytest.raises(PositionError, match=f"position {int(i)} lies outside"):
                w[i]
    listed = [0, len(w) - 1] if len(w) else []
    same(backend, w[listed], [array[listed] for array in expected])
    assert [int(backend.np(one.anchor)) for one in w] == expected[5].tolist()


@pytest.mark.parametrize("count, width", [(1, 1), (63, 3), (64, 1), (65, 7), (200, 2), (129, 5)])
def test_blocks_and_accesses_that_are_not_full(backend: Any, count: int, width: int) -> None:
    offsets = np.array([0, count // 3, count])
    rule = {"n_obs": width, "n_act": 3, "pad_before": width, "pad_after": 3}
    same(backend, rc.windows(backend.to(offsets), **rule)[:], oracle.windows(offsets, **rule))


@given(counts=lengths(), n_obs=st.integers(1, 3), horizon=st.integers(3, 8), before=st.integers(0, 9), after=...)
def test_diffusion_policy(counts: list[int], n_obs: int, horizon: int, before: int, after: bool) -> None:
    """Its sampler's windows, those around a current step; the order is its own."""
    ends, pad = np.cumsum(counts, dtype=np.int64), horizon // 2 if after else 0
    limits = min(before, n_obs - 1), min(pad, horizon - n_obs)
    w = rc.windows(
        episode_ends=ends, n_obs=n_obs, n_act=horizon, action_start=1 - n_obs, pad_before=before, pad_after=pad
    )
    expected = oracle.sequence_sampler(ends, horizon, *limits)
    batch = w[:]
    assert batch.action_index.tolist() == expected.tolist()
    assert batch.obs_index.tolist() == expected[:, :n_obs].tolist()


def test_every_padded_action_is_flagged(backend: Any) -> None:
    """Octo's mask comes late: of the 6 padded steps here it misses 3."""
    batch = rc.windows(backend.to(np.array([0, 10])), n_obs=1, n_act=4, pad_after=3)[:]
    step = np.arange(10)[:, None] + np.arange(4)
    assert backend.np(batch.action_valid).tolist() == (step <= 9).tolist()
    assert (~backend.np(batch.action_valid)).sum() == 6
    assert backend.np(batch.action_index).tolist() == np.minimum(step, 9).tolist()


def test_as_many_windows_as_memory_never_holds(backend: Any) -> None:
    edges = np.arange(0, 10**6 + 1) * 10**9  # 10**15 steps
    w = rc.windows(edges, 2, 16, stride=3, pad_before=1)
    each = -(-(10**9 - 15) // 3)
    assert len(w) == each * 10**6
    positions = np.array([0, 1, each - 1, each, each * 777_777 + 5, len(w) - 1])
    batch = w.take(backend.to(positions))
    episode, k = positions // each, positions % each
    assert backend.np(batch.episode).tolist() == episode.tolist()
    assert backend.np(batch.anchor).tolist() == (edges[episode] + 3 * k).tolist()
    assert backend.np(batch.obs_valid)[:, 0].tolist() == (k > 0).tolist()
    assert backend.np(batch.action_index)[:, -1].tolist() == (edges[episode] + 3 * k + 15).tolist()


@pytest.mark.parametrize("bad", [[3, -1], [0, 9], [2**62]])
def test_positions_outside(backend: Any, bad: list[int]) -> None:
    w, positions = rc.windows(EDGES), backend.to(np.array(bad))
    if backend.name == "cpu":
        with pytest.raises(DataError, match=rf"positions\[{len(bad) - 1}\] = {bad[-1]} .* 0 … 8"):
            w.take(positions)
        return
    got = answer(backend, w.take(positions))
    with pytest.warns(DataWarning, match="positions or indices lie outside"):
        w.take(backend.to(np.array([0])))
    assert not got[1][-1].any()
    assert not got[3][-1].any()
    assert [int(got[k][-1].max()) for k in (0, 2, 4, 5)] == [-1] * 4
    assert got[5][:-1].tolist() == bad[:-1]


def test_no_episodes_and_empty_ones(backend: Any) -> None:
    for edges in ([0], [4, 4, 4]):
        w = rc.windows(backend.to(np.array(edges)), 2, 3, pad_before=9, pad_after=9)
        assert len(w) == 0
        assert backend.np(w[:].action_index).shape == (0, 3)
        assert backend.np(w.take(backend.to(np.zeros((0, 4), np.int64))).obs_valid).shape == (0, 4, 2)
    assert len(rc.windows(episode_ends=[])) == 0


WRONG = [
    (ArgumentError, "either offsets", {"offsets": None}),
    (ArgumentError, "either offsets", {"episode_ends": np.array([3])}),
    (ShapeError, "offsets has shape", {"offsets": np.zeros((2, 2), np.int64)}),
    (ShapeError, r"offsets has shape \(0,\)", {"offsets": np.zeros(0, np.int64)}),
    (DTypeError, "offsets has dtype float64", {"offsets": np.array([0.0, 5.0])}),
    (DataError, "must not fall", {"offsets": np.array([0, 5, 4])}),
    (DataError, "nor be negative", {"offsets": np.array([-1, 5])}),
    (DataError, "must not fall", {"offsets": np.array([0, 2**63 + 5], np.uint64)}),
    (ArgumentError, "n_act=0 must", {"n_obs": 0, "n_act": 0}),
    (ArgumentError, "n_obs=-1 must", {"n_obs": -1}),
    (ArgumentError, "n_obs=1.5 is not an integer", {"n_obs": 1.5}),
    (ArgumentError, "stride=0 must", {"stride": 0}),
    (ArgumentError, "stride=True must", {"stride": True}),
    (ArgumentError, "pad_before=-1 must", {"pad_before": -1}),
    (ArgumentError, "pad_after=None is not", {"pad_after": None}),
    (ArgumentError, "action_start=", {"action_start": 2**50}),
]


@pytest.mark.parametrize("error, message, how", WRONG, ids=[f"{i}" for i in range(len(WRONG))])
def test_what_is_refused(error: type, message: str, how: dict[str, Any]) -> None:
    with pytest.raises(error, match=message) as caught:
        rc.windows(**({"offsets": EDGES} | how))
    assert type(caught.value) is error


@pytest.mark.parametrize("positions", [np.array([0.0]), np.array([True, False])])
def test_positions_that_are_no_integers(backend: Any, positions: np.ndarray) -> None:
    with pytest.raises(DTypeError, match="positions has dtype"):
        rc.windows(EDGES).take(backend.to(positions))


def test_what_it_holds_and_copies(backend: Any) -> None:
    w = rc.windows(backend.to(EDGES), 2, 3, 2, 1, 2, action_start=-1)
    assert repr(w) == f"Windows({len(w)} of 2 observations and 3 actions, from 4 episodes)"
    assert (w.offsets.tolist(), w.n_obs, w.n_act, w.stride) == (EDGES.tolist(), 2, 3, 2)
    assert (w.pad_before, w.pad_after, w.action_start) == (1, 2, -1)
    with pytest.raises(ValueError, match="read-only"):
        w.offsets[0] = 1
    expected = answer(backend, w[:])
    same(backend, pickle.loads(pickle.dumps(w))[:], expected)
    with pytest.raises(AttributeError):
        w[0].episode = 3


def test_answers_live_where_positions_do(backend: Any) -> None:
    w = rc.windows(EDGES)
    assert isinstance(w.take(backend.to(np.array([1]))).anchor, backend.xp.ndarray)
    assert isinstance(rc.windows(backend.to(EDGES))[1:3].anchor, backend.xp.ndarray)
    assert type(w[0].anchor) is np.ndarray


def test_torch_and_jax(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    w = rc.windows(EDGES, n_act=2, pad_after=1)
    if backend.name == "cpu":
        jax = pytest.importorskip("jax")
        with pytest.warns(DataWarning, match="jax_enable_x64"):
            batch = w.take(jax.numpy.array([2, 0]))
        assert isinstance(batch.obs_valid, jax.Array)
        assert batch.action_index.tolist() == [[2, 3], [0, 1]]
    elif not torch.cuda.is_available():
        pytest.skip("torch without a GPU")
    device = "cpu" if backend.name == "cpu" else "cuda"
    batch = w.take(torch.tensor([8, 0], device=device))
    assert all(isinstance(array, torch.Tensor) and array.device.type == device for array in vars(batch).values())
    assert batch.action_index.tolist() == [[8, 8], [0, 1]]
    assert batch.action_valid.tolist() == [[True, False], [True, True]]
    home = rc.windows(torch.from_numpy(EDGES).to(device))
    assert isinstance(home[0].anchor, torch.Tensor)


def test_threads_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    offsets = np.arange(0, 60_001, 100)
    expected = []
    for threads in ("1", "3"):
        monkeypatch.setenv("ROBOCACHE_NUM_THREADS", threads)
        expected.append(astuple(rc.windows(offsets, 4, 16, pad_before=3, pad_after=15)[:]))
    for one, many in zip(*expected, strict=True):
        assert tolerances.same_bits(one, many)
