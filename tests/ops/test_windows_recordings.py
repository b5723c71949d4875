"""Windows of real robots' recordings, and of datasets that LeRobot wrote and read.

They are looked for in the folder that ROBOCACHE_DATA names, or in shared/data beside the checkout; LeRobot's own items
in the folder fixtures beside that one.
"""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oracles import windows as oracle

import robocache as rc

ROOT = Path(__file__).resolve().parents[2]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")
SMALL = {"lerobot_v21_small": 10, "lerobot_v30_small": 10}  # frames a second


def real(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"no recording at {path}; set ROBOCACHE_DATA")
    return path


@pytest.fixture(scope="module")
def g1() -> dict[str, np.ndarray]:
    """Two episodes of a Unitree G1: joint states and actions of 26 joints, stamps, offsets."""
    folder = real(DATA / "lerobot_v21_unitree_g1" / "data")
    parquet = pytest.importorskip("pyarrow.parquet")
    tables = [parquet.ParquetFile(path).read() for path in sorted(folder.rglob("*.parquet"))]
    columns = {
        name: np.concatenate([np.array(table[name].to_pylist(), np.float32) for table in tables])
        for name in ("observation.state", "action", "timestamp")
    }
    return columns | {"offsets": np.cumsum([0, *(len(table) for table in tables)])}


def test_action_chunks_of_a_g1(backend: Any, g1: dict[str, np.ndarray]) -> None:
    offsets, states = g1["offsets"], g1["observation.state"]
    assert states.shape == (221 + 277, 26)
    w = rc.windows(backend.to(offsets), n_obs=2, n_act=16, pad_before=1, pad_after=15)
    assert len(w) == len(states)
    batch = w[:]
    obs = backend.np(rc.gather_windows(backend.to(states), batch.obs_index))
    edge = backend.np(rc.gather_windows(backend.to(g1["action"]), batch.action_index))
    zero = backend.np(rc.gather_windows(backend.to(g1["action"]), batch.action_index, batch.action_valid, pad="zero"))
    for t in range(len(states)):
        first, end = offsets[np.searchsorted(offsets, t, "right") + np.array([-1, 0])]
        assert (obs[t] == states[[max(t - 1, first), t]]).all()
        chunk = g1["action"][t : min(t + 16, end)]
        missing = 16 - len(chunk)
        assert (edge[t] == np.concatenate([chunk, np.repeat(chunk[-1:], missing, 0)])).all()
        assert (zero[t] == np.concatenate([chunk, np.zeros((missing, 26), np.float32)])).all()


def test_deltas_of_a_g1(backend: Any, g1: dict[str, np.ndarray]) -> None:
    offsets, keys = g1["offsets"], {"observation.state": [-1 / 30, 0.0], "action": [k / 30 for k in range(16)]}
    compare(backend, g1["timestamp"], offsets, keys, 30)


@pytest.mark.parametrize("name", sorted(SMALL))
def test_deltas_of_datasets_that_lerobot_wrote(backend: Any, name: str) -> None:
    """Their items hold the stamps, episodes and frame numbers as LeRobot gives them."""
    with np.load(real(DATA.parent / "fixtures" / name / "reference_items.npz")) as items:
        stamps, episode, frame, state = (
            items[key] for key in ("timestamp", "episode_index", "frame_index", "observation.state")
        )
    offsets = np.searchsorted(episode, np.arange(episode[-1] + 2))
    keys = {"observation.state": [-0.3, -0.2, -0.1, 0.0], "action": [k / 10 for k in range(16)]}
    batch = compare(backend, stamps, offsets, keys, SMALL[name])
    index = backend.np(batch.index["observation.state"])
    assert (episode[index] == episode[:, None]).all()
    assert (frame[index] == np.maximum(frame[:, None] + np.arange(-3, 1), 0)).all()
    rows = backend.np(rc.gather_windows(backend.to(state), batch.index["observation.state"]))
    wanted = np.sin(np.arange(6) + frame[index][..., None] / 10 + episode[index][..., None])  # how they were made
    assert np.allclose(rows, wanted, atol=1e-6)


def compare(backend: Any, stamps: np.ndarray, offsets: np.ndarray, keys: Any, fps: int) -> rc.DeltaBatch:
    """The stamps' answer beside LeRobot's, which counts frames."""
    assert stamps.dtype == np.float32
    batch = rc.delta_timestamps(backend.to(stamps), keys, offsets=offsets, check="strict")[:]
    for key, shifts in keys.items():
        index, padding = oracle.lerobot(offsets, np.arange(len(stamps)), shifts, fps)
        assert (backend.np(batch.index[key]) == index).all()
        assert (backend.np(batch.is_pad[f"{key}_is_pad"]) == padding).all()
        assert padding.any()
    return batch
