"""The way to a device, with a card of NumPy arrays whose copies happen late."""

import threading
from itertools import islice
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaders.arrays import Arrays, numbers
from loaders.test_loader_errors import holed
from loaders.test_loader_pictures import pictured

import robocache as rc
from robocache.errors import BackendError, DataError, DeviceError, MemoryLimitError
from robocache.loaders import cards
from robocache.loaders.batch import Batch
from robocache.loaders.finishing import finish
from robocache.loaders.ring import Ring

TOTAL = 1 << 32


class LateBuffer:
    """Memory that is written when the copy is waited for, not before."""

    def __init__(self, nbytes: int) -> None:
        self.memory, self.written = np.zeros(nbytes, np.uint8), threading.Event()
        self.device, self.jax, self.__array_interface__ = 0, False, None

    def receive(self) -> None:
        self.written.wait()


class LateCard:
    """What `Card` does, in NumPy. ``faults`` are raised by the copies of those numbers."""

    faults: Any = frozenset()

    def __init__(self, device: int, fields: Any, transfer: Any, count: int, most: int) -> None:
        self.fields, self.transfer, self.carried = fields, transfer, 0
        self.ring = Ring(lambda: LateBuffer(transfer.batch.nbytes), count, most, "drop some")
        self.pending: Any = None

    def carry(self, slot: Any, number: int, found: Any) -> None:
        self.carried += 1
        if self.carried in self.faults:
            raise DataError("no way")
        assert number not in self.ring.lent
        self.ring.memory[number].written.clear()
        self.pending = slot, number, found

    def wait(self) -> None:
        if self.pending is None:
            return
        (slot, number, found), self.pending = self.pending, None
        buffer, direct = self.ring.memory[number], self.transfer.direct
        buffer.memory[...] = 255  # nothing of an earlier batch is there by luck
        buffer.memory[:direct] = slot[:direct]
        try:
            finish(self.fields, self.transfer, slot[direct:].copy(), buffer.memory, found.lead)
        finally:
            slot[...] = 255  # a slot that is used again has other things in it
            buffer.written.set()

    def settle(self) -> None:
        """There is nothing to wait for when memory is used again."""

    def batch(self, number: int, found: Any) -> Any:
        buffer, lease = self.ring.memory[number], self.ring.lend(number)
        lease.memory = buffer.memory
        return Batch(self.transfer.batch, np.asarray(lease), found, buffer)


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(cards, "Card", LateCard)
    monkeypatch.setattr(LateCard, "faults", frozenset())
    monkeypatch.setattr(cards, "total", lambda device: TOTAL)
    monkeypatch.setattr(
        cards, "pinned", lambda device, nbytes, count: Ring(lambda: np.zeros(nbytes, np.uint8), count, count, "")
    )
    monkeypatch.setattr(cards, "registered", lambda device, segment, count: Ring(segment.take, count, count, ""))
    return LateCard


def contents(loader: Any) -> Any:
    found = []
    for batch in loader:
        arrays = {**batch, **{f"{name}/valid": array for name, array in batch.valid.items()}}
        found.append((batch.item.tolist(), {k: (v.shape, v.dtype, v.tobytes()) for k, v in arrays.items()}))
    return found


@given(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.booleans(), st.sampled_from(["hwc", "chw"]))
@pytest.mark.usefixtures("card")
def test_a_device_gives_what_the_host_does(batch_size: int, n_obs: int, threads: int, drop_last: bool, layout: str
                                           ) -> None:  # fmt: skip
    source, _ = pictured("png")
    source.values |= numbers(0, [5, 6]).values
    source = Arrays([5, 6], source.values, shapes={"cam": (12, 20, 3)})
    options = {
        "batch_size": batch_size, "n_obs": n_obs, "n_act": 2, "drop_last": drop_last, "threads": threads, "epochs": 3,
        "images": {"cam": rc.ImageOptions((6, 7), layout=layout, dtype="float32", mean=0.4, std=0.2)},
        "normalize": {"gripper": {"mean": 3.0, "std": 2.0}},
    }  # fmt: skip
    with rc.DataLoader(source, **options) as host, rc.DataLoader(source, device=0, **options) as device:
        assert (device.memory.slots, device.memory.buffers) == (threads + 2, 3)
        assert contents(device) == contents(host)


