"""What is in a batch: against loops over steps, for any window, any mix and any number of threads."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaders.arrays import Arrays, numbers, window

import robocache as rc
from robocache.errors import ArgumentError
from robocache.loaders import Normalize

lengths = st.lists(st.integers(0, 9), min_size=1, max_size=4).filter(lambda found: sum(found) > 0)
pads = st.one_of(st.none(), st.integers(0, 4))


@st.composite
def settings(draw: Any) -> dict[str, Any]:
    return {
        "n_obs": draw(st.integers(1, 3)),
        "n_act": draw(st.integers(1, 4)),
        "action_start": draw(st.integers(-2, 2)),
        "stride": draw(st.integers(1, 3)),
        "pad_before": draw(pads),
        "pad_after": draw(pads),
    }


def check(batch: Any, i: int, source: Arrays, how: dict[str, Any]) -> None:
    """One sample of a batch, by the slow path."""
    pads = how["pad_before"], how["pad_after"]
    item = int(batch.item[i])
    episode, anchor, obs, acts = window(source, item, how["n_obs"], how["n_act"], how["action_start"],
                                        how["stride"], pads)  # fmt: skip
    assert (batch.episode[i], batch.anchor[i]) == (episode, anchor)
    for name, steps in (("state", obs), ("gripper", obs), ("action", acts)):
        assert batch[name].dtype == source.values[name].dtype
        for k, (step, real) in enumerate(steps):
            assert (batch[name][i, k] == source.values[name][step]).all()
            gap = name in source.gaps and not source.gaps[name][step]
            assert batch.valid[name][i, k] == (real and not gap)


@given(st.lists(lengths, min_size=1, max_size=3), settings(), st.integers(1, 6), st.booleans(), st.booleans(),
       st.integers(1, 3), st.integers(0, 99))  # fmt: skip
def test_every_sample_is_what_loops_find(
    many: Any, how: dict[str, Any], batch_size: int, shuffle: bool, drop_last: bool, threads: int, seed: int
) -> None:
    sources = [numbers(seed + k, each, name=f"s{k}") for k, each in enumerate(many)]
    sources[0].gaps["state"] = np.random.default_rng(seed).random(len(sources[0].values["state"])) < 0.6
    given = sources if len(sources) > 1 else sources[0]
    try:
        loader = rc.DataLoader(given, batch_size=batch_size, shuffle=shuffle, drop_last=drop_last, threads=threads,
                               seed=seed, **how)  # fmt: skip
    except ArgumentError as error:
        if "there is no batch" not in str(error):
            raise
        return
    with loader:
        met = []
        for batch in loader:
            assert list(batch) == ["state", "gripper", "action"]
            for i in range(batch.size):
                check(batch, i, sources[batch.source[i]], how)
            met += list(zip(batch.source.tolist(), batch.item.tolist()))
    assert len(set(met)) == len(met)
    if not shuffle:
        assert met == sorted(met)
    if not drop_last:
        windows = [rc.windows(one.offsets, how["n_obs"], how["n_act"], how["stride"], 99, 99,
                              action_start=how["action_start"]) for one in sources]  # fmt: skip
        assert len(met) <= sum(map(len, windows))
        if how["pad_before"] is how["pad_after"] is None:
            assert len(met) == sum(map(len, windows))


def contents(loader: Any) -> list[Any]:
    return [(batch.item.tolist(), {k: v.tobytes() for k, v in batch.numpy(valid=True).items()}) for batch in loader]


def test_threads_change_nothing() -> None:
    found = []
    for threads, prefetch in ((1, 1), (2, 2), (7, 1), (3, 9)):
        with rc.DataLoader(numbers(3, [9, 30, 14]), batch_size=3, n_obs=2, n_act=3, threads=threads, epochs=3,
                           prefetch=prefetch) as loader:  # fmt: skip
            found.append(contents(loader))
    assert all(one == found[0] for one in found)
    assert len(found[0]) == 3 * (53 // 3)
    assert found[0][:17] != found[0][17:34]  # epochs are shuffled anew


def test_names_and_roles() -> None:
    source = numbers(0, [6, 5])
    source.values["note"] = np.array(["x"] * 11)
    source.streams["note"] = source._spec("note", source.values["note"], "png", {})
    with rc.DataLoader(source, batch_size=2, obs={"joints": "state"}, action={"target": "state"}, n_act=2) as loader:
        assert set(loader.left_out) == {"note"}
        assert loader.shapes["target"] == ((2, 2, 3), np.float32)
        for batch in loader:
            assert list(batch) == ["joints", "target"]
            assert (batch["joints"][:, 0] == batch["target"][:, 0]).all()
            assert batch.numpy(valid=True)["target/valid"] is batch.valid["target"]
            with pytest.raises(KeyError):
                batch["state"]
    for wrong, said in (
        ({"obs": ["nothing"]}, "no stream 'nothing'"),
        ({"obs": "note"}, "has dtype"),
        ({"obs": ["state"], "action": ["state"]}, "in obs and in action"),
        ({"obs": [], "action": []}, "no stream was chosen"),
        ({"n_obs": 0, "obs": ["state"]}, "n_obs=0"),
        ({"normalize": {"note": {}}}, "not in the batch"),
        ({"images": {"x": None}}, "not in the batch"),
        ({"pad": 3}, "mode='episodes'"),
        ({"mode": "episodes", "n_obs": 2}, "n_obs"),
        ({"mode": "episodes", "pad": 5}, "longest episode has 6"),
        ({"epochs": 0}, "epochs"),
        ({"batch_size": 12}, "there is no batch"),
    ):
        with pytest.raises(ArgumentError, match=said):
            rc.DataLoader(source, **{"batch_size": 2, **wrong})
    with pytest.raises(ArgumentError, match="source is int"):
        rc.DataLoader(3, batch_size=1)
    with rc.DataLoader(source, batch_size=2, n_act=0) as loader:
        assert list(loader.shapes) == ["state", "gripper"]


def test_sources_must_fit_each_other() -> None:
    one, other = numbers(0, [5]), numbers(1, [5], shape=(4,), name="other")
    with pytest.raises(ArgumentError, match=r"state is \(4,\) float32 in other"):
        rc.DataLoader([one, other], batch_size=2)
    del other.streams["state"]
    with pytest.raises(ArgumentError, match="other has no stream 'state'"):
        rc.DataLoader([one, other], batch_size=2)
    with pytest.raises(ArgumentError, match="empty list"):
        rc.DataLoader([], batch_size=2)


@pytest.mark.parametrize("several", [False, True])
def test_normalised_as_the_operation_does(several: bool) -> None:
    sources = [numbers(k, [8, 9], name=f"s{k}") for k in range(1 + several)]
    stats = rc.RunningStats().update(sources[0].values["state"])
    scales = {
        "state": stats,
        "gripper": {"mean": 3.0, "std": 11.0},
        "action": Normalize({"min": [-1, -2], "max": [1, 3]}, "min_max", clip=1),
    }
    with rc.DataLoader(sources, batch_size=5, n_obs=2, n_act=3, normalize=scales) as loader:
        for batch in loader:
            assert (batch["state"].dtype, batch["gripper"].dtype, batch["action"].dtype) == ("f4", "f4", "f8")
            for i in range(batch.size):
                source, at = sources[batch.source[i]], batch.anchor[i]
                mean, std = (
                    sources[0].values["state"].mean(0, np.float64),
                    sources[0].values["state"].std(0, np.float64),
                )
                expected = (source.values["state"][at] - mean) / std
                np.testing.assert_allclose(batch["state"][i, -1], expected, rtol=1e-5, atol=1e-6)
                assert batch["gripper"][i, -1] == np.float32(np.float32(source.values["gripper"][at] - 3) / 11)
                low, high = np.array([-1, -2]), np.array([1, 3])
                scaled = np.clip((source.values["action"][at] - low) / (high - low) * 2 - 1, -1, 1)
                np.testing.assert_allclose(batch["action"][i, 0], scaled, rtol=1e-14, atol=1e-14)
    with pytest.raises(ValueError, match=r"normalize\['state'\]"):
        rc.DataLoader(sources, batch_size=5, normalize={"state": {"mean": [1, 2], "std": [1, 2]}})


@given(st.lists(lengths, min_size=1, max_size=2), st.integers(1, 4), st.sampled_from([None, "max", 9, 12]),
       st.integers(0, 9))  # fmt: skip
def test_whole_episodes(many: Any, batch_size: int, pad: Any, seed: int) -> None:
    sources = [numbers(seed + k, each, name=f"s{k}") for k, each in enumerate(many)]
    total = sum(n > 0 for each in many for n in each)
    with rc.DataLoader(sources, batch_size=batch_size, mode="episodes", pad=pad, drop_last=False, seed=seed) as loader:
        met = []
        for batch in loader:
            met += list(zip(batch.source.tolist(), batch.episode.tolist()))
            width = batch["state"].shape[0 if pad is None else 1]
            lengths = [many[s][e] for s, e in zip(batch.source, batch.episode)]
            assert (batch.offsets is None) == (pad is not None)
            assert width == (sum(lengths) if pad is None else max(lengths) if pad == "max" else pad)
            for i, (length, s) in enumerate(zip(lengths, batch.source)):
                low = int(sources[s].offsets[batch.episode[i]])
                assert batch.anchor[i] == low
                for name in ("state", "gripper", "action"):
                    own = sources[s].values[name][low : low + length]
                    if pad is None:
                        part = slice(batch.offsets[i], batch.offsets[i + 1])
                        assert (batch[name][part] == own).all()
                        assert batch.valid[name][part].all()
                    else:
                        assert (batch[name][i, :length] == own).all()
                        assert (batch[name][i, length:] == own[-1]).all()
                        assert batch.valid[name][i].tolist() == [True] * length + [False] * (width - length)
    assert len(set(met)) == len(met) == total


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_frameworks_take_the_memory_as_it_is(framework: str) -> None:
    pytest.importorskip(framework)
    source = numbers(0, [9, 8])
    with rc.DataLoader(source, batch_size=4, n_obs=2, obs=["state"], action=[]) as loader:
        for batch in loader:
            array = batch["state"]
            assert array.flags.c_contiguous
            assert array.ctypes.data % 64 == 0
            given = (batch.to_torch if framework == "torch" else batch.to_jax)(valid=True)
            assert list(given) == ["state", "state/valid"]
            where = given["state"].data_ptr() if framework == "torch" else given["state"].unsafe_buffer_pointer()
            assert where == array.ctypes.data
            assert np.asarray(given["state/valid"]).tolist() == batch.valid["state"].tolist()


def test_jax_is_told_of_types_that_it_narrows() -> None:
    pytest.importorskip("jax")
    with (
        rc.DataLoader(numbers(0, [9, 8]), batch_size=4) as loader,
        pytest.warns(rc.errors.DataWarning, match="float64"),
    ):
        assert str(next(iter(loader)).to_jax()["action"].dtype) == "float32"
