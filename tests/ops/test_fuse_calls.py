"""How ``fuse_multimodal`` is called: outputs given, batches that do not fit, what is refused."""

from typing import Any

import numpy as np
import pytest
import tolerances

import robocache as rc
from robocache._core.errors import ArgumentError, DataError, DTypeError, ShapeError

GOALS = np.array([5, 20, 99])


def streams_on(backend: Any, rows: int = 2) -> dict[str, rc.Stream]:
    """An arm in float32, a gripper in bytes; the gripper is shared by the batch."""
    arm = np.arange(rows * 12, dtype=np.float32).reshape(rows, 4, 3)
    times = backend.to(np.arange(4) * 10)
    grip = rc.Stream(backend.to(np.array([0, 1, 255, 3], np.uint8)), times, method="next")
    return {"arm": rc.Stream(backend.to(arm), times), "grip": grip}


def test_outputs_are_written_and_returned(backend: Any) -> None:
    streams = streams_on(backend)
    plain = rc.fuse_multimodal(streams, backend.to(GOALS))
    out = backend.to(np.full((2, 3, 4), np.nan, np.float32))
    fused = rc.fuse_multimodal(streams, backend.to(GOALS), out=out)
    assert fused.values is out
    assert tolerances.same_bits(backend.np(out), backend.np(plain.values))
    apart = rc.fuse_multimodal(streams, backend.to(GOALS), layout="dict")
    outs = {"grip": backend.to(np.full((2, 3), 77, np.uint8)), "arm": backend.to(np.full((2, 3, 3), 77, np.float32))}
    fused = rc.fuse_multimodal(streams, backend.to(GOALS), layout="dict", out=outs)
    for name, array in outs.items():
        assert fused.values[name] is array
        assert fused[name] is array
        assert tolerances.same_bits(backend.np(array), backend.np(apart[name]))


def test_the_items_of_both_layouts_agree(backend: Any) -> None:
    streams = streams_on(backend)
    concat, apart = (rc.fuse_multimodal(streams, backend.to(GOALS), layout=way) for way in ("concat", "dict"))
    assert concat["arm"].shape == apart["arm"].shape == (2, 3, 3)
    assert tolerances.same_bits(np.ascontiguousarray(backend.np(concat["arm"])), backend.np(apart["arm"]))
    assert backend.np(concat["grip"])[..., 0].tolist() == backend.np(apart["grip"]).tolist() == [[1, 255, 3]] * 2
    assert backend.np(concat.valid)[0].tolist() == [[True, True], [True, True], [False, False]]


def test_a_packed_row_is_not_repeated_in_silence(backend: Any) -> None:
    one = rc.Stream(
        backend.to(np.zeros((4, 1))), backend.to(np.arange(4)), offsets=backend.to(np.array([0, 4]))
    )  # fmt: skip
    with pytest.raises(ShapeError, match="offsets"):
        rc.fuse_multimodal({"one": one, **streams_on(backend)}, backend.to(GOALS))
    padded = rc.Stream(
        backend.to(np.arange(4.0)[None]), backend.to(np.arange(4)[None] * 10), lengths=backend.to(np.array([3]))
    )
    fused = rc.fuse_multimodal({"one": padded, **streams_on(backend)}, backend.to(GOALS))
    assert backend.np(fused["one"])[..., 0].tolist() == [[0.5, 2.0, 2.0]] * 2


