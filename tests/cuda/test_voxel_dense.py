"""Contiguous points into dense grids: any alignment and length, cells' edges, counts gathered in shared memory."""

import itertools

import numpy as np
import pytest
from ops.voxel_strategies import POINT_TYPES, bits

from robocache.ops.voxel import voxel_grid

pytestmark = pytest.mark.cuda

KINDS = ("occupancy", "count")
BOUNDS = (-1.0, 0.3, 0.0, 2.0, 0.9, 0.7)


@pytest.fixture
def gather(monkeypatch):
    """Blocks of several steps."""
    from robocache.cuda import _points

    monkeypatch.setattr(_points, "resident", lambda device: 1)


def same(cupy, points, on_card=None, **options):
    """GPU and CPU agree in each grid and in the points left out; what the GPU writes to held something before."""
    shape = options["shape"]
    lead = points.shape[:-2] + (shape if isinstance(shape, tuple) else (shape,) * 3)
    on_card = cupy.asarray(points) if on_card is None else on_card
    for kinds in (KINDS, KINDS[:1], KINDS[1:]):
        want, lost = voxel_grid(points, reduce=kinds, return_dropped=True, **options)
        outs = tuple(cupy.full(lead, 77, np.int32 if kind == "count" else np.uint8) for kind in kinds)
        outs = tuple(out.view(np.bool_) if out.dtype == np.uint8 else out for out in outs)
        got, gone = voxel_grid(on_card, reduce=kinds, return_dropped=True, out=outs, **options)
        assert [bits(a.get()) for a in got] == [bits(a) for a in want], kinds
        assert bits(gone.get()) == bits(lost), kinds


def cloud(seed, *shape, dtype=np.float32):
    return np.random.default_rng(seed).uniform(-1.3, 2.1, (*shape, 3)).astype(dtype)


@pytest.mark.parametrize("dtype", POINT_TYPES, ids=lambda dtype: np.dtype(dtype).name)
def test_any_alignment_and_length(cupy, dtype):
    for start, count in itertools.product(range(9), (*range(1, 26, 3), 2051)):
        flat = cloud(start, count + 5, dtype=dtype).reshape(-1)
        part = slice(start, start + 3 * count)
        points, on_card = flat[part].reshape(-1, 3), cupy.asarray(flat)[part].reshape(-1, 3)
        same(cupy, points, on_card, bounds=BOUNDS, shape=(5, 4, 9))


