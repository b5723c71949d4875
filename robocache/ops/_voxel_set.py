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
    members : array [N] or [B * N], int64, or None
        Points by voxel and then by their number, which counts over all clouds; -1 past the last one.
    splits : array [M + 1], int64, or None
        Points of voxel ``v`` are ``members[splits[v]:splits[v + 1]]``.
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
    members: Any
    splits: Any
    voxel_size: tuple[float, float, float] = field(repr=False)
    origin: tuple[float, float, float] = field(repr=False)

    @classmethod
    def later(cls, ndarray: Any, slabs: Any, names: Any, voxel_size: Any, origin: Any) -> "Voxels":
        """Voxels whose arrays lie in slabs, (places by name, memory) each, and are built when they are first read."""
        self = cls.__new__(cls)
        self.__dict__.update(
            _slabs=(ndarray, slabs, names), members=None, splits=None, voxel_size=voxel_size, origin=origin
        )
        return self

    def __getattr__(self, name: str) -> Any:
        slabs = self.__dict__.get("_slabs")
        if slabs is None or name not in self.__dataclass_fields__:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        names = slabs[2]
        if name == "features":
            built = [self._build(f"features{k}") for k in range(len(names) if names else 1)]
            array = dict(zip(names, built, strict=True)) if names else built[0]
        else:
            array = self._build(name)
        return self.__dict__.setdefault(name, array)

    def _build(self, name: str) -> Any:
        ndarray, slabs, _ = self.__dict__["_slabs"]
        for specs, memory in slabs:
            if name in specs:
                shape, dtype, at = specs[name]
                return ndarray(shape, dtype, memory + at)
        raise AttributeError(name)

    def __getstate__(self) -> dict[str, Any]:
        """For copies and pickles: every array built."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    def centers(self) -> Any:
        """Centre of each voxel, float64 [M, 3]; NaN in rows that ``max_voxels`` padded."""
        call, (coords, counts) = interop.receive(coords=self.coords, counts=self.counts)
        with call:
            centers = call.empty(tuple(coords.shape), dtypes.float64)
            for axis in range(3):
                middle = (coords[:, axis] + 0.5) * self.voxel_size[axis] + self.origin[axis]
                centers[:, axis] = call.xp.where(counts > 0, middle, np.nan)
            return call.give(centers)


def assembled(
    call: Any, found: dict[str, Any], names: tuple[str, ...] | None, flat: bool, single: bool, lead: Any, grid: Any
) -> Voxels:
    """What a twin found, in the caller's framework: features by ``names`` if there are several, without their axis if
    ``flat``; one count of dropped points for a ``single`` cloud; the voxels of points in their shape ``lead``.
    """  # noqa: D205
    outs = [call.give(out[:, 0] if flat else out) for out in found["features"]]
    return Voxels(
        coords=call.give(found["coords"]),
        features=outs[0] if names is None else dict(zip(names, outs, strict=True)),
        counts=call.give(found["counts"]),
        inverse=call.give(found["inverse"].reshape(lead)),
        offsets=call.give(found["offsets"]),
        dropped=call.give(found["dropped"].reshape(()) if single else found["dropped"]),
        num_voxels=call.give(found["kept"]),
        found=call.give(found["found"]),
        members=call.give(found["members"]) if "members" in found else None,
        splits=call.give(found["splits"]) if "splits" in found else None,
        voxel_size=grid.size,
        origin=grid.origin,
    )
