"""Inputs, the same on every machine and backend for one seed: noise, trajectories and point clouds in scan order.

``xp`` is NumPy or CuPy; arrays are made where they are used.
"""

import math
from typing import Any

import numpy as np

MASK = (1 << 64) - 1
CHUNK = 1 << 23
MILLISECOND = 1_000_000

# What a grid covers, in metres. Edges and cells are powers of two, so that cells of coarser grids nest in finer ones.
BOUNDS = {
    "uniform": (0.0, 0.0, 0.0, 1.0, 1.0, 1.0),
    "lidar": (-64.0, -64.0, -8.0, 64.0, 64.0, 8.0),
    "depth": (-8.0, -8.0, -2.0, 8.0, 8.0, 2.0),
}
BEAMS, COLUMNS = 64, 1024
WIDTH, HEIGHT, FOCAL = 640, 480, 525.0
YARD = (-55.0, -45.0, -1.75, 55.0, 45.0, 100.0)
CARS = [(9.0 * math.cos(k) * (1 + k / 4), 8.0 * math.sin(k) * (1 + k / 4), 1.0 + k % 3, 2.5) for k in range(12)]
ROOM = (-6.0, -5.0, -1.5, 6.0, 5.0, 1.5)
SHELVES = [(3.0 * math.cos(2.1 * k), 3.0 * math.sin(2.1 * k), 0.3 + 0.1 * k, 0.5) for k in range(5)]


def noise(xp: Any, shape: tuple[int, ...], seed: int) -> Any:
    """Even random float32 in [-1, 1): a hash of the seed and the index (splitmix64)."""
    total = math.prod(shape)
    out = xp.empty(total, np.float32)
    for start in range(0, total, CHUNK):
        stop = min(total, start + CHUNK)
        out[start:stop] = _hash(xp, start, stop, seed)
    return out.reshape(shape)


def _hash(xp: Any, start: int, stop: int, seed: int) -> Any:
    x = xp.arange(start, stop, dtype=np.uint64)
    x *= np.uint64(0x9E3779B97F4A7C15)
    x += np.uint64(((seed + 1) * 0xD1342543DE82EF95) & MASK)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x ^= x >> np.uint64(shift)
        x *= np.uint64(factor)
    x ^= x >> np.uint64(31)
    return (x >> np.uint64(40)).astype(np.float32) * np.float32(2.0**-23) - np.float32(1)


def narrow(xp: Any, array: Any, dtype: str) -> Any:
    """float32 to ``dtype``; to bfloat16 by cutting bits, which needs no support for it."""
    if dtype != "bfloat16":
        return array.astype(dtype)
    import ml_dtypes

    bits = (array.view(np.uint32) >> np.uint32(16)).astype(np.uint16)
    return bits.view(ml_dtypes.bfloat16)


