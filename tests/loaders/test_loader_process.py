"""Batches from another process: byte for byte those of threads, with the same errors."""

import os
import sys
from contextlib import nullcontext
from itertools import islice
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaders import processes
from loaders.arrays import Arrays, numbers
from loaders.processes import failing
from loaders.test_loader_pictures import pictured

import robocache as rc
from robocache.errors import BackendError, DataError, MemoryLimitError
from robocache.loaders import budget, cards, payload, segments
from robocache.loaders.segments import PAGE, Segment

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memory without a name here")


def told(batch: Any) -> Any:
    arrays = {name: (array.shape, array.dtype, array.tobytes()) for name, array in batch.numpy(valid=True).items()}
    extra = [batch.source, batch.item, batch.episode, batch.anchor]
    extra += [] if batch.offsets is None else [batch.offsets]
    return arrays, [(one.dtype, one.tolist()) for one in extra]


def mixed() -> dict[str, Any]:
    source, _ = pictured("png")
    both = [Arrays([5, 6], source.values | numbers(s, [5, 6]).values, shapes={"cam": (12, 20, 3)}) for s in (0, 1)]
    both[1].gaps = {"state": np.arange(11) % 3 > 0}
    return {
        "source": both, "weights": [2, 1], "n_obs": 2, "n_act": 3, "keep": [None, [0, 2, 4, 5]],
        "images": {"cam": rc.ImageOptions((6, 7), layout="chw", dtype="float32", mean=0.4, std=0.2)},
        "normalize": {"gripper": {"mean": 3.0, "std": 2.0}, "state": rc.RunningStats().update(np.eye(3))},
    }  # fmt: skip


@pytest.mark.parametrize("options", [
    {"source": numbers(0, [9, 4, 12]), "drop_last": False, "batch_size": 4},
    {"source": numbers(0, [9, 4, 12]), "mode": "episodes", "batch_size": 2, "drop_last": False},
    {"source": numbers(0, [9, 4, 12]), "mode": "episodes", "pad": "max", "batch_size": 2},
    {"source": failing({3, 4, 5, 11}), "on_error": "skip", "batch_size": 2, "shuffle": False},
    {**mixed(), "batch_size": 5},
], ids=["windows", "episodes", "padded", "skipped", "mixed"])  # fmt: skip
def test_the_bytes_of_threads(options: Any) -> None:
    with (
        rc.DataLoader(**options, threads=1, epochs=2) as one,
        rc.DataLoader(**options, threads=3, epochs=2, workers="process") as other,
    ):
        assert [told(batch) for batch in one] == [told(batch) for batch in other]
        assert one.shapes == other.shapes
        timeless = ("batches", "samples", "bytes", "skipped", "dropped", "ledger")
        assert [one.stats()[name] for name in timeless] == [other.stats()[name] for name in timeless]
        assert one.state_dict() == other.state_dict()


@pytest.fixture(scope="module")
def reused() -> Any:
    """One process for all examples."""
    with rc.DataLoader(numbers(5, [9, 4, 12]), batch_size=4, seed=11, threads=3, workers="process", epochs=5) as loader:
        yield loader


@given(st.integers(0, 20), st.integers(1, 7), st.integers(1, 9))
def test_any_state_is_gone_on_from(reused: Any, stop: int, batch_size: int, count: int) -> None:
    """Of a loader with batches of another size too, so that an epoch goes on in the middle of one."""
    options = {"source": numbers(5, [9, 4, 12]), "seed": 11, "threads": 2, "epochs": 5}
    with rc.DataLoader(batch_size=batch_size, **options) as before:
        for _ in islice(before, stop):
            pass
        state = before.state_dict()
    with rc.DataLoader(batch_size=4, **options) as plain:
        plain.load_state_dict(state)
        expected = [told(batch) for batch in islice(plain, count)]
        left = plain.state_dict()
    reused.load_state_dict(state)
    process = None if reused._engine is None else reused._engine._child._process.pid
    assert [told(batch) for batch in islice(reused, count)] == expected
    assert reused.state_dict() == left
    assert process in (None, reused._engine._child._process.pid)


@pytest.mark.parametrize("reason", sorted(processes.ERRORS))
def test_errors_are_those_of_threads(reason: str) -> None:
    found, causes = [], []
    for workers in ("thread", "process"):
        with rc.DataLoader(failing({10}, reason), batch_size=4, shuffle=False, workers=workers, threads=2) as loader:
            seen = []
            with pytest.raises(BaseException) as caught:  # noqa: PT011 - both are compared
                seen.extend(told(batch) for batch in loader)
            error = caught.value
            place = [getattr(error, name, None) for name in ("file", "episode", "key")]
            found.append((seen, type(error), str(error), place, loader.state_dict()))
            causes.append((type(error.__cause__), str(error.__cause__)))
    assert found[0] == found[1]
    assert causes[0] == causes[1] or reason == "odd"  # which cannot be sent
    assert ["in fail\n" in note for note in error.__notes__] == [True]


def test_an_error_that_pickle_cannot_take_still_says_what_it_said() -> None:
    error = payload.again(payload.told(processes.Odd("this", "that")))
    assert type(error) is BackendError
    assert "Odd: this and that" in str(error)
    unknown = payload.told(DataError("torn"))._replace(error=b"\x80\x05cnowhere\nNothing\n.")
    assert "DataError: torn" in str(payload.again(unknown))


