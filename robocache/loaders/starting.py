"""What a loop needs before it can begin: memory, threads, and perhaps a process."""

from collections.abc import Sequence
from typing import Any

from .budget import MemoryPlan
from .engine import Engine
from .fields import Field
from .filling import Filler
from .hosts import Host
from .layout import Layout, Transfer
from .segments import Labels, Segment

WORKERS = ("thread", "process")


def start(filler: Filler, fields: Sequence[Field], slot: Layout, transfer: Transfer | None, device: int | None,
          threads: int, plan: MemoryPlan, labels: Labels | None) -> Engine:  # fmt: skip
    """Take the memory of a plan and start threads, with ``labels`` those of another process."""
    segment = child = ring = None
    fill = filler.fill
    if labels is not None:
        from .process import Child

        segment = Segment(plan.slot, plan.most if device is None else plan.slots)
        child = Child(filler, threads, segment, labels)
        fill = child.fill
    try:
        if device is None or transfer is None:
            place: Any = Host(slot, plan.slots, plan.most, segment)
        else:
            from . import cards

            place = cards.Card(device, fields, transfer, plan.buffers, plan.most)
            if segment is None:
                ring = cards.pinned(device, plan.slot, plan.slots)
            else:
                ring = cards.registered(device, segment, plan.slots)
        return Engine(fill, threads, place, ring, child)
    except BaseException:
        if child is not None:
            child.close(0.0)
        raise


__all__ = ["WORKERS", "start"]