def widen(xp: Any, array: Any) -> Any:
    """To float32, exactly; float64 stays."""
    if array.dtype.name == "bfloat16":
        return (array.view(np.uint16).astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array if array.dtype == np.float64 else array.astype(np.float32)


def stamps(batch: int, count: int, seed: int, period: int = 10 * MILLISECOND) -> np.ndarray:
    """Jittered int64 nanoseconds [batch, count]: gaps of half to one and a half periods."""
    gaps = (noise(np, (batch, count), seed).astype(np.float64) * (period // 2)).astype(np.int64) + period
    return np.cumsum(gaps, axis=1)


def targets(times: np.ndarray, count: int, distribution: str, seed: int) -> np.ndarray:
    """Sorted stamps inside each row's range: at random, or on an even clock."""
    first, last = times[:, :1], times[:, -1:]
    if distribution == "clock":
        share = np.arange(1, count + 1)[None, :] / (count + 1)
    else:
        share = np.sort((noise(np, (len(times), count), seed).astype(np.float64) + 1) / 2, axis=1)
    return np.clip(first + (share * (last - first)).astype(np.int64), first, last)


def cloud(xp: Any, distribution: str, count: int, seed: int) -> Any:
    """Points [count, 3] float32, all inside ``BOUNDS[distribution]``, in the order the sensor gives them."""
    if distribution == "uniform":
        return noise(xp, (count, 3), seed) * np.float32(0.5) + np.float32(0.5)
    out = xp.empty((count, 3), np.float32)
    scan = {"lidar": _lidar, "depth": _depth}[distribution]
    for start in range(0, count, CHUNK):
        stop = min(count, start + CHUNK)
        index = xp.arange(start, stop, dtype=np.int64)
        out[start:stop] = scan(xp, index, _hash(xp, start, stop, seed))
    return out


def _lidar(xp: Any, index: Any, jitter: Any) -> Any:
    """A scanner of 64 beams on a slow circle in a walled yard; a column of beams at a time, 2 cm noise."""
    turn = (index // (BEAMS * COLUMNS)).astype(np.float32)
    azimuth = ((index // BEAMS) % COLUMNS).astype(np.float32) * np.float32(2 * math.pi / COLUMNS)
    elevation = np.float32(math.radians(-24)) + (index % BEAMS).astype(np.float32) * np.float32(
        math.radians(29) / (BEAMS - 1)
    )
    flat = xp.cos(elevation)
    ray = xp.stack([flat * xp.cos(azimuth), flat * xp.sin(azimuth), xp.sin(elevation)])
    zero = xp.zeros_like(turn)
    origin = xp.stack([4 * xp.cos(turn * np.float32(0.05)), 4 * xp.sin(turn * np.float32(0.05)), zero])
    reach = _cast(xp, origin, ray, YARD, CARS) + jitter * np.float32(0.02)
    return (origin + ray * reach).T


def _depth(xp: Any, index: Any, jitter: Any) -> Any:
    """A camera that turns in a furnished room; images of 640 x 480 row by row, half a percent of noise."""
    image = (index // (WIDTH * HEIGHT)).astype(np.float32)
    pixel = index % (WIDTH * HEIGHT)
    right = ((pixel % WIDTH).astype(np.float32) - np.float32(WIDTH / 2 - 0.5)) / np.float32(FOCAL)
    down = ((pixel // WIDTH).astype(np.float32) - np.float32(HEIGHT / 2 - 0.5)) / np.float32(FOCAL)
    yaw = image * np.float32(math.radians(3))
    cos, sin = xp.cos(yaw), xp.sin(yaw)
    ray = xp.stack([cos + right * sin, sin - right * cos, -down])
    zero = xp.zeros_like(yaw)
    origin = xp.stack([cos, sin, zero])
    reach = _cast(xp, origin, ray, ROOM, SHELVES) * (1 + jitter * np.float32(0.005))
    return (origin + ray * reach).T


def _cast(xp: Any, origin: Any, ray: Any, room: Any, boxes: Any) -> Any:
    """How far rays [3, n] go inside a room, or to the first box (x, y, half width, height) that stands on its floor."""
    safe = xp.where(xp.abs(ray) < 1e-9, np.float32(1e-9), ray)
    low, high = np.array(room[:3], np.float32), np.array(room[3:], np.float32)
    reach = xp.full(ray.shape[1], np.inf, np.float32)
    for axis in range(3):
        wall = xp.where(safe[axis] > 0, high[axis], low[axis])
        reach = xp.minimum(reach, (wall - origin[axis]) / safe[axis])
    floor = float(low[2])
    for x, y, half, height in boxes:
        enter, leave = xp.zeros_like(reach), reach
        for axis, (a, b) in enumerate(((x - half, x + half), (y - half, y + half), (floor, floor + height))):
            one, two = (np.float32(a) - origin[axis]) / safe[axis], (np.float32(b) - origin[axis]) / safe[axis]
            enter = xp.maximum(enter, xp.minimum(one, two))
            leave = xp.minimum(leave, xp.maximum(one, two))
        reach = xp.where((enter > 0) & (enter < leave), enter, reach)
    return reach