def refuse(*_: Any) -> None:
    raise OSError(27, "File too large")


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    source = numbers(0, [40])
    with pytest.raises(MemoryLimitError, match="lower batch_size"):
        rc.DataLoader(source, batch_size=4, threads=2, memory=5 * PAGE - 1, workers="process")
    with rc.DataLoader(source, batch_size=4, threads=2, memory=5 * PAGE, workers="process") as loader:
        assert (loader.memory.slot, loader.memory.most) == (PAGE, 5)
        assert sum(batch.size for batch in loader) == 40
        monkeypatch.setattr(segments.os, "ftruncate", refuse)
        loader._engine.close()
        with pytest.raises(MemoryLimitError, match=r"5 batches of 4,096 bytes of shared memory: .*File too large"):
            iter(loader)
    total = 1000 + source.values["action"].nbytes
    monkeypatch.setattr(budget, "host_limit", lambda wish: total if wish is None else wish)
    with pytest.raises(MemoryLimitError, match=r"the sources hold .* convert them to a store"):
        rc.DataLoader(source, batch_size=4, threads=1, memory=5 * PAGE, workers="process")


def test_a_consumer_that_keeps_batches() -> None:
    source = Arrays([400], {"x": np.repeat(np.arange(400, dtype=np.float32)[:, None], 64, axis=1)})
    options = {"batch_size": 4, "threads": 2, "memory": 12 * PAGE, "workers": "process"}
    with rc.DataLoader(source, **options) as loader:
        kept: list[Any] = []
        with pytest.raises(MemoryLimitError, match=r"all 12 batches .* drop batches"):
            kept.extend(iter(loader))
        assert all((batch["x"][:, 0, 0] == batch.anchor).all() for batch in kept)
        anchors = [batch.anchor.tolist() for batch in kept]
        kept.clear()
        anchors += [batch.anchor.tolist() for batch in loader]
        ring = loader._engine.place.ring
        assert len(ring.memory) <= loader.memory.slots + 2
        batch = next(iter(loader))
    with rc.DataLoader(source, batch_size=4) as plain:
        assert anchors == [batch.anchor.tolist() for batch in plain]
    assert (batch["x"][:, 0, 0] == batch.anchor).all()  # its loader is closed


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 7)), max_size=30))
def test_a_segment_takes_what_is_in_use(moves: Any) -> None:
    """Against a model. Slots never overlap, and pages that were given back take no memory."""
    segment = Segment(2 * PAGE, 8)
    held: list[tuple[Any, int]] = []
    for number, (take, which) in enumerate(moves):
        if take and len(held) < 8:
            memory = segment.take()
            memory[...] = number + 1
            held.append((memory, number + 1))
        elif held and not take:
            segment.drop(held.pop(which % len(held))[0])
        assert all((memory == mark).all() for memory, mark in held)
        assert os.fstat(segment.file).st_blocks * 512 == len(held) * segment.slot
    segment.forget()


class Runtime:
    """What of CUDA keeps memory in its place."""

    CUDARuntimeError = RuntimeError

    def __init__(self, refused: bool = False) -> None:
        self.held: dict[int, int] = {}
        self.refused = refused

    def hostRegister(self, pointer: int, nbytes: int, flags: int) -> None:
        if self.refused:
            raise RuntimeError("too much")
        self.held[pointer] = nbytes

    def hostUnregister(self, pointer: int) -> None:
        if pointer not in self.held:
            raise RuntimeError("not registered")
        del self.held[pointer]


@pytest.mark.parametrize("refused", [False, True])
def test_memory_is_registered_as_long_as_somebody_has_a_slot(refused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    runtime = Runtime(refused)
    cuda = SimpleNamespace(runtime=runtime, Device=lambda device: nullcontext())
    monkeypatch.setitem(sys.modules, "cupy", SimpleNamespace(cuda=cuda))
    segment = Segment(PAGE, 3)
    segment.forget()
    if refused:
        with pytest.raises(BackendError, match=r"device=1 cannot copy from 12,288 bytes .* too much"):
            cards.registered(1, segment, 3)
        return
    ring = cards.registered(1, segment, 3)
    assert runtime.held == {segment.memory.ctypes.data: 3 * PAGE}
    slots = [ring.memory[ring.take()] for _ in range(3)]
    assert [segment.at(slot) for slot in slots] == [0, PAGE, 2 * PAGE]
    last = slots[1][7:9]
    del ring, slots
    assert runtime.held
    del last
    assert not runtime.held


@given(st.data())
def test_labels_come_back(data: Any) -> None:
    from robocache.loaders.filling import Filled
    from robocache.loaders.segments import Labels

    size = data.draw(st.integers(1, 9))
    count = data.draw(st.integers(0, size))
    numbers64 = [np.array(data.draw(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n)), np.int64)
                 for n in (count, count, count, count + 1)]  # fmt: skip
    source = np.array(data.draw(st.lists(st.integers(0, 2**31 - 1), min_size=count, max_size=count)), np.int32)
    cut = data.draw(st.booleans())
    labels = Labels(256, size)
    memory = np.full(256 + labels.nbytes, 7, np.uint8)
    found = Filled(source, *numbers64[:3], {"obs": (count, 2)}, numbers64[3] if cut else None, [])
    again = labels.read(memory, labels.write(memory, found))
    assert (memory[:256] == 7).all()
    memory[...] = 0  # nothing of it is looked at any more
    for name in ("source", "item", "episode", "anchor"):
        assert getattr(again, name).dtype == getattr(found, name).dtype
        np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
    assert (again.offsets is None) == (not cut)
    if cut:
        np.testing.assert_array_equal(again.offsets, found.offsets)
    assert (again.lead, again.skipped) == (found.lead, [])
