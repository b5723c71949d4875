"""Shards and indices that are damaged or crafted: a DataError that says where, never a crash or another value."""

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache import store
from robocache.datasets import open_dataset
from robocache.errors import DataError
from robocache.store._index import FILE, sealed, unsealed
from robocache.store._layout import PREFIX, VERSION, canonical, framed
from tests.datasets import made, toy
from tests.datasets.damage import everything, survey

FIRST = "shard-00000.rcs"


def write_good(folder: Path) -> None:
    """Shards with numbers, pictures, text, stamps and validity, and a file of failures."""
    source = folder.parent / "source"
    source.mkdir()
    made.bridge(source / "set", lengths=(5, 4, 6))
    store.convert(source / "set", folder / "set", rate=7, shard=20_000)


def read(folder: Path) -> Any:
    """All of it, as a dataset, and by rows."""
    found = everything(folder / "set", format="store")
    opened = store.open_store(folder / "set", "full")
    rows = np.arange(opened.offsets[-1])
    for name, spec in opened.streams.items():
        taken = opened.gather(name, rows) if spec.codec is None else [*map(bytes, opened.encoded(name, rows))]
        found[f"rows of {name}"] = taken
    return found


def read_unverified(folder: Path) -> Any:
    """Only headers are believed: values may differ, but nothing else may happen."""
    opened = store.open_store(folder / "set")
    rows = np.arange(opened.offsets[-1])
    found = {}
    for name, spec in opened.streams.items():
        try:
            found[name] = opened.gather(name, rows) if spec.codec is None else [*map(len, opened.encoded(name, rows))]
        except DataError as error:
            found[name] = error
    return found


def test_damage(tmp_path: Path) -> None:
    tally = survey(
        write_good, read, tmp_path, attempts=240, exact=("*.rcs", "*store.json"), only=("*.rcs", "*store.json")
    )
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.refused > 200
    assert not tally.other


def test_damage_without_checksums(tmp_path: Path) -> None:
    tally = survey(write_good, read_unverified, tmp_path, attempts=150, seed=1, only=("*.rcs",), exact=())
    assert not tally.failures, "\n".join(tally.failures)
    assert tally.refused
    assert tally.other


@pytest.fixture
def folder(source: Any, tmp_path: Path) -> Path:
    pytest.importorskip("PIL")
    rng = np.random.default_rng(0)
    episodes = [
        toy.episode(
            f"e{k}", toy.stream("a", rng.normal(size=(n, 3)), rate=10),
            toy.stream("eye", rng.integers(0, 256, (n, 4, 4, 3), np.uint8), rate=10, kind="image"), length=n,
        ) for k, n in enumerate((3, 4))
    ]  # fmt: skip
    store.convert(source(episodes), tmp_path / "out", images="png")
    return tmp_path / "out"


def test_every_byte_has_a_checksum_that_says_where(folder: Path) -> None:
    path = folder / FIRST
    good = path.read_bytes()
    head = store.open_store(folder).shards[0].head
    for (name, part), blob in head.blobs.items():
        for at, episode in enumerate(head.episodes):
            data = bytearray(good)
            data[head.start + blob.offset + blob.cuts[at]] ^= 0x10
            path.write_bytes(data)
            with pytest.raises(DataError, match=f"checksum of its {part} differs") as caught:
                store.open_store(folder, "full")
            assert (caught.value.file, caught.value.episode) == (str(path), episode.id)
            assert caught.value.key == (name or None)
            with open_dataset(folder) as dataset:
                (finding,) = dataset.validate()
                assert (finding.episode, finding.key) == (episode.id, name or None)
                if name:
                    with pytest.raises(DataError, match="checksum"):
                        dataset[at][name].read()
                    assert len(dataset[1 - at][name].read()) in (3, 4)


def test_cut_short(folder: Path) -> None:
    path = folder / FIRST
    good = path.read_bytes()
    for size in (0, 1, 19, 20, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:size])
        with pytest.raises(DataError) as caught:
            store.open_store(folder)
        assert caught.value.file == str(path)
    path.write_bytes(good + b"\0")
    with pytest.raises(DataError, match="blobs end"):
        store.open_store(folder)
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        store.open_store(folder)


