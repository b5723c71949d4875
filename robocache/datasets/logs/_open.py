"""Logs as a dataset of one episode."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..._core.errors import ArgumentError, RoboCacheError
from .._faults import fault
from .._sniffs import log_files
from ..facts import Finding
from ..model import Dataset, Episode, Episodes
from ..streams import INDEX, Stream
from ._folder import LogFile, Options, open_files
from ._stamps import UNITS

MAX_BYTES = 4 << 30
HOLE = 20  # times the usual step


class Log:
    """The files of a log, looked at when the dataset is opened and read when a stream is."""

    def __init__(self, path: Path, options: Options) -> None:
        paths = log_files(path)
        if not paths:
            raise fault("holds no log of rows or arrays", file=path)
        self.path, self.id = path, path.name
        found = list(open_files(paths, path, self.id, options))
        self.files = [one for one in found if isinstance(one, LogFile)]
        self.skipped = [one for one in found if not isinstance(one, LogFile)]
        if not self.files:
            raise fault(f"none of its files can be read; {self.skipped[0][1]}", file=path)
        self.streams: dict[str, Stream] = {}
        for file in self.files:
            if both := set(file.streams) & set(self.streams):
                raise fault(f"two files have a stream {sorted(both)[0]!r}", file=path)
            self.streams |= file.streams
        if lost := [name for name in options.columns if name not in self.streams]:
            raise ArgumentError(f"columns: {lost} belong to no file; begin them with its name: {self._stems()}")

    def _stems(self) -> list[str]:
        return [file.stem for file in self.files]

    def episode(self, at: int) -> Episode:
        """All there is."""
        meta = {
            "files": {file.stem: file.meta | {"left_out": file.left_out} for file in self.files},
            "skipped": {str(path): why for path, why in self.skipped},
        }
        return Episode(self.id, self.streams, meta=meta)

    def lengths(self) -> Any:
        """Steps, if all streams share the index clock."""
        counts = {len(stream) for stream in self.streams.values()}
        if len(counts) != 1 or any(stream.clock != INDEX for stream in self.streams.values()):
            raise ArgumentError("index: the streams of this log have stamps, and no steps; fuse the episode first")
        return np.array([counts.pop()])

    def findings(self) -> Iterator[Finding]:
        """What is wrong."""
        for path, why in self.skipped:
            yield Finding("warning", f"was left out: {why}", str(path), self.id)
        for file in self.files:
            for name, why in file.left_out.items():
                yield Finding("warning", f"no stream holds it: it {why}", str(file.path), self.id, name)
            said: set[str] = set()
            seen: set[int] = set()
            for stream in file.streams.values():
                for finding in self._of_stream(file, stream, id(stream.timing) not in seen):
                    if finding.level != "error" or finding.message not in said:
                        yield finding
                    said.add(finding.message)
                seen.add(id(stream.timing))

    def _of_stream(self, file: LogFile, stream: Stream, times: bool) -> Iterator[Finding]:
        try:
            if times and stream.clock != INDEX:
                yield from (Finding("warning", said, str(file.path), self.id, stream.name) for said in jumps(stream))
            for at in range(len(stream)) if stream.kind == "image" else (slice(None),):
                try:
                    stream.read(at)
                except RoboCacheError as error:
                    yield Finding("error", str(error), str(file.path), self.id, stream.name)
        except RoboCacheError as error:
            yield Finding("error", str(error), str(file.path), self.id, stream.name)


def jumps(stream: Stream) -> Iterator[str]:
    """Stamps that go back, stand still, or leave a hole."""
    times = stream.times
    steps = np.diff(times)
    for wrong, what in ((steps < 0, "go back"), (steps == 0, "stand still")):
        if wrong.any():
            yield f"its stamps {what} {int(wrong.sum())} times, first at sample {int(np.flatnonzero(wrong)[0]) + 1}"
    forward = steps[steps > 0]
    if forward.size:
        usual = float(np.median(forward))
        holes = np.flatnonzero(steps > HOLE * usual)
        if holes.size:
            worst = int(holes[np.argmax(steps[holes])])
            yield (
                f"its stamps have {holes.size} holes; the longest is {steps[worst] / 1e9:.3f} s after sample {worst}, "
                f"and the usual step is {usual / 1e6:.3f} ms"
            )


def open_logs(
    path: Path,
    *,
    control_hz: float | None = None,
    verify: bool = True,
    time_column: str | int | Mapping[str, str | int] | None = None,
    time_unit: str | Mapping[str, str] | None = None,
    columns: Mapping[str, Sequence[str | int]] | None = None,
    rate: float | None = None,
    clock: str = "log",
    split_by: str | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Open a file of rows or arrays, or a folder of them, as `open_dataset` does.

    Parameters
    ----------
    time_column : str or int, optional
        Name or number of the column (in a ``.npz``, of the array) of stamps; in a folder also a mapping from the names
        of files without suffix. By default a column called timestamp, time, stamp or t; if there is none, the samples
        are counted (``clock="index"``).
    time_unit : {"s", "ms", "us", "ns"} or mapping, optional
        Of the stamps. By default what the header says, else what their digits tell.
    columns : mapping of str to sequence of str or int, optional
        Streams, and the columns that each has side by side, in place of those that the header suggests. In a folder
        the names begin with that of the file: ``"imu/gyro"``.
    rate : float, optional
        Hertz of samples that were not stamped.
    clock : str
        What to call the clock of the stamps; the files of a folder are taken to share it.
    split_by : str, optional
        A column of text: rows of each text are streams of their own. ``"row_type"`` by default, if there is one.
    max_bytes : int
        Refuse files that hold more, inflated.

    Returns
    -------
    Dataset
    """
    if clock == INDEX:
        raise ArgumentError("clock: 'index' is for samples that have no stamps")
    for unit in time_unit.values() if isinstance(time_unit, Mapping) else (time_unit,):
        if unit is not None and unit not in UNITS:
            raise ArgumentError(f"time_unit: expected one of {sorted(UNITS)}, got {unit!r}")
    if rate is not None and not 0 < rate < float("inf"):
        raise ArgumentError(f"rate: expected hertz, got {rate!r}")
    if max_bytes <= 0:
        raise ArgumentError(f"max_bytes: expected a positive number, got {max_bytes}")
    hertz = rate if rate is not None else control_hz
    log = Log(path, Options(time_column, time_unit, columns or {}, hertz, clock, split_by, max_bytes))
    return Dataset(
        format="logs", name=path.name.split(".")[0], path=path, episodes=Episodes(1, log.episode),
        splits={"all": range(1)}, specs={name: stream.spec for name, stream in log.streams.items()},
        lengths=log.lengths, findings=log.findings, control_hz=hertz,
        control_hz_origin=None if hertz is None else "user",
    )  # fmt: skip


__all__ = ["open_logs"]
