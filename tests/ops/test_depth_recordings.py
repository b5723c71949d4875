"""Depth images and LiDAR scans of real recordings: overlapping views agree, and both backends give the same bits.

They are looked for in the folder that ROBOCACHE_DATA names, or in shared/data beside the checkout.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tolerances
from scipy.spatial import cKDTree

import robocache as rc

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")
FX, FY, CX, CY = K = (518.0, 519.0, 325.5, 253.5)


def real(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    return path


@pytest.fixture(scope="module")
def views() -> tuple[np.ndarray, np.ndarray]:
    """Depth of five frames in millimetres, and camera to world."""
    folder = real(DATA / "rgbd_slambook2")
    frames = []
    for path in sorted((folder / "depth").glob("*.pgm")):
        head, _, rest = path.read_bytes().partition(b"65535\n")
        width, height = map(int, head.split()[-2:])
        frames.append(np.frombuffer(rest, ">u2").reshape(height, width).astype(np.uint16))
    table = np.loadtxt(folder / "pose.txt")
    poses = np.concatenate([rc.rotations.quat_to_matrix(table[:, 3:]), table[:, :3, None]], -1)
    return np.stack(frames), poses


def seen(points: np.ndarray, depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points in the frame of a camera: their depth and the one that the camera measured, where it did."""
    with np.errstate(divide="ignore", invalid="ignore"):
        pixels = np.rint(points[:, :2] / points[:, 2:] * (FX, FY) + (CX, CY))
    inside = (points[:, 2] > 0) & (pixels >= 0).all(1) & (pixels < depth.shape[::-1]).all(1)
    columns, rows = pixels[inside].astype(int).T
    there = depth[rows, columns]
    return points[inside, 2][there > 0], there[there > 0] / 1000


@pytest.mark.parametrize("pair", [(1, 2), (2, 3), (3, 4)])
def test_views_agree_in_their_overlap(backend: Any, views: Any, pair: tuple[int, int]) -> None:
    """Depth of one view, seen from another, is what that measured: within 5 % for most pixels, by the poses only."""
    depth, poses = views
    a, b = pair
    back = np.linalg.inv(np.concatenate([poses[b], [[0, 0, 0, 1]]]))
    world = rc.depth_to_points(backend.to(depth[a]), K, poses[a], depth_scale=1000, dtype=np.float64)
    alike, measured = seen(backend.np(rc.transform_points(world.points, back)), depth[b])
    error = np.abs(alike - measured)
    assert len(error) > 90_000
    assert (error < 0.05 * measured).mean() > 0.85
    assert np.median(error) < 0.06
    unposed = backend.np(rc.depth_to_points(backend.to(depth[a]), K, depth_scale=1000).points)
    wrong, measured = seen(unposed, depth[b])
    assert np.median(np.abs(wrong - measured)) > 4 * np.median(error)


def test_the_views_become_one_cloud(backend: Any, views: Any) -> None:
    """All five at once are the five one after another, cropped or not, with the frames' numbers for colours."""
    depth, poses = views
    box = (-3, -2, 0, 1, 1, 5)
    number = np.broadcast_to(np.arange(5, dtype=np.uint8)[:, None, None], depth.shape)
    for bounds in (None, box):
        got = rc.depth_to_points(
            backend.to(depth), K, backend.to(poses), color=backend.to(number), depth_scale=1000, bounds=bounds
        )
        each = [rc.depth_to_points(d, K, T, depth_scale=1000, bounds=bounds) for d, T in zip(depth, poses)]
        assert tolerances.same_bits(backend.np(got.points), np.concatenate([one.points for one in each]))
        assert np.bincount(backend.np(got.features)).tolist() == [len(one.points) for one in each]
    assert 100_000 < int(got.found) < np.count_nonzero(depth)


def test_normals_of_a_room(backend: Any, views: Any) -> None:
    depth, poses = views
    points, valid = rc.depth_to_points(backend.to(depth), K, backend.to(poses), depth_scale=1000, organized=True)
    eyes = np.ascontiguousarray(poses[:, :, 3])
    normals, known = rc.estimate_normals(points, valid, viewpoint=backend.to(eyes))
    want, there = rc.estimate_normals(backend.np(points), backend.np(valid), viewpoint=eyes)
    assert tolerances.same_bits(backend.np(normals), want)
    assert tolerances.same_bits(backend.np(known), there)
    assert there.sum() > 0.98 * np.count_nonzero(depth)
    assert not (there & (depth == 0)).any()
    n, p = want[there].astype(np.float64), backend.np(points)[there]
    assert np.abs(np.linalg.norm(n, axis=1) - 1).max() < 1e-6
    assert ((np.repeat(eyes, there.sum((1, 2)), 0) - p) * n).sum(1).min() > -1e-4
    across = (want[:, :, 1:] * want[:, :, :-1]).sum(-1)[there[:, :, 1:] & there[:, :, :-1]]
    assert np.median(across) > 0.8  # of walls and desks, for all the noise


def ply(path: Path) -> np.ndarray:
    """x, y, z, intensity."""
    return np.frombuffer(real(path).read_bytes().partition(b"end_header\n")[2], "<f4").reshape(-1, 4)


def test_two_scans_meet(backend: Any) -> None:
    """A LiDAR scan, moved by the known transform, lies on the next one; moved the other way, it does not."""
    folder = DATA / "lidar_small_gicp"
    source, target = ply(folder / "source.ply"), ply(folder / "target.ply")
    box = (-20, -20, -0.5, 20, 20, 3)  # above the ground, which lies on itself anyway
    matrix = np.loadtxt(folder / "T_target_source.txt")
    moved = rc.crop_box(backend.to(source), box, T=matrix)
    tree = cKDTree(target[:, :3])

    def apart(points: np.ndarray) -> float:
        return float(np.median(tree.query(points[::20, :3])[0]))

    assert apart(backend.np(moved.points)) < 0.06
    assert apart(rc.crop_box(source, box, T=np.linalg.inv(matrix)).points) > 0.3
    whole = rc.transform_points(source, matrix)
    inside = ((whole[:, :3] >= box[:3]) & (whole[:, :3] < box[3:])).all(1)
    assert tolerances.same_bits(backend.np(moved.points), whole[inside])
    assert (backend.np(moved.points)[:, 3] == source[inside, 3]).all()
