"""What all tests share: the backends of this machine, Hypothesis settings, and the one tolerance table."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # several test processes share one GPU

settings.register_profile(
    "robocache",
    deadline=None,
    max_examples=int(os.environ.get("ROBOCACHE_EXAMPLES", "40")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("robocache")


@dataclass(frozen=True)
class Backend:
    """One of the two places an operation can run."""

    name: str
    xp: Any

    def to(self, array: Any) -> Any:
        """A NumPy array on this backend, strides kept; None and lists stay what they are."""
        if self.name == "cpu" or not isinstance(array, np.ndarray) or array.dtype.kind in "mM":
            return array
        return _with_strides(array, self.xp)

    def np(self, array: Any) -> Any:
        """Back to NumPy."""
        return array.get() if hasattr(array, "get") and self.name == "cuda" else np.asarray(array)


def _with_strides(array: np.ndarray, cupy: Any) -> Any:
    """A CuPy array with the very strides of a NumPy array, also negative and zero ones."""
    contiguous = cupy.asarray(np.ascontiguousarray(array)).reshape(array.shape)
    if array.flags.c_contiguous or not array.size:
        return contiguous
    size = array.itemsize
    if any(s % size for s in array.strides):
        return contiguous
    low = sum(min(0, (n - 1) * s) for n, s in zip(array.shape, array.strides, strict=True))
    high = sum(max(0, (n - 1) * s) for n, s in zip(array.shape, array.strides, strict=True))
    memory = cupy.zeros((high - low) // size + 1, array.dtype)
    view = cupy.ndarray(array.shape, array.dtype, memory.data + (-low), array.strides)
    view[...] = contiguous
    return view


def cuda_or_reason() -> Any:
    """CuPy with a usable device, or the reason why not."""
    try:
        import cupy

        cupy.cuda.runtime.getDeviceCount()
        cupy.zeros(1)
    except (ImportError, RuntimeError) as error:
        return f"no usable CUDA device: {type(error).__name__}: {error}"
    if os.environ.get("ROBOCACHE_POOL") == "off":  # compute-sanitizer sees no overrun inside CuPy's pool
        cupy.cuda.set_allocator(None)
    return cupy


CUDA = cuda_or_reason()


def use_one_block() -> None:
    """Cooperative launches of one block, whose threads race just as those of many do, but which never spins.

    Racecheck looks at the shared memory of one block at a time, and blocks that spin under it take minutes.
    """
    from robocache.cuda import _scan, extremes, group, reduce

    extremes.resident = group.resident = reduce.resident = lambda device: 1
    _scan.resident = lambda device: 2  # two blocks a multiprocessor, of which that launch takes one


if os.environ.get("ROBOCACHE_ONE_BLOCK") == "1" and not isinstance(CUDA, str):
    use_one_block()


def require_cuda() -> Any:
    """CuPy, or a skip; a failure where ROBOCACHE_REQUIRE_CUDA=1."""
    if isinstance(CUDA, str):
        if os.environ.get("ROBOCACHE_REQUIRE_CUDA") == "1":
            pytest.fail(CUDA)
        pytest.skip(CUDA)
    return CUDA


@pytest.fixture(params=["cpu", "cuda"])
def backend(request: pytest.FixtureRequest) -> Backend:
    """Each backend in turn; CUDA is skipped with its reason where there is none."""
    return Backend("cpu", np) if request.param == "cpu" else Backend("cuda", require_cuda())


@pytest.fixture
def cupy() -> Any:
    """CuPy on a machine with a GPU."""
    return require_cuda()
