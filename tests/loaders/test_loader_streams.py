"""What a card asks of streams and events, in which order, on a CuPy that only writes it down."""

import ctypes
import sys
import types
from typing import Any

import numpy as np
import pytest
from loaders.arrays import Arrays, numbers
from loaders.test_loader_pictures import pictured

import robocache as rc
from robocache.errors import DeviceError, MemoryLimitError
from robocache.loaders import cards

LOG: list[tuple[Any, ...]] = []


class Context:
    def __init__(self, *_: Any, **__: Any) -> None:
        self.ptr = id(self)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        pass


class Device(Context):
    def synchronize(self) -> None:
        LOG.append(("device",))


class Stream(Context):
    def wait_event(self, event: Any) -> None:
        LOG.append(("wait", self, event))


class Event(Context):
    def record(self, stream: Any) -> None:
        LOG.append(("record", stream, self))

    def synchronize(self) -> None:
        LOG.append(("host", self))


class Memory:
    def __init__(self, size: int, owner: Any = None) -> None:
        self.held, self.owner, self.size = np.full(size, 255, np.uint8), owner, size
        self.ptr = self.held.ctypes.data


class Pointer:
    def __init__(self, memory: Any, offset: int) -> None:
        self.memory, self.ptr = memory, memory.ptr + offset
        self.__array_interface__ = {"shape": (memory.size,), "typestr": "|u1", "data": (self.ptr, False), "version": 3}


def unowned(ptr: int, size: int, owner: Any, device: int) -> Any:
    assert device == 0
    return types.SimpleNamespace(ptr=ptr, size=size, owner=owner)


def copy(to: int, source: int, size: int, kind: int, stream: int) -> None:
    assert kind == 1
    ctypes.memmove(to, source, size)
    LOG.append(("copy", to))


CURRENT = [Stream()]


@pytest.fixture(autouse=True)
def writing(monkeypatch: pytest.MonkeyPatch) -> Any:
    cupy = types.ModuleType("cupy")
    runtime = types.SimpleNamespace(
        memcpyAsync=copy, memcpyHostToDevice=1, getDeviceCount=lambda: 1, memGetInfo=lambda: (0, 1 << 32),
        CUDARuntimeError=type("CUDARuntimeError", (RuntimeError,), {"status": 2}),
    )  # fmt: skip
    cupy.ndarray = lambda shape, dtype, pointer: np.asarray(pointer)  # type: ignore[attr-defined]
    cupy.cuda = types.SimpleNamespace(  # type: ignore[attr-defined]
        Device=Device, Stream=Stream, Event=Event, Memory=Memory, UnownedMemory=unowned, MemoryPointer=Pointer,
        PinnedMemory=Memory, PinnedMemoryPointer=lambda memory, offset: memory.held, runtime=runtime,
        get_current_stream=lambda device: CURRENT[0],
    )  # fmt: skip
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    LOG.clear()
    CURRENT[:] = [Stream()]
    return cupy


def loader(**more: Any) -> Any:
    source, _ = pictured("png")
    source = Arrays([5, 6], source.values | numbers(0, [5, 6]).values, shapes={"cam": (12, 20, 3)})
    images = {"cam": rc.ImageOptions((6, 7), layout="chw", dtype="float32")}
    return rc.DataLoader(source, batch_size=2, n_obs=2, images=images, epochs=4, **more)


def test_the_bits_of_the_host() -> None:
    with loader() as host, loader(device=0) as device:
        for one, other in zip(host, device, strict=True):
            assert all(one[name].tobytes() == other[name].tobytes() for name in one)
            assert all(one.valid[name].tobytes() == other.valid[name].tobytes() for name in one)


def position(entry: tuple[Any, ...], start: int, stop: int) -> int:
    """Where in the log something stands between two places."""
    return next(k for k in range(start, stop) if LOG[k] == entry)


def test_streams_wait_for_the_copy_and_the_next_copy_for_them() -> None:
    """Every array waits on the stream where it is taken; its memory is written after the work of all of them."""
    main, side, again = CURRENT[0], Stream(), 0
    last: dict[int, tuple[int, list[Any]]] = {}  # of each buffer: where its batch was taken, and on which streams
    with loader(device=0, prefetch=1) as batches:
        for number, batch in enumerate(batches):
            buffer, streams = batch._keep[0], [main]
            copied = max(k for k, entry in enumerate(LOG) if entry == ("copy", buffer.memory.ptr))
            if number % 3 == 0:
                CURRENT[0] = side
                streams.append(side)
            batch["state"], batch.valid["state"]
            CURRENT[0] = main
            stream = batches._engine.place._stream
            filled = position(("record", stream, buffer._filled), copied, len(LOG))
            for one in streams:
                position(("wait", one, buffer._filled), filled, len(LOG))
            if id(buffer) in last:
                again += 1
                since, users = last[id(buffer)]
                between = LOG[since:copied]
                for one in users:
                    marks = [k for k, e in enumerate(between) if e[0] == "record" and e[1] is one]
                    assert any(("wait", stream, between[k][2]) in between[k:] for k in marks)
            last[id(buffer)] = (len(LOG), streams)
            del batch
    assert again > 10
    assert ("device",) not in LOG


def test_what_the_consumer_does_later_is_not_waited_for() -> None:
    """He is asked how far he is when he comes for the next batch, not when its memory is needed."""

    def marks() -> list[Any]:
        return [event for what, stream, event in (e for e in LOG if len(e) == 3) if (what, stream) == ("record", main)]

    main = CURRENT[0]
    with rc.DataLoader(numbers(0, [5]), batch_size=5, device=0, epochs=1) as batches:
        (batch,), card = list(batches), batches._engine.place
        buffer = batch._keep[0]
        card.settle()
        assert not marks()  # he has it still
        del batch
        card.settle()
        (event,) = marks()
        buffer.claim(card._stream)
        assert marks() == [event]
        assert LOG[-1] == ("wait", card._stream, event)


@pytest.mark.parametrize("keeps", [False, True])
def test_the_device_is_waited_for_after_a_jax_that_lets_go_at_once(monkeypatch: pytest.MonkeyPatch, keeps: bool
                                                                  ) -> None:  # fmt: skip
    monkeypatch.setattr(cards, "keeps_what_it_reads", lambda device: keeps)
    with loader(device=0, prefetch=1) as batches:
        for batch in batches:
            batch._keep[0].jax = True  # as to_jax does
            del batch
    made = 3
    assert (LOG.count(("device",)) >= len(batches) * 4 - made) is not keeps
    assert keeps is (("device",) not in LOG)


def test_devices_that_are_not_there_and_memory_that_is_not(writing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DeviceError, match="count from 0"):
        loader(device=1)
    batches = loader(device=0)

    def full(size: int) -> Any:
        if size == batches.memory.buffer:
            raise writing.cuda.runtime.CUDARuntimeError
        return Memory(size)

    monkeypatch.setattr(writing.cuda, "Memory", full)
    with pytest.raises(MemoryLimitError, match=r"GPU 0 has no .*free_all_blocks"):
        iter(batches)
