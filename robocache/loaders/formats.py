"""`DataLoader` with the defaults of a format; `robocache.datasets` calls each ``<format>.DataLoader``."""

import os
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core import checks
from .._core.errors import ArgumentError
from ..datasets import Dataset, open_dataset
from ..datasets._fuse import numbers
from ..datasets.streams import StreamSpec
from ._dataset import LANGUAGE, DatasetSource
from .fields import is_action, reason_against
from .loader import DataLoader
from .pictures import ImageOptions
from .selection import WindowItems

LANGUAGES = ("any", "only")
LAST, TERMINAL = "is_last", "is_terminal"
UNUSUAL = "is not what policies of this format usually take; name it in obs= or action="
lerobot = DataLoader.from_lerobot


class RtxSource(DatasetSource):
    """A dataset of RT-X. Where the registry says that the last action of an episode means nothing, it is not valid."""

    def __init__(self, dataset: Dataset, streams: Sequence[str]) -> None:
        flags = [name for name in (LAST, TERMINAL) if name in dataset.specs]
        super().__init__(dataset, list(dict.fromkeys([*streams, *flags])))
        self._wanted = streams
        self._doubtful = dataset.action is not None and not dataset.action.last_valid and len(flags) == 2

    def valid(self, name: str, rows: Any) -> Any:
        """Where an action means something; None for all else."""
        super().valid(name, rows)
        if not self._doubtful or not is_action(name):
            return None
        return ~self.gather(LAST, rows).astype(bool) | self.gather(TERMINAL, rows).astype(bool)


def rtx(
    path: Any, *, batch_size: int, data_dir: str | os.PathLike[str] | None = None, split: str | None = "train",
    language: str | None = "any", resize: tuple[int, int] | None = None, control_hz: float | None = None,
    obs: Any = None, action: Any = None, **options: Any,
) -> DataLoader:  # fmt: skip
    """Batches of RT-X (Open X-Embodiment) and other RLDS datasets.

    Parameters
    ----------
    path : path, URL, name, Dataset, or list of them
        Several are mixed, by ``weights``; all must have the same streams.
    batch_size : int
    data_dir : path or URL, optional
        The folder in which ``path`` is the name of a dataset.
    split : str, optional
        Of what is opened here; None for all episodes. A `Dataset` is taken as it is.
    language : {"any", "only", None}
        Whether batches have ``language``, a list of one instruction a sample, as of its anchor; "" where there is none.
        "only" leaves out anchors without, for which it first looks at every episode.
    resize : (height, width), optional
        Of all pictures whose `ImageOptions` are not in ``images``.
    control_hz : float, optional
        As of `open_dataset`.
    obs, action : sequence of str, or mapping of str to str, optional
        As of `DataLoader`. By default what begins with "observation/", and what is called "action" or begins with
        "action/".
    **options
        Of `DataLoader`: ``n_obs``, ``n_act``, ``images``, ``normalize``, ``device``, and so on.

    Returns
    -------
    DataLoader
        ``left_out`` lists all streams that are not in its batches by default. ``batch.valid`` of actions is False at
        the last step where the registry of datasets says that it means nothing (`ActionSpec.last_valid`), and
        ``is_terminal`` is not set.

    Raises
    ------
    ArgumentError, DataError, BackendError
        As `open_dataset` and `DataLoader`.
    """

    def usual(specs: Mapping[str, StreamSpec]) -> tuple[list[str], list[str]]:
        return [name for name in specs if name.startswith("observation/")], [name for name in specs if is_action(name)]

    def opened(one: Any) -> Dataset:
        where = one if data_dir is None else f"{os.fspath(data_dir).rstrip('/')}/{one}"
        return open_dataset(where, format="rlds", split=split, control_hz=control_hz)

    return _loader(path, opened, usual, RtxSource, language, resize, obs, action, batch_size=batch_size, **options)


def calvin(
    path: Any, *, batch_size: int, split: str | None = "training", language: str | None = "any",
    resize: tuple[int, int] | None = None, obs: Any = None, action: Any = None, annotations: str | None = None,
    **options: Any,
) -> DataLoader:  # fmt: skip
    """Batches of CALVIN.

    Parameters
    ----------
    path : path, URL, Dataset, or list of them
    batch_size : int
    split : str, optional
        "training" or "validation" of what is opened here; None for both.
    language, resize
        As of `rtx`. Most steps of CALVIN have no instruction: "only" leaves those out.
    obs, action : sequence of str, or mapping of str to str, optional
        By default cameras, depth and ``robot_obs``; ``rel_actions``, or where there are none ``actions``.
    annotations : str, optional
        The folder of annotations, in place of ``lang_annotations``.
    **options
        Of `DataLoader`.

    Returns
    -------
    DataLoader
        ``left_out`` lists all streams that are not in its batches by default, such as ``scene_obs``.

    Raises
    ------
    ArgumentError, DataError, BackendError
        As `open_dataset` and `DataLoader`.
    """

    def usual(specs: Mapping[str, StreamSpec]) -> tuple[list[str], list[str]]:
        seen = [name for name in specs if name.startswith(("rgb_", "depth_")) or name == "robot_obs"]
        return seen, [name for name in ("rel_actions", "actions") if name in specs][:1]

    def opened(one: Any) -> Dataset:
        told: dict[str, Any] = {} if annotations is None else {"language": annotations}
        return open_dataset(one, format="calvin", split=split, **told)

    return _loader(path, opened, usual, DatasetSource, language, resize, obs, action, batch_size=batch_size, **options)


