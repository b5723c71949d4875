"""The arithmetic of the dataset benchmark, with libraries that are made up and a clock that is set."""

import argparse
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest

from benchmarks import _results, bench_datasets, dataset_access, dataset_process

LENGTHS = (3, 40, 16, 17)
OPTIONS = argparse.Namespace(split=None, shown=12, episodes=3, seed=1, items=30, runs=2)


class Made:
    """A library that knows every value by its place."""

    vectors: ClassVar = ["state", "action", "other"]
    pictures: ClassVar = ["cam"]
    bytes_too = True
    random, decoder, count = True, "none", len(LENGTHS)

    def __init__(self, path: str = "", split: str | None = None) -> None:
        self.asked: list[Any] = []

    def length(self, episode: int) -> int:
        return LENGTHS[episode]

    def window(self, episode: int, start: int, stop: int, names: Any) -> dict[str, np.ndarray]:
        self.asked.append((episode, start, stop))
        assert 0 <= start < stop <= LENGTHS[episode]
        steps = np.arange(start, stop, dtype=np.float64)[:, None]
        return {name: steps + 100 * episode + 0.1 * len(name) for name in names}

    def batch(self, windows: Any, names: Any) -> dict[str, np.ndarray]:
        found = [self.window(*one, names) for one in windows]
        return {name: np.stack([one[name] for one in found]) for name in names}

    def picture(self, episode: int, step: int, name: str) -> np.ndarray:
        return np.full((4, 5, 3), step, np.uint8)

    def as_bytes(self, picture: np.ndarray) -> np.ndarray:
        return picture

    def encoded(self, episode: int, step: int, name: str) -> bytes:
        return bytes([step])

    def everything(self, count: int, vectors: Any, pictures: Any) -> Iterator[np.ndarray]:
        for episode in range(count):
            yield np.zeros((LENGTHS[episode], 1000))


class Other(Made):
    """Another, with fewer names, narrower floats, and pictures that are a level off."""

    vectors: ClassVar = ["state", "extra"]
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


class InOrder(Made):
    """One that is read in order only."""

    random = bytes_too = False


def answering(**libraries: Any) -> Callable[..., dict[str, Any]]:
    """What the fresh processes would say; libraries that are not named are not installed."""

    def ask(library: str, path: str, what: str, **job: Any) -> dict[str, Any]:
        found = libraries.get(library)
        if what == "sizes":
            return {"packages": {name: 1 for name in job["packages"] if found}}
        if what == "prepare":
            return {"path": dataset_access.prepared("robocache", path, job["folder"])}
        if isinstance(found, Exception):
            raise found
        if what == "check":
            done = dataset_process.check(job, found())
        else:
            done = {key: {"samples": [took]} for key, took in (("import", 1.0), ("open", 2.0), ("first", 3.0))}
            more = dataset_process.run(job, found())
            done |= more | {"resident_bytes": {"import": 7} | more["resident_bytes"]}
        return json.loads(json.dumps(done))

    return ask


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
    job = {"episodes": 3, "low": [], "pictures": [], "sample_bytes": 30_000}
    done = dataset_process.whole_pass(job, Made(), lambda: next(ticks))
    assert done["bytes"] == (3 + 40 + 16) * 8000
    assert done["samples"] == pytest.approx([1e6 / 0.344, 1e6 / 0.128])  # the first two episodes, then the third
    few = dataset_process.whole_pass(job | {"sample_bytes": 1 << 30}, Made(), lambda: next(ticks))
    assert few["samples"] == pytest.approx([1e6 / 0.472])


def test_a_rate_is_the_median_of_processes() -> None:
    rate = bench_datasets.rate([{"samples": [1e6, 1e6, 9e6], "bytes": 5}, {"samples": [3e6]}, {"samples": [2e6]}])
    assert (rate["wall_us"]["median"], rate["per_second"], rate["bytes"]) == (2e6, 0.5, 5)
    assert rate["wall_us"]["min"] == 1e6
    assert bench_datasets.rate([{"samples": [8.0], "items": 16.0}])["per_second"] == 2e6


def test_windows_of_a_batch_are_of_one_length() -> None:
    found = dataset_process.batches([(0, 0, 3), *[(1, k % 20, k % 20 + 16) for k in range(300)]])
    assert [len(part) for part in found] == [256, 45]
    assert {stop - start for part in found for _, start, stop in part} == {3}


def test_first_windows_are_of_episodes_that_nobody_touched() -> None:
    made = Made()
    done = dataset_process.first_windows({"seed": 1, "picks": [[0, 0]] * 30, "steps": 16, "low": ["state"]}, made)
    assert sorted(made.asked) == [(1, 0, 16), (2, 0, 16), (3, 0, 16)]
    assert done["items"] == 16


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux tells the most memory anew")
def test_memory_is_of_this_program_and_its_peak_can_be_forgotten() -> None:
    before = dataset_process.memory()
    block = np.ones(64 << 20, np.uint8)
    after = dataset_process.memory()
    assert after["now"] - before["now"] > 60 << 20
    assert after["peak"] >= after["now"]
    assert block[-1] == 1
    del block
    dataset_process.forget_peak()
    assert dataset_process.memory()["peak"] < after["now"] - (30 << 20)


