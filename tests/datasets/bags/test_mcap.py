"""MCAP beyond ROS: JSON, other encodings, checksums, files without an index; written by the mcap package."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("mcap")

from mcap.writer import CompressionType, IndexType, Writer

from robocache.datasets import open_dataset
from robocache.errors import DataError

SCHEMA = {"type": "object", "properties": {
    "n": {"type": "integer"}, "p": {"type": "object", "properties": {"x": {"type": "number"}}},
    "v": {"type": "array", "items": {"type": "integer"}}, "s": {"type": "string"},
}}  # fmt: skip
INT32 = "int32 data\n"


def write(
    path: Path, count: int = 9, *, compression: Any = CompressionType.ZSTD, chunk: int = 120, **options: Any
) -> Path:
    with open(path, "wb") as file:
        writer = Writer(file, chunk_size=chunk, compression=compression, **options)
        writer.start()
        schema = writer.register_schema("State", "jsonschema", json.dumps(SCHEMA).encode())
        ros = writer.register_schema("std_msgs/msg/Int32", "ros2msg", INT32.encode())
        proto = writer.register_schema("Foo", "protobuf", b"\xff\x00")
        channels = [
            writer.register_channel("/json", "json", schema),
            writer.register_channel("/int", "cdr", ros),
            writer.register_channel("/proto", "protobuf", proto),
        ]
        for k in range(count):
            said = {"n": 2**60 + k, "p": {"x": k / 3}, "v": [k, -k], "s": f"t{k}", "d": k}
            payloads = json.dumps(said).encode(), b"\0\1\0\0" + struct.pack("<i", -k), b"\x08\x01"
            for channel, data in zip(channels, payloads):
                writer.add_message(channel, 1000 + 10 * k, data, 0)
        writer.finish()
    return path


VARIANTS = {
    "zstd": {}, "lz4": {"compression": CompressionType.LZ4}, "plain": {"compression": CompressionType.NONE},
    "unchunked": {"use_chunking": False}, "no index": {"index_types": IndexType.NONE},
    "no summary": {"use_summary_offsets": False, "use_statistics": False, "repeat_channels": False,
                   "repeat_schemas": False, "index_types": IndexType.NONE},
    "no statistics": {"use_statistics": False}, "no repeats": {"repeat_channels": False, "repeat_schemas": False},
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS)
def test_values(tmp_path, variant):
    with open_dataset(write(tmp_path / "a.mcap", **VARIANTS[variant])) as dataset:
        episode = dataset[0]
        assert set(episode) == {"/json/n", "/json/p.x", "/json/v", "/json/d", "/int/data"}
        assert episode["/json/n"].read().tolist() == [2**60 + k for k in range(9)]
        assert episode["/json/p.x"].read().tolist() == [k / 3 for k in range(9)]
        assert episode["/json/v"].read().tolist() == [[k, -k] for k in range(9)]
        assert (episode["/json/v"].dtype, episode["/json/d"].dtype) == (np.int64, np.float64)
        assert episode["/int/data"].read([8, 2]).tolist() == [-8, -2]
        assert episode["/int/data"].times.tolist() == [1000 + 10 * k for k in range(9)]
        told = episode.meta["topics"]
        assert told["/json"]["omitted"] == ["s"]
        assert "protobuf" in told["/proto"]["undecodable"]
        said = [(finding.level, finding.key) for finding in dataset.validate()]
        assert said == [("warning", "/json"), ("error", "/proto")]


def everything(path: Path, verify: bool = True) -> dict[str, Any]:
    with open_dataset(path, verify=verify) as dataset:
        return {name: (stream.read().tolist(), stream.times.tolist()) for name, stream in dataset[0].items()}


@pytest.mark.parametrize("variant", ["zstd", "plain"])
def test_no_flipped_byte_gives_another_value(tmp_path, variant):
    path = write(tmp_path / "a.mcap", 3, **VARIANTS[variant])
    raw, good = path.read_bytes(), everything(path)
    rng, refused = np.random.default_rng(1), 0
    for at in rng.permutation(len(raw))[:150]:
        hurt = bytearray(raw)
        hurt[at] ^= 1 << int(rng.integers(8))
        path.write_bytes(hurt)
        try:
            found = everything(path)
        except DataError:
            refused += 1
            continue
        # A topic may be lost where its first message is, and then its reason is told; a value is never another.
        assert found == {name: good[name] for name in found}
    assert refused > 75


def test_a_wrong_checksum_is_seen_unless_told_not_to_look(tmp_path):
    path = write(tmp_path / "a.mcap", compression=CompressionType.NONE, enable_data_crcs=True)
    raw = path.read_bytes()
    at = raw.index(struct.pack("<i", -1)[1:] * 1, raw.index(b"\0\1\0\0")) + 1
    path.write_bytes(raw[:at] + b"\x7e" + raw[at + 1 :])
    with open_dataset(path) as dataset:
        said = [finding.message for finding in dataset.validate()]
    assert any("checksum of its data" in message for message in said)
    assert any("its checksum is wrong" in message for message in said)
    assert everything(path, verify=False).keys() >= {"/int/data"}


def chunk_claiming(path: Path, size: int) -> None:
    """Let every chunk claim another size when inflated."""
    raw, at = bytearray(path.read_bytes()), 8
    while at < len(raw) - 8:
        op, length = raw[at], int.from_bytes(raw[at + 1 : at + 9], "little")
        if op == 6:
            raw[at + 25 : at + 33] = struct.pack("<Q", size)
        at += 9 + length
    path.write_bytes(raw)


@pytest.mark.parametrize("size", [3, 1 << 20, 1 << 40, (1 << 64) - 1])
def test_chunks_that_claim_another_size(tmp_path, size):
    path = write(tmp_path / "a.mcap")
    chunk_claiming(path, size)
    with open_dataset(path) as dataset:
        assert "inflated" in str(dataset[0].meta) or "came out" in str(dataset[0].meta)
        assert not dict(dataset[0])


def test_a_chunk_over_the_limit_is_not_inflated(tmp_path):
    path = write(tmp_path / "a.mcap", 400, chunk=1 << 20)
    assert len(everything(path)["/json/n"][0]) == 400
    with open_dataset(path, max_chunk_bytes=1000) as dataset:
        assert "over the limit of 1000" in dataset[0].meta["topics"]["/json"]["undecodable"]


@pytest.mark.parametrize("said", ["no json", '{"n": 1}', '{"n": "x", "p": {"x": 1}}', '{"n": 1.5}', "[" * 9999])
def test_a_message_of_another_form(tmp_path, said):
    with open(tmp_path / "a.mcap", "wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema("State", "jsonschema", json.dumps(SCHEMA).encode())
        channel = writer.register_channel("/json", "json", schema)
        for k, text in enumerate(('{"n": 1, "p": {"x": 2}}', said)):
            writer.add_message(channel, k, text.encode(), 0)
        writer.finish()
    with open_dataset(tmp_path / "a.mcap") as dataset:
        stream = dataset[0]["/json/p.x" if said == '{"n": 1}' else "/json/n"]
        assert len(stream.read(slice(0, 1))) == 1
        with pytest.raises(DataError, match="message 1"):
            stream.read()


def test_an_index_that_disagrees_with_its_messages(tmp_path):
    path = write(tmp_path / "a.mcap", compression=CompressionType.NONE, enable_crcs=False)
    raw = path.read_bytes()
    hurt = raw.replace(struct.pack("<HIQ", 2, 16, 1000), struct.pack("<HIQ", 2, 16, 1001))
    assert hurt != raw
    path.write_bytes(hurt)
    with open_dataset(path) as dataset:
        assert "disagree" in dataset[0].meta["topics"]["/int"]["undecodable"]


def test_the_checksum_of_the_summary(tmp_path):
    path = write(tmp_path / "a.mcap")
    raw = bytearray(path.read_bytes())
    crc = int.from_bytes(raw[-12:-8], "little")
    assert zlib.crc32(raw[int.from_bytes(raw[-28:-20], "little") : -12]) == crc
    raw[-12] ^= 1
    path.write_bytes(raw)
    with pytest.raises(DataError, match="checksum of its summary"):
        open_dataset(path)
