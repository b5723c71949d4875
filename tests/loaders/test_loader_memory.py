"""Memory that goes round: never written while anybody looks at it, bounded, and told in advance."""

import gc
import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaders.arrays import Arrays, numbers

import robocache as rc
from robocache.errors import MemoryLimitError
from robocache.loaders import budget
from robocache.loaders.ring import Ring


def counting(steps: int, width: int = 64) -> Arrays:
    """Step k is full of k."""
    return Arrays([steps], {"x": np.repeat(np.arange(steps, dtype=np.float32)[:, None], width, axis=1)})


def looks(kind: str) -> Any:
    if kind == "torch":
        return lambda batch: batch.to_torch()["x"][1:, 0]
    if kind == "jax":
        return lambda batch: batch.to_jax()["x"]
    return {
        "batch": lambda batch: batch,
        "array": lambda batch: batch["x"],
        "row": lambda batch: batch["x"][1:, 0, 3:5].T,
        "buffer": lambda batch: memoryview(batch["x"][0]),
        "mask": lambda batch: batch.valid["x"],
    }[kind]


@pytest.mark.parametrize("kind", ["batch", "array", "row", "buffer", "mask", "torch", "jax"])
def test_what_is_looked_at_is_not_written_again(kind: str) -> None:
    if kind in ("torch", "jax"):
        pytest.importorskip(kind)
    look = looks(kind)

    def now(kept: Any) -> Any:
        return np.array(kept["x"] if kind == "batch" else kept.numpy() if kind == "torch" else kept)

    with rc.DataLoader(counting(120), batch_size=3, threads=2, epochs=4) as loader:
        kept, then = [], []
        for number, batch in enumerate(loader):
            if number % 3 == 0:
                kept.append(look(batch))
                then.append(now(kept[-1]))
            if number % 7 == 0:
                del kept[::2], then[::2]
            assert all((now(one) == old).all() for one, old in zip(kept, then))
            del batch
        used = len(loader._engine.place.ring.memory)
        assert used <= len(kept) + 3 * loader.memory.slots


def test_memory_is_used_again_once_nobody_looks() -> None:
    with rc.DataLoader(counting(100), batch_size=2, threads=2, epochs=3) as loader:
        places = set()
        for batch in loader:
            places.add(batch["x"].ctypes.data)
        del batch
        assert len(places) <= loader.memory.slots + 1  # one more while the next is taken before this one is let go
        ring = loader._engine.place.ring
        kept = list(loader)
        assert len(ring.memory) >= len(kept) == 150
        assert [batch["x"][0, 0, 0] in batch.anchor for batch in kept] == [True] * 150
        del kept
        for _ in loader:  # what was made for the list is given up
            pass
        assert len(ring.memory) <= loader.memory.slots + 2


def test_a_consumer_that_keeps_everything_is_told() -> None:
    slot = rc.DataLoader(counting(400), batch_size=4).memory.slot
    with rc.DataLoader(counting(400), batch_size=4, threads=2, memory=12 * slot) as loader:
        kept: list[Any] = []
        with pytest.raises(MemoryLimitError, match=r"all 12 batches .* drop batches"):
            kept.extend(iter(loader))
        loop = iter(loader)
        with pytest.raises(MemoryLimitError):
            kept.append(next(loop))
        first = kept.pop(0)
        anchors = [first.anchor.tolist()] + [batch.anchor.tolist() for batch in kept]
        del first
        kept.append(next(loop))  # the same loop goes on
        anchors.append(kept[-1].anchor.tolist())
        kept.clear()
        anchors += [batch.anchor.tolist() for batch in loop]
    with rc.DataLoader(counting(400), batch_size=4) as loader:
        assert anchors == [batch.anchor.tolist() for batch in loader]


def test_batches_outlive_their_loader() -> None:
    loader = rc.DataLoader(counting(20), batch_size=2)
    kept = list(loader)
    loader.close()
    del loader
    gc.collect()
    assert all((batch["x"][:, 0, 0] == batch.anchor).all() for batch in kept)


