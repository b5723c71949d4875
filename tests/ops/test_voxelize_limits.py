"""voxelize at its limits: rows that run out, points outside, wrong arguments."""

import warnings

import numpy as np
import pytest
from ops.voxel_strategies import bits, cloud, run

from robocache._core import errors
from robocache.ops.voxel import voxelize


@pytest.mark.parametrize("order", ["sorted", "first"])
@pytest.mark.parametrize("batch", [False, True])
def test_max_voxels(backend, order, batch):
    points = cloud(2, 600).reshape((3, 200, 3) if batch else (600, 3))
    full = run(backend, points, voxel_size=2.0, order=order)
    count = len(full["counts"])
    for limit in (count + 70, count, 700):
        got = run(backend, points, voxel_size=2.0, order=order, max_voxels=limit)
        assert got["num_voxels"] == got["found"] == count
        for name in ("coords", "counts", "features"):
            assert bits(got[name][:count]) == bits(full[name])
        assert (got["coords"][count:] == -1).all()
        assert not got["counts"][count:].any()
        assert not got["features"][count:].any()
        for name in ("inverse", "offsets", "dropped"):
            assert bits(got[name]) == bits(full[name])


@pytest.mark.parametrize("order", ["sorted", "first"])
@pytest.mark.parametrize("limit", [0, 1, 17])
def test_too_few_rows_are_reported(backend, order, limit):
    points = cloud(2, 600).reshape(3, 200, 3)
    full = run(backend, points, voxel_size=2.0, order=order)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        got = run(backend, points, voxel_size=2.0, order=order, max_voxels=limit)  # reading it waits for the GPU
        run(backend, points[:0], voxel_size=2.0)  # a fault on a GPU shows at the next call
    assert [w.category for w in caught] == [errors.DataWarning]
    assert "max_voxels" in str(caught[0].message)
    assert got["num_voxels"] == limit
    assert got["found"] == len(full["counts"])
    for name in ("coords", "counts", "features"):
        assert bits(got[name]) == bits(full[name][:limit])
    assert bits(got["inverse"]) == bits(np.where(full["inverse"] < limit, full["inverse"], -1))
    assert bits(got["offsets"]) == bits(np.minimum(full["offsets"], limit))
    with pytest.raises(errors.DataError, match="max_voxels"):
        run(backend, points, voxel_size=2.0, max_voxels=limit, check="strict")


def test_outside_raise(backend):
    points = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.0], [np.nan, 0, 0]], np.float32)
    with pytest.raises(errors.DataError, match="2 points lie outside"):
        run(backend, points, voxel_size=0.5, bounds=(0, 0, 0, 1, 1, 1), outside="raise")
    assert run(backend, points[:1], voxel_size=0.5, bounds=(0, 0, 0, 1, 1, 1), outside="raise")["counts"].tolist() == [
        1
    ]


def test_cells_past_int32_are_dropped(backend):
    points = np.array([[2.0**31, 0, 0], [2.0**31 - 1, 0, 0], [-(2.0**31), 0, 0], [-(2.0**31) - 1, 0, 0]])
    got = run(backend, points, voxel_size=1.0)
    assert got["coords"].tolist() == [[-(2**31), 0, 0], [2**31 - 1, 0, 0]]
    assert got["dropped"] == 2


def test_too_many_cells(backend):
    points = np.array([[-2e9, -2e9, -2e9], [2e9, 2e9, 2e9]])
    with pytest.raises(errors.DataError, match=r"2\*\*63 cells"):
        run(backend, points, voxel_size=1.0)
    with pytest.raises(errors.DataError, match=r"2\*\*63 cells"):
        run(backend, points, voxel_size=1.0, max_voxels=4, check="strict")
    with pytest.raises(errors.DataError, match=r"2\*\*63 cells"):
        run(backend, points, voxel_size=1e-3, bounds=(0, 0, 0, 2.0**21, 2.0**21, 2.0**21))


@pytest.mark.parametrize("bounds", [None, (0, 0, 0, 1, 1, 1)])
def test_points_that_are_nobodys(backend, bounds):
    points = cloud(0, 9, spread=1.0)
    for offsets in ([4], [9], [3, 3], [9, 9, 9]):
        got = run(backend, points, offsets=np.array(offsets), voxel_size=0.5, bounds=bounds)
        assert got["coords"].shape == (0, 3)
        assert (got["inverse"] == -1).all()
        assert got["offsets"].tolist() == [0] * len(offsets)
        assert got["dropped"].tolist() == [0] * (len(offsets) - 1)


