"""Samples at given times around an anchor, in the words of LeRobot's ``delta_timestamps``."""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DataError, DataWarning, ShapeError
from .._core.jobs import NO_LIMIT, Search
from . import _streams
from ._dispatch import twin
from ._episodes import Batches, Edges, edges_of
from ._replay import COARSE

MISSES = ("raise", "invalid")
LONGEST = 2**62  # nanoseconds


@dataclass(frozen=True, eq=False)
class DeltaBatch:
    """The samples around some anchors, as `DeltaTimestamps` gives them.

    Parameters
    ----------
    index : dict of array of int64, shape (..., delta)
        For each key the samples nearest to the anchors' times plus its deltas, counted in the packed arrays.
    valid : dict of array of bool, shape (..., delta)
        False where there is none within tolerance; the index is then that of the nearest, or of the anchor where the
        times of its episode are unusable.

    Notes
    -----
    On a GPU an anchor outside the samples has index -1, nothing valid, and the next call warns. On the CPU it is
    refused.
    """

    index: dict[str, Any]
    valid: dict[str, Any]

    @property
    def is_pad(self) -> dict[str, Any]:
        """``valid`` inverted under LeRobot's names, ``<key>_is_pad``."""
        return {f"{key}_is_pad": ~valid for key, valid in self.valid.items()}


class DeltaTimestamps(Batches):
    """Samples at times around every anchor, as `delta_timestamps` makes them: a sequence that finds what is asked for.

    ``len(d)`` is the number of samples, each of which is an anchor; ``d[3]``, ``d[10:20]`` and ``d.take(anchors)`` look
    around some.

    Attributes
    ----------
    offsets : NumPy array of int64, shape (episode + 1,)
        First sample of each episode; read-only.
    keys : tuple of str
        Keys of the deltas.

    Notes
    -----
    It keeps the times that it was given, not a copy: they must not change. Arrays of anchors must live where the times
    do; integers, slices and lists are answered there.
    """

    def __init__(
        self, call: interop.Call, times: Any, offsets: np.ndarray, deltas: dict[str, list[Any]], tolerance: Any,
        on_miss: str, check: str,
    ) -> None:  # fmt: skip
        self._home = (call.backend, call.device, call.framework, call.namespace)
        self._edges, self._strict = Edges(offsets), check == "strict"
        self.keys, self._widths = tuple(deltas), [len(given) for given in deltas.values()]
        columns, first = [], 0
        for given in deltas.values():
            columns += [(delta, first, len(given)) for delta in given]
            first += len(given)
        module, there = twin(call.backend, "deltas"), self._edges.on(call)
        faulty, self.coarse = None, False
        if check != "none":
            faulty, self.coarse = module.check(times, there, self._strict)
        table = module.table(columns, times.dtype)
        self._search = Search(times, there, faulty, table, first, tolerance, on_miss == "raise")

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._home[0] != "cpu":  # CuPy brings arrays to the current device
            self._home = ("cuda", self._search.times.data.device_id, *self._home[2:])

    @property
    def offsets(self) -> np.ndarray:
        """First sample of each episode, and the end of the last."""
        return self._edges.host

    def __len__(self) -> int:
        return int(self.offsets[-1])

    def __repr__(self) -> str:
        columns = ", ".join(f"{key}: {width}" for key, width in zip(self.keys, self._widths, strict=True))
        return f"DeltaTimestamps({len(self)} anchors in {self.offsets.size - 1} episodes; deltas of {columns})"

    def take(self, anchors: Any) -> DeltaBatch:
        """The samples around some anchors.

        Parameters
        ----------
        anchors : array of int, shape (...)
            Samples, counted in the packed arrays, in any order, on the device of the times.

        Returns
        -------
        DeltaBatch
            Arrays in the framework of ``anchors``.

        Raises
        ------
        DataError
            With ``on_miss="raise"``, a sample missed; an anchor outside the samples. Both on the CPU, or with
            ``check="strict"``.
        DTypeError, DeviceError
            Anchors that are no integers, or live elsewhere than the times.
        """
        found: DeltaBatch = self._take(anchors, times=self._search.times)
        return found

    def _answer(self, call: interop.Call, positions: Any, first: int, step: int, shape: tuple[int, ...]) -> DeltaBatch:
        count = math.prod(shape)
        index = call.empty((count * self._search.deltas,), dtypes.int64)  # of one key after another
        valid = call.empty((count * self._search.deltas,), dtypes.boolean)
        twin(call.backend, "deltas").take(self._search, positions, first, step, index, valid, count, self._strict)
        indices, flags, start = {}, {}, 0
        for key, width in zip(self.keys, self._widths, strict=True):
            stop = start + count * width
            indices[key] = call.give(index[start:stop].reshape(*shape, width))
            flags[key] = call.give(valid[start:stop].reshape(*shape, width))
            start = stop
        return DeltaBatch(indices, flags)


