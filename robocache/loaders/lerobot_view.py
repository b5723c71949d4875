"""LeRobot's items in batches: `DataLoader.from_lerobot`."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .._core import checks
from .._core.errors import ArgumentError
from ..datasets import Dataset, open_dataset

if TYPE_CHECKING:
    from ._lerobot import LeRobotSource
    from .loader import DataLoader

FAR = 1 << 31  # frames: no episode is longer
OWN = ("source", "mode", "pad", "obs", "action", "n_obs", "n_act", "action_start", "stride", "pad_before", "pad_after")


def from_lerobot(
    cls: type["DataLoader"], /, path: Any, *, batch_size: int,
    delta_timestamps: Mapping[str, Sequence[float]] | None = None, episodes: Sequence[int] | None = None,
    streams: Sequence[str] | None = None, image_dtype: Any = "float32", tolerance_s: float = 1e-4,
    drop_n_last_frames: int = 0, tensors: bool = False, keep: Any = None, **options: Any,
) -> "DataLoader":  # fmt: skip
    r"""Batches with the names, types, shapes and values that PyTorch collates from the items of a ``LeRobotDataset``.

    Parameters
    ----------
    path : path, URL, Dataset, or list of them
        A LeRobot dataset, of version 2.1 or 3.0. Of several, all must have the same streams.
    batch_size : int
    delta_timestamps : mapping of str to sequence of float, optional
        Seconds from the frame, by stream. It then has shape (batch, delta, \*shape), and ``<name>_is_pad`` of bool
        (batch, delta) is beside it: True where there is no such frame in the episode, and its first or last stands in.
        As in LeRobot, a video with a single delta has no axis of deltas.
    episodes : sequence of int, optional
        Only frames of the episodes that ``episode_index`` numbers so, in the order of the dataset.
    streams : sequence of str, optional
        Only these, by LeRobot's names: what is not asked for is not decoded. By default all but depth and lists of
        language, which ``left_out`` tells of.
    image_dtype : str or dtype
        Of pictures, which are (channel, height, width): float32, float16 and bfloat16 are 0 … 1, uint8 is as decoded,
        a quarter of the memory.
    tolerance_s : float
        How far, in seconds, a delta may be from a whole number of frames.
    drop_n_last_frames : int
        Frames at the end of each episode that no sample begins at, as LeRobot's ``EpisodeAwareSampler`` has it.
    tensors : bool
        Whether a loop gives dictionaries of PyTorch tensors, those of `Batch.to_torch`, in place of batches.
    keep : sequence of (None, array of bool or array of int), optional
        As of `DataLoader`: frames of each dataset to choose from, counted through all its episodes.
    **options
        Of `DataLoader`: ``shuffle``, ``seed``, ``weights``, ``epoch_size``, ``rank``, ``world_size``, ``drop_last``,
        ``device``, ``threads``, ``prefetch``, ``images`` (in place of ``image_dtype``, by stream), ``normalize``,
        ``memory``, ``on_error``, ``epochs``.

    Returns
    -------
    DataLoader
        Its batches have ``task`` and columns of text as lists of str.

    Raises
    ------
    ArgumentError
        Deltas that are no whole numbers of frames, or of streams that are not there; episodes that are not; options
        that have no meaning for frames.
    DataError
        There is no such dataset, or it is damaged; see `open_dataset`.

    Notes
    -----
    ``timestamp`` is float32, ``frame_index``, ``episode_index``, ``index`` and ``task_index`` are int64. Floats of any
    width become float32 and integers int64, as they do in LeRobot. ``shuffle`` and ``drop_last`` are True by default,
    unlike in PyTorch's DataLoader.
    """
    from ._lerobot import LeRobotSource
    from .frames import FrameLoader

    if foreign := sorted(set(options) & set(OWN)):
        raise ArgumentError(f"{', '.join(foreign)}: the frames of LeRobot are chosen by delta_timestamps and streams")
    listed = list(path) if isinstance(path, Sequence) and not isinstance(path, (str, bytes)) else [path]
    if not listed:
        raise ArgumentError("path is an empty list; give at least one dataset")
    opened: list[Dataset] = []
    try:
        sources = []
        for one in listed:
            if not isinstance(one, Dataset):
                opened.append(open_dataset(one, format="lerobot"))
            sources.append(LeRobotSource(one if isinstance(one, Dataset) else opened[-1], streams))
        deltas = _frames(delta_timestamps or {}, sources, tolerance_s)
        chosen = _kept(sources, episodes, drop_n_last_frames, keep)
        return FrameLoader(sources, deltas, opened, image_dtype, tensors, batch_size=batch_size, keep=chosen, **options)
    except BaseException:
        for dataset in opened:
            dataset.close()
        raise


def _frames(seconds: Any, sources: Sequence["LeRobotSource"], tolerance: float) -> dict[str, NDArray[np.int64]]:
    """Deltas in frames of every source, of shape (source, delta)."""
    if not isinstance(seconds, Mapping):
        raise ArgumentError("delta_timestamps must map streams to seconds, as {'action': [0.0, 0.1]}")
    checks.finite("tolerance_s", tolerance)
    found = {}
    for key, given in seconds.items():
        name = f"delta_timestamps[{key!r}]"
        if key not in sources[0].streams or sources[0].streams[key].kind == "text":
            there = [one for one, spec in sources[0].streams.items() if spec.kind != "text"]
            raise ArgumentError(f"{name}: there is no such stream of numbers or pictures; there are {there}")
        try:
            deltas = [] if isinstance(given, str) else [checks.finite(name, one) for one in given]
        except TypeError:
            deltas = []
        if not deltas:
            raise ArgumentError(f"{name} is {given!r}; expected seconds, at least one, as [-0.1, 0.0]")
        found[key] = np.array([_whole(name, deltas, source, tolerance) for source in sources], np.int64)
    return found


def _whole(name: str, seconds: Sequence[float], source: "LeRobotSource", tolerance: float) -> list[int]:
    """Seconds as whole numbers of frames, rounded as LeRobot rounds them."""
    fps = source.fps
    frames = [one * fps for one in seconds]
    if any(abs(one) >= FAR for one in frames):
        raise ArgumentError(f"{name} holds more than {FAR} frames; no episode is as long")
    wrong = [s for s, one in zip(seconds, frames, strict=True) if abs(one - round(one)) / fps > tolerance]
    if wrong:
        near = sorted({round(side(s * fps) / fps, 9) for s in wrong for side in (math.floor, math.ceil)})
        raise ArgumentError(
            f"{name}: {wrong} are no multiples of 1/fps ({source.name} has {fps:g} frames a second) within "
            f"tolerance_s={tolerance:g}; near them are {near}"
        )
    return [round(one) for one in frames]


def _kept(sources: Sequence["LeRobotSource"], episodes: Any, drop: Any, keep: Any) -> Any:
    """Frames to choose from, of every source."""
    drop = checks.whole("drop_n_last_frames", drop, 0, FAR)
    if episodes is None and not drop:
        return keep
    if keep is not None:
        raise ArgumentError("keep: give either it, or episodes and drop_n_last_frames")
    if episodes is not None and len(sources) > 1:
        raise ArgumentError("episodes: of several datasets, give keep= with a list of frames for each")
    masks = []
    for source in sources:
        lengths = np.diff(source.offsets)
        own = np.ones(lengths.size, np.bool_) if episodes is None else _chosen(source, episodes)
        left = np.repeat(source.offsets[1:], lengths) - np.arange(int(source.offsets[-1]))
        masks.append(np.repeat(own, lengths) & (left > drop))
    return masks


def _chosen(source: "LeRobotSource", episodes: Any) -> NDArray[np.bool_]:
    """Which episodes of a source were named."""
    wanted = [checks.whole("episodes", one, 0, 1 << 53) for one in episodes]
    if len(set(wanted)) != len(wanted):
        raise ArgumentError("episodes: one is there twice; weights give a source more samples")
    ids = np.array([source.episode(number) for number in range(source.offsets.size - 1)], np.int64)
    if absent := sorted(set(wanted) - set(ids.tolist())):
        raise ArgumentError(f"episodes: {absent[:8]} are not in {source.name}, which has {ids.size} episodes")
    return np.isin(ids, wanted)


__all__ = ["from_lerobot"]
