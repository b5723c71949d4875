"""The programs in examples/: on made-up files in the same formats always, on real recordings where they are at hand.

Real recordings are looked for in the folder that ROBOCACHE_DATA names, or in shared/data beside the checkout.
"""

import gzip
import importlib.util
import os
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")
EPOCH = 1_403_715_523_912_143_104
MS = 10**6


def example(name):
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(f"robocache_example_{name}", ROOT / "examples" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def framework(name):
    """Skip without an optional framework, unless it is required."""
    if importlib.util.find_spec(name) is None:
        if os.environ.get(f"ROBOCACHE_REQUIRE_{name.upper()}") == "1":
            pytest.fail(f"{name} is not installed but ROBOCACHE_REQUIRE_{name.upper()}=1")
        pytest.skip(f"{name} is not installed")


def real(*parts):
    path = DATA.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    return path


@pytest.fixture(scope="module")
def aligner():
    return example("align_real_log")


@pytest.fixture(scope="module")
def voxelizer():
    return example("voxelize_scan")


# ---- logs in the formats of the recordings, made up -----------------------------------------------------------------


def jittered(rng, count, period, start=EPOCH):
    return start + np.arange(count) * period + rng.integers(-period // 8, period // 8, count)


def write(path, rows, separator=",", header=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n".join([*([header] if header else []), *(separator.join(map(str, row)) for row in rows)]) + "\n"
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text, "utf-8")


def decimal(ns):
    """Nanoseconds as text in seconds."""
    return f"{ns // 10**9}.{ns % 10**9:09d}"


def table(rng, stamps, width):
    return [(t, *row) for t, row in zip(stamps, rng.normal(size=(len(stamps), width)).tolist(), strict=True)]


def make_euroc(folder, rng, published):
    names = ("imu0.csv.gz", "cam0_timestamps_ns.txt", "state_groundtruth.csv.gz")
    if published:
        names = ("mav0/imu0/data.csv", "mav0/cam0/data.csv", "mav0/state_groundtruth_estimate0/data.csv")
    imu = jittered(rng, 800, 5 * MS)
    frames = jittered(rng, 80, 50 * MS)
    truth = jittered(rng, 400, 5 * MS, EPOCH + 1000 * MS)
    write(folder / names[0], table(rng, imu, 6), header="#timestamp [ns],…")
    write(folder / names[1], [(t, f"{t}.png") if published else (t,) for t in frames])
    write(folder / names[2], table(rng, truth, 16), header="#timestamp, …")


def make_eqvio(folder, rng):
    head = "row_type,t_abs,t_rel,seq,frame_idx,landmark_id,gx,gy,gz,ax,ay,az,key,value"
    rows = [("meta", *[""] * 11, "format_version", 1)]
    for stamp in jittered(rng, 20, 50 * MS):
        count = rng.integers(1, 9)
        rows += [("vision_feature", decimal(stamp), 0, 0, 0, k, *[""] * 8) for k in range(count)]
    for t, *gyro_accel in table(rng, jittered(rng, 200, 5 * MS), 6):
        rows.append(("imu", decimal(t), 0, 0, "", "", *gyro_accel, "", ""))
    write(folder / "eqvio_processed_30s.csv.gz", rows, header=head)


def make_kitti(folder, rng):
    imu = jittered(rng, 500, 10 * MS)
    imu[0] -= 1900 * MS  # the hole after the first sample
    rows = [(decimal(t), 0.01, *values) for t, *values in table(rng, imu, 6)]
    write(folder / "KittiEquivBiasedImu.txt.gz", rows, " ", "Time dt accelX accelY accelZ omegaX omegaY omegaZ")
    gps = [(decimal(t), *values) for t, *values in table(rng, jittered(rng, 5, 1000 * MS), 3)]
    write(folder / "KittiGps_converted.txt", gps, header="Time,X,Y,Z")


def make_plaza(folder, rng):
    odometry = [(f"  {t / 1e9:.16e}", *v) for t, *v in table(rng, jittered(rng, 100, 200 * MS, 3857 * 1000 * MS), 2)]
    write(folder / "Plaza1_DR.txt.gz", odometry, "\t  ")
    stamps = rng.permutation(jittered(rng, 60, 300 * MS, 3858 * 1000 * MS))
    ranges = [(f"  {t / 1e9:.16e}", 2.0, float(rng.integers(0, 2)), rng.uniform(5, 60)) for t in stamps]
    write(folder / "Plaza1_TD.txt.gz", ranges, "\t  ")


def make_legged(folder, rng):
    inner = folder / "legged_staircase"
    rows = [(i, decimal(t), *v) for i, (t, *v) in enumerate(table(rng, jittered(rng, 300, 10 * MS, 13 * MS), 6))]
    write(inner / "imu.csv", rows, header="sample_index,timestamp_s,…")
    stamps = jittered(rng, 25, 100 * MS, 20 * MS)
    events = [
        (i, decimal(t), k, n, int(rng.integers(2)), 0, 0, 0) for i, t in enumerate(stamps) for k, n in enumerate("ab")
    ]
    write(inner / "contacts.csv", events, header="event_index,timestamp_s,…")


MAKERS = {
    "euroc": lambda folder, rng: make_euroc(folder, rng, published=False),
    "eqvio": make_eqvio,
    "kitti": make_kitti,
    "plaza": make_plaza,
    "legged": make_legged,
}


@pytest.mark.parametrize("dataset", MAKERS)
def test_align_made_up(aligner, capsys, tmp_path, dataset):
    MAKERS[dataset](tmp_path, np.random.default_rng(7))
    assert aligner.main([str(tmp_path), "--dataset", dataset]) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    assert "WRONG" not in out
    assert out.count(" ok") >= 2


def test_align_published_euroc_layout(aligner, capsys, tmp_path):
    make_euroc(tmp_path, np.random.default_rng(1), published=True)
    assert aligner.main([str(tmp_path)]) == 0
    assert "nearest frame" in capsys.readouterr().out


@pytest.mark.parametrize("part", [0, 1])
def test_align_sees_a_wrong_number(aligner, capsys, tmp_path, monkeypatch, part):
    make_kitti(tmp_path, np.random.default_rng(7))
    honest = aligner.reference

    def off(stream, targets):
        found = list(honest(stream, targets))
        found[part] = found[part] + 1e-9 if part == 0 else ~found[part]
        return tuple(found)

    monkeypatch.setattr(aligner, "reference", off)
    assert aligner.main([str(tmp_path), "--dataset", "kitti"]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_align_missing_files(aligner, tmp_path):
    with pytest.raises(SystemExit, match="holds none of"):
        aligner.main([str(tmp_path), "--dataset", "legged"])


# ---- real recordings ------------------------------------------------------------------------------------------------

FOLDERS = {"euroc": "euroc_v1_02_medium", **dict.fromkeys(("eqvio", "kitti", "plaza", "legged"), "gtsam_logs")}


@pytest.mark.parametrize("dataset", FOLDERS)
def test_align_real(aligner, dataset):
    _, rows = aligner.align(aligner.LOADERS[dataset](real(FOLDERS[dataset])))
    assert all(row.masks_equal for row in rows)
    assert all(row.difference <= row.tolerance for row in rows)
    assert all(row.valid > 0 for row in rows)


def test_real_ground_truth_is_invalid_outside_its_span(aligner):
    log = aligner.load_euroc(real("euroc_v1_02_medium"))
    fused, _ = aligner.align(log)
    names = list(log.streams)
    truth = log.streams["position"].times
    inside = (fused.times >= truth[0]) & (fused.times <= truth[-1])
    early, late = int((fused.times < truth[0]).sum()), int((fused.times > truth[-1]).sum())
    assert min(early, late) >= 49  # .995 s of 50 Hz at either end
    assert (fused.valid[:, names.index("position")] == inside).all()
    assert fused.valid[:, names.index("imu")].all()


def test_real_hole_of_the_kitti_imu_is_invalid(aligner):
    log = aligner.load_kitti(real("gtsam_logs"))
    fused, _ = aligner.align(log)
    times = log.streams["imu"].times
    hole = (fused.times > times[0]) & (fused.times < times[1])
    assert hole.sum() > 90
    assert not fused.valid[hole, list(log.streams).index("imu")].any()


# ---- scans ----------------------------------------------------------------------------------------------------------


def make_ply(path, points):
    fields = "\n".join(f"property float {name}" for name in ("x", "y", "z", "scalar_intensity"))
    head = (
        f"ply\nformat binary_little_endian 1.0\ncomment made up\nelement vertex {len(points)}\n{fields}\nend_header\n"
    )
    body = np.concatenate([points, np.ones((len(points), 1))], axis=1).astype("<f4")
    path.write_bytes(head.encode() + body.tobytes())


@pytest.fixture
def points():
    rng = np.random.default_rng(5)
    return rng.uniform((-40, -40, -6), (40, 40, 14), (5000, 3)).astype(np.float32)


@pytest.mark.parametrize("size", ["0.25", "0.2"])
def test_voxelize_made_up_ply(voxelizer, capsys, tmp_path, points, size):
    path = tmp_path / "scan.ply"
    make_ply(path, points)
    assert (voxelizer.load(path) == points).all()
    assert voxelizer.main([str(path), "--voxel-size", size]) == 0, capsys.readouterr().out
    assert "DIFFER" not in capsys.readouterr().out


def test_voxelize_made_up_npz(voxelizer, capsys, tmp_path, points):
    path = tmp_path / "decoded.npz"
    ranges = np.ones((2, 50, 100), np.uint32)
    ranges[0, :, 0] = 0
    np.savez(path, xyz_scan0_m=points.reshape(50, 100, 3), range_mm=ranges)
    assert len(voxelizer.load(path)) == 4950
    assert voxelizer.main([str(path)]) == 0, capsys.readouterr().out


def test_voxelize_sees_a_wrong_count(voxelizer, capsys, tmp_path, points, monkeypatch):
    path = tmp_path / "scan.ply"
    make_ply(path, points)
    honest = voxelizer.rc.voxel_grid

    def off(*args, **options):
        counts = honest(*args, **options)
        counts.flat[7] += 1
        return counts

    monkeypatch.setattr(voxelizer.rc, "voxel_grid", off)
    assert voxelizer.main([str(path)]) == 1
    assert "DIFFER" in capsys.readouterr().out


def test_voxelize_picture(voxelizer, tmp_path, points):
    pytest.importorskip("matplotlib")
    path = tmp_path / "scan.ply"
    make_ply(path, points)
    assert voxelizer.main([str(path), "--picture", str(tmp_path / "scan.png")]) == 0
    assert (tmp_path / "scan.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("parts", [("ouster_os1_128", "decoded.npz"), ("lidar_small_gicp", "source.ply")])
def test_voxelize_real(voxelizer, capsys, parts):
    assert voxelizer.main([str(real(*parts))]) == 0, capsys.readouterr().out


# ---- hand-over ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_handover(capsys, name):
    framework(name)
    module = example(f"{name}_handover")
    assert (module.main([]) if name == "torch" else module.main()) == 0, capsys.readouterr().out
