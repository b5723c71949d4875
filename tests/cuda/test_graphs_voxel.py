"""Voxel calls captured in CUDA graphs: replayed over new input, they must give what a plain call gives."""

import numpy as np
import pytest
from ops.voxel_strategies import bits

from robocache.ops.voxel import voxel_grid, voxelize

UNIT = (0, 0, 0, 1, 1, 1)
pytestmark = pytest.mark.cuda


def clouds(cupy):
    rng = np.random.default_rng(0)
    return [cupy.asarray(rng.uniform(-0.1, spread, (3, 5000, 3)).astype(np.float32)) for spread in (1.1, 0.6)]


def capture(cupy, call):
    """Warm up, then capture; the graph and what the captured call returned."""
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        call()
        stream.synchronize()
        stream.begin_capture()
        found = call()
        graph = stream.end_capture()
    return stream, graph, found


@pytest.mark.parametrize("reduce", ["occupancy", "count", ("density", "mean", "max")])
def test_voxel_grid(cupy, reduce):
    first, second = clouds(cupy)
    points = first.copy()
    options = {"bounds": UNIT, "shape": 20, "reduce": reduce, "return_dropped": True}
    stream, graph, (found, dropped) = capture(cupy, lambda: voxel_grid(points, **options))
    found = found if isinstance(found, tuple) else (found,)
    for source in (first, second, first):
        with stream:
            points[...] = source
            for array in found:
                array.fill(1)
            other = [cupy.full(5000 << k, 7.0) for k in range(8)]  # the graph's scratch must not be handed out
        graph.launch(stream)
        stream.synchronize()
        want, lost = voxel_grid(source, **options)
        want = want if isinstance(want, tuple) else (want,)
        assert [bits(a.get()) for a in found] == [bits(a.get()) for a in want]
        assert bits(dropped.get()) == bits(lost.get())
        assert all(bool((o == 7).all()) for o in other)


@pytest.mark.parametrize("order", ["sorted", "first"])
@pytest.mark.parametrize("bounds", [None, UNIT])
def test_voxelize(cupy, order, bounds):
    first, second = clouds(cupy)
    points = first.copy()
    options = {"voxel_size": 0.05, "bounds": bounds, "order": order, "max_voxels": 20_000}
    stream, graph, found = capture(cupy, lambda: voxelize(points, **options))
    names = ("coords", "features", "counts", "inverse", "offsets", "dropped", "num_voxels", "found")
    for source in (first, second, first):
        with stream:
            points[...] = source
            for name in names:
                getattr(found, name).fill(1)
            other = [cupy.full(5000 << k, 7.0) for k in range(8)]  # the graph's scratch must not be handed out
        graph.launch(stream)
        stream.synchronize()
        want = voxelize(source, **options)
        for name in names:
            assert bits(getattr(found, name).get()) == bits(getattr(want, name).get()), name
        assert all(bool((o == 7).all()) for o in other)
