"""Planes and spheres, drawn ray by ray, come back from ``tsdf_integrate`` and ``tsdf_to_points``."""

from typing import Any

import numpy as np
import pytest
from ops.scenes import looking, plane_depth, sphere_depth

import robocache as rc


@pytest.mark.parametrize("tilt", [0.0, 20.0, 45.0])
def test_a_plane_comes_back(backend: Any, tilt: float) -> None:
    """To a twentieth of a voxel and half a pixel's worth of slope, which is what looking up the nearest pixel costs."""
    k, angle = (300.0, 300.0, 159.5, 119.5), np.deg2rad(tilt)
    normal = np.array([np.sin(angle), 0.1, -np.cos(angle)])
    normal /= np.linalg.norm(normal)
    middle, size = np.array([0.0, 0.0, 1.0]), 0.02
    depth = plane_depth(k, np.eye(4), 240, 320, normal, normal @ middle)
    arrays = [backend.to(np.zeros((32, 32, 32), np.float32)) for _ in range(2)]
    where = {"origin": middle - 16 * size, "voxel_size": size}
    rc.tsdf_integrate(*arrays, backend.to(depth), k, np.eye(4), truncation=0.1, **where)
    found = rc.tsdf_to_points(*arrays, **where)
    points = backend.np(found.points).astype(np.float64)
    slope = np.hypot(normal[0], normal[1]) / -normal[2]
    half_a_pixel = 0.5 * (1 + 16 * size) / 300 * slope * np.sqrt(2)
    assert len(points) > 900
    assert np.abs((points - middle) @ normal).max() <= 0.05 * size + half_a_pixel
    inner = (np.abs(points - middle) < 13 * size).all(1)  # at the border slopes have one side
    facing = backend.np(found.normals)[inner].astype(np.float64) @ normal
    assert np.median(facing) > 0.999
    assert facing.min() > 0.9


def sphere(backend: Any, sides: np.ndarray) -> tuple[np.ndarray, ...]:
    """Of a sphere seen from some sides: how far points are off in voxels, outward normals, and those found."""
    k, radius, size = (300.0, 300.0, 159.5, 119.5), 0.4, 0.025
    poses = np.array([looking(eye, np.zeros(3), (0.3, 0.5, 0.8)) for eye in sides])
    depth = np.array([sphere_depth(k, pose, 240, 320, np.zeros(3), radius) for pose in poses])
    arrays = [backend.to(np.zeros((40, 40, 40), np.float32)) for _ in range(2)]
    where = {"bounds": (-0.5, -0.5, -0.5, 0.5, 0.5, 0.5)}
    rc.tsdf_integrate(*arrays, backend.to(depth), k, poses, truncation=0.1, **where)
    found = rc.tsdf_to_points(*arrays, **where)
    points = backend.np(found.points).astype(np.float64)
    out = points / np.linalg.norm(points, axis=1, keepdims=True)
    return (np.linalg.norm(points, axis=1) - radius) / size, out, backend.np(found.normals).astype(np.float64)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_sphere_comes_back(backend: Any, axis: int) -> None:
    """What one view sees at less than 60 degrees: to 0.15 voxels, as much as half a pixel makes of such a slope."""
    eye = 1.6 * np.eye(3)[axis]
    off, out, normals = sphere(backend, eye[None])
    facing = out @ eye / 1.6 > 0.5
    assert facing.sum() > 1000
    assert np.abs(off[facing]).max() < 0.15
    assert (normals * out).sum(1)[facing].min() > 0.95


def test_a_sphere_from_all_sides(backend: Any) -> None:
    """Half of the points to a twentieth of a voxel. Where views from the side see only what lies behind the front, the
    distances are uneven and the surface moves out, by less than a voxel."""
    off, out, normals = sphere(backend, 1.6 * np.concatenate([np.eye(3), -np.eye(3)]))
    assert len(off) > 4000
    assert np.median(np.abs(off)) < 0.06
    assert -0.25 < off.min() <= off.max() < 1
    assert np.quantile((normals * out).sum(1), 0.1) > 0.95
