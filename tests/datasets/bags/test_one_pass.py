"""A bag is validated in one pass over its messages, however many streams they give."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rosbags.rosbag1 import Writer

import robocache.datasets as rd
from robocache.datasets.bags import _findings, _mcap, _ros1
from robocache.errors import DataError

TYPES = {f"/imu{k}": "sensor_msgs/msg/Imu" for k in range(4)}


@pytest.fixture
def inflated(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Counts how often each chunk is inflated; none is kept but the last."""
    seen: Counter[int] = Counter()
    for module, name in ((_mcap, "Mcap"), (_ros1, "Bag")):
        monkeypatch.setattr(module, "CACHE_BYTES", 0)
        real = getattr(module, name)._inflated

        def count(self: Any, offset: int, real: Any = real) -> Any:
            seen[offset] += 1
            return real(self, offset)

        monkeypatch.setattr(getattr(module, name), "_inflated", count)
    return seen


def interleaved(bags: dict[str, Callable[..., Any]], path: Path, kind: str, count: int) -> Path:
    """Messages of four topics by turns, in many chunks."""
    store, rng = bags["store"](kind), np.random.default_rng(3)
    told = {
        topic: (name, [(k * 1000 + at, bags["message"](store, name, rng)) for k in range(count)])
        for at, (topic, name) in enumerate(TYPES.items())
    }
    made: Path = bags["write"](path, kind, told)
    return made


@pytest.mark.parametrize("window", (7, 4096))
def test_every_chunk_is_inflated_once_for_all_streams(
    bags: Any, tmp_path: Path, inflated: Counter[int], monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(_findings, "MESSAGES", window)
    monkeypatch.setattr(
        Writer, "chunk_threshold", property(lambda self: 1 << 15, lambda self, size: None), raising=False
    )
    made = interleaved(bags, tmp_path / "bag", "ros1-lz4", 200)
    with rd.open_dataset(made) as dataset:
        streams = len(dataset[0])
        assert streams >= 4 * 5
        inflated.clear()
        list(dataset.validate())
        chunks, opening = len(inflated), 3 * len(TYPES)  # the first and last messages say what the streams are
        assert chunks >= 5
        assert chunks <= sum(inflated.values()) <= chunks + opening
        inflated.clear()  # what it was: a pass for each stream
        for stream in dataset[0].values():
            stream.read()
        assert sum(inflated.values()) >= streams * (chunks - 1)


@pytest.mark.parametrize("kind", ("ros1", "mcap-zstd", "sqlite"))
def test_no_more_than_a_window_is_held(bags: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    monkeypatch.setattr(_findings, "BLOCK_BYTES", 4000)
    held = []
    real = _findings._Look.unreadable

    def watch(self: Any, at: Any) -> Any:
        held.append(sum(len(one) for one in self.topic.held.values()))
        return real(self, at)

    monkeypatch.setattr(_findings._Look, "unreadable", watch)
    made = interleaved(bags, tmp_path / "bag", kind, 50)
    with rd.open_dataset(made) as dataset:
        assert [finding for finding in dataset.validate() if finding.level == "error"] == []
    assert len(held) > 20
    assert 0 < max(held) < 4000 + 1000


@pytest.mark.parametrize("window", (1, 5, 4096))
def test_a_message_that_cannot_be_read_is_told_for_its_streams_alone(
    bags: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, window: int
) -> None:
    monkeypatch.setattr(_findings, "MESSAGES", window)
    real = _mcap.Mcap.payload

    def payload(self: Any, channel: Any, place: Any, time: int) -> Any:
        if channel.topic == "/imu2" and time == 17 * 1000 + 2:
            raise DataError("this one is gone")
        return real(self, channel, place, time)

    monkeypatch.setattr(_mcap.Mcap, "payload", payload)
    made = interleaved(bags, tmp_path / "bag", "mcap", 40)
    with rd.open_dataset(made) as dataset:
        said = [finding for finding in dataset.validate() if finding.level == "error"]
        names = {name for name in dataset[0] if name.startswith("/imu2")}
    assert {finding.key for finding in said} == names
    assert all("this one is gone" in finding.message for finding in said)
    assert len(said) == 2 * len(names)  # the sample, and the stamps
