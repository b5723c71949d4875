"""Result arrays: the caller's ``out`` after its checks, or fresh ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import interop
from .._core import checks, dtypes
from .._core.errors import ArgumentError, DTypeError, ShapeError
from ._streams import Arranged


def fits(name: str, given: Any, shape: tuple[int, ...], dtype: np.dtype) -> Any:
    """The caller's native array, refused unless a result of this shape and type can be written straight into it."""
    if tuple(given.shape) != tuple(shape):
        raise ShapeError(f"{name} has shape {tuple(given.shape)}; expected {tuple(shape)}")
    if given.dtype != dtype:
        raise DTypeError(f"{name} has dtype {given.dtype}; expected {dtype}")
    if not given.flags.c_contiguous:
        raise ArgumentError(f"{name} is not C-contiguous; pass a contiguous array, or copy the result into it")
    if isinstance(given, np.ndarray) and not given.flags.writeable:
        raise ArgumentError(f"{name} is read-only; pass a writable array")
    return given


def apart(name: str, out: Any, others: dict[str, Any], xp: Any) -> None:
    """Refuse an output that overlaps memory which the call still uses."""
    for other, array in others.items():
        if array is not None and xp.may_share_memory(out, array):
            raise ArgumentError(f"{name} overlaps {other}, which is still in use; pass another array")


def one(call: Any, out: Any, given: Any, shape: tuple[int, ...], arrays: tuple[Any, ...]) -> Any:
    """The result of resampling ``arrays`` (values, source_times, lengths, offsets, target_times), or ``out``."""
    if out is None:
        return call.empty(shape, arrays[0].dtype)
    interop.writable("out", out)
    result = fits("out", given, shape, arrays[0].dtype)
    apart("out", result, {"values": arrays[0], "source_times": arrays[1], "target_times": arrays[4]}, call.xp)
    return result


def wanted(names: list[str], layout: str, dtype: Any, out: Any) -> dict[str, Any]:
    """Given outputs by stream name; the concatenated one is called ""."""
    checks.choice("layout", layout, ("concat", "dict"))
    if layout == "dict" and dtype is not None:
        raise ArgumentError("dtype is for layout='concat'; with layout='dict' every stream keeps its own type")
    if out is None:
        return {}
    if layout == "concat":
        interop.writable("out", out)
        return {"": out}
    if not isinstance(out, Mapping) or set(out) != set(names):
        raise ArgumentError("out for layout='dict' must map the name of every stream to an array")
    for name in names:
        interop.writable(f"out[{name!r}]", out[name])
    return {name: out[name] for name in names}


def allocate(
    call: Any, arranged: dict[str, Arranged], lead: tuple[int, ...], layout: str, dtype: Any, outputs: Any, given: Any
) -> tuple[dict[str, Any], dict[str, slice]]:
    """Result arrays (one under "" for concat) and where each stream lies in the last, flattened axis."""
    if layout == "dict":
        shapes = {name: ((*lead, *s.feature), s.values.dtype) for name, s in arranged.items()}
        slices = {name: slice(0, s.values.shape[-1]) for name, s in arranged.items()}
    else:
        edges = np.cumsum([0] + [s.values.shape[-1] for s in arranged.values()]).tolist()
        slices = {name: slice(a, b) for name, a, b in zip(arranged, edges[:-1], edges[1:], strict=True)}
        shapes = {"": ((*lead, edges[-1]), _joint_dtype(arranged, dtype))}
    results = {}
    for name, (shape, kind) in shapes.items():
        if name in outputs:
            results[name] = fits(f"out[{name!r}]" if name else "out", given[name], shape, kind)
        else:
            results[name] = call.empty(shape, kind)
    return results, slices


def keep_apart(results: Any, outputs: Any, arranged: dict[str, Arranged], goals: Any, xp: Any) -> None:
    """Refuse outputs that overlap what is read, or one another."""
    reads = {f"the values of {name}": stream.values for name, stream in arranged.items()}
    reads |= {f"the times of {name}": stream.times for name, stream in arranged.items()} | {"target_times": goals}
    for name in outputs:
        others = {f"out[{other!r}]": results[other] for other in outputs if other != name}
        apart(f"out[{name!r}]" if name else "out", results[name], reads | others, xp)


def _joint_dtype(arranged: dict[str, Arranged], dtype: Any) -> np.dtype:
    """Type of the concatenated array: the wish, if it holds every stream, or what NumPy promotes them to."""
    kinds = [stream.values.dtype for stream in arranged.values()]
    if dtype is None:
        joint = kinds[0]
        for kind in kinds[1:]:
            joint = dtypes.promote(joint, kind)
    else:
        try:
            joint = np.dtype(dtype)
        except TypeError as error:
            raise DTypeError(f"dtype={dtype!r} is no NumPy dtype: {error}") from None
    if joint not in dtypes.VALUES:
        raise DTypeError(
            f"streams of {', '.join(map(str, kinds))} have no common type here; give dtype= or layout='dict'"
        )
    if joint not in dtypes.FLOATING:
        for name, stream in arranged.items():
            if not np.can_cast(stream.values.dtype, joint, "safe"):
                raise DTypeError(
                    f"{name}.values of {stream.values.dtype} does not fit dtype={joint}; choose a float type"
                )
    return joint
