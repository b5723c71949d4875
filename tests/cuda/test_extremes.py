"""Max and min in dense grids on the GPU: every way features can lie and be ordered, against the CPU."""

import numpy as np
import pytest
from ops.voxel_strategies import bits

from robocache.ops.voxel import voxel_grid

pytestmark = pytest.mark.cuda

UNIT = (0, 0, 0, 1, 1, 1)
SPECIAL = (np.nan, -np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 5e-324, -1.0, 1.0, 3e38)
FLOATS, INTEGERS = (np.float32, np.float64), (np.int32, np.uint32, np.int64, np.uint64)


def cloud(seed, *shape):
    return np.random.default_rng(seed).uniform(-0.1, 1.1, (*shape, 3)).astype(np.float32)


def values(seed, dtype, *shape):
    """Random features of both signs, some of them special."""
    rng, dtype = np.random.default_rng(seed), np.dtype(dtype)
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)
    with np.errstate(over="ignore"):
        special = rng.choice(np.array(SPECIAL).astype(dtype), shape)
    return np.where(rng.random(shape) < 0.1, special, rng.normal(size=shape).astype(dtype))


def parts(found):
    return [part for some in found for part in parts(some)] if isinstance(found, tuple) else [found]


def check(cupy, points, features, **options):
    """Two calls, the second perhaps a replay, into memory that holds other numbers."""
    want = parts(voxel_grid(points, features, **options))
    device = {k: cupy.asarray(v) if isinstance(v, np.ndarray) else v for k, v in options.items()}
    for _ in range(2):
        got = parts(voxel_grid(cupy.asarray(points), cupy.asarray(features), **device))
        assert [bits(a.get()) for a in got] == [bits(np.asarray(a)) for a in want]
        for array in got:
            array.data.memset_async(255, array.nbytes)


@pytest.mark.parametrize("dtype", [*FLOATS, *INTEGERS])
@pytest.mark.parametrize("width", [1, 3, 4, 8, 36, 70])
@pytest.mark.parametrize("channels", ["last", "first"])
def test_features_of_any_type_and_width(cupy, dtype, width, channels):
    points, features = cloud(width, 700), values(width, dtype, 700, width)
    for kinds in ("max", "min", ("min", "max")):
        check(cupy, points, features, bounds=UNIT, shape=(5, 9, 7), reduce=kinds, fill=3, channels=channels)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("fill", [0, -0.0, np.nan, -np.inf, np.inf, -7, 1e300])
def test_any_fill(cupy, dtype, fill):
    for kind in ("max", "min"):
        check(cupy, cloud(0, 60), values(0, dtype, 60, 4), bounds=UNIT, shape=4, reduce=kind, fill=fill)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_fills_at_the_limits(cupy, dtype):
    for fill in (np.iinfo(dtype).min, 0, np.iinfo(dtype).max):
        for kind in ("max", "min"):
            check(cupy, cloud(1, 60), values(1, dtype, 60, 2), bounds=UNIT, shape=4, reduce=kind, fill=int(fill))


@pytest.mark.parametrize("pair", [
    (-2, -1), (-1, -1.5), (0.0, -0.0), (-0.0, 0.0), (-1e-45, 0.0), (1e-45, -0.0), (np.nan, -np.inf), (np.inf, np.nan),
    (-np.inf, -3e38), (np.inf, 3e38), (-np.nan, -1), (1, -1),
])  # fmt: skip
@pytest.mark.parametrize("dtype", FLOATS)
def test_pairs_in_one_cell(cupy, pair, dtype):
    """Either may come first: the first is stored, the other improves on it."""
    points = np.full((2, 3), 0.5, np.float32)
    for order in (pair, pair[::-1]):
        for kind in ("max", "min"):
            features = np.array(order, dtype)
            check(cupy, points, features, bounds=UNIT, shape=(1, 2, 1), reduce=kind, fill=-5)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
