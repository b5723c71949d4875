"""On a GPU: what the host gives, seen right on any stream, and never overwritten while work with it is under way."""

import gc
import os
from collections.abc import Callable
from itertools import islice
from typing import Any

import numpy as np
import pytest
from loaders.arrays import Arrays, numbers
from loaders.test_loader_pictures import pictured

import robocache as rc
from robocache.loaders import cards
from robocache.loaders.lending import _Loan, keeps_what_it_reads

pytestmark = pytest.mark.cuda

LONG = 200_000_000  # clock ticks: far longer than the host needs to launch
WIDTH = 1 << 16


@pytest.fixture
def nap(cupy: Any) -> Callable[[int], None]:
    """Keep the current stream busy for so many ticks."""
    kernel = cupy.RawKernel(
        'extern "C" __global__ void nap(long long n) { long long t = clock64(); while (clock64() - t < n); }', "nap"
    )
    kernel((1,), (1,), (np.int64(1),))
    cupy.cuda.Device().synchronize()
    return lambda ticks: kernel((1,), (1,), (np.int64(ticks),))


@pytest.fixture
def torch(cupy: Any) -> Any:
    name = pytest.importorskip if os.environ.get("ROBOCACHE_REQUIRE_TORCH") != "1" else __import__
    torch = name("torch")
    if not torch.cuda.is_available():
        if os.environ.get("ROBOCACHE_REQUIRE_TORCH") == "1":
            pytest.fail("this torch has no CUDA")
        pytest.skip("this torch has no CUDA")
    return torch