def test_rows_with_peers_that_are_absent() -> None:
    ask = answering(robocache=Made, lerobot=bench_datasets.Refused("FileNotFoundError: no meta/info.json"))
    rows = bench_datasets.measure("a/b/set", OPTIONS, ask)
    timed = ["import", "open", "first", "first_windows", "windows", "batches", "pictures", "encoded", "pass"]
    assert list(by_op(rows)) == [*timed, "memory"]
    for row in rows[:-1]:
        assert row["peers"]["tensorflow_datasets"] == {"absent": "not installed"}
        assert row["peers"]["lerobot"]["absent"].startswith("cannot read it: ")
        assert row["peers"]["lerobot items"] == {"absent": "decodes a picture with every window"}
        assert row["distribution"] == "set"
        assert row["goal"] == ({"wall_us": 0.3e6} if row["op"] == "import" else {})
        _results.brief(row)
    picked = dataset_process.windows(Made(), list(dataset_process.picks(1, 30)), 16)
    steps = sum(stop - start for _, start, stop in picked) / 30
    assert steps < 16  # windows of short episodes are shorter, and count so
    assert by_op(rows)["windows"]["items"] == pytest.approx(steps)
    assert by_op(rows)["open"]["wall_us"]["median"] == 2.0
    assert by_op(rows)["windows"]["names"] == {"low": ["state", "action"], "pictures": ["cam"]}
    assert by_op(rows)["memory"]["resident_bytes"]["import"] == 7
    json.dumps(rows, allow_nan=False)


def test_all_are_asked_for_the_names_that_all_have() -> None:
    ask = answering(robocache=Made, lerobot=Other, tensorflow_datasets=bench_datasets.Refused("x"))
    rows = by_op(bench_datasets.measure("a/set/1.0.0", OPTIONS, ask))
    assert rows["windows"]["distribution"] == "set/1.0.0"
    assert rows["windows"]["names"] == {"low": ["state"], "pictures": ["cam"]}
    assert rows["windows"]["goal"] == {"over_lerobot": 5}
    assert rows["pictures"]["goal"] == {"over_lerobot": 1}
    told = rows["windows"]["peers"]["lerobot"]["compared"]
    assert told["cast"] == ["state: float64 and float32"]
    assert (told["levels_apart"], told["pictures"]) == (1.0, OPTIONS.shown)
    picked = dataset_process.windows(Made(), list(dataset_process.picks(1, 30)), 16)
    assert told["values"] == sum(stop - start for _, start, stop in picked) + 30 * 3  # and those of the batches
    assert "lerobot" not in rows["encoded"]["peers"]
    assert rows["memory"]["peers"]["lerobot"]["resident_bytes"]["import"] == 7
    assert rows["windows"]["peers"]["tensorflow_datasets"] == {"absent": "cannot read it: Refused: x"}


def test_one_that_is_read_in_order_is_asked_for_nothing_else() -> None:
    rows = by_op(bench_datasets.measure("a/set", OPTIONS, answering(**{"robocache": Made, "tf.data": InOrder})))
    assert "tf.data" in rows["pass"]["peers"]
    assert not {"tf.data"} & {*rows["windows"]["peers"], *rows["pictures"]["peers"], *rows["encoded"]["peers"]}


def test_contenders_take_turns() -> None:
    asked = []
    ask = answering(robocache=Made, lerobot=Made)

    def noted(library: str, path: str, what: str, **job: Any) -> Any:
        asked.extend([library] if what == "time" else [])
        return ask(library, path, what, **job)

    bench_datasets.measure("a/b/set", OPTIONS, noted)
    assert asked == ["robocache", "lerobot"] * OPTIONS.runs


def test_wrong_values_stop_the_dataset_before_anything_is_timed() -> None:
    asked = []
    ask = answering(robocache=Made, lerobot=Wrong, tensorflow_datasets=Made)

    def noted(library: str, path: str, what: str, **job: Any) -> Any:
        asked.append(what)
        return ask(library, path, what, **job)

    with pytest.raises(_results.WrongResult, match="state differs"):
        bench_datasets.measure("a/b/set", OPTIONS, noted)
    assert set(asked) == {"prepare", "check", "sizes"}


def test_python_keeps_what_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip does with the peers: else every process would compile our modules anew, and be said to import them."""
    ran = []
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("HF_HOME", "there")

    def run(command: list[str], **how: Any) -> Any:
        ran.append(how["env"])
        return SimpleNamespace(returncode=0, stdout='\n{"done": 1}\n', stderr="")

    monkeypatch.setattr(bench_datasets.subprocess, "run", run)
    assert bench_datasets.ask({}, "robocache", "a/set", "time") == {"done": 1}
    assert "PYTHONDONTWRITEBYTECODE" not in ran[0]
    assert ran[0]["HF_HOME"] == "there"


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
