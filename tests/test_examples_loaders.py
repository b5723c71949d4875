"""The programs in examples/ that train: they see every sample once, wherever it is read, and learn."""

import os
import subprocess
import sys

import pytest
from test_examples import ROOT, example, framework


@pytest.mark.parametrize("recorded", [None, "lerobot_v21_small", "lerobot_v30_small"])
def test_train_lerobot(capsys, recorded):
    framework("torch")
    for library in ("pyarrow", "PIL", *(["av"] if recorded else [])):
        pytest.importorskip(library)
    path = [str(ROOT / "tests" / "datasets" / "lerobot" / recorded)] if recorded else []
    assert example("train_lerobot").main([*path, "--epochs", "5"]) == 0, capsys.readouterr().out
    assert "learned" in capsys.readouterr().out


def run_alone(name, *args, **env):
    """An example in a process of its own."""
    command = [sys.executable, str(ROOT / "examples" / f"{name}.py"), *args]
    env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **env}
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_processes_share_one_order_with_ddp():
    framework("torch")
    ran = run_alone("ddp_torch", "--epochs", "2")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "the samples of one process: True; equal weights: True" in ran.stdout


@pytest.mark.parametrize("devices", ["1", "2"])
def test_devices_share_one_order_with_jax(devices):
    framework("jax")
    flags = f"--xla_force_host_platform_device_count={devices}"
    ran = run_alone("sharded_jax", "--devices", devices, "--epochs", "3", XLA_FLAGS=flags, JAX_PLATFORMS="cpu")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"(16, 1, 7) over {devices} devices" in ran.stdout
    assert "the samples of one device: True" in ran.stdout


def test_too_few_devices_for_jax_are_told():
    framework("jax")
    ran = run_alone("sharded_jax", "--devices", "2", XLA_FLAGS="", JAX_PLATFORMS="cpu")
    assert ran.returncode == 2
    assert "there are 1 devices" in ran.stdout
