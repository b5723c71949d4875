"""Fusions that repeat skip their checks: what they remember of streams must never be stale."""

import copy
import pickle
from typing import Any

import numpy as np
import pytest
import tolerances

import robocache as rc

pytestmark = pytest.mark.cuda

GOALS = np.array([5, 20, 99])


def streams_on(cupy: Any, seed: int = 0, **more: Any) -> dict[str, rc.Stream]:
    rng = np.random.default_rng(seed)
    arm, grip = rng.standard_normal((2, 4, 3)).astype(np.float32), rng.standard_normal((2, 4)).astype(np.float32)
    times = cupy.asarray(np.tile(np.arange(4) * 10, (2, 1)))
    return {"arm": rc.Stream(cupy.asarray(arm), times, **more), "grip": rc.Stream(cupy.asarray(grip), times, **more)}


def on_host(streams: dict[str, rc.Stream], goals: Any, **more: Any) -> rc.Fused:
    fields = ("values", "times", "lengths", "offsets")
    there = {
        name: rc.Stream(**{f: v.get() if f in fields and v is not None else v for f, v in vars(s).items()})
        for name, s in streams.items()
    }
    return rc.fuse_multimodal(there, goals.get(), **more)


def same(got: rc.Fused, want: rc.Fused) -> None:
    for a, b in ((got.valid, want.valid), (got.age, want.age), (got["arm"], want["arm"]), (got["grip"], want["grip"])):
        assert np.allclose(a.get().astype(float), b.astype(float), rtol=1e-6, equal_nan=True)
    assert got.slices == want.slices
    assert got.names == want.names


@pytest.mark.parametrize("layout", ["concat", "dict"])
def test_again_with_the_same_and_with_other_streams(cupy: Any, layout: str) -> None:
    goals, streams = cupy.asarray(GOALS), streams_on(cupy)
    for seed in (None, None, 1, 2, None):
        now = streams if seed is None else streams_on(cupy, seed)
        now["arm"].values[...] *= 2  # new numbers in memory that was seen
        same(rc.fuse_multimodal(now, goals, layout=layout), on_host(now, goals, layout=layout))
        shifted = cupy.asarray(GOALS + 1)
        same(rc.fuse_multimodal(now, shifted, layout=layout), on_host(now, shifted, layout=layout))


def test_results_of_two_calls_do_not_share_memory(cupy: Any) -> None:
    goals, streams = cupy.asarray(GOALS), streams_on(cupy)
    rc.fuse_multimodal(streams, goals)
    first, second = rc.fuse_multimodal(streams, goals), rc.fuse_multimodal(streams, goals)
    kept = first.values.get().copy()
    second.values[...] = second.age[...] = second.valid[...] = 0
    second.slices.clear()
    assert tolerances.same_bits(first.values.get(), kept)
    assert first.valid is first.valid
    same(first, on_host(streams, goals))
    same(rc.fuse_multimodal(streams, goals), on_host(streams, goals))


def test_an_array_that_changed_its_shape(cupy: Any) -> None:
    """Assigning to ``shape`` changes an array in place: the stream is the same object and another stream."""
    goals, times = cupy.asarray(GOALS), cupy.asarray(np.arange(4) * 10)
    values = cupy.asarray(np.arange(24, dtype=np.float32).reshape(4, 6))
    streams = {"a": rc.Stream(values, times)}
    for _ in range(2):
        assert rc.fuse_multimodal(streams, goals, layout="dict")["a"].shape == (3, 6)
    values.shape = (4, 2, 3)
    assert rc.fuse_multimodal(streams, goals, layout="dict")["a"].shape == (3, 2, 3)


def test_options_that_are_equal_but_not_the_same(cupy: Any) -> None:
    goals = cupy.asarray(GOALS)
    for limit, right in ((1, True), (1.0, False), (1, True), (True, True), (1.0, False)):
        streams = streams_on(cupy, tolerance=limit)
        if right:
            same(rc.fuse_multimodal(streams, goals), on_host(streams, goals))
        else:
            with pytest.raises(rc.errors.ArgumentError, match="tolerance"):
                rc.fuse_multimodal(streams, goals)
    streams = streams_on(cupy)
    for fill in (1, 1.0, True, "hold", "nan", 1):
        same(rc.fuse_multimodal(streams, goals, outside=fill), on_host(streams, goals, outside=fill))


def test_copies_of_streams_and_results(cupy: Any) -> None:
    goals = cupy.asarray(GOALS)
    for twin in (copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))):
        streams = streams_on(cupy)
        for _ in range(2):
            fused = rc.fuse_multimodal(streams, goals)
        same(twin(fused), on_host(streams, goals))
        others = {name: twin(stream) for name, stream in streams.items()}
        others["arm"].values[...] += 1
        same(rc.fuse_multimodal(others, goals), on_host(others, goals))
    with pytest.raises(AttributeError, match="no attribute 'weights'"):
        _ = fused.weights
    assert "valid" in repr(fused)


def test_refused_also_after_a_call_that_was_not(cupy: Any) -> None:
    goals, streams = cupy.asarray(GOALS), streams_on(cupy)
    for _ in range(2):
        rc.fuse_multimodal(streams, goals)
    with pytest.raises(rc.errors.ArgumentError):
        rc.fuse_multimodal(streams, goals, rate=10)
    with pytest.raises(rc.errors.ArgumentError):
        rc.fuse_multimodal(streams, goals, check="yes")
    with pytest.raises(rc.errors.ArgumentError):
        rc.fuse_multimodal(list(streams.values()), goals)
    with pytest.raises(rc.errors.DeviceError):
        rc.fuse_multimodal(streams, GOALS)
    with pytest.raises(rc.errors.DeviceError):
        rc.fuse_multimodal(streams | {"host": rc.Stream(np.zeros((4, 1)), np.arange(4))}, goals)
