"""voxelize against the oracle, on each backend."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops import voxel_strategies as make
from ops.voxel_strategies import BFLOAT16, FIELDS, agree, bits, cloud, run
from oracles import voxel as oracle

from robocache._core import errors
from robocache.ops.voxel import voxelize


@given(
    cloud=make.clouds(),
    order=st.sampled_from(("sorted", "first")),
    reduce=st.sampled_from(("mean", "sum", "max", "min")),
)
def test_unbounded_cloud(backend, cloud, order, reduce):
    points, size = cloud
    want = oracle.voxelize(points, reduce_by=reduce, order=order, origin=(0, 0, 0), size=size)
    agree(run(backend, points, voxel_size=size, order=order, reduce=reduce), want)


@given(cloud=make.clouds(), clamp=st.booleans(), data=st.data())
def test_bounds(backend, cloud, clamp, data):
    points, size = cloud
    shape = data.draw(st.sampled_from(((1, 1, 1), (3, 4, 5), (300, 2, 129))))
    low = tuple(-s for s in size)
    bounds = (low, tuple(a + n * s for a, n, s in zip(low, shape, size, strict=True)))
    want = oracle.voxelize(points, origin=low, size=size, shape=shape, clamp=clamp)
    agree(run(backend, points, voxel_size=size, bounds=bounds, outside="clamp" if clamp else "drop"), want)


@given(data=st.data(), reduce=st.sampled_from(("mean", "sum", "max", "min")))
def test_features_of_every_type(backend, data, reduce):
    count = data.draw(st.integers(0, 25))
    features = data.draw(make.features(count))
    points = cloud(data.draw(st.integers(0, 9)), count, spread=0.8)
    want = oracle.voxelize(points, features, reduce_by=reduce, origin=(0, 0, 0), size=(1, 1, 1))
    agree(run(backend, points, features, voxel_size=1.0, reduce=reduce), want)


@pytest.mark.parametrize("wide", [np.int64, np.uint64])
def test_extremes_of_64_bit_integers(backend, wide):
    limits = np.iinfo(wide)
    features = np.array([limits.min, limits.max, limits.max - 1, limits.min, 5], wide)
    points = np.array([[0, 0, 0], [0, 0, 0], [1, 0, 0], [1, 0, 0], [2, 0, 0]], np.float32)
    for reduce, want in (("max", [limits.max, limits.max - 1, 5]), ("min", [limits.min, limits.min, 5])):
        got = run(backend, points, features, voxel_size=1.0, reduce=reduce)["features"]
        assert bits(got) == bits(np.array(want, wide))
    with pytest.raises(errors.DTypeError, match="cast them to int32 or float64"):
        run(backend, points, features, reduce="sum")


@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32, np.float64])
@pytest.mark.parametrize("offset", [0.0, 5e6])
def test_sums_are_close_to_exact_and_do_not_depend_on_order(backend, dtype, offset):
    if offset and dtype not in (np.float32, np.float64):
        offset = 300.0
    rng = np.random.default_rng(5)
    points = cloud(1, 500, spread=1.0)
    features = (offset + rng.normal(size=(500, 3))).astype(dtype)
    got = run(backend, points, features, voxel_size=1.0, reduce=("sum", "mean"))
    for voxel in range(len(got["counts"])):
        for c in range(3):
            values = features[got["inverse"] == voxel, c]
            exact, bound = oracle.exact(values), oracle.sum_bound(values)
            for kind, number in (("sum", exact), ("mean", exact / len(values))):
                result = Fraction(float(got["features"][kind][voxel, c]))
                eps = Fraction(1, 2**8 if dtype == BFLOAT16 else 2 ** (np.finfo(dtype).nmant + 1))
                assert abs(result - number) <= bound + abs(number) * (eps + Fraction(3, 2**53))
    shuffled = rng.permutation(500)
    other = run(backend, points[shuffled], features[shuffled], voxel_size=1.0, reduce=("sum", "mean"))
    for kind in ("sum", "mean"):
        assert bits(got["features"][kind]) == bits(other["features"][kind])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_far_from_the_origin(backend, dtype):
    rng = np.random.default_rng(0)
    points = (np.array([448_000.0, 5_411_000.0, 130.0]) + rng.uniform(0, 20, (400, 3))).astype(dtype)
    want = oracle.voxelize(points, origin=(0, 0, 0), size=(0.5, 0.5, 0.5))
    got = run(backend, points, voxel_size=0.5)
    agree(got, want)
    spread = np.abs(points.astype(np.float64) - got["features"].astype(np.float64)[got["inverse"]])
    assert spread.max() <= 0.5 + np.spacing(np.float32(5.5e6)) * (dtype is np.float32)


def test_subnormal_features_survive(backend):
    tiny = np.float32(1e-45)
    points = np.zeros((3, 3), np.float32)
    got = run(backend, points, np.array([tiny, tiny, -3 * tiny]), reduce=("sum", "mean", "max", "min"))["features"]
    assert [float(got[k][0]) for k in ("sum", "max", "min")] == [-float(tiny), float(tiny), -3 * float(tiny)]


def test_subnormal_coordinates_fall_below_zero(backend):
    points = np.array([[-1e-40, 1e-40, 0], [-1e-45, -0.0, -1e-38]], np.float32)
    assert run(backend, points, voxel_size=1.0)["coords"].tolist() == [[-1, 0, -1], [-1, 0, 0]]
    assert run(backend, points, voxel_size=1.0, bounds=(0, 0, 0, 1, 1, 1))["dropped"] == 2


def test_largest_floats_overflow_to_infinity_but_their_mean_does_not(backend):
    points, big = np.zeros((3, 3)), np.full(3, 1.7e308)
    got = run(backend, points, big, reduce=("sum", "mean"))["features"]
    assert got["sum"][0] == np.inf
    np.testing.assert_allclose(got["mean"], 1.7e308, rtol=1e-15)


@given(data=st.data())
def test_padded_batch(backend, data):
    points, size = data.draw(make.clouds(dtypes=(np.float32, np.float64), most=12, channels=4))
    batch = data.draw(st.integers(0, 3))
    stack = np.stack([points] * batch) if batch else np.zeros((0, *points.shape), points.dtype)
    lengths = data.draw(st.none() | st.lists(st.integers(0, len(points)), min_size=batch, max_size=batch))
    lengths = None if lengths is None else np.array(lengths, data.draw(st.sampled_from((np.int32, np.int64))))
    order = data.draw(st.sampled_from(("sorted", "first")))
    want = oracle.voxelize(stack, order=order, lengths=lengths, origin=(0.1, 0, 0), size=size)
    got = run(backend, stack, lengths=lengths, voxel_size=size, origin=(0.1, 0, 0), order=order)
    agree(got, want, stack.shape[:2])


@given(data=st.data())
def test_packed_batch(backend, data):
    points, size = data.draw(make.clouds(dtypes=(np.float16, np.float32)))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(points)), min_size=1, max_size=5)))
    offsets = np.array(cuts, data.draw(st.sampled_from((np.int32, np.int64))))
    want = oracle.voxelize(points, offsets=offsets, origin=(0, 0, 0), size=size)
    agree(run(backend, points, offsets=offsets, voxel_size=size), want)


@pytest.mark.parametrize("count", [0, 1, 2047, 2048, 2049, 5000])
@pytest.mark.parametrize("order", ["sorted", "first"])
def test_sizes_around_a_tile(backend, count, order):
    points = cloud(count, count)
    want = oracle.voxelize(points, order=order, origin=(0, 0, 0), size=(0.7, 0.7, 0.7))
    agree(run(backend, points, voxel_size=0.7, order=order), want)


@pytest.mark.parametrize("size", [0.5, 1e-3, 5e-6])
def test_one_to_eight_sort_passes(backend, size):
    points = cloud(3, 3000, np.float64)
    want = oracle.voxelize(points, origin=(0, 0, 0), size=(size,) * 3)
    agree(run(backend, points, voxel_size=size), want)


def test_all_points_in_one_voxel_or_none(backend):
    same = np.ones((4100, 3), np.float32)
    got = run(backend, same, voxel_size=2.0)
    assert got["counts"].tolist() == [4100]
    assert got["features"].tolist() == [[1, 1, 1]]
    got = run(backend, np.full((50, 3), np.nan, np.float32))
    assert got["coords"].shape == (0, 3)
    assert got["dropped"] == 50
    assert (got["inverse"] == -1).all()


def test_strides(backend):
    wide = np.random.default_rng(0).normal(size=(6, 40, 5)).astype(np.float32)
    views = (wide[::2, ::-1, :3], wide[:, ::3, 1:4], np.broadcast_to(wide[0, :, :3], (4, 40, 3)),
             wide.transpose(1, 0, 2)[..., :3], wide[..., ::2], wide[0, ::-2, 1:], np.asfortranarray(wide))  # fmt: skip
    for view in views:
        got = run(backend, view, view[..., :2], voxel_size=0.8)
        plain = np.ascontiguousarray(view)
        want = oracle.voxelize(plain, plain[..., :2], origin=(0, 0, 0), size=(0.8, 0.8, 0.8))
        agree(got, want, view.shape[:-1])


def test_several_reductions_at_once(backend):
    points = cloud(0, 300)
    got = run(backend, points, voxel_size=1.0, reduce=("max", "mean", "min", "sum"))["features"]
    assert list(got) == ["max", "mean", "min", "sum"]
    for kind, values in got.items():
        assert bits(values) == bits(run(backend, points, voxel_size=1.0, reduce=kind)["features"])


def test_one_feature_a_point_needs_no_axis(backend):
    points = cloud(0, 50)
    flat = run(backend, points, points[:, 1].copy(), voxel_size=1.0)["features"]
    assert bits(flat) == bits(run(backend, points, points[:, 1:2].copy(), voxel_size=1.0)["features"][:, 0])


def test_defaults_and_centers(backend):
    points = np.array([[0.06, -0.01, 0.0], [0.07, -0.02, 0.01]], np.float32)
    found = voxelize(backend.to(points))
    assert backend.np(found.coords).tolist() == [[1, -1, 0]]
    np.testing.assert_allclose(backend.np(found.centers()), [[0.075, -0.025, 0.025]], rtol=1e-6)
    padded = voxelize(backend.to(points), max_voxels=2)
    assert np.isnan(backend.np(padded.centers())[1]).all()


def test_cuda_equals_cpu(cupy):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(4, 50_000, 3)).astype(np.float32)
    features = (rng.normal(size=(4, 50_000, 5)) * 10 ** rng.uniform(-20, 15, (4, 50_000, 1))).astype(np.float32)
    for order in ("sorted", "first"):
        options = {"voxel_size": 0.11, "order": order, "reduce": ("mean", "sum", "max", "min")}
        cpu, gpu = (
            voxelize(points, features, **options),
            voxelize(cupy.asarray(points), cupy.asarray(features), **options),
        )
        for name in FIELDS:
            assert bits(getattr(cpu, name)) == bits(getattr(gpu, name).get()), name
        for kind, values in cpu.features.items():
            assert bits(values) == bits(gpu.features[kind].get()), kind


@pytest.mark.parametrize("threads", ["1", "3"])
def test_large_clouds_on_threads(backend, monkeypatch, threads):
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", threads)
    points = cloud(4, 300_000)
    cells, first, inverse, counts = np.unique(
        np.floor(points / np.float32(0.25)), axis=0, return_index=True, return_inverse=True, return_counts=True
    )
    got = run(backend, points, voxel_size=0.25, reduce=("mean", "max"))
    assert np.array_equal(got["coords"], cells)
    assert np.array_equal(got["counts"], counts)
    assert np.array_equal(got["inverse"], inverse.ravel())
    best = np.full_like(got["features"]["max"], -np.inf)
    np.maximum.at(best, inverse.ravel(), points)
    assert bits(got["features"]["max"]) == bits(best)
    for c in range(3):
        mean = np.bincount(inverse.ravel(), points[:, c].astype(np.float64)) / counts
        np.testing.assert_allclose(got["features"]["mean"][:, c], mean, rtol=1e-7, atol=1e-12)
    by_first = run(backend, points, voxel_size=0.25, order="first")
    assert np.array_equal(by_first["coords"], cells[np.argsort(first)])


def test_small_gicp_agrees():
    small_gicp = pytest.importorskip("small_gicp")
    points = np.random.default_rng(1).uniform(-20, 20, (20_000, 3))
    theirs = np.asarray(small_gicp.voxelgrid_sampling(points, 1.7, num_threads=1).points())[:, :3]
    ours = voxelize(points, voxel_size=1.7).features
    assert len(theirs) == len(ours)
    order = [np.lexsort(np.round(p, 6).T) for p in (theirs, ours)]
    np.testing.assert_allclose(theirs[order[0]], ours[order[1]], rtol=0, atol=1e-12)


def test_torch_in_torch_out():
    torch = pytest.importorskip("torch")
    points = torch.from_numpy(cloud(0, 100))
    found = voxelize(points.to(torch.bfloat16), points[:, :2], voxel_size=1.0)
    want = voxelize(points.to(torch.bfloat16).float().numpy(), points[:, :2].numpy(), voxel_size=1.0)
    assert all(isinstance(x, torch.Tensor) for x in (found.coords, found.features, found.inverse, found.num_voxels))
    assert bits(found.features.numpy()) == bits(want.features)
    assert bits(found.coords.numpy()) == bits(want.coords)


@pytest.mark.filterwarnings("ignore:JAX holds no")
def test_jax_in_jax_out():
    jax = pytest.importorskip("jax")
    points = cloud(0, 100)
    found = voxelize(jax.numpy.asarray(points), voxel_size=1.0)
    assert isinstance(found.features, jax.Array)
    assert bits(np.asarray(found.features)) == bits(voxelize(points, voxel_size=1.0).features)
