"""A pass over a dataset needs memory for what is read at once, not for the dataset."""

import os
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import robocache.datasets as rd
from robocache.datasets.lerobot import _writing, write_lerobot
from robocache.datasets.rlds import write_rlds

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not say")
PROGRAM, ROOT = Path(__file__).parent / "memory_process.py", Path(__file__).resolve().parents[2]
MAY_GROW = 40 << 20
SHAPE, STEPS, EPISODES = (240, 320, 3), 20, 27
EACH = 240 * 320 * 3
TOTAL = EACH * STEPS * EPISODES
NOISE = np.random.default_rng(0).integers(0, 256, 1 << 21, np.uint8)


def picture(number: int) -> Any:
    """Noise, which no codec makes smaller."""
    start = number * 4099 % (len(NOISE) - EACH)
    return NOISE[start : start + EACH].reshape(SHAPE)


def png(image: Any) -> bytes:
    """A picture as PNG, quickly: as it is."""
    height, width, _ = image.shape
    rows = np.zeros((height, 1 + width * 3), np.uint8)
    rows[:, 1:] = image.reshape(height, -1)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = (b"IHDR", head), (b"IDAT", zlib.compress(rows, 0)), (b"IEND", b"")
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + body


class Pictures(rd.Source):
    """Pictures that are made when they are asked for."""

    def __init__(self, episode: int) -> None:
        self.first = episode * STEPS

    def _numbers(self, at: Any) -> Any:
        return self.first + (np.arange(at.start, at.stop) if isinstance(at, slice) else at)

    def take(self, at: Any) -> Any:
        return np.stack([picture(int(k)) for k in self._numbers(at)])

    def encoded(self, at: Any) -> list[bytes]:
        return [png(picture(int(k))) for k in self._numbers(at)]


def episodes(rate: float | None = None) -> Iterator[rd.Episode]:
    """Pictures and a few numbers."""
    for k in range(EPISODES):
        timing = rd.Timing(STEPS, rate=rate)
        state = rd.Stream(
            rd.StreamSpec("state", "vector", (2,), np.dtype("f4")), timing, rd.Values(np.ones((STEPS, 2), "f4"))
        )
        spec = rd.StreamSpec("image", "image", SHAPE, np.dtype("u1"), codec="png")
        yield rd.Episode(k, {"state": state, "image": rd.Stream(spec, timing, Pictures(k))}, length=STEPS)


def rlds(folder: Path) -> Path:
    return write_rlds(episodes(), folder, name="pictures", shard_bytes=40 << 20)


def lerobot(folder: Path) -> Path:
    pytest.importorskip("pyarrow")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_writing, "encode_png", png)
        return write_lerobot(episodes(10.0), folder / "set", fps=10, video=False, data_mb=40)


def robomimic(folder: Path) -> Path:
    """In one piece, in plain chunks, and in packed chunks of several rows, by turns."""
    h5py = pytest.importorskip("h5py")
    forms = (
        {},
        {"chunks": (1, *SHAPE)},
        {"chunks": (5, 120, *SHAPE[1:]), "compression": "gzip", "compression_opts": 0},
    )
    with h5py.File(folder / "demo.hdf5", "w") as file:
        for k, episode in enumerate(episodes()):
            demo = file.create_group(f"data/demo_{k}")
            demo.create_dataset("actions", data=episode["state"].read())
            demo.create_dataset("obs/image", data=episode["image"].read(), **forms[k % 3])
    return folder / "demo.hdf5"


def bags(folder: Path) -> Path:
    """Pictures and texts by turns, in many chunks."""
    pytest.importorskip("rosbags")
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    types = get_typestore(Stores.ROS2_HUMBLE)
    kinds = types.types
    with Writer(folder / "bag", version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        image, text = "sensor_msgs/msg/Image", "std_msgs/msg/String"
        topics = {name: writer.add_connection(f"/{name[-5:]}", name, typestore=types) for name in (image, text)}
        for k in range(STEPS * EPISODES):
            header = kinds["std_msgs/msg/Header"](kinds["builtin_interfaces/msg/Time"](k + 1, 0), "camera")
            one = kinds[image](header, 240, 320, "rgb8", 0, 960, picture(k).reshape(-1))
            writer.write(topics[image], 2 * k, types.serialize_cdr(one, image))
            writer.write(topics[text], 2 * k + 1, types.serialize_cdr(kinds[text](f"step {k}"), text))
    return folder / "bag"


@pytest.mark.parametrize("make", (rlds, lerobot, robomimic, bags))
def test_a_pass_over_all_of_it_needs_little_memory(tmp_path: Path, make: Callable[[Path], Path]) -> None:
    path = make(tmp_path)

    def grown(way: str) -> tuple[int, int]:
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        command = [sys.executable, PROGRAM, path, way]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert ran.returncode == 0, ran.stderr
        most, size = map(int, ran.stdout.split())
        return most, size

    assert TOTAL > 2.9 * MAY_GROW
    most, size = grown("read")
    assert size >= TOTAL
    assert most < MAY_GROW
    assert grown("keep")[0] > 2 * MAY_GROW  # so this can fail
