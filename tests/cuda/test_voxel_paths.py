"""Every way the GPU kernels can go: cells counted one by one, tries of any depth, crowded voxels, replays."""

import copy
import pickle
import threading

import numpy as np
import pytest
from ops.voxel_strategies import bits

from robocache._core import errors
from robocache.ops.voxel import voxel_grid, voxelize

pytestmark = pytest.mark.cuda

NAMES = ("coords", "features", "counts", "inverse", "offsets", "dropped", "num_voxels", "found")


def cloud(seed, count, spread, dtype=np.float32):
    return (np.random.default_rng(seed).random((count, 3)) * spread).astype(dtype)


def same(got, want):
    """Equal to the last bit; ``want`` lies on the CPU."""
    for name in NAMES:
        mine, other = getattr(got, name), getattr(want, name)
        if isinstance(other, dict):
            assert {k: bits(v.get()) for k, v in mine.items()} == {k: bits(v) for k, v in other.items()}, name
        else:
            assert bits(mine.get()) == bits(np.asarray(other)), name


# Edge of the cube in cells: 20 is counted one by one, 200 a trie with its root, and each factor of 2**5 in cells past
# 2**21 (for so few points) one level more; 2**20 an axis makes keys of 60 bits.
@pytest.mark.parametrize("cells", [1, 20, 200, 400, 1 << 11, 1 << 15, 1 << 20])
@pytest.mark.parametrize("order", ["sorted", "first"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_number_of_cells(cupy, cells, order, dtype):
    points = cloud(cells, 3000, cells, dtype)
    points[::7] = points[3]  # some share a cell in the largest cubes too
    points[5] = np.nan
    options = {"voxel_size": 1.0, "order": order, "reduce": ("mean", "sum", "max", "min")}
    want = voxelize(points, **options)
    same(voxelize(cupy.asarray(points), **options), want)
    same(voxelize(cupy.asarray(points), **options, max_voxels=4000), voxelize(points, **options, max_voxels=4000))
    bounds = (0, 0, 0, cells, cells, cells)
    same(voxelize(cupy.asarray(points), **options, bounds=bounds), voxelize(points, **options, bounds=bounds))


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.int32, np.bool_])
@pytest.mark.parametrize("count", [15, 16, 17, 63, 64, 65, 511, 512, 513, 1025, 8191, 8193, 40_000])
def test_voxels_of_many_points(cupy, count, kind):
    rng = np.random.default_rng(count)
    points = np.repeat(np.arange(5, dtype=np.float32)[:, None] + 0.5, 3, 1)[rng.integers(0, 5, 5 * count)]
    features = (rng.normal(size=(len(points), 7)) * 100).astype(kind)
    if np.dtype(kind).kind == "f":
        features[rng.integers(0, len(points), 3), 2] = (np.inf, -np.inf, np.nan)
        features[rng.integers(0, len(points), 2), 4] = np.inf
    for reduce in (("mean", "sum", "max", "min"), "mean", "max"):
        same(
            voxelize(cupy.asarray(points), cupy.asarray(features), voxel_size=1.0, reduce=reduce),
            voxelize(points, features, voxel_size=1.0, reduce=reduce),
        )
    want = voxel_grid(points, features, bounds=(0, 0, 0, 6, 6, 6), shape=6, reduce=("sum", "max"), fill=1)
    got = voxel_grid(
        cupy.asarray(points), cupy.asarray(features), bounds=(0, 0, 0, 6, 6, 6), shape=6, reduce=("sum", "max"), fill=1
    )
    assert [bits(a.get()) for a in got] == [bits(a) for a in want]


@pytest.mark.parametrize("count", [3, 4, 5, 8, 17, 31, 65, 127, 513, 1025, 8191, 8193])
def test_sums_that_doubles_hold_and_do_not(cupy, count):
    """Large values cancel and leave the last bits of small ones, with as many bits between them as a double has, and
    with a few more and fewer."""
    rng = np.random.default_rng(count)
    spans, pairs = np.arange(24, 36) - count.bit_length(), (count - 1) // 2
    large = np.ldexp(1 + rng.random((pairs, 1)), spans)
    small = 1 + rng.integers(0, 1 << 23, (count - 2 * pairs, len(spans))) / (1 << 23)
    ordered = np.concatenate([large, small, -large]).astype(np.float32)
    points = np.full((count, 3), 0.5, np.float32)
    for rows in (ordered, rng.permutation(ordered)):
        for scale in (2.0**-140, 1.0, 2.0**60):
            features = (rows * np.float64(scale)).astype(np.float32)
            for reduce in ("sum", "mean", ("sum", "max")):
                want = voxelize(points, features, voxel_size=1.0, reduce=reduce)
                same(voxelize(cupy.asarray(points), cupy.asarray(features), voxel_size=1.0, reduce=reduce), want)


