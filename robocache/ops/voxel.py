"""Points to voxels: a set of occupied ones, or a dense grid."""

from typing import Any

from .. import interop
from .._core import checks, dtypes
from . import _replay, _replay_voxel
from . import _voxel_args as args
from . import _voxel_cells as cells
from . import _voxel_layers as layers
from ._dispatch import twin
from ._voxel_set import Voxels, assembled

__all__ = ["Voxels", "voxel_grid", "voxelize", "voxelize_point_cloud"]

_known_sets, _known_grids = _replay.Memory(), _replay.Memory()


def voxelize(
    points: Any,
    features: Any = None,
    *,
    voxel_size: Any = 0.05,
    bounds: Any = None,
    origin: Any = 0.0,
    reduce: Any = "mean",
    lengths: Any = None,
    offsets: Any = None,
    outside: str = "drop",
    order: str = "sorted",
    max_voxels: int | None = None,
    return_members: bool = False,
    check: str = "auto",
) -> Voxels:
    """Group points by the voxel they lie in, and reduce each group.

    Parameters
    ----------
    points : array [N, C], or [B, N, C] for B clouds
        Columns x, y, z, then any others; float16, bfloat16, float32 or float64. With ``offsets``, the clouds lie one
        after the other in [N, C].
    features : array [N], [N, F], [B, N] or [B, N, F], optional
        What is reduced; floats, booleans or integers (of 64 bits not by mean and sum). Default: all columns of
        ``points``.
    voxel_size : float or (x, y, z)
        Edges of a voxel, in the unit of the points.
    bounds : (x0, y0, z0, x1, y1, z1) or two corners, optional
        Only cells between them count, and the lower one is the origin. They must hold a whole number of voxels.
    origin : float or (x, y, z)
        Corner of cell (0, 0, 0) when there are no bounds.
    reduce : {"mean", "sum", "max", "min", "first", "mode"} or a tuple of them
        How the features of a voxel become one. "first" takes those of its first point, "mode" the most frequent value
        of each channel, of labels that are integers or booleans, and of equally frequent ones the smallest.
    lengths : array [B], int32 or int64, optional
        Points of each padded cloud that are real.
    offsets : array [B + 1], int32 or int64, optional
        Cloud ``b`` is ``points[offsets[b]:offsets[b + 1]]``; points before the first offset or from the last one on
        are padding.
    outside : {"drop", "clamp", "raise"}
        Points outside the bounds, or outside int32 cells, are left out, moved to the border cell (bounds are needed),
        or an error (# synchronizes on the GPU). NaN and infinite points are never moved.
    order : {"sorted", "first"}
        Voxels by cloud and then by x, y, z, or by their first points.
    max_voxels : int, optional
        Rows of the result, used or not. Nothing synchronizes then, and a CUDA graph can capture the call.
    return_members : bool
        Whether to return the points of each voxel, as ``members`` and ``splits``.
    check : {"auto", "strict", "none"}
        "strict" waits for the GPU and raises what its kernels found wrong; the others leave it to the next call,
        which warns.

    Returns
    -------
    Voxels
        Its attributes say what it holds. With ``max_voxels``, rows past ``num_voxels`` have coords -1, counts 0 and
        features 0.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An option, a shape, a type or a device does not fit.
    DataError
        Extents point outside the array (CPU); points lie outside and ``outside="raise"``; the cells between the
        outermost points number 2**63 or more.

    Notes
    -----
    The cell of a point is ``floor((p - origin) / voxel_size)``: one IEEE subtraction and one division in the type of
    the points (float32 for 16-bit ones), to which origin and voxel_size are rounded first, so cells are half-open and
    the same on every machine. A NaN, infinite or too distant point fails before any integer is made of it.

    Sums do not depend on the order of the points, and CPU, GPU and every run give the same bits. Each voxel and
    channel adds 64-bit integers in units of ``2**(e + len(n) - 61)``, where ``2**e`` is above the size of all its
    features (and at least 2**-960), n is its points and len the bits of n. The error of a sum is at most
    ``n * max|f| * 2**(len(n) - 61)``, that of float64 for small groups even far from the origin, plus the rounding
    to float64 and from there to the result's type (16-bit types by way of float32). A mean divides before that.
    Integers are added without error. A voxel's sum is NaN if it holds NaN or both infinities. Max and min pass NaN
    on and put -0 below +0. A voxel may hold 2**31 - 1 points.

    Floats keep their type; sums of integers and booleans are int64, means float64, the rest keep the type.
    Without ``max_voxels`` the number of voxels must reach the host. # synchronizes once on the GPU
    With it, voxels past the limit are left out, with inverse -1: a DataWarning on the CPU, a fault reported by the
    next call (or by ``check="strict"``) on the GPU. On a GPU wrong extents are reported in the same way, and never
    read past the array. Empty clouds and no points at all give empty arrays. Broadcast and strided points are fine.
    A captured call keeps its scratch memory for the life of the process; keep the result as long as the graph. Scratch
    memory up to 4 MiB is kept for each thread and stream. A call takes fewer than 2**31 points.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.ops.voxel import voxelize
    >>> points = np.array([[0.1, 0.1, 0.1], [0.3, 0.1, 0.1], [-0.1, 0.1, 0.1]], np.float32)
    >>> voxels = voxelize(points, voxel_size=0.5)
    >>> voxels.coords
    array([[-1,  0,  0],
           [ 0,  0,  0]], dtype=int32)
    >>> voxels.features
    array([[-0.1,  0.1,  0.1],
           [ 0.2,  0.1,  0.1]], dtype=float32)
    >>> voxels.inverse
    array([1, 1, 0])
    """
    # Validate.
    given_options = (voxel_size, bounds, origin, reduce, outside, order, max_voxels, return_members, check)
    key = _replay.key((points, features, lengths, offsets), given_options)
    if (replay := _known_sets.find(key)) is not None:
        return replay(points, features, lengths, offsets)
    kinds = args.reductions(reduce, args.REDUCTIONS + args.OWN)
    args.options(outside, check)
    checks.choice("order", order, ("sorted", "first"))
    limit = args.max_voxels_of(max_voxels)
    call, (given, values, lengths, offsets) = interop.receive(
        points=points, features=features, lengths=lengths, offsets=offsets
    )
    native, rows = args.points_rows(given, lengths, offsets)
    feature = args.feature_rows(given if values is None else values, given, kinds)
    grid = cells.grid(given.dtype, bounds, voxel_size, None, origin, outside == "clamp")
    if grid.shape is not None:
        cells.numbering(grid.shape, rows.clouds)

    # Dispatch.
    with call:
        types = tuple(args.result_dtype(kind, feature.dtype) for kind in kinds)
        strict = check == "strict"
        if return_members or any(kind in args.OWN for kind in kinds):
            select, jobs = "first" if "first" in kinds else None, ((feature, kinds, types),)
            found = twin(call.backend, "attributes").attributes(
                native, jobs, rows, grid, order, limit, select, 0, return_members, call.empty, strict
            )
            (found["features"],) = found["features"]
        else:
            found = twin(call.backend, "voxel").voxelize(
                native, feature, rows, grid, kinds, types, order, limit, call.empty, strict
            )
        if outside == "raise":
            args.refuse_dropped(found["dropped"])

        # Restore shape.
        flat = values is not None and values.ndim == given.ndim - 1
        names = None if isinstance(reduce, str) else kinds
        voxels = assembled(call, found, names, flat, given.ndim == 2 and offsets is None, given.shape[:-1], grid)
        if found.get("again") is not None and key is not None and outside != "raise" and check != "strict":
            _known_sets.keep(key, _replay_voxel.Set(found["again"], found, voxels, flat))
        return voxels


