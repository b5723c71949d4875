"""Depth pictures into signed distances on the CPU.

A column of voxels lies on a line before each camera. Where it cannot fall into the picture, by an estimate with room
for every rounding, nothing is looked at. The rest is loops without branches, so that they become vector code: which
pixel each voxel falls on and how far it is from the depth there, then what that makes of the volume.
"""

import math
from typing import Any

import numpy as np

from ._jit import kernel, split

NORMAL = np.finfo(np.float32).tiny  # the least normal number: what compares alike where subnormals are flushed
ONE, MINUS, NONE, ABSENT = np.float32(1), np.float32(-1), np.float32(0), np.float32(2)
FAR = np.float32(np.inf)  # behind any depth
PIECE = 128  # voxels of a column that are looked at together
HUGE = 1e37  # beyond, float32 may overflow and nothing is estimated
SLACK = 2.0**-20  # of the sizes that went into a number: a multiple of what rounding can make of it


@kernel(inline=True)
def _narrowed(first, last, at, step, slack):
    """Steps between first and last for which at + step * k may be above zero."""
    if step > 0:
        return max(first, math.floor(min(max((-slack - at) / step, -1.0), 2.0**24))), last
    if step < 0:
        return first, min(last, math.ceil(min(max((slack + at) / -step, -1.0), 2.0**24)))
    return (first, last) if at + slack >= 0 else (first, first - 1)


@kernel(inline=True)
def _size(terms, i, j, count):
    """What rounding is measured by: the sum of the sizes of all terms."""
    most = abs(np.float64(terms[0])) + i * abs(np.float64(terms[1]))
    return most + j * abs(np.float64(terms[2])) + count * abs(np.float64(terms[3]))


@kernel(inline=True)
def _seen(count, x, y, z, a, b, c, height, width, size_x, size_y, size_z, sight):
    """First and last voxel of a column that may be seen, a superset; x + a * k and so on in float64."""
    u, v = np.float64(sight[0]), np.float64(sight[1])
    first, last = 0, count - 1
    if not (size_x + size_y + size_z + abs(u) + abs(v) < HUGE):
        return first, last
    first, last = _narrowed(first, last, z, c, SLACK * size_z)
    across, down = SLACK * (size_x + (abs(u) + width) * size_z), SLACK * (size_y + (abs(v) + height) * size_z)
    first, last = _narrowed(first, last, x + u * z, a + u * c, across)
    first, last = _narrowed(first, last, (width - u) * z - x, (width - u) * c - a, across)
    first, last = _narrowed(first, last, y + v * z, b + v * c, down)
    return _narrowed(first, last, (height - v) * z - y, (height - v) * c - b, down)


@kernel(inline=True)
def _project(first, last, x, y, z, a, b, c, u, v, width, height, row, pixels, depths):
    """Pixels of voxels of a column, and their depths; the first pixel and ABSENT where there is none."""
    for k in range(last - first):
        step = np.float32(first + k)
        far = z + step * c
        inverse = ONE / far
        p, q = (x + step * a) * inverse + u, (y + step * b) * inverse + v
        inside = (far >= NORMAL) & (p >= NONE) & (p < width) & (q >= NONE) & (q < height)
        p, q = p if inside else NONE, q if inside else NONE
        pixels[k] = np.int32(q) * row + np.int32(p)
        depths[k] = far if inside else FAR


@kernel(inline=True)
def _look_up(size, picture, pixels, found):
    for k in range(size):
        found[k] = picture[pixels[k]]


@kernel(inline=True)
def _subtract(size, depths, found, limit, scale):
    """Distances in units of truncation over the depths they come from, ABSENT for none; how many are some."""
    some = np.int32(0)
    for k in range(size):
        d = found[k]
        s = (d - depths[k]) * scale
        s = s if s < ONE else ONE
        s = s if (d > NONE) & (d <= limit) & (s >= MINUS) else ABSENT
        depths[k] = s
        some += np.int32(s <= ONE)
    return some


@kernel(inline=True)
def _blend(size, distances, grid, weight, most):
    """Take distances into a piece of a column; what has none keeps its bits."""
    for k in range(size):
        s, g, w = distances[k], grid[k], weight[k]
        had = w >= NORMAL
        total = (w if had else NONE) + ONE
        blended = g + (s - g) / total
        blended = blended if had else s
        grid[k] = blended if s <= ONE else g
        weight[k] = (total if total < most else most) if s <= ONE else w


