"""Farthest points as they are defined: every point against every pick."""

import numpy as np


def usable(point):
    return all(np.isfinite(point[axis]) for axis in range(3))


def square(point, pick):
    """Squared distance, every step rounded."""
    real = np.float64 if point.dtype == np.float64 else np.float32
    with np.errstate(all="ignore"):
        dx, dy, dz = (real(point[axis]) - real(pick[axis]) for axis in range(3))
        return (dx * dx + dy * dy) + dz * dz


def picks(points, k, start=0):
    """Indices in one cloud, as many as it has."""
    left = [i for i in range(len(points)) if usable(points[i])]
    chosen, nearest = [], {}
    while left and len(chosen) < k:
        first = start if start in left else left[0]
        best = max(left, key=lambda i: (nearest[i], -i)) if chosen else first
        chosen.append(best)
        left.remove(best)
        for i in left:
            now = square(points[i], points[best])
            nearest[i] = min(nearest.get(i, now), now)
    return chosen


def padded(chosen, k, pad):
    """A row of k; None where there is nothing to repeat."""
    if pad == -1:
        return chosen + [-1] * (k - len(chosen))
    return [chosen[j % len(chosen)] for j in range(k)] if chosen else None
