"""The page on speed is what the committed JSON says, and nothing that does not count gets into it."""

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks import _plots, _results, _svg, report

ROOT = Path(__file__).resolve().parent.parent
CPU = {"machine": {"date": "2026-01-01", "commit": "abc", "cpu": "A CPU", "cpu_count": 2, "gpu": "none"}}
CARD = {"machine": {**CPU["machine"], "gpu": "NVIDIA H200", "capability": "9.0"}}


def spread(value):
    return {"median": value, "q1": value, "q3": value, "min": value, "runs": 3}


def row(took, peer, **more):
    return {
        "op": "resample",
        "backend": "cuda",
        "method": "linear",
        "shapes": {"B": 1, "S": 2, "T": 3, "D": 4},
        "dtypes": {"values": "float32", "times": "int64"},
        "distribution": "random",
        "bytes": 1000,
        "device_us": spread(took),
        "copy_us": spread(1.0),
        "share": 1.0 / took,
        "peers": {"torch": {"device_us": spread(peer)}, "jax": {"absent": "not installed"}},
        **more,
    }


def result(suite="trajectory", rows=(), base=CARD, **more):
    return {"schema": _results.SCHEMA, "suite": suite, **base, "rows": list(rows), **more}


def stored(folder, name, content):
    (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")
    return folder


def test_the_page_is_what_the_committed_json_says():
    expected = report.page(report.load(report.RESULTS))
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    assert page == expected, "run `python3 -m benchmarks.report`"


def test_every_plot_on_the_page_exists_and_no_other():
    page = (ROOT / "docs" / "performance.md").read_text("utf-8")
    linked = set(re.findall(r"\(performance/([\w.]+)\)", page))
    assert linked == {path.name for path in (ROOT / "docs" / "performance").glob("*")}


@pytest.mark.parametrize("lost", ["machine", "commit", "gpu and cpu"])
def test_a_result_without_machine_or_commit_is_refused(tmp_path, lost):
    content = json.loads(json.dumps(result(rows=[row(2.0, 4.0)])))
    if lost == "machine":
        del content["machine"]
    elif lost == "commit":
        content["machine"]["commit"] = "unknown"
    else:
        del content["machine"]["gpu"], content["machine"]["cpu"]
    stored(tmp_path, "one", content)
    with pytest.raises(_results.ResultError, match="does not say"):
        report.load(tmp_path)


def test_a_result_with_failed_rows_is_refused(tmp_path):
    stored(tmp_path, "one", result(rows=[row(2.0, 4.0)], failed=["WrongResult: error 3"]))
    with pytest.raises(_results.ResultError, match="rows that failed: WrongResult"):
        report.load(tmp_path)


def test_losing_rows_are_shown_and_marked(tmp_path):
    slow = row(2.0, 1.0, shapes={"B": 77}, goal={"share": 0.9, "over_torch": 2})
    page = report.page(report.load(stored(tmp_path, "one", result(rows=[row(2.0, 4.0), slow]))))
    (listed,) = [line for line in page.splitlines() if line.startswith("| one | resample")]
    assert "B 77" in listed
    assert "torch **0.50x** (device)" in listed
    assert "share ≥ 0.9: **missed: 0.50**; over torch ≥ 2: **missed: 0.50**" in page
    assert "0 of 2 goals that were measured are met. 1 of 2 rows are slower than some peer:" in page
    assert "jax: not installed (2 rows)" in page


def test_only_measured_cards_have_figures(tmp_path):
    figures = [{"name": name, "op": name, "figure": 3.0} for name in ("copy", "resample", "call", "count")]
    stored(tmp_path, "mine", result("bench", figures))
    stored(tmp_path, "hasty", result("bench", figures, {"machine": {**CARD["machine"], "gpu": "Tesla T4"}}, quick=True))
    table = report.page(report.load(tmp_path)).split("## Hardware")[1]
    cards = [line for line in table.splitlines() if re.match(r"\| (NVIDIA|Tesla)", line)]
    assert [line for line in cards if "compiles, not run" not in line] == [
        "| NVIDIA H200 | 9.0 | 3.00 | 3.00 | 3.00 | 3.00 | mine |"
    ]
    assert len(cards) == len(report.CARDS)


def test_a_predecessor_is_a_labelled_constant(tmp_path):
    page = report.page(report.load(stored(tmp_path, "one", result(rows=[row(2.0, 4.0, predecessor_us=26.2)]))))
    assert "predecessor (µs, measured earlier on the same kind of GPU)" in page
    assert "13.1x of 26.2" in page


def test_readers_of_datasets_are_beside_their_peers_where_they_lose_too(tmp_path):
    def read(op, took, peer, **more):
        told = {"values": 70, "pictures": 5, "levels_apart": 2.136, "decoder": "OpenCV", "cast": []}
        peers = {"lerobot": {"wall_us": spread(peer), "per_second": 16e6 / peer, "compared": told}}
        row = {"op": op, "method": "robocache", "backend": "cpu", "distribution": "arm", "shapes": {}, "dtypes": {}}
        row |= {"wall_us": spread(took), "per_second": 16e6 / took, "peers": peers, "goal": {}}
        return row | more

    rows = [read("import", 1e5, 8e6), read("open", 4e5, 1e5), read("first", 1e3, 2e3)]
    rows += [read("windows", 16.0, 160.0, goal={"over_lerobot": 5}), read("pass", 4e6, 2e6)]
    rows.append({**rows[0], "op": "memory", "resident_bytes": {"import": 36e6, "pass": 5e8}, "peers": {}})
    del rows[-1]["wall_us"]
    rows.append(
        {**rows[-1], "op": "installed", "method": "robocache[rlds]", "bytes": 3e8, "packages": {"a": 1, "b": 2}}
    )
    page = report.page(report.load(stored(tmp_path, "read", result("datasets", rows, CPU, load_average=[5.0, 6.1]))))
    for line in (
        "| from import to the first step | 501 ms | 8,102 ms | 16.2x | - |",
        "| open | 400 ms | 100 ms | **0.25x** | - |",
        "| random windows, one a call | 1,000,000 steps/s | 100,000 steps/s | 10.0x | over lerobot ≥ 5: met |",
        "- lerobot: 70 numbers equal to the bit; 5 pictures, 2.14 of 256 levels apart at most on average (decoded by",
        "| arm | robocache | 36.0 | 500 |",
        "| robocache[rlds] | 300 | 2 |",
        "Load average of the machine meanwhile: 5.0, 6.1.",
        "| read | open robocache | arm | lerobot **0.25x** (wall) |",
        "| read | pass robocache | arm | lerobot **0.50x** (wall) |",
    ):
        assert line in page, line


def test_plots_are_valid_and_the_same_every_time():
    rows = [row(2.0, 4.0), row(3.0, 1.0, bytes=10**9, backend="cpu")]
    sweep = [row(x, 1.0, sweep="resample S", x=x) for x in (1, 10, 100)]
    results = {"one": result(rows=rows), "two": result("scaling", sweep)}
    first, again = _plots.plots(results), _plots.plots(results)
    assert [plot.name for plot in first] == [
        "roofline_cuda.svg",
        "roofline_cpu.svg",
        "speedup_cuda.svg",
        "speedup_cpu.svg",
        "scaling_resample_cuda.svg",
    ]
    for plot, other in zip(first, again):
        assert plot == other
        assert ET.fromstring(plot.text).tag.endswith("svg")


def test_a_plot_places_points_by_decades():
    axis = _svg.log_axis("x", [3.0, 2000.0])
    assert (axis.low, axis.high) == (1.0, 10_000.0)
    assert axis.place(1.0) == 0
    assert axis.place(100.0) == pytest.approx(0.5)


def test_the_command_writes_checks_and_clears(tmp_path, monkeypatch):
    docs = tmp_path / "docs"
    results = tmp_path / "results"
    results.mkdir()
    stored(results, "one", result(rows=[row(2.0, 4.0)]))
    where = ["report", "--results", str(results), "--docs", str(docs)]
    monkeypatch.setattr("sys.argv", where)
    assert report.main() == 0
    (docs / "performance" / "stale.svg").write_text("", "utf-8")
    monkeypatch.setattr("sys.argv", [*where, "--check"])
    assert report.main() == 0
    stored(results, "two", result(rows=[row(2.0, 5.0)]))
    assert report.main() == 1
    monkeypatch.setattr("sys.argv", where)
    assert report.main() == 0
    assert {path.name for path in (docs / "performance").iterdir()} == {"roofline_cuda.svg", "speedup_cuda.svg"}
