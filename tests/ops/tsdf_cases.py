"""Volumes, pictures and cameras for the tests of ``tsdf_integrate``."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import tolerances
from hypothesis import strategies as st
from ops.scenes import looking, sphere_depth
from oracles import tsdf as oracle
from strategies import generators

import robocache as rc

SHAPES = ((5, 6, 7), (2, 3, 33), (1, 1, 140), (3, 2, 70), (1, 4, 1))
PICTURES = ((1, 1), (7, 5), (24, 32))
DEPTHS = (np.uint16, np.float16, np.float32, np.float64)
PLACES = ((0.0, 0.0, 0.0), (4.0e6, -5.0e5, 120.0))
K, H, W = (60.0, 58.0, 15.3, 11.6), 24, 32
ODD = (np.nan, np.inf, -np.inf, -1.0, 0.0, 1e-42, 3e38)


@dataclass
class Case:
    """A volume as it was, the pictures, and the options of a call."""

    grid: np.ndarray
    weight: np.ndarray
    tint: np.ndarray | None
    depth: np.ndarray
    shades: np.ndarray | None
    k: np.ndarray
    t: np.ndarray
    options: dict[str, Any]

    def copies(self) -> list[np.ndarray | None]:
        return [None if a is None else a.copy() for a in (self.grid, self.weight, self.tint)]

    def expected(self) -> list[np.ndarray | None]:
        got = self.copies()
        views = len(self.depth)
        k = self.k if self.k.ndim == 2 + (self.k.shape[-2:] == (3, 3)) else np.stack([self.k] * views)
        t = self.t if self.t.ndim == 3 else np.stack([self.t] * views)
        how = self.options
        oracle.integrate(
            *got, self.depth, self.shades, list(zip(k, t)), how["origin"], how["voxel_size"], how["truncation"],
            how["depth_scale"], how.get("max_depth"), how["max_weight"],
        )  # fmt: skip
        return got

    def run(self, backend: Any, cameras_on_device: bool = False, **more: Any) -> list[np.ndarray | None]:
        arrays = [backend.to(a) for a in self.copies()]
        k, t = (backend.to(a) if cameras_on_device else a for a in (self.k, self.t))
        how = self.options | {"color": backend.to(self.shades), "grid_color": arrays[2]} | more
        found = rc.tsdf_integrate(arrays[0], arrays[1], backend.to(self.depth), k, t, **how)
        assert all(a is b for a, b in zip(found, (a for a in arrays if a is not None), strict=True))
        return [None if a is None else backend.np(a) for a in arrays]


def same(got: list[Any], expected: list[Any]) -> bool:
    return all(a is b is None or tolerances.same_bits(a, b) for a, b in zip(got, expected, strict=True))


def turned(rng: np.random.Generator, eye: np.ndarray, at: np.ndarray) -> np.ndarray:
    return looking(eye, at, rng.normal(size=3))


@st.composite
def cases(draw: Any) -> Case:
    rng, shape, picture = draw(generators()), draw(st.sampled_from(SHAPES)), draw(st.sampled_from(PICTURES))
    views, dtype = draw(st.sampled_from((1, 2, 3, 0))), draw(st.sampled_from(DEPTHS))
    origin, size = np.array(draw(st.sampled_from(PLACES))), rng.uniform(0.02, 0.1, 3)
    middle = origin + size * shape / 2
    eyes = middle + rng.normal(size=(views, 3)) * rng.uniform(0.05, 1.0)
    t = np.array([turned(rng, eye, middle + rng.normal(size=3) * 0.05) for eye in eyes]).reshape(-1, 4, 4)
    k = np.array([[rng.uniform(3, 20), rng.uniform(3, 20), picture[1] / 2 - 0.3, picture[0] / 2] for _ in range(views)])
    k = k.reshape(-1, 4)
    scale = draw(st.sampled_from((1.0, 1000.0, 5000.0))) if dtype != np.float16 else 1.0
    far = np.linalg.norm(eyes - middle, axis=1)[:, None, None] * rng.uniform(0.9, 1.3, (views, *picture)) * scale
    depth = far.astype(dtype)
    if depth.dtype.kind == "f" and depth.size:
        with np.errstate(over="ignore"):
            odd = np.array(ODD).astype(dtype)
        where = rng.random(depth.shape) < 0.1
        depth[where] = odd[rng.integers(0, len(odd), int(where.sum()))]
    elif depth.size:
        depth[rng.random(depth.shape) < 0.1] = 0
    colored = draw(st.sampled_from((None, np.uint8, np.float32)))
    weight = rng.choice(np.array([0, 0, 1, 2.5, 127, 4, 1e-42, np.nan], np.float32), shape)
    grid, tint = rng.uniform(-1, 1, shape).astype(np.float32), rng.uniform(0, 255, (*shape, 3)).astype(np.float32)
    grid[~(weight >= 1)] = np.nan
    if views and draw(st.booleans()):
        k = np.array([[[fx, 0, cx], [0, fy, cy], [0, 0, 1]] for fx, fy, cx, cy in k])
    if draw(st.booleans()):
        t = t[:, :3]
    if views and draw(st.booleans()):
        k = k[0]
    if views == 1 and draw(st.booleans()):
        t = t[0]
    options = {
        "origin": tuple(origin), "voxel_size": tuple(size), "truncation": float(rng.uniform(0.02, 0.5)),
        "depth_scale": scale, "max_weight": float(rng.choice([1, 3, 128])),
    }  # fmt: skip
    if draw(st.booleans()):
        options["max_depth"] = float(rng.uniform(0.3, 2))
    shades = None if colored is None else (rng.uniform(0, 255, (views, *picture, 3))).astype(colored)
    return Case(grid, weight, None if colored is None else tint, depth, shades, k, t, options)


def scene(rng: np.random.Generator, views: int, shape: tuple[int, ...] = (24, 20, 40)) -> Case:
    """A noisy sphere from all around."""
    eyes = rng.normal(size=(views, 3))
    eyes *= 1.5 / np.linalg.norm(eyes, axis=1, keepdims=True)
    poses = np.array([looking(eye, rng.normal(size=3) * 0.1) for eye in eyes])
    depth = np.array([sphere_depth(K, pose, H, W, np.zeros(3), 0.4) for pose in poses])
    depth += rng.normal(size=depth.shape).astype(np.float32) * np.float32(0.01) * (depth > 0)
    options = {
        "origin": (-0.6, -0.5, -1.0), "voxel_size": (0.05,) * 3, "truncation": 0.2, "depth_scale": 1.0,
        "max_weight": 9.0,
    }  # fmt: skip
    shades = rng.integers(0, 256, (*depth.shape, 3), np.uint8)
    grid = np.full(shape, np.nan, np.float32)
    return Case(
        grid, np.zeros(shape, np.float32), np.zeros((*shape, 3), np.float32), depth, shades, np.array(K), poses, options
    )
