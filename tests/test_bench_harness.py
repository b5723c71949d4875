"""The benchmarks' own judges see what is wrong, and inputs and bytes are what the results say."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import robocache as rc
from benchmarks import _results, _timing, baselines, ncu, scenes
from benchmarks.alignment import Case, Problem
from benchmarks.bench_fusion import Fusion
from benchmarks.grids import Cloud
from robocache.cli.main import main

ROOT = Path(__file__).resolve().parent.parent


def solved(case):
    problem = Problem(case)
    values, out = problem.values(np, 0), np.empty((case.batch, case.targets, case.features), problem.kind)
    _timing.poison(out)
    rc.resample_trajectories(values, *problem.times_as(np), method=case.method, out=out)
    return problem, values, out


@pytest.mark.parametrize("method", ["linear", "nearest", "previous"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("distribution", ["random", "clock"])
def test_the_judge_of_alignment(method, dtype, distribution):
    problem, values, out = solved(Case(5, 40, 30, 6, dtype, method, distribution, seed=3))
    problem.judge(np, values, out)
    spoilt = out.copy()
    spoilt[4, 29, 5] += np.asarray(0.25, dtype=out.dtype)
    with pytest.raises(_results.WrongResult):
        problem.judge(np, values, spoilt)
    _timing.poison(spoilt[3:4])
    assert problem.deviation(np, values, spoilt) == float("inf")


def test_least_bytes_count_the_samples_that_are_used():
    problem = Problem(Case(2, 5, 1, 3, "float32", "previous"))
    problem.times[:] = np.arange(5) * 10
    problem.aim(np.array([[12], [38]]))
    stamps = 8 * 2 * (5 + 1)
    assert problem.needed == 2 * 3 * 4 + stamps + 2 * 3 * 4
    assert problem.case.whole == 2 * 5 * 3 * 4 + stamps + 2 * 3 * 4


def test_the_judge_of_fusion():
    fusion = Fusion(3, 20, ((30, 4), (50, 2)), "float32", 9)
    streams, clock = fusion.inputs(np, 0)
    fused = rc.fuse_multimodal(streams, clock)
    assert fusion.judge(np, streams, fused) < 3e-7
    fused.age[2, 19, 1] += 1
    with pytest.raises(_results.WrongResult, match="age of stream 1"):
        fusion.judge(np, streams, fused)


@pytest.mark.parametrize("distribution", list(scenes.BOUNDS))
def test_clouds_lie_inside_and_their_judges_see_errors(distribution):
    cloud = Cloud(distribution, 5000, 2)
    points = cloud.points(np, 0)
    features = np.abs(scenes.noise(np, (5000, 2), 4))
    assert not np.array_equal(points, cloud.points(np, 1))
    for kind, given in (("occupancy", ()), ("count", ()), ("mean", (features,)), ("max", (features,))):
        out = rc.voxel_grid(points, *given, bounds=cloud.bounds, shape=16, reduce=kind)
        assert cloud.judge_dense(kind, 16, out, (points, *given)) == "numpy"
        flat = out.reshape(-1)
        flat[7] = not flat[7] if kind == "occupancy" else flat[7] + 1
        with pytest.raises(_results.WrongResult):
            cloud.judge_dense(kind, 16, out, (points, *given))
    assert int(rc.voxel_grid(points, bounds=cloud.bounds, shape=16, reduce="count").sum()) == 5000
    voxels = rc.voxelize(points, voxel_size=0.25, max_voxels=5000)
    cloud.judge_sparse(0.25, voxels, points)
    voxels.features[0, 2] += 1e-3
    with pytest.raises(_results.WrongResult):
        cloud.judge_sparse(0.25, voxels, points)


def test_scan_order_is_local():
    def steps(distribution):
        points = Cloud(distribution, 20_000, 1).points(np, 0)
        size = np.array(scenes.BOUNDS[distribution][3:]) - np.array(scenes.BOUNDS[distribution][:3])
        return float(np.median(np.linalg.norm(np.diff(points, axis=0) / size, axis=1)))

    assert steps("lidar") < steps("uniform") / 10
    assert steps("depth") < steps("uniform") / 10


def test_noise_is_one_sequence_whatever_the_chunk(monkeypatch):
    whole = scenes.noise(np, (1000,), 5)
    monkeypatch.setattr(scenes, "CHUNK", 64)
    assert np.array_equal(whole, scenes.noise(np, (1000,), 5))
    assert not np.array_equal(whole, scenes.noise(np, (1000,), 6))
    assert abs(float(whole.mean())) < 0.1
    assert float(whole.std()) == pytest.approx(3**-0.5, rel=0.1)


def test_peers_agree_with_the_judge():
    problem, values, _ = solved(Case(3, 50, 40, 4))
    three = (values, *problem.times_as(np))
    pytest.importorskip("scipy")
    assert problem.deviation(np, values, baselines.scipy_linear(*three)) < 1e-6
    assert problem.deviation(np, values, baselines.numpy_linear(*three)) < 1e-6
    torch = pytest.importorskip("torch")
    tensors = [torch.from_numpy(array) for array in three]
    for method in ("linear", "nearest", "previous"):
        other = Problem(Case(3, 50, 40, 4, method=method))
        assert other.deviation(np, values, baselines.torch_resample(*tensors, method).numpy()) < 1e-6


def test_torch_voxels_agree_with_the_judge():
    torch = pytest.importorskip("torch")
    cloud = Cloud("lidar", 3000, 1)
    points, features = cloud.points(np, 0), np.abs(scenes.noise(np, (3000, 2), 4))
    low, size = (torch.from_numpy(array) for array in cloud.frame(16))
    for kind, given in (("occupancy", ()), ("count", ()), ("max", (features,))):
        tensors = [torch.from_numpy(array) for array in given]
        out = baselines.torch_dense(kind, torch.from_numpy(points), low, size, 16, *tensors).numpy()
        cloud.judge_dense(kind, 16, out, (points, *given))


def test_an_absent_or_broken_peer_says_so():
    assert baselines.attempt("no_such_package", dict) == {"absent": "not installed"}

    def broken():
        raise RuntimeError("no kernel in /usr/lib/some/where.so\nmore")

    assert baselines.attempt("numpy", broken) == {"absent": "failed: RuntimeError: no kernel in <path>"}


def test_a_failed_row_does_not_lose_the_others(tmp_path):
    def wrong():
        raise _results.WrongResult("error 3")

    good = {"op": "x", "backend": "cpu", "shapes": {}, "dtypes": {}}
    path = tmp_path / "one.json"
    with pytest.raises(SystemExit, match="1 of 2 rows failed"):
        _results.finish(path, "trajectory", [wrong, lambda: good])
    content = json.loads(path.read_text("utf-8"))
    assert content["rows"] == [good]
    assert content["failed"] == ["WrongResult: error 3"]


def test_nothing_is_timed_without_a_commit(monkeypatch):
    monkeypatch.setattr(_results, "commit", lambda: "unknown")
    with pytest.raises(SystemExit, match="ROBOCACHE_COMMIT"):
        _results.require_commit()


def test_ncu_output_is_read():
    head = ["ID", "Kernel Name", *ncu.METRICS.values()]
    rows = [head, ["", "", *["%"] * 6], ["0", "voxel_keys", *"123456"], ["1", "voxel_keys(Cloud)", "9", "8", "7", "6"]]
    rows[3] += ["1,234", "5,000"]
    text = "==PROF== Connected\n" + "\n".join(",".join(f'"{cell}"' for cell in row) for row in rows)
    assert ncu.parse(text) == {
        "voxel_keys": {
            "dram_percent": 9.0,
            "l2_percent": 8.0,
            "occupancy_percent": 7.0,
            "registers": 6.0,
            "dram_bytes": 1234.0,
            "us": 5.0,
        }
    }
    assert ncu.parse("==ERROR== nothing") == {}


def test_bench_command_writes_what_fills_the_table(tmp_path, capsys):
    path = tmp_path / "mine.json"
    assert main(["bench", "--backend", "cpu", "--quick", "--out", str(path)]) == 0
    assert "cpu resample" in capsys.readouterr().out
    content = _results.read(path)
    assert [row["name"] for row in content["rows"]] == [
        f"cpu {name}" for name in ("copy", "resample", "call", "count", "voxelize")
    ]
    assert content["suite"] == "bench"
    assert content["schema"] == _results.SCHEMA
    assert all(row["figure"] > 0 and not row["wrong"] for row in content["rows"])


def test_bench_command_sees_a_wrong_answer(monkeypatch, capsys):
    real = rc.voxel_grid

    def spoilt(*args, out, **more):
        real(*args, out=out, **more)
        out[0, 0, 0] += 1
        return out

    monkeypatch.setattr(rc, "voxel_grid", spoilt)
    assert main(["bench", "--backend", "cpu", "--quick", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["failed"] == ["cpu count: wrong counts"]


def test_bench_command_never_loads_torch():
    program = (
        "import sys; from robocache.cli.main import main\n"
        "main(['bench', '--backend', 'cpu', '--quick'])\n"
        "assert not {'torch', 'jax', 'cupy'} & set(sys.modules)"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False, env={**os.environ}
    )
    assert ran.returncode == 0, ran.stderr