REFUSED = [
    (ArgumentError, lambda s, b: ([], {})),
    (ArgumentError, lambda s, b: ({}, {})),
    (ArgumentError, lambda s, b: (list(s.values()), {})),
    (ArgumentError, lambda s, b: ({"arm": (s["arm"].values, s["arm"].times)}, {})),
    (ArgumentError, lambda s, b: (s, {"layout": "stack"})),
    (ArgumentError, lambda s, b: (s, {"layout": "dict", "dtype": np.float32})),
    (ArgumentError, lambda s, b: (s, {"check": "yes"})),
    (ArgumentError, lambda s, b: (s, {"outside": "wrap"})),
    (DTypeError, lambda s, b: (s, {"dtype": "complex64"})),
    (DTypeError, lambda s, b: (s, {"dtype": "no such type"})),
    (DTypeError, lambda s, b: (s, {"dtype": np.int32})),
    (ArgumentError, lambda s, b: (s, {"layout": "dict", "outside": "nan"})),
    (ShapeError, lambda s, b: (s, {"out": b.to(np.zeros((2, 3, 5), np.float32))})),
    (DTypeError, lambda s, b: (s, {"out": b.to(np.zeros((2, 3, 4)))})),
    (ArgumentError, lambda s, b: (s, {"out": b.to(np.zeros((2, 3, 8), np.float32)[..., ::2])})),
    (ArgumentError, lambda s, b: (s, {"layout": "dict", "out": b.to(np.zeros(3))})),
    (ArgumentError, lambda s, b: (s, {"layout": "dict", "out": {"arm": b.to(np.zeros((2, 3, 3), np.float32))}})),
    (ArgumentError, lambda s, b: (s, {"target_times": "leg"})),
    (DTypeError, lambda s, b: (s, {"target_times": b.to(GOALS * 1.0)})),
    (ShapeError, lambda s, b: (s, {"target_times": b.to(np.tile(GOALS, (3, 1)))})),
    (DTypeError, lambda s, b: (s | {"imu": rc.Stream(b.to(np.zeros(4)), b.to(np.arange(4.0)))}, {})),
    (ShapeError, lambda s, b: (s | {"imu": rc.Stream(b.to(np.zeros((3, 4, 1))), s["arm"].times)}, {})),
    (DTypeError, lambda s, b: (s | {"grip": rc.Stream(s["grip"].values, s["grip"].times)}, {})),
    (ArgumentError, lambda s, b: (s | {"arm": rc.Stream(s["arm"].values, s["arm"].times, latency=0.5)}, {})),
    (ArgumentError, lambda s, b: (s | {"arm": rc.Stream(s["arm"].values, s["arm"].times, tolerance=-1)}, {})),
]


@pytest.mark.parametrize("number", range(len(REFUSED)))
def test_what_is_refused(backend: Any, number: int) -> None:
    error, build = REFUSED[number]
    streams, how = build(streams_on(backend), backend)
    with pytest.raises(error) as caught:
        rc.fuse_multimodal(streams, **({"target_times": backend.to(GOALS)} | how))
    assert type(caught.value) is error, repr(caught.value)


def test_outputs_that_overlap(backend: Any) -> None:
    memory = backend.to(np.zeros(64, np.float32))
    streams = {
        "a": rc.Stream(memory[:12].reshape(1, 4, 3), backend.to(np.arange(4)[None] * 10)),
        "b": rc.Stream(memory[12:24].reshape(1, 4, 3), backend.to(np.arange(4)[None] * 10)),
    }
    with pytest.raises(ArgumentError, match="overlaps"):
        rc.fuse_multimodal(streams, backend.to(GOALS), out=memory[20:38].reshape(1, 3, 6))
    outs = {"a": memory[30:39].reshape(1, 3, 3), "b": memory[38:47].reshape(1, 3, 3)}
    with pytest.raises(ArgumentError, match="overlaps"):
        rc.fuse_multimodal(streams, backend.to(GOALS), layout="dict", out=outs)
    outs["b"] = memory[39:48].reshape(1, 3, 3)
    rc.fuse_multimodal(streams, backend.to(GOALS), layout="dict", out=outs)


def test_bad_streams_are_named(backend: Any) -> None:
    streams = streams_on(backend)
    times = backend.to(np.array([0, 20, 10, 30]))
    streams["grip"] = rc.Stream(streams["grip"].values, times, method="next")
    with pytest.raises(DataError, match="unsorted"):
        rc.fuse_multimodal(streams, backend.to(GOALS), check="strict")
    if backend.name == "cpu":
        with pytest.raises(DataError, match="grip"):
            rc.fuse_multimodal(streams, backend.to(GOALS))
    fused = rc.fuse_multimodal(streams, backend.to(GOALS), check="none")
    assert backend.np(fused["arm"])[0, :2, 0].tolist() == [1.5, 6.0]
