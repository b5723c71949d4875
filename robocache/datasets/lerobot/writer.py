"""Episodes of any format as a LeRobot dataset, v3.0."""

import math
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from pathlib import Path

from ..._core.errors import ArgumentError
from .._faults import missing
from ..model import Episode
from ._encode import check_codec
from ._writing import Writing


def write_lerobot(
    episodes: Iterable[Episode], path: str | os.PathLike[str], *, fps: float, robot_type: str | None = None,
    streams: Sequence[str] | Mapping[str, str] | None = None, task: str = "", video: bool = True,
    codec: str = "libsvtav1", crf: int = 30, gop: int = 2, pixels: str = "yuv420p",
    data_mb: float = 100, video_mb: float = 200, chunks_size: int = 1000,
) -> Path:  # fmt: skip
    """Write episodes as a LeRobot dataset of version 3.0.

    Parameters
    ----------
    episodes : iterable of Episode
        Each with streams of one length that nothing stamped; `Episode.fuse` and `Episode.from_arrays` make them.
    path : path
        Of a folder that is not there yet, or is empty. It appears when everything is written, or not at all.
    fps : float
        Steps in a second.
    robot_type : str, optional
    streams : sequence of str, or mapping of str to str, optional
        Which streams, and how they are to be called; slashes are not allowed in names. By default all of the first
        episode but those that the format itself makes, such as ``timestamp``.
    task : str
        Of the steps that no instruction holds for. Where several hold, the last in ``Episode.language`` is written.
    video : bool
        Pictures as video, which changes them a little; False for PNG, which does not.
    codec : str
        Encoder of the video. One that is not there raises; none is taken in its place.
    crf, gop : int
        Quality (lower is better), and frames from one key frame to the next.
    pixels : str
        Pixel format of the video.
    data_mb, video_mb : float
        A file that is larger is followed by a new one at the next episode.
    chunks_size : int
        Files in a folder.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ArgumentError
        Streams that LeRobot cannot hold, that differ from episode to episode, or that have stamps or another rate.
    DataError
        An episode cannot be read.
    BackendError
        pyarrow, PyAV, Pillow or the encoder is missing.

    Notes
    -----
    Numbers are kept to the bit, in their own dtype. A sample of shape (1,) comes back as a scalar: the format does not
    tell them apart. Pages carry checksums, so that a reader that verifies sees a damaged value.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        missing("pyarrow", "writing LeRobot", error)
    if not (0 < fps < math.inf) or chunks_size < 1 or min(data_mb, video_mb) <= 0:
        raise ArgumentError(f"fps, chunks_size, data_mb, video_mb: {fps}, {chunks_size}, {data_mb}, {video_mb}")
    if video:
        check_codec(codec)
    target = Path(path)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise ArgumentError(f"path: {target} is there already")
    target.parent.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{target.name}.", dir=target.parent))
    rate = Fraction(fps).limit_denominator(10**6)
    encoder = {"codec": codec, "pixels": pixels, "options": {"crf": str(crf), "g": str(gop)}}
    limits = {"data": int(data_mb * 1e6), "video": int(video_mb * 1e6), "chunks_size": chunks_size}
    writing = Writing(work, rate, streams, task, encoder if video else None, limits)
    try:
        for episode in episodes:
            writing.add(episode)
        writing.finish(robot_type, {"data_files_size_in_mb": data_mb, "video_files_size_in_mb": video_mb})
        work.chmod(0o777 & ~_umask())
        os.replace(work, target)
    except BaseException:
        writing.abandon()
        shutil.rmtree(work, ignore_errors=True)
        raise
    return target


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


__all__ = ["write_lerobot"]
