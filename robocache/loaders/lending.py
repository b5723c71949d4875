"""Whether JAX lets go of memory that it was lent at once, or when it is done with it."""

import threading
from functools import cache
from typing import Any

SOON = 0.05  # seconds in which a runtime that lets go at once has done so
PATIENCE = 5.0  # seconds for everything to end


class _Loan:
    """Says when nobody has it any more."""

    def __init__(self) -> None:
        self.over = threading.Event()

    def __del__(self) -> None:
        self.over.set()


@cache
def keeps_what_it_reads(device: int) -> bool:
    """Whether JAX keeps arrays of others until what it computes from them is there; False if in doubt.

    Runtimes of XLA differ: some drop an array with the last Python object of it, while kernels that read it are still
    to come. Nothing says which one is in use, so one array is lent, its producer held up, and the array dropped.
    """
    import cupy
    import jax

    gate, loan = threading.Event(), _Loan()
    over = loan.over
    with cupy.cuda.Device(device):
        memory = cupy.zeros(256, cupy.uint8)
        compute: Any = jax.jit(lambda x: ~x)
        try:
            compute(jax.dlpack.from_dlpack(memory)).block_until_ready()  # synchronizes: compiled before anyone waits
            with cupy.cuda.Stream(non_blocking=True) as stream:
                stream.launch_host_func(lambda _: gate.wait(PATIENCE), None)
                owned = cupy.cuda.UnownedMemory(memory.data.ptr, memory.nbytes, loan, device)
                given = cupy.ndarray(memory.shape, memory.dtype, cupy.cuda.MemoryPointer(owned, 0))
                result = compute(jax.dlpack.from_dlpack(given))
            del loan, owned, given
            at_once = over.wait(SOON)
            gate.set()
            result.block_until_ready()  # synchronizes
            return not at_once and over.wait(PATIENCE)
        except Exception:  # noqa: BLE001 - JAX has no GPU here, or another idea of it: then its arrays are waited for
            return False
        finally:
            gate.set()


__all__ = ["keeps_what_it_reads"]
