"""The programs in examples/ that draw maps: on made-up recordings always, on real ones where they are at hand."""

import numpy as np
import pytest
from ops.scenes import looking, plane_depth, sphere_depth
from test_examples import example, make_ply, real

K, H, W = (130.0, 130.0, 79.5, 59.5), 120, 160


def quaternion(turn):
    """x, y, z, w of a rotation, by its axis and angle."""
    angle = np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))
    axis = np.array([turn[2, 1] - turn[1, 2], turn[0, 2] - turn[2, 0], turn[1, 0] - turn[0, 1]]) / (2 * np.sin(angle))
    return [*(axis * np.sin(angle / 2)), np.cos(angle / 2)]


def make_frames(folder, off=0.0):
    """A ball before a wall from four places, the third of them wrong by ``off`` metres."""
    image = pytest.importorskip("PIL.Image")
    lines = []
    for number, side in enumerate((-0.5, -0.2, 0.2, 0.5), 1):
        pose = looking((side, -0.2, 0.1), (0.0, 0.1, 1.5), (0, -1, 0))
        ball = sphere_depth(K, pose, H, W, np.array([0.0, 0.1, 1.2]), 0.3)
        wall = plane_depth(K, pose, H, W, np.array([0.0, 0.0, 1.0]), 1.8)
        depth = np.where(ball > 0, ball, wall)
        color = np.where((ball > 0)[..., None], (200, 60, 40), (90, 90, 160)).astype(np.uint8)
        for name in ("depth", "color"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        pixels = np.round(depth * 1000).astype(">u2").tobytes()
        (folder / "depth" / f"{number}.pgm").write_bytes(f"P5\n{W} {H}\n65535\n".encode() + pixels)
        image.fromarray(color).save(folder / "color" / f"{number}.png")
        place = pose[:3, 3] + (0, 0, off if number == 3 else 0)
        lines.append(" ".join(f"{n:.9g}" for n in (*place, *quaternion(pose[:3, :3]))))
    (folder / "pose.txt").write_text("\n".join(lines), "utf-8")


CAMERA = ["--k", *map(str, K), "--voxel", "0.04"]


def test_frames_that_fit(capsys, tmp_path):
    make_frames(tmp_path)
    assert example("rgbd_map").main([str(tmp_path), *CAMERA]) == 0, capsys.readouterr().out
    out = capsys.readouterr().out
    assert "4 frames" in out
    assert "ok: a voxel at most" in out


def test_a_wrong_pose_is_seen(capsys, tmp_path):
    make_frames(tmp_path, off=0.12)
    assert example("rgbd_map").main([str(tmp_path), *CAMERA]) == 1
    assert "WRONG" in capsys.readouterr().out


def test_the_field_has_the_colours_of_the_scene(tmp_path):
    make_frames(tmp_path)
    module = example("rgbd_map")
    frames = module.load(tmp_path)
    points, colors, view = module.unproject(frames, np.array(K), 1000.0, 3.0)
    assert frames.depth.shape == (4, H, W)
    assert np.bincount(view).tolist() == (frames.depth > 0).sum((1, 2)).tolist()
    red = colors[:, 0] > 150
    assert np.abs(np.linalg.norm(points[red] - (0, 0.1, 1.2), axis=1) - 0.3).max() < 2e-3
    assert np.abs(points[~red][:, 2] - 1.8).max() < 2e-3


def test_maps_are_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    make_frames(tmp_path / "frames")
    assert example("rgbd_map").main([str(tmp_path / "frames"), "--out", str(tmp_path / "out"), *CAMERA]) == 0
    for name in ("maps.png", "slice.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def scan(tmp_path):
    rng = np.random.default_rng(5)
    make_ply(tmp_path / "scan.ply", rng.uniform((-40, -40, -6), (40, 40, 14), (5000, 3)).astype(np.float32))
    return tmp_path / "scan.ply"


def test_three_sizes(capsys, scan):
    assert example("lidar_voxels").main([str(scan), "--sizes", "0.5", "2", "8"]) == 0, capsys.readouterr().out
    assert capsys.readouterr().out.count("equal to") == 3


def test_a_wrong_voxel_is_seen(capsys, scan, monkeypatch):
    module = example("lidar_voxels")
    honest = module.rc.voxelize

    def off(*args, **options):
        voxels = honest(*args, **options)
        voxels.inverse[7] += 1
        return voxels

    monkeypatch.setattr(module.rc, "voxelize", off)
    assert module.main([str(scan)]) == 1
    assert "DIFFER" in capsys.readouterr().out


def test_the_sweep_is_drawn(tmp_path, scan):
    pytest.importorskip("matplotlib")
    assert example("lidar_voxels").main([str(scan), "--out", str(tmp_path / "out")]) == 0
    assert (tmp_path / "out" / "sweep.png").read_bytes().startswith(b"\x89PNG")


def test_real_frames(capsys):
    pytest.importorskip("PIL")
    assert example("rgbd_map").main([str(real("rgbd_slambook2")), "--voxel", "0.05"]) == 0, capsys.readouterr().out


@pytest.mark.parametrize("parts", [("ouster_os1_128", "decoded.npz"), ("lidar_small_gicp", "source.ply")])
def test_real_sweeps(capsys, parts):
    assert example("lidar_voxels").main([str(real(*parts))]) == 0, capsys.readouterr().out