def test_bad_extents(backend):
    points = cloud(0, 12).reshape(2, 6, 3)
    for name, bad in (("lengths", [3, 7]), ("lengths", [-1, 2]), ("offsets", [0, 9, 4]), ("offsets", [-1, 5, 12]),
                      ("offsets", [0, 5, 13])):  # fmt: skip
        given_points = points if name == "lengths" else points.reshape(12, 3)
        with pytest.raises(errors.DataError, match=r"lengths|offsets"):
            run(backend, given_points, **{name: np.array(bad)}, check="strict")


BAD = [
    ({"points": np.zeros((3, 2), np.float32)}, errors.ShapeError, "x, y, z"),
    ({"points": np.zeros(3, np.float32)}, errors.ShapeError, r"\[N, C\] or \[B, N, C\]"),
    ({"points": np.zeros((3, 3), np.int32)}, errors.DTypeError, "points has dtype int32"),
    ({"voxel_size": 0}, errors.ArgumentError, "voxel_size=0 must be above zero"),
    ({"voxel_size": (1, 2)}, errors.ArgumentError, "needs one number or three"),
    ({"voxel_size": np.nan}, errors.ArgumentError, "must be finite"),
    ({"voxel_size": 1e-60}, errors.ArgumentError, "zero in float32"),
    ({"origin": 1e60}, errors.ArgumentError, "overflows float32"),
    ({"bounds": (0, 0, 0, 1, 1)}, errors.ArgumentError, "six numbers"),
    ({"bounds": (0, 0, 0, 1, 1, 0)}, errors.ArgumentError, "below the last three"),
    ({"bounds": (0, 0, 0, 1, 1, 1), "voxel_size": 0.3}, errors.ArgumentError, "whole number"),
    ({"bounds": (0, 0, 0, 1, 1, 1), "origin": 1}, errors.ArgumentError, "lower bound is the origin"),
    ({"bounds": (0, 0, 0, 1e9, 1, 1), "voxel_size": (0.1, 1, 1)}, errors.ArgumentError, "coordinates are int32"),
    ({"outside": "clamp"}, errors.ArgumentError, "needs bounds"),
    ({"outside": "keep"}, errors.ArgumentError, "outside='keep'"),
    ({"order": "random"}, errors.ArgumentError, "order='random'"),
    ({"check": "never"}, errors.ArgumentError, "check='never'"),
    ({"reduce": "median"}, errors.ArgumentError, "reduce='median'"),
    ({"reduce": ("sum", "sum")}, errors.ArgumentError, "each once"),
    ({"max_voxels": -1}, errors.ArgumentError, "max_voxels=-1"),
    ({"features": np.zeros(4)}, errors.ShapeError, r"features has shape \(4,\)"),
    ({"features": np.zeros((5, 2), complex)}, errors.DTypeError, "features has dtype complex128"),
    ({"lengths": np.zeros(5, np.int64)}, errors.ShapeError, r"expected \[B\] beside"),
    ({"offsets": np.zeros(0, np.int64)}, errors.ShapeError, "one entry more"),
    ({"offsets": np.zeros(2, np.float32)}, errors.DTypeError, "offsets has dtype float32"),
    ({"offsets": np.zeros(2, np.int64), "lengths": np.zeros(5, np.int64)}, errors.ArgumentError, "exclude each other"),
]


@pytest.mark.parametrize("options, error, message", BAD)
def test_bad_arguments(backend, options, error, message):
    arguments = {"points": np.zeros((5, 3), np.float32), **options}
    arrays = ("points", "features", "lengths", "offsets")
    with pytest.raises(error, match=message):
        voxelize(**{k: backend.to(v) if k in arrays else v for k, v in arguments.items()})


def test_more_points_than_a_call_takes(backend):
    point = backend.to(np.zeros((1, 3), np.float32))
    many = backend.xp.broadcast_to(point, (1 << 31, 3))
    with pytest.raises(errors.ShapeError, match=r"2147483648 points; one call takes fewer than 2\*\*31"):
        voxelize(many)
