"""The result of ``voxelize``."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .. import interop
from .._core import dtypes


@dataclass(frozen=True, eq=False)
class Voxels:
    """Occupied voxels of one cloud or of several, all arrays in the framework and on the device of the points.

    Attributes
    ----------
    coords : array [M, 3], int32
        Cell of each voxel in the order x, y, z.
    features : array [M, F], or dict of them
        What ``reduce`` asked for; a dict by its names if it was a tuple.
    counts : array [M], int32
        Points in each voxel.
    inverse : array, int64
        Voxel of each point, in the shape of the points without their last axis; -1 for points in no voxel.
    offsets : array [B + 1], int64
        Voxels of cloud ``b`` are ``offsets[b]:offsets[b + 1]``; ``[0, M]`` for a single cloud.
    dropped : array [B] or [], int64
        Points of each cloud that lie outside or are not finite; padding does not count.
    num_voxels, found : array [], int64
        Voxels in the arrays, and voxels there would be without ``max_voxels``.
    voxel_size, origin : tuple of float
        What the cells were made with.
    """

    coords: Any
    features: Any
    counts: Any
    inverse: Any
    offsets: Any
    dropped: Any
    num_voxels: Any
    found: Any
    voxel_size: tuple[float, float, float] = field(repr=False)
    origin: tuple[float, float, float] = field(repr=False)

    def centers(self) -> Any:
        """Centre of each voxel, float64 [M, 3]; NaN in rows that ``max_voxels`` padded."""
        call, (coords, counts) = interop.receive(coords=self.coords, counts=self.counts)
        with call:
            centers = call.empty(tuple(coords.shape), dtypes.float64)
            for axis in range(3):
                middle = (coords[:, axis] + 0.5) * self.voxel_size[axis] + self.origin[axis]
                centers[:, axis] = call.xp.where(counts > 0, middle, np.nan)
            return call.give(centers)
