"""Damaged and malicious files: a DataError that says where, never another error, and no value in silence."""

import json
import os

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import robocache.datasets as rd
from robocache.errors import DataError

INFO = "meta/info.json"
DATA = {"v21": "data/chunk-000/episode_000001.parquet", "v30": "data/chunk-000/file-000.parquet"}


def say(root, **changes):
    """Change info.json."""
    path = root / INFO
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **changes}), "utf-8")


def read_all(root):
    """Everything that can be read, or the DataErrors."""
    found = {}
    dataset = rd.open_dataset(root)
    for episode in dataset:
        for name, stream in episode.items():
            try:
                found[episode.id, name] = stream.read()
            except DataError as error:
                found[episode.id, name] = error
        try:
            found[episode.id, "language"] = episode.language
        except DataError as error:
            found[episode.id, "language"] = error
        assert episode["timestamp"].times.shape == (episode.length,)
    dataset.close()
    return found


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("version", ["v21", "v30"])
def test_flips_and_cuts_give_dataerror_alone(copied, version, seed):
    root, random = copied(version), np.random.default_rng(seed)
    files = sorted(path for path in root.rglob("*") if path.is_file())
    for _ in range(3):
        path = files[random.integers(len(files))]
        data = path.read_bytes()
        damaged = bytearray(data)
        if random.random() < 0.3:
            del damaged[int(random.integers(len(data))) :]
        for at in random.integers(0, max(len(damaged), 1), random.integers(0, 4)):
            if at < len(damaged):
                damaged[at] = random.choice([0, 127, 128, 255, random.integers(256)])
        path.write_bytes(damaged)
        try:
            for (episode, _), value in read_all(root).items():
                if isinstance(value, DataError) and value.episode is not None:
                    assert value.episode == episode
            for finding in rd.open_dataset(root).validate() if seed % 3 == 0 else ():
                assert finding.level in ("error", "warning")
        except DataError as error:
            assert error.file is not None  # noqa: PT017
        path.write_bytes(data)


@pytest.mark.parametrize("version", ["v1.6", "v2.0", "v3.1", "v4", 3, None])
def test_other_versions_are_refused(copied, version):
    root = copied("v30")
    say(root, codebase_version=version)
    with pytest.raises(DataError, match=r"v2\.1 and v3\.0 can be read"):
        rd.open_dataset(root)


