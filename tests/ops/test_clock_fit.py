"""``fit_clock`` against lines found by exact arithmetic, against planted clocks, and against what spoils a log."""

import dataclasses
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import tolerances
from hypothesis import given
from hypothesis import strategies as st
from oracles import clocks as oracle
from strategies import EPOCH_NS, NAT, generators

import robocache as rc
from robocache.errors import ArgumentError, DataError, DataWarning, DeviceError, DTypeError, ShapeError

METHODS = ("envelope", "median", "least_squares")


def recording(rng: np.random.Generator, count: int, ppm: float, jitter: float = 3e5) -> tuple[np.ndarray, ...]:
    """Host and device stamps at about 100 Hz, and the host's time of every capture, in nanoseconds."""
    device = 991_608_683_060 + np.cumsum(rng.integers(9_000_000, 11_000_000, count))
    captured = EPOCH_NS + device + np.rint((device - device[0]) * ppm * 1e-6).astype(np.int64)
    return captured + rng.exponential(jitter, count).astype(np.int64), device, captured


def fitted(backend: Any, host: np.ndarray, device: np.ndarray, **how: Any) -> rc.ClockFit:
    return rc.fit_clock(backend.to(host), backend.to(device), **how)


@pytest.mark.filterwarnings("ignore:the clocks differ")
@pytest.mark.parametrize("method", METHODS)
@given(
    steps=st.lists(st.integers(1, 2000), min_size=2, max_size=13), rng=generators(), scale=st.sampled_from((1, 10**6))
)
def test_lines_against_exact_ones(backend: Any, method: str, steps: list[int], rng: Any, scale: int) -> None:
    device = EPOCH_NS // 7 + np.cumsum([0, *steps]) * scale
    y = rng.integers(-200, 200, len(device)) * scale // 4
    host = EPOCH_NS + (device - device[0]) + y
    if (host == host[0]).all():
        return
    slope, level = getattr(oracle, method)(device - device[0], y - y[0])
    if slope < -0.9:
        return
    fit = fitted(backend, host, device, method=method)
    assert abs(fit.skew - slope) <= 1e-12 * max(1, abs(slope))
    exact = int(host[0]) - int(device[0]) + level
    assert abs(fit.offset - exact) <= Fraction(501, 1000)
    assert (fit.reference, fit.span, fit.count) == (device[0], device[-1] - device[0], len(device))
    rest = [float(v - level - slope * int(u)) for u, v in zip(device - device[0], (y - y[0]).tolist(), strict=True)]
    near = 1e-6 * scale
    assert fit.residuals == pytest.approx([min(rest), np.median(rest), np.quantile(rest, 0.95), max(rest)], abs=near)
    x = (device - device[0]) / 1e9
    seconds = fitted(backend, (host - EPOCH_NS) / 1e9, x, method=method)
    middle = (y[0] + float(level)) / 1e9 + float(slope) * x.mean()  # a tie of two edges leaves only this the same
    assert abs(seconds.offset + seconds.skew * x.mean() - middle) <= 1e-12 * max(1, abs(float(slope)))


@pytest.mark.parametrize("method", METHODS)
@given(rng=generators(), ppm=st.floats(-300, 300))
def test_planted_clocks(backend: Any, method: str, rng: Any, ppm: float) -> None:
    host, device, captured = recording(rng, 12_000, ppm)  # so many that chance stays far below what is allowed
    fit = fitted(backend, host, device, method=method)
    late = {"envelope": 0, "median": 3e5 * np.log(2), "least_squares": 3e5}[method]
    off = backend.np(fit.to_host(backend.to(device))) - captured - late
    assert (
        abs(off).max() < {"envelope": 20_000, "median": 60_000, "least_squares": 40_000}[method]
    )  # of 300 µs of jitter
    assert abs(fit.drift_ppm - ppm) < 4
    assert abs(fit.drift_ppm - ppm) < fit.drift_error_ppm


@pytest.mark.filterwarnings("ignore:the clocks differ")  # least squares does not stand it
@pytest.mark.parametrize("method", ["envelope", "median"])
@given(rng=generators(), ppm=st.floats(-300, 300), burst=st.booleans())
def test_late_samples_do_not_move_it(backend: Any, method: str, rng: Any, ppm: float, burst: bool) -> None:
    """A tenth of the samples, here and there or in one piece, comes 100 ms late."""
    host, device, _ = recording(rng, 2000, ppm)
    before = fitted(backend, host, device, method=method)
    late = np.arange(200) + rng.integers(0, 1800) if burst else rng.choice(2000, 200, replace=False)
    host[late] += 100_000_000
    after = fitted(backend, host, device, method=method)
    moved = backend.np(after.to_host(backend.to(device))) - backend.np(before.to_host(backend.to(device)))
    assert abs(moved).max() < (20_000 if method == "envelope" else 200_000)  # nanoseconds, of 100 million
    assert after.residuals.most > 99_000_000
    plain = fitted(backend, host, device, method="least_squares")
    moved = backend.np(plain.to_host(backend.to(device))) - backend.np(before.to_host(backend.to(device)))
    assert abs(moved).max() > 5_000_000


