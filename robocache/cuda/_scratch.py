"""Memory that launches work in and calls share: a state that each leaves as the next one wants it, and room."""

from threading import get_ident
from typing import Any

import cupy
import numpy as np

from . import _launch

SLOT, SLOTS = 128, 512  # bytes of a state, the largest of which is struct Plan of table.cuh; states of a page
KEPT, KEPT_BYTES = 64, 4 << 20  # threads and streams whose scratch memory is kept, and the most of each

_pages: dict[int, list[Any]] = {}
_free: dict[int, list[Any]] = {}


def _state(device: int) -> Any:
    """Zeros that nobody else uses. They are never given back: a stream that is gone may still be at work."""
    free = _free.setdefault(device, [])
    try:
        return free.pop()
    except IndexError:
        pass
    with cupy.cuda.Stream(non_blocking=True) as stream:
        page = cupy.zeros(SLOTS * SLOT, np.uint8)
        stream.synchronize()  # synchronizes, once for SLOTS states, and only with this stream
    _pages.setdefault(device, []).append(page)
    free += [page[at : at + SLOT] for at in range(0, SLOTS * SLOT, SLOT)]
    return free.pop()


def _captured_state(device: int) -> Any:
    """The same for a call that is being captured, which can only clear memory as a part of the graph."""
    free = _free.get(device)
    if free:
        try:
            return free.pop()  # clear already
        except IndexError:
            pass
    return cupy.zeros(SLOT, np.uint8)


class Scratch:
    """A state, ``zeroed`` bytes that are zero between launches, and ``free`` bytes behind them.

    It holds its stream: CUDA gives the handle of a stream that is gone to the next one, even while work is under way.
    """

    __slots__ = ("_room", "_state", "_stream", "base", "free", "state", "zeroed")

    def __init__(self, stream: Any, state: Any, zeroed: int, free: int) -> None:
        self.zeroed, self.free, self._stream = zeroed, free, stream
        self._state, self.state = state, int(state.data.ptr)
        self._room = cupy.ndarray((zeroed + free,), np.uint8)
        self.base = int(self._room.data.ptr)
        if zeroed:
            self._room.data.memset_async(0, zeroed)

    def look(self, dtype: np.dtype) -> Any:
        """The state as the GPU has left it. # synchronizes"""
        return self._state[: dtype.itemsize].get().view(dtype)[0]


_kept: dict[tuple[str, int, int, int], Scratch] = {}


def scratch(purpose: str, device: int, zeroed: int, free: int) -> Scratch:
    """Scratch memory of one call. Small ones are kept for the next call of the same thread on the same stream."""
    stream = cupy.cuda.get_current_stream()
    if stream.is_capturing():
        made = Scratch(None, _captured_state(device), zeroed, free)
        _launch.keep(made)
        return made
    key = (purpose, device, stream.ptr, get_ident())
    kept = _kept.get(key)
    if kept is None:
        if len(_kept) >= KEPT:
            _kept.clear()
        kept = _kept[key] = Scratch(stream, _state(device), 0, 0)
    if kept.zeroed >= zeroed and kept.free >= free:
        return kept
    state = kept._state
    if zeroed + free > KEPT_BYTES:
        return Scratch(stream, state, zeroed, free)
    if max(zeroed, kept.zeroed) + max(free, kept.free) <= KEPT_BYTES:  # serves both layouts from now on
        zeroed, free = max(zeroed, kept.zeroed), max(free, kept.free)
    kept = _kept[key] = Scratch(stream, state, zeroed, free)
    return kept
