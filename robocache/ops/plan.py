"""Plans: where targets fall among stamps, found once and applied to many arrays."""

import warnings
from typing import Any

import numpy as np

from .. import interop
from .._core import checks, dtypes, jobs
from .._core.errors import DataWarning, DeviceError, ShapeError
from .._core.jobs import Job
from . import _curves, _outputs, _replay, _streams
from ._dispatch import twin


class Plan:
    r"""Search stamps once, then resample any number of arrays that share them.

    Parameters
    ----------
    source_times, target_times, method, period, quat_order, lengths, offsets, outside, max_gap, tolerance, check
        As in `resample_trajectories`. Of them is kept what was found, and for curves the stamps, which must not change.

    Attributes
    ----------
    index : array of int64, shape (target,) or (batch, target)
        The sample each target uses, for ``"linear"`` the left one, counted in its row (in all samples if packed); -1
        where none is used. These arrays are copies, in the framework and on the device of ``source_times``.
    weight : array of float64, shape of ``index``
        Share of the next sample: 0 where the sample is copied.
    valid, age : array, shape of ``index``
        As `resample_trajectories` returns them for values without NaN.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError, DataError, BackendError
        As `resample_trajectories`; values that do not fit the plan are refused by `apply`.

    Warns
    -----
    DataWarning
        As `resample_trajectories`.

    Notes
    -----
    ``plan(values)`` gives bit for bit what ``resample_trajectories(values, source_times, target_times, …)`` gives, for
    values of any type and feature shape that fit its stamps. A plan without a batch axis (stamps and targets of one
    axis, no lengths) also takes values with one.

    A plan holds 12 to 25 bytes a target. Several threads may use it at once, and other CUDA streams once the stream
    that made it has come so far. It can be pickled and copied; on a GPU the copy lives on the current device.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> stamps, camera = np.array([0, 10_000_000, 20_000_000]), np.array([5_000_000, 20_000_000, 33_000_000])
    >>> plan = rc.Plan(stamps, camera)
    >>> plan
    Plan(3 samples → 3 targets, method='linear', on the CPU)
    >>> plan(np.array([0.0, 1.0, 2.0]))
    array([0.5, 2. , 2. ])
    >>> joints, valid = plan(np.arange(6, dtype=np.float32).reshape(3, 2), return_valid=True)
    >>> joints
    array([[1., 2.],
           [4., 5.],
           [4., 5.]], dtype=float32)
    >>> valid
    array([ True,  True, False])
    >>> plan.index, plan.weight
    (array([0, 2, 2]), array([0.5, 0. , 0. ]))
    """

    def __init__(
        self,
        source_times: Any,
        target_times: Any,
        *,
        method: str = "linear",
        period: Any = None,
        quat_order: str = "xyzw",
        lengths: Any = None,
        offsets: Any = None,
        outside: Any = "hold",
        max_gap: Any = None,
        tolerance: Any = None,
        check: str = "auto",
    ) -> None:
        # Validate.
        checks.choice("check", check, _streams.CHECKS)
        self._curve = _curves.curve_of("", method, period, quat_order)
        self.method, self.outside = method, outside
        policy, _ = _streams.outside_of(outside, dtypes.float64)
        call, (stamps, goals, counts, edges) = interop.receive(
            source_times=source_times, target_times=target_times, lengths=lengths, offsets=offsets
        )
        self._backend, self._device, self._dated = call.backend, call.device, stamps.dtype.kind == "M"
        self._known: dict[Any, Any] = {}
        with call:
            stamps = _streams.times_of("source_times", stamps, call.xp)
            goals = _streams.times_of("target_times", goals, call.xp)
            _streams.targets_like("target_times", goals, "source_times", stamps.dtype)
            self._shape, self._packed = tuple(stamps.shape), edges is not None
            features = np.zeros((self._shape[-1],) if self._packed else (1, self._shape[-1], 1), np.uint8)
            stream = _streams.arrange("", features, stamps, counts, edges, True, call.xp)
            self._counts = None if counts is None else stream.rows
            self._batched = not (stamps.ndim == 1 and goals.ndim == 1 and counts is None and edges is None)
            own = goals.shape[0] if goals.ndim == 2 else None
            rows = _streams.join_rows("source_times and target_times", stream.rows, own) or 0
            stream = _streams.spread("", stream, rows, call.xp)
            limits = _streams.limits("", stamps.dtype, 0, tolerance, max_gap)
            goals = _streams.one_row(goals) if goals.ndim == 2 else goals[None]
            self._rows, self._steps, self._time = rows, goals.shape[1], goals.dtype

            # Dispatch.
            code = jobs.LINEAR if self._curve else jobs.METHODS.index(method)
            job = Job(None, stream.times, stream.lengths, stream.offsets, None, code, policy, 0, *limits)
            if self._curve is None:
                self._found = twin(call.backend, "plan").find(job, goals, rows, check)
            else:
                self._found, self._edges = _curves.search(call.backend, self._curve, job, goals, rows, check)
                self._stamps = stream[1:4]
        self._framework = call.framework, call.namespace
        if self._found.coarse:
            warnings.warn(_replay.COARSE, DataWarning, stacklevel=2)

    def apply(self, values: Any, *, out: Any = None, return_valid: bool = False, return_age: bool = False) -> Any:
        r"""Resample ``values`` by the plan; the plan itself can be called likewise.

        Parameters
        ----------
        values : array, shape (time, \\*feature), (batch, time, \\*feature) or packed (samples, \\*feature)
            As in `resample_trajectories`, on the plan's device.
        out : array, optional
            C-contiguous array of the result's shape and type on the same device, written and returned.
        return_valid, return_age : bool
            Also return the validity mask and the age.

        Returns
        -------
        values, valid, age : array
            As `resample_trajectories` returns them, in the framework of ``values``.

        Raises
        ------
        ShapeError, DTypeError, DeviceError, ArgumentError
            Arguments that do not fit the plan or one another; the message names the argument and the remedy.

        Notes
        -----
        One launch on the GPU, on the caller's current stream, and nothing waits. It can be captured in a CUDA graph
        after one call with the same types; keep the plan and the result as long as the graph.
        """
        # Validate.
        key = _replay.pair(values, out, (2 if return_valid else 0) + (1 if return_age else 0))
        if key is not None and (replay := self._known.get(key)) is not None:
            answer = replay(values, out)
            if answer is not None:
                return answer
        call, (samples, given) = interop.receive(values=values, out=out)
        if (call.backend, call.device) != (self._backend, self._device):
            raise DeviceError(
                f"values lives on {_where(call.backend, call.device)} but the plan on "
                f"{_where(self._backend, self._device)}; make a plan there, from stamps that live there"
            )
        with call:
            array, rows, feature = self._fit(samples, call.xp)
            lead = (self._steps,) if rows is None else (rows, self._steps)
            _curves.fits("", self.method, array.dtype, feature)
            policy, fill = _streams.outside_of(self.outside, array.dtype)
            result = self._result(call, out, given, (*lead, *feature), samples)

            # Dispatch.
            flat = result.reshape(1 if rows is None else rows, self._steps, array.shape[-1])
            valid = call.empty((*flat.shape[:2], 1), dtypes.boolean) if return_valid else None
            if self._curve is None:
                code, packed = _streams.method_of("", self.method, array), () if self._packed else None
                job = Job(array, None, None, packed, flat, code, policy, fill, 0, jobs.NO_LIMIT, jobs.NO_LIMIT)
                again = twin(call.backend, "plan").apply(job, self._found, valid)
            else:
                job = Job(array, *self._stamps, flat, jobs.LINEAR, policy, fill, 0, jobs.NO_LIMIT, jobs.NO_LIMIT)
                again = twin(call.backend, "curve").apply(job, self._curve, self._found, self._edges, valid)
            if key is not None and again is not None and _replay.same_memory([(array, samples)]):
                if len(self._known) >= _replay.CAPACITY:
                    self._known.clear()
                self._known[key] = _replay.Applied(self, again, job, lead, result, (return_valid, return_age))

            # Restore shape.
            answer = [out if out is not None else call.give(result)]
            if valid is not None:
                answer.append(call.give(valid.reshape(lead)))
            if return_age:
                answer.append(call.give(self.ages(lead, call.xp)))
        return answer[0] if len(answer) == 1 else tuple(answer)

    __call__ = apply

    def _fit(self, values: Any, xp: Any) -> tuple[Any, int | None, tuple[int, ...]]:
        """Values with flat features, the batch of the result (None without one), and the features' shape."""
        if self._packed:
            _streams.some_values("", values)
            if values.shape[0] != self._shape[0]:
                raise ShapeError(
                    f"values has shape {tuple(values.shape)}; the plan was made for packed rows of {self._shape[0]} "
                    "samples in all: expected (samples, *feature)"
                )
            return _streams.flatten(values, 1, xp), self._rows, tuple(values.shape[1:])
        times = np.broadcast_to(np.zeros((), self._time), self._shape)  # only its shape is looked at
        stream = _streams.arrange("", values, times, None, None, self._batched, xp)
        if self._counts is not None and stream.values.shape[0] not in (1, self._counts):
            raise ShapeError(
                f"values has {stream.values.shape[0]} rows but the plan was made with lengths of {self._counts}; "
                "make a plan with lengths of these values"
            )
        rows = _streams.join_rows("values and the plan", stream.rows, self._rows if self._batched else None)
        return stream.values, rows, stream.feature

    def _result(self, call: Any, out: Any, given: Any, shape: tuple[int, ...], values: Any) -> Any:
        if out is None:
            return call.empty(shape, values.dtype)
        interop.writable("out", out)
        result = _outputs.fits("out", given, shape, values.dtype)
        _outputs.apart("out", result, {"values": values}, call.xp)
        return result

    def ages(self, lead: tuple[int, ...], xp: Any) -> Any:
        """Age of every target of a call, as an array of its own."""
        rows = lead[0] if len(lead) > 1 else 1
        age = xp.ascontiguousarray(xp.broadcast_to(self._found.age, (rows, self._steps))).reshape(lead)
        age = age.copy() if rows == self._found.age.shape[0] else age
        return age.view("m8[ns]") if self._dated else age

    def __repr__(self) -> str:
        where = _where(self._backend, self._device)
        samples = f"{self._shape[-1]} samples" + (" packed" if self._packed else "")
        batch = f"{self._rows} x " if self._batched else ""
        return f"Plan({samples} → {batch}{self._steps} targets, method={self.method!r}, on {where})"

    def __getstate__(self) -> dict[str, Any]:
        native = ("numpy" if self._backend == "cpu" else "cupy", None)
        return self.__dict__ | {"_known": {}, "_framework": native}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._backend != "cpu":
            self._device = self._found.index.data.device_id

    @property
    def index(self) -> Any:
        """The sample each target uses, -1 for none."""
        return self._give(self._found.index, np.int64)

    @property
    def weight(self) -> Any:
        """Share of the sample after it."""
        if self._found.weight is None:
            return self._give(self._found.index * 0, np.float64)
        return self._give(self._found.weight, np.float64)

    @property
    def valid(self) -> Any:
        """Whether each target lies in range and within the limits."""
        return self._give(self._found.valid, np.bool_)

    @property
    def age(self) -> Any:
        """Target minus the stamp of the sample used."""
        return self._give(self._found.age, self._time, self._dated)

    def _give(self, array: Any, dtype: Any, dated: bool = False) -> Any:
        """A copy of what was found, in the shape and framework of the stamps."""
        call = interop.Call(self._backend, self._device, *self._framework)
        with call:
            array = self._copied(array, dtype)
            return call.give(array.view("m8[ns]") if dated else array)

    def _copied(self, array: Any, dtype: Any) -> Any:
        array = array.reshape(self._rows, array.size // max(self._rows, 1))[:, : self._steps].astype(dtype)
        return array.reshape((self._rows, self._steps) if self._batched else (self._steps,))

    def native(self, dtype: Any) -> tuple[Any, Any, np.dtype]:
        """Copies of index and age as NumPy or CuPy arrays, and the type of the stamps."""
        return self._copied(self._found.index, dtype), self._copied(self._found.age, self._time), self._time


def _where(backend: str, device: int) -> str:
    return "the CPU" if backend == "cpu" else f"GPU {device}"


__all__ = ["Plan"]
