"""A Rerun recording holds every sample of the span; read back by Rerun's own reader."""

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache.errors import ArgumentError
from robocache.view import record, scene
from tests.datasets import toy
from tests.view import robots

pytest.importorskip("rerun")


def read(path: Path) -> tuple[dict[str, dict[str, list[Any]]], dict[str, list[int]]]:
    """Columns by entity and component, and nanoseconds by entity."""
    from rerun.chunk import RrdReader

    columns: Any = defaultdict(lambda: defaultdict(list))
    times: Any = defaultdict(list)
    for chunk in RrdReader(path).stream():
        batch = chunk.to_record_batch()
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            if name == "time":
                times[chunk.entity_path] += column.cast("int64").to_pylist()
            elif ":" in name:
                columns[chunk.entity_path][name] += column.to_pylist()
    return columns, times


def since(stream: Any, zeros: dict[str, int]) -> list[int]:
    return [int(t) - zeros[stream.clock] for t in stream.times]


def test_everything_is_there(tmp_path: Path) -> None:
    shown = scene(robots.dataset(robots.robot()), rate=30)
    rows = record(shown, tmp_path / "a.rrd", voxel=0.5)
    columns, times = read(tmp_path / "a.rrd")
    episode = shown.episode
    assert rows["/joints/samples"] == 270
    assert columns["/joints/samples"]["Scalars:scalars"] == episode["joints"].read().tolist(), "all 8, not only 6"
    assert times["/joints/samples"] == since(episode["joints"], shown.zeros)
    curve = next(panel.curve for panel in shown.panels if panel.stream.name == "joints")
    assert columns["/joints/resampled"]["Scalars:scalars"] == curve.values[curve.valid].tolist()
    assert times["/camera/front"] == since(episode["camera/front"], shown.zeros)
    assert columns["/says"]["TextLog:text"] == [["go"], ["stop"]]
    assert columns["/language"]["TextDocument:text"] == [["open the drawer"]]
    np.testing.assert_allclose(
        columns["/space/position"]["LineStrips3D:strips"][0][0], episode["position"].read(), 1e-6
    )
    assert len(times["/space/position/now"]) == 270
    clouds = episode["lidar"].read()
    for cloud, found in zip(clouds, columns["/space/lidar"]["Points3D:positions"], strict=True):
        assert np.array_equal(np.array(found, np.float32), cloud)
    for cloud, found in zip(clouds, columns["/space/lidar/voxels"]["Boxes3D:centers"], strict=True):
        cells = {tuple(cell) for cell in np.floor(cloud / np.float32(0.5)).astype(int).tolist()}
        assert {tuple(np.floor(np.array(box) / 0.5).astype(int).tolist()) for box in found} == cells
        assert len(found) == len(cells)


def test_pictures_keep_their_bytes_and_depth_its_numbers(tmp_path: Path) -> None:
    depth = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    jpeg = toy.stream("cam", np.zeros((2, 2, 2, 3), np.uint8), rate=5, kind="image", codec="jpeg")

    class Files(toy.Values):
        def encoded(self, at: Any) -> list[bytes]:
            return [b"\xff\xd8\xff" + bytes([int(k)]) for k in at]

    jpeg.source = Files(np.zeros((2, 2, 2, 3), np.uint8))
    shown = scene(robots.dataset(toy.episode(0, toy.stream("deep", depth, rate=5, kind="depth", unit="mm"), jpeg)))
    record(shown, tmp_path / "a.rrd")
    columns, _ = read(tmp_path / "a.rrd")
    held = columns["/deep"]["DepthImage:buffer"]
    assert [bytes(one[0]) for one in held] == [one.tobytes() for one in depth]
    assert columns["/deep"]["DepthImage:meter"] == [[1000.0]] * 2
    assert [bytes(one[0]) for one in columns["/cam"]["EncodedImage:blob"]] == [b"\xff\xd8\xff\x00", b"\xff\xd8\xff\x01"]


def test_a_part_and_a_cloud_that_is_none(tmp_path: Path) -> None:
    flat = np.empty(6, object)
    flat[:] = [np.zeros((3, 2), np.float32)] * 6
    bad = toy.stream("flat", flat, robots.clouds_at(), kind="cloud", shape=(None, 2))
    state = toy.stream("state", np.arange(6.0), robots.clouds_at())
    shown = scene(robots.dataset(toy.episode("e", bad, state)), start=0.9, stop=1.1)
    record(shown, tmp_path / "a.rrd")
    columns, _ = read(tmp_path / "a.rrd")
    assert columns["/state/samples"]["Scalars:scalars"] == [[1.0], [2.0], [3.0]]
    assert shown.problems == ["flat: a cloud of the shape (3, 2) has no points"]


@pytest.mark.parametrize("name, voxel", [("a.png", 1.0), ("a.rrd", 0.0), ("a.rrd", float("nan")), ("no/a.rrd", 1.0)])
def test_calls_that_cannot_be(tmp_path: Path, name: str, voxel: float) -> None:
    shown = scene(robots.dataset(toy.episode(0, toy.stream("a", np.zeros(3), rate=5))))
    with pytest.raises(ArgumentError):
        record(shown, tmp_path / name, voxel=voxel)
