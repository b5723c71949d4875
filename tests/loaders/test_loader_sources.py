"""Loaders over what the library itself reads: a dataset, a store made of it, paths of both, streams resampled."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import robocache as rc
from robocache.datasets import Episode, open_dataset
from robocache.datasets.rlds import write_rlds
from robocache.loaders import ResampledSource
from robocache.store import convert, open_store

LENGTHS = (7, 1, 12)


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any) -> tuple[Path, list[dict[str, Any]]]:
    """An RLDS dataset with pictures, and its values."""
    rng = np.random.default_rng(0)
    values = [
        {
            "state": rng.standard_normal((length, 3)).astype(np.float32),
            "action": rng.standard_normal((length, 2)).astype(np.float32),
            "image": rng.integers(0, 256, (length, 8, 6, 3), np.uint8),
        }
        for length in LENGTHS
    ]
    episodes = (Episode.from_arrays(k, one, rate=10.0) for k, one in enumerate(values))
    return write_rlds(episodes, tmp_path_factory.mktemp("rlds"), name="made"), values


def check(loader: Any, values: list[dict[str, Any]]) -> None:
    """Every window of the loader is what the arrays have, and every step is an anchor once."""
    anchors, firsts = [], np.cumsum([0, *LENGTHS])
    for batch in loader:
        arrays = batch.numpy()
        for row, (episode, anchor) in enumerate(zip(batch.episode, batch.anchor, strict=True)):
            own, step = values[episode], int(anchor - firsts[episode])
            last = LENGTHS[episode] - 1
            seen, acts = np.clip([step - 1, step], 0, last), np.minimum(step + np.arange(3), last)
            np.testing.assert_array_equal(arrays["state"][row], own["state"][seen])
            np.testing.assert_array_equal(arrays["image"][row], own["image"][seen])
            np.testing.assert_array_equal(arrays["action"][row], own["action"][acts])
            np.testing.assert_array_equal(batch.valid["action"][row], step + np.arange(3) <= last)
            np.testing.assert_array_equal(batch.valid["state"][row], [step > 0, True])
            anchors.append(int(anchor))
    assert sorted(anchors) == list(range(sum(LENGTHS)))


OPTIONS = {
    "batch_size": 4, "n_obs": 2, "n_act": 3, "obs": ["state", "image"], "action": ["action"], "drop_last": False,
    "threads": 2,
}  # fmt: skip


@pytest.mark.parametrize("kind", ["dataset", "path", "store", "store path"])
def test_what_is_delivered_is_what_was_written(written: Any, tmp_path: Path, kind: str) -> None:
    path, values = written
    if "store" in kind:
        convert(path, tmp_path / "store", progress=False)
        source: Any = tmp_path / "store" if "path" in kind else open_store(tmp_path / "store")
    else:
        source = path if kind == "path" else open_dataset(path)
    with rc.DataLoader(source, **OPTIONS) as loader:
        check(loader, values)
    if kind == "dataset":  # the caller's own stays open
        assert len(source[0]["state"].read()) == LENGTHS[0]
        source.close()


def test_a_store_and_a_dataset_mixed(written: Any, tmp_path: Path) -> None:
    path, values = written
    convert(path, tmp_path / "store", progress=False)
    with rc.DataLoader([path, tmp_path / "store"], **OPTIONS) as loader:
        assert len(loader) == 10
        assert sum(batch.size for batch in loader) == 2 * sum(LENGTHS)
        batch = next(iter(loader))
        for row, (episode, anchor) in enumerate(zip(batch.episode, batch.anchor, strict=True)):
            step = int(anchor - np.cumsum([0, *LENGTHS])[episode])
            np.testing.assert_array_equal(batch["state"][row, -1], values[episode]["state"][step])


def test_streams_of_two_rates_come_as_fuse_gives_them(written: Any) -> None:
    with open_dataset(written[0]) as dataset:
        how = {"state": "linear", "action": "previous"}
        source = ResampledSource(dataset, 25.0, how)
        fused = [episode.fuse(rate=25.0, streams=how, layout="dict") for episode in dataset]
        with rc.DataLoader(source, batch_size=5, n_act=2, obs=["state"], action=["action"], threads=2) as loader:
            for batch in loader:
                firsts = source.offsets[batch.episode]
                for row, episode in enumerate(batch.episode.tolist()):
                    step = int(batch.anchor[row] - firsts[row])
                    own = fused[episode]
                    np.testing.assert_array_equal(batch["state"][row, 0], own.values["state"][step])
                    ahead = np.minimum(step + np.arange(2), len(own.values["action"]) - 1)
                    np.testing.assert_array_equal(batch["action"][row], own.values["action"][ahead])
