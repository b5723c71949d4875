"""hard_voxelize against the oracle and against spconv, on each backend."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops import voxel_strategies as make
from ops.voxel_strategies import bits, cloud
from oracles import hard_voxels as oracle

import robocache as rc
from robocache._core import errors

FIELDS = ("voxels", "coords", "num_points", "offsets", "dropped", "cut_points", "cut_voxels", "inverse")
BOX = (-2, -2, -2, 2, 2, 2)


def run(backend, points, size, bounds, most, voxels, **options):
    """hard_voxelize on a backend, everything back in NumPy, without padding if that is what it should be."""
    given = {name: backend.to(value) for name, value in options.items()}
    found = rc.hard_voxelize(backend.to(points), size, bounds, most, voxels, return_inverse=True, **given)
    arrays = {name: backend.np(getattr(found, name)) for name in (*FIELDS, "num_voxels")}
    kept, rows = int(arrays.pop("num_voxels")), len(arrays["num_points"])
    assert rows == (voxels * (len(arrays["offsets"]) - 1) if options.get("static") else kept)
    assert (arrays["coords"][kept:] == -1).all()
    for name in ("voxels", "num_points"):
        assert not arrays[name][kept:].any()
    return {name: a[:kept] if name in ("voxels", "coords", "num_points") else a for name, a in arrays.items()}


def agree(got, want):
    for name in FIELDS:
        assert bits(got[name].reshape(want[name].shape)) == bits(want[name]), name


def box_of(size, shape):
    low = tuple(-2 * s for s in size)
    return low, tuple(a + n * s for a, n, s in zip(low, shape, size, strict=True))


@given(data=st.data(), select=st.sampled_from(("first", "random", "nearest")), static=st.booleans())
def test_one_cloud(backend, data, select, static):
    points, size = data.draw(make.clouds(channels=data.draw(st.integers(3, 5))))
    shape = data.draw(st.sampled_from(((4, 4, 4), (300, 2, 129), (1, 1, 1))))
    most, voxels, seed = data.draw(st.tuples(st.integers(1, 4), st.integers(0, 9), st.integers(0, 2**64 - 1)))
    order = data.draw(st.sampled_from(("zyx", "xyz")))
    want = oracle.hard_voxelize(
        points, origin=tuple(-2 * s for s in size), size=size, shape=shape, max_points=most, max_voxels=voxels,
        select=select, seed=seed, order=order,
    )  # fmt: skip
    options = {"select": select, "seed": seed, "coord_order": order, "static": static}
    agree(run(backend, points, size, box_of(size, shape), most, voxels, **options), want)


@given(data=st.data(), select=st.sampled_from(("first", "random", "nearest")), static=st.booleans())
def test_batches(backend, data, select, static):
    points, size = data.draw(make.clouds(dtypes=(np.float32, np.float64), most=40))
    if data.draw(st.booleans()):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(points)), min_size=1, max_size=5)))
        extents = {"offsets": np.array(cuts, data.draw(st.sampled_from((np.int32, np.int64))))}
    else:
        points = np.stack([points, points[::-1], points * 0.5])
        lengths = st.lists(st.integers(0, points.shape[1]), min_size=3, max_size=3)
        extents = {"lengths": np.array(data.draw(lengths))}
    shape = (4, 5, 6)
    want = oracle.hard_voxelize(
        points, origin=tuple(-2 * s for s in size), size=size, shape=shape, max_points=2, max_voxels=3, select=select,
        seed=7, **extents,
    )  # fmt: skip
    got = run(backend, points, size, box_of(size, shape), 2, 3, select=select, seed=7, static=static, **extents)
    agree(got, want)


@given(data=st.data())
def test_a_cloud_of_a_batch_gives_what_it_gives_alone(backend, data):
    points = cloud(data.draw(st.integers(0, 99)), 60, spread=2.5)
    cut = data.draw(st.integers(0, 60))
    options = {
        "select": data.draw(st.sampled_from(("first", "random", "nearest"))),
        "seed": data.draw(st.integers(0, 9)),
    }
    both = run(backend, points, 1.0, BOX, 2, 12, offsets=np.array([0, cut, 60]), **options)
    alone = [run(backend, part, 1.0, BOX, 2, 12, **options) for part in (points[:cut], points[cut:])]
    for name in ("voxels", "num_points"):
        assert bits(both[name]) == bits(np.concatenate([one[name] for one in alone]))
    assert np.array_equal(both["coords"][:, 1:], np.concatenate([one["coords"] for one in alone]))


@given(data=st.data())
def test_features_of_every_type(backend, data):
    points = cloud(1, data.draw(st.integers(0, 25)), spread=2.5)
    features = data.draw(make.features(len(points)))
    want = oracle.hard_voxelize(
        points, features, origin=(-2,) * 3, size=(1,) * 3, shape=(4,) * 3, max_points=3, max_voxels=20
    )
    agree(run(backend, points, 1.0, BOX, 3, 20, features=features), want)
    flat = run(backend, points, 1.0, BOX, 3, 20, features=features[:, 0].copy())["voxels"]
    assert bits(flat) == bits(want["voxels"][..., 0])


@pytest.mark.parametrize("side", [1.0, 2**-7, 2**-15])
def test_small_large_and_enormous_grids_agree(backend, side):
    points = (np.random.default_rng(3).integers(-3, 3, (400, 3)) * side).astype(np.float64)
    cells = (8, 1 << 19, 1 << 19)
    bounds = tuple(-side * n / 2 for n in cells), tuple(side * n / 2 for n in cells)
    want = oracle.hard_voxelize(points, origin=bounds[0], size=(side,) * 3, shape=cells, max_points=2, max_voxels=90)
    agree(run(backend, points, side, bounds, 2, 90), want)
    small = tuple(-side * 4 for _ in range(3)), tuple(side * 4 for _ in range(3))
    near = run(backend, points, side, small, 2, 90)
    assert bits(near["voxels"]) == bits(want["voxels"])
    middle = tuple(-side * 64 for _ in range(3)), tuple(side * 64 for _ in range(3))
    assert bits(run(backend, points, side, middle, 2, 90)["voxels"]) == bits(want["voxels"])


def test_cells_that_differ_in_the_upper_half_of_their_numbers(backend):
    """The table of the GPU tells them apart by their points alone."""
    side, cells, rng = 2**-15, (1 << 20,) * 3, np.random.default_rng(4)
    found = np.stack([rng.integers(0, 1 << 20, 700), rng.integers(0, 256, 700) << 12, np.zeros(700, int)], 1)
    points = found[rng.integers(0, 700, 2000)] * side  # the lower 32 bits of x * 2**40 + y * 2**20 + z are zero
    bounds = (0, 0, 0), tuple(side * n for n in cells)
    want = oracle.hard_voxelize(points, origin=(0,) * 3, size=(side,) * 3, shape=cells, max_points=4, max_voxels=650)
    agree(run(backend, points, side, bounds, 4, 650), want)


@pytest.mark.parametrize("select", ["first", "random", "nearest"])
@pytest.mark.parametrize("most", [1, 63, 64, 65, 200])
def test_voxels_about_as_crowded_as_a_block_would_take(backend, select, most):
    rng = np.random.default_rng(most)
    counts = [1, 2, 63, 64, 65, 66, 255, 257, 300, 1030]
    cells = rng.permutation(np.repeat(np.arange(len(counts)), counts))
    points = np.stack([cells, cells // 3, cells % 3], 1) + np.float32(0.9) * rng.random((len(cells), 3), np.float32)
    points[7::50] = points[7]  # equal ranks but for the index
    options = {"max_points": most, "max_voxels": 9, "select": select, "seed": 3}
    features = np.arange(len(points))
    want = oracle.hard_voxelize(points, features[:, None], origin=(0,) * 3, size=(1,) * 3, shape=(16,) * 3, **options)
    got = run(backend, points, 1.0, (0, 0, 0, 16, 16, 16), most, 9, features=features, select=select, seed=3)
    agree({**got, "voxels": got["voxels"][..., None]}, want)


def test_far_from_the_origin(backend):
    rng = np.random.default_rng(0)
    points = np.array([448_000.0, 4_000_000.0, 130.0]) + rng.uniform(0, 1, (300, 3))
    low = (448_000.0, 4_000_000.0, 130.0)
    want = oracle.hard_voxelize(
        points, origin=low, size=(0.02,) * 3, shape=(50,) * 3, max_points=1, max_voxels=500, select="nearest"
    )
    agree(run(backend, points, 0.02, (low, tuple(a + 1 for a in low)), 1, 500, select="nearest"), want)


def test_strides(backend):
    wide = np.random.default_rng(0).normal(size=(6, 40, 6)).astype(np.float32)
    for view in (wide[::2, ::-1, :3], wide[..., 1:5], np.broadcast_to(wide[0, :, :3], (4, 40, 3)), wide[..., ::2]):
        plain = np.ascontiguousarray(view)
        want = oracle.hard_voxelize(
            plain, origin=(-2,) * 3, size=(0.5,) * 3, shape=(8,) * 3, max_points=2, max_voxels=15, select="nearest"
        )
        agree(run(backend, view, 0.5, BOX, 2, 15, select="nearest"), want)


def test_random_choices_are_even_and_follow_the_seed(backend):
    points = np.zeros((64, 3), np.float32)
    rounds = [run(backend, points, 1.0, BOX, 8, 1, select="random", seed=s, features=np.arange(64)) for s in range(200)]
    chosen = np.concatenate([one["voxels"].ravel() for one in rounds])
    assert all(len(set(one["voxels"].ravel())) == 8 for one in rounds)
    hits = np.bincount(chosen, minlength=64)  # 25 each on average, with a deviation of 4.7
    assert hits.min() > 5
    assert hits.max() < 50
    again = run(backend, points, 1.0, BOX, 8, 1, select="random", seed=3, features=np.arange(64))
    assert bits(again["voxels"]) == bits(rounds[3]["voxels"])


@pytest.mark.parametrize("threads", ["1", "3"])
@pytest.mark.parametrize("select", ["first", "random", "nearest"])
def test_many_points_of_one_voxel(backend, monkeypatch, threads, select):
    monkeypatch.setenv("ROBOCACHE_NUM_THREADS", threads)
    points = cloud(5, 60_000, spread=0.99)
    got = run(backend, points, 2.0, BOX, 40, 8, select=select, features=np.arange(60_000))
    assert got["cut_points"] == 60_000 - got["num_points"].sum()
    if select == "first":
        order = np.arange(60_000)
    elif select == "random":
        order = np.argsort([oracle.hashed(0, p) for p in range(60_000)], kind="stable")
    else:
        cells = np.floor(points / 2) + 1
        away = [oracle.distance(p, c, (-2,) * 3, (2,) * 3) for p, c in zip(points, cells)]
        order = np.argsort(away, kind="stable")
    for voxel in range(8):
        mine = order[got["inverse"][order] == voxel][:40]
        assert got["voxels"][voxel].ravel().tolist() == mine.tolist()


@pytest.mark.parametrize("wrong", [{"offsets": [0, 30, 20, 60]}, {"offsets": [0, 90]}, {"lengths": [3, 61]}])
def test_wrong_extents(backend, wrong):
    points = cloud(0, 120).reshape(2, 60, 3) if "lengths" in wrong else cloud(0, 60)
    extents = {name: backend.to(np.array(values)) for name, values in wrong.items()}
    with pytest.raises(errors.DataError, match=r"lengths|offsets"):
        rc.hard_voxelize(backend.to(points), 0.5, BOX, 3, 20, check="strict", **extents)


def test_tables_of_earlier_calls_do_no_harm(monkeypatch):
    from robocache.cpu import _firsts

    monkeypatch.setattr(_firsts, "_tables", [])
    points = [cloud(seed, 300, spread=2.5) for seed in range(3)]
    options = {"max_points": 2, "max_voxels": 250}
    fine, coarse = (0.002, (-2.5, -2.5, -2.5, 2.5, 2.5, 2.5)), (0.5, BOX)
    want = []
    for cells in (fine, coarse):
        for one in points:
            _firsts._tables.clear()
            want.append(rc.hard_voxelize(one, *cells, **options))
    for number in range(12):  # each of the six twice, the tables close to their largest number half of the time
        if number % 2:
            _firsts._tables[:] = [(np.full_like(table, 2**31 - 303), 2**31 - 302) for table, _ in _firsts._tables]
        got = rc.hard_voxelize(points[number % 3], *(fine, coarse)[number // 3 % 2], **options)
        for name in FIELDS[:-1]:
            assert bits(getattr(got, name)) == bits(getattr(want[number % 6], name)), name


def test_calls_of_many_threads():
    clouds = [cloud(seed, 5_000, spread=2.5) for seed in range(4)]
    want = [rc.hard_voxelize(one, 0.125, BOX, 2, 4_000) for one in clouds]
    barrier = threading.Barrier(4)

    def work(number):
        barrier.wait()
        return [rc.hard_voxelize(clouds[number], 0.125, BOX, 2, 4_000) for _ in range(10)]

    with ThreadPoolExecutor(4) as pool:
        for number, results in enumerate(pool.map(work, range(4))):
            for got in results:
                assert bits(got.voxels) == bits(want[number].voxels)
                assert bits(got.coords) == bits(want[number].coords)


def test_cuda_equals_cpu(cupy):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3, 60_000, 4)).astype(np.float32)
    for select in ("first", "random", "nearest"):
        options = {"max_points": 5, "max_voxels": 9_000, "select": select, "return_inverse": True}
        cpu = rc.hard_voxelize(points, 0.1, BOX, **options)
        gpu = rc.hard_voxelize(cupy.asarray(points), 0.1, BOX, **options)
        for name in FIELDS:
            assert bits(getattr(cpu, name)) == bits(getattr(gpu, name).get()), name


def test_a_graph_captures_the_static_call(cupy):
    points = [cloud(seed, 5_000) for seed in range(2)]
    memory = cupy.asarray(points[0])
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        rc.hard_voxelize(memory, 0.5, BOX, 3, 300, static=True)
        stream.begin_capture()
        found = rc.hard_voxelize(memory, 0.5, BOX, 3, 300, static=True)
        graph = stream.end_capture()
        memory.set(points[1])
        graph.launch()
        stream.synchronize()
    want = rc.hard_voxelize(points[1], 0.5, BOX, 3, 300, static=True)
    for name in FIELDS[:-1]:
        assert bits(getattr(found, name).get()) == bits(getattr(want, name)), name


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"max_points": 0}, errors.ArgumentError, "max_points=0"),
        ({"max_voxels": -1}, errors.ArgumentError, "max_voxels=-1"),
        ({"select": "last"}, errors.ArgumentError, "choose one of 'first'"),
        ({"coord_order": "yxz"}, errors.ArgumentError, "coord_order"),
        ({"bounds": None}, errors.ArgumentError, "needs bounds"),
        ({"bounds": (0, 0, 0, 1, 1, 1.3)}, errors.ArgumentError, "whole number"),
        ({"seed": -1}, errors.ArgumentError, "seed=-1"),
        ({"lengths": np.array([3])}, errors.ShapeError, "lengths"),
        ({"offsets": np.array([0, 11])}, errors.DataError, "offsets"),
        ({"features": np.zeros((3, 2))}, errors.ShapeError, "features"),
        ({"voxel_size": 1e-6, "bounds": (-9, -9, -9, 9, 9, 9)}, errors.DataError, "2\\*\\*63"),
        ({"max_points": 1 << 30, "max_voxels": 1 << 30, "static": True}, errors.MemoryLimitError, "GiB"),
    ],
)
def test_wrong_calls(options, error, message):
    call = {"points": np.zeros((10, 3)), "voxel_size": 0.5, "bounds": BOX, "max_points": 2, "max_voxels": 2, **options}
    with pytest.raises(error, match=message):
        rc.hard_voxelize(**call)


@pytest.mark.parametrize("size, low, high", [
    ((0.16, 0.16, 4.0), (-69.12, -39.68, -3.0), (0.0, 39.68, 1.0)),
    ((0.1, 0.1, 0.2), (-20.0, -20.0, -3.0), (20.0, 20.0, 1.0)),
    ((0.05, 0.05, 0.1), (0.0, -40.0, -3.0), (70.4, 40.0, 1.0)),
])  # fmt: skip
@pytest.mark.parametrize("most, voxels", [(1, 40_000), (5, 40_000), (3, 500)])
def test_spconv_agrees_to_the_byte(size, low, high, most, voxels):
    utils = pytest.importorskip("spconv.utils")
    view = pytest.importorskip("cumm.tensorview")
    rng = np.random.default_rng(2)
    points = np.concatenate([rng.normal(size=(9_000, 3)) * (25, 15, 1.5), rng.random((9_000, 1))], 1).astype(np.float32)
    points[::50, 0] = np.nan
    points[3::50] = np.round(points[3::50] / np.float32(size[0])) * np.float32(size[0])
    points[7::900, 1] = np.inf
    peer = utils.Point2VoxelCPU3d(list(size), [*low, *high], 4, voxels, most)
    want = [array.numpy() for array in peer.point_to_voxel(view.from_numpy(points))]
    got = rc.hard_voxelize(points, size, (low, high), most, voxels)
    for ours, theirs in zip((got.voxels, got.coords, got.num_points), want, strict=True):
        assert bits(ours) == bits(theirs)
