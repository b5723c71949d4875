"""The robocache command: exit status, JSON, and that demo and selftest see what is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import make_selftest_answers
import numpy as np
import pytest

from robocache.cli import backends, demo, demo_checks, demo_picture, simulate
from robocache.cli.main import main, parser

ROOT = Path(__file__).resolve().parent.parent
PICTURE_HEADER = b"\x89PNG"


def run(capsys, *argv):
    """Exit status, standard output, standard error."""
    status = main(list(argv))
    return status, *capsys.readouterr()


@pytest.fixture(scope="module")
def short_demo():
    return demo.run(parser().parse_args(["demo", "--backend", "cpu", "--seconds", "2"]))


# ---- demo ---------------------------------------------------------------------------------------------------------


def test_demo_passes_and_says_so(short_demo):
    assert short_demo.ok
    assert "All checks passed." in short_demo.text
    assert {s["operation"] for s in short_demo.fields["stages"]} == {
        "fuse_multimodal",
        "resample_trajectories",
        "voxel_grid",
        "voxelize",
    }


def test_demo_flags_what_was_lost(short_demo):
    flagged = [check["flagged"] for check in short_demo.fields["checks"] if "flagged" in check]
    assert len(flagged) == 5
    assert sum(flagged) > 0


def test_demo_error_stays_under_a_bound_that_means_something(short_demo):
    shares = [check["share_of_bound"] for check in short_demo.fields["checks"] if "share_of_bound" in check]
    assert all(0.01 < share <= 1 for share in shares)


def test_demo_shows_what_float32_does(short_demo):
    naive = short_demo.fields["float32_stamps"]
    assert naive["distinct"] < naive["stamps"] / 100
    assert naive["step_seconds"] == 128
    assert naive["joint_error"] > 100 * naive["joint_error_int64"]


def test_demo_json(capsys):
    status, out, _ = run(capsys, "demo", "--backend", "cpu", "--seconds", "1", "--seed", "3", "--json")
    fields = json.loads(out)
    assert status == 0
    assert fields["ok"] is True
    assert fields["backend"] == "cpu"
    assert {"sensors", "stages", "checks", "float32_stamps", "picture"} <= fields.keys()


@pytest.mark.parametrize("spoil", ["values", "valid"])
def test_demo_check_sees_a_wrong_answer(spoil):
    sensor = next(s for s in simulate.record(2, 0) if s.name == "joints")
    times = sensor.captured[:-1] + 3_000_000
    gap = np.diff(sensor.captured)
    weight = 3_000_000 / gap[:, None]
    values = sensor.values[:-1] * (1 - weight) + sensor.values[1:] * weight
    valid = gap <= sensor.max_gap
    assert demo_checks.aligned(sensor, times, values, valid).ok
    if spoil == "values":
        values[5, 2] += 1e-2
    else:
        valid[np.argmin(valid)] = True
    assert not demo_checks.aligned(sensor, times, values, valid).ok


def test_demo_exit_status_when_a_check_fails(capsys, monkeypatch):
    monkeypatch.setattr(demo_checks, "grid", lambda *_: demo_checks.Check("grid counts", False, "made to fail"))
    status, out, _ = run(capsys, "demo", "--backend", "cpu", "--seconds", "1")
    assert status == 1
    assert "SOME CHECKS FAILED" in out


def test_demo_picture(capsys, tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "demo.png"
    status, out, _ = run(capsys, "demo", "--backend", "cpu", "--seconds", "1", "--picture", str(path))
    assert status == 0
    assert str(path) in out
    assert path.read_bytes().startswith(PICTURE_HEADER)


def test_demo_without_matplotlib_says_so(capsys, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    path = tmp_path / "demo.png"
    status, out, _ = run(capsys, "demo", "--backend", "cpu", "--seconds", "1", "--picture", str(path))
    assert status == 0
    assert demo_picture.MISSING in out
    assert not path.exists()


@pytest.mark.parametrize("path", ["missing/demo.png", "demo.nonsense"])
def test_demo_picture_that_cannot_be_written(capsys, tmp_path, path):
    pytest.importorskip("matplotlib")
    status, _, err = run(capsys, "demo", "--backend", "cpu", "--seconds", "1", "--picture", str(tmp_path / path))
    assert status == 2
    assert "--picture" in err


@pytest.mark.cuda
@pytest.mark.parametrize("argv", [("demo", "--seconds", "2"), ("selftest",)], ids=" ".join)
def test_on_the_gpu(capsys, argv):
    gpu, why = backends.cuda()
    if gpu is None:
        if os.environ.get("ROBOCACHE_REQUIRE_CUDA") == "1":
            pytest.fail(f"ROBOCACHE_REQUIRE_CUDA=1 but {why}")
        pytest.skip(why)
    status, out, _ = run(capsys, *argv, "--backend", "cuda", "--json")
    assert status == 0, out


def test_gpu_asked_for_but_missing(capsys, monkeypatch):
    monkeypatch.setattr(backends, "cuda", lambda: (None, "CuPy finds no CUDA device"))
    status, _, err = run(capsys, "demo", "--backend", "cuda")
    assert status == 2
    assert "no CUDA device" in err
    assert "doctor" in err


@pytest.mark.parametrize("argv", [["demo", "--seconds", "0"], ["demo", "--backend", "tpu"], ["nothing"], []])
def test_wrong_arguments(argv, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(argv)
    assert stopped.value.code == 2
    assert "usage: robocache" in capsys.readouterr().err


# ---- selftest -----------------------------------------------------------------------------------------------------


def test_stored_answers_are_what_their_generator_writes():
    assert make_selftest_answers.TARGET.read_text("utf-8") == make_selftest_answers.text()


def test_selftest(capsys):
    status, out, _ = run(capsys, "selftest", "--backend", "cpu", "--json")
    fields = json.loads(out)
    assert status == 0, [row for row in fields["results"] if not row["ok"]]
    assert {row["op"] for row in fields["results"]} == {
        "resample_trajectories",
        "fuse_multimodal",
        "voxelize",
        "voxel_grid",
    }


def test_selftest_without_gpu_skips_it_and_says_why(capsys, monkeypatch):
    monkeypatch.setattr(backends, "cuda", lambda: (None, "CuPy finds no CUDA device"))
    status, out, _ = run(capsys, "selftest")
    assert status == 0
    assert "cuda: skipped, CuPy finds no CUDA device" in out
    assert main(["selftest", "--backend", "cuda"]) == 2


@pytest.mark.parametrize("part, change", [("values", 0.01), ("valid", None), ("age", 1)])
def test_selftest_sees_a_wrong_answer(capsys, tmp_path, part, change):
    stored = json.loads(make_selftest_answers.TARGET.read_text("utf-8"))
    stored["cases"] = stored["cases"][:1]
    data = stored["cases"][0]["expected"][part]["data"]
    data[3] = not data[3] if change is None else data[3] + change
    path = tmp_path / "answers.json"
    path.write_text(json.dumps(stored), "utf-8")
    status, out, _ = run(capsys, "selftest", "--backend", "cpu", "--answers", str(path))
    assert status == 1
    assert f"FAILED  {part}" in out


def test_selftest_unreadable_answers(capsys, tmp_path):
    path = tmp_path / "answers.json"
    path.write_text("{}", "utf-8")
    status, _, err = run(capsys, "selftest", "--answers", str(path))
    assert status == 2
    assert "stored answers cannot be read" in err


def test_module_as_program():
    done = subprocess.run(
        [sys.executable, "-m", "robocache", "doctor", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] is True
