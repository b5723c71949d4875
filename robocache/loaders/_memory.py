"""Episodes whose samples are arrays in memory, as a source of batches."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from .._core import checks
from .._core.errors import ArgumentError, DTypeError, PositionError, ShapeError
from ..datasets._fuse import numbers
from ..datasets.streams import StreamSpec
from ..ops.gather import gather_windows
from ._rows import checked, edges_of, result


class MemorySource:
    r"""Episodes in memory, packed one after another, to make batches of.

    Parameters
    ----------
    arrays : mapping of str to array, shape (steps, \*shape)
        Floats, integers or bools, NumPy's or a memory map. One that is not C-contiguous is copied.
    offsets : array of int, shape (episodes + 1,)
        First step of each episode, and the number of steps.
    name : str
    rate : float, optional
        Hertz of the steps.
    specs : mapping of str to StreamSpec, optional
        What else is known of some streams: kind, unit, names. By default uint8 arrays of shape
        (steps, height, width, 1, 3 or 4) are images, all others vectors.

    Attributes
    ----------
    streams : mapping of str to StreamSpec
    offsets : NumPy array of int64
    fingerprint : str
        Of the bytes; computed when first asked for, which reads all of them.

    Raises
    ------
    ArgumentError, ShapeError, DTypeError
        Arrays of differing lengths, offsets that do not fit them, samples that are not numbers.

    Examples
    --------
    >>> import numpy as np
    >>> from robocache.loaders import MemorySource
    >>> source = MemorySource({"state": np.arange(10.0).reshape(5, 2)}, [0, 3, 5])
    >>> source.gather("state", np.array([[0, 1], [4, 4]]))[..., 0]
    array([[0., 2.],
           [8., 8.]])
    """

    def __init__(
        self, arrays: Mapping[str, Any], offsets: Any, *, name: str = "memory", rate: float | None = None,
        specs: Mapping[str, StreamSpec] = MappingProxyType({}),
    ) -> None:  # fmt: skip
        if not isinstance(arrays, Mapping) or not arrays:
            raise ArgumentError("arrays: expected a mapping of names to arrays, of at least one")
        self._arrays = {key: np.ascontiguousarray(array) for key, array in arrays.items() if np.ndim(array)}
        if scalars := [key for key in arrays if key not in self._arrays]:
            raise ShapeError(f"arrays[{scalars[0]!r}] has no axes; expected (steps, *shape)")
        counts = {key: len(array) for key, array in self._arrays.items()}
        if len(set(counts.values())) > 1:
            raise ShapeError(f"arrays: they have differing numbers of steps, {counts}")
        self.name, self.rate = name, None if rate is None else checks.positive("rate", rate)
        self.offsets = edges_of(offsets, next(iter(counts.values())))
        self.streams = {key: _spec(key, array, specs.get(key)) for key, array in self._arrays.items()}

    @cached_property
    def fingerprint(self) -> str:
        """Hex digest of names, types, shapes, offsets and bytes."""
        digest = hashlib.blake2b(self.offsets.astype("<i8").tobytes(), digest_size=16)
        for key, array in sorted(self._arrays.items()):
            digest.update(repr((key, array.dtype.name, array.dtype.byteorder, array.shape)).encode())
            digest.update(array.reshape(-1).view(np.uint8).data)
        return digest.hexdigest()

    def gather(self, name: str, rows: Any, out: Any = None) -> Any:
        """Samples at global steps, `out` or a new array of shape (*rows.shape, *shape)."""
        spec = self._spec(name)
        rows = checked(rows, self.offsets)
        out = result(out, rows, spec.shape, spec.dtype)
        if out.size:
            gather_windows(self._arrays[name], rows.reshape(-1), out=out.reshape(rows.size, *spec.shape))
        return out

    def encoded(self, name: str, rows: Any) -> NoReturn:
        """Nothing here is encoded. Raises ArgumentError."""
        raise ArgumentError(f"{self._spec(name).name}: its samples are plain numbers; use gather")

    def valid(self, name: str, rows: Any) -> NDArray[np.bool_] | None:
        """None: every sample is there."""
        self._spec(name)
        return None

    def episode(self, number: int) -> int:
        """The number itself, for messages."""
        if not 0 <= number < self.offsets.size - 1:
            raise PositionError(f"episode {number}: there are {self.offsets.size - 1}")
        return number

    def close(self) -> None:
        """Let go of the arrays."""
        self._arrays.clear()

    def _spec(self, name: str) -> StreamSpec:
        if name not in self._arrays:
            there = list(self._arrays) if self._arrays else "none since it was closed"
            raise ArgumentError(f"{name!r} is not a stream of {self.name}; there are {there}")
        return self.streams[name]


def _spec(name: str, array: NDArray[Any], told: StreamSpec | None) -> StreamSpec:
    image = array.dtype == np.uint8 and array.ndim == 4 and array.shape[3] in (1, 3, 4)
    spec = StreamSpec(name, "image" if image else "vector", array.shape[1:], array.dtype)
    if not numbers(spec) or not array.dtype.isnative:
        raise DTypeError(
            f"arrays[{name!r}] has dtype {array.dtype}; expected floats, integers or bools in native order"
        )
    return spec if told is None else replace(told, name=name, shape=spec.shape, dtype=spec.dtype, codec=None)


__all__ = ["MemorySource"]
