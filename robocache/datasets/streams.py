"""One sensor's samples in an episode: what they are, when they were taken, and how to read some of them."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import inf
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, DataError, DTypeError, PositionError
from ._faults import fault

Kind = Literal["vector", "image", "depth", "cloud", "text", "event"]
Picked = slice | NDArray[np.int64]  # with a step of one and ends within the stream; or positions within it
INDEX = "index"
FAR = 2**63


class Range(NamedTuple):
    """Where the encoded bytes of a sample lie."""

    file: str
    offset: int
    length: int
    codec: str


@dataclass(frozen=True)
class StreamSpec:
    """What a stream holds, known without reading it.

    Parameters
    ----------
    name : str
        As the format spells it, with slashes or dots.
    kind : {"vector", "image", "depth", "cloud", "text", "event"}
        Images are (height, width, channel); depth is (height, width) or (height, width, 1).
    shape : tuple of int or None
        Of one sample; None where it differs from sample to sample.
    dtype : dtype
        Of the decoded samples; object for text and for samples of differing shapes.
    unit : str, optional
        Such as ``"m"`` or ``"rad"``, only where the format or the registry says so.
    names : tuple of str, optional
        Of the features.
    codec : str, optional
        How a sample is encoded on disk: ``"jpeg"``, ``"png"``, ``"av1"``, …; None for plain numbers.
    """

    name: str
    kind: Kind
    shape: tuple[int | None, ...]
    dtype: np.dtype[Any]
    unit: str | None = None
    names: tuple[str, ...] | None = None
    codec: str | None = None


class Timing:
    """When the samples of a stream were taken.

    Parameters
    ----------
    count : int
        Samples.
    clock : str
        ``"index"`` if nothing was stamped and only a rate is known, or not even that. Else the name of the clock that
        stamped them, such as ``"header"``, ``"receive"``, ``"robot"``: streams of one clock may be fused.
    stamps : array of int64, or function that returns one, optional
        Nanoseconds.
    rate : Fraction or float, optional
        Hertz of an even clock from ``start`` on, in place of stamps.
    """

    def __init__(
        self, count: int, clock: str = INDEX, stamps: Any = None, rate: Fraction | float | None = None, start: int = 0
    ) -> None:
        self.count, self.clock, self.start = count, clock, start
        self.rate = None if rate is None or not 0 < rate < inf else Fraction(rate).limit_denominator(10**6)
        if count < 0 or (rate is not None and not self.rate):
            raise fault(f"has {count} samples at {rate} Hz, which cannot be")
        self._stamps = stamps

    @property
    def stamped(self) -> bool:
        """Whether the stamps were measured."""
        return self._stamps is not None

    @cached_property
    def times(self) -> NDArray[np.int64]:
        """Int64 nanoseconds: stamps, or ``start + k / rate``, every one computed anew and rounded once."""
        if self._stamps is not None:
            stamps = np.asarray(self._stamps() if callable(self._stamps) else self._stamps)
            if stamps.dtype != np.int64 or stamps.shape != (self.count,):
                raise fault(f"has {stamps.shape} stamps of {stamps.dtype} for {self.count} samples")
            return stamps
        if self.rate is None:
            raise fault("has no stamps and no known rate; say open_dataset(..., control_hz=) or give times yourself")
        period = Fraction(10**9) / self.rate
        top, bottom = period.numerator, period.denominator
        if abs(self.start) + self.count * top // bottom + 1 >= FAR:
            raise fault(
                f"has {self.count} samples at {float(self.rate):g} Hz, more time than int64 nanoseconds can hold"
            )
        whole, part = divmod(top, bottom)
        if 2 * self.count * part + bottom >= FAR:  # a product would overflow: rates with many digits, long streams
            each = (self.start + (2 * k * top + bottom) // (2 * bottom) for k in range(self.count))
            return np.fromiter(each, np.int64, self.count)
        steps = np.arange(self.count, dtype=np.int64)
        return self.start + steps * whole + (2 * (steps * part) + bottom) // (2 * bottom)


class Source:
    """How the samples of a stream are read; formats derive from it."""

    def take(self, at: Picked) -> Any:
        r"""Decoded samples as an array (n, \*shape), of object where they are text or differ in shape."""
        raise NotImplementedError

    def encoded(self, at: Picked) -> list[bytes]:
        """Samples as they lie on disk."""
        raise ArgumentError("decode=False: this stream is not encoded; its samples are plain numbers")

    def ranges(self, at: Picked) -> list[Range] | None:
        """Where the encoded bytes lie, or None if no single range of a file holds a sample."""
        return None

    def frames(self) -> Any:
        """The `VideoSource` that reads them, or None if they are no video."""
        return None


class Values(Source):
    """Samples that are an array, or a function that reads it when the first of them is wanted."""

    def __init__(self, values: Any) -> None:
        self._values = values

    @cached_property
    def array(self) -> Any:
        """All of them."""
        return self._values() if callable(self._values) else self._values

    def take(self, at: Picked) -> Any:
        """Some of the array."""
        return self.array[at]


class Stream:
    """One sensor's samples in an episode, read when asked for.

    Notes
    -----
    `Episode` makes them. Not to be taken for `robocache.Stream`, which holds arrays and says how to resample them;
    `Episode.fuse` turns the one into the other.
    """

    def __init__(
        self, spec: StreamSpec, timing: Timing, source: Source, where: Callable[[], dict[str, Any]] = dict
    ) -> None:
        self.spec, self.timing, self.source, self._where = spec, timing, source, where

    name = property(lambda self: self.spec.name)
    kind = property(lambda self: self.spec.kind)
    shape = property(lambda self: self.spec.shape)
    dtype = property(lambda self: self.spec.dtype)
    unit = property(lambda self: self.spec.unit)
    names = property(lambda self: self.spec.names)
    codec = property(lambda self: self.spec.codec)
    clock = property(lambda self: self.timing.clock)

    @property
    def times(self) -> NDArray[np.int64]:
        """Of every sample, int64 nanoseconds; ``clock`` says whose. Raises DataError if not even a rate is known."""
        try:
            return self.timing.times
        except ValueError as error:
            if isinstance(error, DataError) and error.key is None:
                raise fault(str(error), key=self.name, **self._where()) from None
            raise

    def __len__(self) -> int:
        return self.timing.count

    def read(self, index: Any = None, *, decode: bool = True, device: int | None = None, decoder: str = "auto") -> Any:
        r"""Some samples.

        Parameters
        ----------
        index : int, slice, or array of int or bool, optional
            Which; all of them by default. Negative positions count from the end.
        decode : bool
            False for the bytes as they are on disk, of a stream with a codec.
        device : int, optional
            GPU that the samples shall be on, as CuPy arrays in the order of its current stream.
        decoder : {"auto", "cpu", "nvimgcodec", "pynvvideocodec"}
            Who decodes JPEG and video for a device; see `decoder`.

        Returns
        -------
        array (\*shape) for an int, else array (n, \*shape); bytes or a list of bytes with ``decode=False``; a list of
        arrays where a device is given and their shapes differ

        Raises
        ------
        PositionError
            A position past either end.
        DTypeError
            An index of another type; text, for a device.
        ArgumentError
            ``decode=False`` of plain numbers, or for a device; a decoder that cannot decode these.
        DeviceError
            A device that is not there.
        DataError
            The bytes on disk are damaged or missing; it names file, episode and stream.
        BackendError
            A decoder is not installed; it names the extra.
        """
        picked, single = positions(index, len(self), self.name)
        if device is not None or decoder != "auto":
            found = self._read_on(picked, decode, device, decoder)
        else:
            found = self.source.take(picked) if decode else self.source.encoded(picked)
        return found[0] if single else found

    def _read_on(self, picked: Picked, decode: bool, device: int | None, decoder: str) -> Any:
        from . import _on_device

        if not decode:
            raise ArgumentError("decode=False: the bytes stay on the CPU; leave device and decoder out")
        if device is None:
            _on_device.stream_decoder(self, picked, device, decoder)
            return self.source.take(picked)
        return _on_device.read(self, picked, device, decoder, {**self._where(), "key": self.name})

    def decoder(self, index: Any = None, *, device: int | None = None, decoder: str = "auto") -> str:
        """Who decodes, if `read` is called so: ``"cpu"``, ``"nvimgcodec"`` (JPEG) or ``"pynvvideocodec"`` (video).

        Notes
        -----
        ``"auto"`` is the decoder of the GPU if a device is given, the package is installed and it can decode all of
        these; else ``"cpu"``, and what it gives is copied. That is settled before anything is decoded, by what is
        installed, the bytes, and for a video by the first frame and the card; no decoder steps in for another. Errors
        are those of `read`.
        """
        from . import _on_device

        return _on_device.stream_decoder(self, positions(index, len(self), self.name)[0], device, decoder)[0]

    def ranges(self, index: Any = None) -> list[Range] | None:
        """File, offset, length and codec of the encoded bytes of some samples; None where they have none."""
        return self.source.ranges(positions(index, len(self), self.name)[0])

    def __repr__(self) -> str:
        shape = "x".join("?" if n is None else str(n) for n in self.shape) or "scalar"
        return f"Stream({self.name!r}, {self.kind}, {len(self)} of {shape} {self.dtype}, clock={self.clock!r})"


def positions(index: Any, count: int, name: str) -> tuple[Picked, bool]:
    """What ``index`` picks of ``count`` samples, and whether it is a single one."""
    if type(index) is int and -count <= index < count:
        return np.array([index if index >= 0 else index + count]), True
    if index is None:
        return slice(0, count, 1), False
    if isinstance(index, slice):
        start, stop, step = index.indices(count)
        if step == 1:
            return slice(start, max(start, stop), 1), False
        return np.arange(start, stop, step, dtype=np.int64), False
    at = np.asarray(index)
    if at.dtype == bool:
        if at.shape != (count,):
            raise PositionError(f"index: a mask of shape {at.shape} for the {count} samples of {name}")
        return np.flatnonzero(at).astype(np.int64), False
    if at.size == 0:
        return np.zeros(0, np.int64), False
    if at.dtype.kind not in "iu" or at.ndim > 1:
        raise DTypeError(f"index: expected an int, a slice or a 1-D array of int or bool, got {at.dtype} {at.shape}")
    if int(at.max()) >= count or int(at.min()) < -count:
        raise PositionError(f"index: {index!r} lies past the {count} samples of {name}")
    at = at.astype(np.int64).reshape(-1) + np.where(at.reshape(-1) < 0, count, 0)
    return at, np.ndim(index) == 0


def listed(at: Picked) -> NDArray[np.int64]:
    """Positions one by one."""
    return np.arange(at.start, at.stop, dtype=np.int64) if isinstance(at, slice) else at


__all__ = [
    "INDEX",
    "Kind",
    "Picked",
    "Range",
    "Source",
    "Stream",
    "StreamSpec",
    "Timing",
    "Values",
    "listed",
    "positions",
]
