"""The streams of a batch: which, in which role, and what becomes of their samples."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .._core import dtypes
from .._core.errors import ArgumentError, DTypeError
from ..datasets import StreamSpec
from ..ops.scaling import normalize
from ._slices import Resampling
from .pictures import CODECS, ImageOptions, Pictures
from .selection import SAMPLE

TEXT = np.dtype(object)  # of samples that are strings, which no memory is laid out for


@dataclass(frozen=True)
class Normalize:
    """Statistics of a stream of numbers, with options of `robocache.normalize`.

    Parameters
    ----------
    stats : RunningStats or mapping
    mode, range, quantiles, clip, constant, mask
        As there.
    """

    stats: Any
    mode: str = "mean_std"
    range: Any = (-1.0, 1.0)
    quantiles: Any = (0.01, 0.99)
    clip: Any = None
    constant: str = "zero"
    mask: Any = None

    def __call__(self, raw: Any, out: Any) -> None:
        """Write the normalised values of NumPy or CuPy arrays."""
        normalize(raw, self.stats, self.mode, range=self.range, quantiles=self.quantiles, clip=self.clip,
                  constant=self.constant, mask=self.mask, out=out)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Field:
    """One stream of a batch. Samples are read as ``shape`` and ``dtype``, then ``finish`` makes the final ones.

    With ``made`` they are not read from a source: they come of the selection. With ``resampling`` the samples around
    them are read, and they are made of these on a device, before ``finish``.
    """

    key: str
    stream: str
    role: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    final_shape: tuple[int, ...]
    final_dtype: np.dtype[Any]
    pictures: Pictures | None = None
    finish: Callable[[Any, Any], None] | None = None
    made: bool = False
    resampling: Resampling | None = None

    @property
    def late(self) -> bool:
        """Whether something is left to do with what was read."""
        return self.finish is not None or self.resampling is not None

    @property
    def text(self) -> bool:
        """Whether its samples are strings."""
        return self.dtype == TEXT


def reason_against(spec: StreamSpec) -> str | None:
    """Why a stream cannot be a part of a batch, if so."""
    if spoken(spec):
        return "is text; name it in obs= to have it as a list of strings"
    if spec.codec is not None:
        return None if spec.codec in CODECS else f"is encoded as {spec.codec}; batches are made of {CODECS} and numbers"
    if np.dtype(spec.dtype) not in dtypes.VALUES:
        return f"has dtype {spec.dtype}"
    return None if spec.kind in ("image", "depth") or None not in spec.shape else "has samples of differing shapes"


def spoken(spec: StreamSpec) -> bool:
    """Whether a sample of a stream is one string."""
    return spec.kind == "text" and spec.shape == ()


def is_action(name: str) -> bool:
    """Whether a name says that a stream is commands: "action", "actions", "action/…", "action.…"."""
    return name.replace(".", "/").partition("/")[0] in ("action", "actions")


def choose(streams: Mapping[str, StreamSpec], obs: Any, action: Any) -> tuple[dict[str, str], dict[str, str], Any]:
    """Key to stream of both roles, and what was left out for a reason."""
    left = {}
    usable = []
    for name, spec in streams.items():
        why = reason_against(spec)
        if why is None:
            usable.append(name)
        else:
            left[name] = why
    given = [_named(kind, wish, streams, left) for kind, wish in (("obs", obs), ("action", action))]
    taken = {stream for one in given if one is not None for stream in one.values()}
    chosen = [
        {n: n for n in usable if is_action(n) == acts and n not in taken} if one is None else one
        for acts, one in zip((False, True), given, strict=True)
    ]
    both = chosen[0].keys() & chosen[1].keys()
    if both:
        raise ArgumentError(f"{sorted(both)} are in obs and in action; name one anew: action={{'target': 'state'}}")
    if not chosen[0] and not chosen[1]:
        raise ArgumentError(f"no stream was chosen; there are {sorted(streams)}, of which cannot be used: {left}")
    used = {*chosen[0].values(), *chosen[1].values()}
    return chosen[0], chosen[1], {name: why for name, why in left.items() if name not in used}


def _named(kind: str, wish: Any, streams: Mapping[str, StreamSpec], left: Mapping[str, str]) -> dict[str, str] | None:
    if wish is None:
        return None
    if isinstance(wish, str):
        wish = [wish]
    found = dict(wish) if isinstance(wish, Mapping) else {name: name for name in wish}
    for name in found.values():
        if name not in streams:
            raise ArgumentError(f"{kind}: there is no stream {name!r}; there are {sorted(streams)}")
        if name in left and not spoken(streams[name]):
            raise ArgumentError(f"{kind}: {name!r} {left[name]}")
    return found


def fields_of(sources: Sequence[Any], roles: Sequence[tuple[str, Mapping[str, str]]], images: Mapping[str, Any],
              scales: Mapping[str, Any]) -> list[Field]:  # fmt: skip
    """The fields of a loader; all sources must have the same."""
    keys = {key for _, chosen in roles for key in chosen}
    for name, given in (("images", images), ("normalize", scales)):
        if set(given) - keys:
            raise ArgumentError(f"{name}: {sorted(set(given) - keys)} are not in the batch; there are {sorted(keys)}")
    found = []
    for role, chosen in roles:
        for key, stream in chosen.items():
            made = [_field(key, stream, role, source, images, scales) for source in sources]
            for source, one in zip(sources, made, strict=True):
                if (one.shape, one.dtype) != (made[0].shape, made[0].dtype):
                    raise ArgumentError(
                        f"{stream} is {one.shape} {one.dtype} in {source.name} but {made[0].shape} {made[0].dtype} in "
                        f"{sources[0].name}; leave it out, or bring pictures to one size with images="
                    )
            found.append(made[0])
    return found


def _field(
    key: str, stream: str, role: str, source: Any, images: Mapping[str, Any], scales: Mapping[str, Any]
) -> Field:
    if stream not in source.streams:
        raise ArgumentError(f"{role}: {source.name} has no stream {stream!r}; there are {sorted(source.streams)}")
    spec = source.streams[stream]
    if spoken(spec):
        return _text(key, stream, source, {**images, **scales})
    why = reason_against(spec)
    if why is not None:
        raise ArgumentError(f"{role}: {stream!r} of {source.name} {why}")
    dtype = np.dtype(spec.dtype)
    if spec.codec is not None or key in images or (None in spec.shape and spec.kind in ("image", "depth")):
        if key in scales:
            raise ArgumentError(f"normalize: {key!r} holds pictures; give ImageOptions(mean=, std=) in images")
        options = images.get(key, ImageOptions())
        if not isinstance(options, ImageOptions):
            raise ArgumentError(f"images[{key!r}] is {type(options).__name__}; expected ImageOptions")
        own = Pictures(key, spec, options)
        return Field(key, stream, role, own.shape, dtype, own.final_shape, own.final_dtype, own, own.finish)
    shape = tuple(n for n in spec.shape if n is not None)
    if key not in scales:
        return Field(key, stream, role, shape, dtype, shape, dtype)
    scale = scales[key] if isinstance(scales[key], Normalize) else Normalize(scales[key])
    final = dtypes.scaled(dtype)
    try:
        scale(np.zeros((0, *shape), dtype), np.zeros((0, *shape), final))
    except (ValueError, TypeError) as error:
        wrong = type(error) if type(error).__module__.startswith("robocache") else DTypeError
        raise wrong(f"normalize[{key!r}]: {error}") from error
    return Field(key, stream, role, shape, dtype, shape, final, None, scale)


def _text(key: str, stream: str, source: Any, options: Mapping[str, Any]) -> Field:
    if key in options:
        raise ArgumentError(f"{key!r} is text, which has no options; leave it out of images and normalize")
    if not callable(getattr(source, "texts", None)):
        raise ArgumentError(f"{source.name} has no method texts, by which {stream!r} would be read; leave it out")
    return Field(key, stream, SAMPLE, (), TEXT, (), TEXT)


__all__ = [
    "TEXT",
    "Field",
    "Normalize",
    "choose",
    "fields_of",
    "is_action",
    "reason_against",
]