@pytest.mark.parametrize("outside", ["drop", "clamp"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@np.errstate(over="ignore", invalid="ignore")
@pytest.mark.parametrize("size", [(0.1, 0.25, 0.3), (1e-3, 7.0, 1 / 3), (1e-20, 2e-30, 1e20), (9e29, 1e-31, 1e31)])
def test_edges_of_cells(cupy, dtype, size, outside):
    shape = (37, 20, 128)
    real = np.dtype(dtype).type
    low = (-3.3 * size[0], 0.0, 0.7 * size[2])
    edges = []
    for axis in range(3):
        at = np.arange(-3, shape[axis] + 4)
        whole = (real(low[axis]) + at.astype(dtype) * real(size[axis])).astype(dtype)
        near = [whole, np.nextafter(whole, real(-np.inf)), np.nextafter(whole, real(np.inf))]
        far = real(size[axis]) * real(2.0) ** np.array([-1, 0, 21, 22, 23, 24, 31, 32, 33, 51, 52, 53, 64], dtype)
        odd = np.array([0.0, -0.0, 1e-45, -1e-45, 1e-39, -1e-39, np.nan, np.inf, -np.inf, 3e38, -3e38], dtype)
        edges.append(np.concatenate([*near, far, -far, odd]))
    rng = np.random.default_rng(1)
    points = np.stack([rng.choice(edge, 20_000) for edge in edges], 1)
    middle = np.array([real(a + 5.5 * s) for a, s in zip(low, size, strict=True)])
    for axis in range(3):  # the other axes inside, so that this one decides
        points[axis * 5000 : (axis + 1) * 5000, [a for a in range(3) if a != axis]] = np.delete(middle, axis)
    bounds = (low, tuple(a + n * s for a, n, s in zip(low, shape, size, strict=True)))
    same(cupy, points, bounds=bounds, shape=shape, outside=outside)


@pytest.mark.parametrize("shape", [2, 40, 128])
def test_gathered_counts(cupy, gather, shape):
    """More cells than slots and fewer; crowded ones; neighbours that are equal, across threads too."""
    rng = np.random.default_rng(shape)
    spread = cloud(0, 30_011)
    crowded = np.repeat(spread[:900], rng.integers(1, 60, 900), 0)
    for points in (spread, crowded, np.full((50_001, 3), 0.35, np.float32)):
        same(cupy, points, bounds=BOUNDS, shape=shape)


def test_gathered_counts_are_those_of_bincount(cupy, gather):
    cells = np.random.default_rng(0).integers(0, 16, (40_003, 3))
    cells[::3] = 7
    points = cupy.asarray(cells.astype(np.float32) + 0.5)
    got = voxel_grid(points, bounds=(0, 0, 0, 16, 16, 16), shape=16, reduce="count")
    want = np.bincount(np.ravel_multi_index(cells.T, (16, 16, 16)), minlength=16**3)
    assert bits(got.get().reshape(-1)) == bits(want.astype(np.int32))


@pytest.mark.parametrize("batch, per", [(5, 1001), (300, 9), (64, 8), (41, 7), (70, 3), (2, 4096)])
def test_batches(cupy, gather, batch, per):
    for dtype in (np.float16, np.float32, np.float64):
        for outside in ("drop", "clamp"):
            same(cupy, cloud(batch, batch, per, dtype=dtype), bounds=BOUNDS, shape=(3, 7, 6), outside=outside)


@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("shape", [(4, 4, 4), (3, 3, 5)])
def test_occupancy_inside_words(cupy, gather, start, shape):
    """Bytes beside the grid stay, wherever it starts and ends."""
    memory, cells = cupy.full(80, True), int(np.prod(shape))
    out = memory[start : start + cells].reshape(shape)
    points = cloud(start, 5000) * np.float32(0.2)
    voxel_grid(cupy.asarray(points), bounds=BOUNDS, shape=shape, out=out)
    assert bits(out.get()) == bits(voxel_grid(points, bounds=BOUNDS, shape=shape))
    assert bool(memory[:start].all())
    assert bool(memory[start + cells :].all())


def test_calls_that_repeat(cupy):
    """A replay knows the alignment it was made for."""
    memory = cupy.asarray(cloud(1, 3000).reshape(-1))
    for start, kind in itertools.product((0, 1, 2, 3, 4, 0, 1), KINDS):
        points = memory[start : start + 6000].reshape(-1, 3)
        got = voxel_grid(points, bounds=BOUNDS, shape=6, reduce=kind)
        assert bits(got.get()) == bits(voxel_grid(points.get(), bounds=BOUNDS, shape=6, reduce=kind))


@pytest.mark.parametrize("shape", [(2047, 1024, 1024), (2048, 1024, 1024), (2, 1024, (1 << 20) - 1), (3, 2, 1 << 21)])
def test_about_2_31_cells(cupy, shape):
    if cupy.cuda.runtime.memGetInfo()[0] < 6 << 30:
        pytest.skip("needs 6 GiB")
    corners = np.array(list(itertools.product(*((0, n // 2, n - 1) for n in shape))))
    points = np.repeat(corners + 0.5, 3, 0)
    out = voxel_grid(cupy.asarray(points), bounds=((0, 0, 0), shape), shape=shape).reshape(-1)
    ids = np.unique(np.ravel_multi_index(corners.T, shape))
    assert int(cupy.count_nonzero(out)) == len(ids)
    assert all(bool(out[i]) for i in ids.tolist())
