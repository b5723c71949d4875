"""Values to the scale that a policy is trained on, and back."""

from typing import Any

from .. import interop
from .._core import dtypes
from .._core.errors import DTypeError
from . import _outputs, _scales
from ._dispatch import twin

__all__ = ["denormalize", "normalize"]

RANGE = (-1.0, 1.0)
QUANTILES = (0.01, 0.99)


def normalize(
    values: Any,
    stats: Any,
    mode: str = "mean_std",
    *,
    range: Any = RANGE,
    quantiles: Any = QUANTILES,
    clip: Any = None,
    constant: str = "zero",
    mask: Any = None,
    out: Any = None,
) -> Any:
    """Scale each feature by its statistics.

    Parameters
    ----------
    values : array [..., *shape]
        Floats, integers or booleans; ``shape`` is that of the statistics, whose axes of length 1 are repeated:
        (3, 1, 1) fits channels of images [..., 3, height, width].
    stats : RunningStats or mapping
        Statistics, or one entry of LeRobot's ``stats.json`` or of RLDS' ``dataset_statistics``: ``mean``, ``std``,
        ``min``, ``max``, ``q01``, ``q99`` as far as the mode needs them.
    mode : {"mean_std", "min_max", "quantile"}
        ``(x - mean) / std`` with the std of ddof 0, or ``(x - low) / (high - low)`` brought to ``range``, where low
        and high are the extremes or the two quantiles.
    range : (low, high)
        Where the bounds come to lie: (-1, 1) as in LeRobot, OpenVLA and Octo.
    quantiles : (low, high)
        Of mode "quantile"; ``q01`` and ``q99`` of a mapping by default.
    clip : float or (low, high), optional
        Bounds of the result, ±clip for one number. What is clipped cannot be restored.
    constant : {"zero", "keep", "lower", "middle"}
        Features whose std is 0, or whose bounds are equal, cannot be scaled. "zero" subtracts the constant,
        "lower" and "middle" bring it to that place of ``range`` (LeRobot and Diffusion Policy do so), "keep" leaves
        the values as they are. Neither scales nor clips, so differences from the constant survive the way back.
    mask : array of bool, optional
        False for features to leave alone, such as a gripper; of the shape of the statistics. Default: the ``mask`` of
        a mapping, if it has one.
    out : array, optional
        Where to write: contiguous, of the shape of ``values`` and the type of the result. ``values`` itself will do.

    Returns
    -------
    array, shape of ``values``
        Of its type if that is a float; float32 for booleans and integers up to 16 bits, float64 for larger ones.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, DeviceError, BackendError
        Arguments that do not fit; the message names the argument and the remedy.
    DataError
        Statistics that lack what the mode needs, that no sample was seen for, or that overflow.

    Notes
    -----
    Computed in float32, or in float64 where the result is float64, each step rounded once; 16-bit results are rounded
    once more at the end. The mean or the lower bound is subtracted as a sum of two numbers, so that a float32 does not
    cut off its digits. The bounds themselves give exactly -1 and 1 if the type can hold them. CPU and GPU give the same
    bits, NaN stays NaN, and nothing is added to the divisor.

    `denormalize` with the same arguments goes back: for float32 and float64 to within 4 units in the last place of the
    largest of ``|x|``, the magnitude of what was subtracted and, between bounds, ``high - low``. That is for `range`
    (-1, 1); one that lies far from 0 costs more. 16-bit types hold the normalised value itself to 11 (float16) or 8
    (bfloat16) bits only, which comes on top.

    One launch on the GPU and no wait, but for the first call with new statistics, which moves them there, and for
    statistics that are still being gathered on a GPU. It can be captured in a CUDA graph after one equal call. Inputs
    that are not contiguous are copied first.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> actions = np.array([[0.0, 5.0, 0.0], [1.0, 5.0, 1.0], [4.0, 5.0, 1.0]])
    >>> stats = rc.RunningStats().update(actions)
    >>> scaled = rc.normalize(actions, stats, "min_max", mask=np.array([True, True, False]))
    >>> scaled
    array([[-1. ,  0. ,  0. ],
           [-0.5,  0. ,  1. ],
           [ 1. ,  0. ,  1. ]])
    >>> rc.denormalize(scaled, stats, "min_max", mask=np.array([True, True, False]))
    array([[0., 5., 0.],
           [1., 5., 1.],
           [4., 5., 1.]])
    >>> rc.normalize(np.float32([1, 9]), {"q01": 0, "q99": 4}, "quantile", clip=1)
    array([-0.5,  1. ], dtype=float32)
    """
    return _mapped(values, stats, _scales.options(mode, range, quantiles, constant, clip), mask, out, False)


def denormalize(
    values: Any,
    stats: Any,
    mode: str = "mean_std",
    *,
    range: Any = RANGE,
    quantiles: Any = QUANTILES,
    constant: str = "zero",
    mask: Any = None,
    out: Any = None,
) -> Any:
    """Undo `normalize`.

    Parameters
    ----------
    values : array [..., *shape]
        Normalised values.
    stats, mode, range, quantiles, constant, mask
        As they were given to `normalize`.
    out : array, optional
        As in `normalize`.

    Returns
    -------
    array, shape of ``values``
        In the unit of the statistics.

    Raises
    ------
    ShapeError, DTypeError, ArgumentError, DataError, DeviceError, BackendError
        As `normalize`.

    Notes
    -----
    As `normalize`, which also says how exactly values come back. The result of normalising a constant feature comes
    back as the constant. Values past ``range`` go past the bounds.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> rc.denormalize(np.float32([-1, 0, 1]), {"min": 2, "max": 6}, "min_max")
    array([2., 4., 6.], dtype=float32)
    """
    return _mapped(values, stats, _scales.options(mode, range, quantiles, constant, None), mask, out, True)


def _mapped(values: Any, stats: Any, how: _scales.Options, mask: Any, out: Any, back: bool) -> Any:
    # Validate.
    call, (given, target) = interop.receive(values=values, out=out)
    if given.dtype not in dtypes.VALUES:
        raise DTypeError(f"values has dtype {given.dtype}; expected floats, integers or booleans. Cast them first")
    dtype = dtypes.scaled(given.dtype)
    made = _scales.table(stats, mask, how, dtypes.accumulator(dtype))
    with call:
        rows, inner = _scales.laid(made, tuple(given.shape))
        if out is None:
            result = call.empty(tuple(given.shape), dtype)
        else:
            interop.writable("out", out)
            result = _outputs.fits("out", target, tuple(given.shape), dtype)
        source = given if given.flags.c_contiguous else call.xp.ascontiguousarray(given)
        if out is not None and source is given and not _same(given, result):
            _outputs.apart("out", result, {"values": given}, call.xp)

        # Dispatch.
        if source.size:
            twin(call.backend, "scaling").apply(source, result, rows, inner, how.terms, how.clip, back)

        # Restore shape.
        return out if out is not None else call.give(result)


def _same(values: Any, out: Any) -> bool:
    """Whether the very same elements are read and written."""
    return values.dtype == out.dtype and _address(values) == _address(out)


def _address(array: Any) -> int:
    return int(array.ctypes.data) if hasattr(array, "ctypes") else int(array.data.ptr)