def test_the_median_stands_early_samples(backend: Any) -> None:
    rng = np.random.default_rng(3)
    host, device, captured = recording(rng, 2000, 40)
    host[rng.choice(2000, 200, replace=False)] -= 100_000_000
    fit = fitted(backend, host, device, method="median")
    assert abs(backend.np(fit.to_host(backend.to(device))) - captured).max() < 400_000


@given(
    rng=generators(), ppm=st.sampled_from((-80_000.0, -17.3, 0.0, 1e-4, 250.0)), far=st.sampled_from((1, 10**3, 10**9))
)
def test_stamps_travel_exactly(backend: Any, rng: Any, ppm: float, far: int) -> None:
    """To the nanosecond of exact arithmetic, there and back; also centuries from the recording."""
    fit = rc.ClockFit(
        EPOCH_NS - 991_608_683_060,
        ppm * 1e-6,
        991_608_683_060,
        10**9,
        9,
        "median",
        rc.ops._clock_fit.Residuals(0, 0, 0, 0),
    )
    device = 991_608_683_060 + rng.integers(-(10**9), 10**9, 50) * min(far, 10**9)
    there = backend.np(fit.to_host(backend.to(device)))
    back = backend.np(fit.to_device(backend.to(there)))
    assert there.dtype == back.dtype == np.int64
    for t, got, again in zip(device.tolist(), there.tolist(), back.tolist(), strict=True):
        bend = Fraction(fit.skew) * (t - fit.reference)
        exact = t + fit.offset + bend
        if not abs(exact) < 2**63 - 2**14:
            assert got == NAT
            continue
        slack = Fraction(1, 2) + abs(bend) / 2**51
        assert abs(got - exact) <= slack
        assert abs(again - t) <= 1 + 4 * abs(bend) / 2**51


def test_what_int64_does_not_hold_is_nat(backend: Any) -> None:
    fit = fitted(backend, EPOCH_NS + np.arange(5) * 10**9, np.arange(5) * 10**9)
    got = backend.np(fit.to_host(backend.to(np.array([NAT, 2**63 - 1, 0, -(2**62)]))))
    assert got.tolist() == [NAT, NAT, EPOCH_NS, EPOCH_NS - 2**62]
    back = backend.np(fit.to_device(backend.to(np.array([NAT, 2**62, -(2**63) + 1]))))
    assert back.tolist() == [NAT, 2**62 - EPOCH_NS, NAT]
    drifting = dataclasses.replace(fit, offset=2**62, reference=2**62, skew=1e-6)
    far = backend.to(np.array([-(2**62) - 2**61, 2**60]))  # the first is too far from the reference to be subtracted
    assert backend.np(drifting.to_host(far)).tolist() == [NAT, 2**60 + 2**62 - round((2**62 - 2**60) * 1e-6)]


def test_the_epoch_costs_no_digits(backend: Any) -> None:
    """float64 would round the stamps themselves to 256 ns."""
    device = EPOCH_NS + 11 + np.arange(1000) * 1_000_003
    host = 2 * EPOCH_NS + 17 + np.arange(1000) * 1_000_003
    fit = fitted(backend, host, device)
    assert (fit.offset, fit.skew) == (EPOCH_NS + 6, 0.0)
    assert (backend.np(fit.to_host(backend.to(device))) == host).all()
    assert (backend.np(fit.to_device(backend.to(host))) == device).all()


@pytest.mark.parametrize("method", METHODS)
def test_without_drift(backend: Any, method: str) -> None:
    device, delay = np.arange(5) * 10**7, np.array([5, 1, 2, 9, 3])
    fit = fitted(backend, EPOCH_NS + device + delay, device, method=method, drift=False)
    assert (fit.offset, fit.skew) == (EPOCH_NS + {"envelope": 1, "median": 3, "least_squares": 4}[method], 0.0)
    one = fitted(backend, np.array([7.5]), np.array([2.0]), method=method, drift=False)
    assert (one.offset, one.drift_error_ppm) == (5.5, np.inf)


def test_floats_of_both_sizes_and_any_shape(backend: Any) -> None:
    device = np.arange(64, dtype=np.float32) / 8
    host = 100 + device.astype(np.float64) * 1.0005
    fit = fitted(backend, host, device)
    assert fit.offset == pytest.approx(100, abs=1e-12)
    assert fit.skew == pytest.approx(5e-4, abs=1e-12)
    got = backend.np(fit.to_host(backend.to(device.reshape(4, 16).T)))
    assert got.shape == (16, 4)
    assert np.allclose(got, host.reshape(4, 16).T, rtol=1e-14)
    back = backend.np(fit.to_device(backend.to(got)))
    assert np.allclose(back, device.reshape(4, 16).T, rtol=0, atol=1e-12)
    assert backend.np(fit.to_host(backend.to(np.zeros((0, 3))))).shape == (0, 3)
    assert np.isnan(backend.np(fit.to_host(backend.to(np.array([np.nan]))))).all()