def test_too_much_is_refused_before_it_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    source = counting(64, 1000)
    slot = 256 * -(-32 * 4000 // 256) + 256
    for arguments in ({"memory": 5 * slot - 1}, {"memory": 1}):
        with pytest.raises(MemoryLimitError, match=rf"5 batches of {slot:,} bytes .* lower batch_size"):
            rc.DataLoader(source, batch_size=32, threads=2, **arguments)
    with rc.DataLoader(source, batch_size=32, threads=2, memory=5 * slot) as loader:
        plan = loader.memory
        assert (plan.slot, plan.slots, plan.host, plan.most, plan.device) == (slot, 5, 5 * slot, 5, 0)
        assert sum(batch.size for batch in loader) == 64
    monkeypatch.setattr(budget, "SHARE", 1 << 40)
    with pytest.raises(MemoryLimitError, match="more than the 0 allowed"):
        rc.DataLoader(source, batch_size=1)


def test_a_limit_of_the_container_counts(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "CGROUP", tmp_path / "memory.max")
    whole = budget.host_limit(None)
    (tmp_path / "memory.max").write_text("max\n")
    assert budget.host_limit(None) == whole
    (tmp_path / "memory.max").write_text("4000000\n")
    assert budget.host_limit(None) == 1_000_000
    assert budget.host_limit(5000) == 5000


@given(st.integers(1, 4), st.integers(0, 4), st.lists(st.tuples(st.booleans(), st.integers(0, 9)), max_size=40))
def test_a_ring_never_has_a_slot_twice(count: int, more: int, moves: Any) -> None:
    """Against a model: lend what is free, drop what is lent, in any order."""
    ring = Ring(lambda: bytearray(1), count, count + more, "drop some")
    held: list[Any] = []
    for take, which in moves:
        if take:
            try:
                ring.make_room()
            except MemoryLimitError:
                assert len(held) == len(ring.memory) == count + more
                continue
            lease = ring.lend(ring.take())
            assert lease.number not in {one.number for one in held}
            held.append(lease)
        elif held:
            del held[which % len(held)]
            lease = None
        lease = None
        assert ring.lent == {one.number for one in held}
        assert len(ring.memory) <= count + more
        assert ring.free.qsize() + len(held) == len(ring.memory)


def test_leases_that_die_in_a_collection_or_in_other_threads() -> None:
    """Batches in cycles are freed whenever the collector runs, in whichever thread that is."""
    with rc.DataLoader(counting(300), batch_size=3, threads=3, epochs=3) as loader:
        held: list[Any] = []

        def hold(batch: Any) -> None:
            cycle = {"batch": batch}
            cycle["self"] = cycle
            held.append(cycle)
            if len(held) == 4:
                held.clear()

        for batch in loader:
            thread = threading.Thread(target=hold, args=(batch,))
            thread.start()
            thread.join()
            assert (batch["x"][:, 0, 0] == batch.anchor).all()
        del batch
        held.clear()
        gc.collect()
        assert loader._engine.place.ring.lent == set()


def test_stats_tell_what_was_delivered() -> None:
    with rc.DataLoader(numbers(0, [30, 31]), batch_size=8, n_obs=2, n_act=3, drop_last=False) as loader:
        assert loader.stats()["batches"] == 0
        total = 0
        for batch in loader:
            total += sum(array.nbytes for array in batch.numpy(valid=True).values())
        found = loader.stats()
        assert (found["batches"], found["samples"], found["bytes"], found["queue"]) == (8, 61, total, 0)
        assert 0 <= found["stall"] <= 1
        assert found["samples_per_s"] > 0
        assert 0 <= found["wait_ms_p50"] <= found["wait_ms_p95"]
        assert (found["skipped"], found["dropped"], found["ledger"]) == (0, 0, [])
