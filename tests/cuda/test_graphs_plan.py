"""Plans captured in CUDA graphs, on other streams and devices; they must give what a plain call gives."""

import os
from typing import Any

import numpy as np
import pytest
import tolerances

import robocache as rc

pytestmark = pytest.mark.cuda


def arrays(xp: Any, seed: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((3, 50, 7)).astype(np.float32)
    times = np.cumsum(rng.integers(0, 1000, (3, 50)), axis=1)
    return tuple(xp.asarray(a) for a in (values, times, rng.integers(-100, 25_000, (3, 31))))


@pytest.mark.parametrize("method", ["linear", "previous"])
def test_a_plan_applied_in_a_graph(cupy: Any, method: str) -> None:
    values, times, goals = arrays(cupy, 0)
    plan, out = rc.Plan(times, goals, method=method), cupy.empty((3, 31, 7), np.float32)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        plan(values, out=out, return_valid=True)
        stream.synchronize()
        stream.begin_capture()
        _, valid = plan(values, out=out, return_valid=True)
        fresh = plan(values)
        graph = stream.end_capture()
        for seed in (1, 2, 3):
            values[...] = arrays(cupy, seed)[0]
            values[0, seed] = np.nan
            out[...], fresh[...], valid[...] = -1, -1, False
            other = [cupy.full(4096 << k, 7.0) for k in range(4)]  # the graph's results must not be handed out
            graph.launch(stream)
            stream.synchronize()
            want, real = rc.resample_trajectories(values, times, goals, method=method, return_valid=True)
            assert tolerances.same_bits(out.get(), want.get())
            assert tolerances.same_bits(fresh.get(), want.get())
            assert tolerances.same_bits(valid.get(), real.get())
            assert all(bool((o == 7).all()) for o in other)


def test_a_plan_made_in_a_graph(cupy: Any) -> None:
    """Stamps change, and with them the plan at every replay."""
    values, times, goals = arrays(cupy, 0)
    stream = cupy.cuda.Stream(non_blocking=True)
    cupy.cuda.Device().synchronize()
    with stream:
        rc.Plan(times, goals)(values)
        stream.synchronize()
        stream.begin_capture()
        plan = rc.Plan(times, goals)
        got = plan(values)
        graph = stream.end_capture()
        for seed in (4, 5):
            for array, fresh in zip((values, times, goals), arrays(cupy, seed), strict=True):
                array[...] = fresh
            graph.launch(stream)
            stream.synchronize()
            assert tolerances.same_bits(got.get(), rc.resample_trajectories(values, times, goals).get())


def test_a_plan_applied_by_torch(cupy: Any) -> None:
    torch = pytest.importorskip("torch") if os.environ.get("ROBOCACHE_REQUIRE_TORCH") != "1" else __import__("torch")
    if not torch.cuda.is_available():
        pytest.skip("this torch has no CUDA")
    values, times, goals = (torch.from_numpy(a).cuda() for a in arrays(np, 0))
    plan, out = rc.Plan(times, goals), torch.empty((3, 31, 7), device="cuda")
    assert isinstance(plan.index, torch.Tensor)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        plan(values, out=out)
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        plan(values, out=out)
    for seed in (6, 7):
        values.copy_(torch.from_numpy(arrays(np, seed)[0]))
        out.fill_(-1)
        graph.replay()
        torch.cuda.synchronize()
        want = rc.resample_trajectories(values, times, goals)
        assert isinstance(want, torch.Tensor)
        assert out.tolist() == want.tolist()


def test_other_addresses_and_alignments(cupy: Any) -> None:
    """What a plan remembers of one call must not leak into the next."""
    memory = cupy.asarray(np.random.default_rng(1).standard_normal(4096).astype(np.float32))
    times, goals = cupy.asarray(np.arange(16) * 10), cupy.asarray(np.random.default_rng(2).integers(0, 150, 20))
    plan = rc.Plan(times, goals)
    room = cupy.zeros(1024, np.float32)
    for start in (0, 64, 1, 2, 4, 3, 0, 1, 7):
        values, out = memory[start : start + 128].reshape(16, 8), room[start : start + 160].reshape(20, 8)
        want = rc.resample_trajectories(values.copy(), times, goals).get()
        assert tolerances.same_bits(plan(values).get(), want)
        assert tolerances.same_bits(plan(values, out=out).get(), want)


def test_a_plan_on_a_second_gpu(cupy: Any) -> None:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU")
    with cupy.cuda.Device(1):
        values, times, goals = arrays(cupy, 0)
        want = rc.resample_trajectories(values, times, goals).get()
    for current in (0, 1, 0):
        with cupy.cuda.Device(current):
            plan = rc.Plan(times, goals)
            for _ in range(2):
                got = plan(values)
                assert cupy.cuda.runtime.getDevice() == current
                assert got.device.id == plan.index.device.id == 1
        with cupy.cuda.Device(1):
            assert tolerances.same_bits(got.get(), want)
    with pytest.raises(rc.errors.DeviceError, match=r"GPU 0.*GPU 1"):
        plan(cupy.asarray(arrays(np, 0)[0]))
