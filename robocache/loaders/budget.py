"""How much memory a loader may take, counted before it takes any."""

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .._core.errors import MemoryLimitError

SHARE = 4  # a quarter of the memory there is
CGROUP = Path("/sys/fs/cgroup/memory.max")


@dataclass(frozen=True)
class MemoryPlan:
    """Bytes of a loader. Beside them, each thread needs room for what it is decoding.

    Attributes
    ----------
    slot, slots : int
        Bytes of a batch on the host, and batches that are being filled, wait, or are in use.
    host, host_limit : int
        Bytes of all slots, and how far they may grow while the consumer keeps batches.
    buffer, buffers : int
        The same of a batch on the GPU, as it is handed out; 0 without one.
    device, device_limit : int
    """

    slot: int
    slots: int
    host_limit: int
    buffer: int = 0
    buffers: int = 0
    device_limit: int = 0

    @property
    def host(self) -> int:
        """Bytes of all slots."""
        return self.slot * self.slots

    @property
    def device(self) -> int:
        """Bytes of all buffers."""
        return self.buffer * self.buffers

    @property
    def most(self) -> int:
        """Batches that may be in use or on their way."""
        if self.buffer:
            return self.device_limit // self.buffer
        return self.host_limit // max(1, self.slot)


def host_limit(wish: int | None) -> int:
    """A quarter of the memory of the machine, or of what this process may have of it, and no more than is wished."""
    most = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # no such limit, or "max"
        most = min(most, int(CGROUP.read_text("ascii")))
    return min(most // SHARE, most if wish is None else wish)


def checked(plan: MemoryPlan) -> MemoryPlan:
    """The plan, if it stays within its limits.

    Raises
    ------
    MemoryLimitError
        It does not; with the numbers.
    """
    for where, each, count, limit in (
        ("of memory", plan.slot, plan.slots, plan.host_limit),
        ("of the GPU's memory", plan.buffer, plan.buffers, plan.device_limit),
    ):
        if each * count > limit:
            raise MemoryLimitError(
                f"{count} batches of {each:,} bytes are {each * count:,} bytes {where}, more than the {limit:,} "
                "allowed (a quarter of all, or memory=); lower batch_size, prefetch or threads, choose fewer streams, "
                "resize pictures, or raise memory= if it is given"
            )
    return plan


def remedy(where: str) -> str:
    """What to do when all batches are in use."""
    return f"drop batches before taking more, or copy what is to be kept; there is no room for more than {where}"


__all__ = ["MemoryPlan", "checked", "host_limit", "remedy"]
