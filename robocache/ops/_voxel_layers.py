"""What ``voxel_grid`` can do beside plain reductions: bits, weights between cells, and layers beside the means."""

from typing import Any, NamedTuple

import numpy as np

from .._core import checks, dtypes
from .._core.errors import ArgumentError, ShapeError
from . import _voxel_args as args
from ._dispatch import twin

LAYERS = ("xyz", "index", "occupancy")
SPREAD = ("count", "sum", "mean")
WORD = np.dtype(np.uint32)
LONGEST = 1 << 24  # cells that float32 can number


class How(NamedTuple):
    """Whether as bits, how points are shared, and the layers to append; at most one of them."""

    packed: bool
    splat: str | None
    layers: tuple[str, ...] | None


def options(reduce: Any, outside: str, packed: Any, splat: Any, append: Any) -> How:
    """What is wanted; what does not go together is refused."""
    if (packed is not False) + (splat is not None) + (append is not None) > 1:
        raise ArgumentError("packed, splat and append exclude one another; make one grid of each kind")
    if packed is not False and (packed is not True or reduce != "occupancy"):
        raise ArgumentError(f"packed={packed!r} with reduce={reduce!r}; packed=True is for reduce='occupancy' alone")
    if splat is not None:
        checks.choice("splat", splat, ("trilinear",))
        for kind in args.reductions(reduce, args.DENSE + args.REDUCTIONS):
            if kind not in SPREAD:
                raise ArgumentError(f"reduce={kind!r} has no use for weights; splat goes with {', '.join(SPREAD)}")
        if outside == "clamp":
            raise ArgumentError("outside='clamp' moves points to border cells, which splat would blur; drop them")
    if append is None:
        return How(packed, splat, None)
    layers = (append,) if isinstance(append, str) else tuple(append)
    for layer in layers:
        checks.choice("append", layer, LAYERS)
    if reduce != "mean" or not layers or len(set(layers)) != len(layers):
        raise ArgumentError(f"append={append!r} with reduce={reduce!r}; name each layer once, with reduce='mean'")
    return How(False, None, layers)


def bits(shapes: list[tuple[int, ...]]) -> tuple[list[tuple[int, ...]], list[np.dtype]]:
    """Shape and type of packed occupancy."""
    return [(*shape[:-1], -(-shape[-1] // 32)) for shape in shapes], [WORD] * len(shapes)


def appended(
    layers: tuple[str, ...], points: Any, native: Any, values: Any, leading: tuple[int, ...], channels: str, fill: Any
) -> tuple[Any, list[tuple[int, ...]], list[np.dtype], tuple[float, int]]:
    """As `args.dense_results`, of a grid with layers; the features are several arrays."""
    features: tuple[Any, ...] = (native,)
    if values is not None:
        given = args.feature_rows(values, points, ("mean",))
        features = (native[..., :3], given) if "xyz" in layers else (given,)
    depth = sum(array.shape[2] for array in features) + 3 * ("index" in layers) + ("occupancy" in layers)
    shape = (*leading, depth) if channels == "last" else (*leading[:-3], depth, *leading[-3:])
    double = any(array.dtype == dtypes.float64 for array in (points, *features))
    dtype = dtypes.float64 if double else dtypes.float32
    return features, [shape], [dtype], args.fill_value(fill, (), dtype)


def require_splat(shape: tuple[int, int, int], rows: Any) -> None:
    """Refuse what float32 and int32 cannot number."""
    if max(shape[0] * rows.clouds, *shape[1:]) >= LONGEST or rows.total >= 1 << 28:
        raise ShapeError(
            f"a splat of {rows.total} points to {rows.clouds} grids of {tuple(shape)} cells takes fewer than 2**28 "
            "points, and fewer than 2**24 cells along an axis, all clouds beside each other. Pass fewer at a time"
        )


def results(
    how: How, kinds: tuple[str, ...], values: Any, single: bool, channels: str, fill: Any, points: Any, native: Any,
    rows: Any, grid: Any,
) -> tuple[Any, list[tuple[int, ...]], list[np.dtype], tuple[float, int]]:  # fmt: skip
    """As `args.dense_results`, of any grid."""
    leading = (*(() if single else (rows.clouds,)), *grid.shape)
    if how.layers is not None:
        return appended(how.layers, points, native, values, leading, channels, fill)
    if how.splat is not None:
        require_splat(grid.shape, rows)
    weighted = how.splat is not None
    feature, shapes, types, numbers = args.dense_results(kinds, points, values, leading, channels, fill, weighted)
    if how.packed:
        shapes, types = bits(shapes)
    return feature, shapes, types, numbers


def draw(
    backend: str, how: How, native: Any, feature: Any, rows: Any, grid: Any, kinds: tuple[str, ...],
    outs: tuple[Any, ...], *rest: Any,
) -> Any:  # fmt: skip
    """Have the twin fill the grids; how to do so again, if that is known."""
    if how.layers is not None:
        wanted = ("index" in how.layers, "occupancy" in how.layers)
        return twin(backend, "canvas").append(native, feature, rows, grid, wanted, outs[0], *rest)
    if how.splat is not None:
        return twin(backend, "canvas").splat(native, feature, rows, grid, kinds, outs, *rest)
    return twin(backend, "voxel").voxel_grid(native, feature, rows, grid, kinds, outs, *rest)