@pytest.fixture
def late(cupy: Any, nap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every copy to the device begins late: who does not wait for it reads what was there before."""
    claim = cards.Buffer.claim

    def slow(self: Any, stream: Any) -> None:
        claim(self, stream)
        with stream:
            nap(LONG)

    monkeypatch.setattr(cards.Buffer, "claim", slow)


def counting(steps: int = 60) -> Arrays:
    """Step k is full of k + 1."""
    return Arrays([steps], {"x": np.repeat(np.arange(1, steps + 1, dtype=np.float32)[:, None], WIDTH, axis=1)})


def options() -> dict[str, Any]:
    return {
        "batch_size": 4, "n_obs": 2, "n_act": 3, "drop_last": False, "epochs": 3,
        "images": {"cam": rc.ImageOptions((6, 7), layout="chw", dtype="float32", mean=[0.4, 0.5, 0.6], std=0.2)},
        "normalize": {"state": {"mean": 1.0, "std": 3.0}, "gripper": {"mean": 3.0, "std": 7.0}},
    }  # fmt: skip


def bytes_of(batch: Any) -> Any:
    return {name: (array.shape, array.dtype, array.tobytes()) for name, array in batch.numpy(valid=True).items()}


@pytest.mark.parametrize("dtype", ["uint8", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("layout", ["hwc", "chw"])
@pytest.mark.usefixtures("cupy")
def test_the_bits_of_the_host(dtype: str, layout: str) -> None:
    import ml_dtypes

    source, _ = pictured("png")
    source = Arrays([5, 6], source.values | numbers(0, [5, 6]).values, shapes={"cam": (12, 20, 3)})
    kind = ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype
    scale = {} if dtype == "uint8" else {"mean": [0.4, 0.5, 0.6], "std": 0.2}
    how = options() | {"images": {"cam": rc.ImageOptions((6, 7), layout=layout, dtype=kind, **scale)}}
    with rc.DataLoader(source, **how) as host, rc.DataLoader(source, device=0, **how) as device:
        for one, other in zip(host, device, strict=True):
            assert (one.device, other.device) == (None, 0)
            assert one.item.tolist() == other.item.tolist()
            assert all(array.data.device_id == 0 and array.flags.c_contiguous for array in other.values())
            assert bytes_of(one) == bytes_of(other)


@pytest.mark.usefixtures("cupy")
def test_whole_episodes() -> None:
    for pad in (None, "max", 12):
        how = {"batch_size": 2, "mode": "episodes", "pad": pad, "normalize": {"state": {"mean": 1.0, "std": 2.0}}}
        source = numbers(0, [5, 3, 12, 7])
        with rc.DataLoader(source, **how) as host, rc.DataLoader(source, device=0, **how) as device:
            for one, other in zip(host, device, strict=True):
                assert bytes_of(one) == bytes_of(other)


def test_slots_are_pinned(cupy: Any) -> None:
    with rc.DataLoader(counting(), batch_size=4, device=0) as loader:
        next(iter(loader))
        for slot in loader._engine._ring.memory.values():
            assert cupy.cuda.runtime.pointerGetAttributes(slot.ctypes.data).type == 1  # cudaMemoryTypeHost


def expected(batch: Any) -> Any:
    return batch.anchor.astype(np.float32) + 1


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("where", ["default", "own", "changed"])
def test_a_cupy_stream_sees_what_was_copied(cupy: Any, where: str) -> None:
    """The default stream, one of the consumer's own, and one that is current only after the batch was taken."""
    stream = cupy.cuda.Stream.null if where == "default" else cupy.cuda.Stream(non_blocking=True)
    with rc.DataLoader(counting(), batch_size=4, device=0, prefetch=1) as loader:
        loop, got, wanted = iter(loader), [], []
        for _ in range(6):
            if where == "own":
                with stream:
                    batch = next(loop)
            else:
                batch = next(loop)
            with stream:
                got.append(batch["x"].min(axis=(1, 2)))
            wanted.append(expected(batch))
            del batch
        stream.synchronize()
    assert [array.get().tolist() for array in got] == [array.tolist() for array in wanted]


@pytest.mark.usefixtures("late")
@pytest.mark.parametrize("way", ["to_torch", "from_dlpack"])
@pytest.mark.parametrize("side", [False, True])
def test_a_torch_stream_sees_what_was_copied(torch: Any, way: str, side: bool) -> None:
    stream = torch.cuda.Stream() if side else torch.cuda.current_stream()
    with rc.DataLoader(counting(), batch_size=4, device=0, prefetch=1) as loader:
        got, wanted = [], []
        with torch.cuda.stream(stream):
            for batch in islice(loader, 6):
                tensor = batch.to_torch()["x"] if way == "to_torch" else torch.from_dlpack(batch["x"])
                assert tensor.data_ptr() == batch["x"].data.ptr
                got.append(tensor.amin((1, 2)))
                wanted.append(expected(batch).tolist())
                del tensor, batch
        stream.synchronize()
    assert [tensor.tolist() for tensor in got] == wanted


def on_the_gpu() -> Any:
    jax = pytest.importorskip("jax")
    if not any(device.platform == "gpu" for device in jax.devices()):
        pytest.skip("this JAX has no GPU")
    return jax


@pytest.mark.usefixtures("late")
def test_jax_sees_what_was_copied_and_keeps_it() -> None:
    jax = on_the_gpu()
    with rc.DataLoader(counting(), batch_size=4, device=0, prefetch=1) as loader:
        got, wanted = [], []
        for batch in islice(loader, 8):
            array = batch.to_jax()["x"]
            for _ in range(20):  # work that is still to be done when the batch is dropped
                array = jax.numpy.sort(array[:, :, ::-1], axis=2)
            got.append(array.min(axis=(1, 2)))
            wanted.append(expected(batch).tolist())
            del array, batch
        assert [array.tolist() for array in got] == wanted


def test_jax_gives_back_late_what_it_is_said_to_keep(cupy: Any) -> None:
    """Lent memory comes back after the work with it, if it was found that this JAX does so."""
    jax = on_the_gpu()
    if not keeps_what_it_reads(0):
        pytest.skip("this JAX lets go at once: the device is waited for")
    work = jax.jit(lambda x: jax.lax.fori_loop(0, 200, lambda _, y: jax.numpy.sort(y[::-1]), x))
    work(jax.numpy.zeros(1 << 20)).block_until_ready()
    for _ in range(3):
        loan = _Loan()
        over, memory = loan.over, cupy.zeros(1 << 20, np.float32)
        owned = cupy.cuda.UnownedMemory(memory.data.ptr, memory.nbytes, loan, 0)
        lent = cupy.ndarray(memory.shape, memory.dtype, cupy.cuda.MemoryPointer(owned, 0))
        result = work(jax.dlpack.from_dlpack(lent))
        del loan, owned, lent
        early = over.is_set() and not result.is_ready()
        result.block_until_ready()
        assert not early
        assert over.wait(10)


def test_the_host_does_not_wait_for_the_copy(cupy: Any, nap: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    claim = cards.Buffer.claim

    def slow(self: Any, stream: Any) -> None:
        claim(self, stream)
        with stream:
            nap(10 * LONG)

    monkeypatch.setattr(cards.Buffer, "claim", slow)
    with rc.DataLoader(counting(), batch_size=4, device=0, prefetch=1) as loader:
        batch = next(iter(loader))
        assert not batch._keep[0]._filled.done
        doubled = batch["x"][:, 0, 0] * 2
        assert doubled.get().tolist() == (2 * expected(batch)).tolist()


@pytest.mark.parametrize("where", ["default", "own"])
def test_a_slow_cupy_consumer_keeps_what_it_reads(cupy: Any, nap: Any, where: str) -> None:
    """Each batch is dropped long before the kernel that reads it begins; two buffers go round."""
    stream = cupy.cuda.Stream.null if where == "default" else cupy.cuda.Stream(non_blocking=True)
    with rc.DataLoader(counting(), batch_size=4, device=0, prefetch=1, epochs=2) as loader, stream:
        got, wanted, places = cupy.zeros((24, 4), np.float32), [], set()
        for number, batch in enumerate(islice(loader, 24)):
            nap(LONG // 4)
            got[number] = batch["x"].min(axis=(1, 2))  # not into out=: CuPy 14.2 reduces that by another way, and fails
            wanted.append(expected(batch).tolist())
            places.add(batch["x"].data.ptr)
            del batch
        stream.synchronize()
        assert got.get().tolist() == wanted
        assert len(places) <= 3


@pytest.mark.parametrize("way", ["to_torch", "from_dlpack", "slice"])
@pytest.mark.parametrize("side", [False, True])
def test_a_slow_torch_consumer_keeps_what_it_reads(torch: Any, way: str, side: bool) -> None:
    stream = torch.cuda.Stream() if side else torch.cuda.current_stream()
    with rc.DataLoader(counting(), batch_size=4, device=0, prefetch=1, epochs=2) as loader:
        got, wanted = torch.zeros((24, 4), device="cuda"), []
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            for number, batch in enumerate(islice(loader, 24)):
                tensor = torch.from_dlpack(batch["x"]) if way == "from_dlpack" else batch.to_torch()["x"]
                wanted.append(expected(batch).tolist())
                del batch
                if way == "slice":
                    tensor = tensor[:, :, WIDTH // 2 :]  # the whole tensor dies, a part of it does not
                torch.cuda._sleep(LONG // 4)
                torch.amin(tensor, (1, 2), out=got[number])
                del tensor
        stream.synchronize()
        assert got.tolist() == wanted


def test_batches_that_are_kept(cupy: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    source = counting()
    with rc.DataLoader(source, batch_size=4, device=0, prefetch=1) as loader:
        kept = list(loader)
        each = loader.memory.buffer
        assert len({batch["x"].data.ptr for batch in kept}) == len(kept) == 15
        assert all((batch["x"].min(axis=(1, 2)).get() == expected(batch)).all() for batch in kept)
        views = [batch["x"][1:, 0, 3] for batch in kept]
        anchors = [expected(batch)[1:].tolist() for batch in kept]
        del kept
        list(islice(loader, 12))
        assert [view.get().tolist() for view in views] == anchors
    monkeypatch.setattr(cards, "total", lambda device: 4 * 5 * each)
    with rc.DataLoader(source, batch_size=4, device=0, prefetch=1) as loader:
        with pytest.raises(rc.errors.MemoryLimitError, match="all 5 batches"):
            list(loader)
        assert len(list(islice(loader, 5))) == 5


def test_batches_outlive_their_loader(cupy: Any) -> None:
    loader = rc.DataLoader(counting(), batch_size=4, device=0)
    kept = list(islice(loader, 3))
    loader.close()
    del loader
    gc.collect()
    assert all((batch["x"].min(axis=(1, 2)).get() == expected(batch)).all() for batch in kept)
    cupy.get_default_memory_pool().free_all_blocks()


def test_device_memory_is_given_back(cupy: Any) -> None:
    def used() -> int:
        gc.collect()
        cupy.cuda.Device().synchronize()
        cupy.get_default_memory_pool().free_all_blocks()
        free, whole = cupy.cuda.runtime.memGetInfo()
        return int(whole - free)

    def once() -> None:
        with rc.DataLoader(counting(), batch_size=16, device=0) as loader:
            assert sum(batch.size for batch in loader) == 48
            each.append(loader.memory.buffer)

    each: list[int] = []
    once()
    before = used()
    for _ in range(8):
        once()
    assert used() - before < 8 * each[0]


def test_a_second_gpu(cupy: Any) -> None:
    if cupy.cuda.runtime.getDeviceCount() < 2:
        pytest.skip("there is one GPU")
    for current in (0, 1):
        with cupy.cuda.Device(current), rc.DataLoader(counting(), batch_size=4, device=1) as loader:
            for batch in loader:
                assert batch["x"].data.device_id == 1
                with cupy.cuda.Device(1):
                    assert (batch["x"].min(axis=(1, 2)).get() == expected(batch)).all()
