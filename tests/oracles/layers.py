"""Grids beyond plain reductions: PerAct's channels, and points shared among the eight cells around them."""

import itertools
import math

import numpy as np

from oracles import voxel

PARTS = 2**20


def peract(points, features, layers, *, shape, fill=0, **grid):
    """Channels in the documented order, [B, X, Y, Z, C]: ``features`` are the arrays of which there are means."""
    xyz = np.ascontiguousarray(points[..., :3])
    means = [voxel.voxel_grid(xyz, f, kind="mean", shape=shape, fill=fill, **grid)[0] for f in features]
    count = voxel.voxel_grid(xyz, kind="count", shape=shape, **grid)[0]
    double = any(np.dtype(a.dtype) == np.float64 for a in (points, *features))
    real = np.float64 if double else np.float32
    with np.errstate(over="ignore"):
        channels = [mean.astype(real) for mean in means]
    if "index" in layers:
        index = np.empty((*count.shape, 3), real)
        for cell in itertools.product(*map(range, count.shape)):
            for axis in range(3):
                index[(*cell, axis)] = real(cell[1 + axis]) / real(shape[axis])
        channels.append(index)
    if "occupancy" in layers:
        channels.append((count > 0)[..., None].astype(real))
    return np.concatenate(channels, axis=-1)


def weights(point, origin, size, shape):
    """Cells around a point with their weights, as whole numbers of 2**-30; None for points outside."""
    if voxel.cell(point, origin, size, shape) is None:
        return None
    real = np.float64 if point.dtype == np.float64 else np.float32
    sides = []
    for axis in range(3):
        middle = (real(point[axis]) - real(origin[axis])) / real(size[axis]) - real(0.5)
        low = math.floor(float(middle))
        part = round((float(real(middle - real(low)))) * PARTS)
        sides.append(((low, PARTS - part), (low + 1, part)))
    found = []
    for corner in itertools.product(*sides):
        cell = tuple(number for number, _ in corner)
        weight = (math.prod(part for _, part in corner) + 2**29) // 2**30
        if weight and all(0 <= number < n for number, n in zip(cell, shape, strict=True)):
            found.append((cell, weight))
    return found


def splat(points, features, *, kind, shape, origin, size, fill=0, lengths=None, offsets=None):
    """Weighted count [B, X, Y, Z], or sum or mean [B, X, Y, Z, F], and dropped points of each cloud."""
    members = voxel.clouds(points.shape, lengths, offsets)
    rows = points.reshape(-1, points.shape[-1])
    wide = features.reshape(len(rows), features.shape[-1])
    there, dropped = {}, []
    for cloud, inside in enumerate(members):
        lost = 0
        for p in inside:
            around = weights(rows[p], origin, size, shape)
            lost += around is None
            for cell, weight in around or ():
                there.setdefault((cloud, *cell), []).append((weight / 2**30, p))
        dropped.append(lost)
    lead = (len(members), *shape)
    floating = voxel.is_floating(features.dtype)
    dtype = np.dtype(np.float32) if kind == "count" else features.dtype if floating else np.dtype(np.float64)
    out = np.zeros(lead, dtype) if kind == "count" else np.full((*lead, wide.shape[1]), fill, dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        for cell, points_of in there.items():
            total = voxel.fixed_point([w for w, _ in points_of], False)
            if kind == "count":
                out[cell] = np.float32(total)
                continue
            for c in range(wide.shape[1]):
                shares = [np.float64(w) * np.float64(wide[p, c]) for w, p in points_of]
                number = np.float64(voxel.fixed_point(shares, False))
                number = number / np.float64(total) if kind == "mean" else number
                out[(*cell, c)] = np.float32(number).astype(dtype) if dtype in voxel.HALF else number.astype(dtype)
    return out, np.array(dropped, np.int64)