def test_dates() -> None:
    device = np.arange(10) * 10**7
    host = np.datetime64("2026-01-01", "ns") + device
    fit = rc.fit_clock(host, device)
    assert isinstance(fit.offset, int)
    assert fit.to_host(device).tolist() == host.tolist()
    assert fit.to_host(device).dtype == "M8[ns]"
    assert tolerances.same_bits(fit.to_device(host), device)


def test_copies_and_views(backend: Any) -> None:
    host, device, _ = recording(np.random.default_rng(0), 50, 10)
    fit = fitted(backend, host, device)
    assert pickle.loads(pickle.dumps(fit)) == fit
    wide = np.repeat(np.stack([host, device]), 2, 1)
    assert fitted(backend, wide[0, ::2], wide[1, ::2]) == fit
    with pytest.raises(AttributeError):
        fit.offset = 3


UP = np.arange(6) * 10**7
WRONG = [
    (ArgumentError, "method='mean' is not known", UP, UP, {"method": "mean"}),
    (ShapeError, "host has 5 stamps but device 6", UP[1:], UP, {}),
    (ShapeError, r"host has shape \(2, 3\)", UP.reshape(2, 3), UP, {}),
    (DTypeError, "device has dtype float64 but host int64", UP, UP / 1e9, {}),
    (DTypeError, "device has dtype int32", UP, UP.astype(np.int32), {}),
    (DataError, "host has 0 stamps; expected at least 3", UP[:0], UP[:0], {}),
    (DataError, "host has 1 stamps; expected at least 3", UP[:1], UP[:1], {}),
    (DataError, "host has 2 stamps; expected at least 3", UP[:2], UP[:2], {}),
    (DataError, "host has 0 stamps; expected at least 1", UP[:0], UP[:0], {"drift": False}),
    (DataError, r"host\[1\] is NaT \(1 such", np.array([0, NAT, *UP[2:]]), UP, {}),
    (DataError, r"device\[0\] is nan \(1 such.*nonfinite='drop'", UP / 1e9, np.append(np.nan, UP[1:] / 1e9), {}),
    (DataError, r"device\[0\] and device\[1\] are both 0 \(1 repeats", UP, np.append(0, UP[:5]), {}),
    (DataError, "device falls from 30000000 to 0 at index 4.*reset.*resets='split'", UP, np.append(UP[:4], UP[:2]), {}),
    (DataError, "device is 7 throughout", UP, np.full(6, 7), {}),
    (DataError, "host is 7 throughout", np.full(6, 7), UP, {}),
    (DataError, "host runs backwards", -2 * UP, UP, {}),
    (DataError, "device spans more than 146 years", UP, UP - 2**62 * (UP == 0), {}),
    (DataError, "which int64 does not hold", UP + 2**62, UP - 2**62 - 2**62 + 1, {}),
]  # fmt: skip


@pytest.mark.parametrize("error, message, host, device, how", WRONG, ids=[f"{i}" for i in range(len(WRONG))])
def test_what_is_refused(backend: Any, error: type, message: str, host: Any, device: Any, how: dict[str, Any]) -> None:
    with pytest.raises(error, match=message) as caught:
        fitted(backend, host, device, **how)
    assert type(caught.value) is error


def test_another_unit_is_noticed(backend: Any) -> None:
    with pytest.warns(DataWarning, match="differ by 999000000 ppm, more than clocks do.*same unit"):
        fitted(backend, UP * 1000, UP)


def test_stamps_of_another_kind(backend: Any) -> None:
    fit = fitted(backend, UP, UP)
    with pytest.raises(DTypeError, match="device_stamps has dtype float64, but integer nanoseconds were fitted"):
        fit.to_host(backend.to(UP / 1e9))
    with pytest.raises(DTypeError, match="host_stamps has dtype int64, but float seconds were"):
        fitted(backend, UP / 1e9, UP / 1e9).to_device(backend.to(UP))


def test_devices_are_not_mixed(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="device lives on"):
        rc.fit_clock(cupy.asarray(UP), UP)


def test_torch(backend: Any) -> None:
    torch = pytest.importorskip("torch")
    if backend.name == "cuda" and not torch.cuda.is_available():
        pytest.skip("torch without a GPU")
    device = torch.from_numpy(UP).to("cpu" if backend.name == "cpu" else "cuda")
    fit = rc.fit_clock(device + 5, device)
    moved = fit.to_host(device)
    assert isinstance(moved, torch.Tensor)
    assert moved.device.type == device.device.type
    assert (moved == device + 5).all()
