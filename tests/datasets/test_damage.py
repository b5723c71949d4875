"""The harness that damages files sees every kind of fault, and nothing where there is none."""

import os
import random
import signal
import time
import zlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache.datasets import Dataset, Episode, Finding, Reader, register
from robocache.datasets._faults import fault
from robocache.datasets.model import Episodes
from robocache.errors import DataError
from tests.datasets.damage import KINDS, everything, survey
from tests.datasets.damage_process import damage, digest


def write(folder: Path) -> None:
    """Two files of numbers, each with a checksum behind, and a third without."""
    for name in ("a/x.bin", "y.bin"):
        data = np.arange(50, dtype=np.int32).tobytes()
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data + zlib.crc32(data).to_bytes(4, "little"))
    (folder / "loose.txt").write_text("12 13 14")


def one(path: Path) -> np.ndarray:
    """The good reader of one file."""
    if not path.exists() or path.stat().st_size != 204:
        raise fault("is not 204 bytes", file=path)
    data = path.read_bytes()
    if zlib.crc32(data[:-4]) != int.from_bytes(data[-4:], "little"):
        raise fault("checksum", file=path)
    return np.frombuffer(data[:-4], np.int32)


def read(folder: Path) -> dict[str, object]:
    """Reads all, one place refused at a time."""
    loose = folder / "loose.txt"
    places: dict[str, object] = {"loose": loose.read_bytes() if loose.exists() else fault("missing", file=loose)}
    for name in ("a/x.bin", "y.bin"):
        try:
            places[name] = one(folder / name)
        except ValueError as error:
            places[name] = error
    return places


def broken(folder: Path) -> bool:
    """Whether the second file is damaged so that its checksum does not hold."""
    try:
        one(folder / "y.bin")
    except ValueError:
        return True
    return False


def unchecked(folder: Path) -> bytes:
    return (folder / "y.bin").read_bytes() if (folder / "y.bin").exists() else b""


def leaves_out(folder: Path) -> dict[str, object]:
    return {place: value for place, value in read(folder).items() if not isinstance(value, ValueError)}


def raises(folder: Path) -> bytes:
    return b"" if not broken(folder) else {}["key"]  # type: ignore[return-value]


def nameless(folder: Path) -> bytes:
    if broken(folder):
        raise fault("somewhere")
    return b""


def dies(folder: Path) -> bytes:
    if broken(folder):
        os.kill(os.getpid(), signal.SIGSEGV)
    return b""


def open_set(folder: Path, **_: Any) -> Dataset:
    """Two episodes, of a file each; one whose file is gone is left out, and that is a finding."""
    files = [folder / name for name in ("a/x.bin", "y.bin")]
    here = [path for path in files if path.exists()]

    def make(at: int) -> Episode:
        values = one(here[at])
        return Episode.from_arrays(here[at].name, {"x": values}, rate=5, meta={"path": str(here[at])})

    def findings() -> Iterator[Finding]:
        for path in files:
            try:
                one(path)
            except DataError as error:
                yield Finding("error", str(error), str(path))

    episodes = Episodes(len(here), make)
    return Dataset(
        format="set", name="s", path=folder, episodes=episodes, splits={}, specs={}, lengths=lambda: [50] * len(here),
        findings=findings,
    )  # fmt: skip


def read_set(folder: Path) -> dict[str, object]:
    register(Reader("set", lambda path: 1.0, open_set))
    return everything(folder)


def nothing_found(folder: Path) -> dict[str, object]:
    """The same reader, whose validation says nothing."""

    def open_silent(path: Path, **options: Any) -> Dataset:
        return replace(open_set(path, **options), findings=lambda: iter(()))

    register(Reader("set", lambda path: 1.0, open_silent))
    return everything(folder)


def hangs(folder: Path) -> bytes:
    while broken(folder):
        time.monotonic()
    return b""


def hoards(folder: Path) -> int:
    return np.zeros(1 << 29 if broken(folder) else 1, np.uint8).size


