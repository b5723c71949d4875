"""Memory that calls share from launch to launch: whose it is, and how a launch leaves it."""

from typing import Any

import numpy as np
import pytest
import tolerances

import robocache as rc

pytestmark = pytest.mark.cuda
UNIT = (0, 0, 0, 1, 1, 1)


def cloud(seed: int, count: int = 3000) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.1, 1.1, (count, 3)).astype(np.float32)


def test_a_dropped_stream_leaves_its_memory_to_nobody(cupy: Any) -> None:
    """CUDA hands out the handle of a stream that is gone again, while its work may still be under way."""
    points = [cupy.asarray(cloud(k)) for k in range(6)]
    features = [cupy.asarray(cloud(k + 9)) for k in range(6)]
    cupy.cuda.Device().synchronize()
    slow = cupy.zeros(1 << 26, np.float32)
    handles, results = [], []
    for p, f in zip(points, features, strict=True):
        stream = cupy.cuda.Stream(non_blocking=True)
        with stream:
            slow += 1  # so that streams overlap
            results.append(rc.voxel_grid(p, f, bounds=UNIT, shape=16, reduce="mean"))
        handles.append(stream.ptr)
        del stream
    cupy.cuda.Device().synchronize()
    assert len(set(handles)) == len(handles)
    for p, f, result in zip(points, features, results, strict=True):
        want = rc.voxel_grid(p.get(), f.get(), bounds=UNIT, shape=16, reduce="mean")
        assert tolerances.same_bits(result.get(), want)


def test_calls_of_every_kind_in_turn(cupy: Any) -> None:
    """Each leaves its state as the next one, with other blocks, boxes and kinds, wants it."""
    rng = np.random.default_rng(3)
    for turn in range(12):
        points = cloud(turn, int(rng.integers(1, 5000))) * float(rng.choice([1, 100]))
        given = cupy.asarray(points)
        nan = points.copy()
        nan[:: int(rng.integers(2, 9))] = np.nan
        for reduce in ("occupancy", "count", "mean", "min", ("max", "min")):
            features = nan if turn % 3 else points
            wanted = rc.voxel_grid(points, features, bounds=UNIT, shape=int(9 + turn), reduce=reduce)
            got = rc.voxel_grid(given, cupy.asarray(features), bounds=UNIT, shape=int(9 + turn), reduce=reduce)
            pairs = zip(wanted, got, strict=True) if isinstance(got, tuple) else [(wanted, got)]
            assert all(tolerances.same_bits(b.get(), a) for a, b in pairs), (turn, reduce)
        for how in ({}, {"max_voxels": 5000}, {"bounds": UNIT, "voxel_size": 0.125}, {"order": "first"}):
            wanted, got = rc.voxelize(points, **how), rc.voxelize(given, **how)
            assert np.array_equal(got.inverse.get(), wanted.inverse), (turn, how)
            assert np.array_equal(got.coords.get(), wanted.coords), (turn, how)


def test_a_set_that_failed_half_way_spoils_nothing(cupy: Any) -> None:
    """Found, and never filled: too many cells for a key. The next call finds a clear box."""
    far = np.array([[-1e9, -1e9, -1e9], [1e9, 1e9, 1e9]], np.float64)
    points = cloud(1).astype(np.float64)
    for _ in range(3):
        with pytest.raises(rc.errors.DataError):
            rc.voxelize(cupy.asarray(far), voxel_size=0.5)
        want, got = rc.voxelize(points, voxel_size=0.1), rc.voxelize(cupy.asarray(points), voxel_size=0.1)
        assert np.array_equal(got.coords.get(), want.coords)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int16", "int32", "bool"])
@pytest.mark.parametrize("offset", [0, 1, 3])
def test_empty_cells_of_grids_that_begin_anywhere(cupy: Any, dtype: str, offset: int) -> None:
    """Memory is filled 16 bytes at a time, its ends byte by byte."""
    points = cloud(5, 40)
    features = (points * 9).astype(dtype)
    want = rc.voxel_grid(points, features, bounds=UNIT, shape=(3, 5, 7), reduce="sum", fill=1)
    room = cupy.full(want.size + offset + 9, 77, want.dtype)
    out = room[offset : offset + want.size].reshape(want.shape)
    for _ in range(2):
        rc.voxel_grid(
            cupy.asarray(points), cupy.asarray(features), bounds=UNIT, shape=(3, 5, 7), reduce="sum", fill=1, out=out
        )
        assert tolerances.same_bits(out.get(), want)
        assert bool((room[:offset] == 77).all())
        assert bool((room[offset + want.size :] == 77).all())
