"""Normals of organized points: a row of the image at a time, in many small loops.

Each loop has few arrays and no branches, so that the compiler can use vectors; all of a row stays in cache.
"""

import numpy as np

from ._jit import kernel


@kernel()
def usable(start, stop, points, used):
    """Take from ``used`` the points that are not finite."""
    for i in range(start, stop):
        used[i] &= np.isfinite(points[i, 0]) & np.isfinite(points[i, 1]) & np.isfinite(points[i, 2])


@kernel()
def _load(points, used, at, width, rows, flags):
    """One row of points, by coordinates, with an unused one at both ends."""
    x, y, z = rows[0], rows[1], rows[2]
    for i in range(width):
        x[i + 1], y[i + 1], z[i + 1] = points[at + i, 0], points[at + i, 1], points[at + i, 2]
    flags[0] = flags[width + 1] = False
    for i in range(width):
        flags[i + 1] = used[at + i]


@kernel()
def _away(eye, rows, out, reach, jump):
    """From points to the eye, and the square of how far neighbours may be."""
    for k in range(3):
        p, d, e = rows[k], out[k], eye[k]
        for i in range(p.shape[0]):
            d[i] = e - p[i]
    x, y, z = out[0], out[1], out[2]
    for i in range(reach.shape[0]):
        reach[i] = jump * (x[i] * x[i] + y[i] * y[i] + z[i] * z[i])


@kernel()
def _link(px, py, pz, qx, qy, qz, reach, used, other, square, linked):
    """Whether neighbours q are used, and near enough to used points p."""
    for i in range(square.shape[0]):
        x, y, z = qx[i] - px[i], qy[i] - py[i], qz[i] - pz[i]
        square[i] = x * x + y * y + z * z
    for i in range(square.shape[0]):
        linked[i] = used[i] & other[i] & (square[i] <= reach[i])


@kernel()
def _apart(p, before, some, after, more, d):
    """From the neighbours before to those after, where they are linked, else from or to the points themselves."""
    for i in range(d.shape[0]):
        d[i] = (after[i] if more[i] else p[i]) - (before[i] if some[i] else p[i])


@kernel()
def _cross(ay, az, by, bz, n):
    for i in range(n.shape[0]):
        n[i] = ay[i] * bz[i] - az[i] * by[i]


@kernel()
def _dot(ax, ay, az, bx, by, bz, out):
    for i in range(out.shape[0]):
        out[i] = ax[i] * bx[i] + ay[i] * by[i] + az[i] * bz[i]


@kernel()
def _scale(n, length):
    for i in range(n.shape[0]):
        n[i] = n[i] / length[i]


@kernel()
def _face(n, side, known, nan):
    for i in range(n.shape[0]):
        n[i] = (-n[i] if side[i] < 0 else n[i]) if known[i] else nan


@kernel()
def _judge(left, right, up, down, square, known):
    """Where there is a normal, given the square of its length."""
    for i in range(known.shape[0]):
        known[i] = (left[i] | right[i]) & (up[i] | down[i]) & (square[i] > 0) & (square[i] < np.inf)
    for i in range(known.shape[0]):
        square[i] = np.sqrt(square[i])


@kernel()
def write_normals(start, stop, points, used, height, width, eyes, jump, nan, normals, known):
    """Normals of some rows of all images; points are counted over all of them, and ``jump`` is squared."""
    ring, flags = np.empty((3, 3, width + 2), points.dtype), np.zeros((3, width + 2), np.bool_)
    ring[:] = 0
    away, n = np.empty((3, width), points.dtype), np.empty((3, width), points.dtype)
    a, b = np.empty((3, width), points.dtype), np.empty((3, width), points.dtype)
    reach, square, side = np.empty(width, points.dtype), np.empty(width, points.dtype), np.empty(width, points.dtype)
    links, good = np.empty((4, width), np.bool_), np.empty(width, np.bool_)
    for row in range(start, stop):
        r, at = row % height, row * width
        here, above, below = r % 3, (r + 2) % 3, (r + 1) % 3
        if row == start or r == 0:
            _load(points, used, at, width, ring[here], flags[here])
            flags[above, :] = False
            if r > 0:
                _load(points, used, at - width, width, ring[above], flags[above])
        flags[below, :] = False
        if r + 1 < height:
            _load(points, used, at + width, width, ring[below], flags[below])
        mid, lot = ring[here], flags[here]
        x, y, z, some = mid[0][1:-1], mid[1][1:-1], mid[2][1:-1], lot[1:-1]
        _away(eyes[(row // height) % eyes.shape[0]], mid[:, 1:-1], away, reach, jump[0])
        _link(x, y, z, mid[0][:-2], mid[1][:-2], mid[2][:-2], reach, some, lot[:-2], square, links[0])
        _link(x, y, z, mid[0][2:], mid[1][2:], mid[2][2:], reach, some, lot[2:], square, links[1])
        for k, to in ((2, above), (3, below)):
            _link(
                x, y, z, ring[to, 0][1:-1], ring[to, 1][1:-1], ring[to, 2][1:-1], reach, some, flags[to][1:-1], square,
                links[k],
            )  # fmt: skip
        for k in range(3):
            _apart(mid[k][1:-1], mid[k][:-2], links[0], mid[k][2:], links[1], a[k])
            _apart(mid[k][1:-1], ring[above, k][1:-1], links[2], ring[below, k][1:-1], links[3], b[k])
        for k in range(3):
            _cross(a[(k + 1) % 3], a[(k + 2) % 3], b[(k + 1) % 3], b[(k + 2) % 3], n[k])
        _dot(n[0], n[1], n[2], n[0], n[1], n[2], square)
        _judge(links[0], links[1], links[2], links[3], square, good)
        for k in range(3):
            _scale(n[k], square)
        _dot(n[0], n[1], n[2], away[0], away[1], away[2], side)
        for k in range(3):
            _face(n[k], side, good, nan[0])
        for i in range(width):
            known[at + i] = good[i]
            normals[at + i, 0], normals[at + i, 1], normals[at + i, 2] = n[0, i], n[1, i], n[2, i]