def test_a_good_reader_passes(tmp_path: Path) -> None:
    tally = survey(write, read, tmp_path, attempts=120, exact=("*.bin",))
    assert tally.failures == []
    assert tally.refused + tally.read == 120
    assert tally.refused > 70
    assert tally.other > 20, "the file without a checksum changes what is read"


def test_everything_is_every_value_by_its_episode(registered: None, tmp_path: Path) -> None:
    write(tmp_path)
    found = read_set(tmp_path)
    assert {place.split()[0] for place in found} == {"x.bin", "y.bin", "validate"}
    assert np.array_equal(found["y.bin x"], np.arange(50))  # type: ignore[arg-type]
    assert found["x.bin x times"].tolist() == [k * 200_000_000 for k in range(50)]  # type: ignore[attr-defined]
    assert found["validate"] == "nothing found"
    (tmp_path / "y.bin").write_bytes(b"short")
    found = read_set(tmp_path)
    assert isinstance(found["position 1"], DataError)
    assert isinstance(found["validate"], DataError)
    assert np.array_equal(found["x.bin x"], np.arange(50))  # type: ignore[arg-type]


def test_a_whole_dataset_is_surveyed(tmp_path: Path) -> None:
    tally = survey(write, read_set, tmp_path, attempts=60, exact=("*.bin",))
    assert tally.failures == []
    assert tally.refused > 30
    assert tally.same > 15, "the third file is not of the dataset"


def test_an_episode_left_out_without_a_word_is_seen(tmp_path: Path) -> None:
    tally = survey(write, nothing_found, tmp_path, attempts=20, only=("y.bin",), exact=("y.bin",), kinds=("remove",))
    assert "left out without a word: ['y.bin'" in tally.failures[0]


@pytest.mark.parametrize(
    "reader, said",
    [
        (unchecked, "read what was not written: ['']"),
        (leaves_out, "left out without a word: ['y.bin']"),
        (raises, "KeyError: 'key'"),
        (nameless, "names no file: somewhere"),
        (dies, "the process ended with -11"),
        (hangs, "Timeout"),
        (hoards, "MemoryError"),
    ],
)
def test_a_bad_reader_is_seen(tmp_path: Path, reader: object, said: str) -> None:
    tally = survey(
        write, reader, tmp_path, attempts=6, only=("y.bin",), exact=("y.bin",), memory=64 << 20, seconds=0.3, most=1
    )  # type: ignore[arg-type]
    assert tally.failures
    assert said in tally.failures[0]


def test_what_cannot_be_read_at_all_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="the good dataset was not read"):
        survey(lambda folder: (folder / "other").write_bytes(b""), raises, tmp_path)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"remove", "empty"}))
def test_damage_is_damage(kind: str) -> None:
    data = bytes(range(40)) + b"12 0 3" + bytes(1000)
    made = {damage(data, kind, random.Random(seed)) for seed in range(50)}
    assert data not in made
    assert None not in made
    assert len(made) > 5
    assert damage(data, kind, random.Random(3)) == damage(data, kind, random.Random(3))
    assert damage(b"", kind, random.Random(0)) is not None


def test_digests_tell_values_apart() -> None:
    arrays = [np.arange(4), np.arange(4, dtype=np.int32), np.arange(4).reshape(2, 2), np.array([0.0, -0.0])]
    arrays += [np.array([0.0, 0.0]), np.array(["a", b"a"], object), np.array(["a", "a"], object)]
    plain = [b"a", "a", 1, 1.0, True, None, [1], [[1]], [1, None], {"a": 1}, {"a": {"b": 1}}]
    digests = [digest(value) for value in [*arrays, *plain]]
    assert len(set(digests)) == len(digests)
    assert digest({"b": 1, "a": [np.arange(3)]}) == digest({"a": (np.arange(3),), "b": 1})
    assert digest("in here/x", "here") == digest("in there/x", "there")
