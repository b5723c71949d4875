"""What hard_voxelize, point_to_voxel and voxel_downsample must give, point by point in Python numbers."""

import math
from collections import Counter
from fractions import Fraction

import numpy as np

from . import voxel

MASK = (1 << 64) - 1


def mixed(x):
    """The finalizer of splitmix64."""
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def hashed(seed, place):
    """What orders point ``place`` of a cloud: 32 bits of that output of a splitmix64 whose seed is hashed."""
    golden, place = 0x9E3779B97F4A7C15, int(place)
    return mixed((mixed((seed + golden) & MASK) + (place + 1) * golden) & MASK) >> 32


def distance(point, name, origin, size):
    """The square of how far the centre of a cell is: float64 operations in units of a power of two, then float32."""
    scale = 2.0 ** -math.frexp(max(float(s) for s in size))[1]
    square = 0.0
    for axis in range(3):
        away = (float(point[axis]) - float(origin[axis])) - (name[axis] + 0.5) * float(size[axis])
        square += (away * scale) * (away * scale)
    with np.errstate(over="ignore"):
        return float(np.float32(square))


def ordered(numbers, select, rows, name, first, seed, origin, size):
    """The points of a voxel in order of their choice; ``first`` is the first point of its cloud."""
    if select == "first":
        return sorted(numbers)
    if select == "random":
        return sorted(numbers, key=lambda p: (hashed(seed, p - first), p))
    return sorted(numbers, key=lambda p: (distance(rows[p], name, origin, size), p))


def _in_type(values, dtype):
    real = np.float64 if dtype == np.float64 else np.float32
    return [real(v) for v in values]


def _firsts(members, offsets):
    return offsets if offsets is not None else [cloud[0] if cloud else 0 for cloud in members]


def hard_voxelize(
    points, features=None, *, origin, size, shape, max_points, max_voxels, select="first", seed=0, order="zyx",
    lengths=None, offsets=None,
):  # fmt: skip
    """Everything but padding."""
    features = points if features is None else features
    rows, values = points.reshape(-1, points.shape[-1]), voxel._rows(features, points)
    members = voxel.clouds(points.shape, lengths, offsets)
    low, edge = _in_type(origin, points.dtype), _in_type(size, points.dtype)
    names, inside, dropped = voxel.group(points, members, "first", origin=origin, size=size, shape=shape)
    coords, voxels, num, ends, cut_points, cut_voxels = [], [], [], [0], [], []
    inverse = np.full(len(rows), -1)
    for cloud, own in enumerate(members):
        mine = [v for v, name in enumerate(names) if name[0] == cloud]
        for v in mine[:max_voxels]:
            inverse[inside[v]] = len(num)
            first = _firsts(members, offsets)[cloud]
            chosen = ordered(inside[v], select, rows, names[v][1:], first, seed, low, edge)[:max_points]
            block = np.zeros((max_points, values.shape[1]), values.dtype)
            block[: len(chosen)] = values[chosen]
            voxels.append(block)
            num.append(len(chosen))
            x, y, z = names[v][1:]
            coords.append((cloud, *((z, y, x) if order == "zyx" else (x, y, z))))
        ends.append(len(num))
        cut_voxels.append(len(mine[max_voxels:]))
        cut_points.append(len(own) - dropped[cloud] - sum(num[ends[-2] :]))
    batched = points.ndim == 3 or offsets is not None
    return {
        "voxels": np.array(voxels, values.dtype).reshape(len(num), max_points, values.shape[1]),
        "coords": np.array(coords, np.int32).reshape(-1, 4)[:, 0 if batched else 1 :],
        "num_points": np.array(num, np.int32),
        "offsets": np.array(ends),
        "dropped": np.array(dropped, np.int64),
        "cut_points": np.array(cut_points, np.int64),
        "cut_voxels": np.array(cut_voxels, np.int64),
        "inverse": inverse,
    }


