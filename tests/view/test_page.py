"""`robocache report`: one file of HTML whose numbers are those of the samples; nothing of a dataset is markup."""

import base64
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from robocache.cli.main import main
from robocache.datasets import Span
from robocache.datasets._faults import fault
from robocache.view.plots import number, plot, ticks
from robocache.view.summaries import MEASURES, histogram, measures, survey
from tests.datasets import toy
from tests.view import robots

MakeSet = Callable[..., str]
VOID = {"meta", "img", "input", "br", "link"}
HOSTILE = "<script>alert(1)</script>\"'&</style><!-- \x00\ud800"


class Page(HTMLParser):
    """Tags with their attributes, tables as rows of cells, and the data of plots; fails on tags that do not close."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.rows: list[list[str]] = []
        self.words: list[str] = []
        self.plots: list[Any] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, dict(attributes)))
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: Any) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script" and data.startswith("{"):
            self.plots.append(json.loads(data))
        elif {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data
        else:
            self.words.append(data)


def write(capsys: Any, path: str, out: Path, *options: str) -> tuple[Page, dict[str, Any], int]:
    status = main(["report", path, "--out", str(out), "--json", *options])
    return Page(out.read_text("utf-8")), json.loads(capsys.readouterr().out), status


def test_numbers_on_the_page_are_those_of_the_samples(capsys: Any, make_set: MakeSet, tmp_path: Path) -> None:
    episodes = [robots.robot("monday"), robots.robot("tuesday", seed=8)]
    page, said, status = write(capsys, make_set(episodes), tmp_path / "a.html")
    assert status == 0
    joints = np.concatenate([one["joints"].read() for one in episodes])
    header = next(row for row in page.rows if row[:2] == ["feature", "finite"])
    table = page.rows[page.rows.index(header) + 1 :][:8]
    for k, row in enumerate(table):
        column = joints[:, k]
        low, middle, high = np.percentile(column, [1, 50, 99])
        expected = [column.mean(), column.std(), column.min(), low, middle, high, column.max()]
        assert row[:2] == [f"[{k}]", "540"]
        np.testing.assert_allclose([float(cell) for cell in row[2:]], expected, rtol=1e-4)
    stats = next(one for one in said["streams"] if one["name"] == "joints")["statistics"]
    assert stats[3]["mean"] == pytest.approx(joints[:, 3].mean())
    at = next(k for k, one in enumerate(page.plots) if one["label"] == "rad")
    course, counts, steps = page.plots[at - 1 : at + 2]
    assert (course["label"], counts["label"], steps["label"]) == ("seconds", "rad", "milliseconds")
    moving = np.sort(np.argsort(-np.ptp(joints, axis=0))[:6])
    assert course["names"] == [f"[{k}]" for k in moving]
    for k, series in zip(moving, course["series"], strict=True):
        np.testing.assert_allclose([float(v) for v in series], episodes[0]["joints"].read()[:, k], rtol=1e-4)
    for k, series in zip(moving, counts["series"], strict=True):
        expected, _ = np.histogram(joints[:, k], 40, (joints[:, moving].min(), joints[:, moving].max()))
        assert [float(v) for v in series] == expected.tolist()
    assert sum(float(v) for v in steps["series"][0]) == 2 * 269
    row = next(row for row in page.rows if row[0] == "joints")
    assert row[4:7] == ["rad", "true (log clock)", number(1e9 / np.sort(np.diff(episodes[0]["joints"].times))[134])]
    assert (row[8], row[10], row[11]) == ("2", "0", "0")


def test_the_episodes_read_are_few_and_said(capsys: Any, make_set: MakeSet, tmp_path: Path) -> None:
    episodes = [toy.episode(k, toy.stream("a", np.full(3, float(k)), rate=5), length=3) for k in range(9)]
    path = make_set(episodes, control_hz=5.0, control_hz_origin="file")
    page, said, _ = write(capsys, path, tmp_path / "a.html", "--episodes", "3")
    assert any("3 of 9 episodes, evenly apart" in words for words in page.words)
    (a,) = said["streams"][0]["statistics"]
    assert (a["min"], a["median"], a["max"], a["finite"]) == (0.0, 4.0, 8.0, 9.0)
    assert ["a", "vector", "scalar", "float64", "-", "made, 5 Hz (file)", *["-"] * 6] in page.rows
    again = (tmp_path / "a.html").read_bytes()
    write(capsys, path, tmp_path / "a.html", "--episodes", "3")
    assert (tmp_path / "a.html").read_bytes() == again


def test_nothing_is_fetched_and_nothing_of_the_data_is_markup(capsys: Any, make_set: MakeSet, tmp_path: Path) -> None:
    bad = toy.stream(HOSTILE, np.zeros((4, 2)), rate=5, unit=HOSTILE, names=(HOSTILE, "b"))
    says = toy.stream("says", np.array([HOSTILE] * 4, object), rate=5, kind="text", dtype=np.dtype(object))
    cam = toy.stream("cam" + HOSTILE, np.zeros((4, 2, 2, 3), np.uint8), rate=5, kind="image")
    one = toy.episode(HOSTILE, bad, says, cam, language=(Span(0, 1, HOSTILE),), length=4)
    path = make_set([one], meta={HOSTILE: HOSTILE}, name=HOSTILE)
    page, _, status = write(capsys, path, tmp_path / "a.html")
    html = (tmp_path / "a.html").read_text("utf-8")
    assert status == 0
    assert "<script>alert" not in html
    assert "<!--" not in html
    assert html.count("<script") == 1 + len(page.plots)
    assert not re.search(r"(?:https?:)?//\w", re.sub(r"base64,[\w+/=]+", "", html))
    for _, attributes in page.tags:
        assert not {key for key in attributes if key.startswith("on")}
        for key in ("src", "href"):
            assert attributes.get(key) is None or attributes[key].startswith(("data:image/png", "#"))
    (policy,) = [a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none';")
    assert any("<script>alert(1)</script>" in row[0] for row in page.rows), "it is shown as what it is"


def test_what_is_on_the_page_has_a_name(capsys: Any, make_set: MakeSet, tmp_path: Path) -> None:
    page, _, _ = write(capsys, make_set([robots.robot()]), tmp_path / "a.html")
    ids = [a["id"] for _, a in page.tags if "id" in a]
    assert len(ids) == len(set(ids))
    assert {a["href"][1:] for tag, a in page.tags if tag == "a"} <= set(ids)
    assert all(a.get("alt") for tag, a in page.tags if tag == "img")
    assert all(a.get("aria-label") for tag, a in page.tags if tag in ("svg", "input") or a.get("role") == "region")
    assert all(a.get("aria-pressed") == "true" for tag, a in page.tags if tag == "button")
    assert next(a for tag, a in page.tags if tag == "html")["lang"] == "en"
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in zip(levels[:-1], levels[1:], strict=True))


def test_pictures_are_those_of_the_camera(capsys: Any, make_set: MakeSet, tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    page, _, _ = write(capsys, make_set([robots.robot()]), tmp_path / "a.html")
    frames = robots.robot()["camera/front"].read()
    shown = [a for tag, a in page.tags if tag == "img"]
    assert len(shown) == 6
    for attributes in shown:
        data = base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,"))
        at = int(re.search(r"picture (\d+) of 64", attributes["alt"])[1])
        assert np.array_equal(np.asarray(image.open(io.BytesIO(data))), frames[at])


def test_what_cannot_be_read_is_said_and_the_rest_is_there(capsys: Any, make_set: MakeSet, tmp_path: Path) -> None:
    class Bad(toy.Values):
        def take(self, at: Any) -> Any:
            raise fault("is cut off", file="a.bin", key="cam")

    cam = toy.stream("cam", np.zeros(3), rate=5)
    cam.source = Bad(np.zeros(3))
    path = make_set([toy.episode(0, cam, toy.stream("a", np.ones(3), rate=5)), fault("no episode", episode=1)])
    page, said, status = write(capsys, path, tmp_path / "a.html")
    assert status == 1
    assert set(said["problems"]) == {"a.bin, cam: is cut off", "episode 1: no episode"}
    assert {"a.bin, cam: is cut off", "episode 1: no episode"} <= set(page.words)
    assert ["value", "3", "1", "0", "1", "1", "1", "1", "1"] in page.rows


@pytest.mark.parametrize(
    "options, said",
    [
        (("--episodes", "0"), "expected 1 or more"),
        (("--out", "a.txt"), "--out: expected a file of .html"),
        (("--out", "none/a.html"), "--out: none/a.html cannot be written"),
        (("--format", "nonsense"), "nonsense"),
    ],
)
def test_bad_calls(
    capsys: Any, make_set: MakeSet, tmp_path: Path, monkeypatch: Any, options: tuple[str, ...], said: str
) -> None:
    path = make_set([robots.robot()])
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    assert main(["report", path, *options]) == 2
    assert said in capsys.readouterr().err
    assert sorted(tmp_path.iterdir()) == before


def test_a_page_needs_no_library(capsys: Any, make_set: MakeSet, tmp_path: Path, monkeypatch: Any) -> None:
    for name in ("matplotlib", "PIL", "simplejpeg", "rerun"):
        monkeypatch.setitem(sys.modules, name, None)
    page, _, status = write(capsys, make_set([robots.robot()]), tmp_path / "a.html")
    assert status == 0
    assert sum(tag == "img" for tag, _ in page.tags) == 6


def test_odd_streams() -> None:
    ragged = np.empty(3, object)
    ragged[:] = [np.zeros((k + 1, 3), np.float32) for k in range(3)]
    odd = robots.dataset(
        toy.episode(
            0, toy.stream("nan", np.full((4, 2), np.nan), rate=5), toy.stream("one", np.ones(1), np.zeros(1, np.int64)),
            toy.stream("none", np.zeros((0, 2))), toy.stream("huge", np.array([1e308, -1e308, np.inf, 1.0])),
            toy.stream("cloud", ragged, rate=5, kind="cloud", shape=(None, 3)),
            toy.stream("wide", np.zeros((2, 80)), rate=5),
            toy.stream("unrated", np.arange(5.0)), toy.stream("nothing", np.zeros((3, 0)), rate=5),
            toy.stream("tiny", 1e18 + np.arange(3.0) * 128, rate=5),
        ),
        toy.episode(1, toy.stream("wide", np.zeros((2, 81)), rate=5)),
    )  # fmt: skip
    found, problems = survey(odd)
    by_name = {one.name: one for one in found}
    assert problems == []
    assert by_name["nan"].table[:, 0].tolist() == [0, 0]
    assert by_name["nan"].histogram is None
    assert by_name["none"].samples == 0
    assert by_name["huge"].histogram is None
    assert by_name["cloud"].table[0].tolist()[3] == 1
    assert by_name["wide"].notes == ["shapes differ between episodes: no statistics"]
    assert not by_name["unrated"].timed
    assert by_name["unrated"].course[0].tolist() == [0, 1, 2, 3, 4]
    for one in found:
        if one.course is not None:
            Page(plot("t", "", one.course[0], one.course[1], one.drawn_labels, "s"))


def test_long_streams_are_read_in_part(monkeypatch: Any) -> None:
    monkeypatch.setattr("robocache.view.summaries.SAMPLES", 50)
    (one,), _ = survey(robots.dataset(toy.episode(0, toy.stream("a", np.arange(1000.0), rate=100))))
    assert (one.read, one.samples) == (50, 1000)
    assert one.table[0, [3, 7]].tolist() == [0, 999]


@given(hnp.arrays(np.float64, st.integers(0, 60), elements=st.floats(-1e9, 1e9) | st.just(np.nan)))
def test_measures_and_histograms(column: Any) -> None:
    known = [float(v) for v in column if v == v]
    found = dict(zip(MEASURES, measures(column), strict=True))
    assert found["finite"] == len(known)
    counted = histogram(column[:, None])
    if not known:
        assert counted is None
        return
    assert (found["min"], found["max"]) == (min(known), max(known))
    assert found["mean"] == pytest.approx(sum(known) / len(known), abs=1e-5)
    assert found["median"] == pytest.approx((sorted(known)[(len(known) - 1) // 2] + sorted(known)[len(known) // 2]) / 2)
    if counted is not None:
        assert counted.counts.sum() == len(known)


@given(st.floats(-1e9, 1e9), st.floats(1e-6, 1e9), st.integers(2, 9))
def test_ticks_are_round_and_within(low: float, wide: float, most: int) -> None:
    found = ticks(low, low + wide, most)
    assert len(found) <= most + 1
    slack = 1e-6 * wide + 1e-9 * abs(low)
    assert all(low - slack <= tick <= low + wide + slack for tick in found)


def test_in_a_browser(capsys: Any, make_set: MakeSet, tmp_path: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None or sys.platform != "linux":
        pytest.skip("no Chromium on this machine")
    write(capsys, make_set([robots.robot()]), tmp_path / "a.html")
    acts = """<script>
    const said = [], key = document.querySelector("button"), figure = key.closest("figure");
    const slider = figure.querySelector("input"), output = figure.querySelector("output");
    key.focus(); said.push(document.activeElement === key);
    key.click(); said.push(key.getAttribute("aria-pressed"));
    said.push(getComputedStyle(figure.querySelector("[data-series='0']")).display);
    slider.value = 7; slider.dispatchEvent(new Event("input")); said.push(output.textContent);
    key.click(); said.push(key.getAttribute("aria-pressed"), output.textContent);
    said.push(document.documentElement.scrollWidth <= innerWidth);
    document.body.textContent = JSON.stringify(said);</script>"""
    page = (tmp_path / "a.html").read_text("utf-8").replace("</body>", acts + "</body>")
    (tmp_path / "b.html").write_text(page, "utf-8")
    command = [
        browser,
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        f"--user-data-dir={tmp_path / 'profile'}",
        "--dump-dom",
    ]
    command.append((tmp_path / "b.html").as_uri())
    ran = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
    said = json.loads(re.search(r"<body>(.*)</body>", ran.stdout, re.DOTALL)[1])
    focused, off, hidden, before, on, after, fits = said
    joints = robots.robot()["joints"].read()
    first, *others = np.sort(np.argsort(-np.ptp(joints, axis=0))[:6])
    assert (focused, off, hidden, on, fits) == (True, "false", "none", "true", True)
    assert before.endswith(": " + ", ".join(f"[{k}] {number(joints[7, k])}" for k in others))
    assert f": [{first}] {number(joints[7, first])}, " in after
