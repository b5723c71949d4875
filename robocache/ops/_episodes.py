"""Episodes packed one after another, and what answers for batches of positions among them."""

import operator
from collections.abc import Iterator
from typing import Any

import numpy as np

from .. import interop
from .._core import dtypes
from .._core.errors import ArgumentError, DataError, DTypeError, PositionError, ShapeError

Home = tuple[str, int, str, Any]  # what interop.Call is made of


class Edges:
    """Integers of every episode, kept on the host and, once asked for, on the devices that asked."""

    def __init__(self, host: np.ndarray) -> None:
        host.flags.writeable = False
        self.host = host
        self._there: dict[int, Any] = {}

    def on(self, call: interop.Call) -> Any:
        """The array where a call runs."""
        if call.backend == "cpu":
            return self.host
        found = self._there.get(call.device)
        if found is None:
            found = call.xp.asarray(self.host)
            call.xp.cuda.get_current_stream().synchronize()  # synchronizes: later calls may be on other streams
            self._there[call.device] = found
        return found

    def __getstate__(self) -> dict[str, Any]:
        return {"host": self.host, "_there": {}}


class Batches:
    """What has a length and answers for positions: one, a slice, or an array of them."""

    _home: Home  # where whatever is no array is answered for

    def __len__(self) -> int:
        raise NotImplementedError

    def _answer(self, call: interop.Call, positions: Any, first: int, step: int, shape: tuple[int, ...]) -> Any:
        """Of native int64 positions of a shape, or without them of ``first``, ``first + step``, …"""
        raise NotImplementedError

    def _take(self, positions: Any, **beside: Any) -> Any:
        """Answer for an array, which must live with those beside it."""
        if interop.kind(positions) == "host":
            call = interop.Call(*self._home)
            with call:
                array = np.asarray(positions)
                array = call.xp.asarray(array if array.size else array.astype(np.int64))
                return self._answer(call, _whole(array, call.xp), 0, 1, array.shape)
        call, (array, *_) = interop.receive(positions=positions, **beside)
        with call:
            return self._answer(call, _whole(array, call.xp), 0, 1, tuple(array.shape))

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, (slice, int, np.integer)):
            return self._take(key)
        shape: tuple[int, ...] = ()
        if isinstance(key, slice):
            where = range(len(self))[key]
            first, step, shape = where.start, where.step, (len(where),)
        else:
            place = operator.index(key)
            first, step = place + len(self) * (place < 0), 1
            if not 0 <= first < len(self):
                raise PositionError(f"position {place} lies outside the {len(self)} that there are")
        call = interop.Call(*self._home)
        with call:
            return self._answer(call, None, first, step, shape)

    def __iter__(self) -> Iterator[Any]:
        return (self[i] for i in range(len(self)))

    def __getstate__(self) -> dict[str, Any]:
        native = ("numpy" if self._home[0] == "cpu" else "cupy", None)
        return self.__dict__ | {"_home": (*self._home[:2], *native)}


def _whole(array: Any, xp: Any) -> Any:
    if array.dtype not in dtypes.INTEGER:
        raise DTypeError(
            f"positions has dtype {array.dtype}; expected integers. Of a mask, pass numpy.flatnonzero(mask)"
        )
    return xp.ascontiguousarray(array.astype(np.int64, copy=False)).reshape(-1)


def edges_of(offsets: Any, episode_ends: Any) -> tuple[np.ndarray, Home]:
    """Offsets ``[E + 1]`` as int64 on the host, checked, and where they came from. # synchronizes for a GPU array."""
    if (offsets is None) == (episode_ends is None):
        raise ArgumentError("give either offsets, [E + 1] with the leading 0, or episode_ends, [E] without it")
    name = "offsets" if episode_ends is None else "episode_ends"
    call, (given,) = interop.receive(**{name: offsets if episode_ends is None else episode_ends})
    with call:
        host = np.asarray(given.get() if call.backend == "cuda" else given)
    if host.dtype not in dtypes.INTEGER and host.size:
        raise DTypeError(f"{name} has dtype {host.dtype}; expected integers such as int64")
    if host.ndim != 1 or (name == "offsets" and not host.size):
        layout = "[E + 1], one entry more than there are episodes" if name == "offsets" else "[E]"
        raise ShapeError(f"{name} has shape {tuple(host.shape)}; expected {layout}")
    lead = np.zeros(int(name == "episode_ends"), np.int64)
    edges = np.concatenate([lead, host.astype(np.int64)])
    if edges[0] < 0 or (edges[1:] < edges[:-1]).any():
        raise DataError(f"{name} must not fall nor be negative; got {host!r}")
    return edges, (call.backend, call.device, call.framework, call.namespace)
