"""Statistics of samples that come in parts: exact, mergeable in any order, on the CPU and on the GPU."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from .. import interop
from .._core.errors import ArgumentError, DataError, ShapeError
from . import _stats_files as files
from . import _stats_rows
from ._gathering import Gathering

__all__ = ["RunningStats"]

QUANTILES = (0.01, 0.1, 0.5, 0.9, 0.99)
MOST_BITS = 12


class RunningStats:
    """Count, mean, standard deviation, extremes and quantiles of samples that are seen once, part by part.

    Parameters
    ----------
    shape : tuple of int, optional
        Shape of one sample: the axes of `update`'s values that are kept. Default: taken from the first update, its last
        axis, or () if it has one axis only.
    quantiles : sequence of float, from 0 to 1
        Those that `to_lerobot` and `to_rlds` write. `quantile` answers any other too. Empty: no quantiles at all, and
        neither the time nor the memory for them.
    bits : int, 1 to 12
        Leading bits of a number's fraction by which quantiles tell numbers apart; see Notes.

    Raises
    ------
    ArgumentError
        An option is out of range.

    Notes
    -----
    *The same bits in any order.* Sums and sums of squares are kept as integers that hold every bit, so mean, variance
    and all else depend on the samples alone: not on how they were cut into updates, merged, or spread over threads,
    processes, CPU and GPU. Each result is the exact one, rounded once to float64; variances do not cancel, however
    large the mean. float16, bfloat16 and float32 values (subnormals too), booleans and integers up to 32 bits are taken
    as they are, 64-bit integers as the nearest float64.

    *Not a number.* NaN and infinite values count for nothing but `nonfinite`, feature by feature. Masked values count
    for nothing at all. Zeros have no sign. Without a sample, mean, variance, extremes and quantiles are NaN.

    *Quantiles* come from counts of buckets: numbers of equal sign and exponent whose fractions agree in the leading
    ``bits``. `quantile` follows NumPy's method "linear"; each of the two order statistics it interpolates between is
    known to its bucket, spread evenly inside it, so the result is off by at most ``2**-bits`` (0.8 % with 7 bits) of
    the larger one's magnitude. Zero, the least and the largest sample are exact, and so is a feature with one value.
    The error is relative to the numbers and not to their range: where the range is small beside the mean, subtract an
    offset first or take more bits. Merging keeps the fewer bits of the two.

    *Memory*: 0.3 or 1.6 kB a feature, for values that float32 holds or other ones, and for quantiles while updates come
    in ``8 * (554 * 2**bits + 1)`` bytes (0.57 MB with 7 bits) or ``8 * (4196 * 2**bits + 1)`` (4.3 MB) a feature on the
    GPU, up to 8 times that on the CPU, where only buckets that are met take memory. A read result keeps 16 bytes a
    bucket met. An update that would need more than 4 GiB raises.

    *Waiting.* `update` does not synchronise, but for its first call for a device and kind of type, which allocates.
    Reading anything, `merge` and `to_dict` wait for the GPU (# synchronizes) and hold results on the host: they are
    NumPy arrays. Updates may come from several threads, streams, devices and frameworks. They cannot be captured in a
    CUDA graph.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> first, second = rc.RunningStats(), rc.RunningStats()
    >>> _ = first.update(np.array([[1000.01, 1.0], [999.99, 1.0]]))
    >>> _ = second.update(np.array([[1000.0, 1.0], [0.0, 1.0]]), valid=np.array([True, False]))
    >>> both = first + second
    >>> both.count, both.mean, both.std().round(6)
    (array([3, 3]), array([1000.,    1.]), array([0.008165, 0.      ]))
    >>> both.quantile(0.5).round(2)
    array([1000.,    1.])
    >>> rc.RunningStats.from_dict(both.to_dict()) == both
    True
    """

    __hash__ = None  # type: ignore[assignment]

    def __init__(
        self, shape: Iterable[int] | None = None, *, quantiles: Iterable[float] | None = QUANTILES, bits: int = 7
    ) -> None:
        self.quantiles = files.checked(quantiles)
        if isinstance(bits, bool) or not isinstance(bits, int) or not 1 <= bits <= MOST_BITS:
            raise ArgumentError(f"bits={bits!r} must be an integer from 1 to {MOST_BITS}")
        self._state = Gathering(bits if self.quantiles else 0)
        self._given: dict[float, Any] = {}  # quantiles that a file held beside its moments
        if shape is not None:
            self._state.begin(_shape_of(shape))

    def update(self, values: Any, valid: Any = None, *, axis: Any = None) -> "RunningStats":
        """Add samples.

        Parameters
        ----------
        values : array [..., *shape]
            Samples over all leading axes; floats, integers or booleans of any framework, device and strides.
        valid : array of bool, optional
            True where a sample counts: of the shape of the leading axes, or of that of ``values`` for each value. Axes
            of length 1 are repeated.
        axis : int or tuple of int, optional
            The axes to go over, wherever they are; the others are the features, in their order: (0, 2, 3) for channels
            of images [N, C, H, W]. Default: the leading ones.

        Returns
        -------
        RunningStats
            This object.

        Raises
        ------
        ShapeError, DTypeError, DeviceError, ArgumentError, MemoryLimitError, BackendError
            Arguments that do not fit; the message names the argument and the remedy. Nothing is added then.
        """
        # Validate.
        call, (samples, marks) = interop.receive(values=values, valid=valid)
        state = self._state
        with call, state.lock:
            rows, marks, feature = _stats_rows.arrange(samples, marks, axis, state.shape, call.xp)
            state.begin(feature)

            # Dispatch.
            if rows.size:
                state.add(call, rows, marks)
                self._given = {}
        return self

    def merge(self, other: "RunningStats") -> "RunningStats":
        """Add all samples of another one, which stays as it is; gives this object. # synchronizes"""
        if not isinstance(other, RunningStats):
            raise ArgumentError(f"other is {type(other).__name__}; expected RunningStats")
        theirs, state = other._state, self._state
        with theirs.lock:
            total = theirs.read().copy() if theirs.shape is not None else None
            given, bits, quantiles = dict(other._given), theirs.bits, other.quantiles
        with state.lock:
            if total is not None and state.shape not in (None, theirs.shape):
                raise ShapeError(f"other is of features of shape {theirs.shape}; expected {state.shape}")
            self.quantiles = tuple(sorted({*self.quantiles, *quantiles}))
            if total is None:
                state.keep(min(bits, state.bits))
                return self
            if not state.begin(theirs.shape or ()).count.any() and not state.read().count.any():
                self._given = given
            elif total.count.any():
                self._given = {}
            state.join(total)
        return self

    def __add__(self, other: "RunningStats") -> "RunningStats":
        return self.copy().merge(other) if isinstance(other, RunningStats) else NotImplemented

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, RunningStats) else NotImplemented

    def __repr__(self) -> str:
        shape = self._state.shape
        if shape is None:
            return "RunningStats(no samples)"
        return f"RunningStats({int(self.count.max(initial=0))} samples of shape {shape})"

    def __getstate__(self) -> dict[str, Any]:
        return self.to_dict()

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(RunningStats.from_dict(state).__dict__)

    def copy(self) -> "RunningStats":
        """Another one with equal state. # synchronizes"""
        return RunningStats.from_dict(self.to_dict())

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of a sample; None before the first."""
        return self._state.shape

    @property
    def count(self) -> Any:
        """Finite samples of each feature, int64. # synchronizes, as all that follow"""
        return self._result("count", lambda total: total.count)

    @property
    def nonfinite(self) -> Any:
        """Samples that were NaN or infinite and count for nothing else, int64."""
        return self._result("nonfinite", lambda total: total.strange)

    @property
    def sum(self) -> Any:
        """Exact sums rounded once; 0 without samples."""
        return self._result("sum", lambda total: total.sum())

    @property
    def mean(self) -> Any:
        """Exact means rounded once."""
        return self._result("mean", lambda total: total.mean())

    @property
    def min(self) -> Any:
        """Least samples."""
        return self._result("min", lambda total: np.where(total.count > 0, total.low, np.nan))

    @property
    def max(self) -> Any:
        """Largest samples."""
        return self._result("max", lambda total: np.where(total.count > 0, total.high, np.nan))

    def var(self, ddof: int = 0) -> Any:
        """Exact variances rounded once: squares over count - ddof; NaN where that is not above 0."""
        return self._result(("var", ddof), lambda total: total.spread(_whole(ddof), False))

    def std(self, ddof: int = 0) -> Any:
        """Roots of the exact variances, rounded once."""
        return self._result(("std", ddof), lambda total: total.spread(_whole(ddof), True))

    def quantile(self, q: float) -> Any:
        """NumPy's "linear" quantile for ``q`` from 0 to 1, as exact as Notes say."""
        (q,) = files.checked((q,))
        if q in self._given:
            return self._given[q].copy()
        if not self._state.bits and 0 < q < 1:
            known = ", ".join(map(str, sorted(self._given))) or "none"
            raise DataError(f"quantile {q} is not known: nothing was counted for it (known: {known}). Give quantiles=")
        if not self._state.bits:
            return self.min if q == 0 else self.max
        return self._result(("quantile", q), lambda total: [total.quantile(f, q) for f in range(len(total.sums))])

    def _result(self, key: Any, find: Callable[[Any], Any]) -> Any:
        """Something of the total, in the shape of the features; found once, given as a copy."""
        state = self._state
        return state.derived(key, lambda: np.reshape(np.array(find(state.read())), state.shape or ())).copy()

    def to_dict(self) -> dict[str, Any]:
        """Everything, in types of JSON; `from_dict` gives an equal object. # synchronizes"""
        state = self._state
        about = {"format": files.FORMAT, "quantiles": list(self.quantiles), "bits": state.bits}
        with state.lock:
            if state.shape is None:
                return {**about, "shape": None}
            given = {str(q): array.tolist() for q, array in sorted(self._given.items())}
            return {**about, "shape": list(state.shape), **files.state(state.read()), "given": given}

    @classmethod
    def from_dict(cls, state: Mapping[str, Any]) -> "RunningStats":
        """Inverse of `to_dict`; DataError if it is not what that gave."""
        if not isinstance(state, Mapping) or state.get("format") != files.FORMAT:
            raise DataError(f"state has no format {files.FORMAT!r}; expected what to_dict gave, perhaps through JSON")
        return cls._made(*files.restored(state))

    @classmethod
    def _made(
        cls, total: Any, shape: tuple[int, ...] | None, quantiles: Iterable[float], bits: int, given: dict[float, Any]
    ) -> "RunningStats":
        made = cls(quantiles=quantiles)
        made._state, made._given = Gathering(bits), given
        made._state.shape, made._state.total = shape, total
        return made

    def to_lerobot(self, shape: Iterable[int] | None = None) -> dict[str, Any]:
        """The entry of one key of LeRobot's ``meta/stats.json`` (or of an episode): lists, std with ddof 0.

        ``shape`` is that of the lists, such as (3, 1, 1) for channels of images; default: that of a sample, (1,) for
        scalars. DataError if features have different counts, which the format cannot say, or none.
        """
        kept = self._state.shape or (1,)
        return files.lerobot(self, kept if shape is None else _shape_of(shape))

    @classmethod
    def from_lerobot(cls, entry: Mapping[str, Any]) -> "RunningStats":
        """From one key of LeRobot's ``stats.json``.

        Its mean, std, extremes and count are given back as they were and can be merged, as exactly as they were
        rounded. Quantiles cannot be merged: they are given back until samples are added, and are then unknown.
        DataError without a count: such statistics can be used by `normalize`, but not merged.
        """
        count = entry.get("count") if isinstance(entry, Mapping) else None
        return cls._made(*files.from_moments(entry, count, "entry"))

    def to_rlds(self, mask: Any = None) -> dict[str, Any]:
        """The entry of one key of RLDS ``dataset_statistics``: mean, std (ddof 0), max, min, quantiles, ``mask``."""
        return files.rlds(self, self._state.shape or (1,), mask)

    @classmethod
    def from_rlds(cls, entry: Mapping[str, Any], num_transitions: int | None = None) -> "RunningStats":
        """From one key of RLDS ``dataset_statistics``, and ``num_transitions`` from the same file.

        As `from_lerobot`. DataError without num_transitions. A ``mask`` is not kept: pass it to `normalize`.
        """
        return cls._made(*files.from_moments(entry, num_transitions, "entry"))


def _whole(ddof: Any) -> int:
    if isinstance(ddof, bool) or not isinstance(ddof, int) or ddof < 0:
        raise ArgumentError(f"ddof={ddof!r} must be an integer, 0 or above")
    return ddof


def _shape_of(shape: Any) -> tuple[int, ...]:
    try:
        found = tuple(int(n) for n in shape)
    except (TypeError, ValueError):
        raise ArgumentError(f"shape={shape!r} must be a tuple of integers") from None
    if any(n < 0 for n in found):
        raise ArgumentError(f"shape={shape!r} has a negative length")
    return found