@pytest.mark.parametrize("side", [1, 2, 3])
def test_crowded_cells(cupy, dtype, side):
    for trend in (1, -1, 0):
        features = values(side, dtype, 5000, 5)
        if trend:
            features = np.sort(features, axis=0)[::trend].copy()
        for kind in ("max", "min"):
            check(cupy, cloud(side, 5000), features, bounds=UNIT, shape=side, reduce=kind)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_points_as_features_and_points_of_any_type(cupy, dtype):
    points = cloud(2, 900).astype(dtype)
    for kind in ("max", "min"):
        options = {"bounds": UNIT, "shape": 6, "reduce": kind, "fill": 9}
        want = voxel_grid(points, **options)
        for _ in range(2):
            assert bits(voxel_grid(cupy.asarray(points), **options).get()) == bits(want)
        check(cupy, points, values(0, np.float32, 900, 3), **options)


def test_clouds_extents_and_dropped_points(cupy):
    points, features = cloud(3, 3, 400), values(3, np.float32, 3, 400, 4)
    points[:, 7] = np.nan
    options = {"bounds": UNIT, "shape": (4, 3, 5), "reduce": ("max", "count", "min"), "fill": np.nan}
    for channels in ("last", "first"):
        for outside in ("drop", "clamp"):
            more = options | {"channels": channels, "outside": outside, "return_dropped": True}
            check(cupy, points, features, **more)
            check(cupy, points, features, lengths=np.array([400, 0, 33]), **more)
            flat, rows = points.reshape(-1, 3), features.reshape(-1, 4)
            check(cupy, flat, rows, offsets=np.array([5, 5, 600, 1190], np.int32), **more)


def test_strided_features(cupy):
    points, wide = cloud(4, 2, 300), values(4, np.float32, 2, 600, 12)
    on_device = cupy.asarray(wide)
    for cut in (np.s_[:, ::2, :8], np.s_[:, :300, 1:4], np.s_[:, :300, 4:8], np.s_[:, 300:, ::3]):
        want = voxel_grid(points, wide[cut], bounds=UNIT, shape=5, reduce="max", fill=-1)
        for _ in range(2):
            got = voxel_grid(cupy.asarray(points), on_device[cut], bounds=UNIT, shape=5, reduce="max", fill=-1)
            assert bits(got.get()) == bits(want)


def test_layouts_in_turn(cupy):
    """Kept scratch memory serves layouts of many cells and of many points in turn, and is clean for each."""
    layouts = [(50, 40), (9000, 2), (600, 13), (50, 64), (9000, 33)]
    for seed in range(3):
        for count, side in layouts:
            points, features = cloud(seed, count), values(seed, np.float32, count, 2)
            check(cupy, points, features, bounds=UNIT, shape=side, reduce="min" if seed == 1 else "max")


def test_streams_do_not_share(cupy):
    streams = [cupy.cuda.Stream(non_blocking=True) for _ in range(2)]
    given = [(cloud(seed, 3000), values(seed, np.float32, 3000, 8)) for seed in range(2)]
    options = {"bounds": UNIT, "shape": 20, "reduce": "max", "fill": -3}
    want = [bits(voxel_grid(*pair, **options)) for pair in given]
    on_device = [tuple(map(cupy.asarray, pair)) for pair in given]
    cupy.cuda.Device().synchronize()
    found = []
    for _ in range(20):
        for which, stream in enumerate(streams):
            with stream:
                found.append((which, voxel_grid(*on_device[which], **options)))
    for stream in streams:
        stream.synchronize()
    assert all(bits(got.get()) == want[which] for which, got in found)


def test_a_captured_call_repeats(cupy):
    """A graph's scratch memory is its own; each replay leaves it clean."""
    options = {"bounds": UNIT, "shape": 9, "reduce": "min", "fill": 2}
    points, features = cupy.asarray(cloud(0, 800)), cupy.asarray(values(0, np.float32, 800, 4))
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        voxel_grid(points, features, **options)
        stream.synchronize()
        stream.begin_capture()
        got = voxel_grid(points, features, **options)
        graph = stream.end_capture()
        for seed in range(3):
            other, more = cloud(seed, 800), values(seed, np.float32, 800, 4)
            points.set(other, stream)
            features.set(more, stream)
            got.data.memset_async(255, got.nbytes)
            graph.launch(stream)
            stream.synchronize()
            assert bits(got.get()) == bits(voxel_grid(other, more, **options))