def _loader(
    path: Any, opener: Callable[[Any], Dataset], usual: Callable[[Any], tuple[list[str], list[str]]],
    make: Callable[[Dataset, Sequence[str]], DatasetSource], language: Any, resize: Any, obs: Any, action: Any,
    **options: Any,
) -> DataLoader:  # fmt: skip
    if language is not None:
        checks.choice("language", language, LANGUAGES)
    listed = list(path) if isinstance(path, Sequence) and not isinstance(path, (str, bytes)) else [path]
    opened: list[Dataset] = []
    try:
        datasets = []
        for one in listed:
            if not isinstance(one, Dataset):
                opened.append(opener(one))
            datasets.append(one if isinstance(one, Dataset) else opened[-1])
        if not datasets:
            raise ArgumentError("path is an empty list; give at least one dataset")
        specs = datasets[0].specs
        good = {name: spec for name, spec in specs.items() if _reason(spec) is None}
        roles = [_named(wish, own) for wish, own in zip((obs, action), usual(good), strict=True)]
        wanted = [stream for role in roles for stream in role.values() if stream != LANGUAGE]
        sources = [make(dataset, list(dict.fromkeys(wanted))) for dataset in datasets]
        if language is not None:
            roles[0] = roles[0] | _language(sources)
        if language == "only":
            options["keep"] = _spoken(sources, options)
        if resize is not None:
            options["images"] = _resized(roles, specs, resize) | dict(options.get("images") or {})
        loader = DataLoader(sources, obs=roles[0], action=roles[1], **options)
    except BaseException:
        for dataset in opened:
            dataset.close()
        raise
    loader._own.opened = list(opened)
    loader.left_out = MappingProxyType({n: _reason(specs[n]) or UNUSUAL for n in specs if n not in wanted})
    return loader


def _reason(spec: StreamSpec) -> str | None:
    """Why a stream cannot be in a batch of a dataset's own steps."""
    if spec.kind == "text":
        return f"is text; what was said is in {LANGUAGE!r}"
    why = reason_against(spec)
    if why is None and None in spec.shape:
        return f"has samples of shape {spec.shape}, which differ"
    return why if why is not None or numbers(spec) else f"holds {spec.kind}"


def _named(wish: Any, own: Sequence[str]) -> dict[str, str]:
    if wish is None:
        return {name: name for name in own}
    return (
        dict(wish)
        if isinstance(wish, Mapping)
        else {name: name for name in ([wish] if isinstance(wish, str) else wish)}
    )


def _language(sources: Sequence[DatasetSource]) -> dict[str, str]:
    for source in sources:
        if source.streams[LANGUAGE].kind != "text":
            raise ArgumentError(f"{source.name} has a stream of its own called {LANGUAGE!r}; set language=None")
    return {LANGUAGE: LANGUAGE}


def _spoken(sources: Sequence[DatasetSource], options: Mapping[str, Any]) -> list[NDArray[np.bool_]]:
    """Windows at whose anchor something was said, of every source."""
    if options.get("keep") is not None or options.get("mode", "windows") != "windows":
        raise ArgumentError("language='only' chooses windows itself; leave keep and mode out, or take 'any'")
    usual = {"n_obs": 1, "n_act": 1, "stride": 1, "pad_before": None, "pad_after": None, "action_start": 0}
    n_obs, n_act, stride, before, after, start = (options.get(name, value) for name, value in usual.items())
    items = WindowItems([one.offsets for one in sources], n_obs, n_act, stride, (before, after), start)
    found = []
    for source, windows in zip(sources, items.windows, strict=True):
        keep = source.spoken()[windows.take(np.arange(len(windows))).anchor]
        if not keep.any():
            raise ArgumentError(f"language='only': {source.name} has no window with an instruction; take 'any'")
        found.append(keep)
    return found


def _resized(roles: Sequence[Mapping[str, str]], specs: Mapping[str, StreamSpec], size: Any) -> dict[str, ImageOptions]:
    """Options of all that Pillow can resize."""
    chosen = {key: stream for role in roles for key, stream in role.items() if stream in specs}
    return {
        key: ImageOptions(resize=size)
        for key, stream in chosen.items()
        if specs[stream].kind == "image"
        and specs[stream].dtype == np.uint8
        and specs[stream].shape[2:] in ((1,), (3,), (4,))
    }


__all__ = ["RtxSource", "calvin", "lerobot", "rtx"]
