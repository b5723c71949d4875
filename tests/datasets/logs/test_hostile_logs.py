"""Logs that are cut off, flipped, or made to harm: nothing but DataError comes of them."""

import gzip
import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from robocache.datasets import open_dataset
from robocache.errors import DataError

TEXT = "#timestamp [ns],w_x [rad],w_y [rad],w_z [rad],note\n" + "".join(
    f"{1403715273262142976 + 5 * k},{k / 7},{-k},1e-{k},n{k}\n" for k in range(12)
)


def samples(folder: Path) -> dict[str, bytes]:
    """Small files of every form."""
    np.savez_compressed(folder / "a.npz", t=np.arange(9.0), v=np.arange(27.0).reshape(9, 3))
    np.save(folder / "a.npy", np.arange(27.0).reshape(9, 3))
    tum = "".join(f"{k}.5 1 2 3 0 0 0 1\n" for k in range(9))
    return {"a.csv": TEXT.encode(), "a.csv.gz": gzip.compress(TEXT.encode()), "a.txt": tum.encode(),
            "a.npz": (folder / "a.npz").read_bytes(), "a.npy": (folder / "a.npy").read_bytes()}  # fmt: skip


def everything(path: Path) -> dict[str, object]:
    """All that can be read; errors must be DataError."""
    found: dict[str, object] = {}
    with open_dataset(path, format="logs") as dataset:
        for name, stream in dataset[0].items():
            try:
                found[name] = stream.read().tolist(), stream.times.tolist()
            except DataError as error:
                assert error.file == str(path)  # noqa: PT017
        for finding in dataset.validate():
            assert finding.message
    return found


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.txt", "a.npz", "a.npy"])
def test_flips_and_cuts(tmp_path, name):
    raw = samples(tmp_path)[name]
    path, rng = tmp_path / f"hurt_{name}", np.random.default_rng(1)
    path.write_bytes(raw)
    good, refused = everything(path), 0
    for k in range(75):
        bad = bytearray(raw)
        if k % 3 == 0:
            bad = bad[: int(rng.integers(0, len(raw)))]
        else:
            for at in rng.integers(0, len(bad), 1 + k % 3):
                bad[at] = int(rng.integers(0, 256))
        path.write_bytes(bad)
        try:
            found = everything(path)
        except DataError as error:
            assert error.file == str(path)  # noqa: PT017
            refused += 1
            continue
        if name == "a.csv.gz":  # has a checksum, so that what is read is right; but a name may be lost in its header
            assert found == {key: good[key] for key in found}
    assert refused > 5


@pytest.mark.parametrize("size", [10 << 20, 100 << 20])
def test_what_inflates_without_end_is_not_inflated(tmp_path, size):
    line = b"0.5,1\n"
    with gzip.open(tmp_path / "bomb.csv.gz", "wb") as file:
        for _ in range(size // (1 << 20)):
            file.write(line * ((1 << 20) // len(line)))
    tracemalloc.start()
    dataset = open_dataset(tmp_path / "bomb.csv.gz", max_bytes=1 << 20)
    with pytest.raises(DataError, match="max_bytes="):
        dataset[0]["bomb"].read()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def npy(shape: tuple[int, ...], code: str, data: bytes) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"shape": shape, "fortran_order": False, "descr": code})
    return file.getvalue() + data


CLAIMS = [
    npy((1 << 40,), "<f8", bytes(64)),
    npy((-1,), "<f8", bytes(8)),
    npy((3,), "<f8", bytes(23)),
    npy((2,), "|O", bytes(16)),
    npy((1 << 33, 1 << 33), "<f8", b""),
    npy((5,), "|V0", b""),
    b"\x93NUMPY\x01\x00\xff\xff{",
    b"\x93NUMPY\x03\0",
    b"",
]


@pytest.mark.parametrize("raw", CLAIMS)
@pytest.mark.parametrize("packed", [False, True])
def test_arrays_that_claim_what_is_not_there(tmp_path, raw, packed):
    path = tmp_path / ("a.npz" if packed else "a.npy")
    if packed:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("v.npy", raw)
    else:
        path.write_bytes(raw)
    if b"V0" in raw:
        assert len(open_dataset(path)[0]["v" if packed else "a"].read()) == 5
        return
    with pytest.raises(DataError, match=r"array|pickled|read"):
        open_dataset(path)


def test_pickles_are_not_opened(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], object))
    with pytest.raises(DataError, match="pickled"):
        open_dataset(tmp_path / "a.npy")


def test_a_member_that_inflates_beyond_the_limit(tmp_path):
    np.savez_compressed(tmp_path / "a.npz", v=np.zeros(1 << 20))
    with pytest.raises(DataError, match="max_bytes="):
        open_dataset(tmp_path / "a.npz", max_bytes=1 << 20)


@pytest.mark.parametrize("raw", [b"", b"\n\n", b"# only a comment\n", b"a,b\n", b"\xff\xfe\x00", b"\0" * 50,
                                 b",,,\n,,,\n", b"1," * 9000 + b"1\n", b'a,v\nx,b\rc"\n'])  # fmt: skip
def test_what_is_no_table(tmp_path, raw):
    path = tmp_path / "a.csv"
    path.write_bytes(raw)
    try:
        found = open_dataset(path)
        assert not any(stream.kind == "vector" for stream in found[0].values())
    except DataError as error:
        assert error.file == str(path)  # noqa: PT017


def test_a_folder_of_nothing(tmp_path):
    with pytest.raises(DataError, match="no dataset"):
        open_dataset(tmp_path)
    with pytest.raises(DataError, match="holds no log"):
        open_dataset(tmp_path, format="logs")


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_memory_is_that_of_the_file_not_of_the_limit(tmp_path, name):
    text = "t,x\n" + "".join(f"{k}.5,{k}\n" for k in range(100))
    with (gzip.open if name.endswith("gz") else open)(tmp_path / name, "wt") as file:
        file.write(text)
    tracemalloc.start()
    try:
        values = open_dataset(tmp_path / name)[0]["x"].read()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert np.array_equal(values, np.arange(100))
    assert peak < 64 << 20
