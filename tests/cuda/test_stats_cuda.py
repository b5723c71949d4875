"""Statistics on a GPU: streams, graphs, and that an update waits for nothing."""

from typing import Any

import numpy as np
import pytest
import tolerances

import robocache as rc
from robocache.errors import BackendError

pytestmark = pytest.mark.cuda


def test_updates_of_several_streams(cupy: Any) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.standard_normal((20_000, 6)).astype(np.float32) for _ in range(6)]
    stats, streams = rc.RunningStats(), [cupy.cuda.Stream(non_blocking=True) for _ in range(3)]
    given = [cupy.asarray(part) for part in parts]
    cupy.cuda.Device().synchronize()
    for k, part in enumerate(given):
        with streams[k % 3]:
            stats.update(part)
    assert stats == rc.RunningStats().update(np.concatenate(parts))


def test_normalize_in_a_graph(cupy: Any) -> None:
    rng = np.random.default_rng(1)
    values = rng.standard_normal((300, 7)).astype(np.float32)
    stats, given = rc.RunningStats().update(values), cupy.asarray(values)
    wide = cupy.asarray(rng.standard_normal((300, 14)).astype(np.float32))[:, ::2]  # copied first
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        rc.normalize(given, stats), rc.normalize(wide, stats)
        stream.synchronize()
        stream.begin_capture()
        got, strided = rc.normalize(given, stats), rc.normalize(wide, stats)
        graph = stream.end_capture()
        for factor in (2, 3):
            given[...] = cupy.asarray(values) * factor
            graph.launch()
            stream.synchronize()
            assert tolerances.same_bits(got.get(), rc.normalize(values * np.float32(factor), stats))
            assert tolerances.same_bits(strided.get(), rc.normalize(wide.get(), stats))


def test_a_captured_update_is_refused(cupy: Any) -> None:
    stats, values = rc.RunningStats(), cupy.zeros((10, 3), np.float32)
    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        stats.update(values)
        stream.synchronize()
        stream.begin_capture()
        try:
            with pytest.raises(BackendError, match="cannot be captured"):
                stats.update(values)
        finally:
            stream.end_capture()
    assert stats.count.tolist() == [10] * 3


def test_an_update_does_not_wait(cupy: Any) -> None:
    """It returns while a kernel before it on the stream still runs."""
    stats, values = rc.RunningStats(), cupy.zeros((1000, 3), np.float32)
    stats.update(values)
    spin = cupy.ElementwiseKernel(
        "int64 n", "int64 y", "long long t = clock64(); while (clock64() - t < n); y = n", "spin"
    )
    done = cupy.cuda.Event()
    spin(cupy.array([2_000_000_000]))
    stats.update(values)
    done.record()
    assert not done.done
    assert stats.count.tolist() == [2000] * 3
