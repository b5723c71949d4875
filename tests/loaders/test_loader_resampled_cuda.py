"""On a GPU: streams of several rates are resampled there, to the bits of whole episodes fused there."""

import os
from typing import Any

import numpy as np
import pytest
from loaders.test_loader_resampled import SCALE, recording

import robocache as rc
from robocache.datasets import Episode, open_dataset
from robocache.datasets.rlds import write_rlds
from robocache.loaders import ResampledSource

pytestmark = [pytest.mark.cuda, pytest.mark.usefixtures("cupy")]

HOW = {"imu": {"latency": 3_000_000, "max_gap": 6_000_000}, "pose": "slerp", "grip": "previous", "action": "linear"}


def fused(source: ResampledSource, rate: float, how: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Every step of a source and whether it is real, of whole episodes brought to the GPU."""
    found = [episode.fuse(rate, how, layout="dict", device=0) for episode in source._dataset]
    values = {name: np.concatenate([one.values[name].get() for one in found]) for name in how}
    return values, {name: np.concatenate([one.valid[..., k].get() for one in found]) for k, name in enumerate(how)}


def same_bits(a: Any, b: Any) -> bool:
    return bool(a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes())


@pytest.mark.parametrize("batch_size, threads", [(1, 1), (7, 3), (64, 2)])
def test_windows_are_those_of_episodes_fused_on_the_gpu(batch_size: int, threads: int) -> None:
    source = recording(0)
    values, real = fused(source, 70, HOW)
    options = {"batch_size": batch_size, "n_obs": 3, "pad_before": 0, "threads": threads, "drop_last": False}
    with rc.DataLoader(source, device=0, **options) as device, rc.DataLoader(source, **options) as host:
        for batch, other in zip(device, host, strict=True):
            steps = batch.anchor[:, None] + np.arange(-2, 1)
            assert batch.device == 0
            arrays, expected = batch.numpy(valid=True), other.numpy(valid=True)
            for name in HOW:
                rows = batch.anchor[:, None] if name == "action" else steps
                assert same_bits(arrays[name], values[name][rows]), name
                assert same_bits(arrays[f"{name}/valid"], real[name][rows]), name
                assert same_bits(arrays[f"{name}/valid"], expected[f"{name}/valid"]), name
            assert same_bits(arrays["grip"], expected["grip"])  # nothing is blended: the bits of the host
            for name in ("imu", "action"):
                np.testing.assert_array_max_ulp(arrays[name], expected[name], 1)
            assert np.abs(arrays["pose"] - expected["pose"]).max() <= 16 * np.finfo(np.float64).eps


@pytest.mark.parametrize("method", ["nearest", "previous", "next"])
@pytest.mark.parametrize("options", [{"n_obs": 2}, {"mode": "episodes"}, {"mode": "episodes", "pad": "max"}])
def test_the_bits_of_the_host_where_nothing_is_blended(method: str, options: dict[str, Any]) -> None:
    source = recording(1, **dict.fromkeys(HOW, method))
    options = options | {"batch_size": 2, "drop_last": False}
    with rc.DataLoader(source, **options) as host, rc.DataLoader(source, device=0, **options) as device:
        for one, other in zip(host, device, strict=True):
            arrays, expected = other.numpy(valid=True), one.numpy(valid=True)
            assert arrays.keys() == expected.keys()
            assert all(same_bits(arrays[name], expected[name]) for name in arrays)


def test_what_is_normalised_was_resampled_before(cupy: Any) -> None:
    source = recording(2)
    values, _ = fused(source, 70, HOW)
    scaled = {name: rc.normalize(cupy.asarray(values[name]), SCALE).get() for name in ("imu", "pose")}
    with rc.DataLoader(source, batch_size=8, device=0, normalize={"imu": SCALE, "pose": SCALE}) as loader:
        for batch in loader:
            arrays = batch.numpy()
            for name, expected in scaled.items():
                assert same_bits(arrays[name], expected[batch.anchor[:, None]]), name


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memory without a name here")
def test_another_process_reads_what_is_resampled_here(tmp_path: Any) -> None:
    rng = np.random.default_rng(0)
    arrays = [{"state": rng.random((n, 3), np.float32), "action": rng.random((n, 2), np.float32)} for n in (7, 4, 12)]
    path = write_rlds((Episode.from_arrays(k, one, rate=10.0) for k, one in enumerate(arrays)), tmp_path, name="made")
    source = ResampledSource(open_dataset(path).split("train"), 25.0, {"state": "linear", "action": "previous"})
    options = {"batch_size": 3, "n_obs": 2, "n_act": 2, "drop_last": False, "normalize": {"state": SCALE}, "device": 0}
    with rc.DataLoader(source, **options) as one, rc.DataLoader(source, workers="process", **options) as other:
        for batch, same in zip(one, other, strict=True):
            expected, found = batch.numpy(valid=True), same.numpy(valid=True)
            assert all(same_bits(found[name], expected[name]) for name in expected)
