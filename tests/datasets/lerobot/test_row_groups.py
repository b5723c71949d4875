"""Which row groups and columns are read in one call, and that it changes no value."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import robocache.datasets as rd
from robocache.datasets.lerobot import _columns, _parquet, write_lerobot
from robocache.errors import DataError

LENGTHS = (40, 55, 30, 60, 10, 80, 45, 35, 50, 20)
EACH = 8 + 2 * 4 + 3 * 8  # bytes of a row of episode_index, state and effort
VALUES = {
    name: [np.random.default_rng([k, size]).random((n, size)).astype(dtype) for k, n in enumerate(LENGTHS)]
    for name, size, dtype in (("state", 2, np.float32), ("effort", 3, np.float64), ("other", 1, np.float32))
}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten episodes, a row group each, in one file."""
    arrays = [{name: values[k] for name, values in VALUES.items()} for k in range(len(LENGTHS))]
    episodes = (rd.Episode.from_arrays(k, one, rate=10) for k, one in enumerate(arrays))
    return write_lerobot(episodes, tmp_path_factory.mktemp("groups") / "set", fps=10, video=False)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[int], set[str]]]:
    """Row groups and columns of every call of Arrow on data."""
    found: list[tuple[list[int], set[str]]] = []
    plain = _parquet.Parquets._table

    def table(file: Any, groups: Any, names: list[str]) -> Any:
        if "length" not in names:
            found.append((list(groups), set(names)))
        return plain(file, groups, names)

    monkeypatch.setattr(_parquet.Parquets, "_table", staticmethod(table))
    return found


def same(dataset: rd.Dataset, name: str, number: int) -> None:
    found = dataset[number][name].read()
    assert found.reshape(VALUES[name][number].shape).tobytes() == VALUES[name][number].tobytes()


def test_small_row_groups_come_together_once(path: Path, calls: list[Any]) -> None:
    dataset = rd.open_dataset(path)
    every = list(range(len(LENGTHS)))
    for number in (6, 2, 9, 0, 1, 3, 4, 5, 7, 8):
        same(dataset, "state", number)
        same(dataset, "effort", number)
    assert calls == [(every, {"episode_index"}), (every, {"state"}), (every, {"effort"})]
    kept = dataset[0]["state"].source.rows.files.kept
    assert kept.size == sum(LENGTHS) * EACH
    assert all(thing.base is None for thing, _ in kept._things.values())  # a view would hold more than is counted


def test_columns_that_were_asked_come_along(path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_parquet, "TOGETHER", 100)  # runs of 40 + 55, 30 + 60 + 10, 80, 45 + 35, 50 + 20 rows
    dataset = rd.open_dataset(path)
    same(dataset, "state", 1)
    same(dataset, "effort", 0)
    del calls[:]
    same(dataset, "state", 4)
    same(dataset, "state", 2)
    assert calls == [([2, 3, 4], {"episode_index", "state", "effort"})]
    same(dataset, "state", 5)  # since the last run nothing but the state was asked
    same(dataset, "other", 5)
    same(dataset, "effort", 5)
    assert calls[1:] == [([5], {"episode_index", "state"}), ([5], {"other"}), ([5], {"effort"})]
    same(dataset, "state", 9)
    assert calls[4:] == [([8, 9], {"episode_index", "state", "other", "effort"})]


def test_neighbours_stay_away_where_they_cannot_be_kept(path: Path, calls: list[Any]) -> None:
    limit = 2 * sum(LENGTHS) * EACH // 3
    with rd.open_dataset(path, cache_bytes=limit) as dataset:
        kept = dataset[0]["state"].source.rows.files.kept
        for number in range(len(LENGTHS)):
            same(dataset, "state", number)
            same(dataset, "effort", number)
            assert kept.size <= limit
    assert [groups for groups, names in calls if len(names) > 1] == [[k] for k in range(1, len(LENGTHS))]
    del calls[:]
    with rd.open_dataset(path, cache_bytes=100) as dataset:
        for number in range(len(LENGTHS)):
            same(dataset, "effort", number)
    assert all(len(groups) == len(names) == 1 for groups, names in calls)


