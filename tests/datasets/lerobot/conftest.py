"""Two small datasets that LeRobot itself wrote (0.3.3 and 0.4.4), to read and to damage."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
DATA = Path(os.environ.get("ROBOCACHE_DATA") or ROOT.parent / "shared" / "data")

pytest.importorskip("pyarrow")
pytest.importorskip("av")


@pytest.fixture(params=["lerobot_v21_small", "lerobot_v30_small"])
def small(request: pytest.FixtureRequest) -> Path:
    return HERE / request.param


@pytest.fixture
def copied(tmp_path: Path) -> Callable[[str], Path]:
    """A copy that may be changed."""

    def copy(version: str) -> Path:
        return Path(shutil.copytree(HERE / f"lerobot_{version}_small", tmp_path / version))

    return copy


@pytest.fixture
def recording() -> Callable[[str], Path]:
    def find(name: str) -> Path:
        if not (DATA / name).is_dir():
            pytest.skip(f"no recording at {DATA / name}; set ROBOCACHE_DATA")
        return DATA / name

    return find
