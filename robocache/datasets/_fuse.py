"""From the streams of an episode to `fuse_multimodal`."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import interop
from .._core.errors import ArgumentError
from ..ops.fusion import fuse_multimodal
from ..ops.records import Stream

if TYPE_CHECKING:
    from .model import Episode
    from .streams import StreamSpec


def fuse(
    episode: "Episode", rate: Any, streams: Any, target_times: Any, stamps: Any, device: Any, options: dict[str, Any]
) -> Any:
    """See robocache.datasets.model.Episode.fuse."""
    wanted, stamps = _wanted(episode, streams), stamps or {}
    if strange := [name for name in stamps if name not in wanted]:
        raise ArgumentError(f"stamps: {strange} are not among the streams to be fused; those are {list(wanted)}")
    clocks = {episode[name].clock for name in wanted if name not in stamps}
    if len(clocks) > 1:
        told = ", ".join(f"{name}: {episode[name].clock!r}" for name in wanted if name not in stamps)
        raise ArgumentError(
            f"streams: they have different clocks ({told}); leave some out, or give stamps={{name: times}} on one clock"
        )
    ready = {}
    for name, how in wanted.items():
        values, times = episode[name].read(), stamps[name] if name in stamps else episode[name].times
        if device is not None:
            values, times = (interop.to_device(array, device) for array in (values, times))
        ready[name] = Stream(values, times, **how)
    if target_times is None and rate is None:
        raise ArgumentError("rate: give the rate of the clock in hertz, or target_times")
    return fuse_multimodal(ready, target_times, rate=rate, **options)


def _wanted(episode: "Episode", streams: Any) -> dict[str, dict[str, Any]]:
    """Options of every stream to be fused."""
    if streams is None:
        streams = [name for name, stream in episode.items() if stream.kind == "vector" and numbers(stream.spec)]
    if isinstance(streams, str) or not streams:
        raise ArgumentError(f"streams: expected names of streams, got {streams!r}; there are {list(episode)}")
    if absent := [name for name in streams if name not in episode]:
        raise ArgumentError(f"streams: {absent} are not in this episode; there are {list(episode)}")
    given = streams if isinstance(streams, Mapping) else dict.fromkeys(streams)
    return {name: options_of(episode[name].spec, how) for name, how in given.items()}


def numbers(spec: "StreamSpec") -> bool:
    """Whether its samples are made of numbers."""
    return spec.dtype.kind in "fiub" or spec.dtype.name == "bfloat16"


def options_of(spec: "StreamSpec", how: Any) -> dict[str, Any]:
    """Options of `robocache.Stream` from a method, from options, or by default from the type."""
    if how is None:
        return {"method": "linear" if spec.dtype.kind == "f" or spec.dtype.name == "bfloat16" else "previous"}
    return dict(how) if isinstance(how, Mapping) else {"method": how}


__all__ = ["fuse", "numbers", "options_of"]
