"""Real recordings, value by value as numpy.loadtxt reads them, stamps as decimals say."""

import gzip
import os
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path

import numpy as np
import pytest

from robocache.datasets import open_dataset

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")


def recording(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    return path


def rows(path: Path, delimiter: str | None, skip: int = 0) -> list[list[str]]:
    text = (gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()).decode()
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")][skip:]
    return [line.strip().split(delimiter) for line in lines]


def nanoseconds(texts: list[str], power: int) -> list[int]:
    return [int((Decimal(text) * 10**power).to_integral_value(ROUND_HALF_EVEN)) for text in texts]


# File, options, delimiter, header rows, column of stamps and its power of ten, streams with their columns.
FILES = {
    "euroc_v1_02_medium/imu0.csv.gz": ({}, ",", 0, (0, 0), {"w_RS_S": (1, 4), "a_RS_S": (4, 7)}),
    "euroc_v1_02_medium/state_groundtruth.csv.gz": ({}, ",", 0, (0, 0), {
        "p_RS_R": (1, 4), "q_RS": (4, 8), "v_RS_R": (8, 11), "b_w_RS_S": (11, 14), "b_a_RS_S": (14, 17)}),
    "euroc_v1_02_medium/orb_estimate_tum.txt": ({}, None, 0, (0, 9), {"position": (1, 4), "orientation": (4, 8)}),
    "gtsam_logs/KittiEquivBiasedImu.txt.gz": ({}, None, 1, (0, 9), {"dt": 1, "accel": (2, 5), "omega": (5, 8)}),
    "gtsam_logs/KittiGps_converted.txt": ({}, ",", 1, (0, 9), {"KittiGps_converted": (1, 4)}),
    "gtsam_logs/Plaza1_DR.txt.gz": ({"time_column": 0}, None, 0, (0, 9), {"Plaza1_DR": (1, 3)}),
    "gtsam_logs/Plaza1_TD.txt.gz": ({}, None, 0, None, {"Plaza1_TD": (0, 4)}),
    "gtsam_logs/legged_staircase/imu.csv": ({}, ",", 1, (1, 9), {"sample_index": 0, "omega": (2, 5), "acc": (5, 8)}),
    "xio_imu_mag/sensor_data.csv.gz": ({}, ",", 1, (0, 9), {
        "Gyroscope": (1, 4), "Accelerometer": (4, 7), "Magnetometer": (7, 10)}),
    "tum_rgbd_trajectories/fr2_desk_groundtruth.txt.gz": ({}, None, 0, (0, 9), {
        "position": (1, 4), "orientation": (4, 8)}),
    "tum_rgbd_trajectories/freiburg1_xyz-groundtruth.txt": ({}, None, 0, (0, 9), {
        "position": (1, 4), "orientation": (4, 8)}),
    "tum_rgbd_trajectories/freiburg1_xyz-rgbdslam.txt": ({}, None, 0, (0, 9), {
        "position": (1, 4), "orientation": (4, 8)}),
    "rgbd_slambook2/pose.txt": ({}, None, 0, None, {"pose": (0, 7)}),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_values_and_stamps(name):
    path = recording(name)
    options, delimiter, skip, time, streams = FILES[name]
    episode = open_dataset(path, **options)[0]
    assert list(episode) == list(streams)
    values = np.loadtxt(path, delimiter=delimiter, skiprows=skip, comments="#")
    for label, columns in streams.items():
        want = values[:, columns] if isinstance(columns, int) else values[:, slice(*columns)]
        assert episode[label].read().tobytes() == np.ascontiguousarray(want).tobytes()
        assert episode[label].shape == want.shape[1:]
    stream = episode[next(iter(streams))]
    if time is None:
        assert stream.clock == "index"
    else:
        cells = [row[time[0]] for row in rows(path, delimiter, skip)]
        assert (stream.clock, stream.times.tolist()) == ("log", nanoseconds(cells, time[1]))


def test_a_folder_of_euroc_fused():
    episode = open_dataset(recording("euroc_v1_02_medium"))[0]
    stamps = np.loadtxt(DATA / "euroc_v1_02_medium/cam0_timestamps_ns.txt", np.int64)
    camera = episode["cam0_timestamps_ns"]
    assert camera.kind == "event"
    assert camera.read().tolist() == camera.times.tolist() == stamps.tolist()
    assert episode["imu0/w_RS_S"].unit == "rad s^-1"
    fused = episode.fuse(50, ["imu0/w_RS_S", "imu0/a_RS_S", "state_groundtruth/p_RS_R"])
    truth = episode["state_groundtruth/p_RS_R"]
    assert truth.times[0] <= fused.times[0] < truth.times[0] + 20_000_000
    assert fused.values.shape[-1] == 9
    assert np.unique(np.diff(fused.times)).tolist() == [20_000_000]
    inside = np.asarray(fused.valid).all(-1)
    want = np.interp(fused.times - truth.times[0], truth.times - truth.times[0], truth.read()[:, 0])
    assert inside.sum() > 4000
    np.testing.assert_allclose(fused["state_groundtruth/p_RS_R"][inside, 0], want[inside], rtol=0, atol=1e-9)


def test_duplicates_and_a_hole_are_found():
    said = {
        f.key: f.message for f in open_dataset(recording("tum_rgbd_trajectories")).validate() if "hole" in f.message
    }
    assert "11.987 s" in said["fr2_desk_groundtruth/position"]
    still = [f for f in open_dataset(DATA / "tum_rgbd_trajectories").validate() if "stand still" in f.message]
    assert [finding.key for finding in still] == ["fr2_desk_groundtruth/position"]


def test_rows_of_several_kinds():
    path = recording("gtsam_logs/eqvio_processed_30s.csv.gz")
    episode = open_dataset(path)[0]
    table = rows(path, ",", 1)
    names = rows(path, ",")[0]
    cells = [row for row in table if row[0] == "imu"]
    assert episode["imu/g"].read().tolist() == [[float(cell) for cell in row[6:9]] for row in cells]
    assert episode["imu/a"].times.tolist() == nanoseconds([row[names.index("t_abs")] for row in cells], 9)
    assert len(episode["vision_feature/u_norm"]) == sum(row[0] == "vision_feature" for row in table)
    assert episode["meta/key"].kind == "text"


def test_a_folder_of_many_logs_tells_what_it_left_out():
    dataset = open_dataset(recording("gtsam_logs"))
    assert [Path(path).name for path in dataset[0].meta["skipped"]] == ["LICENSE.BSD.txt"]
    assert len(dataset[0]["KittiEquivBiasedImu/accel"]) == 46968
    foot = open_dataset(recording("gtsam_logs/legged_staircase"))[0]["contacts/foot_name"]
    assert sorted(set(foot.read())) == ["FL", "FR", "RL", "RR"]


def test_arrays_of_an_archive():
    path = recording("ouster_os1_128/decoded.npz")
    episode = open_dataset(path, time_column="imu_host_ts_ns")[0]
    with np.load(path) as want:
        for name, stream in episode.items():
            assert stream.read().tobytes() == np.ascontiguousarray(want[name]).tobytes()
        assert episode["imu_accel_g"].times.tolist() == want["imu_host_ts_ns"].tolist()
        assert (episode["imu_accel_g"].clock, episode["range_mm"].clock) == ("log", "index")


def test_poses_as_kitti_writes_them():
    path = recording("ouster_os1_128/poses_kitti.txt")
    stream = open_dataset(path, rate=10)[0]["poses_kitti"]
    assert stream.read().tolist() == np.loadtxt(path).reshape(-1, 3, 4).tolist()
    assert (stream.clock, stream.times.tolist()) == ("index", [0, 100_000_000, 200_000_000])
