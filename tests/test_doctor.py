"""What `robocache doctor` makes of this machine and of others: no CuPy, two of them, wrong versions, broken GPUs."""

import importlib.metadata
import json
import os
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from robocache.cli import doctor, doctor_gpu
from robocache.cli.main import main


def run(capsys, *argv):
    """Exit status, standard output, standard error."""
    status = main(list(argv))
    return status, *capsys.readouterr()


def packages(monkeypatch, **versions):
    """Make these the installed CuPy packages."""
    made = [SimpleNamespace(metadata={"Name": n.replace("_", "-")}, version=v) for n, v in versions.items()]
    rest = [d for d in importlib.metadata.distributions() if "cupy" not in str(d.metadata["Name"]).lower()]
    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [*rest, *made])


def levels(findings):
    return {item.topic: item.level for item in findings}


def find(findings, topic):
    return next(item for item in findings if item.topic == topic)


def test_doctor_here(capsys):
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    assert "Nothing is broken." in out


def test_doctor_json(capsys):
    status, out, _ = run(capsys, "doctor", "--json")
    fields = json.loads(out)
    assert status == 0
    assert fields["ok"] is True
    topics = {item["topic"] for item in fields["findings"]}
    assert {"python", "numpy", "numba", "ml_dtypes", "numba cache", "nvidia driver", "cupy", "torch", "jax"} <= topics
    assert all(item.keys() == {"topic", "level", "text", "remedy"} for item in fields["findings"])


def test_doctor_without_cupy_and_without_driver_is_content(capsys, monkeypatch):
    packages(monkeypatch)
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(doctor_gpu, "driver", lambda: None)
    status, out, _ = run(capsys, "doctor")
    assert status == 0
    assert "a complete CPU install" in out
    assert "warn" not in out.replace("Warnings", "")


@pytest.mark.parametrize(
    "driver, extra",
    [
        (doctor_gpu.Driver((13, 0)), "cuda13"),
        (doctor_gpu.Driver((13, 0), capability=(7, 0)), "cuda12"),
        (doctor_gpu.Driver((12, 4), "550.54", ("NVIDIA L4",), (8, 9)), "cuda12"),
        (doctor_gpu.Driver((11, 8)), "cuda11"),
        (doctor_gpu.Driver((10, 2)), None),
    ],
)
def test_doctor_without_cupy_names_the_extra(monkeypatch, driver, extra):
    packages(monkeypatch)
    monkeypatch.setattr(doctor_gpu, "driver", lambda: driver)
    found = find(doctor.examine(), "cupy")
    assert found.level == "warn"
    assert (f"robocache[{extra}]" if extra else "update the NVIDIA driver") in found.remedy


def test_doctor_with_two_cupys_says_which_to_remove(capsys, monkeypatch):
    packages(monkeypatch, cupy_cuda12x="14.2.0", cupy_cuda13x="14.2.0")
    monkeypatch.setattr(doctor_gpu, "driver", lambda: doctor_gpu.Driver((12, 4)))
    monkeypatch.setattr(doctor_gpu, "examine", lambda driver: [])
    status, out, _ = run(capsys, "doctor")
    assert status == 1
    assert "keep one, cupy-cuda12x" in out
    assert "pip uninstall cupy-cuda12x cupy-cuda13x && python3 -m pip install 'robocache[cuda12]'" in out


@pytest.mark.parametrize(
    "name, version, level",
    [
        ("cupy_cuda12x", "14.2.0", "ok"),
        ("cupy_cuda12x", "14.1.0", "warn"),
        ("cupy_cuda12x", "13.4.0", "warn"),
        ("cupy_cuda11x", "13.6.0", "ok"),
        ("cupy_cuda11x", "13.5.1", "warn"),
        ("cupy_cuda13x", "14.2.0", "fail"),
        ("cupy", "14.2.0", "ok"),
    ],
)
def test_doctor_judges_the_cupy_version(monkeypatch, name, version, level):
    packages(monkeypatch, **{name: version})
    monkeypatch.setattr(doctor_gpu, "driver", lambda: doctor_gpu.Driver((12, 4)))
    monkeypatch.setattr(doctor_gpu, "examine", lambda driver: [])
    found = find(doctor.examine(), "cupy")
    assert found.level == level
    assert bool(found.remedy) == (level != "ok")


