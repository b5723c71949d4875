"""Rows of features to one row a group: the launches of ``reduce.cu``."""

from collections.abc import Iterator
from typing import Any

import cupy
import numpy as np

from .._core import dtypes
from . import _launch
from ._module import Macros, function
from ._points import THREADS, clear, flat, struct

BLOCKS = 1 << 16
KINDS = ("mean", "sum", "max", "min")


def _macros(dtype: np.dtype) -> Macros:
    name = dtypes.CUDA_NAME[dtype]
    if dtype in dtypes.FLOATING:
        return (("FEATURE_T", name), ("SUM_T", name), ("MEAN_T", name), ("FLOATING", "1"))
    return (("FEATURE_T", name), ("SUM_T", "i64"), ("MEAN_T", "double"), ("FLOATING", "0"))


MACROS = {dtype: _macros(dtype) for dtype in dtypes.CUDA_NAME}


def variants() -> Iterator[tuple[str, Macros]]:
    """Every compile variant that a call can ask for."""
    for macros in dict.fromkeys(MACROS.values()):
        yield "reduce", macros


def reduce(
    features: Any,
    ids: Any,
    counts: Any,
    kinds: tuple[str, ...],
    outs: tuple[Any, ...],
    cells: int,
    fill: tuple[float, int],
) -> None:
    """See robocache.ops.voxel.voxelize."""
    groups, channels = counts.size, features.shape[2]
    slots = groups * channels
    if slots == 0:
        return
    wanted = dict(zip(kinds, outs, strict=True))
    floating = features.dtype in dtypes.FLOATING
    adds = "sum" in wanted or "mean" in wanted
    wide = [name for name, used in (("sums", adds), ("max", "max" in wanted), ("min", "min" in wanted)) if used]
    scratch = cupy.empty(slots * (8 * len(wide) + 4 * (adds and floating)), np.uint8)
    clear(scratch)
    place = {name: scratch.data.ptr + 8 * slots * i for i, name in enumerate(wide)}
    sums, highs, lows = (place.get(name, 0) for name in ("sums", "max", "min"))
    exponents = scratch.data.ptr + 8 * slots * len(wide) if adds and floating else 0

    device, macros = _launch.device_id(counts), MACROS[features.dtype]
    total = features.shape[0] * features.shape[1]
    if total:
        source, inner, outer_stride, inner_stride = flat(features)
        layout = struct(inner, outer_stride, inner_stride, total, channels)
        grid = (min(_launch.blocks(total * channels, THREADS), BLOCKS),)
        collect = function(device, "reduce", "reduce_collect", macros)
        collect(grid, (THREADS,), (source, layout, ids, exponents, sums, highs, lows))
        if exponents:
            add = function(device, "reduce", "reduce_add", macros)
            add(grid, (THREADS,), (source, layout, ids, counts, exponents, sums))
    finish = function(device, "reduce", "reduce_finish", macros)
    finish(
        (min(_launch.blocks(slots, THREADS), BLOCKS),),
        (THREADS,),
        (counts, exponents, sums, highs, lows, groups, channels, cells, int(cells > 0), *fill)
        + tuple(wanted.get(kind) for kind in KINDS),
    )
    _launch.hold(scratch)
