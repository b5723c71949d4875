"""Two kinds of JAX, neither of them real: one lets go of what it reads at once, the other when it has read it."""

import sys
import threading
import types
from typing import Any

import pytest

from robocache.loaders import lending


class Array:
    """An array of the one or the other library."""

    shape, dtype, nbytes = (256,), "uint8", 256
    data = types.SimpleNamespace(ptr=0)

    def __init__(self, *held: Any) -> None:
        self.held = held


class Result(Array):
    def block_until_ready(self) -> None:
        self.held = ()


class Stream:
    def __init__(self, non_blocking: bool) -> None:
        self.waiting: Any = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass

    def launch_host_func(self, function: Any, argument: Any) -> None:
        threading.Thread(target=function, args=(argument,)).start()


@pytest.fixture(params=["keeps", "drops", "hoards", "refuses"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A JAX of some kind, and a CuPy that goes with all of them."""
    cupy, jax, hoard = types.ModuleType("cupy"), types.ModuleType("jax"), []

    def given(array: Any) -> Array:
        if request.param == "refuses":
            raise RuntimeError("there is no GPU")
        return Array(array)

    def compute(array: Array) -> Result:
        if request.param == "hoards":
            hoard.append(array)
        return Result(*([array] if request.param == "keeps" else []))

    jax.jit = lambda function: compute  # type: ignore[attr-defined]
    jax.dlpack = types.SimpleNamespace(from_dlpack=given)  # type: ignore[attr-defined]
    cupy.zeros = lambda shape, dtype: Array()  # type: ignore[attr-defined]
    cupy.uint8 = "uint8"  # type: ignore[attr-defined]
    cupy.ndarray = lambda shape, dtype, pointer: Array(pointer)  # type: ignore[attr-defined]
    cupy.cuda = types.SimpleNamespace(  # type: ignore[attr-defined]
        Device=lambda device: Stream(True), Stream=Stream, MemoryPointer=lambda memory, offset: memory,
        UnownedMemory=lambda ptr, nbytes, owner, device: owner,
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "jax", jax)
    monkeypatch.setattr(lending, "PATIENCE", 0.2)
    lending.keeps_what_it_reads.cache_clear()
    yield request.param
    lending.keeps_what_it_reads.cache_clear()


def test_only_one_that_keeps_what_it_reads_is_trusted(kind: str) -> None:
    assert lending.keeps_what_it_reads(0) is (kind == "keeps")
