"""What operations on point clouds and depth images must give, one point or pixel at a time."""

import ml_dtypes
import numpy as np

HALF = (np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16))


def real(dtype):
    """Type of the arithmetic."""
    return np.float64 if np.dtype(dtype) == np.float64 else np.float32


def move(point, matrix, kind):
    """A point of three numbers by an affine transform, every operation rounded to ``kind``."""
    x, y, z = (kind(v) for v in point)
    with np.errstate(all="ignore"):
        t = np.asarray(matrix).astype(kind)
        return [((t[a, 0] * x + t[a, 1] * y) + t[a, 2] * z) + t[a, 3] for a in range(3)]


def clouds(shape, lengths=None, offsets=None):
    """Point numbers of each cloud, counted over all points; ``shape`` is that of the points."""
    if offsets is not None:
        return [list(range(a, b)) for a, b in zip(offsets[:-1], offsets[1:], strict=True)]
    if len(shape) == 2:
        return [list(range(shape[0]))]
    lengths = [shape[1]] * shape[0] if lengths is None else lengths
    return [list(range(b * shape[1], b * shape[1] + int(n))) for b, n in enumerate(lengths)]


def matrices(given, count):
    """One transform for each of ``count``."""
    given = np.asarray(given)
    return [given] * count if given.ndim == 2 else list(given)


def transform(points, matrix, lengths=None, offsets=None):
    """Points moved; padding stays."""
    out = points.copy()
    flat, moved = points.reshape(-1, points.shape[-1]), out.reshape(-1, points.shape[-1])
    members = clouds(points.shape, lengths, offsets)
    for inside, one in zip(members, matrices(matrix, len(members)), strict=True):
        for i in inside:
            with np.errstate(over="ignore"):
                moved[i, :3] = np.array(move(flat[i, :3], one, real(points.dtype))).astype(points.dtype)
    return out


def contains(point, bounds, kind):
    """Whether three numbers are finite and in half-open bounds."""
    bounds = [kind(v) for v in np.ravel(bounds)] if bounds is not None else [kind(-np.inf)] * 3 + [kind(np.inf)] * 3
    axes = zip(point, bounds[:3], bounds[3:], strict=True)
    return all(np.isfinite(kind(p)) and low <= kind(p) < high for p, low, high in axes)


def crop(points, bounds, features=None, matrix=None, lengths=None, offsets=None):
    """Points, features, index and offsets of those in the box."""
    if matrix is not None:
        points = transform(points, matrix, lengths, offsets)
    flat, kept, starts = points.reshape(-1, points.shape[-1]), [], [0]
    for inside in clouds(points.shape, lengths, offsets):
        kept += [i for i in inside if contains(flat[i, :3], bounds, real(points.dtype))]
        starts.append(len(kept))
    rows = None
    if features is not None:
        rows = features.reshape(-1, *features.shape[points.ndim - 1 :])[kept]
    return flat[kept].reshape(-1, points.shape[-1]), rows, np.array(kept, np.int64), np.array(starts, np.int64)


def focal(lens):
    """fx, fy, cx, cy of either form."""
    lens = np.asarray(lens)
    return (lens[0, 0], lens[1, 1], lens[0, 2], lens[1, 2]) if lens.ndim == 2 else tuple(lens)


def pixel(raw, row, column, lens, matrix, kind, scale=1.0, near=0.0, far=np.inf, bounds=None):
    """Point of a pixel, or None."""
    with np.errstate(all="ignore"):
        z = kind(raw) * kind(1 / scale)
        if not (z > 0 and kind(near) <= z < kind(far)):
            return None
        fx, fy, cx, cy = (kind(v) for v in focal(lens))
        x = ((kind(column) - cx) * (kind(1) / fx)) * z
        y = ((kind(row) - cy) * (kind(1) / fy)) * z
    point = [x, y, z] if matrix is None else move((x, y, z), matrix, kind)
    return point if contains(point, bounds, kind) else None


def depth_points(depth, lenses, poses, stride=1, dtype=None, **options):
    """Organized points [B, V, H', W', 3] and mask of depth [B, V, H, W]; lenses and poses [B][V], poses may be None."""
    kind = np.dtype(dtype).type if dtype is not None else real(depth.dtype)
    scenes, views = depth.shape[:2]
    rows, columns = range(0, depth.shape[2], stride), range(0, depth.shape[3], stride)
    points = np.full((scenes, views, len(rows), len(columns), 3), np.nan, kind)
    valid = np.zeros(points.shape[:-1], bool)
    for b, v, r, c in np.ndindex(valid.shape):
        pose = None if poses is None else poses[b][v]
        found = pixel(depth[b, v, rows[r], columns[c]], rows[r], columns[c], lenses[b][v], pose, kind, **options)
        if found is not None:
            points[b, v, r, c], valid[b, v, r, c] = found, True
    return points, valid


def normals(points, valid, eye, jump):
    """Normals and mask of one organized cloud [H, W, 3]."""
    kind = points.dtype.type
    out, known = np.full(points.shape, np.nan, kind), np.zeros(points.shape[:2], bool)
    usable = np.isfinite(points).all(-1) & valid
    eye = [kind(v) for v in eye]

    def size(d):
        return (d[0] * d[0] + d[1] * d[1]) + d[2] * d[2]

    def across(r, c, dr, dc, reach):
        """Difference along one direction of the image, or None."""
        ends = [points[r, c], points[r, c]]
        found = False
        for side, sign in enumerate((-1, 1)):
            i, j = r + sign * dr, c + sign * dc
            inside = 0 <= i < points.shape[0] and 0 <= j < points.shape[1] and usable[i, j]
            if inside and size(points[i, j] - points[r, c]) <= reach:
                ends[side], found = points[i, j], True
        return ends[1] - ends[0] if found else None

    with np.errstate(all="ignore"):
        for r, c in np.ndindex(known.shape):
            if not usable[r, c]:
                continue
            out_to_eye = [e - p for e, p in zip(eye, points[r, c], strict=True)]
            reach = kind(jump * jump) * size(out_to_eye)
            a, b = across(r, c, 0, 1, reach), across(r, c, 1, 0, reach)
            if a is None or b is None:
                continue
            n = [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
            square = size(n)
            if not (square > 0 and np.isfinite(square)):
                continue
            n = [v / np.sqrt(square) for v in n]
            if (n[0] * out_to_eye[0] + n[1] * out_to_eye[1]) + n[2] * out_to_eye[2] < 0:
                n = [-v for v in n]
            out[r, c], known[r, c] = n, True
    return out, known
