"""Voxel calls that look like an earlier one: see ``_replay``. Results share few allocations and are built when read."""

import itertools
import math
import sys
from typing import Any

import numpy as np

from .._core import dtypes
from ._outputs import apart
from ._voxel_set import Voxels

ALONE = 1 << 20  # bytes


class Slab:
    """One allocation for several arrays, each from a multiple of 256 bytes on."""

    def __init__(self, arrays: list[tuple[str, tuple[int, ...], np.dtype]]) -> None:
        self.specs: dict[str, tuple[tuple[int, ...], np.dtype, int]] = {}
        self.size = 0
        for name, shape, dtype in arrays:
            self.specs[name] = (shape, dtype, self.size)
            self.size += -(-math.prod(shape) * dtype.itemsize // 256) * 256
        self.at = [at for _, _, at in self.specs.values()]


class Set:
    """A call of ``voxelize``."""

    def __init__(self, again: Any, found: dict[str, Any], first: Voxels, flat: bool) -> None:
        self._again = again
        self._ndarray = sys.modules["cupy"].ndarray
        self._size, self._origin = first.voxel_size, first.origin
        self._names = tuple(first.features) if isinstance(first.features, dict) else None
        self._features = [
            (f"features{k}", () if flat else out.shape[1:], out.dtype) for k, out in enumerate(found["features"])
        ]
        inverse, dropped, clouds = first.inverse, first.dropped, first.offsets.shape[0]
        fixed = [
            ("inverse", inverse.shape, inverse.dtype),
            ("dropped", dropped.shape, dropped.dtype),
            ("offsets", (clouds,), dtypes.int64),
            ("num_voxels", (), dtypes.int64),
            ("found", (), dtypes.int64),
        ]
        rows = [] if again.limit is None else self._rows(again.limit)
        self._static = bool(rows)
        large = inverse.nbytes > ALONE  # it has an allocation of its own, so that keeping another does not keep it
        self._slabs = [Slab(fixed[:1]), Slab(fixed[1:] + rows)] if large else [Slab(fixed + rows)]

    def _rows(self, voxels: int) -> list[tuple[str, tuple[int, ...], np.dtype]]:
        arrays = [("coords", (voxels, 3), dtypes.int32), ("counts", (voxels,), dtypes.int32)]
        return arrays + [(name, (voxels, *rest), dtype) for name, rest, dtype in self._features]

    def __call__(self, points: Any, features: Any, lengths: Any, offsets: Any) -> Voxels:
        ndarray, slabs = self._ndarray, []

        def room(slab: Slab) -> list[int]:
            memory = ndarray((slab.size,), dtypes.uint8).data
            slabs.append((slab.specs, memory))
            start = memory.ptr
            return [start + at for at in slab.at]

        inverse, dropped, starts, kept, found, *static = itertools.chain(*map(room, self._slabs))

        def rest(voxels: int) -> list[int]:
            coords, counts, *outs = static if self._static else room(Slab(self._rows(voxels)))
            return [coords, counts, starts, kept, found, *outs]

        extent = lengths if offsets is None else offsets
        source = points.data.ptr
        self._again.run(
            (source, 0 if extent is None else extent.data.ptr),
            source if features is None else features.data.ptr,
            (inverse, dropped),
            rest,
        )
        return Voxels.later(ndarray, slabs, self._names, self._size, self._origin)


class Dense:
    """A call of ``voxel_grid`` with one reduction."""

    def __init__(self, again: Any, result: Any) -> None:
        self._again = again
        self._allocate = sys.modules["cupy"].ndarray
        self._result = (result.shape, result.dtype)

    def __call__(self, points: Any, features: Any, out: Any) -> Any:
        result = out
        if out is None:
            result = self._allocate(*self._result)
        else:
            apart("out", out, {"points": points, "features": features}, sys.modules["cupy"])
        self._again(points, features, result)
        return result
