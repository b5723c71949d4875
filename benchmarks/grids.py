"""Point clouds to voxelize and their judge: plain NumPy up to a million points or 256**3 cells, plain CuPy above."""

from typing import Any

import numpy as np

from . import scenes
from ._results import WrongResult

ON_HOST = 1_000_000


class Cloud:
    """One distribution of points, in several input sets."""

    def __init__(self, distribution: str, count: int, seed: int, label: str | None = None) -> None:
        self.distribution, self.count, self.seed = distribution, count, seed
        self.label = label or distribution
        self.bounds = scenes.BOUNDS[distribution]
        self.nbytes = 12 * count

    def points(self, xp: Any, number: int) -> Any:
        """Input set ``number``."""
        return scenes.cloud(xp, self.distribution, self.count, self.seed + 1_000_003 * number)

    def sets(self, xp: Any, count: int) -> list[Any]:
        """The first ``count`` input sets."""
        return [self.points(xp, number) for number in range(count)]

    def frame(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Lower corner and edges of a cell of a grid over the bounds."""
        low, high = np.array(self.bounds[:3], np.float32), np.array(self.bounds[3:], np.float32)
        return low, (high - low) / np.float32(side)

    def sparse_frame(self, size: float) -> tuple[np.ndarray, np.ndarray, int]:
        """Lower corner, edges, and cells a side that hold all points."""
        low = np.array(self.bounds[:3], np.float32)
        side = int(max(np.ceil((np.array(self.bounds[3:]) - low) / size))) + 1
        return low, np.full(3, size, np.float32), side

    def judge_dense(self, kind: str, side: int, out: Any, given: tuple[Any, ...]) -> str:
        """Name of the judge; raises where any cell is wrong."""
        xp, (points, *features), out = _here(given, out)
        low, size = (xp.asarray(array) for array in self.frame(side))
        cells = xp.floor((points - low) / size).astype(np.int64)
        flat = (cells[:, 0] * side + cells[:, 1]) * side + cells[:, 2]
        counts = xp.bincount(flat, minlength=side**3)
        if kind == "occupancy":
            wrong = int((out.reshape(-1).view(np.uint8) != (counts > 0).astype(np.uint8)).sum())
        elif kind == "count":
            wrong = int((out.reshape(-1) != counts).sum())
        else:
            wrong = _wrong_features(kind, out.reshape(side**3, -1), flat, counts, features[0])
        if wrong:
            raise WrongResult(f"{kind}: {wrong} of {side}**3 cells, {self.label}, {self.count} points")
        return "numpy" if xp is np else "cupy"

    def judge_sparse(self, size: float, voxels: Any, points: Any, bounded: bool = False) -> str:
        """Name of the judge; coordinates and counts must be equal, means within a unit of the last place.

        With bounds, cells are counted from the lower one.
        """
        made = [getattr(voxels, name) for name in ("coords", "counts", "features", "inverse")]
        xp, (points,), *_ = _here((points,), made[0])
        coords, counts, means, inverse = (_on(xp, array) for array in made)
        low = xp.asarray(self.frame(1)[0] if bounded else np.zeros(3, np.float32))
        cells = xp.floor((points - low) / np.float32(size)).astype(np.int64)
        lowest = cells.min(axis=0)
        span = int((cells.max(axis=0) - lowest).max()) + 1
        cells = cells - lowest
        keys = (cells[:, 0] * span + cells[:, 1]) * span + cells[:, 2]
        unique, back, expected = xp.unique(keys, return_inverse=True, return_counts=True)
        back = back.reshape(-1)
        kept = len(unique)
        where = xp.stack([unique // (span * span), unique // span % span, unique % span], 1) + lowest
        # Padded results carry rows past the last voxel.
        good = len(counts) >= kept and bool((counts[:kept] == expected).all()) and bool((counts[kept:] == 0).all())
        good = good and bool((coords[:kept] == where).all()) and bool((inverse.reshape(-1) == back).all())
        for axis in range(3):
            mean = xp.bincount(back, points[:, axis].astype(np.float64)) / expected
            off = xp.abs(means[:kept, axis] - mean)
            scale = xp.maximum(xp.abs(mean), np.float64(1e-6))
            good = good and bool((off <= scale * 2.0**-23 + 1e-9).all())
        if not good:
            raise WrongResult(f"voxels: {self.label}, {self.count} points of size {size}")
        return "numpy" if xp is np else "cupy"


def about(cloud: Cloud, op: str, reduce: str, backend: str, **shapes: int) -> dict[str, Any]:
    """What a row says before anything is timed."""
    return {
        "op": op,
        "backend": backend,
        "reduce": reduce,
        "shapes": {"N": cloud.count, **shapes},
        "dtypes": {"points": "float32"},
        "distribution": cloud.label,
        "seed": cloud.seed,
    }


def _here(given: tuple[Any, ...], out: Any) -> tuple[Any, list[Any], Any]:
    """The judge's module and the arrays where it works."""
    if isinstance(out, np.ndarray) and type(out) is np.ndarray:
        return np, list(given), out
    import cupy

    xp = np if len(given[0]) <= ON_HOST and out.size <= ON_HOST * 32 else cupy
    return xp, [_on(xp, array) for array in given], _on(xp, out)


def _on(xp: Any, array: Any) -> Any:
    return array.get() if xp is np and hasattr(array, "get") else array


def _wrong_features(kind: str, out: Any, flat: Any, counts: Any, features: Any) -> int:
    """Cells of a reduced feature that are off; on the host, in float64."""
    wrong = np.zeros(len(counts), bool)
    for channel in range(features.shape[1]):
        values = features[:, channel].astype(np.float64)
        if kind == "mean":
            expected = np.bincount(flat, values, len(counts)) / np.maximum(counts, 1)
            wrong |= ~(np.abs(out[:, channel] - expected) <= np.abs(expected) * 2.0**-23 + 1e-9)
        else:
            expected = np.full(len(counts), -np.inf)
            np.maximum.at(expected, flat, values)
            wrong |= out[:, channel] != np.where(counts > 0, expected, 0)
    return int(wrong.sum())
