"""voxel_downsample, and the reductions and lists of voxelize that it rests on, against the oracle on each backend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops import voxel_strategies as make
from ops.voxel_strategies import bits, cloud
from oracles import hard_voxels as oracle
from oracles import voxel

import robocache as rc
from robocache._core import errors

CHOICES = ("first", "random", "nearest")
REDUCE = ("mean", "center", *CHOICES)
LABELS = (np.bool_, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)


def run(backend, points, size, **options):
    given = {name: backend.to(value) for name, value in options.items()}
    found = rc.voxel_downsample(backend.to(points), size, return_inverse=True, return_counts=True, **given)
    arrays = {name: getattr(found, name) for name in found.__dataclass_fields__}
    return {name: backend.np(array) for name, array in arrays.items() if array is not None}


@given(data=st.data(), reduce=st.sampled_from(REDUCE))
def test_points_and_what_belongs_to_them(backend, data, reduce):
    points, size = data.draw(make.clouds(channels=4))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    real = points.dtype
    extras = {
        "features": rng.normal(size=(len(points), 2)).astype(real),
        "colors": rng.integers(0, 256, (len(points), 3)).astype(np.uint8),
        "normals": np.round(rng.normal(size=(len(points), 3))).astype(real),
        "labels": rng.integers(-2, 2, (len(points), 1)).astype(data.draw(st.sampled_from(LABELS[1:]))),
    }
    want = oracle.downsample(points, reduce=reduce, size=size, seed=5, **extras)
    got = run(backend, points, size, reduce=reduce, seed=5, return_index=reduce in CHOICES, **extras)
    for name, values in want.items():
        if len(values) and (name != "index" or reduce in CHOICES):
            assert bits(got[name]) == bits(values.astype(got[name].dtype)), name
    assert len(got["points"]) == len(want["points"])


@given(data=st.data(), reduce=st.sampled_from(REDUCE))
def test_batches(backend, data, reduce):
    points, size = data.draw(make.clouds(dtypes=(np.float32, np.float64)))
    if data.draw(st.booleans()):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(points)), min_size=1, max_size=5)))
        extents = {"offsets": np.array(cuts)}
    else:
        points = np.stack([points, points[::-1]])
        extents = {"lengths": np.array(data.draw(st.lists(st.integers(0, points.shape[1]), min_size=2, max_size=2)))}
    want = oracle.downsample(points, reduce=reduce, size=size, seed=9, **extents)
    got = run(backend, points, size, reduce=reduce, seed=9, **extents)
    plain = voxel.voxelize(points, origin=(0, 0, 0), size=size, **extents)
    assert got["points"].tobytes() == want["points"].astype(points.dtype).tobytes()
    for name in ("offsets", "counts", "dropped"):
        assert bits(got[name]) == bits(plain[name]), name
    assert bits(got["inverse"].ravel()) == bits(plain["inverse"])


@given(data=st.data())
def test_first_and_mode_of_every_type(backend, data):
    count = data.draw(st.integers(0, 40))
    dtype = data.draw(st.sampled_from(LABELS))
    points = cloud(data.draw(st.integers(0, 9)), count, spread=0.8)
    low, high = (0, 1) if dtype is np.bool_ else (int(np.iinfo(dtype).min), int(np.iinfo(dtype).max))
    labels = st.lists(st.sampled_from((low, low + 1, high - 1, high)), min_size=count, max_size=count)
    labels = np.array(data.draw(labels), dtype)
    order = data.draw(st.sampled_from(("sorted", "first")))
    got = make.run(backend, points, labels, voxel_size=1.0, reduce=("first", "mode", "max"), order=order)
    _, inside, _ = voxel.group(points, [list(range(count))], order, origin=(0, 0, 0), size=(1, 1, 1))
    for kind, of in (("first", lambda v: v[0]), ("mode", oracle.mode), ("max", max)):
        want = np.array([of(labels[numbers]) for numbers in inside], dtype)
        assert bits(got["features"][kind]) == bits(want), kind


@given(data=st.data(), order=st.sampled_from(("sorted", "first")))
def test_members(backend, data, order):
    points, size = data.draw(make.clouds(dtypes=(np.float32,), most=60))
    cuts = np.array(sorted(data.draw(st.lists(st.integers(0, len(points)), min_size=1, max_size=4))))
    limit = data.draw(st.none() | st.integers(60, 70))
    found = rc.voxelize(
        backend.to(points),
        voxel_size=size,
        offsets=backend.to(cuts),
        order=order,
        max_voxels=limit,
        return_members=True,
    )
    members, splits = backend.np(found.members), backend.np(found.splits)
    _, inside, _ = voxel.group(points, voxel.clouds(points.shape, None, cuts), order, origin=(0, 0, 0), size=size)
    want = [p for numbers in inside for p in numbers]
    assert members.tolist() == want + [-1] * (len(points) - len(want))
    ends = np.cumsum([0, *map(len, inside)]).tolist()
    assert splits.tolist() == ends + [ends[-1]] * ((limit or len(inside)) - len(inside))


@pytest.mark.parametrize("count", [31, 32, 33, 1025, 20_000])
def test_large_voxels(backend, count):
    rng = np.random.default_rng(count)
    points, labels = np.where(rng.random((count, 3)) < 0.9, 0.5, 1.5), rng.integers(-9, 9, count)
    options = {"voxel_size": 1.0, "reduce": ("mode", "first"), "return_members": True}
    found = rc.voxelize(backend.to(points), backend.to(labels), **options)
    inverse = backend.np(found.inverse)
    assert np.array_equal(backend.np(found.members), np.argsort(inverse, kind="stable"))
    assert np.array_equal(backend.np(found.splits), np.searchsorted(np.sort(inverse), np.arange(found.counts.size + 1)))
    for v in range(found.counts.size):
        mine = labels[inverse == v]
        assert backend.np(found.features["mode"])[v] == oracle.mode(mine)
        assert backend.np(found.features["first"])[v] == mine[0]


def test_colors_round_half_up_and_normals_have_length_one(backend):
    points = np.zeros((4, 3), np.float32)
    points[2:] += 3
    signed = np.array([[-1, 2, 127], [-2, 3, 126], [5, 5, 5], [5, 6, 8]], np.int8)
    got = run(backend, points, 1.0, colors=signed)["colors"]
    assert got.tolist() == [[-1, 3, 127], [5, 6, 7]]
    normals = np.array([[1, 0, 0], [-1, 0, 0], [3, 0, 0], [0, 4, 0]], np.float32)
    got = run(backend, points, 1.0, normals=normals)["normals"]
    np.testing.assert_array_equal(got, np.array([[0, 0, 0], [0.6, 0.8, 0]], np.float32))
    normals[0, 0] = np.inf
    assert np.isnan(run(backend, points, 1.0, normals=normals)["normals"][0]).all()


def test_a_fixed_number_of_rows(backend):
    points, colors = cloud(3, 400), np.random.default_rng(0).integers(0, 256, (400, 3)).astype(np.uint8)
    for reduce in REDUCE:
        options = {"colors": colors, "normals": points, "labels": colors[:, 0].copy(), "reduce": reduce}
        options["return_index"] = reduce in CHOICES
        trimmed, padded = run(backend, points, 2.0, **options), run(backend, points, 2.0, max_voxels=100, **options)
        count = int(padded["num_voxels"])
        for name in ("points", "colors", "normals", "labels", "counts"):
            assert bits(trimmed[name]) == bits(padded[name][:count])
            assert not padded[name][count:].any()
        if reduce in CHOICES:
            assert (padded["index"][count:] == -1).all()


def test_far_from_the_origin(backend):
    rng = np.random.default_rng(1)
    points = np.array([448_000.0, 4_000_000.0, 130.0]) + rng.uniform(0, 0.3, (500, 3))
    for reduce in REDUCE:
        got = run(backend, points, 0.02, reduce=reduce)
        assert np.abs(got["points"][got["inverse"]] - points).max() <= 0.02 + 1e-9
    want = oracle.downsample(points, reduce="nearest", size=(0.02,) * 3)
    assert bits(run(backend, points, 0.02, reduce="nearest")["points"]) == bits(want["points"])


def test_too_many_voxels_are_told(backend):
    if backend.name == "cpu":
        with pytest.warns(rc.errors.DataWarning, match="max_voxels=3"):
            rc.voxel_downsample(cloud(0, 50), 0.5, max_voxels=3)
    with pytest.raises(errors.DataError, match="max_voxels"):
        rc.voxel_downsample(backend.to(cloud(0, 50)), 0.5, max_voxels=3, check="strict")


def test_cuda_equals_cpu(cupy):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(3, 40_000, 3)).astype(np.float32)
    extras = {"colors": rng.integers(0, 256, (3, 40_000, 3)).astype(np.uint8), "normals": points,
              "labels": rng.integers(0, 20, (3, 40_000))}  # fmt: skip
    for reduce in REDUCE:
        cpu = rc.voxel_downsample(points, 0.1, reduce=reduce, return_inverse=True, **extras)
        moved = {name: cupy.asarray(array) for name, array in extras.items()}
        gpu = rc.voxel_downsample(cupy.asarray(points), 0.1, reduce=reduce, return_inverse=True, **moved)
        for name in ("points", "colors", "normals", "labels", "inverse", "offsets"):
            assert bits(getattr(cpu, name)) == bits(getattr(gpu, name).get()), name


@pytest.mark.parametrize("reduce", REDUCE)
def test_a_graph_captures_a_fixed_number_of_rows(cupy, reduce):
    clouds = [cloud(seed, 5_000) for seed in range(2)]
    memory, stream = cupy.asarray(clouds[0]), cupy.cuda.Stream(non_blocking=True)
    labels = np.arange(5_000) % 3
    options = {"reduce": reduce, "max_voxels": 4_000}
    with stream:
        there = cupy.asarray(labels)
        rc.voxel_downsample(memory, 0.5, labels=there, normals=memory, **options)
        stream.begin_capture()
        found = rc.voxel_downsample(memory, 0.5, labels=there, normals=memory, **options)
        graph = stream.end_capture()
        memory.set(clouds[1])
        graph.launch()
        stream.synchronize()
    want = rc.voxel_downsample(clouds[1], 0.5, labels=labels, normals=clouds[1], **options)
    for name in ("points", "labels", "normals"):
        assert bits(getattr(found, name).get()) == bits(getattr(want, name)), name


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"return_index": True}, errors.ArgumentError, "chooses no point"),
        ({"reduce": "median"}, errors.ArgumentError, "reduce"),
        ({"max_voxels": 1.5}, errors.ArgumentError, "max_voxels"),
        ({"colors": np.zeros((9, 3), np.uint8)}, errors.ShapeError, "colors has shape"),
        ({"colors": np.zeros((10, 3), np.int64)}, errors.DTypeError, "colors has dtype int64"),
        ({"normals": np.zeros((10, 4))}, errors.ShapeError, "normals has shape"),
        ({"normals": np.zeros((10, 3), np.int32)}, errors.DTypeError, "normals has dtype"),
        ({"labels": np.zeros(10)}, errors.DTypeError, "labels has dtype"),
        ({"features": np.zeros(10, np.int64)}, errors.DTypeError, "features has dtype int64"),
    ],
)
def test_wrong_calls(options, error, message):
    with pytest.raises(error, match=message):
        rc.voxel_downsample(np.zeros((10, 3)), 0.5, **options)


def test_mode_is_for_labels():
    with pytest.raises(errors.DTypeError, match="mode"):
        rc.voxelize(np.zeros((10, 3)), np.zeros(10), reduce="mode")


@pytest.mark.parametrize("size", [0.11, 1.7])
def test_small_gicp_agrees(size):
    small_gicp = pytest.importorskip("small_gicp")
    points = np.random.default_rng(1).uniform(-20, 20, (20_000, 3))
    theirs = np.asarray(small_gicp.voxelgrid_sampling(points, size, num_threads=1).points())[:, :3]
    ours = rc.voxel_downsample(points, size).points
    assert len(theirs) == len(ours)
    order = [np.lexsort(np.round(p, 6).T) for p in (theirs, ours)]
    np.testing.assert_allclose(theirs[order[0]], ours[order[1]], rtol=0, atol=1e-12)
