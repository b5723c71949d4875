"""Resampling of trajectories onto other time stamps."""

import warnings
from typing import Any

from .. import interop
from .._core import checks, dtypes, jobs
from .._core.errors import DataWarning
from . import _curves, _lone, _replay, _streams
from ._dispatch import twin

_known = _replay.Memory()


def resample_trajectories(
    values: Any,
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
    return_valid: bool = False,
    return_age: bool = False,
    check: str = "auto",
    out: Any = None,
) -> Any:
    r"""Resample trajectories from their own time stamps onto target times.

    Parameters
    ----------
    values : array, shape (time, \\*feature), (batch, time, \\*feature) or packed (samples, \\*feature)
        Samples: float16, bfloat16, float32 or float64; with ``"nearest"``, ``"previous"`` and ``"next"`` also integers
        and booleans.
        NumPy, CuPy, torch, JAX or any DLPack array. Any strides; a copy is made only where the features of a sample
        are not contiguous.
    source_times : array, shape (time,), (batch, time) or packed (samples,)
        Stamps of the samples, rising within a row: int64 nanoseconds, datetime64, or seconds as float64 or float32.
        ``(time,)`` is shared by the whole batch; values of two axes are then (time, feature) unless targets or
        lengths have a batch axis.
    target_times : array, shape (target,) or (batch, target)
        Where to sample, in the type and unit of ``source_times``; any order. NaN or NaT gives an invalid result.
    method : str
        ``"linear"``; ``"nearest"`` (a tie goes to the earlier sample), ``"previous"`` (the zero-order hold),
        ``"next"``; the curves ``"cubic"`` (natural spline), ``"pchip"``, ``"akima"``, ``"catmull_rom"``; ``"slerp"``
        for quaternions, of which the last axis of ``values`` holds four numbers each; ``"angle"``, the shorter way
        round a period; ``"mean"``, over the time nearer to the target than to its neighbours, which keeps fast signals
        from folding into slow ones.
    period : float or (low, high), optional
        Of ``"angle"``: results lie from ``-period / 2`` up to ``period / 2``, or from low up to high. Default: 2 pi.
    quat_order : {"xyzw", "wxyz"}
        Of ``"slerp"``: where the scalar is. It makes no difference to the result.
    lengths : array of int64 or int32, shape (batch,), optional
        Samples that count in each padded row.
    offsets : array of int64 or int32, shape (batch + 1,), optional
        Where each row of packed ``values`` and ``source_times`` begins.
    outside : {"hold", "nan", "extrapolate", "raise"} or number
        What a target before the first or after the last sample gets: the end sample, NaN, the line or curve through
        the end samples (with nearest, previous, next and mean as hold), an error, or that number. It is invalid in
        every case.
    max_gap : int, float or timedelta64, optional
        A target between two samples further apart than this is invalid. Unit of the stamps. Curves go on across gaps,
        and a mean is judged by its target, not by its cell.
    tolerance : int, float or timedelta64, optional
        A target whose sample used (the nearer one where several are) is further away than this is invalid.
    return_valid, return_age : bool
        Also return the validity mask and the age.
    check : {"auto", "strict", "none"}
        Unsorted or non-finite stamps: an error on the CPU. On the GPU such rows come out filled and invalid, and the
        fault is a warning at a later call; ``"strict"`` waits for the GPU and raises. ``"none"`` trusts the caller.
    out : array, optional
        C-contiguous array of the result's shape and type on the same device, written and returned.

    Returns
    -------
    values : array, shape (target, \\*feature) or (batch, target, \\*feature)
        In the framework, on the device and of the dtype of ``values``.
    valid : array of bool, shape (target,) or (batch, target)
        True where the value is real: inside the row's range, within ``max_gap`` and ``tolerance``, and free of NaN.
        (LeRobot's ``_is_pad`` is the inverse.)
    age : array, shape of ``valid``
        Target minus the stamp of the sample used (of the earlier one where several are), in the type of the stamps,
        timedelta64 for datetime64; NaT (the smallest int64) or NaN where no sample was used.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        Arguments that do not fit; the message names the argument and the remedy.
    DataError
        Unsorted or non-finite stamps, lengths or offsets past the end (CPU, or ``check="strict"``); targets outside
        with ``outside="raise"``, which waits for the GPU.
    BackendError
        The arrays live on a GPU and CuPy is not installed.

    Warns
    -----
    DataWarning
        float32 stamps whose spacing is near their resolution; faults of earlier GPU calls.

    Notes
    -----
    An exact hit copies the sample, so a NaN or Inf neighbour does not reach it; otherwise NaN spreads as IEEE says and
    marks the target invalid. Of equal stamps, ``previous``, ``linear`` and ``nearest`` take the last, ``next`` the
    first; what lies outside is held at the very first or last sample, and extrapolated through the two distinct stamps
    nearest to the end. A row of one sample is constant within ``tolerance`` if one is given, else real at its stamp
    only; a row of none gives NaN (0 for integers, or the fill number) and is invalid, as does an infinite target.

    The search and the differences run in the stamps' own type (unsigned 64-bit for nanoseconds, float64 for floats);
    the weight is one float64 division, rounded to the arithmetic's type. Arithmetic is float32 (float64 for float64)
    with one rounding at the end: ``a + w (b - a)`` from the nearer end with a fused multiply-add, at most 1.75 ulp of
    the larger of the two samples (0.501 for 16-bit types). Subnormals are kept. Both backends agree to 1 ulp;
    ``nearest``, ``previous``, ``next``, ``valid`` and ``age`` agree bit for bit; repeated runs are equal.

    Curves part at equal stamps, and at the ends of a row: each part is a curve of its own, one of two samples a line.
    ``cubic`` has no second derivative at its ends; NaN or infinity in a feature of a row makes that feature NaN
    throughout. ``pchip`` (Fritsch and Butland's slopes, as in SciPy) keeps what rises rising, ``akima`` takes Akima's
    slopes, with the mean of two where all four agree, and ``catmull_rom`` a tangent from neighbour to neighbour; in
    these NaN reaches as far as the slopes do. ``slerp`` takes the shorter way whatever the signs, and gives unit
    quaternions; one of length zero or not finite makes its targets NaN. ``mean`` is that of the line through the
    samples from halfway to the target before to halfway to the one after (rounded to nanoseconds; at the ends as far to
    both sides, and never beyond the row), so it is defined where no sample lies in between, too; targets must rise,
    others are invalid. All these are right to 16 units in the last place of the largest sample they are made of,
    ``slerp`` of 1, ``mean`` of all samples of its cell, ``cubic`` of its row. Both backends agree to that.

    Runs on the caller's current stream, never waits for the GPU but where said above, and can be captured in a CUDA
    graph after one call with the same types; keep the result as long as the graph. One launch; two where a row holds
    more than 4096 stamps to check, and for curves, with a third for ``cubic`` and two more for ``mean``.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> joints = np.array([[0.0, 10.0], [1.0, 20.0], [2.0, 30.0]], dtype=np.float32)
    >>> stamps = np.array([0, 10_000_000, 20_000_000])
    >>> camera = np.array([5_000_000, 20_000_000, 33_000_000])
    >>> values, valid = rc.resample_trajectories(joints, stamps, camera, return_valid=True)
    >>> values
    array([[ 0.5, 15. ],
           [ 2. , 30. ],
           [ 2. , 30. ]], dtype=float32)
    >>> valid
    array([ True,  True, False])
    """
    # Validate.
    options = (method, period, quat_order, outside, max_gap, tolerance, return_valid, return_age, check)
    key = _replay.key((values, source_times, target_times, lengths, offsets, out), options)
    if (replay := _known.find(key)) is not None:
        again = replay(values, source_times, target_times, lengths, offsets, out)
        if again is not None:
            return again
    checks.choice("check", check, _streams.CHECKS)
    call, (samples, stamps, goals, counts, edges, given) = interop.receive(
        values=values, source_times=source_times, target_times=target_times, lengths=lengths, offsets=offsets, out=out
    )
    with call:
        arrays = (samples, stamps, counts, edges, goals)
        limits, dated = (outside, max_gap, tolerance), stamps.dtype.kind == "M"
        job, goals, result, lead, feature = _lone.stream(call, arrays, out, given, limits)
        curve = _curves.curve_of("", method, period, quat_order)
        _curves.fits("", method, samples.dtype, feature)
        job = job._replace(method=_streams.method_of("", method, samples) if curve is None else jobs.LINEAR)

        # Dispatch.
        valid = call.empty((*job.out.shape[:2], 1), dtypes.boolean) if return_valid else None
        age = call.empty((*job.out.shape[:2], 1), goals.dtype) if return_age else None
        if curve is None:
            coarse, again = twin(call.backend, "trajectory").align([job], goals, valid, age, check)
        else:
            coarse, again = _curves.run(call.backend, curve, job, goals, valid, age, check), None
        if key is not None and again is not None and _replay.same_memory(zip((*job[:4], goals), arrays, strict=True)):
            _known.keep(key, _replay.resample(again, job, lead, result, goals, options[-3:]))

        # Restore shape.
        answer = [out if out is not None else call.give(result)]
        if valid is not None:
            answer.append(call.give(valid.reshape(lead)))
        if age is not None:
            answer.append(call.give(age.reshape(lead).view("m8[ns]") if dated else age.reshape(lead)))
    if coarse:
        warnings.warn(_replay.COARSE, DataWarning, stacklevel=2)
    return answer[0] if len(answer) == 1 else tuple(answer)


__all__ = ["resample_trajectories"]
