"""voxel_grid against the oracle, on each backend."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ops import voxel_strategies as make
from ops.voxel_strategies import bits
from oracles import voxel as oracle

from robocache._core import errors
from robocache.ops.voxel import voxel_grid, voxelize_point_cloud

UNIT = (0, 0, 0, 1, 1, 1)
DENSE = ("occupancy", "count", "density")
REDUCED = ("mean", "sum", "max", "min")


def run(backend, points, features=None, **options):
    """voxel_grid on a backend, everything back in NumPy."""
    extents = {name: backend.to(options.pop(name)) for name in ("lengths", "offsets") if name in options}
    found = voxel_grid(backend.to(points), None if features is None else backend.to(features), **extents, **options)
    return _to_numpy(backend, found)


def _to_numpy(backend, found):
    return tuple(_to_numpy(backend, part) for part in found) if isinstance(found, tuple) else backend.np(found)


def cloud(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).uniform(-0.1, 1.1, (*shape, 3)).astype(dtype)


@given(cloud=make.clouds(), clamp=st.booleans(), data=st.data())
def test_single_cloud(backend, cloud, clamp, data):
    points, size = cloud
    shape = data.draw(st.sampled_from(((1, 1, 1), (2, 3, 4), (5, 1, 2))))
    kind = data.draw(st.sampled_from(DENSE + REDUCED))
    low = tuple(-s for s in size)
    bounds = (low, tuple(a + n * s for a, n, s in zip(low, shape, size, strict=True)))
    fill = data.draw(st.sampled_from((0, -7, 1.5, np.nan)))
    want, dropped = oracle.voxel_grid(points, kind=kind, shape=shape, fill=fill, origin=low, size=size, clamp=clamp)
    outside = "clamp" if clamp else "drop"
    got, lost = run(
        backend, points, bounds=bounds, voxel_size=size, reduce=kind, fill=fill, outside=outside, return_dropped=True
    )
    assert bits(got) == bits(want[0])
    assert lost.shape == ()
    assert lost == dropped[0]


@given(data=st.data())
def test_batches_and_features(backend, data):
    batch, per = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 9))
    points = cloud(data.draw(st.integers(0, 5)), batch, per)
    features = data.draw(make.features(batch * per)).reshape(batch, per, 2)
    lengths = np.array(data.draw(st.lists(st.integers(0, per), min_size=batch, max_size=batch)), np.int64)
    kinds = tuple(data.draw(st.lists(st.sampled_from(DENSE + REDUCED), min_size=1, unique=True)))
    grid = {"origin": (0, 0, 0), "size": (1 / 2, 1 / 4, 1.0), "shape": (2, 4, 1)}
    fill = 1
    packed = data.draw(st.booleans())
    if packed:
        points, features = points.reshape(-1, 3), features.reshape(-1, 2)
        cuts = st.lists(st.integers(0, len(points)), min_size=1, max_size=4)
        extents = {"offsets": np.array(sorted(data.draw(cuts)), np.int32)}
    else:
        extents = {"lengths": lengths} if data.draw(st.booleans()) else {}
    first = data.draw(st.booleans())
    got, lost = run(
        backend, points, features, bounds=UNIT, shape=(2, 4, 1), reduce=kinds, fill=fill, return_dropped=True,
        channels="first" if first else "last", **extents,
    )  # fmt: skip
    for kind, result in zip(kinds, got, strict=True):
        want, dropped = oracle.voxel_grid(points, features, kind=kind, fill=fill, **grid, **extents)
        if kind in REDUCED and first:
            want = np.moveaxis(want, -1, 1)
        assert bits(result) == bits(want), kind
        assert bits(lost) == bits(dropped)


def test_negative_maxima_and_fill(backend):
    points = np.array([[0.1, 0.1, 0.1], [0.1, 0.1, 0.2]], np.float32)
    got = run(backend, points, np.array([-3.0, -2.0], np.float32), bounds=UNIT, shape=(1, 1, 2), reduce="max", fill=9)
    assert got.tolist() == [[[-2.0, 9.0]]]


def test_shape_and_voxel_size_agree_and_cells_need_not_be_cubes(backend):
    points = cloud(0, 500)
    got = run(backend, points, bounds=((0, 0, 0), (1, 1, 1)), shape=(2, 5, 10), reduce="count")
    assert bits(got) == bits(run(backend, points, bounds=UNIT, voxel_size=(0.5, 0.2, 0.1), reduce="count"))
    assert got.shape == (2, 5, 10)
    assert got.sum() == ((points >= 0) & (points < 1)).all(1).sum()


def test_occupancy_is_where_there_are_points(backend):
    points = cloud(0, 200)
    assert bits(run(backend, points, bounds=UNIT, shape=4)) == bits(
        run(backend, points, bounds=UNIT, shape=4, reduce="count") > 0
    )


def test_many_points_a_cell(backend):
    points = np.full((70_000, 3), 0.5, np.float32)
    features = np.linspace(-1, 1, 70_000).astype(np.float32)
    count, mean, top = run(backend, points, features, bounds=UNIT, shape=1, reduce=("count", "mean", "max"))
    assert count.item() == 70_000
    assert top.item() == 1
    assert abs(mean.item()) < 1e-9


def test_clouds_without_points(backend):
    for points in (np.zeros((0, 3), np.float32), np.zeros((2, 0, 3), np.float32), np.zeros((0, 4, 3), np.float32)):
        leading = points.shape[:-2]
        for kind in DENSE:
            got = run(backend, points, bounds=UNIT, shape=2, reduce=kind)
            assert got.shape == (*leading, 2, 2, 2)
            assert not got.any()
        got = run(backend, points, bounds=UNIT, shape=2, reduce="mean", fill=-1)
        assert got.shape == (*leading, 2, 2, 2, 3)
        assert (got == -1).all()


def test_no_clouds_but_points(backend):
    for kind, tail in (("count", ()), ("density", ()), ("mean", (3,))):
        got = run(backend, cloud(0, 7), offsets=np.array([2]), bounds=UNIT, shape=2, reduce=kind)
        assert got.shape == (0, 2, 2, 2, *tail)


def test_strided_batch(backend):
    wide = np.random.default_rng(0).uniform(0, 1, (4, 30, 7)).astype(np.float32)
    for view in (wide[::-1, ::2, :3], wide[..., 1:6:2], np.broadcast_to(wide[1, :, :4], (3, 30, 4))):
        want = run(backend, np.ascontiguousarray(view), bounds=UNIT, shape=3, reduce=("count", "mean"))
        got = run(backend, view, bounds=UNIT, shape=3, reduce=("count", "mean"))
        assert [bits(a) for a in got] == [bits(a) for a in want]


def test_out_is_written_and_returned(backend):
    points = cloud(0, 50)
    for kind, dtype, tail in (("occupancy", np.bool_, ()), ("count", np.int32, ()), ("density", np.float32, ()),
                              ("mean", np.float32, (3,))):  # fmt: skip
        out = backend.to(np.full((2, 2, 2, *tail), 77).astype(dtype))
        assert voxel_grid(backend.to(points), bounds=UNIT, shape=2, reduce=kind, out=out) is out
        assert bits(backend.np(out)) == bits(run(backend, points, bounds=UNIT, shape=2, reduce=kind))
    outs = (backend.to(np.full((2, 2, 2), 7, np.int32)), backend.to(np.full((2, 2, 2), 7, np.float32)))
    found = voxel_grid(backend.to(points), bounds=UNIT, shape=2, reduce=("count", "density"), out=outs)
    assert found[0] is outs[0]
    assert found[1] is outs[1]
    want = run(backend, points, bounds=UNIT, shape=2, reduce=("count", "density"))
    assert [bits(backend.np(o)) for o in outs] == [bits(w) for w in want]


def test_out_that_overlaps_what_is_read_is_refused(backend):
    memory = backend.to(np.zeros(100, np.float32))
    points, grid = memory[:60].reshape(20, 3), backend.to(np.zeros((2, 2, 2), np.int32))
    over = memory[56:64].view(np.int32).reshape(2, 2, 2)
    apart = memory[60:68].view(np.int32).reshape(2, 2, 2)
    for _ in range(2):  # the second call may be a replay
        assert voxel_grid(points, bounds=UNIT, shape=2, reduce="count", out=apart) is apart
        assert int(apart[0, 0, 0]) == 20
        with pytest.raises(errors.ArgumentError, match="out overlaps points"):
            voxel_grid(points, bounds=UNIT, shape=2, reduce="count", out=over)
    place = memory[71:72].reshape(1, 1, 1)
    with pytest.raises(errors.ArgumentError, match="out overlaps features"):
        voxel_grid(points[:2], memory[70:72], bounds=UNIT, shape=1, reduce="sum", out=place)
    with pytest.raises(errors.ArgumentError, match=r"out\[0\] overlaps out\[1\]"):
        voxel_grid(points, bounds=UNIT, shape=2, reduce=("count", "density"), out=(grid, grid.view(np.float32)))


@pytest.mark.parametrize("out, error, message", [
    (np.zeros((2, 2, 3), np.bool_), errors.ShapeError, r"out has shape \(2, 2, 3\); expected \(2, 2, 2\)"),
    (np.zeros((2, 2, 2), np.int32), errors.DTypeError, "out has dtype int32"),
    (np.zeros((2, 2, 4), np.bool_)[..., ::2], errors.ArgumentError, "not C-contiguous"),
    ((np.zeros((2, 2, 2), np.bool_),) * 2, errors.ArgumentError, "must be an array, not tuple"),
])  # fmt: skip
def test_bad_out(backend, out, error, message):
    out = tuple(map(backend.to, out)) if isinstance(out, tuple) else backend.to(out)
    with pytest.raises(error, match=message):
        voxel_grid(backend.to(cloud(0, 5)), bounds=UNIT, shape=2, out=out)


def test_too_large_a_grid_is_refused_before_it_is_made(backend):
    with pytest.raises(errors.MemoryLimitError, match=r"\(100000, 100000, 100000\) needs 931322\.6 GiB"):
        run(backend, cloud(0, 5), bounds=UNIT, shape=100_000)
    with pytest.raises(errors.MemoryLimitError, match="GiB are free"):
        run(backend, cloud(0, 5), bounds=UNIT, shape=2**30, reduce="mean")


BAD = [
    ({"shape": None}, errors.ArgumentError, "exactly one of voxel_size and shape"),
    ({"voxel_size": 0.5}, errors.ArgumentError, "exactly one of voxel_size and shape"),
    ({"bounds": None}, errors.ArgumentError, "needs bounds"),
    ({"shape": 0}, errors.ArgumentError, "shape=0 needs"),
    ({"shape": (1, 2)}, errors.ArgumentError, "needs one or three whole numbers"),
    ({"shape": 2.5}, errors.ArgumentError, "shape=2.5 needs"),
    ({"channels": "middle"}, errors.ArgumentError, "channels='middle'"),
    ({"reduce": "first"}, errors.ArgumentError, "reduce='first'"),
    ({"reduce": "mean", "fill": "nothing"}, errors.ArgumentError, "is not a number"),
    ({"reduce": ("count", "mean"), "out": np.zeros((2, 2, 2), np.int32)}, errors.ArgumentError, "out holds 1 arrays"),
]


@pytest.mark.parametrize("options, error, message", BAD)
def test_bad_arguments(backend, options, error, message):
    with pytest.raises(error, match=message):
        voxel_grid(backend.to(cloud(0, 5)), **{"bounds": UNIT, "shape": 2, **options})


@pytest.mark.parametrize("dtype, fill", [(np.uint8, -1), (np.uint8, 0.5), (np.int8, 128), (np.bool_, 2)])
def test_fill_must_fit_integers(backend, dtype, fill):
    with pytest.raises(errors.ArgumentError, match="does not fit the result's dtype"):
        run(backend, cloud(0, 5), np.zeros(5, dtype), bounds=UNIT, shape=2, reduce="max", fill=fill)


def test_outside_raise(backend):
    points = np.array([[0.5, 0.5, 0.5], [0.5, 0.5, 1.0], [np.inf, 0, 0]], np.float32)
    with pytest.raises(errors.DataError, match="2 points lie outside"):
        run(backend, points, bounds=UNIT, shape=2, outside="raise")
    assert run(backend, points[:1], bounds=UNIT, shape=2, outside="raise").sum() == 1


def test_bounds_may_be_lists_or_arrays(backend):
    points = cloud(0, 50)
    want = bits(run(backend, points, bounds=UNIT, voxel_size=0.25))
    for bounds in (list(UNIT), np.array(UNIT), [[0, 0, 0], [1, 1, 1]], np.array([[0, 0, 0], [1, 1, 1]])):
        assert bits(run(backend, points, bounds=bounds, voxel_size=[0.25, 0.25, 0.25])) == want


def test_roadmap_name():
    assert voxelize_point_cloud is voxel_grid


def test_grid_and_set_agree(backend):
    from robocache.ops.voxel import voxelize

    points = cloud(3, 2, 400)
    dense = run(backend, points, bounds=UNIT, voxel_size=0.25, reduce="mean")
    found = voxelize(backend.to(points), bounds=UNIT, voxel_size=0.25)
    coords, starts = backend.np(found.coords), backend.np(found.offsets)
    which = np.repeat([0, 1], np.diff(starts))
    assert bits(dense[(which, *coords.T)]) == bits(backend.np(found.features))


def test_cuda_equals_cpu(cupy):
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.2, 1.2, (3, 60_000, 3)).astype(np.float32)
    features = rng.normal(size=(3, 60_000, 4)).astype(np.float16)
    kinds = DENSE + REDUCED
    options = {"bounds": UNIT, "shape": (17, 20, 9), "reduce": kinds, "return_dropped": True, "fill": np.nan}
    cpu, lost = voxel_grid(points, features, **options)
    gpu, gone = voxel_grid(cupy.asarray(points), cupy.asarray(features), **options)
    assert bits(lost) == bits(gone.get())
    for kind, a, b in zip(kinds, cpu, gpu, strict=True):
        assert bits(a) == bits(b.get()), kind


def test_torch_in_torch_out():
    torch = pytest.importorskip("torch")
    points = torch.from_numpy(cloud(0, 2, 60))
    out = torch.full((2, 4, 4, 4), 5, dtype=torch.int32)
    assert voxel_grid(points, bounds=UNIT, shape=4, reduce="count", out=out) is out
    occupied = voxel_grid(points, bounds=UNIT, shape=4)
    assert occupied.dtype == torch.bool
    assert torch.equal(occupied, out > 0)


def test_jax_in_jax_out():
    jax = pytest.importorskip("jax")
    points = cloud(0, 60)
    found = voxel_grid(jax.numpy.asarray(points), bounds=UNIT, shape=4, reduce="mean")
    assert isinstance(found, jax.Array)
    assert bits(np.asarray(found)) == bits(voxel_grid(points, bounds=UNIT, shape=4, reduce="mean"))
