"""What all operations on rotations share: checks, dispatch, and calls that look like an earlier one."""

import sys
from typing import Any

import numpy as np

from .. import interop
from .._core import checks, dtypes
from .._core.errors import DTypeError, ShapeError
from .._core.rotations import PROGRAMS, SHAPES, Settings, settings
from . import _outputs, _replay
from ._dispatch import twin

QUAT_ORDERS, LAYOUTS = ("xyzw", "wxyz"), ("rows", "columns")
_known = _replay.Memory()


def run(
    name: str, given: dict[str, Any], out: Any = None, quat_order: str = "xyzw", layout: str = "rows",
    order: str = "xyz", weight: float = 0.0,
) -> Any:  # fmt: skip
    """Do a program of ``_core.rotations`` with these arrays, whose names are for messages."""
    # Validate.
    arrays = tuple(given.values())
    key = _replay.key((*arrays, out), (name, quat_order, layout, order))
    if (replay := _known.find(key)) is not None:
        return replay(arrays, weight, out)
    checks.choice("quat_order", quat_order, QUAT_ORDERS)
    checks.choice("layout", layout, LAYOUTS)
    chosen: Settings = settings(quat_order, layout, order)
    if out is not None:
        interop.writable("out", out)
    call, (*natives, target) = interop.receive(**given, out=out)
    forms, result = PROGRAMS[name]
    forms = forms[: len(natives)]
    named = dict(zip(given, natives, strict=True))
    _check_types(named, forms)
    lead = _lead(named, forms)
    shape, dtype = (*lead, *SHAPES[result]), natives[0].dtype

    # Dispatch.
    with call:
        if target is None:
            made = call.empty(shape, dtype)
        else:
            made = _outputs.fits("out", target, shape, dtype)
            _outputs.apart("out", made, named, call.xp)
        again = twin(call.backend, "rotation").apply(name, chosen, lead, natives, weight, made)
        if key is not None and again is not None:
            _known.keep(key, _Again(again, named, made))

        # Restore shape.
        return out if out is not None else call.give(made)


def _check_types(named: dict[str, Any], forms: tuple[str, ...]) -> None:
    (first, leader), *others = named.items()
    checks.dtype(first, leader, dtypes.FLOATING, "Convert it first")
    for (name, array), form in zip(others, forms[1:], strict=True):
        wanted = {leader.dtype, dtypes.accumulator(leader.dtype)} if form == "weight" else {leader.dtype}
        if array.dtype not in wanted:
            listed = " or ".join(sorted(map(str, wanted)))
            raise DTypeError(
                f"{name} has dtype {array.dtype} but {first} {leader.dtype}; expected {listed}. Convert one"
            )


def _lead(named: dict[str, Any], forms: tuple[str, ...]) -> tuple[int, ...]:
    """Leading axes of the result."""
    leads = []
    for (name, array), form in zip(named.items(), forms, strict=True):
        inner = SHAPES[form]
        if array.ndim < len(inner) or tuple(array.shape[array.ndim - len(inner) :]) != inner:
            raise ShapeError(f"{name} has shape {tuple(array.shape)}; expected (..., {', '.join(map(str, inner))})")
        leads.append(tuple(array.shape[: array.ndim - len(inner)]))
    try:
        return np.broadcast_shapes(*leads)
    except ValueError:
        shapes = ", ".join(f"{name} {lead}" for name, lead in zip(named, leads, strict=True))
        raise ShapeError(f"the leading axes do not broadcast together: {shapes}. Insert axes of length 1") from None


class _Again:
    """A call of an earlier key, with other arrays."""

    def __init__(self, again: Any, named: dict[str, Any], made: Any) -> None:
        self._again, self._names = again, tuple(named)
        self._result, self._nbytes = (made.shape, made.dtype), made.nbytes
        self._reach = [_replay.reach(array) for array in named.values()]
        self._host = type(made) is np.ndarray
        self._allocate = np.empty if self._host else sys.modules["cupy"].ndarray  # cupy.empty without its wrapper

    def __call__(self, arrays: tuple[Any, ...], weight: float, out: Any) -> Any:
        if out is None:
            out = self._allocate(*self._result)
        else:
            to = self._start(out)
            for array, (low, high) in zip(arrays, self._reach, strict=True):
                start = self._start(array)
                if start + low < to + self._nbytes and to < start + high:
                    xp = np if self._host else sys.modules["cupy"]
                    _outputs.apart("out", out, dict(zip(self._names, arrays, strict=True)), xp)
        self._again(arrays, weight, out)
        return out

    def _start(self, array: Any) -> int:
        address: int = array.ctypes.data if self._host else array.data.ptr
        return address
