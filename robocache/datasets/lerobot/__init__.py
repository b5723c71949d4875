"""LeRobot datasets: v2.1 and v3.0 are read, v3.0 is written; neither needs LeRobot or PyTorch."""

from pathlib import Path
from typing import Any

from .._files import Root
from .._registry import loader_of
from ..model import Dataset, Episodes
from ._dataset import Contents
from ._findings import findings
from .writer import write_lerobot


def open_lerobot(
    path: Path, *, control_hz: float | None = None, verify: bool = True, cache_bytes: int = 256 << 20,
    open_videos: int = 16, video_threads: int = 1, root: Root | None = None,
) -> Dataset:  # fmt: skip
    """Open a LeRobot dataset.

    Parameters
    ----------
    path : Path
        The folder that holds ``meta``, ``data`` and maybe ``videos``.
    control_hz : float, optional
        In place of the ``fps`` of info.json.
    verify : bool
        Check the page checksums of Parquet files that have them.
    cache_bytes : int
        Of decoded columns that are kept.
    open_videos : int
        Video files that stay open between reads.
    video_threads : int
        Threads of each video decoder.
    root : Root, optional
        What brings the files of ``data`` and ``videos`` when they are asked for; by default they are there.

    Returns
    -------
    Dataset
        Of the episodes whose data file is there; ``meta["missing"]`` lists the ids of the others.

    Raises
    ------
    DataError
        Another version, or metadata that is damaged.
    """
    root = Root(path) if root is None else root
    contents = Contents(root, control_hz, verify, cache_bytes, open_videos, video_threads)
    return Dataset(
        format="lerobot",
        name=Path(path).resolve().name,
        path=Path(path),
        episodes=Episodes(len(contents.present), contents.episode),
        splits=contents.splits(),
        specs={name: feature.spec for name, feature in contents.info.features.items()},
        lengths=lambda: contents.table.lengths[contents.present],
        columns=contents.column,
        findings=lambda: findings(contents),
        control_hz=float(contents.rate),
        control_hz_origin="file" if control_hz is None else "user",
        meta=contents.meta(),
        closing=contents.close,
    )


def __getattr__(name: str) -> Any:
    return loader_of(__name__, name)  # DataLoader


__all__ = ["open_lerobot", "write_lerobot"]