def test_doctor_cupy_that_cannot_be_imported(monkeypatch):
    packages(monkeypatch, cupy_cuda12x="14.2.0")
    monkeypatch.setitem(sys.modules, "cupy", None)
    monkeypatch.setattr(doctor_gpu, "driver", lambda: doctor_gpu.Driver((12, 4)))
    assert find(doctor.examine(), "cupy import").level == "fail"
    monkeypatch.setattr(doctor_gpu, "driver", lambda: None)
    assert find(doctor.examine(), "cupy import").level == "warn"


def test_doctor_names_the_extras_and_pins_of_the_package():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    assert project["requires-python"] == ">=" + ".".join(map(str, doctor.PYTHON))
    assert {name for name in extras if name.startswith("cuda")} == set(doctor_gpu.EXTRAS)
    for name, (package, _, _) in doctor_gpu.EXTRAS.items():
        assert extras[name][0].startswith(package + ("==13.6" if name == "cuda11" else doctor_gpu.PIN))


def fake_cupy(**faults):
    """Enough of CuPy for the doctor: one device, whose kernel fails or answers wrongly if asked to."""

    class Kernel:
        def __init__(self, *args, **kwargs):
            if "compile" in faults:
                raise RuntimeError(faults["compile"])

        def __call__(self, grid, block, args):
            args[0][:] = 0 if "answer" in faults else 3 * np.arange(32) + 1

    class Array(np.ndarray):
        def get(self):
            return np.asarray(self)

    facts = {"name": b"NVIDIA L4", "major": 8, "minor": 9}
    runtime = SimpleNamespace(
        getDeviceCount=lambda: 1, getDeviceProperties=lambda index: facts, memGetInfo=lambda: (2**30, 2**34)
    )
    nvrtc = SimpleNamespace(
        getVersion=lambda: (12, 9), getSupportedArchs=lambda: faults.get("architectures", (75, 80, 89))
    )

    class Device:
        def __init__(self, index):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *error):
            return None

    return SimpleNamespace(
        cuda=SimpleNamespace(runtime=runtime, nvrtc=nvrtc, Device=Device),
        zeros=lambda n, dtype: np.zeros(n, dtype).view(Array),
        asarray=np.asarray,
        ndarray=Array,
        int32=np.int32,
        RawKernel=Kernel,
    )


@pytest.mark.parametrize(
    "faults, topic, level",
    [
        ({}, "gpu 0 kernel", "ok"),
        ({}, "gpu 0", "ok"),
        ({}, "gpu 0 robocache", "ok"),
        ({"compile": "NVRTC_ERROR_INVALID_OPTION"}, "gpu 0 kernel", "fail"),
        ({"answer": True}, "gpu 0 kernel", "fail"),
        ({"architectures": (75, 80)}, "gpu 0", "warn"),
    ],
)
def test_doctor_on_a_machine_with_a_gpu(monkeypatch, faults, topic, level):
    monkeypatch.setitem(sys.modules, "cupy", fake_cupy(**faults))
    assert levels(doctor_gpu.examine(doctor_gpu.Driver((12, 4))))[topic] == level


def test_doctor_driver_without_working_device(capsys, monkeypatch):
    monkeypatch.setattr(doctor_gpu, "driver", lambda: doctor_gpu.Driver((12, 4), error=803))
    status, out, _ = run(capsys, "doctor")
    assert status == 1
    assert "cuInit returns 803" in out


def test_doctor_kernel_cache_open_to_others(monkeypatch, tmp_path):
    monkeypatch.setenv("CUPY_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("CUPY_CACHE_IN_MEMORY", raising=False)
    tmp_path.chmod(0o700)
    assert doctor_gpu._kernel_cache().level == "ok"
    if os.name != "nt":
        tmp_path.chmod(0o777)
        found = doctor_gpu._kernel_cache()
        assert found.level == "warn"
        assert found.remedy == f"chmod go-w {tmp_path}"
    monkeypatch.setenv("CUPY_CACHE_IN_MEMORY", "1")
    assert doctor_gpu._kernel_cache().level == "warn"
