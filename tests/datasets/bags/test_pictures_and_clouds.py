"""Pictures and point clouds in messages: padding, byte order, encodings, and what does not fit."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from robocache.datasets import open_dataset
from robocache.errors import DataError

ENCODINGS = {"rgb8": (3, "u1"), "bgr8": (3, "u1"), "mono8": (1, "u1"), "mono16": (1, "u2"), "16UC1": (0, "u2"),
             "32FC1": (0, "f4")}  # fmt: skip
CODES = {"i1": 1, "u1": 2, "i2": 3, "u2": 4, "i4": 5, "u4": 6, "f4": 7, "f8": 8}


def image(bags: Any, kind: str, pixels: np.ndarray, code: str, big: bool, pad: int = 0, **given: Any) -> Any:
    stored = np.ascontiguousarray(pixels[..., ::-1] if code == "bgr8" else pixels)
    rows = stored.astype(stored.dtype.newbyteorder(">" if big else "<")).view("u1").reshape(len(pixels), -1)
    rows = np.concatenate([rows, np.full((len(rows), pad), 0xAB, np.uint8)], 1)
    fields = {"height": pixels.shape[0], "width": pixels.shape[1], "encoding": code, "is_bigendian": int(big),
              "step": rows.shape[1], "data": rows.reshape(-1)} | given  # fmt: skip
    return bags["message"](bags["store"](kind), "sensor_msgs/msg/Image", np.random.default_rng(0), **fields)


def opened(bags: Any, path: Any, kind: str, type: str, messages: list[Any]) -> Any:
    rows = [(1000 + k, message) for k, message in enumerate(messages)]
    return open_dataset(bags["write"](path, kind, {"/c": (f"sensor_msgs/msg/{type}", rows)}))


@pytest.mark.parametrize("kind", ["ros1", "mcap-zstd", "sqlite"])
@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("big", [False, True])
def test_pixels(bags, tmp_path, kind, encoding, big):
    channels, code = ENCODINGS[encoding]
    rng = np.random.default_rng(7)
    shape = (5, 4, channels) if channels else (5, 4)
    frames = [rng.integers(0, 1 << 8 * int(code[1]), shape).astype(f"u{code[1]}").view(code) for _ in range(3)]
    made = [image(bags, kind, frame, encoding, big, pad=k) for k, frame in enumerate(frames)]
    with opened(bags, tmp_path / "bag", kind, "Image", made) as dataset:
        stream = dataset[0]["/c"]
        assert (stream.kind, stream.shape, stream.dtype) == ("image" if channels else "depth", shape, np.dtype(code))
        assert stream.read().tobytes() == np.stack(frames).tobytes()
        assert stream.read([2, 0]).tobytes() == np.stack([frames[2], frames[0]]).tobytes()


@pytest.mark.parametrize(
    "given", [{"encoding": "yuv422"}, {"step": 3}, {"height": 9}, {"width": 1 << 31}, {"data": np.zeros(3, np.uint8)}]
)
def test_a_picture_that_does_not_fit(bags, tmp_path, given):
    good = np.zeros((2, 3, 3), np.uint8)
    made = [image(bags, "mcap", good, "rgb8", False), image(bags, "mcap", good, "rgb8", False, **given)]
    with opened(bags, tmp_path / "bag", "mcap", "Image", made) as dataset:
        stream = dataset[0]["/c"]
        assert stream.read(0).tolist() == good.tolist()
        with pytest.raises(DataError, match="message 1") as raised:
            stream.read(1)
        assert (raised.value.key, raised.value.episode) == ("/c", "bag")
        assert any(finding.level == "error" and finding.key == "/c" for finding in dataset.validate())


def test_an_encoding_that_nobody_knows_is_told(bags, tmp_path):
    made = [image(bags, "ros1", np.zeros((2, 3, 3), np.uint8), "rgb8", False, encoding="bayer_rggb8")]
    with opened(bags, tmp_path / "bag", "ros1", "Image", made) as dataset:
        assert list(dataset[0]) == []
        assert "bayer_rggb8" in dataset[0].meta["topics"]["/c"]["undecodable"]
        assert any("bayer_rggb8" in finding.message for finding in dataset.validate())


@pytest.mark.parametrize("codec", ["png", "jpeg"])
@pytest.mark.parametrize("kind", ["mcap", "ros1"])
def test_encoded_pictures(bags, tmp_path, kind, codec):
    pytest.importorskip("simplejpeg")
    rng, made, files = np.random.default_rng(3), [], []
    frames = [rng.integers(0, 255, (8, 6, 3)).astype(np.uint8) for _ in range(3)]
    for frame in frames:
        file = io.BytesIO()
        Image.fromarray(frame).save(file, codec)
        files.append(file.getvalue())
        data = np.frombuffer(files[-1], np.uint8)
        name = "sensor_msgs/msg/CompressedImage"
        made.append(bags["message"](bags["store"](kind), name, rng, data=data, format=codec))
    with opened(bags, tmp_path / "bag", kind, "CompressedImage", made) as dataset:
        stream = dataset[0]["/c"]
        assert stream.read(decode=False) == files
        assert (stream.codec, stream.shape) == (codec, (8, 6, 3))
        if codec == "png":
            assert stream.read().tobytes() == np.stack(frames).tobytes()
        else:
            import simplejpeg

            assert stream.read(1).tolist() == simplejpeg.decode_jpeg(files[1], fastdct=True).tolist()
        for at, place in enumerate(stream.ranges()):
            with open(place.file, "rb") as file:
                file.seek(place.offset)
                assert file.read(place.length) == files[at]


def cloud(bags: Any, kind: str, points: np.ndarray, big: bool, gap: int, rows: int = 1, **given: Any) -> Any:
    """Points of a structured array, each followed by a gap, each row by another."""
    store = bags["store"](kind)
    order = points.astype(points.dtype.newbyteorder(">" if big else "<"))
    raw = np.frombuffer(order.tobytes(), np.uint8).reshape(rows, len(points) // rows, points.dtype.itemsize)
    raw = np.concatenate([raw, np.full((*raw.shape[:2], gap), 0xCD, np.uint8)], 2)
    lines = np.concatenate([raw.reshape(rows, -1), np.full((rows, gap), 0xEF, np.uint8)], 1)
    point = store.types["sensor_msgs/msg/PointField"]
    fields = [point(name=name, offset=at, datatype=CODES[type.str[1:]], count=1)
              for name, (type, at) in points.dtype.fields.items()]  # fmt: skip
    told = {"height": rows, "width": raw.shape[1], "fields": fields, "is_bigendian": big, "point_step": raw.shape[2],
            "row_step": lines.shape[1], "data": lines.reshape(-1), "is_dense": True} | given  # fmt: skip
    return bags["message"](store, "sensor_msgs/msg/PointCloud2", np.random.default_rng(0), **told)


@pytest.mark.parametrize("kind", ["ros1-lz4", "mcap", "sqlite-message"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("fields", [
    [("x", "f4"), ("y", "f4"), ("z", "f4"), ("intensity", "f4")],
    [("ring", "u2"), ("z", "f4"), ("y", "f4"), ("x", "f4")],
    [("x", "f8"), ("y", "f8"), ("z", "f8"), ("intensity", "u2"), ("t", "u4")],
])  # fmt: skip
def test_points(bags, tmp_path, kind, big, fields):
    rng, made, want = np.random.default_rng(5), [], []
    for count in (12, 0, 6):
        points = np.zeros(count, fields)
        for name, code in fields:
            points[name] = rng.integers(0, 1000, count) if code[0] == "u" else rng.normal(size=count)
        names = [name for name in ("x", "y", "z", "intensity") if name in points.dtype.names]
        want.append(np.stack([points[name].astype(np.float32) for name in names], 1))
        made.append(cloud(bags, kind, points, big, 3, 2 if count else 1))
    with opened(bags, tmp_path / "bag", kind, "PointCloud2", made) as dataset:
        stream = dataset[0]["/c"]
        assert (stream.kind, stream.names, stream.shape) == ("cloud", tuple(names), (None, len(names)))
        for found, expected in zip(stream.read(), want):
            assert found.dtype == np.float32
            assert found.tobytes() == expected.tobytes()
            assert found.shape == expected.shape


@pytest.mark.parametrize("given", [
    {"width": 7}, {"width": 1 << 20, "height": 1 << 12}, {"point_step": 0}, {"row_step": 5, "height": 2},
    {"point_step": 11}, {"data": np.zeros(40, np.uint8)},
])  # fmt: skip
def test_a_cloud_that_does_not_fit(bags, tmp_path, given):
    points = np.ones(6, [("x", "f4"), ("y", "f4"), ("z", "f4")])
    made = [cloud(bags, "mcap", points, False, 0), cloud(bags, "mcap", points, False, 0, **given)]
    with opened(bags, tmp_path / "bag", "mcap", "PointCloud2", made) as dataset:
        stream = dataset[0]["/c"]
        assert stream.read(0).tolist() == [[1, 1, 1]] * 6
        with pytest.raises(DataError, match="message 1"):
            stream.read()