def delta_timestamps(
    times: Any, deltas: Any, *, offsets: Any = None, tolerance: Any = 1e-4, on_miss: str = "raise", check: str = "auto"
) -> DeltaTimestamps:
    r"""Find, around every anchor, the samples at its time plus some deltas.

    Parameters
    ----------
    times : array, shape (sample,)
        Stamps of the samples, rising within each episode: int64 nanoseconds, ``datetime64``, or seconds as float64 or
        float32.
    deltas : dict of sequence of float
        For each key the deltas in seconds, whatever the type of ``times``; ``timedelta64`` works too. In any order.
    offsets : array of int, shape (episode + 1,), optional
        Where each episode begins; they rise from 0 to the number of samples. Without them all is one episode.
    tolerance : float or None
        How far, in seconds, the sample may be from the time asked for. None: however far, between the first and last
        stamp of the episode.
    on_miss : "raise" or "invalid"
        What happens where no sample within the episode's time is that near: an error, as LeRobot has it, or no more
        than ``valid=False``.
    check : "auto", "strict" or "none"
        Order of the stamps. On the CPU a bad episode is an error. On the GPU its samples are invalid and the next call
        warns; "strict" waits and raises, here and in `DeltaTimestamps.take`, where misses and anchors outside are then
        raised too. "none" trusts the stamps.

    Returns
    -------
    DeltaTimestamps
        A sequence that looks around an anchor when it is indexed.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        Arguments that do not fit.
    DataError
        Stamps that are not in order or not finite; offsets that are not those of ``times``.

    Warns
    -----
    DataWarning
        float32 stamps too coarse for their own spacing.

    Notes
    -----
    An index never leaves the anchor's episode. A time before its first stamp or after its last by more than
    ``tolerance`` is padding: the index is the first or last sample, and ``valid`` is False (LeRobot's ``<key>_is_pad``
    is the inverse, `DeltaBatch.is_pad`). Between them the nearest stamp is taken, of two equally near the earlier, of
    equal stamps the last, but the anchor itself where it is one of them; so a delta of 0 gives the anchor.

    LeRobot rounds ``delta * fps`` to a number of frames, and asserts that the frames are where that says. Here the
    stamps are searched: the answer is the same where they keep to the rate, and right where they do not. Times of int64
    are searched in integers, deltas being rounded to nanoseconds; floats in float64.

    A miss on the GPU cannot be raised without waiting: it is invalid, and the next call warns, unless
    ``check="strict"``. Making the sequence on a GPU waits, for what it copies there (and from there, if the offsets
    live on one); looking around anchors is one launch, which can be captured in a CUDA graph after one call.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> times = np.array([0.0, 0.1, 0.2, 0.3, 0.0, 0.1])
    >>> d = rc.delta_timestamps(times, {"state": [-0.1, 0.0], "action": [0.0, 0.1, 0.2]}, offsets=np.array([0, 4, 6]))
    >>> batch = d.take(np.array([0, 3, 4]))
    >>> batch.index["action"]
    array([[0, 1, 2],
           [3, 3, 3],
           [4, 5, 5]])
    >>> batch.is_pad["action_is_pad"]
    array([[False, False, False],
           [False,  True,  True],
           [False, False,  True]])
    >>> batch.index["state"].tolist(), batch.valid["state"].tolist()
    ([[0, 0], [2, 3], [4, 4]], [[False, True], [True, True], [False, True]])
    """
    # Validate.
    checks.choice("on_miss", on_miss, MISSES)
    checks.choice("check", check, _streams.CHECKS)
    call, (stamps,) = interop.receive(times=times)
    with call:
        checks.ndim("times", stamps, (1,), "(sample,); give offsets for several episodes")
        stamps = _streams.times_of("times", stamps, call.xp)
        total = stamps.shape[0]
        edges = np.array([0, total]) if offsets is None else edges_of(offsets, None)[0]
        if edges[0] != 0 or edges[-1] != total:
            raise DataError(
                f"offsets run from {edges[0]} to {edges[-1]}; expected from 0 to the {total} samples of times"
            )
        if not isinstance(deltas, Mapping) or not all(isinstance(key, str) for key in deltas):
            raise ArgumentError("deltas must map names to sequences of seconds, as {'action': [0.0, 0.1]}")
        found = {key: _deltas_of(f"deltas[{key!r}]", given, stamps.dtype) for key, given in deltas.items()}
        limit = _seconds("tolerance", tolerance, stamps.dtype) if tolerance is not None else None
        if limit is not None and limit < 0:
            raise ArgumentError(f"tolerance={tolerance!r} must not be negative; None is for no limit")
        limit = (NO_LIMIT if stamps.dtype == dtypes.int64 else float(NO_LIMIT)) if limit is None else limit

        # Dispatch.
        result = DeltaTimestamps(call, stamps, edges, found, limit, on_miss, check)
    if result.coarse:
        warnings.warn(COARSE, DataWarning, stacklevel=2)
    return result


def _deltas_of(name: str, given: Any, time: np.dtype) -> list[Any]:
    """Deltas of a key in the unit of the stamps."""
    listed = np.asarray(given)
    if listed.ndim != 1:
        raise ShapeError(f"{name} has shape {listed.shape}; expected a sequence of seconds")
    return [_seconds(name, delta, time) for delta in listed]


def _seconds(name: str, value: Any, time: np.dtype) -> int | float:
    """A span in seconds, or a timedelta64, in the unit of the stamps."""
    if isinstance(value, np.timedelta64):
        if np.isnat(value):
            raise ArgumentError(f"{name} holds NaT; give a duration")
        whole = int(value.astype("m8[ns]").astype(np.int64))
        return whole if time == dtypes.int64 else whole / 1e9
    number = checks.finite(name, value)
    if time != dtypes.int64:
        return number
    if abs(number) * 1e9 > LONGEST:
        raise ArgumentError(f"{name} holds {number} s, more nanoseconds than an int64 can take")
    return round(number * 1e9)


__all__ = ["DeltaBatch", "DeltaTimestamps", "delta_timestamps"]