@kernel(inline=True)
def _blend_colors(size, distances, pixels, colors, weight, tint):
    """The same for colours, before the weights are changed."""
    for k in range(size):
        if distances[k] <= ONE:
            w, at = weight[k], pixels[k]
            for channel in range(3):
                now, was = colors[at, channel], tint[k, channel]
                tint[k, channel] = was + (now - was) / (w + ONE) if w >= NORMAL else now


@kernel()
def _integrate(start, stop, grid, weight, tint, depth, shades, views, sights, scale, limit, most):
    """Columns [start, stop). ``views`` [view, row, 4]: place of voxel 0, then the steps along x, y and z."""
    count, rows = grid.shape[2], grid.shape[1]
    height, width = depth.shape[1], depth.shape[2]
    pixels, distances, found = np.empty(PIECE, np.int32), np.empty(PIECE, np.float32), np.empty(PIECE, np.float32)
    for column in range(start, stop):
        i, j = column // rows, column % rows
        p, q = np.float32(i), np.float32(j)
        for n in range(views.shape[0]):
            m = views[n]
            x = (m[0, 0] + p * m[0, 1]) + q * m[0, 2]
            y = (m[1, 0] + p * m[1, 1]) + q * m[1, 2]
            z = (m[2, 0] + p * m[2, 1]) + q * m[2, 2]
            a, b, c = m[0, 3], m[1, 3], m[2, 3]
            first, last = _seen(
                count, np.float64(x), np.float64(y), np.float64(z), np.float64(a), np.float64(b), np.float64(c), height,
                width, _size(m[0], i, j, count), _size(m[1], i, j, count), _size(m[2], i, j, count), sights[n],
            )  # fmt: skip
            picture, colors = depth[n].reshape(-1), shades[n].reshape(-1, 3)
            for low in range(first, last + 1, PIECE):
                high = min(low + PIECE, last + 1)
                _project(
                    low, high, x, y, z, a, b, c, sights[n, 0], sights[n, 1], np.float32(width), np.float32(height),
                    np.int32(width), pixels, distances,
                )  # fmt: skip
                _look_up(high - low, picture, pixels, found)
                if not _subtract(
                    high - low, distances, found, limit, scale
                ):  # behind everything, as much of a volume is
                    continue
                if tint.shape[0]:
                    _blend_colors(high - low, distances, pixels, colors, weight[i, j, low:high], tint[i, j, low:high])
                _blend(high - low, distances, grid[i, j, low:high], weight[i, j, low:high], most)


def _projections(cameras: Any, space: Any, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """Place and steps of the voxels before each camera, and where its axis meets the picture, half a pixel on."""
    places, sights = np.empty((cameras.views, 3, 4), np.float32), np.empty((cameras.views, 2), np.float32)
    middle = [o + 0.5 * s for o, s in zip(space.origin, space.size, strict=True)]
    for view in range(cameras.views):
        k = cameras.intrinsics[view % len(cameras.intrinsics)].tolist()
        t = cameras.poses[view % len(cameras.poses)].tolist()
        fx, fy, cx, cy = (k[0], k[4], k[2], k[5]) if len(k) == 9 else k
        apart = [middle[axis] - t[4 * axis + 3] for axis in range(3)]
        for row, focal in ((0, fx), (1, fy), (2, 1.0)):
            place = (t[row] * apart[0] + t[4 + row] * apart[1]) + t[8 + row] * apart[2]
            steps = [t[4 * axis + row] * space.size[axis] for axis in range(3)]
            with np.errstate(over="ignore"):
                places[view, row] = [(number * scale) * focal for number in (place, *steps)]
        sights[view] = [cx + 0.5, cy + 0.5]
    return places, sights + np.float32(0)  # no -0, which the GPU's comparison would take for a negative number


def integrate(
    grid: Any, weight: Any, tint: Any, depth: Any, shades: Any, cameras: Any, space: Any, terms: Any, strict: bool
) -> None:
    """See robocache.ops.tsdf.tsdf_integrate."""
    places, sights = _projections(cameras, space, terms.scale)
    with np.errstate(over="ignore"):
        depth = np.ascontiguousarray(depth, np.float32)
    colored = tint is not None
    split(
        _integrate, grid.shape[0] * grid.shape[1], 8 * grid.size * cameras.views, grid, weight,
        tint if colored else np.empty((0, 0, 0, 3), np.float32), depth,
        np.ascontiguousarray(shades, np.float32) if colored else np.empty((cameras.views, 0, 0, 3), np.float32),
        places, sights, np.float32(1 / terms.truncation), np.float32(terms.limit), np.float32(terms.most),
    )  # fmt: skip
