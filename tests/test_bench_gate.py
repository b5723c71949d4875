"""The performance gate can fail: planted slowdowns, growth, memory, host work and machine code are all caught."""

import json

import numpy as np
import pytest

import robocache as rc
from benchmarks import gate, gate_kernels

resample, grid = rc.resample_trajectories, rc.voxel_grid


def test_the_record_names_every_check_and_no_time():
    record = json.loads(gate.RECORD.read_text("utf-8"))
    assert set(record["python_calls"]) == set(gate.small_calls())
    assert set(record) == {"python", "python_calls", "launches", "kernels"}
    assert {"instructions", "registers"} == {key for one in record["kernels"]["code"].values() for key in one}


def test_a_planted_slowdown_is_caught(monkeypatch):
    def slow(*args, **more):
        for _ in range(40):
            result = resample(*args, **more)
        return result

    given = gate.stream(8, 500, 500, 32)
    name = "linear over memcpy, one thread"
    monkeypatch.setattr(rc, "resample_trajectories", slow)
    assert not gate.verdict(name, gate.aligned(given), gate.copied(given)).ok


def test_planted_growth_is_caught(monkeypatch):
    def quadratic(points, *args, **more):
        for _ in range(len(points) // 5_000):
            result = grid(points, *args, **more)
        return result

    points = np.random.default_rng(0).uniform(-7, 7, (80_000, 3)).astype(np.float32)
    monkeypatch.setattr(rc, "voxel_grid", quadratic)
    found = gate.verdict("count, twice the points", gate.counted(points), gate.counted(points[:5_000]))
    assert not found.ok


def test_what_is_as_fast_passes():
    given = gate.stream(8, 500, 500, 32)
    call = gate.copied(given)
    assert gate.verdict("linear over memcpy, one thread", call, call).ok


def test_planted_scratch_memory_is_caught(monkeypatch):
    assert gate.memory().ok
    monkeypatch.setattr(
        rc, "resample_trajectories", lambda *args, out, **more: np.copyto(out, resample(*args, **more).copy())
    )
    assert not gate.memory().ok


@pytest.mark.cuda
def test_launches_are_counted(cupy):
    assert gate.launches() == json.loads(gate.RECORD.read_text("utf-8"))["launches"]


def test_planted_host_work_is_caught():
    known = gate.python_calls(lambda: [abs(k) for k in range(100)])
    assert known == gate.python_calls(lambda: [abs(k) for k in range(100)])
    more = gate.python_calls(lambda: [abs(k) for k in range(130)])
    assert not gate.Verdict("host", more, known * gate.COUNT_SLACK).ok


@pytest.mark.parametrize("what", ["instructions", "registers"])
@pytest.mark.parametrize("compiler, factor, ok", [("1.0", 1.05, True), ("1.0", 1.2, False), ("2.0", 1.2, True)])
def test_grown_kernels_are_caught(what, compiler, factor, ok):
    code = {"k": {"instructions": 1000, "registers": 40}}
    grown = {"k": {**code["k"], what: code["k"][what] * factor}}
    found = gate.kernel_verdicts({"compiler": "1.0", "code": code}, {"compiler": compiler, "code": grown})
    assert all(one.ok for one in found) == ok


def test_a_kernel_that_is_gone_or_new_is_named():
    one = {"instructions": 1, "registers": 1}
    found = gate.kernel_verdicts({"compiler": "", "code": {"old": one}}, {"compiler": "", "code": {"new": one}})
    assert [str(v) for v in found] == [
        "skipped  instructions of new: not recorded: --update",
        "skipped  registers of new: not recorded: --update",
        "skipped  code of old: is gone: --update",
    ]


def test_machine_code_is_counted():
    nvrtc = pytest.importorskip("cupy").cuda.nvrtc
    few = 'extern "C" __global__ void k(float* x) { x[threadIdx.x] += 1.0f; }'
    many = few.replace("+= 1.0f", "= " + "sinf(" * 9 + "x[threadIdx.x]" + ")" * 9)
    small, large = (gate_kernels.compiled(nvrtc, text, "k.cu", ())["k"] for text in (few, many))
    assert 0 < small["instructions"] < 100
    assert large["instructions"] > 10 * small["instructions"]
    assert large["registers"] > small["registers"] > 0


def test_the_command_fails_and_says_what(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["gate"])
    monkeypatch.setattr(gate, "check", lambda record: [gate.Verdict("a", 1, 2), gate.Verdict("b", 3, 2)])
    assert gate.main() == 1
    assert "2 checked, 1 failed: b" in capsys.readouterr().out
