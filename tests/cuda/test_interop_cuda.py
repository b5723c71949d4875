"""Hand-over on the GPU: streams, devices, frameworks, and capture in CUDA graphs."""

import os
from typing import Any

import numpy as np
import pytest
import tolerances
from oracles import trajectory as oracle

import robocache as rc
from robocache._core.errors import DeviceError, DTypeError

pytestmark = pytest.mark.cuda

V, T, Q = np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(4) * 10, np.array([5, 20, 31])
EXPECTED = np.array([[1.5, 2.5, 3.5], [6, 7, 8], [9, 10, 11]], np.float32)
LONG = 200_000_000  # clock ticks a slow producer sleeps: far longer than the host needs to launch


@pytest.fixture
def torch(cupy: Any) -> Any:
    name = pytest.importorskip if os.environ.get("ROBOCACHE_REQUIRE_TORCH") != "1" else __import__
    torch = name("torch")
    if not torch.cuda.is_available():
        if os.environ.get("ROBOCACHE_REQUIRE_TORCH") == "1":
            pytest.fail("this torch has no CUDA")
        pytest.skip("this torch has no CUDA")
    return torch


def on_gpu(torch: Any, *arrays: np.ndarray) -> list[Any]:
    return [torch.from_numpy(array).cuda() for array in arrays]


def test_torch_gives_torch(torch: Any) -> None:
    values, times, goals = on_gpu(torch, V, T, Q)
    got, valid, age = rc.resample_trajectories(values, times, goals, return_valid=True, return_age=True)
    assert all(isinstance(a, torch.Tensor) and a.device == values.device for a in (got, valid, age))
    assert (got.dtype, valid.dtype, age.dtype) == (torch.float32, torch.bool, torch.int64)
    assert got.tolist() == EXPECTED.tolist()
    out = torch.full((3, 3), -1.0, device="cuda")
    assert rc.resample_trajectories(values, times, goals, out=out) is out
    assert out.tolist() == EXPECTED.tolist()
    half = rc.resample_trajectories(values.bfloat16(), times, goals)
    assert half.dtype == torch.bfloat16
    assert half.float().tolist() == EXPECTED.tolist()
    flag = rc.resample_trajectories(values > 5, times, goals, method="next")
    assert flag.dtype == torch.bool
    with pytest.raises(DTypeError, match="float8"):
        rc.resample_trajectories(values.to(torch.float8_e4m3fn), times, goals)


def test_the_result_waits_for_a_slow_producer_on_a_torch_stream(torch: Any) -> None:
    values, times, goals = on_gpu(torch, np.zeros_like(V), T, Q)
    right = torch.from_numpy(V).cuda()
    rc.resample_trajectories(values, times, goals)
    torch.cuda.synchronize()
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        torch.cuda._sleep(LONG)
        values.copy_(right)
        got = rc.resample_trajectories(values, times, goals)
        fused = rc.fuse_multimodal({"a": rc.Stream(values, times)}, goals)
        doubled = got * 2  # a consumer on the same stream
    stream.synchronize()
    assert doubled.tolist() == (2 * EXPECTED).tolist()
    assert fused.values.tolist() == EXPECTED.tolist()


def test_the_result_waits_for_a_slow_producer_on_a_cupy_stream(cupy: Any) -> None:
    values, times, goals = (cupy.asarray(a) for a in (np.zeros_like(V), T, Q))
    right = cupy.asarray(V)
    sleep = cupy.RawKernel(
        'extern "C" __global__ void nap(long long n) { long long t = clock64(); while (clock64() - t < n); }', "nap"
    )
    sleep((1,), (1,), (np.int64(1),))
    rc.resample_trajectories(values, times, goals)
    cupy.cuda.Device().synchronize()
    stream = cupy.cuda.Stream(non_blocking=True)
    for _ in range(2):  # the second call is a replay
        values[...] = 0
        cupy.cuda.Device().synchronize()
        with stream:
            sleep((1,), (1,), (np.int64(LONG),))
            cupy.copyto(values, right)
            got = rc.resample_trajectories(values, times, goals) * 2
        stream.synchronize()
        assert got.get().tolist() == (2 * EXPECTED).tolist()


def test_jax_gives_jax(cupy: Any) -> None:
    jax = pytest.importorskip("jax")
    if not any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("this JAX has no GPU")
    device = jax.devices("gpu")[0]
    for kind in ("float32", "bfloat16"):
        values = jax.device_put(jax.numpy.asarray(V).astype(kind), device)
        got = rc.resample_trajectories(values, cupy.asarray(T), cupy.asarray(Q))
        assert isinstance(got, jax.Array)
        assert got.devices() == {device}
        assert got.dtype == values.dtype
        assert np.asarray(got.astype("float32")).tolist() == EXPECTED.tolist()


def test_arrays_of_two_places_are_refused(cupy: Any) -> None:
    for arrays in ((cupy.asarray(V), T, cupy.asarray(Q)), (V, cupy.asarray(T), Q)):
        with pytest.raises(DeviceError, match="GPU 0"):
            rc.resample_trajectories(*arrays)
    with pytest.raises(DeviceError, match="lengths"):
        rc.resample_trajectories(cupy.asarray(V)[None], cupy.asarray(T), cupy.asarray(Q), lengths=np.array([3]))


