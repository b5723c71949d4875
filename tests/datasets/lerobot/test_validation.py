"""Partial downloads, and what validate() finds without ever stopping."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import robocache.datasets as rd
from robocache.errors import DataError


def change_table(path, **changes):
    """Columns of a Parquet file replaced by functions of the values."""
    table = pq.read_table(path)
    for spelled, change in changes.items():
        name = spelled.replace("__", "/")
        at = table.column_names.index(name)
        values = np.asarray(table.column(name).to_numpy())
        table = table.set_column(at, name, pa.array(change(values.copy())))
    pq.write_table(table, path)


def put(at, value):
    def change(values):
        values[at] = value
        return values

    return change


def told(root):
    return [(f.level, f.episode, f.key, f.message) for f in rd.open_dataset(root).validate()]


def test_episodes_that_were_not_downloaded(copied):
    root = copied("v21")
    want = rd.open_dataset(root)[2]["action"].read()
    for k in (0, 3):
        (root / f"data/chunk-000/episode_{k:06d}.parquet").unlink()
    dataset = rd.open_dataset(root)
    assert [episode.id for episode in dataset] == [1, 2]
    assert dataset.meta["missing"] == [0, 3]
    assert dataset.index.lengths.tolist() == [9, 21]
    assert dataset.splits == {"train": [0, 1]}
    assert np.array_equal(dataset[1]["action"].read(), want)
    assert [(f.level, f.episode) for f in dataset.validate()] == [("warning", 0), ("warning", 3)]
    for k in (1, 2):
        (root / f"data/chunk-000/episode_{k:06d}.parquet").unlink()
    with pytest.raises(DataError, match="none of the 4 episodes"):
        rd.open_dataset(root)


def test_splits_keep_to_the_ids(copied):
    root = copied("v21")
    (root / "data/chunk-000/episode_000001.parquet").unlink()
    path = root / "meta/info.json"
    info = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**info, "splits": {"train": "0:2", "test": "2:4"}}), "utf-8")
    dataset = rd.open_dataset(root)
    assert dataset.splits == {"train": [0], "test": [1, 2]}
    assert [episode.id for episode in rd.open_dataset(root, split="test")] == [2, 3]


def test_rows_of_a_table_that_is_not_whole(copied):
    """Rows of an episode are looked for where the table of episodes cannot tell; frames of a video cannot be."""
    root = copied("v30")
    whole = rd.open_dataset(root)
    path = root / "meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    pq.write_table(table.slice(1, 3), path)
    dataset = rd.open_dataset(root)
    assert [episode.id for episode in dataset] == [1, 2, 3]
    for k, episode in enumerate(dataset):
        assert np.array_equal(episode["action"].read(), whole[k + 1]["action"].read())
        front = episode["observation.images.front"]  # in a file of its own
        assert np.array_equal(front.read(3), whole[k + 1]["observation.images.front"].read(3))
        with pytest.raises(DataError, match="by the lengths before it"):
            episode["observation.images.wrist"].read(0)
    pq.write_table(table.slice(0, 3), path)
    with pytest.raises(DataError, match="has 50 frames, expected 44"):
        rd.open_dataset(root)[0]["observation.images.wrist"].read(0)


def test_one_row_group_for_all_episodes(copied):
    root = copied("v30")
    whole = rd.open_dataset(root)
    path = root / "data/chunk-000/file-000.parquet"
    for size in (50, 7):
        pq.write_table(pq.read_table(path), path, row_group_size=size)
        for want, got in zip(whole, rd.open_dataset(root)):
            for name in ("action", "observation.effort", "observation.images.still", "next.done"):
                assert np.array_equal(want[name].read(), got[name].read())
                assert np.array_equal(want[name].read([5, 0, 5]), got[name].read([5, 0, 5]))


@pytest.mark.parametrize("other", ["task", "text"])
def test_spellings_of_tasks(copied, other):
    root = copied("v30")
    path = root / "meta/tasks.parquet"
    table = pq.read_table(path)
    pq.write_table(table.rename_columns(["task_index", other]), path)
    assert rd.open_dataset(root)[3].language[0].text == "push the bowl"


def test_a_task_that_is_in_no_table(copied):
    root = copied("v30")
    path = root / "meta/tasks.parquet"
    pq.write_table(pq.read_table(path).slice(0, 2), path)
    assert len(rd.open_dataset(root)[2].language) == 2
    with pytest.raises(DataError, match="task 2 is not in the table"):
        rd.open_dataset(root)[3].language  # noqa: B018
    assert [(level, episode) for level, episode, *_ in told(root)] == [("error", 3)]


def test_more_of_what_is_wrong(copied):
    root = copied("v30")
    data = root / "data/chunk-000/file-000.parquet"
    change_table(
        data, timestamp=put(20, 7.5), frame_index=put(30, 3), index=put(49, 1), task_index=put(2, 9)
    )  # fmt: skip
    table = root / "meta/episodes/chunk-000/file-000.parquet"
    seconds = "videos__observation.images.wrist__from_timestamp"
    change_table(table, **{seconds: put(2, 2.31)})
    (root / "videos/observation.images.front/chunk-000/file-001.mp4").unlink()
    video = root / "videos/observation.images.front/chunk-001/file-001.mp4"
    video.write_bytes(video.read_bytes()[:900])
    found = {(level, episode, key): message for level, episode, key, message in told(root)}
    assert found.pop(("error", 0, None)).endswith("task 9 is not in the table of tasks")
    assert found.pop(("error", 1, "timestamp")) == "stamps do not rise"
    assert "7.5" not in found.pop(("warning", 1, "timestamp"))
    assert found.pop(("error", 2, "frame_index")) == "step 7 has 3, expected 7"
    assert found.pop(("error", 3, "index")) == "step 5 has 1, expected 49"
    assert "0.010000 s away" in found.pop(("warning", 2, "observation.images.wrist"))
    assert "no such file" in found.pop(("error", 1, "observation.images.front"))
    assert "no video" in found.pop(("error", 3, "observation.images.front"))
    assert found == {}


def test_rows_of_another_episode_are_not_handed_out(copied):
    root = copied("v30")
    change_table(root / "data/chunk-000/file-000.parquet", episode_index=put(16, 2))
    dataset = rd.open_dataset(root)
    assert dataset[0]["action"].read().shape == (14, 6)
    for k in (1, 2):
        with pytest.raises(DataError, match=r"expected a run of") as caught:
            dataset[k]["action"].read(0)
        assert caught.value.episode == k


def test_names_that_lie_deeper(copied):
    root = copied("v21")
    path = root / "meta/info.json"
    info = json.loads(path.read_text("utf-8"))
    for names, want in [
        ([["a", "b", "c"], ["d", "e", "f"]], tuple("abcdef")),
        ({"motors": list("abcdef")}, tuple("abcdef")),
        ({name: 5 - k for k, name in enumerate("abcdef")}, tuple("fedcba")),
        (["a"], None),
        (None, None),
        (7, None),
    ]:
        info["features"]["action"]["names"] = names
        path.write_text(json.dumps(info), "utf-8")
        assert rd.open_dataset(root)[0]["action"].names == want


def test_what_others_add_is_in_meta(copied):
    root = copied("v30")
    (root / "meta/modality.json").write_text('{"state": {"arm": {"start": 0, "end": 5}}}', "utf-8")
    meta = rd.open_dataset(root).meta
    assert meta["modality"]["state"]["arm"]["end"] == 5
    assert meta["stats"]["action"]["count"] == [50]
    (root / "meta/modality.json").write_text("{", "utf-8")
    assert [finding.message.split(": ")[1] for finding in rd.open_dataset(root).validate()] == [
        "is no JSON that can be read"
    ]


def test_columns_of_language(copied):
    root = copied("v21")
    path = root / "data/chunk-000/episode_000003.parquet"
    said = [[{"role": "user", "content": "stop", "style": None}]] + [[]] * 4 + [None]
    table = (
        pq.read_table(path).append_column("language_events", pa.array(said)).append_column("note", pa.array("abcdef"))
    )
    pq.write_table(table, path)
    info = json.loads((root / "meta/info.json").read_text("utf-8"))
    info["features"]["language_events"] = {"dtype": "language", "shape": [1], "names": None}
    info["features"]["note"] = {"dtype": "string", "shape": [1], "names": None}
    (root / "meta/info.json").write_text(json.dumps(info), "utf-8")
    dataset = rd.open_dataset(root)
    assert dataset[3]["language_events"].read().tolist() == said
    assert dataset[3]["note"].read([0, 5]).tolist() == ["a", "f"]
    assert (dataset[3]["note"].kind, dataset[3]["language_events"].kind) == ("text", "event")
    with pytest.raises(DataError, match="0 columns 'note'"):
        dataset[0]["note"].read()
