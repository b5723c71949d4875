"""Steps of windows on the GPU."""

import struct
from collections.abc import Iterator
from typing import Any

from .._core.jobs import Rule
from . import _launch
from ._module import Macros, function
from ._work import address

WINDOWS = 64  # of a block
THREADS = 256
_TAKE = struct.Struct("10Q9q")


def variants() -> Iterator[tuple[str, Macros]]:
    """Everything that can be compiled here."""
    yield "windows", ()


def take(rule: Rule, edges: Any, positions: Any, first: int, step: int, results: tuple[Any, ...]) -> None:
    """See robocache.ops.windows.Windows.take."""
    count, episodes = results[-1].size, edges.shape[1] - 1
    if not count:
        return
    work = _TAKE.pack(
        _launch.begin(), address(positions), edges.data.ptr, edges.data.ptr + edges.strides[0],
        *(results[k].data.ptr for k in (0, 2, 4, 5, 1, 3)), episodes, count, first, step, *rule,
    )  # fmt: skip
    _launch.hold(edges, positions, *results)
    kernel = function(_launch.device_id(edges), "windows", "windows_take")
    kernel((_launch.blocks(count, WINDOWS),), (THREADS,), (_launch.argument(work),))
