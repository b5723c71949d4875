"""`robocache validate` finds every kind of fault, goes on after each, and its exit status is what a gate needs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from robocache.cli.main import main
from robocache.datasets import Dataset, Finding, Span, register
from robocache.datasets._faults import fault
from robocache.datasets.inspection import inspect_dataset
from robocache.errors import BackendError
from tests.datasets import toy

MakeSet = Callable[..., str]
TICKS = np.arange(200, dtype=np.int64) * 10


def run(capsys: Any, *argv: str) -> tuple[int, str, str]:
    status = main(["validate", *argv])
    return status, *capsys.readouterr()


def good(name: Any = 0, count: int = 200) -> Any:
    state = toy.stream("state", np.zeros((count, 7), np.float32), rate=5)
    return toy.episode(name, state, toy.stream("imu", np.zeros(count), TICKS[:count]), length=count)


def findings(folder: Path, *streams: Any, deep: bool = False, **more: Any) -> list[Finding]:
    return list(inspect_dataset(toy.dataset(folder, [toy.episode(3, *streams, **more)]), deep=deep))


class Failing(toy.Values):
    """Samples of which some cannot be read."""

    def __init__(self, values: Any, *bad: int) -> None:
        super().__init__(values)
        self.bad = set(bad)

    def take(self, at: Any) -> Any:
        if self.bad & set(np.arange(len(self.array))[at].tolist()):
            raise fault("is no JPEG", file="a.bin", key="cam")
        return super().take(at)


def failing(*bad: int, count: int = 200) -> Any:
    one = toy.stream("cam", np.zeros(count), TICKS[:count])
    one.source = Failing(np.zeros(count), *bad)
    return one


# ---- what is wrong -------------------------------------------------------------------------------------------------


def test_nothing_is_wrong(tmp_path: Path) -> None:
    empty = toy.stream("none", np.zeros((0, 3)), np.zeros(0, np.int64))
    text = toy.stream("text", np.array(["a", b"b"], object), TICKS[:2], kind="text", dtype=np.dtype(object))
    ragged = np.empty(2, object)
    ragged[:] = [np.zeros((3, 2)), np.zeros((5, 2))]
    cloud = toy.stream("cloud", ragged, TICKS[:2], kind="cloud", shape=(None, 2))
    spans = (Span(0, 2, "all"), Span(1, 1, "none"))
    assert findings(tmp_path, empty, text, cloud, deep=True, language=spans, length=2) == []
    assert list(inspect_dataset(toy.dataset(tmp_path, [good(0), good(1, 7)]), deep=True)) == []


def test_stamps(tmp_path: Path) -> None:
    stamps = TICKS[:8].copy()
    stamps[3], stamps[6] = stamps[2], 5
    assert findings(tmp_path, toy.stream("imu", np.zeros(8), stamps)) == [
        Finding("error", "1 stamps are earlier than the one before, first 5 after 50 at sample 6", None, 3, "imu"),
        Finding("warning", "1 stamps repeat the one before, first 20 at sample 3", None, 3, "imu"),
    ]
    count = toy.stream("imu", np.zeros(8), TICKS[:7])
    assert [(f.level, f.key) for f in findings(tmp_path, count)] == [("error", "imu")]


def test_lengths_on_the_index_clock(tmp_path: Path) -> None:
    three = [toy.stream(name, np.zeros(n)) for name, n in (("a", 4), ("b", 5), ("c", 4))]
    (found,) = findings(tmp_path, *three, toy.stream("d", np.zeros(9), TICKS[:9]))
    assert found == Finding("warning", "streams of the index clock differ in length (4: a, c; 5: b)", episode=3)


@pytest.mark.parametrize("announced, said", [
    ({"dtype": np.dtype(np.float32)}, "samples are float64, announced as float32"),
    ({"shape": (3,)}, "a sample has the shape (2,), announced as (3,)"),
    ({"shape": (None, 2)}, "a sample has the shape (2,), announced as (None, 2)"),
    ({"dtype": np.dtype(object)}, "samples are float64, announced as object"),
])  # fmt: skip
def test_samples_that_are_not_as_announced(tmp_path: Path, announced: dict[str, Any], said: str) -> None:
    wrong = toy.stream("state", np.zeros((5, 2)), TICKS[:5], **announced)
    assert findings(tmp_path, wrong) == [Finding("error", said, None, 3, "state")]


def test_objects_that_are_not_as_announced(tmp_path: Path) -> None:
    ragged = np.empty(2, object)
    ragged[:] = [np.zeros((3, 2)), np.zeros((3, 4))]
    cloud = toy.stream("cloud", ragged, TICKS[:2], kind="cloud", shape=(None, 2))
    text = toy.stream("text", np.array(["a", 1.5], object), TICKS[:2], kind="text")
    assert [f.message for f in findings(tmp_path, cloud, text)] == [
        "a sample has the shape (3, 4), announced as (None, 2)",
        "samples are float, announced as text",
    ]


def test_a_source_that_leaves_samples_out_is_seen(tmp_path: Path) -> None:
    short = toy.stream("state", np.zeros(100), TICKS[:100])
    short.source = toy.Values(np.zeros(70))
    assert findings(tmp_path, short, deep=True)[0].message == "6 samples were read where 36 were asked for"


@pytest.mark.parametrize("deep, bad, count", [(False, (100,), 0), (False, (199,), 1), (True, (1, 100, 101), 2)])
def test_deep_reads_every_sample_and_goes_on(tmp_path: Path, deep: bool, bad: tuple[int, ...], count: int) -> None:
    found = findings(tmp_path, failing(*bad), deep=deep)
    assert found == count * [Finding("error", "a.bin, cam: is no JPEG", "a.bin", 3, "cam")]


def test_instructions_and_metadata(tmp_path: Path) -> None:
    def bad() -> Any:
        raise fault("no text", file="lang.npy")

    late = findings(tmp_path, language=(Span(0, 6, "x"), Span(3, 2, "y"), Span(-1, 2, "z")), length=5)
    assert [f.level for f in late] == ["warning"] * 3
    assert "0 to 6 of 5" in late[0].message
    for broken in ({"language": bad}, {"meta": bad}):
        assert findings(tmp_path, **broken) == [Finding("error", "lang.npy: no text", "lang.npy", 3)]


def test_counts_of_the_whole(tmp_path: Path) -> None:
    def said(**facts: Any) -> list[str]:
        return [f.message for f in inspect_dataset(toy.dataset(tmp_path, [good(0), good(1)], **facts))]

    def bad() -> Any:
        raise fault("cut off", file="x")

    assert said(lengths=lambda: [200, 199]) == ["has 200 steps, and the dataset says 199"]
    assert said(lengths=lambda: [200]) == ["lengths of 1 episodes are given, and there are 2"]
    assert said(splits={"a": [0, 2], "b": [-1]}) == [
        "split 'a' names episodes [2], and there are 2",
        "split 'b' names episodes [-1], and there are 2",
    ]
    assert said(lengths=bad) == ["x: cut off"]


def test_an_episode_that_cannot_be_opened_does_not_hide_the_next(tmp_path: Path) -> None:
    wrong = toy.episode(2, toy.stream("s", np.zeros(2), TICKS[:2], dtype=np.dtype(np.int8)))
    found = list(inspect_dataset(toy.dataset(tmp_path, [fault("gone", file="x"), wrong])))
    assert [(f.episode, f.key) for f in found] == [(0, None), (2, "s")]


# ---- the command ---------------------------------------------------------------------------------------------------


def test_exit_status(capsys: Any, make_set: MakeSet) -> None:
    repeated = TICKS[:5].copy()
    repeated[4] = repeated[3]
    assert run(capsys, make_set([good()]))[0] == 0
    path = make_set([good(), toy.episode(1, toy.stream("imu", np.zeros(5), repeated), length=5)])
    status, out, _ = run(capsys, path)
    assert (status, out.splitlines()[0]) == (
        0,
        "warning  episode 1, imu: 1 stamps repeat the one before, first 30 at sample 4",
    )
    assert out.splitlines()[-1] == "0 errors, 1 warnings"
    assert run(capsys, path, "--strict")[0] == 1
    path = make_set([good(), toy.episode(1, toy.stream("imu", np.zeros(5), -TICKS[:5]))])
    assert run(capsys, path)[0] == 1


def test_what_the_reader_finds_comes_first_and_nothing_twice(capsys: Any, make_set: MakeSet) -> None:
    def own() -> Iterator[Finding]:
        yield Finding("error", "the checksum differs", "a.bin", 7)
        yield Finding("error", "a.bin, cam: is no JPEG", "a.bin", 0, "cam")
        raise fault("is cut off", file="b.bin")

    path = make_set([toy.episode(0, failing(0))], findings=own)
    status, out, _ = run(capsys, path, "--json")
    said = json.loads(out)
    assert status == 1
    assert [finding["message"] for finding in said.pop("findings")] == [
        "the checksum differs",
        "a.bin, cam: is no JPEG",
        "b.bin: is cut off",
    ]
    assert said == {
        "ok": False, "path": path, "format": "toy", "episodes": 1, "deep": False, "strict": False, "errors": 3,
        "warnings": 0,
    }  # fmt: skip
    assert run(capsys, path)[1].splitlines()[:3] == [
        "error    a.bin, episode 7: the checksum differs",
        "error    episode 0: a.bin, cam: is no JPEG",
        "error    b.bin: is cut off",
    ]


def test_the_limit_is_of_lines_not_of_counts(capsys: Any, make_set: MakeSet) -> None:
    path = make_set([fault(f"gone {k}", file="x") for k in range(30)])
    status, out, _ = run(capsys, path, "--limit", "4")
    assert status == 1
    assert sum(line.startswith("error") for line in out.splitlines()) == 4
    assert out.splitlines()[-1] == "30 errors, 0 warnings (26 not shown; --limit shows more)"
    assert len(json.loads(run(capsys, path, "--limit", "4", "--json")[1])["findings"]) == 30
    assert run(capsys, path, "--limit", "-1")[0] == 2


def test_findings_are_printed_as_they_come(capsys: Any, make_set: MakeSet) -> None:
    seen = []

    def own() -> Iterator[Finding]:
        yield Finding("warning", "first")
        seen.append(capsys.readouterr().out)
        yield Finding("warning", "\x1b[2Jsecond")

    assert run(capsys, make_set([good()], findings=own))[1].splitlines()[0] == "warning  \\x1b[2Jsecond"
    assert seen == ["warning  first\n"]


def test_damage_that_stops_opening_is_a_finding(capsys: Any, registered: None, tmp_path: Path) -> None:
    def open_damaged(path: Path, **_: Any) -> Dataset:
        raise fault("is no JSON that can be read", file=path / "toy.json")

    register(toy.reader("toy", open_damaged))
    (tmp_path / "toy.json").write_text("{")
    status, out, _ = run(capsys, str(tmp_path))
    assert status == 1
    assert out.startswith(f"error    {tmp_path / 'toy.json'}: is no JSON")
    said = json.loads(run(capsys, str(tmp_path), "--json")[1])
    assert (said["errors"], said["episodes"], said["findings"][0]["file"]) == (1, None, str(tmp_path / "toy.json"))


def test_a_call_that_cannot_be_carried_out(capsys: Any, make_set: MakeSet, tmp_path: Path) -> None:
    path = make_set([good()])
    (tmp_path / "other").mkdir()
    for argv in (
        [str(tmp_path / "nothing")], [str(tmp_path / "other")], [path, "--format", "nonsense"],
        [path, "--split", "nonsense"], [path, "--control-hz", "-1"],
    ):  # fmt: skip
        status, out, err = run(capsys, *argv)
        assert (status, out) == (2, "")
        assert err.startswith("robocache validate: ")


def test_a_missing_decoder_is_no_fault_of_the_data(capsys: Any, make_set: MakeSet) -> None:
    class Absent(toy.Values):
        def take(self, at: Any) -> Any:
            raise BackendError("decoding JPEG needs simplejpeg")

    one = toy.stream("cam", np.zeros(3), TICKS[:3])
    one.source = Absent(None)
    status, _, err = run(capsys, make_set([toy.episode(0, one)]))
    assert status == 2
    assert "simplejpeg" in err