@pytest.mark.parametrize(
    "changes",
    [
        {"fps": 0}, {"fps": -1}, {"fps": "30"}, {"fps": True}, {"fps": 1e300}, {"fps": None},
        {"features": []}, {"features": {"a": 3}}, {"features": {"a": {"dtype": "float32", "shape": [1 << 40]}}},
        {"features": {"a": {"dtype": "object", "shape": [1]}}}, {"features": {"a": {"dtype": "video", "shape": [3]}}},
        {"features": {"a": {"dtype": "float32", "shape": [True]}}}, {"features": {"a": {"shape": [1]}}},
        {"data_path": None}, {"data_path": 7}, {"data_path": "{0}"}, {"data_path": "{chunk_index.real}"},
        {"data_path": "{chunk_index!r}"}, {"data_path": "{chunk_index:099999999d}"}, {"data_path": "{chunk_index"},
        {"data_path": "{nothing}"}, {"data_path": "../{chunk_index}"}, {"data_path": "/etc/{chunk_index}"},
        {"video_path": None}, {"total_frames": -1}, {"total_episodes": 1.5}, {"chunks_size": "x"},
        {"splits": 3}, {"splits": {"train": "all"}}, {"splits": {"train": "0:" + "9" * 99}},
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", ["v21", "v30"])
def test_metadata_that_cannot_be_is_refused(copied, version, changes):
    root = copied(version)
    say(root, **changes)
    with pytest.raises(DataError) as caught:
        rd.open_dataset(root)
    assert caught.value.file


@pytest.mark.parametrize("version", ["v21", "v30"])
def test_names_do_not_lead_out(copied, version, tmp_path):
    root = copied(version)
    info = json.loads((root / INFO).read_text("utf-8"))
    features = dict(info["features"])
    features["../../x"] = features.pop("observation.images.front")
    say(root, features=features)
    if version == "v30":
        with pytest.raises(DataError, match="column is missing"):
            rd.open_dataset(root)
        return
    with pytest.raises(DataError, match="leads out"):
        rd.open_dataset(root)[0]["../../x"].read(0)
    outside = tmp_path / "outside.parquet"
    inside = root / "data/chunk-000/episode_000000.parquet"
    inside.rename(outside)
    inside.symlink_to(outside)
    with pytest.raises(DataError, match="link that leads out"):
        rd.open_dataset(root)[0]


def rewrite(path, change):
    """A data file with its table changed, in row groups as before."""
    file = pq.ParquetFile(path)
    tables = [change(file.read_row_group(g)) for g in range(file.num_row_groups)]
    with pq.ParquetWriter(path, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)


def replaced(name, make):
    def change(table):
        return table.set_column(table.column_names.index(name), name, make(table.column(name)))

    return change


@pytest.mark.parametrize(
    "name, make, match",
    [
        ("action", lambda c: pa.array([[1.0] * 6] * (len(c) - 1) + [None], pa.list_(pa.float32(), 6)), "missing"),
        ("action", lambda c: pa.array([[1.0] * 5] * len(c), pa.list_(pa.float32(), 5)), r"\(5,\), expected \(6,\)"),
        ("action", lambda c: pa.array([[1.0] * 6] * (len(c) - 1) + [[1.0] * 7]), "differing lengths"),
        ("action", lambda c: pa.array(["x"] * len(c)), "expected"),
        ("next.reward", lambda c: pa.array([None] * len(c), pa.float32()), "missing"),
        ("next.done", lambda c: pa.array([2] * len(c)), "not all bool"),
        ("task_index", lambda c: pa.array([0.5] * len(c)), "not all int64"),
        ("observation.images.still", lambda c: pa.array(["x"] * len(c)), "pictures"),
        ("observation.images.still", lambda c: pa.array([b"x"] * len(c)), "PNG"),
    ],
)
@pytest.mark.parametrize("version", ["v21", "v30"])
def test_columns_that_are_not_as_announced(copied, version, name, make, match):
    root = copied(version)
    rewrite(root / DATA[version], replaced(name, make))
    episode = rd.open_dataset(root)[1]
    with pytest.raises(DataError, match=match) as caught:
        episode[name].read()
    assert (caught.value.episode, caught.value.key) == (1, name)
    assert caught.value.file == str(root / DATA[version])
    assert np.isfinite(episode["observation.state"].read()).all()  # the others can still be read
    assert any(finding.key == name for finding in rd.open_dataset(root).validate())


@pytest.mark.parametrize("version", ["v21", "v30"])
def test_numbers_of_another_width_keep_their_value(copied, version):
    root = copied(version)
    want = rd.open_dataset(root)[1]["frame_index"].read()
    rewrite(root / DATA[version], replaced("frame_index", lambda c: c.cast(pa.int8())))
    rewrite(root / DATA[version], replaced("observation.state", lambda c: c.cast(pa.list_(pa.float64(), 6))))
    episode = rd.open_dataset(root)[1]
    assert episode["frame_index"].read().dtype == np.int64
    assert np.array_equal(episode["frame_index"].read(), want)
    assert episode["observation.state"].read().dtype == np.float32


def test_pictures_in_files_of_their_own(copied, tmp_path):
    root = copied("v21")
    still = rd.open_dataset(root)[1]["observation.images.still"]
    want, data = still.read(), still.read(slice(0, 9), decode=False)
    (root / "images").mkdir()
    for k, encoded in enumerate(data):
        (root / "images" / f"{k}.bin").write_bytes(encoded)
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])

    def named(names):
        rewrite(
            root / DATA["v21"],
            replaced("observation.images.still", lambda c: pa.array([{"path": n} for n in names], kind)),
        )
        return rd.open_dataset(root)[1]["observation.images.still"]

    assert np.array_equal(named([f"images/{k}.bin" for k in range(9)]).read(), want)
    (tmp_path / "secret.bin").write_bytes(data[0])
    for name in ("../secret.bin", str(tmp_path / "secret.bin"), "images/none.bin", "", None):
        with pytest.raises(DataError):
            named([name] * 9).read(0)


def test_claims_of_rows_are_bounded_by_bytes(copied):
    root = copied("v21")
    path = root / "meta/episodes.jsonl"
    for length in (1 << 30, 1 << 31, -1, 2.5, "9", None):
        line = json.dumps({"episode_index": 0, "tasks": [], "length": length})
        path.write_text(line + "\n", "utf-8")
        with pytest.raises(DataError):
            rd.open_dataset(root)[0]
    many = pa.table({"episode_index": pa.array(np.zeros(2_000_000, np.int64))})
    pq.write_table(many, root / "data/chunk-000/episode_000000.parquet", compression="zstd")
    path.write_text('{"episode_index": 0, "tasks": [], "length": 2000}\n', "utf-8")
    with pytest.raises(DataError, match="claims 2000000 rows"):
        rd.open_dataset(root)[0]["episode_index"].read()


@pytest.mark.parametrize("line", ['{"episode_index": 0', "[]", "\\x00", "[" * 100_000, '{"episode_index": -1}', "7"])
def test_lines_that_are_no_objects(copied, line):
    root = copied("v21")
    with open(root / "meta/episodes.jsonl", "a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(DataError) as caught:
        rd.open_dataset(root)
    assert os.path.basename(caught.value.file) == "episodes.jsonl"


def test_an_episode_that_is_told_twice(copied):
    root = copied("v21")
    with open(root / "meta/episodes.jsonl", "a", encoding="utf-8") as file:
        file.write('{"episode_index": 1, "tasks": [], "length": 9}\n')
    with pytest.raises(DataError, match="twice"):
        rd.open_dataset(root)


def test_a_checksum_of_a_page_is_checked(copied):
    root = copied("v21")
    path = root / DATA["v21"]
    table = pq.read_table(path)
    pq.write_table(table, path, write_page_checksum=True, compression="none", use_dictionary=False)
    data = bytearray(path.read_bytes())
    needle = table.column("observation.effort").combine_chunks().flatten().flatten().to_numpy()[:8].tobytes()
    data[data.find(needle) + 5] ^= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"(?i)crc|checksum"):
        rd.open_dataset(root)[1]["observation.effort"].read()
    assert rd.open_dataset(root, verify=False)[1]["observation.effort"].read().shape == (9, 2, 3)
