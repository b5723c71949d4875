"""Rows out of chunks: equal to h5py for every way to cut and pack, bounded in memory, and damage told."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import robocache.datasets as rd
from robocache.datasets import _hdf5_rows
from robocache.errors import DataError

h5py = pytest.importorskip("h5py")


@pytest.fixture(autouse=True)
def small_streams_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_hdf5_rows, "KEEP_BYTES", 0)


def written(path: Path, value: Any, **how: Any) -> Path:
    with h5py.File(path, "w") as file:
        demo = file.create_group("data/demo_0")
        demo.attrs["num_samples"] = len(value)
        demo.create_dataset("actions", data=value, **how)
    return path


def source(dataset: Any) -> Any:
    return dataset[0]["actions"].source


@given(st.data())
def test_any_rows_of_any_chunks_equal_h5py(tmp_path_factory: pytest.TempPathFactory, data: Any) -> None:
    shape = data.draw(st.tuples(st.integers(1, 9), *[st.integers(1, 5)] * data.draw(st.integers(0, 2))))
    chunk = tuple(data.draw(st.integers(1, n)) for n in shape)
    pack = data.draw(st.sampled_from([{}, {"compression": "gzip"}, {"compression": "gzip", "shuffle": True}]))
    dtype = data.draw(st.sampled_from(["u1", "<f4", ">i2", "f8"]))
    value = np.arange(math.prod(shape)).reshape(shape).astype(dtype)
    path = tmp_path_factory.mktemp("h5") / "demo.hdf5"
    with h5py.File(path, "w") as file:
        made = file.create_dataset("data/demo_0/actions", shape, dtype, chunks=chunk, fillvalue=7, **pack)
        first = data.draw(st.integers(0, shape[0]))  # what lies before it may never be written
        made[first:] = value[first:]
    with h5py.File(path) as file, rd.open_dataset(path) as dataset:
        want, stream = file["data/demo_0/actions"][()], dataset[0]["actions"]
        for _ in range(3):  # the later ones out of what is kept
            rows = data.draw(st.lists(st.integers(-shape[0], shape[0] - 1), max_size=6))
            for index in (rows, *rows[:2], None):
                got, expected = stream.read(index), want if index is None else want[index]
                assert got.dtype == expected.dtype.newbyteorder("=")
                assert np.array_equal(got, expected)
                assert not isinstance(index, int) or got.ndim == 0 or got.flags.writeable


@pytest.mark.parametrize("pack", ({}, {"compression": "gzip"}))
def test_a_chunk_is_read_once_for_rows_that_follow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pack: dict[str, Any]
) -> None:
    value = np.random.default_rng(0).integers(0, 9, (400, 8, 16)).astype(np.uint8)
    path = written(tmp_path / "demo.hdf5", value, chunks=(100, 8, 8), **pack)
    asked, real = [], _hdf5_rows.os.pread
    monkeypatch.setattr(_hdf5_rows.os, "pread", lambda *given: (asked.append(given[1]), real(*given))[1])
    with rd.open_dataset(path) as dataset:
        for row in range(400):
            assert np.array_equal(dataset[0]["actions"].read(row), value[row])
        kept = source(dataset).files.chunks
        assert len(asked) == 8
        assert 0 < kept.size <= kept.limit
        kept.limit = 2000  # one chunk of 6400 bytes is more
        for row in (0, 399, 0):
            assert np.array_equal(dataset[0]["actions"].read(row), value[row])
    assert len(kept) == 0


@pytest.mark.parametrize("pack", ({}, {"compression": "gzip"}))
@pytest.mark.parametrize("long", (1, 5))
def test_a_chunk_that_is_cut_off_is_told_and_the_others_are_read(
    tmp_path: Path, pack: dict[str, Any], long: int
) -> None:
    value = np.random.default_rng(0).integers(0, 255, (20, 64)).astype(np.uint8)
    path = written(tmp_path / "demo.hdf5", value, chunks=(long, 64), **pack)
    with h5py.File(path) as file:
        made = file["data/demo_0/actions"].id
        places = [made.get_chunk_info(k) for k in range(made.get_num_chunks())]
    last = max(places, key=lambda place: place.byte_offset)
    with rd.open_dataset(path) as dataset:
        stream = dataset[0]["actions"]
        stream.read(0)  # where chunks lie is known now
        with open(path, "r+b") as file:
            file.truncate(last.byte_offset + last.size // 2)
        first = last.chunk_offset[0]
        for row in range(20):
            if first <= row < first + long and (row - first + 1) * 64 > last.size // 2:
                with pytest.raises(DataError, match="cut off") as caught:
                    stream.read(row)
                assert (caught.value.file, caught.value.key) == (str(path), "actions")
            elif not first <= row < first + long:
                assert np.array_equal(stream.read(row), value[row])
