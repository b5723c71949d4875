"""Around the dataset benchmark: what has to be installed, the sets it reads, and copies of them for a peer."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import bench_datasets, dataset_access, dataset_made, dataset_sizes, dataset_tfds


def test_bytes_of_all_that_has_to_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "av": (["x" * 100, "y" * 20], ["NumPy>=2", "extra-only; extra == 'docs'"]),
        "numpy": (["z" * 7], None),
        "py-thing": (["w"], ["av", "numpy<3 ; python_version > '3'", "gone[fast]>1"]),
    }

    def distribution(name: str) -> Any:
        if name not in known:
            raise dataset_sizes.metadata.PackageNotFoundError(name)
        texts, requires = known[name]
        paths = []
        for k, text in enumerate(texts):
            path = tmp_path / f"{name}{k}"
            path.write_text(text)
            paths.append(SimpleNamespace(locate=lambda path=path: path))
        paths.append(SimpleNamespace(locate=lambda: tmp_path / "removed since"))
        return SimpleNamespace(files=paths, requires=requires)

    monkeypatch.setattr(dataset_sizes.metadata, "distribution", distribution)
    assert dataset_sizes.closure(["Py_Thing"]) == ({"py-thing": 1, "av": 120, "numpy": 7}, ["gone"])
    assert dataset_sizes.installed("av")
    assert not dataset_sizes.installed("gone")


def test_extras_are_unfolded_and_peers_never_left_out() -> None:
    extras = {"all": ["robocache[a, b]", "c>=1"], "a": ["x>=2"], "b": ["y[z]==1 ; python_version>'3'"]}
    assert dataset_sizes.unfolded("all", extras) == ["x", "y", "c"]

    def ask(library: str, path: str, what: str, packages: list[str]) -> dict[str, Any]:
        return dataset_sizes.told(packages)

    rows = {row["method"]: row for row in bench_datasets.sizes(ask)}
    assert {"robocache[rlds]", "robocache[datasets]", "tensorflow_datasets", "tf.data", "lerobot"} <= rows.keys()
    for name in ("tensorflow-datasets", "lerobot"):
        assert dataset_sizes.installed(name) or rows[name.replace("-", "_")]["absent"] == "not installed"
    assert rows["robocache[rlds]"]["packages"]["numpy"] > 1 << 20
    assert rows["robocache[datasets]"]["bytes"] >= rows["robocache[rlds]"]["bytes"]
    assert rows["robocache[rlds]"]["bytes"] > sum(rows["robocache[rlds]"]["packages"].values())  # its own too


def test_made_episodes_are_the_same_every_time() -> None:
    names = ("state", "action", "camera")
    one, again = (dataset_made.episode(3, "jpeg", names, (20, 30)) for _ in range(2))
    assert 20 <= one.length <= 30
    for name in names[:2]:
        assert one[name].read().tobytes() == again[name].read().tobytes()
    assert np.array_equal(one["action"].read()[:-1], np.diff(one["state"].read(), axis=0))
    frames = one["camera"].read([0, 9])
    assert frames.shape == (2, 256, 256, 3)
    assert (frames[0] != frames[1]).mean() > 0.5  # it moves
    assert one["camera"].read(0, decode=False)[:2] == b"\xff\xd8"


def test_names_of_nested_features() -> None:
    tree = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    flat = {"a/b": 1, "a/c/d": 2, "e": 3}
    assert dataset_tfds._flat(tree) == flat
    assert dataset_tfds._nested(flat) == tree


def test_records_of_a_shard() -> None:
    payloads = [b"", b"abc", bytes(300)]
    data = b"".join(len(p).to_bytes(8, "little") + b"HEAD" + p + b"TAIL" for p in payloads)
    assert list(dataset_access.records(data)) == payloads


@pytest.mark.parametrize("kind", ["tfrecord", "array_record", None])
def test_only_tfrecord_is_copied_and_only_for_the_peer_that_cannot_read_it(tmp_path: Path, kind: str | None) -> None:
    source = tmp_path / "bridge" / "1.0.0"
    source.mkdir(parents=True)
    assert dataset_access.prepared("tensorflow_datasets", str(source), str(tmp_path)) == str(source)
    info = {"splits": [{"name": "train"}]} | ({"fileFormat": kind} if kind else {})
    (source / "dataset_info.json").write_text(json.dumps(info))
    payloads = [b"one", b"", bytes(300)]
    data = b"".join(len(p).to_bytes(8, "little") + b"HEAD" + p + b"TAIL" for p in payloads)
    (source / f"bridge-train.{kind or 'tfrecord'}-00000-of-00001").write_bytes(data)
    assert dataset_access.prepared("robocache", str(source), str(tmp_path)) == str(source)
    if kind == "array_record":
        assert dataset_access.prepared("tensorflow_datasets", str(source), str(tmp_path)) == str(source)
        return
    module = pytest.importorskip("array_record.python.array_record_module")
    copy = Path(dataset_access.prepared("tensorflow_datasets", str(source), str(tmp_path / "copy")))
    assert json.loads((copy / "dataset_info.json").read_text())["fileFormat"] == "array_record"
    reader = module.ArrayRecordReader(str(copy / "bridge-train.array_record-00000-of-00001"))
    assert [reader.read([k])[0] for k in range(3)] == payloads
