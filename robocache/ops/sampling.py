"""Points chosen from clouds so that they lie far from one another."""

from typing import Any

import numpy as np

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataError, ShapeError
from . import _outputs
from . import _voxel_args as args
from ._dispatch import twin

__all__ = ["farthest_point_sample"]

PADS = ("repeat", -1)


def farthest_point_sample(
    points: Any,
    k: int,
    *,
    start: Any = 0,
    lengths: Any = None,
    offsets: Any = None,
    pad: Any = "repeat",
    out: Any = None,
    check: str = "auto",
) -> Any:
    """Choose k points of each cloud, each as far from those before as any.

    Parameters
    ----------
    points : array [N, C], or [B, N, C] for B clouds
        Columns x, y, z, then any others; float16, bfloat16, float32 or float64. With ``offsets``, the clouds lie one
        after the other in [N, C].
    k : int
        Points to choose of each cloud.
    start : int, or array [B] of int64 or int32
        The first pick, counted from the first point of its cloud.
    lengths : array [B], int32 or int64, optional
        Points of each padded cloud that are real.
    offsets : array [B + 1], int32 or int64, optional
        Cloud ``b`` is ``points[offsets[b]:offsets[b + 1]]``.
    pad : "repeat" or -1
        What follows where a cloud has fewer than k points: its picks again, from the first one on, or -1.
    out : array, optional
        Where to write: C-contiguous int64 of the result's shape, on the device of the points.
    check : {"auto", "strict", "none"}
        "strict" waits for the GPU and raises what its kernels found wrong; the others leave it to the next call,
        which warns.

    Returns
    -------
    array [k] or [B, k], int64
        Indices into the axis of the points: ``points[b, indices[b]]``, or with ``offsets`` ``points[indices]``.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An option, a shape, a type or a device does not fit.
    DataError
        Extents point outside the array, or ``start`` outside a cloud (CPU, or ``check="strict"``); a cloud has no
        finite point and ``pad="repeat"``.

    Notes
    -----
    The picks are those of the plain method, which compares every point with every pick. Each is the point whose
    squared distance to the nearest pick is largest, of equal ones that with the lowest index. The squared distance is
    ``(dx * dx + dy * dy) + dz * dz``, every operation rounded on its own in float32 (float64 for float64 points), so
    CPU, GPU and every run choose the same. No point is picked twice before all have been, not even among copies.

    A point with a NaN or an infinity among x, y and z is never picked; if ``start`` is one, the first finite point of
    its cloud comes first. No point is made up: with ``pad="repeat"``, a cloud without a finite point is an error; on
    the GPU its row is -1, which the next call reports. With ``pad=-1`` it is not.

    On the CPU, points lie in buckets of neighbours, and those too far from a pick to change are passed over, which
    leaves the picks as they are. One thread works at a cloud. On the GPU a cloud of up to 16384 points belongs to one
    block that holds it in shared memory, if that is large enough (227 KiB on an H100), and larger ones to several.
    Nothing synchronizes unless ``check="strict"``, and a CUDA graph can capture the call.

    The method: Gonzalez, Clustering to minimize the maximum intercluster distance, 1985; in point networks since
    PointNet++ (Qi et al., 2017); that whole buckets can be passed over: Han et al., QuickFPS, 2023.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> points = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0], [9, 0, 0], [np.nan, 0, 0]], np.float32)
    >>> rc.farthest_point_sample(points, 3)
    array([0, 3, 2])
    >>> rc.farthest_point_sample(points, 6, pad=-1)
    array([ 0,  3,  2,  1, -1, -1])
    """
    # Validate.
    checks.choice("check", check, args.CHECKS)
    if isinstance(pad, bool) or pad not in PADS:
        raise ArgumentError(f"pad={pad!r} is not known; choose 'repeat' or -1")
    k = checks.whole("k", k, 0, (1 << 31) - 1)
    many = None if isinstance(start, (int, np.integer)) else start
    call, (given, lengths, offsets, begins, target) = interop.receive(
        points=points, lengths=lengths, offsets=offsets, start=many, out=out
    )
    native, rows = args.points_rows(given, lengths, offsets)
    first = _first(start, rows, native.shape[1]) if begins is None else _firsts(begins, rows)
    if pad == "repeat" and k and rows.clouds and not rows.total:
        raise DataError("the clouds have no points to repeat; pass pad=-1 for rows of -1")
    shape = (k,) if given.ndim == 2 and offsets is None else (rows.clouds, k)

    # Dispatch.
    with call:
        if out is None:
            result = call.empty(shape, dtypes.int64)
        else:
            interop.writable("out", out)
            result = _outputs.fits("out", target, shape, dtypes.int64)
            reads = {"points": given, "lengths": lengths, "offsets": offsets, "start": begins}
            _outputs.apart("out", result, reads, call.xp)
        flat = result.reshape(rows.clouds, k)
        twin(call.backend, "sampling").farthest_points(native, rows, first, pad == "repeat", flat, check == "strict")

        # Restore shape.
        return out if out is not None else call.give(result)


def _first(start: Any, rows: Any, longest: int) -> int:
    """A start that some cloud may have."""
    first = checks.whole("start", start, 0, (1 << 31) - 1)
    if rows.total and first >= longest:
        raise ArgumentError(f"start={first} but no cloud has more than {longest} points; choose one of them")
    return first


def _firsts(begins: Any, rows: Any) -> Any:
    """A start for each cloud."""
    checks.dtype("start", begins, frozenset({dtypes.int32, dtypes.int64}), "Cast it to int64")
    if tuple(begins.shape) != (rows.clouds,):
        raise ShapeError(f"start has shape {tuple(begins.shape)}; expected one index, or one for each of the clouds")
    return begins
