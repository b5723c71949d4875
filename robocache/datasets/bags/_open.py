"""Bags as a dataset: one bag, or a folder of them."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..._core.errors import ArgumentError, RoboCacheError
from .._faults import fault
from .._images import DCT
from .._sniffs import BAGS, bags_in
from ..facts import Finding
from ..model import Dataset, Episode, Episodes
from ..streams import StreamSpec
from ._bytes import CHUNK_BYTES
from ._findings import findings
from ._recording import Options, Recording
from ._types import shipped


class Shelf:
    """The recordings of a dataset, each opened when it is first wanted."""

    def __init__(self, paths: list[Path], options: Options) -> None:
        self.paths, self._options = paths, options
        self._open: dict[int, Recording] = {}
        self._lock = threading.Lock()

    def recording(self, at: int) -> Recording:
        """One of them."""
        with self._lock:
            if at not in self._open:
                self._open[at] = Recording(self.paths[at], self.paths[at].stem, self._options)
            return self._open[at]

    def episode(self, at: int) -> Episode:
        """Its episode."""
        return self.recording(at).episode()

    def lengths(self) -> NDArray[np.int64]:
        """Nothing in a bag is a step."""
        raise ArgumentError("index: the topics of a bag have clocks of their own, and no steps; fuse the episode first")

    def findings(self) -> Iterator[Finding]:
        """Of all of them."""
        for at, path in enumerate(self.paths):
            try:
                recording = self.recording(at)
                yield from findings(recording, recording.episode())
            except RoboCacheError as error:
                yield Finding("error", str(error), str(path), path.stem)

    def close(self) -> None:
        """Close all files."""
        with self._lock:
            for recording in self._open.values():
                recording.close()
            self._open.clear()


def open_bags(
    path: Path,
    *,
    control_hz: float | None = None,
    verify: bool = True,
    clock: str | None = None,
    ragged: Iterable[str] = (),
    max_chunk_bytes: int = CHUNK_BYTES,
    ros_distro: str | None = None,
    dct: str = "fast",
) -> Dataset:
    """Open a bag, or a folder of bags, as `open_dataset` does.

    Parameters
    ----------
    clock : {"header", "receive"}, optional
        Whose stamps. By default those of the header, unless a type has none or all of them are zero. Topics without a
        header have ``"receive"``, whatever is asked for.
    ragged : sequence of str
        Streams whose arrays differ in length from message to message, to be read as arrays of objects.
    max_chunk_bytes : int
        Refuse chunks that inflate to more.
    ros_distro : str, optional
        Whose types to take where a bag has no definitions; the one that ``metadata.yaml`` names, or ``"humble"``.
    dct : {"fast", "accurate"}
        How JPEG is decoded.

    Returns
    -------
    Dataset
    """
    if clock not in (None, "header", "receive"):
        raise ArgumentError(f"clock: expected 'header' or 'receive', got {clock!r}")
    if dct not in DCT:
        raise ArgumentError(f"dct: expected one of {sorted(DCT)}, got {dct!r}")
    if isinstance(ragged, str) or max_chunk_bytes <= 0:
        raise ArgumentError("ragged: expected names of streams; max_chunk_bytes: a positive number")
    if ros_distro is not None:
        try:
            shipped(ros_distro)
        except ValueError as error:
            raise ArgumentError(str(error)) from error
    found = bags_in(path)
    if not found:
        raise fault(f"holds no bag ({', '.join(BAGS)})", file=path)
    options = Options(verify, clock, frozenset(ragged), max_chunk_bytes, ros_distro, dct)
    shelf = Shelf(found, options)
    shelf.recording(0)  # a damaged bag is told at once
    return Dataset(
        format="bags", name=path.stem, path=path, episodes=Episodes(len(found), shelf.episode),
        splits={"all": range(len(found))}, specs=Specs(shelf), lengths=shelf.lengths, findings=shelf.findings,
        control_hz=control_hz, control_hz_origin=None if control_hz is None else "user", closing=shelf.close,
    )  # fmt: skip


class Specs(Mapping[str, StreamSpec]):
    """Of the streams of the first bag; looked at when first asked for."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf

    @cached_property
    def _found(self) -> dict[str, StreamSpec]:
        return {name: stream.spec for name, stream in self._shelf.episode(0).items()}

    def __getitem__(self, name: str) -> StreamSpec:
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._found)

    def __len__(self) -> int:
        return len(self._found)


__all__ = ["open_bags"]
