"""Writes RLDS datasets that TFDS reads: tfrecord shards, ``dataset_info.json`` and ``features.json``."""

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..._core.errors import ArgumentError
from ..model import Episode
from ._example import framed
from ._layout import INFO, TEMPLATE, TREE
from ._schema import Schema
from ._tfrecord import crc32c


def write_rlds(
    episodes: Iterable[Episode] | Mapping[str, Iterable[Episode]], path: str | os.PathLike[str], *, name: str,
    version: str = "1.0.0", split: str = "train", shard_bytes: int = 256 << 20,
    meta: Sequence[str] | None = None, description: str = "",
) -> Path:  # fmt: skip
    """Write episodes as an RLDS dataset.

    Parameters
    ----------
    episodes : iterable of Episode, or mapping of split to such iterables
        Streams of the index clock and of one length; the streams of the first episode are those of all. Pictures
        that are JPEG or PNG stay as they are encoded, others become PNG; nothing is stored with loss.
    path : path
        The folder of datasets; ``<path>/<name>/<version>`` is made, and must not be there.
    name, version, split : str
    shard_bytes : int
        A shard is closed when it has as many.
    meta : sequence of str, optional
        Which entries of ``Episode.meta`` to write, all by default. Those without a slash get
        ``episode_metadata/`` before their name.
    description : str
        For ``dataset_info.json``.

    Returns
    -------
    Path
        The version folder. It appears when all is written; an error leaves nothing.

    Raises
    ------
    ArgumentError
        Streams that were stamped, or of different lengths; values that RLDS has no feature for; episodes that
        differ in their streams; a dataset that is there.
    BackendError
        google-crc32c, or Pillow for pictures, is not installed.

    Notes
    -----
    ``is_first`` and ``is_last`` are added where the episodes lack them; ``is_terminal`` and ``reward`` are not, since
    nothing says what they were. Instructions in ``Episode.language`` that no stream holds become
    ``language_instruction``. RLDS has no place for the rate of steps: it goes to ``metadata.json`` beside, where
    this reader finds it and others do not look.
    """
    for what, given, form in (("name", name, r"[A-Za-z]\w*"), ("version", version, r"\d+\.\d+\.\d+")):
        if not re.fullmatch(form, given):
            raise ArgumentError(f"{what}: {given!r} is none that TFDS takes")
    splits = episodes if isinstance(episodes, Mapping) else {split: episodes}
    if shard_bytes < 1:
        raise ArgumentError(f"shard_bytes: expected a positive number, got {shard_bytes}")
    if bad := [key for key in splits if not re.fullmatch(r"\w+", key)]:
        raise ArgumentError(f"split: {bad[0]!r} is none that TFDS takes")
    home = Path(path) / name
    if (home / version).exists():
        raise ArgumentError(f"path: {home / version} is already there")
    crc = crc32c()
    home.mkdir(parents=True, exist_ok=True)
    work = home / f".{version}.{secrets.token_hex(4)}"
    work.mkdir()
    try:
        schema = Schema(meta)
        told = [_Split(work, name, key, shard_bytes, crc).write(schema, found) for key, found in splits.items()]
        info = {"description": description, "fileFormat": "tfrecord", "name": name, "splits": told, "version": version}
        _json(work / INFO, info)
        _json(work / TREE, schema.tree())
        if schema.rate is not None:
            _json(work / "metadata.json", {"control_hz": schema.rate})
        work.rename(home / version)
    except BaseException:
        shutil.rmtree(work, ignore_errors=True)
        raise
    return home / version


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2), "utf-8")


class _Split:
    """The shards of a split; their names say how many there are, so they are given at the end."""

    def __init__(self, work: Path, name: str, split: str, shard_bytes: int, crc: Callable[[Any], int]) -> None:
        self.work, self.name, self.split, self.limit, self.crc = work, name, split, shard_bytes, crc

    def write(self, schema: Schema, episodes: Iterable[Episode]) -> dict[str, Any]:
        """Write all episodes and return what ``dataset_info.json`` says of them."""
        counts: list[int] = []
        total, ahead = 0, iter(episodes)
        episode = next(ahead, None)
        while episode is not None:
            with open(self._part(len(counts)), "wb") as file:
                counts.append(0)
                while episode is not None and file.tell() < self.limit:
                    record = schema.encode(episode)
                    file.write(framed(record, self.crc))
                    counts[-1], total = counts[-1] + 1, total + len(record)
                    episode = next(ahead, None)
        if not counts:
            raise ArgumentError(f"episodes: there are none for the split {self.split!r}")
        for k in range(len(counts)):
            shard = f"{self.name}-{self.split}.tfrecord-{k:05d}-of-{len(counts):05d}"
            self._part(k).rename(self.work / shard)
        return {
            "filepathTemplate": TEMPLATE, "name": self.split,
            "numBytes": str(total), "shardLengths": [str(count) for count in counts],
        }  # fmt: skip

    def _part(self, k: int) -> Path:
        return self.work / f"{self.split}.{k}.part"


__all__ = ["write_rlds"]
