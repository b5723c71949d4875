"""Streams of several rates on the way to a device: raw in the slot, resampled behind the copy, as the host would."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from loaders.arrays import numbers
from loaders.test_loader_carrying import card, contents  # noqa: F401 - a fixture
from loaders.test_resampled import dataset_of, datasets, times_of

import robocache as rc
from robocache.datasets import open_dataset
from robocache.datasets.rlds import write_rlds
from robocache.errors import ArgumentError, DataError
from robocache.loaders import ResampledSource
from tests.datasets import toy

pytestmark = pytest.mark.usefixtures("card")

SCALE = {"mean": 1.0, "std": 3.0}


def recording(seed: int, episodes: int = 3, **streams: Any) -> ResampledSource:
    """Streams of three rates, some samples of which have equal stamps."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(episodes):
        count = 60 + 20 * number
        made.append(toy.episode(
            f"e{number}",
            toy.stream("imu", rng.random((4 * count, 6)).astype(np.float32), times_of(rng, 4 * count, 2_500_000)),
            toy.stream("pose", rng.standard_normal((count, 4)), times_of(rng, count, 10_000_000)),
            toy.stream("grip", rng.integers(0, 9, count // 2).astype(np.int16), times_of(rng, count // 2, 20_000_000)),
            toy.stream("action", rng.standard_normal((count, 2)).astype(np.float32), times_of(rng, count, 10_000_000)),
        ))  # fmt: skip
    how = {"imu": {"latency": 3_000_000, "max_gap": 6_000_000}, "pose": "slerp", "grip": "previous", "action": "linear"}
    return ResampledSource(dataset_of(*made), 70, how | streams)


@contextmanager
def both(source: Any, **options: Any) -> Iterator[tuple[Any, Any]]:
    """A loader of the host, and one with a device, of the same order."""
    with ExitStack() as opened:
        host = opened.enter_context(rc.DataLoader(source, **options))
        device = opened.enter_context(rc.DataLoader(source, device=0, **options))
        yield host, device


@given(datasets(), st.integers(1, 5), st.integers(1, 3), st.integers(0, 3), st.integers(1, 3), st.booleans())
def test_a_device_gives_what_the_host_does(case: Any, batch_size: int, n_obs: int, n_act: int, threads: int,
                                           scaled: bool) -> None:  # fmt: skip
    dataset, streams, rate, _ = case
    source = ResampledSource(dataset, rate, streams)
    options = {
        "batch_size": batch_size, "n_obs": n_obs, "n_act": n_act, "threads": threads, "drop_last": False,
        "weights": [1.0], "epoch_size": 4 * batch_size,
        "obs": ["a"], "action": {k: k for k in source.streams if n_act and k != "a"},
        "normalize": {"a": SCALE} if scaled and source.streams["a"].dtype != bool else {},
    }  # fmt: skip
    with both(source, **options) as (host, device):
        assert contents(device) == contents(host)


def test_nothing_is_resampled_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    source = recording(0)
    with both(source, batch_size=4, n_obs=2, n_act=3, normalize={"imu": SCALE}) as (host, device):
        expected = contents(host)
        monkeypatch.setattr(source, "gather", None)
        monkeypatch.setattr(source, "valid", None)
        assert contents(device) == expected
        masks = [(key, held) for _, arrays in expected for key, (_, _, held) in arrays.items() if "/valid" in key]
        assert {"imu/valid", "action/valid"} <= {key for key, held in masks if b"\0" in held}  # gaps and padding


@pytest.mark.parametrize("pad", [None, "max", 250])
def test_whole_episodes(pad: Any) -> None:
    with both(recording(1), batch_size=2, mode="episodes", pad=pad, normalize={"pose": SCALE}) as (host, device):
        assert contents(device) == contents(host)


@pytest.mark.parametrize(
    "options", [{"n_obs": 2, "n_act": 3}, {"mode": "episodes"}, {"mode": "episodes", "pad": "max"}]
)
def test_several_sources_that_are_resampled_the_same_way(options: Any) -> None:
    sources = [recording(seed, episodes) for seed, episodes in ((2, 2), (3, 1), (4, 3))]
    with both(sources, batch_size=5, drop_last=False, weights=[1, 3, 1], **options) as (host, device):
        assert contents(device) == contents(host)


def test_sources_that_are_resampled_differently_or_not_at_all() -> None:
    one, other = recording(0), recording(1, grip={"method": "previous", "tolerance": 5})
    with pytest.raises(ArgumentError, match=r"'grip' is resampled on the GPU, the same way in all .*leave device out"):
        rc.DataLoader([one, other], batch_size=2, device=0)
    rc.DataLoader([one, other], batch_size=2, device=0, obs=["imu", "pose"], action=[]).close()
    with both([one, other], batch_size=2, obs=["imu"], action=["action"]) as (host, device):
        assert contents(device) == contents(host)
    plain = numbers(0, [30], shape=(6,))
    plain.values = {"imu": plain.values["state"]}
    plain.streams = {"imu": plain.streams["state"]}
    with pytest.raises(ArgumentError, match=r"'imu' of a ResampledSource .* of \['arrays'\] has to be, too; make each"):
        rc.DataLoader([one, plain], batch_size=2, device=0, obs=["imu"], action=[])
    rc.DataLoader([one, plain], batch_size=2, obs=["imu"], action=[]).close()


def test_pictures_stay_on_the_host() -> None:
    rng = np.random.default_rng(0)
    pictures, depth = rng.integers(0, 256, (40, 6, 8, 3), np.uint8), rng.random((40, 6, 8, 1)).astype(np.float32)
    stamps = times_of(rng, 40, 30_000_000)
    source = ResampledSource(dataset_of(toy.episode(
        0, toy.stream("camera", pictures, stamps, kind="image"), toy.stream("depth", depth, stamps, kind="depth"),
        toy.stream("imu", rng.standard_normal((900, 3)), times_of(rng, 900, 1_000_000)),
    )), 50, {"camera": "nearest", "depth": "previous", "imu": "linear"})  # fmt: skip
    images = {"camera": rc.ImageOptions((3, 4), layout="chw", dtype="float32", mean=0.1, std=0.5)}
    with both(source, batch_size=4, n_obs=2, images=images) as (host, device):
        assert [one.key for one in device._fields if one.resampling is not None] == ["imu"]
        assert contents(device) == contents(host)


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memory without a name here")
def test_another_process_reads_what_is_resampled_here(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = [{"state": rng.random((n, 3), np.float32), "action": rng.random((n, 2), np.float32)} for n in (7, 4, 12)]
    path = write_rlds(
        (rc.datasets.Episode.from_arrays(k, one, rate=10.0) for k, one in enumerate(arrays)), tmp_path, name="made"
    )
    options = {"batch_size": 3, "n_obs": 2, "n_act": 2, "drop_last": False, "normalize": {"state": SCALE}, "threads": 2}
    source = ResampledSource(open_dataset(path).split("train"), 25.0, {"state": "linear", "action": "previous"})
    with rc.DataLoader(source, **options) as host:
        expected = contents(host)
    with rc.DataLoader(source, device=0, workers="process", **options) as device:
        assert contents(device) == expected


def test_a_slot_has_room_for_every_batch_and_no_more() -> None:
    """Stamps come in threes, and steps fall between any two of them: six samples a step, of windows far apart."""
    stamps = np.repeat(np.arange(400) * 10**7, 3)
    values = np.arange(1200.0)[:, None] * [1, 2]
    source = ResampledSource(dataset_of(toy.episode(0, toy.stream("x", values, stamps))), 2, ["x"])
    assert source.resampling("x").most == 6
    source = ResampledSource(dataset_of(toy.episode(0, toy.stream("x", values, stamps), toy.stream(
        "y", values[:9], stamps[0] + 5 * 10**6 + np.arange(9) * 4 * 10**8))), 2.5, ["x", "y"])  # fmt: skip
    with rc.DataLoader(source, batch_size=3, n_obs=2, pad_before=0, device=0, shuffle=False) as loader:
        packed = loader._transfer.slot.packed["x"]
        assert packed.times.offset - packed.values.offset == -(-6 * 6 * 16 // 256) * 256
        assert loader.memory.slot == loader._transfer.slot.nbytes
        batch = next(iter(loader))
        assert batch._keep[1].lead["samples of x"] == (36,)
    assert loader.memory.slot < 4000


def test_stamps_that_are_others_than_when_the_source_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    source = recording(0)
    for on_error, kind in (("raise", DataError), ("skip", None)):
        monkeypatch.setitem(source._most, "imu", 1)
        with rc.DataLoader(source, batch_size=4, device=0, on_error=on_error) as loader:
            if kind is None:
                assert sum(batch.size for batch in loader) == 0
                assert "of one time than when" in loader.stats()["ledger"][0].message
            else:
                with pytest.raises(kind, match="imu: cannot be read: there are more samples of one time"):
                    next(iter(loader))
