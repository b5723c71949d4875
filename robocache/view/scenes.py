"""What a picture of an episode shows, on one time axis; nothing here knows how it is drawn."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, DataError
from ..datasets import Dataset, Episode, Stream
from ..datasets._faults import fault
from ..datasets.measure import pace
from ..datasets.streams import FAR
from .panels import PICTURES, Panel, Wish, panel_of

PANELS = 40  # streams in one picture


@dataclass
class Scene:
    """An episode, or a part of it.

    Attributes
    ----------
    name : str
        Of the dataset.
    episode : Episode
    zeros : dict of str to int
        Of each clock the stamp in nanoseconds that is second 0: the first of its streams'.
    span : (float, float)
        Seconds that are shown.
    rate : float or None
        Hertz of the curves.
    rate_from : str
        Who said so, or why there is none.
    panels : list of Panel
    left_out : dict of str to str
        Streams that are not shown, and why.
    problems : list of str
        What could not be read.
    """

    name: str
    episode: Episode
    zeros: dict[str, int]
    span: tuple[float, float]
    rate: float | None
    rate_from: str
    panels: list[Panel]
    left_out: dict[str, str]
    problems: list[str]


def scene(
    dataset: Dataset,
    position: int = 0,
    *,
    streams: Mapping[str, Any] | None = None,
    start: float | None = None,
    stop: float | None = None,
    rate: float | None = None,
    features: int = 6,
    frames: int = 8,
) -> Scene:
    """Read what a picture of one episode needs.

    Parameters
    ----------
    dataset : Dataset
    position : int
        Of the episode; negative ones count from the end.
    streams : mapping of str to method, options or None, optional
        Which, and how each is resampled, as `Episode.fuse` takes it. By default all, floats ``"linear"``, other
        numbers ``"previous"``.
    start, stop : float, optional
        Seconds to show; 0 is the first stamp. One more sample on either side is read, so that lines reach the edges.
    rate : float, optional
        Hertz of the clock that numbers are resampled onto. By default that of the slowest camera, if there is one.
    features, frames : int
        Numbers of a sample, and pictures of a camera, that are shown at most.

    Returns
    -------
    Scene

    Raises
    ------
    PositionError
        No such episode.
    ArgumentError
        A stream that is not there, a number that cannot be, nothing between ``start`` and ``stop``.
    DataError
        The episode cannot be opened, or none of its streams can be put on a time axis.
    BackendError
        A decoder is not installed; it names the extra.
    """
    for name, number in {"features": features, "frames": frames}.items():
        if number < 1:
            raise ArgumentError(f"{name}: expected 1 or more, got {number}")
    if rate is not None and not 0 < rate < float("inf"):
        raise ArgumentError(f"rate: expected hertz above 0, got {rate}")
    episode: Episode = dataset[position]
    left_out: dict[str, str] = {}
    problems: list[str] = []
    found = _stamped(episode, _chosen(episode, streams), left_out, problems)
    zeros: dict[str, int] = {}
    for stream, times in found:
        zeros[stream.clock] = min(zeros.get(stream.clock, int(times.min())), int(times.min()))
    for stream, times in found:
        if int(times.max()) - zeros[stream.clock] >= FAR:
            said = f"its {stream.clock} clock covers more time than int64 nanoseconds can hold"
            raise fault(said, episode=episode.id, key=stream.name)
    seconds = [(times - zeros[stream.clock]) / 1e9 for stream, times in found]
    span = _span(seconds, start, stop)
    rate, rate_from = _rate(episode, rate, problems)
    if rate is None and streams is not None and any(streams.values()):
        raise ArgumentError("streams: a method is for resampling; no camera gives a rate for it, so give one")
    wish = Wish(zeros, span, rate, features, frames)
    panels = []
    for (stream, times), since in zip(found, seconds, strict=True):
        how = None if streams is None else streams[stream.name]
        try:
            panels.append(panel_of(stream, times, since, how, wish))
        except DataError as error:
            problems.append(str(error))
            left_out[stream.name] = "cannot be read"
    if not panels:
        raise fault(f"nothing of it can be read: {'; '.join(problems)}", episode=episode.id)
    return Scene(dataset.name, episode, zeros, span, rate, rate_from, panels, left_out, problems)


def _chosen(episode: Episode, streams: Mapping[str, Any] | None) -> list[Stream]:
    if streams is None:
        return list(episode.values())
    if absent := [name for name in streams if name not in episode]:
        raise ArgumentError(f"streams: {absent} are not in this episode; there are {list(episode)}")
    return [episode[name] for name in streams]


def _stamped(
    episode: Episode, streams: list[Stream], left_out: dict[str, str], problems: list[str]
) -> list[tuple[Stream, NDArray[np.int64]]]:
    """Streams that can be put on a time axis, with their stamps."""
    found: list[tuple[Stream, NDArray[np.int64]]] = []
    for stream in streams:
        if not len(stream):
            left_out[stream.name] = "no samples"
        elif not stream.timing.stamped and stream.timing.rate is None:
            left_out[stream.name] = "no stamps and no known rate; control_hz gives one"
        elif len(found) == PANELS:
            left_out[stream.name] = f"more than {PANELS} streams; name those to show"
        else:
            try:
                found.append((stream, stream.times))
            except DataError as error:
                problems.append(str(error))
                left_out[stream.name] = "stamps cannot be read"
    if not found:
        told = "; ".join(f"{name}: {why}" for name, why in left_out.items()) or "it has no streams"
        raise fault(f"nothing of it has a place on a time axis ({told})", episode=episode.id)
    return found


def _span(seconds: list[NDArray[np.float64]], start: float | None, stop: float | None) -> tuple[float, float]:
    last = max(float(since.max()) for since in seconds)
    low, high = 0.0 if start is None else start, last if stop is None else stop
    if not -float("inf") < low <= high < float("inf") or (low == high and (start is not None or stop is not None)):
        raise ArgumentError(f"start, stop: from {low:g} to {high:g} s is no span; the episode ends at {last:g} s")
    if not any(((low <= since) & (since <= high)).any() for since in seconds):
        raise ArgumentError(f"start, stop: no sample from {low:g} to {high:g} s; the episode ends at {last:g} s")
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _rate(episode: Episode, given: float | None, problems: list[str]) -> tuple[float | None, str]:
    """Of the curves, and who said so: a camera, shown or not."""
    if given is not None:
        return given, "given"
    rates = {}
    for name, stream in episode.items():
        if stream.kind in PICTURES and (stream.timing.stamped or stream.timing.rate is not None):
            try:
                rate = pace([stream.times]).rate if stream.timing.stamped else float(stream.timing.rate or 0)
            except DataError as error:
                problems += [] if str(error) in problems else [str(error)]
                continue
            if rate:
                rates[name] = rate
    if not rates:
        return None, "no camera and no rate given: nothing is resampled"
    slowest = min(rates, key=lambda name: rates[name])
    return rates[slowest], slowest


__all__ = ["Scene", "scene"]
