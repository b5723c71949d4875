"""The clocks of ``fuse_multimodal``: even grids without drift, the time streams share, a stream to follow."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import trajectory as oracle
from strategies import EPOCH_NS

import robocache as rc
from robocache._core.errors import ArgumentError, DataError

NAT = np.iinfo(np.int64).min
RATES = {
    30.0: Fraction(30), 29.97: Fraction(2997, 100), 30000 / 1001: Fraction(30000, 1001), 1000 / 3: Fraction(1000, 3),
    1024.0: Fraction(1024), 1e-3: Fraction(1, 1000), 3.141592653589793: Fraction(3.141592653589793),
    48000.0: Fraction(48000),
}  # fmt: skip


def line(backend: Any, times: Any, **more: Any) -> rc.Stream:
    """A stream whose values are counted up."""
    times = np.asarray(times)
    values = np.broadcast_to(np.arange(times.shape[-1], dtype=np.float32), times.shape)[..., None].copy()
    return rc.Stream(backend.to(values), backend.to(times), **more)


def clock_of(backend: Any, *streams: rc.Stream, **how: Any) -> np.ndarray:
    return backend.np(rc.fuse_multimodal({f"s{k}": s for k, s in enumerate(streams)}, **how).times)


@pytest.mark.parametrize("rate", RATES)
def test_an_even_clock_is_exact(backend: Any, rate: float) -> None:
    """Every tick of the first thousand, and after a million none has drifted."""
    stream = line(backend, [EPOCH_NS, EPOCH_NS + 10**9])
    period = Fraction(10**9) / RATES[rate]
    for first, count in ((0, 1000), (10**6, 3)):
        exact = [EPOCH_NS + (2 * k * period + 1) // 2 for k in range(first, first + count)]
        if first:
            grid = clock_of(backend, stream, rate=rate, start=EPOCH_NS, stop=int(exact[-1]))
            assert len(grid) == first + count
            assert (np.diff(grid) > 0).all()
        else:
            grid = clock_of(backend, stream, rate=rate, start=EPOCH_NS, stop=int(exact[-1]))
        assert grid.dtype == np.int64
        assert grid[first:].tolist() == exact
        assert len(clock_of(backend, stream, rate=rate, start=EPOCH_NS, stop=int(exact[-1]) - 1)) == len(grid) - 1


@given(rate=st.floats(0.1, 5000), start=st.integers(-(10**18), 10**18), span=st.integers(0, 10**9))
def test_any_rate_in_nanoseconds(rate: float, start: int, span: int) -> None:
    stream = rc.Stream(np.zeros(1), np.array([0]))
    ticks = rc.fuse_multimodal({"a": stream}, rate=rate, start=start, stop=start + span).times.tolist()
    simple = Fraction(rate).limit_denominator(10**6)
    exact = simple if float(simple) == rate else Fraction(rate)
    assert ticks == oracle.even_clock(start, start + span, exact)


@given(rate=st.floats(0.1, 500), start=st.floats(-1e9, 2e9), span=st.floats(0, 3))
def test_any_rate_in_seconds(rate: float, start: float, span: float) -> None:
    """Within one ulp of the exact tick (or of the start, where both cancel), rising, and all up to the stop."""
    stop = start + span
    ticks = rc.fuse_multimodal({"a": rc.Stream(np.zeros(1), np.array([0.0]))}, rate=rate, start=start, stop=stop).times
    exact = np.array([oracle.tick(start, k, rate) for k in range(len(ticks) + 1)])
    assert (np.abs(ticks - exact[:-1]) <= np.spacing(np.maximum(np.abs(exact[:-1]), abs(start)))).all()
    assert ticks[0] == start
    assert ticks[-1] <= stop
    assert exact[-1] + np.spacing(max(abs(exact[-1]), abs(start))) > stop


@pytest.mark.parametrize("clock", [np.float32, np.float64])
def test_a_clock_in_seconds_ends_where_the_streams_end(backend: Any, clock: Any) -> None:
    stream = line(backend, (np.arange(31) * 0.1).astype(clock))
    grid = clock_of(backend, stream, rate=10)
    assert grid.dtype == clock
    assert len(grid) == 31
    assert np.abs(grid - np.arange(31) * 0.1).max() < 1e-6
    assert backend.np(rc.fuse_multimodal({"a": stream}, rate=10).valid).all()


def test_stamps_that_were_rounded_keep_their_last_tick(backend: Any) -> None:
    """Logs hold round(k / 30 Hz): the last of them is a tick, also where it was rounded down."""
    for count in (2, 3, 4):
        times = np.array([round(Fraction(k * 10**9, 30)) for k in range(count)])
        fused = rc.fuse_multimodal({"a": line(backend, times)}, rate=30)
        assert backend.np(fused.times).tolist() == times.tolist()
        assert backend.np(fused.valid).all()
        assert backend.np(fused.age).tolist() == [[0]] * count


def test_the_time_that_streams_share_row_by_row(backend: Any) -> None:
    """First the latest first and the earliest last capture of each row; shorter rows end in NaT, invalid."""
    camera = np.array([[0, 30, 60, 90], [100, 130, 160, 190], [0, 0, 0, 0]]) * 10**6
    joints = np.stack([np.arange(5, 105, 10), np.arange(145, 245, 10), np.arange(10) * 10]) * 10**6
    streams = {
        "camera": line(backend, camera, latency=2_000_000, lengths=backend.to(np.array([4, 4, 0]))),
        "joints": line(backend, joints, latency=-1_000_000),
    }
    fused = rc.fuse_multimodal(streams, rate=100)
    times, valid = backend.np(fused.times), backend.np(fused.valid)
    for b in range(3):
        if b == 2:
            ticks = []
        else:
            rows = [(camera[b], 2_000_000), (joints[b], -1_000_000)]
            ticks = oracle.even_clock(*oracle.shared_time(rows), 100)
        assert times[b, : len(ticks)].tolist() == ticks
        assert (times[b, len(ticks) :] == NAT).all()
        assert valid[b, : len(ticks)].all()
        assert not valid[b, len(ticks) :].any()
        assert (backend.np(fused.age)[b, len(ticks) :] == NAT).all()
        assert np.isnan(backend.np(fused.values)[b, len(ticks) :]).all()
    assert times.shape[1] == 9  # 6 ms to 88 ms


def test_packed_and_shared_streams_share_their_time(backend: Any) -> None:
    packed = rc.Stream(
        backend.to(np.zeros((7, 2))), backend.to(np.array([0, 10, 20, 30, 15, 25, 35])),
        offsets=backend.to(np.array([0, 4, 7])),
    )  # fmt: skip
    fused = rc.fuse_multimodal({"a": packed, "b": line(backend, np.arange(3, 30, 2))}, rate=2e8)
    assert backend.np(fused.times).tolist() == [[3, 8, 13, 18, 23, 28], [15, 20, 25, NAT, NAT, NAT]]


@pytest.mark.parametrize("given, expected", [
    ({"start": 5}, [5, 15, 25]),
    ({"stop": 21}, [0, 10, 20]),
    ({"start": -20, "stop": 50}, [-20, -10, 0, 10, 20, 30, 40, 50]),
    ({"start": 30, "stop": 30}, [30]),
    ({"start": np.int64(7), "stop": np.timedelta64(27, "ns")}, [7, 17, 27]),
])  # fmt: skip
def test_start_and_stop(backend: Any, given: dict[str, Any], expected: list[int]) -> None:
    assert clock_of(backend, line(backend, [0, 10, 20, 30]), rate=1e8, **given).tolist() == expected


def test_dates_as_start_and_stop() -> None:
    day = np.datetime64("2024-05-01T00:00:00")
    times = day.astype("M8[ns]") + np.arange(11) * np.timedelta64(100, "ms")
    stream = rc.Stream(np.arange(11.0), times, latency=np.timedelta64(50, "ms"))
    fused = rc.fuse_multimodal({"a": stream}, rate=20, start=day, stop=day + np.timedelta64(100, "ms"))
    assert fused.times.dtype == np.dtype("M8[ns]")
    assert (fused.times == day + np.arange(3) * np.timedelta64(50, "ms")).all()
    assert fused.values[:, 0].tolist() == [0.5, 1.0, 1.5]
    assert fused.age.dtype == np.dtype("m8[ns]")
    assert fused.age[:, 0].astype(int).tolist() == [50_000_000, 0, 50_000_000]
    followed = rc.fuse_multimodal({"a": stream}, "a")
    assert (followed.times == times - np.timedelta64(50, "ms")).all()
    assert followed.valid.all()


@pytest.mark.parametrize("clock", ["int64", "float64", "float32"])
def test_following_a_stream_hits_its_samples(backend: Any, clock: str) -> None:
    """True capture times: the followed stream comes back as it is, at age 0, whatever its latency rounds to."""
    start = {"int64": EPOCH_NS, "float64": 1.7e9, "float32": 90.0}[clock]
    step, latency = (33_333_333, 12_345_678) if clock == "int64" else (1 / 30, 0.0123)
    times = (start + np.arange(40) * step).astype(clock)
    camera = line(backend, times, latency=latency)
    joints = line(backend, times[:-3] + np.asarray(step / 3).astype(clock))
    fused = rc.fuse_multimodal({"joints": joints, "camera": camera}, "camera")
    assert tolerances.same_bits(backend.np(fused["camera"])[:, 0], np.arange(40, dtype=np.float32))
    assert (backend.np(fused.age)[:, 1] == 0).all()
    assert backend.np(fused.valid)[:, 1].all()
    exact = np.array(oracle.captures_of(times, latency), clock)
    assert tolerances.same_bits(backend.np(fused.times), exact)
    even = rc.fuse_multimodal({"camera": camera}, rate=30)
    assert backend.np(even.valid).all()


def test_following_a_ragged_stream(backend: Any) -> None:
    times = np.array([[0, 10, 20, 5], [0, 10, 20, 30]])
    fused = rc.fuse_multimodal({"a": line(backend, times, lengths=backend.to(np.array([3, 4])))}, "a")
    assert backend.np(fused.times).tolist() == [[0, 10, 20, NAT], [0, 10, 20, 30]]
    assert backend.np(fused.valid)[..., 0].tolist() == [[True] * 3 + [False], [True] * 4]


def test_clocks_that_cannot_be(backend: Any) -> None:
    a, b = line(backend, [0, 10, 20]), line(backend, [30, 40])
    late = line(backend, [1.0, 2.0])
    for error, how in (
        (ArgumentError, {}),
        (ArgumentError, {"rate": 10, "target_times": "s0"}),
        (ArgumentError, {"target_times": "nobody"}),
        (ArgumentError, {"target_times": "s0", "start": 0}),
        (ArgumentError, {"rate": 0}),
        (ArgumentError, {"rate": -5}),
        (ArgumentError, {"rate": float("nan")}),
        (ArgumentError, {"rate": "fast"}),
        (ArgumentError, {"rate": 10, "start": 0.5}),
        (DataError, {"rate": 10}),
        (DataError, {"rate": 10, "start": 5, "stop": 4}),
    ):
        with pytest.raises(error):
            clock_of(backend, a, b, **how)
    with pytest.raises(ArgumentError):
        clock_of(backend, late, rate=10, start=np.nan)
    packed = rc.Stream(backend.to(np.zeros(3)), backend.to(np.arange(3)), offsets=backend.to(np.array([0, 3])))
    with pytest.raises(ArgumentError, match="packed"):
        clock_of(backend, packed, target_times="s0")
