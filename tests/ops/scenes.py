"""Depth pictures of a plane and of a sphere, worked out ray by ray, and cameras that look at them."""

import numpy as np


def looking(eye, at, up=(0.0, 0.0, 1.0)):
    """Pose [4, 4] of a camera at a point that looks at another: x right, y down, z forward."""
    forward = np.subtract(at, eye) / np.linalg.norm(np.subtract(at, eye))
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    pose = np.eye(4)
    pose[:3, :3] = np.stack([right, np.cross(forward, right), forward], 1)
    pose[:3, 3] = eye
    return pose


def rays(k, pose, height, width):
    """Direction [H, W, 3] of each pixel in the world, of depth 1 along the optical axis."""
    fx, fy, cx, cy = k
    v, u = np.mgrid[:height, :width]
    local = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones((height, width))], -1)
    return local @ pose[:3, :3].T


def plane_depth(k, pose, height, width, normal, offset):
    """Depth of the plane ``normal @ x = offset``; 0 where no ray meets it."""
    with np.errstate(divide="ignore"):
        depth = (offset - pose[:3, 3] @ normal) / (rays(k, pose, height, width) @ normal)
    return np.where(np.isfinite(depth) & (depth > 0), depth, 0.0).astype(np.float32)


def sphere_depth(k, pose, height, width, center, radius):
    """Depth of the front of a sphere; 0 beside it."""
    way, apart = rays(k, pose, height, width), pose[:3, 3] - center
    a, b, c = (way * way).sum(-1), way @ apart, apart @ apart - radius**2
    inside = b * b - a * c
    depth = np.where(inside >= 0, (-b - np.sqrt(np.maximum(inside, 0))) / a, 0.0)
    return np.where(depth > 0, depth, 0.0).astype(np.float32)
