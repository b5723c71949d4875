"""What another process can be given to read: it is sent there, or opened there anew."""

import os
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from loaders import processes
from loaders.arrays import numbers
from loaders.test_loader_process import told

import robocache as rc
import robocache.datasets as rd
from robocache.datasets import Episode, Span, open_dataset
from robocache.datasets.lerobot import write_lerobot
from robocache.datasets.rlds import write_rlds
from robocache.errors import ArgumentError, DataError
from robocache.loaders import MemorySource, ResampledSource
from robocache.store import convert, open_store
from tests.datasets import toy

pytestmark = pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="no memory without a name here")


@pytest.fixture(scope="module")
def written(tmp_path_factory: Any) -> Path:
    rng = np.random.default_rng(0)
    arrays = [{"state": rng.random((n, 3), np.float32), "action": rng.random((n, 2), np.float32)} for n in (7, 1, 12)]
    episodes = (Episode.from_arrays(k, one, rate=10.0) for k, one in enumerate(arrays))
    return write_rlds(episodes, tmp_path_factory.mktemp("rlds"), name="made")


@pytest.mark.parametrize("kind", ["path", "relative", "dataset", "split", "resampled", "store", "store path", "memory"])
def test_sources_of_the_library(written: Path, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    source: Any = written
    if "store" in kind:
        convert(written, tmp_path / "store", progress=False)
        source = tmp_path / "store" if "path" in kind else open_store(tmp_path / "store")
    elif kind == "relative":
        monkeypatch.chdir(written.parent)
        source = written.name
    elif kind in ("dataset", "split"):
        source = open_dataset(written, split="train" if kind == "split" else None)
    elif kind == "resampled":
        source = ResampledSource(open_dataset(written).split("train"), 25.0, {"state": "linear", "action": "previous"})
    elif kind == "memory":
        source = MemorySource(numbers(0, [40, 30]).values, [0, 40, 70])
    with rc.DataLoader(source, batch_size=4, n_obs=2) as one:
        expected = [told(batch) for batch in one]
    with rc.DataLoader(source, batch_size=4, n_obs=2, workers="process") as other:
        monkeypatch.chdir(tmp_path)
        assert [told(batch) for batch in other] == expected


def test_text_and_views_of_a_format(tmp_path: Path) -> None:
    """Text does not lie in memory that is shared, and these sources give other streams than they read."""
    cube, values = np.zeros((9, 4, 4, 3), np.uint8), np.arange(18.0, dtype=np.float32).reshape(9, 2)
    arrays = {"observation.cam": cube + np.arange(9, dtype=np.uint8)[:, None, None, None], "action": values}
    made = [Episode.from_arrays(k, arrays, rate=5, language=[Span(0, 9, f"go {k}")]) for k in range(2)]
    rlds, lerobot = (
        write_rlds(made, tmp_path / "r", name="made"),
        write_lerobot(made, tmp_path / "l", fps=5, video=False),
    )
    convert(rlds, tmp_path / "store", progress=False)
    for make, text in (
        (partial(rc.DataLoader.from_lerobot, lerobot, delta_timestamps={"action": [-0.2, 0.0]}), "task"),
        (partial(rc.DataLoader, rlds, obs=["language"], action=["action"]), "language"),
        (partial(rd.rtx.DataLoader, rlds, obs=["observation.cam"]), "language"),
        (partial(rc.DataLoader, tmp_path / "store", obs=["language", "action"], action=[]), "language"),
    ):
        with make(batch_size=4) as one, make(batch_size=4, workers="process") as other:
            for batch, same in zip(one, other, strict=True):
                assert batch.numpy(valid=True).keys() == same.numpy(valid=True).keys()
                for name, values in same.numpy(valid=True).items():
                    assert np.array_equal(values, batch.numpy(valid=True)[name]), name
                assert batch[text] == same[text] == [f"go {episode}" for episode in batch.episode]


def test_sources_that_cannot_be_sent() -> None:
    locked = numbers(0, [9])
    locked.lock = threading.Lock()
    for source, said in (
        (
            toy.dataset(Path("nowhere"), [toy.episode(0, toy.stream("x", np.ones(9)), length=9)]),
            "only what open_dataset has opened can be pickled",
        ),
        (locked, "cannot pickle '_thread.lock'.* a __reduce__ that opens them again"),
    ):
        with pytest.raises(ArgumentError, match=said):
            rc.DataLoader(source, batch_size=2, workers="process")
    with pytest.raises(ArgumentError, match="workers='threads' is not known"):
        rc.DataLoader(numbers(0, [9]), batch_size=2, workers="threads")


def test_a_source_that_cannot_be_opened_there() -> None:
    plain = numbers(0, [9])
    with (
        rc.DataLoader(processes.Unopened([9], plain.values), batch_size=2, workers="process") as loader,
        pytest.raises(ArgumentError, match="OSError: the disk is not there") as caught,
    ):
        iter(loader)
    assert "in again\n" in caught.value.__notes__[0]


def test_a_dataset_that_changes_before_it_is_opened_again(written: Path) -> None:
    with rc.DataLoader(written, batch_size=2, workers="process") as loader:
        (loader._sources[0]).__dict__["fingerprint"] = "0"
        with pytest.raises(DataError, match="has changed since it was opened"):
            iter(loader)