def test_what_would_take_many_bytes_is_read_alone(
    path: Path, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_parquet, "TOGETHER_BYTES", 50 * EACH)
    dataset = rd.open_dataset(path)
    for number in range(len(LENGTHS)):
        same(dataset, "state", number)
        same(dataset, "effort", number)
    most = max(sum(LENGTHS[k] for k in groups) * EACH for groups, names in calls if len(names) == 3)
    assert most <= 50 * EACH
    assert all(len(groups) == 1 for groups, _ in calls)


@given(st.data())
def test_in_any_order_values_are_the_same(path: Path, data: st.DataObject) -> None:
    asked = data.draw(st.lists(st.tuples(st.sampled_from(sorted(VALUES)), st.integers(0, len(LENGTHS) - 1))))
    together, most, limit = data.draw(
        st.tuples(st.integers(0, 300), st.integers(0, 8000), st.sampled_from([0, 900, 9000, 1 << 20]))
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_parquet, "TOGETHER", together)
        patch.setattr(_parquet, "TOGETHER_BYTES", most)
        with rd.open_dataset(path, cache_bytes=limit) as dataset:
            for name, number in asked:
                same(dataset, name, number)


def test_a_damaged_neighbour_is_refused_alone(path: Path, tmp_path: Path) -> None:
    arrays = [{name: values[k] for name, values in VALUES.items()} for k in range(len(LENGTHS))]
    episodes = (rd.Episode.from_arrays(k, one, rate=10) for k, one in enumerate(arrays))
    root = write_lerobot(episodes, tmp_path / "set", fps=10, video=False)
    file = root / "data/chunk-000/file-000.parquet"
    told = pq.read_metadata(file).row_group(3)
    columns = [told.column(k) for k in range(told.num_columns)]
    column = next(one for one in columns if one.path_in_schema.startswith("effort"))
    damaged = bytearray(file.read_bytes())
    first = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    damaged[first + column.total_compressed_size // 2] ^= 0xFF
    file.write_bytes(damaged)
    dataset = rd.open_dataset(root)
    for number in range(len(LENGTHS)):
        same(dataset, "state", number)
        if number != 3:
            same(dataset, "effort", number)
            continue
        with pytest.raises(DataError) as caught:
            dataset[3]["effort"].read()
        assert (caught.value.file, caught.value.episode, caught.value.key) == (str(file), 3, "effort")


@given(st.integers(1, 4), st.integers(0, 6), st.integers(0, 5), st.sampled_from(["fixed", "list", "large"]))
def test_lists_of_a_slice_are_its_own(width: int, count: int, start: int, kind: str) -> None:
    rows = np.arange((count + start + 2) * width, dtype=np.int64).reshape(-1, width)
    list_of = {"fixed": pa.list_(pa.int64(), width), "list": pa.list_(pa.int64()), "large": pa.large_list(pa.int64())}
    array = pa.array(rows.tolist(), list_of[kind]).slice(start, count)
    feature = _columns.plain("x")
    feature = type(feature)(rd.StreamSpec("x", "vector", (width,), np.dtype(np.int64)), "int64", (width,))
    assert np.array_equal(_columns.array_of(pa.chunked_array([array]), feature), rows[start : start + count])


def test_numbers_need_no_functions_of_arrow(path: Path) -> None:
    """They take longer to import than all else that a first step needs."""
    program = (
        "import sys, pyarrow.parquet\nimport robocache.datasets as rd\nbefore = set(sys.modules)\n"
        "print(rd.open_dataset(sys.argv[1])[0]['effort'].read(0).shape, 'pyarrow.compute' in set(sys.modules) - before)"
    )
    ran = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "(3,) False"
