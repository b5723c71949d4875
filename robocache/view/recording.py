"""A scene as a recording for the Rerun viewer: every sample of the span, on one timeline."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._core.errors import ArgumentError, DataError
from ..datasets._faults import fault, missing
from ..ops.voxel import voxelize
from .panels import WHOLE, Panel, labels_of
from .scenes import Scene

TIMELINE = "time"
BLOCK = 16  # pictures that are decoded at once
JPEG = 90
METRES = {"m": 1.0, "mm": 1000.0}  # units of depth in a metre


def record(scene: Scene, path: Path, *, voxel: float = 0.05) -> dict[str, int]:
    """Write a Rerun recording (.rrd).

    Parameters
    ----------
    scene : Scene
        Its streams and its span; all samples within are written, not only those that a figure shows.
    path : Path
    voxel : float
        Edge of the voxels of point clouds, in their unit.

    Returns
    -------
    dict of str to int
        Rows by the path of their entity.

    Raises
    ------
    BackendError
        rerun-sdk is not installed.
    ArgumentError
        A suffix other than .rrd, a voxel that cannot be, a file that cannot be written.

    Notes
    -----
    Numbers go in as they are, up to 64 a sample, else those that the figure shows; pictures on disk as JPEG or PNG of
    8 bits keep their bytes, others become JPEG of quality 90, which loses a little; depth, and what has
    other numbers of channels than 1, 3 or 4, stays exact.
    A stream that cannot be read is left out and added to ``scene.problems``.
    """
    try:
        import rerun as rr
    except ImportError as error:
        missing("rerun", "a Rerun recording", error)
    if path.suffix != ".rrd":
        raise ArgumentError(f"path: expected a file of .rrd, got {path.name!r}")
    if not 0 < voxel < float("inf"):
        raise ArgumentError(f"voxel: expected an edge above 0, got {voxel}")
    log = Log(rr, scene, voxel)
    try:
        log.out.save(path)
    except (RuntimeError, OSError) as error:
        raise ArgumentError(f"path: {path} cannot be written ({error})") from None
    for text in dict.fromkeys(span.text for span in scene.episode.language):
        log.put(("language",), rr.TextDocument(text))
    for panel in scene.panels:
        try:
            log.panel(panel)
        except DataError as error:
            scene.problems.append(str(error))
    log.out.flush()
    log.out.disconnect()
    return log.rows


class Log:
    """A recording that is being written."""

    def __init__(self, rr: Any, scene: Scene, voxel: float) -> None:
        self.rr, self.scene, self.voxel = rr, scene, voxel
        self.out = rr.RecordingStream("robocache", recording_id=f"{scene.name}, episode {scene.episode.id}")
        self.rows: dict[str, int] = {}

    def put(self, parts: tuple[str, ...], thing: Any, when: int | None = None) -> None:
        """One row, at nanoseconds or for all time."""
        entity = self.rr.new_entity_path(list(parts))
        if when is not None:
            self.out.set_time(TIMELINE, duration=np.timedelta64(when, "ns"))
        self.out.log(entity, thing, static=when is None)
        self.rows[entity] = self.rows.get(entity, 0) + 1

    def panel(self, panel: Panel) -> None:
        """All of a stream."""
        stream = panel.stream
        parts = tuple(filter(None, stream.name.split("/"))) or (stream.name,)
        if panel.shows == "text":
            for when, text in panel.items:
                self.put(parts, self.rr.TextLog(text), round(when * 1e9))
        elif panel.shows == "frames":
            self.pictures(panel, parts)
        elif stream.kind == "cloud":
            self.clouds(panel, parts)
        elif panel.shows == "sizes":
            self.lines(parts, panel.labels, round_ns(panel.times), panel.values)
        elif len(panel.at):
            self.numbers(panel, parts)

    def since(self, panel: Panel, at: Any) -> NDArray[np.int64]:
        """Nanoseconds since second 0."""
        found: NDArray[np.int64] = panel.stream.times[at] - self.scene.zeros[panel.stream.clock]
        return found

    def lines(self, parts: tuple[str, ...], labels: tuple[str, ...], when: NDArray[np.int64], values: Any) -> None:
        """Rows of numbers, with names."""
        if not len(values):
            return
        entity = self.rr.new_entity_path(list(parts))
        self.out.log(entity, self.rr.SeriesLines(names=[label or parts[-1] for label in labels]), static=True)
        time = self.rr.TimeColumn(TIMELINE, duration=when.astype("timedelta64[ns]"))
        self.out.send_columns(entity, [time], self.rr.Scalars.columns(scalars=values))
        self.rows[entity] = len(values)

    def numbers(self, panel: Panel, parts: tuple[str, ...]) -> None:
        """Samples, the curve beside them, and the path of what is a position in metres."""
        stream, when = panel.stream, self.since(panel, panel.at)
        values, labels = panel.values, panel.labels
        if panel.features <= WHOLE:
            values = np.asarray(stream.read(panel.at)).reshape(len(panel.at), -1).astype(np.float64)
            labels = labels_of(stream.spec.names, np.arange(panel.features), panel.features)
        self.lines((*parts, "samples"), labels, when, values)
        if panel.curve is not None:
            kept = panel.curve.valid
            self.lines((*parts, "resampled"), panel.labels, round_ns(panel.curve.times[kept]), panel.curve.values[kept])
        if stream.shape == (3,) and stream.spec.unit == "m":
            self.put(("space", *parts), self.rr.LineStrips3D([values]))
            time = self.rr.TimeColumn(TIMELINE, duration=when.astype("timedelta64[ns]"))
            entity = self.rr.new_entity_path(["space", *parts, "now"])
            self.out.send_columns(entity, [time], self.rr.Points3D.columns(positions=values))
            self.rows[entity] = len(values)

    def pictures(self, panel: Panel, parts: tuple[str, ...]) -> None:
        """Bytes as they are on disk where the viewer can read them."""
        stream, spec, rr = panel.stream, panel.stream.spec, self.rr
        for first in range(0, len(panel.at), BLOCK):
            at = panel.at[first : first + BLOCK]
            when = self.since(panel, at).tolist()
            if spec.kind == "image" and spec.codec in ("jpeg", "png") and spec.dtype == np.uint8:
                for moment, data in zip(when, stream.read(at, decode=False), strict=True):
                    self.put(parts, rr.EncodedImage(contents=data, media_type=f"image/{spec.codec}"), moment)
                continue
            for moment, picture in zip(when, stream.read(at), strict=True):
                if spec.kind == "depth":
                    thing = rr.DepthImage(
                        np.asarray(picture).reshape(picture.shape[:2]), meter=METRES.get(spec.unit or "")
                    )
                elif picture.shape[-1] not in (1, 3, 4):
                    thing = rr.Tensor(picture)
                else:
                    thing = rr.Image(picture)
                    thing = thing.compress(jpeg_quality=JPEG) if picture.dtype == np.uint8 else thing
                self.put(parts, thing, moment)

    def clouds(self, panel: Panel, parts: tuple[str, ...]) -> None:
        """Finite points, and their voxels as boxes."""
        stream, names = panel.stream, panel.stream.spec.names or ()
        axes = [names.index(axis) for axis in "xyz"] if set("xyz") <= set(names) else [0, 1, 2]
        for at, when in zip(panel.within.tolist(), self.since(panel, panel.within).tolist(), strict=True):
            cloud = np.asarray(stream.read(at))
            if cloud.ndim != 2 or cloud.shape[1] < 3:
                raise fault(f"a cloud of the shape {cloud.shape} has no points", key=stream.name)
            points = np.ascontiguousarray(cloud[:, axes], np.float32)
            points = points[np.isfinite(points).all(axis=1)]
            self.put(("space", *parts), self.rr.Points3D(points), when)
            cells = voxelize(points, voxel_size=self.voxel)
            half = np.full((len(cells.coords), 3), self.voxel / 2, np.float32)
            boxes = self.rr.Boxes3D(centers=(cells.coords + 0.5) * self.voxel, half_sizes=half)
            self.put(("space", *parts, "voxels"), boxes, when)


def round_ns(seconds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Nanoseconds."""
    return np.rint(seconds * 1e9).astype(np.int64)


__all__ = ["TIMELINE", "record"]