def test_a_second_gpu(cupy: Any) -> None:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU")
    with cupy.cuda.Device(1):
        there = [cupy.asarray(a) for a in (V, T, Q)]
        out = cupy.empty((3, 3), np.float32)
    for current in (0, 1, 0):
        with cupy.cuda.Device(current):
            got, valid = rc.resample_trajectories(*there, return_valid=True)
            assert rc.resample_trajectories(*there, out=out) is out
            assert cupy.cuda.runtime.getDevice() == current
        assert got.device.id == valid.device.id == 1
        with cupy.cuda.Device(1):
            assert got.get().tolist() == out.get().tolist() == EXPECTED.tolist()
    with pytest.raises(DeviceError, match=r"GPU 0.*GPU 1|GPU 1.*GPU 0"):
        rc.resample_trajectories(cupy.asarray(V), *there[1:])


def test_a_replay_with_other_addresses(cupy: Any) -> None:
    """Same shapes, other memory and alignment: what was remembered of the first call must not leak into the next."""
    rng = np.random.default_rng(1)
    memory = cupy.asarray(rng.standard_normal(4096).astype(np.float32))
    times, goals = cupy.asarray(np.arange(16) * 10), cupy.asarray(rng.integers(0, 150, 20))
    for start in (0, 64, 1, 2, 4, 3, 0, 1, 7):
        values = memory[start : start + 16 * 8].reshape(16, 8)
        got, age = rc.resample_trajectories(values, times, goals, return_age=True)
        row = oracle.resample_row(values.get(), times.get(), goals.get())
        errors = tolerances.error_in_ulps(got.get(), row.values, row.larger, np.dtype(np.float32))
        assert errors.max() <= tolerances.ULPS["float32"]
        assert tolerances.same_bits(age.get(), row.age)
    for options in ({"tolerance": 1}, {"tolerance": 3}, {"outside": 1.0}, {"outside": 0.0}, {"method": "next"}):
        for _ in range(2):
            got, valid = rc.resample_trajectories(values, times, goals + 40, return_valid=True, **options)
            row = oracle.resample_row(values.get(), times.get(), goals.get() + 40, **options)
            np.testing.assert_allclose(got.get(), row.values, rtol=1e-5, atol=1e-5)
            assert tolerances.same_bits(valid.get(), row.valid)


def _arguments(xp: Any, seed: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((3, 50, 7)).astype(np.float32)
    times = np.cumsum(rng.integers(0, 1000, (3, 50)), axis=1)
    return tuple(xp.asarray(a) for a in (values, times, rng.integers(-100, 25_000, (3, 31))))


def _right(got: Any, arguments: tuple[Any, ...]) -> None:
    values, times, goals = (np.asarray(a.get() if hasattr(a, "get") else a.cpu()) for a in arguments)
    row = oracle.resample(values, times, goals)
    errors = tolerances.error_in_ulps(got, row.values, row.larger, values.dtype)
    assert errors.max() <= tolerances.ULPS["float32"]


def test_capture_and_replay_with_cupy(cupy: Any) -> None:
    arguments, out = _arguments(cupy, 0), cupy.empty((3, 31, 7), np.float32)
    streams = {"a": rc.Stream(*arguments[:2]), "b": rc.Stream(*arguments[:2], method="previous")}
    both = cupy.empty((3, 31, 14), np.float32)

    def work() -> None:
        rc.resample_trajectories(*arguments, out=out)
        rc.fuse_multimodal(streams, arguments[2], out=both)

    stream = cupy.cuda.Stream(non_blocking=True)
    with stream:
        work()
        stream.synchronize()
        stream.begin_capture()
        work()
        graph = stream.end_capture()
        for seed in (1, 2, 3):
            for array, fresh in zip(arguments, _arguments(cupy, seed), strict=True):
                array[...] = fresh
            out[...] = both[...] = -1
            graph.launch(stream)
            stream.synchronize()
            _right(out.get(), arguments)
            _right(both.get()[..., :7], arguments)
            held = oracle.resample(*(a.get() for a in arguments), method="previous")
            assert tolerances.same_bits(np.ascontiguousarray(both.get()[..., 7:]), held.values)


def test_capture_and_replay_with_torch(torch: Any) -> None:
    arguments = tuple(on_gpu(torch, *_arguments(np, 0)))
    out = torch.empty((3, 31, 7), device="cuda")
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        rc.resample_trajectories(*arguments, out=out)
        rc.fuse_multimodal({"a": rc.Stream(*arguments[:2])}, arguments[2], out=out)
    torch.cuda.current_stream().wait_stream(side)
    torch.cuda.synchronize()
    for call in (
        lambda: rc.resample_trajectories(*arguments, out=out),
        lambda: rc.fuse_multimodal({"a": rc.Stream(*arguments[:2])}, arguments[2], out=out),
    ):
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            call()
        for seed in (4, 5):
            for array, fresh in zip(arguments, on_gpu(torch, *_arguments(np, seed)), strict=True):
                array.copy_(fresh)
            out.fill_(-1)
            graph.replay()
            torch.cuda.synchronize()
            _right(out.cpu().numpy(), arguments)
