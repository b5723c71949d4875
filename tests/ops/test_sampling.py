"""farthest_point_sample against the definition, on each backend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops import voxel_strategies as make
from oracles import farthest as oracle

import robocache as rc
from robocache._core import errors

KINDS = (*make.POINT_TYPES,)


def run(backend, points, k, **options):
    for name in ("lengths", "offsets", "start"):
        if name in options:
            options[name] = backend.to(options[name])
    found = backend.np(rc.farthest_point_sample(backend.to(points), k, check="strict", **options))
    assert found.dtype == np.int64
    return found


def cloud(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).uniform(-1, 1, (*shape, 3)).astype(dtype)


def vanilla(points, k, start=0):
    """The definition by whole arrays, for clouds too large for the oracle."""
    real = points.dtype if points.dtype == np.float64 else np.float32
    points = points[:, :3].astype(real)
    nearest = np.where(np.isfinite(points).all(1), np.inf, -1.0).astype(real)
    points = np.nan_to_num(points, nan=0, posinf=0, neginf=0)
    chosen = [start if nearest[start] > 0 else int(np.argmax(nearest > 0))]
    while len(chosen) < k:
        dx, dy, dz = (points - points[chosen[-1]]).T
        nearest = np.minimum(nearest, (dx * dx + dy * dy) + dz * dz)
        nearest[chosen[-1]] = -1
        chosen.append(int(np.argmax(nearest)))
    return chosen


@given(cloud=make.clouds(channels=4), k=st.integers(0, 40), pad=st.sampled_from(("repeat", -1)), data=st.data())
def test_single_cloud(backend, cloud, k, pad, data):
    points, _ = cloud
    start = data.draw(st.integers(0, max(0, len(points) - 1)))
    want = oracle.padded(oracle.picks(points, k, start), k, pad)
    if want is None and k:
        with pytest.raises(errors.DataError, match="pad=-1"):
            run(backend, points, k, start=start, pad=pad)
    else:
        assert run(backend, points, k, start=start, pad=pad).tolist() == (want or [])


@given(data=st.data())
def test_batches(backend, data):
    batch, per, k = data.draw(st.integers(0, 3)), data.draw(st.integers(1, 9)), data.draw(st.integers(0, 12))
    points = cloud(data.draw(st.integers(0, 9)), batch, per, dtype=data.draw(st.sampled_from(KINDS)))
    if batch and data.draw(st.booleans()):
        points[0, 0, 1] = np.nan
    way, extents = data.draw(st.sampled_from(("whole", "lengths", "offsets"))), {}
    kind = data.draw(st.sampled_from((np.int32, np.int64)))
    clouds, firsts = list(points), [0] * batch
    if way == "lengths":
        cut = data.draw(st.lists(st.integers(0, per), min_size=batch, max_size=batch))
        extents, clouds = {"lengths": np.array(cut, kind)}, [c[:n] for c, n in zip(points, cut, strict=True)]
    elif way == "offsets":
        points = points.reshape(-1, 3)
        cuts = sorted(data.draw(st.lists(st.integers(0, len(points)), min_size=1, max_size=4)))
        extents, clouds = {"offsets": np.array(cuts, kind)}, [points[a:b] for a, b in zip(cuts, cuts[1:])]
        firsts = cuts[:-1]
    starts = [data.draw(st.integers(0, max(0, len(c) - 1))) for c in clouds]
    want = [oracle.padded(oracle.picks(c, k, s), k, -1) for c, s in zip(clouds, starts, strict=True)]
    want = [[i + f if i >= 0 else -1 for i in row] for row, f in zip(want, firsts, strict=True)]
    got = run(backend, points, k, start=np.array(starts, kind).reshape(len(clouds)), pad=-1, **extents)
    assert got.shape == (len(clouds), k)
    assert got.tolist() == want


@pytest.mark.parametrize("count", [1, 2, 63, 193, 1000, 1023, 4097])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_many_points(backend, count, dtype):
    points = cloud(count, count, dtype=dtype)
    for k in (min(count, 40), min(count, 300)):
        assert run(backend, points, k, start=count // 2).tolist() == vanilla(points, k, count // 2)


def test_ties_and_copies_go_to_the_lowest_index(backend):
    sides = np.array(np.meshgrid(*[np.arange(6.0)] * 3, indexing="ij"), np.float32).reshape(3, -1).T
    for points in (sides, np.repeat(sides, 3, 0), np.random.default_rng(0).permutation(np.repeat(sides, 2, 0))):
        for k in (50, len(points)):
            got = run(backend, points, k)
            assert got.tolist() == vanilla(points, k)
            assert len(set(got.tolist())) == k
    same = np.zeros((700, 3), np.float32)
    assert run(backend, same, 700, start=3).tolist() == [3, *(i for i in range(700) if i != 3)]


@pytest.mark.parametrize("points", [
    (cloud(0, 3000, dtype=np.float64) * 0.01 + (4e6, 5e5, 100)).astype(np.float64),
    (cloud(1, 3000) * 50 + np.float32(4e6)).astype(np.float32),
    (cloud(2, 3000, dtype=np.float64) ** 41 * 3e38).astype(np.float32),
    (np.sign(cloud(3, 3000)) * np.float32(2e30) * (1 + cloud(4, 3000))).astype(np.float32),
    cloud(5, 3000, dtype=np.float64) ** 25 * 1e-40,
    (cloud(6, 3000) * np.float32(1e-22)).astype(np.float32),
], ids=["utm64", "utm32", "powers", "overflow", "tiny64", "subnormal squares"])  # fmt: skip
def test_hostile_extents(backend, points):
    with np.errstate(over="ignore"):
        assert run(backend, points, 200).tolist() == vanilla(points, 200)


def test_points_that_are_not_finite(backend):
    points = cloud(0, 500)
    points[::3, 0], points[1::7, 1], points[2::11, 2] = np.nan, np.inf, -np.inf
    good = np.flatnonzero(np.isfinite(points).all(1))
    got = run(backend, points, 600)
    assert got[: len(good)].tolist() == vanilla(points, len(good))
    assert got[0] == good[0]
    assert sorted(got[: len(good)].tolist()) == good.tolist()
    assert got[len(good) :].tolist() == got[: 600 - len(good)].tolist()


def test_features_beside_xyz_do_not_count(backend):
    wide = np.random.default_rng(0).uniform(-1, 1, (2, 400, 6)).astype(np.float32)
    wide[:, :, 3:] = np.nan
    want = run(backend, np.ascontiguousarray(wide[..., :3]), 50)
    assert run(backend, wide, 50).tolist() == want.tolist()
    assert run(backend, wide[..., :3], 50).tolist() == want.tolist()
    flipped = run(backend, wide[:, ::-1], 50, start=399)
    assert (399 - flipped).tolist() == want.tolist()


def test_out_is_written_and_returned(backend):
    points, out = backend.to(cloud(0, 2, 30)), backend.to(np.full((2, 5), 7))
    assert rc.farthest_point_sample(points, 5, out=out) is out
    assert backend.np(out).tolist() == run(backend, cloud(0, 2, 30), 5).tolist()


def test_a_start_outside_of_its_cloud(backend):
    points = cloud(0, 2, 5)
    with pytest.raises(errors.ArgumentError, match="start=5 but no cloud has more than 5"):
        run(backend, points, 2, start=5)
    message = "start is 3 but cloud 1 has 2" if backend.name == "cpu" else "positions or indices lie outside"
    with pytest.raises(errors.DataError, match=message):
        run(backend, points, 2, start=3, lengths=np.array([4, 2]))
    with pytest.raises(errors.DataError, match="start is -1" if backend.name == "cpu" else message):
        run(backend, points, 2, start=np.array([-1, 0]))


def test_nothing_to_repeat(backend):
    message = "cloud 1 has no finite point" if backend.name == "cpu" else "no finite point to repeat"
    for lengths, points in (([3, 0], cloud(0, 2, 3)), ([3, 3], np.array([cloud(0, 3), np.full((3, 3), np.nan)]))):
        with pytest.raises(errors.DataError, match=message):
            run(backend, points, 2, lengths=np.array(lengths))
        assert run(backend, points, 2, lengths=np.array(lengths), pad=-1)[1].tolist() == [-1, -1]
    for points in (np.zeros((0, 3), np.float32), np.zeros((2, 0, 3), np.float32)):
        with pytest.raises(errors.DataError, match="no points to repeat"):
            run(backend, points, 1)
        assert (run(backend, points, 2, pad=-1) == -1).all()
        assert run(backend, points, 0).shape == (*points.shape[:-2], 0)


@pytest.mark.parametrize("points, options, error, message", [
    (np.zeros((4, 2), np.float32), {}, errors.ShapeError, "must hold x, y, z"),
    (np.zeros((4, 3), np.int32), {}, errors.DTypeError, "Cast them to float32"),
    (np.zeros((4, 3), np.float32), {"k": -1}, errors.ArgumentError, "k=-1"),
    (np.zeros((4, 3), np.float32), {"k": 1.5}, errors.ArgumentError, "k=1.5"),
    (np.zeros((4, 3), np.float32), {"pad": 0}, errors.ArgumentError, "pad=0"),
    (np.zeros((4, 3), np.float32), {"pad": "zero"}, errors.ArgumentError, "pad='zero'"),
    (np.zeros((4, 3), np.float32), {"start": np.zeros(2, np.int64)}, errors.ShapeError, "one for each of the clouds"),
    (np.zeros((4, 3), np.float32), {"start": np.zeros(1)}, errors.DTypeError, "start has dtype float64"),
    (np.zeros((2, 4, 3), np.float32), {"offsets": np.array([0, 4])}, errors.ShapeError, "packed points"),
    (np.zeros((4, 3), np.float32), {"out": np.zeros(2, np.int32)}, errors.DTypeError, "out has dtype int32"),
])  # fmt: skip
def test_bad_arguments(backend, points, options, error, message):
    options = {name: backend.to(value) for name, value in options.items()}
    with pytest.raises(error, match=message):
        rc.farthest_point_sample(backend.to(points), **{"k": 2, **options})


def test_extents_outside_of_the_array(backend):
    message = "does not lie within" if backend.name == "cpu" else "lengths or offsets point outside"
    with pytest.raises(errors.DataError, match=message):
        run(backend, cloud(0, 2, 3), 2, lengths=np.array([2, 9]))


def test_cuda_equals_cpu(cupy):
    rng = np.random.default_rng(0)
    for shape in ((3, 16_384), (1, 16_385), (2, 60_000), (40, 900), (1, 300_001)):
        points = (rng.normal(size=(*shape, 3)) * (5, 1, 0.2)).astype(np.float32)
        points[:, ::17] = np.nan
        want = rc.farthest_point_sample(points, 513)
        assert rc.farthest_point_sample(cupy.asarray(points), 513, check="strict").get().tolist() == want.tolist()
