"""voxel_grid with packed, splat and append, against the oracle, on each backend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops import voxel_strategies as make
from ops.test_voxel_grid import UNIT, cloud, run
from ops.voxel_strategies import bits
from oracles import layers as oracle
from oracles import voxel as plain

import robocache as rc
from robocache._core import dtypes, errors

LAYERS = ("xyz", "index", "occupancy")
PERACT = (-0.3, -0.5, 0.6, 0.7, 0.5, 1.6)


def unpacked(words, deep):
    """As the docstring says it."""
    z = np.arange(deep, dtype=np.uint32)
    return ((words[..., z // 32] >> z % 32) & 1).astype(bool)


@st.composite
def batches(draw):
    """Points in some clouds, the extents, and two features a point."""
    batch, per = draw(st.integers(0, 3)), draw(st.integers(0, 9))
    points = cloud(draw(st.integers(0, 5)), batch, per, dtype=draw(st.sampled_from(make.POINT_TYPES)))
    if batch * per and draw(st.booleans()):
        points[0, 0, draw(st.integers(0, 2))] = draw(st.sampled_from((np.nan, np.inf, -np.inf, 1.0, 0.0)))
    features = draw(make.features(batch * per)).reshape(batch, per, 2)
    way = draw(st.sampled_from(("whole", "lengths", "offsets")))
    if way == "whole":
        return points, features, {}
    if way == "lengths":
        cut = draw(st.lists(st.integers(0, per), min_size=batch, max_size=batch))
        return points, features, {"lengths": np.array(cut, np.int64)}
    cuts = sorted(draw(st.lists(st.integers(0, batch * per), min_size=1, max_size=4)))
    return points.reshape(-1, 3), features.reshape(-1, 2), {"offsets": np.array(cuts, np.int32)}


@given(batch=batches(), shape=st.sampled_from(((2, 3, 4), (1, 2, 33), (3, 1, 32), (2, 1, 70))), clamp=st.booleans())
def test_bits(backend, batch, shape, clamp):
    points, _, extents = batch
    how = {"bounds": UNIT, "shape": shape, "outside": "clamp" if clamp else "drop", **extents, "return_dropped": True}
    want, lost = run(backend, points, **how)
    got, gone = run(backend, points, packed=True, **how)
    assert got.dtype == np.uint32
    assert got.shape == (*want.shape[:-1], -(-shape[2] // 32))
    assert (unpacked(got, shape[2]) == want).all()
    assert int(np.bitwise_count(got).sum()) == int(want.sum())  # no bit beyond the cells
    assert bits(gone) == bits(lost)


def test_bits_of_many_points(backend):
    points = cloud(0, 2, 5000)
    for side in (32, 50, 64):
        want = run(backend, points, bounds=UNIT, shape=side)
        out = backend.to(np.full((2, side, side, -(-side // 32)), 2**32 - 1, np.uint32))
        for _ in range(2):  # the second call may be a replay
            assert rc.voxel_grid(backend.to(points), bounds=UNIT, shape=side, packed=True, out=out) is out
            assert (unpacked(backend.np(out), side) == want).all()


@given(batch=batches(), layers=st.permutations(LAYERS), some=st.integers(1, 3), first=st.booleans(), data=st.data())
def test_layers(backend, batch, layers, some, first, data):
    points, features, extents = batch
    layers, shape = tuple(layers[:some]), (2, 4, 3)
    fill = data.draw(st.sampled_from((0, -7.5, np.nan)))
    given_features = data.draw(st.booleans())
    parts = [features] if given_features else [points]
    if given_features and "xyz" in layers:
        parts.insert(0, points)
    want = oracle.peract(
        points, parts, layers, shape=shape, fill=fill, origin=(0, 0, 0), size=(1 / 2, 1 / 4, 1 / 3), **extents
    )
    got, _ = run(
        backend, points, features if given_features else None, bounds=UNIT, shape=shape, reduce="mean", fill=fill,
        append=layers, channels="first" if first else "last", return_dropped=True, **extents,
    )  # fmt: skip
    want = np.moveaxis(want, -1, 1) if first else want
    assert bits(got.reshape(want.shape)) == bits(want)


def test_peract(backend):
    """Its hundred cells a side, and the channels where a trained model looks for them."""
    rng = np.random.default_rng(0)
    points = (rng.random((2, 3000, 3)) * 1.1 + (-0.35, -0.55, 0.55)).astype(np.float32)
    rgb = rng.uniform(-1, 1, (2, 3000, 3)).astype(np.float32)
    got = run(backend, points, rgb, bounds=PERACT, shape=100, reduce="mean", append=LAYERS)
    assert got.shape == (2, 100, 100, 100, 10)
    how = {"bounds": PERACT, "shape": 100}
    assert bits(got[..., :3]) == bits(run(backend, points, reduce="mean", **how))
    assert bits(got[..., 3:6]) == bits(run(backend, points, rgb, reduce="mean", **how))
    ticks = np.arange(100, dtype=np.float32) / np.float32(100)
    for axis in range(3):
        assert bits(np.moveaxis(got[..., 6 + axis], 1 + axis, -1)) == bits(np.broadcast_to(ticks, (2, 100, 100, 100)))
    assert (got[..., 9] == run(backend, points, **how)).all()
    assert bits(run(backend, np.concatenate([points, rgb], -1), reduce="mean", append=LAYERS, **how)) == bits(got)
    first = run(backend, points, rgb, reduce="mean", append=LAYERS, channels="first", **how)
    assert bits(np.moveaxis(first, 1, -1)) == bits(got)


@pytest.mark.parametrize("channels", ["first", "last"])
@pytest.mark.parametrize("shape, width, dtype", [
    ((13, 17, 29), 1, np.float32),  # several tiles of a block in a cloud, the second cloud at an odd address
    ((7, 300, 6), 2, np.float32),
    ((1, 1, 9000), 4, np.float64),
    ((5000, 1, 2), 5, np.float64),
    ((3, 2, 3), 600, np.float32),  # more channels than threads write side by side
])  # fmt: skip
def test_layers_of_many_cells_or_channels(backend, shape, width, dtype, channels):
    points = cloud(2, 2, 2500, dtype=dtype)
    points[0] = points[0] ** 3  # some cells close together, many rows of them
    features = np.random.default_rng(0).normal(size=(2, 2500, width)).astype(dtype)
    how = {"bounds": UNIT, "shape": shape, "fill": -7.5}
    got = run(backend, points, features, reduce="mean", append=LAYERS, channels=channels, **how)
    got = got if channels == "last" else np.moveaxis(got, 1, -1)
    assert bits(got[..., :3]) == bits(run(backend, points, reduce="mean", **how))
    assert bits(got[..., 3:-4]) == bits(run(backend, points, features, reduce="mean", **how))
    axes = (np.arange(n, dtype=dtype) / dtype(n) for n in shape)
    index = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
    assert bits(got[..., -4:-1]) == bits(np.broadcast_to(index, (2, *shape, 3)))
    assert bits(got[..., -1]) == bits(run(backend, points, bounds=UNIT, shape=shape).astype(dtype))


def test_layers_into_out(backend):
    points, colours = cloud(0, 50), np.random.default_rng(0).integers(0, 255, (50, 3)).astype(np.uint8)
    want = run(backend, points, colours, bounds=UNIT, shape=(3, 5, 7), reduce="mean", append=LAYERS)
    assert want.dtype == np.float32
    memory = backend.to(np.full(want.size + 1, 77, np.float32))
    for start in (0, 1):  # with wide stores and without
        out = memory[start : start + want.size].reshape(want.shape)
        how = {"bounds": UNIT, "shape": (3, 5, 7), "reduce": "mean", "append": LAYERS}
        assert rc.voxel_grid(backend.to(points), backend.to(colours), out=out, **how) is out
        assert bits(backend.np(out)) == bits(want)


@given(batch=batches(), kinds=st.lists(st.sampled_from(("count", "sum", "mean")), min_size=1, unique=True),
       first=st.booleans(), fill=st.sampled_from((0, -7.5, np.nan)))  # fmt: skip
def test_splat(backend, batch, kinds, first, fill):
    points, features, extents = batch
    shape = (2, 4, 3)
    got, lost = run(
        backend, points, features, bounds=UNIT, shape=shape, reduce=tuple(kinds), splat="trilinear", fill=fill,
        channels="first" if first else "last", return_dropped=True, **extents,
    )  # fmt: skip
    for kind, result in zip(kinds, got, strict=True):
        want, dropped = oracle.splat(
            points, features, kind=kind, shape=shape, fill=fill, origin=(0, 0, 0), size=(1 / 2, 1 / 4, 1 / 3), **extents
        )
        want = np.moveaxis(want, -1, 1) if first and kind != "count" else want
        assert bits(result.reshape(want.shape)) == bits(want), kind
        assert bits(lost.reshape(dropped.shape)) == bits(dropped)


@pytest.mark.parametrize("dtype", [np.float16, dtypes.bfloat16])
def test_splat_of_16_bits_has_the_nan_of_numpy(backend, dtype):
    points, features = cloud(0, 5), np.array([[1, np.nan]] * 5).astype(dtype)
    how = {"splat": "trilinear", "fill": np.nan, "bounds": UNIT, "shape": 4}
    for kind in ("sum", "mean"):
        want, _ = oracle.splat(
            points, features, kind=kind, shape=(4,) * 3, fill=np.nan, origin=(0, 0, 0), size=(0.25,) * 3
        )
        assert np.isnan(want[..., 0].astype(np.float32)).any()
        assert bits(run(backend, points, features, reduce=kind, **how)) == bits(want[0])


@given(cloud=make.clouds())
def test_splat_of_points_on_edges(backend, cloud):
    points, size = cloud
    low, shape = tuple(-s for s in size), (3, 4, 2)
    bounds = (low, tuple(a + n * s for a, n, s in zip(low, shape, size, strict=True)))
    want, _ = oracle.splat(points, points, kind="count", shape=shape, origin=low, size=size)
    got = run(backend, points, bounds=bounds, voxel_size=size, reduce="count", splat="trilinear")
    assert bits(got) == bits(want[0])


def test_splat_has_no_order(backend):
    rng = np.random.default_rng(0)
    points, features = cloud(0, 3000, dtype=np.float64) + 4e6, rng.normal(size=(3000, 2)) * 10.0 ** rng.integers(-9, 9)
    bounds, order = (4e6,) * 3 + (4e6 + 1,) * 3, rng.permutation(3000)
    how = {"bounds": bounds, "voxel_size": 0.25, "reduce": ("count", "sum", "mean"), "splat": "trilinear"}
    got = run(backend, points, features, **how)
    assert [bits(a) for a in run(backend, points[order], features[order], **how)] == [bits(a) for a in got]


def test_splat_keeps_weights_and_places(backend):
    """Away from the border all weight stays, and the weighted middle of the cells is the point."""
    points = np.random.default_rng(0).uniform(0.2, 0.8, (200, 3))
    for point in points:
        got = run(backend, point[None], bounds=UNIT, shape=10, reduce="count", splat="trilinear")
        assert abs(got.sum() - 1) < 1e-6
        for axis in range(3):
            middles = (np.arange(10) + 0.5) / 10
            line = got.sum(tuple(a for a in range(3) if a != axis))
            assert abs(line @ middles - point[axis]) < 1e-6
    flat = run(backend, points, np.full(200, 3.25), bounds=UNIT, shape=10, reduce="mean", splat="trilinear", fill=3.25)
    assert np.abs(flat - 3.25).max() < 1e-12


def test_nothing_to_draw(backend):
    for points in (np.zeros((0, 3), np.float32), np.zeros((2, 0, 3), np.float32), np.full((2, 4, 3), 9, np.float32)):
        lead = points.shape[:-2]
        got = run(backend, points, bounds=UNIT, shape=2, reduce=("count", "mean"), splat="trilinear", fill=5)
        assert got[0].shape == (*lead, 2, 2, 2)
        assert not got[0].any()
        assert (got[1] == 5).all()
        got = run(backend, points, bounds=UNIT, shape=2, reduce="mean", append=LAYERS, fill=5)
        assert got.shape == (*lead, 2, 2, 2, 7)
        assert (got[..., :3] == 5).all()
        assert not got[..., 6].any()
        assert got[..., 5].reshape(-1, 2)[0].tolist() == [0, 0.5]
    assert run(backend, np.zeros((0, 4, 3), np.float32), bounds=UNIT, shape=2, packed=True).shape == (0, 2, 2, 1)


BAD = [
    ({"packed": True, "splat": "trilinear"}, "exclude one another"),
    ({"packed": True, "reduce": "count"}, "packed=True is for reduce='occupancy'"),
    ({"packed": 1}, "packed=1"),
    ({"splat": "nearest", "reduce": "count"}, "splat='nearest'"),
    ({"splat": "trilinear"}, "reduce='occupancy' has no use for weights"),
    ({"splat": "trilinear", "reduce": ("count", "max")}, "reduce='max'"),
    ({"splat": "trilinear", "reduce": "count", "outside": "clamp"}, "outside='clamp'"),
    ({"append": ("xyz",)}, "with reduce='mean'"),
    ({"append": (), "reduce": "mean"}, "name each layer once"),
    ({"append": ("index", "index"), "reduce": "mean"}, "name each layer once"),
    ({"append": ("rgb",), "reduce": "mean"}, "append='rgb'"),
]


@pytest.mark.parametrize("options, message", BAD)
def test_bad_options(backend, options, message):
    with pytest.raises(errors.ArgumentError, match=message):
        rc.voxel_grid(backend.to(cloud(0, 5)), **{"bounds": UNIT, "shape": 2, **options})


def test_outside_raise(backend):
    points = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.0]], np.float32)
    for options in ({"packed": True}, {"reduce": "count", "splat": "trilinear"}, {"reduce": "mean", "append": "index"}):
        with pytest.raises(errors.DataError, match="1 points lie outside"):
            run(backend, points, bounds=UNIT, shape=2, outside="raise", **options)


def test_too_many_cells_for_a_splat(backend):
    with pytest.raises(errors.ShapeError, match=r"fewer than 2\*\*24 cells"):
        run(backend, cloud(0, 5), bounds=UNIT, shape=(2**24, 1, 1), reduce="count", splat="trilinear")


def test_cuda_equals_cpu(cupy):
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.2, 1.2, (3, 20_000, 3)).astype(np.float32)
    features = rng.normal(size=(3, 20_000, 4)).astype(np.float16)
    for options in ({"packed": True}, {"reduce": ("sum", "count", "mean"), "splat": "trilinear"},
                    {"reduce": "mean", "append": LAYERS}):  # fmt: skip
        how = {"bounds": UNIT, "shape": (17, 20, 39), "return_dropped": True, **options}
        cpu, lost = rc.voxel_grid(points, features, **how)
        gpu, gone = rc.voxel_grid(cupy.asarray(points), cupy.asarray(features), **how)
        assert bits(lost) == bits(gone.get())
        pairs = zip(cpu, gpu, strict=True) if isinstance(cpu, tuple) else [(cpu, gpu)]
        assert all(bits(a) == bits(b.get()) for a, b in pairs)


def test_plain_means_are_the_oracles():
    """The judge of layers rests on that of plain grids."""
    points = cloud(0, 30)
    want = plain.voxel_grid(points, kind="mean", shape=(2, 2, 2), origin=(0, 0, 0), size=(0.5, 0.5, 0.5))[0]
    got = oracle.peract(points, [points], ("index",), shape=(2, 2, 2), origin=(0, 0, 0), size=(0.5, 0.5, 0.5))
    assert bits(got[..., :3]) == bits(want)
