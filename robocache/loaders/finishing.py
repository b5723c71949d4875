"""What is done with a batch where it was copied to: streams are resampled, numbers normalised, pictures converted."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from .._core.errors import ArgumentError
from ._resampled import ResampledSource
from ._slices import resample
from .fields import Field
from .layout import Transfer


def on_device(sources: Sequence[Any], fields: Sequence[Field]) -> list[Field]:
    """The fields of a loader with a device: streams of numbers of a `ResampledSource` are resampled there.

    Raises
    ------
    ArgumentError
        A stream that one source resamples and another does not, or otherwise.
    """
    if not any(isinstance(one, ResampledSource) for one in sources):
        return list(fields)
    return [_resampled(one, sources) if _numbers(one, sources) else one for one in fields]


def _numbers(one: Field, sources: Sequence[Any]) -> bool:
    """Whether it is a stream of numbers. Pictures are decoded on the host."""
    if one.made or one.text or one.pictures is not None:
        return False
    return all(source.streams[one.stream].kind not in ("image", "depth") for source in sources)


def _resampled(one: Field, sources: Sequence[Any]) -> Field:
    plain = [source.name for source in sources if not isinstance(source, ResampledSource)]
    if plain:
        raise ArgumentError(
            f"device: {one.stream!r} of a ResampledSource is resampled on the GPU, and that of {plain} has to be, too; "
            "make each a ResampledSource, convert all to stores with rate=, or leave device out"
        )
    found = [source.resampling(one.stream) for source in sources]
    for source, other in zip(sources, found, strict=True):
        if other.how != found[0].how:
            raise ArgumentError(
                f"device: {one.stream!r} is resampled on the GPU, the same way in all sources, but {source.name} has "
                f"{dict(other.how)} and {sources[0].name} {dict(found[0].how)}; give both the same, or leave device out"
            )
    return replace(one, resampling=found[0]._replace(most=max(other.most for other in found)))


def finish(fields: Sequence[Field], transfer: Transfer, late: Any, out: Any, lead: Mapping[str, Any]) -> None:
    """Make what the batch will hold of what was read, all on one device.

    Parameters
    ----------
    late : array of bytes
        What lies behind the first ``direct`` bytes of a slot.
    out : array of bytes
        The batch, whose first ``direct`` bytes are there.
    """
    before = transfer.direct
    for role in dict.fromkeys(one.role for one in fields if one.resampling is not None):
        group = [one for one in fields if one.resampling is not None and one.role == role]
        _resample(group, transfer, late, out, lead)
    for one in fields:
        if one.finish is not None and one.resampling is None:
            raw = transfer.slot.values[one.key].shifted(before).view(late, lead)
            one.finish(raw, transfer.batch.values[one.key].view(out, lead))


def _resample(group: Sequence[Field], transfer: Transfer, late: Any, out: Any, lead: Mapping[str, Any]) -> None:
    """Streams that have their steps in common, in one call."""
    how = {one.key: one.resampling.how for one in group if one.resampling is not None}
    slices = {one.key: transfer.slot.packed[one.key].view(late, lead, transfer.direct) for one in group}
    done = {one.key: transfer.batch.values[one.key].view(out, lead) for one in group}
    raw = {
        one.key: done[one.key]
        if one.finish is None
        else np.empty_like(slices[one.key].values, shape=(*lead[one.role], *one.shape))  # of NumPy's or CuPy's
        for one in group
    }
    results = {one.key: raw[one.key].reshape(*slices[one.key].targets.shape, *one.shape) for one in group}
    real = resample(slices, how, results)
    for column, one in enumerate(group):
        mask = transfer.batch.masks[one.key].view(out, lead)
        mask &= real[..., column].reshape(mask.shape)
        if one.finish is not None:
            one.finish(raw[one.key], done[one.key])


__all__ = ["finish", "on_device"]
