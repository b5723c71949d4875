"""Clocks of real recordings.

They are looked for in the folder that ROBOCACHE_DATA names, or in shared/data beside the checkout.
"""

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import robocache as rc

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")
EUROC, OUSTER, TUM = (DATA / name for name in ("euroc_v1_02_medium", "ouster_os1_128", "tum_rgbd_trajectories"))


def real(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    return path


def table(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Stamps in nanoseconds, which a float would round, and the other columns."""
    with gzip.open(real(path), "rt") as lines:
        rows = [line.split(",") for line in lines if line[0].isdigit()]
    return np.array([row[0] for row in rows], np.int64), np.array([row[1:] for row in rows], np.float64)


def turning(quaternions: np.ndarray, stamps: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Angular velocity over n samples in the body's frame, and the stamps of the middle. Quaternions are wxyz."""
    (w0, v0), (w1, v1) = ((q[:, :1], q[:, 1:]) for q in (quaternions[:-n], quaternions[n:]))
    sine, cosine = w0 * v1 - w1 * v0 - np.cross(v0, v1), w0 * w1 + (v0 * v1).sum(1, keepdims=True)
    apart = stamps[n:] - stamps[:-n]
    return 2 * sine * np.sign(cosine) / (apart[:, None] / 1e9), stamps[:-n] + apart // 2


@pytest.fixture(scope="module")
def euroc() -> tuple[np.ndarray, ...]:
    """Angular velocities of a drone, by its gyroscope and by motion capture, each over 50 ms."""
    imu, moved = table(EUROC / "imu0.csv.gz"), table(EUROC / "state_groundtruth.csv.gz")
    total = np.concatenate([np.zeros((1, 3)), np.cumsum(imu[1][:, :3], 0)])
    middle = imu[0][:-9] + (imu[0][9:] - imu[0][:-9]) // 2
    return (total[10:] - total[:-10]) / 10, middle, *turning(moved[1][:, 3:7], moved[0], 10)


def test_a_gyroscope_and_motion_capture(backend: Any, euroc: tuple[np.ndarray, ...]) -> None:
    """The data set's clocks were aligned; what was shifted and thinned out is found to a tenth of the grid's step."""
    a, ta, b, tb = euroc
    plain = rc.estimate_offset(*map(backend.to, euroc))
    assert abs(plain.offset) < 5_000_000  # a sample
    assert plain.score > 0.999
    assert plain.runner_up < 0.6
    for phase, shift in ((0, 1_234_567), (1, -7_654_321), (2, 40_000_000_001)):
        thin = (a[::2], ta[::2], b[phase::3], tb[phase::3] + shift)
        got = rc.estimate_offset(*map(backend.to, thin), rate=100)
        assert abs(got.offset - shift - plain.offset) < 1_000_000
    speeds = [backend.to(np.linalg.norm(v, axis=1)) for v in (a, b)]
    alone = rc.estimate_offset(speeds[0], backend.to(ta), speeds[1], backend.to(tb))
    assert abs(alone.offset - plain.offset) < 500_000


@pytest.mark.parametrize("method", ["envelope", "median", "least_squares"])
def test_a_lidar_and_its_host(backend: Any, method: str) -> None:
    """0.3 s of an Ouster: 30 IMU and 192 LiDAR packets, stamped by the sensor since it started and by the host."""
    with np.load(real(OUSTER / "decoded.npz")) as log:
        host, sensor = log["imu_host_ts_ns"].astype(np.int64), log["imu_sys_ts_ns"].astype(np.int64)
        packets = log["lidar_packet_host_ts_ns"].astype(np.int64)
        columns = log["column_timestamp_ns"].reshape(-1, 16)[:, -1].astype(np.int64)
    fit = rc.fit_clock(backend.to(host), backend.to(sensor), method=method)
    assert (fit.count, fit.span) == (30, 290_000_000)
    assert 1_650_409_303 < fit.offset / 1e9 < 1_650_409_304  # when the sensor was started
    assert fit.residuals.most - fit.residuals.least < 400_000  # of a millisecond of jitter or less
    assert abs(fit.drift_ppm) < fit.drift_error_ppm  # so short a log shows no drift
    assert (fit.residuals.least == pytest.approx(0, abs=1e-3)) == (method == "envelope")
    rest = host - backend.np(fit.to_host(backend.to(sensor)))
    assert abs(rest).max() < 400_000
    assert abs(backend.np(fit.to_device(backend.to(host))) - sensor - rest).max() < 200
    other = rc.fit_clock(backend.to(packets), backend.to(columns), method=method, drift=False)
    assert other.residuals.most - other.residuals.least < 600_000
    assert 0 < other.offset - fit.offset < 20_000_000  # the same clock; LiDAR packets are sent later


def test_stamps_of_motion_capture(backend: Any) -> None:
    """Twenty thousand stamps with one repeated and a hole of 12 s."""
    times = np.loadtxt(real(TUM / "fr2_desk_groundtruth.txt.gz"))[:, 0]
    clean = rc.sanitize_times(backend.to(times), duplicates="first", max_gap=10.0)
    report = clean.report
    assert (report.samples, report.kept) == (20957, 20956)
    (at,) = report.duplicates
    assert times[at] == times[at - 1]
    assert report.period == pytest.approx(0.0033, abs=1e-6)
    (gap,) = report.gaps
    assert times[gap] - times[gap - 1] == report.largest_gap
    assert 11.9 < report.largest_gap < 12.1
    assert (np.diff(backend.np(clean.times)) > 0).all()
