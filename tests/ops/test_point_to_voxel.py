"""point_to_voxel against the oracle, on each backend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops import voxel_strategies as make
from ops.voxel_strategies import bits, cloud
from oracles import hard_voxels as oracle

import robocache as rc
from robocache._core import errors


def run(backend, points, size, bounds=None, **options):
    given = {name: backend.to(value) for name, value in options.items()}
    return backend.np(rc.point_to_voxel(backend.to(points), size, bounds, **given))


SHAPES = (None, (3, 4, 5), (300, 2, 129))


@given(cloud=make.clouds(), order=st.sampled_from(("xyz", "zyx")), shape=st.sampled_from(SHAPES))
def test_one_cloud(backend, cloud, order, shape):
    points, size = cloud
    low = (0.0, 0.0, 0.0) if shape is None else tuple(-s for s in size)
    bounds = None if shape is None else (low, tuple(a + n * s for a, n, s in zip(low, shape, size, strict=True)))
    cells, numbers = oracle.cells_of(points, origin=low, size=size, shape=shape, order=order)
    assert bits(run(backend, points, size, bounds, coord_order=order)) == bits(cells)
    if shape is not None:
        assert bits(run(backend, points, size, bounds, coord_order=order, linear=True)) == bits(numbers)


@given(data=st.data())
def test_batches(backend, data):
    points, size = data.draw(make.clouds(dtypes=(np.float32, np.float64), most=30))
    if data.draw(st.booleans()):
        cuts = sorted(data.draw(st.lists(st.integers(0, len(points)), min_size=1, max_size=5)))
        extents = {"offsets": np.array(cuts, data.draw(st.sampled_from((np.int32, np.int64))))}
    else:
        points = np.stack([points, points[::-1]])
        extents = {"lengths": np.array(data.draw(st.lists(st.integers(0, points.shape[1]), min_size=2, max_size=2)))}
    bounds = tuple(-s for s in size), tuple(2 * s for s in size)
    cells, numbers = oracle.cells_of(points, origin=bounds[0], size=size, shape=(3, 3, 3), **extents)
    got = run(backend, points, size, bounds, **extents)
    assert bits(got) == bits(cells.reshape(points.shape[:-1] + (3,)))
    assert bits(run(backend, points, size, bounds, linear=True, **extents)) == bits(numbers.reshape(points.shape[:-1]))


def test_it_is_the_inverse_of_voxelize(backend):
    points = cloud(1, 5_000)
    bounds = (-3, -3, -3, 3, 3, 3)
    numbers = run(backend, points, 0.25, bounds, linear=True)
    found = rc.voxelize(backend.to(points), voxel_size=0.25, bounds=bounds)
    inverse, coords = backend.np(found.inverse), backend.np(found.coords).astype(np.int64)
    linear = (coords[:, 0] * 24 + coords[:, 1]) * 24 + coords[:, 2]
    assert np.array_equal(numbers, np.where(inverse < 0, -1, linear[inverse]))


def test_numbers_past_32_bits(backend):
    points = np.array([[1e4 - 0.01, 1e4 - 0.01, 1e4 - 0.01], [0, 0, 0]])
    got = run(backend, points, 0.02, (0, 0, 0, 1e4, 1e4, 1e4), linear=True)
    assert got.tolist() == [500_000**3 - 1, 0]


def test_strides_and_out(backend):
    wide = np.random.default_rng(0).normal(size=(5, 30, 6)).astype(np.float32)
    for view in (wide[::2, ::-1, :3], wide[..., 2:5], np.broadcast_to(wide[0, :, :3], (4, 30, 3))):
        want = run(backend, np.ascontiguousarray(view), 0.5)
        out = backend.to(np.zeros(view.shape, np.int32))
        assert rc.point_to_voxel(backend.to(view), 0.5, out=out) is out
        assert bits(backend.np(out)) == bits(want)


@pytest.mark.parametrize(
    "options, error, message",
    [
        ({"linear": True}, errors.ArgumentError, "needs bounds"),
        ({"voxel_size": 0}, errors.ArgumentError, "above zero"),
        ({"coord_order": "zxy"}, errors.ArgumentError, "coord_order"),
        ({"check": "maybe"}, errors.ArgumentError, "check"),
        ({"out": np.zeros((10, 3))}, errors.DTypeError, "out"),
        ({"out": np.zeros((9, 3), np.int32)}, errors.ShapeError, "out"),
        ({"lengths": np.array([3])}, errors.ShapeError, "lengths"),
        ({"linear": True, "voxel_size": 1e-6, "bounds": (-9, -9, -9, 9, 9, 9)}, errors.DataError, "2\\*\\*63"),
    ],
)
def test_wrong_calls(options, error, message):
    with pytest.raises(error, match=message):
        rc.point_to_voxel(**{"points": np.zeros((10, 3)), "voxel_size": 0.5, **options})