def crafted(folder: Path, change: Any, blobs: bool = True) -> None:
    """A shard whose header says something else, and has the right checksum."""
    path = folder / FIRST
    data = path.read_bytes()
    length = PREFIX.unpack(data[: PREFIX.size])[2]
    header = json.loads(data[PREFIX.size : PREFIX.size + length])
    start = -(-(PREFIX.size + length) // 64) * 64
    path.write_bytes(framed(change(header) or header) + (data[start:] if blobs else b""))


def put(*keys: Any) -> Any:
    """A change of one place of the header: the last key is its value."""

    def change(header: Any) -> None:
        here = header
        for key in keys[:-2]:
            here = here[key]
        here[keys[-2]] = keys[-1]

    return change


HUGE = 1 << 43
CHANGES = {
    "eight TiB": put("streams", "a", "shape", [HUGE]),
    "a product that overflows": put("streams", "a", "shape", [2**39] * 9),
    "negative shape": put("streams", "a", "shape", [-3]), "shape of text": put("streams", "a", "shape", ["3"]),
    "an unknown type": put("streams", "a", "dtype", "object"), "another type": put("streams", "a", "dtype", "int16"),
    "another codec": put("streams", "a", "codec", "pickle"), "negative offset": put("blobs", 0, "offset", -64),
    "odd offset": put("blobs", 1, "offset", 65), "overlapping blobs": put("blobs", 1, "offset", 0),
    "offset past the end": put("blobs", 1, "offset", 1 << 62), "size past the end": put("blobs", 0, "size", HUGE),
    "a size that is no integer": put("blobs", 0, "size", 1e300), "a size that is a bool": put("blobs", 0, "size", True),
    "cuts that go back": put("blobs", 0, "cuts", [0, 100, 72]),
    "cuts too long": put("blobs", 0, "cuts", [0, 72, 1 << 70]),
    "too few cuts": put("blobs", 0, "cuts", [0]), "too few sums": put("blobs", 0, "sums", [0]),
    "a blob of no stream": put("blobs", 0, "stream", "b"), "a blob of no kind": put("blobs", 0, "part", "code"),
    "a blob that is there twice": put("blobs", 1, "part", "values"), "steps": put("episodes", 0, "steps", HUGE),
    "negative steps": put("episodes", 0, "steps", -3), "fewer steps": put("episodes", 0, "steps", 2),
    "an id that is a list": put("episodes", 0, "id", ["e0"]),
    "a start beyond time": put("episodes", 0, "start", 1 << 70),
    "instructions": put("episodes", 0, "language", [[0, 1, "x"]]), "meta": put("episodes", 0, "meta", [1]),
    "gaps of nothing": put("gaps", ["b"]), "gaps without validity": put("gaps", ["a"]),
    "a way of decoding": put("dct", {"eye": "slow"}), "no episodes": put("episodes", []),
    "a list": lambda header: [header],
    "no blobs": put("blobs", []), "deep": put("plan", json.loads("[" * 400 + "]" * 400)),
    "another name": put("episodes", 0, "id", "e7"), "another plan": put("plan", "0" * 64),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_crafted_headers(folder: Path, change: str) -> None:
    crafted(folder, CHANGES[change])
    with pytest.raises(DataError) as caught:
        store.open_store(folder)
    assert str(folder) in str(caught.value.file)


def test_crafted_headers_without_blobs(folder: Path) -> None:
    crafted(folder, lambda header: None, blobs=False)
    with pytest.raises(DataError, match="is said to be at"):
        store.open_store(folder)


def test_prefixes(folder: Path) -> None:
    path = folder / FIRST
    good = path.read_bytes()
    for front, said in (
        (PREFIX.pack(b"\x93NUMPY\1\0", VERSION, 10, 0), "begins otherwise"),
        (PREFIX.pack(good[:8], VERSION + 1, 10, 0), "newer version"),
        (PREFIX.pack(good[:8], VERSION, 0xFFFFFFFF, 0), "cut off"),
        (PREFIX.pack(good[:8], VERSION, 1 << 26, 0), "cut off"),
        (PREFIX.pack(good[:8], VERSION, 100, 0), "checksum of its header"),
    ):
        path.write_bytes(front + good[PREFIX.size :])
        with pytest.raises(DataError, match=said):
            store.open_store(folder)
    for text in (b"{", b"\xff\xfe", b"[" * 100_000):
        front = PREFIX.pack(good[:8], VERSION, len(text), 0)[:-4]
        path.write_bytes(front + struct.pack("<I", zlib.crc32(text, zlib.crc32(front))) + text + bytes(64))
        with pytest.raises(DataError, match="header that cannot be"):
            store.open_store(folder)


def test_pictures_that_lie_elsewhere(folder: Path) -> None:
    path = folder / FIRST
    good = path.read_bytes()
    head = store.open_store(folder).shards[0].head
    ends, index = (head.start + head.blobs["eye", part].offset for part in ("ends", "index"))
    for at, form, value in (
        (ends, "<q", -1), (ends, "<q", 1 << 62), (ends + 8, "<q", 0), (index, "<i", -1), (index, "<i", 2**31 - 1),
        (index, "<i", 7),
    ):  # fmt: skip
        data = bytearray(good)
        struct.pack_into(form, data, at, value)
        path.write_bytes(data)
        with pytest.raises(DataError, match="lies outside") as caught:
            store.open_store(folder).encoded("eye", np.arange(7))
        assert (caught.value.episode, caught.value.key) == ("e0", "eye")


@pytest.mark.parametrize(
    "change",
    [
        lambda t: t["shards"][0].update(file="../out/" + FIRST), lambda t: t["shards"][0].update(file="/etc/hostname"),
        lambda t: t["shards"][0].update(file="a\0b"), lambda t: t["shards"][0].update(file=[FIRST]),
        lambda t: t["shards"][0].update(bytes=1), lambda t: t["shards"][0].update(steps=-1),
        lambda t: t["shards"][0].update(steps=1 << 80), lambda t: t["shards"].append(dict(t["shards"][0])),
        lambda t: t["shards"].clear(), lambda t: t.update(lengths=[7, 0]),
        lambda t: t.update(lengths=[1 << 61, 1 << 61]),
        lambda t: t.update(lengths=[3.0, 4]), lambda t: t.update(ids=["e0"]), lambda t: t.update(ids=["e0", "e9"]),
        lambda t: t.update(splits={"train": [2]}), lambda t: t.update(splits={"train": [-1]}),
        lambda t: t.update(splits=[]), lambda t: t.update(rate="fast"), lambda t: t.update(rate=-1.0),
        lambda t: t.update(action={"speed": 1}), lambda t: t.update(streams={}), lambda t: t.update(fingerprint="0"),
        lambda t: t["streams"]["a"].update(dtype="float32"), lambda t: t["streams"]["a"].update(shape=[1 << 60]),
        lambda t: t.pop("ids"), lambda t: t.update(plan="0"), lambda t: t.update(shards=None),
    ],
)  # fmt: skip
def test_hostile_indices(folder: Path, change: Any) -> None:
    path = folder / FILE
    told = unsealed(path)
    change(told)
    path.write_bytes(sealed(told))
    with pytest.raises(DataError) as caught:
        store.open_store(folder)
    assert str(folder) in str(caught.value.file)


def test_a_link_that_leads_out(folder: Path, tmp_path: Path) -> None:
    (folder / FIRST).rename(tmp_path / "elsewhere.rcs")
    (folder / FIRST).symlink_to(tmp_path / "elsewhere.rcs")
    with pytest.raises(DataError, match="leads out"):
        store.open_store(folder)


def test_indices_of_another_kind(folder: Path) -> None:
    path = folder / FILE
    told = unsealed(path)
    text = canonical(told)
    for data, said in (
        (b"", "no JSON"), (b"[]", "list"), (b'{"format":"zarr"}', "does not say so"),
        (sealed(told).replace(b'"version":1', b'"version":2'), "newer version"),
        (sealed(told).replace(b'"version":1', b'"version":"1"'), "newer version"),
        (sealed(told).replace(b'"e0"', b'"e1"'), "checksum"), (b"[" * 10**6, "no JSON"),
        (b'{"format":"robocache store","version":1,"store":' + text + b"}", "checksum"),
    ):  # fmt: skip
        path.write_bytes(data)
        with pytest.raises(DataError, match=said) as caught:
            store.open_store(folder)
        assert caught.value.file == str(path)
    path.unlink()
    with pytest.raises(DataError, match="has not ended"):
        store.open_store(folder)


def test_a_plan_that_is_none(folder: Path) -> None:
    for text, said in (("{}", "version None"), ('{"version": 9}', "version 9"), ('{"version": 1}', "is no plan")):
        (folder / "plan.json").write_text(text)
        with pytest.raises(DataError, match=said):
            store.Plan.read(folder)
