"""The arithmetic of the dataset benchmark, with libraries that are made up and a clock that is set."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks import _results, bench_datasets, dataset_access, dataset_process

LENGTHS = (3, 40, 16, 17)
OPTIONS = argparse.Namespace(split=None, compared=12, episodes=3, seed=1, items=30, runs=2)


class Made:
    """A library that knows every value by its place."""

    vectors, pictures, bytes_too = ("state", "action"), ("cam",), True
    count = len(LENGTHS)

    def __init__(self, path: str = "", split: str | None = None) -> None:
        self.asked: list[Any] = []

    def length(self, episode: int) -> int:
        return LENGTHS[episode]

    def window(self, episode: int, start: int, stop: int, names: Any) -> dict[str, np.ndarray]:
        self.asked.append((episode, start, stop))
        assert 0 <= start < stop <= LENGTHS[episode]
        steps = np.arange(start, stop, dtype=np.float64)[:, None]
        return {name: steps + 100 * episode + 0.1 * len(name) for name in names}

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        return np.full((4, 5, 3), step, np.uint8)

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        return bytes([step])

    def everything(self, episode: int) -> Iterator[np.ndarray]:
        yield np.zeros((LENGTHS[episode], 1000))


class Other(Made):
    """Another, with fewer names, narrower floats, and pictures that are a level off."""

    vectors = ("state", "extra")
    bytes_too = False

    def window(self, *where: Any) -> dict[str, np.ndarray]:
        return {name: array.astype(np.float32) for name, array in super().window(*where).items()}

    def picture(self, *where: Any) -> np.ndarray:
        return super().picture(*where) + np.uint8(1)


class Wrong(Other):
    """One that is a step off in one episode."""

    def window(self, episode: int, start: int, stop: int, names: Any) -> dict[str, np.ndarray]:
        found = super().window(episode, start, stop, names)
        return {name: array + (episode == 3) for name, array in found.items()}


def answering(**libraries: Any) -> Callable[..., dict[str, Any]]:
    """What the fresh processes would say."""

    def ask(library: str, path: str, what: str, **job: Any) -> dict[str, Any]:
        if isinstance(libraries[library], Exception):
            raise libraries[library]
        if what == "prepare":
            return {"path": dataset_access.prepared("robocache", path, job["folder"])}
        if what == "start":
            return {"import_us": 1.0, "open_us": 2.0, "first_us": 3.0, "resident": 7}
        done = dataset_process.TASKS[what](job, libraries[library]())
        return json.loads(json.dumps(done | {"memory": {"now": 1, "peak": 11}}))

    return ask


@pytest.fixture
def peers_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_datasets, "installed", lambda package: True)


def by_op(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["op"]: row for row in rows}


def test_windows_are_the_same_whoever_is_asked_and_inside_their_episodes() -> None:
    picks = list(dataset_process.picks(3, 2000)) + [[0.0, 0.0], [1 - 2**-53, 1 - 2**-53]]
    found = dataset_process.windows(Made(), picks, 16)
    assert found == dataset_process.windows(Other(), picks, 16)
    assert {episode for episode, _, _ in found} == {0, 1, 2, 3}
    assert {stop - start for episode, start, stop in found if episode} == {16}
    assert {(start, stop) for episode, start, stop in found if not episode} == {(0, 3)}
    assert {start for episode, start, _ in found if episode == 1} == set(range(25))
    assert found[-1] == (3, 1, 17)


def test_a_time_is_of_one_call() -> None:
    now = [0.0]

    def call() -> None:
        now[0] += 2e-3

    samples = dataset_process.timed([call] * 35, lambda: now[0])
    assert samples == pytest.approx([2000.0] * 10)
    assert now[0] == pytest.approx(2e-3 * (35 + 4))  # the first part twice
    assert len(dataset_process.timed([call] * 3, lambda: now[0])) == 3


def test_a_pass_is_in_megabytes() -> None:
    ticks = iter(range(100))
    done = dataset_process.whole_pass({"episodes": 2}, Made(), lambda: next(ticks))
    assert done["bytes"] == (3 + 40) * 8000
    assert done["samples"] == pytest.approx([1e6 / 0.024, 1e6 / 0.32])
    rate = bench_datasets.rate({"samples": [500_000.0] * 3, "bytes": 5})
    assert (rate["per_second"], rate["bytes"]) == (2.0, 5)
    assert bench_datasets.rate({"samples": [8.0], "steps": 16.0})["per_second"] == 2e6


def test_memory_is_of_this_program() -> None:
    before = dataset_process.memory()
    block = np.ones(64 << 20, np.uint8)
    after = dataset_process.memory()
    assert after["now"] - before["now"] > 60 << 20
    assert after["peak"] >= after["now"]
    assert block[-1] == 1


def test_rows_with_peers_that_are_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_datasets, "installed", lambda package: package == "lerobot")
    ask = answering(robocache=Made, lerobot=bench_datasets.Refused("FileNotFoundError: no meta/info.json"))
    rows = bench_datasets.measure("a/b/set", OPTIONS, ask)
    assert list(by_op(rows)) == ["import", "open", "first", "windows", "pictures", "encoded", "pass", "memory"]
    for row in rows:
        assert row["peers"]["tensorflow_datasets"] == {"absent": "not installed"}
        assert row["peers"]["lerobot"]["absent"].startswith("cannot read it: ")
        assert row["distribution"] == "b/set"
        _results.brief(row)
    picked = dataset_process.windows(Made(), list(dataset_process.picks(1, 30)), 16)
    steps = sum(stop - start for _, start, stop in picked) / 30
    assert steps < 16  # windows of short episodes are shorter, and count so
    assert by_op(rows)["windows"]["steps"] == pytest.approx(steps)
    assert by_op(rows)["open"]["wall_us"]["median"] == 2.0
    assert by_op(rows)["windows"]["names"] == {"vectors": ["state", "action"], "pictures": ["cam"]}
    assert by_op(rows)["memory"]["resident_bytes"]["import"] == 7
    json.dumps(rows, allow_nan=False)


@pytest.mark.usefixtures("peers_here")
def test_a_peer_with_fewer_names_is_beside_ours_with_the_same() -> None:
    ask = answering(robocache=Made, lerobot=Other, tensorflow_datasets=bench_datasets.Refused("x"))
    rows = by_op(bench_datasets.measure("a/b/set", OPTIONS, ask))
    peer = rows["windows"]["peers"]["lerobot"]
    assert peer["names"] == {"vectors": ["state"], "pictures": ["cam"]}
    assert peer["compared"]["cast"] == ["state: float64 and float32"]
    assert peer["compared"]["levels_apart"] == 1.0
    assert peer["compared"]["pictures"] == OPTIONS.compared
    picked = dataset_process.windows(Made(), list(dataset_process.picks(1, 30))[: OPTIONS.compared], 16)
    assert peer["compared"]["values"] == sum(stop - start for _, start, stop in picked)
    assert peer["robocache_same_names"]["per_second"] > 0
    assert rows["encoded"]["peers"]["lerobot"]["absent"] == "it has none, or no call for them"
    assert rows["memory"]["peers"]["lerobot"]["resident_bytes"]["windows"] == 11


@pytest.mark.usefixtures("peers_here")
def test_wrong_values_stop_the_dataset_before_anything_is_timed() -> None:
    asked = []
    ask = answering(robocache=Made, lerobot=Wrong, tensorflow_datasets=Made)

    def noted(library: str, path: str, what: str, **job: Any) -> Any:
        asked.append(what)
        return ask(library, path, what, **job)

    with pytest.raises(_results.WrongResult, match="state differs"):
        bench_datasets.measure("a/b/set", OPTIONS, noted)
    assert set(asked) == {"prepare", "check"}


def test_what_is_compared() -> None:
    mine = {"0|a": np.arange(4.0), "0|cam": np.full((2, 2, 3), 9, np.uint8), "0|mine": np.zeros(1)}
    same = bench_datasets.compare(mine, dict(mine), ["a", "mine"], ["cam"])
    assert (same["values"], same["pictures"], same["levels_apart"], same["cast"]) == (5, 1, 0.0, [])
    scalar = bench_datasets.compare(mine, {"0|a": np.arange(4.0)[:, None]}, ["a"], [])
    assert scalar["values"] == 4  # a library may drop an axis of one
    for theirs, said in (
        ({"0|a": np.array([0.0, 1.0, 2.0, np.nextafter(3.0, 4.0)])}, "differs"),
        ({"0|a": -np.arange(4.0)}, "differs"),
        ({"0|a": np.arange(5.0)}, "differs"),
        ({"0|cam": np.full((2, 2, 3), 14, np.uint8)}, "5.0 levels apart"),
        ({"0|cam": np.zeros((2, 3, 3), np.uint8)}, r"\(2, 2, 3\) and"),
        ({"1|b": np.zeros(1)}, "no name in common"),
    ):
        with pytest.raises(_results.WrongResult, match=said):
            bench_datasets.compare(mine, theirs, ["a"], ["cam"])


# ---- sizes ---------------------------------------------------------------------------------------------------------


def test_bytes_of_all_that_has_to_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    known = {
        "av": (["x" * 100, "y" * 20], ["NumPy>=2", "extra-only; extra == 'docs'"]),
        "numpy": (["z" * 7], None),
        "py-thing": (["w"], ["av", "numpy<3 ; python_version > '3'", "gone[fast]>1"]),
    }

    def distribution(name: str) -> Any:
        if name not in known:
            raise bench_datasets.metadata.PackageNotFoundError(name)
        texts, requires = known[name]
        paths = []
        for k, text in enumerate(texts):
            path = tmp_path / f"{name}{k}"
            path.write_text(text)
            paths.append(SimpleNamespace(locate=lambda path=path: path))
        paths.append(SimpleNamespace(locate=lambda: tmp_path / "removed since"))
        return SimpleNamespace(files=paths, requires=requires)

    monkeypatch.setattr(bench_datasets.metadata, "distribution", distribution)
    assert bench_datasets.closure(["Py_Thing"]) == ({"py-thing": 1, "av": 120, "numpy": 7}, ["gone"])
    assert bench_datasets.installed("av")
    assert not bench_datasets.installed("gone")


def test_extras_are_unfolded_and_peers_never_left_out() -> None:
    extras = {"all": ["robocache[a, b]", "c>=1"], "a": ["x>=2"], "b": ["y[z]==1 ; python_version>'3'"]}
    assert bench_datasets.unfolded("all", extras) == ["x", "y", "c"]
    rows = {row["method"]: row for row in bench_datasets.sizes()}
    assert {"robocache[rlds]", "robocache[datasets]", "tensorflow-datasets", "lerobot"} <= rows.keys()
    for name in ("tensorflow-datasets", "lerobot"):
        assert bench_datasets.installed(name) or rows[name]["absent"] == "not installed"
    assert rows["robocache[rlds]"]["packages"]["numpy"] > 1 << 20
    assert rows["robocache[datasets]"]["bytes"] >= rows["robocache[rlds]"]["bytes"]


def test_names_of_nested_features() -> None:
    tree = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    flat = {"a/b": 1, "a/c/d": 2, "e": 3}
    assert dataset_access._flat(tree) == flat
    assert dataset_access._nested(flat) == tree


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