def cells_of(points, *, origin, size, shape=None, lengths=None, offsets=None, order="xyz"):
    """Cells [points, 3] and their numbers."""
    rows = points.reshape(-1, points.shape[-1])
    nowhere = -(2**31) if shape is None else -1
    cells, numbers = np.full((len(rows), 3), nowhere, np.int32), np.full(len(rows), -1)
    for cloud in voxel.clouds(points.shape, lengths, offsets):
        for p in cloud:
            where = voxel.cell(rows[p], origin, size, shape)
            if where is None:
                continue
            turned = where if order == "xyz" else where[::-1]
            cells[p] = turned
            if shape is not None:
                _, y, z = shape if order == "xyz" else shape[::-1]
                numbers[p] = (turned[0] * y + turned[1]) * z + turned[2]
    return cells, numbers


def mode(values):
    """The most frequent value, of equally frequent ones the smallest."""
    counts = Counter(int(v) for v in values)
    return min(counts, key=lambda v: (-counts[v], v))


def rounded_mean(values):
    """The nearest integer, half goes up."""
    return math.floor(Fraction(sum(int(v) for v in values), len(values)) + Fraction(1, 2))


def unit(values, dtype):
    """Rows added as documented, and brought to length 1."""
    dtype = np.dtype(dtype)
    sums = [float(voxel.reduce("sum", list(values[:, c]), dtype)) for c in range(values.shape[1])]
    square = 0.0
    for x in sums:
        square += x * x
    norm = math.sqrt(square) if square == square else math.nan
    if not math.isfinite(norm):
        return np.full(len(sums), np.nan).astype(dtype)
    made = np.array([x / norm if norm else 0.0 for x in sums])
    return made.astype(np.float32).astype(dtype) if dtype in voxel.HALF else made.astype(dtype)


def downsample(points, *, reduce, size, origin=(0, 0, 0), seed=0, lengths=None, offsets=None, **extras):
    """Points, what belongs to them, and which point was chosen."""
    rows = points.reshape(-1, points.shape[-1])
    members = voxel.clouds(points.shape, lengths, offsets)
    low, edge = _in_type(origin, points.dtype), _in_type(size, points.dtype)
    names, inside, _ = voxel.group(points, members, origin=origin, size=size)
    flat = {name: voxel._rows(array, points) for name, array in extras.items()}
    out = {name: [] for name in ("points", "index", *extras)}
    for name, numbers in zip(names, inside, strict=True):
        if reduce in ("mean", "center"):
            xyz = rows[numbers, :3]
            if reduce == "mean":
                made = [voxel.reduce("mean", list(xyz[:, c]), points.dtype) for c in range(3)]
            else:
                made = [(name[1 + c] + 0.5) * float(edge[c]) + float(low[c]) for c in range(3)]
                with np.errstate(over="ignore"):
                    made = np.array(made).astype(np.float64 if points.dtype == np.float64 else np.float32)
                    made = made.astype(points.dtype)
            out["points"].append(made)
            for extra, array in flat.items():
                out[extra].append(_reduced(extra, array[numbers]))
            continue
        first = _firsts(members, offsets)[name[0]]
        best = ordered(numbers, reduce, rows, name[1:], first, seed, low, edge)[0]
        out["points"].append(rows[best, :3])
        out["index"].append(best)
        for extra, array in flat.items():
            out[extra].append(array[best])
    return {name: np.array(values) for name, values in out.items()}


def _reduced(extra, values):
    channels = range(values.shape[1])
    if extra == "normals":
        return unit(values, values.dtype)
    if extra == "labels":
        return np.array([mode(values[:, c]) for c in channels], values.dtype)
    if extra == "colors" and not voxel.is_floating(values.dtype):
        return np.array([rounded_mean(values[:, c]) for c in channels], values.dtype)
    return np.array([voxel.reduce("mean", list(values[:, c]), values.dtype) for c in channels])