@pytest.mark.parametrize("order", ["sorted", "first"])
def test_passes_over_what_no_cache_holds(cupy, monkeypatch, order):
    """The points of a large cloud are put into rows some cells at a time."""
    from robocache.cuda import group

    for count, held in ((5000, 1), (4999, 9000), (4998, 21_000)):
        points = cloud(count, count, 12.0)
        points[::50] = np.nan
        monkeypatch.setattr(group, "cached", lambda device, held=held: held)
        same(voxelize(cupy.asarray(points), voxel_size=1.0, order=order), voxelize(points, voxel_size=1.0, order=order))


@pytest.mark.parametrize("limit", [None, 900])
@pytest.mark.parametrize("extent", ["lengths", "offsets", None])
def test_calls_that_repeat(cupy, limit, extent):
    """The second call of a layout is a replay; its results are built when read and may be copied and pickled."""
    for seed in range(4):
        points = cloud(seed, 600, 4.0 if seed % 2 else 9.0).reshape(3, 200, 3)
        features = np.random.default_rng(seed).random((3, 200), np.float32)
        more = {}
        if extent == "lengths":
            more = {"lengths": np.array([200, seed, 50 * seed])}
        elif extent == "offsets":
            points, features = points.reshape(600, 3), features.reshape(600)
            more = {"offsets": np.array([0, seed, 40 * seed, 600])}
        options = {"voxel_size": 0.5, "reduce": ("max", "mean"), "max_voxels": limit}
        got = voxelize(
            cupy.asarray(points),
            cupy.asarray(features),
            **{name: cupy.asarray(array) for name, array in more.items()},
            **options,
        )
        want = voxelize(points, features, **more, **options)
        same(copy.copy(got), want)
        same(pickle.loads(pickle.dumps(got)), want)
        same(got, want)
        assert got.coords is got.coords
        assert bits(got.centers().get()) == bits(want.centers())
        with pytest.raises(AttributeError, match="nonsense"):
            _ = got.nonsense


def test_a_call_that_fails_leaves_nothing_behind(cupy):
    """A key overflow stops a call half way; the scratch memory that the next call finds must be as new."""
    wide = cupy.asarray(np.array([[-2e9, -2e9, -2e9], [2e9, 2e9, 2e9]]))
    points = cloud(0, 500, 3.0)
    want = voxelize(points, voxel_size=0.5)
    for _ in range(3):
        with pytest.raises(errors.DataError, match=r"2\*\*63 cells"):
            voxelize(wide, voxel_size=1.0)
        for _ in range(3):
            same(voxelize(cupy.asarray(points), voxel_size=0.5), want)


def test_dense_means_repeat(cupy):
    for seed in range(3):
        points = cloud(seed, 3000, 1.0)
        features = np.random.default_rng(seed).normal(size=(3000, 8)).astype(np.float32)
        for reduce, fill in (("mean", 0), ("max", -5), ("sum", np.nan)):
            options = {"bounds": (0, 0, 0, 1, 1, 1), "shape": 12, "reduce": reduce, "fill": fill}
            got = voxel_grid(cupy.asarray(points), cupy.asarray(features), **options)
            assert bits(got.get()) == bits(voxel_grid(points, features, **options)), reduce


def test_threads_and_streams(cupy):
    """Threads with streams of their own, and threads that share one, all with calls of one layout."""
    clouds = [cloud(seed, 4000, 5.0) for seed in range(8)]
    want = [voxelize(points, voxel_size=0.5) for points in clouds]
    shared = cupy.cuda.Stream(non_blocking=True)
    faults = []

    def work(index, stream):
        try:
            with stream:
                points = cupy.asarray(clouds[index])
                for limit in (None, 4000, None, 4000):
                    got = voxelize(points, voxel_size=0.5, max_voxels=limit)
                    stream.synchronize()
                    count = len(want[index].counts)
                    assert bits(got.coords[:count].get()) == bits(want[index].coords)
                    assert bits(got.features[:count].get()) == bits(want[index].features)
                    assert bits(got.inverse.get()) == bits(want[index].inverse)
        except BaseException as fault:  # noqa: BLE001
            faults.append(fault)

    streams = [shared if index % 2 else cupy.cuda.Stream(non_blocking=True) for index in range(8)]
    threads = [threading.Thread(target=work, args=pair) for pair in enumerate(streams)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults
