"""Arrays of every framework in, arrays of the same framework out, over the same memory, with nothing else imported."""

import os
import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import robocache as rc
from robocache._core.errors import ArgumentError, BackendError, DataWarning, DeviceError, DTypeError

V, T, Q = np.arange(12, dtype=np.float32).reshape(4, 3), np.arange(4) * 10, np.array([5, 20, 31])
EXPECTED = np.array([[1.5, 2.5, 3.5], [6, 7, 8], [9, 10, 11]], np.float32)


def framework(name: str) -> Any:
    """The module, or a skip; a failure where ROBOCACHE_REQUIRE_<NAME>=1."""
    try:
        return __import__(name)
    except ImportError as error:
        if os.environ.get(f"ROBOCACHE_REQUIRE_{name.upper()}") == "1":
            pytest.fail(f"{name} is required: {error}")
        pytest.skip(f"{name} is not installed: {error}")


@pytest.fixture
def torch() -> Any:
    return framework("torch")


@pytest.fixture
def jax() -> Any:
    """JAX, on the CPU also where it has a GPU."""
    jax = framework("jax")
    with jax.default_device(jax.devices("cpu")[0]):
        yield jax


@pytest.fixture
def wide_jax(jax: Any) -> Any:
    """JAX that holds int64 and float64."""
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield jax
    jax.config.update("jax_enable_x64", before)


