"""What fusing depth pictures, and reading the surface back, must give: voxel by voxel, in NumPy scalars."""

import numpy as np

F = np.float32
TINY = np.finfo(np.float32).tiny


def camera(k, t, origin, size, scale):
    """Place of the first voxel's centre before a camera, and the steps along the axes: x fx, y fy, z; rounded once."""
    k, t = np.asarray(k, np.float64), np.asarray(t, np.float64)
    fx, fy, cx, cy = (k[0, 0], k[1, 1], k[0, 2], k[1, 2]) if k.shape == (3, 3) else k
    apart = [(origin[axis] + 0.5 * size[axis]) - t[axis, 3] for axis in range(3)]
    rows = []
    for row, focal in ((0, fx), (1, fy), (2, np.float64(1))):
        place = t[0, row] * apart[0] + t[1, row] * apart[1] + t[2, row] * apart[2]
        rows.append([F(x * scale * focal) for x in (place, *(t[axis, row] * size[axis] for axis in range(3)))])
    return rows, F(cx + 0.5), F(cy + 0.5)


def pixel(index, rows, u, v, height, width):
    """Row and column on which a voxel falls, or None, and its depth."""
    i, j, k = (F(n) for n in index)
    x, y, z = (((row[0] + i * row[1]) + j * row[2]) + k * row[3] for row in rows)
    if not z >= TINY:
        return None, z
    inverse = F(1) / z
    column, line = x * inverse + u, y * inverse + v
    if not (column >= 0 and column < width and line >= 0 and line < height):
        return None, z
    return (int(np.floor(line)), int(np.floor(column))), z


def integrate(grid, weight, tint, depth, shades, cameras, origin, size, truncation, scale, max_depth, most):
    """In place; ``cameras`` holds (K, T) for each view."""
    inverse = F(1 / (truncation * scale))
    limit = np.finfo(np.float32).max if max_depth is None else F(max_depth * scale)
    with np.errstate(all="ignore"):
        for view, (k, t) in enumerate(cameras):
            rows, u, v = camera(k, t, origin, size, scale)
            for index in np.ndindex(grid.shape):
                where, z = pixel(index, rows, u, v, *depth.shape[1:])
                if where is None:
                    continue
                d = F(depth[view][where])
                s = (d - z) * inverse
                if not (d > 0 and d <= limit) or not s >= -1:
                    continue
                s = s if s < 1 else F(1)
                n = weight[index] if weight[index] >= TINY else F(0)
                grid[index] = grid[index] + (s - grid[index]) / (n + F(1)) if n else s
                weight[index] = min(n + F(1), F(most))
                if tint is not None:
                    new = F(shades[view][where])
                    tint[index] = tint[index] + (new - tint[index]) / (n + F(1)) if n else new


def seen(grid, weight, index, least):
    """Whether a voxel is in the grid and has weight and a distance."""
    if any(k < 0 or k >= n for k, n in zip(index, grid.shape)):
        return False
    return bool(weight[index] >= least and abs(grid[index]) <= 1)


def moved(index, axis, by):
    return tuple(k + by * (a == axis) for a, k in enumerate(index))


def gradient(grid, weight, index, size, least):
    """Slopes of the field over the neighbours that are seen."""
    slopes = []
    for axis in range(3):
        near = [moved(index, axis, by) for by in (-1, 1)]
        real = [seen(grid, weight, k, least) for k in near]
        low, high = (grid[k] if ok else grid[index] for k, ok in zip(near, real))
        rise = high - low
        slopes.append((rise * F(0.5) if all(real) else rise) / F(size[axis]))
    return slopes


def surface(grid, weight, tint, origin, size, least, real):
    """Points, normals and colours in order."""
    points, normals, colors = [], [], []
    with np.errstate(all="ignore"):
        for index in np.ndindex(grid.shape):
            for axis in range(3):
                other = moved(index, axis, 1)
                if not (seen(grid, weight, index, least) and seen(grid, weight, other, least)):
                    continue
                a, b = grid[index], grid[other]
                if abs(a) >= 1 or abs(b) >= 1 or (a > 0) == (b > 0):
                    continue
                share = a / (a - b)
                steps = [np.float64(k) + 0.5 + (np.float64(share) if n == axis else 0) for n, k in enumerate(index)]
                points.append([np.dtype(real).type(s * size[n] + origin[n]) for n, s in enumerate(steps)])
                first = gradient(grid, weight, index, size, least)
                last = gradient(grid, weight, other, size, least)
                normal = [p + share * (q - p) for p, q in zip(first, last)]
                length = np.sqrt((normal[0] * normal[0] + normal[1] * normal[1]) + normal[2] * normal[2])
                normals.append([n / length if length != 0 else F(0) for n in normal])
                if tint is not None:
                    colors.append(tint[index] + share * (tint[other] - tint[index]))
    shape = (len(points), 3)
    colors = None if tint is None else np.array(colors, F).reshape(shape)
    return np.array(points, real).reshape(shape), np.array(normals, F).reshape(shape), colors
