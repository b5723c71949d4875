"""Windows, gathering and deltas captured in a CUDA graph, and on other streams."""

from typing import Any

import numpy as np
import pytest
import tolerances

import robocache as rc

pytestmark = pytest.mark.cuda

EDGES = np.array([0, 90, 91, 400])


def test_a_batch_in_a_graph(cupy: Any) -> None:
    """Positions and values change from replay to replay, as when a loader refills them."""
    rng = np.random.default_rng(0)
    times = np.arange(400) / 30
    w = rc.windows(EDGES, 2, 16, pad_before=1, pad_after=15)
    d = rc.delta_timestamps(cupy.asarray(times), {"a": [0.0, 0.1, 0.2]}, offsets=EDGES)
    values, positions = cupy.zeros((400, 7), np.float32), cupy.zeros(50, np.int64)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()

    def call() -> tuple[Any, Any, Any]:
        batch = w.take(positions)
        chunk = rc.gather_windows(values, batch.action_index, batch.action_valid, pad="nan")
        return batch, chunk, d.take(positions)

    with stream:
        call()
        stream.synchronize()
        stream.begin_capture()
        batch, chunk, near = call()
        graph = stream.end_capture()
        for _ in range(3):
            values[...] = cupy.asarray(rng.standard_normal((400, 7)).astype(np.float32))
            positions[...] = cupy.asarray(rng.integers(0, len(w), 50))
            other = [cupy.full(4096 << k, 7.0) for k in range(4)]  # the graph's results must not be handed out
            graph.launch(stream)
            stream.synchronize()
            want = w.take(positions.get())
            for name, array in vars(want).items():
                assert tolerances.same_bits(getattr(batch, name).get(), array)
            rows = rc.gather_windows(values.get(), want.action_index, want.action_valid, pad="nan")
            assert tolerances.same_bits(chunk.get(), rows)
            found = rc.delta_timestamps(times, {"a": [0.0, 0.1, 0.2]}, offsets=EDGES).take(positions.get())
            assert tolerances.same_bits(near.index["a"].get(), found.index["a"])
            assert tolerances.same_bits(near.valid["a"].get(), found.valid["a"])
            assert all(bool((o == 7).all()) for o in other)


def test_more_than_2_to_the_31_bytes(cupy: Any) -> None:
    """Offsets into the result that 32 bits cannot hold."""
    if cupy.cuda.runtime.memGetInfo()[0] < 8 << 30:
        pytest.skip("needs 8 GiB of free memory")
    values = cupy.arange(1000 * 1025, dtype=np.uint32).reshape(1000, 1025)  # odd rows
    index = (cupy.arange((5 << 30) // 4100) * 7) % 1000
    out = rc.gather_windows(values, index)
    for place in (0, 1, (1 << 31) // 4100, (1 << 32) // 4100, (1 << 32) // 4100 + 1, len(index) - 1):
        assert bool((out[place] == values[(place * 7) % 1000]).all())


def test_more_than_2_to_the_31_samples(cupy: Any) -> None:
    if cupy.cuda.runtime.memGetInfo()[0] < 8 << 30:
        pytest.skip("needs 8 GiB of free memory")
    count = (1 << 32) + 5
    values = cupy.zeros(count, np.uint8)
    places = np.array([0, 5, 1 << 31, (1 << 32) + 4])
    values[cupy.asarray(places)] = cupy.arange(1, 5, dtype=np.uint8)
    assert rc.gather_windows(values, cupy.asarray(places)).get().tolist() == [1, 2, 3, 4]
    w = rc.windows(np.array([0, count]), 1, 2, pad_after=1)
    batch = w.take(cupy.asarray(places))
    assert batch.action_index.get()[:, 0].tolist() == places.tolist()
    assert batch.action_valid.get()[:, 1].tolist() == [True, True, True, False]