class Exporter:
    """An array of a framework nobody knows: DLPack and a namespace, nothing more."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **how: Any) -> Any:
        return self.array.__dlpack__(**how)

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.array.__dlpack_device__()

    def __array_namespace__(self) -> Any:
        class Namespace:
            @staticmethod
            def from_dlpack(array: Any) -> "Exporter":
                return Exporter(np.from_dlpack(array))

        return Namespace


class Elsewhere:
    """An array on another device, which nobody may touch."""

    def __init__(self, code: int) -> None:
        self.code = code

    def __dlpack__(self, **how: Any) -> Any:
        raise AssertionError("memory of another device was asked for")

    def __dlpack_device__(self) -> tuple[int, int]:
        return (self.code, 0)

    def __array_namespace__(self) -> Any:
        return np


def test_numpy_and_lists_give_numpy() -> None:
    for values in (V, V.tolist(), V.astype(np.float64)[:, ::-1][:, ::-1]):
        got, valid, age = rc.resample_trajectories(values, T, Q.tolist(), return_valid=True, return_age=True)
        assert all(type(array) is np.ndarray for array in (got, valid, age))
        assert got.tolist() == EXPECTED.tolist()
        assert valid.tolist() == [True, True, False]
        assert age.tolist() == [5, 0, 1]


def test_read_only_and_unaligned_inputs() -> None:
    frozen = [array.copy() for array in (V, T, Q)]
    for array in frozen:
        array.flags.writeable = False
    assert rc.resample_trajectories(*frozen).tolist() == EXPECTED.tolist()
    memory = np.zeros(V.nbytes + 1, np.uint8)
    unaligned = memory[1:].view(np.float32).reshape(4, 3)
    unaligned[...] = V
    assert not unaligned.flags.aligned
    assert rc.resample_trajectories(unaligned, T, Q).tolist() == EXPECTED.tolist()
    fields = np.zeros(4, [("x", "u1"), ("v", "f4", 3)])
    fields["v"] = V
    assert rc.resample_trajectories(fields["v"], T, Q).tolist() == EXPECTED.tolist()


def test_torch_gives_torch_over_the_same_memory(torch: Any) -> None:
    values, times, goals = (torch.from_numpy(a.copy()) for a in (V, T, Q))
    got, valid, age = rc.resample_trajectories(values, times, goals, return_valid=True, return_age=True)
    assert [type(a) for a in (got, valid, age)] == [torch.Tensor] * 3
    assert (got.dtype, valid.dtype, age.dtype) == (torch.float32, torch.bool, torch.int64)
    assert got.tolist() == EXPECTED.tolist()
    out = torch.full((3, 3), -1.0)
    address = out.data_ptr()
    assert rc.resample_trajectories(values, times, goals, out=out) is out
    assert out.data_ptr() == address
    assert out.tolist() == EXPECTED.tolist()
    got += 1  # writable, and nobody else's
    assert values.tolist() == V.tolist()


@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64", "uint8", "int16", "int64", "bool"])
def test_torch_types(torch: Any, kind: str) -> None:
    method = "linear" if "float" in kind else "previous"
    values = torch.arange(12).reshape(4, 3).to(getattr(torch, kind))
    got = rc.resample_trajectories(values, torch.from_numpy(T), torch.from_numpy(Q), method=method)
    assert got.dtype == values.dtype
    expected = torch.tensor(EXPECTED) if method == "linear" else values.double()[[0, 2, 3]]
    assert (got.double() == expected.double()).all()
    out = torch.empty_like(got)
    assert rc.resample_trajectories(values, torch.from_numpy(T), torch.from_numpy(Q), method=method, out=out) is out
    assert (out == got).all()


def test_torch_strides(torch: Any) -> None:
    wide = torch.zeros(4, 6)
    wide[:, ::2] = torch.from_numpy(V)
    columns = torch.from_numpy(V).T.contiguous().T
    for values in (wide[:, ::2], columns, torch.from_numpy(V)[None].expand(2, 4, 3)[1]):
        assert rc.resample_trajectories(values, torch.from_numpy(T), torch.from_numpy(Q)).tolist() == EXPECTED.tolist()
    many = torch.from_numpy(V)[None].expand(5, 4, 3)
    got = rc.resample_trajectories(many, torch.from_numpy(T)[None].expand(5, 4), torch.from_numpy(Q))
    assert got.tolist() == [EXPECTED.tolist()] * 5


def test_frameworks_of_one_device_mix_and_the_first_decides(torch: Any, wide_jax: Any) -> None:
    backwards = V[::-1].copy()[::-1]
    assert backwards.strides[0] < 0
    got = rc.resample_trajectories(backwards, torch.from_numpy(T), wide_jax.numpy.asarray(Q))
    assert type(got) is np.ndarray
    got = rc.resample_trajectories(torch.from_numpy(V), T[::-1].copy()[::-1], wide_jax.numpy.asarray(Q))
    assert type(got) is torch.Tensor
    got = rc.resample_trajectories(wide_jax.numpy.asarray(V), T, torch.from_numpy(Q))
    assert isinstance(got, wide_jax.Array)
    assert np.asarray(got).tolist() == EXPECTED.tolist()


def test_fused_results_are_torch_too(torch: Any) -> None:
    a = rc.Stream(torch.from_numpy(V), torch.from_numpy(T), latency=5)
    b = rc.Stream(V[::-1, ::-1], T, method="next")  # negative strides beside torch
    for layout in ("concat", "dict"):
        for clock in ({"rate": 1e8}, {"target_times": "a"}, {"target_times": torch.from_numpy(Q)}):
            fused = rc.fuse_multimodal({"a": a, "b": b}, layout=layout, **clock)
            for array in (fused["a"], fused["b"], fused.valid, fused.age, fused.times):
                assert type(array) is torch.Tensor
                array.sum().item()
                array.clone().zero_()


def test_jax_gives_jax(wide_jax: Any) -> None:
    jnp = wide_jax.numpy
    got, valid, age = rc.resample_trajectories(
        jnp.asarray(V), jnp.asarray(T), jnp.asarray(Q), return_valid=True, return_age=True
    )
    assert all(isinstance(a, wide_jax.Array) for a in (got, valid, age))
    assert age.dtype == np.int64
    assert np.asarray(got).tolist() == EXPECTED.tolist()
    assert (np.asarray(got * 2) == EXPECTED * 2).all()
    with pytest.raises(ArgumentError, match="JAX"):
        rc.resample_trajectories(jnp.asarray(V), jnp.asarray(T), jnp.asarray(Q), out=jnp.zeros((3, 3), np.float32))


def test_jax_keeps_its_result_when_the_inputs_are_gone(wide_jax: Any) -> None:
    got = rc.resample_trajectories(wide_jax.numpy.asarray(np.tile(V, (1, 4096))), T, Q)
    copy = np.array(got)
    for _ in range(8):
        rc.resample_trajectories(np.random.default_rng(0).random((4, 3 * 4096), np.float32), T, Q)
    assert (np.asarray(got) == copy).all()
    assert (copy == np.tile(EXPECTED, (1, 4096))).all()


@pytest.mark.parametrize("kind", ["bfloat16", "float16", "float32", "int8", "bool"])
def test_jax_types(jax: Any, kind: str) -> None:
    method = "linear" if "float" in kind else "previous"
    values = jax.numpy.arange(12).reshape(4, 3).astype(kind)
    times, goals = (jax.numpy.asarray(a / 1000, "float32") for a in (T, Q))
    got = rc.resample_trajectories(values, times, goals, method=method)
    assert got.dtype == values.dtype
    assert isinstance(got, jax.Array)


def test_jax_without_x64_says_that_it_narrows(jax: Any) -> None:
    assert not jax.config.jax_enable_x64
    values = jax.numpy.asarray(V)
    with pytest.warns(DataWarning, match="jax_enable_x64"):
        _, age = rc.resample_trajectories(values, T, Q, return_age=True)
    assert age.dtype == np.int32
    assert np.asarray(age).tolist() == [5, 0, 1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rc.resample_trajectories(values, T, Q, return_valid=True)


def test_jax_tracers_are_refused(jax: Any) -> None:
    with pytest.raises(BackendError, match=r"jax\.jit"):
        jax.jit(lambda v: rc.resample_trajectories(v, T, Q))(V)
    with pytest.raises(BackendError, match=r"source_times .*jax\.jit"):
        jax.jit(lambda t: rc.resample_trajectories(V, t, Q))(T)


@pytest.mark.parametrize("what, error, match", [
    (lambda t: t.zeros(4, 3, requires_grad=True), ArgumentError, "detach"),
    (lambda t: t.nn.Parameter(t.zeros(4, 3)), ArgumentError, "detach"),
    (lambda t: t.zeros(4, 3).to_sparse(), (ArgumentError, DTypeError, DeviceError), "to_dense|sparse"),
    (lambda t: t.zeros(4, 3, dtype=t.complex64), DTypeError, "complex"),
    (lambda t: t.zeros(4, 3, dtype=t.float8_e4m3fn), DTypeError, "float8"),
    (lambda t: t.zeros(4, 3, device="meta"), DeviceError, "meta"),
], ids=["grad", "parameter", "sparse", "complex", "float8", "meta"])  # fmt: skip
def test_tensors_that_cannot_be_taken(torch: Any, what: Any, error: Any, match: str) -> None:
    with pytest.raises(error, match=match):
        rc.resample_trajectories(what(torch), torch.from_numpy(T), torch.from_numpy(Q))


def test_any_dlpack_object(torch: Any) -> None:
    got, valid = rc.resample_trajectories(*map(Exporter, (V, T, Q)), return_valid=True)
    assert type(got) is type(valid) is Exporter
    assert got.array.tolist() == EXPECTED.tolist()
    assert valid.array.tolist() == [True, True, False]
    mixed = rc.resample_trajectories(torch.from_numpy(V), Exporter(T), Exporter(Q))
    assert mixed.tolist() == EXPECTED.tolist()
    out = Exporter(np.zeros((3, 3), np.float32))
    if not np.from_dlpack(out).flags.writeable:  # some NumPy take every DLPack array as read-only
        with pytest.raises(ArgumentError, match="read-only"):
            rc.resample_trajectories(V, T, Q, out=out)
    else:
        assert rc.resample_trajectories(V, T, Q, out=out) is out
        assert out.array.tolist() == EXPECTED.tolist()


def test_an_exporter_without_a_way_back() -> None:
    class Lone(Exporter):
        __array_namespace__ = property()  # hasattr is False

    with pytest.raises(DTypeError, match="from_dlpack"):
        rc.resample_trajectories(Lone(V), T, Q)


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 0, 2), (2, 1, 0)])
def test_mixed_devices_are_named(order: tuple[int, ...]) -> None:
    arrays: list[Any] = [V, T, Q]
    arrays[order[0]] = Elsewhere(2)
    with pytest.raises(DeviceError) as caught:
        rc.resample_trajectories(*arrays)
    assert "the CPU" in str(caught.value)
    assert "GPU 0" in str(caught.value)
    assert ("values", "source_times", "target_times")[order[0]] in str(caught.value)


@pytest.mark.parametrize("code", [4, 7, 8, 10, 14])  # OpenCL, Vulkan, Metal, ROCm, oneAPI
def test_other_devices_are_refused(code: int) -> None:
    with pytest.raises(DeviceError, match=str(code)):
        rc.resample_trajectories(Elsewhere(code), T, Q)


def test_a_gpu_array_without_cupy_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(BackendError, match=r"pip install 'robocache\[cuda1\d\]'"):
        rc.resample_trajectories(Elsewhere(2), Elsewhere(2), Elsewhere(2))


@pytest.mark.parametrize("values", [
    np.zeros((4, 3), np.complex128), np.zeros((4, 3), object), np.zeros((4, 3), "S3"), np.zeros((4, 3), ">f8"),
    [["a", "b"]] * 4, [[None, 1.0]] * 4,
], ids=str)  # fmt: skip
def test_types_without_meaning(values: Any) -> None:
    with pytest.raises(DTypeError, match="values has dtype"):
        rc.resample_trajectories(values, T, Q)


def test_empty_and_scalar_tensors(torch: Any, wide_jax: Any) -> None:
    for make in (torch.from_numpy, wide_jax.numpy.asarray, Exporter):
        times, goals = make(np.zeros(0, np.int64)), make(np.zeros(0, np.int64))
        got = rc.resample_trajectories(make(np.zeros((0, 3), np.float32)), times, goals)
        assert type(got) is type(goals)
        with pytest.raises(ValueError, match="no axes"):
            rc.resample_trajectories(make(np.array(1.0)), make(T), make(Q))


def test_nothing_is_imported_that_the_caller_does_not_use() -> None:
    code = """
import sys
import robocache as rc
heavy = {"torch", "jax", "cupy", "tensorflow", "scipy", "numba"}
assert not heavy & set(sys.modules), heavy & set(sys.modules)
rc.resample_trajectories([0.0, 1.0], [0, 10], [5])
rc.fuse_multimodal({"a": rc.Stream([0.0, 1.0], [0, 10])}, rate=1e9)
heavy.remove("numba")
assert not {"torch", "jax", "cupy", "tensorflow"} & set(sys.modules), sorted(heavy & set(sys.modules))
"""
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    )