def voxel_grid(
    points: Any,
    features: Any = None,
    *,
    bounds: Any,
    voxel_size: Any = None,
    shape: Any = None,
    reduce: Any = "occupancy",
    lengths: Any = None,
    offsets: Any = None,
    outside: str = "drop",
    fill: Any = 0,
    channels: str = "last",
    packed: bool = False,
    splat: str | None = None,
    append: Any = None,
    out: Any = None,
    return_dropped: bool = False,
    check: str = "auto",
) -> Any:
    """Put points into a dense grid of voxels.

    Parameters
    ----------
    points, features, lengths, offsets, outside, check
        As in :func:`voxelize`. Occupancy, count and density have no use for features.
    bounds : (x0, y0, z0, x1, y1, z1) or two corners
        What the grid covers; the upper bounds lie outside.
    voxel_size : float or (x, y, z), optional
        Edges of a voxel; the bounds must hold a whole number of them. Give this or ``shape``.
    shape : int or (X, Y, Z), optional
        Cells of the grid.
    reduce : {"occupancy", "count", "density", "mean", "sum", "max", "min"} or a tuple of them
        What a cell says: whether a point is there (bool), how many (int32), their share of all points of the cloud
        (float32; 0 for an empty cloud), or their features reduced. Several share their passes over the points.
    fill : number
        What mean, sum, max and min say of an empty cell.
    channels : {"last", "first"}
        Where the axis of the features goes.
    packed : bool
        Occupancy as bits, uint32 [..., X, Y, ceil(Z / 32)]: cell z is bit ``z % 32``, counted from the lowest one, of
        word ``z // 32``. As booleans again: ``(bits[..., z // 32] >> z % 32) & 1`` for all ``z = arange(Z)`` of uint32.
    splat : "trilinear", optional
        Share each point among the eight cells whose middles are around it, for count, sum and mean.
    append : tuple of "xyz", "index", "occupancy", optional
        More channels beside the means. They are, in this order whatever that of the tuple: the mean x, y, z of the
        points, if ``features`` are given (all columns of the points are in the grid otherwise); the mean features;
        the cell's x / X, y / Y and z / Z; 1 where a point is and 0 elsewhere.
    out : array, or tuple of arrays for a tuple ``reduce``, optional
        Where to write: C-contiguous, of the shape and type of the result, on the device of the points.
    return_dropped : bool
        Whether to return the points of each cloud that were left out, too.

    Returns
    -------
    array [X, Y, Z] or [B, X, Y, Z]
        For reduced features [..., X, Y, Z, F], or [..., F, X, Y, Z] with channels first; no F if ``features`` has no
        axis of channels. ``out`` itself if given, a tuple if ``reduce`` is one.
    dropped : array [B] or [], int64
        Only with ``return_dropped``. Given points outside the bounds or not finite.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError, DeviceError
        An option, a shape, a type or a device does not fit.
    DataError
        Extents point outside the array (CPU); points lie outside and ``outside="raise"``.
    MemoryLimitError
        The result would not fit into free memory; nothing has been allocated then.

    Notes
    -----
    Cells, accuracy, determinism, types, NaN and extents are as in :func:`voxelize`. Nothing synchronizes, but for
    ``outside="raise"`` and ``check="strict"``, and a CUDA graph can capture the call. Occupancy or count cost one
    pass over the points and one over the grid. The largest value of a cell may be negative: ``fill`` is not a
    candidate. Booleans count as 0 and 1.

    With ``splat`` a point's coordinate, in cells from the lower bound and rounded to 2**-20 of a cell, has the weights
    1 - f and f for the two cells around it, f from the middle of the lower one; a cell's weight is the product over
    the axes, rounded to 2**-30. What falls on cells beyond the grid is lost; points outside of the bounds are dropped.
    A count is the sum of weights (float32), a sum that of features times weights, each product rounded to float64 and
    the sums exact as above, a mean their ratio; of integers both are float64. Order has no part in it, as above.

    With ``append`` the grid is float32, or float64 if points or features are; its means are those of ``reduce="mean"``
    and only ``fill`` applies to empty cells. PerAct's voxels (Shridhar et al., 2022) are ``voxel_grid(points, rgb,
    bounds=..., shape=100, reduce="mean", append=("xyz", "index", "occupancy"))``: channels x, y, z, r, g, b, three of
    index / 100, occupancy. One pass writes the grid; all clouds share the launches.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.ops.voxel import voxel_grid
    >>> points = np.array([[0.1, 0.1, 0.1], [0.3, 0.1, 0.1], [0.9, 0.1, 0.1]], np.float32)
    >>> voxel_grid(points, bounds=(0, 0, 0, 1, 1, 1), shape=2, reduce="count")[:, 0, 0]
    array([2, 1], dtype=int32)
    >>> voxel_grid(points, points[:, 0], bounds=(0, 0, 0, 1, 1, 1), shape=2, reduce="max")[:, 0, 0]
    array([0.3, 0.9], dtype=float32)
    """
    # Validate.
    plain = lengths is None and offsets is None and not return_dropped
    options = (bounds, voxel_size, shape, reduce, outside, fill, channels, packed, splat, append, check)
    key = _replay.key((points, features, out), options) if plain else None
    if (replay := _known_grids.find(key)) is not None:
        return replay(points, features, out)
    kinds = args.dense_options(reduce, outside, check, channels, bounds, voxel_size, shape)
    how = layers.options(reduce, outside, packed, splat, append)
    targets = args.targets(out, kinds, several := not isinstance(reduce, str))
    call, (given, values, lengths, offsets, *natives) = interop.receive(
        points=points, features=features, lengths=lengths, offsets=offsets, **targets
    )
    native, rows = args.points_rows(given, lengths, offsets)
    grid = cells.grid(given.dtype, bounds, voxel_size, shape, None, outside == "clamp")
    single = given.ndim == 2 and offsets is None
    made = layers.results(how, kinds, values, single, channels, fill, given, native, rows, grid)

    # Dispatch.
    with call:
        feature, shapes, types, fills = made
        args.require_room(call, rows, kinds, shapes, types, None if how.layers else feature, out is not None)
        if out is None:
            natives = [call.empty(size, dtype) for size, dtype in zip(shapes, types, strict=True)]
        else:
            reads = {"points": given, "features": values, "lengths": lengths, "offsets": offsets}
            args.check_targets(targets, natives, shapes, types, reads, call.xp)
        dropped = call.empty((rows.clouds,), dtypes.int64) if return_dropped or outside == "raise" else None
        work = (native, feature, rows, grid, kinds, tuple(natives), fills, channels == "first", dropped)
        again = layers.draw(call.backend, how, *work, check == "strict")
        if outside == "raise":
            args.refuse_dropped(dropped)
        if again is not None and key is not None and not several:
            _known_grids.keep(key, _replay_voxel.Dense(again, natives[0]))

        # Restore shape.
        results = tuple(targets.values()) if out is not None else tuple(call.give(array) for array in natives)
        result = results if several else results[0]
        if dropped is None or not return_dropped:
            return result
        return result, call.give(dropped.reshape(()) if single else dropped)


voxelize_point_cloud = voxel_grid