@pytest.mark.usefixtures("card")
def test_whole_episodes_on_a_device() -> None:
    for pad in (None, "max", 12):
        options = {"batch_size": 2, "mode": "episodes", "pad": pad, "normalize": {"state": {"mean": 1.0, "std": 2.0}}}
        source = numbers(0, [5, 3, 12, 7])
        with rc.DataLoader(source, **options) as host, rc.DataLoader(source, device=0, **options) as device:
            assert contents(device) == contents(host)


@pytest.mark.usefixtures("card")
def test_another_process_fills_what_is_copied() -> None:
    """What is finished on the device is sent there raw, with statistics that only this process has."""
    options = {"batch_size": 3, "n_obs": 2, "normalize": {"state": {"mean": 1.0, "std": 2.0}}, "threads": 2}
    with (
        rc.DataLoader(numbers(0, [17, 9]), drop_last=False, **options) as host,
        rc.DataLoader(numbers(0, [17, 9]), drop_last=False, device=0, workers="process", **options) as device,
    ):
        assert device.memory.slots == 4
        assert contents(device) == contents(host)
        assert contents(device) == contents(host)


@pytest.mark.usefixtures("card")
def test_loops_that_are_left_on_a_device() -> None:
    with rc.DataLoader(numbers(0, [30]), batch_size=2, device=0, threads=2) as loader:
        seen = []
        for cut in (1, 3, 0, 5, 2, 4):
            seen += [batch.item.tolist() for batch in islice(loader, cut)]
    with rc.DataLoader(numbers(0, [30]), batch_size=2) as loader:
        assert seen == [batch.item.tolist() for batch in loader]


def test_errors_on_the_way(card: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(card, "faults", frozenset({3}))
    with rc.DataLoader(numbers(0, [30]), batch_size=2, device=0, threads=2) as loader:
        seen = []
        with pytest.raises(DataError, match="no way"):
            seen.extend(batch.item.tolist() for batch in loader)
        assert len(seen) == 2
        assert len(seen) + len(list(loader)) == 15  # it can go on
    monkeypatch.setattr(card, "faults", frozenset())
    with rc.DataLoader(holed({3, 4, 9}), batch_size=1, device=0, on_error="skip", shuffle=False) as loader:
        assert [batch.item.tolist() for batch in loader] == [[k] for k in range(16) if k not in (3, 4, 9)]
        assert loader.stats()["dropped"] == 3
    monkeypatch.setattr(card, "wait", lambda self: 1 / 0)
    with (
        rc.DataLoader(numbers(0, [30]), batch_size=2, device=0) as loader,
        pytest.raises(BackendError, match="a thread of the loader died: division by zero"),
    ):
        list(loader)


@pytest.mark.usefixtures("card")
def test_buffers_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    source = numbers(0, [40])
    each = rc.DataLoader(source, batch_size=2, device=0).memory.buffer
    monkeypatch.setattr(cards, "total", lambda device: 4 * each * 7)
    with rc.DataLoader(source, batch_size=2, device=0) as loader:
        kept: list[Any] = []
        with pytest.raises(MemoryLimitError, match="all 7 batches"):
            kept.extend(iter(loader))
        assert [batch["state"][0, 0].tolist() for batch in kept] == [
            source.values["state"][batch.anchor[0]].tolist() for batch in kept
        ]
        kept.clear()
        assert len(list(islice(loader, 7))) == 7
    monkeypatch.setattr(cards, "total", lambda device: 4 * each * 3 - 1)
    with pytest.raises(MemoryLimitError, match="of the GPU's memory"):
        rc.DataLoader(source, batch_size=2, device=0)


def test_no_cupy_and_no_such_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "cupy", None)
    with pytest.raises(BackendError, match=r"needs CuPy and a GPU: .*robocache\[cuda12\]"):
        rc.DataLoader(numbers(0, [30]), batch_size=2, device=0)


@pytest.mark.cuda
def test_a_device_that_is_not_there(cupy: Any) -> None:
    with pytest.raises(DeviceError, match="count from 0"):
        rc.DataLoader(numbers(0, [30]), batch_size=2, device=cupy.cuda.runtime.getDeviceCount())
