"""Samples by index, with padding where there are none."""

import math
from typing import Any

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DTypeError, ShapeError
from . import _outputs, _streams
from ._dispatch import twin

PADS = ("edge", "zero", "nan")
CHECKS = ("auto", "strict")


def gather_windows(
    values: Any, index: Any, valid: Any = None, *, pad: Any = "edge", check: str = "auto", out: Any = None
) -> Any:
    r"""Gather samples by index, as `windows` and `delta_timestamps` find them.

    Parameters
    ----------
    values : array, shape (sample, \\*feature)
        Episodes one after another. Floats of any kind, integers or booleans.
    index : array of int64 or int32, shape (...)
        Which samples.
    valid : array of bool, shape of ``index``, optional
        Which of them are real.
    pad : "edge", "zero", "nan" or number
        What stands where ``valid`` is False: the sample that ``index`` names there, which is the first or last of the
        episode, or this number.
    check : "auto" or "strict"
        On the GPU, whether to wait and raise if an index leaves ``values``. By default it is filled, and the next call
        warns.
    out : array, optional
        C-contiguous array of the result's shape and type on the same device, written and returned.

    Returns
    -------
    array, shape (..., \\*feature)
        In the type and framework of ``values``, and on its device.

    Raises
    ------
    ShapeError, DTypeError, DeviceError, ArgumentError
        Arguments that do not fit one another; a number that the type of ``values`` does not hold, such as ``"nan"`` for
        integers; ``pad`` other than ``"edge"`` without ``valid``.
    DataError
        An index outside ``values``, negative ones included: on the CPU, and with ``check="strict"``.

    Notes
    -----
    With ``pad="edge"``, ``valid`` is not looked at, and every index must lie within ``values``. With any other, an
    index is not looked at where ``valid`` is False. Samples are copied bit for bit.

    One launch on the GPU, on the caller's current stream, and nothing waits unless ``check="strict"``; it can be
    captured in a CUDA graph after one call. Nothing is read out of bounds whatever the index. ``values`` is taken with
    any strides of its first axis; if its features are not contiguous it is copied whole first, and so are ``index`` and
    ``valid``.

    Examples
    --------
    >>> import numpy as np, robocache as rc
    >>> joints = np.array([[0.0, 0.1], [1.0, 1.1], [2.0, 2.1]])
    >>> w = rc.windows(np.array([0, 3]), n_obs=2, n_act=2, pad_before=1)
    >>> batch = w[:]
    >>> rc.gather_windows(joints, batch.obs_index)[..., 0]
    array([[0., 0.],
           [0., 1.]])
    >>> rc.gather_windows(joints, batch.obs_index, batch.obs_valid, pad="nan")[..., 0]
    array([[nan,  0.],
           [ 0.,  1.]])
    """
    # Validate.
    checks.choice("check", check, CHECKS)
    call, (samples, rows, real, given) = interop.receive(values=values, index=index, valid=valid, out=out)
    with call:
        _streams.some_values("", samples)
        fill = _fill(pad, samples.dtype)
        if rows.dtype not in (dtypes.int64, dtypes.int32):
            raise DTypeError(f"index has dtype {rows.dtype}; expected int64 or int32. Cast it first")
        if real is not None and (real.dtype != dtypes.boolean or real.shape != rows.shape):
            wrong = DTypeError if real.dtype != dtypes.boolean else ShapeError
            raise wrong(
                f"valid has dtype {real.dtype} and shape {tuple(real.shape)}; expected bool and the shape of index, "
                f"{tuple(rows.shape)}"
            )
        if fill is not None and real is None:
            raise ArgumentError(f"pad={pad!r} needs valid, which says where to pad; give it, or leave pad at 'edge'")
        shape = (*rows.shape, *samples.shape[1:])
        if out is None:
            result = call.empty(shape, samples.dtype)
        else:
            interop.writable("out", out)
            result = _outputs.fits("out", given, shape, samples.dtype)
            _outputs.apart("out", result, {"values": samples, "index": rows, "valid": real}, call.xp)

        # Dispatch.
        array = _streams.flatten(samples, 1, call.xp)
        rows = call.xp.ascontiguousarray(rows).reshape(-1)
        real = None if fill is None else call.xp.ascontiguousarray(real).reshape(-1)
        flat = result.reshape(rows.size, array.shape[1])
        twin(call.backend, "gather").gather(array, rows, real, 0 if fill is None else fill, flat, check)

        # Restore shape.
        return out if out is not None else call.give(result)


def _fill(pad: Any, dtype: Any) -> Any:
    """The number to pad with, None to pad with what the index names."""
    if isinstance(pad, str):
        checks.choice("pad", pad, PADS)
        if pad == "nan" and dtype not in dtypes.FLOATING:
            raise ArgumentError(f"pad='nan' needs float values, not {dtype}; give a number instead")
        return {"edge": None, "zero": 0, "nan": math.nan}[pad]
    number = checks.held(pad, dtype)
    if number is None:
        raise ArgumentError(f"pad={pad!r} is neither one of {', '.join(PADS)} nor a number that {dtype} holds")
    return number


__all__ = ["gather_windows"]
